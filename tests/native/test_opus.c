/* vc_opus: packets there and back, FEC, concealment, arguments, memory; what RFC 6716 says of a
 * packet's first byte is the oracle for settings. Where libopus is not installed only its absence
 * is tested; where it is expected (CI is set) that is a failure. */
#include "codec/vc_opus.h"

#include <string.h>

#include "vc_test.h"

#define RATE_HZ 16000
#define FRAME   320
#define FRAMES  50

static int16_t signal[FRAME * FRAMES];

/* Harmonics of a pitch that glides, in syllables: enough like speech for the speech mode. */
static void make_signal(void)
{
    uint32_t phase = 0;
    for (int i = 0; i < FRAME * FRAMES; i++) {
        phase += (uint32_t)(0x01a00000 + (i % 4000) * 2000); /* 100 to 130 Hz */
        int saw = (int)(phase >> 16) - 32768;
        int loud = i % 3200 < 2600 ? 1 : 40;
        signal[i] = (int16_t)(saw / 4 / loud);
    }
}

static vc_opus_encoder *new_encoder(int fec)
{
    vc_opus_encoder_config config = vc_opus_encoder_config_default();
    config.bitrate_bps = 24000;
    config.fec = fec;
    config.packet_loss_percent = fec ? 20 : 0;
    vc_opus_encoder *encoder;
    VC_NEED(vc_opus_encoder_create(&encoder, &config) == VC_OK);
    return encoder;
}

static vc_opus_decoder *new_decoder(void)
{
    vc_opus_decoder *decoder;
    VC_NEED(vc_opus_decoder_create(&decoder, RATE_HZ, NULL, NULL) == VC_OK);
    return decoder;
}

typedef struct packets {
    uint8_t bytes[FRAMES][VC_OPUS_MAX_PACKET_BYTES];
    size_t size[FRAMES];
} packets;

static packets plain, protected_by_fec, again;

static void encode_all(vc_opus_encoder *encoder, packets *to)
{
    for (int i = 0; i < FRAMES; i++) {
        to->size[i] = sizeof to->bytes[i];
        VC_CHECK_OK(vc_opus_encode(encoder, signal + i * FRAME, FRAME, to->bytes[i], &to->size[i]));
        VC_CHECK(to->size[i] > 2);
    }
}

static int64_t energy(const int16_t *x, const int16_t *y, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int64_t)(x[i] - y[i]) * (x[i] - y[i]);
    return sum;
}

VC_TEST(there_and_back)
{
    static int16_t back[FRAME * FRAMES], second[FRAME * FRAMES], silence[FRAME * FRAMES];
    vc_opus_encoder *encoder = new_encoder(0);
    vc_opus_decoder *decoder = new_decoder();
    encode_all(encoder, &plain);
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < FRAMES; i++) {
            size_t samples = 0, n = FRAME;
            int16_t *out = (turn ? second : back) + i * FRAME;
            VC_CHECK_OK(vc_opus_packet_samples(decoder, plain.bytes[i], plain.size[i], &samples));
            VC_CHECK_EQ(samples, FRAME);
            VC_CHECK_OK(vc_opus_decode(decoder, plain.bytes[i], plain.size[i], out, &n));
            VC_CHECK_EQ(n, FRAME);
        }
        VC_CHECK_OK(vc_opus_decoder_reset(decoder));
    }
    /* Reset is as new. */
    VC_CHECK(memcmp(back, second, sizeof back) == 0);
    VC_CHECK_OK(vc_opus_encoder_reset(encoder));
    encode_all(encoder, &again);
    VC_CHECK(memcmp(&plain, &again, sizeof plain) == 0);
    /* At the stated delay the audio is alike: its correlation is 0.7 or more (the voice mode's
     * high-pass turns phases, so it is not higher). */
    int delay = vc_opus_encoder_delay_samples(encoder);
    VC_CHECK(delay > 0 && delay < FRAME);
    size_t n = (size_t)(FRAME * FRAMES - delay);
    double product = 0;
    for (size_t i = 0; i < n; i++) product += (double)back[(size_t)delay + i] * signal[i];
    double in = (double)energy(signal, silence, n);
    double out = (double)energy(back + delay, silence, n);
    VC_CHECK(product > 0 && product * product > 0.49 * in * out);
    vc_opus_encoder_destroy(encoder);
    vc_opus_decoder_destroy(decoder);
}

