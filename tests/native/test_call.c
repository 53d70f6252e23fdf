/* vc_call: receive and send path without threads. Oracle: a ramp through L16, which loses nothing,
 * and packets built by vc_rtp. */
#include "engine/vc_call.h"

#include <string.h>

#include "net/vc_dtmf.h"
#include "vc_test_model.h"

enum { RATE = 8000, FRAME = RATE / 50, PT = 96, DTMF_PT = 101, MAX_EVENTS = 256 };
#define MS VC_NS_PER_MS

static vc_silero_model *model;
static vc_event events[MAX_EVENTS];
static int event_count;

static void keep(void *context, const vc_event *event)
{
    (void)context;
    VC_NEED(event_count < MAX_EVENTS);
    events[event_count++] = *event;
}

static vc_call_config settings(void)
{
    vc_call_config config = vc_call_config_default();
    config.number = 3;
    config.codec = VC_CODEC_L16;
    config.rate_hz = RATE;
    config.play_hz = RATE;
    config.payload_type = PT;
    config.dtmf_payload_type = DTMF_PT;
    config.ssrc = 0xabcd;
    config.first_sequence = 0xffff;
    config.first_timestamp = 0xffffff60u;
    config.record_sent = 1;
    config.model = model;
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

/* Packet number `index` of a ramp: sample i of the stream has the value i mod 30000. */
static size_t ramp_packet(int index, uint8_t *bytes)
{
    uint8_t payload[2 * FRAME];
    for (int i = 0; i < FRAME; i++) {
        int value = (index * FRAME + i) % 30000;
        payload[2 * i] = (uint8_t)(value >> 8);
        payload[2 * i + 1] = (uint8_t)value;
    }
    vc_rtp_packet packet = {.payload_type = PT,
                            .sequence = (uint16_t)(65530 + index),
                            .timestamp = (uint32_t)(4294967000u + (uint32_t)(index * FRAME)),
                            .ssrc = 1,
                            .payload = payload,
                            .payload_bytes = sizeof payload};
    size_t n = VC_CALL_MAX_PACKET_BYTES;
    VC_NEED(vc_rtp_build(&packet, bytes, &n) == VC_OK);
    return n;
}

static vc_status receive(vc_call *call, int index, int64_t now_ns)
{
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = ramp_packet(index, bytes);
    return vc_call_receive(call, bytes, n, now_ns);
}

static uint64_t stat(const vc_call *call, vc_call_stat which)
{
    uint64_t stats[VC_STAT_COUNT];
    vc_call_get_stats(call, stats);
    return stats[which];
}

static void tick(vc_call *call, int64_t now_ns, vc_rtp_packet *out)
{
    static uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = sizeof bytes;
    VC_CHECK_OK(vc_call_tick(call, now_ns, bytes, &n));
    if (out) VC_CHECK_OK(vc_rtp_parse(bytes, n, out));
}

VC_TEST(in_order_audio_is_readable_at_once)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    int16_t samples[4 * FRAME];
    int64_t first = -1;
    size_t n = 4 * FRAME;
    VC_CHECK_EQ(vc_call_read(call, samples, &n, &first), VC_NEED_MORE);
    for (int i = 0; i < 3; i++) VC_CHECK_EQ(receive(call, i, (100 + 20 * i) * MS), VC_OK);
    VC_CHECK(vc_call_readable(call) >= 3 * FRAME);
    int expected = 0, wrong = 0;
    size_t sizes[] = {1, 100, FRAME, 4 * FRAME};
    for (size_t s = 0; s < 4; s++) {
        n = sizes[s];
        if (vc_call_read(call, samples, &n, &first) != VC_OK) break;
        VC_CHECK_EQ(first, expected);
        for (size_t i = 0; i < n; i++) wrong += samples[i] != expected++;
    }
    VC_CHECK_EQ(expected, 3 * FRAME);
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_EQ(vc_call_received_start_ns(call), 100 * MS);
    vc_call_destroy(call);
}

