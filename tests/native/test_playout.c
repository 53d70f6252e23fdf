/* vc_playout: every queued sample is sent once and in order; pause, resume and flush at the exact
 * sample; marks. Oracle: a ramp whose samples name their position (play rate = line rate, so the
 * resampler copies). */
#include "engine/vc_playout.h"

#include <string.h>

#include "vc_test.h"

enum { RATE = 8000, FRAME = RATE / 50, FADE = RATE * 5 / 1000, MAX_EVENTS = 64 };

static vc_event events[MAX_EVENTS];
static int event_count;

static void keep(void *context, const vc_event *event)
{
    (void)context;
    VC_NEED(event_count < MAX_EVENTS);
    events[event_count++] = *event;
}

static vc_playout *create(int play_hz)
{
    vc_playout_config config = vc_playout_config_default();
    config.play_hz = play_hz;
    config.rate_hz = RATE;
    config.call = 7;
    config.sink.post = keep;
    vc_playout *playout = NULL;
    event_count = 0;
    VC_NEED(vc_playout_create(&playout, &config) == VC_OK);
    return playout;
}

/* Queues n samples with the values of their own positions, from 1. */
static void queue_ramp(vc_playout *playout, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int16_t sample = (int16_t)(vc_playout_queue_position(playout) + 1);
        size_t one = 1;
        VC_NEED(vc_playout_push(playout, &sample, &one) == VC_OK);
    }
}

static void expect_ramp(const int16_t *frame, int from, int to, int first)
{
    int wrong = 0;
    for (int i = from; i < to; i++) wrong += frame[i] != first + i - from;
    VC_CHECK_EQ(wrong, 0);
}

static void expect_silence(const int16_t *frame, int from, int to)
{
    int wrong = 0;
    for (int i = from; i < to; i++) wrong += frame[i] != 0;
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(plays_in_order_and_reports)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    VC_CHECK_EQ(vc_playout_render(playout, 100, frame), VC_NEED_MORE);
    expect_silence(frame, 0, FRAME);
    queue_ramp(playout, FRAME + 40);
    VC_CHECK_OK(vc_playout_mark(playout, 5));
    VC_CHECK_OK(vc_playout_end_segment(playout));
    VC_CHECK(!vc_playout_is_sounding(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 200, frame), VC_OK);
    expect_ramp(frame, 0, FRAME, 1);
    VC_CHECK(vc_playout_is_sounding(playout));
    VC_CHECK_EQ(vc_playout_play_position(playout), FRAME);
    VC_CHECK_EQ(vc_playout_render(playout, 300, frame), VC_OK);
    expect_ramp(frame, 0, 40, FRAME + 1);
    expect_silence(frame, 40, FRAME);
    VC_NEED(event_count == 3);
    VC_CHECK_EQ(events[0].kind, VC_EVENT_PLAYOUT_STARTED);
    VC_CHECK_EQ(events[0].call, 7);
    VC_CHECK_EQ(events[0].stamp_ns, 200);
    VC_CHECK_EQ(events[0].a, 0);
    VC_CHECK_EQ(events[1].kind, VC_EVENT_MARK_REACHED);
    VC_CHECK_EQ(events[1].a, 5);
    VC_CHECK_EQ(events[1].b, FRAME + 40);
    VC_CHECK_EQ(events[1].c, 0);
    VC_CHECK_EQ(events[2].kind, VC_EVENT_PLAYOUT_DRAINED);
    VC_CHECK_EQ(events[2].a, FRAME + 40);
    VC_CHECK_EQ(events[2].b, 0);
    VC_CHECK_EQ(vc_playout_underruns(playout), 0);
    vc_playout_destroy(playout);
}

VC_TEST(running_dry_is_an_underrun)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    queue_ramp(playout, FRAME);
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_EQ(event_count, 1); /* it may still be fed in time */
    (void)vc_playout_render(playout, 20, frame);
    VC_NEED(event_count == 2);
    VC_CHECK_EQ(events[1].kind, VC_EVENT_PLAYOUT_DRAINED);
    VC_CHECK_EQ(events[1].b, 1);
    VC_CHECK_EQ(vc_playout_underruns(playout), 1);
    vc_playout_destroy(playout);
}

