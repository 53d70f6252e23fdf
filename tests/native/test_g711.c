/* vc_g711: against the decision and output values of ITU-T G.711 tables 1 and 2, restated as
 * arithmetic on segments; every input, every code. Vector and tail loops both run. */
#include "codec/vc_g711.h"

#include "vc_test.h"

/* Output value of a positive code on the law's own integer scale (segment s, step m). */
static int ulaw_output(int segment, int step)
{
    return ((2 * step + 33) << segment) - 33;
}

static int alaw_output(int segment, int step)
{
    return segment == 0 ? 2 * step + 1 : (2 * step + 33) << (segment - 1);
}

VC_TEST(decode_gives_the_recommended_values)
{
    uint8_t codes[256];
    int16_t pcm[256];
    for (int i = 0; i < 256; i++) codes[i] = (uint8_t)i;
    vc_g711_ulaw_decode(codes, pcm, 256);
    for (int i = 0; i < 256; i++) {
        int inverted = i ^ 0xff;
        int value = 4 * ulaw_output(inverted >> 4 & 7, inverted & 15);
        VC_CHECK_EQ(pcm[i], inverted & 0x80 ? -value : value);
    }
    vc_g711_alaw_decode(codes, pcm, 256);
    for (int i = 0; i < 256; i++) {
        int even = i ^ 0x55;
        int value = 8 * alaw_output(even >> 4 & 7, even & 15);
        VC_CHECK_EQ(pcm[i], even & 0x80 ? value : -value);
    }
}

VC_TEST(encode_keeps_to_the_decision_values)
{
    static int16_t pcm[65536];
    static uint8_t codes[65536];
    for (int i = 0; i < 65536; i++) pcm[i] = (int16_t)(i - 32768);
    long wrong = 0;
    vc_g711_ulaw_encode(pcm, codes, 65536);
    for (int i = 0; i < 65536; i++) {
        int x = pcm[i] >> 2, magnitude = x < 0 ? -x : x, code = 0;
        /* The highest interval whose lower decision value is reached. */
        for (int c = 1; c < 128; c++) {
            int lower = ((2 * (c & 15) + 32) << (c >> 4)) - 33;
            if (magnitude >= lower) code = c;
        }
        wrong += codes[i] != (uint8_t)((code | (x < 0 ? 0x80 : 0)) ^ 0xff);
    }
    VC_CHECK_EQ(wrong, 0);
    vc_g711_alaw_encode(pcm, codes, 65536);
    for (int i = 0; i < 65536; i++) {
        int x = pcm[i] >> 3, magnitude = x < 0 ? -x - 1 : x, code = 0;
        for (int c = 1; c < 128; c++) {
            int segment = c >> 4, step = c & 15;
            int lower = segment == 0 ? 2 * step : (32 + 2 * step) << (segment - 1);
            if (magnitude >= lower) code = c;
        }
        wrong += codes[i] != (uint8_t)((code | (x < 0 ? 0 : 0x80)) ^ 0x55);
    }
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(every_length_gives_the_same_codes)
{
    int16_t pcm[80], back[80], whole[80];
    uint8_t all[80], part[80];
    uint32_t seed = 711;
    for (int i = 0; i < 80; i++) pcm[i] = (int16_t)vc_test_random(&seed);
    vc_g711_ulaw_encode(pcm, all, 80);
    vc_g711_ulaw_decode(all, whole, 80);
    for (size_t n = 0; n <= 80; n++) {
        vc_g711_ulaw_encode(pcm + 80 - n, part, n);
        vc_g711_ulaw_decode(part, back, n);
        for (size_t i = 0; i < n; i++) VC_CHECK_EQ(part[i], all[80 - n + i]);
        for (size_t i = 0; i < n; i++) VC_CHECK_EQ(back[i], whole[80 - n + i]);
    }
}

VC_MAIN(VC_RUN(decode_gives_the_recommended_values) VC_RUN(encode_keeps_to_the_decision_values)
            VC_RUN(every_length_gives_the_same_codes))
