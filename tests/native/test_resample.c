/* vc_resample: the floor law, slicing, partial progress, flush and reset, at every pair and level;
 * no output depends on memory beyond the window; allocation failures. Bound: bit for bit. The
 * signal's quality is tested in tests/unit/test_resample.py. */
#include "dsp/vc_resample.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { N_RATES = 9, MOST = 4000 };
static const int rates_hz[N_RATES] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

static vc_resample *make(int in_hz, int out_hz, vc_cpu_level level)
{
    vc_resample_config config = vc_resample_config_default();
    config.in_hz = in_hz;
    config.out_hz = out_hz;
    config.cpu_level = level;
    vc_resample *resampler;
    VC_NEED(vc_resample_create(&resampler, &config) == VC_OK);
    return resampler;
}

/* Feeds everything in random slices into random rooms; returns the samples that came out. */
static size_t sliced(vc_resample *resampler, const float *in, size_t n, float *out, uint32_t *seed)
{
    size_t done = 0, written = 0;
    while (done < n) {
        size_t offered = vc_test_random(seed) % 700;
        if (offered > n - done) offered = n - done;
        size_t n_in = offered, room = vc_test_random(seed) % 900, n_out = room;
        size_t most = vc_resample_max_output(resampler, offered);
        VC_CHECK_OK(vc_resample_process_f32(resampler, in + done, &n_in, out + written, &n_out));
        VC_CHECK(n_out <= room && n_in <= offered);
        if (most <= room) VC_CHECK(n_in == offered && n_out == most);
        done += n_in;
        written += n_out;
    }
    return written;
}

static size_t flushed(vc_resample *resampler, float *out, size_t room_at_once)
{
    size_t total = vc_resample_flush_samples(resampler), written = 0;
    for (int calls = 0; calls < 100000; calls++) {
        size_t n = room_at_once;
        VC_CHECK_OK(vc_resample_flush_f32(resampler, out + written, &n));
        written += n;
        if (vc_resample_flush_samples(resampler) == 0 && n < room_at_once) break;
    }
    VC_CHECK_EQ(written, total);
    return written;
}

static float in[MOST], whole[6 * MOST + 600], other[6 * MOST + 600];

VC_TEST(slicing_law_and_reset)
{
    uint32_t seed = 99;
    for (int i = 0; i < MOST; i++) in[i] = (float)(int32_t)vc_test_random(&seed) / 2147483648.0f;
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        for (int a = 0; a < N_RATES; a++)
            for (int b = 0; b < N_RATES; b++) {
                size_t n = MOST - (size_t)(a * 37 + b);
                vc_resample *one = make(rates_hz[a], rates_hz[b], usable);
                size_t n_in = n, n_out = 6 * MOST;
                VC_CHECK_EQ(vc_resample_flush_samples(one), 0);
                VC_CHECK_OK(vc_resample_process_f32(one, in, &n_in, whole, &n_out));
                VC_CHECK_EQ(n_in, n);
                VC_CHECK_EQ(n_out, (uint64_t)n * (uint64_t)rates_hz[b] / (uint64_t)rates_hz[a]);
                size_t all = n_out + flushed(one, whole + n_out, 1000);

                vc_resample *two = make(rates_hz[a], rates_hz[b], usable);
                for (int round = 0; round < 3; round++) {
                    /* As new after create, after a flush, and after a reset in mid-stream. */
                    if (round == 2) {
                        (void)sliced(two, in + 5, 333, other, &seed);
                        vc_resample_reset(two);
                    }
                    memset(other, 0, sizeof other);
                    size_t part = sliced(two, in, n, other, &seed);
                    VC_CHECK_EQ(part, n_out);
                    part += flushed(two, other + part, 6 + vc_test_random(&seed) % 50);
                    VC_CHECK_EQ(part, all);
                    VC_CHECK(memcmp(whole, other, all * sizeof(float)) == 0);
                }
                vc_resample_destroy(one);
                vc_resample_destroy(two);
            }
    }
}

/* A handle for trim: in_hz to out_hz, at a level, so many channels. */
static vc_resample *make_trim(int in_hz, int out_hz, vc_resample_preset preset, int channels)
{
    vc_resample_config config = vc_resample_config_default();
    config.in_hz = in_hz;
    config.out_hz = out_hz;
    config.preset = preset;
    config.channels = channels;
    config.trim = 1;
    vc_resample *resampler;
    VC_NEED(vc_resample_create(&resampler, &config) == VC_OK);
    return resampler;
}

