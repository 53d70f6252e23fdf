/* vc_dtmf_detector: see vc_dtmf_detector.h.
 *
 * Sub-blocks of 1.25 ms are correlated with sine and cosine of the eight DTMF frequencies and of
 * four where dial tones lie: the single-bin transforms of the Goertzel algorithm (G. Goertzel, Am.
 * Math. Monthly 65, 1958), as sums over a table instead of its recursion, since the sums of all
 * frequencies then run beside each other. Every 5 ms the last twenty sub-blocks are combined to a
 * window of 25 ms, Hann by steps. For each group the strongest frequency is taken; the phase
 * between two windows says how far off the tone is, and by that its power is corrected.
 *
 * A window is a hit if both tones are loud enough, not too unequal, near enough in frequency, and
 * make up 87 % of the power that is no DC and no dial tone. That last test is what keeps speech
 * out: a vowel has harmonics elsewhere too, so the usual test of the second harmonics is part of
 * it. A digit is pressed when hits follow each other to 23 ms after its start; over that time the
 * mean frequency must be right and the phase must have run evenly, which the pitch of speech does
 * not.
 *
 * Start and end are where the amplitude passes half of its highest: there the window's centre
 * stands on the edge.
 *
 * Figures: ITU-T Q.23; Q.24 and its table of administrations (twist +4/-8 dB, 40 ms, 23 ms, 10 ms);
 * frequency and noise limits as of central-office receivers (MT8870 data sheet: 1.5 % + 2 Hz
 * accepted, 3.5 % refused, noise -12 dB). */
#include "dsp/vc_dtmf_detector.h"

#include <math.h>
#include <string.h>

#include "kernels/vc_lanes.h"

enum {
    GROUP = 4,
    TONES = 2 * GROUP,
    DIALS = 4,
    BINS = TONES + DIALS,
    VECTORS = 2 * BINS / VC_LANES, /* whole: 4 lanes, since units are compiled for the base level */
    PARTS = 20,                    /* sub-blocks of a window */
    STRIDE = 4,                    /* sub-blocks from window to window */
    HISTORY = 16,                  /* windows */
    PARTS_PER_S = 800,
};
#define PI 3.14159265358979323846

/* Decisions. Powers are mean squares on the s16 scale; 0 dBm0 is 32768^2 / 2 less 3.14 dB. */
#define POWER_0_DBM0   2.6046e8f
#define LEAST_POWER    (POWER_0_DBM0 * 1.0e-4f) /* -40 dBm0 */
#define MOST_HIGH_OVER 5.6f                     /* 7.5 dB */
#define MOST_LOW_OVER  12.0f                    /* 10.8 dB */
#define COARSE_SHARE   0.15f
#define LEAST_SHARE    0.87f
/* Of a dial tone stays at least this much: the difference is not exact, above all at edges. */
#define LEAST_REST     0.15f
#define OFF_SHARE      0.025f
#define OFF_HZ         1.0f
#define LEAST_EVENNESS 0.98f
#define PRESS_MS       23
#define SETTLE_MS      8
#define MOST_CHANGE    2.5f /* 4 dB */
#define BREAK_MS       25

static const float bins_hz[BINS] = {697.0f,  770.0f,  852.0f, 941.0f, 1209.0f, 1336.0f,
                                    1477.0f, 1633.0f, 350.0f, 400.0f, 425.0f,  450.0f};
static const char keys[GROUP][GROUP + 1] = {"123A", "456B", "789C", "*0#D"};

typedef struct spectrum {
    float re[BINS], im[BINS];
} spectrum;

typedef struct window {
    float power[TONES];
    spectrum x;
} window;

