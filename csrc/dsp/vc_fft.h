/* vc_fft: real FFT, powers of two from 64 to 1024, f32.
 *
 * The plan is immutable after create and may be shared by threads; the caller brings scratch.
 * forward: n real samples -> n/2+1 complex bins (re, im interleaved, n + 2 floats), unscaled.
 * inverse: the way back, scaled by 1/n, so that inverse(forward(x)) = x. The imaginary parts of
 * bins 0 and n/2 are zero in a real signal's transform; the inverse ignores them.
 */
#ifndef VC_FFT_H
#define VC_FFT_H

#include "base/vc_cpu.h"

typedef struct vc_fft vc_fft;

VC_CHECKED vc_status vc_fft_create(vc_fft **out, size_t n, vc_cpu_level cpu_level,
                                   const vc_allocator *allocator);
void vc_fft_destroy(vc_fft *fft);
size_t vc_fft_size(const vc_fft *fft);
/* Floats of scratch that one transform needs. */
size_t vc_fft_scratch_floats(const vc_fft *fft);

/* in, out and scratch must not overlap. */
VC_RT void vc_fft_forward(const vc_fft *fft, const float *in, float *bins, float *scratch);
VC_RT void vc_fft_inverse(const vc_fft *fft, const float *bins, float *out, float *scratch);

#endif
