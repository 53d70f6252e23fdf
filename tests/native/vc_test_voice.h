/* vc_test_voice: tones and a synthetic vowel for the tests of pitch, stretch and concealment. */
#ifndef VC_TEST_VOICE_H
#define VC_TEST_VOICE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vc_test.h"

#define VC_TEST_PI 3.14159265358979

static inline void vc_test_tone(int16_t *samples, int rate_hz, int start, int n, double hz,
                                double level)
{
    for (int i = 0; i < n; i++)
        samples[i] = (int16_t)lrint(level * sin(2.0 * VC_TEST_PI * hz * (start + i) / rate_hz));
}

/* Pulses at f0_hz through resonators at 700, 1220 and 2600 Hz (an "a"), peak about `level`. */
static inline void vc_test_vowel(int16_t *samples, int rate_hz, int n, double f0_hz, double level)
{
    const double formant[3] = {700.0, 1220.0, 2600.0}, width[3] = {80.0, 100.0, 150.0};
    double state[3][2] = {{0}}, next = 1.0, period = rate_hz / f0_hz, peak = 0.0;
    double *out = calloc((size_t)n, sizeof *out);
    VC_NEED(out != NULL);
    for (int i = 0; i < n; i++) {
        /* A pulse between two samples is shared by them. */
        double x = fmax(0.0, 1.0 - fabs(i - next)) + fmax(0.0, 1.0 - fabs(i - next + period));
        if (i >= next) next += period;
        for (int k = 0; k < 3; k++) {
            double r = exp(-VC_TEST_PI * width[k] / rate_hz);
            double y = x + 2.0 * r * cos(2.0 * VC_TEST_PI * formant[k] / rate_hz) * state[k][0] -
                       r * r * state[k][1];
            state[k][1] = state[k][0];
            state[k][0] = y;
            out[i] += y;
        }
        peak = fabs(out[i]) > peak ? fabs(out[i]) : peak;
    }
    for (int i = 0; i < n; i++) samples[i] = (int16_t)lrint(level * out[i] / peak);
    free(out);
}

static inline void vc_test_noise(int16_t *samples, int n, int level, uint32_t *seed)
{
    for (int i = 0; i < n; i++)
        samples[i] = (int16_t)((int)(vc_test_random(seed) % (2u * (unsigned)level + 1)) - level);
}

static inline int vc_test_biggest_step(const int16_t *samples, int n)
{
    int biggest = 0;
    for (int i = 1; i < n; i++) {
        int step = abs(samples[i] - samples[i - 1]);
        biggest = step > biggest ? step : biggest;
    }
    return biggest;
}

#endif
