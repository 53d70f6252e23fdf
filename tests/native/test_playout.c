/* vc_playout: every queued sample is sent once and in order; pause, resume and flush at the exact
 * sample; marks. Oracle: a ramp whose samples name their position (play rate = line rate, so the
 * resampler copies). Gain, ducking and crossfades: their formulas, in double precision. */
#include "engine/vc_playout.h"

#include <math.h>
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

static void queue_value(vc_playout *playout, int16_t value, int n)
{
    for (int i = 0; i < n; i++) {
        size_t one = 1;
        VC_NEED(vc_playout_push(playout, &value, &one) == VC_OK);
    }
}

/* Off by more than 1, for the f32 of the unit. */
static int is_off(int16_t sample, double expected)
{
    return fabs((double)sample - expected) > 1.0;
}

static int count_events(vc_event_kind kind, int64_t *a, int64_t *b)
{
    int count = 0;
    for (int i = 0; i < event_count; i++)
        if (events[i].kind == (uint32_t)kind) {
            *a = events[i].a;
            *b = events[i].b;
            count++;
        }
    return count;
}

VC_TEST(gain_ramps_exactly_and_0_db_is_bit_exact)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME], noise[FRAME];
    queue_value(playout, 10000, 3 * FRAME);
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_OK(vc_playout_set_gain(playout, -20.0f, 30));
    int wrong = 0;
    for (int at = 0; at < 2 * FRAME; at++) {
        if (at % FRAME == 0) (void)vc_playout_render(playout, 20, frame);
        double gain = at < 240 ? 1.0 - 0.9 * at / 240.0 : 0.1;
        wrong += is_off(frame[at % FRAME], 10000.0 * gain);
    }
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_OK(vc_playout_set_gain(playout, 0.0f, 0));
    uint32_t random = 1;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < FRAME; i++) {
            random = random * 1664525u + 1013904223u;
            noise[i] = i == 7 ? INT16_MIN : (int16_t)(random >> 16);
        }
        size_t n = FRAME;
        VC_CHECK_OK(vc_playout_push(playout, noise, &n));
        (void)vc_playout_render(playout, 40, frame);
        /* The first frame may still hold the rounding of a limiter that rests from then on. */
        if (round > 0) VC_CHECK_EQ(memcmp(noise, frame, sizeof frame), 0);
    }
    VC_CHECK_EQ(vc_playout_set_gain(playout, 20.5f, 0), VC_E_RANGE);
    VC_CHECK_EQ(vc_playout_set_gain(playout, NAN, 0), VC_E_RANGE);
    VC_CHECK_EQ(vc_playout_set_gain(playout, 0.0f, -1), VC_E_RANGE);
    vc_playout_destroy(playout);
}

/* What is left of a sine of frequency hz when the sine is taken out, as a share of it. */
static double residue(const int16_t *samples, int n, double hz)
{
    double c = 0.0, s = 0.0, all = 0.0, step = 2.0 * 3.14159265358979323846 * hz / RATE;
    for (int i = 0; i < n; i++) {
        c += samples[i] * cos(step * i);
        s += samples[i] * sin(step * i);
        all += (double)samples[i] * samples[i];
    }
    double tone = 2.0 * (c * c + s * s) / n;
    return sqrt(fmax(all - tone, 0.0) / tone);
}

/* 12 dB above full scale: a clipped sine has 20 % of harmonics and more, a limited one next to
 * none; both within full scale. */
VC_TEST(the_limiter_keeps_within_full_scale_without_clipping)
{
    static int16_t heard[50 * FRAME], clipped[50 * FRAME];
    vc_playout *playout = create(RATE);
    VC_CHECK_OK(vc_playout_set_gain(playout, 12.0f, 0));
    double step = 2.0 * 3.14159265358979323846 * 300.0 / RATE;
    for (int i = 0; i < 50 * FRAME; i++) {
        int16_t sample = (int16_t)lrint(25000.0 * sin(step * i));
        double loud = sample * pow(10.0, 12.0 / 20.0);
        clipped[i] = (int16_t)fmin(fmax(loud, -32768.0), 32767.0);
        queue_value(playout, sample, 1);
        if (i % FRAME == FRAME - 1) (void)vc_playout_render(playout, 0, heard + i + 1 - FRAME);
    }
    int wrapped = 0, peak = 0;
    for (int i = 0; i < 50 * FRAME; i++) {
        wrapped += (heard[i] < 0) != (clipped[i] < 0) && heard[i] != 0;
        peak = abs(heard[i]) > peak ? abs(heard[i]) : peak;
    }
    VC_CHECK_EQ(wrapped, 0);
    VC_CHECK_EQ(peak, 32767);
    VC_CHECK(residue(clipped + 10 * FRAME, 40 * FRAME, 300.0) > 0.15);
    VC_CHECK(residue(heard + 10 * FRAME, 40 * FRAME, 300.0) < 0.001);
    vc_playout_destroy(playout);
}

