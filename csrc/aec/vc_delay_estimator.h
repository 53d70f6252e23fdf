/* vc_delay_estimator: by how much the echo in the microphone lags what was sent, 0 to 1000 ms.
 *
 * Continuous; it says how sure it is, and finds a delay that has jumped within half a second of
 * far-end speech. It needs the echo, not the caller, to be loud: it knows nothing in silence and
 * keeps what it knew. Samples are f32 on the scale of vc_base.h. One thread at a time.
 */
#ifndef VC_DELAY_ESTIMATOR_H
#define VC_DELAY_ESTIMATOR_H

#include "base/vc_cpu.h"

typedef struct vc_delay_estimator vc_delay_estimator;

/* rate_hz: 8000 or 16000. */
VC_CHECKED vc_status vc_delay_estimator_create(vc_delay_estimator **out, int rate_hz,
                                               vc_cpu_level cpu_level,
                                               const vc_allocator *allocator);
void vc_delay_estimator_destroy(vc_delay_estimator *estimator);
VC_RT void vc_delay_estimator_reset(vc_delay_estimator *estimator);

typedef struct vc_delay_estimate {
    float delay_samples; /* at rate_hz */
    float confidence;    /* chance stays below 10; 20 is sure */
    float seconds;       /* of speech that it rests on, at most half a one */
} vc_delay_estimate;

/* rate_hz / 100 samples of each. VC_OK when the estimate was made anew (every 16 ms while there is
 * far end), else VC_NEED_MORE. estimate: NULL if none is wanted now, which costs less. */
VC_RT vc_status vc_delay_estimator_process(vc_delay_estimator *estimator, const float *far,
                                           const float *near, vc_delay_estimate *estimate);

/* -1..1: how alike the loudness of both ends was in the last 1.5 s at this delay, their
 * correlation. An echo rises and falls with its sound. Two who take turns do not, though a vowel of
 * one may look like an echo of the other's last one to the estimate. */
VC_RT float vc_delay_estimator_likeness(const vc_delay_estimator *estimator, float delay_samples);

/* 1: from now on, what is quieter at the near end than -70 dBFS is not looked at. */
VC_RT void vc_delay_estimator_rest(vc_delay_estimator *estimator, int rest);

/* The echo has moved: what was heard so far tells nothing any more. */
VC_RT void vc_delay_estimator_forget(vc_delay_estimator *estimator);

#endif
