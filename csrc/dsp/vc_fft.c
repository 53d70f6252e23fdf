/* vc_fft: real FFT by a complex one of half the length.
 *
 * The complex transform of rows * columns points is done in two passes ("four-step", Bailey 1990;
 * Stockham's self-sorting radix-4 stages inside): transforms of length `rows` down all columns at
 * once, a twiddle factor each, a transposition, transforms of length `columns` down all rows at
 * once. All points that a stage combines are whole rows apart, so every inner loop runs over
 * neighbours at any size, and the result comes in natural order. Twiddles are computed in double.
 *
 * Error: f32 rounding, signal to error above 130 dB (test_fft.c has the bound). Limits: real input,
 * n = 64, 128, 256, 512, 1024. A level whose vectors are wider than the rows of a small n leaves
 * that n to the next narrower one.
 */
#include "dsp/vc_fft.h"

#include <math.h>
#include <pthread.h>

#include "dsp/vc_fft_kernels.h"

/* A plan's tables: four arrays of half, and the stages' 6 floats for each of less than length / 3
 * butterflies, at the most 32 points a pass: 132, and up to whole cache lines. */
enum { MIN_SIZE = 64, MAX_SIZE = 1024, SIZES = 5, STAGES = 144 };
enum { TABLES = 2 * (2 * MAX_SIZE - MIN_SIZE) + SIZES * STAGES };

struct vc_fft {
    vc_fft_plan plan;
    const vc_fft_kernels *kernels;
    const vc_allocator *allocator;
};

/* Of each size, filled with the first plan of any: thousands of echo cancellers, in turn on one
 * processor, would else have a copy each. */
static _Alignas(64) float tables[TABLES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const vc_fft_kernels *kernels_of(vc_cpu_level level, size_t rows)
{
#if defined(__x86_64__)
    if (level == VC_CPU_AVX512 && rows % vc_fft_kernels_avx512.lanes == 0)
        return &vc_fft_kernels_avx512;
    if (level >= VC_CPU_AVX2 && rows % vc_fft_kernels_avx2.lanes == 0) return &vc_fft_kernels_avx2;
#elif defined(__aarch64__)
    (void)rows; /* the shortest are as long as a vector */
    if (level == VC_CPU_NEON) return &vc_fft_kernels_neon;
#else
    (void)level, (void)rows;
#endif
    return &vc_fft_kernels_c;
}

static void turn(double *re, double *im, size_t step, size_t n)
{
    const double pi = 3.14159265358979323846;
    double angle = -2.0 * pi * (double)(step % n) / (double)n;
    *re = cos(angle);
    *im = sin(angle);
}

/* The radix-4 stages' twiddles for one length; returns the floats written. */
static size_t stage_turns(float *to, size_t length)
{
    size_t written = 0;
    for (size_t left = length; left >= 4; left /= 4)
        for (size_t p = 0; p < left / 4; p++)
            for (size_t k = 1; k <= 3; k++) {
                double re, im;
                turn(&re, &im, p * k, left);
                to[written++] = (float)re;
                to[written++] = (float)im;
            }
    return written;
}

static void fill(const vc_fft_plan *plan, size_t n, float *table)
{
    float *middle_re = table, *middle_im = middle_re + plan->half;
    float *real_re = middle_im + plan->half, *real_im = real_re + plan->half;
    float *turns = real_im + plan->half;
    double re, im;
    for (size_t row = 0; row < plan->rows; row++)
        for (size_t column = 0; column < plan->columns; column++) {
            turn(&re, &im, row * column, plan->half);
            middle_re[row * plan->columns + column] = (float)re;
            middle_im[row * plan->columns + column] = (float)im;
        }
    for (size_t k = 0; k < plan->half; k++) {
        turn(&re, &im, k, n);
        real_re[k] = (float)(0.5 * re);
        real_im[k] = (float)(0.5 * im);
    }
    (void)stage_turns(turns + stage_turns(turns, plan->rows), plan->columns);
}

/* Floats of the stages' twiddles for one length. */
static size_t turns_of(size_t length)
{
    size_t count = 0;
    for (size_t left = length; left >= 4; left /= 4) count += 6 * (left / 4);
    return count;
}

static void shape(vc_fft_plan *plan, size_t n)
{
    plan->half = n / 2;
    plan->rows = 4;
    while (plan->rows * plan->rows * 4 <= n / 2) plan->rows *= 2;
    plan->columns = n / 2 / plan->rows;
}

static float *table_of(size_t n)
{
    float *table = tables;
    for (size_t before = MIN_SIZE; before < n; before *= 2) table += 2 * before + STAGES;
    return table;
}

static void fill_all(void)
{
    for (size_t n = MIN_SIZE; n <= MAX_SIZE; n *= 2) {
        vc_fft_plan plan;
        shape(&plan, n);
        fill(&plan, n, table_of(n));
    }
}

vc_status vc_fft_create(vc_fft **out, size_t n, vc_cpu_level cpu_level,
                        const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (n < MIN_SIZE || n > MAX_SIZE || (n & (n - 1))) return VC_E_RANGE;
    vc_cpu_level level;
    vc_status status = vc_cpu_resolve(cpu_level, &level);
    if (status != VC_OK) return status;
    vc_fft *fft = vc_allocate(allocator, sizeof *fft);
    if (!fft) return VC_E_MEMORY;
    fft->allocator = allocator;
    vc_fft_plan *plan = &fft->plan;
    shape(plan, n);
    fft->kernels = kernels_of(level, plan->rows);
    (void)pthread_once(&once, fill_all);
    plan->middle_re = table_of(n);
    plan->middle_im = plan->middle_re + plan->half;
    plan->real_re = plan->middle_im + plan->half;
    plan->real_im = plan->real_re + plan->half;
    plan->row_turns = plan->real_im + plan->half;
    plan->column_turns = plan->row_turns + turns_of(plan->rows);
    *out = fft;
    return VC_OK;
}

void vc_fft_destroy(vc_fft *fft)
{
    if (!fft) return;
    vc_release(fft->allocator, fft);
}

size_t vc_fft_size(const vc_fft *fft)
{
    return 2 * fft->plan.half;
}

size_t vc_fft_scratch_floats(const vc_fft *fft)
{
    return 4 * fft->plan.half;
}

void vc_fft_forward(const vc_fft *fft, const float *in, float *bins, float *scratch)
{
    fft->kernels->forward(&fft->plan, in, bins, scratch);
}

void vc_fft_inverse(const vc_fft *fft, const float *bins, float *out, float *scratch)
{
    fft->kernels->inverse(&fft->plan, bins, out, scratch);
}
