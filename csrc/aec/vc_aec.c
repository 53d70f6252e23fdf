/* vc_aec: see vc_aec.h. */
#include "aec/vc_aec.h"

#include <math.h>
#include <string.h>

#include "aec/vc_delay_estimator.h"
#include "aec/vc_echo_align.h"
#include "aec/vc_echo_drift.h"
#include "aec/vc_echo_filter.h"
#include "aec/vc_echo_suppressor.h"
#include "aec/vc_far_line.h"
#include "base/vc_convert.h"

enum { MAX_BLOCK = 160, LINE_MS = 1024 };
enum { PAST = VC_ECHO_ALIGN_MAX / MAX_BLOCK, TRY_BLOCKS = 4 };
enum { UNHEARD_BLOCKS = 300, SIGN_BLOCKS = 8 }; /* of voice without an echo; that a sign is worth */
/* Of voice in a silence of the near end that is as long as any echo takes. */
enum { SILENCED_BLOCKS = 60, LATEST_BLOCKS = 110 };

static const float UNSURE = 8.0f, SURE = 20.0f,
                   SURE_OF_JUMP = 30.0f; /* the estimator's confidence */
static const float ALIKE = 0.6f;         /* of the loudness; echoes of all sorts have 0.7 to 0.99 */
static const float ALIKE_LATE = 0.8f;    /* the same where there was none so far */
static const float STILL_FITS = 0.9f;    /* trust in the filter at which there was no jump */
static const float CLOSE_MS = 8.0f;      /* one path may have peaks so far apart */
static const float JUMP_MS = 1.0f;       /* less is left to the filter and the drift */
static const float MARGIN_MS = 10.0f;    /* that the echo path may begin before its peak */
static const float AGREE_MS = 0.5f;
static const int AGREED = 2, AGREED_UNSURE = 6, AGREED_UNSURE_OF_JUMP = 14; /* estimates in a row */
static const double LEAST_JUMP = 0.5;                                       /* samples */
static const double LEAST_SHIFT = 0.02; /* samples: 45 dB below the echo at 1/2 Nyquist */
static const float ALIGN_MS = 10.0f;    /* to either side */
static const float MATCH_SEEN = 0.5f, MATCH_UNSEEN = 0.8f; /* with the estimator, without it */
static const float FITS = 0.85f;                           /* the filter: there was no jump */
static const float MISFIT = 0.5f;        /* of the filter, at which to look elsewhere */
static const float BETTER = 0.15f;       /* match that the estimator's delay has to have more */
static const float UNEXPLAINED = 0.4f;   /* share of the microphone that the filter leaves */
static const float SPAN_OF_JUMP = 0.35f; /* seconds of an estimate that no path speaks for */
static const float LITTLE = 0.05f;       /* the same, at which no jump is in sight */
static const float UNSETTLED = 0.01f;
static const float POWER_KEEP = 0.93f; /* a block */
static const float ERLE_KEEP = 0.995f; /* a block: two seconds */
static const float VOICE = 1e-5f;      /* power of a far block that would have an echo: -50 dBFS */
static const float EXPLAINED = 0.3f;   /* share of the microphone that speaks for an echo */
static const float NOTHING = 1e-8f;    /* power of a microphone that hears nothing */
static const float SILENT = 3e-6f;     /* of one in which no echo is audible: -55 dBFS */

struct vc_aec {
    vc_aec_config config;
    vc_allocator counting; /* config.allocator, with a sum */
    size_t bytes, block;
    vc_spectrum *spectrum;
    vc_delay_estimator *estimator;
    vc_echo_filter *filter;
    vc_echo_suppressor *suppressor;
    vc_far_line line;
    vc_echo_drift drift;
    double delay;                    /* of the reference, samples */
    double shift_due;                /* of the path in the filter */
    double offset;                   /* of the echo's peak behind `delay` */
    int locked;                      /* an echo was found */
    int watching;                    /* there is none: only the estimator runs */
    size_t unheard;                  /* blocks of the far end's voice that nothing came back of */
    size_t silenced, since_silenced; /* the same in this silence; since the first of them */
    float candidate, confidence;
    int seen, real; /* by the estimator, where it was found; in what the filter took away */
    int agreed;
    size_t silent_blocks; /* of the far end */
    float in_power, out_power;
    float heard, left; /* power of the microphone and of the filter's error, 0.15 s */
    size_t missed;     /* blocks for which the path did not fit */
    float near_before[MAX_BLOCK];
    int16_t near_past[PAST][MAX_BLOCK]; /* a ring of blocks */
    size_t newest;
};

