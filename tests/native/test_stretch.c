/* vc_stretch: the pitch stays, nothing clicks, counts and positions are exact, attacks and unlike
 * audio are refused, never more than 25 %. */
#include "dsp/vc_stretch.h"

#include <math.h>

#include "vc_test_voice.h"

enum { SECONDS = 4, MOST = SECONDS * 48000, EXTRA = 48000 * 15 / 1000 };
static const int rates[] = {8000, 16000, 44100, 48000};
#define EACH_RATE(r)                                                                               \
    size_t r = 0;                                                                                  \
    r < sizeof rates / sizeof *rates;                                                              \
    r++

enum way { FASTER, FASTER_STILL, SLOWER };

static vc_stretch *make(int rate_hz)
{
    vc_stretch *stretch = NULL;
    VC_NEED(vc_stretch_create(&stretch, rate_hz, NULL) == VC_OK);
    return stretch;
}

static vc_status call(vc_stretch *stretch, enum way way, int64_t position, const int16_t *in,
                      size_t n, int16_t *out, vc_stretch_change *change)
{
    if (way == SLOWER) return vc_stretch_expand(stretch, position, in, n, out, change);
    return vc_stretch_accelerate(stretch, position, in, n, out, way == FASTER_STILL, change);
}

typedef struct course {
    size_t out_samples, changed, changes;
    size_t seams[4096]; /* where in the output the cross-fades are in their middle */
    size_t in_seams[4096];
} course;

/* Stretches as much as is allowed: window after window, 5 ms further where it is refused. Checks
 * each change: counts, the samples outside of the fade, and the share. */
static void run(enum way way, int rate_hz, const int16_t *in, size_t n, int16_t *out, course *c)
{
    vc_stretch *stretch = make(rate_hz);
    size_t window = vc_stretch_window_samples(stretch), at = 0, free_from = 0;
    *c = (course){0};
    while (at + window <= n) {
        vc_stretch_change change;
        int16_t *to = out + c->out_samples;
        vc_status status = call(stretch, way, (int64_t)at, in + at, window, to, &change);
        if (status == VC_IGNORED) {
            VC_CHECK_EQ(change.out_samples, window);
            VC_CHECK_EQ(change.changed_samples, 0);
            VC_CHECK(memcmp(to, in + at, window * sizeof *in) == 0);
            size_t step = (size_t)rate_hz / 200;
            at += step;
            c->out_samples += step;
            continue;
        }
        VC_CHECK_OK(status);
        size_t changed = change.changed_samples, place = (size_t)change.position - at;
        VC_CHECK(changed >= (size_t)rate_hz / 400 && changed <= window / 2);
        VC_CHECK_EQ(change.out_samples, way == SLOWER ? window + changed : window - changed);
        VC_CHECK(at >= free_from);
        free_from = at + 4 * changed;
        /* Outside of a fade of one change, around the place, out is in. */
        size_t before = place - (changed + 1) / 2;
        size_t after = place + changed + changed / 2 + 1;
        if (way == SLOWER) after = place + changed / 2 + 1;
        VC_CHECK(memcmp(to, in + at, before * sizeof *in) == 0);
        size_t after_out = way == SLOWER ? after + changed : after - changed;
        if (after < window)
            VC_CHECK(memcmp(to + after_out, in + at + after, (window - after) * sizeof *in) == 0);
        VC_NEED(c->changes < sizeof c->seams / sizeof *c->seams);
        c->seams[c->changes] = c->out_samples + place;
        c->in_seams[c->changes] = at + place;
        c->changes++;
        c->changed += changed;
        c->out_samples += change.out_samples;
        at += window;
    }
    /* The law of lengths. */
    VC_CHECK_EQ(c->out_samples, way == SLOWER ? at + c->changed : at - c->changed);
    vc_stretch_destroy(stretch);
}

