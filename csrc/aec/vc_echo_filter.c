/* vc_echo_filter: see vc_echo_filter.h.
 *
 * Overlap-save with transforms of N = 512 at 16 kHz (256 at 8 kHz), a hop of B = 10 ms and
 * partitions of P = 20 ms (B + P <= N), so that partitions share the far end's spectra, two hops
 * apart. Kalman filter of every bin and partition with a diagonal covariance (Enzner and Vary,
 * "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones",
 * Signal Processing 86, 2006; Kuech, Mabande and Enzner, "State-space architecture of the
 * partitioned-block-based acoustic echo controller", ICASSP 2014). One partition's impulse response
 * is cut to its length each hop.
 *
 * The diagonal model holds the far end's frames for independent. Speech repeats itself from frame
 * to frame and across the overlapping partitions, and a filter that believes the model is sure long
 * before it is right. So an update takes off only a fifth of the variance that the model says
 * (SPEND). The same variance then tells the residual echo: with a spread of some 5 dB.
 *
 * A loudspeaker that clips softly is in front of the path: the far end x is bent to
 * x / sqrt(1 + 2 b x^2) first, and b is one more coefficient of the Kalman filter (a memoryless
 * preprocessor: Stenger and Kellermann, "Adaptation of a memoryless preprocessor for nonlinear
 * acoustic echo cancelling", Signal Processing 80, 2000). The echo changes with b by the path's
 * answer to minus the bent far end's cube; every second hop, in the first partitions.
 *
 * Limits: the far end's spectra are kept in bf16, 59 dB below the echo.
 */
#include "aec/vc_echo_filter.h"

#include <math.h>
#include <string.h>

#include "aec/vc_echo_kernels.h"

/* An echo that is lost may have been delayed: the path is kept for the delay to be found first. */
enum { PATIENCE_BLOCKS = 60, MISFIT_BLOCKS = 200 };
enum { MAX_SIZE = 512, PART_MS = 20 };
enum { END_PARTS = 3, LOW_BINS = 5 };
enum { CUBES = 4 }; /* partitions in which distortion is looked for */

static const float FIRST_VARIANCE = 0.05f, VARIANCE_DECAY = 0.8f; /* of |w|^2, a partition */
static const float SPEND = 0.2f;                                  /* see above */
static const float NOISE_GAIN = 3e-6f, NOISE_FLOOR = 1e-9f;       /* process noise a hop */
static const float NEAR_SMOOTHING = 0.8f;
static const float QUIET = 1e-9f; /* power of a sample that is nothing: -90 dBFS */
static const float TRUST_KEEP = 0.99f, FIT_KEEP = 0.85f; /* a second, 0.06 s */
static const float PRIOR = 1e-5f;      /* power of an estimate that is taken for real unseen */
static const float SEEN = 100.0f;      /* times PRIOR: an estimate that has proven itself */
static const float LEAST_SHARE = 0.3f; /* of the echo in the microphone, to tell a misfit */
static const float LOST_GAIN = 30.0f;  /* of what is heard while the path is lost */
static const float END_KEEP = 0.98f;   /* a cut, 0.13 s */
static const float FIRST_BEND = 0.3f,  /* variance */
    BEND_NOISE = 1e-5f, MOST_BEND = 8.0f, BEND_STEP = 0.0625f;
static const float MISFIT_GAIN = 0.01f; /* process noise a hop while the estimate is not real */

struct vc_echo_filter {
    vc_echo_filter_config config;
    const vc_echo_kernels *kernels;
    vc_echo_path path;
    size_t block, size, history, newest, next_cut, silent_blocks;
    uint16_t *x;    /* [history][re, im][bin] */
    uint16_t *cube; /* [CUBES][re, im][bin]: of the bent far end's cube, every second hop */
    size_t newest_cube;
    int odd;                         /* hop */
    float bend, bend_variance, bent; /* what is learnt; what is used of it, in steps */
    float *near_power;               /* of the error, bin by bin */
    float *residual;                 /* bins */
    float trust, echo_near, echo_echo;
    float fit_near, fit_echo, fit_heard; /* the same of the last 0.06 s, and the microphone's */
    size_t settled;                      /* blocks since the estimate was last all real */
    float line[MAX_SIZE];                /* the far end's last N samples, bent */
};

