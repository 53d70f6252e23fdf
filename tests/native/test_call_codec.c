/* vc_call_codec, and vc_call with G.722 and Opus. Oracles: the codec units by themselves, bit for
 * bit; RFC 3551 and 7587 for clocks; the equation of vc_call.h for counters. Where libopus is not
 * installed only its absence is tested of Opus; where it is expected (CI is set) that is a failure.
 */
#include "engine/vc_call_codec.h"

#include <string.h>

#include "codec/vc_l16.h"
#include "engine/vc_call.h"
#include "net/vc_dtmf.h"
#include "vc_test_model.h"

enum { PT = 96, DTMF_PT = 101, MAX_EVENTS = 256, MAX_FRAME = 320, FRAMES = 100 };
#define MS VC_NS_PER_MS

static const struct {
    vc_codec codec;
    int rate_hz, clock_hz, bitrate_bps, opus_bitrate_bps, loss_percent;
} kinds[] = {
    {VC_CODEC_PCMU, 8000, 8000, 64000, 0, 0},       {VC_CODEC_PCMA, 8000, 8000, 64000, 0, 0},
    {VC_CODEC_L16, 8000, 8000, 128000, 0, 0},       {VC_CODEC_L16, 16000, 16000, 256000, 0, 0},
    {VC_CODEC_G722, 16000, 8000, 64000, 0, 0},      {VC_CODEC_OPUS, 16000, 48000, 19000, 0, 0},
    {VC_CODEC_OPUS, 8000, 48000, 11000, 0, 0},      {VC_CODEC_OPUS, 16000, 48000, 32000, 32000, 20},
    {VC_CODEC_OPUS, 8000, 48000, 24000, 24000, 10},
};
enum { KINDS = sizeof kinds / sizeof *kinds, FIRST_OPUS = 5 };

static int kind_count = KINDS; /* without libopus: FIRST_OPUS */
static vc_silero_model *models[2];
static vc_event events[MAX_EVENTS];
static int event_count;
static int16_t voice[MAX_FRAME * FRAMES];

static void keep(void *context, const vc_event *event)
{
    (void)context;
    VC_NEED(event_count < MAX_EVENTS);
    events[event_count++] = *event;
}

/* Harmonics of a pitch that glides, in syllables. */
static void make_voice(void)
{
    uint32_t phase = 0;
    for (int i = 0; i < MAX_FRAME * FRAMES; i++) {
        phase += (uint32_t)(0x01a00000 + i % 4000 * 2000);
        voice[i] = (int16_t)(((int)(phase >> 16) - 32768) / (i % 3200 < 2600 ? 4 : 160));
    }
}

static vc_call_codec_config codec_settings(int kind)
{
    vc_call_codec_config config = vc_call_codec_config_default();
    config.codec = kinds[kind].codec;
    config.rate_hz = kinds[kind].rate_hz;
    config.bitrate_bps = kinds[kind].opus_bitrate_bps;
    config.packet_loss_percent = kinds[kind].loss_percent;
    return config;
}

static vc_call_config settings(int kind)
{
    vc_call_config config = vc_call_config_default();
    config.codec = kinds[kind].codec;
    config.rate_hz = kinds[kind].rate_hz;
    config.opus_bitrate_bps = kinds[kind].opus_bitrate_bps;
    config.opus_packet_loss_percent = kinds[kind].loss_percent;
    config.play_hz = config.rate_hz;
    config.payload_type = PT;
    config.dtmf_payload_type = DTMF_PT;
    config.ssrc = 0xabcd;
    config.first_sequence = 0xffff;
    config.first_timestamp = 0xffffff60u;
    config.fade_ms = 0;
    config.model = models[config.rate_hz == 16000];
    config.sink.post = keep;
    return config;
}

static vc_call *create(const vc_call_config *config)
{
    vc_call *call = NULL;
    event_count = 0;
    VC_NEED(vc_call_create(&call, config) == VC_OK);
    return call;
}

