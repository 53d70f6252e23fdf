/* vc_echo_kernels: the echo path as vc_echo_filter keeps it, and what the echo canceller's units
 * have code of each CPU level for (internal). */
#ifndef VC_ECHO_KERNELS_H
#define VC_ECHO_KERNELS_H

#include "base/vc_cpu.h"

enum { VC_ECHO_MAX_PARTS = 13, VC_ECHO_LAG_BINS = 32 };

/* Real and imaginary parts in arrays of their own; bins is a multiple of 16. */
typedef struct vc_echo_path {
    size_t bins, parts;
    const uint16_t *x_re[VC_ECHO_MAX_PARTS]; /* the far end's spectrum for each partition, bf16 */
    const uint16_t *x_im[VC_ECHO_MAX_PARTS];
    float *w_re, *w_im; /* [part][bin]: coefficients */
    float *p;           /* [part][bin]: how far off each may be, squared */
} vc_echo_path;

typedef struct vc_echo_rates {
    float spend;       /* of p that an update takes off, by the share of what it explains */
    float noise_gain;  /* added to p a hop, times |w|^2 */
    float noise_floor; /* added to p a hop */
} vc_echo_rates;

typedef struct vc_echo_kernels {
    /* The echo's spectrum, sum of w x, and its variance, sum of p |x|^2. */
    void (*predict)(const vc_echo_path *path, float *re, float *im, float *variance);
    /* w += p step conj(x) e and p (1 - spend p step |x|^2), plus the process noise. */
    void (*learn)(const vc_echo_path *path, const float *re, const float *im, const float *step,
                  const vc_echo_rates *rates);
    /* out[i] = sum of taps[k] x[i + k], k < count; count: even; n: a multiple of 16. */
    void (*fir)(const float *taps, size_t count, const float *x, float *out, size_t n);
    /* to = keep to + near conj(far) in VC_ECHO_LAG_BINS bins; far: [re, im][bin]; to: bf16.
     * Returns to's power before it is rounded. */
    float (*correlate)(const int8_t *far, const float *near_re, const float *near_im, float keep,
                       uint16_t *to_re, uint16_t *to_im);
} vc_echo_kernels;

/* level: resolved. */
const vc_echo_kernels *vc_echo_kernels_of(vc_cpu_level level);

extern const vc_echo_kernels vc_echo_kernels_c;
extern const vc_echo_kernels vc_echo_kernels_avx2;
extern const vc_echo_kernels vc_echo_kernels_avx512;
extern const vc_echo_kernels vc_echo_kernels_neon;

#endif
