/* vc_g711: the logarithmic segments are read off, and made from, the bits of a float.
 *
 * Both laws are floating point numbers of 3 exponent and 4 mantissa bits. So the float of the
 * biased magnitude holds the code in its upper bits, and the code put in the upper bits of a float
 * gives the magnitude back (A-law decodes with integers). This is exact (no value has more than 15
 * bits), needs no tables, and compiles to vector code for the baseline of x86-64 and aarch64.
 * Source: ITU-T G.711 (11/88), tables 1 and 2; the tests restate them as decision values. */
#include "codec/vc_g711.h"

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

void vc_g711_ulaw_encode(const int16_t *pcm, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t x = pcm[i] >> 2;
        int32_t sign = x >> 31; /* 0 or -1 */
        int32_t magnitude = (x ^ sign) - sign;
        magnitude = magnitude > 8158 ? 8158 : magnitude;
        /* 33 is the bias: segments then start at 2^5 .. 2^12. */
        int32_t code = (float_bits(magnitude + 33) >> CODE_SHIFT) - EXPONENT(5);
        out[i] = (uint8_t)(code ^ (sign & 0x80) ^ 0xff);
    }
}

void vc_g711_ulaw_decode(const uint8_t *in, int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t code = in[i] ^ 0xff;
        int32_t sign = -(code >> 7);
        /* + 2^18: the middle of the step; 132 = 4 * 33, the bias on the 16-bit scale. */
        int32_t bits = (((code & 0x7f) + EXPONENT(7)) << CODE_SHIFT) + (1 << (CODE_SHIFT - 1));
        int32_t magnitude = bits_value(bits) - 132;
        pcm[i] = (int16_t)((magnitude ^ sign) - sign);
    }
}

void vc_g711_alaw_encode(const int16_t *pcm, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t x = pcm[i] >> 3;
        int32_t sign = x >> 31;
        int32_t magnitude = x ^ sign;
        int32_t high = (float_bits(magnitude) >> CODE_SHIFT) - EXPONENT(4);
        int32_t code = magnitude < 32 ? magnitude >> 1 : high; /* segments 0 and 1 are linear */
        out[i] = (uint8_t)(code ^ (~sign & 0x80) ^ 0x55);
    }
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
void vc_g711_alaw_decode(const uint8_t *in, int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code = (uint16_t)(in[i] ^ 0x55);
        uint16_t sign = (uint16_t)((code >> 7) - 1); /* the bit is set for positive values */
        uint16_t segment = (uint16_t)(code >> 4 & 7);
        uint16_t curved = (uint16_t)(0 - ((segment + 7) >> 3));
        uint16_t base = (uint16_t)(((code & 15) << 4) + 8 + (curved & 256));
        uint16_t magnitude = shifted(base, (uint16_t)(segment + curved));
        pcm[i] = (int16_t)(uint16_t)((magnitude ^ sign) - sign);
    }
}
