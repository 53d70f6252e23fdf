/* vc_convert: against double arithmetic with the C library's round-half-even, on every int16, on
 * all boundaries and on random bit patterns (NaN, infinity, denormals). Bound: exact. */
#include "base/vc_convert.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

static int16_t expected(float sample)
{
    if (isnan(sample)) return 0;
    double scaled = nearbyint((double)sample * 32768.0); /* half to even by default */
    if (scaled > 32767.0) return 32767;
    if (scaled < -32768.0) return -32768;
    return (int16_t)scaled;
}

VC_TEST(every_s16_survives)
{
    static int16_t in[65536], back[65536];
    static float mid[65536];
    for (int i = 0; i < 65536; i++) in[i] = (int16_t)(i - 32768);
    vc_convert_s16_to_f32(in, mid, 65536);
    vc_convert_f32_to_s16(mid, back, 65536);
    int wrong = 0;
    for (int i = 0; i < 65536; i++) wrong += (double)mid[i] != in[i] / 32768.0 || back[i] != in[i];
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(boundaries)
{
    const struct {
        float in;
        int16_t out;
    } table[] = {
        {0.0f, 0},
        {-0.0f, 0},
        {0.5f / 32768, 0},
        {1.5f / 32768, 2},
        {2.5f / 32768, 2},
        {-0.5f / 32768, 0},
        {-1.5f / 32768, -2},
        {-2.5f / 32768, -2},
        {0.50001f / 32768, 1},
        {32766.5f / 32768, 32766},
        {32767.0f / 32768, 32767},
        {32767.5f / 32768, 32767},
        {1.0f, 32767},
        {-1.0f, -32768},
        {-32768.5f / 32768, -32768},
        {-32769.0f / 32768, -32768},
        {100.0f, 32767},
        {-100.0f, -32768},
        {3.4e38f, 32767},
        {-3.4e38f, -32768},
        {INFINITY, 32767},
        {-INFINITY, -32768},
        {NAN, 0},
        {-NAN, 0},
        {1e-45f, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        /* Every place in a vector, so that the vector loop and its rest agree. */
        for (size_t at = 0; at < 19; at++) {
            float in[19] = {0};
            int16_t out[19];
            in[at] = table[i].in;
            vc_convert_f32_to_s16(in, out, 19);
            VC_CHECK_EQ(out[at], table[i].out);
        }
    }
}

VC_TEST(random_bits)
{
    uint32_t seed = 20250101;
    int wrong = 0;
    for (int round = 0; round < 2000; round++) {
        float in[67];
        int16_t out[67];
        for (int i = 0; i < 67; i++) {
            uint32_t bits = vc_test_random(&seed);
            if (i % 2) bits = (bits & 0x80ffffffu) | 0x38000000u; /* around the s16 steps */
            memcpy(&in[i], &bits, sizeof bits);
        }
        vc_convert_f32_to_s16(in, out, 67);
        for (int i = 0; i < 67; i++) wrong += out[i] != expected(in[i]);
    }
    VC_CHECK_EQ(wrong, 0);
}

VC_MAIN(VC_RUN(every_s16_survives) VC_RUN(boundaries) VC_RUN(random_bits))
