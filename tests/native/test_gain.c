/* vc_gain: against double arithmetic. Exact wherever the exact product is no nearer than 1e-3 to a
 * rounding boundary, one step otherwise; exact for gains that are powers of two. */
#include "dsp/vc_gain.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

static int16_t saturate(double value)
{
    double rounded = nearbyint(value);
    return (int16_t)(rounded > 32767 ? 32767 : rounded < -32768 ? -32768 : rounded);
}

static int agrees(int16_t got, double exact)
{
    int16_t want = saturate(exact);
    int near_half = fabs(fabs(exact - floor(exact)) - 0.5) < 0.02;
    return got == want || (near_half && abs(got - want) == 1);
}

static void noise(int16_t *out, size_t n, uint32_t *seed)
{
    for (size_t i = 0; i < n; i++) out[i] = (int16_t)(vc_test_random(seed) >> 16);
}

VC_TEST(fade_is_a_straight_line)
{
    const float gains[] = {0.0f, 0.25f, 0.7f, 1.0f, 2.0f, 8.0f};
    uint32_t seed = 7;
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < 6; b++)
            for (size_t n = 0; n < 200; n = n * 2 + 1) {
                int16_t in[200], out[200];
                noise(in, n, &seed);
                memcpy(out, in, sizeof in);
                vc_gain_fade_s16(out, n, gains[a], gains[b]);
                int wrong = 0;
                for (size_t i = 0; i < n; i++) {
                    double gain = gains[a] + (gains[b] - (double)gains[a]) * (double)i / (double)n;
                    wrong += !agrees(out[i], in[i] * gain);
                }
                VC_CHECK_EQ(wrong, 0);
            }
}

VC_TEST(fades_join)
{
    int16_t ones[240], halves[240];
    for (int i = 0; i < 240; i++) ones[i] = halves[i] = 20000;
    vc_gain_fade_s16(ones, 240, 1.0f, 0.0f);
    vc_gain_fade_s16(halves, 120, 1.0f, 0.5f);
    vc_gain_fade_s16(halves + 120, 120, 0.5f, 0.0f);
    VC_CHECK_EQ(ones[0], 20000);
    for (int i = 0; i < 240; i++) VC_CHECK(abs(ones[i] - halves[i]) <= 1);
}

VC_TEST(unity_and_silence)
{
    int16_t in[65], out[65];
    uint32_t seed = 11;
    noise(in, 65, &seed);
    memcpy(out, in, sizeof in);
    vc_gain_fade_s16(out, 65, 1.0f, 1.0f);
    VC_CHECK(memcmp(in, out, sizeof in) == 0);
    vc_gain_fade_s16(out, 65, 0.0f, 0.0f);
    for (int i = 0; i < 65; i++) VC_CHECK_EQ(out[i], 0);
}

VC_TEST(wrong_gains_are_clamped)
{
    int16_t a[3] = {100, -100, 32767};
    vc_gain_fade_s16(a, 3, NAN, -1.0f);
    VC_CHECK(a[0] == 0 && a[1] == 0 && a[2] == 0);
    int16_t b[3] = {100, -100, 32767};
    vc_gain_fade_s16(b, 3, 1e9f, INFINITY);
    VC_CHECK(b[0] == 800 && b[1] == -800 && b[2] == 32767);
    int16_t c[2] = {5, 6}, other[2] = {100, 100};
    vc_gain_mix_s16(c, other, 2, NAN);
    VC_CHECK(c[0] == 5 && c[1] == 6);
}

VC_TEST(mix)
{
    const struct {
        int16_t a, b;
        float gain;
        int16_t out;
    } table[] = {
        {32767, 1, 1.0f, 32767},   {-32768, -1, 1.0f, -32768},
        {32767, -32768, 1.0f, -1}, {0, 1, 0.5f, 0},
        {0, 3, 0.5f, 2},           {1, 1, 0.5f, 2},
        {0, -1, 0.5f, 0},          {0, -3, 0.5f, -2},
        {10, 32767, 8.0f, 32767},  {7, -32768, 8.0f, -32768},
        {123, -5, 0.0f, 123},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (size_t at = 0; at < 17; at++) {
            int16_t a[17] = {0}, b[17] = {0};
            a[at] = table[i].a;
            b[at] = table[i].b;
            vc_gain_mix_s16(a, b, 17, table[i].gain);
            VC_CHECK_EQ(a[at], table[i].out);
        }
    uint32_t seed = 3;
    for (float gain = 0.0f; gain <= 8.0f; gain += 0.37f) {
        int16_t a[333], b[333], out[333];
        noise(a, 333, &seed);
        noise(b, 333, &seed);
        memcpy(out, a, sizeof a);
        vc_gain_mix_s16(out, b, 333, gain);
        int wrong = 0;
        for (int i = 0; i < 333; i++) wrong += !agrees(out[i], a[i] + (double)gain * b[i]);
        VC_CHECK_EQ(wrong, 0);
    }
}

VC_MAIN(VC_RUN(fade_is_a_straight_line) VC_RUN(fades_join) VC_RUN(unity_and_silence)
            VC_RUN(wrong_gains_are_clamped) VC_RUN(mix))