VC_TEST(resumes_at_the_exact_sample)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    queue_ramp(playout, 10 * FRAME);
    (void)vc_playout_render(playout, 0, frame);
    int64_t stopped = -1;
    VC_CHECK_OK(vc_playout_pause_now(playout, &stopped));
    VC_CHECK_EQ(stopped, FRAME);
    VC_CHECK(!vc_playout_is_sounding(playout));
    VC_CHECK_EQ(vc_playout_pause_now(playout, &stopped), VC_IGNORED);
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_OK);
    /* A fade of the samples at the cursor, then silence; the cursor stays. */
    VC_CHECK_EQ(frame[0], FRAME + 1);
    VC_CHECK(frame[FADE - 1] < FADE);
    expect_silence(frame, FADE, FRAME);
    VC_CHECK_EQ(vc_playout_play_position(playout), FRAME);
    for (int i = 0; i < 3; i++) {
        VC_CHECK_EQ(vc_playout_render(playout, 40, frame), VC_NEED_MORE);
        expect_silence(frame, 0, FRAME);
    }
    VC_CHECK_OK(vc_playout_resume(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 60, frame), VC_OK);
    VC_CHECK_EQ(frame[0], 0);
    expect_ramp(frame, FADE, FRAME, FRAME + 1 + FADE);
    VC_CHECK_EQ(vc_playout_play_position(playout), 2 * FRAME);
    VC_CHECK_EQ(events[event_count - 1].kind, VC_EVENT_PLAYOUT_STARTED);
    VC_CHECK_EQ(events[event_count - 1].a, FRAME);
    vc_playout_destroy(playout);
}

VC_TEST(resume_before_the_fade_was_sent_changes_nothing)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    queue_ramp(playout, 10 * FRAME);
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_OK(vc_playout_pause(playout));
    VC_CHECK_OK(vc_playout_resume(playout));
    (void)vc_playout_render(playout, 20, frame);
    expect_ramp(frame, 0, FRAME, FRAME + 1);
    vc_playout_destroy(playout);
}

VC_TEST(flush_spares_what_is_queued_later)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    queue_ramp(playout, 5 * FRAME);
    VC_CHECK_OK(vc_playout_mark(playout, 1));
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_OK(vc_playout_flush(playout));
    queue_ramp(playout, 2 * FRAME);
    VC_CHECK_OK(vc_playout_mark(playout, 2));
    VC_CHECK_OK(vc_playout_end_segment(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_OK);
    VC_CHECK_EQ(frame[0], FRAME + 1); /* the fade of the old audio */
    expect_ramp(frame, FADE, FRAME, 5 * FRAME + 1);
    VC_CHECK_EQ(vc_playout_play_position(playout), 5 * FRAME + FRAME - FADE);
    int flushed = 0;
    for (int i = 0; i < event_count; i++)
        if (events[i].kind == VC_EVENT_MARK_REACHED && events[i].a == 1) flushed = (int)events[i].c;
    VC_CHECK_EQ(flushed, 1);
    (void)vc_playout_render(playout, 40, frame);
    (void)vc_playout_render(playout, 60, frame);
    VC_CHECK_EQ(events[event_count - 1].kind, VC_EVENT_PLAYOUT_DRAINED);
    VC_CHECK_EQ(events[event_count - 1].a, 7 * FRAME);
    VC_CHECK_EQ(events[event_count - 1].b, 0);
    vc_playout_destroy(playout);
}

