/* body_silero: one step of the Silero VAD v6.2 network, compiled once per CPU level.
 *
 * Graph: 4 frames of an STFT (magnitudes) -> conv 3 taps -> conv 3 taps stride 2 -> conv 3 taps
 * stride 2 -> conv -> LSTM cell of 128 -> linear -> sigmoid; ReLU after each convolution.
 *
 * STFT: n = 16 r + c and k = k1 + rows k2 split the DFT of 16 x rows points into `rows`-point real
 * DFTs down the columns (only k1 = 0 .. rows/2, the input is real) and, with the twiddle factors
 * folded in, a small matrix product along the rows. Magnitudes need no untangling: bins above the
 * middle equal those mirrored below it, and conv1's weights are packed in the order of the output.
 * Layers: a tile of rows (frames or streams) x TILE vectors of outputs stays in registers
 * while the inputs run; taps that only meet padding are left out.
 * Order: each output is one chain: bias, then the inputs in order. One row or more, skipping zero
 * inputs or not, the chain is the same, so a batch equals single steps bit for bit. (A sum that
 * starts at a bias that is not -0 is never -0, so adding a zero product changes nothing.)
 */
#include "kernels/vc_silero_kernel.h"

#include <string.h>

#include "kernels/vc_lanes.h"

#define INLINE static inline __attribute__((always_inline))

/* What vc_lanes.h does not have, and vectors of outputs at once: TILE beside 4 frames of one stream
 * or ROWS streams, CONV1_WIDE beside 4 frames of CONV_ROWS streams, so that the sums, the weights
 * and an input fit the level's registers and no sum waits for its last product. */
#if defined(VC_SILERO_AVX512)
enum { TILE = 4, CONV1_WIDE = 2 };
#define lanes_sub(a, b)      _mm512_sub_ps(a, b)
#define lanes_mul(a, b)      _mm512_mul_ps(a, b)
#define lanes_msub(a, b, to) _mm512_fnmadd_ps(a, b, to)
#define lanes_sqrt(a)        _mm512_sqrt_ps(a)
#define lanes_relu(a)        _mm512_max_ps(a, _mm512_setzero_ps())
#define load_frames(p)       _mm512_broadcast_f32x4(_mm_loadu_ps(p))
#define lanes_low(a, b)      _mm512_unpacklo_ps(a, b)
#define lanes_high(a, b)     _mm512_unpackhi_ps(a, b)
#define lanes_low2(a, b)     _mm512_shuffle_ps(a, b, 0x44)
#define lanes_high2(a, b)    _mm512_shuffle_ps(a, b, 0xee)
#elif defined(VC_SILERO_AVX2)
enum { TILE = 2, CONV1_WIDE = 1 };
#define lanes_sub(a, b)      _mm256_sub_ps(a, b)
#define lanes_mul(a, b)      _mm256_mul_ps(a, b)
#define lanes_msub(a, b, to) _mm256_fnmadd_ps(a, b, to)
#define lanes_sqrt(a)        _mm256_sqrt_ps(a)
#define lanes_relu(a)        _mm256_max_ps(a, _mm256_setzero_ps())
#define load_frames(p)       _mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define lanes_low(a, b)      _mm256_unpacklo_ps(a, b)
#define lanes_high(a, b)     _mm256_unpackhi_ps(a, b)
#define lanes_low2(a, b)     _mm256_shuffle_ps(a, b, 0x44)
#define lanes_high2(a, b)    _mm256_shuffle_ps(a, b, 0xee)
#elif defined(__aarch64__) /* neon, and c: the baseline has it */
enum { TILE = 4, CONV1_WIDE = 2 };
#define lanes_sub(a, b)      vsubq_f32(a, b)
#define lanes_mul(a, b)      vmulq_f32(a, b)
#define lanes_msub(a, b, to) vfmsq_f32(to, a, b)
#define lanes_sqrt(a)        vsqrtq_f32(a)
#define lanes_relu(a)        vmaxq_f32(a, vdupq_n_f32(0.0f))
#define load_frames(p)       vld1q_f32(p)
#define lanes_low(a, b)      vzip1q_f32(a, b)
#define lanes_high(a, b)     vzip2q_f32(a, b)
#define lanes_low2(a, b)     vcombine_f32(vget_low_f32(a), vget_low_f32(b))
#define lanes_high2(a, b)    vcombine_f32(vget_high_f32(a), vget_high_f32(b))
#else
enum { TILE = 2, CONV1_WIDE = 1 };
typedef int32_t lanes_bits __attribute__((vector_size(16)));
#define lanes_sub(a, b)      ((a) - (b))
#define lanes_mul(a, b)      ((a) * (b))
#define lanes_msub(a, b, to) ((to) - (a) * (b))
#define lanes_relu(a)        ((vc_lanes)((lanes_bits)(a) & (lanes_bits)((a) > vc_lanes_zero())))
#define load_frames(p)       vc_lanes_load(p)
#define lanes_low(a, b)      ((vc_lanes){(a)[0], (b)[0], (a)[1], (b)[1]})
#define lanes_high(a, b)     ((vc_lanes){(a)[2], (b)[2], (a)[3], (b)[3]})
#define lanes_low2(a, b)     ((vc_lanes){(a)[0], (a)[1], (b)[0], (b)[1]})
#define lanes_high2(a, b)    ((vc_lanes){(a)[2], (a)[3], (b)[2], (b)[3]})