/* n inputs from `at` on; the outputs, whose number inputs_for and max_output must tell. */
static size_t fed(vc_resample *r, const float *from, size_t n, float *out)
{
    size_t n_in = n, n_out = 6 * MOST, most = vc_resample_max_output(r, n);
    if (n > 0) VC_CHECK(vc_resample_inputs_for(r, most + 1) > n);
    VC_CHECK(vc_resample_inputs_for(r, most) <= n);
    VC_CHECK_OK(vc_resample_process_f32(r, from, &n_in, out, &n_out));
    VC_CHECK_EQ(n_in, n);
    VC_CHECK_EQ(n_out, most);
    return n_out;
}

VC_TEST(trim_0_is_the_usual_path)
{
    /* Oracle: a handle without trim, bit for bit; equal rates: the input, later. */
    for (int a = 0; a < N_RATES; a++)
        for (int b = 0; b < N_RATES; b++) {
            vc_resample *usual = make(rates_hz[a], rates_hz[b], VC_CPU_AUTO);
            vc_resample *trim = make_trim(rates_hz[a], rates_hz[b], VC_RESAMPLE_VOICE, 1);
            VC_CHECK_OK(vc_resample_set_trim_ppm(trim, 0.0));
            size_t n = fed(usual, in, MOST, whole);
            VC_CHECK_EQ(fed(trim, in, MOST, other), n);
            size_t late = a == b ? 23 : 0;
            VC_CHECK_EQ(vc_resample_delay_samples(trim) - vc_resample_delay_samples(usual), late);
            for (size_t i = 0; i < late; i++) VC_CHECK_EQ(other[i], 0.0f);
            VC_CHECK(memcmp(whole, other + late, (n - late) * sizeof(float)) == 0);
            VC_CHECK_EQ(vc_resample_flush_samples(trim),
                        a == b ? late : vc_resample_flush_samples(usual));
            vc_resample_destroy(usual);
            vc_resample_destroy(trim);
        }
}

VC_TEST(trim_slicing_and_reset)
{
    /* Oracle: the same changes of trim at the same inputs, in one call each; bit for bit. */
    static const double trims_ppm[] = {0.0, 500.0, -123.4567, 0.0, -500.0};
    enum { CHANGES = 5, EACH = MOST / CHANGES };
    uint32_t seed = 7;
    for (int preset = VC_RESAMPLE_TELEPHONY; preset <= VC_RESAMPLE_STUDIO; preset++)
        for (int a = 0; a < N_RATES; a++)
            for (int b = 0; b < N_RATES; b++) {
                vc_resample *one =
                    make_trim(rates_hz[a], rates_hz[b], (vc_resample_preset)preset, 1);
                vc_resample *two =
                    make_trim(rates_hz[a], rates_hz[b], (vc_resample_preset)preset, 1);
                size_t all = 0;
                for (int c = 0; c < CHANGES; c++) {
                    VC_CHECK_OK(vc_resample_set_trim_ppm(one, trims_ppm[c]));
                    all += fed(one, in + c * EACH, EACH, whole + all);
                }
                all += flushed(one, whole + all, 1000);
                for (int round = 0; round < 3; round++) {
                    if (round == 2) {
                        VC_CHECK_OK(vc_resample_set_trim_ppm(two, 99.0));
                        (void)sliced(two, in + 5, 333, other, &seed);
                        vc_resample_reset(two);
                    }
                    VC_CHECK_EQ(vc_resample_trim_ppm(two), 0.0);
                    size_t part = 0;
                    for (int c = 0; c < CHANGES; c++) {
                        VC_CHECK_OK(vc_resample_set_trim_ppm(two, trims_ppm[c]));
                        part += sliced(two, in + c * EACH, EACH, other + part, &seed);
                    }
                    part += flushed(two, other + part, 6 + vc_test_random(&seed) % 50);
                    VC_CHECK_EQ(part, all);
                    VC_CHECK(memcmp(whole, other, all * sizeof(float)) == 0);
                }
                vc_resample_destroy(one);
                vc_resample_destroy(two);
            }
}

