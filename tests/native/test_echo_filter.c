/* vc_echo_filter: a known path is learned, read back, moved and forgotten. Oracle: the path that
 * made the echo. Bounds, on noise and a mic without any, after 3 s: 35 dB and the
 * response read back within -35 dB with 4 partitions, 20 dB each with 13 (they learn slower). */
#include "aec/vc_echo_filter.h"

#include "vc_test_echo.h"

enum { MOST = 6 * 16000, TAIL = 16000 / 4, MOST_BLOCK = 160 };
static float far[MOST], near[MOST], echo[MOST], h[TAIL];

typedef struct unit {
    vc_spectrum *spectrum;
    vc_echo_filter *filter;
    int rate_hz, block;
} unit;

static unit make(int rate_hz, int tail_ms, vc_cpu_level level)
{
    unit u = {.rate_hz = rate_hz, .block = rate_hz / 100};
    VC_NEED(vc_spectrum_create(&u.spectrum, vc_echo_filter_size(rate_hz), level, NULL) == VC_OK);
    const vc_echo_filter_config config = {rate_hz, tail_ms, level, u.spectrum, NULL};
    VC_NEED(vc_echo_filter_create(&u.filter, &config) == VC_OK);
    return u;
}

static void destroy(unit *u)
{
    vc_echo_filter_destroy(u->filter);
    vc_spectrum_destroy(u->spectrum);
}

static void run(unit *u, int from, int to)
{
    for (int at = from; at + u->block <= to; at += u->block)
        vc_echo_filter_process(u->filter, far + at, near + at, echo + at);
}

/* near over what the filter leaves of it. */
static double erle_db(int from, int to)
{
    double left = 0.0;
    for (int i = from; i < to; i++)
        left += (double)(near[i] - echo[i]) * (double)(near[i] - echo[i]);
    return vc_test_ratio_db(vc_test_power(near + from, to - from), left);
}

/* A sparse path: reflections up to `tail` samples, falling as a room's do. */
static void sparse(int tail)
{
    memset(h, 0, sizeof h);
    h[tail / 30] = 0.5f;
    h[tail / 9] = -0.3f;
    h[tail / 3] = 0.1f;
    h[tail - tail / 7] = -0.01f;
}

/* Noise without what lies at 0 Hz and at Nyquist, which vc_spectrum leaves out. */
static void scene(int n, int delay, uint32_t seed)
{
    vc_test_white(far, n, 0.2f, &seed);
    for (int i = n - 1; i >= 2; i--) far[i] = 0.5f * (far[i] - far[i - 2]);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, n, h, TAIL, delay, near);
}

VC_TEST(learns_a_path_that_can_be_read_back)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int tail_ms = 64; tail_ms <= 256; tail_ms += 192) {
            unit u = make(rate_hz, tail_ms, VC_CPU_AUTO);
            const int n = 3 * rate_hz, tail = tail_ms * rate_hz / 1000;
            const double bound_db = tail_ms == 64 ? 35.0 : 20.0;
            sparse(tail);
            scene(n, 0, 1);
            run(&u, 0, n);
            VC_CHECK(erle_db(n - rate_hz / 2, n) > bound_db);
            VC_CHECK(vc_echo_filter_trust(u.filter) > 0.95f);
            /* Silence, then an impulse: the estimate is the response. */
            const int quiet = rate_hz / 2, end = n + quiet + 30 * u.block;
            memset(far + n, 0, (size_t)(end - n) * sizeof *far);
            memset(near + n, 0, (size_t)(end - n) * sizeof *near);
            far[n + quiet] = 0.5f;
            far[n + quiet + 2] = -0.5f;
            vc_test_add_echo(far + n + quiet, end - n - quiet, h, TAIL, 0, near + n + quiet);
            run(&u, n, end);
            VC_CHECK(erle_db(n + quiet, end) > bound_db);
            destroy(&u);
        }
}

VC_TEST(trust_is_lost_without_echo_and_won_with_it)
{
    enum { RATE = 16000, N = 5 * RATE };
    unit u = make(RATE, 128, VC_CPU_AUTO);
    uint32_t seed = 3, other = 4;
    vc_test_speechlike(far, N, RATE, &seed);
    vc_test_speechlike(near, N, RATE, &other);
    run(&u, 0, N);
    VC_CHECK(vc_echo_filter_trust(u.filter) < 0.05f);
    const double taken = vc_test_power(echo + N - RATE, RATE);
    VC_CHECK(vc_test_ratio_db(vc_test_power(near + N - RATE, RATE), taken) > 30.0);
    sparse(RATE / 10);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, N, h, TAIL, 0, near);
    run(&u, 0, N);
    VC_CHECK(vc_echo_filter_trust(u.filter) > 0.9f);
    VC_CHECK(erle_db(N - RATE, N) > 20.0);
    destroy(&u);
}