static inline vc_lanes lanes_sqrt(vc_lanes a)
{
    return (vc_lanes){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]),
                      __builtin_sqrtf(a[3])};
}
#endif
#if defined(VC_SILERO_AVX512) || defined(VC_SILERO_AVX2) || defined(__aarch64__)
#define one_fma(a, b, c) __builtin_fmaf(a, b, c)
#else
#define one_fma(a, b, c) ((a) * (b) + (c))
#endif

enum { ROWS = 6, CONV_ROWS = VC_SILERO_CONV_ROWS, CONV1_BLOCK = VC_LANES * CONV1_WIDE };
enum { BLOCK = VC_LANES * TILE, COLUMNS = VC_SILERO_COLUMNS, HIDDEN = VC_SILERO_HIDDEN };
enum { CONV1_FLOATS = VC_SILERO_FRAMES * 128, FRAMES = VC_SILERO_FRAMES };
enum { ROW_FLOATS = sizeof(vc_silero_row) / sizeof(float) };
enum { MAGNITUDE_FLOATS = VC_SILERO_MAGNITUDES * FRAMES };

/* exp for |x| <= 87, relative error about 1e-7: Cephes expf, S. Moshier. */
INLINE float exp_limited(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to an integer in the low bits */
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    float t = one_fma(x, 1.44269504088896341f, magic);
    float n = t - magic;
    float r = one_fma(n, -0.693359375f, x);
    r = one_fma(n, 2.12194440e-4f, r);
    float p = one_fma(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = one_fma(p, r, 8.3334519073e-3f);
    p = one_fma(p, r, 4.1665795894e-2f);
    p = one_fma(p, r, 1.6666665459e-1f);
    p = one_fma(p, r, 5.0000001201e-1f);
    p = one_fma(p, r * r, r) + 1.0f;
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

INLINE float sigmoid(float x)
{
    return 1.0f / (1.0f + exp_limited(-x));
}

INLINE float tanh_limited(float x)
{
    return 1.0f - 2.0f / (1.0f + exp_limited(2.0f * x));
}

/* Context, window, reflected end. What is not finite or below -300 dB counts as 0 (the latter
 * keeps denormals out); what is beyond any signal is limited, so that no sum overflows. The tests
 * are made on the bits, which are ordered like the sizes. */
static void gather(const vc_silero_net *net, const float *restrict window,
                   vc_silero_state *restrict state, float *restrict input)
{
    enum { LIMIT = 0x47800000, TINY = 0x26901d7d, NOT_FINITE = 0x7f800000 }; /* 65536, 1e-15 */
    size_t context = 4 * net->rows, n = 32 * net->rows;
    memcpy(input, state->context, context * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, window + i, sizeof bits);
        int32_t size = (int32_t)(bits & 0x7fffffffu);
        int32_t limited = size > LIMIT ? LIMIT : size;
        int32_t kept = ((size >= TINY) & (size < NOT_FINITE)) ? limited : 0;
        bits = (bits & 0x80000000u) | (uint32_t)kept;
        memcpy(input + context + i, &bits, sizeof bits);
    }
    memcpy(state->context, input + n, context * sizeof(float));
    size_t end = context + n;
    for (size_t i = 0; i < context; i++) input[end + i] = input[end - 2 - i];
}

/* 4 frames of VC_LANES columns -> [column % 4][column / 4][frame]; p already points at the first
 * column (of a multiple of 4). */
INLINE void store_frames(float *p, vc_lanes a, vc_lanes b, vc_lanes c, vc_lanes d)
{
    vc_lanes ab = lanes_low(a, b), cd = lanes_low(c, d);
    vc_lanes_store(p, lanes_low2(ab, cd));
    vc_lanes_store(p + 16, lanes_high2(ab, cd));
    ab = lanes_high(a, b), cd = lanes_high(c, d);
    vc_lanes_store(p + 32, lanes_low2(ab, cd));
    vc_lanes_store(p + 48, lanes_high2(ab, cd));
}

INLINE vc_lanes size_of(vc_lanes re, vc_lanes im)
{
    return lanes_sqrt(vc_lanes_madd(im, im, lanes_mul(re, re)));
}

/* 8-point real DFT: x[0..7] -> re[0..4], im[1..3] at the given step. */
INLINE void dft8(const vc_lanes *x, vc_lanes *re, vc_lanes *im, size_t step)
{
    const vc_lanes half = vc_lanes_fill(0.70710678118654752f);
    vc_lanes a0 = vc_lanes_add(x[0], x[4]), a1 = vc_lanes_add(x[1], x[5]);
    vc_lanes a2 = vc_lanes_add(x[2], x[6]), a3 = vc_lanes_add(x[3], x[7]);
    vc_lanes b0 = lanes_sub(x[0], x[4]), b1 = lanes_sub(x[1], x[5]);
    vc_lanes b2 = lanes_sub(x[2], x[6]), b3 = lanes_sub(x[3], x[7]);
    vc_lanes s = vc_lanes_add(a0, a2), t = vc_lanes_add(a1, a3);
    re[0] = vc_lanes_add(s, t);
    re[4 * step] = lanes_sub(s, t);
    re[2 * step] = lanes_sub(a0, a2);
    im[2 * step] = lanes_sub(a3, a1);
    vc_lanes u = lanes_mul(half, lanes_sub(b1, b3)), v = lanes_mul(half, vc_lanes_add(b1, b3));
    re[step] = vc_lanes_add(b0, u);
    re[3 * step] = lanes_sub(b0, u);
    im[step] = lanes_sub(vc_lanes_fill(0.0f), vc_lanes_add(b2, v));
    im[3 * step] = lanes_sub(b2, v);
}

/* 16-point real DFT: x[0..15] -> re[0..8], im[1..7]; x is overwritten. */
INLINE void dft16(vc_lanes *x, vc_lanes *re, vc_lanes *im)
{
    const float c1 = 0.92387953251128676f, c2 = 0.70710678118654752f, c3 = 0.38268343236508977f;
    vc_lanes odd[8];
    for (int r = 0; r < 8; r++) {
        odd[r] = lanes_sub(x[r], x[r + 8]);
        x[r] = vc_lanes_add(x[r], x[r + 8]);
    }
    dft8(x, re, im, 2);
    /* cos and sin of pi r k / 8 for odd k, r = 1, 2, 3 */
    const float cosine[4][3] = {{c1, c2, c3}, {c3, -c2, -c1}, {-c3, -c2, c1}, {-c1, c2, -c3}};
    const float sine[4][3] = {{c3, c2, c1}, {c1, c2, -c3}, {c1, -c2, -c3}, {c3, -c2, c1}};
    vc_lanes d1 = lanes_sub(odd[1], odd[7]), d2 = lanes_sub(odd[2], odd[6]),
             d3 = lanes_sub(odd[3], odd[5]);
    vc_lanes s1 = vc_lanes_add(odd[1], odd[7]), s2 = vc_lanes_add(odd[2], odd[6]),
             s3 = vc_lanes_add(odd[3], odd[5]);
    for (int j = 0; j < 4; j++) {
        vc_lanes p = vc_lanes_madd(vc_lanes_fill(cosine[j][0]), d1, odd[0]);
        p = vc_lanes_madd(vc_lanes_fill(cosine[j][1]), d2, p);
        re[2 * j + 1] = vc_lanes_madd(vc_lanes_fill(cosine[j][2]), d3, p);
        vc_lanes q = j & 1 ? odd[4] : lanes_sub(vc_lanes_fill(0.0f), odd[4]);
        q = vc_lanes_madd(vc_lanes_fill(-sine[j][0]), s1, q);
        q = vc_lanes_madd(vc_lanes_fill(-sine[j][1]), s2, q);
        im[2 * j + 1] = vc_lanes_madd(vc_lanes_fill(-sine[j][2]), s3, q);
    }
}

/* Down the columns. out[k1][re, im][column % 4][column / 4][frame]: the vectors of the 4 frames
 * are transposed within their groups of 4 lanes, which sorts the columns into the 4 classes of the
 * next step for free. */
INLINE void dft_columns(const vc_silero_net *net, const float *input, float *out, size_t rows)
{
    size_t half = rows / 2, hop = 8 * rows;
    for (size_t c = 0; c < COLUMNS; c += VC_LANES) {
        vc_lanes re[FRAMES][9], im[FRAMES][9];
        for (size_t f = 0; f < FRAMES; f++) {
            vc_lanes x[16];
            for (size_t r = 0; r < rows; r++)
                x[r] = lanes_mul(vc_lanes_load(input + f * hop + COLUMNS * r + c),
                                 vc_lanes_load(net->window + COLUMNS * r + c));
            if (rows == 16)
                dft16(x, re[f], im[f]);
            else
                dft8(x, re[f], im[f], 1);
        }
        for (size_t k = 0; k <= half; k++) {
            float *to = out + 2 * 64 * k + c;
            store_frames(to, re[0][k], re[1][k], re[2][k], re[3][k]);
            if (k > 0 && k < half) store_frames(to + 64, im[0][k], im[1][k], im[2][k], im[3][k]);
        }
    }
}

/* Along the row k1: 16 bins k1 + rows k2 of 4 frames, out[k2][frame]. `real`: no imaginary part.
 * Columns c = 4 m + j: class j is summed for k2 = 0..3 with the twiddles, then a 4-point DFT over
 * the classes gives k2 + 4, + 8, + 12 too. A vector holds 4 frames of VC_LANES / 4 values of k2. */
INLINE void dft_row(const float *dft, const float *row, float *out, int real)
{
    for (size_t k = 0; k < 16; k += VC_LANES) {
        vc_lanes re[4], im[4];
        for (size_t j = 0; j < 4; j++) {
            re[j] = im[j] = vc_lanes_zero();
            for (size_t m = 0; m < 4; m++) {
                const float *twiddle = dft + 32 * (4 * j + m) + k;
                vc_lanes cosine = vc_lanes_load(twiddle), sine = vc_lanes_load(twiddle + 16);
                vc_lanes a = load_frames(row + 4 * (4 * j + m));
                re[j] = vc_lanes_madd(a, cosine, re[j]);
                im[j] = vc_lanes_madd(a, sine, im[j]);
                if (!real) {
                    vc_lanes b = load_frames(row + 64 + 4 * (4 * j + m));
                    re[j] = lanes_msub(b, sine, re[j]);
                    im[j] = vc_lanes_madd(b, cosine, im[j]);
                }
            }
        }
        vc_lanes a = vc_lanes_add(re[0], re[2]), b = lanes_sub(re[0], re[2]);
        vc_lanes c = vc_lanes_add(re[1], re[3]), d = lanes_sub(re[1], re[3]);
        vc_lanes p = vc_lanes_add(im[0], im[2]), q = lanes_sub(im[0], im[2]);
        vc_lanes s = vc_lanes_add(im[1], im[3]), t = lanes_sub(im[1], im[3]);
        vc_lanes_store(out + k, size_of(vc_lanes_add(a, c), vc_lanes_add(p, s)));
        vc_lanes_store(out + 16 + k, size_of(vc_lanes_add(b, t), lanes_sub(q, d)));
        vc_lanes_store(out + 32 + k, size_of(lanes_sub(a, c), lanes_sub(p, s)));
        vc_lanes_store(out + 48 + k, size_of(lanes_sub(b, t), vc_lanes_add(q, d)));
    }
}

/* Magnitudes [bin][frame]: 9 bins of row 0, 16 of each inner row, 8 of the last row. A row is
 * stored whole and the next one overwrites what is not unique. */
static void stft(const vc_silero_net *net, vc_silero_scratch *s, float *restrict magnitude)
{
    size_t half = net->rows / 2;
    if (net->rows == 16)
        dft_columns(net, s->input, s->rows, 16);
    else
        dft_columns(net, s->input, s->rows, 8);
    dft_row(net->dft, s->rows, magnitude, 1);
    for (size_t k = 1; k < half; k++)
        dft_row(net->dft + 512 * k, s->rows + 128 * k, magnitude + 4 * (9 + 16 * (k - 1)), 0);
    dft_row(net->dft + 512 * half, s->rows + 128 * half, magnitude + 4 * (9 + 16 * (half - 1)), 1);
}

/* 4 frames of n_in -> 4 frames of 128, 3 taps, zero padding. */
static void conv1(const float *restrict weight, const float *restrict bias,
                  const float *restrict in, size_t n_in, float *restrict out)
{
    for (size_t o = 0; o < 128; o += BLOCK) {
        const float *from[TILE];
        for (int v = 0; v < TILE; v++)
            from[v] = weight + (o + VC_LANES * (size_t)v) / CONV1_BLOCK * CONV1_BLOCK * 3 * n_in +
                      VC_LANES * (size_t)v % CONV1_BLOCK;
        vc_lanes sum[FRAMES][TILE];
        for (int v = 0; v < TILE; v++)
            sum[0][v] = sum[1][v] = sum[2][v] = sum[3][v] = vc_lanes_load(bias + o + VC_LANES * v);
        for (size_t i = 0; i < n_in; i++) {
            vc_lanes x0 = vc_lanes_fill(in[4 * i]), x1 = vc_lanes_fill(in[4 * i + 1]);
            vc_lanes x2 = vc_lanes_fill(in[4 * i + 2]), x3 = vc_lanes_fill(in[4 * i + 3]);
            for (int v = 0; v < TILE; v++) {
                vc_lanes w = vc_lanes_load(from[v] + 3 * CONV1_BLOCK * i);
                sum[1][v] = vc_lanes_madd(w, x0, sum[1][v]);
                sum[2][v] = vc_lanes_madd(w, x1, sum[2][v]);
                sum[3][v] = vc_lanes_madd(w, x2, sum[3][v]);
            }
            for (int v = 0; v < TILE; v++) {
                vc_lanes w = vc_lanes_load(from[v] + (3 * i + 1) * CONV1_BLOCK);
                sum[0][v] = vc_lanes_madd(w, x0, sum[0][v]);
                sum[1][v] = vc_lanes_madd(w, x1, sum[1][v]);
                sum[2][v] = vc_lanes_madd(w, x2, sum[2][v]);
                sum[3][v] = vc_lanes_madd(w, x3, sum[3][v]);
            }
            for (int v = 0; v < TILE; v++) {
                vc_lanes w = vc_lanes_load(from[v] + (3 * i + 2) * CONV1_BLOCK);
                sum[0][v] = vc_lanes_madd(w, x1, sum[0][v]);
                sum[1][v] = vc_lanes_madd(w, x2, sum[1][v]);
                sum[2][v] = vc_lanes_madd(w, x3, sum[2][v]);
            }
        }
        for (int f = 0; f < FRAMES; f++)
            for (int v = 0; v < TILE; v++)
                vc_lanes_store(out + 128 * f + o + VC_LANES * v, lanes_relu(sum[f][v]));
    }
}

/* The same for `rows` streams, whose inputs are MAGNITUDE_FLOATS apart. */
INLINE void conv1_rows(const float *restrict weight, const float *restrict bias,
                       const float *restrict in, size_t n_in, float *restrict out,
                       const size_t rows)
{
    for (size_t o = 0; o < 128; o += VC_LANES * CONV1_WIDE) {
        const float *from = weight + o * 3 * n_in;
        vc_lanes sum[CONV_ROWS][FRAMES][CONV1_WIDE];
        for (size_t r = 0; r < rows; r++)
            for (size_t f = 0; f < FRAMES; f++)
                for (size_t v = 0; v < CONV1_WIDE; v++)
                    sum[r][f][v] = vc_lanes_load(bias + o + VC_LANES * v);
        for (size_t i = 0; i < n_in; i++, from += 3 * CONV1_BLOCK) {
            vc_lanes w[3][CONV1_WIDE];
            for (size_t tap = 0; tap < 3; tap++)
                for (size_t v = 0; v < CONV1_WIDE; v++)
                    w[tap][v] = vc_lanes_load(from + tap * CONV1_BLOCK + VC_LANES * v);
            for (size_t r = 0; r < rows; r++)
                for (size_t f = 0; f < FRAMES; f++) {
                    vc_lanes x = vc_lanes_fill(in[r * MAGNITUDE_FLOATS + 4 * i + f]);
                    for (size_t tap = f == 3; tap < 3 - (size_t)(f == 0); tap++)
                        for (size_t v = 0; v < CONV1_WIDE; v++)
                            sum[r][f + 1 - tap][v] =
                                vc_lanes_madd(w[tap][v], x, sum[r][f + 1 - tap][v]);
                }
        }
        for (size_t r = 0; r < rows; r++)
            for (size_t f = 0; f < FRAMES; f++)
                for (size_t v = 0; v < CONV1_WIDE; v++)
                    vc_lanes_store(out + r * CONV1_FLOATS + 128 * f + o + VC_LANES * v,
                                   lanes_relu(sum[r][f][v]));
    }
}

/* The inputs that are not zero in all of `rows` rows; returns how many. A ReLU leaves many zeros,
 * and weights that only meet zeros are not read. AHEAD more entries name an input that is there:
 * one row alone waits for its weights, and the processor cannot guess which come next. */
enum { AHEAD = 8 };
INLINE size_t find_live(const float *in, size_t n, size_t stride, const size_t rows,
                        uint16_t *restrict live)
{
    uint32_t any[256]; /* the bits of all rows but the sign: a first loop that vectorizes */
    for (size_t i = 0; i < n && rows > 1; i++) any[i] = 0;
    for (size_t r = 0; r < rows && rows > 1; r++)
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, in + r * stride + i, sizeof bits);
            any[i] |= bits << 1;
        }
    size_t n_live = 0;
    for (size_t i = 0; i < n; i++) {
        live[n_live] = (uint16_t)i;
        n_live += rows == 1 ? in[i] != 0.0f : any[i] != 0;
    }
    for (size_t i = 0; i < AHEAD; i++) live[n_live + i] = 0;
    return n_live;
}