static uint64_t stat(const vc_call *call, vc_call_stat which)
{
    uint64_t stats[VC_STAT_COUNT];
    vc_call_get_stats(call, stats);
    return stats[which];
}

static void judge(vc_call *call, int64_t now_ns)
{
    vc_silero *vad;
    const float *window;
    while (vc_call_window(call, &vad, &window)) vc_call_judge(call, 0.0f, now_ns);
    event_count = 0;
}

static size_t tick(vc_call *call, int64_t now_ns, uint8_t *bytes, vc_rtp_packet *packet)
{
    size_t n = VC_CALL_MAX_PACKET_BYTES;
    VC_CHECK_OK(vc_call_tick(call, now_ns, bytes, &n));
    VC_NEED(vc_rtp_parse(bytes, n, packet) == VC_OK);
    return n;
}

/* The decoders, by themselves. */
typedef struct other_side {
    vc_codec codec;
    size_t frame;
    const vc_g711 *g711;
    vc_g722 *g722;
    vc_opus_decoder *opus;
} other_side;

static other_side make_side(int kind)
{
    other_side side = {.codec = kinds[kind].codec, .frame = (size_t)kinds[kind].rate_hz / 50};
    VC_NEED(vc_g711_get(VC_CPU_AUTO, &side.g711) == VC_OK);
    VC_NEED(vc_g722_create(&side.g722, NULL) == VC_OK);
    if (side.codec == VC_CODEC_OPUS)
        VC_NEED(vc_opus_decoder_create(&side.opus, kinds[kind].rate_hz, NULL, NULL) == VC_OK);
    return side;
}

static void decode_side(other_side *side, const uint8_t *payload, size_t n_bytes, int16_t *out)
{
    size_t room = side->frame;
    switch (side->codec) {
    case VC_CODEC_PCMU: side->g711->ulaw_decode(payload, out, n_bytes); break;
    case VC_CODEC_PCMA: side->g711->alaw_decode(payload, out, n_bytes); break;
    case VC_CODEC_G722: vc_g722_decode(side->g722, payload, n_bytes, out); break;
    case VC_CODEC_OPUS:
        VC_CHECK_OK(vc_opus_decode(side->opus, payload, n_bytes, out, &room));
        break;
    default: vc_l16_decode(payload, out, n_bytes / 2); break;
    }
}

static void release_side(other_side *side)
{
    vc_g722_destroy(side->g722);
    vc_opus_decoder_destroy(side->opus);
}

VC_TEST(numbers_of_the_stream)
{
    for (int k = 0; k < kind_count; k++) {
        vc_call_codec_config config = codec_settings(k);
        vc_call_codec codec;
        VC_NEED(vc_call_codec_init(&codec, &config) == VC_OK);
        VC_CHECK_EQ(vc_call_codec_clock_hz(&codec), kinds[k].clock_hz);
        VC_CHECK_EQ(vc_call_codec_bitrate_bps(&codec), kinds[k].bitrate_bps);
        vc_call_codec_release(&codec);
    }
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_PCMU, 16000), VC_E_RATE);
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_PCMA, 16000), VC_E_RATE);
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_G722, 8000), VC_E_RATE);
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_OPUS, 48000), VC_E_RATE);
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_L16, 24000), VC_E_RATE);
    VC_CHECK_EQ(vc_call_codec_check(VC_CODEC_CN, 8000), VC_E_RANGE);
    VC_CHECK_EQ(vc_call_codec_check((vc_codec)-1, 8000), VC_E_RANGE);
}

