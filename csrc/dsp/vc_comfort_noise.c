/* vc_comfort_noise: see vc_comfort_noise.h. Payload and quantization: RFC 3389 sections 3.1 to 3.3.
 *
 * Analysis: 20 ms blocks, Hann window, autocorrelation averaged over half a second, a lag window of
 * 60 Hz and a floor 40 dB down against ill conditioning, then Levinson-Durbin. The level is the
 * plain mean square, so that the window does not enter it.
 *
 * Background in mixed audio: the minimum of the block levels over a sliding 3 s, after R. Martin,
 * "Noise power spectral density estimation based on optimal smoothing and minimum statistics",
 * IEEE Trans. SAP 9(5), 2001, without the smoothing: only the choice of blocks hangs on it.
 *
 * Synthesis: the normalized all-pole lattice (Gray and Markel, "A normalized digital filter
 * structure", IEEE Trans. ASSP 23(3), 1975). Each stage is a rotation by asin(k), so no
 * coefficients in -1..1 and no change of them can make it unstable, and with unit white noise at
 * its input and in its states the output has unit power from the first sample on, also while the
 * coefficients move. The gain is therefore the level itself.
 *
 * The white noise is the sum of four 16-bit uniform numbers of a splitmix64 generator (Steele, Lea,
 * Flood, 2014): near enough to Gaussian, never beyond 3.5 standard deviations, the same everywhere.
 *
 * Limits: levels above about -12 dBov clip. Background that changes its 20 ms level by more than
 * 6 dB (music, one tone beating with another) is learned too quiet by vc_comfort_noise_learn. */
#include "dsp/vc_comfort_noise.h"

#include <math.h>
#include <string.h>

#include "kernels/body_convert.h"

enum {
    BLOCKS_PER_S = 50,
    AVERAGED_BLOCKS = 25,
    MINIMA = 6, /* of 500 ms each */
    MINIMUM_BLOCKS = 25,
    SMOOTHING_MS = 50,
    NEUTRAL_INDEX = 127,
    RESERVED_INDEX = 255,
};
#define MAX_ORDER     VC_COMFORT_NOISE_MAX_ORDER
#define QUIETEST_DBOV -127.0f
#define BACKGROUND_DB 6.0f
#define QUANTUM       (258.0f / 32768.0f)
#define LAG_WINDOW_HZ 60.0
#define WHITE_FLOOR   1e-4
#define PI            3.14159265358979323846
/* One over the standard deviation of the sum of four uniform 16-bit numbers. */
#define UNIT_NOISE        (1.0f / 37837.2276f)
#define FULL_SCALE_SQUARE (32768.0 * 32768.0)

struct vc_comfort_noise {
    const vc_allocator *allocator;
    vc_comfort_noise_config config;
    /* Learning. */
    size_t block_samples, filled;
    int averaged; /* blocks in the averages, stops at AVERAGED_BLOCKS */
    double mean_square, correlation[MAX_ORDER + 1];
    float minima_dbov[MINIMA]; /* a ring, the present one at `minimum` */
    int minimum, minimum_blocks;
    /* Making. */
    uint64_t random;
    int has_model;
    float gain, gain_step, target_gain;
    float k[MAX_ORDER], k_step[MAX_ORDER], target_k[MAX_ORDER], c[MAX_ORDER];
    float state[MAX_ORDER + 1];
    int steps_left;   /* of 1 ms, to the target */
    size_t step_left; /* samples of the present step */
    size_t step_samples;
    float *window, *block; /* block_samples each, behind the struct */
};

vc_status vc_comfort_noise_parse(const uint8_t *payload, size_t n, vc_comfort_noise_model *out)
{
    if (!payload || !out) return VC_E_NULL;
    if (n < 1) return VC_E_PACKET;
    *out = (vc_comfort_noise_model){.level_dbov = -(float)(payload[0] & 0x7f)};
    for (size_t i = 1; i < n && out->order < MAX_ORDER && payload[i] != RESERVED_INDEX; i++)
        out->reflection[out->order++] = QUANTUM * (float)(payload[i] - NEUTRAL_INDEX);
    return VC_OK;
}

static int is_legal(const vc_comfort_noise_model *model)
{
    if (!(model->level_dbov >= QUIETEST_DBOV && model->level_dbov <= 0.0f)) return 0;
    if (model->order < 0 || model->order > MAX_ORDER) return 0;
    for (int i = 0; i < model->order; i++)
        if (!(fabsf(model->reflection[i]) < 1.0f)) return 0;
    return 1;
}

vc_status vc_comfort_noise_build(const vc_comfort_noise_model *model, uint8_t *out, size_t *n)
{
    if (!model || !out || !n) return VC_E_NULL;
    if (!is_legal(model)) return VC_E_RANGE;
    size_t needed = 1 + (size_t)model->order;
    if (*n < needed) return VC_E_LENGTH;
    *n = needed;
    out[0] = (uint8_t)(0.5f - model->level_dbov);
    for (int i = 0; i < model->order; i++) /* at most 127 + 127.007: never the reserved index */
        out[1 + i] = (uint8_t)(model->reflection[i] / QUANTUM + ((float)NEUTRAL_INDEX + 0.5f));
    return VC_OK;
}

