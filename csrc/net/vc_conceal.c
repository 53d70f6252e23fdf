/* vc_conceal: see vc_conceal.h. The parts are those of WebRTC's NetEq (Expand, BackgroundNoise,
 * Merge) and of ITU-T G.711 Appendix I; this is simpler than the first and, unlike the second, has
 * no delay.
 *
 * A gap is a voice continued by vc_extrapolate under a level that is linear within blocks of 5 ms,
 * counted from the start of the gap; levels that rose or fell from one pitch period to the next go
 * on doing so for 20 ms.
 * With the audio after the gap known, its time-reversed copy is continued in the same way, and the
 * whole gap is a linear cross-fade of the two. Where the two are half and half they are compared
 * within 0.5 ms; half of the way to the best match is added to the time axis of each, growing from
 * its own end: a lag that is a fraction of a sample off, or a pitch that moves, is made up for. A
 * fade that keeps the power of unlike sides, shorter fades and longer ways scored lower.
 * The constants were tuned on PESQ (docs/units/conceal.md). */
#include "net/vc_conceal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/vc_extrapolate.h"

#define HISTORY_MS 36
#define BLOCK_MS   5
#define JOIN_MS    3
#define SILENCE_MS 5
#define BETWEEN_MS 80 /* the longest gap that is made from both sides at once */
#define NEXT_MS    20 /* of what follows it, used */

#define MATCH_MS    8    /* compared in the middle of a gap */
#define TURNS_PER_S 2000 /* 0.5 ms: the longest way from side to side */
#define TURN_STEPS  4

/* Level over time: full for 5 ms, 0.8 at 20 ms, nothing at 90 ms. */
#define FULL_BLOCKS   1
#define SLOW_BLOCKS   4
#define FADE_BLOCKS   18
#define LEVEL_AT_SLOW 0.8f

/* Background: at most -40 dBFS, unpredictable (so no tone and no vowel), and the lowest level of
 * late; that level is let rise by 3 dB a second. */
#define BACKGROUND_MS       20
#define MAX_BACKGROUND      (330.0f * 330.0f)
#define MAX_PREDICTION_GAIN 20.0f
#define RISE                1.0139f

enum mode { REAL, MADE, BRIDGED /* made up to where real audio begins */, SILENT };

/* Everything that reset returns to its start. */
typedef struct gap_state {
    size_t at; /* the oldest sample of the history */
    enum mode mode;
    int join_left;   /* real samples still to be faded in */
    int ramp_left;   /* of the silence's ramp */
    float last;      /* which starts here */
    size_t real_run; /* real samples since the last gap or look at the background */

    int blocks;        /* since the gap began; stops at FADE_BLOCKS */
    size_t block_left; /* samples of the block that were not given out */
    float level;       /* at the end of the block */
    uint32_t seed;
    size_t between, between_left; /* samples made from both sides; not given out of them */

    vc_lpc background;
    float background_rms; /* of its residual; 0: not known */
    float lowest;
} gap_state;

