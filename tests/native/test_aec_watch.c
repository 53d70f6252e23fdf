/* vc_aec where nothing comes back: the input passes bit for bit, and an echo that begins later is
 * found and goes as quickly as one at the start. Oracles: the input itself; a simulated room's
 * echo. Bounds: 20 dB from 1.5 s behind the echo's begin on (2 s where a caller was heard just
 * before), its delay within 2 ms (a room has more than one peak); 3 s of the far end's voice until
 * the input passes. */
#include "aec/vc_aec.h"

#include "vc_test_echo.h"

enum { LONG_S = 64, MOST = LONG_S * 8000, TAIL = 3200 };
static float far[MOST], near[MOST], caller[MOST], h[TAIL];
static int16_t far_s16[MOST], near_s16[MOST], out_s16[MOST], other_s16[MOST];

static vc_aec *make(int rate_hz)
{
    vc_aec_config config = vc_aec_config_default();
    config.rate_hz = rate_hz;
    vc_aec *aec;
    VC_NEED(vc_aec_create(&aec, &config) == VC_OK);
    return aec;
}

static void to_s16(const float *x, int16_t *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (int16_t)lrintf(fmaxf(fminf(x[i] * 32768.0f, 32767.0f), -32768.0f));
}

/* Speech-like far end; an echo of it from sample `from` to sample `to`, noise, and callers who
 * speak for 1 s of 4. */
static void scene(int rate_hz, int n, int delay_ms, int from, int to, float noise, int callers,
                  uint32_t seed)
{
    vc_test_speechlike(far, n, rate_hz, &seed);
    vc_test_room(h, TAIL, rate_hz, 100.0, &seed);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, n, h, rate_hz / 16, delay_ms * rate_hz / 1000, near);
    for (int i = 0; i < n; i++)
        near[i] = (i >= from && i < to ? near[i] : 0.0f) + noise * vc_test_uniform(&seed);
    vc_test_speechlike(caller, n, rate_hz, &seed);
    for (int i = 0; i < n; i++)
        if (callers && i / rate_hz % 4 == 3) near[i] += caller[i];
    to_s16(far, far_s16, n);
    to_s16(near, near_s16, n);
}

static double power_s16(const int16_t *x, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

/* Over 0.5 s each, from sample `from` on: the least ratio of input to output. */
static double least_db(int rate_hz, int from, int to)
{
    double least = 100.0;
    const int span = rate_hz / 2, late = rate_hz / 100;
    for (int at = from; at + span <= to; at += span)
        least = fmin(least, vc_test_ratio_db(power_s16(near_s16 + at - late, span),
                                             power_s16(out_s16 + at, span)));
    return least;
}

/* Samples of out that are not those of near, a block later. */
static int changed(int rate_hz, int from, int to)
{
    int count = 0;
    for (int i = from; i < to; i++) count += out_s16[i] != near_s16[i - rate_hz / 100];
    return count;
}

/* The largest step from sample to sample of what was taken out. */
static int steepest(int rate_hz, int from, int to)
{
    int most = 0, before = 0;
    for (int i = from - 1; i < to; i++) {
        const int taken = out_s16[i] - near_s16[i - rate_hz / 100];
        if (i >= from && abs(taken - before) > most) most = abs(taken - before);
        before = taken;
    }
    return most;
}

VC_TEST(what_no_echo_is_in_passes_bit_for_bit)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int kind = 0; kind < 4; kind++) {
            static const float noises[] = {0.0f, 3e-4f, 1e-2f, 3e-4f};
            const int n = 12 * rate_hz, late = rate_hz / 100;
            vc_aec *aec = make(rate_hz);
            scene(rate_hz, n, 60, n, n, noises[kind], kind == 3, 1 + (uint32_t)kind);
            float likely = 0.0f;
            for (int at = 0; at < n; at += late) {
                VC_CHECK_OK(vc_aec_process_s16(aec, near_s16 + at, far_s16 + at, out_s16 + at,
                                               (size_t)late));
                if (at >= 5 * rate_hz) likely = fmaxf(likely, vc_aec_echo_likelihood(aec));
            }
            VC_CHECK_EQ(changed(rate_hz, 5 * rate_hz, n), 0);
            VC_CHECK_EQ(likely, 0.0f);
            VC_CHECK(vc_aec_delay_samples(aec) < 0.0);
            VC_CHECK(fabs(vc_aec_erle_db(aec)) < 3.0f);
            vc_aec_destroy(aec);
        }
}

VC_TEST(a_silent_line_passes_as_soon_as_an_echo_would_have_come)
{
    /* Noise at -65 dBFS: bit for bit from 1.5 s on. Just audible, or with an echo at 0.95 s, it is
     * listened to for longer. */
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int kind = 0; kind < 3; kind++) {
            const int n = 5 * rate_hz, late = rate_hz / 100;
            vc_aec *aec = make(rate_hz);
            scene(rate_hz, n, 950, kind == 2 ? 0 : n, n, kind == 1 ? 6e-3f : 1e-3f, 0, 31);
            for (int at = 0; at < n; at += late)
                VC_CHECK_OK(vc_aec_process_s16(aec, near_s16 + at, far_s16 + at, out_s16 + at,
                                               (size_t)late));
            VC_CHECK_EQ(changed(rate_hz, 3 * rate_hz / 2, 2 * rate_hz) == 0, kind == 0);
            VC_CHECK_EQ(vc_aec_delay_samples(aec) >= 0.0, kind == 2);
            if (kind == 2) VC_CHECK(least_db(rate_hz, 3 * rate_hz, n) > 20.0);
            vc_aec_destroy(aec);
        }
}

