/* vc_call_echo: pairing of sent and received samples. Oracle: the received signal is made from the
 * sent one by sample index, so the delay that is found and the positions are known. */
#include "engine/vc_call_echo.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { RATE = 8000, FRAME = 160, BLOCK = 80, ROOM = 1200 };

static uint32_t seed = 1;

static int16_t noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (int16_t)((int16_t)(seed >> 16) / 8);
}

static vc_call_echo *create(void)
{
    vc_call_echo *echo = NULL;
    vc_call_echo_config config = {RATE, 128, 400, NULL};
    seed = 1;
    VC_NEED(vc_call_echo_create(&echo, &config) == VC_OK);
    return echo;
}

/* A stream of sent noise and its echo, `delay` samples later and half as loud. */
typedef struct line {
    int16_t sent[16 * 1024];
    int64_t sent_end, near_end;
    int delay;
    int syllables; /* 1: the noise is loud for 0.1 s of 0.2 s */
} line;

static void send(line *l, vc_call_echo *echo, int silent)
{
    int16_t frame[FRAME];
    for (int i = 0; i < FRAME; i++) {
        frame[i] = silent ? 0 : noise();
        if (l->syllables && l->sent_end / (5 * FRAME) % 2) frame[i] /= 8;
        l->sent[(l->sent_end + i) % (16 * 1024)] = frame[i];
    }
    l->sent_end += FRAME;
    vc_call_echo_sent(echo, silent ? NULL : frame, FRAME);
}

static size_t receive(line *l, vc_call_echo *echo, size_t n, int16_t *near, int16_t *out,
                      int64_t *first)
{
    for (size_t i = 0; i < n; i++) {
        int64_t at = l->near_end + (int64_t)i - l->delay;
        int16_t sent = at >= 0 && at < l->sent_end ? l->sent[at % (16 * 1024)] : (int16_t)0;
        near[i] = (int16_t)(sent / 2);
    }
    l->near_end += (int64_t)n;
    return vc_call_echo_process(echo, near, n, 1, out, first);
}

