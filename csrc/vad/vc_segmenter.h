/* vc_segmenter: from window probabilities to padded stretches of speech, as events.
 *
 * The cut of silero-vad's get_speech_timestamps, window by window: vc_speech finds the stretches,
 * this unit pads them. An event is told as soon as no later audio can move it. Starts and ends
 * alternate, positions never go back.
 *
 *     vc_segmenter segmenter;
 *     vc_segmenter_init(&segmenter, &config);
 *     n = vc_segmenter_step(&segmenter, probability, events);       for every window
 *     n = vc_segmenter_finish(&segmenter, NULL, 0, events);         at the end of the audio
 *
 * A plain struct of a few numbers, no memory of its own; one thread at a time.
 */
#ifndef VC_SEGMENTER_H
#define VC_SEGMENTER_H

#include "vad/vc_speech.h"

typedef struct vc_segmenter_config {
    double threshold;            /* probability that counts as speech; 0..1, default 0.5 */
    double negative_threshold;   /* below this, speech may end; 0..threshold, default 0.35 */
    int32_t window_samples;      /* length of a window; 1..4096, default 512 */
    int32_t min_speech_samples;  /* speech must be longer than this; default 4000 (250 ms) */
    int32_t min_silence_samples; /* silence that ends speech; default 1600 (100 ms) */
    int32_t pad_samples;         /* added at both ends; default 480 (30 ms) */
} vc_segmenter_config;

typedef enum vc_segment_kind { VC_SEGMENT_START = 1, VC_SEGMENT_END = 2 } vc_segment_kind;

typedef struct vc_segment_event {
    vc_segment_kind kind;
    int64_t sample; /* of the first sample of the segment, or of the first one after it */
    /* of the window that began the speech, or the silence (at the end of the audio: the last) */
    float probability;
} vc_segment_event;

enum { VC_SEGMENT_MOST_EVENTS = 3 }; /* of one step or finish */

typedef struct vc_segmenter {
    vc_speech speech;
    int32_t pad_samples;
    int64_t position; /* of the next window */
    float last_probability;
    float start_probability;
    float silence_probability;
    int64_t ended_sample; /* an end that padding may still move, or -1 */
    float ended_probability;
} vc_segmenter;

vc_segmenter_config vc_segmenter_config_default(void);

/* VC_E_RANGE for thresholds or lengths outside their range. */
VC_CHECKED vc_status vc_segmenter_init(vc_segmenter *segmenter, const vc_segmenter_config *config);
VC_RT void vc_segmenter_reset(vc_segmenter *segmenter);

/* Takes the next window's probability; returns how many events it wrote (room for
 * VC_SEGMENT_MOST_EVENTS). */
VC_RT int vc_segmenter_step(vc_segmenter *segmenter, float probability, vc_segment_event *events);

/* The end of the audio: closes what is open; the segmenter is as new then. If a last window was
 * not full, its probability (padded with zeros) and how many of its samples are audio, 1 to
 * window_samples; else NULL and 0. Returns as step does. */
VC_RT int vc_segmenter_finish(vc_segmenter *segmenter, const float *probability,
                              int32_t part_samples, vc_segment_event *events);

/* Whether a start was told that has no end yet. */
VC_RT int vc_segmenter_in_segment(const vc_segmenter *segmenter);

#endif
