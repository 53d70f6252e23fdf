/* vc_lpc: linear prediction. x[n] is predicted as sum of a[k] x[n-1-k], k = 0..order-1; what the
 * prediction misses is the residual. Plain functions; the caller owns every buffer. */
#ifndef VC_LPC_H
#define VC_LPC_H

#include "base/vc_base.h"

#define VC_LPC_ORDER 12

typedef struct vc_lpc {
    float a[VC_LPC_ORDER];
    float gain; /* of prediction: energy over residual energy, at least 1 */
} vc_lpc;

/* From n windowed samples on the scale of s16. The filter of vc_lpc_synthesize is always stable. */
VC_RT void vc_lpc_analyze(const float *windowed, size_t n, vc_lpc *lpc);

/* The residual of x[0..n); reads from x[-VC_LPC_ORDER] on. */
VC_RT void vc_lpc_residual(const vc_lpc *lpc, const float *x, size_t n, float *residual);

/* Turns the residual in y[0..n) into signal; y[-VC_LPC_ORDER..-1] is the signal before it. */
VC_RT void vc_lpc_synthesize(const vc_lpc *lpc, float *y, size_t n);

/* Sum of a[i] b[i], in a fixed order that compiles to vectors. */
VC_RT float vc_lpc_dot(const float *a, const float *b, size_t n);

#endif