/* Every fifth packet is lost: what the next one carries is nearer to the truth than concealment. */
VC_TEST(fec_recovers_more_than_concealment)
{
    int64_t error[2] = {0, 0};
    vc_opus_encoder *encoder = new_encoder(1);
    encode_all(encoder, &protected_by_fec);
    for (int fec = 0; fec < 2; fec++) {
        vc_opus_decoder *whole = new_decoder(), *lossy = new_decoder();
        for (int i = 0; i < FRAMES; i++) {
            const packets *p = &protected_by_fec;
            int16_t truth[FRAME], out[FRAME];
            size_t n = FRAME;
            VC_CHECK_OK(vc_opus_decode(whole, p->bytes[i], p->size[i], truth, &n));
            n = FRAME;
            if (i % 5 != 4 || i + 1 == FRAMES) {
                VC_CHECK_OK(vc_opus_decode(lossy, p->bytes[i], p->size[i], out, &n));
                continue;
            }
            if (fec)
                VC_CHECK_OK(vc_opus_decode_fec(lossy, p->bytes[i + 1], p->size[i + 1], out, FRAME));
            else
                VC_CHECK_OK(vc_opus_conceal(lossy, out, FRAME));
            error[fec] += energy(out, truth, FRAME);
        }
        vc_opus_decoder_destroy(whole);
        vc_opus_decoder_destroy(lossy);
    }
    VC_CHECK(error[1] > 0);
    VC_CHECK(error[1] < error[0]);
    vc_opus_encoder_destroy(encoder);
}

/* Oracle: however frames are packed (RFC 6716 3.2), the first one is the same and says the same;
 * test_call_codecs.py has libopus' own word for packets of one frame. */
VC_TEST(fec_is_seen_in_every_kind_of_packet)
{
    int with = 0, without = 0;
    for (int i = 0; i < FRAMES; i++) {
        const uint8_t *p = protected_by_fec.bytes[i], *frame = p + 1;
        size_t n = protected_by_fec.size[i] - 1, room = FRAME * 6;
        static int16_t out[FRAME * 6];
        static uint8_t packed[2 * VC_OPUS_MAX_PACKET_BYTES + 600];
        VC_NEED((p[0] & 3) == 0 && n > 0 && n < 252);
        int carried = vc_opus_packet_has_fec(p, n + 1);
        with += carried;
        without += !carried;
        VC_CHECK_EQ(vc_opus_packet_has_fec(plain.bytes[i], plain.size[i]), 0);
        VC_CHECK_EQ(vc_opus_packet_has_fec(p, 1), 0);
        /* Two frames of one length; of two; n of one length, of any, and with 300 bytes more. */
        static const struct {
            uint8_t head[6], bytes, lengths;
        } kinds[] = {{{1}, 1, 0},
                     {{2, 0}, 2, 1},
                     {{3, 2}, 2, 0},
                     {{3, 0x82, 0}, 3, 2},
                     {{3, 0x42, 255, 46}, 4, 0},
                     {{3, 0xc2, 255, 46, 0}, 5, 4}};
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            vc_opus_decoder *decoder = new_decoder();
            size_t at = kinds[k].bytes, samples = room;
            memset(packed, 0, sizeof packed);
            memcpy(packed, kinds[k].head, at);
            packed[0] |= p[0] & 0xfc;
            if (kinds[k].lengths) packed[kinds[k].lengths] = (uint8_t)n;
            memcpy(packed + at, frame, n);
            memcpy(packed + at + n, frame, n);
            at += 2 * n + (k >= 4 ? 254 + 46 : 0);
            VC_CHECK_OK(
                vc_opus_decode(decoder, packed, at, out, &samples)); /* it is packed right */
            VC_CHECK_EQ(samples, 2 * FRAME);
            VC_CHECK_EQ(vc_opus_packet_has_fec(packed, at), carried);
            for (size_t cut = 0; cut < at; cut++) (void)vc_opus_packet_has_fec(packed, cut);
            vc_opus_decoder_destroy(decoder);
        }
    }
    VC_CHECK(with > 20 && without > 0);
}

