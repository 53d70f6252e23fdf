/* vc_echo_drift: a known drift is found and held. Oracle: the drift of two sums of sines, computed
 * in double. Bounds: 3 ppm alone and 15 ppm under a caller as loud as the echo; the delay that is
 * left within 0.05 samples. */
#include "aec/vc_echo_drift.h"

#include "vc_test_echo.h"

enum { BLOCK = 160, SINES = 24 };

/* A signal that can be read at any place, speech-like in band and level. */
static double signal_at(double t)
{
    double sum = 0.0;
    for (int k = 0; k < SINES; k++) {
        const double turn = 2.0 * VC_TEST_PI * (200.0 + 117.3 * k) / 16000.0;
        sum += 0.02 * sin(turn * t + 1.7 * k * k);
    }
    return sum;
}

typedef struct course {
    double ppm, left, worst; /* found; the delay that is left at the end, its worst of late */
} course;

static course run(double ppm, int blocks, double caller, int jump_at, double jump)
{
    vc_echo_drift drift;
    vc_echo_drift_reset(&drift);
    double reference = 0.0, offset = 0.0;
    uint32_t seed = 9;
    course c = {0.0, 0.0, 0.0};
    for (int b = 0; b < blocks; b++) {
        float echo[BLOCK], error[BLOCK];
        if (b == jump_at) {
            offset = jump;
            vc_echo_drift_jumped(&drift);
        }
        for (int i = 0; i < BLOCK; i++) {
            const double t = (double)b * BLOCK + i;
            const double y = signal_at(t - reference);
            const double d = signal_at(t - offset - ppm * 1e-6 * t);
            echo[i] = (float)y;
            error[i] = (float)(d - y + caller * (double)vc_test_uniform(&seed));
        }
        reference += vc_echo_drift_update(&drift, echo, error, BLOCK);
        c.left = offset + ppm * 1e-6 * (b + 1) * BLOCK - reference;
        if (b >= blocks * 3 / 4) c.worst = fmax(c.worst, fabs(c.left));
    }
    c.ppm = vc_echo_drift_ppm(&drift, BLOCK);
    return c;
}

VC_TEST(known_drifts)
{
    static const double ppms[] = {0.0, 20.0, 100.0, -100.0, 200.0, -300.0};
    for (size_t i = 0; i < sizeof ppms / sizeof *ppms; i++) {
        const course alone = run(ppms[i], 600, 0.0, -1, 0.0);
        VC_CHECK(fabs(alone.ppm - ppms[i]) < 3.0);
        VC_CHECK(alone.worst < 0.05);
        const course both = run(ppms[i], 1200, 0.12, -1, 0.0); /* 0.12: 0 dB */
        VC_CHECK(fabs(both.ppm - ppms[i]) < 15.0);
        VC_CHECK(both.worst < 0.2);
    }
}

VC_TEST(a_jump_leaves_the_drift)
{
    const course c = run(100.0, 900, 0.0, 600, 0.8);
    VC_CHECK(fabs(c.ppm - 100.0) < 5.0);
    VC_CHECK(fabs(c.left) < 0.05);
}

VC_TEST(bounds_and_silence)
{
    /* Beyond the most it holds the most. Silence changes nothing. */
    const course wild = run(5000.0, 600, 0.0, -1, 0.0);
    VC_CHECK(wild.ppm <= VC_ECHO_DRIFT_MAX_PPM + 1e-6);
    vc_echo_drift drift;
    vc_echo_drift_reset(&drift);
    VC_CHECK_EQ(vc_echo_drift_ppm(&drift, BLOCK), 0);
    drift.per_block = 0.01;
    const float silence[BLOCK] = {0};
    float noise[BLOCK];
    uint32_t seed = 4;
    vc_test_white(noise, BLOCK, 1.0f, &seed);
    int held = 1;
    for (int b = 0; b < 360000; b++) /* an hour */
        held &= vc_echo_drift_update(&drift, silence, noise, BLOCK) == 0.01;
    VC_CHECK(held);
    VC_CHECK(fabs(vc_echo_drift_ppm(&drift, BLOCK) - 62.5) < 1e-9);
    const double moved = vc_echo_drift_update(&drift, noise, noise, BLOCK);
    VC_CHECK(isfinite(moved) && fabs(moved) <= 2.0);
    VC_CHECK(isfinite(drift.p[0]) && isfinite(drift.p[1]) && isfinite(drift.p[2]));
}

VC_MAIN(VC_RUN(known_drifts) VC_RUN(a_jump_leaves_the_drift) VC_RUN(bounds_and_silence))
