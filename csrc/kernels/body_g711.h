/* body_g711: G.711 at one CPU level; define VC_G711_TABLE, the name of the level's table.
 *
 * Source: ITU-T G.711 (11/88), tables 1 and 2; the tests restate them as decision values. Both laws
 * are floating point numbers of 3 exponent and 4 mantissa bits. Integers only come out, exactly.
 *
 * One sample at a time (level C, and what is shorter than a vector): the float of the biased
 * magnitude holds the code in its upper bits, and the code put in the upper bits of a float gives
 * the magnitude back (A-law decodes with integers). No tables; compiles to vectors at the baseline.
 *
 * A vector at a time: nibbles look up 16-byte tables in registers. Encode: the segment follows from
 * the 8 bits above the finest step, and a product with a power of two is the shift by it. Decode: a
 * magnitude is mantissa times power, less a bias; both products are one dot product of bytes. */
#include "codec/vc_g711_kernels.h"
#include "kernels/vc_bytes.h"

#include <string.h>

/* A float with value 2^e has the bits (127 + e) << 23; a code sits at bit 19: 4 mantissa bits. */
#define CODE_SHIFT  19
#define EXPONENT(e) ((127 + (e)) << 4)

static inline int32_t float_bits(int32_t value)
{
    float f = (float)value;
    int32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline int32_t bits_value(int32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (int32_t)f;
}

static inline uint8_t ulaw_code(int16_t sample)
{
    int32_t x = sample >> 2;
    int32_t sign = x >> 31; /* 0 or -1 */
    int32_t magnitude = (x ^ sign) - sign;
    magnitude = magnitude > 8158 ? 8158 : magnitude;
    /* 33 is the bias: segments then start at 2^5 .. 2^12. */
    int32_t code = (float_bits(magnitude + 33) >> CODE_SHIFT) - EXPONENT(5);
    return (uint8_t)(code ^ (sign & 0x80) ^ 0xff);
}

static inline int16_t ulaw_sample(uint8_t given)
{
    int32_t code = given ^ 0xff;
    int32_t sign = -(code >> 7);
    /* + 2^18: the middle of the step; 132 = 4 * 33, the bias on the 16-bit scale. */
    int32_t bits = (((code & 0x7f) + EXPONENT(7)) << CODE_SHIFT) + (1 << (CODE_SHIFT - 1));
    int32_t magnitude = bits_value(bits) - 132;
    return (int16_t)((magnitude ^ sign) - sign);
}

static inline uint8_t alaw_code(int16_t sample)
{
    int32_t x = sample >> 3;
    int32_t sign = x >> 31;
    int32_t magnitude = x ^ sign;
    int32_t high = (float_bits(magnitude) >> CODE_SHIFT) - EXPONENT(4);
    int32_t code = magnitude < 32 ? magnitude >> 1 : high; /* segments 0 and 1 are linear */
    return (uint8_t)(code ^ (~sign & 0x80) ^ 0x55);
}

/* x << shift in 16-bit lanes: baseline vectors have no shift by amounts that differ. */
static inline uint16_t shifted(uint16_t x, uint16_t shift)
{
    uint16_t by_1 = (uint16_t)(0 - (shift & 1)), by_2 = (uint16_t)(0 - (shift >> 1 & 1));
    uint16_t by_4 = (uint16_t)(0 - (shift >> 2 & 1));
    x = (uint16_t)(x + (x & by_1));
    x = (uint16_t)(x + ((uint16_t)(3 * x) & by_2));
    return (uint16_t)(x + ((uint16_t)(15 * x) & by_4));
}

/* The linear segment makes the float way two results and a choice here; integers are quicker. */
static inline int16_t alaw_sample(uint8_t given)
{
    uint16_t code = (uint16_t)(given ^ 0x55);
    uint16_t sign = (uint16_t)((code >> 7) - 1); /* the bit is set for positive values */
    uint16_t segment = (uint16_t)(code >> 4 & 7);
    uint16_t curved = (uint16_t)(0 - ((segment + 7) >> 3));
    uint16_t base = (uint16_t)(((code & 15) << 4) + 8 + (curved & 256));
    uint16_t magnitude = shifted(base, (uint16_t)(segment + curved));
    return (int16_t)(uint16_t)((magnitude ^ sign) - sign);
}

#ifdef VC_BYTES

/* By the 8 bits above the 5 lowest of a magnitude: the multiplier that shifts it down to 5 bits,
 * and what these 5 bits then lack of the code. Of a byte's two nibbles the upper one decides where
 * it is not zero: its multipliers are less and its sums more than all of the lower one's. */
typedef struct encode_tables {
    uint8_t lower_times[16], upper_times[16], lower_plus[16], upper_plus[16];
} encode_tables;

static const encode_tables ULAW_ENCODE = {
    .lower_times = {128, 128, 64, 64, 32, 32, 32, 32, 16, 16, 16, 16, 16, 16, 16, 16},
    .upper_times = {255, 8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1},
    .lower_plus = {240, 240, 0, 0, 16, 16, 16, 16, 32, 32, 32, 32, 32, 32, 32, 32},
    .upper_plus = {128, 48, 64, 64, 80, 80, 80, 80, 96, 96, 96, 96, 96, 96, 96, 96},
};
static const encode_tables ALAW_ENCODE = {
    .lower_times = {128, 128, 64, 64, 32, 32, 32, 32, 16, 16, 16, 16, 16, 16, 16, 16},
    .upper_times = {255, 8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1},
    .lower_plus = {0, 0, 16, 16, 32, 32, 32, 32, 48, 48, 48, 48, 48, 48, 48, 48},
    .upper_plus = {128, 64, 80, 80, 96, 96, 96, 96, 112, 112, 112, 112, 112, 112, 112, 112},
};

/* The codes of a vector from magnitudes (13 bits) and values of their signs. */
static inline vc_bytes codes_of(vc_halves low, vc_halves high, vc_bytes signs, uint8_t flip,
                                const encode_tables *tables)
{
    vc_bytes top = vc_halves_pack_u8(vc_halves_shift_down(low, 5), vc_halves_shift_down(high, 5));
    vc_bytes lower = vc_bytes_and(top, vc_bytes_fill(15)), upper = vc_bytes_upper_nibbles(top);
    vc_bytes times = vc_bytes_min_u8(vc_bytes_look_up(vc_bytes_table(tables->lower_times), lower),
                                     vc_bytes_look_up(vc_bytes_table(tables->upper_times), upper));
    vc_bytes plus = vc_bytes_max_s8(vc_bytes_look_up(vc_bytes_table(tables->lower_plus), lower),
                                    vc_bytes_look_up(vc_bytes_table(tables->upper_plus), upper));
    vc_bytes steps =
        vc_halves_pack_u8(vc_halves_times_low(low, times), vc_halves_times_high(high, times));
    vc_bytes sign = vc_bytes_xor(vc_bytes_and(signs, vc_bytes_fill(0x80)), vc_bytes_fill(flip));
    return vc_bytes_in_order(vc_bytes_xor(vc_bytes_add(steps, plus), sign));
}

static inline void ulaw_encode_vector(const int16_t *pcm, uint8_t *out)
{
    vc_halves low = vc_halves_shift_down(vc_halves_load(pcm), 2);
    vc_halves high = vc_halves_shift_down(vc_halves_load(pcm + VC_BYTES / 2), 2);
    vc_bytes signs = vc_halves_pack_s8(low, high);
    vc_halves most = vc_halves_fill(8158), bias = vc_halves_fill(33);
    low = vc_halves_add(vc_halves_min(vc_halves_abs(low), most), bias);
    high = vc_halves_add(vc_halves_min(vc_halves_abs(high), most), bias);
    vc_bytes_store(out, codes_of(low, high, signs, 0xff, &ULAW_ENCODE));
}

static inline void alaw_encode_vector(const int16_t *pcm, uint8_t *out)
{
    vc_halves low = vc_halves_shift_down(vc_halves_load(pcm), 3);
    vc_halves high = vc_halves_shift_down(vc_halves_load(pcm + VC_BYTES / 2), 3);
    vc_bytes signs = vc_halves_pack_s8(low, high);
    low = vc_halves_xor(low, vc_halves_shift_down(low, 15));
    high = vc_halves_xor(high, vc_halves_shift_down(high, 15));
    vc_bytes_store(out, codes_of(low, high, signs, 0xd5, &ALAW_ENCODE));
}

/* By the code as it comes, inversions included. u8: of the lower nibble's 4 bits m, 8 m + 132. */
static const uint8_t ULAW_MANTISSA[16] = {252, 244, 236, 228, 220, 212, 204, 196,
                                          188, 180, 172, 164, 156, 148, 140, 132};
static const uint8_t ALAW_MANTISSA[16] = {172, 164, 188, 180, 140, 132, 156, 148,
                                          236, 228, 252, 244, 204, 196, 220, 212};
/* s8, by the upper nibble, the sign included. µ-law: 2^segment - 1 and 1, so that the dot product
 * with (mantissa, mantissa - 132) is mantissa * 2^segment - 132, each factor in its byte. */
static const int8_t ULAW_POWER[16] = {-127, -63, -31, -15, -7, -3, -1, 0,
                                      127,  63,  31,  15,  7,  3,  1,  0};
static const int8_t ULAW_ONE[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1};
/* A-law: half of the value is mantissa * 2^(segment - 1); in segment 0 it is mantissa - 128. */
static const int8_t ALAW_POWER[16] = {-16, -8, -64, -32, -1, -1, -4, -2, 16, 8, 64, 32, 1, 1, 4, 2};
static const int8_t ALAW_LINEAR[16] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0};