/* 4 frames of 128 -> 2 frames of 64, 3 taps, stride 2, zero padding, for `rows` streams at once
 * (inputs CONV1_FLOATS apart, outputs ROW_FLOATS). */
INLINE void conv2_rows(const float *restrict weight, const float *restrict bias,
                       const float *restrict in, float *restrict out, const size_t rows)
{
    uint16_t live[128 + AHEAD];
    size_t n_live = find_live(in, 128, 128, FRAMES * rows, live);
    for (size_t o = 0; o < 64; o += BLOCK, weight += 128 * 3 * BLOCK) {
        vc_lanes sum[CONV_ROWS][2][TILE];
        for (size_t r = 0; r < rows; r++)
            for (int v = 0; v < TILE; v++)
                sum[r][0][v] = sum[r][1][v] = vc_lanes_load(bias + o + VC_LANES * v);
        for (size_t j = 0; j < n_live; j++) {
            size_t i = live[j];
            const float *w = weight + 3 * BLOCK * i;
            if (rows == 1)
                for (size_t tap = 0; tap < 3; tap++)
                    __builtin_prefetch(weight + (3 * live[j + AHEAD] + tap) * BLOCK);
            for (int v = 0; v < TILE; v++) {
                vc_lanes first = vc_lanes_load(w + VC_LANES * v);
                vc_lanes middle = vc_lanes_load(w + BLOCK + VC_LANES * v);
                vc_lanes last = vc_lanes_load(w + 2 * BLOCK + VC_LANES * v);
                for (size_t r = 0; r < rows; r++) {
                    vc_lanes *to = &sum[r][0][v], *next = &sum[r][1][v];
                    const float *from = in + r * CONV1_FLOATS + i;
                    *to = vc_lanes_madd(middle, vc_lanes_fill(from[0]), *to);
                    vc_lanes shared = vc_lanes_fill(from[128]);
                    *to = vc_lanes_madd(last, shared, *to);
                    *next = vc_lanes_madd(first, shared, *next);
                    *next = vc_lanes_madd(middle, vc_lanes_fill(from[256]), *next);
                    *next = vc_lanes_madd(last, vc_lanes_fill(from[384]), *next);
                }
            }
        }
        for (size_t r = 0; r < rows; r++)
            for (size_t f = 0; f < 2; f++)
                for (int v = 0; v < TILE; v++)
                    vc_lanes_store(out + r * ROW_FLOATS + 64 * f + o + VC_LANES * v,
                                   lanes_relu(sum[r][f][v]));
    }
}

