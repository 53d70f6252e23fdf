/* vc_extrapolate: see vc_extrapolate.h. The parts are those of WebRTC's NetEq (Expand) and of ITU-T
 * G.711 Appendix I.
 *
 * The residual's last pitch period is repeated and run through the prediction filter, whose memory
 * holds the last real samples. That joins smoothly by itself at the start and from period to
 * period. Short periods are repeated in groups of at least 6 ms, whose common length is searched
 * again: an error of the lag adds up less. Where the pitch is weak, noise of the residual's level
 * takes over. The constants were tuned on PESQ (docs/units/conceal.md). */
#include "dsp/vc_extrapolate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/vc_pitch.h"

#define ANALYSIS_MS    20
#define LEAST_ALL_MS   15
#define PITCH_MS       12 /* the window that is compared */
#define LEAST_PITCH_MS 8
#define LEAST_MS       6 /* of a group of periods */
#define LEAD_MS        1
#define BLOCK_MS       5

/* Correlations at which the excitation is all noise, and all pitch. */
#define UNVOICED 0.2f
#define VOICED   0.5f
#define NOISE    0.8f /* against the residual's level: noise is heard as louder */

#define LEAST_TREND 0.7f /* from period to period */
#define MOST_TREND  1.2f

/* What vc_extrapolate_next carries from call to call. */
typedef struct next_place {
    size_t phase; /* next of the repeated samples */
    int begun;
    uint32_t seed;
    float memory[VC_LPC_ORDER];
} next_place;

struct vc_extrapolate {
    size_t max_lag, analysis, window, least_window, least, least_all, lead, block;
    vc_pitch *pitch;
    float *shape;      /* analysis: the window function */
    float *windowed;   /* analysis */
    float *excitation; /* max_lag + lead */
    vc_allocator allocator;
    int custom_allocator;

    vc_lpc voice;
    float pitch_gain, noise_gain; /* of the two excitations */
    float trend;                  /* of the level, per block */
    float biggest_step;           /* of the last period */
    size_t period, group;         /* group: samples of excitation that are repeated */
    next_place place;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_extrapolate_create(vc_extrapolate **out, int rate_hz, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_pitch *pitch;
    vc_status status = vc_pitch_create(&pitch, rate_hz, allocator);
    if (status != VC_OK) return status;
    size_t rate = (size_t)rate_hz, max_lag = vc_pitch_max_lag_samples(pitch);
    size_t analysis = rate * ANALYSIS_MS / 1000, lead = rate * LEAD_MS / 1000;
    size_t head = round_up(sizeof(vc_extrapolate)), floats = 2 * analysis + max_lag + lead;
    vc_extrapolate *extrapolate = vc_allocate(allocator, head + floats * sizeof(float));
    if (!extrapolate) {
        vc_pitch_destroy(pitch);
        return VC_E_MEMORY;
    }
    extrapolate->max_lag = max_lag;
    extrapolate->analysis = analysis;
    extrapolate->window = rate * PITCH_MS / 1000;
    extrapolate->least_window = rate * LEAST_PITCH_MS / 1000;
    extrapolate->least = rate * LEAST_MS / 1000;
    extrapolate->least_all = rate * LEAST_ALL_MS / 1000;
    extrapolate->lead = lead;
    extrapolate->block = rate * BLOCK_MS / 1000;
    extrapolate->pitch = pitch;
    extrapolate->shape = (float *)(void *)((unsigned char *)extrapolate + head);
    extrapolate->windowed = extrapolate->shape + analysis;
    extrapolate->excitation = extrapolate->windowed + analysis;
    /* The newest samples count most: a slow rise and a fast fall. */
    size_t fall = analysis / 4, rise = analysis - fall;
    for (size_t i = 0; i < analysis; i++)
        extrapolate->shape[i] = i < rise
                                    ? sinf(1.57079633f * ((float)i + 0.5f) / (float)rise)
                                    : cosf(1.57079633f * ((float)(i - rise) + 0.5f) / (float)fall);
    if (allocator) {
        extrapolate->allocator = *allocator;
        extrapolate->custom_allocator = 1;
    }
    vc_extrapolate_reset(extrapolate);
    *out = extrapolate;
    return VC_OK;
}

void vc_extrapolate_destroy(vc_extrapolate *extrapolate)
{
    if (!extrapolate) return;
    vc_pitch_destroy(extrapolate->pitch);
    vc_allocator allocator = extrapolate->allocator;
    vc_release(extrapolate->custom_allocator ? &allocator : NULL, extrapolate);
}

void vc_extrapolate_reset(vc_extrapolate *extrapolate)
{
    /* Silence until begin. */
    memset(&extrapolate->voice, 0, sizeof extrapolate->voice);
    memset(extrapolate->excitation, 0, extrapolate->max_lag * sizeof(float));
    extrapolate->pitch_gain = extrapolate->noise_gain = 0.0f;
    extrapolate->trend = extrapolate->biggest_step = 1.0f;
    extrapolate->period = extrapolate->group = extrapolate->max_lag;
    extrapolate->place = (next_place){.seed = 1};
}

static float energy(const int16_t *x, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)x[i] * x[i];
    return (float)sum;
}

/* The last samples count; of a short piece the beginning of the window is left out. */
void vc_extrapolate_analyze(vc_extrapolate *extrapolate, const int16_t *end, size_t n, vc_lpc *lpc)
{
    size_t whole = extrapolate->analysis;
    if (n > whole) n = whole;
    const int16_t *x = end - n;
    const float *shape = extrapolate->shape + whole - n;
    for (size_t i = 0; i < n; i++) extrapolate->windowed[i] = shape[i] * (float)x[i];
    vc_lpc_analyze(extrapolate->windowed, n, lpc);
}

