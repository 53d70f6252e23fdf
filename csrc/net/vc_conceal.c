/* vc_conceal: see vc_conceal.h. The parts are those of WebRTC's NetEq (Expand, BackgroundNoise,
 * Merge) and of ITU-T G.711 Appendix I; this is simpler than the first and, unlike the second, has
 * no delay.
 *
 * A gap is made in the domain of the residual: the residual's last pitch period is repeated and run
 * through the prediction filter, whose memory holds the last real samples. That joins smoothly by
 * itself at the start and from period to period. Short periods are repeated in groups of at least
 * 6 ms, whose common length is searched again: an error of the lag adds up less.
 * Where the pitch is weak, noise of the residual's level takes over. Levels that rose or fell from
 * one period to the next go on doing so for 20 ms. All gains are linear within blocks of 5 ms,
 * which are counted from the start of the gap. The constants were tuned on PESQ
 * (docs/units/conceal.md). */
#include "net/vc_conceal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/vc_lpc.h"
#include "dsp/vc_pitch.h"

#define HISTORY_MS  36
#define ANALYSIS_MS 20
#define PITCH_MS    12 /* the window that is compared */
#define LEAST_MS    6  /* of a group of periods */
#define LEAD_MS     1
#define BLOCK_MS    5
#define JOIN_MS     3
#define SILENCE_MS  5

/* Correlations at which the excitation is all noise, and all pitch. */
#define UNVOICED 0.2f
#define VOICED   0.5f
#define NOISE    0.8f /* against the residual's level: noise is heard as louder */

/* Level over time: full for 5 ms, 0.8 at 20 ms, nothing at 90 ms. */
#define FULL_BLOCKS   1
#define SLOW_BLOCKS   4
#define FADE_BLOCKS   18
#define LEVEL_AT_SLOW 0.8f
#define LEAST_TREND   0.7f /* from period to period */
#define MOST_TREND    1.2f

/* Background: at most -40 dBFS, unpredictable (so no tone and no vowel), and the lowest level of
 * late; that level is let rise by 3 dB a second. */
#define BACKGROUND_MS       20
#define MAX_BACKGROUND      (330.0f * 330.0f)
#define MAX_PREDICTION_GAIN 20.0f
#define RISE                1.0139f

#define ALIGNED 0.5f

enum mode { REAL, MADE, SILENT };

/* Everything that reset returns to its start. */
typedef struct gap_state {
    size_t at; /* the oldest sample of the history */
    enum mode mode;
    int join_left;   /* real samples still to be faded in */
    int ramp_left;   /* of the silence's ramp */
    float last;      /* which starts here */
    size_t real_run; /* real samples since the last gap or look at the background */

    vc_lpc voice;
    float pitch_gain, noise_gain; /* of the two excitations */
    float trend;                  /* of the level, per block */
    float biggest_step;           /* of the last period */
    size_t group, phase; /* samples of excitation that are repeated, and the next of them */
    int blocks;          /* since the gap began; stops at FADE_BLOCKS */
    size_t block_left;   /* samples of the block that were not given out */
    float level;         /* at the end of the block */
    uint32_t seed;

    vc_lpc background;
    float background_rms, background_mean_square; /* of its residual, of itself */
    float lowest;
} gap_state;

