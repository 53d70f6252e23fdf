/* vc_resample: polyphase FIR resampler.
 *
 * With out/in = L/M in lowest terms, output m stands at input position m M/L - delay and is the
 * sum over input samples of x[i] h((i - position) / s), s = max(1, M/L) input samples of the lower
 * rate. h is one continuous, symmetric impulse response for all 72 pairs, 48 lower-rate samples
 * long: a frequency-sampling design whose 29 numbers are generated (tools/design_resampler.py).
 * The phases are computed from it at create, in double, each normalized to unit gain at 0 Hz: one
 * short table instead of 72 long ones, and the filter's figures can be checked at any pair against
 * the same formula in Python. Reference: Rabiner, Gold, McGonegal, "An approach to the
 * approximation problem for nonrecursive digital filters", 1970; Crochiere and Rabiner, "Multirate
 * Digital Signal Processing", 1983, chapter 3.
 *
 * Delay: the newest sample that output m may use, by the floor law of the header, is
 * ceil((m + 1) M/L) - 1, so the window ends just before (m + 1) M/L: half a window less one output
 * sample, 24 / lower_hz - 1 / out_hz seconds.
 *
 * Two inner loops. L and M small: the input is dealt to M streams, the outputs of one phase are
 * then neighbours and are computed a vector at a time; a load of input serves two phases (upwards)
 * or three taps (downwards). Otherwise (44.1 kHz family against the others): one dot product an
 * output. The memory of a handle is 4 bytes times L times the window (longest: 11.025 <-> 32 kHz,
 * 250 KB; 8 <-> 16 kHz, 0.4 KB) and the scratch.
 *
 * Limits: mono; the nine rates; no change of ratio on the run. A NaN or infinity in f32 input
 * spoils the outputs whose window holds it and no more.
 */
#include "dsp/vc_resample.h"

#include <math.h>
#include <string.h>

#include "dsp/vc_resample_kernels.h"
#include "kernels/body_convert.h"
#include "tables/vc_resample_table.h"

enum { MAX_COLUMN_RATIO = 8, BLOCK_MS = 20, BLOCK_OUTPUTS_SLACK = 2 };

struct vc_resample {
    const vc_resample_kernels *kernels;
    const vc_allocator *allocator;
    int in_hz, out_hz;
    size_t l, m;        /* out / in in lowest terms */
    int by_columns;     /* which inner loop */
    int in_threes;      /* by columns, taps grouped for columns3 */
    size_t streams;     /* M when by columns, else 1 */
    size_t n_taps;      /* of a phase, padded */
    size_t history;     /* columns (by columns) or samples before the present group */
    size_t block;       /* columns or samples that the buffer takes after the history */
    size_t stride;      /* floats of a stream */
    size_t tile_stride; /* floats of a phase in the tile */
    float *taps;        /* l phases of n_taps */
    int32_t *offsets;   /* by columns: l phases of n_taps places in the buffer */
    int32_t *newest;    /* l: the newest input that a phase needs, from the group's start */
    float *buffer;      /* streams */
    float *tile;        /* outputs of a block: by columns a row a phase, else in order */
    int32_t *starts;    /* else: where each output's window starts, and its phase */
    int32_t *phases;
    size_t in_group;   /* input samples consumed of the present group of m */
    size_t flush_left; /* zeros still to feed while a flush goes on */
    int fed;           /* input came since reset */
};

