/* vc_conceal: see vc_conceal.h. Pitch by normalized correlation, on integers of at most 10 bits so
 * that sums stay exact in 32 bits and the loops compile to multiply-add vectors; above 16 kHz first
 * on a decimated copy, then refined. The repeated period is closed into a ring by fading its last
 * quarter into the samples before its first; the step from the last real sample to the first
 * repeated one decays over a quarter period.
 * The idea of pitch repetition with fade: ITU-T G.711 Appendix I (this is simpler, and has no
 * delay). */
#include "net/vc_conceal.h"

#include <math.h>
#include <string.h>

#define FULL_LEVEL_MS     10
#define FADE_MS           60
#define JOIN_MS           5
#define WINDOW_MS         20
#define MAX_LAG_MS        15
#define PEAK_BITS         10
#define SEARCH_HZ         8000
#define VOICED            0.5f /* correlation above which the pitch is repeated in a gap */
#define STRETCHABLE       0.7f /* correlation above which removing a period is not heard */
#define QUIET_MEAN_SQUARE (100 * 100)

enum mode { REAL, MADE, SILENT };

struct vc_conceal {
    int rate_hz;
    int min_lag, max_lag, window, join;
    size_t history_samples; /* window + max_lag */
    /* Buffers of history_samples, in the same block of memory. */
    int16_t *history; /* a ring; the oldest sample at `at` */
    int16_t *line;    /* history in order, when a gap begins */
    int16_t *scaled, *coarse;
    float *period; /* max_lag */
    vc_allocator allocator;
    int custom_allocator;