/* Payloads and reference; this one is what a decoder makes of the payload. */
VC_TEST(reset_is_a_new_one)
{
    static uint8_t first[FRAMES][VC_CALL_MAX_PAYLOAD_BYTES];
    static int16_t heard[FRAMES][MAX_FRAME];
    for (int k = 0; k < kind_count; k++) {
        vc_call_codec_config config = codec_settings(k);
        vc_call_codec codec;
        config.reference = 1;
        VC_NEED(vc_call_codec_init(&codec, &config) == VC_OK);
        size_t frame = (size_t)config.rate_hz / 50, sizes[FRAMES];
        other_side side = make_side(k);
        for (size_t i = 0; i < FRAMES; i++) {
            int16_t decoded[MAX_FRAME];
            const int16_t *said = voice + i * frame;
            VC_CHECK_OK(vc_call_codec_encode(&codec, said, first[i], &sizes[i]));
            VC_CHECK_OK(vc_call_codec_reference(&codec, said, first[i], sizes[i], heard[i]));
            decode_side(&side, first[i], sizes[i], decoded);
            VC_CHECK(memcmp(heard[i], decoded, frame * sizeof *decoded) == 0);
        }
        VC_CHECK_OK(vc_call_codec_reset(&codec));
        for (size_t i = 0; i < FRAMES; i++) {
            uint8_t again[VC_CALL_MAX_PAYLOAD_BYTES];
            int16_t twice[MAX_FRAME];
            size_t n;
            VC_CHECK_OK(vc_call_codec_encode(&codec, voice + i * frame, again, &n));
            VC_CHECK(n == sizes[i] && memcmp(again, first[i], n) == 0);
            VC_CHECK_OK(vc_call_codec_reference(&codec, voice + i * frame, again, n, twice));
            VC_CHECK(memcmp(twice, heard[i], frame * sizeof *twice) == 0);
        }
        vc_call_codec_release(&codec);
        /* Not asked for: the samples themselves. */
        config.reference = 0;
        VC_NEED(vc_call_codec_init(&codec, &config) == VC_OK);
        VC_CHECK_EQ(vc_call_codec_reference(&codec, voice, first[0], sizes[0], heard[0]),
                    VC_E_STATE);
        VC_CHECK(memcmp(heard[0], voice, frame * sizeof *voice) == 0);
        vc_call_codec_release(&codec);
        release_side(&side);
    }
}

/* What the receiver reads is decode(encode(what was played)) by the units, bit for bit; sequence
 * numbers step by 1 and timestamps by 20 ms of the RTP clock. */
VC_TEST(audio_is_that_of_the_units_alone)
{
    for (int k = 0; k < kind_count; k++) {
        vc_call_config config = settings(k);
        vc_call *sender = create(&config), *receiver = create(&config);
        vc_call_codec_config alone = codec_settings(k);
        vc_call_codec codec;
        other_side side = make_side(k);
        VC_NEED(vc_call_codec_init(&codec, &alone) == VC_OK);
        size_t frame = (size_t)config.rate_hz / 50, queued = FRAMES * frame;
        VC_CHECK_OK(vc_playout_push(vc_call_playout(sender), voice, &queued));
        for (size_t i = 0; i < FRAMES; i++) {
            uint8_t bytes[VC_CALL_MAX_PACKET_BYTES], payload[VC_CALL_MAX_PAYLOAD_BYTES];
            int16_t expected[MAX_FRAME], got[MAX_FRAME];
            vc_rtp_packet packet;
            int64_t now_ns = (int64_t)(i + 1) * 20 * MS, first;
            size_t n = tick(sender, now_ns, bytes, &packet), size, room = frame;
            VC_CHECK_OK(vc_call_codec_encode(&codec, voice + i * frame, payload, &size));
            VC_CHECK(packet.payload_bytes == size && memcmp(packet.payload, payload, size) == 0);
            VC_CHECK_EQ(packet.payload_type, PT);
            VC_CHECK_EQ(packet.marker, i == 0);
            VC_CHECK_EQ(packet.sequence, (uint16_t)(0xffff + i));
            VC_CHECK_EQ(packet.timestamp,
                        0xffffff60u + (uint32_t)i * (uint32_t)(kinds[k].clock_hz / 50));
            decode_side(&side, payload, size, expected);
            VC_CHECK_OK(vc_call_receive(receiver, bytes, n, now_ns));
            room = frame;
            VC_CHECK_OK(vc_call_read(receiver, got, &room, &first));
            VC_CHECK(room == frame && first == (int64_t)(i * frame));
            VC_CHECK(memcmp(got, expected, frame * sizeof *got) == 0);
            judge(receiver, now_ns);
        }
        uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
        vc_rtp_packet packet;
        (void)tick(receiver, FRAMES * 20 * MS, bytes, &packet);
        VC_CHECK_EQ(stat(receiver, VC_STAT_JITTER_US), 0); /* the clock is right */
        VC_CHECK_EQ(stat(receiver, VC_STAT_PACKETS_DECODED), FRAMES);
        release_side(&side);
        vc_call_codec_release(&codec);
        vc_call_destroy(sender);
        vc_call_destroy(receiver);
    }
}