struct vc_conceal {
    size_t max_lag, history_samples, analysis, window, least, lead, block, background;
    int join, ramp;
    vc_pitch *pitch;
    int16_t *history;  /* a ring; the oldest sample at `at` */
    int16_t *line;     /* history in order */
    float *shape;      /* analysis: the window function */
    float *windowed;   /* analysis */
    float *excitation; /* max_lag + lead */
    /* VC_LPC_ORDER + block each: memory of the filter and the block */
    float *voice, *hiss;
    float *out;   /* block */
    float *spare; /* a copy of the three */
    size_t block_floats;
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
    vc_pitch *pitch;
    vc_status status = vc_pitch_create(&pitch, rate_hz, allocator);
    if (status != VC_OK) return status;
    size_t rate = (size_t)rate_hz, max_lag = vc_pitch_max_lag_samples(pitch);
    size_t analysis = rate * ANALYSIS_MS / 1000, block = rate * BLOCK_MS / 1000;
    size_t samples = rate * HISTORY_MS / 1000, row = VC_LPC_ORDER + block;
    size_t head = round_up(sizeof(vc_conceal)), line = round_up(samples * sizeof(int16_t));
    size_t lead = rate * LEAD_MS / 1000, floats = 2 * analysis + max_lag + lead + 6 * row;
    vc_conceal *conceal = vc_allocate(allocator, head + 2 * line + floats * sizeof(float));
    if (!conceal) {
        vc_pitch_destroy(pitch);
        return VC_E_MEMORY;
    }
    unsigned char *memory = (unsigned char *)conceal + head;
    conceal->max_lag = max_lag;
    conceal->history_samples = samples;
    conceal->analysis = analysis;
    conceal->window = rate * PITCH_MS / 1000;
    conceal->least = rate * LEAST_MS / 1000;
    conceal->lead = lead;
    conceal->block = block;
    conceal->background = rate * BACKGROUND_MS / 1000;
    conceal->join = rate_hz * JOIN_MS / 1000;
    conceal->ramp = rate_hz * SILENCE_MS / 1000;
    conceal->pitch = pitch;
    conceal->history = (int16_t *)memory;
    conceal->line = (int16_t *)(memory + line);
    conceal->shape = (float *)(memory + 2 * line);
    conceal->windowed = conceal->shape + analysis;
    conceal->excitation = conceal->windowed + analysis;
    conceal->voice = conceal->excitation + max_lag + lead;
    conceal->hiss = conceal->voice + row;
    conceal->out = conceal->hiss + row;
    conceal->spare = conceal->out + row;
    conceal->block_floats = 3 * row;
    /* The newest samples count most: a slow rise and a fast fall. */
    size_t fall = analysis / 4, rise = analysis - fall;
    for (size_t i = 0; i < analysis; i++)
        conceal->shape[i] = i < rise ? sinf(1.57079633f * ((float)i + 0.5f) / (float)rise)
                                     : cosf(1.57079633f * ((float)(i - rise) + 0.5f) / (float)fall);
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
    vc_pitch_destroy(conceal->pitch);
    vc_allocator allocator = conceal->allocator;
    vc_release(conceal->custom_allocator ? &allocator : NULL, conceal);
}

void vc_conceal_reset(vc_conceal *conceal)
{
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

static float energy(const int16_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)x[i] * x[i];
    return (float)sum;
}

static void analyze(vc_conceal *conceal, const int16_t *end, vc_lpc *lpc)
{
    const int16_t *x = end - conceal->analysis;
    for (size_t i = 0; i < conceal->analysis; i++)
        conceal->windowed[i] = conceal->shape[i] * (float)x[i];
    vc_lpc_analyze(conceal->windowed, conceal->analysis, lpc);
}

/* -- background ------------------------------------------------------------------------------- */

/* Looks at the last 20 ms of real audio. */
static void learn(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    size_t n = conceal->background;
    const int16_t *end = line_up(conceal);
    float mean_square = energy(end - n, n) / (float)n;
    if (mean_square > s->lowest) {
        s->lowest = s->lowest * RISE < MAX_BACKGROUND ? s->lowest * RISE : MAX_BACKGROUND;
        return;
    }
    vc_lpc lpc;
    analyze(conceal, end, &lpc);
    if (lpc.gain > MAX_PREDICTION_GAIN) return;
    s->lowest = mean_square > 1.0f ? mean_square : 1.0f;
    s->background = lpc;
    s->background_mean_square = mean_square;
    s->background_rms = sqrtf(mean_square / lpc.gain);
}

float vc_conceal_background(const vc_conceal *conceal)
{
    return conceal->s.background_mean_square;
}

/* -- gaps ------------------------------------------------------------------------------------- */

