/* body_resample: the kernels of vc_resample_kernels.h. The including file defines
 * VC_RESAMPLE_TABLE, the name of the table of its level. */
#include "dsp/vc_resample_kernels.h"
#include "kernels/body_convert.h"
#include "kernels/vc_lanes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* `wide` vectors of outputs at once hide the latency of the multiply-add chain; two phases at once
 * share the loads of x. Every output sums its taps in the same order at any width, so slicing
 * cannot change it. */
ALWAYS_INLINE void columns_of(const float *x, const int32_t *offsets, const float *taps,
                              size_t n_taps, float *y, size_t y_stride, const int wide,
                              const int phases)
{
    vc_lanes sums[2][10];
    for (int p = 0; p < phases; p++)
        for (int v = 0; v < wide; v++) sums[p][v] = vc_lanes_zero();
    for (size_t k = 0; k < n_taps; k++) {
        const float *from = x + offsets[k];
        vc_lanes tap = vc_lanes_fill(taps[k]);
        vc_lanes second = vc_lanes_fill(taps[(size_t)(phases - 1) * n_taps + k]);
        for (int v = 0; v < wide; v++) {
            vc_lanes in = vc_lanes_load(from + v * VC_LANES);
            sums[0][v] = vc_lanes_madd(tap, in, sums[0][v]);
            if (phases == 2) sums[1][v] = vc_lanes_madd(second, in, sums[1][v]);
        }
    }
    for (int p = 0; p < phases; p++)
        for (int v = 0; v < wide; v++)
            vc_lanes_store(y + (size_t)p * y_stride + v * VC_LANES, sums[p][v]);
}

static void columns(const float *x, const int32_t *offsets, const float *taps, size_t n_taps,
                    float *y, size_t n)
{
    size_t q = 0;
    for (; q + 10 * VC_LANES <= n; q += 10 * VC_LANES)
        columns_of(x + q, offsets, taps, n_taps, y + q, 0, 10, 1);
    for (; q + 5 * VC_LANES <= n; q += 5 * VC_LANES)
        columns_of(x + q, offsets, taps, n_taps, y + q, 0, 5, 1);
    for (; q < n; q += VC_LANES) columns_of(x + q, offsets, taps, n_taps, y + q, 0, 1, 1);
}

static void columns2(const float *x, const int32_t *offsets, const float *taps, size_t n_taps,
                     float *y, size_t y_stride, size_t n)
{
    size_t q = 0;
    for (; q + 5 * VC_LANES <= n; q += 5 * VC_LANES)
        columns_of(x + q, offsets, taps, n_taps, y + q, y_stride, 5, 2);
    for (; q < n; q += VC_LANES) columns_of(x + q, offsets, taps, n_taps, y + q, y_stride, 1, 2);
}

/* Taps that are VC_LANES columns apart meet in the same vectors of x, one vector of outputs apart:
 * a load serves three taps. For one output the order is still that of the taps. */
ALWAYS_INLINE void columns3_of(const float *x, const int32_t *offsets, const float *taps,
                               size_t n_groups, float *y, const int wide)
{
    vc_lanes sums[10];
    for (int v = 0; v < wide; v++) sums[v] = vc_lanes_zero();
    for (size_t k = 0; k < n_groups; k++) {
        const float *from = x + offsets[k];
        vc_lanes first = vc_lanes_fill(taps[3 * k]);
        vc_lanes second = vc_lanes_fill(taps[3 * k + 1]);
        vc_lanes third = vc_lanes_fill(taps[3 * k + 2]);
        for (int v = 0; v < wide + 2; v++) {
            vc_lanes in = vc_lanes_load(from + v * VC_LANES);
            if (v < wide) sums[v] = vc_lanes_madd(first, in, sums[v]);
            if (v >= 1 && v < wide + 1) sums[v - 1] = vc_lanes_madd(second, in, sums[v - 1]);
            if (v >= 2) sums[v - 2] = vc_lanes_madd(third, in, sums[v - 2]);
        }
    }
    for (int v = 0; v < wide; v++) vc_lanes_store(y + v * VC_LANES, sums[v]);
}

static void columns3(const float *x, const int32_t *offsets, const float *taps, size_t n_groups,
                     float *y, size_t n)
{
    size_t q = 0;
    for (; q + 10 * VC_LANES <= n; q += 10 * VC_LANES)
        columns3_of(x + q, offsets, taps, n_groups, y + q, 10);
    for (; q + 5 * VC_LANES <= n; q += 5 * VC_LANES)
        columns3_of(x + q, offsets, taps, n_groups, y + q, 5);
    for (; q < n; q += VC_LANES) columns3_of(x + q, offsets, taps, n_groups, y + q, 1);
}