static void *count_alloc(void *context, size_t bytes)
{
    vc_aec *aec = context;
    aec->bytes += bytes;
    return vc_allocate(aec->config.allocator, bytes);
}

static void count_release(void *context, void *memory)
{
    const vc_aec *aec = context;
    vc_release(aec->config.allocator, memory);
}

vc_aec_config vc_aec_config_default(void)
{
    return (vc_aec_config){.rate_hz = 16000, .tail_ms = 256};
}

static vc_status create_parts(vc_aec *aec)
{
    const int rate_hz = aec->config.rate_hz;
    const vc_cpu_level level = aec->config.cpu_level;
    const size_t line = (size_t)LINE_MS * (size_t)rate_hz / 1000;
    vc_status status =
        vc_spectrum_create(&aec->spectrum, vc_echo_filter_size(rate_hz), level, &aec->counting);
    const vc_echo_filter_config filter = {rate_hz, aec->config.tail_ms, level, aec->spectrum,
                                          &aec->counting};
    if (status == VC_OK) status = vc_echo_filter_create(&aec->filter, &filter);
    if (status == VC_OK)
        status =
            vc_echo_suppressor_create(&aec->suppressor, rate_hz, aec->spectrum, &aec->counting);
    if (status == VC_OK)
        status = vc_delay_estimator_create(&aec->estimator, rate_hz, level, &aec->counting);
    if (status != VC_OK) return status;
    int16_t *ring = vc_allocate(&aec->counting, line * sizeof *ring);
    if (!ring) return VC_E_MEMORY;
    vc_cpu_level resolved;
    status = vc_cpu_resolve(level, &resolved);
    if (status == VC_OK) vc_far_line_init(&aec->line, ring, line, vc_echo_kernels_of(resolved));
    return status;
}

vc_status vc_aec_create(vc_aec **out, const vc_aec_config *config)
{
    if (!out || !config) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    vc_aec *aec = vc_allocate(config->allocator, sizeof *aec);
    if (!aec) return VC_E_MEMORY;
    aec->config = *config;
    aec->counting = (vc_allocator){count_alloc, count_release, aec};
    aec->bytes = sizeof *aec;
    aec->block = (size_t)config->rate_hz * VC_AEC_BLOCK_MS / 1000;
    vc_status status = create_parts(aec);
    if (status != VC_OK) {
        vc_aec_destroy(aec);
        return status;
    }
    vc_aec_reset(aec);
    *out = aec;
    return VC_OK;
}

void vc_aec_destroy(vc_aec *aec)
{
    if (!aec) return;
    vc_release(&aec->counting, aec->line.ring);
    vc_delay_estimator_destroy(aec->estimator);
    vc_echo_suppressor_destroy(aec->suppressor);
    vc_echo_filter_destroy(aec->filter);
    vc_spectrum_destroy(aec->spectrum);
    vc_release(aec->config.allocator, aec);
}

void vc_aec_reset(vc_aec *aec)
{
    vc_delay_estimator_reset(aec->estimator);
    vc_echo_filter_reset(aec->filter);
    vc_echo_suppressor_reset(aec->suppressor);
    vc_echo_drift_reset(&aec->drift);
    vc_far_line_init(&aec->line, aec->line.ring, aec->line.mask + 1, aec->line.kernels);
    aec->delay = aec->offset = aec->shift_due = 0.0;
    aec->locked = aec->watching = aec->agreed = aec->seen = aec->real = 0;
    aec->unheard = aec->silenced = aec->since_silenced = 0;
    vc_delay_estimator_rest(aec->estimator, 0);
    aec->candidate = aec->confidence = 0.0f;
    aec->silent_blocks = SIZE_MAX;
    aec->in_power = aec->out_power = 0.0f;
    aec->heard = aec->left = 0.0f;
    aec->missed = 0;
    memset(aec->near_before, 0, sizeof aec->near_before);
    memset(aec->near_past, 0, sizeof aec->near_past);
    aec->newest = 0;
}

