/* vc_speech: hysteresis and minimum lengths. Oracle: tables worked by hand. */
#include "vad/vc_speech.h"

#include <math.h>

#include "vc_test.h"

enum { W = 256 };

static vc_speech_config config(void)
{
    vc_speech_config c = {.speech_threshold = 0.5f,
                          .silence_threshold = 0.35f,
                          .window_samples = W,
                          .min_speech_samples = 2 * W,
                          .min_silence_samples = 3 * W};
    return c;
}

/* Runs a row of probabilities; what happened at each window must equal the row of expectations. */
static void expect(vc_speech *speech, const float *p, const int *happened, int n)
{
    for (int i = 0; i < n; i++)
        VC_CHECK_EQ(vc_speech_step(speech, p[i], (int64_t)i * W), happened[i]);
}

VC_TEST(starts_and_stops)
{
    vc_speech speech;
    vc_speech_config c = config();
    VC_CHECK_OK(vc_speech_init(&speech, &c));
    const float p[] = {0.1f, 0.6f, 0.9f, 0.4f, 0.2f, 0.4f, 0.2f, 0.1f};
    const int happened[] = {0, 0, VC_SPEECH_STARTED, 0, 0, 0, VC_SPEECH_STOPPED, 0};
    expect(&speech, p, happened, 8);
    VC_CHECK_EQ(speech.stopped_sample, 4 * W);
}

VC_TEST(short_speech_is_forgotten)
{
    vc_speech speech;
    vc_speech_config c = config();
    VC_CHECK_OK(vc_speech_init(&speech, &c));
    const float p[] = {0.6f, 0.2f, 0.6f, 0.4f, 0.1f};
    const int happened[] = {0, 0, 0, VC_SPEECH_STARTED, 0};
    expect(&speech, p, happened, 5);
    VC_CHECK_EQ(speech.start_sample, 2 * W);
}

VC_TEST(speech_resumes_within_the_silence)
{
    vc_speech speech;
    vc_speech_config c = config();
    VC_CHECK_OK(vc_speech_init(&speech, &c));
    const float p[] = {0.9f, 0.9f, 0.1f, 0.1f, 0.9f, 0.1f, 0.1f, 0.1f};
    const int happened[] = {0, VC_SPEECH_STARTED, 0, 0, 0, 0, 0, VC_SPEECH_STOPPED};
    expect(&speech, p, happened, 8);
    VC_CHECK_EQ(speech.stopped_sample, 5 * W);
}

VC_TEST(begins_when_told)
{
    vc_speech speech;
    vc_speech_config c = config();
    VC_CHECK_OK(vc_speech_init(&speech, &c));
    VC_CHECK_EQ(vc_speech_step(&speech, 0.9f, 0), 0);
    VC_CHECK(vc_speech_begin(&speech, 0));
    VC_CHECK(!vc_speech_begin(&speech, 0));
    const float p[] = {0.9f, 0.1f, 0.1f, 0.1f};
    const int happened[] = {0, 0, 0, VC_SPEECH_STOPPED};
    for (int i = 0; i < 4; i++)
        VC_CHECK_EQ(vc_speech_step(&speech, p[i], (int64_t)(i + 1) * W), happened[i]);
    VC_CHECK_EQ(speech.stopped_sample, 2 * W);
    /* Of a stretch that began earlier only the telling is early; in silence it begins one. */
    VC_CHECK_EQ(vc_speech_step(&speech, 0.6f, 5 * W), 0);
    VC_CHECK(vc_speech_begin(&speech, 6 * W));
    VC_CHECK_EQ(speech.start_sample, 5 * W);
    vc_speech_reset(&speech);
    VC_CHECK(vc_speech_begin(&speech, 3 * W));
    VC_CHECK_EQ(speech.start_sample, 3 * W);
}

/* A dip does not forget what has not lasted min_speech; silence is what lies between windows that
 * are silent themselves; a stretch that stays too short goes without a word. */
VC_TEST(as_recording)
{
    vc_speech speech;
    vc_speech_config c = config();
    c.as_recording = 1;
    VC_CHECK_OK(vc_speech_init(&speech, &c));
    const float p[] = {0.6f, 0.2f, 0.4f, 0.6f, 0.2f, 0.4f, 0.4f, 0.4f, 0.1f, 0.1f};
    const int happened[] = {0, 0, 0, VC_SPEECH_STARTED, 0, 0, 0, 0, VC_SPEECH_STOPPED, 0};
    expect(&speech, p, happened, 10);
    VC_CHECK_EQ(speech.stopped_sample, 4 * W);
    vc_speech_reset(&speech);
    const float blip[] = {0.6f, 0.2f, 0.2f, 0.2f, 0.2f, 0.9f, 0.9f};
    const int later[] = {0, 0, 0, 0, 0, 0, VC_SPEECH_STARTED};
    expect(&speech, blip, later, 7);
    VC_CHECK_EQ(speech.start_sample, 5 * W);
}

VC_TEST(rejects_bad_settings)
{
    vc_speech speech;
    vc_speech_config c = config();
    c.silence_threshold = 0.6f;
    VC_CHECK_EQ(vc_speech_init(&speech, &c), VC_E_RANGE);
    c = config();
    c.speech_threshold = NAN;
    VC_CHECK_EQ(vc_speech_init(&speech, &c), VC_E_RANGE);
    c = config();
    c.window_samples = 0;
    VC_CHECK_EQ(vc_speech_init(&speech, &c), VC_E_RANGE);
    c = config();
    c.min_silence_samples = -1;
    VC_CHECK_EQ(vc_speech_init(&speech, &c), VC_E_RANGE);
    VC_CHECK_EQ(vc_speech_init(&speech, NULL), VC_E_NULL);
}

VC_MAIN(VC_RUN(starts_and_stops) VC_RUN(short_speech_is_forgotten)
            VC_RUN(speech_resumes_within_the_silence) VC_RUN(begins_when_told) VC_RUN(as_recording)
                VC_RUN(rejects_bad_settings))