/* `outputs` neighbours of one group from one window: an input load serves them all, and a load of
 * taps serves the same phases one turn of l outputs later. */
ALWAYS_INLINE void dots_of(const vc_resample_dots *d, size_t i, float *y, const int outputs,
                           const int turns)
{
    size_t phase = (size_t)d->phases[i], row = d->body + VC_RESAMPLE_TAIL;
    const float *taps = d->taps + phase * row;
    const float *from[2] = {d->x + d->starts[i], d->x + d->starts[turns == 2 ? i + d->l : i]};
    vc_lanes sums[2][VC_RESAMPLE_GROUP];
    for (int turn = 0; turn < turns; turn++)
        for (int o = 0; o < outputs; o++) sums[turn][o] = vc_lanes_zero();
    for (size_t k = 0; k < d->body; k += VC_LANES) {
        vc_lanes first = vc_lanes_load(from[0] + k), second = vc_lanes_load(from[1] + k);
        for (int o = 0; o < outputs; o++) {
            vc_lanes tap = vc_lanes_load(taps + (size_t)o * row + k);
            if (turns == 2) vc_lanes_keep(tap);
            sums[0][o] = vc_lanes_madd(tap, first, sums[0][o]);
            if (turns == 2) sums[1][o] = vc_lanes_madd(tap, second, sums[1][o]);
        }
    }
    /* The first of a group has no tail: its taps there are 0. */
    for (int o = outputs > 1; o < outputs; o++) {
        const float *tail = taps + (size_t)o * row + d->body;
        int32_t offset = d->tails[phase + (size_t)o];
        for (size_t k = 0; k < VC_RESAMPLE_TAIL; k += VC_LANES) {
            vc_lanes tap = vc_lanes_load(tail + k);
            if (turns == 2) vc_lanes_keep(tap);
            for (int turn = 0; turn < turns; turn++)
                sums[turn][o] =
                    vc_lanes_madd(tap, vc_lanes_load(from[turn] + offset + k), sums[turn][o]);
        }
    }
    for (int turn = 0; turn < turns; turn++)
        for (int o = 0; o < outputs; o++)
            y[i + (size_t)turn * d->l + (size_t)o] = vc_lanes_sum(sums[turn][o]);
}

/* How outputs are taken together never changes the order of one output's sum. */
ALWAYS_INLINE void dots_by(const vc_resample_dots *d, float *y, size_t n, const int group)
{
    size_t l = d->l;
    for (size_t turn = 0; turn < n; turn += 2 * l) {
        size_t end = turn + l < n ? turn + l : n;
        for (size_t i = turn; i < end;) {
            size_t together = (size_t)group, partners = i + l < n ? n - i - l : 0;
            int whole = d->phases[i] % group == 0 && i + together <= end &&
                        (size_t)d->phases[i] + together <= l &&
                        (partners == 0 || partners >= together);
            if (!whole) together = 1;
            int both = partners > 0;
            if (!whole && both)
                dots_of(d, i, y, 1, 2);
            else if (!whole)
                dots_of(d, i, y, 1, 1);
            else if (both)
                dots_of(d, i, y, group, 2);
            else
                dots_of(d, i, y, group, 1);
            i += together;
        }
    }
}

static void dots(const vc_resample_dots *d, float *y, size_t n)
{
    switch (d->group) {
    case 4: dots_by(d, y, n, 4); break;
    case 3: dots_by(d, y, n, 3); break;
    case 2: dots_by(d, y, n, 2); break;
    default: dots_by(d, y, n, 1); break;
    }
}

/* Four rows an input load, weighted before the one reduction. */
static void blends(const float *x, const float *table, size_t n_taps, const int32_t *starts,
                   const int32_t *rows, const float *weights, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float *from = x + starts[i], *taps = table + (size_t)rows[i] * n_taps;
        vc_lanes sums[4];
        for (int row = 0; row < 4; row++) sums[row] = vc_lanes_zero();
        for (size_t k = 0; k < n_taps; k += VC_LANES) {
            vc_lanes in = vc_lanes_load(from + k);
            for (int row = 0; row < 4; row++)
                sums[row] =
                    vc_lanes_madd(vc_lanes_load(taps + (size_t)row * n_taps + k), in, sums[row]);
        }
        vc_lanes sum = vc_lanes_mul(vc_lanes_fill(weights[4 * i]), sums[0]);
        for (int row = 1; row < 4; row++)
            sum = vc_lanes_madd(vc_lanes_fill(weights[4 * i + (size_t)row]), sums[row], sum);
        y[i] = vc_lanes_sum(sum);
    }
}

