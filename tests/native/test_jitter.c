/* vc_jitter: both modes under loss, reordering, duplicates, wraps, restarts, silence suppression
 * and bursts. Oracle: the samples put in. Linear samples (L16) carry their own index, so that each
 * output sample names the input sample it is. */
#include "net/vc_jitter.h"

#include <string.h>

#include "vc_test.h"

enum { FRAME = 160 };

static vc_jitter *make(vc_jitter_mode mode)
{
    vc_jitter_config config = vc_jitter_config_default();
    vc_jitter *jitter;
    config.mode = mode;
    config.codec = VC_CODEC_L16;
    config.max_depth_ms = 400;
    VC_NEED(vc_jitter_create(&jitter, &config) == VC_OK);
    return jitter;
}

/* A slow ramp: smooth to concealment, and sample i is recognizable. */
static int16_t content(int64_t i)
{
    return (int16_t)(1000 + i % 16000);
}

static uint16_t first_sequence = 65500;
static uint32_t first_timestamp = 0xfffff000u;

/* Samples start .. start + n of the stream as packet `number`. */
static vc_status put_n(vc_jitter *jitter, int number, int64_t start, int n, int64_t ms)
{
    uint8_t payload[2 * 48 * 120];
    for (int i = 0; i < n; i++) {
        uint16_t value = (uint16_t)content(start + i);
        payload[2 * i] = (uint8_t)(value >> 8);
        payload[2 * i + 1] = (uint8_t)value;
    }
    vc_rtp_packet packet = {.sequence = (uint16_t)(first_sequence + number),
                            .timestamp = first_timestamp + (uint32_t)start,
                            .ssrc = 9,
                            .payload = payload,
                            .payload_bytes = 2 * (size_t)n};
    return vc_jitter_put(jitter, &packet, ms * VC_NS_PER_MS);
}

static vc_status put(vc_jitter *jitter, int number, int64_t ms)
{
    return put_n(jitter, number, (int64_t)number * FRAME, FRAME, ms);
}

static size_t read_at(vc_jitter *jitter, int64_t ms, int16_t *samples, vc_frame_info *info)
{
    size_t n = 16000;
    vc_status status = vc_jitter_read(jitter, ms * VC_NS_PER_MS, samples, &n, info);
    VC_CHECK((status == VC_NEED_MORE) == (n == 0));
    VC_CHECK((status == VC_CONCEALED) == (n > 0 && info->kind == VC_FRAME_CONCEALED));
    return n;
}

static vc_jitter_stats stats_of(const vc_jitter *jitter)
{
    vc_jitter_stats stats;
    vc_jitter_get_stats(jitter, &stats);
    VC_CHECK_EQ(stats.received, stats.decoded + stats.duplicate + stats.late + stats.discarded +
                                    stats.rejected + stats.held);
    return stats;
}

static int wrong(const int16_t *samples, size_t n, int64_t start)
{
    int count = 0;
    for (size_t i = 0; i < n; i++) count += samples[i] != content(start + (int64_t)i);
    return count;
}

static int16_t buffer[16000];
static vc_frame_info info;

