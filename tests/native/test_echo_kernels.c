/* vc_echo_kernels: fir and correlate at each level. Oracle: plain sums in double. Bounds: the
 * rounding of f32 and of bf16, and the same bits at each level where the header says so. predict
 * and learn have their cases in tests/kernels. */
#include "aec/vc_echo_kernels.h"

#include "vc_test_echo.h"

enum { MOST = 160, TAPS = 32, BINS = VC_ECHO_LAG_BINS };

VC_TEST(fir_is_the_sum_and_the_same_at_each_level)
{
    float taps[TAPS], x[MOST + TAPS], plain[MOST], wide[MOST];
    uint32_t seed = 1;
    for (size_t count = 2; count <= TAPS; count += 2)
        for (size_t n = 16; n <= MOST; n += 16) {
            vc_test_white(taps, TAPS, 1.0f, &seed);
            vc_test_white(x, MOST + TAPS, 1.0f, &seed);
            vc_echo_kernels_of(VC_CPU_C)->fir(taps, count, x, plain, n);
            for (size_t i = 0; i < n; i++) {
                double sum = 0.0;
                for (size_t k = 0; k < count; k++) sum += (double)taps[k] * (double)x[i + k];
                VC_CHECK(fabs((double)plain[i] - sum) < 4e-6);
            }
            for (int level = VC_CPU_NEON; level <= VC_CPU_AVX512; level++) {
                vc_cpu_level usable;
                if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
                vc_echo_kernels_of(usable)->fir(taps, count, x, wide, n);
                VC_CHECK(memcmp(plain, wide, n * sizeof *wide) == 0);
            }
        }
}

static double value_of(uint16_t bf16)
{
    const uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

VC_TEST(correlate_is_the_product_and_its_power)
{
    float re[BINS], im[BINS];
    uint16_t to[2][2][BINS] = {{{0}}};
    double want[2][BINS] = {{0.0}};
    int8_t x[2 * BINS];
    uint32_t seed = 2;
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        memset(to, 0, sizeof to);
        memset(want, 0, sizeof want);
        for (int round = 0; round < 100; round++) {
            vc_test_white(re, BINS, 0.1f, &seed);
            vc_test_white(im, BINS, 0.1f, &seed);
            for (int k = 0; k < 2 * BINS; k++) x[k] = (int8_t)(vc_test_random(&seed) >> 24);
            double power = 0.0;
            for (int k = 0; k < BINS; k++) {
                const double r = re[k], i = im[k], a = x[k], b = x[BINS + k];
                want[0][k] = 0.9 * value_of(to[0][0][k]) + r * a + i * b;
                want[1][k] = 0.9 * value_of(to[0][1][k]) + i * a - r * b;
                power += want[0][k] * want[0][k] + want[1][k] * want[1][k];
            }
            const float got =
                vc_echo_kernels_of(usable)->correlate(x, re, im, 0.9f, to[0][0], to[0][1]);
            const float plain =
                vc_echo_kernels_of(VC_CPU_C)->correlate(x, re, im, 0.9f, to[1][0], to[1][1]);
            VC_CHECK(fabs((double)got / power - 1.0) < 1e-4);
            VC_CHECK(fabs((double)plain / power - 1.0) < 1e-4);
            VC_CHECK(memcmp(to[0], to[1], sizeof to[0]) == 0); /* the averages, bit for bit */
            for (int k = 0; k < BINS; k++) {
                for (int part = 0; part < 2; part++) /* 8 bits; f32 where the terms cancel */
                    VC_CHECK(fabs(value_of(to[0][part][k]) - want[part][k]) <=
                             fabs(want[part][k]) / 256.0 + 1e-4);
            }
        }
    }
}

VC_MAIN(VC_RUN(fir_is_the_sum_and_the_same_at_each_level)
            VC_RUN(correlate_is_the_product_and_its_power))
