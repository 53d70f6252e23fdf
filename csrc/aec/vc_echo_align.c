/* vc_echo_align: see vc_echo_align.h.
 *
 * Correlation of the slopes of both: speech is flatter then, and the peak sharper. A parabola over
 * the peak gives the fraction.
 */
#include "aec/vc_echo_align.h"

#include <math.h>

static float product(const float *restrict a, const float *restrict b, size_t n)
{
    float sum[8] = {0.0f};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

vc_echo_lag vc_echo_align(const float *near, const float *echo, size_t n, size_t most)
{
    float a[VC_ECHO_ALIGN_MAX], b[VC_ECHO_ALIGN_MAX];
    const size_t slopes = n - 1, span = slopes - 2 * most;
    for (size_t i = 0; i < slopes; i++) {
        a[i] = near[i + 1] - near[i];
        b[i] = echo[i + 1] - echo[i];
    }
    /* at: the place in b of what is held against the middle of a; 2 most is the earliest echo. */
    float peak = 0.0f, before = 0.0f, after = 0.0f, last = 0.0f;
    size_t best = most;
    for (size_t at = 0; at <= 2 * most; at++) {
        const float here = product(a + most, b + at, span);
        if (at == best + 1) after = here;
        if (here > peak) {
            peak = here;
            best = at;
            before = last;
            after = 0.0f;
        }
        last = here;
    }
    const float own = product(a + most, a + most, span) * product(b + best, b + best, span);
    if (peak <= 0.0f || own <= 0.0f) return (vc_echo_lag){0.0f, 0.0f};
    float part = 0.0f;
    if (best > 0 && best < 2 * most) {
        const float bend = before + after - 2.0f * peak;
        if (bend < 0.0f) part = 0.5f * (before - after) / bend;
    }
    return (vc_echo_lag){(float)most - ((float)best + part), fminf(peak / sqrtf(own), 1.0f)};
}