static inline void ulaw_decode_vector(const uint8_t *in, int16_t *pcm)
{
    vc_bytes code = vc_bytes_by_halves(vc_bytes_load(in));
    vc_bytes lower = vc_bytes_and(code, vc_bytes_fill(15)), upper = vc_bytes_upper_nibbles(code);
    vc_bytes mantissa = vc_bytes_look_up(vc_bytes_table(ULAW_MANTISSA), lower);
    vc_bytes unbiased = vc_bytes_sub(mantissa, vc_bytes_fill(132));
    vc_bytes power = vc_bytes_look_up(vc_bytes_table((const uint8_t *)ULAW_POWER), upper);
    vc_bytes one = vc_bytes_look_up(vc_bytes_table((const uint8_t *)ULAW_ONE), upper);
    vc_halves_store(pcm, vc_bytes_dot_low(mantissa, power, unbiased, one));
    vc_halves_store(pcm + VC_BYTES / 2, vc_bytes_dot_high(mantissa, power, unbiased, one));
}

static inline void alaw_decode_vector(const uint8_t *in, int16_t *pcm)
{
    vc_bytes code = vc_bytes_by_halves(vc_bytes_load(in));
    vc_bytes lower = vc_bytes_and(code, vc_bytes_fill(15)), upper = vc_bytes_upper_nibbles(code);
    vc_bytes mantissa = vc_bytes_look_up(vc_bytes_table(ALAW_MANTISSA), lower);
    vc_bytes bias = vc_bytes_fill(128);
    vc_bytes power = vc_bytes_look_up(vc_bytes_table((const uint8_t *)ALAW_POWER), upper);
    vc_bytes linear = vc_bytes_look_up(vc_bytes_table((const uint8_t *)ALAW_LINEAR), upper);
    vc_halves low = vc_bytes_dot_low(mantissa, power, bias, linear);
    vc_halves high = vc_bytes_dot_high(mantissa, power, bias, linear);
    vc_halves_store(pcm, vc_halves_add(low, low));
    vc_halves_store(pcm + VC_BYTES / 2, vc_halves_add(high, high));
}