VC_TEST(the_residual_tells_what_is_left)
{
    /* Oracle: the power that is left, summed over time and bins by Parseval. Bound: 8 dB. */
    enum { RATE = 16000, N = 4 * RATE, BINS = 256 };
    unit u = make(RATE, 256, VC_CPU_AUTO);
    uint32_t seed = 5;
    vc_test_speechlike(far, N, RATE, &seed);
    vc_test_room(h, TAIL, RATE, 200.0, &seed);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, N, h, TAIL, 0, near);
    double expected = 0.0, left = 0.0;
    for (int at = 0; at + u.block <= N; at += u.block) {
        run(&u, at, at + u.block);
        if (at < N / 2) continue;
        const float *residual = vc_echo_filter_residual(u.filter);
        for (int k = 0; k < BINS; k++) expected += (double)residual[k] / BINS;
        for (int i = at; i < at + u.block; i++)
            left += (double)(near[i] - echo[i]) * (double)(near[i] - echo[i]);
    }
    VC_CHECK(fabs(vc_test_ratio_db(expected, left)) < 8.0);
    destroy(&u);
}

VC_TEST(the_path_can_be_moved)
{
    /* Oracle: the same path, later by so much. 5.5 samples without the shift would cost it all. */
    enum { RATE = 16000, N = 3 * RATE, MORE = RATE / 5 };
    for (int move = -6; move <= 6; move += 4) {
        unit u = make(RATE, 128, VC_CPU_AUTO);
        sparse(RATE / 10);
        scene(N + MORE, 20, 6);
        run(&u, 0, N);
        memset(near, 0, sizeof near);
        vc_test_add_echo(far, N + MORE, h, TAIL, 20 + move, near);
        vc_echo_filter_shift(u.filter, (float)move);
        run(&u, N, N + MORE);
        VC_CHECK(erle_db(N, N + MORE) > 20.0);
        destroy(&u);
    }
}

VC_TEST(unsettled_it_learns_a_new_path_sooner)
{
    enum { RATE = 16000, N = 3 * RATE, MORE = RATE / 2 };
    double erle[2];
    for (int unsettled = 0; unsettled < 2; unsettled++) {
        unit u = make(RATE, 128, VC_CPU_AUTO);
        sparse(RATE / 10);
        scene(N + MORE, 20, 6);
        run(&u, 0, N);
        memset(near, 0, sizeof near);
        vc_test_add_echo(far, N + MORE, h, TAIL, 60, near);
        if (unsettled) vc_echo_filter_unsettle(u.filter, 0.1f);
        run(&u, N, N + MORE);
        erle[unsettled] = erle_db(N + MORE / 2, N + MORE);
        destroy(&u);
    }
    VC_CHECK(erle[1] > erle[0] + 1.0);
    VC_CHECK(erle[1] > 4.0);
}

VC_TEST(idle_gives_zeros_and_wakes)
{
    enum { RATE = 8000, N = 2 * RATE };
    unit u = make(RATE, 256, VC_CPU_AUTO);
    sparse(RATE / 5);
    scene(N, 0, 7);
    run(&u, 0, N);
    const double before = erle_db(N - RATE / 4, N);
    VC_CHECK(!vc_echo_filter_is_idle(u.filter));
    memset(far, 0, sizeof far);
    uint32_t seed = 8;
    vc_test_white(near, N, 0.3f, &seed);
    run(&u, 0, N);
    VC_CHECK(vc_echo_filter_is_idle(u.filter));
    int zeros = 1;
    for (int i = N - RATE; i < N; i++) zeros &= echo[i] == 0.0f;
    for (size_t k = 0; k < vc_echo_filter_size(RATE) / 2; k++)
        zeros &= vc_echo_filter_residual(u.filter)[k] == 0.0f;
    VC_CHECK(zeros);
    scene(N, 0, 9);
    run(&u, 0, N);
    VC_CHECK(!vc_echo_filter_is_idle(u.filter));
    VC_CHECK(erle_db(RATE / 4, RATE / 2) > before - 10.0); /* the path was kept */
    destroy(&u);
}

VC_TEST(reset_is_new_and_levels_agree)
{
    /* Levels: f32 sums in another order and fused, fed back by the learning; bound -80 dB. */
    enum { RATE = 16000, N = 2 * RATE };
    static float first[N];
    unit new_one = make(RATE, 256, VC_CPU_AUTO), used = make(RATE, 256, VC_CPU_AUTO);
    sparse(RATE / 5);
    scene(N, 0, 10);
    run(&used, 0, N);
    vc_echo_filter_reset(used.filter);
    scene(N, 11, 12);
    run(&new_one, 0, N);
    memcpy(first, echo, sizeof first);
    run(&used, 0, N);
    VC_CHECK(memcmp(first, echo, sizeof first) == 0);
    destroy(&new_one);
    destroy(&used);
    unit plain = make(RATE, 256, VC_CPU_C);
    run(&plain, 0, N);
    memcpy(first, echo, sizeof first);
    destroy(&plain);
    for (int level = VC_CPU_NEON; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        unit wide = make(RATE, 256, usable);
        run(&wide, 0, N);
        double off = 0.0;
        for (int i = 0; i < N; i++)
            off += (double)(first[i] - echo[i]) * (double)(first[i] - echo[i]);
        VC_CHECK(vc_test_ratio_db(off, vc_test_power(first, N)) < -80.0);
        destroy(&wide);
    }
}

