/* vc_pitch: see vc_pitch.h. First on a copy at about 4 kHz behind a triangular low-pass, every lag;
 * then at the full rate around the best one (the two steps of ITU-T G.711 Appendix I and of
 * WebRTC's NetEq). Samples are scaled to 10 bits and a sign so that a sum over 20 ms at 48 kHz
 * stays exact in 32 bits and the loops compile to multiply-add vectors; the energies of the moving
 * window are updated from lag to lag, which is exact too.
 * Limit: a multiple of the period may win; for repeating and removing periods that is as good. */
#include "dsp/vc_pitch.h"

#include <math.h>

#define MAX_LAG_MS    15
#define MAX_WINDOW_MS 20
#define MIN_LAG_HZ    400
#define COARSE_HZ     4000
#define PEAK_BITS     10

struct vc_pitch {
    int min_lag, max_lag, max_window;
    int stride;         /* full rate to coarse */
    int before, window; /* of the last search */
    int16_t *scaled;    /* max_lag + max_window */
    int16_t *coarse;
    vc_allocator allocator;
    int custom_allocator;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_pitch_create(vc_pitch **out, int rate_hz, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (rate_hz < 8000 || rate_hz > 48000 || rate_hz % 50 != 0) return VC_E_RATE;
    int max_lag = rate_hz * MAX_LAG_MS / 1000, max_window = rate_hz * MAX_WINDOW_MS / 1000;
    int stride = rate_hz / COARSE_HZ;
    size_t total = (size_t)(max_lag + max_window);
    size_t head = round_up(sizeof(vc_pitch)), scaled = round_up(total * sizeof(int16_t));
    size_t coarse = round_up(total / (size_t)stride * sizeof(int16_t));
    vc_pitch *pitch = vc_allocate(allocator, head + scaled + coarse);
    if (!pitch) return VC_E_MEMORY;
    unsigned char *memory = (unsigned char *)pitch + head;
    pitch->min_lag = rate_hz / MIN_LAG_HZ;
    pitch->max_lag = max_lag;
    pitch->max_window = max_window;
    pitch->stride = stride;
    pitch->scaled = (int16_t *)memory;
    pitch->coarse = (int16_t *)(memory + scaled);
    if (allocator) {
        pitch->allocator = *allocator;
        pitch->custom_allocator = 1;
    }
    *out = pitch;
    return VC_OK;
}

void vc_pitch_destroy(vc_pitch *pitch)
{
    if (!pitch) return;
    vc_allocator allocator = pitch->allocator;
    vc_release(pitch->custom_allocator ? &allocator : NULL, pitch);
}

size_t vc_pitch_max_lag_samples(const vc_pitch *pitch)
{
    return (size_t)pitch->max_lag;
}

size_t vc_pitch_max_window_samples(const vc_pitch *pitch)
{
    return (size_t)pitch->max_window;
}

static int32_t dot(const int16_t *a, const int16_t *b, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += (int32_t)a[i] * b[i];
    return sum;
}

/* The lag from `low` to `high` at which x[0..window) is most like what comes before. */
static vc_pitch_match best_of(const int16_t *x, int window, int low, int high)
{
    vc_pitch_match best = {high, 0.0f};
    float own = (float)dot(x, x, window);
    int32_t energy = dot(x - low, x - low, window);
    for (int lag = low; lag <= high; lag++) {
        float product = (float)dot(x, x - lag, window);
        if (product > 0.0f) {
            float correlation = product / sqrtf(own * (float)energy);
            if (correlation > best.correlation) best = (vc_pitch_match){lag, correlation};
        }
        if (lag < high) {
            int32_t in = x[-lag - 1], out = x[window - lag - 1];
            energy += in * in - out * out;
        }
    }
    return best;
}

/* Copies n samples without their mean, at most PEAK_BITS and a sign each. */
static void scale(const int16_t *x, int n, int16_t *scaled)
{
    int32_t sum = 0, low = x[0], high = x[0];
    for (int i = 0; i < n; i++) {
        sum += x[i];
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    int32_t mean = sum / n, peak = high - mean > mean - low ? high - mean : mean - low;
    int shift = 0;
    while (peak >> shift >> PEAK_BITS) shift++;
    for (int i = 0; i < n; i++) scaled[i] = (int16_t)((x[i] - mean) >> shift);
}

/* n samples to the coarse rate; returns how many they are then. The triangle rises over one block
 * of `stride` samples and falls over the next, so each block is summed once. */
static int lower(vc_pitch *pitch, const int16_t *x, int n)
{
    int stride = pitch->stride, blocks = (n + 1) / stride;
    float unit = 1.0f / (float)(stride * stride);
    int32_t rise = 0;
    for (int i = 0; i < blocks; i++, x += stride) {
        /* The last block may lack its last sample, where the triangle is over. */
        int last = (i + 1) * stride > n, some = stride - last;
        int32_t sum = 0, rising = 0;
        for (int j = 0; j < some; j++) {
            sum += x[j];
            rising += (j + 1) * x[j];
        }
        if (i > 0) pitch->coarse[i - 1] = (int16_t)((float)(rise + stride * sum - rising) * unit);
        rise = rising;
    }
    return blocks - 1;
}

vc_pitch_match vc_pitch_find(vc_pitch *pitch, const int16_t *x, size_t window)
{
    return vc_pitch_find_within(pitch, x, window, (size_t)pitch->max_lag);
}

vc_pitch_match vc_pitch_find_within(vc_pitch *pitch, const int16_t *x, size_t window,
                                    size_t max_lag_samples)
{
    int n = (int)window, max_lag = (int)max_lag_samples, stride = pitch->stride;
    scale(x - max_lag, max_lag + n, pitch->scaled);

    /* The coarse samples are placed so that one falls on the start of the window. */
    int at = max_lag / stride, first = max_lag - at * stride;
    int coarse_n = lower(pitch, pitch->scaled + first, max_lag + n - first);
    vc_pitch_match coarse = best_of(pitch->coarse + at, coarse_n - at, pitch->min_lag / stride, at);

    pitch->before = max_lag;
    pitch->window = n;
    return vc_pitch_find_near(pitch, (coarse.lag_samples - 1) * stride,
                              (coarse.lag_samples + 1) * stride);
}

vc_pitch_match vc_pitch_find_near(vc_pitch *pitch, int low_samples, int high_samples)
{
    int low = low_samples < pitch->min_lag ? pitch->min_lag : low_samples;
    int high = high_samples > pitch->before ? pitch->before : high_samples;
    return best_of(pitch->scaled + pitch->before, pitch->window, low < high ? low : high, high);
}
