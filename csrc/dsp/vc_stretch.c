/* vc_stretch: see vc_stretch.h. WSOLA with one seam a window (Verhelst and Roelands, "An
 * overlap-add technique based on waveform similarity", ICASSP 1993), in the manner of NetEq's
 * Accelerate and PreemptiveExpand: the seam joins the period before the middle of a 30 ms window
 * with the one after it and fades over one period. The fade keeps the power: its gain follows from
 * how alike the two sides are, so noise does not dip at the seam. An attack is 10 to 15 ms with 6
 * dB more than what was before, or a window with 6 dB more than what was played before it. */
#include "dsp/vc_stretch.h"

#include <math.h>
#include <string.h>

#include "dsp/vc_pitch.h"

#define ALIKE             0.9f
#define ALIKE_FAST        0.5f
#define ATTACK_RATIO      4.0f
#define QUIET_MEAN_SQUARE (100.0f * 100.0f)
#define MAX_SHARE         4 /* one in so many samples: 25 % */

struct vc_stretch {
    size_t half; /* 15 ms, the longest period; the window is twice that */
    vc_pitch *pitch;
    vc_allocator allocator;
    int custom_allocator;

    float played;          /* mean square of what was played last; negative: not known */
    int64_t next_position; /* no window may start before it */
};

typedef struct seam {
    size_t lag;
    float likeness; /* normalized correlation of its two sides, 0..1 */
} seam;

vc_status vc_stretch_create(vc_stretch **out, int rate_hz, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_pitch *pitch;
    vc_status status = vc_pitch_create(&pitch, rate_hz, allocator);
    if (status != VC_OK) return status;
    vc_stretch *stretch = vc_allocate(allocator, sizeof *stretch);
    if (!stretch) {
        vc_pitch_destroy(pitch);
        return VC_E_MEMORY;
    }
    stretch->half = vc_pitch_max_lag_samples(pitch);
    stretch->pitch = pitch;
    if (allocator) {
        stretch->allocator = *allocator;
        stretch->custom_allocator = 1;
    }
    vc_stretch_reset(stretch);
    *out = stretch;
    return VC_OK;
}

void vc_stretch_destroy(vc_stretch *stretch)
{
    if (!stretch) return;
    vc_pitch_destroy(stretch->pitch);
    vc_allocator allocator = stretch->allocator;
    vc_release(stretch->custom_allocator ? &allocator : NULL, stretch);
}

void vc_stretch_reset(vc_stretch *stretch)
{
    stretch->played = -1.0f;
    stretch->next_position = INT64_MIN;
}

size_t vc_stretch_window_samples(const vc_stretch *stretch)
{
    return 2 * stretch->half;
}

size_t vc_stretch_max_change_samples(const vc_stretch *stretch)
{
    return stretch->half;
}

/* Sums of products of int16 samples are exact in 64 bits. */
static float product(const int16_t *a, const int16_t *b, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)a[i] * b[i];
    return (float)sum;
}

void vc_stretch_push_played(vc_stretch *stretch, const int16_t *samples, size_t n)
{
    /* Every fourth sample tells the level, and it is asked for after every frame. */
    int64_t sum = 0;
    for (size_t i = 0; i < n; i += 4) sum += (int32_t)samples[i] * samples[i];
    if (n > 0) stretch->played = (float)sum / (float)((n + 3) / 4);
}

static float likeness(const int16_t *a, const int16_t *b, size_t n)
{
    float energies = sqrtf(product(a, a, n)) * sqrtf(product(b, b, n));
    if (energies <= 0.0f) return 1.0f;
    float correlation = product(a, b, n) / energies;
    return correlation < 0.0f ? 0.0f : correlation > 1.0f ? 1.0f : correlation;
}

static int16_t to_s16(float value)
{
    value = value < -32768.0f ? -32768.0f : value > 32767.0f ? 32767.0f : value;
    return (int16_t)lrintf(value);
}

static void fade(const int16_t *from, const int16_t *to, seam seam, int16_t *out)
{
    float step = 1.0f / (float)(seam.lag + 1);
    for (size_t i = 0; i < seam.lag; i++) {
        float w = (float)(i + 1) * step, v = 1.0f - w;
        float power = w * w + v * v + 2.0f * w * v * seam.likeness;
        out[i] = to_s16((v * (float)from[i] + w * (float)to[i]) / sqrtf(power));
    }
}