VC_TEST(garbage_is_refused_or_audio)
{
    static int16_t out[RATE_HZ * VC_OPUS_MAX_PACKET_MS / 1000];
    static const size_t room = sizeof out / sizeof *out;
    uint8_t packet[200];
    uint32_t seed = 6716;
    vc_opus_decoder *decoder = new_decoder();
    int refused = 0, audio = 0;
    for (int round = 0; round < 3000; round++) {
        size_t size = vc_test_random(&seed) % sizeof packet, n = room;
        for (size_t i = 0; i < size; i++) packet[i] = (uint8_t)vc_test_random(&seed);
        vc_status status = round % 2 ? vc_opus_decode(decoder, packet, size, out, &n)
                                     : vc_opus_decode_fec(decoder, packet, size, out, FRAME);
        VC_CHECK(status == VC_OK || status == VC_E_PACKET);
        if (status == VC_OK) audio++;
        if (status == VC_E_PACKET) refused++;
    }
    VC_CHECK(audio > 100);
    VC_CHECK(refused > 100);
    size_t n = room;
    VC_CHECK_EQ(vc_opus_decode(decoder, packet, 0, out, &n), VC_E_PACKET);
    VC_CHECK_EQ(vc_opus_decode(decoder, packet, 1000000, out, &n), VC_E_PACKET);
    n = room;
    VC_CHECK_OK(vc_opus_decode(decoder, plain.bytes[0], plain.size[0], out, &n));
    VC_CHECK_EQ(n, FRAME);
    n = FRAME - 1;
    VC_CHECK_EQ(vc_opus_decode(decoder, plain.bytes[1], plain.size[1], out, &n), VC_E_LENGTH);
    vc_opus_decoder_destroy(decoder);
}

VC_TEST(lengths)
{
    static int16_t out[RATE_HZ];
    uint8_t packet[VC_OPUS_MAX_PACKET_BYTES];
    vc_opus_encoder *encoder = new_encoder(0);
    vc_opus_decoder *decoder = new_decoder();
    int good = 0;
    for (size_t n = 0; n <= 1000; n++) {
        size_t size = sizeof packet;
        good += vc_opus_encode(encoder, signal, n, packet, &size) == VC_OK;
    }
    VC_CHECK_EQ(good, 6);
    size_t size = 2;
    VC_CHECK_EQ(vc_opus_encode(encoder, signal, FRAME, packet, &size), VC_E_LENGTH);
    good = 0;
    for (size_t n = 0; n <= 2000; n++) good += vc_opus_conceal(decoder, out, n) == VC_OK;
    VC_CHECK_EQ(good, 48);
    VC_CHECK_EQ(vc_opus_decode_fec(decoder, plain.bytes[0], plain.size[0], out, 321), VC_E_LENGTH);
    vc_opus_encoder_destroy(encoder);
    vc_opus_decoder_destroy(decoder);
}