VC_TEST(rejects_bad_arguments)
{
    vc_stretch *stretch;
    VC_CHECK_EQ(vc_stretch_create(NULL, 8000, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_stretch_create(&stretch, 7950, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_stretch_create(&stretch, 11025, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_stretch_create(&stretch, 48050, NULL), VC_E_RATE);
    for (int fail = 0; fail < 2; fail++) {
        vc_test_heap heap = {0, 0, fail};
        vc_allocator allocator = vc_test_allocator(&heap);
        VC_CHECK_EQ(vc_stretch_create(&stretch, 8000, &allocator), VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    stretch = make(8000);
    VC_CHECK_EQ(vc_stretch_window_samples(stretch), 240);
    VC_CHECK_EQ(vc_stretch_max_change_samples(stretch), 120);
    int16_t in[240] = {0}, out[360];
    vc_stretch_change change;
    VC_CHECK_EQ(vc_stretch_accelerate(NULL, 0, in, 240, out, 0, &change), VC_E_NULL);
    VC_CHECK_EQ(vc_stretch_accelerate(stretch, 0, NULL, 240, out, 0, &change), VC_E_NULL);
    VC_CHECK_EQ(vc_stretch_expand(stretch, 0, in, 240, NULL, &change), VC_E_NULL);
    VC_CHECK_EQ(vc_stretch_expand(stretch, 0, in, 240, out, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_stretch_accelerate(stretch, 0, in, 239, out, 0, &change), VC_NEED_MORE);
    VC_CHECK_EQ(change.out_samples, 0);
    vc_stretch_destroy(stretch);
    vc_stretch_destroy(NULL);
}

/* A vowel whose period is a whole number of samples is the same after any number of seams: the
 * output is the input, to the rounding. This is pitch, level and clicks in one. */
VC_TEST(a_vowel_with_a_whole_period_is_unchanged)
{
    static int16_t in[MOST], out[MOST + MOST / 3];
    static course c;
    for (EACH_RATE(r))
        for (int way = FASTER; way <= SLOWER; way++)
            for (int period_ms = 3; period_ms <= 12; period_ms += 3) {
                int rate = rates[r], n = SECONDS * rate, period = rate * period_ms / 1000;
                vc_test_vowel(in, rate, n, (double)rate / period, 12000.0);
                for (int i = 2 * rate; i < n; i++) in[i] = in[i - period];
                int settled = 2 * rate - period;
                size_t whole = (size_t)((n - settled) / period * period);
                run((enum way)way, rate, in + settled, whole, out, &c);
                VC_CHECK(c.changes > 10);
                int worst = 0;
                for (size_t i = 0; i < c.out_samples; i++) {
                    int off = abs(out[i] - in[settled + (int)(i % (size_t)period)]);
                    worst = off > worst ? off : worst;
                }
                VC_CHECK(worst <= 1);
            }
}

/* Any tone: the median distance of its upward zero crossings is its period within 0.1 %, the
 * largest step at most 2 % above its own, and each seam moves its phase by at most a sample. */
VC_TEST(a_tone_keeps_its_pitch)
{
    static int16_t in[MOST], out[MOST + MOST / 3];
    static double distance[MOST / 8];
    static course c;
    for (EACH_RATE(r))
        for (int way = FASTER; way <= SLOWER; way++)
            for (double hz = 81.0; hz < 400.0; hz *= 1.23) {
                int rate = rates[r], n = SECONDS * rate;
                vc_test_tone(in, rate, 0, n, hz, 10000.0);
                run((enum way)way, rate, in, (size_t)n, out, &c);
                VC_CHECK(c.changes > 10);
                VC_CHECK(vc_test_biggest_step(out, (int)c.out_samples) <=
                         1.02 * vc_test_biggest_step(in, n) + 2.0);
                size_t found = 0;
                double last = -1.0, sum = 0.0;
                for (size_t i = 1; i < c.out_samples; i++) {
                    if (out[i - 1] >= 0 || out[i] < 0) continue;
                    double at = (double)i - (double)out[i] / (double)(out[i] - out[i - 1]);
                    if (last >= 0.0) {
                        size_t k = found++;
                        for (; k > 0 && distance[k - 1] > at - last; k--)
                            distance[k] = distance[k - 1];
                        distance[k] = at - last;
                        sum += at - last;
                    }
                    last = at;
                }
                VC_NEED(found > 100);
                double period = rate / hz;
                VC_CHECK(fabs(distance[found / 2] / period - 1.0) < 0.001);
                VC_CHECK(fabs(sum - period * (double)found) <= (double)c.changes + 1.0);
            }
}

/* A vowel that glides from 100 to 200 Hz (no two periods alike to the sample): steps at the seams
 * stay below the signal's own 99.9 % step, or the biggest that it has right there; 2 % for the gain
 * that keeps a fade's power. */
VC_TEST(seams_do_not_click)
{
    static int16_t in[MOST], out[MOST + MOST / 3];
    static int steps[MOST];
    static course c;
    for (EACH_RATE(r))
        for (int way = FASTER; way <= SLOWER; way++) {
            int rate = rates[r], n = SECONDS * rate;
            double phase = 0.0;
            for (int i = 0; i < n; i++) {
                phase += (100.0 + 25.0 * i / rate) / rate;
                double value = 0.0;
                for (int k = 1; k <= 12; k++)
                    value += sin(2.0 * VC_TEST_PI * k * phase + k * k) / k;
                in[i] = (int16_t)lrint(6000.0 * value);
            }
            for (int i = 0; i + 1 < n; i++) steps[i] = abs(in[i + 1] - in[i]);
            int own = 0; /* the 99.9 % step */
            for (int low = 0, high = 65536; low < high;) {
                own = (low + high) / 2;
                int above = 0;
                for (int i = 0; i + 1 < n; i++) above += steps[i] > own;
                if (above * 1000 > n)
                    low = own + 1;
                else
                    high = own;
            }
            run((enum way)way, rate, in, (size_t)n, out, &c);
            VC_CHECK(c.changes > 10);
            for (size_t k = 0; k < c.changes; k++) {
                int around = rate * 8 / 1000, from = (int)c.seams[k] - around;
                if (from < 0) from = 0;
                /* Where the signal itself has a bigger one, that. */
                int there = (int)c.in_seams[k] - around, bound = own;
                if (there < 0) there = 0;
                int natural = vc_test_biggest_step(in + there, 3 * around);
                if (natural > bound) bound = natural;
                VC_CHECK(vc_test_biggest_step(out + from, 2 * around) <= 1.02 * bound);
            }
        }
}

/* Noise of 2000 is refused unless fast finds something; at -56 dBFS or up to 6 dB above a
 * background that the caller knows it is quiet, and the seams keep its power within 1.5 dB. */
VC_TEST(noise_is_refused_unless_quiet)
{
    static int16_t in[MOST], out[MOST + MOST / 3];
    static course c;
    uint32_t seed = 11;
    int n = SECONDS * 8000;
    vc_test_noise(in, n, 2000, &seed);
    run(FASTER, 8000, in, (size_t)n, out, &c);
    VC_CHECK_EQ(c.changes, 0);
    run(SLOWER, 8000, in, (size_t)n, out, &c);
    VC_CHECK_EQ(c.changes, 0);

    vc_stretch *stretch = make(8000);
    vc_stretch_change change;
    VC_CHECK_EQ(vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change), VC_IGNORED);
    VC_CHECK_EQ(change.refusal, VC_STRETCH_UNLIKE);
    vc_stretch_destroy(stretch);

    vc_test_noise(in, n, 90, &seed);
    run(FASTER, 8000, in, (size_t)n, out, &c);
    VC_CHECK(c.changes > 40);
    double mean_in = 0.0, mean_seam = 0.0, many = 0.0;
    for (int i = 0; i < n; i++) mean_in += (double)in[i] * in[i] / n;
    for (size_t k = 0; k < c.changes; k++)
        for (int i = -20; i < 20; i++, many += 1.0) {
            double sample = out[(int)c.seams[k] + i];
            mean_seam += sample * sample;
        }
    VC_CHECK(fabs(10.0 * log10(mean_seam / many / mean_in)) < 1.5);
}

VC_TEST(silence_and_offset)
{
    static int16_t in[240], out[360];
    const int16_t values[] = {0, 50, -32768, 32767};
    for (size_t v = 0; v < 4; v++) {
        vc_stretch *stretch = make(8000);
        vc_stretch_change change;
        for (int i = 0; i < 240; i++) in[i] = values[v];
        vc_status status = vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change);
        VC_CHECK_EQ(status, abs(values[v]) < 100 ? VC_OK : VC_IGNORED);
        for (size_t i = 0; i < change.out_samples; i++) VC_CHECK_EQ(out[i], values[v]);
        vc_stretch_reset(stretch);
        status = vc_stretch_expand(stretch, 0, in, 240, out, &change);
        VC_CHECK_EQ(status, abs(values[v]) < 100 ? VC_OK : VC_IGNORED);
        for (size_t i = 0; i < change.out_samples; i++) VC_CHECK_EQ(out[i], values[v]);
        vc_stretch_destroy(stretch);
    }
}

/* A square wave at full scale stays one: nothing wraps around. */
VC_TEST(full_scale_saturates)
{
    static int16_t in[MOST], out[MOST + MOST / 3];
    static course c;
    for (int way = FASTER; way <= SLOWER; way++) {
        for (int i = 0; i < 8000; i++) in[i] = i / 21 % 2 ? 32767 : -32768;
        run((enum way)way, 8000, in, 8000, out, &c);
        VC_CHECK(c.changes > 5);
        for (size_t i = 0; i < c.out_samples; i++) VC_CHECK(abs(out[i]) > 32000);
    }
}

/* A vowel that begins within the window, at whatever place, after silence or after soft noise, is
 * not touched; once it has lasted 40 ms it is. Not tested: onsets in the first 11 ms, whose rise is
 * over at the seam, and in the last 3 ms, which have not risen yet and are not touched by the seam.
 */
VC_TEST(refuses_the_attack_of_a_word)
{
    static int16_t vowel[8000], in[8000], out[8000];
    for (int way = FASTER; way <= SLOWER; way++)
        for (int soft = 0; soft <= 1; soft++)
            for (double f0 = 100.0; f0 < 300.0; f0 *= 1.17) {
                uint32_t seed = 5;
                vc_test_vowel(vowel, 8000, 8000, f0, 10000.0);
                for (int onset = 90; onset <= 216; onset++) {
                    vc_test_noise(in, 8000, soft ? 60 : 0, &seed);
                    for (int i = onset; i < 1000; i++)
                        in[i] = (int16_t)(in[i] + vowel[4000 + i - onset]);
                    vc_stretch *stretch = make(8000);
                    vc_stretch_change change;
                    VC_CHECK_EQ(call(stretch, (enum way)way, 0, in, 240, out, &change), VC_IGNORED);
                    VC_CHECK_EQ(change.refusal, VC_STRETCH_ATTACK);
                    int64_t later = onset + 320;
                    VC_CHECK_OK(call(stretch, (enum way)way, later, in + later, 240, out, &change));
                    vc_stretch_destroy(stretch);
                }
            }
}

/* Longer input than a window: the rest is copied. The share counts from where windows start. */
VC_TEST(share_and_rest)
{
    static int16_t in[1000], out[1120];
    vc_test_tone(in, 8000, 0, 1000, 200.0, 8000.0);
    vc_stretch *stretch = make(8000);
    vc_stretch_change change;
    VC_CHECK_OK(vc_stretch_accelerate(stretch, 500, in, 1000, out, 0, &change));
    size_t removed = change.changed_samples;
    VC_CHECK(removed % 40 == 0);
    VC_CHECK_EQ(change.position, 500 + 120 - (int64_t)(removed - removed / 2));
    VC_CHECK(memcmp(out + 120, in + 120 + removed, (880 - removed) * sizeof *in) == 0);
    int64_t next = 500 + 4 * (int64_t)removed;
    VC_CHECK_EQ(vc_stretch_expand(stretch, next - 1, in, 240, out, &change), VC_IGNORED);
    VC_CHECK_EQ(change.refusal, VC_STRETCH_TOO_SOON);
    VC_CHECK_OK(vc_stretch_expand(stretch, next, in, 240, out, &change));
    /* reset is as new */
    vc_stretch_reset(stretch);
    VC_CHECK_OK(vc_stretch_accelerate(stretch, 0, in, 240, out, 1, &change));
    VC_CHECK_EQ(change.changed_samples, 120); /* fast: three periods */
    uint32_t seed = 9;
    vc_stretch_reset(stretch);
    vc_test_noise(in, 240, 2000, &seed);
    VC_CHECK_EQ(vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change), VC_IGNORED);
    vc_stretch_destroy(stretch);
}

VC_TEST(a_sound_that_began_before_is_an_attack_too)
{
    vc_stretch *stretch;
    vc_stretch_change change;
    int16_t in[240], out[240], quiet[160], loud[160];
    VC_NEED(vc_stretch_create(&stretch, 8000, NULL) == VC_OK);
    for (int i = 0; i < 240; i++) in[i] = (int16_t)lrint(4000.0 * sin(0.157079632 * i));
    for (int i = 0; i < 160; i++) quiet[i] = in[i] / 3, loud[i] = in[i] / 2 + in[i] / 10;
    vc_stretch_push_played(stretch, quiet, 160); /* 9.5 dB below */
    VC_CHECK_EQ(vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change), VC_IGNORED);
    VC_CHECK_EQ(change.refusal, VC_STRETCH_ATTACK);
    vc_stretch_push_played(stretch, loud, 160); /* 4.4 dB below */
    VC_CHECK_OK(vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change));
    vc_stretch_reset(stretch);
    VC_CHECK_OK(vc_stretch_accelerate(stretch, 0, in, 240, out, 0, &change));
    vc_stretch_destroy(stretch);
}

VC_MAIN(VC_RUN(rejects_bad_arguments) VC_RUN(a_vowel_with_a_whole_period_is_unchanged)
            VC_RUN(a_tone_keeps_its_pitch) VC_RUN(seams_do_not_click)
                VC_RUN(noise_is_refused_unless_quiet) VC_RUN(silence_and_offset)
                    VC_RUN(full_scale_saturates) VC_RUN(refuses_the_attack_of_a_word)
                        VC_RUN(share_and_rest) VC_RUN(a_sound_that_began_before_is_an_attack_too))
