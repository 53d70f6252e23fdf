/* vc_extrapolate: continues a voice beyond the end of a piece of audio: pitch and linear prediction
 * are taken from its last 20 to 30 ms. Used by vc_conceal, forwards and (on time-reversed audio)
 * backwards. One thread at a time.
 *
 *     vc_extrapolate_begin(extrapolate, audio + n, n);
 *     vc_extrapolate_next(extrapolate, row + VC_LPC_ORDER, 160); */
#ifndef VC_EXTRAPOLATE_H
#define VC_EXTRAPOLATE_H

#include "dsp/vc_lpc.h"

typedef struct vc_extrapolate vc_extrapolate;

/* rate_hz: 8000..48000, a multiple of 50. VC_E_RATE otherwise. */
VC_CHECKED vc_status vc_extrapolate_create(vc_extrapolate **out, int rate_hz,
                                           const vc_allocator *allocator);
void vc_extrapolate_destroy(vc_extrapolate *extrapolate);
VC_RT void vc_extrapolate_reset(vc_extrapolate *extrapolate);

/* Looks at the n samples before `end`: at least vc_extrapolate_least_samples (15 ms). With less
 * than 27 ms the longest period is 8 ms shorter than they are; 36 ms are all that is looked at. */
VC_RT void vc_extrapolate_begin(vc_extrapolate *extrapolate, const int16_t *end, size_t n);
size_t vc_extrapolate_least_samples(const vc_extrapolate *extrapolate);

/* Linear prediction of the n samples before `end`, the last of which count most. */
VC_RT void vc_extrapolate_analyze(vc_extrapolate *extrapolate, const int16_t *end, size_t n,
                                  vc_lpc *lpc);

/* The next n samples; the first call after begin: at least 5 ms. y[-VC_LPC_ORDER..-1] is
 * overwritten. */
VC_RT void vc_extrapolate_next(vc_extrapolate *extrapolate, float *y, size_t n);

/* Of the last begin: the pitch period; the ratio of levels from one block of 5 ms to the next. */
VC_RT size_t vc_extrapolate_period_samples(const vc_extrapolate *extrapolate);
VC_RT float vc_extrapolate_trend(const vc_extrapolate *extrapolate);

#endif