VC_TEST(flush_ends_a_pause)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    queue_ramp(playout, 5 * FRAME);
    (void)vc_playout_render(playout, 0, frame);
    int64_t stopped;
    VC_CHECK_OK(vc_playout_pause_now(playout, &stopped));
    (void)vc_playout_render(playout, 20, frame);
    VC_CHECK_OK(vc_playout_flush(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 40, frame), VC_NEED_MORE);
    expect_silence(frame, 0, FRAME);
    VC_CHECK_EQ(vc_playout_play_position(playout), 5 * FRAME);
    queue_ramp(playout, FRAME);
    (void)vc_playout_render(playout, 60, frame);
    expect_ramp(frame, 0, FRAME, 5 * FRAME + 1);
    vc_playout_destroy(playout);
}

VC_TEST(pause_before_audio_holds_it)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    VC_CHECK_OK(vc_playout_pause(playout));
    queue_ramp(playout, FRAME);
    VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_NEED_MORE);
    VC_CHECK_EQ(vc_playout_play_position(playout), 0);
    VC_CHECK_OK(vc_playout_resume(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_OK);
    VC_CHECK_EQ(vc_playout_play_position(playout), FRAME);
    vc_playout_destroy(playout);
}

VC_TEST(room_is_reported_once)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME], zeros[4000] = {0};
    size_t n;
    do {
        n = 4000;
    } while (vc_playout_push(playout, zeros, &n) == VC_OK);
    vc_playout_want_room(playout);
    int rooms = 0;
    while (vc_playout_play_position(playout) < vc_playout_queue_position(playout)) {
        (void)vc_playout_render(playout, 0, frame);
        if (events[event_count - 1].kind == VC_EVENT_ROOM) rooms++;
        event_count = 1;
    }
    VC_CHECK_EQ(rooms, 1);
    vc_playout_destroy(playout);
}

/* Every play rate: as many samples are consumed as time passes, none twice, none lost. */
VC_TEST(every_rate_keeps_time)
{
    const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        vc_playout *playout = create(rates[r]);
        static int16_t tone[48000 * 2];
        int16_t frame[FRAME];
        size_t n = (size_t)rates[r] * 2;
        for (size_t i = 0; i < n; i++) tone[i] = 8000;
        (void)vc_playout_push(playout, tone, &n);
        VC_CHECK_EQ(n, rates[r] * 2);
        int quiet = 0;
        for (int tick = 0; tick < 50; tick++) {
            VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_OK);
            if (tick > 0)
                for (int i = 0; i < FRAME; i++) quiet += frame[i] < 7900 || frame[i] > 8100;
        }
        VC_CHECK_EQ(quiet, 0);
        int64_t played = vc_playout_play_position(playout);
        VC_CHECK(played >= rates[r] && played <= rates[r] + 6);
        vc_playout_destroy(playout);
    }
}

VC_TEST(rejects_bad_settings_and_survives_failed_allocations)
{
    vc_playout *playout;
    vc_playout_config config = vc_playout_config_default();
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_NULL);
    config.sink.post = keep;
    config.rate_hz = 44100;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RATE);
    config.rate_hz = 8000;
    config.play_hz = 9000;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RATE);
    config = vc_playout_config_default();
    config.sink.post = keep;
    config.fade_ms = 21;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.fade_ms = 5;
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    config.allocator = &allocator;
    for (heap.fail_at = 0;; heap.fail_at++) {
        heap.total = 0;
        vc_status status = vc_playout_create(&playout, &config);
        if (status == VC_OK) break;
        VC_CHECK_EQ(status, VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    VC_CHECK(heap.fail_at >= 5);
    vc_playout_destroy(playout);
    VC_CHECK_EQ(heap.live, 0);
}

VC_MAIN(VC_RUN(plays_in_order_and_reports) VC_RUN(running_dry_is_an_underrun)
            VC_RUN(resumes_at_the_exact_sample)
                VC_RUN(resume_before_the_fade_was_sent_changes_nothing)
                    VC_RUN(flush_spares_what_is_queued_later) VC_RUN(flush_ends_a_pause)
                        VC_RUN(pause_before_audio_holds_it) VC_RUN(room_is_reported_once)
                            VC_RUN(every_rate_keeps_time)
                                VC_RUN(rejects_bad_settings_and_survives_failed_allocations))
