/* vc_delay_estimator: see vc_delay_estimator.h.
 *
 * Both signals at 4 kHz, in blocks of 64. The cross spectrum of the newest near block with each of
 * the last 63 far blocks, whitened by each signal's own long-term power (generalized correlation:
 * Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE Trans.
 * ASSP 24, 1976), is averaged over half a second. The far block whose average holds most power is
 * where the echo is; transforming it back gives the lag, a parabola the fraction of it. The near
 * block is windowed: the edges of two blocks that end together would correlate too.
 *
 * Confidence is the squared coherence times the number of independent products in it.
 */
#include "aec/vc_delay_estimator.h"

#include <math.h>
#include <string.h>

#include "aec/vc_echo_kernels.h"
#include "dsp/vc_fft.h"

enum {
    HOP = 64,
    SIZE = 128,
    FIRST_BIN = 10,
    BINS = VC_ECHO_LAG_BINS,
    DELAYS = 63,
    PAST = 64,
    TAPS = 32
};
enum { BLOCK_4K = 40, MAX_BLOCK = 160, PADDED_4K = 48, MAX_FACTOR = 4, LINE = 80 };
enum { SPAN = 94, KEPT = 256 }; /* blocks: 1.5 s; SPAN and the longest delay at least */

static const float KEEP = 0.97f;     /* a block of 16 ms: half a second */
static const float LOUD = 1e-5f;     /* power of a far block that is worth a look */
static const float QUIET = 1e-7f;    /* power of a near sample in which there is nothing to find */
static const float NOISE = 4.0f;     /* over the least power: no noise reaches it */
static const float WHOLE = 32.0f;    /* a far bin at its long-term power, in int8 */
static const float IN_SIGHT = 5.0f;  /* confidence; chance has 4 at the median */
enum { SELDOM = 4 };                 /* blocks from look to look while none is in sight, at rest */
static const float NO_MORE = 1e-18f; /* of what an average once was */

struct vc_delay_estimator {
    const vc_allocator *allocator;
    vc_fft *fft;
    const vc_echo_kernels *kernels;
    size_t factor;    /* of decimation */
    float taps[TAPS]; /* [phase][tap] */
    float window[HOP];
    float far_line[TAPS + MAX_BLOCK], near_line[TAPS + MAX_BLOCK];
    float far[SIZE], near[HOP];
    size_t fill, newest;
    int rest;
    float floor, floor_before; /* least power of a near block, while at rest: in 1.5 s, before */
    size_t floor_blocks;
    float far_power[BINS], near_power[BINS];
    float far_sum, near_sum, blocks;             /* of the average */
    uint16_t re[DELAYS][BINS], im[DELAYS][BINS]; /* bf16: thousands of these are read each tick */
    float decay[DELAYS], power[DELAYS]; /* what an average is to be multiplied by; and its power */
    int8_t x[PAST][2][BINS];
    uint8_t loud[PAST];
    float far_loudness[KEPT], near_loudness[KEPT]; /* amplitudes of the last blocks */
    size_t heard;
    float confidence; /* of the last look */
    int unseen;       /* blocks of which it was so little that the next ones matter less */
};

typedef struct workspace {
    float bins[SIZE + 2], time[SIZE], scratch[2 * SIZE];
} workspace;

vc_status vc_delay_estimator_create(vc_delay_estimator **out, int rate_hz, vc_cpu_level cpu_level,
                                    const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (rate_hz != 8000 && rate_hz != 16000) return VC_E_RATE;
    vc_cpu_level level;
    vc_status status = vc_cpu_resolve(cpu_level, &level);
    if (status != VC_OK) return status;
    vc_delay_estimator *s = vc_allocate(allocator, sizeof *s);
    if (!s) return VC_E_MEMORY;
    s->kernels = vc_echo_kernels_of(level);
    s->allocator = allocator;
    s->factor = (size_t)rate_hz / 4000;
    const float pi = 3.14159265f, cut = 3200.0f / (float)rate_hz; /* a low-pass at 1.6 kHz */
    float sum = 0.0f, taps[TAPS];
    for (int i = 0; i < TAPS; i++) {
        float t = (float)i - 0.5f * (float)(TAPS - 1);
        float hann = 0.5f - 0.5f * cosf(2.0f * pi * ((float)i + 0.5f) / TAPS);
        taps[i] = sinf(pi * cut * t) / (pi * t) * hann;
        sum += taps[i];
    }
    const size_t each = TAPS / s->factor;
    for (size_t i = 0; i < TAPS; i++) s->taps[i % s->factor * each + i / s->factor] = taps[i] / sum;
    for (int i = 0; i < HOP; i++)
        s->window[i] = 0.5f - 0.5f * cosf(2.0f * pi * ((float)i + 0.5f) / HOP);
    status = vc_fft_create(&s->fft, SIZE, cpu_level, allocator);
    if (status != VC_OK) {
        vc_delay_estimator_destroy(s);
        return status;
    }
    vc_delay_estimator_reset(s);
    *out = s;
    return VC_OK;
}