size_t vc_echo_filter_size(int rate_hz)
{
    return rate_hz == 16000 ? 512 : 256;
}

vc_status vc_echo_filter_create(vc_echo_filter **out, const vc_echo_filter_config *config)
{
    if (!out || !config || !config->spectrum) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->tail_ms < 64 || config->tail_ms > 256) return VC_E_RANGE;
    const size_t size = vc_echo_filter_size(config->rate_hz), bins = size / 2;
    if (vc_spectrum_size(config->spectrum) != size) return VC_E_LENGTH;
    vc_cpu_level level;
    vc_status status = vc_cpu_resolve(config->cpu_level, &level);
    if (status != VC_OK) return status;

    const size_t parts = ((size_t)config->tail_ms + PART_MS - 1) / PART_MS, history = 2 * parts - 1;
    const size_t head = (sizeof(vc_echo_filter) + 63) / 64 * 64;
    const size_t floats = (3 * parts + 2) * bins, halves = (history + CUBES) * 2 * bins;
    vc_echo_filter *filter =
        vc_allocate(config->allocator, head + floats * sizeof(float) + halves * sizeof(uint16_t));
    if (!filter) return VC_E_MEMORY;
    filter->config = *config;
    filter->kernels = vc_echo_kernels_of(level);
    filter->block = (size_t)config->rate_hz / 100;
    filter->size = size;
    filter->history = history;
    filter->path.bins = bins;
    filter->path.parts = parts;
    filter->path.w_re = (float *)((char *)filter + head);
    filter->path.w_im = filter->path.w_re + parts * bins;
    filter->path.p = filter->path.w_im + parts * bins;
    filter->near_power = filter->path.p + parts * bins;
    filter->residual = filter->near_power + bins;
    filter->x = (uint16_t *)(filter->residual + bins);
    filter->cube = filter->x + history * 2 * bins;
    vc_echo_filter_reset(filter);
    *out = filter;
    return VC_OK;
}

void vc_echo_filter_destroy(vc_echo_filter *filter)
{
    if (filter) vc_release(filter->config.allocator, filter);
}

/* Until the microphone says otherwise. */
static void believe(vc_echo_filter *filter)
{
    filter->trust = 1.0f;
    filter->echo_near = filter->echo_echo = PRIOR * (float)filter->block;
    filter->fit_near = filter->fit_echo = filter->fit_heard = filter->echo_echo;
}

