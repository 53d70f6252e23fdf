/* vc_playout: the agent's audio on its way to the caller: a queue with marks that can be paused,
 * resumed at the exact sample, and flushed.
 *
 * Two threads: the producer (Python's loop) queues audio, marks and controls; the media thread
 * renders 20 ms at a time. Positions count queued samples at the play rate and never go back; a
 * flush makes the timeline jump over what was thrown away.
 *
 * Pausing and flushing fade over fade_ms, so that there is no click. The faded samples do not count
 * as heard: a pause freezes the cursor where the fade began, and resuming starts there again with
 * a fade in. Audio is resampled to the line's rate behind the fade.
 *
 * Gain and ducking are ramps over rendered samples. Above 0 dB a limiter keeps the audio within
 * full scale; at 0 dB, not ducked, samples pass bit for bit. Ducked samples count as heard.
 *
 * One source replaces another (a synthesiser that failed) from a play sample on: what of the old
 * one is queued behind that is dropped, and its last samples are crossfaded with the new one's
 * first. The timeline jumps, as with a flush; the dropped marks count as flushed.
 *
 * A synthesiser may be slow. With prebuffer_ms a segment begins to sound, and goes on after an
 * underrun, once so much is queued or its end is; a resume goes on at once. Where the queue runs
 * dry within a segment, when_dry says what the caller hears until it goes on, is flushed or turns
 * out to be complete: a filler, which is not agent audio. The filler comes in with a fade of
 * fade_ms, and goes under the fade in of the first agent audio; a pause silences it too, ducking
 * turns it down.
 */
#ifndef VC_PLAYOUT_H
#define VC_PLAYOUT_H

#include "base/vc_prefetch.h"
#include "engine/vc_event.h"

typedef struct vc_playout vc_playout;

/* What sounds while the queue is dry within a segment. */
typedef enum vc_playout_filling {
    VC_PLAYOUT_FILL_SILENCE = 0,
    VC_PLAYOUT_FILL_COMFORT, /* white noise */
    VC_PLAYOUT_FILL_HOLD,    /* a sound of the user's, over and over */
} vc_playout_filling;

