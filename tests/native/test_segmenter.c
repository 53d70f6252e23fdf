/* vc_segmenter: when events come and where they lie. Oracle: tables worked by hand; the equality
 * with silero-vad's own code is in tests/unit/test_segmenter.py. */
#include "vad/vc_segmenter.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { W = 256, START = VC_SEGMENT_START, END = VC_SEGMENT_END };

static vc_segmenter_config config(void)
{
    vc_segmenter_config c = {.threshold = 0.5,
                             .negative_threshold = 0.35,
                             .window_samples = W,
                             .min_speech_samples = 2 * W,
                             .min_silence_samples = 2 * W,
                             .pad_samples = 100};
    return c;
}

typedef struct told {
    int after; /* the window whose step told it; the number of windows for finish */
    int kind;
    int64_t sample;
    float probability;
} told;

/* Steps through p, finishes with `part` samples of a last window, compares with the table. */
static void expect(vc_segmenter *s, const float *p, int n, int part, const told *table, int n_told)
{
    vc_segment_event events[VC_SEGMENT_MOST_EVENTS];
    int found = 0;
    for (int i = 0; i <= n; i++) {
        int whole = part ? n - 1 : n;
        int count = i < whole ? vc_segmenter_step(s, p[i], events) : 0;
        if (i == n) count = vc_segmenter_finish(s, part ? &p[n - 1] : NULL, part, events);
        VC_NEED(count <= VC_SEGMENT_MOST_EVENTS && found + count <= n_told);
        for (int e = 0; e < count; e++, found++) {
            VC_CHECK_EQ(i, table[found].after);
            VC_CHECK_EQ(events[e].kind, table[found].kind);
            VC_CHECK_EQ(events[e].sample, table[found].sample);
            VC_CHECK(events[e].probability == table[found].probability);
        }
    }
    VC_CHECK_EQ(found, n_told);
    VC_CHECK(!vc_segmenter_in_segment(s));
}

VC_TEST(an_event_comes_when_it_is_certain)
{
    vc_segmenter s;
    vc_segmenter_config c = config();
    VC_CHECK_OK(vc_segmenter_init(&s, &c));
    const float p[] = {0.1f, 0.6f, 0.9f, 0.9f, 0.2f, 0.1f, 0.1f, 0.1f};
    const told table[] = {{3, START, W - 100, 0.6f}, {6, END, 4 * W + 100, 0.2f}};
    expect(&s, p, 8, 0, table, 2);
    expect(&s, p, 8, 0, table, 2); /* finish equals new */
}

VC_TEST(a_long_pad_holds_the_end_back)
{
    vc_segmenter s;
    vc_segmenter_config c = config();
    c.pad_samples = 2 * W;
    VC_CHECK_OK(vc_segmenter_init(&s, &c));
    const float far[] = {0.9f, 0.9f, 0.9f, 0.1f, 0.1f, 0.2f, 0.3f, 0.8f, 0.9f, 0.9f, 0.1f};
    const told apart[] = {{2, START, 0, 0.9f},
                          {6, END, 5 * W, 0.1f},
                          {9, START, 5 * W, 0.8f},
                          {11, END, 11 * W, 0.1f}};
    expect(&s, far, 11, 0, apart, 4);
    const float near[] = {0.9f, 0.9f, 0.9f, 0.1f, 0.1f, 0.2f, 0.7f, 0.9f, 0.9f, 0.9f};
    const told halves[] = {{2, START, 0, 0.9f},
                           {8, END, 3 * W + 3 * W / 2, 0.1f},
                           {8, START, 6 * W - 3 * W / 2, 0.7f},
                           {10, END, 10 * W, 0.9f}};
    expect(&s, near, 10, 0, halves, 4);
    /* What came too close was too short in the end. */
    const float blip[] = {0.9f, 0.9f, 0.9f, 0.1f, 0.1f, 0.2f, 0.7f, 0.2f, 0.2f, 0.2f};
    const told alone[] = {{2, START, 0, 0.9f}, {9, END, 5 * W, 0.1f}};
    expect(&s, blip, 10, 0, alone, 2);
}

