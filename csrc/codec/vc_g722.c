/* vc_g722: two bands of adaptive differential coding behind a quadrature mirror filter.
 *
 * Source: ITU-T G.722 (09/2012), clauses 3 and 6; names in [brackets] are the recommendation's.
 * A 24-tap mirror filter splits the audio into 0..4 and 4..8 kHz at 8 kHz each. In each band the
 * difference to a prediction (six zeros, two poles, both adapted by signs) is quantized with a step
 * that follows the codes: 6 bits in the lower band, 2 in the upper. The lower band adapts to the
 * upper 4 of its 6 bits only, because the lower two may be taken for data (modes 2 and 3, which
 * are not offered here).
 * Quantizer tables are an eighth of the recommendation's and step sizes a quarter (the low bits
 * there are zeros), so products are shifted by 10 where it shifts by 15.
 * Sums saturate as in the recommendation. libavcodec leaves that out inside the predictor, which is
 * heard only in codes that no encoder makes. */
#include "codec/vc_g722.h"

#include <string.h>

#include "codec/vc_g722_lanes.h"

#define TAPS          24
#define HISTORY       (TAPS - 2)
#define BLOCK_SAMPLES 320
#define LOW_LOG_MAX   18432 /* of the step's logarithm, 11 bits after the point */
#define HIGH_LOG_MAX  22528

/* A band's predictor and step; encoder and decoder run the same. */
typedef struct band {
    int32_t prediction;       /* [s] of the next sample */
    int32_t zero_prediction;  /* [sz] the zeros' share of it */
    int16_t zeros[8];         /* [b] six, and two that count for nothing */
    int16_t differences[8];   /* [d] twice the quantized differences, newest first */
    int32_t poles[2];         /* [a] */
    int32_t reconstructed[2]; /* [r] twice, newest first */
    int32_t was_negative[2];  /* [p] the signs of difference plus zero_prediction, newest first */
    int32_t log_step;         /* [nabla] */
    int32_t step;             /* [delta] a quarter */
} band;

typedef struct direction {
    band low, high;
    int16_t line[HISTORY + BLOCK_SAMPLES]; /* the filter's input, oldest first */
} direction;

struct vc_g722 {
    direction encoder, decoder;
    vc_allocator allocator;
    int custom_allocator;
};

/* The mirror filter's 24 taps, scaled by 2^13, as the four sums that are needed: both phases with
 * either sign, and each alone. So every sum is one run of multiply-add vectors. */
#define TAPS_OF(even, odd)                                                                         \
    {                                                                                              \
        3 * (even), -11 * (odd), -11 * (even), 53 * (odd), 12 * (even), -156 * (odd), 32 * (even), \
            362 * (odd), -210 * (even), -805 * (odd), 951 * (even), 3876 * (odd), 3876 * (even),   \
            951 * (odd), -805 * (even), -210 * (odd), 362 * (even), 32 * (odd), -156 * (even),     \
            12 * (odd), 53 * (even), -11 * (odd), -11 * (even), 3 * (odd)                          \
    }
static const int16_t LOW_TAPS[TAPS] = TAPS_OF(1, 1);
static const int16_t HIGH_TAPS[TAPS] = TAPS_OF(-1, 1);
static const int16_t EVEN_TAPS[TAPS] = TAPS_OF(1, 0);
static const int16_t ODD_TAPS[TAPS] = TAPS_OF(0, 1);

/* [q6] Where the lower band's level 1, 2 ... 29 begins; two more that nothing reaches. */
#define NEVER (1 << 18)
static const int32_t LOW_BEGINS[32] = {
    0,   35,  72,  110,  150,  190,  233,  276,  323,  370,  422,  473,  530,  587,  650,   714,
    786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, NEVER, NEVER,
};

/* [qq6] The value of each level; a code says sign and level. */
static const int16_t LOW_VALUES[64] = {
    -17,   -17,   -17,  -17,  -3101, -2738, -2376, -2088, -1873, -1689, -1535, -1399, -1279,
    -1170, -1072, -982, -899, -822,  -750,  -682,  -618,  -558,  -501,  -447,  -396,  -347,
    -300,  -254,  -211, -170, -130,  -91,   3101,  2738,  2376,  2088,  1873,  1689,  1535,
    1399,  1279,  1170, 1072, 982,   899,   822,   750,   682,   618,   558,   501,   447,
    396,   347,   300,  254,  211,   170,   130,   91,    54,    17,    -54,   -17,
};