typedef struct vc_playout_config {
    int play_hz;                   /* rate of queued audio: one of vc_resample's rates */
    int rate_hz;                   /* rate of rendered audio: 8000 or 16000 */
    int fade_ms;                   /* 0..20, default 5 */
    int buffer_ms;                 /* room for queued audio; 100..60000, default 5000 */
    float duck_db;                 /* -60..0, default -15 */
    int duck_ms;                   /* ramp into and out of it; 0..1000, default 20 */
    int crossfade_ms;              /* 0..100, default 20 */
    int prebuffer_ms;              /* 0..1000 and at most buffer_ms, default 0 */
    vc_playout_filling when_dry;   /* default silence */
    float comfort_noise_db;        /* rms by full scale, -90..-20, default -60 */
    const int16_t *hold;           /* at play_hz; read by create only */
    size_t hold_samples;           /* 20 ms..60 s; its last fade_ms go over into its first */
    uint32_t call;                 /* goes into events */
    vc_event_sink sink;            /* required */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_playout_config;

vc_playout_config vc_playout_config_default(void);
VC_CHECKED vc_status vc_playout_create(vc_playout **out, const vc_playout_config *config);
void vc_playout_destroy(vc_playout *playout);

/* Producer side. */
/* *n: samples offered in, taken out; VC_FULL when not all fitted. */
VC_RT vc_status vc_playout_push(vc_playout *playout, const int16_t *samples, size_t *n);
/* The same, of audio with which a word begins: VC_EVENT_WORD_REACHED says that its first sample is
 * in a packet. Words that are thrown away before are not reported, nor those for which there is no
 * room beside 64 marks to come; the audio is queued all the same. */
VC_RT vc_status vc_playout_push_word(vc_playout *playout, int64_t word, const int16_t *samples,
                                     size_t *n);
/* A mark at the end of the queue. VC_FULL if 256 marks are pending. */
VC_RT vc_status vc_playout_mark(vc_playout *playout, int64_t mark_id);
/* What is queued so far is complete: running dry there is no underrun. VC_FULL as above. */
VC_RT vc_status vc_playout_end_segment(vc_playout *playout);
/* VC_FULL if 64 controls are pending. A flush also ends a pause. */
VC_RT vc_status vc_playout_pause(vc_playout *playout);
VC_RT vc_status vc_playout_resume(vc_playout *playout);
VC_RT vc_status vc_playout_flush(vc_playout *playout);
/* From what it is now to gain_db (-60..20) in ramp_ms (0..10000). VC_E_RANGE, VC_FULL as above. */
VC_RT vc_status vc_playout_set_gain(vc_playout *playout, float gain_db, int ramp_ms);
/* VC_FULL as above. A flush also ends ducking. */
VC_RT vc_status vc_playout_duck(vc_playout *playout);
VC_RT vc_status vc_playout_unduck(vc_playout *playout);
/* What is queued in from..start is dropped: push the new source's first audio, then call this with
 * the queue position before that push. Where `from` was sent already, the next unsent sample takes
 * its place; VC_EVENT_REPLACED says which. VC_E_RANGE unless 0 <= from <= start <= the queue
 * position; VC_FULL if 8 are pending. */
VC_RT vc_status vc_playout_replace(vc_playout *playout, int64_t from, int64_t start);
/* Asks for a VC_EVENT_ROOM once at least half of the buffer is free. */
VC_RT void vc_playout_want_room(vc_playout *playout);

/* Either side. */
VC_RT int64_t vc_playout_queue_position(const vc_playout *playout);
/* The first sample that has not been sent. */
VC_RT int64_t vc_playout_play_position(const vc_playout *playout);

/* Media thread. Renders rate_hz / 50 samples; posts events stamped now_ns.
 * VC_OK when agent audio is in them, VC_NEED_MORE when they are all silence. */
VC_RT vc_status vc_playout_render(vc_playout *playout, int64_t now_ns, int16_t *samples);
/* For the next one (vc_prefetch.h). */
VC_RT void vc_playout_prefetch(const vc_playout *playout, vc_turns_away turns);
/* Media thread: pauses at once, before the next render; the native barge-in gate. What is queued
 * later does not begin to sound either. VC_OK and *play_sample where it stopped, VC_IGNORED if it
 * was paused. */
VC_RT vc_status vc_playout_pause_now(vc_playout *playout, int64_t *play_sample);
/* Media thread: from the first sample of the next render on, reported by it as VC_EVENT_DUCKED or
 * VC_EVENT_UNDUCKED. VC_IGNORED if that is how it is. */
VC_RT vc_status vc_playout_duck_now(vc_playout *playout);
VC_RT vc_status vc_playout_unduck_now(vc_playout *playout);
VC_RT int vc_playout_is_ducked(const vc_playout *playout);
/* Media thread: agent audio is sounding (queued, not paused). */
VC_RT int vc_playout_is_sounding(const vc_playout *playout);
/* Media thread: the queue is dry within a segment and the filler sounds, or is to. */
VC_RT int vc_playout_is_filling(const vc_playout *playout);
/* Media thread: times that the queue ran dry without end_segment. */
VC_RT uint64_t vc_playout_underruns(const vc_playout *playout);

typedef struct vc_playout_stats {
    uint64_t underruns;
    uint64_t underrun_samples; /* of the line, until agent audio went on; pauses included */
    /* Of the queue, when it was shortest while the running or last segment sounded and its end was
     * not queued yet; 0 after an underrun, the whole segment if that was queued at once, -1 before
     * the first. */
    int64_t lowest_samples;
    int buffering; /* queued audio waits for prebuffer_ms */
} vc_playout_stats;

/* Media thread. */
VC_RT void vc_playout_get_stats(const vc_playout *playout, vc_playout_stats *stats);

#endif
