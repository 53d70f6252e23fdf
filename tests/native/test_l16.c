/* vc_l16: every sample, against its two bytes; then back. */
#include "codec/vc_l16.h"

#include "vc_test.h"

VC_TEST(every_sample_there_and_back)
{
    static int16_t pcm[65536], back[65536];
    static uint8_t bytes[131072];
    for (int i = 0; i < 65536; i++) pcm[i] = (int16_t)(i - 32768);
    vc_l16_encode(pcm, bytes, 65536);
    vc_l16_decode(bytes, back, 65536);
    long wrong = 0;
    for (int i = 0; i < 65536; i++) {
        int value = bytes[2 * i] * 256 + bytes[2 * i + 1];
        wrong += (value ^ 0x8000) != i || back[i] != pcm[i];
    }
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(only_whole_samples_are_touched)
{
    int16_t pcm[3] = {1, -2, 3};
    uint8_t bytes[6] = {9, 9, 9, 9, 9, 9};
    vc_l16_encode(pcm, bytes, 2);
    static const uint8_t expected[6] = {0, 1, 0xff, 0xfe, 9, 9};
    for (int i = 0; i < 6; i++) VC_CHECK_EQ(bytes[i], expected[i]);
    vc_l16_decode(bytes, pcm, 0);
    VC_CHECK_EQ(pcm[0], 1);
}

VC_MAIN(VC_RUN(every_sample_there_and_back) VC_RUN(only_whole_samples_are_touched))