/* [qq4, wl] By the upper 4 bits of a code: the value, and what it adds to the step's logarithm. */
static const int16_t LOW_COARSE[16] = {
    0, -2557, -1612, -1121, -786, -530, -323, -150, 2557, 1612, 1121, 786, 530, 323, 150, 0,
};
static const int16_t LOW_GROWTH[16] = {
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
};

/* [q2, qq2, wh] The upper band: one limit, four codes. */
#define HIGH_BEGINS 564
static const int16_t HIGH_VALUES[4] = {-926, -202, 926, 202};
static const int16_t HIGH_GROWTH[2] = {798, -214}; /* by the lower bit */

/* [ilb] 2048 * 2^(i / 32). */
static const int16_t POWERS[32] = {
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
};

static inline int32_t clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

static inline int32_t saturate(int32_t x)
{
    return clamp(x, INT16_MIN, INT16_MAX);
}

/* [logscl, scalel; logsch, scaleh] */
static inline void adapt_step(band *b, int32_t growth, int32_t log_max)
{
    b->log_step = clamp((b->log_step * 127 >> 7) + growth, 0, log_max);
    /* At its maximum the step is 4096 in either band. */
    int32_t power = POWERS[b->log_step >> 6 & 31], shift = (log_max >> 11) - 1;
    shift -= b->log_step >> 11;
    b->step = shift < 0 ? power << -shift : power >> shift;
}

/* [upzero, filtez] */
static inline int32_t adapt_zeros(band *b, int32_t difference)
{
    lanes zeros = lanes_load(b->zeros), differences = lanes_load(b->differences);
    /* Each zero leans towards the sign that its difference shares with the new one. */
    lanes push = lanes_fill(difference ? 128 : 0);
    lanes opposite = lanes_shift_down(lanes_xor(differences, lanes_fill(difference)), 15);
    push = lanes_sub(lanes_xor(push, opposite), opposite);
    /* zeros * 255 >> 8, without a wider product; below 32640, so the sign can be turned. */
    lanes loss = lanes_shift_down(lanes_sub(lanes_fill(0), zeros), 8);
    zeros = lanes_add(lanes_add(zeros, loss), push);
    differences = lanes_put_first(differences, saturate(2 * difference));
    lanes_store(b->zeros, zeros);
    lanes_store(b->differences, differences);

    lanes products = lanes_product(zeros, differences), sum = lanes_from(products, 5);
    sum = lanes_add_saturate(sum, lanes_from(products, 4));
    sum = lanes_add_saturate(sum, lanes_from(products, 3));
    sum = lanes_add_saturate(sum, lanes_from(products, 2));
    sum = lanes_add_saturate(sum, lanes_from(products, 1));
    b->zero_prediction = lanes_first(lanes_add_saturate(sum, products));
    return b->zero_prediction;
}

/* [parrec, recons, uppol2, uppol1, filtep, predic] */
static inline void adapt_prediction(band *b, int32_t difference)
{
    int32_t negative = b->zero_prediction + difference < 0;
    int32_t same_1 = negative == b->was_negative[0], same_2 = negative == b->was_negative[1];
    b->was_negative[1] = b->was_negative[0];
    b->was_negative[0] = negative;

    int32_t lean = saturate(4 * b->poles[0]);
    lean = (same_1 ? saturate(-lean) : lean) >> 7;
    int32_t second = lean + (same_2 ? 128 : -128) + (b->poles[1] * 127 >> 7);
    b->poles[1] = clamp(second, -12288, 12288);
    int32_t limit = 15360 - b->poles[1];
    b->poles[0] = clamp((same_1 ? 192 : -192) + (b->poles[0] * 255 >> 8), -limit, limit);

    int32_t zero_prediction = adapt_zeros(b, difference);

    b->reconstructed[1] = b->reconstructed[0];
    b->reconstructed[0] = saturate(2 * saturate(b->prediction + difference));
    int32_t pole_prediction = saturate((b->poles[0] * b->reconstructed[0] >> 15) +
                                       (b->poles[1] * b->reconstructed[1] >> 15));
    b->prediction = saturate(pole_prediction + zero_prediction);
}

static inline void adapt_low(band *b, int code)
{
    int coarse = code >> 2;
    int32_t difference = b->step * LOW_COARSE[coarse] >> 10;
    adapt_step(b, LOW_GROWTH[coarse], LOW_LOG_MAX);
    adapt_prediction(b, difference);
}