struct vc_conceal {
    size_t history_samples, block, background, most_between, most_next, match, turn;
    int join, ramp;
    vc_extrapolate *voice; /* forwards; then, for a gap between two sides, backwards */
    int16_t *history;      /* a ring; the oldest sample at `at` */
    int16_t *line;         /* history in order */
    float *row;            /* VC_LPC_ORDER + block: work space */
    float *hiss;           /* VC_LPC_ORDER + block: memory of the filter and the block */
    float *out;            /* block */
    float *forward;        /* most_between + turn + 2: one side */
    float *between;        /* VC_LPC_ORDER + most_between + turn + 2: the other side, then both */
    vc_allocator allocator;
    int custom_allocator;
    gap_state s;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_conceal_create(vc_conceal **out, int rate_hz, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_extrapolate *voice;
    vc_status status = vc_extrapolate_create(&voice, rate_hz, allocator);
    if (status != VC_OK) return status;
    size_t rate = (size_t)rate_hz, block = rate * BLOCK_MS / 1000;
    size_t samples = rate * HISTORY_MS / 1000, row = VC_LPC_ORDER + block;
    size_t between = rate * BETWEEN_MS / 1000, turn = rate / TURNS_PER_S;
    size_t head = round_up(sizeof(vc_conceal)), line = round_up(samples * sizeof(int16_t));
    size_t floats = 3 * row + 2 * (between + turn + 2) + VC_LPC_ORDER;
    vc_conceal *conceal = vc_allocate(allocator, head + 2 * line + floats * sizeof(float));
    if (!conceal) {
        vc_extrapolate_destroy(voice);
        return VC_E_MEMORY;
    }
    unsigned char *memory = (unsigned char *)conceal + head;
    conceal->history_samples = samples;
    conceal->block = block;
    conceal->background = rate * BACKGROUND_MS / 1000;
    conceal->most_between = between;
    conceal->most_next = rate * NEXT_MS / 1000;
    conceal->match = rate * MATCH_MS / 1000;
    conceal->turn = turn;
    conceal->join = rate_hz * JOIN_MS / 1000;
    conceal->ramp = rate_hz * SILENCE_MS / 1000;
    conceal->voice = voice;
    conceal->history = (int16_t *)memory;
    conceal->line = (int16_t *)(memory + line);
    conceal->row = (float *)(memory + 2 * line);
    conceal->hiss = conceal->row + row;
    conceal->out = conceal->hiss + row;
    conceal->forward = conceal->out + row;
    conceal->between = conceal->forward + between + turn + 2;
    if (allocator) {
        conceal->allocator = *allocator;
        conceal->custom_allocator = 1;
    }
    vc_conceal_reset(conceal);
    *out = conceal;
    return VC_OK;
}

void vc_conceal_destroy(vc_conceal *conceal)
{
    if (!conceal) return;
    vc_extrapolate_destroy(conceal->voice);
    vc_allocator allocator = conceal->allocator;
    vc_release(conceal->custom_allocator ? &allocator : NULL, conceal);
}

void vc_conceal_reset(vc_conceal *conceal)
{
    vc_extrapolate_reset(conceal->voice);
    memset(conceal->history, 0, conceal->history_samples * sizeof(int16_t));
    conceal->s = (gap_state){.mode = REAL, .seed = 1, .lowest = MAX_BACKGROUND};
}

static int16_t to_s16(float value)
{
    value = value < -32768.0f ? -32768.0f : value > 32767.0f ? 32767.0f : value;
    return (int16_t)lrintf(value);
}

static void remember(vc_conceal *conceal, const int16_t *samples, size_t n)
{
    size_t size = conceal->history_samples;
    if (n > size) {
        samples += n - size;
        n = size;
    }
    size_t first = size - conceal->s.at < n ? size - conceal->s.at : n;
    memcpy(conceal->history + conceal->s.at, samples, first * sizeof(int16_t));
    memcpy(conceal->history, samples + first, (n - first) * sizeof(int16_t));
    conceal->s.at = (conceal->s.at + n) % size;
}

/* The history in order; returns its end. */
static const int16_t *line_up(vc_conceal *conceal)
{
    size_t size = conceal->history_samples, oldest = conceal->s.at;
    memcpy(conceal->line, conceal->history + oldest, (size - oldest) * sizeof(int16_t));
    memcpy(conceal->line + size - oldest, conceal->history, oldest * sizeof(int16_t));
    return conceal->line + size;
}

static int64_t sum_of_squares(const int16_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)x[i] * x[i];
    return sum;
}

/* Of the newest n samples of the history, where they lie. */
static float newest_energy(const vc_conceal *conceal, size_t n)
{
    size_t end = conceal->s.at, last = n < end ? n : end;
    return (
        float)(sum_of_squares(conceal->history + end - last, last) +
               sum_of_squares(conceal->history + conceal->history_samples - (n - last), n - last));
}

/* -- background ------------------------------------------------------------------------------- */

/* Looks at the last 20 ms of real audio. */
static void learn(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    size_t n = conceal->background;
    float mean_square = newest_energy(conceal, n) / (float)n;
    if (mean_square > s->lowest) {
        s->lowest = s->lowest * RISE < MAX_BACKGROUND ? s->lowest * RISE : MAX_BACKGROUND;
        return;
    }
    vc_lpc lpc;
    vc_extrapolate_analyze(conceal->voice, line_up(conceal), n, &lpc);
    if (lpc.gain > MAX_PREDICTION_GAIN) return;
    s->lowest = mean_square > 1.0f ? mean_square : 1.0f;
    s->background = lpc;
    s->background_rms = sqrtf(mean_square / lpc.gain);
}

/* -- gaps ------------------------------------------------------------------------------------- */

static void begin(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    vc_extrapolate_begin(conceal->voice, line_up(conceal), conceal->history_samples);
    memset(conceal->hiss + conceal->block, 0, VC_LPC_ORDER * sizeof(float));
    s->block_left = s->between_left = 0;
    s->blocks = 0;
    s->level = 1.0f;
    s->join_left = 0;
    s->real_run = 0;
    s->mode = MADE;
}

/* Uniform, of variance 1. */
static float noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * (1.7320508f / 2147483648.0f);
}