VC_TEST(listen_gives_in_order_packets_at_once)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), 0);
    for (int i = 0; i < 1000; i++) { /* over the wrap of both numbers */
        VC_CHECK_OK(put(jitter, i, 20 * i));
        VC_CHECK_EQ(read_at(jitter, 20 * i, buffer, &info), FRAME);
        VC_CHECK_EQ(wrong(buffer, FRAME, (int64_t)i * FRAME), 0);
        VC_CHECK_EQ(info.position, (int64_t)i * FRAME);
        VC_CHECK_EQ(info.timestamp, first_timestamp + (uint32_t)(i * FRAME));
        VC_CHECK_EQ(info.arrival_ns, 20 * i * VC_NS_PER_MS);
        VC_CHECK_EQ(info.kind, VC_FRAME_DECODED);
        VC_CHECK_EQ(read_at(jitter, 20 * i, buffer, &info), 0);
        VC_CHECK(vc_jitter_deadline_ns(jitter) == INT64_MAX);
    }
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.decoded, 1000);
    VC_CHECK_EQ(stats.lost + stats.reordered + stats.concealed_samples, 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(listen_declares_a_loss_by_time)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    put(jitter, 0, 0);
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), FRAME);
    put(jitter, 2, 40); /* 1 is missing */
    put(jitter, 3, 60);
    VC_CHECK_EQ(read_at(jitter, 99, buffer, &info), 0);
    VC_CHECK_EQ(vc_jitter_deadline_ns(jitter), 100 * VC_NS_PER_MS);
    VC_CHECK_EQ(read_at(jitter, 100, buffer, &info), FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_CONCEALED);
    VC_CHECK_EQ(info.timestamp, first_timestamp + FRAME);
    VC_CHECK_EQ(info.arrival_ns, 100 * VC_NS_PER_MS);
    VC_CHECK_EQ(put(jitter, 1, 101), VC_LATE);
    VC_CHECK_EQ(put(jitter, 1, 102), VC_DUPLICATE);
    VC_CHECK_EQ(read_at(jitter, 102, buffer, &info), 2 * FRAME);
    VC_CHECK_EQ(wrong(buffer + 40, 2 * FRAME - 40, 2 * FRAME + 40), 0); /* after the join */
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.lost, 1);
    VC_CHECK_EQ(stats.late, 1);
    VC_CHECK_EQ(stats.duplicate, 1);
    VC_CHECK_EQ(stats.concealed_samples, FRAME);
    VC_CHECK_EQ(stats.output_samples, 4 * FRAME);
    vc_jitter_destroy(jitter);
}

VC_TEST(listen_reorders_within_the_wait)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    const int order[] = {0, 2, 1, 5, 4, 3, 6};
    size_t total = 0;
    for (int i = 0; i < 7; i++) {
        put(jitter, order[i], 10 * i);
        for (size_t n; (n = read_at(jitter, 10 * i, buffer, &info)) > 0; total += n)
            VC_CHECK_EQ(wrong(buffer, n, (int64_t)total), 0);
    }
    VC_CHECK_EQ(total, 7 * FRAME);
    VC_CHECK_EQ(stats_of(jitter).reordered, 3);
    VC_CHECK_EQ(stats_of(jitter).lost, 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(an_older_packet_may_still_lead_before_the_first_read)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    put(jitter, 1, 0);
    put(jitter, 0, 1);
    VC_CHECK_EQ(read_at(jitter, 1, buffer, &info), 2 * FRAME);
    VC_CHECK_EQ(wrong(buffer, 2 * FRAME, 0), 0);
    VC_CHECK_EQ(info.position, 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(packets_of_any_length_and_partial_reads)
{
    const int lengths[] = {1, 7, 40, 80, 160, 161, 240, 480, 959, 960};
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    int64_t start = 0, out = 0;
    for (int i = 0; i < 200; i++) {
        int n = lengths[i % 10];
        VC_CHECK_OK(put_n(jitter, i, start, n, i));
        start += n;
        for (int piece = 1;; piece = piece * 3 % 101) {
            size_t room = (size_t)piece;
            if (vc_jitter_read(jitter, i * VC_NS_PER_MS, buffer, &room, &info) != VC_OK) break;
            VC_CHECK_EQ(info.position, out);
            VC_CHECK_EQ(info.timestamp, first_timestamp + (uint32_t)out);
            VC_CHECK_EQ(wrong(buffer, room, out), 0);
            out += (int64_t)room;
        }
        VC_CHECK_EQ(out, start);
    }
    VC_CHECK_EQ(put_n(jitter, 200, start, 961, 200), VC_E_PACKET);
    VC_CHECK_EQ(put_n(jitter, 200, start, 0, 200), VC_E_PACKET);
    uint8_t three[3] = {0};
    vc_rtp_packet odd = {.payload = three, .payload_bytes = 3};
    VC_CHECK_EQ(vc_jitter_put(jitter, &odd, 0), VC_E_PACKET);
    VC_CHECK_EQ(stats_of(jitter).rejected, 3);
    VC_CHECK_EQ(stats_of(jitter).decoded, 200);
    vc_jitter_destroy(jitter);
}

VC_TEST(silence_suppression_is_no_loss)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    put_n(jitter, 0, 0, FRAME, 0);
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), FRAME);
    put_n(jitter, 1, 8000, FRAME, 1000);
    VC_CHECK_EQ(read_at(jitter, 1000, buffer, &info), 8000 - FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_SILENCE);
    VC_CHECK_EQ(buffer[7000], 0);
    VC_CHECK_EQ(read_at(jitter, 1000, buffer, &info), FRAME);
    VC_CHECK_EQ(wrong(buffer, FRAME, 8000), 0); /* no join: bit for bit */
    /* A loss at the edge of a pause: that packet is concealed, the rest is silence. */
    put_n(jitter, 3, 16000, FRAME, 2000);
    VC_CHECK_EQ(read_at(jitter, 2059, buffer, &info), 0);
    VC_CHECK_EQ(read_at(jitter, 2060, buffer, &info), FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_CONCEALED);
    VC_CHECK_EQ(read_at(jitter, 2060, buffer, &info), 8000 - 2 * FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_SILENCE);
    VC_CHECK_EQ(read_at(jitter, 2060, buffer, &info), FRAME);
    VC_CHECK_EQ(info.position, 16000);
    VC_CHECK_EQ(stats_of(jitter).lost, 1);
    VC_CHECK_EQ(stats_of(jitter).silence_samples, 2 * 8000 - 3 * FRAME);
    vc_jitter_destroy(jitter);
}