VC_TEST(the_least_late_packet_says_when_the_call_began)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    for (int i = 0; i < 5; i++) {
        int late_ms = i == 3 ? 0 : 7;
        (void)receive(call, i, (100 + 20 * i + late_ms) * MS);
        tick(call, (200 + 20 * i + late_ms) * MS, NULL);
    }
    VC_CHECK_EQ(vc_call_received_start_ns(call), 100 * MS);
    VC_CHECK_EQ(vc_call_sent_start_ns(call), 200 * MS);
    vc_call_destroy(call);
}

VC_TEST(timestamps_that_jump_ahead_do_not_move_when_the_call_began)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    (void)receive(call, 2, 100 * MS);
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = ramp_packet(3, bytes);
    bytes[6] = (uint8_t)(bytes[6] + 0x40); /* 16384 samples, two seconds */
    VC_CHECK_OK(vc_call_receive(call, bytes, n, 120 * MS));
    VC_CHECK_EQ(stat(call, VC_STAT_RECEIVED_SAMPLES), 2 * 160 + 16384);
    VC_CHECK_EQ(vc_call_received_start_ns(call), 100 * MS);
    vc_call_destroy(call);
}

VC_TEST(a_month_of_samples_has_its_time)
{
    int64_t month_s = 31LL * 86400;
    VC_CHECK_EQ(vc_samples_to_ns(month_s * 16000 + 8, 16000), month_s * VC_NS_PER_S + 500000);
    VC_CHECK_EQ(vc_samples_to_ns(-(month_s * 16000 + 8), 16000), -month_s * VC_NS_PER_S - 500000);
    VC_CHECK_EQ(vc_samples_to_ns(1, 48000), 20833);
}

VC_TEST(a_lost_packet_is_concealed_when_it_is_due)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    (void)receive(call, 0, 0);
    (void)receive(call, 2, 40 * MS);
    vc_call_expire(call, (40 + config.loss_wait_ms - 1) * MS);
    VC_CHECK_EQ(stat(call, VC_STAT_RECEIVED_SAMPLES), FRAME);
    vc_call_expire(call, (40 + config.loss_wait_ms) * MS);
    tick(call, 120 * MS, NULL);
    VC_CHECK_EQ(stat(call, VC_STAT_RECEIVED_SAMPLES), 3 * FRAME);
    VC_CHECK_EQ(stat(call, VC_STAT_CONCEALED_SAMPLES), FRAME);
    VC_CHECK_EQ(stat(call, VC_STAT_LOST), 1);
    VC_CHECK_EQ(receive(call, 1, 130 * MS), VC_LATE);
    vc_call_destroy(call);
}

VC_TEST(what_is_not_audio_is_counted)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = ramp_packet(0, bytes);
    VC_CHECK_EQ(vc_call_receive(call, bytes, 5, 0), VC_IGNORED);
    VC_CHECK_EQ(vc_call_receive(call, bytes, n - 1, 0), VC_IGNORED); /* half a sample */
    bytes[1] = 50;
    VC_CHECK_EQ(vc_call_receive(call, bytes, n, 0), VC_IGNORED);
    tick(call, 0, NULL);
    VC_CHECK_EQ(stat(call, VC_STAT_PACKETS_RECEIVED), 3);
    VC_CHECK_EQ(stat(call, VC_STAT_PACKETS_MALFORMED), 2);
    VC_CHECK_EQ(stat(call, VC_STAT_PACKETS_UNKNOWN), 1);
    vc_call_destroy(call);
}

