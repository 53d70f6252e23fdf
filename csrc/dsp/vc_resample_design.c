/* vc_resample: lengths, phases and kernels of a rate pair, made once at create. */
#include <math.h>

#include "dsp/vc_resample_parts.h"
#include "tables/vc_resample_table.h"

enum { MAX_COLUMN_RATIO = 8, BLOCK_MS = 20, BLOCK_OUTPUTS_SLACK = 4 };

static size_t greatest_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

/* Clenshaw's recurrence for the cosine sum. */
double vc_resample_prototype(const vc_resample *r, double u)
{
    const double pi = 3.14159265358979323846, span = (double)r->span;
    if (fabs(u) >= span / 2.0) return 0.0;
    double c = cos(2.0 * pi * u / span), b1 = 0.0, b2 = 0.0;
    for (size_t k = r->n_terms; k >= 1; k--) {
        double b0 = 2.0 * r->terms[k] + 2.0 * c * b1 - b2;
        b2 = b1;
        b1 = b0;
    }
    return (r->terms[0] + c * b1 - b2) / span;
}

double vc_resample_scale(const vc_resample *r)
{
    return r->m > r->l ? (double)r->m / (double)r->l : 1.0;
}

/* Where the kernel finds tap k's input: stream by stream, each stream's columns in groups of three,
 * a vector apart. `first` is the place of the oldest input; returns the tap that stands at k. */
static size_t place_in_threes(const vc_resample *r, size_t first, size_t k, int32_t *offset)
{
    size_t lanes = r->kernels->lanes, per_stream = r->n_taps / r->m;
    size_t stream = k / per_stream, rest = k % per_stream;
    size_t block = rest / (3 * lanes), group = rest / 3 % lanes, third = rest % 3;
    size_t column = block * 3 * lanes + third * lanes + group;
    size_t tap = (stream + r->m - first % r->m) % r->m + column * r->m;
    if (third == 0) *offset = (int32_t)(stream * r->stride + (first + tap) / r->m);
    return tap;
}

/* The tap that weighs an input sample, counted from the group's start. */
static double tap_of(const vc_resample *r, size_t phase, double sample)
{
    double end = (double)((phase + 1) * r->m) / (double)r->l, scale = vc_resample_scale(r);
    return vc_resample_prototype(r, (sample - end) / scale + (double)r->span / 2.0);
}

/* Unit gain at 0 Hz. */
static double sum_of(const vc_resample *r, size_t phase)
{
    double sum = 0.0;
    for (size_t age = 0; age < r->window; age++)
        sum += tap_of(r, phase, (double)r->newest[phase] - (double)age);
    return sum;
}

/* Tap t weighs input newest - (n_taps - 1) + t. */
static void design_columns(vc_resample *r, size_t phase)
{
    double oldest = (double)r->newest[phase] - (double)(r->n_taps - 1), sum = sum_of(r, phase);
    float *taps = r->taps + phase * r->n_taps;
    int32_t *offsets = r->offsets + phase * r->n_taps;
    /* In samples after the oldest that the buffer holds. */
    size_t first = r->history * r->m + (size_t)r->newest[phase] - (r->n_taps - 1);
    for (size_t k = 0; k < r->n_taps; k++) {
        size_t t = k;
        if (r->in_threes)
            t = place_in_threes(r, first, k, &offsets[k / 3]);
        else
            offsets[k] = (int32_t)((first + k) % r->m * r->stride + (first + k) / r->m);
        taps[k] = (float)(tap_of(r, phase, oldest + (double)t) / sum);
    }
}

/* The window of the phase's group, then the tail. Padding is at the old end, where the samples are
 * known: a NaN must not reach an output from beyond its window's new end. */
static void design_dots(vc_resample *r, size_t phase)
{
    double shared = r->newest[phase / r->group * r->group], newest = r->newest[phase];
    double sum = sum_of(r, phase);
    float *body = r->taps + phase * r->n_taps, *tail = body + r->body;
    for (size_t t = 0; t < r->body; t++)
        body[t] = (float)(tap_of(r, phase, shared - (double)(r->body - 1 - t)) / sum);
    for (size_t t = 0; t < VC_RESAMPLE_TAIL; t++) {
        double sample = newest - (double)(VC_RESAMPLE_TAIL - 1 - t);
        tail[t] = sample > shared ? (float)(tap_of(r, phase, sample) / sum) : 0.0f;
    }
    r->offsets[phase] = (int32_t)(shared + (double)(r->history - (r->body - 1)));
    r->offsets[r->l + phase] =
        (int32_t)(newest - shared + (double)r->body - (double)VC_RESAMPLE_TAIL);
}

