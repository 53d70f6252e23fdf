/* vc_spectrum: against a direct transform in double, there and back. Bounds: 1e-5 of the input's
 * norm; bins 0 and n/2 are zero. */
#include "aec/vc_spectrum.h"

#include "vc_test_echo.h"

enum { MOST = 1024 };
static float x[MOST], re[MOST / 2], im[MOST / 2];

static void check_size(size_t n, vc_cpu_level level)
{
    vc_spectrum *spectrum;
    VC_NEED(vc_spectrum_create(&spectrum, n, level, NULL) == VC_OK);
    VC_CHECK_EQ(vc_spectrum_size(spectrum), n);
    uint32_t seed = 3;
    vc_test_white(x, (int)n, 0.5f, &seed);
    memcpy(vc_spectrum_samples(spectrum), x, n * sizeof *x);
    vc_spectrum_forward(spectrum, re, im);
    const double norm = sqrt(vc_test_power(x, (int)n));
    double worst = 0.0, mean = 0.0, alternating = 0.0;
    for (size_t k = 1; k < n / 2; k++) {
        double a = 0.0, b = 0.0;
        for (size_t i = 0; i < n; i++) {
            const double turn = 2.0 * VC_TEST_PI * (double)(k * i % n) / (double)n;
            a += (double)x[i] * cos(turn);
            b -= (double)x[i] * sin(turn);
        }
        worst = fmax(worst, fmax(fabs(a - (double)re[k]), fabs(b - (double)im[k])));
    }
    VC_CHECK(worst < 1e-5 * norm);
    VC_CHECK(re[0] == 0.0f && im[0] == 0.0f);

    /* Back come the samples without what bins 0 and n/2 held: their mean, and that of x (-1)^i. */
    for (size_t i = 0; i < n; i++) {
        mean += (double)x[i] / (double)n;
        alternating += (i % 2 ? -1.0 : 1.0) * (double)x[i] / (double)n;
    }
    vc_spectrum_inverse(spectrum, re, im);
    const float *back = vc_spectrum_samples(spectrum);
    worst = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double want = (double)x[i] - mean - (i % 2 ? -alternating : alternating);
        worst = fmax(worst, fabs(want - (double)back[i]));
    }
    VC_CHECK(worst < 1e-5);
    vc_spectrum_destroy(spectrum);
}

VC_TEST(there_and_back)
{
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        for (size_t n = 64; n <= MOST; n *= 2) check_size(n, usable);
    }
}

VC_TEST(rejects_and_memory)
{
    vc_spectrum *spectrum;
    VC_CHECK_EQ(vc_spectrum_create(NULL, 512, VC_CPU_AUTO, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_spectrum_create(&spectrum, 500, VC_CPU_AUTO, NULL), VC_E_RANGE);
    VC_CHECK(spectrum == NULL);
    vc_spectrum_destroy(NULL);
    for (long fail_at = 0;; fail_at++) {
        vc_test_heap heap = {0, 0, fail_at};
        vc_allocator allocator = vc_test_allocator(&heap);
        vc_status status = vc_spectrum_create(&spectrum, 256, VC_CPU_AUTO, &allocator);
        if (status == VC_OK) {
            vc_spectrum_destroy(spectrum);
            VC_CHECK_EQ(heap.live, 0);
            VC_CHECK(fail_at >= 2);
            break;
        }
        VC_CHECK_EQ(status, VC_E_MEMORY);
        VC_CHECK(spectrum == NULL);
        VC_CHECK_EQ(heap.live, 0);
    }
}

VC_MAIN(VC_RUN(there_and_back) VC_RUN(rejects_and_memory))
