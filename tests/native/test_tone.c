/* vc_tone: against sin() in double, within one step; levels, edges, slicing. */
#include "dsp/vc_tone.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

static int16_t whole[200000], sliced[200000];

VC_TEST(samples_are_the_sum_of_two_sines)
{
    const int rates[] = {8000, 11025, 48000};
    for (int r = 0; r < 3; r++)
        for (const char *digit = "0123456789*#ABCD"; *digit; digit++) {
            vc_tone_config config = vc_tone_dtmf(*digit, rates[r]);
            config.edge_samples = 0;
            config.on_samples = (uint32_t)rates[r] * 3;
            vc_tone tone;
            VC_CHECK_OK(vc_tone_start(&tone, &config));
            size_t n = sizeof whole / sizeof *whole, wrong = 0;
            VC_CHECK_OK(vc_tone_process(&tone, whole, &n));
            VC_CHECK_EQ(n, config.on_samples + config.off_samples);
            double low = VC_TONE_PEAK_0DBM0 * pow(10, -0.5), high = low * pow(10, 0.1);
            for (size_t i = 0; i < n; i++) {
                double t = 2 * 3.14159265358979323846 * (double)i / rates[r];
                double exact = low * sin(t * config.hz[0]) + high * sin(t * config.hz[1]);
                wrong += fabs(whole[i] - (i < config.on_samples ? exact : 0)) > 0.51;
            }
            VC_CHECK_EQ(wrong, 0);
            VC_CHECK_EQ(vc_tone_process(&tone, whole, &n), VC_NEED_MORE);
            VC_CHECK_EQ(n, 0);
        }
}

VC_TEST(frequencies_are_those_of_q23)
{
    vc_tone_config five = vc_tone_dtmf('5', 8000), pound = vc_tone_dtmf('#', 8000);
    VC_CHECK(five.hz[0] == 770.0f && five.hz[1] == 1336.0f);
    VC_CHECK(pound.hz[0] == 941.0f && pound.hz[1] == 1477.0f);
}

VC_TEST(slicing_changes_nothing)
{
    vc_tone_config config = vc_tone_dtmf('9', 16000);
    vc_tone tone;
    VC_CHECK_OK(vc_tone_start(&tone, &config));
    size_t n = sizeof whole / sizeof *whole, at = 0;
    VC_CHECK_OK(vc_tone_process(&tone, whole, &n));
    VC_CHECK_OK(vc_tone_start(&tone, &config));
    uint32_t seed = 5;
    while (at < n) {
        size_t part = vc_test_random(&seed) % 97;
        VC_CHECK_OK(vc_tone_process(&tone, sliced + at, &part));
        at += part;
    }
    VC_CHECK_EQ(at, n);
    VC_CHECK(memcmp(whole, sliced, n * sizeof *whole) == 0);
    VC_CHECK(abs(whole[0]) < 10 && abs(whole[1599]) < 50); /* the edges are smooth */
}

VC_TEST(what_is_refused)
{
    vc_tone tone;
    vc_tone_config config = vc_tone_dtmf('x', 8000);
    VC_CHECK_EQ(vc_tone_start(&tone, &config), VC_E_RATE);
    config = vc_tone_dtmf('1', 8000);
    config.edge_samples = 401;
    VC_CHECK_EQ(vc_tone_start(&tone, &config), VC_E_RANGE);
    const float hz[] = {-1.0f, 4001.0f, NAN}, level[] = {3.1f, -100.1f, NAN};
    for (int i = 0; i < 3; i++) {
        config = vc_tone_dtmf('1', 8000);
        config.hz[1] = hz[i];
        VC_CHECK_EQ(vc_tone_start(&tone, &config), VC_E_RANGE);
        config = vc_tone_dtmf('1', 8000);
        config.level_dbm0[0] = level[i];
        VC_CHECK_EQ(vc_tone_start(&tone, &config), VC_E_RANGE);
    }
    config = vc_tone_dtmf('1', 8000);
    config.level_dbm0[0] = config.level_dbm0[1] = VC_TONE_OFF_DBM0;
    VC_CHECK_OK(vc_tone_start(&tone, &config));
    size_t n = 1600;
    VC_CHECK_OK(vc_tone_process(&tone, whole, &n));
    for (int i = 0; i < 1600; i++) VC_CHECK_EQ(whole[i], 0);
}

VC_MAIN(VC_RUN(samples_are_the_sum_of_two_sines) VC_RUN(frequencies_are_those_of_q23)
            VC_RUN(slicing_changes_nothing) VC_RUN(what_is_refused))