VC_TEST(noted_packets_are_not_missing)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    vc_rtp_packet event = {.sequence = (uint16_t)(first_sequence + 1), .ssrc = 9};
    VC_CHECK_EQ(vc_jitter_note(jitter, &event, 0), VC_IGNORED); /* no stream yet */
    put(jitter, 0, 0);
    VC_CHECK_OK(vc_jitter_note(jitter, &event, 0));
    VC_CHECK_EQ(vc_jitter_note(jitter, &event, 0), VC_DUPLICATE);
    event.ssrc = 8;
    VC_CHECK_EQ(vc_jitter_note(jitter, &event, 0), VC_IGNORED);
    put(jitter, 2, 40);
    VC_CHECK_EQ(read_at(jitter, 40, buffer, &info), FRAME);
    VC_CHECK_EQ(read_at(jitter, 40, buffer, &info), FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_SILENCE);
    VC_CHECK_EQ(read_at(jitter, 40, buffer, &info), FRAME);
    VC_CHECK_EQ(stats_of(jitter).lost, 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(restarts_leave_no_hole)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    uint8_t payload[2 * FRAME] = {0};
    vc_rtp_packet packet = {.ssrc = 1, .payload = payload, .payload_bytes = sizeof payload};
    vc_jitter_put(jitter, &packet, 0);
    packet = (vc_rtp_packet){.ssrc = 2,
                             .sequence = 777,
                             .timestamp = 123456789,
                             .payload = payload,
                             .payload_bytes = sizeof payload};
    VC_CHECK_OK(vc_jitter_put(jitter, &packet, 0)); /* another SSRC */
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), 2 * FRAME);
    packet.ssrc = 1;
    VC_CHECK_EQ(vc_jitter_put(jitter, &packet, 0), VC_LATE); /* straggler of the old one */
    packet.ssrc = 2;
    packet.sequence++;
    packet.timestamp += 10 * 8000 + 1; /* vouched for by its sequence number */
    VC_CHECK_OK(vc_jitter_put(jitter, &packet, 0));
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), FRAME);
    VC_CHECK_EQ(info.position, 2 * FRAME);
    VC_CHECK_EQ(info.timestamp, packet.timestamp);
    packet.sequence = (uint16_t)(packet.sequence + 20000); /* a stray, or the first of a jump */
    packet.timestamp -= 8000 * 60;
    VC_CHECK_EQ(vc_jitter_put(jitter, &packet, 0), VC_IGNORED);
    packet.sequence++;
    packet.timestamp += FRAME;
    VC_CHECK_OK(vc_jitter_put(jitter, &packet, 0));
    VC_CHECK_EQ(read_at(jitter, 0, buffer, &info), FRAME);
    VC_CHECK_EQ(info.position, 3 * FRAME);
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.resets, 3);
    VC_CHECK_EQ(stats.lost + stats.concealed_samples + stats.silence_samples, 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(what_was_thrown_away_unseen_leaves_no_hole)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    for (int number = 0; number < 3; number++) put(jitter, number, 20 * number);
    VC_CHECK_EQ(read_at(jitter, 40, buffer, &info), 3 * FRAME);
    vc_jitter_skip(jitter);
    put(jitter, 2, 41); /* an old one does not end it */
    for (int number = 203; number < 206; number++) put(jitter, number, 4000);
    VC_CHECK_EQ(read_at(jitter, 4000, buffer, &info), 3 * FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_DECODED);
    VC_CHECK_EQ(wrong(buffer, 3 * FRAME, 203 * FRAME), 0);
    put(jitter, 207, 4040); /* the next gap is one as ever */
    VC_CHECK_EQ(read_at(jitter, 4040, buffer, &info), 0);
    VC_CHECK_EQ(read_at(jitter, 4200, buffer, &info), FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_CONCEALED);
    VC_CHECK_EQ(read_at(jitter, 4200, buffer, &info), FRAME);
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.lost, 1);
    VC_CHECK_EQ(stats.resets, 1);
    VC_CHECK_EQ(stats.concealed_samples, FRAME);
    vc_jitter_destroy(jitter);
}