/* A dense layer for `rows` streams, whose inputs and outputs are ROW_FLOATS apart; `group` blocks
 * at once, so that one row too has enough independent sums. */
INLINE void dense_group(const float *restrict weight, const float *restrict bias,
                        const float *restrict in, const uint16_t *restrict live, size_t n_live,
                        size_t stride, float *restrict out, int relu, const size_t rows,
                        const size_t group)
{
    vc_lanes sum[ROWS][TILE]; /* [group or row] */
    for (size_t k = 0; k < group * rows; k++)
        for (size_t v = 0; v < TILE; v++)
            sum[k][v] = vc_lanes_load(bias + k % group * BLOCK + VC_LANES * v);
    for (size_t j = 0; j < n_live; j++) {
        size_t i = live[j];
        if (rows == 1)
            for (size_t g = 0; g < group; g++)
                __builtin_prefetch(weight + g * stride + live[j + AHEAD] * BLOCK);
        for (size_t g = 0; g < group; g++) {
            vc_lanes w[TILE];
            for (size_t v = 0; v < TILE; v++)
                w[v] = vc_lanes_load(weight + g * stride + i * BLOCK + VC_LANES * v);
            for (size_t r = 0; r < rows; r++) {
                vc_lanes x = vc_lanes_fill(in[r * ROW_FLOATS + i]);
                for (size_t v = 0; v < TILE; v++)
                    sum[g + r * group][v] = vc_lanes_madd(w[v], x, sum[g + r * group][v]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t g = 0; g < group; g++)
            for (size_t v = 0; v < TILE; v++) {
                vc_lanes result = sum[g + r * group][v];
                vc_lanes_store(out + r * ROW_FLOATS + g * BLOCK + VC_LANES * v,
                               relu ? lanes_relu(result) : result);
            }
}

/* One stream: four blocks at once. */
static void dense_one(const float *weight, const float *bias, const float *in, size_t n_in,
                      float *out, size_t n_out, int relu)
{
    uint16_t live[256 + AHEAD];
    size_t n_live = find_live(in, n_in, ROW_FLOATS, 1, live), stride = n_in * BLOCK, o = 0;
    for (; o + 4 * BLOCK <= n_out; o += 4 * BLOCK)
        dense_group(weight + o * n_in, bias + o, in, live, n_live, stride, out + o, relu, 1, 4);
    for (; o < n_out; o += BLOCK)
        dense_group(weight + o * n_in, bias + o, in, live, n_live, stride, out + o, relu, 1, 1);
}

/* A block of weights stays in the first-level cache for all groups of streams, which are of equal
 * sizes, or nearly so. */
static void dense(const float *weight, const float *bias, const float *in, size_t n_in, float *out,
                  size_t n_out, int relu, size_t n)
{
    enum { MOST_GROUPS = (VC_SILERO_TILE + ROWS - 1) / ROWS };
    uint16_t live[MOST_GROUPS][256 + AHEAD];
    size_t n_live[MOST_GROUPS], starts[MOST_GROUPS + 1], groups = (n + ROWS - 1) / ROWS;
    if (n == 1) {
        dense_one(weight, bias, in, n_in, out, n_out, relu);
        return;
    }
    for (size_t g = 0; g <= groups; g++) starts[g] = n * g / groups;
    for (size_t g = 0; g < groups; g++)
        n_live[g] = find_live(in + starts[g] * ROW_FLOATS, n_in, ROW_FLOATS,
                              starts[g + 1] - starts[g], live[g]);
    /* Two streams need two blocks at once for enough independent sums. */
    int two = n == 2 && n_out % (2 * BLOCK) == 0;
    for (size_t o = 0; o < n_out; o += two ? 2 * BLOCK : BLOCK)
        for (size_t g = 0; g < groups; g++) {
            const float *w = weight + o * n_in, *from = in + starts[g] * ROW_FLOATS;
            float *to = out + starts[g] * ROW_FLOATS + o;
#define GROUP(rows, blocks)                                                                        \
    dense_group(w, bias + o, from, live[g], n_live[g], n_in * BLOCK, to, relu, rows, blocks)
            switch (starts[g + 1] - starts[g]) {
            case 2:
                if (two)
                    GROUP(2, 2);
                else
                    GROUP(2, 1);
                break;
            case 3: GROUP(3, 1); break;
            case 4: GROUP(4, 1); break;
            case 5: GROUP(5, 1); break;
            default: GROUP(6, 1); break;
            }
#undef GROUP
        }
}

/* The LSTM cell: gates i, f, g, o of 128 each, which are overwritten. Short loops, so that the
 * processor has several vectors in the works. */
static void cell(float *restrict gates, float *restrict c, float *restrict h)
{
    for (int j = 0; j < 2 * HIDDEN; j++) gates[j] = sigmoid(gates[j]);
    for (int j = 2 * HIDDEN; j < 3 * HIDDEN; j++) gates[j] = tanh_limited(gates[j]);
    for (int j = 3 * HIDDEN; j < 4 * HIDDEN; j++) gates[j] = sigmoid(gates[j]);
    for (int j = 0; j < HIDDEN; j++)
        c[j] = one_fma(gates[HIDDEN + j], c[j], gates[j] * gates[2 * HIDDEN + j]);
    for (int j = 0; j < HIDDEN; j++) h[j] = gates[3 * HIDDEN + j] * tanh_limited(c[j]);
}

static float head(const float *restrict weight, const float *restrict h)
{
    vc_lanes sum = vc_lanes_fill(0.0f);
    for (int j = 0; j < HIDDEN; j += VC_LANES)
        sum = vc_lanes_madd(vc_lanes_load(weight + j), lanes_relu(vc_lanes_load(h + j)), sum);
    float part[VC_LANES], total = weight[HIDDEN];
    vc_lanes_store(part, sum);
    for (int j = 0; j < VC_LANES; j++) total += part[j];
    return sigmoid(total);
}

/* `rows` streams' magnitudes to the input of the third convolution. */
static void convolve(const vc_silero_net *net, vc_silero_scratch *s, float *out, size_t rows)
{
    switch (rows) {
    case 1:
        conv1(net->conv1, net->conv1_bias, s->magnitude[0], net->bins, s->conv1[0]);
        conv2_rows(net->conv2, net->conv2_bias, s->conv1[0], out, 1);
        break;
    case 2:
        conv1_rows(net->conv1, net->conv1_bias, s->magnitude[0], net->bins, s->conv1[0], 2);
        conv2_rows(net->conv2, net->conv2_bias, s->conv1[0], out, 2);
        break;
    default:
        conv1_rows(net->conv1, net->conv1_bias, s->magnitude[0], net->bins, s->conv1[0], 3);
        conv2_rows(net->conv2, net->conv2_bias, s->conv1[0], out, 3);
        break;
    }
}

static void step(const vc_silero_net *net, const float *const *windows,
                 vc_silero_state *const *states, size_t n, vc_silero_scratch *s,
                 vc_silero_row *rows, float *probabilities)
{
    for (size_t first = 0, count; first < n; first += count) {
        count = n - first < CONV_ROWS ? n - first : CONV_ROWS;
        for (size_t r = 0; r < count; r++) {
            gather(net, windows[first + r], states[first + r], s->input);
            stft(net, s, s->magnitude[r]);
            memcpy(rows[first + r].xh + HIDDEN, states[first + r]->h, sizeof states[first + r]->h);
        }
        convolve(net, s, rows[first].conv2, count);
    }
    dense(net->conv3, net->conv3_bias, rows->conv2, 128, rows->conv3, 64, 1, n);
    dense(net->conv4, net->conv4_bias, rows->conv3, 64, rows->xh, 128, 1, n);
    dense(net->lstm, net->lstm_bias, rows->xh, 256, rows->gates, 512, 0, n);
    for (size_t r = 0; r < n; r++) {
        cell(rows[r].gates, states[r]->c, states[r]->h);
        probabilities[r] = head(net->head, states[r]->h);
    }
}

const vc_silero_kernel VC_SILERO_TABLE = {BLOCK, CONV1_BLOCK, step};
