/* vc_resample: polyphase FIR resampler.
 *
 * With out/in = L/M in lowest terms, output m stands at input position m M/L - delay and is the
 * sum over input samples of x[i] h((i - position) / s), s = max(1, M/L) input samples of the lower
 * rate. h is one continuous, symmetric impulse response a preset for all 72 pairs, 24, 48 or 128
 * lower-rate samples long: a frequency-sampling design whose few numbers are generated
 * (tools/design_resampler.py). The phases are computed from it at create, in double, each
 * normalized to unit gain at 0 Hz: one short table instead of 72 long ones, and the filter's
 * figures can be checked at any pair against the same formula in Python. Reference: Rabiner, Gold,
 * McGonegal, "An approach to the approximation problem for nonrecursive digital filters", 1970;
 * Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983, chapter 3.
 *
 * Delay: the newest sample that output m may use, by the floor law of the header, is
 * ceil((m + 1) M/L) - 1, so the window ends just before (m + 1) M/L: half a window less one output
 * sample, span / 2 / lower_hz - 1 / out_hz seconds.
 *
 * Two inner loops. L and M small: the input is dealt to M streams, the outputs of one phase are
 * then neighbours and are computed a vector at a time; a load of input serves two phases (upwards)
 * or three taps (downwards). Otherwise (44.1 kHz family against the others): one dot product an
 * output. The memory of a handle is 4 bytes times L times the window (voice: longest, 11.025 <->
 * 32 kHz, 330 KB; 8 <-> 16 kHz, 0.4 KB) and the scratch.
 *
 * vc_resample_design.c makes the phases, vc_resample_trim.c moves the outputs off their places.
 *
 * Limits: one or two channels; the nine rates. A NaN or infinity in f32 input spoils the outputs
 * whose window holds it and no more. */
#include "dsp/vc_resample_parts.h"

#include <string.h>

#include "kernels/body_convert.h"

static const int rates_hz[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

static int is_rate(int hz)
{
    for (size_t i = 0; i < sizeof rates_hz / sizeof rates_hz[0]; i++)
        if (rates_hz[i] == hz) return 1;
    return 0;
}

static size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

/* Equal rates without trim: no filter. */
static int copies(const vc_resample *r)
{
    return r->l == r->m && !r->trim;
}

vc_resample_config vc_resample_config_default(void)
{
    vc_resample_config config = {16000, 16000, VC_RESAMPLE_VOICE, 1, 0, VC_CPU_AUTO, NULL};
    return config;
}

static vc_status check_config(const vc_resample_config *config)
{
    if (!is_rate(config->in_hz) || !is_rate(config->out_hz)) return VC_E_RATE;
    if (config->preset < VC_RESAMPLE_TELEPHONY || config->preset > VC_RESAMPLE_STUDIO)
        return VC_E_RANGE;
    if (config->channels < 1 || config->channels > 2) return VC_E_RANGE;
    return config->trim == 0 || config->trim == 1 ? VC_OK : VC_E_RANGE;
}

/* Memory and taps; without trim, equal rates need none. */
static vc_status make_usual(vc_resample *r)
{
    size_t all_taps = r->l * r->n_taps, buffer = r->channels * r->streams * r->stride;
    r->taps = vc_allocate(r->allocator, all_taps * sizeof *r->taps);
    r->newest = vc_allocate(r->allocator, r->l * sizeof *r->newest);
    r->buffer = vc_allocate(r->allocator, buffer * sizeof *r->buffer);
    r->offsets = vc_allocate(r->allocator, all_taps * sizeof *r->offsets);
    if (!r->taps || !r->newest || !r->buffer || !r->offsets) return VC_E_MEMORY;
    vc_resample_design(r);
    return VC_OK;
}

static vc_status make_trim(vc_resample *r)
{
    vc_resample_trim_plan(r);
    size_t table = vc_resample_trim_table_floats(r), line = r->channels * r->line_stride;
    r->trim_table = vc_allocate(r->allocator, table * sizeof *r->trim_table);
    r->line = vc_allocate(r->allocator, line * sizeof *r->line);
    r->weights = vc_allocate(r->allocator, 4 * r->plane_out * sizeof *r->weights);
    if (!r->trim_table || !r->line || !r->weights) return VC_E_MEMORY;
    vc_resample_trim_design(r);
    return VC_OK;
}

static vc_status make_scratch(vc_resample *r)
{
    size_t tile = r->by_columns ? r->l * r->tile_stride : r->tile_stride;
    if (tile < r->plane_out) tile = r->plane_out;
    r->tile = vc_allocate(r->allocator, tile * sizeof *r->tile);
    r->starts = vc_allocate(r->allocator, 2 * r->plane_out * sizeof *r->starts);
    if (!r->tile || !r->starts) return VC_E_MEMORY;
    r->phases = r->starts + r->plane_out;
    if (r->channels == 1) return VC_OK;
    size_t planes = r->channels * (r->plane_in + r->plane_out);
    r->planes = vc_allocate(r->allocator, planes * sizeof *r->planes);
    return r->planes ? VC_OK : VC_E_MEMORY;
}

vc_status vc_resample_create(vc_resample **out, const vc_resample_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config) return VC_E_NULL;
    vc_status status = check_config(config);
    if (status != VC_OK) return status;
    vc_cpu_level level;
    status = vc_cpu_resolve(config->cpu_level, &level);
    if (status != VC_OK) return status;

    vc_resample *r = vc_allocate(config->allocator, sizeof *r);
    if (!r) return VC_E_MEMORY;
    r->allocator = config->allocator;
    r->in_hz = config->in_hz;
    r->out_hz = config->out_hz;
    r->channels = (size_t)config->channels;
    r->trim = config->trim;
    vc_resample_plan(r, (int)config->preset, level);
    if (r->l != r->m) status = make_usual(r);
    if (status == VC_OK && r->trim) status = make_trim(r);
    if (status == VC_OK && !copies(r)) status = make_scratch(r);
    if (status != VC_OK) {
        vc_resample_destroy(r);
        return status;
    }
    vc_resample_trim_reset(r);
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
    vc_release(allocator, resampler->offsets);
    vc_release(allocator, resampler->trim_table);
    vc_release(allocator, resampler->line);
    vc_release(allocator, resampler->weights);
    vc_release(allocator, resampler->tile);
    vc_release(allocator, resampler->starts);
    vc_release(allocator, resampler->planes);
    vc_release(allocator, resampler);
}

