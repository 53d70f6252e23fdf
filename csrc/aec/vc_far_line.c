/* vc_far_line: see vc_far_line.h. */
#include "aec/vc_far_line.h"

#include <math.h>
#include <string.h>

#include "tables/vc_far_line_table.h"

enum { TAPS = VC_FAR_LINE_TAPS, PHASES = VC_FAR_LINE_PHASES, LEFT = TAPS / 2 - 1 };
enum { MARGIN = TAPS + 2 };

void vc_far_line_init(vc_far_line *line, int16_t *ring, size_t n)
{
    memset(ring, 0, n * sizeof *ring);
    *line = (vc_far_line){ring, n - 1, n};
}

void vc_far_line_push(vc_far_line *line, const int16_t *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) line->ring[(line->end + i) & line->mask] = samples[i];
    line->end += n;
}

double vc_far_line_max_delay_samples(const vc_far_line *line)
{
    return (double)(line->mask + 1 - VC_FAR_LINE_MAX_BLOCK - MARGIN);
}

void vc_far_line_read(const vc_far_line *line, double delay, double stretch, float *out, size_t n)
{
    float x[VC_FAR_LINE_MAX_BLOCK + 2 * MARGIN];
    const double back = (double)n + delay, whole = ceil(back);
    const uint64_t first = line->end - (uint64_t)whole - LEFT;
    const size_t span = n + MARGIN + LEFT;
    for (size_t i = 0; i < span; i++)
        x[i] = (float)line->ring[(first + i) & line->mask] * (1.0f / VC_SCALE_S16);
    double at = whole - back;
    if ((at == 0.0 && stretch == 0.0) || delay < VC_FAR_LINE_MIN_DELAY) {
        memcpy(out, x + LEFT, n * sizeof(float));
        return;
    }
    const double step = 1.0 - stretch / (double)n;
    for (size_t i = 0; i < n; i++, at += step) {
        const size_t from = (size_t)at;
        const float phase = (float)(at - (double)from) * PHASES;
        const size_t row = (size_t)phase < PHASES ? (size_t)phase : PHASES - 1;
        const float part = phase - (float)row;
        const float *a = vc_far_line_table[row], *b = vc_far_line_table[row + 1];
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (size_t k = 0; k < TAPS; k += 4)
            for (size_t j = 0; j < 4; j++)
                sum[j] += (a[k + j] + part * (b[k + j] - a[k + j])) * x[from + k + j];
        out[i] = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    }
}
