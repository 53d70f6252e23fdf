/* vc_speech: from window probabilities to speech start and speech end.
 *
 * Two thresholds with hysteresis, as Silero's own iterator has them, plus a minimum of speech.
 * A plain struct of a few numbers; positions are sample indices of the receive timeline.
 *
 *     vc_speech speech;
 *     vc_speech_init(&speech, &config);
 *     int happened = vc_speech_step(&speech, probability, window_start);
 */
#ifndef VC_SPEECH_H
#define VC_SPEECH_H

#include "base/vc_base.h"

typedef struct vc_speech_config {
    double speech_threshold;     /* probability that counts as speech; 0..1, default 0.5 */
    double silence_threshold;    /* below this, speech may end; 0..speech_threshold, default 0.35 */
    int32_t window_samples;      /* length of a window; 1..4096 */
    int32_t min_speech_samples;  /* shortest speech that is reported */
    int32_t min_silence_samples; /* silence that ends speech */
    /* 0, for a live call: silence counts to the end of a window, and a dip before min_speech
     * forgets the stretch. 1, as silero-vad cuts recordings: silence counts to the start of a
     * window that is silent itself, and only min_silence forgets a stretch. */
    int as_recording;
} vc_speech_config;

/* What a step found; bits that can come together. */
enum { VC_SPEECH_STARTED = 1, VC_SPEECH_STOPPED = 2 };

typedef struct vc_speech {
    vc_speech_config config;
    int in_speech;
    int64_t start_sample;   /* first sample of the stretch that is or may become speech, or -1 */
    int64_t silence_sample; /* first sample of the silence that may end it, or -1 */
    int64_t stopped_sample; /* where the last speech ended */
} vc_speech;

/* VC_E_RANGE for thresholds or lengths outside their range. */
VC_CHECKED vc_status vc_speech_init(vc_speech *speech, const vc_speech_config *config);
VC_RT void vc_speech_reset(vc_speech *speech);

/* Feeds the probability of the window that starts at window_start. Returns VC_SPEECH_* bits;
 * STARTED refers to start_sample, STOPPED to stopped_sample. */
VC_RT int vc_speech_step(vc_speech *speech, float probability, int64_t window_start);
/* Speech from start_sample on, before it has lasted min_speech: somebody knows better. 1 if it was
 * not reported yet. */
VC_RT int vc_speech_begin(vc_speech *speech, int64_t start_sample);

#endif