VC_TEST(a_soft_clip_is_learnt)
{
    /* tanh, 30 dB of distortion: without it the echo leaves no more. Bound: 8 dB better. */
    enum { RATE = 16000, N = 6 * RATE };
    unit u = make(RATE, 64, VC_CPU_AUTO);
    sparse(RATE / 20);
    uint32_t seed = 6;
    vc_test_white(far, N, 0.6f, &seed);
    for (int i = N - 1; i >= 2; i--) far[i] = 0.5f * (far[i] - far[i - 2]);
    double linear = 0.0, own = 0.0, left = 0.0;
    static float clipped[N];
    for (int i = 0; i < N; i++) {
        clipped[i] = tanhf(far[i]);
        linear += (double)clipped[i] * (double)far[i];
        own += (double)far[i] * (double)far[i];
    }
    for (int i = 0; i < N; i++) {
        const double off = (double)clipped[i] - linear / own * (double)far[i];
        left += off * off;
    }
    const double distortion_db = vc_test_ratio_db(left, vc_test_power(clipped, N));
    memset(near, 0, sizeof near);
    vc_test_add_echo(clipped, N, h, TAIL, 0, near);
    run(&u, 0, N);
    VC_CHECK(erle_db(N - RATE, N) > -distortion_db + 8.0);
    destroy(&u);
}

VC_TEST(what_is_foretold_is_what_comes)
{
    enum { RATE = 16000, N = 2 * RATE, MORE = RATE / 10 };
    float foretold[MOST_BLOCK];
    unit u = make(RATE, 128, VC_CPU_AUTO);
    sparse(RATE / 10);
    scene(N + MORE, 0, 11);
    run(&u, 0, N);
    const double before = erle_db(N - RATE / 2, N);
    for (int at = N; at + u.block <= N + MORE; at += u.block) {
        vc_echo_filter_foretell(u.filter, far + at, foretold);
        memcpy(echo + at, foretold, sizeof foretold);
    }
    VC_CHECK(erle_db(N, N + MORE) > before - 3.0);
    VC_CHECK(vc_echo_filter_misfit(u.filter) == 0.0f && vc_echo_filter_is_proven(u.filter));
    destroy(&u);
}

VC_TEST(rejects_and_memory)
{
    unit u = make(16000, 64, VC_CPU_AUTO);
    vc_echo_filter *filter;
    vc_echo_filter_config config = {16000, 256, VC_CPU_AUTO, u.spectrum, NULL};
    VC_CHECK_EQ(vc_echo_filter_create(NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_echo_filter_create(&filter, NULL), VC_E_NULL);
    config.spectrum = NULL;
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_NULL);
    config.spectrum = u.spectrum;
    config.rate_hz = 48000;
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_RATE);
    VC_CHECK(filter == NULL);
    config.rate_hz = 8000; /* the spectrum is of 16 kHz */
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_LENGTH);
    config.rate_hz = 16000;
    config.tail_ms = 257;
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_RANGE);
    config.tail_ms = 63;
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_RANGE);
    config.tail_ms = 64;
    config.cpu_level = (vc_cpu_level)77;
    VC_CHECK_EQ(vc_echo_filter_create(&filter, &config), VC_E_RANGE);
    vc_echo_filter_destroy(NULL);
    config.cpu_level = VC_CPU_AUTO;
    for (long fail_at = 0; fail_at < 2; fail_at++) {
        vc_test_heap heap = {0, 0, fail_at};
        vc_allocator allocator = vc_test_allocator(&heap);
        config.allocator = &allocator;
        const vc_status status = vc_echo_filter_create(&filter, &config);
        VC_CHECK_EQ(status, fail_at ? VC_OK : VC_E_MEMORY);
        if (status == VC_OK) {
            unit other = {u.spectrum, filter, 16000, 160};
            run(&other, 0, 16000);
            VC_CHECK_EQ(heap.total, 1);
            vc_echo_filter_destroy(filter);
        }
        VC_CHECK_EQ(heap.live, 0);
    }
    destroy(&u);
}

VC_MAIN(VC_RUN(learns_a_path_that_can_be_read_back)
            VC_RUN(trust_is_lost_without_echo_and_won_with_it)
                VC_RUN(the_residual_tells_what_is_left) VC_RUN(the_path_can_be_moved)
                    VC_RUN(unsettled_it_learns_a_new_path_sooner) VC_RUN(idle_gives_zeros_and_wakes)
                        VC_RUN(reset_is_new_and_levels_agree) VC_RUN(a_soft_clip_is_learnt)
                            VC_RUN(what_is_foretold_is_what_comes) VC_RUN(rejects_and_memory))
