/* vc_far_line: see vc_far_line.h. */
#include "aec/vc_far_line.h"

#include <math.h>
#include <string.h>

#include "tables/vc_far_line_table.h"

enum { TAPS = VC_FAR_LINE_TAPS, PHASES = VC_FAR_LINE_PHASES, LEFT = TAPS / 2 - 1 };
enum { MARGIN = TAPS + 2, FEW = 16 };

void vc_far_line_init(vc_far_line *line, int16_t *ring, size_t n, const vc_echo_kernels *kernels)
{
    memset(ring, 0, n * sizeof *ring);
    *line = (vc_far_line){ring, n - 1, n, kernels};
}

void vc_far_line_push(vc_far_line *line, const int16_t *samples, size_t n)
{
    const size_t at = line->end & line->mask, left = line->mask + 1 - at,
                 first = n < left ? n : left;
    memcpy(line->ring + at, samples, first * sizeof *samples);
    memcpy(line->ring, samples + first, (n - first) * sizeof *samples);
    line->end += n;
}

double vc_far_line_max_delay_samples(const vc_far_line *line)
{
    return (double)(line->mask + 1 - VC_FAR_LINE_MAX_BLOCK - MARGIN);
}

/* Where a sample lies: behind tap LEFT of x[from], between two rows of the table. */
typedef struct place {
    size_t from, row;
    float part;
} place;

static place place_of(double at)
{
    place p;
    p.from = (size_t)at;
    const float phase = (float)(at - (double)p.from) * PHASES;
    p.row = (size_t)phase < PHASES ? (size_t)phase : PHASES - 1;
    p.part = phase - (float)p.row;
    return p;
}

/* Samples begin to end of out. Those between the same rows of the table are two filters' sum; where
 * the row changes they are halved until there are few. */
static void read_part(const vc_far_line *line, const float *x, double at, double step, float *out,
                      size_t begin, size_t end)
{
    const size_t n = end - begin;
    const place first = place_of(at + step * (double)begin),
                last = place_of(at + step * (double)(end - 1));
    if (first.row == last.row && last.from - first.from == n - 1 && n > 1) {
        const float *a = vc_far_line_table[first.row], *b = vc_far_line_table[first.row + 1];
        const size_t padded = (n + 15) / 16 * 16;
        const float more = (last.part - first.part) / (float)(n - 1);
        float taps[TAPS], sum[VC_FAR_LINE_MAX_BLOCK], slope[VC_FAR_LINE_MAX_BLOCK];
        for (size_t k = 0; k < TAPS; k++) taps[k] = a[k] + first.part * (b[k] - a[k]);
        line->kernels->fir(taps, TAPS, x + first.from, sum, padded);
        if (more == 0.0f) {
            memcpy(out + begin, sum, n * sizeof(float));
            return;
        }
        for (size_t k = 0; k < TAPS; k++) taps[k] = b[k] - a[k];
        line->kernels->fir(taps, TAPS, x + first.from, slope, padded);
        for (size_t i = 0; i < n; i++) out[begin + i] = sum[i] + more * (float)i * slope[i];
        return;
    }
    if (n > FEW) {
        read_part(line, x, at, step, out, begin, begin + n / 2);
        read_part(line, x, at, step, out, begin + n / 2, end);
        return;
    }
    for (size_t i = begin; i < end; i++) {
        const place p = place_of(at + step * (double)i);
        const float *a = vc_far_line_table[p.row], *b = vc_far_line_table[p.row + 1];
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (size_t k = 0; k < TAPS; k += 4)
            for (size_t j = 0; j < 4; j++)
                sum[j] += (a[k + j] + p.part * (b[k + j] - a[k + j])) * x[p.from + k + j];
        out[i] = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    }
}

void vc_far_line_read(const vc_far_line *line, double delay, double stretch, float *out, size_t n)
{
    float x[VC_FAR_LINE_MAX_BLOCK + 2 * MARGIN + 16];
    const double back = (double)n + delay, whole = ceil(back);
    const uint64_t begin = line->end - (uint64_t)whole - LEFT;
    const size_t span = n + MARGIN + LEFT, at = begin & line->mask, left = line->mask + 1 - at,
                 first = span < left ? span : left;
    for (size_t i = 0; i < first; i++) x[i] = (float)line->ring[at + i] * (1.0f / VC_SCALE_S16);
    for (size_t i = first; i < span; i++)
        x[i] = (float)line->ring[i - first] * (1.0f / VC_SCALE_S16);
    memset(x + span, 0, sizeof x - span * sizeof(float));
    const double from = whole - back;
    if ((from == 0.0 && stretch == 0.0) || delay < VC_FAR_LINE_MIN_DELAY) {
        memcpy(out, x + LEFT, n * sizeof(float));
        return;
    }
    read_part(line, x, from, 1.0 - stretch / (double)n, out, 0, n);
}