void vc_delay_estimator_destroy(vc_delay_estimator *s)
{
    if (!s) return;
    vc_fft_destroy(s->fft);
    vc_release(s->allocator, s);
}

void vc_delay_estimator_reset(vc_delay_estimator *s)
{
    memset(s->far_line, 0, sizeof s->far_line);
    memset(s->near_line, 0, sizeof s->near_line);
    memset(s->far, 0, sizeof s->far);
    memset(s->far_power, 0, sizeof s->far_power);
    memset(s->near_power, 0, sizeof s->near_power);
    memset(s->x, 0, sizeof s->x);
    memset(s->loud, 0, sizeof s->loud);
    memset(s->far_loudness, 0, sizeof s->far_loudness);
    memset(s->near_loudness, 0, sizeof s->near_loudness);
    s->heard = 0;
    s->fill = s->newest = 0;
    s->confidence = 0.0f;
    s->unseen = 0;
    vc_delay_estimator_rest(s, 0);
    vc_delay_estimator_forget(s);
}

static int is_zero(const float *x, size_t n)
{
    uint32_t bits[4] = {0}, one;
    for (size_t i = 0; i < n; i += 4)
        for (size_t j = 0; j < 4; j++) {
            memcpy(&one, x + i + j, sizeof one);
            bits[j] |= one;
        }
    return ((bits[0] | bits[1]) | (bits[2] | bits[3])) == 0;
}

static void decimate(const vc_delay_estimator *s, float *line, const float *in, float *out)
{
    const size_t factor = s->factor, n = BLOCK_4K * factor, each = TAPS / factor;
    if (is_zero(in, n) && is_zero(line, TAPS)) {
        memset(out, 0, BLOCK_4K * sizeof(float));
        return;
    }
    float x[LINE], y[MAX_FACTOR][PADDED_4K];
    memcpy(line + TAPS, in, n * sizeof(float));
    const size_t span = BLOCK_4K + each;
    for (size_t p = 0; p < factor; p++) {
        if (factor == 2)
            for (size_t i = 0; i < span; i++) x[i] = line[i * 2 + p];
        else
            for (size_t i = 0; i < span; i++) x[i] = line[i * 4 + p];
        memset(x + span, 0, (LINE - span) * sizeof(float));
        s->kernels->fir(s->taps + p * each, each, x + 1, y[p], PADDED_4K);
    }
    if (factor == 2)
        for (size_t i = 0; i < BLOCK_4K; i++) out[i] = y[0][i] + y[1][i];
    else
        for (size_t i = 0; i < BLOCK_4K; i++) out[i] = (y[0][i] + y[2][i]) + (y[1][i] + y[3][i]);
    memmove(line, line + n, TAPS * sizeof(float));
}