/* Whether a block has 6 dB more than the one before it, at the start, the middle and the end of the
 * window. Blocks of whole periods: a deep voice is not louder and softer within its period. */
static int rises(const int16_t *in, size_t half, size_t block, float quiet)
{
    const size_t borders[3] = {block, half, 2 * half - block};
    for (size_t i = 0; i < 3; i++) {
        const int16_t *after = in + borders[i], *before = after - block;
        float energy = product(after, after, block);
        if (energy > quiet * (float)block && energy > ATTACK_RATIO * product(before, before, block))
            return 1;
    }
    return 0;
}

/* Where the period before the middle and the one after it may be joined. */
static vc_stretch_refusal find_seam(vc_stretch *stretch, int64_t position, const int16_t *in,
                                    int fast, seam *found)
{
    if (position < stretch->next_position) return VC_STRETCH_TOO_SOON;
    const size_t half = stretch->half;
    const int16_t *middle = in + half;
    const float quiet = QUIET_MEAN_SQUARE;
    vc_pitch_match match = vc_pitch_find(stretch->pitch, middle, half);
    size_t lag = (size_t)match.lag_samples, block = 2 * half / 3;
    float least = fast ? ALIKE_FAST : ALIKE;
    if (match.correlation >= least) block = (block + lag - 1) / lag * lag;
    if (rises(in, half, block < half ? block : half, quiet)) return VC_STRETCH_ATTACK;
    float energy = product(in, in, 2 * half) / (float)(2 * half);
    if (stretch->played >= 0.0f && energy > quiet && energy > ATTACK_RATIO * stretch->played)
        return VC_STRETCH_ATTACK;
    if (match.correlation < least) {
        if (product(in, in, 2 * half) > quiet * (float)(2 * half)) return VC_STRETCH_UNLIKE;
        lag = half;
    }
    found->lag = lag;
    for (size_t many = fast ? half / lag : 1; many > 1; many--) {
        found->lag = many * lag;
        if (likeness(middle - found->lag, middle, found->lag) >= least) break;
        found->lag = lag;
    }
    found->likeness = likeness(middle - found->lag, middle, found->lag);
    return VC_STRETCH_DONE;
}

/* The checks that both directions share. VC_OK: make the seam. */
static vc_status begin(vc_stretch *stretch, int64_t position, const int16_t *in, size_t n_in,
                       int16_t *out, int fast, seam *found, vc_stretch_change *change)
{
    if (!stretch || !in || !out || !change) return VC_E_NULL;
    *change = (vc_stretch_change){.position = position};
    if (n_in < 2 * stretch->half) return VC_NEED_MORE;
    change->refusal = find_seam(stretch, position, in, fast, found);
    if (change->refusal != VC_STRETCH_DONE) {
        memcpy(out, in, n_in * sizeof *in);
        change->out_samples = n_in;
        return VC_IGNORED;
    }
    change->changed_samples = found->lag;
    stretch->next_position = position + MAX_SHARE * (int64_t)found->lag;
    return VC_OK;
}

vc_status vc_stretch_accelerate(vc_stretch *stretch, int64_t position, const int16_t *in,
                                size_t n_in, int16_t *out, int fast, vc_stretch_change *change)
{
    seam seam;
    vc_status status = begin(stretch, position, in, n_in, out, fast, &seam, change);
    if (status != VC_OK) return status;
    size_t middle = stretch->half, start = middle - seam.lag;
    memcpy(out, in, start * sizeof *in);
    fade(in + start, in + middle, seam, out + start);
    memcpy(out + middle, in + middle + seam.lag, (n_in - middle - seam.lag) * sizeof *in);
    change->out_samples = n_in - seam.lag;
    change->position = position + (int64_t)(start + seam.lag / 2);
    return VC_OK;
}

vc_status vc_stretch_expand(vc_stretch *stretch, int64_t position, const int16_t *in, size_t n_in,
                            int16_t *out, vc_stretch_change *change)
{
    seam seam;
    vc_status status = begin(stretch, position, in, n_in, out, 0, &seam, change);
    if (status != VC_OK) return status;
    size_t middle = stretch->half;
    memcpy(out, in, middle * sizeof *in);
    fade(in + middle, in + middle - seam.lag, seam, out + middle);
    memcpy(out + middle + seam.lag, in + middle, (n_in - middle) * sizeof *in);
    change->out_samples = n_in + seam.lag;
    change->position = position + (int64_t)(middle + seam.lag / 2);
    return VC_OK;
}