/* 100 ms are 100 ms of the audio's RTP clock (RFC 4733 2.1); the audio goes on where it is then. */
VC_TEST(key_presses_have_the_clock_of_the_audio)
{
    for (int k = 0; k < kind_count; k++) {
        vc_call_config config = settings(k);
        vc_call *call = create(&config);
        VC_CHECK_OK(vc_call_send_dtmf(call, '5', 100));
        uint32_t step = (uint32_t)kinds[k].clock_hz / 50, longest = 0;
        int presses = 0;
        for (uint32_t i = 0; i < 20; i++) {
            uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
            vc_rtp_packet packet;
            (void)tick(call, (int64_t)(i + 1) * 20 * MS, bytes, &packet);
            uint32_t begun = packet.timestamp - 0xffffff60u;
            if (packet.payload_type == PT) {
                VC_CHECK_EQ(begun, i * step);
                continue;
            }
            vc_dtmf_event event;
            VC_CHECK_OK(vc_dtmf_parse(packet.payload, packet.payload_bytes, &event));
            VC_CHECK_EQ(event.event, 5);
            VC_CHECK_EQ(begun, 0);
            if (event.duration_samples > longest) longest = event.duration_samples;
            presses++;
        }
        VC_CHECK_EQ(longest, 5 * step);
        VC_CHECK(presses >= 5 && presses <= 8);
        vc_call_destroy(call);
    }
}

/* Every tenth packet is lost. Each loss is concealed with one packet's samples; with FEC on libopus
 * sends the one before along with nearly all, and with FEC off with none. */
VC_TEST(losses_are_concealed_or_recovered)
{
    for (int k = 0; k < kind_count; k++) {
        if (kinds[k].codec != VC_CODEC_G722 && kinds[k].codec != VC_CODEC_OPUS) continue;
        vc_call_config config = settings(k);
        vc_call *sender = create(&config), *receiver = create(&config);
        size_t frame = (size_t)config.rate_hz / 50, queued = FRAMES * frame;
        VC_CHECK_OK(vc_playout_push(vc_call_playout(sender), voice, &queued));
        uint64_t lost = 0;
        for (int i = 0; i < FRAMES; i++) {
            uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
            vc_rtp_packet packet;
            int64_t now_ns = (i + 1) * 20 * MS;
            size_t n = tick(sender, now_ns, bytes, &packet);
            if (i % 10 == 5)
                lost++;
            else
                (void)vc_call_receive(receiver, bytes, n, now_ns);
            vc_call_expire(receiver, now_ns);
            judge(receiver, now_ns);
            (void)tick(receiver, now_ns, bytes, &packet);
        }
        VC_CHECK_EQ(lost, 10);
        VC_CHECK_EQ(stat(receiver, VC_STAT_LOST), lost);
        VC_CHECK_EQ(stat(receiver, VC_STAT_PACKETS_DECODED), FRAMES - lost);
        VC_CHECK_EQ(stat(receiver, VC_STAT_CONCEALED_SAMPLES), lost * frame);
        VC_CHECK_EQ(stat(receiver, VC_STAT_RECEIVED_SAMPLES), FRAMES * frame);
        uint64_t recovered = stat(receiver, VC_STAT_RECOVERED);
        if (kinds[k].loss_percent > 0)
            VC_CHECK(recovered >= lost - 2 && recovered <= lost);
        else
            VC_CHECK_EQ(recovered, 0);
        vc_call_destroy(sender);
        vc_call_destroy(receiver);
    }
}

