/* vc_gain: fade and mix of s16 audio, in place, saturating. Stateless; any thread. */
#ifndef VC_GAIN_H
#define VC_GAIN_H

#include "base/vc_base.h"

/* Multiplies by a straight line from gain `from` (at the first sample) towards `to` (reached one
 * sample after the last), so that consecutive fades join without a step. Gains 0..8. */
VC_RT void vc_gain_fade_s16(int16_t *samples, size_t n, float from, float to);
/* Adds `other * gain` to `samples`, rounding half to even, saturating. */
VC_RT void vc_gain_mix_s16(int16_t *samples, const int16_t *other, size_t n, float gain);

#endif