struct vc_dtmf_detector {
    const vc_allocator *allocator;
    int rate_hz;
    int part_samples, stride_samples;
    int64_t press_samples, break_samples, settle_samples;
    float scale; /* of |x|^2 to a mean square */
    float energy_weight[PARTS], sum_weight[PARTS];
    spectrum weight[PARTS];    /* window and phase of each part */
    float least_cosine[TONES]; /* of a phase step */
    spectrum turn;             /* back by one stride */
    float window_s;
    /* The stream. */
    int64_t position; /* samples taken */
    int filled;       /* of the present part */
    int parts;        /* made so far, stops at PARTS; then the stride counts */
    int since_window;
    int newest; /* part in the ring */
    spectrum part[PARTS];
    float energy[PARTS], sum[PARTS];
    window past[HISTORY]; /* ring of windows */
    int at;
    int windows; /* stops at HISTORY */
    /* The candidate and the digit that is held. */
    int row, column; /* of the candidate; -1 none */
    int hits;
    float low_re, low_im, high_re, high_im, low_sum, high_sum; /* phase steps */
    int held_row, held_column;                                 /* -1 none */
    float peak;                   /* highest amplitude of the held digit */
    int64_t start, end, last_hit; /* samples: of the held digit */
    int64_t free_from;            /* the end of the digit before */
    int below;                    /* the amplitude has passed half of the peak, at end */
    float level, high_level;      /* powers at the peak */
    float *table;                 /* part_samples times cos and sin of the bins */
    float *samples;               /* part_samples */
};

static float allowed_hz(int bin)
{
    return OFF_SHARE * bins_hz[bin] + OFF_HZ;
}

vc_status vc_dtmf_detector_create(vc_dtmf_detector **out, int rate_hz,
                                  const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (rate_hz < 8000 || rate_hz > 48000) return VC_E_RATE;
    size_t n = (size_t)rate_hz / PARTS_PER_S;
    size_t head = (sizeof(vc_dtmf_detector) + 63) & ~(size_t)63;
    size_t table = n * 2 * BINS * sizeof(float);
    char *memory = vc_allocate(allocator, head + table + n * sizeof(float));
    if (!memory) return VC_E_MEMORY;
    vc_dtmf_detector *d = (vc_dtmf_detector *)memory;
    d->allocator = allocator;
    d->rate_hz = rate_hz;
    d->part_samples = (int)n;
    d->stride_samples = STRIDE * (int)n;
    d->press_samples = (int64_t)rate_hz * PRESS_MS / 1000;
    d->settle_samples = (int64_t)rate_hz * SETTLE_MS / 1000;
    d->break_samples = (int64_t)rate_hz * BREAK_MS / 1000;
    d->table = (float *)(memory + head);
    d->samples = (float *)(memory + head + table);
    d->window_s = (float)(PARTS * (int)n) / (float)rate_hz;
    double sum = 0.0, squares = 0.0, hann[PARTS];
    for (int part = 0; part < PARTS; part++) {
        hann[part] = 0.5 - 0.5 * cos(2 * PI * (part + 0.5) / PARTS);
        sum += hann[part];
        squares += hann[part] * hann[part];
    }
    d->scale = (float)(2.0 / (sum * sum * (double)(n * n)));
    for (int part = 0; part < PARTS; part++) {
        d->energy_weight[part] = (float)(hann[part] * hann[part] / (squares * (double)n));
        d->sum_weight[part] = (float)(hann[part] / (sum * (double)n));
    }
    for (int bin = 0; bin < BINS; bin++) {
        double step = 2 * PI * (double)bins_hz[bin] / rate_hz, n_part = (double)n;
        for (size_t i = 0; i < n; i++) {
            d->table[i * 2 * BINS + (size_t)bin] = (float)cos(step * (double)i);
            d->table[i * 2 * BINS + BINS + (size_t)bin] = (float)-sin(step * (double)i);
        }
        for (int part = 0; part < PARTS; part++) {
            d->weight[part].re[bin] = (float)(hann[part] * cos(step * n_part * part));
            d->weight[part].im[bin] = (float)(-hann[part] * sin(step * n_part * part));
        }
        d->turn.re[bin] = (float)cos(step * n_part * STRIDE);
        d->turn.im[bin] = (float)-sin(step * n_part * STRIDE);
    }
    for (int bin = 0; bin < TONES; bin++) {
        double hz = 1.3 * (double)allowed_hz(bin);
        d->least_cosine[bin] = (float)cos(2 * PI * hz * d->stride_samples / rate_hz);
    }
    vc_dtmf_detector_reset(d);
    *out = d;
    return VC_OK;
}