/* 4000 datagrams of seed 1: good packets, random payloads of 0 to 1900 bytes, cut ones, strangers.
 * A payload that the codec cannot have teaches no address. */
VC_TEST(every_datagram_is_in_one_counter)
{
    static const vc_call_stat parts[] = {
        VC_STAT_PACKETS_MALFORMED, VC_STAT_PACKETS_UNKNOWN, VC_STAT_PACKETS_STRANGE,
        VC_STAT_PACKETS_UNPROVEN,  VC_STAT_PACKETS_SILENT,  VC_STAT_PACKETS_DECODED,
        VC_STAT_PACKETS_HELD,      VC_STAT_DUPLICATE,       VC_STAT_LATE,
        VC_STAT_PACKETS_DISCARDED};
    vc_address caller = {.family = 4, .port = 4000}, stranger = {.family = 4, .port = 4001};
    for (int k = 0; k < kind_count; k++) {
        vc_call_config config = settings(k);
        config.guard.learn = 1;
        vc_call *sender = create(&config), *receiver = create(&config);
        uint32_t seed = 1;
        uint8_t junk[2000] = {0x80, PT};
        if (kinds[k].codec == VC_CODEC_OPUS) junk[12] = 3; /* of no frame */
        size_t junk_bytes = kinds[k].codec == VC_CODEC_OPUS ? 14 : 1995;
        VC_CHECK_EQ(vc_call_receive_from(receiver, &stranger, junk, junk_bytes, 0), VC_IGNORED);
        if (kinds[k].codec == VC_CODEC_OPUS) {
            /* One frame and 1524 bytes of padding: valid, but longer than an Ethernet's packet. */
            memset(junk + 12, 0, sizeof junk - 12);
            junk[12] = 11, junk[13] = 0x41;
            memset(junk + 14, 255, 6);
            VC_CHECK_EQ(vc_call_receive_from(receiver, &stranger, junk, 1600, 0), VC_IGNORED);
            VC_CHECK_EQ(stat(receiver, VC_STAT_PACKETS_MALFORMED), 2);
        }
        VC_CHECK_EQ(stat(receiver, VC_STAT_SOURCES), 0);
        for (int i = 0; i < 4000; i++) {
            uint8_t bytes[2048];
            vc_rtp_packet packet;
            int64_t now_ns = (i + 1) * 20 * MS;
            size_t n = tick(sender, now_ns, bytes, &packet);
            uint32_t what = vc_test_random(&seed) % 8;
            if (i > 0 && what < 2) {
                n = 12 + vc_test_random(&seed) % (what ? 1900 : 300);
                for (size_t b = 12; b < n; b++) bytes[b] = (uint8_t)vc_test_random(&seed);
            }
            if (what == 2) n = 12 + (n - 12) / 2;
            const vc_address *from = i > 0 && what == 3 ? &stranger : &caller;
            (void)vc_call_receive_from(receiver, from, bytes, n, now_ns);
            vc_call_expire(receiver, now_ns);
            judge(receiver, now_ns);
            (void)tick(receiver, now_ns, bytes, &packet);
            event_count = 0;
            uint64_t sum = 0;
            for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
                sum += stat(receiver, parts[p]);
            VC_NEED(sum == stat(receiver, VC_STAT_PACKETS_RECEIVED));
        }
        VC_CHECK(stat(receiver, VC_STAT_PACKETS_DECODED) > 1500);
        VC_CHECK(stat(receiver, VC_STAT_PACKETS_MALFORMED) > 100);
        VC_CHECK(stat(receiver, VC_STAT_PACKETS_STRANGE) > 100);
        vc_call_destroy(sender);
        vc_call_destroy(receiver);
    }
}

