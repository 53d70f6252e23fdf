/* vc_segmenter: see vc_segmenter.h. Source: get_speech_timestamps of silero-vad 6.2.3 (MIT) without
 * a longest segment. Padding: where two segments are closer than twice the pad, each gets half of
 * the gap; so an end is held back until audio of that length has followed it or the next segment
 * is certain, and nothing is held back if 2 pads fit in the silence that ended the segment. */
#include "vad/vc_segmenter.h"

vc_segmenter_config vc_segmenter_config_default(void)
{
    vc_segmenter_config config = {
        .threshold = 0.5,
        .negative_threshold = 0.35,
        .window_samples = 512,
        .min_speech_samples = 4000,
        .min_silence_samples = 1600,
        .pad_samples = 480,
    };
    return config;
}

vc_status vc_segmenter_init(vc_segmenter *segmenter, const vc_segmenter_config *config)
{
    if (!segmenter || !config) return VC_E_NULL;
    if (config->pad_samples < 0 || config->min_speech_samples == INT32_MAX) return VC_E_RANGE;
    vc_speech_config speech = {
        .speech_threshold = config->threshold,
        .silence_threshold = config->negative_threshold,
        .window_samples = config->window_samples,
        .min_speech_samples = config->min_speech_samples,
        .min_silence_samples = config->min_silence_samples,
        .as_recording = 1,
    };
    if (speech.min_speech_samples >= 0) speech.min_speech_samples++; /* longer than, not as long */
    vc_status status = vc_speech_init(&segmenter->speech, &speech);
    if (status < 0) return status;
    segmenter->pad_samples = config->pad_samples;
    vc_segmenter_reset(segmenter);
    return VC_OK;
}

void vc_segmenter_reset(vc_segmenter *segmenter)
{
    vc_speech_reset(&segmenter->speech);
    segmenter->position = 0;
    segmenter->last_probability = 0.0f;
    segmenter->start_probability = 0.0f;
    segmenter->silence_probability = 0.0f;
    segmenter->ended_sample = -1;
    segmenter->ended_probability = 0.0f;
}

static int add(vc_segment_event *events, int n, vc_segment_kind kind, int64_t sample, float p)
{
    events[n].kind = kind;
    events[n].sample = sample;
    events[n].probability = p;
    return n + 1;
}

/* Tells the end that is held back, `pad` samples later. */
static int release_end(vc_segmenter *s, int64_t pad, vc_segment_event *events, int n)
{
    n = add(events, n, VC_SEGMENT_END, s->ended_sample + pad, s->ended_probability);
    s->ended_sample = -1;
    return n;
}

/* The stretch that began at start_sample is long enough. */
static int tell_start(vc_segmenter *s, vc_segment_event *events, int n)
{
    int64_t start = s->speech.start_sample, pad = s->pad_samples;
    if (s->ended_sample >= 0) {
        int64_t gap = start - s->ended_sample;
        if (gap < 2 * pad) pad = gap / 2;
        n = release_end(s, pad, events, n);
    }
    start = start > pad ? start - pad : 0;
    return add(events, n, VC_SEGMENT_START, start, s->start_probability);
}

static int step(vc_segmenter *s, float probability, int64_t samples, vc_segment_event *events)
{
    vc_speech *speech = &s->speech;
    int64_t window_start = s->position;
    int happened = vc_speech_step(speech, probability, window_start), n = 0;
    s->position += samples;
    s->last_probability = probability;
    if (speech->start_sample == window_start) s->start_probability = probability;
    if (speech->silence_sample == window_start) s->silence_probability = probability;
    if (happened & VC_SPEECH_STARTED) n = tell_start(s, events, n);
    if (happened & VC_SPEECH_STOPPED) {
        s->ended_sample = speech->stopped_sample;
        /* min_silence 0: the silence began and ended speech in this window */
        s->ended_probability =
            speech->stopped_sample == window_start ? probability : s->silence_probability;
    }
    /* The next start is that of the stretch that may become speech, or at the next window. */
    int64_t next = speech->start_sample >= 0 ? speech->start_sample : s->position;
    if (s->ended_sample >= 0 && next - s->ended_sample >= 2 * (int64_t)s->pad_samples)
        n = release_end(s, s->pad_samples, events, n);
    return n;
}

int vc_segmenter_step(vc_segmenter *segmenter, float probability, vc_segment_event *events)
{
    return step(segmenter, probability, segmenter->speech.config.window_samples, events);
}

int vc_segmenter_finish(vc_segmenter *segmenter, const float *probability, int32_t part_samples,
                        vc_segment_event *events)
{
    vc_segmenter *s = segmenter;
    int32_t window_samples = s->speech.config.window_samples;
    int n = 0;
    if (probability && part_samples > 0) {
        /* What was padded to the window is not audio. */
        if (part_samples < window_samples) s->speech.config.window_samples = part_samples;
        n = step(s, *probability, s->speech.config.window_samples, events);
    }
    const vc_speech *speech = &s->speech;
    int open = speech->start_sample >= 0, told = speech->in_speech;
    if (open && !told && s->position - speech->start_sample >= speech->config.min_speech_samples) {
        n = tell_start(s, events, n);
        told = 1;
    }
    if (open && told) {
        s->ended_sample = s->position;
        s->ended_probability = s->last_probability;
    }
    if (s->ended_sample >= 0) {
        int64_t left = s->position - s->ended_sample;
        n = release_end(s, left < s->pad_samples ? left : s->pad_samples, events, n);
    }
    s->speech.config.window_samples = window_samples;
    vc_segmenter_reset(s);
    return n;
}

int vc_segmenter_in_segment(const vc_segmenter *segmenter)
{
    return segmenter->speech.in_speech || segmenter->ended_sample >= 0;
}
