/* body_fft: the transforms of vc_fft_kernels.h. The including file defines VC_FFT_TABLE, the name
 * of the table of its level. The method is described in vc_fft.c. */
#include "dsp/vc_fft_kernels.h"
#include "kernels/vc_lanes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

/* Real and imaginary parts in arrays of their own. */
typedef struct split {
    float *re, *im;
} split;

/* One radix-4 butterfly on `run` neighbours; rows of x are x_step apart, rows of y `run`. */
ALWAYS_INLINE void butterfly4(split x, split y, size_t x_step, size_t run, const float *turns,
                              const int turned)
{
    vc_lanes w[6];
    if (turned)
        for (int i = 0; i < 6; i++) w[i] = vc_lanes_fill(turns[i]);
    for (size_t q = 0; q < run; q += VC_LANES) {
        vc_lanes ar = vc_lanes_load(x.re + q), ai = vc_lanes_load(x.im + q);
        vc_lanes br = vc_lanes_load(x.re + q + x_step), bi = vc_lanes_load(x.im + q + x_step);
        vc_lanes cr = vc_lanes_load(x.re + q + 2 * x_step),
                 ci = vc_lanes_load(x.im + q + 2 * x_step);
        vc_lanes dr = vc_lanes_load(x.re + q + 3 * x_step),
                 di = vc_lanes_load(x.im + q + 3 * x_step);
        vc_lanes sr = vc_lanes_add(ar, cr), si = vc_lanes_add(ai, ci);
        vc_lanes tr = vc_lanes_sub(ar, cr), ti = vc_lanes_sub(ai, ci);
        vc_lanes ur = vc_lanes_add(br, dr), ui = vc_lanes_add(bi, di);
        vc_lanes vr = vc_lanes_sub(br, dr), vi = vc_lanes_sub(bi, di);
        vc_lanes r[3] = {vc_lanes_add(tr, vi), vc_lanes_sub(sr, ur), vc_lanes_sub(tr, vi)};
        vc_lanes i[3] = {vc_lanes_sub(ti, vr), vc_lanes_sub(si, ui), vc_lanes_add(ti, vr)};
        vc_lanes_store(y.re + q, vc_lanes_add(sr, ur));
        vc_lanes_store(y.im + q, vc_lanes_add(si, ui));
        for (int k = 0; k < 3; k++) {
            vc_lanes re = r[k], im = i[k];
            if (turned) {
                re = vc_lanes_nmadd(i[k], w[2 * k + 1], vc_lanes_mul(r[k], w[2 * k]));
                im = vc_lanes_madd(i[k], w[2 * k], vc_lanes_mul(r[k], w[2 * k + 1]));
            }
            vc_lanes_store(y.re + q + (size_t)(k + 1) * run, re);
            vc_lanes_store(y.im + q + (size_t)(k + 1) * run, im);
        }
    }
}

ALWAYS_INLINE split moved(split s, size_t by)
{
    return (split){s.re + by, s.im + by};
}

/* `batch` interleaved transforms of `length` points: x[point][batch]. x and y change roles at each
 * stage; the result is in *x. */
ALWAYS_INLINE void transform(split *x, split *y, size_t length, size_t batch, const float *turns)
{
    size_t run = batch;
    for (size_t left = length; left > 1;) {
        if (left == 2) {
            for (size_t q = 0; q < run; q += VC_LANES) {
                vc_lanes ar = vc_lanes_load(x->re + q), ai = vc_lanes_load(x->im + q);
                vc_lanes br = vc_lanes_load(x->re + q + run), bi = vc_lanes_load(x->im + q + run);
                vc_lanes_store(y->re + q, vc_lanes_add(ar, br));
                vc_lanes_store(y->im + q, vc_lanes_add(ai, bi));
                vc_lanes_store(y->re + q + run, vc_lanes_sub(ar, br));
                vc_lanes_store(y->im + q + run, vc_lanes_sub(ai, bi));
            }
            left = 1;
        } else {
            size_t quarter = left / 4, step = quarter * run;
            butterfly4(*x, *y, step, run, turns, 0);
            for (size_t p = 1; p < quarter; p++)
                butterfly4(moved(*x, p * run), moved(*y, 4 * p * run), step, run, turns + 6 * p, 1);
            turns += 6 * quarter;
            run *= 4;
            left = quarter;
        }
        split swap = *x;
        *x = *y;
        *y = swap;
    }
}

#if defined(__clang__) || __GNUC__ >= 12
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t quad_places __attribute__((vector_size(16)));
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (quad_places){i, j, k, l})
#endif
#define QUAD(p) (*(quad *)(p))

