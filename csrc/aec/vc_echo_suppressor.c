/* vc_echo_suppressor: see vc_echo_suppressor.h.
 *
 * Frames of two blocks under a sine window, overlap-add. The echo left in a bin, R, is what the
 * Kalman filter expects of its own error: in far-end talk the true error lies within some 5 dB of
 * it, so what stands far above R in many bands at once is the caller. That evidence moves the gain
 * 1 - beta R / E between two settings: alone, beta is 26 dB and the floor -60 dB; in double talk
 * beta is 2 dB (about a Wiener filter) and the floor -20 dB. The way up is quick, the way down
 * takes half a second, so that the ends of words stay. Below 140 Hz R tells nothing: bins there
 * hold what leaks from the harmonics above, and a puff of breath leaves an echo that was never
 * learnt. So all of it counts as echo, unless the caller is there.
 *
 * The background is the minimum of the smoothed power over 3 to 6 s (after Martin, "Noise power
 * spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans. SAP
 * 9, 2001, with a fixed smoothing and bias).
 */
#include "aec/vc_echo_suppressor.h"

#include <math.h>
#include <string.h>

enum { MAX_BLOCK = 160, MAX_BINS = 256, MAX_BANDS = 19, MIN_BLOCKS = 300, LOW_BINS = 5 };

/* Of bins 31.25 Hz wide: 125 Hz at the low end, 1 kHz at the high one. */
static const uint16_t EDGES[MAX_BANDS + 1] = {4,  8,  12, 16, 20,  24,  28,  32,  40,  48,
                                              56, 64, 80, 96, 112, 128, 160, 192, 224, 256};

static const float ERROR_KEEP = 0.5f, BAND_KEEP = 0.6f, NOISE_KEEP = 0.85f, NOISE_BIAS = 1.3f,
                   FILL_BIAS = 2.5f;
static const float RESIDUAL_HOLD = 0.6f;   /* a block: late reverberation */
static const float RESIDUAL_MARGIN = 2.0f; /* of the echo, for evidence */
static const float EVIDENCE_FROM_DB = 12.0f, EVIDENCE_OVER_DB = 10.0f;
static const float EVIDENCE_FROM = 15.0f; /* less is none, and needs no logarithm */
static const float PRESENT_FROM = 0.08f, PRESENT_OVER = 0.12f; /* mean evidence of the bands */
static const float PRESENT_UP = 0.7f, PRESENT_DOWN = 0.02f, PRESENT_NOT = 0.3f;
static const float ALL_ECHO = 20.0f; /* expected over error at which it is surely all echo */
static const float BETA_ALONE_DB = 26.0f, BETA_DOUBLE_DB = 2.0f;
static const float FLOOR_ALONE_DB = -60.0f, FLOOR_DOUBLE_DB = -20.0f;
static const float TINY = 1e-12f;

struct vc_echo_suppressor {
    const vc_allocator *allocator;
    vc_spectrum *spectrum;
    size_t block, bins, bands;
    int passing; /* the last blocks that were let through, up to two */
    int noise_blocks;
    uint32_t random;
    float presence, likelihood;
    float window[2 * MAX_BLOCK];
    float before[MAX_BLOCK], tail[MAX_BLOCK];
    float e_power[MAX_BINS], r_before[MAX_BINS], r_held[MAX_BINS];
    float e_band[MAX_BANDS], r_band[MAX_BANDS];
    float noise_smooth[MAX_BINS], noise_min[MAX_BINS], noise_next[MAX_BINS];
};

vc_status vc_echo_suppressor_create(vc_echo_suppressor **out, int rate_hz, vc_spectrum *spectrum,
                                    const vc_allocator *allocator)
{
    if (!out || !spectrum) return VC_E_NULL;
    *out = NULL;
    if (rate_hz != 8000 && rate_hz != 16000) return VC_E_RATE;
    const size_t block = (size_t)rate_hz / 100, size = rate_hz == 16000 ? 512 : 256;
    if (vc_spectrum_size(spectrum) != size) return VC_E_LENGTH;
    vc_echo_suppressor *s = vc_allocate(allocator, sizeof *s);
    if (!s) return VC_E_MEMORY;
    s->allocator = allocator;
    s->spectrum = spectrum;
    s->block = block;
    s->bins = size / 2;
    s->bands = rate_hz == 16000 ? 19 : 15;
    for (size_t i = 0; i < 2 * block; i++)
        s->window[i] = sinf(3.14159265f * ((float)i + 0.5f) / (float)(2 * block));
    vc_echo_suppressor_reset(s);
    *out = s;
    return VC_OK;
}