/* Every allocation fails once, and running a call allocates nothing. */
VC_TEST(failed_allocations_leave_nothing)
{
    for (int k = 0; k < kind_count; k++) {
        vc_test_heap heap = {0, 0, 0};
        vc_allocator allocator = vc_test_allocator(&heap);
        vc_call_config config = settings(k);
        config.allocator = &allocator;
        config.echo = 1;
        vc_call *call;
        for (heap.fail_at = 0;; heap.fail_at++) {
            heap.total = 0;
            vc_status status = vc_call_create(&call, &config);
            if (status == VC_OK) break;
            VC_CHECK_EQ(status, VC_E_MEMORY);
            VC_CHECK(call == NULL);
            VC_CHECK_EQ(heap.live, 0);
        }
        int with_state = kinds[k].codec == VC_CODEC_G722 || kinds[k].codec == VC_CODEC_OPUS;
        VC_CHECK(heap.fail_at > 12 + 2 * with_state);
        long before = heap.total;
        for (int i = 0; i < 200; i++) {
            uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
            vc_rtp_packet packet;
            int64_t now_ns = (i + 1) * 20 * MS;
            size_t n = tick(call, now_ns, bytes, &packet);
            if (i % 10) (void)vc_call_receive(call, bytes, n, now_ns);
            judge(call, now_ns);
        }
        VC_CHECK_EQ(heap.total, before);
        vc_call_destroy(call);
        VC_CHECK_EQ(heap.live, 0);
    }
}

VC_TEST(bad_settings)
{
    vc_call *call;
    vc_call_config config = settings(4);
    config.rate_hz = 8000;
    config.model = models[0];
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RATE);
    config.pushed = 1; /* no packets, so no codec */
    VC_CHECK_OK(vc_call_create(&call, &config));
    vc_call_destroy(call);
    config.codec = VC_CODEC_RED;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RANGE);
    /* Pushed media needs no libopus; RTP does, and leaves nothing behind. */
    vc_test_heap heap = {0, 0, -1};
    vc_allocator allocator = vc_test_allocator(&heap);
    config = settings(FIRST_OPUS);
    config.allocator = &allocator;
    config.opus_library = "libopus-of-nobody.so";
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_MISSING);
    VC_CHECK(call == NULL);
    VC_CHECK_EQ(heap.live, 0);
    config.pushed = 1;
    VC_CHECK_OK(vc_call_create(&call, &config));
    vc_call_destroy(call);
    VC_CHECK_EQ(heap.live, 0);
    if (kind_count < KINDS) return;
    config = settings(FIRST_OPUS);
    config.opus_complexity = 11;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RANGE);
    config = settings(FIRST_OPUS);
    config.opus_packet_loss_percent = 101;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RANGE);
    config = settings(FIRST_OPUS);
    config.opus_bitrate_bps = 5999;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RANGE);
}

int main(void)
{
    char version[64];
    models[0] = vc_test_model(8000);
    models[1] = vc_test_model(16000);
    make_voice();
    if (vc_opus_version(NULL, version, sizeof version) != VC_OK) {
        printf("  libopus is not here (Debian: libopus0): Opus is not tested\n");
        VC_CHECK(getenv("CI") == NULL);
        kind_count = FIRST_OPUS;
    }
    VC_RUN(numbers_of_the_stream)
    VC_RUN(reset_is_a_new_one)
    VC_RUN(audio_is_that_of_the_units_alone)
    VC_RUN(key_presses_have_the_clock_of_the_audio)
    VC_RUN(losses_are_concealed_or_recovered)
    VC_RUN(every_datagram_is_in_one_counter)
    VC_RUN(failed_allocations_leave_nothing)
    VC_RUN(bad_settings)
    vc_silero_model_destroy(models[0]);
    vc_silero_model_destroy(models[1]);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