ALWAYS_INLINE void transpose4(const quad in[4], float *out, size_t stride)
{
    quad ab_low = PICK(in[0], in[1], 0, 4, 1, 5), ab_high = PICK(in[0], in[1], 2, 6, 3, 7);
    quad cd_low = PICK(in[2], in[3], 0, 4, 1, 5), cd_high = PICK(in[2], in[3], 2, 6, 3, 7);
    QUAD(out) = PICK(ab_low, cd_low, 0, 1, 4, 5);
    QUAD(out + stride) = PICK(ab_low, cd_low, 2, 3, 6, 7);
    QUAD(out + 2 * stride) = PICK(ab_high, cd_high, 0, 1, 4, 5);
    QUAD(out + 3 * stride) = PICK(ab_high, cd_high, 2, 3, 6, 7);
}

/* y[column][row] = x[row][column] * middle[row][column] */
ALWAYS_INLINE void turn_and_transpose(const vc_fft_plan *plan, split x, split y)
{
    for (size_t row = 0; row < plan->rows; row += 4)
        for (size_t column = 0; column < plan->columns; column += 4) {
            quad re[4], im[4];
            for (size_t i = 0; i < 4; i++) {
                size_t at = (row + i) * plan->columns + column;
                quad xr = QUAD(x.re + at), xi = QUAD(x.im + at);
                quad wr = *(const quad *)(plan->middle_re + at);
                quad wi = *(const quad *)(plan->middle_im + at);
                re[i] = xr * wr - xi * wi;
                im[i] = xr * wi + xi * wr;
            }
            transpose4(re, y.re + column * plan->rows + row, plan->rows);
            transpose4(im, y.im + column * plan->rows + row, plan->rows);
        }
}

/* The complex transform of *x, unscaled, in natural order; y is its work space. Result in *x. */
ALWAYS_INLINE void complex_transform(const vc_fft_plan *plan, split *x, split *y)
{
    transform(x, y, plan->rows, plan->columns, plan->row_turns);
    turn_and_transpose(plan, *x, *y);
    split swap = *x;
    *x = *y;
    *y = swap;
    transform(x, y, plan->columns, plan->rows, plan->column_turns);
}

/* Even samples are the real, odd the imaginary part of a transform of half the length; its bins k
 * and half - k then give the real one's: X[k] = even[k] + exp(-2 pi i k / n) odd[k]. */
static void forward(const vc_fft_plan *plan, const float *restrict in, float *restrict bins,
                    float *restrict scratch)
{
    const size_t half = plan->half;
    split x = {scratch, scratch + half}, y = {scratch + 2 * half, scratch + 3 * half};
    for (size_t k = 0; k < half; k++) {
        scratch[k] = in[2 * k];
        scratch[half + k] = in[2 * k + 1];
    }
    complex_transform(plan, &x, &y);
    const float *restrict re = x.re, *restrict im = x.im;
    const float *restrict wr = plan->real_re, *restrict wi = plan->real_im;
    for (size_t k = 1; k < half; k++) {
        float odd_re = im[k] + im[half - k], odd_im = re[half - k] - re[k];
        bins[2 * k] = 0.5f * (re[k] + re[half - k]) + (odd_re * wr[k] - odd_im * wi[k]);
        bins[2 * k + 1] = 0.5f * (im[k] - im[half - k]) + (odd_re * wi[k] + odd_im * wr[k]);
    }
    bins[0] = re[0] + im[0];
    bins[1] = 0.0f;
    bins[2 * half] = re[0] - im[0];
    bins[2 * half + 1] = 0.0f;
}

/* The forward steps undone; the complex transform is inverted by exchanging re and im. */
static void inverse(const vc_fft_plan *plan, const float *restrict bins, float *restrict out,
                    float *restrict scratch)
{
    const size_t half = plan->half;
    split x = {scratch, scratch + half}, y = {scratch + 2 * half, scratch + 3 * half};
    for (size_t k = 0; k < half; k++) {
        y.re[k] = bins[2 * k];
        y.im[k] = bins[2 * k + 1];
    }
    const float *restrict re = y.re, *restrict im = y.im;
    const float *restrict wr = plan->real_re, *restrict wi = plan->real_im;
    const float scale = 1.0f / (float)half;
    for (size_t k = 1; k < half; k++) {
        float sum_re = 0.5f * (re[k] + re[half - k]), sum_im = 0.5f * (im[k] - im[half - k]);
        float odd_re = re[k] - re[half - k], odd_im = im[k] + im[half - k];
        float turned_re = odd_re * wr[k] + odd_im * wi[k];
        float turned_im = odd_im * wr[k] - odd_re * wi[k];
        scratch[k] = (sum_re - turned_im) * scale;
        scratch[half + k] = (sum_im + turned_re) * scale;
    }
    scratch[0] = 0.5f * (bins[0] + bins[2 * half]) * scale;
    scratch[half] = 0.5f * (bins[0] - bins[2 * half]) * scale;
    x = (split){x.im, x.re};
    y = (split){y.im, y.re};
    complex_transform(plan, &x, &y);
    const float *restrict even = x.im, *restrict odd = x.re;
    for (size_t k = 0; k < half; k++) {
        out[2 * k] = even[k];
        out[2 * k + 1] = odd[k];
    }
}

const vc_fft_kernels VC_FFT_TABLE = {VC_LANES, forward, inverse};