    size_t at;
    enum mode mode;
    int lag;
    int made;      /* samples since the gap began, stops at the end of the fade */
    int phase;     /* next sample of the period */
    float step;    /* decays over a quarter period */
    int join_left; /* real samples still to be faded in */
    float last;    /* silence ramps down from it */
    int ramp_left;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_conceal_create(vc_conceal **out, int rate_hz, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (rate_hz < 8000 || rate_hz > 48000 || rate_hz % 50 != 0) return VC_E_RATE;
    int max_lag = rate_hz * MAX_LAG_MS / 1000, window = rate_hz * WINDOW_MS / 1000;
    size_t history = (size_t)(max_lag + window);
    size_t head = round_up(sizeof(vc_conceal)), line = round_up(history * sizeof(int16_t));
    vc_conceal *conceal =
        vc_allocate(allocator, head + 4 * line + round_up((size_t)max_lag * sizeof(float)));
    if (!conceal) return VC_E_MEMORY;
    unsigned char *memory = (unsigned char *)conceal + head;
    conceal->rate_hz = rate_hz;
    conceal->min_lag = rate_hz / 400;
    conceal->max_lag = max_lag;
    conceal->window = window;
    conceal->join = rate_hz * JOIN_MS / 1000;
    conceal->history_samples = history;
    conceal->history = (int16_t *)memory;
    conceal->line = (int16_t *)(memory + line);
    conceal->scaled = (int16_t *)(memory + 2 * line);
    conceal->coarse = (int16_t *)(memory + 3 * line);
    conceal->period = (float *)(memory + 4 * line);
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
    vc_allocator allocator = conceal->allocator;
    vc_release(conceal->custom_allocator ? &allocator : NULL, conceal);
}

void vc_conceal_reset(vc_conceal *conceal)
{
    memset(conceal->history, 0, conceal->history_samples * sizeof(int16_t));
    conceal->at = 0;
    conceal->mode = REAL;
    conceal->lag = conceal->max_lag;
    conceal->made = conceal->phase = conceal->join_left = conceal->ramp_left = 0;
    conceal->step = conceal->last = 0.0f;
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
    size_t first = size - conceal->at < n ? size - conceal->at : n;
    memcpy(conceal->history + conceal->at, samples, first * sizeof(int16_t));
    memcpy(conceal->history, samples + first, (n - first) * sizeof(int16_t));
    conceal->at = (conceal->at + n) % size;
}

/* -- pitch ------------------------------------------------------------------------------------ */

static int32_t dot(const int16_t *a, const int16_t *b, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += (int32_t)a[i] * b[i];
    return sum;
}

struct match {
    int lag;
    float correlation; /* -1..1 */
};

/* The lag from `low` to `high` whose shifted window is most like the fixed one. */
static struct match best_of(const int16_t *fixed, int window, int direction, int low, int high)
{
    struct match best = {high, 0.0f};
    float own = (float)dot(fixed, fixed, window);
    for (int lag = low; lag <= high; lag++) {
        const int16_t *moved = fixed + direction * lag;
        float energy = (float)dot(moved, moved, window);
        float product = (float)dot(fixed, moved, window);
        if (product <= 0.0f) continue;
        float correlation = product / sqrtf(own * energy);
        if (correlation > best.correlation) best = (struct match){lag, correlation};
    }
    return best;
}

/* Searches x, whose fixed window starts at `at`; the other one moves by -lag or +lag. */
static struct match find_pitch(vc_conceal *conceal, const int16_t *x, int at, int direction)
{
    int total = (int)conceal->history_samples, peak = 0, shift = 0;
    for (int i = 0; i < total; i++) {
        int magnitude = x[i] < 0 ? -(x[i] + 1) : x[i];
        peak = magnitude > peak ? magnitude : peak;
    }
    while (peak >> shift >> PEAK_BITS) shift++;
    for (int i = 0; i < total; i++) conceal->scaled[i] = (int16_t)(x[i] >> shift);
    int stride = conceal->rate_hz / SEARCH_HZ;
    if (stride < 2)
        return best_of(conceal->scaled + at, conceal->window, direction, conceal->min_lag,
                       conceal->max_lag);
    int coarse_total = total / stride, coarse_at = at / stride;
    for (int i = 0; i < coarse_total; i++) {
        int sum = 0;
        for (int k = 0; k < stride; k++) sum += conceal->scaled[i * stride + k];
        conceal->coarse[i] = (int16_t)(sum / stride);
    }
    int high = conceal->max_lag / stride, window = conceal->window / stride;
    if (direction > 0 && high > coarse_total - coarse_at - window)
        high = coarse_total - coarse_at - window;
    if (direction < 0 && high > coarse_at) high = coarse_at;
    int lag =
        best_of(conceal->coarse + coarse_at, window, direction, conceal->min_lag / stride, high)
            .lag *
        stride;
    int low = lag - stride + 1, top = lag + stride - 1;
    low = low < conceal->min_lag ? conceal->min_lag : low;
    top = top > conceal->max_lag ? conceal->max_lag : top;
    return best_of(conceal->scaled + at, conceal->window, direction, low, top);
}

/* -- gaps ------------------------------------------------------------------------------------- */

static void begin(vc_conceal *conceal)
{
    size_t size = conceal->history_samples, oldest = conceal->at;
    memcpy(conceal->line, conceal->history + oldest, (size - oldest) * sizeof(int16_t));
    memcpy(conceal->line + size - oldest, conceal->history, oldest * sizeof(int16_t));
    struct match pitch = find_pitch(conceal, conceal->line, conceal->max_lag, -1);
    int lag = pitch.correlation < VOICED ? conceal->max_lag : pitch.lag;
    const int16_t *end = conceal->line + size;
    for (int i = 0; i < lag; i++) conceal->period[i] = (float)end[i - lag];
    int quarter = lag / 4;
    for (int i = 0; i < quarter; i++) {
        float weight = (float)(i + 1) / (float)(quarter + 1);
        float *sample = &conceal->period[lag - quarter + i];
        *sample += weight * ((float)end[i - quarter - lag] - *sample);
    }
    conceal->lag = lag;
    conceal->step = (float)(end[-1] - end[-1 - lag]);
    conceal->made = conceal->phase = 0;
    conceal->join_left = 0;
    conceal->mode = MADE;
}

static float next_made(vc_conceal *conceal)
{
    int full = conceal->rate_hz * FULL_LEVEL_MS / 1000, fade = conceal->rate_hz * FADE_MS / 1000;
    if (conceal->made >= full + fade) return 0.0f;
    float value = conceal->period[conceal->phase];
    int quarter = conceal->lag / 4;
    if (conceal->made < quarter)
        value += conceal->step * (1.0f - (float)(conceal->made + 1) / (float)quarter);
    if (conceal->made >= full) value *= 1.0f - (float)(conceal->made - full) / (float)fade;
    conceal->made++;
    if (++conceal->phase == conceal->lag) conceal->phase = 0;
    return value;
}

void vc_conceal_fill(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    if (conceal->mode != MADE) begin(conceal);
    for (size_t i = 0; i < n; i++) samples[i] = to_s16(next_made(conceal));
    remember(conceal, samples, n);
}

void vc_conceal_cut(vc_conceal *conceal)
{
    if (conceal->mode != MADE) begin(conceal);
}

void vc_conceal_decoded(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    if (conceal->mode == MADE) conceal->join_left = conceal->join;
    conceal->mode = REAL;
    for (size_t i = 0; i < n && conceal->join_left > 0; i++, conceal->join_left--) {
        float made = next_made(conceal);
        float weight = (float)conceal->join_left / (float)(conceal->join + 1);
        samples[i] = to_s16((float)samples[i] + weight * (made - (float)samples[i]));
    }
    remember(conceal, samples, n);
}

void vc_conceal_silence(vc_conceal *conceal, int16_t *samples, size_t n)
{
    if (n == 0) return;
    if (conceal->mode != SILENT) {
        size_t size = conceal->history_samples;
        conceal->last = (float)conceal->history[(conceal->at + size - 1) % size];
        conceal->ramp_left = conceal->join;
        conceal->join_left = 0;
        conceal->mode = SILENT;
    }
    size_t ramp = (size_t)conceal->ramp_left < n ? (size_t)conceal->ramp_left : n;
    for (size_t i = 0; i < ramp; i++)
        samples[i] =
            to_s16(conceal->last * (float)conceal->ramp_left-- / (float)(conceal->join + 1));
    memset(samples + ramp, 0, (n - ramp) * sizeof(int16_t));
    remember(conceal, samples, n);
}

/* -- shortening ------------------------------------------------------------------------------- */

size_t vc_conceal_shorten_samples(const vc_conceal *conceal)
{
    return conceal->history_samples;
}

size_t vc_conceal_shorten(vc_conceal *conceal, const int16_t *in, int16_t *out, int force)
{
    if (conceal->mode != REAL || conceal->join_left > 0) return 0;
    int window = conceal->window;
    struct match pitch = find_pitch(conceal, in, 0, 1);
    int64_t energy = 0;
    for (size_t i = 0; i < conceal->history_samples; i++) energy += (int64_t)in[i] * in[i];
    int quiet = energy < (int64_t)conceal->history_samples * QUIET_MEAN_SQUARE;
    if (!quiet && !force && pitch.correlation < STRETCHABLE) return 0;
    int lag = quiet ? conceal->max_lag : pitch.lag;
    for (int i = 0; i < window; i++) {
        float weight = (float)(i + 1) / (float)(window + 1);
        out[i] = to_s16((float)in[i] + weight * (float)(in[i + lag] - in[i]));
    }
    return (size_t)lag;
}