static double power(const int16_t *x, size_t n)
{
    double sum = 1e-9;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

VC_TEST(positions_and_samples_are_those_received)
{
    /* Nothing is sent: what comes out is what came in, at the same index, for any slicing. */
    const size_t slices[] = {1, 79, 80, 81, 160, 240, 333, 960};
    for (size_t s = 0; s < sizeof slices / sizeof *slices; s++) {
        vc_call_echo *echo = create();
        static int16_t in[9600], got[9600];
        int64_t expected = 0, first;
        int wrong = 0;
        for (int i = 0; i < 9600; i++) in[i] = noise();
        for (size_t at = 0; at < 9600; at += slices[s]) {
            int16_t out[960 + VC_CALL_ECHO_EXTRA];
            size_t n = slices[s] < 9600 - at ? slices[s] : 9600 - at;
            size_t done = vc_call_echo_process(echo, in + at, n, 1, out, &first);
            if (done == 0) continue;
            wrong += first != expected;
            memcpy(got + first, out, done * sizeof(int16_t));
            expected = first + (int64_t)done;
        }
        VC_CHECK_EQ(wrong, 0);
        VC_CHECK_EQ(expected, 9600 - BLOCK);
        VC_CHECK_EQ(memcmp(in, got, (size_t)expected * sizeof(int16_t)), 0);
        vc_call_echo_destroy(echo);
    }
}

/* Runs ticks of sending; received packets come `burst` at a time. Returns the output over input
 * power of the last second, in dB. */
static double run(line *l, vc_call_echo *echo, int ticks, int burst)
{
    int16_t near[FRAME * 8], out[FRAME * 8 + VC_CALL_ECHO_EXTRA];
    double in_power = 1e-9, out_power = 1e-9;
    int64_t first;
    for (int t = 0; t < ticks; t++) {
        send(l, echo, 0);
        if ((t + 1) % burst) continue;
        for (int b = 0; b < burst; b++) {
            size_t n = receive(l, echo, FRAME, near, out, &first);
            if (t < ticks - 50) continue;
            in_power += power(near, FRAME);
            out_power += power(out, n);
        }
    }
    return 10.0 * log10(out_power / in_power);
}

VC_TEST(an_echo_goes_whatever_the_bursts)
{
    for (int burst = 1; burst <= 8; burst *= 2) {
        static line l;
        memset(&l, 0, sizeof l);
        l.delay = ROOM;
        vc_call_echo *echo = create();
        double left_db = run(&l, echo, 400, burst);
        vc_call_echo_stats stats;
        vc_call_echo_get_stats(echo, &stats);
        VC_CHECK(left_db < -25.0);
        VC_CHECK(stats.found);
        VC_CHECK(fabs(stats.delay_samples - ROOM) < 8.0);
        VC_CHECK(stats.erle_db > 15.0);
        VC_CHECK(stats.moves <= (uint64_t)burst); /* the first packets of a burst are late */
        VC_CHECK(stats.run_blocks > 750);
        vc_call_echo_destroy(echo);
    }
}

VC_TEST(a_late_first_packet_moves_the_offset_and_the_delay_stays)
{
    static line l;
    memset(&l, 0, sizeof l);
    l.delay = ROOM;
    vc_call_echo *echo = create();
    int16_t near[FRAME], out[FRAME + VC_CALL_ECHO_EXTRA];
    int64_t first;
    /* The first packet waits 100 ms in the network; then the path is free. */
    for (int t = 0; t < 5; t++) send(&l, echo, 0);
    for (int i = 0; i < 5; i++) (void)receive(&l, echo, FRAME, near, out, &first);
    double left_db = run(&l, echo, 400, 1);
    vc_call_echo_stats stats;
    vc_call_echo_get_stats(echo, &stats);
    VC_CHECK(stats.moves >= 2);
    VC_CHECK(left_db < -25.0);
    VC_CHECK(fabs(stats.delay_samples - ROOM) < 8.0);
    vc_call_echo_destroy(echo);
}

VC_TEST(a_timeline_that_breaks_is_paired_anew)
{
    static line l;
    memset(&l, 0, sizeof l);
    l.delay = ROOM;
    vc_call_echo *echo = create();
    (void)run(&l, echo, 300, 1);
    /* The stream stops for 0.4 s and another one goes on where it ended. */
    for (int t = 0; t < 20; t++) send(&l, echo, 0);
    l.delay -= 20 * FRAME;
    vc_call_echo_restarted(echo);
    double left_db = run(&l, echo, 150, 1);
    vc_call_echo_stats stats;
    vc_call_echo_get_stats(echo, &stats);
    VC_CHECK(left_db < -20.0);
    VC_CHECK(fabs(stats.delay_samples - l.delay) < 8.0);
    vc_call_echo_destroy(echo);
}

VC_TEST(likelihood_is_high_for_an_echo_and_none_without)
{
    static line l;
    memset(&l, 0, sizeof l);
    l.delay = ROOM;
    vc_call_echo *echo = create();
    VC_CHECK(vc_call_echo_likelihood(echo, 0, 256) == 0.0f);
    VC_CHECK(vc_call_echo_likelihood(echo, 0, 0) == 0.0f);
    (void)run(&l, echo, 200, 1);
    int64_t last = l.near_end - BLOCK;
    VC_CHECK(vc_call_echo_likelihood(echo, last - 256, 256) > 0.5f);
    int16_t near[FRAME], out[FRAME + VC_CALL_ECHO_EXTRA];
    int64_t first;
    for (int t = 0; t < 150; t++) {
        send(&l, echo, 1);
        (void)receive(&l, echo, FRAME, near, out, &first);
    }
    last = l.near_end - BLOCK;
    VC_CHECK(vc_call_echo_likelihood(echo, last - 256, 256) == 0.0f);
    vc_call_echo_stats stats;
    vc_call_echo_get_stats(echo, &stats);
    /* 4 s of noise and the second behind it, of 7 s. */
    VC_CHECK_EQ(stats.blocks, 700);
    VC_CHECK(stats.run_blocks > 480 && stats.run_blocks < 530);
    vc_call_echo_destroy(echo);
}

VC_TEST(a_call_without_echo_passes_and_one_that_begins_is_found)
{
    /* The agent speaks over a silent line for 8 s, then a caller is heard, bit for bit and as no
     * echo; then the caller's side turns its loudspeaker on: 20 dB from 1.5 s on, and an echo. */
    static line l;
    memset(&l, 0, sizeof l);
    l.delay = 1 << 24; /* never */
    l.syllables = 1;
    vc_call_echo *echo = create();
    int16_t near[FRAME], out[FRAME + VC_CALL_ECHO_EXTRA], before[2 * FRAME] = {0};
    int64_t first;
    int wrong = 0;
    uint32_t own = 9;
    for (int t = 0; t < 600; t++) {
        send(&l, echo, 0);
        for (int i = 0; i < FRAME; i++)
            near[i] = (int16_t)(t < 400 ? 0 : (int16_t)(vc_test_random(&own) >> 16) / 16);
        l.near_end += FRAME;
        const size_t n = vc_call_echo_process(echo, near, FRAME, 1, out, &first);
        memcpy(before, before + FRAME, FRAME * sizeof(int16_t));
        memcpy(before + FRAME, near, FRAME * sizeof(int16_t));
        if (t < 400) continue;
        wrong += n != FRAME || memcmp(out, before + FRAME - BLOCK, n * sizeof(int16_t)) != 0;
        wrong += vc_call_echo_likelihood(echo, first, n) != 0.0f;
    }
    VC_CHECK_EQ(wrong, 0);
    vc_call_echo_stats stats;
    vc_call_echo_get_stats(echo, &stats);
    VC_CHECK(!stats.found);
    l.delay = ROOM;
    double left_db = run(&l, echo, 125, 1); /* 2.5 s, of which the last is weighed */
    VC_CHECK(left_db < -20.0);
    int64_t last = l.near_end - BLOCK;
    VC_CHECK(vc_call_echo_likelihood(echo, last - 256, 256) > 0.5f);
    vc_call_echo_get_stats(echo, &stats);
    VC_CHECK(stats.found && fabs(stats.delay_samples - ROOM) < 8.0);
    vc_call_echo_destroy(echo);
}

VC_TEST(reset_is_a_new_one)
{
    static line a, b;
    vc_call_echo *used = create();
    memset(&a, 0, sizeof a);
    a.delay = ROOM;
    (void)run(&a, used, 200, 2);
    vc_call_echo_reset(used);
    vc_call_echo *fresh = create();
    int16_t near[FRAME], x[FRAME + VC_CALL_ECHO_EXTRA], y[FRAME + VC_CALL_ECHO_EXTRA];
    int wrong = 0;
    memset(&a, 0, sizeof a);
    a.delay = ROOM;
    b = a;
    uint32_t begin = 77;
    for (int t = 0; t < 200; t++) {
        int64_t first_x, first_y;
        seed = begin;
        send(&a, used, 0);
        seed = begin;
        send(&b, fresh, 0);
        begin = seed;
        size_t n = receive(&a, used, FRAME, near, x, &first_x);
        size_t m = receive(&b, fresh, FRAME, near, y, &first_y);
        wrong += n != m || first_x != first_y || memcmp(x, y, n * sizeof(int16_t)) != 0;
    }
    VC_CHECK_EQ(wrong, 0);
    vc_call_echo_destroy(used);
    vc_call_echo_destroy(fresh);
}

VC_TEST(bad_settings_and_memory)
{
    vc_call_echo *echo;
    vc_call_echo_config config = {RATE, 128, 400, NULL};
    VC_CHECK_EQ(vc_call_echo_create(NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_call_echo_create(&echo, NULL), VC_E_NULL);
    config.rate_hz = 44100;
    VC_CHECK_EQ(vc_call_echo_create(&echo, &config), VC_E_RATE);
    config.rate_hz = RATE;
    config.max_jitter_ms = -1;
    VC_CHECK_EQ(vc_call_echo_create(&echo, &config), VC_E_RANGE);
    config.max_jitter_ms = 400;
    config.tail_ms = 500;
    VC_CHECK_EQ(vc_call_echo_create(&echo, &config), VC_E_RANGE);
    config.tail_ms = 128;
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    config.allocator = &allocator;
    for (heap.fail_at = 0;; heap.fail_at++) {
        heap.total = 0;
        vc_status status = vc_call_echo_create(&echo, &config);
        if (status == VC_OK) break;
        VC_CHECK_EQ(status, VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    VC_CHECK(heap.fail_at > 3);
    printf("  a canceller at 8 kHz with a tail of 128 ms: %zu bytes\n", vc_call_echo_bytes(echo));
    vc_call_echo_destroy(echo);
    VC_CHECK_EQ(heap.live, 0);
    vc_call_echo_destroy(NULL);
}

VC_MAIN(VC_RUN(positions_and_samples_are_those_received) VC_RUN(an_echo_goes_whatever_the_bursts)
            VC_RUN(a_late_first_packet_moves_the_offset_and_the_delay_stays)
                VC_RUN(a_timeline_that_breaks_is_paired_anew)
                    VC_RUN(likelihood_is_high_for_an_echo_and_none_without)
                        VC_RUN(a_call_without_echo_passes_and_one_that_begins_is_found)
                            VC_RUN(reset_is_a_new_one) VC_RUN(bad_settings_and_memory))
