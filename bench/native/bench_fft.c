/* Prints "level n forward_ns inverse_ns", best of many rounds; run by bench/bench_fft.py. */
#include <stdio.h>
#include <time.h>

#include "dsp/vc_fft.h"

enum { MOST = 1024, ROUNDS = 200, CALLS = 100 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static float in[MOST], bins[MOST + 2], scratch[2 * MOST];

static double best_ns(const vc_fft *fft, int forward)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < CALLS; i++) {
            if (forward)
                vc_fft_forward(fft, in, bins, scratch);
            else
                vc_fft_inverse(fft, bins, in, scratch);
        }
        double each = (now_ns() - start) / CALLS;
        if (each < best) best = each;
    }
    return best;
}

int main(void)
{
    for (int i = 0; i < MOST; i++) in[i] = (float)(i * 7919 % 1000) / 1000.0f - 0.5f;
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++)
        for (size_t n = 64; n <= MOST; n *= 2) {
            vc_fft *fft;
            if (vc_fft_create(&fft, n, (vc_cpu_level)level, NULL) != VC_OK) continue;
            double forward = best_ns(fft, 1), inverse = best_ns(fft, 0);
            printf("%s %zu %.0f %.0f\n", vc_cpu_name((vc_cpu_level)level), n, forward, inverse);
            vc_fft_destroy(fft);
        }
    return 0;
}
