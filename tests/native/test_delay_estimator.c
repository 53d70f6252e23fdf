/* vc_delay_estimator: known delays of noise and of what is like speech, a jump, none. Oracle: the
 * delay that made the echo. Bounds: 0.5 ms, found within 0.6 s; chance stays below 15. */
#include "aec/vc_delay_estimator.h"

#include "vc_test_echo.h"

enum { MOST = 10 * 16000 };
static float far[MOST], near[MOST];

static vc_delay_estimator *make(int rate_hz, vc_cpu_level level)
{
    vc_delay_estimator *estimator;
    VC_NEED(vc_delay_estimator_create(&estimator, rate_hz, level, NULL) == VC_OK);
    return estimator;
}

/* The echo 12 dB down, noise 20 dB below it. */
static void scene(int n, int rate_hz, int speech, int delay, int from, uint32_t seed)
{
    if (speech)
        vc_test_speechlike(far, n, rate_hz, &seed);
    else
        vc_test_white(far, n, 0.1f, &seed);
    const float noise = 0.025f * (float)sqrt(vc_test_power(far, n) / n);
    for (int i = from; i < n; i++)
        near[i] =
            (i < delay ? 0.0f : 0.25f * far[i - delay]) + 1.7f * noise * vc_test_uniform(&seed);
}

typedef struct found {
    int first; /* block from which on it was right and sure without a break; or -1 */
    vc_delay_estimate last;
    float most; /* confidence */
} found;

static found run(vc_delay_estimator *estimator, int rate_hz, int from, int n, int delay)
{
    const int block = rate_hz / 100;
    found f = {-1, {-1.0f, 0.0f, 0.0f}, 0.0f};
    for (int at = from; at + block <= from + n; at += block) {
        vc_delay_estimate now;
        const vc_status status = vc_delay_estimator_process(estimator, far + at, near + at, &now);
        VC_CHECK(status == VC_OK || status == VC_NEED_MORE);
        if (status != VC_OK) continue;
        const int right = fabsf(now.delay_samples - (float)delay) <= 0.0005f * (float)rate_hz;
        if (!right || now.confidence < 20.0f)
            f.first = -1;
        else if (f.first < 0)
            f.first = (at - from) / block;
        f.last = now;
        f.most = fmaxf(f.most, now.confidence);
    }
    return f;
}

VC_TEST(known_delays)
{
    static const int delays_ms[] = {0, 1, 16, 37, 100, 250, 500, 820, 1000};
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int speech = 0; speech < 2; speech++)
            for (size_t d = 0; d < sizeof delays_ms / sizeof *delays_ms; d++) {
                const int delay = delays_ms[d] * rate_hz / 1000, n = 3 * rate_hz;
                vc_delay_estimator *estimator = make(rate_hz, VC_CPU_AUTO);
                scene(n, rate_hz, speech, delay, 0, 11 + (uint32_t)d);
                const found f = run(estimator, rate_hz, 0, n, delay);
                VC_CHECK(f.first >= 0);
                VC_CHECK(f.first <= delays_ms[d] / 10 + 60);
                vc_delay_estimator_destroy(estimator);
            }
}

VC_TEST(a_jump_is_found)
{
    enum { RATE = 16000, N = 8 * RATE };
    const int before = RATE / 10, after = 18 * RATE / 100;
    vc_delay_estimator *estimator = make(RATE, VC_CPU_AUTO);
    scene(N, RATE, 1, before, 0, 5);
    VC_CHECK(run(estimator, RATE, 0, N / 2, before).first >= 0);
    scene(N, RATE, 1, after, N / 2, 5);
    const found f = run(estimator, RATE, N / 2, N / 2, after);
    VC_CHECK(f.first >= 0 && f.first <= 80);
    vc_delay_estimator_destroy(estimator);
}

VC_TEST(who_forgets_finds_a_jump_sooner)
{
    enum { RATE = 16000, N = 8 * RATE };
    const int before = RATE / 10, after = 18 * RATE / 100;
    int first[2];
    for (int forgets = 0; forgets < 2; forgets++) {
        vc_delay_estimator *estimator = make(RATE, VC_CPU_AUTO);
        scene(N, RATE, 0, before, 0, 5);
        (void)run(estimator, RATE, 0, N / 2, before);
        scene(N, RATE, 0, after, N / 2, 5);
        if (forgets) vc_delay_estimator_forget(estimator);
        const found f = run(estimator, RATE, N / 2, N / 2, after);
        first[forgets] = f.first;
        VC_CHECK(f.last.seconds > 0.4f && f.last.seconds < 0.54f);
        vc_delay_estimator_destroy(estimator);
    }
    VC_CHECK(first[1] >= 0 && first[1] <= 20 && first[1] < first[0] - 10);
}

