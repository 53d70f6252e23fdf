/* vc_gain: see vc_gain.h. The products are f32: a sample (16 bits) times a gain rounds once in the
 * 24-bit mantissa, 2^-24 of the result, before the rounding to s16. Gains outside 0..8 are clamped,
 * a NaN is 0: a wrong gain must not become full-scale noise on a call. Nothing depends on the CPU
 * level, so the result is the same everywhere. */
#include "dsp/vc_gain.h"

#include "kernels/body_convert.h"

static float legal_gain(float gain)
{
    if (!(gain > 0.0f)) return 0.0f;
    return gain < 8.0f ? gain : 8.0f;
}

void vc_gain_fade_s16(int16_t *samples, size_t n, float from, float to)
{
    float first = legal_gain(from), last = legal_gain(to);
    if (first == last) {
        if (first == 1.0f) return;
        for (size_t i = 0; i < n; i++) samples[i] = vc_round_s16((float)samples[i] * first);
        return;
    }
    float step = (last - first) / (float)n;
    for (size_t i = 0; i < n; i++) {
        float gain = first + step * (float)(int32_t)i;
        samples[i] = vc_round_s16((float)samples[i] * gain);
    }
}

void vc_gain_mix_s16(int16_t *samples, const int16_t *other, size_t n, float gain)
{
    float legal = legal_gain(gain);
    for (size_t i = 0; i < n; i++)
        samples[i] = vc_round_s16((float)samples[i] + (float)other[i] * legal);
}