VC_TEST(ducks_from_the_exact_sample_and_counts_as_heard)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    int64_t a = -1, b;
    queue_value(playout, 10000, 8 * FRAME);
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_OK(vc_playout_duck_now(playout));
    VC_CHECK_EQ(vc_playout_duck_now(playout), VC_IGNORED);
    VC_CHECK(vc_playout_is_ducked(playout));
    (void)vc_playout_render(playout, 20, frame);
    double ducked = pow(10.0, -15.0 / 20.0);
    int wrong = 0;
    for (int i = 0; i < FRAME; i++)
        wrong += is_off(frame[i], 10000.0 * (1.0 + (ducked - 1.0) * i / 160.0));
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_EQ(count_events(VC_EVENT_DUCKED, &a, &b), 1);
    VC_CHECK_EQ(a, FRAME);
    VC_CHECK_EQ(vc_playout_play_position(playout), 2 * FRAME);
    (void)vc_playout_render(playout, 40, frame);
    VC_CHECK(!is_off(frame[0], 10000.0 * ducked) && frame[0] == frame[FRAME - 1]);
    VC_CHECK_OK(vc_playout_unduck(playout));
    (void)vc_playout_render(playout, 60, frame);
    VC_CHECK(!is_off(frame[0], 10000.0 * ducked));
    (void)vc_playout_render(playout, 80, frame);
    VC_CHECK_EQ(frame[0], 10000);
    VC_CHECK_EQ(count_events(VC_EVENT_UNDUCKED, &a, &b), 1);
    VC_CHECK_EQ(a, 3 * FRAME);
    /* A flush ends it: its fade is ducked, what comes after is not. */
    VC_CHECK_OK(vc_playout_duck(playout));
    (void)vc_playout_render(playout, 100, frame);
    VC_CHECK_OK(vc_playout_flush(playout));
    queue_value(playout, 10000, FRAME);
    (void)vc_playout_render(playout, 120, frame);
    VC_CHECK(!is_off(frame[0], 10000.0 * ducked));
    VC_CHECK_EQ(frame[FADE], 10000);
    VC_CHECK(!vc_playout_is_ducked(playout));
    VC_CHECK_EQ(count_events(VC_EVENT_UNDUCKED, &a, &b), 2);
    vc_playout_destroy(playout);
}

/* The value of the crossfade's sample i of n. */
static double crossed(double old, double fresh, int i, int n)
{
    double t = (double)i / n, s = t * t * (3.0 - 2.0 * t);
    return old * sqrt(1.0 - s) + fresh * sqrt(s);
}

/* Old: 1000, 5 frames. New: -3000. From sample `from`, asked for after one frame. */
static void check_replace(int64_t from, int64_t expected_from)
{
    enum { OLD = 5 * FRAME, CROSS = RATE * 20 / 1000 };
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    int64_t a = -1, b = -1;
    queue_value(playout, 1000, OLD - 1);
    VC_CHECK_OK(vc_playout_mark(playout, 1));
    queue_value(playout, 1000, 1);
    VC_CHECK_OK(vc_playout_end_segment(playout));
    (void)vc_playout_render(playout, 0, frame);
    queue_value(playout, -3000, 4 * FRAME);
    VC_CHECK_OK(vc_playout_replace(playout, from, OLD));
    VC_CHECK_OK(vc_playout_mark(playout, 2));
    VC_CHECK_OK(vc_playout_end_segment(playout));
    int wrong = 0;
    int cross = OLD - expected_from < CROSS ? (int)(OLD - expected_from) : CROSS;
    for (int at = FRAME; at < expected_from + 4 * FRAME; at++) {
        if (at % FRAME == 0) (void)vc_playout_render(playout, 20, frame);
        int i = at - (int)expected_from;
        double expected = i < 0 ? 1000.0 : i < cross ? crossed(1000.0, -3000.0, i, cross) : -3000.0;
        wrong += is_off(frame[at % FRAME], expected);
    }
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_EQ(count_events(VC_EVENT_REPLACED, &a, &b), 1);
    VC_CHECK_EQ(a, expected_from);
    VC_CHECK_EQ(b, OLD);
    (void)vc_playout_render(playout, 40, frame);
    int old_flushed = -1, new_flushed = -1;
    for (int k = 0; k < event_count; k++) {
        if (events[k].kind != VC_EVENT_MARK_REACHED) continue;
        *(events[k].a == 1 ? &old_flushed : &new_flushed) = (int)events[k].c;
    }
    VC_CHECK_EQ(old_flushed, expected_from < OLD - 1);
    VC_CHECK_EQ(new_flushed, 0);
    VC_CHECK_EQ(vc_playout_play_position(playout), OLD + 4 * FRAME);
    VC_CHECK_EQ(vc_playout_underruns(playout), 0);
    vc_playout_destroy(playout);
}