VC_TEST(an_echo_that_begins_later_goes)
{
    /* After a minute of none at 8 kHz; after 8 s at 16 kHz. */
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int delay_ms = 20; delay_ms < 600; delay_ms += 250)
            for (int callers = 0; callers < 2; callers++) {
                const int begin = (rate_hz == 8000 ? 60 : 8) * rate_hz, n = begin + 4 * rate_hz;
                vc_aec *aec = make(rate_hz);
                scene(rate_hz, n, delay_ms, begin, n, 3e-4f, 0, 9);
                for (int i = 0; callers && i < begin - rate_hz; i++)
                    if (i / rate_hz % 4 == 3)
                        near_s16[i] = (int16_t)(near_s16[i] + lrintf(20000.0f * caller[i]));
                VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, (size_t)n));
                VC_CHECK_EQ(changed(rate_hz, begin - rate_hz, begin), 0);
                VC_CHECK(least_db(rate_hz, begin + 3 * rate_hz / 2, n) > 20.0);
                VC_CHECK(fabs(vc_aec_delay_samples(aec) * 1000.0 / rate_hz - delay_ms) < 2.0);
                VC_CHECK(vc_aec_echo_likelihood(aec) > 0.5f);
                vc_aec_destroy(aec);
            }
}

VC_TEST(an_echo_that_ends_is_forgotten_and_found_again)
{
    /* 7 s after its end at the latest (3 s of voice, and what it takes to see that the path is
     * wrong) a caller passes bit for bit. No step there: what was taken out of him moves no faster
     * where that ends than in the second before. */
    enum { RATE = 8000, END = 6 * RATE, AGAIN = 20 * RATE, N = 25 * RATE };
    vc_aec *aec = make(RATE);
    scene(RATE, N, 60, 0, END, 3e-4f, 0, 11);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, N, h, RATE / 16, 60 * RATE / 1000, near);
    for (int i = 0; i < N; i++)
        if (i >= END && i < AGAIN) near[i] = i < AGAIN - RATE ? 0.5f * caller[i] : 0.0f;
    to_s16(near, near_s16, N);
    VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, AGAIN));
    VC_CHECK(least_db(RATE, 3 * RATE / 2, END) > 20.0);
    VC_CHECK(vc_aec_delay_samples(aec) < 0.0);
    VC_CHECK_EQ(changed(RATE, AGAIN - 3 * RATE, AGAIN), 0);
    int last = AGAIN - 1;
    while (last > END && out_s16[last] == near_s16[last - RATE / 100]) last--;
    VC_CHECK(last < END + 7 * RATE);
    VC_CHECK(steepest(RATE, last - RATE / 50, last + RATE / 50) <=
             steepest(RATE, last - RATE, last - RATE / 50));
    VC_CHECK_OK(
        vc_aec_process_s16(aec, near_s16 + AGAIN, far_s16 + AGAIN, out_s16 + AGAIN, N - AGAIN));
    VC_CHECK(least_db(RATE, AGAIN + 2 * RATE, N) > 20.0);
    vc_aec_destroy(aec);
}

VC_TEST(slicing_reset_and_a_told_delay)
{
    /* Oracle: one call of a new canceller. 8 s of nothing, then an echo. */
    enum { RATE = 8000, N = 12 * RATE, BLOCK = RATE / 100 };
    vc_aec *one = make(RATE), *two = make(RATE);
    uint32_t seed = 21;
    scene(RATE, N, 60, 8 * RATE, N, 3e-4f, 1, 12);
    VC_CHECK_OK(vc_aec_process_s16(two, near_s16, far_s16, other_s16, 7 * RATE));
    vc_aec_reset(two);
    vc_aec_delay_changed(one, 0);
    VC_CHECK_OK(vc_aec_process_s16(one, near_s16, far_s16, out_s16, N));
    memcpy(other_s16, near_s16, sizeof other_s16);
    for (int at = 0; at < N;) {
        int n = (int)(vc_test_random(&seed) % 9) * BLOCK;
        if (n > N - at) n = N - at;
        VC_CHECK_OK(
            vc_aec_process_s16(two, other_s16 + at, far_s16 + at, other_s16 + at, (size_t)n));
        at += n;
        /* What is told while there is no echo moves nothing. */
        if (at > 6 * RATE && at < 7 * RATE) vc_aec_delay_changed(two, 40);
    }
    VC_CHECK(memcmp(out_s16, other_s16, N * sizeof *out_s16) == 0);
    VC_CHECK(vc_aec_delay_samples(one) > 0.0);
    VC_CHECK(vc_aec_delay_samples(one) == vc_aec_delay_samples(two));
    VC_CHECK(vc_aec_erle_db(one) == vc_aec_erle_db(two));
    vc_aec_destroy(one);
    vc_aec_destroy(two);
}

VC_MAIN(VC_RUN(what_no_echo_is_in_passes_bit_for_bit)
            VC_RUN(a_silent_line_passes_as_soon_as_an_echo_would_have_come)
                VC_RUN(an_echo_that_begins_later_goes)
                    VC_RUN(an_echo_that_ends_is_forgotten_and_found_again)
                        VC_RUN(slicing_reset_and_a_told_delay))
