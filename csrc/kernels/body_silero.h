/* body_silero: one step of the Silero VAD v6.2 network, compiled once per CPU level.
 *
 * Graph: 4 frames of an STFT (magnitudes) -> conv 3 taps -> conv 3 taps stride 2 -> conv 3 taps
 * stride 2 -> conv -> LSTM cell of 128 -> linear -> sigmoid; ReLU after each convolution.
 *
 * STFT: n = 16 r + c and k = k1 + rows k2 split the DFT of 16 x rows points into `rows`-point real
 * DFTs down the columns (only k1 = 0 .. rows/2, the input is real) and, with the twiddle factors
 * folded in, a small matrix product along the rows. Magnitudes need no untangling: bins above the
 * middle equal those mirrored below it, and conv1's weights are packed in the order of the output.
 * Layers: a tile of rows (frames or streams) x VEC_TILE vectors of outputs stays in registers
 * while the inputs run; taps that only meet padding are left out.
 * Order: each output is one chain: bias, then the inputs in order. One row or four, skipping zero
 * inputs or not, the chain is the same, so a batch equals single steps bit for bit. (A sum that
 * starts at a bias that is not -0 is never -0, so adding a zero product changes nothing.)
 */
#include "kernels/vc_silero_kernel.h"

#include <string.h>

#include "kernels/vec_silero.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = VEC_LANES * VEC_TILE, COLUMNS = VC_SILERO_COLUMNS, HIDDEN = VC_SILERO_HIDDEN };
enum { MAGNITUDE_STRIDE = 144, FRAMES = VC_SILERO_FRAMES };
enum { ROW_FLOATS = sizeof(vc_silero_row) / sizeof(float) };

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
 * keeps denormals out); what is beyond any signal is limited, so that no sum overflows. */
static void gather(const vc_silero_net *net, const float *restrict window,
                   vc_silero_state *restrict state, float *restrict input)
{
    const float limit = 65536.0f, tiny = 1e-15f, largest = 3.402823466e38f;
    size_t context = 4 * net->rows, n = 32 * net->rows;
    memcpy(input, state->context, context * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float x = window[i], size = __builtin_fabsf(x);
        float y = x > limit ? limit : x;
        y = y < -limit ? -limit : y;
        input[context + i] = ((size >= tiny) & (size <= largest)) ? y : 0.0f;
    }
    memcpy(state->context, input + n, context * sizeof(float));
    size_t end = context + n;
    for (size_t i = 0; i < context; i++) input[end + i] = input[end - 2 - i];
}

/* 8-point real DFT: x[0..7] -> re[0..4], im[1..3] at the given step. */
INLINE void dft8(const vec *x, vec *re, vec *im, size_t step)
{
    const vec half = vec_set(0.70710678118654752f);
    vec a0 = vec_add(x[0], x[4]), a1 = vec_add(x[1], x[5]);
    vec a2 = vec_add(x[2], x[6]), a3 = vec_add(x[3], x[7]);
    vec b0 = vec_sub(x[0], x[4]), b1 = vec_sub(x[1], x[5]);
    vec b2 = vec_sub(x[2], x[6]), b3 = vec_sub(x[3], x[7]);
    vec s = vec_add(a0, a2), t = vec_add(a1, a3);
    re[0] = vec_add(s, t);
    re[4 * step] = vec_sub(s, t);
    re[2 * step] = vec_sub(a0, a2);
    im[2 * step] = vec_sub(a3, a1);
    vec u = vec_mul(half, vec_sub(b1, b3)), v = vec_mul(half, vec_add(b1, b3));
    re[step] = vec_add(b0, u);
    re[3 * step] = vec_sub(b0, u);
    im[step] = vec_sub(vec_set(0.0f), vec_add(b2, v));
    im[3 * step] = vec_sub(b2, v);
}