VC_TEST(listen_burst_passes_whole_if_read_between)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    int64_t total = 0;
    for (int i = 0; i < 100; i++) { /* 2 s at once */
        VC_CHECK_OK(put(jitter, i, 2000));
        total += (int64_t)read_at(jitter, 2000, buffer, &info);
    }
    VC_CHECK_EQ(total, 100 * FRAME);
    vc_jitter_destroy(jitter);
}

VC_TEST(hard_maximum_throws_the_oldest_away)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    for (int i = 0; i < 100; i++)
        VC_CHECK_EQ(put(jitter, i, 2000), i < 20 ? VC_OK : VC_FULL); /* 400 ms are 20 packets */
    VC_CHECK_EQ(stats_of(jitter).depth_ms, 400);
    VC_CHECK_EQ(stats_of(jitter).discarded, 80);
    VC_CHECK_EQ(read_at(jitter, 2000, buffer, &info), 80 * FRAME);
    VC_CHECK_EQ(info.kind, VC_FRAME_CONCEALED);
    VC_CHECK_EQ(read_at(jitter, 2000, buffer, &info), 20 * FRAME);
    VC_CHECK_EQ(wrong(buffer, 20 * FRAME - 40, 80 * FRAME) - wrong(buffer, 40, 80 * FRAME), 0);
    VC_CHECK_EQ(stats_of(jitter).lost, 0);
    vc_jitter_destroy(jitter);
}

/* Puts the packets of one 20 ms tick and gets one frame, 10 ms later. */
static vc_frame_kind tick(vc_jitter *jitter, int i, int arrives)
{
    if (arrives) put(jitter, i, 20 * i);
    vc_status status = vc_jitter_get(jitter, (20 * i + 10) * VC_NS_PER_MS, buffer, &info);
    VC_CHECK_EQ(status, info.kind == VC_FRAME_CONCEALED ? VC_CONCEALED : VC_OK);
    return info.kind;
}

VC_TEST(play_is_paced_and_settles_at_the_least_depth)
{
    vc_jitter *jitter = make(VC_JITTER_PLAY);
    VC_CHECK_EQ(tick(jitter, -1, 0), VC_FRAME_SILENCE);
    for (int i = 0; i < 500; i++) {
        vc_frame_kind kind = tick(jitter, i, 1);
        VC_CHECK_EQ(kind, i < 3 ? VC_FRAME_SILENCE : VC_FRAME_DECODED);
        VC_CHECK_EQ(info.position, (int64_t)(i + 1) * FRAME);
    }
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.target_ms, 5);
    VC_CHECK(stats.delay_ms < 40);
    VC_CHECK_EQ(stats.concealed_samples + stats.underruns, 0);
    VC_CHECK(stats.accelerated_samples > 0);
    vc_jitter_destroy(jitter);
}

VC_TEST(play_conceals_one_frame_for_one_packet)
{
    vc_jitter *jitter = make(VC_JITTER_PLAY);
    for (int i = 0; i < 500; i++) tick(jitter, i, 1);
    double depth_ms = stats_of(jitter).depth_ms;
    for (int i = 500; i < 1000; i++) tick(jitter, i, i % 100 != 50);
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK_EQ(stats.lost, 5);
    VC_CHECK_EQ(stats.concealed_samples, 5 * FRAME);
    VC_CHECK_EQ(stats.depth_ms, depth_ms);
    VC_CHECK_EQ(stats.target_ms, 5);
    vc_jitter_destroy(jitter);
}