VC_TEST(nothing_is_found_in_nothing)
{
    enum { RATE = 16000, N = 10 * RATE };
    vc_delay_estimator *estimator = make(RATE, VC_CPU_AUTO);
    uint32_t seed = 21, other = 22;
    vc_test_speechlike(far, N, RATE, &seed);
    vc_test_speechlike(near, N, RATE, &other);
    VC_CHECK(run(estimator, RATE, 0, N, 0).most < 15.0f);
    /* Silence at either end: no estimate without far end, no confidence without near end. */
    vc_delay_estimator_reset(estimator);
    memset(far, 0, sizeof far);
    VC_CHECK_EQ(run(estimator, RATE, 0, N, 0).most, 0.0f);
    vc_test_speechlike(far, N, RATE, &seed);
    memset(near, 0, sizeof near);
    vc_delay_estimator_reset(estimator);
    VC_CHECK_EQ(run(estimator, RATE, 0, N, 0).most, 0.0f);
    vc_delay_estimator_destroy(estimator);
}

VC_TEST(an_echo_is_as_loud_as_its_sound_and_turns_are_not)
{
    enum { RATE = 16000, N = 4 * RATE };
    vc_delay_estimator *estimator = make(RATE, VC_CPU_AUTO);
    scene(N, RATE, 1, 4000, 0, 5);
    (void)run(estimator, RATE, 0, N, 4000);
    VC_CHECK(vc_delay_estimator_likeness(estimator, 4000.0f) > 0.85f);
    VC_CHECK(vc_delay_estimator_likeness(estimator, 16000.0f) < 0.6f);
    /* The far end falls silent, and 0.3 s later the near end speaks for 0.7 s. */
    memset(far + N - RATE, 0, RATE * sizeof(float));
    for (int i = 0; i < N; i++) near[i] = 0.0f;
    uint32_t seed = 3;
    vc_test_speechlike(near + N - 7 * RATE / 10, 7 * RATE / 10, RATE, &seed);
    vc_delay_estimator_reset(estimator);
    (void)run(estimator, RATE, 0, N, 0);
    for (int delay = 0; delay <= RATE; delay += 100)
        VC_CHECK(vc_delay_estimator_likeness(estimator, (float)delay) < 0.5f);
    /* Silence is like nothing. */
    vc_delay_estimator_reset(estimator);
    VC_CHECK_EQ(vc_delay_estimator_likeness(estimator, 0.0f), 0.0f);
    vc_delay_estimator_destroy(estimator);
}