/* The spectrum over the square root of its long-term power, times scale; returns its power. */
static float whiten(const float *restrict bins, float *restrict long_term, float scale,
                    float *restrict re, float *restrict im)
{
    float now[BINS], sum[4] = {0.0f};
    for (size_t k = 0; k < BINS; k++) {
        re[k] = bins[2 * (k + FIRST_BIN)];
        im[k] = bins[2 * (k + FIRST_BIN) + 1];
        now[k] = re[k] * re[k] + im[k] * im[k];
    }
    for (size_t k = 0; k < BINS; k++) {
        long_term[k] += (now[k] > long_term[k] ? 0.2f : 0.02f) * (now[k] - long_term[k]);
        const float by = scale / sqrtf(long_term[k] + 1e-9f);
        re[k] *= by;
        im[k] *= by;
    }
    for (size_t k = 0; k < BINS; k += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += now[k + j];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static void to_int8(const float *restrict x, int8_t *restrict to)
{
    for (size_t k = 0; k < BINS; k++) {
        float y = x[k] > 127.0f ? 127.0f : x[k] < -127.0f ? -127.0f : x[k];
        to[k] = (int8_t)(int)(y < 0.0f ? y - 0.5f : y + 0.5f);
    }
}

static float power_s8(const int8_t *x, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return (float)sum;
}

static float from_bf16(uint16_t value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* The correlation at the lags of far block d, into time. */
static void lags_of(const vc_delay_estimator *s, size_t d, workspace *work)
{
    memset(work->bins, 0, sizeof work->bins);
    for (size_t k = 0; k < BINS; k++) {
        work->bins[2 * (k + FIRST_BIN)] = s->decay[d] * from_bf16(s->re[d][k]);
        work->bins[2 * (k + FIRST_BIN) + 1] = s->decay[d] * from_bf16(s->im[d][k]);
    }
    vc_fft_inverse(s->fft, work->bins, work->time, work->scratch);
}

/* The largest of n numbers of either sign; n: a multiple of 8. */
static float most_of(const float *x, size_t n)
{
    float most[8] = {0.0f};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            most[j] = fabsf(x[i + j]) > most[j] ? fabsf(x[i + j]) : most[j];
    for (size_t j = 1; j < 8; j++)
        if (most[j] > most[0]) most[0] = most[j];
    return most[0];
}

/* The lag at far block `best` or its neighbours. */
static void find_peak(vc_delay_estimator *s, size_t best, workspace *work,
                      vc_delay_estimate *estimate)
{
    float peak = 0.0f, lag = 0.0f;
    for (size_t d = best ? best - 1 : 0; d <= best + 1 && d < DELAYS; d++) {
        lags_of(s, d, work);
        const float here = most_of(work->time, HOP);
        if (here <= peak) continue;
        size_t t = 0;
        while (fabsf(work->time[t]) < here) t++;
        const float before = fabsf(work->time[t ? t - 1 : SIZE - 1]),
                    after = fabsf(work->time[t + 1]);
        const float bend = before + after - 2.0f * here;
        peak = here;
        lag = (float)(d * HOP + t) + (bend < 0.0f ? 0.5f * (before - after) / bend : 0.0f);
    }
    peak *= 0.5f * SIZE;
    s->confidence = peak * peak * s->blocks * BINS / (s->far_sum * s->near_sum + 1e-9f);
    estimate->confidence = s->confidence;
    estimate->seconds = s->blocks * (float)HOP / 4000.0f;
    estimate->delay_samples = fmaxf(lag, 0.0f) * (float)s->factor;
}

/* Takes the near block's cross spectrum with each far block into the averages; returns the far
 * block whose average holds most power. Where the far block was silent an average only decays: that
 * is made up for with the next one that was not. */
static size_t accumulate(vc_delay_estimator *s, const float *re, const float *im)
{
    float most = 0.0f;
    size_t best = 0;
    for (size_t d = 0; d < DELAYS; d++) {
        const size_t far = (s->newest + PAST - d) % PAST;
        const float keep = KEEP * s->decay[d];
        if (s->loud[far]) {
            s->power[d] = s->kernels->correlate(s->x[far][0], re, im, keep, s->re[d], s->im[d]);
            s->decay[d] = 1.0f;
        } else {
            s->decay[d] = keep > NO_MORE ? keep : 0.0f;
            s->power[d] = keep > NO_MORE ? KEEP * KEEP * s->power[d] : 0.0f;
        }
        if (s->power[d] > most) most = s->power[d], best = d;
    }
    return best;
}

/* The near block is silence, or no louder than the line's noise: no echo is to be found in it. */
static int is_background(vc_delay_estimator *s)
{
    float sum[4] = {0.0f};
    for (size_t i = 0; i < HOP; i += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += s->near[i + j] * s->near[i + j];
    const float power = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    if (s->floor_blocks++ == SPAN) {
        s->floor_blocks = 1;
        s->floor_before = s->floor;
        s->floor = INFINITY;
    }
    s->floor = fminf(s->floor, power);
    return power < fmaxf(QUIET * HOP, NOISE * fminf(s->floor, s->floor_before));
}

static vc_status step(vc_delay_estimator *s, vc_delay_estimate *estimate)
{
    workspace work;
    float re[BINS], im[BINS], near_sum = 0.0f;
    if (is_zero(s->far, SIZE))
        memset(work.bins, 0, sizeof work.bins);
    else
        vc_fft_forward(s->fft, s->far, work.bins, work.scratch);
    s->newest = (s->newest + 1) % PAST;
    const float far_power = whiten(work.bins, s->far_power, WHOLE, re, im);
    s->loud[s->newest] = far_power > LOUD;
    s->heard = (s->heard + 1) % KEPT;
    s->far_loudness[s->heard] = sqrtf(far_power);
    s->near_loudness[s->heard] = 0.0f;
    int8_t *x = s->x[s->newest][0];
    if (s->loud[s->newest]) {
        to_int8(re, x);
        to_int8(im, x + BINS);
    }
    if (!memchr(s->loud, 1, sizeof s->loud)) return VC_NEED_MORE;
    if (s->rest && is_background(s)) return VC_NEED_MORE;

    memset(work.time, 0, sizeof work.time);
    for (size_t i = 0; i < HOP; i++) work.time[HOP + i] = s->near[i] * s->window[i];
    vc_fft_forward(s->fft, work.time, work.bins, work.scratch);
    s->near_loudness[s->heard] = sqrtf(whiten(work.bins, s->near_power, 1.0f / WHOLE, re, im));
    /* While nothing is in sight every second block goes into the averages, and an average changes
     * little from block to block. */
    const int seldom = s->rest && s->confidence < IN_SIGHT;
    s->unseen = seldom ? s->unseen + 1 : 0;
    if (s->unseen % 2) return VC_NEED_MORE;
    for (size_t k = 0; k < BINS; k++) near_sum += re[k] * re[k] + im[k] * im[k];
    const float far_sum = s->loud[s->newest] ? power_s8(x, 2 * BINS) : 0.0f;
    s->far_sum = KEEP * s->far_sum + far_sum;
    s->near_sum = KEEP * s->near_sum + near_sum;
    s->blocks = KEEP * s->blocks + 1.0f;
    const size_t best = accumulate(s, re, im);
    if (!estimate || s->unseen % SELDOM) return VC_NEED_MORE;
    find_peak(s, best, &work, estimate);
    return VC_OK;
}

float vc_delay_estimator_likeness(const vc_delay_estimator *s, float delay_samples)
{
    const size_t delay = (size_t)(delay_samples / (float)(HOP * s->factor) + 0.5f);
    float x = 0.0f, y = 0.0f, xx = 0.0f, yy = 0.0f, xy = 0.0f;
    for (size_t i = 0; i < SPAN; i++) {
        const float far = s->far_loudness[(s->heard + 2 * KEPT - i - delay) % KEPT],
                    near = s->near_loudness[(s->heard + KEPT - i) % KEPT];
        x += far;
        y += near;
        xx += far * far;
        yy += near * near;
        xy += far * near;
    }
    const float n = (float)SPAN, own = (xx - x * x / n) * (yy - y * y / n);
    return own > 0.0f ? (xy - x * y / n) / sqrtf(own) : 0.0f;
}

void vc_delay_estimator_rest(vc_delay_estimator *s, int rest)
{
    s->rest = rest;
    s->floor = s->floor_before = INFINITY;
    s->floor_blocks = 0;
}

void vc_delay_estimator_forget(vc_delay_estimator *s)
{
    memset(s->re, 0, sizeof s->re);
    memset(s->im, 0, sizeof s->im);
    memset(s->decay, 0, sizeof s->decay);
    memset(s->power, 0, sizeof s->power);
    s->far_sum = s->near_sum = s->blocks = 0.0f;
}

vc_status vc_delay_estimator_process(vc_delay_estimator *s, const float *far, const float *near,
                                     vc_delay_estimate *estimate)
{
    float f[BLOCK_4K], n[BLOCK_4K];
    vc_status status = VC_NEED_MORE;
    decimate(s, s->far_line, far, f);
    decimate(s, s->near_line, near, n);
    for (size_t i = 0; i < BLOCK_4K; i++) {
        s->far[HOP + s->fill] = f[i];
        s->near[s->fill++] = n[i];
        if (s->fill < HOP) continue;
        status = step(s, estimate);
        memcpy(s->far, s->far + HOP, HOP * sizeof(float));
        s->fill = 0;
    }
    return status;
}