VC_TEST(play_after_a_stall_keeps_to_the_maximum_and_comes_down)
{
    vc_jitter *jitter = make(VC_JITTER_PLAY);
    for (int i = 0; i < 200; i++) tick(jitter, i, 1);
    for (int i = 200; i < 300; i++) {
        vc_frame_kind kind = tick(jitter, i, 0);
        VC_CHECK(kind != VC_FRAME_DECODED || i < 202);
        if (i > 260) VC_CHECK_EQ(kind, VC_FRAME_SILENCE);
    }
    for (int i = 200; i < 300; i++) put(jitter, i, 6000);
    VC_CHECK(stats_of(jitter).depth_ms <= 480); /* and the queue */
    for (int i = 300; i < 1000; i++) tick(jitter, i, 1);
    vc_jitter_stats stats = stats_of(jitter);
    VC_CHECK(stats.delay_ms <= stats.target_ms + 40);
    VC_CHECK_EQ(stats.lost, 0);
    VC_CHECK(stats.discarded >= 78 && stats.discarded <= 82);
    vc_jitter_destroy(jitter);
}

VC_TEST(the_modes_keep_apart_and_bad_settings_are_refused)
{
    vc_jitter *jitter = make(VC_JITTER_LISTEN);
    size_t n = 0;
    VC_CHECK_EQ(vc_jitter_get(jitter, 0, buffer, &info), VC_E_STATE);
    VC_CHECK_EQ(vc_jitter_read(jitter, 0, buffer, &n, &info), VC_E_LENGTH);
    VC_CHECK_EQ(vc_jitter_put(jitter, NULL, 0), VC_E_NULL);
    vc_jitter_destroy(jitter);
    jitter = make(VC_JITTER_PLAY);
    n = 160;
    VC_CHECK_EQ(vc_jitter_read(jitter, 0, buffer, &n, &info), VC_E_STATE);
    vc_jitter_destroy(jitter);

    vc_jitter_config config = vc_jitter_config_default();
    config.rate_hz = 11025;
    VC_CHECK_EQ(vc_jitter_create(&jitter, &config), VC_E_RATE);
    config = vc_jitter_config_default();
    config.max_depth_ms = 39;
    VC_CHECK_EQ(vc_jitter_create(&jitter, &config), VC_E_RANGE);
    config = vc_jitter_config_default();
    config.max_depth_ms = 400;
    config.min_depth_ms = 390;
    VC_CHECK_EQ(vc_jitter_create(&jitter, &config), VC_E_RANGE);
    config = vc_jitter_config_default();
    config.loss_wait_ms = 501;
    VC_CHECK_EQ(vc_jitter_create(&jitter, &config), VC_E_RANGE);
    config = vc_jitter_config_default();
    config.codec = (vc_codec)5;
    VC_CHECK_EQ(vc_jitter_create(&jitter, &config), VC_E_RANGE);
    VC_CHECK(jitter == NULL);
}

/* A wild course; then reset, and the same course again beside a new buffer, bit for bit. */
static void wild(vc_jitter *jitter, uint32_t seed, uint64_t *hash)
{
    for (int i = 0; i < 600; i++) {
        uint32_t dice = vc_test_random(&seed);
        if (dice % 10 != 0) put(jitter, i - (int)(dice >> 8) % 4, 18 * i);
        vc_status status;
        size_t n = FRAME;
        if (dice & 1)
            status = vc_jitter_get(jitter, 20 * i * VC_NS_PER_MS, buffer, &info);
        else
            status = vc_jitter_read(jitter, 20 * i * VC_NS_PER_MS, buffer, &n, &info);
        if (status < 0 || n == 0) continue;
        for (size_t k = 0; k < n; k++) *hash = (*hash ^ (uint16_t)buffer[k]) * 1099511628211u;
        *hash = (*hash ^ (uint64_t)info.position ^ info.timestamp) * 1099511628211u;
    }
}