void vc_echo_filter_reset(vc_echo_filter *filter)
{
    const size_t bins = filter->path.bins, parts = filter->path.parts;
    memset(filter->x, 0, (filter->history + CUBES) * 2 * bins * sizeof *filter->x);
    filter->newest_cube = 0;
    filter->odd = 0;
    filter->bend = filter->bent = 0.0f;
    filter->bend_variance = FIRST_BEND;
    memset(filter->path.w_re, 0, 2 * parts * bins * sizeof(float));
    memset(filter->near_power, 0, 2 * bins * sizeof(float));
    memset(filter->line, 0, sizeof filter->line);
    float variance = FIRST_VARIANCE;
    for (size_t i = 0; i < parts; i++, variance *= VARIANCE_DECAY)
        for (size_t k = 0; k < bins; k++) filter->path.p[i * bins + k] = variance;
    filter->newest = filter->next_cut = 0;
    filter->silent_blocks = SIZE_MAX;
    believe(filter);
    filter->settled = SIZE_MAX;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

void vc_echo_filter_preload(vc_echo_filter *filter, const float *far)
{
    const size_t block = filter->block, old = filter->size - block, bins = filter->path.bins;
    memmove(filter->line, filter->line + block, old * sizeof(float));
    for (size_t i = 0; i < block; i++)
        filter->line[old + i] = far[i] / sqrtf(1.0f + 2.0f * filter->bent * far[i] * far[i]);
    float power = 0.0f;
    for (size_t i = 0; i < block; i++) power += far[i] * far[i];
    if (power > 1e-12f)
        filter->silent_blocks = 0;
    else if (filter->silent_blocks < SIZE_MAX)
        filter->silent_blocks++;
    if (vc_echo_filter_is_idle(filter)) return;

    float re[MAX_SIZE / 2], im[MAX_SIZE / 2];
    float *samples = vc_spectrum_samples(filter->config.spectrum);
    memcpy(samples, filter->line, filter->size * sizeof(float));
    vc_spectrum_forward(filter->config.spectrum, re, im);
    filter->newest = (filter->newest + 1) % filter->history;
    uint16_t *x = filter->x + filter->newest * 2 * bins;
    for (size_t k = 0; k < bins; k++) {
        x[k] = to_bf16(re[k]);
        x[bins + k] = to_bf16(im[k]);
    }
    for (size_t i = 0; i < filter->path.parts; i++) {
        size_t at = (filter->newest + filter->history - 2 * i) % filter->history;
        filter->path.x_re[i] = filter->x + at * 2 * bins;
        filter->path.x_im[i] = filter->path.x_re[i] + bins;
    }
    filter->odd = !filter->odd;
    if (filter->odd) return;
    for (size_t i = 0; i < filter->size; i++)
        samples[i] = filter->line[i] * filter->line[i] * filter->line[i];
    vc_spectrum_forward(filter->config.spectrum, re, im);
    filter->newest_cube = (filter->newest_cube + 1) % CUBES;
    uint16_t *cube = filter->cube + filter->newest_cube * 2 * bins;
    for (size_t k = 0; k < bins; k++) {
        cube[k] = to_bf16(re[k]);
        cube[bins + k] = to_bf16(im[k]);
    }
}

void vc_echo_filter_foretell(vc_echo_filter *filter, const float *far, float *echo)
{
    float re[MAX_SIZE / 2], im[MAX_SIZE / 2], unused[MAX_SIZE / 2];
    vc_echo_filter_preload(filter, far);
    memset(echo, 0, filter->block * sizeof(float));
    if (vc_echo_filter_is_idle(filter)) return;
    filter->kernels->predict(&filter->path, re, im, unused);
    vc_spectrum_inverse(filter->config.spectrum, re, im);
    memcpy(echo, vc_spectrum_samples(filter->config.spectrum) + filter->size - filter->block,
           filter->block * sizeof(float));
}

/* re, im: the error. */
static void learn_bend(vc_echo_filter *filter, const float *re, const float *im, const float *step)
{
    const size_t bins = filter->path.bins;
    float by_re[MAX_SIZE / 2], by_im[MAX_SIZE / 2], unused[MAX_SIZE / 2];
    vc_echo_path path = filter->path;
    if (filter->odd) return;
    if (path.parts > CUBES) path.parts = CUBES;
    for (size_t i = 0; i < path.parts; i++) {
        path.x_re[i] = filter->cube + (filter->newest_cube + CUBES - i) % CUBES * 2 * bins;
        path.x_im[i] = path.x_re[i] + bins;
    }
    filter->kernels->predict(&path, by_re, by_im, unused);
    float both = 0.0f, own = 0.0f;
    for (size_t k = 0; k < bins; k++) {
        both -= step[k] * (by_re[k] * re[k] + by_im[k] * im[k]);
        own += step[k] * (by_re[k] * by_re[k] + by_im[k] * by_im[k]);
    }
    own *= (float)filter->block / (float)filter->size;
    const float gain = filter->bend_variance / (1.0f + filter->bend_variance * own);
    const float bend = filter->bend + gain * both;
    filter->bend = bend < 0.0f ? 0.0f : bend > MOST_BEND ? MOST_BEND : bend;
    if (fabsf(filter->bend - filter->bent) > BEND_STEP)
        filter->bent = BEND_STEP * floorf(filter->bend / BEND_STEP + 0.5f);
    filter->bend_variance *= 1.0f - SPEND * gain * own;
    filter->bend_variance += BEND_NOISE;
}

/* The error's power with what is expected of it gives the step of each bin. */
static void steps(vc_echo_filter *filter, const float *re, const float *im, const float *variance,
                  float *step)
{
    const float share = (float)filter->block / (float)filter->size;
    const float quiet = QUIET * (float)filter->block;
    for (size_t k = 0; k < filter->path.bins; k++) {
        float now = re[k] * re[k] + im[k] * im[k];
        float held = NEAR_SMOOTHING * filter->near_power[k] + (1.0f - NEAR_SMOOTHING) * now;
        filter->near_power[k] = held;
        step[k] = 1.0f / (share * variance[k] + (now > held ? now : held) + quiet);
    }
}

static void cut_part(vc_echo_filter *filter)
{
    const size_t kept = 2 * filter->block;
    float *re = filter->path.w_re + filter->next_cut * filter->path.bins;
    float *im = filter->path.w_im + filter->next_cut * filter->path.bins;
    float *samples = vc_spectrum_samples(filter->config.spectrum);
    vc_spectrum_inverse(filter->config.spectrum, re, im);
    memset(samples + kept, 0, (filter->size - kept) * sizeof(float));
    vc_spectrum_forward(filter->config.spectrum, re, im);
    /* The last parts also hear what the room does after them. Below 140 Hz, where speech says
     * little, that can pile up within minutes. */
    if (filter->next_cut + END_PARTS >= filter->path.parts)
        for (size_t k = 0; k < LOW_BINS; k++) {
            re[k] *= END_KEEP;
            im[k] *= END_KEEP;
        }
    filter->next_cut = (filter->next_cut + 1) % filter->path.parts;
}

/* A right estimate y of an echo d is uncorrelated with d - y, however much it misses: <d, y> is
 * <y, y>. One that follows the caller by chance has no correlation with what comes next. Slopes
 * instead of samples: speech is flatter then, and chance smaller. */
static float weigh(vc_echo_filter *filter, const float *near, const float *echo)
{
    float both = 0.0f, own = 0.0f, heard = 0.0f;
    for (size_t i = 1; i < filter->block; i++) {
        const float slope = echo[i] - echo[i - 1], near_slope = near[i] - near[i - 1];
        both += near_slope * slope;
        own += slope * slope;
        heard += near_slope * near_slope;
    }
    const float quiet = QUIET * (float)filter->block;
    filter->echo_near = TRUST_KEEP * filter->echo_near + both;
    filter->echo_echo = TRUST_KEEP * filter->echo_echo + own;
    filter->fit_near = FIT_KEEP * filter->fit_near + both;
    filter->fit_echo = FIT_KEEP * filter->fit_echo + own;
    filter->fit_heard = FIT_KEEP * filter->fit_heard + heard;
    const float real = filter->echo_near / (filter->echo_echo + 0.1f * quiet);
    const float trust = (real - 0.4f) / 0.4f;
    return trust < 0.0f ? 0.0f : trust > 1.0f ? 1.0f : trust;
}

float vc_echo_filter_fit(const vc_echo_filter *filter)
{
    return filter->fit_near / (filter->fit_echo + 1e-20f);
}

/* 0..1: how surely the estimate has stopped to be real just now. Under a caller who is much louder
 * nothing can be said. */
static float misfit_of(const vc_echo_filter *filter)
{
    if (filter->fit_echo < LEAST_SHARE * filter->fit_heard) return 0.0f;
    const float fit = vc_echo_filter_fit(filter);
    return fit > 0.5f ? 0.0f : fit < 0.2f ? 1.0f : (0.5f - fit) / 0.3f;
}

void vc_echo_filter_process(vc_echo_filter *filter, const float *far, const float *near,
                            float *echo)
{
    const size_t block = filter->block, old = filter->size - block, bins = filter->path.bins;
    vc_echo_filter_preload(filter, far);
    if (vc_echo_filter_is_idle(filter)) {
        memset(echo, 0, block * sizeof(float));
        memset(filter->residual, 0, bins * sizeof(float));
        return;
    }
    float re[MAX_SIZE / 2], im[MAX_SIZE / 2], variance[MAX_SIZE / 2], step[MAX_SIZE / 2];
    float *samples = vc_spectrum_samples(filter->config.spectrum);
    filter->kernels->predict(&filter->path, re, im, variance);
    const float share = (float)block / (float)filter->size, was = filter->trust;
    vc_spectrum_inverse(filter->config.spectrum, re, im);
    memcpy(echo, samples + old, block * sizeof(float));
    memset(samples, 0, old * sizeof(float));
    for (size_t i = 0; i < block; i++) samples[old + i] = near[i] - echo[i];
    vc_spectrum_forward(filter->config.spectrum, re, im);

    const float trust = weigh(filter, near, echo);
    filter->trust = trust;
    steps(filter, re, im, variance, step);
    if (trust >= 1.0f && filter->echo_echo > SEEN * PRIOR * (float)block)
        filter->settled = 0;
    else if (filter->settled < SIZE_MAX)
        filter->settled++;
    learn_bend(filter, re, im, step);
    const int other = filter->settled > PATIENCE_BLOCKS && filter->settled < MISFIT_BLOCKS;
    const float misfit = other ? MISFIT_GAIN * (1.0f - trust) : 0.0f;
    const vc_echo_rates rates = {SPEND * share, NOISE_GAIN + misfit, NOISE_FLOOR};
    filter->kernels->learn(&filter->path, re, im, step, &rates);
    cut_part(filter);

    /* The path was right until now and is no more: all that is heard may be echo. */
    const float lost = filter->settled < PATIENCE_BLOCKS ? LOST_GAIN * misfit_of(filter) : 0.0f;
    for (size_t k = 0; k < bins; k++)
        filter->residual[k] = share * trust * variance[k] + lost * (re[k] * re[k] + im[k] * im[k]);
    if (was == 1.0f && trust == 1.0f) return;
    for (size_t i = 0; i < block; i++)
        echo[i] *= was + (trust - was) * ((float)i + 0.5f) / (float)block;
}

size_t vc_echo_filter_span_blocks(const vc_echo_filter *filter)
{
    return filter->history + filter->size / filter->block;
}

int vc_echo_filter_is_idle(const vc_echo_filter *filter)
{
    return filter->silent_blocks > vc_echo_filter_span_blocks(filter);
}

float vc_echo_filter_trust(const vc_echo_filter *filter)
{
    return filter->trust;
}

float vc_echo_filter_misfit(const vc_echo_filter *filter)
{
    return misfit_of(filter);
}

int vc_echo_filter_is_proven(const vc_echo_filter *filter)
{
    return filter->settled < MISFIT_BLOCKS;
}

int vc_echo_filter_is_lost(const vc_echo_filter *filter)
{
    return filter->settled > 0 && vc_echo_filter_is_proven(filter);
}

const float *vc_echo_filter_residual(const vc_echo_filter *filter)
{
    return filter->residual;
}

void vc_echo_filter_shift(vc_echo_filter *filter, float samples)
{
    for (size_t k = 1; k < filter->path.bins; k++) {
        const float angle = -6.2831853f * (float)k * samples / (float)filter->size;
        const float c = cosf(angle), s = sinf(angle);
        for (size_t i = 0; i < filter->path.parts; i++) {
            float *re = filter->path.w_re + i * filter->path.bins + k;
            float *im = filter->path.w_im + i * filter->path.bins + k;
            float turned = *re * c - *im * s;
            *im = *re * s + *im * c;
            *re = turned;
        }
    }
}

void vc_echo_filter_unsettle(vc_echo_filter *filter, float doubt)
{
    const vc_echo_path *path = &filter->path;
    believe(filter);
    for (size_t i = 0; i < path->parts * path->bins; i++)
        path->p[i] += doubt * (path->w_re[i] * path->w_re[i] + path->w_im[i] * path->w_im[i]);
}