size_t vc_aec_bytes(const vc_aec *aec)
{
    return aec->bytes;
}

/* Below the line's least delay there is none: the path in the filter moves instead. */
static void move_reference(vc_aec *aec, double to)
{
    if (to >= VC_FAR_LINE_MIN_DELAY) {
        aec->delay = fmin(to, vc_far_line_max_delay_samples(&aec->line));
        return;
    }
    aec->delay = 0.0;
    aec->offset += to;
    aec->shift_due += to;
    if (fabs(aec->shift_due) < LEAST_SHIFT) return;
    vc_echo_filter_shift(aec->filter, (float)aec->shift_due);
    aec->shift_due = 0.0;
}

/* The blocks that the filter has had, as the reference would have been: all of the line, or all but
 * the newest block. */
static void reload(vc_aec *aec, size_t not_had)
{
    const double most = vc_far_line_max_delay_samples(&aec->line);
    float x[MAX_BLOCK];
    for (size_t back = vc_echo_filter_span_blocks(aec->filter); back > 0; back--) {
        const double delay = aec->delay + (double)((back - 1 + not_had) * aec->block);
        if (delay > most) continue;
        vc_far_line_read(&aec->line, delay, 0.0, x, aec->block);
        vc_echo_filter_preload(aec->filter, x);
    }
}

/* Holds what the path would have made of the last 0.12 s at a delay against what was heard. */
static vc_echo_lag try_delay(vc_aec *aec, double delay)
{
    const double most = vc_far_line_max_delay_samples(&aec->line);
    const size_t block = aec->block, n = PAST * block;
    float x[MAX_BLOCK], near[VC_ECHO_ALIGN_MAX], echo[VC_ECHO_ALIGN_MAX];
    for (size_t back = vc_echo_filter_span_blocks(aec->filter) + PAST; back > 0; back--) {
        const double at = delay + (double)(back * block);
        if (at > most)
            memset(x, 0, sizeof x);
        else
            vc_far_line_read(&aec->line, at, 0.0, x, block);
        if (back > PAST)
            vc_echo_filter_preload(aec->filter, x);
        else
            vc_echo_filter_foretell(aec->filter, x, echo + n - back * block);
    }
    for (size_t i = 0; i < PAST; i++)
        vc_convert_s16_to_f32(aec->near_past[(aec->newest + 1 + i) % PAST], near + i * block,
                              block);
    return vc_echo_align(near, echo, n, (size_t)(ALIGN_MS * (float)aec->config.rate_hz / 1000.0f));
}

/* Moves the reference to where the path fits what was heard, within 10 ms of where it is or, if it
 * fits much better there, of `other`. 0: it fits nowhere. */
static int align(vc_aec *aec, double other)
{
    vc_echo_lag best = try_delay(aec, aec->delay);
    double to = aec->delay + (double)best.samples;
    int found = best.match > MATCH_UNSEEN;
    if (other >= 0.0) {
        const vc_echo_lag lag = try_delay(aec, other);
        if (lag.match > MATCH_SEEN && lag.match > best.match + BETTER) {
            to = other + (double)lag.samples;
            found = 1;
        }
    }
    if (found && fabs(to - aec->delay) > LEAST_JUMP) {
        move_reference(aec, to);
        vc_echo_filter_unsettle(aec->filter, UNSETTLED);
        vc_echo_drift_jumped(&aec->drift);
    }
    reload(aec, 1);
    return found;
}