VC_TEST(sends_a_packet_every_tick)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    int16_t ramp[FRAME];
    for (int i = 0; i < FRAME; i++) ramp[i] = (int16_t)(i - 80);
    vc_rtp_packet packet;
    for (int t = 0; t < 4; t++) {
        size_t n = FRAME;
        if (t == 2) VC_CHECK_OK(vc_playout_push(vc_call_playout(call), ramp, &n));
        tick(call, (500 + 20 * t) * MS, &packet);
        VC_CHECK_EQ(packet.sequence, (uint16_t)(0xffff + t));
        VC_CHECK_EQ(packet.timestamp, (uint32_t)(0xffffff60u + (uint32_t)(FRAME * t)));
        VC_CHECK_EQ(packet.ssrc, 0xabcd);
        VC_CHECK_EQ(packet.payload_type, PT);
        VC_CHECK_EQ(packet.marker, t == 0);
        VC_CHECK_EQ(packet.payload_bytes, 2 * FRAME);
        int wrong = 0;
        for (int i = 0; i < FRAME; i++) {
            int16_t got = (int16_t)(packet.payload[2 * i] << 8 | packet.payload[2 * i + 1]);
            wrong += got != (t == 2 ? ramp[i] : 0);
        }
        VC_CHECK_EQ(wrong, 0);
    }
    VC_CHECK_EQ(vc_call_sent_start_ns(call), 500 * MS);
    int16_t sent[5 * FRAME];
    size_t n = 5 * FRAME;
    int64_t first;
    VC_CHECK_OK(vc_call_read_sent(call, sent, &n, &first));
    VC_CHECK_EQ(n, 4 * FRAME);
    VC_CHECK_EQ(first, 0);
    VC_CHECK_EQ(memcmp(sent + 2 * FRAME, ramp, sizeof ramp), 0);
    vc_call_destroy(call);
}

/* Feeds silence until the next window is complete and judges it as told. */
static void judge_next(vc_call *call, int *packet_index, float probability)
{
    vc_silero *vad;
    const float *window;
    while (!vc_call_window(call, &vad, &window)) {
        (void)receive(call, *packet_index, *packet_index * 20 * MS);
        ++*packet_index;
    }
    vc_call_judge(call, probability, *packet_index * 20 * MS);
}

VC_TEST(the_gate_pauses_before_the_next_packet)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    int16_t loud[FRAME];
    for (int i = 0; i < FRAME; i++) loud[i] = 10000;
    for (int i = 0; i < 20; i++) {
        size_t n = FRAME;
        VC_CHECK_OK(vc_playout_push(vc_call_playout(call), loud, &n));
    }
    tick(call, 0, NULL);
    int index = 0;
    for (int w = 0; w < 3; w++) judge_next(call, &index, 0.9f);
    const vc_event *barge = &events[event_count - 1];
    VC_CHECK_EQ(events[event_count - 2].kind, VC_EVENT_SPEECH_STARTED);
    VC_CHECK_EQ(barge->kind, VC_EVENT_BARGED_IN);
    VC_CHECK_EQ(barge->a, 0);
    VC_CHECK_EQ(barge->b, 0);
    VC_CHECK_EQ(barge->c, FRAME);
    vc_rtp_packet packet;
    tick(call, 100 * MS, &packet);
    int16_t last = (int16_t)(packet.payload[2 * FRAME - 2] << 8 | packet.payload[2 * FRAME - 1]);
    int16_t start = (int16_t)(packet.payload[0] << 8 | packet.payload[1]);
    VC_CHECK_EQ(start, 10000);
    VC_CHECK_EQ(last, 0);
    VC_CHECK_EQ(vc_playout_play_position(vc_call_playout(call)), FRAME);
    /* The stop carries the arrival of its own sample: packet arrival plus offset. */
    for (int w = 0; w < 6; w++) judge_next(call, &index, 0.0f);
    const vc_event *stop = &events[event_count - 1];
    VC_CHECK_EQ(stop->kind, VC_EVENT_SPEECH_STOPPED);
    VC_CHECK_EQ(stop->a, 3 * 256);
    VC_CHECK_EQ(stop->b, (3 * 256 / FRAME) * 20 * MS + (3 * 256 % FRAME) * VC_NS_PER_S / RATE);
    vc_call_destroy(call);
}

