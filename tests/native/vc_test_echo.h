/* vc_test_echo: noises, rooms and figures for the tests of the echo canceller's units. */
#ifndef VC_TEST_ECHO_H
#define VC_TEST_ECHO_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vc_cpu.h"
#include "vc_test.h"

#define VC_TEST_PI 3.14159265358979

static inline float vc_test_uniform(uint32_t *seed)
{
    return (float)((double)vc_test_random(seed) / 2147483648.0 - 1.0);
}

static inline void vc_test_white(float *x, int n, float peak, uint32_t *seed)
{
    for (int i = 0; i < n; i++) x[i] = peak * vc_test_uniform(seed);
}

/* Noise with the spectrum's slope and the syllables of speech, -26 dBFS or so while it lasts. */
static inline void vc_test_speechlike(float *x, int n, int rate_hz, uint32_t *seed)
{
    float low = 0.0f, syllable = 1.0f;
    for (int i = 0; i < n; i++) {
        if (i % (rate_hz / 5) == 0) syllable = 0.2f + 0.8f * fabsf(vc_test_uniform(seed));
        const float shape = (float)fabs(sin(VC_TEST_PI * 5.0 * i / rate_hz));
        const float white = vc_test_uniform(seed);
        low = 0.85f * low + white;
        x[i] = 0.06f * syllable * shape * (0.5f * low + 0.25f * white);
    }
}

/* A room: a direct path, then noise that falls by 60 dB in rt60_ms. */
static inline void vc_test_room(float *h, int taps, int rate_hz, double rt60_ms, uint32_t *seed)
{
    memset(h, 0, (size_t)taps * sizeof *h);
    for (int i = 0; i < taps; i++)
        h[i] = (float)(0.08 * pow(10.0, -3000.0 * i / (rt60_ms * rate_hz))) * vc_test_uniform(seed);
    h[0] = 0.5f;
}

/* out[i] += h * x, delayed; before x there is silence. */
static inline void vc_test_add_echo(const float *x, int n, const float *h, int taps, int delay,
                                    float *out)
{
    for (int k = 0; k < taps; k++) {
        if (h[k] == 0.0f) continue;
        for (int i = delay + k; i < n; i++) out[i] += h[k] * x[i - delay - k];
    }
}

static inline double vc_test_power(const float *x, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static inline double vc_test_ratio_db(double over, double under)
{
    return 10.0 * log10((over + 1e-20) / (under + 1e-20));
}

static inline int vc_test_finite(const float *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(x[i])) return 0;
    return 1;
}

/* f32 as it comes back from s16. */
static inline void vc_test_round_s16(float *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = rintf(x[i] * 32768.0f) / 32768.0f;
}

#endif