/* The stream count is a constant in each copy, so that the compiler vectorizes the strided access,
 * which it does well for 1, 2, 3 and 4, except where AVX2 deals floats out to 2 and 4. Six and
 * eight are done as two halves. Other counts (no pair of rates has one) are better not vectorized.
 * Not inlined: `restrict` does not survive that, and the loops with it. */
#define NOT_INLINE static __attribute__((noinline))

#define EACH_COUNT(name, m, ...)                                                                   \
    switch (m) {                                                                                   \
    case 1: name##_1(__VA_ARGS__); break;                                                          \
    case 2: name##_2(__VA_ARGS__); break;                                                          \
    case 3: name##_3(__VA_ARGS__); break;                                                          \
    case 4: name##_4(__VA_ARGS__); break;                                                          \
    case 6: name##_6(__VA_ARGS__); break;                                                          \
    case 8: name##_8(__VA_ARGS__); break;                                                          \
    default: name##_any(__VA_ARGS__, m); break;                                                    \
    }

enum { HALVES_BLOCK = 32 };

#define DEAL_ANY(name, type, convert)                                                              \
    NOT_INLINE void name##_any(const type *restrict in, size_t n, float *restrict streams,         \
                               size_t stride, size_t m)                                            \
    {                                                                                              \
        for (size_t q = 0; q < n; q++)                                                             \
            for (size_t r = 0; r < m; r++) {                                                       \
                streams[r * stride + q] = convert(in[q * m + r]);                                  \
                __asm__(""); /* keeps it scalar */                                                 \
            }                                                                                      \
    }

#define DEAL_BY(name, type, convert, m)                                                            \
    NOT_INLINE void name##_##m(const type *restrict in, size_t n, float *restrict streams,         \
                               size_t stride)                                                      \
    {                                                                                              \
        for (size_t q = 0; q < n; q++)                                                             \
            for (size_t r = 0; r < m; r++) streams[r * stride + q] = convert(in[q * m + r]);       \
    }

#define DEAL_BY_HALVES(name, type, half, m)                                                        \
    NOT_INLINE void name##_##m(const type *restrict in, size_t n, float *restrict streams,         \
                               size_t stride)                                                      \
    {                                                                                              \
        for (size_t done = 0; done < n; done += HALVES_BLOCK) {                                    \
            size_t part = n - done < HALVES_BLOCK ? n - done : HALVES_BLOCK;                       \
            float halves[m * HALVES_BLOCK];                                                        \
            name##_##half(in + m * done, 2 * part, halves, 2 * HALVES_BLOCK);                      \
            for (size_t r = 0; r < half; r++)                                                      \
                deal_f32_2(halves + r * 2 * HALVES_BLOCK, part, streams + r * stride + done,       \
                           half * stride);                                                         \
        }                                                                                          \
    }

#define DEAL(name, type)                                                                           \
    static void name(const type *in, size_t n, float *streams, size_t stride, size_t m)            \
    {                                                                                              \
        EACH_COUNT(name, m, in, n, streams, stride)                                                \
    }

#define GATHER_BY(name, type, convert, m)                                                          \
    NOT_INLINE void name##_##m(const float *restrict streams, size_t stride, type *restrict out,   \
                               size_t n)                                                           \
    {                                                                                              \
        for (size_t q = 0; q < n; q++)                                                             \
            for (size_t p = 0; p < m; p++) out[q * m + p] = convert(streams[p * stride + q]);      \
    }

#define GATHER_BY_HALVES(name, type, half, m)                                                      \
    NOT_INLINE void name##_##m(const float *restrict streams, size_t stride, type *restrict out,   \
                               size_t n)                                                           \
    {                                                                                              \
        for (size_t done = 0; done < n; done += HALVES_BLOCK) {                                    \
            size_t part = n - done < HALVES_BLOCK ? n - done : HALVES_BLOCK;                       \
            float halves[m * HALVES_BLOCK];                                                        \
            for (size_t p = 0; p < half; p++)                                                      \
                gather_f32_2(streams + p * stride + done, half * stride,                           \
                             halves + p * 2 * HALVES_BLOCK, part);                                 \
            name##_##half(halves, 2 * HALVES_BLOCK, out + m * done, 2 * part);                     \
        }                                                                                          \
    }