static const int rates_hz[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

static int is_rate(int hz)
{
    for (size_t i = 0; i < sizeof rates_hz / sizeof rates_hz[0]; i++)
        if (rates_hz[i] == hz) return 1;
    return 0;
}

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

/* h(u), u in lower-rate samples from the middle; Clenshaw's recurrence for the cosine sum. */
static double prototype(double u)
{
    const double pi = 3.14159265358979323846;
    if (fabs(u) >= VC_RESAMPLE_SPAN / 2.0) return 0.0;
    double c = cos(2.0 * pi * u / VC_RESAMPLE_SPAN), b1 = 0.0, b2 = 0.0;
    for (int k = VC_RESAMPLE_TERMS; k >= 1; k--) {
        double b0 = 2.0 * vc_resample_terms[k] + 2.0 * c * b1 - b2;
        b2 = b1;
        b1 = b0;
    }
    return (vc_resample_terms[0] + c * b1 - b2) / VC_RESAMPLE_SPAN;
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

/* Tap t of a phase weighs input newest - (n_taps - 1) + t. Padding is at the old end, where the
 * samples are known: a NaN must not reach an output from beyond its window's new end. */
static void design_phase(vc_resample *r, size_t phase)
{
    double end = (double)((phase + 1) * r->m) / (double)r->l;
    double scale = r->m > r->l ? (double)r->m / (double)r->l : 1.0;
    double middle = end - scale * VC_RESAMPLE_SPAN / 2.0;
    double oldest = (double)r->newest[phase] - (double)(r->n_taps - 1);
    double sum = 0.0;
    for (size_t t = 0; t < r->n_taps; t++) sum += prototype((oldest + (double)t - middle) / scale);

    float *taps = r->taps + phase * r->n_taps;
    int32_t *offsets = r->by_columns ? r->offsets + phase * r->n_taps : NULL;
    /* In samples after the oldest that the buffer holds. */
    size_t first = r->history * r->m + (size_t)r->newest[phase] - (r->n_taps - 1);
    for (size_t k = 0; k < r->n_taps; k++) {
        size_t t = k;
        if (r->in_threes)
            t = place_in_threes(r, first, k, &offsets[k / 3]);
        else if (r->by_columns)
            offsets[k] = (int32_t)((first + k) % r->m * r->stride + (first + k) / r->m);
        taps[k] = (float)(prototype((oldest + (double)t - middle) / scale) / sum);
    }
}

/* Downwards, a phase's taps in one stream are 48 / L; columns3 wants whole groups of them. */
static int fits_threes(const vc_resample *r, const vc_resample_kernels *kernels)
{
    if (!r->by_columns || r->m < r->l || VC_RESAMPLE_SPAN % r->l) return 0;
    return VC_RESAMPLE_SPAN / r->l % (3 * kernels->lanes) == 0;
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

static void plan(vc_resample *r)
{
    size_t divisor = greatest_divisor((size_t)r->in_hz, (size_t)r->out_hz);
    r->l = (size_t)r->out_hz / divisor;
    r->m = (size_t)r->in_hz / divisor;
    r->by_columns = r->l <= MAX_COLUMN_RATIO && r->m <= MAX_COLUMN_RATIO;
    r->streams = r->by_columns ? r->m : 1;
    size_t span_up = VC_RESAMPLE_SPAN;
    size_t span_down = (VC_RESAMPLE_SPAN * r->m + r->l - 1) / r->l;
    size_t window = r->m > r->l ? span_down : span_up;
    size_t block_samples = (size_t)r->in_hz * BLOCK_MS / 1000 + 1;
    if (r->by_columns) {
        r->n_taps = window;
        r->history = (window - 1 + r->m - 1) / r->m;
        r->block = round_up(block_samples / r->m + 1, VC_RESAMPLE_PAD);
        r->tile_stride = r->block;
    } else {
        r->n_taps = round_up(window, VC_RESAMPLE_PAD);
        r->history = r->n_taps - 1;
        r->block = block_samples;
        r->tile_stride = block_samples * r->l / r->m + BLOCK_OUTPUTS_SLACK;
    }
    r->stride = round_up(r->history + r->block, VC_RESAMPLE_PAD) + VC_RESAMPLE_PAD;
}

vc_resample_config vc_resample_config_default(void)
{
    vc_resample_config config = {16000, 16000, VC_CPU_AUTO, NULL};
    return config;
}

vc_status vc_resample_create(vc_resample **out, const vc_resample_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config) return VC_E_NULL;
    if (!is_rate(config->in_hz) || !is_rate(config->out_hz)) return VC_E_RATE;
    vc_cpu_level level;
    vc_status status = vc_cpu_resolve(config->cpu_level, &level);
    if (status != VC_OK) return status;

    vc_resample *r = vc_allocate(config->allocator, sizeof *r);
    if (!r) return VC_E_MEMORY;
    r->allocator = config->allocator;
    r->in_hz = config->in_hz;
    r->out_hz = config->out_hz;
    plan(r);
    choose_kernels(r, level);
    if (r->l != r->m) {
        size_t all_taps = r->l * r->n_taps;
        size_t tile = r->by_columns ? r->l * r->tile_stride : r->tile_stride;
        r->taps = vc_allocate(r->allocator, all_taps * sizeof *r->taps);
        r->newest = vc_allocate(r->allocator, r->l * sizeof *r->newest);
        r->buffer = vc_allocate(r->allocator, r->streams * r->stride * sizeof *r->buffer);
        r->tile = vc_allocate(r->allocator, tile * sizeof *r->tile);
        /* Places by tap, or starts and phases by output. */
        size_t indices = r->by_columns ? all_taps : 2 * r->tile_stride;
        r->offsets = vc_allocate(r->allocator, indices * sizeof *r->offsets);
        if (!r->taps || !r->newest || !r->buffer || !r->tile || !r->offsets) {
            vc_resample_destroy(r);
            return VC_E_MEMORY;
        }
        r->starts = r->offsets;
        r->phases = r->offsets + r->tile_stride;
        for (size_t phase = 0; phase < r->l; phase++) {
            r->newest[phase] = (int32_t)(((phase + 1) * r->m - 1) / r->l);
            design_phase(r, phase);
        }
    }
    *out = r;
    return VC_OK;
}

void vc_resample_destroy(vc_resample *resampler)
{
    if (!resampler) return;
    const vc_allocator *allocator = resampler->allocator;
    vc_release(allocator, resampler->taps);
    vc_release(allocator, resampler->newest);
    vc_release(allocator, resampler->buffer);
    vc_release(allocator, resampler->tile);
    vc_release(allocator, resampler->offsets);
    vc_release(allocator, resampler);
}

void vc_resample_reset(vc_resample *resampler)
{
    vc_resample *r = resampler;
    if (r->buffer) memset(r->buffer, 0, r->streams * r->stride * sizeof *r->buffer);
    r->in_group = 0;
    r->flush_left = 0;
    r->fed = 0;
}

/* Outputs of the present group that are out already. */
static size_t outputs_done(const vc_resample *r)
{
    return r->in_group * r->l / r->m;
}

size_t vc_resample_max_output(const vc_resample *resampler, size_t n_in)
{
    const vc_resample *r = resampler;
    size_t groups = n_in / r->m, rest = n_in % r->m;
    if (groups > SIZE_MAX / (2 * r->l)) return SIZE_MAX;
    return groups * r->l + (r->in_group + rest) * r->l / r->m - outputs_done(r);
}

/* The most input samples that give no more than `room` outputs. */
static size_t inputs_for(const vc_resample *r, size_t room)
{
    if (room > SIZE_MAX / (2 * r->m)) return SIZE_MAX;
    return ((outputs_done(r) + room + 1) * r->m - 1) / r->l - r->in_group;
}

double vc_resample_delay_samples(const vc_resample *resampler)
{
    const vc_resample *r = resampler;
    if (r->l == r->m) return 0.0;
    size_t lower_hz = (size_t)(r->in_hz < r->out_hz ? r->in_hz : r->out_hz);
    return VC_RESAMPLE_SPAN / 2.0 * (double)r->out_hz / (double)lower_hz - 1.0;
}

/* Input and output of either format: NULL input means zeros. */
typedef struct samples {
    const int16_t *in_s16;
    const float *in_f32;
    int16_t *out_s16;
    float *out_f32;
} samples;

static void put_one(const vc_resample *r, samples *io, size_t place)
{
    float value = 0.0f;
    if (io->in_s16)
        value = vc_s16_to_f32(*io->in_s16++);
    else if (io->in_f32)
        value = *io->in_f32++;
    r->buffer[place % r->streams * r->stride + place / r->streams] = value;
}

/* n input samples into the buffer, from `place` samples after the oldest on. */
static void put(const vc_resample *r, samples *io, size_t place, size_t n)
{
    size_t m = r->streams;
    for (; n > 0 && place % m; place++, n--) put_one(r, io, place);
    size_t groups = n / m;
    float *to = r->buffer + place / m;
    if (io->in_s16) {
        r->kernels->deal_s16(io->in_s16, groups, to, r->stride, m);
        io->in_s16 += groups * m;
    } else if (io->in_f32) {
        r->kernels->deal_f32(io->in_f32, groups, to, r->stride, m);
        io->in_f32 += groups * m;
    } else {
        for (size_t s = 0; s < m; s++) memset(to + s * r->stride, 0, groups * sizeof *to);
    }
    place += groups * m;
    for (n -= groups * m; n > 0; place++, n--) put_one(r, io, place);
}

static void take_one(const vc_resample *r, samples *io, size_t index)
{
    float value = r->tile[index % r->l * r->tile_stride + index / r->l];
    if (io->out_s16)
        *io->out_s16++ = vc_f32_to_s16(value);
    else
        *io->out_f32++ = value;
}

/* Outputs first..last-1 of the tile, counted from the present group's start. */
static void take_columns(const vc_resample *r, samples *io, size_t first, size_t last)
{
    size_t l = r->l;
    for (; first < last && first % l; first++) take_one(r, io, first);
    size_t groups = (last - first) / l;
    const float *from = r->tile + first / l;
    if (io->out_s16) {
        r->kernels->gather_s16(from, r->tile_stride, l, io->out_s16, groups);
        io->out_s16 += groups * l;
    } else {
        r->kernels->gather_f32(from, r->tile_stride, l, io->out_f32, groups);
        io->out_f32 += groups * l;
    }
    for (first += groups * l; first < last; first++) take_one(r, io, first);
}

/* n outputs of every phase into the tile. */
static void all_phases(const vc_resample *r, size_t n)
{
    for (size_t phase = 0; phase < r->l;) {
        const int32_t *offsets = r->offsets + phase * r->n_taps;
        const float *taps = r->taps + phase * r->n_taps;
        float *y = r->tile + phase * r->tile_stride;
        if (r->in_threes) {
            r->kernels->columns3(r->buffer, offsets, taps, r->n_taps / 3, y, n);
            phase += 1;
        } else if (phase + 1 < r->l && r->newest[phase + 1] == r->newest[phase]) {
            r->kernels->columns2(r->buffer, offsets, taps, r->n_taps, y, r->tile_stride, n);
            phase += 2;
        } else {
            r->kernels->columns(r->buffer, offsets, taps, r->n_taps, y, n);
            phase += 1;
        }
    }
}

/* Whole groups from the present one's start on; outputs that are out already or not yet due are
 * computed with the rest of their vector and left in the tile. */
static void block_by_columns(vc_resample *r, samples *io, size_t n)
{
    size_t first = outputs_done(r), filled = r->in_group + n, last = filled * r->l / r->m;
    put(r, io, r->history * r->m + r->in_group, n);
    if (last > first) {
        size_t columns = round_up((last + r->l - 1) / r->l, VC_RESAMPLE_PAD);
        all_phases(r, columns);
        take_columns(r, io, first, last);
    }
    size_t groups = filled / r->m;
    r->in_group = filled % r->m;
    if (groups == 0) return;
    for (size_t s = 0; s < r->m; s++) {
        float *stream = r->buffer + s * r->stride;
        memmove(stream, stream + groups, (r->history + 1) * sizeof *stream);
    }
}

static void block_by_dots(vc_resample *r, samples *io, size_t n)
{
    size_t phase = outputs_done(r), filled = r->in_group + n;
    size_t due = filled * r->l / r->m - phase;
    size_t group = 0;
    put(r, io, r->history, n);
    for (size_t i = 0; i < due; i++) {
        r->starts[i] = (int32_t)(group + (size_t)r->newest[phase] - r->in_group);
        r->phases[i] = (int32_t)phase;
        if (++phase == r->l) {
            phase = 0;
            group += r->m;
        }
    }
    r->kernels->dots(r->buffer, r->taps, r->n_taps, r->starts, r->phases, r->l, r->tile, due);
    if (io->out_s16) {
        r->kernels->gather_s16(r->tile, 0, 1, io->out_s16, due);
        io->out_s16 += due;
    } else {
        memcpy(io->out_f32, r->tile, due * sizeof *r->tile);
        io->out_f32 += due;
    }
    r->in_group = filled % r->m;
    memmove(r->buffer, r->buffer + n, r->history * sizeof *r->buffer);
}

/* Returns the outputs written; *n_in: offered in, consumed out. */
static size_t process(vc_resample *r, samples io, size_t *n_in, size_t room)
{
    size_t most = inputs_for(r, room);
    if (*n_in > most) *n_in = most;
    size_t total = vc_resample_max_output(r, *n_in);
    if (*n_in > 0) r->fed = 1;
    for (size_t left = *n_in; left > 0;) {
        size_t fits = r->by_columns ? r->block * r->m - r->in_group : r->block;
        size_t n = left < fits ? left : fits;
        if (r->by_columns)
            block_by_columns(r, &io, n);
        else
            block_by_dots(r, &io, n);
        left -= n;
    }
    return total;
}

static vc_status copy(vc_resample *r, const void *in, size_t *n_in, void *out, size_t *n_out,
                      size_t sample_bytes)
{
    size_t n = *n_in < *n_out ? *n_in : *n_out;
    if (n > 0) {
        memcpy(out, in, n * sample_bytes);
        r->fed = 1;
    }
    *n_in = n;
    *n_out = n;
    return VC_OK;
}

static vc_status check_process(const vc_resample *r, const void *in, const size_t *n_in,
                               const void *out, const size_t *n_out)
{
    if (!r || !n_in || !n_out || (!in && *n_in) || (!out && *n_out)) return VC_E_NULL;
    return r->flush_left ? VC_E_STATE : VC_OK;
}

vc_status vc_resample_process_s16(vc_resample *resampler, const int16_t *in, size_t *n_in,
                                  int16_t *out, size_t *n_out)
{
    vc_status status = check_process(resampler, in, n_in, out, n_out);
    if (status != VC_OK) return status;
    if (resampler->l == resampler->m) return copy(resampler, in, n_in, out, n_out, sizeof *out);
    samples io = {in, NULL, out, NULL};
    *n_out = process(resampler, io, n_in, *n_out);
    return VC_OK;
}

vc_status vc_resample_process_f32(vc_resample *resampler, const float *in, size_t *n_in, float *out,
                                  size_t *n_out)
{
    vc_status status = check_process(resampler, in, n_in, out, n_out);
    if (status != VC_OK) return status;
    if (resampler->l == resampler->m) return copy(resampler, in, n_in, out, n_out, sizeof *out);
    samples io = {NULL, in, NULL, out};
    *n_out = process(resampler, io, n_in, *n_out);
    return VC_OK;
}

/* Zeros that a flush feeds: the delay in input samples, rounded up. */
static size_t flush_zeros(const vc_resample *r)
{
    if (r->flush_left) return r->flush_left;
    if (r->l == r->m || !r->fed) return 0;
    size_t half_up = VC_RESAMPLE_SPAN / 2 * (r->m > r->l ? r->m : r->l) - r->m;
    return (half_up + r->l - 1) / r->l;
}

size_t vc_resample_flush_samples(const vc_resample *resampler)
{
    return vc_resample_max_output(resampler, flush_zeros(resampler));
}

static vc_status flush(vc_resample *r, samples io, size_t *n_out)
{
    size_t zeros = flush_zeros(r), fed = zeros;
    *n_out = process(r, io, &fed, *n_out);
    r->flush_left = zeros - fed;
    if (r->flush_left == 0) vc_resample_reset(r);
    return VC_OK;
}

vc_status vc_resample_flush_s16(vc_resample *resampler, int16_t *out, size_t *n_out)
{
    if (!resampler || !n_out || (!out && *n_out)) return VC_E_NULL;
    samples io = {NULL, NULL, out, NULL};
    return flush(resampler, io, n_out);
}

vc_status vc_resample_flush_f32(vc_resample *resampler, float *out, size_t *n_out)
{
    if (!resampler || !n_out || (!out && *n_out)) return VC_E_NULL;
    samples io = {NULL, NULL, NULL, out};
    return flush(resampler, io, n_out);
}