void vc_echo_suppressor_destroy(vc_echo_suppressor *s)
{
    if (s) vc_release(s->allocator, s);
}

void vc_echo_suppressor_reset(vc_echo_suppressor *s)
{
    memset(s->before, 0, sizeof s->before);
    memset(s->tail, 0, sizeof s->tail);
    memset(s->e_power, 0, sizeof s->e_power);
    memset(s->r_before, 0, sizeof s->r_before);
    memset(s->r_held, 0, sizeof s->r_held);
    memset(s->e_band, 0, sizeof s->e_band);
    memset(s->r_band, 0, sizeof s->r_band);
    memset(s->noise_smooth, 0, sizeof s->noise_smooth);
    for (size_t k = 0; k < MAX_BINS; k++) s->noise_min[k] = s->noise_next[k] = INFINITY;
    s->passing = 2;
    s->noise_blocks = 0;
    s->presence = s->likelihood = 0.0f;
    s->random = 1;
}

void vc_echo_suppressor_echo_found(vc_echo_suppressor *s)
{
    s->presence = 0.0f;
}

static void pass(vc_echo_suppressor *s, const float *error, float *out)
{
    const size_t n = s->block;
    if (s->passing)
        memcpy(out, s->before, n * sizeof(float));
    else
        for (size_t i = 0; i < n; i++)
            out[i] = s->tail[i] + s->before[i] * s->window[i] * s->window[i];
    for (size_t i = 0; i < n; i++) s->tail[i] = error[i] * s->window[n + i] * s->window[n + i];
    memcpy(s->before, error, n * sizeof(float));
    s->passing = s->passing ? 2 : 1;
    s->presence = s->likelihood = 0.0f;
}

/* Bin k with its neighbours, 1/4 1/2 1/4. */
static void smooth_across(const float *restrict in, float *restrict out, size_t n)
{
    out[0] = 0.5f * (in[0] + in[1]);
    for (size_t k = 1; k + 1 < n; k++) out[k] = 0.5f * in[k] + 0.25f * (in[k - 1] + in[k + 1]);
    out[n - 1] = 0.5f * (in[n - 1] + in[n - 2]);
}

/* What may be echo counts little: it would be filled in as noise. */
static void follow_noise(vc_echo_suppressor *s, const float *across, const float *r)
{
    for (size_t k = 0; k < s->bins; k++) {
        const float heard = across[k] * across[k] / (across[k] + 4.0f * r[k] + TINY);
        float now = NOISE_KEEP * s->noise_smooth[k] + (1.0f - NOISE_KEEP) * heard;
        s->noise_smooth[k] = now;
        s->noise_min[k] = now < s->noise_min[k] ? now : s->noise_min[k];
        s->noise_next[k] = now < s->noise_next[k] ? now : s->noise_next[k];
    }
    if (++s->noise_blocks < MIN_BLOCKS) return;
    s->noise_blocks = 0;
    memcpy(s->noise_min, s->noise_next, sizeof s->noise_min);
    for (size_t k = 0; k < s->bins; k++) s->noise_next[k] = INFINITY;
}

static float clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* Weighs the bands' error against the echo expected in it. */
static void judge(vc_echo_suppressor *s, const float *e_now, const float *r_now)
{
    float evidence = 0.0f, echo = 0.0f, all = 0.0f, most = 0.0f;
    for (size_t b = 0; b < s->bands; b++) {
        float e = 0.0f, r = 0.0f, noise = 0.0f;
        for (size_t k = EDGES[b]; k < EDGES[b + 1]; k++) {
            e += e_now[k];
            r += r_now[k];
            noise += s->noise_min[k];
        }
        s->e_band[b] = BAND_KEEP * s->e_band[b] + (1.0f - BAND_KEEP) * e;
        s->r_band[b] = BAND_KEEP * s->r_band[b] + (1.0f - BAND_KEEP) * r;
        const float expected = RESIDUAL_MARGIN * s->r_band[b];
        const float over = s->e_band[b] / (expected + 2.0f * NOISE_BIAS * noise + 1e-9f);
        if (over > EVIDENCE_FROM) {
            const float over_db = 10.0f * log10f(over) - EVIDENCE_FROM_DB;
            evidence += clamp(over_db / EVIDENCE_OVER_DB, 0.0f, 1.0f);
        }
        echo += fminf(4.0f * expected, s->e_band[b]);
        all += s->e_band[b];
        most += expected;
    }
    const float present =
        clamp((evidence / (float)s->bands - PRESENT_FROM) / PRESENT_OVER, 0.0f, 1.0f);
    const float down = most > ALL_ECHO * all ? PRESENT_NOT : PRESENT_DOWN;
    s->presence += (present > s->presence ? PRESENT_UP : down) * (present - s->presence);
    s->likelihood = all > 0.0f ? echo / all * (1.0f - s->presence) : 0.0f;
}

