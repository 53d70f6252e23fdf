/* vc_echo_align: lags of sines and of what is like speech, under a caller, none. Oracle: the lag
 * that the near end was made with. Bounds: 0.1 samples alone, 0.3 under a caller as loud as the
 * echo; the match is 0.4 to 0.95 then, and below 0.35 between strangers. */
#include "aec/vc_echo_align.h"

#include "vc_test_echo.h"

enum { N = VC_ECHO_ALIGN_MAX, MOST = 160, SINES = 40 };

static void sines(float *x, int n, double late)
{
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int k = 0; k < SINES; k++) {
            const double turn = 2.0 * VC_TEST_PI * (200.0 + 60.0 * k + 0.5 * k * k) / 16000.0;
            sum += 0.02 * sin(turn * (i - late) + 1.7 * k * k);
        }
        x[i] = (float)sum;
    }
}

VC_TEST(fractions_of_a_sample)
{
    const double lags[] = {0.0, 0.25, -0.5, 1.4, -37.8, 96.0, 151.3, -159.0};
    float echo[N], near[N];
    sines(echo, N, 0.0);
    for (size_t j = 0; j < sizeof lags / sizeof *lags; j++) {
        sines(near, N, lags[j]);
        const vc_echo_lag lag = vc_echo_align(near, echo, N, MOST);
        VC_CHECK(fabs((double)lag.samples - lags[j]) < 0.1);
        VC_CHECK(lag.match > 0.85f);
    }
}

VC_TEST(under_a_caller)
{
    static float far[N + 2 * MOST], near[N];
    uint32_t seed = 3;
    vc_test_speechlike(far, N + 2 * MOST, 16000, &seed);
    for (int late = -MOST + 1; late < MOST; late += 53) {
        float caller[N];
        vc_test_speechlike(caller, N, 16000, &seed);
        for (int i = 0; i < N; i++) near[i] = far[MOST + i - late] + caller[i];
        const vc_echo_lag lag = vc_echo_align(near, far + MOST, N, MOST);
        VC_CHECK(fabsf(lag.samples - (float)late) < 0.3f);
        VC_CHECK(lag.match > 0.4f && lag.match < 0.95f);
        for (int i = 0; i < N; i++) near[i] = caller[i];
        VC_CHECK(vc_echo_align(near, far + MOST, N, MOST).match < 0.35f);
    }
}

VC_TEST(silence_has_no_match)
{
    float echo[N], near[N];
    sines(echo, N, 0.0);
    memset(near, 0, sizeof near);
    VC_CHECK_EQ(vc_echo_align(near, echo, N, MOST).match, 0.0f);
    VC_CHECK_EQ(vc_echo_align(echo, near, N, MOST).match, 0.0f);
    VC_CHECK_EQ(vc_echo_align(near, near, 960, 80).samples, 0.0f);
    /* An echo upside down is none. */
    for (int i = 0; i < N; i++) near[i] = -echo[i];
    VC_CHECK(vc_echo_align(near, echo, N, 2).match < 0.9f);
}

VC_MAIN(VC_RUN(fractions_of_a_sample) VC_RUN(under_a_caller) VC_RUN(silence_has_no_match))
