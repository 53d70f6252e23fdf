/* vc_resample_kernels: the inner loops of vc_resample, one table per CPU level (internal).
 *
 * "Columns": the input dealt out in turn to m streams, so that stream r holds x[q * m + r] at q,
 * and the outputs of one phase are consecutive in q. Streams are `stride` floats apart. */
#ifndef VC_RESAMPLE_KERNELS_H
#define VC_RESAMPLE_KERNELS_H

#include "base/vc_base.h"

/* Widest vector of any level, in floats: buffers are padded to it. */
#define VC_RESAMPLE_PAD 16

/* Neighbouring outputs share a window of x: group phases, from a multiple of group on. It ends
 * where the first of them ends, so that no output reads beyond its own end; the newer samples of
 * the others are in a window of their own, the tail, at the new end. */
enum { VC_RESAMPLE_GROUP = 4, VC_RESAMPLE_TAIL = 16 };

/* y[i] = dot product of the `body` taps of phases[i] with x from starts[i] on, and of the
 * VC_RESAMPLE_TAIL taps after them with x from starts[i] + tails[phase] on. The phases repeat after
 * l outputs. `body` is a multiple of the lanes. */
typedef struct vc_resample_dots {
    const float *x, *taps;
    const int32_t *starts, *phases, *tails;
    size_t body, l;
    int group;
} vc_resample_dots;

typedef struct vc_resample_kernels {
    size_t lanes; /* floats of a vector */
    /* y[q] = sum of taps[k] * x[offsets[k] + q] for q in 0..n-1, summed in the order of k.
     * n is a multiple of VC_RESAMPLE_PAD. */
    void (*columns)(const float *x, const int32_t *offsets, const float *taps, size_t n_taps,
                    float *y, size_t n);
    /* The same for two phases with the same offsets: the second's taps follow the first's, its
     * outputs are y_stride further. */
    void (*columns2)(const float *x, const int32_t *offsets, const float *taps, size_t n_taps,
                     float *y, size_t y_stride, size_t n);
    /* y[q] = sum of taps[3 k + g] * x[offsets[k] + g * lanes + q], g = 0, 1, 2. */
    void (*columns3)(const float *x, const int32_t *offsets, const float *taps, size_t n_groups,
                     float *y, size_t n);
    void (*dots)(const vc_resample_dots *dots, float *y, size_t n);
    /* y[i] = the dot product with x from starts[i] on of four rows of the table, from rows[i] on,
     * weighted by weights[4 i ...]. n_taps is a multiple of VC_RESAMPLE_PAD. */
    void (*blends)(const float *x, const float *table, size_t n_taps, const int32_t *starts,
                   const int32_t *rows, const float *weights, float *y, size_t n);
    /* Deals n groups of m samples out to m streams. */
    void (*deal_s16)(const int16_t *in, size_t n, float *streams, size_t stride, size_t m);
    void (*deal_f32)(const float *in, size_t n, float *streams, size_t stride, size_t m);
    /* Gathers n groups of one sample of each of m streams. */
    void (*gather_s16)(const float *streams, size_t stride, size_t m, int16_t *out, size_t n);
    void (*gather_f32)(const float *streams, size_t stride, size_t m, float *out, size_t n);
} vc_resample_kernels;

extern const vc_resample_kernels vc_resample_kernels_c;
extern const vc_resample_kernels vc_resample_kernels_avx2;
extern const vc_resample_kernels vc_resample_kernels_avx512;
extern const vc_resample_kernels vc_resample_kernels_neon;

#endif