void vc_dtmf_detector_destroy(vc_dtmf_detector *detector)
{
    if (detector) vc_release(detector->allocator, detector);
}

void vc_dtmf_detector_reset(vc_dtmf_detector *d)
{
    d->position = d->free_from = 0;
    d->filled = d->parts = d->since_window = d->newest = 0;
    d->at = d->windows = 0;
    d->row = d->column = d->held_row = d->held_column = -1;
    d->hits = 0;
    memset(d->past, 0, sizeof d->past);
    memset(d->part, 0, sizeof d->part);
    memset(d->energy, 0, sizeof d->energy);
    memset(d->sum, 0, sizeof d->sum);
}

/* The single-bin transforms of one part. */
static void take_part(vc_dtmf_detector *d)
{
    float acc[2 * BINS], energy[4] = {0}, sum[4] = {0};
    const float *x = d->samples;
    int n = d->part_samples;
    vc_lanes lanes[VECTORS];
    for (int j = 0; j < VECTORS; j++) lanes[j] = vc_lanes_zero();
    const float *table = d->table;
    for (int i = 0; i < n; i++, table += 2 * BINS) {
        vc_lanes sample = vc_lanes_fill(x[i]);
        for (int j = 0; j < VECTORS; j++)
            lanes[j] = vc_lanes_madd(sample, vc_lanes_load(table + j * VC_LANES), lanes[j]);
    }
    for (int j = 0; j < VECTORS; j++) vc_lanes_store(acc + j * VC_LANES, lanes[j]);
    for (int i = 0; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) {
            energy[j] += x[i + j] * x[i + j];
            sum[j] += x[i + j];
        }
    for (int i = n & ~3; i < n; i++) {
        energy[0] += x[i] * x[i];
        sum[0] += x[i];
    }
    d->newest = (d->newest + 1) % PARTS;
    memcpy(d->part[d->newest].re, acc, sizeof d->part[0].re);
    memcpy(d->part[d->newest].im, acc + BINS, sizeof d->part[0].im);
    d->energy[d->newest] = (energy[0] + energy[1]) + (energy[2] + energy[3]);
    d->sum[d->newest] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The window of the last parts goes into the history; returns its power without DC and dial tone.
 */
static float take_window(vc_dtmf_detector *d)
{
    d->at = (d->at + 1) % HISTORY;
    if (d->windows < HISTORY) d->windows++;
    window *now = &d->past[d->at];
    spectrum x;
    float energy = 0.0f, mean = 0.0f, power[BINS];
    for (int from = 0; from < BINS; from += VC_LANES) {
        vc_lanes re = vc_lanes_zero(), im = vc_lanes_zero();
        for (int part = 0; part < PARTS; part++) {
            int place = d->newest + 1 + part;
            const spectrum *p = &d->part[place < PARTS ? place : place - PARTS];
            const spectrum *w = &d->weight[part];
            vc_lanes a = vc_lanes_load(p->re + from), b = vc_lanes_load(p->im + from);
            vc_lanes u = vc_lanes_load(w->re + from), v = vc_lanes_load(w->im + from);
            re = vc_lanes_nmadd(v, b, vc_lanes_madd(u, a, re));
            im = vc_lanes_madd(v, a, vc_lanes_madd(u, b, im));
        }
        vc_lanes_store(x.re + from, re);
        vc_lanes_store(x.im + from, im);
    }
    for (int part = 0; part < PARTS; part++) {
        int place = d->newest + 1 + part;
        if (place >= PARTS) place -= PARTS;
        energy += d->energy_weight[part] * d->energy[place];
        mean += d->sum_weight[part] * d->sum[place];
    }
    for (int bin = 0; bin < BINS; bin++)
        power[bin] = d->scale * (x.re[bin] * x.re[bin] + x.im[bin] * x.im[bin]);
    now->x = x;
    memcpy(now->power, power, sizeof now->power);
    const float *dial = power + TONES;
    float tone = dial[0] + dial[3];
    if (dial[1] > tone) tone = dial[1];
    if (dial[2] > tone) tone = dial[2];
    float rest = energy - mean * mean - tone, least = LEAST_REST * tone;
    return rest > least ? rest : least;
}

static int strongest(const float *power)
{
    int best = 0;
    for (int i = 1; i < GROUP; i++)
        if (power[i] > power[best]) best = i;
    return best;
}

/* The phase step of a bin from the window before to this one, less that of the exact frequency. */
static void phase_step(const vc_dtmf_detector *d, int bin, float *re, float *im)
{
    const spectrum *now = &d->past[d->at].x, *before = &d->past[(d->at + HISTORY - 1) % HISTORY].x;
    float a = now->re[bin] * before->re[bin] + now->im[bin] * before->im[bin];
    float b = now->im[bin] * before->re[bin] - now->re[bin] * before->im[bin];
    *re = a * d->turn.re[bin] - b * d->turn.im[bin];
    *im = a * d->turn.im[bin] + b * d->turn.re[bin];
}

static float off_hz(const vc_dtmf_detector *d, float re, float im)
{
    return atan2f(im, re) * (float)(d->rate_hz / (2 * PI)) / (float)d->stride_samples;
}

/* Within 1.3 times what is allowed: one step is noisy, the mean decides. No arc tangent needed. */
static int is_near(const vc_dtmf_detector *d, int bin, float re, float im)
{
    return re >= d->least_cosine[bin] * sqrtf(re * re + im * im);
}

/* One over the power that a Hann window leaves of a tone this far off its centre. */
static float correction(const vc_dtmf_detector *d, float hz)
{
    float u = fabsf(hz) * d->window_s;
    if (u < 0.01f) return 1.0f;
    if (u > 1.25f) u = 1.25f;
    if (fabsf(u - 1.0f) < 0.01f) return 4.0f; /* the response there is a half */
    float response = sinf((float)PI * u) / ((float)PI * u * (1.0f - u * u));
    return 1.0f / (response * response);
}

typedef struct hit {
    int row, column; /* column: 0..3 */
    float low, high; /* powers */
    float steps[4];  /* phase steps, re and im of the low and of the high tone */
} hit;

static int is_hit(const vc_dtmf_detector *d, float rest, hit *found)
{
    const float *power = d->past[d->at].power;
    int row = strongest(power), column = strongest(power + GROUP), high = GROUP + column;
    float raw = power[row] + power[high];
    if (power[row] < 0.1f * LEAST_POWER || power[high] < 0.1f * LEAST_POWER) return 0;
    if (raw < COARSE_SHARE * rest || d->windows < 2) return 0;
    float *steps = found->steps;
    phase_step(d, row, &steps[0], &steps[1]);
    phase_step(d, high, &steps[2], &steps[3]);
    if (!is_near(d, row, steps[0], steps[1]) || !is_near(d, high, steps[2], steps[3])) return 0;
    float low_off = off_hz(d, steps[0], steps[1]), high_off = off_hz(d, steps[2], steps[3]);
    found->row = row;
    found->column = column;
    found->low = power[row] * correction(d, low_off);
    found->high = power[high] * correction(d, high_off);
    if (found->low < LEAST_POWER || found->high < LEAST_POWER) return 0;
    if (found->high > MOST_HIGH_OVER * found->low) return 0;
    if (found->low > MOST_LOW_OVER * found->high) return 0;
    return found->low + found->high >= LEAST_SHARE * rest;
}

static float amplitude(const vc_dtmf_detector *d, int back, int row, int column)
{
    const float *power = d->past[(d->at + HISTORY - back) % HISTORY].power;
    return sqrtf(power[row] + power[GROUP + column]);
}

/* The sample on which the centre of a window stands that ends now, `back` windows ago. */
static int64_t centre(const vc_dtmf_detector *d, int back)
{
    return d->position - PARTS * d->part_samples / 2 - (int64_t)back * d->stride_samples;
}

/* Where the amplitude rises through half of its peak, before the present window. */
static int64_t find_start(const vc_dtmf_detector *d, float peak)
{
    float half = 0.5f * peak, after = amplitude(d, 0, d->row, d->column);
    int back = 1;
    for (; back < d->windows; back++) {
        float now = amplitude(d, back, d->row, d->column);
        if (now < half) {
            float part = (half - now) / (after - now);
            int64_t start = centre(d, back) + (int64_t)(part * (float)d->stride_samples + 0.5f);
            return start > 0 ? start : 0;
        }
        after = now;
    }
    int64_t start = centre(d, back - 1);
    return start > 0 ? start : 0;
}

static vc_dtmf_detector_event event_of(const vc_dtmf_detector *d, vc_dtmf_detector_kind kind)
{
    return (vc_dtmf_detector_event){
        .kind = kind,
        .digit = keys[d->held_row][d->held_column],
        .level_dbm0 = 10.0f * log10f((d->level + d->high_level) / POWER_0_DBM0),
        .twist_db = 10.0f * log10f(d->high_level / d->level),
        .start_sample = d->start,
        .end_sample = d->end,
    };
}

static void release(vc_dtmf_detector *d, vc_dtmf_detector_event *events, size_t *n)
{
    if (!d->below) d->end = d->last_hit;
    d->free_from = d->end;
    events[(*n)++] = event_of(d, VC_DTMF_DETECTOR_RELEASED);
    d->held_row = d->held_column = -1;
}

static void follow_held(vc_dtmf_detector *d)
{
    float now = amplitude(d, 0, d->held_row, d->held_column);
    float before = amplitude(d, 1, d->held_row, d->held_column), half = 0.5f * d->peak;
    if (now > d->peak) d->peak = now;
    if (d->below || now >= half || before < half) return;
    d->below = 1;
    d->end = centre(d, 1) +
             (int64_t)((before - half) / (before - now) * (float)d->stride_samples + 0.5f);
}

/* A hit of the digit that is held: it goes on, unless the break before was long. */
static int continues_held(vc_dtmf_detector *d, const hit *found)
{
    if (found->row != d->held_row || found->column != d->held_column) return 0;
    d->below = 0;
    d->last_hit = d->end = centre(d, 0);
    return 1;
}

static void gather(vc_dtmf_detector *d, const hit *found)
{
    if (found->row != d->row || found->column != d->column) {
        d->row = found->row;
        d->column = found->column;
        d->hits = 0;
        d->low_re = d->low_im = d->high_re = d->high_im = d->low_sum = d->high_sum = 0.0f;
    }
    const float *steps = found->steps;
    d->hits++;
    d->low_re += steps[0];
    d->low_im += steps[1];
    d->high_re += steps[2];
    d->high_im += steps[3];
    d->low_sum += sqrtf(steps[0] * steps[0] + steps[1] * steps[1]);
    d->high_sum += sqrtf(steps[2] * steps[2] + steps[3] * steps[3]);
}

static int is_even(float re, float im, float sum)
{
    return re * re + im * im >= LEAST_EVENNESS * LEAST_EVENNESS * sum * sum;
}

/* The candidate's mean frequencies are right and its phases ran evenly. */
static int is_steady(const vc_dtmf_detector *d)
{
    return fabsf(off_hz(d, d->low_re, d->low_im)) <= allowed_hz(d->row) &&
           fabsf(off_hz(d, d->high_re, d->high_im)) <= allowed_hz(GROUP + d->column) &&
           is_even(d->low_re, d->low_im, d->low_sum) &&
           is_even(d->high_re, d->high_im, d->high_sum);
}

/* The power of a tone has not changed since the window was full of it. */
static int is_level(const vc_dtmf_detector *d, int bin, int64_t start)
{
    float least = INFINITY, most = 0.0f;
    for (int back = 0; back < d->windows && centre(d, back) - start >= d->settle_samples; back++) {
        float power = d->past[(d->at + HISTORY - back) % HISTORY].power[bin];
        if (power < least) least = power;
        if (power > most) most = power;
    }
    return most <= MOST_CHANGE * least;
}

static void press(vc_dtmf_detector *d, const hit *found, vc_dtmf_detector_event *events, size_t *n)
{
    float peak = 0.0f;
    for (int back = 0; back < d->hits && back < d->windows; back++) {
        float one = amplitude(d, back, d->row, d->column);
        if (one > peak) peak = one;
    }
    int64_t start = find_start(d, peak), free_from = d->free_from;
    if (d->held_row >= 0) free_from = d->below ? d->end : d->last_hit;
    if (start < free_from) start = free_from; /* what a window still holds of the digit before */
    if (centre(d, 0) - start < d->press_samples || !is_steady(d)) return;
    if (!is_level(d, d->row, start) || !is_level(d, GROUP + d->column, start)) return;
    if (d->held_row >= 0) release(d, events, n);
    d->held_row = d->row;
    d->held_column = d->column;
    d->peak = peak;
    d->start = start;
    d->last_hit = d->end = centre(d, 0);
    d->below = 0;
    d->level = found->low;
    d->high_level = found->high;
    d->row = d->column = -1;
    events[(*n)++] = event_of(d, VC_DTMF_DETECTOR_PRESSED);
}

static void decide(vc_dtmf_detector *d, vc_dtmf_detector_event *events, size_t *n)
{
    float rest = take_window(d);
    hit found;
    int good = is_hit(d, rest, &found);
    if (d->held_row >= 0) {
        follow_held(d);
        int64_t silent_from = d->below ? d->end : d->last_hit;
        if (centre(d, 0) - silent_from > d->break_samples)
            release(d, events, n);
        else if (good && continues_held(d, &found))
            good = 0; /* no candidate */
    }
    if (!good) {
        d->row = d->column = -1;
        return;
    }
    gather(d, &found);
    press(d, &found, events, n);
}

/* One sample less than fills a part may be taken without a decision. */
static int needs_room(const vc_dtmf_detector *d)
{
    return d->parts >= PARTS - 1 && d->since_window == STRIDE - 1;
}

static void end_part(vc_dtmf_detector *d, vc_dtmf_detector_event *events, size_t *n)
{
    take_part(d);
    d->filled = 0;
    if (d->parts < PARTS) d->parts++;
    if (++d->since_window < STRIDE) return;
    d->since_window = 0;
    if (d->parts == PARTS) decide(d, events, n);
}

vc_status vc_dtmf_detector_process(vc_dtmf_detector *detector, const int16_t *samples, size_t *n,
                                   vc_dtmf_detector_event *events, size_t *n_events)
{
    if (!detector || !n || !n_events || (*n && !samples) || (*n_events && !events))
        return VC_E_NULL;
    vc_dtmf_detector *d = detector;
    size_t room = *n_events, given = *n, done = 0;
    *n_events = 0;
    while (done < given) {
        size_t part = (size_t)(d->part_samples - d->filled);
        if (part > given - done) part = given - done;
        int fills = d->filled + (int)part == d->part_samples;
        if (fills && needs_room(d) && room - *n_events < VC_DTMF_DETECTOR_MAX_EVENTS) break;
        float *to = d->samples + d->filled;
        for (size_t i = 0; i < part; i++) to[i] = (float)samples[done + i];
        done += part;
        d->filled += (int)part;
        d->position += (int64_t)part;
        if (fills) end_part(d, events, n_events);
    }
    *n = done;
    return done < given ? VC_FULL : VC_OK;
}

vc_status vc_dtmf_detector_flush(vc_dtmf_detector *detector, vc_dtmf_detector_event *events,
                                 size_t *n_events)
{
    if (!detector || !events || !n_events) return VC_E_NULL;
    if (*n_events < VC_DTMF_DETECTOR_MAX_EVENTS) return VC_E_LENGTH;
    static const int16_t silence[64];
    int64_t ended = detector->position;
    size_t used = 0, room = *n_events;
    /* A window and a break of silence decide all. */
    int64_t left = PARTS * detector->part_samples + 2 * detector->break_samples;
    while (left > 0) {
        size_t n = left < 64 ? (size_t)left : 64, made = room - used;
        vc_status status = vc_dtmf_detector_process(detector, silence, &n, events + used, &made);
        used += made;
        left -= (int64_t)n;
        if (status == VC_FULL) break;
    }
    for (size_t i = 0; i < used; i++)
        if (events[i].end_sample > ended) events[i].end_sample = ended;
    *n_events = used;
    vc_dtmf_detector_reset(detector);
    return VC_OK;
}