#define GATHER(name, type, convert)                                                                \
    NOT_INLINE void name##_any(const float *restrict streams, size_t stride, type *restrict out,   \
                               size_t n, size_t m)                                                 \
    {                                                                                              \
        for (size_t q = 0; q < n; q++)                                                             \
            for (size_t p = 0; p < m; p++) {                                                       \
                out[q * m + p] = convert(streams[p * stride + q]);                                 \
                __asm__(""); /* keeps it scalar */                                                 \
            }                                                                                      \
    }                                                                                              \
    GATHER_BY_HALVES(name, type, 3, 6)                                                             \
    GATHER_BY_HALVES(name, type, 4, 8)                                                             \
    static void name(const float *streams, size_t stride, size_t m, type *out, size_t n)           \
    {                                                                                              \
        EACH_COUNT(name, m, streams, stride, out, n)                                               \
    }

#define AS_IS(sample) (sample)

DEAL_BY(deal_f32, float, AS_IS, 1)
DEAL_BY(deal_f32, float, AS_IS, 3)

#if defined(__AVX2__)
/* Halves of 16 bytes where the shuffles, which stay within them, want them. */
#define load_pair(low, high)                                                                       \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1)

NOT_INLINE void deal_f32_2(const float *restrict in, size_t n, float *restrict streams,
                           size_t stride)
{
    size_t q = 0;
    for (; q + 8 <= n; q += 8) {
        const float *from = in + 2 * q;
        __m256 a = load_pair(from, from + 8), b = load_pair(from + 4, from + 12);
        _mm256_storeu_ps(streams + q, _mm256_shuffle_ps(a, b, 0x88));
        _mm256_storeu_ps(streams + stride + q, _mm256_shuffle_ps(a, b, 0xdd));
    }
    for (; q < n; q++)
        for (size_t r = 0; r < 2; r++) streams[r * stride + q] = in[2 * q + r];
}

NOT_INLINE void deal_f32_4(const float *restrict in, size_t n, float *restrict streams,
                           size_t stride)
{
    size_t q = 0;
    for (; q + 8 <= n; q += 8) {
        const float *from = in + 4 * q;
        __m256 a = load_pair(from, from + 16), b = load_pair(from + 4, from + 20);
        __m256 c = load_pair(from + 8, from + 24), d = load_pair(from + 12, from + 28);
        __m256 ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d);
        _mm256_storeu_ps(streams + q, _mm256_shuffle_ps(ab, cd, 0x44));
        _mm256_storeu_ps(streams + stride + q, _mm256_shuffle_ps(ab, cd, 0xee));
        ab = _mm256_unpackhi_ps(a, b), cd = _mm256_unpackhi_ps(c, d);
        _mm256_storeu_ps(streams + 2 * stride + q, _mm256_shuffle_ps(ab, cd, 0x44));
        _mm256_storeu_ps(streams + 3 * stride + q, _mm256_shuffle_ps(ab, cd, 0xee));
    }
    for (; q < n; q++)
        for (size_t r = 0; r < 4; r++) streams[r * stride + q] = in[4 * q + r];
}
#else
DEAL_BY(deal_f32, float, AS_IS, 2)
DEAL_BY(deal_f32, float, AS_IS, 4)
#endif

DEAL_ANY(deal_f32, float, AS_IS)
DEAL_BY_HALVES(deal_f32, float, 3, 6)
DEAL_BY_HALVES(deal_f32, float, 4, 8)
DEAL(deal_f32, float)

DEAL_BY(deal_s16, int16_t, vc_s16_to_f32, 1)
DEAL_BY(deal_s16, int16_t, vc_s16_to_f32, 2)
DEAL_BY(deal_s16, int16_t, vc_s16_to_f32, 3)
DEAL_BY(deal_s16, int16_t, vc_s16_to_f32, 4)
DEAL_ANY(deal_s16, int16_t, vc_s16_to_f32)
DEAL_BY_HALVES(deal_s16, int16_t, 3, 6)
DEAL_BY_HALVES(deal_s16, int16_t, 4, 8)
DEAL(deal_s16, int16_t)

GATHER_BY(gather_f32, float, AS_IS, 1)
GATHER_BY(gather_f32, float, AS_IS, 2)
GATHER_BY(gather_f32, float, AS_IS, 3)
GATHER_BY(gather_f32, float, AS_IS, 4)
GATHER(gather_f32, float, AS_IS)

GATHER_BY(gather_s16, int16_t, vc_f32_to_s16, 1)
GATHER_BY(gather_s16, int16_t, vc_f32_to_s16, 2)
GATHER_BY(gather_s16, int16_t, vc_f32_to_s16, 3)
GATHER_BY(gather_s16, int16_t, vc_f32_to_s16, 4)
GATHER(gather_s16, int16_t, vc_f32_to_s16)

const vc_resample_kernels VC_RESAMPLE_TABLE = {
    VC_LANES, columns, columns2, columns3, dots, blends, deal_s16, deal_f32, gather_s16, gather_f32,
};