VC_TEST(trim_position_is_exact_for_hours)
{
    /* Oracle: integers. 8 to 16 kHz at +123.456 ppm for 3 hours; the outputs after n inputs are
     * those m with (1 + m (1 + ppm)) / 2 <= n, the first at the usual place. */
    enum { HZ = 8000, HOURS = 3 };
    vc_resample *r = make_trim(HZ, 2 * HZ, VC_RESAMPLE_TELEPHONY, 1);
    VC_CHECK_OK(vc_resample_set_trim_ppm(r, 123.456));
    uint64_t n_in = 0, n_out = 0;
    for (; n_in < (uint64_t)HOURS * 3600 * HZ; n_in += MOST) n_out += fed(r, in, MOST, whole);
    uint64_t expected = ((2 * n_in - 1) * 1000000000 + 1000123456) / 1000123456;
    VC_CHECK_EQ(n_out, expected);
    /* At once the count is the same: 3 hours are more than 64 bits hold in the unit of places. */
    vc_resample_reset(r);
    VC_CHECK_OK(vc_resample_set_trim_ppm(r, 123.456));
    VC_CHECK_EQ(vc_resample_max_output(r, (size_t)n_in), expected);
    VC_CHECK_EQ(vc_resample_inputs_for(r, (size_t)expected), n_in);
    VC_CHECK(vc_resample_inputs_for(r, (size_t)expected + 1) > n_in);
    vc_resample_destroy(r);
}

VC_TEST(trim_is_heard_as_a_pure_tone)
{
    /* Oracle: the sine itself, times one gain (the pass band's ripple), at the outputs' places,
     * computed in double; 0.4 of the lower rate's Nyquist frequency, the trim going 0, 500, -300,
     * 0 ppm on the run. Bound: SNR by preset; a step anywhere would be in the error. */
    static const double trims_ppm[] = {0.0, 500.0, -300.0, 0.0}, bounds_db[] = {80.0, 92.0, 115.0};
    static const int pairs_hz[][2] = {{8000, 8000},   {8000, 16000},  {16000, 8000},
                                      {44100, 16000}, {16000, 48000}, {48000, 48000}};
    const double pi = 3.14159265358979323846;
    static double pure[4 * 4 * MOST], heard[4 * 4 * MOST];
    for (int preset = VC_RESAMPLE_TELEPHONY; preset <= VC_RESAMPLE_STUDIO; preset++)
        for (size_t p = 0; p < sizeof pairs_hz / sizeof pairs_hz[0]; p++) {
            int in_hz = pairs_hz[p][0], out_hz = pairs_hz[p][1];
            vc_resample *r = make_trim(in_hz, out_hz, (vc_resample_preset)preset, 1);
            double lower_hz = in_hz < out_hz ? in_hz : out_hz, step = (double)in_hz / out_hz;
            double turn = 2.0 * pi * 0.2 * lower_hz / in_hz, product = 0.0, power = 0.0;
            double error = 0.0;
            double place = -vc_resample_delay_samples(r) * step;
            size_t start = 0, all = 0;
            for (int c = 0; c < 4; c++, start += MOST) {
                float tone[MOST];
                for (int i = 0; i < MOST; i++)
                    tone[i] = (float)(0.5 * sin(turn * (double)(start + (size_t)i)));
                VC_CHECK_OK(vc_resample_set_trim_ppm(r, trims_ppm[c]));
                size_t n = fed(r, tone, MOST, whole);
                for (size_t i = 0; i < n; i++, all++) {
                    pure[all] = sin(turn * place);
                    heard[all] = (double)whole[i];
                    place += step * (1.0 + 1e-6 * trims_ppm[c]);
                }
            }
            size_t first = all / 8; /* the start rings */
            for (size_t i = first; i < all; i++) {
                product += heard[i] * pure[i];
                power += pure[i] * pure[i];
            }
            double gain = product / power;
            for (size_t i = first; i < all; i++)
                error += (heard[i] - gain * pure[i]) * (heard[i] - gain * pure[i]);
            VC_CHECK(10.0 * log10(gain * gain * power / error) >= bounds_db[preset]);
            vc_resample_destroy(r);
        }
}