/* 16-point real DFT: x[0..15] -> re[0..8], im[1..7]; x is overwritten. */
INLINE void dft16(vec *x, vec *re, vec *im)
{
    const float c1 = 0.92387953251128676f, c2 = 0.70710678118654752f, c3 = 0.38268343236508977f;
    vec odd[8];
    for (int r = 0; r < 8; r++) {
        odd[r] = vec_sub(x[r], x[r + 8]);
        x[r] = vec_add(x[r], x[r + 8]);
    }
    dft8(x, re, im, 2);
    /* cos and sin of pi r k / 8 for odd k, r = 1, 2, 3 */
    const float cosine[4][3] = {{c1, c2, c3}, {c3, -c2, -c1}, {-c3, -c2, c1}, {-c1, c2, -c3}};
    const float sine[4][3] = {{c3, c2, c1}, {c1, c2, -c3}, {c1, -c2, -c3}, {c3, -c2, c1}};
    vec d1 = vec_sub(odd[1], odd[7]), d2 = vec_sub(odd[2], odd[6]), d3 = vec_sub(odd[3], odd[5]);
    vec s1 = vec_add(odd[1], odd[7]), s2 = vec_add(odd[2], odd[6]), s3 = vec_add(odd[3], odd[5]);
    for (int j = 0; j < 4; j++) {
        vec p = vec_fma(vec_set(cosine[j][0]), d1, odd[0]);
        p = vec_fma(vec_set(cosine[j][1]), d2, p);
        re[2 * j + 1] = vec_fma(vec_set(cosine[j][2]), d3, p);
        vec q = j & 1 ? odd[4] : vec_sub(vec_set(0.0f), odd[4]);
        q = vec_fma(vec_set(-sine[j][0]), s1, q);
        q = vec_fma(vec_set(-sine[j][1]), s2, q);
        im[2 * j + 1] = vec_fma(vec_set(-sine[j][2]), s3, q);
    }
}

/* Down the columns: rows[frame][k1][re, im][16]. */
INLINE void dft_columns(const vc_silero_net *net, const float *input, float *out, size_t rows)
{
    size_t half = rows / 2, hop = 8 * rows;
    const vec zero = vec_set(0.0f);
    for (size_t f = 0; f < FRAMES; f++)
        for (size_t c = 0; c < COLUMNS; c += VEC_LANES) {
            vec x[16], re[9], im[9];
            for (size_t r = 0; r < rows; r++)
                x[r] = vec_mul(vec_load(input + f * hop + COLUMNS * r + c),
                               vec_load(net->window + COLUMNS * r + c));
            if (rows == 16)
                dft16(x, re, im);
            else
                dft8(x, re, im, 1);
            im[0] = im[half] = zero;
            float *to = out + f * 2 * COLUMNS * (half + 1) + c;
            for (size_t k = 0; k <= half; k++) {
                vec_store(to + 2 * COLUMNS * k, re[k]);
                vec_store(to + 2 * COLUMNS * k + COLUMNS, im[k]);
            }
        }
}

/* Along the row k1, for 4 frames; `real` rows have no imaginary part. */
INLINE void dft_row(const float *dft, const float *row, size_t frame_stride, float *out, int real)
{
    for (size_t k = 0; k < COLUMNS; k += VEC_LANES) {
        vec re[FRAMES], im[FRAMES];
        for (int f = 0; f < FRAMES; f++) re[f] = im[f] = vec_set(0.0f);
        for (size_t c = 0; c < COLUMNS; c++) {
            vec cosine = vec_load(dft + 2 * COLUMNS * c + k);
            vec sine = vec_load(dft + 2 * COLUMNS * c + COLUMNS + k);
            for (size_t f = 0; f < FRAMES; f++) {
                vec a = vec_set(row[f * frame_stride + c]);
                re[f] = vec_fma(a, cosine, re[f]);
                im[f] = vec_fma(a, sine, im[f]);
                if (!real) {
                    vec b = vec_set(row[f * frame_stride + COLUMNS + c]);
                    re[f] = vec_sub(re[f], vec_mul(b, sine));
                    im[f] = vec_fma(b, cosine, im[f]);
                }
            }
        }
        for (size_t f = 0; f < FRAMES; f++) {
            vec power = vec_fma(im[f], im[f], vec_mul(re[f], re[f]));
            vec_store(out + f * MAGNITUDE_STRIDE + k, vec_sqrt(power));
        }
    }
}

/* Magnitudes: 9 bins of row 0, then 16 of each inner row, then 8 of the last row. A row is stored
 * whole and the next one overwrites what is not unique. */
static void stft(const vc_silero_net *net, vc_silero_scratch *s)
{
    size_t half = net->rows / 2, stride = 2 * COLUMNS * (half + 1);
    if (net->rows == 16)
        dft_columns(net, s->input, s->rows, 16);
    else
        dft_columns(net, s->input, s->rows, 8);
    dft_row(net->dft, s->rows, stride, s->magnitude, 1);
    for (size_t k = 1; k < half; k++)
        dft_row(net->dft + 2 * COLUMNS * COLUMNS * k, s->rows + 2 * COLUMNS * k, stride,
                s->magnitude + 9 + COLUMNS * (k - 1), 0);
    dft_row(net->dft + 2 * COLUMNS * COLUMNS * half, s->rows + 2 * COLUMNS * half, stride,
            s->magnitude + 9 + COLUMNS * (half - 1), 1);
}

