/* vc_spectrum: the transform that the parts of an echo canceller share, with its work space: a
 * block to real and imaginary parts in arrays of their own and back. One thread at a time.
 *
 * Bins 0 and n/2 are left out (zero): nothing that matters in speech is there.
 */
#ifndef VC_SPECTRUM_H
#define VC_SPECTRUM_H

#include "base/vc_cpu.h"

typedef struct vc_spectrum vc_spectrum;

/* n: 64 to 1024, a power of two. */
VC_CHECKED vc_status vc_spectrum_create(vc_spectrum **out, size_t n, vc_cpu_level cpu_level,
                                        const vc_allocator *allocator);
void vc_spectrum_destroy(vc_spectrum *spectrum);
size_t vc_spectrum_size(const vc_spectrum *spectrum);

/* n samples to work on; forward reads them, inverse writes them. */
VC_RT float *vc_spectrum_samples(vc_spectrum *spectrum);
/* n/2 bins, as vc_fft: unscaled forward, 1/n on the way back. */
VC_RT void vc_spectrum_forward(vc_spectrum *spectrum, float *re, float *im);
VC_RT void vc_spectrum_inverse(vc_spectrum *spectrum, const float *re, const float *im);

#endif