VC_TEST(dtmf_both_ways)
{
    vc_call_config config = settings();
    vc_call *sender = create(&config), *receiver = create(&config);
    VC_CHECK_EQ(vc_call_send_dtmf(sender, 'x', 100), VC_E_RANGE);
    VC_CHECK_EQ(vc_call_send_dtmf(sender, '5', 39), VC_E_RANGE);
    VC_CHECK_OK(vc_call_send_dtmf(sender, '5', 100));
    VC_CHECK_OK(vc_call_send_dtmf(sender, '#', 100));
    for (int t = 0; t < 40; t++) {
        uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
        size_t n = sizeof bytes;
        VC_CHECK_OK(vc_call_tick(sender, t * 20 * MS, bytes, &n));
        (void)vc_call_receive(receiver, bytes, n, t * 20 * MS);
    }
    int digits = 0;
    for (int i = 0; i < event_count; i++)
        if (events[i].kind == VC_EVENT_DTMF_RECEIVED) {
            VC_CHECK_EQ(events[i].a, digits == 0 ? '5' : '#');
            digits++;
        }
    VC_CHECK_EQ(digits, 2);
    vc_call_destroy(sender);
    vc_call_destroy(receiver);
}

VC_TEST(a_key_press_in_mid_speech_is_no_loss)
{
    vc_call_config config = settings();
    vc_call *sender = create(&config), *receiver = create(&config);
    for (int t = 0; t < 60; t++) {
        uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
        size_t n = sizeof bytes;
        if (t == 20) VC_CHECK_OK(vc_call_send_dtmf(sender, '7', 200));
        VC_CHECK_OK(vc_call_tick(sender, t * 20 * MS, bytes, &n));
        (void)vc_call_receive(receiver, bytes, n, t * 20 * MS);
        vc_call_expire(receiver, t * 20 * MS);
    }
    tick(receiver, 60 * 20 * MS, NULL);
    VC_CHECK_EQ(stat(receiver, VC_STAT_LOST), 0);
    VC_CHECK_EQ(stat(receiver, VC_STAT_CONCEALED_SAMPLES), 0);
    /* The receive timeline goes on as the sender's timestamps say. */
    VC_CHECK_EQ(stat(receiver, VC_STAT_RECEIVED_SAMPLES), 60 * FRAME);
    vc_call_destroy(sender);
    vc_call_destroy(receiver);
}

VC_TEST(pushed_audio_needs_no_packets)
{
    vc_call_config config = settings();
    config.pushed = 1;
    vc_call *call = create(&config);
    int16_t ramp[3 * RATE];
    for (int i = 0; i < 3 * RATE; i++) ramp[i] = (int16_t)i;
    size_t n = 3 * RATE;
    VC_CHECK_EQ(vc_call_push(call, ramp, &n), VC_FULL);
    VC_CHECK(n >= RATE);
    vc_call_take_pushed(call, 77);
    static int16_t back[3 * RATE];
    size_t got = 3 * RATE;
    int64_t first;
    VC_CHECK_OK(vc_call_read(call, back, &got, &first));
    VC_CHECK_EQ(got, n);
    VC_CHECK_EQ(memcmp(back, ramp, n * sizeof(int16_t)), 0);
    VC_CHECK_EQ(vc_call_received_start_ns(call), 77);
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t room = sizeof bytes;
    VC_CHECK_OK(vc_call_tick(call, 100, bytes, &room));
    VC_CHECK_EQ(room, 0);
    vc_call_destroy(call);

    config.pushed = 0;
    call = create(&config);
    n = 1;
    VC_CHECK_EQ(vc_call_push(call, ramp, &n), VC_E_STATE);
    vc_call_destroy(call);
}

VC_TEST(silence_on_the_wire_is_reported_once)
{
    vc_call_config config = settings();
    config.rtp_timeout_ms = 100;
    vc_call *call = create(&config);
    for (int t = 1; t < 20; t++) tick(call, t * 20 * MS, NULL);
    int timeouts = 0;
    for (int i = 0; i < event_count; i++) timeouts += events[i].kind == VC_EVENT_RTP_TIMED_OUT;
    VC_CHECK_EQ(timeouts, 1);
    vc_call_destroy(call);
}