static inline void adapt_high(band *b, int code)
{
    int32_t difference = b->step * HIGH_VALUES[code] >> 10;
    adapt_step(b, HIGH_GROWTH[code & 1], HIGH_LOG_MAX);
    adapt_prediction(b, difference);
}

/* [quantl] */
static inline int low_code(const band *b, int32_t sample)
{
    int32_t difference = saturate(sample - b->prediction);
    int32_t magnitude = difference ^ difference >> 31; /* of a negative one: less 1 */
    int level = 0;
    for (int half = 16; half > 0; half >>= 1)
        level += magnitude >= LOW_BEGINS[level + half] * b->step >> 10 ? half : 0;
    if (difference >= 0) return 61 - level;
    return (level < 2 ? 63 : 33) - level;
}

/* [quanth] */
static inline int high_code(const band *b, int32_t sample)
{
    int32_t difference = saturate(sample - b->prediction);
    int32_t magnitude = difference ^ difference >> 31;
    return (magnitude < HIGH_BEGINS * b->step >> 10) + (difference >= 0 ? 2 : 0);
}

/* The filter over the 24 samples from `line` on. */
static inline int32_t mirror(const int16_t *line, const int16_t *taps)
{
    int32_t sum = 0;
    for (int i = 0; i < TAPS; i++) sum += line[i] * taps[i];
    return sum;
}

static void reset_direction(direction *d)
{
    memset(d, 0, sizeof *d);
    d->low.step = 8;
    d->high.step = 2;
}

vc_status vc_g722_create(vc_g722 **out, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_g722 *g722 = vc_allocate(allocator, sizeof *g722);
    if (!g722) return VC_E_MEMORY;
    if (allocator) {
        g722->allocator = *allocator;
        g722->custom_allocator = 1;
    }
    vc_g722_reset(g722);
    *out = g722;
    return VC_OK;
}

void vc_g722_destroy(vc_g722 *g722)
{
    if (!g722) return;
    vc_allocator allocator = g722->allocator;
    vc_release(g722->custom_allocator ? &allocator : NULL, g722);
}

void vc_g722_reset(vc_g722 *g722)
{
    reset_direction(&g722->encoder);
    reset_direction(&g722->decoder);
}

vc_status vc_g722_encode(vc_g722 *g722, const int16_t *pcm, size_t n, uint8_t *out)
{
    if (n % 2) return VC_E_LENGTH;
    direction *d = &g722->encoder;
    while (n) {
        size_t part = n < BLOCK_SAMPLES ? n : BLOCK_SAMPLES;
        memcpy(d->line + HISTORY, pcm, part * sizeof *pcm);
        for (size_t i = 0; i < part; i += 2) {
            int low = low_code(&d->low, mirror(d->line + i, LOW_TAPS) >> 14);
            int high = high_code(&d->high, mirror(d->line + i, HIGH_TAPS) >> 14);
            adapt_low(&d->low, low);
            adapt_high(&d->high, high);
            *out++ = (uint8_t)(high << 6 | low);
        }
        memmove(d->line, d->line + part, HISTORY * sizeof *d->line);
        pcm += part;
        n -= part;
    }
    return VC_OK;
}

void vc_g722_decode(vc_g722 *g722, const uint8_t *in, size_t n, int16_t *pcm)
{
    direction *d = &g722->decoder;
    while (n) {
        size_t part = 2 * n < BLOCK_SAMPLES ? 2 * n : BLOCK_SAMPLES;
        for (size_t i = 0; i < part; i += 2) {
            int code = *in++, low = code & 63, high = code >> 6;
            int32_t lower = d->low.prediction + (d->low.step * LOW_VALUES[low] >> 10);
            int32_t upper = d->high.prediction + (d->high.step * HIGH_VALUES[high] >> 10);
            lower = clamp(lower, -16384, 16383);
            upper = clamp(upper, -16384, 16383);
            adapt_low(&d->low, low);
            adapt_high(&d->high, high);
            d->line[HISTORY + i] = (int16_t)(lower + upper);
            d->line[HISTORY + i + 1] = (int16_t)(lower - upper);
            *pcm++ = (int16_t)saturate(mirror(d->line + i, ODD_TAPS) >> 11);
            *pcm++ = (int16_t)saturate(mirror(d->line + i, EVEN_TAPS) >> 11);
        }
        memmove(d->line, d->line + part, HISTORY * sizeof *d->line);
        n -= part / 2;
    }
}
