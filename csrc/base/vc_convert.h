/* vc_convert: s16 to f32 and back on the scale of vc_base.h: f = s / 32768,
 * s = saturate(round_half_even(f * 32768)); a NaN becomes 0. Stateless; any thread.
 * Bit-exact at every CPU level. In and out must not overlap. */
#ifndef VC_CONVERT_H
#define VC_CONVERT_H

#include "base/vc_base.h"

VC_RT void vc_convert_s16_to_f32(const int16_t *in, float *out, size_t n);
VC_RT void vc_convert_f32_to_s16(const float *in, int16_t *out, size_t n);

#endif