VC_TEST(the_end_of_the_audio)
{
    vc_segmenter s;
    vc_segmenter_config c = config();
    VC_CHECK_OK(vc_segmenter_init(&s, &c));
    const float p[] = {0.1f, 0.6f, 0.9f, 0.8f};
    const told table[] = {{4, START, W - 100, 0.6f}, {4, END, 3 * W + 7, 0.8f}};
    expect(&s, p, 4, 7, table, 2);
    const float silent[] = {0.9f, 0.9f, 0.9f, 0.1f}; /* not for long enough */
    const told open[] = {{2, START, 0, 0.9f}, {4, END, 3 * W + 9, 0.1f}};
    expect(&s, silent, 4, 9, open, 2);
    const float brief[] = {0.1f, 0.6f, 0.9f};
    expect(&s, brief, 3, W, NULL, 0); /* 2 W is not longer than 2 W */
    expect(&s, brief, 0, 0, NULL, 0);

    c.pad_samples = 3 * W; /* an end, a start and an end at once */
    VC_CHECK_OK(vc_segmenter_init(&s, &c));
    const float three[] = {0.9f, 0.9f, 0.9f, 0.1f, 0.1f, 0.1f, 0.9f, 0.9f, 0.7f};
    const told all[] = {{2, START, 0, 0.9f},
                        {9, END, 4 * W + W / 2, 0.1f},
                        {9, START, 4 * W + W / 2, 0.9f},
                        {9, END, 8 * W + 1, 0.7f}};
    expect(&s, three, 9, 1, all, 4);
}

VC_TEST(reset_equals_new)
{
    vc_segmenter used, fresh;
    vc_segment_event events[VC_SEGMENT_MOST_EVENTS];
    vc_segmenter_config c = config();
    memset(&used, 0, sizeof used);
    memset(&fresh, 0, sizeof fresh);
    VC_CHECK_OK(vc_segmenter_init(&used, &c));
    VC_CHECK_OK(vc_segmenter_init(&fresh, &c));
    for (int i = 0; i < 5; i++) (void)vc_segmenter_step(&used, 0.9f, events);
    VC_CHECK(vc_segmenter_in_segment(&used));
    vc_segmenter_reset(&used);
    VC_CHECK(memcmp(&used, &fresh, sizeof used) == 0);
    for (int i = 0; i < 5; i++) (void)vc_segmenter_step(&used, 0.9f, events);
    VC_CHECK_EQ(vc_segmenter_finish(&used, NULL, 0, events), 1);
    VC_CHECK(memcmp(&used, &fresh, sizeof used) == 0);
}

VC_TEST(rejects_bad_settings)
{
    vc_segmenter s;
    vc_segmenter_config c = vc_segmenter_config_default();
    VC_CHECK_OK(vc_segmenter_init(&s, &c));
    VC_CHECK_EQ(vc_segmenter_init(NULL, &c), VC_E_NULL);
    VC_CHECK_EQ(vc_segmenter_init(&s, NULL), VC_E_NULL);
    c.negative_threshold = 0.6;
    VC_CHECK_EQ(vc_segmenter_init(&s, &c), VC_E_RANGE);
    c = config();
    c.threshold = NAN;
    VC_CHECK_EQ(vc_segmenter_init(&s, &c), VC_E_RANGE);
    int32_t *const lengths[] = {&c.window_samples, &c.min_speech_samples, &c.min_silence_samples,
                                &c.pad_samples};
    for (int i = 0; i < 4; i++) {
        c = config();
        *lengths[i] = -1;
        VC_CHECK_EQ(vc_segmenter_init(&s, &c), VC_E_RANGE);
    }
    c = config();
    c.min_speech_samples = INT32_MAX;
    VC_CHECK_EQ(vc_segmenter_init(&s, &c), VC_E_RANGE);
}

VC_MAIN(VC_RUN(an_event_comes_when_it_is_certain) VC_RUN(a_long_pad_holds_the_end_back)
            VC_RUN(the_end_of_the_audio) VC_RUN(reset_equals_new) VC_RUN(rejects_bad_settings))
