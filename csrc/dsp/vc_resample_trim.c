/* vc_resample: ratio trim, for clocks that run apart.
 *
 * Output m still ends its window at one place of the input, but the places are now any fraction of
 * a sample apart. They are whole numbers of 1 / (L 10^9) input samples and are added up as
 * integers: after any time the position is exact for the trim that was set, in steps of 0.001 ppm.
 * The taps for a place are interpolated between the rows of a table, 64 a lower-rate sample, by the
 * cubic Lagrange polynomial through the nearest four; its error is some -130 dB at the Nyquist
 * frequency. Reference: Smith, Gossett, "A flexible sampling-rate conversion method", ICASSP 1984;
 * Laakso et al., "Splitting the unit delay", IEEE Signal Processing Magazine 13 (1), 1996.
 *
 * Until the trim is first set to something else than 0 the usual path runs, bit for bit. Then the
 * input that it holds is moved over and the outputs go on from the same place. Between equal rates
 * the table is used from the start; its row 0 is 1 at the middle, so without trim the output is the
 * input, late, bit for bit. */
#include <math.h>

#include "dsp/vc_resample_parts.h"

enum { ROWS_PER_LOWER_SAMPLE = 64, SPARE_ROWS = 3, NODES = 4, DIGIT_BITS = 20 };

void vc_resample_trim_plan(vc_resample *r)
{
    r->trim_taps = (r->window + VC_RESAMPLE_PAD - 1) / VC_RESAMPLE_PAD * VC_RESAMPLE_PAD;
    r->trim_rows = (size_t)ceil(ROWS_PER_LOWER_SAMPLE / vc_resample_scale(r));
    r->line_stride = r->trim_taps + r->plane_in;
    r->unit = (int64_t)r->l * VC_RESAMPLE_PPB;
}

size_t vc_resample_trim_table_floats(const vc_resample *r)
{
    return (r->trim_rows + SPARE_ROWS) * r->trim_taps;
}

/* Row q serves windows that end q / trim_rows before the newest input's successor. */
void vc_resample_trim_design(vc_resample *r)
{
    double scale = vc_resample_scale(r), half = scale * (double)r->span / 2.0;
    for (size_t row = 0; row < r->trim_rows + SPARE_ROWS; row++) {
        float *taps = r->trim_table + row * r->trim_taps;
        double ahead = ((double)row - 1.0) / (double)r->trim_rows, sum = 0.0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t t = 0; t < r->trim_taps; t++) {
                double age = (double)(r->trim_taps - 1 - t);
                double u = (half - 1.0 + ahead - age) / scale;
                double value = vc_resample_prototype(r, u);
                /* What the design's criterion says, without the rounding of its terms. */
                if (r->l == r->m && u == floor(u)) value = u == 0.0;
                if (pass == 0)
                    sum += value;
                else
                    taps[t] = (float)(value / sum);
            }
    }
}

void vc_resample_trim_reset(vc_resample *r)
{
    r->trim_ppb = 0;
    r->trimmed = r->trim && r->l == r->m;
    r->step = (int64_t)r->m * VC_RESAMPLE_PPB;
    r->next = r->step;
}

/* floor((n * unit + start) / by); `start` may be below 0, the result not. Digit by digit, since the
 * product may not fit: unit and by are below 2^41. */
static size_t divided(size_t n, int64_t unit, int64_t start, int64_t by)
{
    size_t quotient = 0;
    int64_t rest = 0;
    for (int shift = 60; shift >= 0; shift -= DIGIT_BITS) {
        int64_t digit = (int64_t)((uint64_t)n >> shift & ((1u << DIGIT_BITS) - 1));
        rest = (rest << DIGIT_BITS) + digit * unit;
        quotient = (quotient << DIGIT_BITS) + (size_t)(rest / by);
        rest %= by;
    }
    rest += start;
    if (rest < 0) return quotient - (size_t)((by - 1 - rest) / by);
    return quotient + (size_t)(rest / by);
}

size_t vc_resample_trim_outputs(const vc_resample *r, size_t n_in)
{
    if (n_in == 0) return 0;
    if (n_in > SIZE_MAX / (4 * r->l)) return SIZE_MAX;
    return divided(n_in, r->unit, r->step - r->next, r->step);
}

size_t vc_resample_trim_inputs(const vc_resample *r, size_t n_out)
{
    if (n_out == 0) return 0;
    if (n_out > SIZE_MAX / (4 * r->m)) return SIZE_MAX;
    return divided(n_out - 1, r->step, r->next + r->unit - 1, r->unit);
}

size_t vc_resample_trim_schedule(vc_resample *r, size_t n)
{
    size_t due = vc_resample_trim_outputs(r, n);
    double rows_per_unit = (double)r->trim_rows / (double)r->unit;
    int64_t newest = (r->next - 1) / r->unit, ahead = (newest + 1) * r->unit - r->next;
    int64_t whole = r->step / r->unit, part = r->step % r->unit;
    for (size_t i = 0; i < due; i++) {
        double place = (double)ahead * rows_per_unit;
        int32_t row = (int32_t)place;
        float mu = (float)(place - (double)row), *weights = r->weights + NODES * i;
        weights[0] = mu * (mu - 1.0f) * (2.0f - mu) / 6.0f;
        weights[1] = (mu + 1.0f) * (mu - 1.0f) * (mu - 2.0f) / 2.0f;
        weights[2] = (mu + 1.0f) * mu * (2.0f - mu) / 2.0f;
        weights[3] = (mu + 1.0f) * mu * (mu - 1.0f) / 6.0f;
        r->starts[i] = (int32_t)newest;
        r->phases[i] = row;
        newest += whole;
        ahead -= part;
        if (ahead < 0) {
            ahead += r->unit;
            newest++;
        }
    }
    r->next += (int64_t)due * r->step - (int64_t)n * r->unit;
    return due;
}

/* Leaves the usual path: the next output's place and the input so far. */
static void begin(vc_resample *r)
{
    size_t done = r->in_group * r->l / r->m;
    r->next = (int64_t)((done + 1) * r->m - r->in_group * r->l) * VC_RESAMPLE_PPB;
    size_t known = r->by_columns ? r->history * r->m + r->in_group : r->history;
    size_t wanted = r->trim_taps - 1;
    for (size_t c = 0; c < r->channels; c++) {
        const float *buffer = r->buffer + c * r->streams * r->stride;
        float *line = r->line + c * r->line_stride;
        for (size_t age = 1; age <= wanted; age++) {
            size_t place = known - age;
            int held = age <= known;
            line[wanted - age] =
                held ? buffer[place % r->streams * r->stride + place / r->streams] : 0.0f;
        }
    }
    r->trimmed = 1;
}

vc_status vc_resample_set_trim_ppm(vc_resample *resampler, double ppm)
{
    vc_resample *r = resampler;
    if (!r) return VC_E_NULL;
    if (!r->trim || r->flush_left) return VC_E_STATE;
    if (!(fabs(ppm) <= VC_RESAMPLE_MAX_TRIM_PPM)) return VC_E_RANGE;
    int32_t ppb = (int32_t)lrint(ppm * 1000.0);
    if (ppb == r->trim_ppb) return VC_OK;
    if (!r->trimmed) begin(r);
    r->trim_ppb = ppb;
    r->step = (int64_t)r->m * (VC_RESAMPLE_PPB + ppb);
    return VC_OK;
}

double vc_resample_trim_ppm(const vc_resample *resampler)
{
    return resampler->trim_ppb / 1000.0;
}
