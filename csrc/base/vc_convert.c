/* vc_convert: see vc_convert.h. Stateless, so there is no handle to pick a CPU level: the loops
 * vectorize at the architecture's baseline (SSE2, NEON), where they are bound by memory. Kernels
 * that convert on the way use the same inline functions, so every level gives the same bits. */
#include "base/vc_convert.h"

#include "kernels/body_convert.h"

void vc_convert_s16_to_f32(const int16_t *restrict in, float *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = vc_s16_to_f32(in[i]);
}

void vc_convert_f32_to_s16(const float *restrict in, int16_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = vc_f32_to_s16(in[i]);
}
