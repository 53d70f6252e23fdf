/* What the parts of vc_playout share.
 *   vc_playout.c           made, destroyed; the producer's side; render
 *   vc_playout_level.c     gain, ducking, limiter
 *   vc_playout_replace.c   from one source to the next with a crossfade
 *   vc_playout_dry.c       when a segment may begin; what sounds while the queue is dry
 */
#ifndef VC_PLAYOUT_STATE_H
#define VC_PLAYOUT_STATE_H

#include "engine/vc_playout.h"

#include <stdatomic.h>

#include "base/vc_ring.h"
#include "dsp/vc_comfort_noise.h"
#include "dsp/vc_resample.h"

enum { MAX_RATE_HZ = 48000, MAX_BLOCK = MAX_RATE_HZ / 50 + 1 };
enum { MARKS = 256, MARKS_KEPT_FREE = 64, CONTROLS = 64, REPLACEMENTS = 8, MAX_LINE = 16000 / 50 };

typedef enum control_kind { PAUSE, RESUME, FLUSH, GAIN, DUCK, UNDUCK } control_kind;
typedef struct control {
    control_kind kind;
    int64_t position;
    float gain;           /* GAIN */
    int32_t ramp_samples; /* GAIN */
} control;

typedef enum mark_kind { MARK, SEGMENT_END, WORD } mark_kind;
typedef struct mark {
    int64_t position;
    int64_t id;
    mark_kind kind;
} mark;

/* What is queued from `from` to `start` is dropped. */
typedef struct replacement {
    int64_t from, start;
} replacement;

/* A straight line between two gains, in rendered samples. */
typedef struct gain_ramp {
    float from, to;
    int32_t at, samples; /* at == samples: it has arrived */
} gain_ramp;

typedef struct playout_level {
    int idle;         /* all gains are 1 and the limiter rests: nothing to do */
    int duck_changed; /* not reported yet */
    gain_ramp gain, duck;
    float duck_gain;
    int32_t duck_samples;
    int ducked;
    /* the limiter */
    float peak, release;
    int32_t hold, hold_samples;
} playout_level;

/* At the line's rate, added behind the resampler, which so stays agent audio's own. */
typedef struct playout_filler {
    vc_comfort_noise *noise; /* or */
    int16_t *hold;
    size_t hold_samples, hold_at;
    int on;           /* it is to sound */
    float gain, step; /* now, and the fade's by sample */
    /* the last sample of an underrun going to zero, so that there is no click */
    int16_t last_sample, decay_from;
    size_t decay_at, decay_samples;
    size_t made_samples;
    int16_t made[MAX_LINE]; /* of this block, up to made_samples */
} playout_filler;

/* What every block touches comes first: with many calls each line of it is one from afar. */
struct vc_playout {
    vc_ring *audio, *marks, *controls, *replacements;
    vc_resample *resampler;
    playout_filler *filler; /* NULL: silence */
    _Atomic int room_wanted;
    /* media thread only */
    int paused;          /* the cursor is frozen */
    int fade_out;        /* the next render begins with the fade of a pause */
    int fade_in;         /* the next render begins with the fade of a resume */
    int running;         /* the last render had agent audio: drained is reported at its end */
    int resampler_idle;  /* the resampler's memory is all silence */
    int dry;             /* the queue ran out within a segment that has not gone on */
    int segment_is_new;  /* lowest_samples is of the one before */
    int64_t segment_end; /* last segment end that the cursor has reached, or -1 */
    int64_t in_total, out_total; /* through the resampler, for rates without whole 20 ms */
    int64_t rendered;            /* line samples before this block */
    int64_t lowest_samples;      /* of the running or last segment */
    size_t tail_samples;
    vc_playout_config config;
    playout_level level;
    size_t fade_samples, prebuffer_samples, crossfade_samples;
    /* the old source's last samples, while the new one comes in */
    int16_t *tail;
    size_t tail_at;
    uint64_t underruns, underrun_samples;
    int64_t dry_since; /* line sample */
    int buffering;
    int from_filler;          /* the next agent audio fades in */
    _Atomic int64_t last_end; /* producer: position of the newest segment end, or -1 */
    int16_t block[MAX_BLOCK];
};

/* A sample of the present block, in line samples of the call. */
static inline int64_t vc_playout_sent_sample(const vc_playout *playout, size_t at)
{
    return playout->rendered + (int64_t)at * playout->config.rate_hz / playout->config.play_hz;
}

void vc_playout_post(vc_playout *playout, vc_event_kind kind, int64_t now_ns, int64_t a, int64_t b,
                     int64_t c);
/* Reports marks at or before `position`; flushed: their audio was thrown away. */
void vc_playout_pass_marks(vc_playout *playout, int64_t position, int64_t now_ns, int flushed);

/* -- vc_playout_level.c -- */
void vc_playout_level_begin(vc_playout *playout);
void vc_playout_level_set_gain(vc_playout *playout, float gain, int32_t ramp_samples);
/* A flush: full level from the next sample on. */
void vc_playout_level_unduck_at_once(vc_playout *playout);
void vc_playout_level_report(vc_playout *playout, int64_t now_ns);
/* The next n rendered samples. */
void vc_playout_level_apply(vc_playout *playout, int16_t *samples, size_t n);

/* -- vc_playout_replace.c -- */
/* Fills block from `filled` up to n out of the queue, and switches sources where that is due.
 * Returns how far block is full; *taken: samples of the queue. Reports a start. */
size_t vc_playout_take(vc_playout *playout, size_t filled, size_t n, int64_t now_ns, size_t *taken);
/* The old source's tail into samples of the new one; samples without one are 0. */
void vc_playout_mix_tail(vc_playout *playout, int16_t *samples, size_t n);
/* How much of what is queued before `position` pending replacements drop; inside: a mark there too.
 */
int64_t vc_playout_dropped_before(const vc_playout *playout, int64_t position, int *inside);
/* A flush up to `position`. */
void vc_playout_drop_replacements(vc_playout *playout, int64_t position);

/* -- vc_playout_dry.c -- */
vc_status vc_playout_dry_check(const vc_playout_config *config);
vc_status vc_playout_dry_create(vc_playout *playout);
void vc_playout_dry_destroy(vc_playout *playout);
/* Not sounding now: whether what is queued is enough to begin. */
int vc_playout_may_begin(vc_playout *playout);
/* At sample `at` of the block: agent audio begins, with so much queued; the queue is dry within a
 * segment; or the wait is over without audio. */
void vc_playout_dry_begun(vc_playout *playout, size_t at, int64_t queued);
void vc_playout_dry_ran_out(vc_playout *playout, size_t at);
void vc_playout_dry_over(vc_playout *playout, size_t at);
/* The block begins, after the controls. */
void vc_playout_filler_begin(vc_playout *playout);
/* Agent audio is in at..end of the block. */
void vc_playout_filler_heard(vc_playout *playout, size_t at, size_t end);
/* What is left of the decay, into the block from `at` on. */
void vc_playout_add_decay(vc_playout *playout, size_t at, size_t n);
/* Adds the filler to the n line samples of this block. */
void vc_playout_add_filler(vc_playout *playout, int16_t *samples, size_t n);

#endif