static void lock(vc_aec *aec, double found)
{
    const double margin = (double)MARGIN_MS * aec->config.rate_hz / 1000.0;
    aec->locked = 1;
    aec->watching = 0;
    vc_delay_estimator_rest(aec->estimator, 0);
    vc_echo_filter_reset(aec->filter);
    vc_echo_suppressor_echo_found(aec->suppressor);
    aec->shift_due = 0.0;
    aec->delay = floor(found - margin);
    if (aec->delay < VC_FAR_LINE_MIN_DELAY) aec->delay = 0.0;
    aec->offset = found - aec->delay;
    vc_echo_drift_reset(&aec->drift);
    reload(aec, 1);
}

/* A path that fitted and does not any more: the echo may have moved a little. */
static void look_nearby(vc_aec *aec)
{
    const int lost =
        vc_echo_filter_is_proven(aec->filter) && vc_echo_filter_misfit(aec->filter) > MISFIT;
    if (!lost) {
        aec->missed = 0;
        return;
    }
    if (aec->missed++ == 0) vc_delay_estimator_forget(aec->estimator);
    if (aec->missed % TRY_BLOCKS != 0) return;
    (void)align(aec, -1.0);
}

/* The learnt path takes all but little away: wherever the estimator saw an echo, it stays. */
static int is_settled(const vc_aec *aec)
{
    return aec->locked && vc_echo_filter_trust(aec->filter) > STILL_FITS &&
           aec->left <= LITTLE * aec->heard;
}

/* Takes over a delay that several estimates in a row agree on. */
static void follow_delay(vc_aec *aec, const float *far, const float *near)
{
    const float ms = (float)aec->config.rate_hz / 1000.0f;
    const float known = aec->locked ? fmaxf((float)(aec->delay + aec->offset), 0.0f) : -1.0f;
    vc_delay_estimate estimate;
    if (is_settled(aec)) {
        (void)vc_delay_estimator_process(aec->estimator, far, near, NULL);
        aec->agreed = aec->seen = 0;
        return;
    }
    aec->seen = 0;
    if (vc_delay_estimator_process(aec->estimator, far, near, &estimate) != VC_OK) return;
    const float lag = estimate.delay_samples;
    aec->confidence = estimate.confidence;
    const int alike = estimate.confidence >= UNSURE &&
                      (aec->real || vc_delay_estimator_likeness(aec->estimator, lag) >=
                                        (aec->watching ? ALIKE_LATE : ALIKE));
    aec->seen =
        aec->locked && alike && estimate.confidence >= SURE && fabsf(lag - known) < CLOSE_MS * ms;
    aec->agreed = fabsf(lag - aec->candidate) < AGREE_MS * ms ? aec->agreed + 1 : 0;
    aec->candidate = lag;
    if (!alike || (aec->locked && fabsf(lag - known) < JUMP_MS * ms)) aec->agreed = 0;
    if (aec->agreed < AGREED) return;
    if (aec->locked && vc_echo_filter_is_proven(aec->filter) &&
        vc_echo_filter_fit(aec->filter) < FITS && aec->left > UNEXPLAINED * aec->heard) {
        const double other = (double)lag - aec->offset;
        if (align(aec, other < VC_FAR_LINE_MIN_DELAY ? 0.0 : other)) {
            aec->agreed = 0;
            return;
        }
    }
    if (aec->locked && estimate.seconds < SPAN_OF_JUMP) return;
    /* Who has listened for long in vain wants more than chance. */
    const int late = aec->locked || aec->watching;
    const int sure = estimate.confidence >= (late ? SURE_OF_JUMP : SURE);
    const int unsure = late ? AGREED_UNSURE_OF_JUMP : AGREED_UNSURE;
    if (aec->agreed < (sure ? AGREED : unsure)) return;
    if (aec->locked &&
        (vc_echo_filter_trust(aec->filter) > STILL_FITS ||
         (fabsf(lag - known) < CLOSE_MS * ms && !vc_echo_filter_is_lost(aec->filter))))
        return;
    aec->agreed = 0;
    lock(aec, (double)lag);
}

