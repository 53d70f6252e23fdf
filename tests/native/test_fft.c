/* vc_fft: against a direct DFT in double: signal to error at least 125 dB over all bins, at every
 * size and level; inverse of forward; linearity; Parseval; single tones; what the inverse ignores.
 * Input is white noise of a fixed seed. */
#include "dsp/vc_fft.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { MOST = 1024 };
static const double pi = 3.14159265358979323846;

typedef struct setup {
    vc_fft *fft;
    size_t n;
    float scratch[2 * MOST];
} setup;

/* Calls `test` at every size and level. */
static void everywhere(void (*test)(setup *s))
{
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        for (size_t n = 64; n <= MOST; n *= 2) {
            setup s;
            s.n = n;
            VC_NEED(vc_fft_create(&s.fft, n, usable, NULL) == VC_OK);
            VC_CHECK_EQ(vc_fft_size(s.fft), n);
            VC_CHECK(vc_fft_scratch_floats(s.fft) <= 2 * MOST);
            test(&s);
            vc_fft_destroy(s.fft);
        }
    }
}

static void noise(float *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)(int32_t)vc_test_random(&seed) / 2147483648.0f;
}

static void direct(const float *in, size_t n, double *bins)
{
    for (size_t k = 0; k <= n / 2; k++) {
        double re = 0.0, im = 0.0;
        for (size_t i = 0; i < n; i++) {
            double angle = 2.0 * pi * (double)(k * i % n) / (double)n;
            re += in[i] * cos(angle);
            im -= in[i] * sin(angle);
        }
        bins[2 * k] = re;
        bins[2 * k + 1] = im;
    }
}

static double snr_db(const double *want, const float *got, size_t n)
{
    double power = 0.0, error = 1e-300;
    for (size_t i = 0; i < n; i++) {
        power += want[i] * want[i];
        error += (want[i] - got[i]) * (want[i] - got[i]);
    }
    return 10.0 * log10(power / error);
}

static void check_direct(setup *s)
{
    static float in[MOST], bins[MOST + 2];
    static double want[MOST + 2];
    noise(in, s->n, (uint32_t)s->n + 1);
    direct(in, s->n, want);
    memset(bins, 0xff, sizeof bins);
    vc_fft_forward(s->fft, in, bins, s->scratch);
    double snr = snr_db(want, bins, s->n + 2);
    if (!(snr >= 125.0)) printf("n %zu: %.1f dB\n", s->n, snr);
    VC_CHECK(snr >= 125.0);
}

VC_TEST(equals_direct_dft)
{
    everywhere(check_direct);
}

static void check_inverse(setup *s)
{
    static float in[MOST], bins[MOST + 2], back[MOST];
    static double want[MOST];
    noise(in, s->n, (uint32_t)s->n + 2);
    for (size_t i = 0; i < s->n; i++) want[i] = in[i];
    vc_fft_forward(s->fft, in, bins, s->scratch);
    vc_fft_inverse(s->fft, bins, back, s->scratch);
    VC_CHECK(snr_db(want, back, s->n) >= 125.0);
    /* What cannot be in a real signal's transform is not looked at. */
    static float same[MOST];
    bins[1] = 3.0f;
    bins[s->n + 1] = NAN;
    vc_fft_inverse(s->fft, bins, same, s->scratch);
    VC_CHECK(memcmp(same, back, s->n * sizeof(float)) == 0);
}

VC_TEST(inverse_of_forward)
{
    everywhere(check_inverse);
}

static void check_linear(setup *s)
{
    static float a[MOST], b[MOST], mixed[MOST], bins_a[MOST + 2], bins_b[MOST + 2], bins[MOST + 2];
    static double want[MOST + 2];
    noise(a, s->n, 3);
    noise(b, s->n, 4);
    for (size_t i = 0; i < s->n; i++) mixed[i] = 0.5f * a[i] - 2.0f * b[i];
    vc_fft_forward(s->fft, a, bins_a, s->scratch);
    vc_fft_forward(s->fft, b, bins_b, s->scratch);
    vc_fft_forward(s->fft, mixed, bins, s->scratch);
    for (size_t i = 0; i < s->n + 2; i++) want[i] = 0.5 * bins_a[i] - 2.0 * bins_b[i];
    VC_CHECK(snr_db(want, bins, s->n + 2) >= 120.0);
}

VC_TEST(linear)
{
    everywhere(check_linear);
}

static void check_parseval(setup *s)
{
    static float in[MOST], bins[MOST + 2];
    noise(in, s->n, 5);
    vc_fft_forward(s->fft, in, bins, s->scratch);
    double time = 0.0, frequency = 0.0;
    for (size_t i = 0; i < s->n; i++) time += (double)in[i] * in[i];
    for (size_t k = 0; k <= s->n / 2; k++) {
        double power =
            (double)bins[2 * k] * bins[2 * k] + (double)bins[2 * k + 1] * bins[2 * k + 1];
        frequency += k == 0 || k == s->n / 2 ? power : 2.0 * power;
    }
    VC_CHECK(fabs(frequency / (double)s->n / time - 1.0) < 1e-6);
}

VC_TEST(parseval)
{
    everywhere(check_parseval);
}

static void check_tones(setup *s)
{
    static float in[MOST], bins[MOST + 2];
    int wrong = 0;
    for (size_t tone = 0; tone <= s->n / 2; tone++) {
        for (size_t i = 0; i < s->n; i++)
            in[i] = (float)cos(2.0 * pi * (double)(tone * i % s->n) / (double)s->n + 0.5);
        vc_fft_forward(s->fft, in, bins, s->scratch);
        int edge = tone == 0 || tone == s->n / 2;
        double size = edge ? (double)s->n : (double)s->n / 2.0;
        double re = size * cos(0.5), im = edge ? 0.0 : size * sin(0.5);
        for (size_t k = 0; k <= s->n / 2; k++) {
            double want_re = k == tone ? re : 0.0, want_im = k == tone ? im : 0.0;
            double off = hypot(bins[2 * k] - want_re, bins[2 * k + 1] - want_im);
            wrong += !(off < 1e-6 * (double)s->n);
        }
    }
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(each_tone_has_its_bin)
{
    everywhere(check_tones);
}

VC_TEST(rejects_and_balance)
{
    vc_fft *fft;
    VC_CHECK_EQ(vc_fft_create(NULL, 64, VC_CPU_AUTO, NULL), VC_E_NULL);
    const size_t wrong[] = {0, 1, 32, 63, 65, 96, 1000, 2048, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        VC_CHECK_EQ(vc_fft_create(&fft, wrong[i], VC_CPU_AUTO, NULL), VC_E_RANGE);
    VC_CHECK(fft == NULL);
    VC_CHECK_EQ(vc_fft_create(&fft, 64, (vc_cpu_level)50, NULL), VC_E_RANGE);
    vc_fft_destroy(NULL);
    for (long fail_at = 0; fail_at < 2; fail_at++) {
        vc_test_heap heap = {0, 0, fail_at};
        vc_allocator allocator = vc_test_allocator(&heap);
        VC_CHECK_EQ(vc_fft_create(&fft, 256, VC_CPU_AUTO, &allocator),
                    fail_at < 1 ? VC_E_MEMORY : VC_OK);
        vc_fft_destroy(fft);
        VC_CHECK_EQ(heap.live, 0);
    }
}

VC_MAIN(VC_RUN(equals_direct_dft) VC_RUN(inverse_of_forward) VC_RUN(linear) VC_RUN(parseval)
            VC_RUN(each_tone_has_its_bin) VC_RUN(rejects_and_balance))
