/* vc_fft_kernels: the plan that vc_fft makes and the transforms of each CPU level (internal). */
#ifndef VC_FFT_KERNELS_H
#define VC_FFT_KERNELS_H

#include "base/vc_base.h"

typedef struct vc_fft_plan {
    size_t half;               /* length of the complex transform, n/2 = rows * columns */
    size_t rows, columns;      /* 4, 8, 16 or 32 each, rows <= columns */
    const float *row_turns;    /* radix-4 twiddles of a transform of length rows, stage by stage: */
    const float *column_turns; /* 6 floats a butterfly, w, w^2, w^3 as re, im; and of columns */
    const float *middle_re, *middle_im; /* half: between the two, [row][column] */
    const float *real_re, *real_im;     /* half: exp(-2 pi i k / n), halved */
} vc_fft_plan;

typedef struct vc_fft_kernels {
    size_t lanes; /* rows must be a multiple of it */
    void (*forward)(const vc_fft_plan *plan, const float *in, float *bins, float *scratch);
    void (*inverse)(const vc_fft_plan *plan, const float *bins, float *out, float *scratch);
} vc_fft_kernels;

extern const vc_fft_kernels vc_fft_kernels_c;
extern const vc_fft_kernels vc_fft_kernels_avx2;
extern const vc_fft_kernels vc_fft_kernels_avx512;
extern const vc_fft_kernels vc_fft_kernels_neon;

#endif
