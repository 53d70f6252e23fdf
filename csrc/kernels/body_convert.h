/* body_convert: one sample from s16 to f32 and back, written so that loops over it vectorize.
 *
 * Rounding to nearest even: adding 1.5 * 2^23 leaves no fraction bits, so the addition itself
 * rounds (IEEE default mode); exact for the clamped range. Clamping before rounding is the same as
 * after, since both limits are whole numbers. */
#ifndef VC_BODY_CONVERT_H
#define VC_BODY_CONVERT_H

#include <stdint.h>

static inline float vc_s16_to_f32(int16_t sample)
{
    return (float)sample * (1.0f / 32768.0f);
}

/* `scaled` is on the s16 scale. */
static inline int16_t vc_round_s16(float scaled)
{
    const float magic = 12582912.0f;
    float known = scaled == scaled ? scaled : 0.0f;
    float low = known > -32768.0f ? known : -32768.0f;
    float clamped = low < 32767.0f ? low : 32767.0f;
    return (int16_t)(int32_t)((clamped + magic) - magic);
}

static inline int16_t vc_f32_to_s16(float sample)
{
    return vc_round_s16(sample * 32768.0f);
}

#endif