/* 4 frames of n_in -> 4 frames of 128, 3 taps, zero padding. */
static void conv1(const float *restrict weight, const float *restrict bias,
                  const float *restrict in, size_t n_in, float *restrict out)
{
    for (size_t o = 0; o < 128; o += BLOCK) {
        vec sum[FRAMES][VEC_TILE];
        for (int v = 0; v < VEC_TILE; v++)
            sum[0][v] = sum[1][v] = sum[2][v] = sum[3][v] = vec_load(bias + o + VEC_LANES * v);
        for (size_t i = 0; i < n_in; i++, weight += 3 * BLOCK) {
            vec x0 = vec_set(in[i]), x1 = vec_set(in[MAGNITUDE_STRIDE + i]);
            vec x2 = vec_set(in[2 * MAGNITUDE_STRIDE + i]);
            vec x3 = vec_set(in[3 * MAGNITUDE_STRIDE + i]);
            for (int v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + VEC_LANES * v);
                sum[1][v] = vec_fma(w, x0, sum[1][v]);
                sum[2][v] = vec_fma(w, x1, sum[2][v]);
                sum[3][v] = vec_fma(w, x2, sum[3][v]);
            }
            for (int v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + BLOCK + VEC_LANES * v);
                sum[0][v] = vec_fma(w, x0, sum[0][v]);
                sum[1][v] = vec_fma(w, x1, sum[1][v]);
                sum[2][v] = vec_fma(w, x2, sum[2][v]);
                sum[3][v] = vec_fma(w, x3, sum[3][v]);
            }
            for (int v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + 2 * BLOCK + VEC_LANES * v);
                sum[0][v] = vec_fma(w, x1, sum[0][v]);
                sum[1][v] = vec_fma(w, x2, sum[1][v]);
                sum[2][v] = vec_fma(w, x3, sum[2][v]);
            }
        }
        for (int f = 0; f < FRAMES; f++)
            for (int v = 0; v < VEC_TILE; v++)
                vec_store(out + 128 * f + o + VEC_LANES * v, vec_relu(sum[f][v]));
    }
}

/* 4 frames of 128 -> 2 frames of 64, 3 taps, stride 2, zero padding. */
static void conv2(const float *restrict weight, const float *restrict bias,
                  const float *restrict in, float *restrict out)
{
    for (size_t o = 0; o < 64; o += BLOCK) {
        vec sum[2][VEC_TILE];
        for (int v = 0; v < VEC_TILE; v++)
            sum[0][v] = sum[1][v] = vec_load(bias + o + VEC_LANES * v);
        for (size_t i = 0; i < 128; i++, weight += 3 * BLOCK) {
            vec x0 = vec_set(in[i]), x1 = vec_set(in[128 + i]);
            vec x2 = vec_set(in[256 + i]), x3 = vec_set(in[384 + i]);
            for (int v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + VEC_LANES * v);
                sum[1][v] = vec_fma(w, x1, sum[1][v]);
                w = vec_load(weight + BLOCK + VEC_LANES * v);
                sum[0][v] = vec_fma(w, x0, sum[0][v]);
                sum[1][v] = vec_fma(w, x2, sum[1][v]);
                w = vec_load(weight + 2 * BLOCK + VEC_LANES * v);
                sum[0][v] = vec_fma(w, x1, sum[0][v]);
                sum[1][v] = vec_fma(w, x3, sum[1][v]);
            }
        }
        for (int f = 0; f < 2; f++)
            for (int v = 0; v < VEC_TILE; v++)
                vec_store(out + 64 * f + o + VEC_LANES * v, vec_relu(sum[f][v]));
    }
}

/* A dense layer for `rows` streams; their inputs and outputs are ROW_FLOATS apart. */
INLINE void dense_rows(const float *restrict weight, const float *restrict bias, const float *in,
                       size_t n_in, float *out, size_t n_out, int relu, const size_t rows)
{
    for (size_t o = 0; o < n_out; o += BLOCK) {
        vec sum[VC_SILERO_TILE][VEC_TILE];
        for (size_t r = 0; r < rows; r++)
            for (int v = 0; v < VEC_TILE; v++) sum[r][v] = vec_load(bias + o + VEC_LANES * v);
        for (size_t i = 0; i < n_in; i++, weight += BLOCK) {
            vec x[VC_SILERO_TILE];
            for (size_t r = 0; r < rows; r++) x[r] = vec_set(in[r * ROW_FLOATS + i]);
            for (int v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + VEC_LANES * v);
                for (size_t r = 0; r < rows; r++) sum[r][v] = vec_fma(w, x[r], sum[r][v]);
            }
        }
        for (size_t r = 0; r < rows; r++)
            for (int v = 0; v < VEC_TILE; v++)
                vec_store(out + r * ROW_FLOATS + o + VEC_LANES * v,
                          relu ? vec_relu(sum[r][v]) : sum[r][v]);
    }
}