void vc_resample_reset(vc_resample *resampler)
{
    vc_resample *r = resampler;
    size_t buffer = r->channels * r->streams * r->stride, line = r->channels * r->line_stride;
    if (r->buffer) memset(r->buffer, 0, buffer * sizeof *r->buffer);
    if (r->line) memset(r->line, 0, line * sizeof *r->line);
    r->in_group = 0;
    r->flush_left = 0;
    r->fed = 0;
    vc_resample_trim_reset(r);
}

/* Outputs of the present group that are out already. */
static size_t outputs_done(const vc_resample *r)
{
    return r->in_group * r->l / r->m;
}

size_t vc_resample_max_output(const vc_resample *resampler, size_t n_in)
{
    const vc_resample *r = resampler;
    if (r->trimmed) return vc_resample_trim_outputs(r, n_in);
    size_t groups = n_in / r->m, rest = n_in % r->m;
    if (groups > SIZE_MAX / (2 * r->l)) return SIZE_MAX;
    return groups * r->l + (r->in_group + rest) * r->l / r->m - outputs_done(r);
}

size_t vc_resample_inputs_for(const vc_resample *resampler, size_t n_out)
{
    const vc_resample *r = resampler;
    if (r->trimmed) return vc_resample_trim_inputs(r, n_out);
    if (n_out > SIZE_MAX / (2 * r->m) - r->l) return SIZE_MAX;
    return n_out ? ((outputs_done(r) + n_out) * r->m + r->l - 1) / r->l - r->in_group : 0;
}

/* The most input samples that give no more than `room` outputs. */
static size_t inputs_within(const vc_resample *r, size_t room)
{
    return room == SIZE_MAX ? SIZE_MAX : vc_resample_inputs_for(r, room + 1) - 1;
}

double vc_resample_delay_samples(const vc_resample *resampler)
{
    const vc_resample *r = resampler;
    if (copies(r)) return 0.0;
    size_t lower_hz = (size_t)(r->in_hz < r->out_hz ? r->in_hz : r->out_hz);
    return (double)r->span / 2.0 * (double)r->out_hz / (double)lower_hz - 1.0;
}

/* Input and output of either format: NULL input means zeros. */
typedef struct samples {
    const int16_t *in_s16;
    const float *in_f32;
    int16_t *out_s16;
    float *out_f32;
} samples;

