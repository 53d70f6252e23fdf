/* vc_speech: see vc_speech.h. The hysteresis rule is that of the VADIterator in silero-vad: speech
 * begins at a window at or above the upper threshold and ends where the probability fell below the
 * lower one and stayed under the upper one for min_silence. A start is reported only after
 * min_speech. With as_recording the stretches are those of get_speech_timestamps of
 * silero-vad 6.2.3 before it pads them; without, a stretch that falls below the lower threshold
 * before min_speech is forgotten and the silence that ends speech is noticed a window earlier. */
#include "vad/vc_speech.h"

vc_status vc_speech_init(vc_speech *speech, const vc_speech_config *config)
{
    if (!speech || !config) return VC_E_NULL;
    if (!(config->speech_threshold >= 0.0 && config->speech_threshold <= 1.0)) return VC_E_RANGE;
    if (!(config->silence_threshold >= 0.0 &&
          config->silence_threshold <= config->speech_threshold))
        return VC_E_RANGE;
    if (config->window_samples < 1 || config->window_samples > 4096) return VC_E_RANGE;
    if (config->min_speech_samples < 0 || config->min_silence_samples < 0) return VC_E_RANGE;
    speech->config = *config;
    vc_speech_reset(speech);
    return VC_OK;
}

void vc_speech_reset(vc_speech *speech)
{
    speech->in_speech = 0;
    speech->start_sample = -1;
    speech->silence_sample = -1;
    speech->stopped_sample = 0;
}

int vc_speech_step(vc_speech *speech, float probability, int64_t window_start)
{
    const vc_speech_config *config = &speech->config;
    int64_t window_end = window_start + config->window_samples;
    int happened = 0, silent = probability < config->silence_threshold;

    if (probability >= config->speech_threshold) {
        if (speech->start_sample < 0) speech->start_sample = window_start;
        speech->silence_sample = -1;
    } else if (silent) {
        if (!speech->in_speech && !config->as_recording) {
            speech->start_sample = -1;
        } else if (speech->silence_sample < 0) {
            speech->silence_sample = window_start;
        }
    }
    if (speech->start_sample < 0) return 0;

    int64_t spoken = window_end - speech->start_sample;
    if (!speech->in_speech && speech->silence_sample < 0 && spoken >= config->min_speech_samples) {
        speech->in_speech = 1;
        happened |= VC_SPEECH_STARTED;
    }
    int64_t silence_end = config->as_recording ? window_start : window_end;
    if (speech->silence_sample >= 0 && (silent || !config->as_recording) &&
        silence_end - speech->silence_sample >= config->min_silence_samples) {
        if (speech->in_speech) happened |= VC_SPEECH_STOPPED;
        speech->stopped_sample = speech->silence_sample;
        speech->in_speech = 0;
        speech->start_sample = -1;
        speech->silence_sample = -1;
    }
    return happened;
}

int vc_speech_begin(vc_speech *speech, int64_t start_sample)
{
    int is_new = !speech->in_speech;
    if (speech->start_sample < 0 || (is_new && start_sample < speech->start_sample))
        speech->start_sample = start_sample;
    speech->in_speech = 1;
    speech->silence_sample = -1;
    return is_new;
}