static void begin(vc_conceal *conceal)
{
    gap_state *s = &conceal->s;
    const int16_t *end = line_up(conceal);
    vc_pitch_match match = vc_pitch_find(conceal->pitch, end - conceal->window, conceal->window);
    size_t lag = (size_t)match.lag_samples, many = (conceal->least + lag - 1) / lag;
    s->group = lag;
    if (many > 1) {
        int group = (int)(many * lag), reach = (int)many;
        vc_pitch_match again = vc_pitch_find_near(conceal->pitch, group - reach, group + reach);
        s->group = (size_t)again.lag_samples;
    }
    analyze(conceal, end, &s->voice);
    /* The end of the group leads over to its start, so that no pulse is cut or doubled there. */
    size_t lead = conceal->lead;
    vc_lpc_residual(&s->voice, end - s->group - lead, s->group + lead, conceal->excitation);
    float *ends = conceal->excitation + s->group;
    for (size_t i = 0; i < lead; i++)
        ends[i] += (conceal->excitation[i] - ends[i]) * (float)(i + 1) / (float)(lead + 1);
    memmove(conceal->excitation, conceal->excitation + lead, s->group * sizeof(float));
    float voiced = (match.correlation - UNVOICED) / (VOICED - UNVOICED);
    voiced = voiced < 0.0f ? 0.0f : voiced > 1.0f ? 1.0f : voiced;
    float mean_square =
        vc_lpc_dot(conceal->excitation, conceal->excitation, s->group) / (float)s->group;
    s->noise_gain = NOISE * sqrtf(mean_square * (1.0f - voiced * voiced));
    s->pitch_gain = voiced * (0.5f + 0.5f * match.correlation);
    size_t period = s->group;
    float trend =
        sqrtf((energy(end - period, period) + 1.0f) / (energy(end - 2 * period, period) + 1.0f));
    trend = trend < LEAST_TREND ? LEAST_TREND : trend > MOST_TREND ? MOST_TREND : trend;
    s->trend = powf(trend, (float)conceal->block / (float)period);
    int biggest = 1;
    for (const int16_t *x = end - period; x < end; x++) {
        int step = abs(x[0] - x[-1]);
        biggest = step > biggest ? step : biggest;
    }
    s->biggest_step = (float)biggest;
    for (size_t i = 0; i < VC_LPC_ORDER; i++) {
        conceal->voice[conceal->block + i] = (float)end[(ptrdiff_t)i - VC_LPC_ORDER];
        conceal->hiss[conceal->block + i] = 0.0f;
    }
    s->phase = s->block_left = 0;
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

/* The first made-up sample steps no further than real audio did: what is more decays over a block.
 */
static void soften(float *voice, size_t n, float biggest_step)
{
    float step = voice[0] - voice[-1], over = 0.0f;
    if (step > biggest_step) over = step - biggest_step;
    if (step < -biggest_step) over = step + biggest_step;
    if (over == 0.0f) return;
    for (size_t i = 0; i < n; i++) voice[i] -= over * (1.0f - (float)i / (float)n);
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
        float *voice = conceal->voice + VC_LPC_ORDER;
        memcpy(conceal->voice, conceal->voice + n, VC_LPC_ORDER * sizeof(float));
        for (size_t i = 0; i < n; i++) {
            voice[i] = s->pitch_gain * conceal->excitation[s->phase];
            if (++s->phase == s->group) s->phase = 0;
        }
        if (s->noise_gain > 0.0f)
            for (size_t i = 0; i < n; i++) voice[i] += s->noise_gain * noise(&s->seed);
        vc_lpc_synthesize(&s->voice, voice, n);
        if (s->blocks == 0) soften(voice, n, s->biggest_step);
        to = level_after(++s->blocks, s->trend);
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
    if (conceal->s.block_left == 0) next_block(conceal);
    return conceal->out[conceal->block - conceal->s.block_left--];
}

void vc_conceal_fill(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    if (conceal->s.mode != MADE) begin(conceal);
    for (size_t i = 0; i < n; i++) samples[i] = to_s16(next_made(conceal));
    remember(conceal, samples, n);
}

void vc_conceal_cut(vc_conceal *conceal)
{
    if (conceal->s.mode != MADE) begin(conceal);
}

void vc_conceal_decoded(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    gap_state *s = &conceal->s;
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

/* -- alignment -------------------------------------------------------------------------------- */

size_t vc_conceal_align_samples(const vc_conceal *conceal)
{
    return conceal->block;
}

size_t vc_conceal_align(vc_conceal *conceal, const int16_t *next)
{
    gap_state *s = &conceal->s;
    if (s->mode != MADE || s->blocks >= FADE_BLOCKS) return 0;
    const size_t n = conceal->block, most = conceal->max_lag;
    /* Looks ahead and returns to where it was. */
    gap_state now = *s;
    memcpy(conceal->spare, conceal->voice, conceal->block_floats * sizeof(float));
    for (size_t i = 0; i < most + n; i++) conceal->line[i] = to_s16(next_made(conceal));
    *s = now;
    memcpy(conceal->voice, conceal->spare, conceal->block_floats * sizeof(float));

    float best = 0.0f, own = sqrtf(energy(next, n));
    size_t found = 0;
    for (size_t shift = 0; shift <= most; shift++) {
        int64_t product = 0;
        for (size_t i = 0; i < n; i++) product += (int32_t)next[i] * conceal->line[shift + i];
        if (product <= 0) continue;
        float likeness = (float)product / (own * sqrtf(energy(conceal->line + shift, n)));
        if (likeness > best + 1e-3f) {
            best = likeness;
            found = shift;
        }
    }
    return best >= ALIGNED ? found : 0;
}