VC_TEST(nothing_beyond_the_window_is_heard)
{
    /* A NaN spoils only the outputs whose window holds it, however late the next call comes. */
    for (int a = 0; a < N_RATES; a++)
        for (int b = 0; b < N_RATES; b++) {
            vc_resample *r = make(rates_hz[a], rates_hz[b], VC_CPU_AUTO);
            float silence[MOST] = {0};
            silence[1000] = NAN;
            size_t n_in = MOST, n_out = 6 * MOST, seen = 0, first = 0, last = 0;
            VC_CHECK_OK(vc_resample_process_f32(r, silence, &n_in, whole, &n_out));
            for (size_t i = 0; i < n_out; i++)
                if (isnan(whole[i])) {
                    if (!seen++) first = i;
                    last = i;
                }
            double ratio = (double)rates_hz[b] / rates_hz[a];
            double lower = ratio < 1.0 ? ratio : 1.0;
            VC_CHECK((double)first >= 1000.0 * ratio - 2.0);
            /* The window, and at most 15 taps of padding and 16 of a shared window. */
            VC_CHECK((double)last <= (1000.0 + 48.0 / lower + 32.0) * ratio + 1.0);
            VC_CHECK(seen > 0);
            vc_resample_destroy(r);
        }
}

VC_TEST(levels_agree)
{
    /* f32 sums in another order: bound -130 dB of full scale. */
    for (int level = VC_CPU_NEON; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        for (int a = 0; a < N_RATES; a++)
            for (int b = 0; b < N_RATES; b++) {
                vc_resample *plain = make(rates_hz[a], rates_hz[b], VC_CPU_C);
                vc_resample *wide = make(rates_hz[a], rates_hz[b], usable);
                size_t n_in = MOST, n = 6 * MOST, same = 6 * MOST;
                VC_CHECK_OK(vc_resample_process_f32(plain, in, &n_in, whole, &n));
                VC_CHECK_OK(vc_resample_process_f32(wide, in, &n_in, other, &same));
                VC_CHECK_EQ(n, same);
                float worst = 0.0f;
                for (size_t i = 0; i < n; i++) worst = fmaxf(worst, fabsf(whole[i] - other[i]));
                VC_CHECK(worst < 1e-6f);
                vc_resample_destroy(plain);
                vc_resample_destroy(wide);
            }
    }
}

VC_TEST(formats_share_the_stream)
{
    vc_resample *f = make(24000, 16000, VC_CPU_AUTO), *s = make(24000, 16000, VC_CPU_AUTO);
    int16_t in_s16[480], out_s16[320];
    uint32_t seed = 5;
    for (int i = 0; i < 480; i++) {
        in_s16[i] = (int16_t)((vc_test_random(&seed) >> 17) - 16384); /* half scale: no clipping */
        in[i] = (float)in_s16[i] / 32768.0f;
    }
    size_t n_in = 480, n_out = 320;
    VC_CHECK_OK(vc_resample_process_f32(f, in, &n_in, whole, &n_out));
    size_t half = 241, out_half = 320;
    VC_CHECK_OK(vc_resample_process_s16(s, in_s16, &half, out_s16, &out_half));
    size_t rest = 480 - 241, out_rest = 320;
    VC_CHECK_OK(vc_resample_process_f32(s, in + 241, &rest, other + out_half, &out_rest));
    VC_CHECK_EQ(out_half + out_rest, 320);
    for (size_t i = 0; i < out_half; i++) VC_CHECK_EQ(out_s16[i], lrintf(whole[i] * 32768.0f));
    VC_CHECK(memcmp(whole + out_half, other + out_half, out_rest * sizeof(float)) == 0);
    vc_resample_destroy(f);
    vc_resample_destroy(s);
}