void vc_resample_design(vc_resample *r)
{
    for (size_t phase = 0; phase < r->l; phase++) {
        r->newest[phase] = (int32_t)(((phase + 1) * r->m - 1) / r->l);
        if (r->by_columns)
            design_columns(r, phase);
        else
            design_dots(r, phase);
    }
}

/* Downwards, a phase's taps in one stream are span / L; columns3 wants whole groups of them. */
static int fits_threes(const vc_resample *r, const vc_resample_kernels *kernels)
{
    if (!r->by_columns || r->m < r->l || r->span % r->l) return 0;
    return r->span / r->l % (3 * kernels->lanes) == 0;
}

static void choose_kernels(vc_resample *r, vc_cpu_level level)
{
    r->kernels = &vc_resample_kernels_c;
#if defined(__x86_64__)
    if (level == VC_CPU_AVX2) r->kernels = &vc_resample_kernels_avx2;
    if (level == VC_CPU_AVX512) {
        r->kernels = &vc_resample_kernels_avx512;
        /* Three taps a load are worth more than the width (24 to 16 kHz: 1.5x). */
        if (!fits_threes(r, r->kernels) && fits_threes(r, &vc_resample_kernels_avx2))
            r->kernels = &vc_resample_kernels_avx2;
    }
#elif defined(__aarch64__)
    if (level == VC_CPU_NEON) r->kernels = &vc_resample_kernels_neon;
#else
    (void)level;
#endif
    r->in_threes = fits_threes(r, r->kernels);
}

void vc_resample_plan(vc_resample *r, int preset, vc_cpu_level level)
{
    size_t divisor = greatest_divisor((size_t)r->in_hz, (size_t)r->out_hz);
    r->l = (size_t)r->out_hz / divisor;
    r->m = (size_t)r->in_hz / divisor;
    size_t design = 2 * (size_t)preset + (r->l == r->m);
    r->span = (size_t)vc_resample_designs[design].span;
    r->n_terms = (size_t)vc_resample_designs[design].n_terms;
    r->terms = vc_resample_designs[design].terms;
    r->by_columns = r->l <= MAX_COLUMN_RATIO && r->m <= MAX_COLUMN_RATIO;
    choose_kernels(r, level);
    r->streams = r->by_columns ? r->m : 1;
    r->window = r->m > r->l ? (r->span * r->m + r->l - 1) / r->l : r->span;
    r->block_samples = (size_t)r->in_hz * BLOCK_MS / 1000 + 1;
    /* Trim makes a thousandth more at the most. */
    size_t outputs = r->block_samples * r->l / r->m;
    r->plane_in = round_up(r->block_samples, VC_RESAMPLE_PAD);
    r->plane_out = round_up(outputs + outputs / 1000 + BLOCK_OUTPUTS_SLACK, VC_RESAMPLE_PAD);
    if (r->by_columns) {
        r->n_taps = r->window;
        r->history = (r->window - 1 + r->m - 1) / r->m;
        r->block = round_up((r->block_samples + 2 * r->m - 2) / r->m, VC_RESAMPLE_PAD);
        r->tile_stride = r->block;
    } else {
        r->group = VC_RESAMPLE_GROUP;
        while (((r->group - 1) * r->m + r->l - 1) / r->l > VC_RESAMPLE_TAIL) r->group--;
        r->body = round_up(r->window, r->kernels->lanes);
        r->n_taps = r->body + VC_RESAMPLE_TAIL;
        r->history = r->n_taps - 1;
        r->block = r->block_samples;
        r->tile_stride = r->plane_out;
    }
    r->stride = round_up(r->history + r->block, VC_RESAMPLE_PAD) + VC_RESAMPLE_PAD;
}