VC_TEST(one_source_replaces_another_at_the_exact_sample)
{
    check_replace(FRAME + 70, FRAME + 70);
    check_replace(2 * FRAME, 2 * FRAME);
    check_replace(10, FRAME); /* sent already */
    check_replace(5 * FRAME - 40, 5 * FRAME - 40);
    check_replace(5 * FRAME, 5 * FRAME); /* nothing is dropped */
}

VC_TEST(replacements_overlap_wait_and_are_flushed)
{
    vc_playout *playout = create(RATE);
    int16_t frame[FRAME];
    int64_t a, b;
    queue_value(playout, 100, 4 * FRAME);
    VC_CHECK_EQ(vc_playout_replace(playout, -1, 0), VC_E_RANGE);
    VC_CHECK_EQ(vc_playout_replace(playout, 5, 4), VC_E_RANGE);
    VC_CHECK_EQ(vc_playout_replace(playout, 0, 4 * FRAME + 1), VC_E_RANGE);
    (void)vc_playout_render(playout, 0, frame);
    /* The second one, from within the first one's dropped part, takes all. */
    queue_value(playout, 200, FRAME);
    VC_CHECK_OK(vc_playout_replace(playout, 2 * FRAME, 4 * FRAME));
    queue_value(playout, 300, 4 * FRAME);
    VC_CHECK_OK(vc_playout_replace(playout, 3 * FRAME, 5 * FRAME));
    (void)vc_playout_render(playout, 20, frame);
    VC_CHECK_EQ(frame[FRAME - 1], 100);
    (void)vc_playout_render(playout, 40, frame);
    VC_CHECK(!is_off(frame[80], crossed(100.0, 300.0, 80, 160)));
    VC_CHECK_EQ(count_events(VC_EVENT_REPLACED, &a, &b), 1);
    VC_CHECK_EQ(a, 2 * FRAME);
    VC_CHECK_EQ(b, 5 * FRAME);
    /* No new audio yet: the old fades out and the queue is dry. */
    VC_CHECK_OK(vc_playout_replace(playout, 6 * FRAME + 10, 9 * FRAME));
    (void)vc_playout_render(playout, 60, frame);
    VC_CHECK(!is_off(frame[10 + 80], crossed(300.0, 0.0, 80, 160)));
    VC_CHECK_EQ(vc_playout_play_position(playout), 9 * FRAME);
    /* A flush takes a pending one with it. */
    queue_value(playout, 400, 3 * FRAME);
    VC_CHECK_OK(vc_playout_replace(playout, 10 * FRAME, 11 * FRAME));
    VC_CHECK_OK(vc_playout_flush(playout));
    queue_value(playout, 500, 2 * FRAME);
    (void)vc_playout_render(playout, 80, frame);
    (void)vc_playout_render(playout, 100, frame);
    VC_CHECK_EQ(frame[0], 500);
    VC_CHECK_EQ(count_events(VC_EVENT_REPLACED, &a, &b), 2);
    for (int i = 0; i < 8; i++) VC_CHECK_OK(vc_playout_replace(playout, 14 * FRAME, 14 * FRAME));
    VC_CHECK_EQ(vc_playout_replace(playout, 14 * FRAME, 14 * FRAME), VC_FULL);
    vc_playout_destroy(playout);
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
    config.duck_db = 1.0f;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.duck_db = -15.0f;
    config.duck_ms = 1001;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.duck_ms = 20;
    config.crossfade_ms = 101;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.crossfade_ms = 20;
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

VC_MAIN(VC_RUN(plays_in_order_and_reports) VC_RUN(running_dry_is_an_underrun) VC_RUN(
    resumes_at_the_exact_sample) VC_RUN(resume_before_the_fade_was_sent_changes_nothing)
            VC_RUN(flush_spares_what_is_queued_later) VC_RUN(flush_ends_a_pause)
                VC_RUN(pause_before_audio_holds_it) VC_RUN(room_is_reported_once)
                    VC_RUN(every_rate_keeps_time) VC_RUN(gain_ramps_exactly_and_0_db_is_bit_exact)
                        VC_RUN(the_limiter_keeps_within_full_scale_without_clipping)
                            VC_RUN(ducks_from_the_exact_sample_and_counts_as_heard)
                                VC_RUN(one_source_replaces_another_at_the_exact_sample)
                                    VC_RUN(replacements_overlap_wait_and_are_flushed) VC_RUN(
                                        rejects_bad_settings_and_survives_failed_allocations))