static float between(float alone_db, float double_db, float presence)
{
    return alone_db + presence * (double_db - alone_db);
}

/* Two uniform numbers of variance 1/2 each. */
static void draw(uint32_t *random, float *a, float *b)
{
    const float scale = 1.22474487f / 32768.0f;
    *random = *random * 1664525u + 1013904223u;
    *a = (float)(int16_t)(*random >> 16) * scale;
    *random = *random * 1664525u + 1013904223u;
    *b = (float)(int16_t)(*random >> 16) * scale;
}

void vc_echo_suppressor_process(vc_echo_suppressor *s, const float *residual, const float *error,
                                float *out)
{
    if (!residual) {
        pass(s, error, out);
        return;
    }
    const size_t n = s->block, bins = s->bins;
    float re[MAX_BINS], im[MAX_BINS], power[MAX_BINS], e[MAX_BINS], r[MAX_BINS];
    float *samples = vc_spectrum_samples(s->spectrum);
    for (size_t i = 0; i < n; i++) {
        samples[i] = s->before[i] * s->window[i];
        samples[n + i] = error[i] * s->window[n + i];
    }
    memset(samples + 2 * n, 0, (2 * bins - 2 * n) * sizeof(float));
    vc_spectrum_forward(s->spectrum, re, im);

    for (size_t k = 0; k < bins; k++) {
        power[k] = re[k] * re[k] + im[k] * im[k];
        s->e_power[k] = ERROR_KEEP * s->e_power[k] + (1.0f - ERROR_KEEP) * power[k];
        r[k] = 0.5f * (residual[k] + s->r_before[k]);
        const float held = RESIDUAL_HOLD * s->r_held[k];
        s->r_held[k] = r[k] > held ? r[k] : held;
    }
    memcpy(s->r_before, residual, bins * sizeof(float));
    judge(s, power, r);
    smooth_across(power, e, bins);
    follow_noise(s, e, r);

    const float beta = powf(10.0f, 0.1f * between(BETA_ALONE_DB, BETA_DOUBLE_DB, s->presence));
    const float least = powf(10.0f, 0.05f * between(FLOOR_ALONE_DB, FLOOR_DOUBLE_DB, s->presence));
    smooth_across(s->e_power, e, bins);
    smooth_across(s->r_held, r, bins);
    const float absent = (1.0f - s->presence) * (1.0f - s->presence);
    for (size_t k = 0; k < LOW_BINS; k++) r[k] += absent * absent * e[k];
    for (size_t k = 0; k < bins; k++) {
        float gain = 1.0f - beta * r[k] / (e[k] + TINY);
        gain = gain < least ? least : gain;
        const float taken = 1.0f - gain * gain;
        const float fill = sqrtf((taken > 1e-3f ? taken : 0.0f) * FILL_BIAS * s->noise_min[k]);
        re[k] *= gain;
        im[k] *= gain;
        e[k] = fill;
    }
    for (size_t k = 0; k < bins; k++) {
        float a, b;
        draw(&s->random, &a, &b);
        re[k] += e[k] * a;
        im[k] += e[k] * b;
    }
    vc_spectrum_inverse(s->spectrum, re, im);
    for (size_t i = 0; i < n; i++) {
        out[i] = s->tail[i] + samples[i] * s->window[i];
        s->tail[i] = samples[n + i] * s->window[n + i];
    }
    memcpy(s->before, error, n * sizeof(float));
    s->passing = 0;
}

int vc_echo_suppressor_is_passing(const vc_echo_suppressor *s)
{
    return s->passing > 1;
}

float vc_echo_suppressor_likelihood(const vc_echo_suppressor *s)
{
    return s->likelihood;
}

float vc_echo_suppressor_presence(const vc_echo_suppressor *s)
{
    return s->presence;
}