static float level_after(int blocks, float trend)
{
    float level = 1.0f;
    if (blocks > SLOW_BLOCKS)
        level = LEVEL_AT_SLOW * (float)(FADE_BLOCKS - blocks) / (FADE_BLOCKS - SLOW_BLOCKS);
    else if (blocks > FULL_BLOCKS)
        level -=
            (1.0f - LEVEL_AT_SLOW) * (float)(blocks - FULL_BLOCKS) / (SLOW_BLOCKS - FULL_BLOCKS);
    for (int i = 0; i < blocks && i < SLOW_BLOCKS; i++) level *= trend;
    return level < 1.0f ? level : 1.0f;
}

static void next_block(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    const size_t n = conceal->block;
    float *out = conceal->out;
    float from = s->level, to = from;
    memset(out, 0, n * sizeof(float));
    if (s->blocks < FADE_BLOCKS) {
        float *voice = conceal->row + VC_LPC_ORDER;
        vc_extrapolate_next(conceal->voice, voice, n);
        to = level_after(++s->blocks, vc_extrapolate_trend(conceal->voice));
        float step = (to - from) / (float)n;
        for (size_t i = 0; i < n; i++) out[i] = (from + step * (float)i) * voice[i];
    }
    if (s->background_rms > 0.0f && to < 1.0f) {
        float *hiss = conceal->hiss + VC_LPC_ORDER;
        memcpy(conceal->hiss, conceal->hiss + n, VC_LPC_ORDER * sizeof(float));
        for (size_t i = 0; i < n; i++) hiss[i] = s->background_rms * noise(&s->seed);
        vc_lpc_synthesize(&s->background, hiss, n);
        float step = (to - from) / (float)n;
        for (size_t i = 0; i < n; i++) out[i] += (1.0f - from - step * (float)i) * hiss[i];
    }
    s->level = to;
    s->block_left = n;
}

static float next_made(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    if (s->block_left == 0) next_block(conceal);
    return conceal->out[conceal->block - s->block_left--];
}

void vc_conceal_fill(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    gap_state *s = &conceal->s;
    size_t known = s->between_left < n ? s->between_left : n;
    const float *between = conceal->between + s->between - s->between_left;
    for (size_t i = 0; i < known; i++) samples[i] = to_s16(between[i]);
    remember(conceal, samples, known);
    s->between_left -= known;
    if (known > 0 && s->between_left == 0) s->mode = BRIDGED;
    if (known == n) return;
    samples += known;
    n -= known;
    if (s->mode != MADE) begin(conceal);
    for (size_t i = 0; i < n; i++) samples[i] = to_s16(next_made(conceal));
    remember(conceal, samples, n);
}

/* -- gaps with both sides known --------------------------------------------------------------- */

/* n samples that lead up to `next`, the last first. */
static void make_backward(vc_conceal *conceal, float *y, size_t n, const int16_t *next,
                          size_t n_next)
{
    for (size_t i = 0; i < n_next; i++) conceal->line[n_next - 1 - i] = next[i];
    vc_extrapolate_begin(conceal->voice, conceal->line + n_next, n_next);
    vc_extrapolate_next(conceal->voice, y, n);
    float trend = vc_extrapolate_trend(conceal->voice), from = 1.0f;
    int blocks = 0;
    for (size_t at = 0; at < n; at += conceal->block) {
        size_t part = n - at < conceal->block ? n - at : conceal->block;
        float to = level_after(++blocks, trend), step = (to - from) / (float)conceal->block;
        for (size_t i = 0; i < part; i++) y[at + i] *= from + step * (float)i;
        from = to;
    }
}

/* The way from `forward` to `backward`, -turn..turn, at which they are most alike around the middle
 * of a gap of n samples. */
static int best_turn(const vc_conceal *conceal, const float *forward, const float *backward,
                     size_t n)
{
    int turn = (int)conceal->turn, step = turn / TURN_STEPS, found = 0;
    size_t match = conceal->match < n / 2 ? conceal->match : n / 2, start = (n - match) / 2;
    float best = 0.0f;
    for (int k = 0; k <= 2 * TURN_STEPS; k++) { /* the shortest ways first */
        int way = (k & 1 ? (k + 1) / 2 : -k / 2) * step, one = way / 2;
        const float *a = forward + (ptrdiff_t)start + one;
        const float *b = backward + (ptrdiff_t)start + one - way;
        float product = vc_lpc_dot(a, b, match); /* over so short a way the energies stay */
        if (product > best) {
            best = product;
            found = way;
        }
    }
    return found;
}