/* Whole vectors; the last one overlaps the one before, or everything one by one. */
#define EVERY(n, vector, one)                                                                      \
    do {                                                                                           \
        if ((n) < VC_BYTES) {                                                                      \
            for (size_t i = 0; i < (n); i++) one;                                                  \
            return;                                                                                \
        }                                                                                          \
        size_t last = (n)-VC_BYTES;                                                                \
        for (size_t i = 0; i < last; i += VC_BYTES) vector;                                        \
        size_t i = last;                                                                           \
        vector;                                                                                    \
    } while (0)

#else
#define EVERY(n, vector, one)                                                                      \
    for (size_t i = 0; i < (n); i++) one
#endif

static void ulaw_encode(const int16_t *pcm, uint8_t *out, size_t n)
{
    EVERY(n, ulaw_encode_vector(pcm + i, out + i), out[i] = ulaw_code(pcm[i]));
}

static void ulaw_decode(const uint8_t *in, int16_t *pcm, size_t n)
{
    EVERY(n, ulaw_decode_vector(in + i, pcm + i), pcm[i] = ulaw_sample(in[i]));
}

static void alaw_encode(const int16_t *pcm, uint8_t *out, size_t n)
{
    EVERY(n, alaw_encode_vector(pcm + i, out + i), out[i] = alaw_code(pcm[i]));
}

static void alaw_decode(const uint8_t *in, int16_t *pcm, size_t n)
{
    EVERY(n, alaw_decode_vector(in + i, pcm + i), pcm[i] = alaw_sample(in[i]));
}

const vc_g711 VC_G711_TABLE = {
    .ulaw_encode = ulaw_encode,
    .ulaw_decode = ulaw_decode,
    .alaw_encode = alaw_encode,
    .alaw_decode = alaw_decode,
};