/* n: a block, a multiple of 8. */
static float power_of(const float *x, size_t n)
{
    float sum[8] = {0.0f};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += x[i + j] * x[i + j];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* Whether the newest block speaks for an echo that the filter knows or will know. Under a caller
 * the filter's estimate correlates with the microphone by chance, but it takes nothing away. */
static int is_heard(vc_aec *aec)
{
    const int explained =
        aec->heard > NOTHING * (float)aec->block && aec->heard - aec->left > EXPLAINED * aec->heard;
    if (!aec->locked) return aec->agreed > 0 || explained;
    const int known = explained && vc_echo_filter_trust(aec->filter) > 0.0f;
    aec->real |= known;
    return known || aec->seen;
}

/* Before any echo was found, a silence in which one would have come says that there is none. */
static int is_silent_line(vc_aec *aec, int voice, float near_power)
{
    if (aec->locked || near_power > SILENT * (float)aec->block) {
        aec->silenced = aec->since_silenced = 0;
        return 0;
    }
    aec->silenced += voice != 0;
    aec->since_silenced += aec->silenced > 0;
    return aec->silenced >= SILENCED_BLOCKS && aec->since_silenced >= LATEST_BLOCKS;
}

/* Where nothing has come back of so much voice, there is nothing for filter and suppressor to do.
 * An echo that was learnt and is gone is learnt anew if it comes back. */
static void consider_watching(vc_aec *aec, float far_power, float near_power)
{
    const int voice = far_power > VOICE * (float)aec->block;
    if (is_heard(aec))
        aec->unheard -= aec->unheard < SIGN_BLOCKS ? aec->unheard : SIGN_BLOCKS;
    else
        aec->unheard += voice != 0;
    if (!is_silent_line(aec, voice, near_power) && aec->unheard < UNHEARD_BLOCKS) return;
    aec->watching = 1;
    aec->locked = aec->agreed = aec->real = 0;
    aec->delay = aec->offset = aec->shift_due = 0.0;
    aec->heard = aec->left = 0.0f;
    aec->missed = aec->unheard = aec->silenced = aec->since_silenced = 0;
    vc_echo_drift_reset(&aec->drift);
    vc_delay_estimator_rest(aec->estimator, 1);
}

static void remember(vc_aec *aec, const float *near, const int16_t *near_s16)
{
    const size_t n = aec->block;
    memcpy(aec->near_before, near, n * sizeof(float));
    aec->newest = (aec->newest + 1) % PAST;
    memcpy(aec->near_past[aec->newest], near_s16, n * sizeof(int16_t));
}

/* in, also in s16; out is in as it was a block ago, without the echo. */
static void process_block(vc_aec *aec, const float *in, const int16_t *in_s16, const int16_t *far,
                          float *out)
{
    static const int16_t silence[MAX_BLOCK];
    const size_t n = aec->block;
    float near[MAX_BLOCK], x[MAX_BLOCK], echo[MAX_BLOCK];
    if (!far) far = silence;
    vc_far_line_push(&aec->line, far, n);
    const int quiet = memcmp(far, silence, n * sizeof *far) == 0;
    aec->silent_blocks = quiet ? aec->silent_blocks + (aec->silent_blocks < SIZE_MAX) : 0;
    const size_t longest = (size_t)(aec->line.mask + 1) / n;
    const int silent = aec->silent_blocks > longest;
    if (silent && (aec->watching || vc_echo_filter_is_idle(aec->filter))) {
        vc_echo_suppressor_process(aec->suppressor, NULL, in, out);
        remember(aec, in, in_s16);
        return;
    }
    vc_convert_s16_to_f32(far, x, n);
    const float far_power = quiet ? 0.0f : power_of(x, n);
    follow_delay(aec, x, in);
    if (aec->watching) {
        const float power = power_of(aec->near_before, n);
        aec->in_power = ERLE_KEEP * aec->in_power + power;
        aec->out_power = ERLE_KEEP * aec->out_power + power;
        vc_echo_suppressor_process(aec->suppressor, NULL, in, out);
        remember(aec, in, in_s16);
        return;
    }
    if (aec->locked) look_nearby(aec);
    const double was = aec->delay;
    if (aec->locked) move_reference(aec, was + aec->drift.per_block);
    const double from = aec->delay > 0.0 ? was : 0.0;
    vc_far_line_read(&aec->line, from, aec->delay - from, x, n);
    vc_echo_filter_process(aec->filter, x, in, echo);
    const float near_power = power_of(in, n);
    aec->heard = POWER_KEEP * aec->heard + near_power;
    for (size_t i = 0; i < n; i++) near[i] = in[i] - echo[i];
    aec->left = POWER_KEEP * aec->left + power_of(near, n);
    if (aec->locked) {
        const double moved = vc_echo_drift_update(&aec->drift, echo, near, n);
        move_reference(aec, aec->delay + moved - aec->drift.per_block);
    }
    const int idle = vc_echo_filter_is_idle(aec->filter);
    vc_echo_suppressor_process(aec->suppressor, idle ? NULL : vc_echo_filter_residual(aec->filter),
                               near, out);
    if (!idle) {
        aec->in_power = ERLE_KEEP * aec->in_power + power_of(aec->near_before, n);
        aec->out_power = ERLE_KEEP * aec->out_power + power_of(out, n);
    }
    remember(aec, in, in_s16);
    consider_watching(aec, far_power, near_power);
}

vc_status vc_aec_process_s16(vc_aec *aec, const int16_t *near, const int16_t *far, int16_t *out,
                             size_t n)
{
    const size_t block = aec->block;
    if (n % block) return VC_E_LENGTH;
    float in[MAX_BLOCK], clean[MAX_BLOCK];
    for (size_t at = 0; at < n; at += block) {
        vc_convert_s16_to_f32(near + at, in, block);
        process_block(aec, in, near + at, far ? far + at : NULL, clean);
        if (vc_echo_suppressor_is_passing(aec->suppressor)) /* what was heard a block ago */
            memcpy(out + at, aec->near_past[(aec->newest + PAST - 1) % PAST],
                   block * sizeof(int16_t));
        else
            vc_convert_f32_to_s16(clean, out + at, block);
    }
    return VC_OK;
}

static float sane(float x)
{
    return x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x == x ? x : 0.0f;
}

vc_status vc_aec_process_f32(vc_aec *aec, const float *near, const float *far, float *out, size_t n)
{
    const size_t block = aec->block;
    if (n % block) return VC_E_LENGTH;
    float in[MAX_BLOCK];
    int16_t in_s16[MAX_BLOCK], sent[MAX_BLOCK];
    for (size_t at = 0; at < n; at += block) {
        for (size_t i = 0; i < block; i++) in[i] = sane(near[at + i]);
        vc_convert_f32_to_s16(in, in_s16, block);
        if (far) vc_convert_f32_to_s16(far + at, sent, block);
        process_block(aec, in, in_s16, far ? sent : NULL, out + at);
    }
    return VC_OK;
}

void vc_aec_delay_changed(vc_aec *aec, int samples)
{
    if (aec->watching) return; /* there is no path that could move */
    /* No echo comes before its sound, whatever is told. */
    const double least = aec->locked ? -(aec->delay + aec->offset) : -aec->delay;
    move_reference(aec, aec->delay + fmax(samples, least));
    reload(aec, 0);
}

float vc_aec_echo_likelihood(const vc_aec *aec)
{
    return vc_echo_suppressor_likelihood(aec->suppressor);
}

double vc_aec_delay_samples(const vc_aec *aec)
{
    return aec->locked ? fmax(aec->delay + aec->offset, 0.0) : -1.0;
}

float vc_aec_confidence(const vc_aec *aec)
{
    return aec->confidence;
}

double vc_aec_drift_ppm(const vc_aec *aec)
{
    return vc_echo_drift_ppm(&aec->drift, aec->block);
}

float vc_aec_erle_db(const vc_aec *aec)
{
    if (aec->in_power <= 0.0f) return 0.0f;
    return 10.0f * log10f(aec->in_power / (aec->out_power + 1e-9f));
}
