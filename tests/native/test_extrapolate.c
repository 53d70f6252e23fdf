/* vc_extrapolate: a vowel goes on in phase, in either direction and from as little as 15 ms;
 * silence stays silent; how the calls slice it does not matter; a place can be returned to.
 * Quality on speech: tests/unit/test_conceal.py. */
#include "dsp/vc_extrapolate.h"

#include "vc_test_voice.h"

enum { MOST = 48000 / 2, ORDER = VC_LPC_ORDER };

static const int rates[] = {8000, 16000, 44100, 48000};
enum { RATES = sizeof rates / sizeof *rates };
static int16_t truth[MOST], turned[MOST];
static float row[ORDER + MOST], other[ORDER + MOST];

static vc_extrapolate *make(int rate_hz)
{
    vc_extrapolate *extrapolate = NULL;
    VC_NEED(vc_extrapolate_create(&extrapolate, rate_hz, NULL) == VC_OK);
    return extrapolate;
}

static double likeness(const float *a, const int16_t *b, int n)
{
    double ab = 0.0, aa = 1.0, bb = 1.0;
    for (int i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

VC_TEST(rejects_bad_rates_and_returns_what_it_took)
{
    vc_extrapolate *extrapolate;
    VC_CHECK_EQ(vc_extrapolate_create(NULL, 8000, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_extrapolate_create(&extrapolate, 7950, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_extrapolate_create(&extrapolate, 48050, NULL), VC_E_RATE);
    for (int fail = 0; fail < 2; fail++) {
        vc_test_heap heap = {0, 0, fail};
        vc_allocator allocator = vc_test_allocator(&heap);
        VC_CHECK_EQ(vc_extrapolate_create(&extrapolate, 8000, &allocator), VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    vc_extrapolate_destroy(NULL);
}

/* 10 ms are like the vowel itself: 0.9 after 20 or 36 ms of it. From 20 or 15 ms, where only lags
 * up to 12 or 7 ms can be seen, a voice of 160 Hz and up; 0.7 after 15 ms, with too few periods to
 * make up for a lag that is half a sample off. */
VC_TEST(a_vowel_goes_on_both_ways)
{
    for (int r = 0; r < RATES; r++)
        for (double f0 = 90.0; f0 < 300.0; f0 *= 1.17) {
            int rate = rates[r], n = rate / 2, half = n / 2, part = rate / 100;
            vc_test_vowel(truth, rate, n, f0, 12000.0);
            for (int i = 0; i < n; i++) turned[i] = truth[n - 1 - i];
            vc_extrapolate *extrapolate = make(rate);
            for (int back = 0; back < 2; back++) {
                const int16_t *end = (back ? turned : truth) + half;
                const int given_ms[] = {36, 20, 15};
                for (int k = 0; k < 3; k++) {
                    if (given_ms[k] < 36 && f0 < 160.0) continue;
                    size_t given = (size_t)(rate * given_ms[k] / 1000);
                    vc_extrapolate_begin(extrapolate, end, given);
                    vc_extrapolate_next(extrapolate, row + ORDER, (size_t)part);
                    VC_CHECK(likeness(row + ORDER, end, part) > (k == 2 ? 0.7 : 0.9));
                }
            }
            VC_CHECK(vc_extrapolate_trend(extrapolate) > 0.9f);
            vc_extrapolate_destroy(extrapolate);
        }
}

VC_TEST(reads_no_further_than_told)
{
    for (int r = 0; r < RATES; r++) {
        vc_extrapolate *extrapolate = make(rates[r]);
        size_t n = vc_extrapolate_least_samples(extrapolate);
        VC_CHECK_EQ(n, rates[r] * 15 / 1000);
        for (; n < (size_t)rates[r] / 25; n += 1 + n / 50) {
            int16_t *exact = malloc(n * sizeof *exact); /* the sanitizer watches its ends */
            VC_NEED(exact != NULL);
            uint32_t seed = 3;
            vc_test_noise(exact, (int)n, 9000, &seed);
            vc_extrapolate_begin(extrapolate, exact + n, n);
            vc_test_tone(exact, rates[r], 0, (int)n, 390.0, 9000.0);
            vc_extrapolate_begin(extrapolate, exact + n, n);
            VC_CHECK(vc_extrapolate_period_samples(extrapolate) <= n);
            free(exact);
        }
        vc_extrapolate_destroy(extrapolate);
    }
}

VC_TEST(silence_stays_silent)
{
    vc_extrapolate *extrapolate = make(8000);
    memset(truth, 0, sizeof truth);
    for (int round = 0; round < 2; round++) { /* before begin, and after silence */
        vc_extrapolate_next(extrapolate, row + ORDER, 800);
        for (int i = 0; i < 800; i++) VC_CHECK(row[ORDER + i] == 0.0f);
        vc_extrapolate_begin(extrapolate, truth + 400, 288);
    }
    vc_extrapolate_destroy(extrapolate);
}

/* The first call gives at least 5 ms, as it says; noise, so both excitations are at work. */
VC_TEST(slices_and_reset)
{
    enum { N = 4000, FIRST = 40 };
    uint32_t seed = 9;
    vc_test_vowel(truth, 8000, 4000, 140.0, 9000.0);
    vc_test_noise(turned, 4000, 3000, &seed);
    for (int i = 0; i < 4000; i++) truth[i] = (int16_t)(truth[i] + turned[i]);
    vc_extrapolate *one = make(8000), *used = make(8000);
    vc_extrapolate_begin(used, truth + 999, 288);
    vc_extrapolate_next(used, other + ORDER, 100);
    vc_extrapolate_reset(used);
    vc_extrapolate_begin(one, truth + 4000, 288);
    vc_extrapolate_begin(used, truth + 4000, 288);
    vc_extrapolate_next(one, row + ORDER, N);
    for (int at = 0, n = FIRST; at < N; at += n, n = 1 + (int)(vc_test_random(&seed) % 300)) {
        if (n > N - at) n = N - at;
        float piece[ORDER + 300];
        vc_extrapolate_next(used, piece + ORDER, (size_t)n);
        memcpy(other + ORDER + at, piece + ORDER, (size_t)n * sizeof *piece);
    }
    VC_CHECK(memcmp(row + ORDER, other + ORDER, N * sizeof *row) == 0);
    vc_extrapolate_destroy(one);
    vc_extrapolate_destroy(used);
}

VC_MAIN(VC_RUN(rejects_bad_rates_and_returns_what_it_took) VC_RUN(a_vowel_goes_on_both_ways)
            VC_RUN(reads_no_further_than_told) VC_RUN(silence_stays_silent)
                VC_RUN(slices_and_reset))