static float find_pitch(vc_extrapolate *extrapolate, const int16_t *end, size_t n)
{
    size_t window = extrapolate->window, least = extrapolate->least_window;
    size_t most = extrapolate->max_lag;
    if (n < window + most) { /* a short piece: shorter windows first, then shorter periods */
        window = n > most + least ? n - most : least;
        most = n - window;
    }
    vc_pitch_match match = vc_pitch_find_within(extrapolate->pitch, end - window, window, most);
    size_t lag = (size_t)match.lag_samples, many = (extrapolate->least + lag - 1) / lag;
    extrapolate->period = extrapolate->group = lag;
    if (many > 1 && many * lag <= most) {
        int group = (int)(many * lag), reach = (int)many;
        vc_pitch_match again = vc_pitch_find_near(extrapolate->pitch, group - reach, group + reach);
        extrapolate->group = (size_t)again.lag_samples;
    }
    return match.correlation;
}

void vc_extrapolate_begin(vc_extrapolate *extrapolate, const int16_t *end, size_t n)
{
    float correlation = find_pitch(extrapolate, end, n);
    size_t group = extrapolate->group, lead = extrapolate->lead;
    vc_extrapolate_analyze(extrapolate, end, n, &extrapolate->voice);
    /* The end of the group leads over to its start, so that no pulse is cut or doubled there. */
    float *excitation = extrapolate->excitation;
    float *line = extrapolate->windowed; /* 20 ms are more than the longest group, lead and order */
    const int16_t *x = end - group - lead - VC_LPC_ORDER;
    for (size_t i = 0; i < VC_LPC_ORDER + lead + group; i++) line[i] = (float)x[i];
    vc_lpc_residual(&extrapolate->voice, line + VC_LPC_ORDER, lead + group, excitation);
    float *ends = excitation + group;
    for (size_t i = 0; i < lead; i++)
        ends[i] += (excitation[i] - ends[i]) * (float)(i + 1) / (float)(lead + 1);
    memmove(excitation, excitation + lead, group * sizeof(float));
    float voiced = (correlation - UNVOICED) / (VOICED - UNVOICED);
    voiced = voiced < 0.0f ? 0.0f : voiced > 1.0f ? 1.0f : voiced;
    float mean_square = vc_lpc_dot(excitation, excitation, group) / (float)group;
    extrapolate->noise_gain = NOISE * sqrtf(mean_square * (1.0f - voiced * voiced));
    extrapolate->pitch_gain = voiced * (0.5f + 0.5f * correlation);

    size_t before = n - group < group ? n - group : group;
    float late = energy(end - group, group) / (float)group;
    float early = energy(end - group - before, before) / (float)before;
    float floor = 1.0f / (float)group, trend = sqrtf((late + floor) / (early + floor));
    trend = trend < LEAST_TREND ? LEAST_TREND : trend > MOST_TREND ? MOST_TREND : trend;
    extrapolate->trend = powf(trend, (float)extrapolate->block / (float)group);
    int biggest = 1;
    for (x = end - group; x < end; x++) {
        int step = abs(x[0] - x[-1]);
        biggest = step > biggest ? step : biggest;
    }
    extrapolate->biggest_step = (float)biggest;
    next_place *place = &extrapolate->place;
    for (size_t i = 0; i < VC_LPC_ORDER; i++)
        place->memory[i] = (float)end[(ptrdiff_t)i - VC_LPC_ORDER];
    place->phase = 0;
    place->begun = 1;
}

size_t vc_extrapolate_least_samples(const vc_extrapolate *extrapolate)
{
    return extrapolate->least_all;
}

/* Uniform, of variance 1. */
static float noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * (1.7320508f / 2147483648.0f);
}

/* The first sample steps no further than real audio did: what is more decays over 5 ms. */
static void soften(float *y, size_t n, float biggest_step)
{
    float step = y[0] - y[-1], over = 0.0f;
    if (step > biggest_step) over = step - biggest_step;
    if (step < -biggest_step) over = step + biggest_step;
    if (over == 0.0f) return;
    for (size_t i = 0; i < n; i++) y[i] -= over * (1.0f - (float)i / (float)n);
}

static void synthesize(vc_extrapolate *extrapolate, float *y, size_t n)
{
    next_place *place = &extrapolate->place;
    memcpy(y - VC_LPC_ORDER, place->memory, sizeof place->memory);
    for (size_t i = 0; i < n; i++) {
        y[i] = extrapolate->pitch_gain * extrapolate->excitation[place->phase];
        if (++place->phase == extrapolate->group) place->phase = 0;
    }
    if (extrapolate->noise_gain > 0.0f)
        for (size_t i = 0; i < n; i++) y[i] += extrapolate->noise_gain * noise(&place->seed);
    vc_lpc_synthesize(&extrapolate->voice, y, n);
    if (place->begun) soften(y, n, extrapolate->biggest_step);
    place->begun = 0;
    memcpy(place->memory, y + n - VC_LPC_ORDER, sizeof place->memory);
}

void vc_extrapolate_next(vc_extrapolate *extrapolate, float *y, size_t n)
{
    size_t first = extrapolate->place.begun && n > extrapolate->block ? extrapolate->block : n;
    if (first > 0) synthesize(extrapolate, y, first);
    if (n > first) synthesize(extrapolate, y + first, n - first);
}

size_t vc_extrapolate_period_samples(const vc_extrapolate *extrapolate)
{
    return extrapolate->period;
}

float vc_extrapolate_trend(const vc_extrapolate *extrapolate)
{
    return extrapolate->trend;
}