/* One stream, `group` blocks at once, since each weight serves only one sum. */
INLINE void dense_group(const float *restrict weight, const float *restrict bias,
                        const float *restrict in, const uint16_t *restrict live, size_t n_live,
                        size_t stride, float *restrict out, int relu, const size_t group)
{
    vec sum[4][VEC_TILE];
    for (size_t g = 0; g < group; g++)
        for (size_t v = 0; v < VEC_TILE; v++)
            sum[g][v] = vec_load(bias + g * BLOCK + VEC_LANES * v);
    for (size_t j = 0; j < n_live; j++) {
        size_t i = live[j];
        vec x = vec_set(in[i]);
        for (size_t g = 0; g < group; g++)
            for (size_t v = 0; v < VEC_TILE; v++) {
                vec w = vec_load(weight + g * stride + i * BLOCK + VEC_LANES * v);
                sum[g][v] = vec_fma(w, x, sum[g][v]);
            }
    }
    for (size_t g = 0; g < group; g++)
        for (size_t v = 0; v < VEC_TILE; v++)
            vec_store(out + g * BLOCK + VEC_LANES * v, relu ? vec_relu(sum[g][v]) : sum[g][v]);
}

/* A dense layer for one stream: inputs that are zero, as a ReLU leaves many, cost no weights. */
static void dense_one(const float *weight, const float *bias, const float *in, size_t n_in,
                      float *out, size_t n_out, int relu)
{
    uint16_t live[256];
    size_t n_live = 0, stride = n_in * BLOCK, o = 0;
    for (size_t i = 0; i < n_in; i++) {
        live[n_live] = (uint16_t)i;
        n_live += in[i] != 0.0f;
    }
    for (; o + 4 * BLOCK <= n_out; o += 4 * BLOCK)
        dense_group(weight + o * n_in, bias + o, in, live, n_live, stride, out + o, relu, 4);
    for (; o < n_out; o += BLOCK)
        dense_group(weight + o * n_in, bias + o, in, live, n_live, stride, out + o, relu, 1);
}

static void dense(const float *weight, const float *bias, const float *in, size_t n_in, float *out,
                  size_t n_out, int relu, size_t rows)
{
    switch (rows) {
    case 1: dense_one(weight, bias, in, n_in, out, n_out, relu); break;
    case 2: dense_rows(weight, bias, in, n_in, out, n_out, relu, 2); break;
    case 3: dense_rows(weight, bias, in, n_in, out, n_out, relu, 3); break;
    default: dense_rows(weight, bias, in, n_in, out, n_out, relu, 4); break;
    }
}

/* The LSTM cell: gates i, f, g, o of 128 each. */
static void cell(const float *restrict gates, float *restrict c, float *restrict h)
{
    for (int j = 0; j < HIDDEN; j++) {
        float in = sigmoid(gates[j]), keep = sigmoid(gates[HIDDEN + j]);
        float new = tanh_limited(gates[2 * HIDDEN + j]), show = sigmoid(gates[3 * HIDDEN + j]);
        float kept = one_fma(keep, c[j], in * new);
        c[j] = kept;
        h[j] = show * tanh_limited(kept);
    }
}

static float head(const float *restrict weight, const float *restrict h)
{
    vec sum = vec_set(0.0f);
    for (int j = 0; j < HIDDEN; j += VEC_LANES)
        sum = vec_fma(vec_load(weight + j), vec_relu(vec_load(h + j)), sum);
    float part[VEC_LANES], total = weight[HIDDEN];
    vec_store(part, sum);
    for (int j = 0; j < VEC_LANES; j++) total += part[j];
    return sigmoid(total);
}

static void step(const vc_silero_net *net, const float *const *windows,
                 vc_silero_state *const *states, size_t n, vc_silero_scratch *s,
                 vc_silero_row *rows, float *probabilities)
{
    for (size_t r = 0; r < n; r++) {
        gather(net, windows[r], states[r], s->input);
        stft(net, s);
        conv1(net->conv1, net->conv1_bias, s->magnitude, net->bins, s->conv1);
        conv2(net->conv2, net->conv2_bias, s->conv1, rows[r].conv2);
        memcpy(rows[r].xh + HIDDEN, states[r]->h, sizeof states[r]->h);
    }
    dense(net->conv3, net->conv3_bias, rows->conv2, 128, rows->conv3, 64, 1, n);
    dense(net->conv4, net->conv4_bias, rows->conv3, 64, rows->xh, 128, 1, n);
    dense(net->lstm, net->lstm_bias, rows->xh, 256, rows->gates, 512, 0, n);
    for (size_t r = 0; r < n; r++) {
        cell(rows[r].gates, states[r]->c, states[r]->h);
        probabilities[r] = head(net->head, states[r]->h);
    }
}

const vc_silero_kernel VC_SILERO_TABLE = {BLOCK, step};
