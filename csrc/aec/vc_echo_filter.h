/* vc_echo_filter: the linear part of an echo canceller. It learns the path from the far end to the
 * microphone and tells the echo in it, 10 ms at a time, without delay, and how far off it may be.
 *
 * A partitioned-block Kalman filter in the frequency domain (see vc_echo_filter.c). It learns at
 * all times: a caller who speaks makes the error louder than the filter expects, which makes its
 * steps small. How much of the estimate is real is measured by its correlation with the
 * microphone; where there is no echo at all the estimate is worth nothing and none is given.
 *
 * Samples are f32 on the scale of vc_base.h. One thread at a time.
 */
#ifndef VC_ECHO_FILTER_H
#define VC_ECHO_FILTER_H

#include "aec/vc_spectrum.h"

typedef struct vc_echo_filter vc_echo_filter;

typedef struct vc_echo_filter_config {
    int rate_hz;                   /* 8000 or 16000 */
    int tail_ms;                   /* length of the echo path, 64..256; in steps of 20, upwards */
    vc_cpu_level cpu_level;        /* VC_CPU_AUTO */
    vc_spectrum *spectrum;         /* required; of vc_echo_filter_size(rate_hz); outlives it */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_echo_filter_config;

/* Length of the transform: 512 at 16 kHz, 256 at 8 kHz. */
size_t vc_echo_filter_size(int rate_hz);
VC_CHECKED vc_status vc_echo_filter_create(vc_echo_filter **out,
                                           const vc_echo_filter_config *config);
void vc_echo_filter_destroy(vc_echo_filter *filter);
VC_RT void vc_echo_filter_reset(vc_echo_filter *filter);

/* One block of rate_hz / 100 samples: the echo of far that is in near. */
VC_RT void vc_echo_filter_process(vc_echo_filter *filter, const float *far, const float *near,
                                  float *echo);
/* A block of the far end without its near end: after the reference was moved, the blocks before, as
 * they would have been. */
VC_RT void vc_echo_filter_preload(vc_echo_filter *filter, const float *far);
/* The same, and the echo that is expected of it. */
VC_RT void vc_echo_filter_foretell(vc_echo_filter *filter, const float *far, float *echo);
/* Blocks that a preload takes to fill the path. */
size_t vc_echo_filter_span_blocks(const vc_echo_filter *filter);
/* Nothing of the far end is left in the path: process gives zeros and does nothing. */
VC_RT int vc_echo_filter_is_idle(const vc_echo_filter *filter);
/* 0..1: the share of the estimate that is real. */
VC_RT float vc_echo_filter_trust(const vc_echo_filter *filter);
/* The share of the last 0.06 s: about 1, or less if the echo comes at another time. */
VC_RT float vc_echo_filter_fit(const vc_echo_filter *filter);
/* 0..1: how surely the estimate was not real in the last 0.06 s. */
VC_RT float vc_echo_filter_misfit(const vc_echo_filter *filter);
/* The estimate was real within the last two seconds. */
VC_RT int vc_echo_filter_is_proven(const vc_echo_filter *filter);
/* The estimate was real within the last two seconds and is not any more. */
VC_RT int vc_echo_filter_is_lost(const vc_echo_filter *filter);
/* Power of the echo that is expected to be left in each bin of the last block (size / 2 bins, on
 * the scale of an unscaled transform of the block). */
VC_RT const float *vc_echo_filter_residual(const vc_echo_filter *filter);
/* The path became longer by so many samples (shorter: negative). */
VC_RT void vc_echo_filter_shift(vc_echo_filter *filter, float samples);
/* The path was put right by other means, or nearly: adds `doubt` times the coefficients' power to
 * their variance and takes the estimate for real until it proves not to be. */
VC_RT void vc_echo_filter_unsettle(vc_echo_filter *filter, float doubt);

#endif