VC_TEST(reset_is_as_new_bit_for_bit)
{
    for (int mode = 0; mode < 2; mode++) {
        vc_jitter *used = make((vc_jitter_mode)mode), *new = make((vc_jitter_mode)mode);
        uint64_t a = 0, b = 1, c = 1;
        wild(used, 11, &a);
        vc_jitter_reset(used);
        wild(used, 12, &b);
        wild(new, 12, &c);
        VC_CHECK(b == c && b != 1);
        vc_jitter_stats x = stats_of(used), y = stats_of(new);
        VC_CHECK(memcmp(&x, &y, sizeof x) == 0);
        vc_jitter_destroy(used);
        vc_jitter_destroy(new);
    }
}

VC_TEST(any_time_is_safe)
{
    for (int mode = 0; mode < 2; mode++) {
        vc_jitter *jitter = make((vc_jitter_mode)mode);
        const int64_t times[] = {INT64_MIN, 0, -5, INT64_MAX, INT64_MIN, INT64_MAX};
        for (int i = 0; i < 60; i++) {
            size_t n = FRAME;
            int64_t ns = times[i % 6];
            uint8_t payload[2 * FRAME] = {0};
            vc_rtp_packet packet = {.sequence = (uint16_t)(2 * i),
                                    .timestamp = 320u * (uint32_t)i,
                                    .ssrc = (uint32_t)i / 20,
                                    .payload = payload,
                                    .payload_bytes = sizeof payload};
            vc_jitter_put(jitter, &packet, ns);
            vc_jitter_read(jitter, ns, buffer, &n, &info);
            vc_jitter_get(jitter, ns, buffer, &info);
            (void)vc_jitter_deadline_ns(jitter);
        }
        stats_of(jitter);
        vc_jitter_destroy(jitter);
    }
}

VC_TEST(allocations_are_balanced_and_none_come_later)
{
    for (int mode = 0; mode < 2; mode++) {
        vc_test_heap heap = {0, 0, 0};
        vc_allocator allocator = vc_test_allocator(&heap);
        vc_jitter_config config = vc_jitter_config_default();
        vc_jitter *jitter = NULL;
        config.mode = (vc_jitter_mode)mode;
        config.allocator = &allocator;
        config.rate_hz = 16000;
        config.payload_types = 2;
        config.payload_type[0] = (vc_jitter_payload_type){0, VC_CODEC_L16};
        config.payload_type[1] = (vc_jitter_payload_type){9, VC_CODEC_G722};
        /* Every allocation fails once, until it works. */
        for (heap.fail_at = 0; !jitter; heap.fail_at++) {
            heap.total = 0;
            vc_status status = vc_jitter_create(&jitter, &config);
            VC_CHECK(status == VC_OK || status == VC_E_MEMORY);
            VC_CHECK(status == VC_OK || (jitter == NULL && heap.live == 0));
            VC_NEED(heap.fail_at < 100);
        }
        VC_CHECK(heap.fail_at > 4);
        heap.fail_at = -1;
        long total = heap.total;
        uint64_t hash = 0;
        wild(jitter, 3, &hash);
        VC_CHECK(hash != 0);
        VC_CHECK_EQ(heap.total, total);
        vc_jitter_destroy(jitter);
        VC_CHECK_EQ(heap.live, 0);
    }
    vc_jitter_destroy(NULL);
}

VC_MAIN(VC_RUN(listen_gives_in_order_packets_at_once) VC_RUN(listen_declares_a_loss_by_time) VC_RUN(
    listen_reorders_within_the_wait) VC_RUN(an_older_packet_may_still_lead_before_the_first_read)
            VC_RUN(packets_of_any_length_and_partial_reads) VC_RUN(silence_suppression_is_no_loss)
                VC_RUN(noted_packets_are_not_missing) VC_RUN(restarts_leave_no_hole)
                    VC_RUN(what_was_thrown_away_unseen_leaves_no_hole)
                        VC_RUN(listen_burst_passes_whole_if_read_between)
                            VC_RUN(hard_maximum_throws_the_oldest_away) VC_RUN(
                                play_is_paced_and_settles_at_the_least_depth)
                                VC_RUN(play_conceals_one_frame_for_one_packet) VC_RUN(
                                    play_after_a_stall_keeps_to_the_maximum_and_comes_down)
                                    VC_RUN(the_modes_keep_apart_and_bad_settings_are_refused)
                                        VC_RUN(reset_is_as_new_bit_for_bit) VC_RUN(any_time_is_safe)
                                            VC_RUN(allocations_are_balanced_and_none_come_later))