vc_comfort_noise_config vc_comfort_noise_config_default(void)
{
    return (vc_comfort_noise_config){.rate_hz = 8000, .order = 10, .seed = 1};
}

vc_status vc_comfort_noise_create(vc_comfort_noise **out, const vc_comfort_noise_config *config)
{
    if (!out || !config) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz < 8000 || config->rate_hz > 48000) return VC_E_RATE;
    if (config->order < 0 || config->order > MAX_ORDER) return VC_E_RANGE;
    size_t block = (size_t)config->rate_hz / BLOCKS_PER_S;
    size_t head = (sizeof(vc_comfort_noise) + 63) & ~(size_t)63;
    char *memory = vc_allocate(config->allocator, head + 2 * block * sizeof(float));
    if (!memory) return VC_E_MEMORY;
    vc_comfort_noise *noise = (vc_comfort_noise *)memory;
    noise->allocator = config->allocator;
    noise->config = *config;
    noise->block_samples = block;
    noise->step_samples = (size_t)config->rate_hz / 1000;
    noise->window = (float *)(memory + head);
    noise->block = noise->window + block;
    for (size_t i = 0; i < block; i++)
        noise->window[i] = (float)(0.5 - 0.5 * cos(2 * PI * ((double)i + 0.5) / (double)block));
    vc_comfort_noise_reset(noise);
    *out = noise;
    return VC_OK;
}

void vc_comfort_noise_destroy(vc_comfort_noise *noise)
{
    if (noise) vc_release(noise->allocator, noise);
}

/* Zero mean, unit variance. */
static inline float white(uint64_t *random)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    int32_t sum = (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
    return (float)(sum - 2 * 65535) * UNIT_NOISE;
}

void vc_comfort_noise_reset(vc_comfort_noise *noise)
{
    noise->filled = 0;
    noise->averaged = 0;
    noise->minimum = noise->minimum_blocks = 0;
    for (int i = 0; i < MINIMA; i++) noise->minima_dbov[i] = INFINITY;
    noise->random = noise->config.seed;
    noise->has_model = 0;
    noise->gain = noise->gain_step = noise->target_gain = 0.0f;
    memset(noise->k, 0, sizeof noise->k);
    memset(noise->target_k, 0, sizeof noise->target_k);
    noise->steps_left = 0;
    noise->step_left = 0;
    for (int i = 0; i <= MAX_ORDER; i++) noise->state[i] = white(&noise->random);
}

static float level_of(double mean_square)
{
    double level = 10.0 * log10(mean_square / FULL_SCALE_SQUARE + 1e-13);
    return level < QUIETEST_DBOV ? QUIETEST_DBOV : level > 0.0 ? 0.0f : (float)level;
}

/* Puts the block's level into the sliding minimum and says whether the block is background. */
static int is_background(vc_comfort_noise *noise, float level_dbov)
{
    if (noise->minimum_blocks == MINIMUM_BLOCKS) {
        noise->minimum = (noise->minimum + 1) % MINIMA;
        noise->minima_dbov[noise->minimum] = INFINITY;
        noise->minimum_blocks = 0;
    }
    noise->minimum_blocks++;
    float *present = &noise->minima_dbov[noise->minimum], least = level_dbov;
    if (level_dbov < *present) *present = level_dbov;
    for (int i = 0; i < MINIMA; i++)
        if (noise->minima_dbov[i] < least) least = noise->minima_dbov[i];
    if (level_dbov > least + BACKGROUND_DB) return 0;
    /* What was learned so far was no background, or that has become much quieter. */
    if (noise->averaged && level_dbov < level_of(noise->mean_square) - BACKGROUND_DB)
        noise->averaged = 0;
    return 1;
}

static void take_block(vc_comfort_noise *noise, int choose)
{
    float *x = noise->block;
    size_t n = noise->block_samples;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    double mean_square = sum / (double)n;
    if (choose && !is_background(noise, level_of(mean_square))) return;
    if (noise->averaged < AVERAGED_BLOCKS) noise->averaged++;
    double weight = 1.0 / noise->averaged;
    if (noise->averaged == 1) {
        noise->mean_square = 0.0;
        memset(noise->correlation, 0, sizeof noise->correlation);
    }
    noise->mean_square += weight * (mean_square - noise->mean_square);
    for (size_t i = 0; i < n; i++) x[i] *= noise->window[i];
    for (size_t lag = 0; lag <= (size_t)noise->config.order; lag++) {
        double r = 0.0;
        for (size_t i = lag; i < n; i++) r += (double)x[i] * (double)x[i - lag];
        noise->correlation[lag] += weight * (r - noise->correlation[lag]);
    }
}