VC_TEST(reset_is_new_and_levels_agree)
{
    enum { RATE = 16000, N = 2 * RATE, BLOCK = RATE / 100 };
    vc_delay_estimator *new_one = make(RATE, VC_CPU_AUTO), *used = make(RATE, VC_CPU_AUTO);
    scene(N, RATE, 0, 0, 0, 8);
    (void)run(used, RATE, 0, N, 0);
    vc_delay_estimator_reset(used);
    scene(N, RATE, 1, 1234, 0, 9);
    for (int at = 0; at < N; at += BLOCK) {
        vc_delay_estimate a = {0}, b = {0};
        const vc_status one = vc_delay_estimator_process(new_one, far + at, near + at, &a);
        VC_CHECK_EQ(vc_delay_estimator_process(used, far + at, near + at, &b), one);
        VC_CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    vc_delay_estimator_destroy(new_one);
    vc_delay_estimator_destroy(used);
    vc_delay_estimator *plain = make(RATE, VC_CPU_C);
    const found right = run(plain, RATE, 0, N, 1234);
    vc_delay_estimator_destroy(plain);
    for (int level = VC_CPU_NEON; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        vc_delay_estimator *wide = make(RATE, usable);
        const found f = run(wide, RATE, 0, N, 1234);
        VC_CHECK_EQ(f.first, right.first);
        VC_CHECK(fabsf(f.last.delay_samples - right.last.delay_samples) < 0.1f);
        VC_CHECK(fabsf(f.last.confidence / right.last.confidence - 1.0f) < 0.01f);
        vc_delay_estimator_destroy(wide);
    }
}

VC_TEST(who_asks_seldom_hears_the_same)
{
    /* Oracle: one that is asked for each estimate. Bit for bit. */
    enum { RATE = 8000, N = 3 * RATE, BLOCK = RATE / 100 };
    vc_delay_estimator *often = make(RATE, VC_CPU_AUTO), *seldom = make(RATE, VC_CPU_AUTO);
    scene(N, RATE, 1, 777, 0, 14);
    int asked = 0;
    for (int at = 0; at < N; at += BLOCK) {
        vc_delay_estimate a = {0}, b = {0};
        const int ask = at / BLOCK % 50 > 40;
        const vc_status one = vc_delay_estimator_process(often, far + at, near + at, &a);
        const vc_status two =
            vc_delay_estimator_process(seldom, far + at, near + at, ask ? &b : NULL);
        VC_CHECK_EQ(two, ask ? one : VC_NEED_MORE);
        if (!ask || one != VC_OK) continue;
        asked++;
        VC_CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    VC_CHECK(asked > 20);
    vc_delay_estimator_destroy(often);
    vc_delay_estimator_destroy(seldom);
}

VC_TEST(at_rest_silence_is_not_looked_at)
{
    /* Noise at -75 dBFS is nothing; an echo that follows it is found as without rest. */
    enum { RATE = 8000, N = 4 * RATE, BLOCK = RATE / 100, DELAY = 500 };
    vc_delay_estimator *estimator = make(RATE, VC_CPU_AUTO);
    vc_delay_estimator_rest(estimator, 1);
    scene(N, RATE, 1, DELAY, 0, 15);
    uint32_t seed = 16;
    vc_test_white(near, N / 2, 3e-4f, &seed);
    vc_delay_estimate now;
    for (int at = 0; at < N / 2; at += BLOCK)
        VC_CHECK_EQ(vc_delay_estimator_process(estimator, far + at, near + at, &now), VC_NEED_MORE);
    const found f = run(estimator, RATE, N / 2, N / 2, DELAY);
    VC_CHECK(f.first >= 0 && f.first <= 60);
    vc_delay_estimator_destroy(estimator);
}

VC_TEST(rejects_and_memory)
{
    vc_delay_estimator *estimator;
    VC_CHECK_EQ(vc_delay_estimator_create(NULL, 8000, VC_CPU_AUTO, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_delay_estimator_create(&estimator, 44100, VC_CPU_AUTO, NULL), VC_E_RATE);
    VC_CHECK(estimator == NULL);
    VC_CHECK_EQ(vc_delay_estimator_create(&estimator, 8000, (vc_cpu_level)77, NULL), VC_E_RANGE);
    VC_CHECK(estimator == NULL);
    vc_delay_estimator_destroy(NULL);
    for (long fail_at = 0;; fail_at++) {
        vc_test_heap heap = {0, 0, fail_at};
        vc_allocator allocator = vc_test_allocator(&heap);
        vc_status status = vc_delay_estimator_create(&estimator, 16000, VC_CPU_AUTO, &allocator);
        if (status == VC_OK) {
            const long made = heap.total;
            (void)run(estimator, 16000, 0, 16000, 1234);
            VC_CHECK_EQ(heap.total, made);
            vc_delay_estimator_destroy(estimator);
        } else {
            VC_CHECK_EQ(status, VC_E_MEMORY);
            VC_CHECK(estimator == NULL);
        }
        VC_CHECK_EQ(heap.live, 0);
        if (status == VC_OK) break;
    }
}

VC_MAIN(VC_RUN(known_delays) VC_RUN(a_jump_is_found) VC_RUN(who_forgets_finds_a_jump_sooner)
            VC_RUN(nothing_is_found_in_nothing)
                VC_RUN(an_echo_is_as_loud_as_its_sound_and_turns_are_not)
                    VC_RUN(reset_is_new_and_levels_agree) VC_RUN(who_asks_seldom_hears_the_same)
                        VC_RUN(at_rest_silence_is_not_looked_at) VC_RUN(rejects_and_memory))