VC_TEST(bad_settings)
{
    static const int rates[] = {8000, 12000, 16000, 24000, 48000};
    vc_opus_encoder *encoder;
    vc_opus_decoder *decoder;
    for (int i = 0; i < 5; i++) {
        vc_opus_encoder_config config = vc_opus_encoder_config_default();
        config.rate_hz = rates[i];
        VC_CHECK_OK(vc_opus_encoder_create(&encoder, &config));
        vc_opus_encoder_destroy(encoder);
        VC_CHECK_OK(vc_opus_decoder_create(&decoder, rates[i], NULL, NULL));
        vc_opus_decoder_destroy(decoder);
    }
    VC_CHECK_EQ(vc_opus_decoder_create(&decoder, 44100, NULL, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_opus_decoder_create(NULL, 16000, NULL, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_opus_encoder_create(&encoder, NULL), VC_E_NULL);
    static const struct {
        size_t offset;
        int bad;
        vc_status status;
    } cases[] = {
        {offsetof(vc_opus_encoder_config, rate_hz), 11025, VC_E_RATE},
        {offsetof(vc_opus_encoder_config, bitrate_bps), 5999, VC_E_RANGE},
        {offsetof(vc_opus_encoder_config, bitrate_bps), 510001, VC_E_RANGE},
        {offsetof(vc_opus_encoder_config, complexity), 11, VC_E_RANGE},
        {offsetof(vc_opus_encoder_config, complexity), -2, VC_E_RANGE},
        {offsetof(vc_opus_encoder_config, packet_loss_percent), 101, VC_E_RANGE},
        {offsetof(vc_opus_encoder_config, packet_loss_percent), -1, VC_E_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vc_opus_encoder_config config = vc_opus_encoder_config_default();
        memcpy((unsigned char *)&config + cases[i].offset, &cases[i].bad, sizeof(int));
        VC_CHECK_EQ(vc_opus_encoder_create(&encoder, &config), cases[i].status);
        VC_CHECK(encoder == NULL);
    }
}

VC_TEST(memory_is_one_allocation)
{
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    vc_opus_encoder_config config = vc_opus_encoder_config_default();
    config.allocator = &allocator;
    vc_opus_encoder *encoder;
    vc_opus_decoder *decoder;
    VC_CHECK_EQ(vc_opus_encoder_create(&encoder, &config), VC_E_MEMORY);
    heap.fail_at = 1;
    VC_CHECK_EQ(vc_opus_decoder_create(&decoder, RATE_HZ, NULL, &allocator), VC_E_MEMORY);
    heap.fail_at = -1;
    VC_NEED(vc_opus_encoder_create(&encoder, &config) == VC_OK);
    VC_NEED(vc_opus_decoder_create(&decoder, RATE_HZ, NULL, &allocator) == VC_OK);
    VC_CHECK_EQ(heap.live, 2);
    vc_opus_encoder_destroy(encoder);
    vc_opus_decoder_destroy(decoder);
    VC_CHECK_EQ(heap.live, 0);
    vc_opus_encoder_destroy(NULL);
    vc_opus_decoder_destroy(NULL);
}

VC_TEST(absence_is_a_status)
{
    char version[64];
    vc_opus_encoder_config config = vc_opus_encoder_config_default();
    config.library = "libopus-of-nobody.so";
    vc_opus_encoder *encoder;
    vc_opus_decoder *decoder;
    VC_CHECK_EQ(vc_opus_encoder_create(&encoder, &config), VC_E_MISSING);
    VC_CHECK_EQ(vc_opus_decoder_create(&decoder, RATE_HZ, config.library, NULL), VC_E_MISSING);
    VC_CHECK_EQ(vc_opus_version(config.library, version, sizeof version), VC_E_MISSING);
    VC_CHECK_EQ(vc_opus_version(NULL, version, 0), VC_E_LENGTH);
}

int main(void)
{
    char version[64];
    make_signal();
    VC_RUN(absence_is_a_status)
    if (vc_opus_version(NULL, version, sizeof version) == VC_OK) {
        VC_CHECK(strstr(version, "opus") != NULL);
        VC_RUN(there_and_back)
        VC_RUN(fec_recovers_more_than_concealment)
        VC_RUN(fec_is_seen_in_every_kind_of_packet)
        VC_RUN(garbage_is_refused_or_audio)
        VC_RUN(lengths)
        VC_RUN(bad_settings)
        VC_RUN(memory_is_one_allocation)
    } else {
        printf("  libopus is not here (Debian: libopus0): only its absence is tested\n");
        VC_CHECK(getenv("CI") == NULL);
    }
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