static float at_place(const float *x, float place)
{
    int whole = (int)place;
    return x[whole] + (place - (float)whole) * (x[whole + 1] - x[whole]);
}

/* The n samples between what came last and `next`. */
static void make_between(vc_conceal *conceal, size_t n, const int16_t *next, size_t n_next)
{
    gap_state *s = &conceal->s;
    size_t turn = conceal->turn, all = n + turn + 1;
    float *forward = conceal->forward, *both = conceal->between + VC_LPC_ORDER;
    for (size_t i = 0; i < all;) {
        if (s->block_left == 0) next_block(conceal);
        size_t some = s->block_left < all - i ? s->block_left : all - i;
        memcpy(forward + i, conceal->out + conceal->block - s->block_left, some * sizeof(float));
        s->block_left -= some;
        i += some;
    }
    /* This side is whole, and the next gap or join begins anew: the voice is free. */
    make_backward(conceal, both, all, next, n_next);
    for (size_t i = 0, j = all - 1; i < j; i++, j--) {
        float swap = both[i];
        both[i] = both[j];
        both[j] = swap;
    }
    both[all] = (float)next[0];
    const float *backward = both + turn + 1;
    float way = (float)best_turn(conceal, forward, backward, n);
    float step = 1.0f / (float)(n - 1);
    for (size_t i = 0; i < n; i++) {
        float weight = step * (float)i, place = (float)i;
        float ahead = at_place(forward, fmaxf(place + way * weight, 0.0f));
        float before = at_place(both, place + (float)(turn + 1) - way * (1.0f - weight));
        /* Over the other side, whose next samples come after this place. */
        conceal->between[i] = ahead + weight * (before - ahead);
    }
    s->between = s->between_left = n;
}

int vc_conceal_wants_next(const vc_conceal *conceal, size_t gap)
{
    return conceal->s.between_left == 0 && gap >= conceal->block && gap <= conceal->most_between;
}

size_t vc_conceal_next_samples(const vc_conceal *conceal)
{
    return conceal->most_next;
}

void vc_conceal_between(vc_conceal *conceal, size_t gap, const int16_t *next, size_t n_next)
{
    if (!vc_conceal_wants_next(conceal, gap)) return;
    if (n_next > conceal->most_next) n_next = conceal->most_next;
    if (n_next < vc_extrapolate_least_samples(conceal->voice)) return;
    if (conceal->s.mode != MADE) begin(conceal);
    make_between(conceal, gap, next, n_next);
}

void vc_conceal_cut(vc_conceal *conceal)
{
    if (conceal->s.mode != MADE) begin(conceal);
}

void vc_conceal_decoded(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    gap_state *s = &conceal->s;
    if (s->between_left > 0) begin(conceal); /* came too early: join it to what was given out */
    if (s->mode == MADE) s->join_left = conceal->join;
    s->mode = REAL;
    for (size_t i = 0; i < n && s->join_left > 0; i++, s->join_left--) {
        float weight = (float)s->join_left / (float)(conceal->join + 1);
        samples[i] = to_s16((float)samples[i] + weight * (next_made(conceal) - (float)samples[i]));
    }
    while (n > 0) {
        size_t part = conceal->background - s->real_run;
        if (part > n) part = n;
        remember(conceal, samples, part);
        samples += part;
        n -= part;
        s->real_run += part;
        if (s->real_run == conceal->background) {
            learn(conceal);
            s->real_run = 0;
        }
    }
}

void vc_conceal_silence(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    gap_state *s = &conceal->s;
    if (s->mode != SILENT) {
        s->between_left = 0;
        size_t size = conceal->history_samples;
        s->last = (float)conceal->history[(s->at + size - 1) % size];
        s->ramp_left = conceal->ramp;
        s->join_left = 0;
        s->real_run = 0;
        s->mode = SILENT;
    }
    size_t ramp = (size_t)s->ramp_left < n ? (size_t)s->ramp_left : n;
    for (size_t i = 0; i < ramp; i++)
        samples[i] = to_s16(s->last * (float)s->ramp_left-- / (float)(conceal->ramp + 1));
    memset(samples + ramp, 0, (n - ramp) * sizeof(int16_t));
    remember(conceal, samples, n);
}

void vc_conceal_prefetch(const vc_conceal *conceal, size_t n, vc_turns_away turns)
{
    if (turns == VC_SECOND) {
        vc_prefetch(conceal, sizeof *conceal);
        return;
    }
    size_t room = conceal->history_samples - conceal->s.at;
    vc_prefetch(conceal->history + conceal->s.at, (n < room ? n : room) * sizeof(int16_t));
}