VC_TEST(an_absent_reader_sees_a_jump)
{
    vc_call_config config = settings();
    config.receive_buffer_ms = 100;
    vc_call *call = create(&config);
    for (int i = 0; i < 50; i++) (void)receive(call, i, i * 20 * MS);
    /* The oldest go: what comes late to the STT may be the end of a sentence. */
    uint64_t dropped = stat(call, VC_STAT_UNREAD_DROPPED_SAMPLES);
    VC_CHECK(dropped > 0);
    int16_t samples[50 * FRAME];
    size_t n = 50 * FRAME;
    int64_t first;
    VC_CHECK_OK(vc_call_read(call, samples, &n, &first));
    VC_CHECK_EQ(first, dropped);
    VC_CHECK(n >= RATE / 10);
    VC_CHECK_EQ(n + dropped, 50 * FRAME);
    VC_CHECK_EQ(samples[0], (int16_t)first);
    (void)receive(call, 50, 1000 * MS);
    n = 50 * FRAME;
    VC_CHECK_OK(vc_call_read(call, samples, &n, &first));
    VC_CHECK_EQ(first, 50 * FRAME);
    VC_CHECK_EQ(samples[0], 50 * FRAME);
    VC_CHECK_EQ(stat(call, VC_STAT_UNREAD_DROPPED_SAMPLES), dropped);
    vc_call_destroy(call);
}

VC_TEST(the_reader_is_told_when_enough_has_come)
{
    vc_call_config config = settings();
    config.min_speech_ms = 1000;
    vc_pcm_ring *ring;
    VC_NEED(vc_pcm_ring_create(&ring, RATE, NULL) == VC_OK);
    config.received = ring;
    vc_call *call = create(&config);
    VC_CHECK(vc_call_received(call) == ring);
    event_count = 0;
    vc_pcm_ring_want(ring, 5 * FRAME);
    for (int i = 0; i < 20; i++) {
        (void)receive(call, i, i * 20 * MS);
        VC_CHECK_EQ(event_count, i >= 4);
    }
    VC_CHECK_EQ(events[0].kind, VC_EVENT_AUDIO);
    /* A wish that a packet missed is seen by the next tick. */
    vc_pcm_ring_want(ring, 20 * FRAME);
    tick(call, 400 * MS, NULL);
    VC_CHECK_EQ(event_count, 2);
    tick(call, 420 * MS, NULL);
    VC_CHECK_EQ(event_count, 2);
    vc_call_destroy(call);
    /* The ring is the caller's and stays. */
    int16_t samples[20 * FRAME];
    VC_CHECK_OK(vc_pcm_ring_copy(ring, 0, samples, 20 * FRAME));
    VC_CHECK_EQ(samples[FRAME], FRAME);
    vc_pcm_ring_destroy(ring);
}