static void take(vc_comfort_noise *noise, const int16_t *samples, size_t n, int choose)
{
    for (size_t i = 0; i < n; i++) {
        noise->block[noise->filled++] = (float)samples[i];
        if (noise->filled == noise->block_samples) {
            take_block(noise, choose);
            noise->filled = 0;
        }
    }
}

void vc_comfort_noise_push(vc_comfort_noise *noise, const int16_t *samples, size_t n)
{
    take(noise, samples, n, 0);
}

void vc_comfort_noise_learn(vc_comfort_noise *noise, const int16_t *samples, size_t n)
{
    take(noise, samples, n, 1);
}

/* Levinson-Durbin. r[0] > 0. */
static void reflections(const double *r, int order, float *out)
{
    double a[MAX_ORDER + 1] = {1.0}, error = r[0];
    for (int m = 1; m <= order; m++) {
        double sum = 0.0;
        for (int i = 0; i < m; i++) sum += a[i] * r[m - i];
        double k = -sum / error;
        if (!(fabs(k) < 0.9999)) break; /* only by rounding; the rest stays zero */
        a[m] = 0.0;
        for (int i = 1; i <= m / 2; i++) {
            double front = a[i], back = a[m - i];
            a[i] = front + k * back;
            a[m - i] = back + k * front;
        }
        a[m] = k;
        error *= 1.0 - k * k;
        out[m - 1] = (float)k;
    }
}

vc_status vc_comfort_noise_get_learned(const vc_comfort_noise *noise, vc_comfort_noise_model *out)
{
    if (!noise || !out) return VC_E_NULL;
    if (!noise->averaged) return VC_NEED_MORE;
    int order = noise->config.order;
    *out = (vc_comfort_noise_model){.level_dbov = level_of(noise->mean_square), .order = order};
    if (noise->correlation[0] <= 0.0) return VC_OK;
    double r[MAX_ORDER + 1];
    for (int lag = 0; lag <= order; lag++) {
        double angle = 2 * PI * LAG_WINDOW_HZ * lag / noise->config.rate_hz;
        r[lag] = noise->correlation[lag] * exp(-0.5 * angle * angle);
    }
    r[0] *= 1.0 + WHITE_FLOOR;
    reflections(r, order, out->reflection);
    return VC_OK;
}

static void set_rotations(vc_comfort_noise *noise)
{
    for (int i = 0; i < noise->config.order; i++)
        noise->c[i] = sqrtf(1.0f - noise->k[i] * noise->k[i]);
}

static void arrive(vc_comfort_noise *noise)
{
    noise->gain = noise->target_gain;
    noise->gain_step = 0.0f;
    memcpy(noise->k, noise->target_k, sizeof noise->k);
    noise->steps_left = 0;
    noise->step_left = 0;
    set_rotations(noise);
}

vc_status vc_comfort_noise_set_model(vc_comfort_noise *noise, const vc_comfort_noise_model *model)
{
    if (!noise || !model) return VC_E_NULL;
    if (!is_legal(model)) return VC_E_RANGE;
    noise->target_gain = 32768.0f * powf(10.0f, model->level_dbov / 20.0f);
    for (int i = 0; i < noise->config.order; i++)
        noise->target_k[i] = i < model->order ? model->reflection[i] : 0.0f;
    if (!noise->has_model) {
        noise->has_model = 1;
        arrive(noise);
        return VC_OK;
    }
    noise->steps_left = SMOOTHING_MS;
    noise->step_left = noise->step_samples;
    float samples = (float)(SMOOTHING_MS * noise->step_samples);
    noise->gain_step = (noise->target_gain - noise->gain) / samples;
    for (int i = 0; i < noise->config.order; i++)
        noise->k_step[i] = (noise->target_k[i] - noise->k[i]) / (float)SMOOTHING_MS;
    return VC_OK;
}

static void next_step(vc_comfort_noise *noise)
{
    noise->step_left = noise->step_samples;
    if (--noise->steps_left == 0) {
        arrive(noise);
        return;
    }
    for (int i = 0; i < noise->config.order; i++) noise->k[i] += noise->k_step[i];
    set_rotations(noise);
}

void vc_comfort_noise_process(vc_comfort_noise *noise, int16_t *out, size_t n)
{
    if (!noise->has_model) {
        memset(out, 0, n * sizeof *out);
        return;
    }
    const float *k = noise->k, *c = noise->c;
    float *state = noise->state;
    for (size_t i = 0; i < n; i++) {
        float forward = white(&noise->random);
        for (int m = noise->config.order - 1; m >= 0; m--) {
            float backward = state[m];
            state[m + 1] = k[m] * forward + c[m] * backward;
            forward = c[m] * forward - k[m] * backward;
        }
        state[0] = forward;
        out[i] = vc_round_s16(forward * noise->gain);
        if (noise->steps_left) {
            noise->gain += noise->gain_step;
            if (--noise->step_left == 0) next_step(noise);
        }
    }
}
