/* vc_background: the least power, and when nobody speaks. Oracle: rows worked by hand. */
#include "vad/vc_background.h"

#include <math.h>

#include "vc_test.h"

/* 8 kHz, 256 samples: a period is 46 windows, settling takes 10, or 31 above -50 dBFS, and 8 more
 * until the VAD rests. */
enum { PERIOD = 46, SETTLING = 10, SETTLING_LOUD = 31, RESTING = 8 };

static vc_background fresh(void)
{
    vc_background background;
    VC_CHECK_OK(vc_background_init(&background, 8000, 256));
    return background;
}

static int settled_in(vc_background *background, int windows, float power, float probability)
{
    for (int i = 0; i < windows; i++) {
        vc_background_step(background, power, probability);
        if (vc_background_is_settled(background)) return i + 1;
    }
    return 0;
}

VC_TEST(snr_is_over_the_least_of_two_periods)
{
    vc_background b = fresh();
    for (int i = 0; i < PERIOD; i++) {
        vc_background_step(&b, i == 3 ? 1e-4f : 1e-2f, 0.0f);
        VC_CHECK(isinf(vc_background_snr(&b)));
    }
    vc_background_step(&b, 1e-2f, 0.0f);
    VC_CHECK(fabs(vc_background_snr(&b) - 100.0) <= 1e-5 * 100.0);
    for (int i = 1; i < PERIOD; i++) vc_background_step(&b, 2e-2f, 0.0f);
    VC_CHECK(fabs(vc_background_snr(&b) - 200.0) <= 1e-5 * 200.0);
    /* The soft window is two periods old and forgotten. */
    vc_background_step(&b, 2e-2f, 0.0f);
    VC_CHECK(fabs(vc_background_snr(&b) - 2.0) <= 1e-5 * 2.0);
}

VC_TEST(silence_is_no_background)
{
    vc_background b = fresh();
    for (int i = 0; i <= PERIOD; i++) vc_background_step(&b, 0.0f, 0.0f);
    VC_CHECK_EQ(vc_background_snr(&b), 0.0f);
    vc_background_step(&b, 1e-7f, 0.0f);
    VC_CHECK(fabs(vc_background_snr(&b) - 10.0) <= 1e-5 * 10.0);
}

VC_TEST(settles_once_in_silence_and_in_steady_noise)
{
    vc_background b = fresh();
    VC_CHECK_EQ(settled_in(&b, 100, 1e-6f, 0.1f), SETTLING);
    VC_CHECK_EQ(settled_in(&b, 100, 1e-6f, 0.1f), 0);
    /* Soft, however it changes. */
    b = fresh();
    for (int i = 0; i < SETTLING - 1; i++) {
        vc_background_step(&b, i % 2 ? 3e-7f : 1e-9f, 0.1f);
        VC_CHECK(!vc_background_is_settled(&b));
    }
    VC_CHECK_EQ(settled_in(&b, 1, 1e-9f, 0.1f), 1);
    /* Loud and steady within 2 dB. */
    b = fresh();
    for (int i = 0; i < SETTLING_LOUD - 1; i++) {
        vc_background_step(&b, i % 2 ? 1e-2f : 1.55e-2f, 0.1f);
        VC_CHECK(!vc_background_is_settled(&b));
    }
    VC_CHECK_EQ(settled_in(&b, 1, 1e-2f, 0.1f), 1);
}

VC_TEST(neither_speech_nor_a_changing_background_settles)
{
    vc_background b = fresh();
    VC_CHECK_EQ(settled_in(&b, 1000, 1e-6f, 0.3f), 0);
    VC_CHECK_EQ(settled_in(&b, SETTLING - 1, 1e-6f, 0.0f), 0);
    VC_CHECK_EQ(settled_in(&b, 1, 1e-6f, 0.9f), 0);
    VC_CHECK_EQ(settled_in(&b, 100, 1e-6f, 0.0f), SETTLING);
    for (int i = 0; i < 300; i++) {
        vc_background_step(&b, i % 2 ? 1e-3f : 1.65e-3f, 0.1f);
        VC_CHECK(!vc_background_is_settled(&b));
    }
    /* The window that breaks a row is the first of the next. */
    b = fresh();
    VC_CHECK_EQ(settled_in(&b, SETTLING_LOUD - 1, 1e-2f, 0.0f), 0);
    VC_CHECK_EQ(settled_in(&b, 100, 1e-3f, 0.0f), SETTLING_LOUD);
}

VC_TEST(the_vad_rests_until_something_stands_out)
{
    vc_background b = fresh();
    for (int i = 0; i < SETTLING_LOUD + RESTING; i++) {
        VC_CHECK(!vc_background_is_resting(&b, 1e-4f));
        vc_background_step(&b, 1e-4f, 0.1f);
    }
    for (int i = 0; i < 10000; i++) {
        VC_CHECK(vc_background_is_resting(&b, i % 2 ? 1e-4f : 1.5e-4f));
        vc_background_step(&b, i % 2 ? 1e-4f : 1.5e-4f, 0.0f);
        VC_CHECK(!vc_background_is_settled(&b));
    }
    /* Louder than the softest by 2 dB, or softer than the loudest by that. */
    VC_CHECK(!vc_background_is_resting(&b, 1.65e-4f));
    VC_CHECK(!vc_background_is_resting(&b, 0.9e-4f));
    vc_background_step(&b, 1.65e-4f, 0.1f);
    VC_CHECK(!vc_background_is_resting(&b, 1e-4f));
    VC_CHECK_EQ(settled_in(&b, 100, 1.1e-4f, 0.1f),
                SETTLING_LOUD - 1); /* with the one that stood out */
}

VC_TEST(survives_what_is_no_number)
{
    vc_background b = fresh();
    for (int i = 0; i < 2 * PERIOD; i++) vc_background_step(&b, NAN, NAN);
    VC_CHECK_EQ(vc_background_snr(&b), 0.0f);
    VC_CHECK_EQ(settled_in(&b, 100, INFINITY, 0.0f), SETTLING_LOUD);
    VC_CHECK(!vc_background_is_resting(&b, 1.0f));
    vc_background_reset(&b);
    VC_CHECK(isinf(vc_background_snr(&b)));
}

VC_TEST(rejects_bad_settings)
{
    vc_background b;
    VC_CHECK_EQ(vc_background_init(NULL, 8000, 256), VC_E_NULL);
    VC_CHECK_EQ(vc_background_init(&b, 11025, 256), VC_E_RATE);
    VC_CHECK_EQ(vc_background_init(&b, 8000, 0), VC_E_RANGE);
    VC_CHECK_EQ(vc_background_init(&b, 8000, 4097), VC_E_RANGE);
}

VC_MAIN(VC_RUN(snr_is_over_the_least_of_two_periods) VC_RUN(silence_is_no_background)
            VC_RUN(settles_once_in_silence_and_in_steady_noise)
                VC_RUN(neither_speech_nor_a_changing_background_settles)
                    VC_RUN(the_vad_rests_until_something_stands_out)
                        VC_RUN(survives_what_is_no_number) VC_RUN(rejects_bad_settings))