VC_TEST(rejects)
{
    vc_resample *r;
    vc_resample_config config = vc_resample_config_default();
    VC_CHECK_EQ(vc_resample_create(NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_resample_create(&r, NULL), VC_E_NULL);
    config.in_hz = 8001;
    VC_CHECK_EQ(vc_resample_create(&r, &config), VC_E_RATE);
    VC_CHECK(r == NULL);
    config.in_hz = 8000;
    config.preset = (vc_resample_preset)3;
    VC_CHECK_EQ(vc_resample_create(&r, &config), VC_E_RANGE);
    config.preset = VC_RESAMPLE_VOICE;
    config.channels = 3;
    VC_CHECK_EQ(vc_resample_create(&r, &config), VC_E_RANGE);
    config.channels = 1;
    config.trim = 2;
    VC_CHECK_EQ(vc_resample_create(&r, &config), VC_E_RANGE);
    config.trim = 0;
    config.cpu_level = (vc_cpu_level)77;
    VC_CHECK_EQ(vc_resample_create(&r, &config), VC_E_RANGE);
    r = make(8000, 16000, VC_CPU_AUTO);
    size_t n = 4;
    int16_t s[8] = {0};
    VC_CHECK_EQ(vc_resample_process_s16(r, NULL, &n, s, &n), VC_E_NULL);
    VC_CHECK_EQ(vc_resample_process_s16(r, s, NULL, s, &n), VC_E_NULL);
    VC_CHECK_EQ(vc_resample_process_s16(NULL, s, &n, s, &n), VC_E_NULL);
    VC_CHECK_EQ(vc_resample_flush_s16(NULL, s, &n), VC_E_NULL);
    /* Half a flush must be finished (or reset away) before the next input. */
    size_t n_in = 4, n_out = 8;
    int16_t out[8];
    VC_CHECK_OK(vc_resample_process_s16(r, s, &n_in, out, &n_out));
    n_out = 8;
    VC_CHECK_OK(vc_resample_flush_s16(r, out, &n_out));
    VC_CHECK_EQ(n_out, 8);
    VC_CHECK_EQ(vc_resample_flush_samples(r), 48 - 8);
    n_in = 4;
    VC_CHECK_EQ(vc_resample_process_s16(r, s, &n_in, out, &n_out), VC_E_STATE);
    vc_resample_reset(r);
    VC_CHECK_OK(vc_resample_process_s16(r, s, &n_in, out, &n_out));
    VC_CHECK_EQ(vc_resample_set_trim_ppm(r, 1.0), VC_E_STATE);
    VC_CHECK_EQ(vc_resample_set_trim_ppm(NULL, 1.0), VC_E_NULL);
    vc_resample_destroy(r);
    r = make_trim(8000, 8000, VC_RESAMPLE_VOICE, 1);
    VC_CHECK_EQ(vc_resample_set_trim_ppm(r, 500.1), VC_E_RANGE);
    VC_CHECK_EQ(vc_resample_set_trim_ppm(r, NAN), VC_E_RANGE);
    VC_CHECK_EQ(vc_resample_trim_ppm(r), 0.0);
    VC_CHECK_OK(vc_resample_set_trim_ppm(r, -0.0123));
    VC_CHECK_EQ(vc_resample_trim_ppm(r), -0.012);
    vc_resample_destroy(r);
    vc_resample_destroy(NULL);
}

VC_TEST(allocation_failure_and_balance)
{
    for (int pair = 0; pair < 3; pair++)
        for (long fail_at = 0;; fail_at++) {
            vc_test_heap heap = {0, 0, fail_at};
            vc_allocator allocator = vc_test_allocator(&heap);
            vc_resample_config config = vc_resample_config_default();
            config.in_hz = pair ? 44100 : 24000;
            config.channels = pair == 2 ? 2 : 1;
            config.trim = pair == 2;
            config.allocator = &allocator;
            vc_resample *r;
            vc_status status = vc_resample_create(&r, &config);
            if (status == VC_OK) {
                VC_CHECK(fail_at >= 5);
                long made = heap.total;
                size_t n_in = MOST / 2, n_out = MOST;
                if (config.trim) VC_CHECK_OK(vc_resample_set_trim_ppm(r, 400.0));
                VC_CHECK_OK(vc_resample_process_f32(r, in, &n_in, whole, &n_out));
                VC_CHECK_OK(vc_resample_flush_f32(r, whole, &n_out));
                VC_CHECK_EQ(heap.total, made); /* nothing allocated after create */
                vc_resample_destroy(r);
            } else {
                VC_CHECK_EQ(status, VC_E_MEMORY);
                VC_CHECK(r == NULL);
            }
            VC_CHECK_EQ(heap.live, 0);
            if (status == VC_OK) break;
        }
}

VC_MAIN(VC_RUN(slicing_law_and_reset) VC_RUN(trim_0_is_the_usual_path)
            VC_RUN(trim_slicing_and_reset) VC_RUN(trim_position_is_exact_for_hours)
                VC_RUN(trim_is_heard_as_a_pure_tone) VC_RUN(nothing_beyond_the_window_is_heard)
                    VC_RUN(levels_agree) VC_RUN(formats_share_the_stream) VC_RUN(rejects)
                        VC_RUN(allocation_failure_and_balance))
