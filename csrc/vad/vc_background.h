/* vc_background: what the caller's side sounds like when nobody speaks, from the power of the VAD's
 * windows.
 *
 * Three things need it. The barge-in gate asks by how much a window stands out. The VAD has to
 * forget: after some seconds of silence Silero's memory is slower to take a voice for one by 45 ms
 * at the median than a new VAD is. And then it may rest: while nothing changes, its answer would
 * not, so its memory is kept as it is some windows after it was cleared, and the next window that
 * stands out finds it so (docs/units/barge-in-gate.md has the figures). In a loud or changing
 * background neither is done: there the memory is what keeps it from taking babble for a caller.
 *
 *     vc_background background;
 *     vc_background_init(&background, 8000, 256);
 *     each window:
 *         if (!vc_background_is_resting(&background, power)) vc_silero_process(vad, ...);
 *         vc_background_step(&background, power, probability);    0 when it rests
 *         if (vc_background_is_settled(&background)) vc_silero_reset(vad);
 */
#ifndef VC_BACKGROUND_H
#define VC_BACKGROUND_H

#include "base/vc_base.h"

typedef struct vc_background {
    float power;                       /* of the newest window; mean square, full scale is 1 */
    float least, least_before;         /* in this period and the one before */
    int32_t windows, period;           /* of 1.5 s */
    float silence_least, silence_most; /* in the windows of silence in a row */
    int32_t silence_windows, settling_soft, settling_loud, resting;
} vc_background;

/* VC_E_RATE, VC_E_RANGE: 8000 or 16000, 1..4096. */
VC_CHECKED vc_status vc_background_init(vc_background *background, int rate_hz, int window_samples);
VC_RT void vc_background_reset(vc_background *background);
/* A window's power, and its probability of speech. */
VC_RT void vc_background_step(vc_background *background, float power, float probability);
/* Power of the newest window over the least of the last 1.5 to 3 s; infinite in the first 1.5 s.
 * Below -80 dBFS there is no background. */
VC_RT float vc_background_snr(const vc_background *background);
/* Nobody has spoken (probability below 0.3), and all was either softer than -65 dBFS or within 2
 * dB, for 0.32 s, or for 1 s where it was louder than -50 dBFS: once in each such silence. */
VC_RT int vc_background_is_settled(const vc_background *background);
/* It has lasted 0.26 s longer, and a window of this power would belong to it. */
VC_RT int vc_background_is_resting(const vc_background *background, float power);

#endif