static void put_one(const vc_resample *r, float *buffer, samples *io, size_t place)
{
    float value = 0.0f;
    if (io->in_s16)
        value = vc_s16_to_f32(*io->in_s16++);
    else if (io->in_f32)
        value = *io->in_f32++;
    buffer[place % r->streams * r->stride + place / r->streams] = value;
}

/* n input samples into the buffer, from `place` samples after the oldest on. */
static void put(const vc_resample *r, float *buffer, samples *io, size_t place, size_t n)
{
    size_t m = r->streams;
    for (; n > 0 && place % m; place++, n--) put_one(r, buffer, io, place);
    size_t groups = n / m;
    float *to = buffer + place / m;
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
    for (n -= groups * m; n > 0; place++, n--) put_one(r, buffer, io, place);
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
static void all_phases(const vc_resample *r, const float *buffer, size_t n)
{
    for (size_t phase = 0; phase < r->l;) {
        const int32_t *offsets = r->offsets + phase * r->n_taps;
        const float *taps = r->taps + phase * r->n_taps;
        float *y = r->tile + phase * r->tile_stride;
        if (r->in_threes) {
            r->kernels->columns3(buffer, offsets, taps, r->n_taps / 3, y, n);
            phase += 1;
        } else if (phase + 1 < r->l && r->newest[phase + 1] == r->newest[phase]) {
            r->kernels->columns2(buffer, offsets, taps, r->n_taps, y, r->tile_stride, n);
            phase += 2;
        } else {
            r->kernels->columns(buffer, offsets, taps, r->n_taps, y, n);
            phase += 1;
        }
    }
}

/* Whole groups from the present one's start on; outputs that are out already or not yet due are
 * computed with the rest of their vector and left in the tile. */
static void block_by_columns(const vc_resample *r, float *buffer, samples *io, size_t n)
{
    size_t first = outputs_done(r), filled = r->in_group + n, last = filled * r->l / r->m;
    put(r, buffer, io, r->history * r->m + r->in_group, n);
    if (last > first) {
        size_t columns = round_up((last + r->l - 1) / r->l, VC_RESAMPLE_PAD);
        all_phases(r, buffer, columns);
        take_columns(r, io, first, last);
    }
    size_t groups = filled / r->m;
    if (groups == 0) return;
    for (size_t s = 0; s < r->m; s++) {
        float *stream = buffer + s * r->stride;
        memmove(stream, stream + groups, (r->history + 1) * sizeof *stream);
    }
}

/* n inputs behind the `history` that a line of samples holds. */
static void put_in_line(const vc_resample *r, samples *io, float *line, size_t history, size_t n)
{
    if (io->in_s16)
        r->kernels->deal_s16(io->in_s16, n, line + history, 0, 1);
    else if (io->in_f32)
        memcpy(line + history, io->in_f32, n * sizeof *line);
    else
        memset(line + history, 0, n * sizeof *line);
    if (io->in_s16) io->in_s16 += n;
    if (io->in_f32) io->in_f32 += n;
}

static void take_in_line(const vc_resample *r, samples *io, size_t n)
{
    if (io->out_s16) {
        r->kernels->gather_s16(r->tile, 0, 1, io->out_s16, n);
        io->out_s16 += n;
    } else {
        memcpy(io->out_f32, r->tile, n * sizeof *r->tile);
        io->out_f32 += n;
    }
}

/* Starts and phases of the outputs that n more inputs give; returns how many. */
static size_t schedule(vc_resample *r, size_t n)
{
    size_t phase = outputs_done(r), filled = r->in_group + n, group = 0;
    size_t due = filled * r->l / r->m - phase;
    for (size_t i = 0; i < due; phase = 0, group += r->m) {
        size_t run = r->l - phase < due - i ? r->l - phase : due - i;
        int32_t place = (int32_t)(group - r->in_group), first = (int32_t)phase;
        const int32_t *restrict windows = r->offsets + phase;
        int32_t *restrict starts = r->starts + i, *restrict phases = r->phases + i;
        for (size_t j = 0; j < run; j++) {
            starts[j] = windows[j] + place;
            phases[j] = first + (int32_t)j;
        }
        i += run;
    }
    return due;
}

static void block_by_dots(const vc_resample *r, float *line, samples *io, size_t n, size_t due)
{
    put_in_line(r, io, line, r->history, n);
    vc_resample_dots dots = {line,    r->taps, r->starts,    r->phases, r->offsets + r->l,
                             r->body, r->l,    (int)r->group};
    r->kernels->dots(&dots, r->tile, due);
    take_in_line(r, io, due);
    memmove(line, line + n, r->history * sizeof *line);
}

static void block_trimmed(const vc_resample *r, float *line, samples *io, size_t n, size_t due)
{
    size_t history = r->trim_taps - 1;
    put_in_line(r, io, line, history, n);
    r->kernels->blends(line, r->trim_table, r->trim_taps, r->starts, r->phases, r->weights, r->tile,
                       due);
    take_in_line(r, io, due);
    memmove(line, line + n, history * sizeof *line);
}

/* n inputs of one channel; `due` is known unless by columns. */
static void block(const vc_resample *r, size_t channel, samples *io, size_t n, size_t due)
{
    size_t start = channel * (r->trimmed ? r->line_stride : r->streams * r->stride);
    if (r->trimmed)
        block_trimmed(r, r->line + start, io, n, due);
    else if (r->by_columns)
        block_by_columns(r, r->buffer + start, io, n);
    else
        block_by_dots(r, r->buffer + start, io, n, due);
}

/* The same of all channels, by way of the planes. */
static void block_of_channels(const vc_resample *r, samples *io, size_t n, size_t due)
{
    size_t channels = r->channels;
    float *in = r->planes, *out = r->planes + channels * r->plane_in;
    if (io->in_s16) {
        r->kernels->deal_s16(io->in_s16, n, in, r->plane_in, channels);
        io->in_s16 += channels * n;
    } else if (io->in_f32) {
        r->kernels->deal_f32(io->in_f32, n, in, r->plane_in, channels);
        io->in_f32 += channels * n;
    } else {
        in = NULL;
    }
    for (size_t c = 0; c < channels; c++) {
        samples plane = {NULL, in ? in + c * r->plane_in : NULL, NULL, out + c * r->plane_out};
        block(r, c, &plane, n, due);
    }
    if (io->out_s16) {
        r->kernels->gather_s16(out, r->plane_out, channels, io->out_s16, due);
        io->out_s16 += channels * due;
    } else {
        r->kernels->gather_f32(out, r->plane_out, channels, io->out_f32, due);
        io->out_f32 += channels * due;
    }
}

/* Returns the outputs written; *n_in: offered in, consumed out. */
static size_t process(vc_resample *r, samples io, size_t *n_in, size_t room)
{
    size_t most = inputs_within(r, room);
    if (*n_in > most) *n_in = most;
    size_t total = vc_resample_max_output(r, *n_in);
    if (*n_in > 0) r->fed = 1;
    for (size_t left = *n_in; left > 0;) {
        size_t n = left < r->block_samples ? left : r->block_samples, due;
        if (r->trimmed)
            due = vc_resample_trim_schedule(r, n);
        else if (r->by_columns)
            due = vc_resample_max_output(r, n);
        else
            due = schedule(r, n);
        if (r->channels == 1)
            block(r, 0, &io, n, due);
        else
            block_of_channels(r, &io, n, due);
        if (!r->trimmed) r->in_group = (r->in_group + n) % r->m;
        left -= n;
    }
    return total;
}

static vc_status copy(vc_resample *r, const void *in, size_t *n_in, void *out, size_t *n_out,
                      size_t sample_bytes)
{
    size_t n = *n_in < *n_out ? *n_in : *n_out;
    if (n > 0) {
        memcpy(out, in, n * r->channels * sample_bytes);
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
    if (copies(resampler)) return copy(resampler, in, n_in, out, n_out, sizeof *out);
    samples io = {in, NULL, out, NULL};
    *n_out = process(resampler, io, n_in, *n_out);
    return VC_OK;
}

vc_status vc_resample_process_f32(vc_resample *resampler, const float *in, size_t *n_in, float *out,
                                  size_t *n_out)
{
    vc_status status = check_process(resampler, in, n_in, out, n_out);
    if (status != VC_OK) return status;
    if (copies(resampler)) return copy(resampler, in, n_in, out, n_out, sizeof *out);
    samples io = {NULL, in, NULL, out};
    *n_out = process(resampler, io, n_in, *n_out);
    return VC_OK;
}

/* Zeros that a flush feeds: the delay in input samples, rounded up; trim does not change it. */
static size_t flush_zeros(const vc_resample *r)
{
    if (r->flush_left) return r->flush_left;
    if (copies(r) || !r->fed) return 0;
    size_t half_up = r->span / 2 * (r->m > r->l ? r->m : r->l) - r->m;
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
