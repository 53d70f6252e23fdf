/* vc_echo_drift: keeps the reference in step with the echo when the two clocks run apart.
 *
 * Where the echo comes tau samples later than the filter's estimate y, the error is -tau y'. Least
 * squares over a block gives tau, and a Kalman filter of delay and drift takes it in by how sure it
 * is: a caller who speaks makes the error loud and the block worth little. A plain struct.
 */
#ifndef VC_ECHO_DRIFT_H
#define VC_ECHO_DRIFT_H

#include "base/vc_base.h"

#define VC_ECHO_DRIFT_MAX_PPM 600.0

typedef struct vc_echo_drift {
    double per_block; /* samples by which the echo's delay grows a block */
    double p[3];      /* covariance of delay and drift: [0][0], [0][1], [1][1] */
} vc_echo_drift;

/* Nothing is known of the drift. */
VC_RT void vc_echo_drift_reset(vc_echo_drift *drift);
/* The delay was set from elsewhere, to about a sample; the drift holds. */
VC_RT void vc_echo_drift_jumped(vc_echo_drift *drift);
/* One block of the filter's estimate and of its error. Returns by how much the reference's delay
 * has to grow now, in samples, the block's drift included. */
VC_RT double vc_echo_drift_update(vc_echo_drift *drift, const float *echo, const float *error,
                                  size_t n);
/* Positive: the echo's delay grows, the caller's clock is slow. */
VC_RT double vc_echo_drift_ppm(const vc_echo_drift *drift, size_t block);

#endif
