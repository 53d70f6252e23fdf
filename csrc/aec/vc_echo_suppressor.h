/* vc_echo_suppressor: takes out what the linear filter leaves of the echo: all of it while only the
 * far end talks, gently while the caller does; comfort noise where it took something. It says how
 * likely it is that what remains is echo.
 *
 * Delay: one block of 10 ms. Samples are f32 on the scale of vc_base.h. One thread at a time.
 */
#ifndef VC_ECHO_SUPPRESSOR_H
#define VC_ECHO_SUPPRESSOR_H

#include "aec/vc_spectrum.h"

typedef struct vc_echo_suppressor vc_echo_suppressor;

/* rate_hz 8000 or 16000; spectrum of vc_echo_filter_size(rate_hz), outlives the suppressor. */
VC_CHECKED vc_status vc_echo_suppressor_create(vc_echo_suppressor **out, int rate_hz,
                                               vc_spectrum *spectrum,
                                               const vc_allocator *allocator);
void vc_echo_suppressor_destroy(vc_echo_suppressor *suppressor);
VC_RT void vc_echo_suppressor_reset(vc_echo_suppressor *suppressor);

/* One block of rate_hz / 100 samples of what the filter left; out is the block before. residual:
 * power of the echo expected in each bin (vc_echo_filter_residual), or NULL when there can be
 * none: from the second such block on, what comes out is what went in, bit for bit. */
VC_RT void vc_echo_suppressor_process(vc_echo_suppressor *suppressor, const float *residual,
                                      const float *error, float *out);
/* The last block came out as it had gone in. */
VC_RT int vc_echo_suppressor_is_passing(const vc_echo_suppressor *suppressor);
/* What passed for the caller so far was an echo that had not been found yet. */
VC_RT void vc_echo_suppressor_echo_found(vc_echo_suppressor *suppressor);
/* 0..1: the share of the last block that is echo. */
VC_RT float vc_echo_suppressor_likelihood(const vc_echo_suppressor *suppressor);
/* 0..1: how surely the caller talks over the far end. */
VC_RT float vc_echo_suppressor_presence(const vc_echo_suppressor *suppressor);

#endif