VC_TEST(the_media_port_allocates_nothing)
{
    vc_call_config config = settings();
    vc_test_heap heap = {0, 0, -1};
    vc_allocator allocator = vc_test_allocator(&heap);
    vc_srtp_config keys = {.suite = VC_SRTP_AES_CM_128_HMAC_SHA1_80};
    vc_srtp_library *library = NULL;
    config.rtcp = 1;
    config.allocator = &allocator;
    vc_call *call;
    config.srtp = &keys;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_NULL); /* keys without the library */
    /* Where libsrtp2 is not installed (test_srtp says so) the same without it. */
    if (vc_srtp_library_create(&library, NULL, NULL) != VC_OK) config.srtp = NULL;
    config.srtp_library = library;
    vc_call *sender = create(&config), *receiver = create(&config);
    vc_address from = {.family = 4, .bytes = {192, 0, 2, 1}, .port = 4}, stranger = from;
    stranger.port = 5;
    long before = heap.total;
    int taken = 0, reports = 0;
    for (int t = 1; t <= 1000; t++) {
        uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
        size_t n = sizeof bytes;
        VC_CHECK_OK(vc_call_tick(sender, t * 20 * MS, bytes, &n));
        VC_CHECK(config.srtp ? n == 12 + 320 + 10 : n == 12 + 320);
        taken += vc_call_receive_from(receiver, &from, bytes, n, t * 20 * MS) >= 0;
        VC_CHECK_EQ(vc_call_receive_from(receiver, &stranger, bytes, n, t * 20 * MS), VC_IGNORED);
        n = sizeof bytes;
        VC_CHECK_OK(vc_call_report(sender, t * 20 * MS, 0, bytes, &n));
        reports += n > 0;
        if (n > 0) (void)vc_call_receive_from(receiver, &from, bytes, n, t * 20 * MS);
        tick(receiver, t * 20 * MS, NULL);
    }
    VC_CHECK_EQ(heap.total, before);
    VC_CHECK_EQ(taken, 1000);
    VC_CHECK(vc_address_equal(vc_call_remote(receiver), &from));
    VC_CHECK_EQ(stat(receiver, VC_STAT_SOURCES), 1);
    VC_CHECK_EQ(stat(receiver, VC_STAT_PACKETS_STRANGE), 1000);
    VC_CHECK(reports >= 3 && (int)stat(receiver, VC_STAT_RTCP_RECEIVED) == reports);
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = sizeof bytes;
    event_count = 0;
    VC_CHECK_OK(vc_call_report(sender, 30 * VC_NS_PER_S, 1, bytes, &n));
    (void)vc_call_receive_from(receiver, &from, bytes, n, 30 * VC_NS_PER_S);
    VC_CHECK(event_count == 1 && events[0].kind == VC_EVENT_BYE_RECEIVED);
    vc_call_destroy(sender);
    vc_call_destroy(receiver);
    vc_srtp_library_destroy(library);
    VC_CHECK_EQ(heap.live, 0);
}

VC_TEST(bad_settings_and_failed_allocations)
{
    vc_call *call;
    vc_call_config config = settings();
    config.model = NULL;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_NULL);
    config = settings();
    config.rate_hz = 16000;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RATE);
    config = settings();
    config.payload_type = 128;
    VC_CHECK_EQ(vc_call_create(&call, &config), VC_E_RANGE);
    config = settings();
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    config.allocator = &allocator;
    for (heap.fail_at = 0;; heap.fail_at++) {
        heap.total = 0;
        vc_status status = vc_call_create(&call, &config);
        if (status == VC_OK) break;
        VC_CHECK_EQ(status, VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    VC_CHECK(heap.fail_at > 8);
    /* Running a call allocates nothing. */
    long before = heap.total;
    for (int i = 0; i < 100; i++) {
        vc_silero *vad;
        const float *window;
        float probability;
        (void)receive(call, i, i * 20 * MS);
        while (vc_call_window(call, &vad, &window)) {
            VC_CHECK_OK(vc_silero_process(vad, window, &probability));
            vc_call_judge(call, probability, i * 20 * MS);
        }
        tick(call, i * 20 * MS, NULL);
    }
    VC_CHECK_EQ(heap.total, before);
    vc_call_destroy(call);
    VC_CHECK_EQ(heap.live, 0);
}

int main(void)
{
    model = vc_test_model(8000);
    VC_RUN(in_order_audio_is_readable_at_once)
    VC_RUN(the_least_late_packet_says_when_the_call_began)
    VC_RUN(timestamps_that_jump_ahead_do_not_move_when_the_call_began)
    VC_RUN(a_month_of_samples_has_its_time)
    VC_RUN(a_lost_packet_is_concealed_when_it_is_due)
    VC_RUN(what_is_not_audio_is_counted)
    VC_RUN(sends_a_packet_every_tick)
    VC_RUN(the_gate_pauses_before_the_next_packet)
    VC_RUN(dtmf_both_ways)
    VC_RUN(a_key_press_in_mid_speech_is_no_loss)
    VC_RUN(pushed_audio_needs_no_packets)
    VC_RUN(silence_on_the_wire_is_reported_once)
    VC_RUN(an_absent_reader_sees_a_jump)
    VC_RUN(the_reader_is_told_when_enough_has_come)
    VC_RUN(the_media_port_allocates_nothing)
    VC_RUN(bad_settings_and_failed_allocations)
    vc_silero_model_destroy(model);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
