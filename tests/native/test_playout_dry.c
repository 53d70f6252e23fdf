/* vc_playout: when a segment begins, what sounds while the queue is dry, what is reported of it.
 * Oracle: ramps whose samples name their position (play rate = line rate, so the resampler copies),
 * constant signals and the formulas of vc_playout.h. */
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

static vc_playout_config settings(int play_hz)
{
    vc_playout_config config = vc_playout_config_default();
    config.play_hz = play_hz;
    config.rate_hz = RATE;
    config.sink.post = keep;
    return config;
}

static vc_playout *create(const vc_playout_config *config)
{
    vc_playout *playout = NULL;
    event_count = 0;
    VC_NEED(vc_playout_create(&playout, config) == VC_OK);
    return playout;
}

static void queue_value(vc_playout *playout, int16_t value, int n)
{
    for (int i = 0; i < n; i++) {
        size_t one = 1;
        VC_NEED(vc_playout_push(playout, &value, &one) == VC_OK);
    }
}

static int all_are(const int16_t *frame, int from, int to, int value)
{
    for (int i = from; i < to; i++)
        if (frame[i] != value) return 0;
    return 1;
}

static int count_of(vc_event_kind kind)
{
    int count = 0;
    for (int i = 0; i < event_count; i++) count += events[i].kind == (uint32_t)kind;
    return count;
}

static vc_event last_of(vc_event_kind kind)
{
    for (int i = event_count; i-- > 0;)
        if (events[i].kind == (uint32_t)kind) return events[i];
    return (vc_event){.a = -1, .b = -1, .c = -1};
}

static vc_playout_stats stats_of(const vc_playout *playout)
{
    vc_playout_stats stats;
    vc_playout_get_stats(playout, &stats);
    return stats;
}

/* -- the prebuffer: 100 ms are five frames -- */

static vc_playout *create_buffered(void)
{
    vc_playout_config config = settings(RATE);
    config.prebuffer_ms = 100;
    return create(&config);
}

VC_TEST(a_segment_begins_when_so_much_is_queued)
{
    vc_playout *playout = create_buffered();
    int16_t frame[FRAME];
    VC_CHECK_EQ(stats_of(playout).lowest_samples, -1);
    queue_value(playout, 500, 5 * FRAME - 1);
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_NEED_MORE);
    VC_CHECK(all_are(frame, 0, FRAME, 0));
    VC_CHECK(!vc_playout_is_sounding(playout));
    VC_CHECK(stats_of(playout).buffering);
    VC_CHECK_EQ(event_count, 0);
    queue_value(playout, 500, 1);
    VC_CHECK_EQ(vc_playout_render(playout, 40, frame), VC_OK);
    VC_CHECK(all_are(frame, 0, FRAME, 500));
    VC_CHECK(vc_playout_is_sounding(playout));
    VC_CHECK(!stats_of(playout).buffering);
    vc_event started = last_of(VC_EVENT_PLAYOUT_STARTED);
    VC_CHECK_EQ(started.a, 0);
    VC_CHECK_EQ(started.b, 40);
    VC_CHECK_EQ(started.c, FRAME);
    vc_playout_destroy(playout);
}

VC_TEST(a_short_segment_begins_at_once)
{
    vc_playout *playout = create_buffered();
    int16_t frame[FRAME];
    queue_value(playout, 500, 30);
    VC_CHECK_OK(vc_playout_mark(playout, 3));
    VC_CHECK_OK(vc_playout_end_segment(playout));
    queue_value(playout, 600, 30); /* of the next one, which is not complete */
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_OK);
    VC_CHECK(all_are(frame, 0, 30, 500));
    /* Segments that follow each other without a gap are one stretch of sound. */
    VC_CHECK(all_are(frame, 30, 60, 600));
    VC_CHECK_EQ(last_of(VC_EVENT_MARK_REACHED).a, 3);
    vc_playout_destroy(playout);
}

VC_TEST(after_an_underrun_it_is_buffered_again_and_a_late_end_will_do)
{
    vc_playout *playout = create_buffered();
    int16_t frame[FRAME];
    queue_value(playout, 500, 5 * FRAME);
    for (int i = 0; i < 6; i++) (void)vc_playout_render(playout, 20, frame);
    VC_CHECK_EQ(last_of(VC_EVENT_PLAYOUT_DRAINED).b, 1);
    queue_value(playout, 600, FRAME);
    VC_CHECK_EQ(vc_playout_render(playout, 140, frame), VC_NEED_MORE);
    VC_CHECK(all_are(frame, 0, FRAME, 0));
    VC_CHECK_OK(vc_playout_end_segment(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 160, frame), VC_OK);
    VC_CHECK(all_are(frame, 0, FRAME, 600));
    vc_event started = last_of(VC_EVENT_PLAYOUT_STARTED);
    VC_CHECK_EQ(started.a, 5 * FRAME);
    VC_CHECK_EQ(started.c, 7 * FRAME);
    VC_CHECK_EQ(stats_of(playout).underruns, 1);
    VC_CHECK_EQ(stats_of(playout).underrun_samples, 2 * FRAME);
    VC_CHECK_EQ(stats_of(playout).lowest_samples, 0);
    vc_playout_destroy(playout);
}

VC_TEST(a_resume_goes_on_at_once_and_a_flush_begins_anew)
{
    vc_playout *playout = create_buffered();
    int16_t frame[FRAME];
    int64_t stopped;
    queue_value(playout, 500, 5 * FRAME);
    for (int i = 0; i < 4; i++) (void)vc_playout_render(playout, 20, frame);
    VC_CHECK_OK(vc_playout_pause_now(playout, &stopped));
    (void)vc_playout_render(playout, 100, frame);
    VC_CHECK_EQ(count_of(VC_EVENT_PAUSED), 1);
    VC_CHECK_EQ(last_of(VC_EVENT_PAUSED).a, 4 * FRAME);
    VC_CHECK_OK(vc_playout_resume(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 120, frame), VC_OK);
    VC_CHECK(all_are(frame, FADE, FRAME, 500));
    queue_value(playout, 600, FRAME);
    (void)vc_playout_render(playout, 140, frame);
    queue_value(playout, 700, 2 * FRAME);
    VC_CHECK_OK(vc_playout_flush(playout));
    queue_value(playout, 800, 2 * FRAME);
    (void)vc_playout_render(playout, 160, frame);
    vc_event flushed = last_of(VC_EVENT_FLUSHED);
    VC_CHECK_EQ(flushed.a, 6 * FRAME);
    VC_CHECK_EQ(flushed.b, 8 * FRAME);
    VC_CHECK(all_are(frame, FADE, FRAME, 0));
    VC_CHECK_EQ(vc_playout_render(playout, 180, frame), VC_NEED_MORE);
    VC_CHECK_OK(vc_playout_end_segment(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 200, frame), VC_OK);
    VC_CHECK(all_are(frame, 0, FRAME, 800));
    /* Held before it began, an answer still waits for its prebuffer. */
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 220, frame);
    VC_CHECK_OK(vc_playout_pause(playout));
    queue_value(playout, 900, FRAME);
    (void)vc_playout_render(playout, 240, frame);
    VC_CHECK_OK(vc_playout_resume(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 260, frame), VC_NEED_MORE);
    VC_CHECK_EQ(count_of(VC_EVENT_PAUSED), 1); /* it did not sound */
    vc_playout_destroy(playout);
}

VC_TEST(what_a_replacement_drops_is_not_queued)
{
    vc_playout *playout = create_buffered();
    int16_t frame[FRAME];
    queue_value(playout, 500, 4 * FRAME);
    VC_CHECK_OK(vc_playout_end_segment(playout));
    queue_value(playout, 600, 3 * FRAME);
    VC_CHECK_OK(vc_playout_replace(playout, FRAME, 4 * FRAME));      /* takes the end with it */
    VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_NEED_MORE); /* four frames are left */
    queue_value(playout, 600, FRAME);
    VC_CHECK_EQ(vc_playout_render(playout, 20, frame), VC_OK);
    VC_CHECK(all_are(frame, 0, FRAME, 500));
    vc_playout_destroy(playout);
}

VC_TEST(the_lowest_level_is_that_of_a_segment_that_is_being_made)
{
    vc_playout_config config = settings(RATE);
    vc_playout *playout = create(&config);
    int16_t frame[FRAME];
    queue_value(playout, 1, 4 * FRAME);
    for (int i = 0; i < 3; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_EQ(stats_of(playout).lowest_samples, FRAME);
    queue_value(playout, 1, 4 * FRAME);
    VC_CHECK_OK(vc_playout_end_segment(playout));
    for (int i = 0; i < 5; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_EQ(last_of(VC_EVENT_PLAYOUT_DRAINED).b, 0);
    VC_CHECK_EQ(stats_of(playout).lowest_samples, FRAME); /* not the end, which has to be 0 */
    queue_value(playout, 1, 3 * FRAME);                   /* at once */
    VC_CHECK_OK(vc_playout_end_segment(playout));
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_EQ(stats_of(playout).lowest_samples, 3 * FRAME);
    queue_value(playout, 1, 2 * FRAME); /* the next one without a gap */
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK_EQ(stats_of(playout).lowest_samples, FRAME);
    vc_playout_destroy(playout);
}

/* -- the filler -- */

enum { HOLD = 8 * FRAME + 33, LOOP = HOLD - FADE };

static int16_t hold_sound(int i)
{
    return (int16_t)(1000 + i);
}

/* Sample i of the loop: the sound, whose end goes over into its beginning. */
static int hold_at(int i)
{
    i %= LOOP;
    if (i >= FADE) return hold_sound(i);
    return (int)lrint(hold_sound(LOOP + i) +
                      (double)i / FADE * (hold_sound(i) - hold_sound(LOOP + i)));
}

static vc_playout *create_with_hold(void)
{
    int16_t sound[HOLD];
    for (int i = 0; i < HOLD; i++) sound[i] = hold_sound(i);
    vc_playout_config config = settings(RATE);
    config.when_dry = VC_PLAYOUT_FILL_HOLD;
    config.hold = sound; /* gone when this returns */
    config.hold_samples = HOLD;
    return create(&config);
}

static int is_off(int sample, double expected)
{
    return fabs(sample - expected) > 1.0;
}

VC_TEST(a_hold_sound_begins_with_a_fade_goes_round_and_ends_with_agent_audio)
{
    vc_playout *playout = create_with_hold();
    int16_t frame[FRAME];
    VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_NEED_MORE);
    VC_CHECK(all_are(frame, 0, FRAME, 0)); /* no segment has begun */
    queue_value(playout, 4000, 2 * FRAME - 60);
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK(all_are(frame, 0, FRAME, 4000));
    int wrong = 0, at = 0;
    for (int k = 0; k < 20; k++) {
        /* The frame with the end of the agent's audio still counts as such. */
        VC_CHECK_EQ(vc_playout_render(playout, 0, frame), k == 0 ? VC_OK : VC_NEED_MORE);
        VC_CHECK(!vc_playout_is_sounding(playout));
        VC_CHECK(vc_playout_is_filling(playout));
        for (int i = k == 0 ? FRAME - 60 : 0; i < FRAME; i++, at++) {
            double in = at < FADE ? (at + 1.0) / FADE : 1.0, rest = 4000.0 * (1.0 - in);
            wrong += is_off(frame[i], hold_at(at) * in + rest);
        }
    }
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK(at > 2 * LOOP);
    VC_CHECK_EQ(last_of(VC_EVENT_PLAYOUT_DRAINED).b, 1);
    VC_CHECK_EQ(vc_playout_play_position(playout), 2 * FRAME - 60);

    queue_value(playout, 4000, 4 * FRAME);
    VC_CHECK_EQ(vc_playout_render(playout, 77, frame), VC_OK);
    vc_event started = last_of(VC_EVENT_PLAYOUT_STARTED);
    VC_CHECK_EQ(started.a, 2 * FRAME - 60);
    VC_CHECK_EQ(started.b, 77);
    VC_CHECK_EQ(started.c, 22 * FRAME);
    for (int i = 0; i < FADE; i++) {
        double out = 1.0 - (i + 1.0) / FADE;
        wrong += is_off(frame[i], hold_at(at + i) * out + 4000.0 * i / FADE);
    }
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK(all_are(frame, FADE, FRAME, 4000));
    VC_CHECK(vc_playout_is_sounding(playout));
    VC_CHECK(!vc_playout_is_filling(playout));
    (void)vc_playout_render(playout, 97, frame);
    VC_CHECK(all_are(frame, 0, FRAME, 4000)); /* bit for bit */
    VC_CHECK_EQ(stats_of(playout).underrun_samples, 20 * FRAME - (FRAME - 60));
    vc_playout_destroy(playout);
}

/* Agent audio of 4000, which ran dry; the filler is at full level. */
static vc_playout *dry_with_hold(void)
{
    vc_playout *playout = create_with_hold();
    int16_t frame[FRAME];
    queue_value(playout, 4000, FRAME);
    for (int i = 0; i < 3; i++) (void)vc_playout_render(playout, 0, frame);
    VC_NEED(vc_playout_is_filling(playout));
    return playout;
}

VC_TEST(a_pause_silences_the_filler_and_a_resume_brings_it_back)
{
    vc_playout *playout = dry_with_hold();
    int16_t frame[FRAME];
    int64_t stopped;
    VC_CHECK_OK(vc_playout_pause_now(playout, &stopped));
    VC_CHECK_EQ(stopped, FRAME);
    VC_CHECK(!vc_playout_is_filling(playout));
    VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_NEED_MORE);
    VC_CHECK(frame[0] > 1000 && frame[FADE - 2] > 0);
    VC_CHECK(all_are(frame, FADE, FRAME, 0));
    queue_value(playout, 4000, FRAME); /* held back */
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK(all_are(frame, 0, FRAME, 0));
    VC_CHECK_EQ(vc_playout_play_position(playout), FRAME);
    VC_CHECK_OK(vc_playout_flush(playout));
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK(all_are(frame, 0, FRAME, 0));
    vc_playout_destroy(playout);

    playout = dry_with_hold();
    VC_CHECK_OK(vc_playout_pause(playout));
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 0, frame);
    VC_CHECK(all_are(frame, 0, FRAME, 0));
    VC_CHECK_OK(vc_playout_resume(playout));
    (void)vc_playout_render(playout, 0, frame);
    VC_CHECK(frame[0] < 100 && frame[FADE] > 1000);
    vc_playout_destroy(playout);
}

VC_TEST(after_a_flush_or_a_late_end_there_is_silence)
{
    for (int flush = 0; flush < 2; flush++) {
        vc_playout *playout = dry_with_hold();
        int16_t frame[FRAME];
        VC_CHECK_OK(flush ? vc_playout_flush(playout) : vc_playout_end_segment(playout));
        VC_CHECK_EQ(vc_playout_render(playout, 0, frame), VC_NEED_MORE);
        VC_CHECK(frame[0] > 1000);
        VC_CHECK(all_are(frame, FADE, FRAME, 0));
        (void)vc_playout_render(playout, 0, frame);
        VC_CHECK(all_are(frame, 0, FRAME, 0));
        VC_CHECK(!vc_playout_is_filling(playout));
        VC_CHECK_EQ(count_of(VC_EVENT_PLAYOUT_DRAINED), 1);
        /* What comes next is a segment of its own, without a fade. */
        queue_value(playout, 4000, FRAME);
        VC_CHECK_OK(vc_playout_end_segment(playout));
        (void)vc_playout_render(playout, 0, frame);
        VC_CHECK(all_are(frame, 0, FRAME, 4000));
        (void)vc_playout_render(playout, 0, frame);
        VC_CHECK(all_are(frame, 0, FRAME, 0)); /* complete: no filler */
        vc_playout_destroy(playout);
    }
}

VC_TEST(ducking_turns_the_filler_down)
{
    vc_playout *playout = dry_with_hold();
    int16_t frame[FRAME], before[FRAME];
    (void)vc_playout_render(playout, 0, before);
    VC_CHECK_OK(vc_playout_duck_now(playout));
    for (int i = 0; i < 2; i++) (void)vc_playout_render(playout, 0, frame);
    double gain = pow(10.0, -15.0 / 20.0);
    VC_CHECK(!is_off(frame[FRAME - 1], (before[FRAME - 1] + 2 * FRAME) * gain));
    vc_playout_destroy(playout);
}

/* -40 dB by full scale at the line, whatever the play rate; 6 s are enough for 0.2 dB. */
VC_TEST(comfort_noise_has_the_level_that_was_asked_for)
{
    const int rates[] = {8000, 11025, 24000, 48000};
    for (int r = 0; r < 4; r++) {
        vc_playout_config config = settings(rates[r]);
        config.when_dry = VC_PLAYOUT_FILL_COMFORT;
        config.comfort_noise_db = -40.0f;
        vc_playout *playout = create(&config);
        int16_t frame[FRAME];
        double sum = 0.0;
        queue_value(playout, 0, 100);
        for (int k = 0; k < 300; k++) {
            (void)vc_playout_render(playout, 0, frame);
            for (int i = 0; k >= 2 && i < FRAME; i++) sum += (double)frame[i] * frame[i];
        }
        double level_db = 10.0 * log10(sum / (298.0 * FRAME) / (32768.0 * 32768.0));
        VC_CHECK(fabs(level_db + 40.0) < 0.2);
        vc_playout_destroy(playout);
    }
}

/* A voice that comes in drops of 64 samples and more (a shorter one has no room for its fade), and
 * pauses while the filler sounds: no step is larger than those of the two signals themselves and of
 * their fades (amplitude / fade for each: the agent's, its decay, the filler's). Without the fades
 * steps reach the amplitude, 12000. */
VC_TEST(there_is_no_click_between_agent_audio_and_filler)
{
    enum { AMPLITUDE = 12000, HZ = 200 };
    int16_t sound[RATE];
    double step = 2.0 * 3.14159265358979323846 * HZ / RATE;
    for (int i = 0; i < RATE; i++) sound[i] = (int16_t)lrint(6000.0 * sin(step * 1.3 * i + 1.0));
    vc_playout_config config = settings(RATE);
    config.when_dry = VC_PLAYOUT_FILL_HOLD;
    config.hold = sound;
    config.hold_samples = RATE;
    vc_playout *playout = create(&config);
    uint32_t random = 7;
    int16_t frame[FRAME], last = 0;
    int largest = 0, paused = 0;
    int64_t made = 0, stopped;
    for (int tick = 0; tick < 4000; tick++) {
        event_count = 0;
        random = random * 1664525u + 1013904223u;
        int burst = random >> 30 ? 0 : 64 + (int)(random >> 16 & 511);
        int what = (int)(random >> 8 & 31);
        for (int i = 0; i < burst; i++) {
            int16_t sample = (int16_t)lrint(AMPLITUDE * sin(step * (double)made++));
            size_t one = 1;
            (void)vc_playout_push(playout, &sample, &one);
        }
        if (what < 4 && vc_playout_is_filling(playout))
            paused = vc_playout_pause_now(playout, &stopped) == VC_OK;
        if (what < 8 && what > 3 && paused) {
            VC_CHECK_OK(vc_playout_resume(playout));
            paused = 0;
        }
        (void)vc_playout_render(playout, tick, frame);
        for (int i = 0; i < FRAME; i++) {
            int size = abs(frame[i] - last);
            largest = size > largest ? size : largest;
            last = frame[i];
        }
    }
    VC_CHECK(stats_of(playout).underruns > 300);
    /* 2 pi 200 / 8000 * 12000 = 1885, 2 pi 260 / 8000 * 6000 = 1225, 12000 / 40 twice, 6000 / 40 */
    VC_CHECK(largest <= 1885 + 1225 + 2 * 300 + 150);
    vc_playout_destroy(playout);
}

/* The same audio between the same ticks in other pieces: the same samples and events. */
VC_TEST(slicing_changes_nothing)
{
    static int16_t once[400 * FRAME];
    vc_event seen[MAX_EVENTS];
    int seen_count = 0;
    for (int pieces = 1; pieces <= 3; pieces++) {
        vc_playout_config config = settings(24000);
        config.when_dry = VC_PLAYOUT_FILL_COMFORT;
        config.prebuffer_ms = 60;
        vc_playout *playout = create(&config);
        uint32_t random = 3;
        int wrong = 0;
        for (int tick = 0; tick < 400; tick++) {
            int16_t audio[1024], frame[FRAME];
            random = random * 1664525u + 1013904223u;
            size_t burst = tick % 50 < 20 ? (random >> 20) % 1000 + 1 : 0;
            for (size_t i = 0; i < burst; i++) audio[i] = (int16_t)(random >> (i & 15));
            for (size_t at = 0, n; at < burst; at += n) {
                n = (burst - at + (size_t)pieces - 1) / (size_t)pieces;
                (void)vc_playout_push(playout, audio + at, &n);
            }
            (void)vc_playout_render(playout, tick, frame);
            if (pieces == 1) memcpy(once + (size_t)tick * FRAME, frame, sizeof frame);
            wrong += memcmp(once + (size_t)tick * FRAME, frame, sizeof frame) != 0;
        }
        VC_CHECK_EQ(wrong, 0);
        if (pieces == 1) {
            memcpy(seen, events, sizeof seen);
            seen_count = event_count;
            VC_CHECK(event_count > 10);
        }
        VC_CHECK_EQ(event_count, seen_count);
        for (int i = 0; i < event_count && i < seen_count; i++)
            wrong += events[i].kind != seen[i].kind || events[i].stamp_ns != seen[i].stamp_ns ||
                     events[i].a != seen[i].a || events[i].c != seen[i].c;
        VC_CHECK_EQ(wrong, 0);
        vc_playout_destroy(playout);
    }
}

VC_TEST(a_word_begins_with_its_first_sample)
{
    vc_playout_config config = settings(RATE);
    vc_playout *playout = create(&config);
    int16_t frame[FRAME], audio[FRAME] = {0};
    size_t n = FRAME, none = 0;
    VC_CHECK_OK(vc_playout_push(playout, audio, &n));
    VC_CHECK_OK(vc_playout_push_word(playout, 1, audio, &none)); /* no audio, no word */
    VC_CHECK_OK(vc_playout_mark(playout, 8));
    VC_CHECK_OK(vc_playout_push_word(playout, 2, audio, &n));
    (void)vc_playout_render(playout, 10, frame);
    VC_CHECK_EQ(count_of(VC_EVENT_MARK_REACHED), 1); /* all before it was sent */
    VC_CHECK_EQ(count_of(VC_EVENT_WORD_REACHED), 0); /* nothing of it was */
    (void)vc_playout_render(playout, 30, frame);
    VC_CHECK_EQ(last_of(VC_EVENT_WORD_REACHED).stamp_ns, 30);
    VC_CHECK_EQ(last_of(VC_EVENT_WORD_REACHED).a, 2);
    VC_CHECK_EQ(last_of(VC_EVENT_WORD_REACHED).b, FRAME);
    for (int word = 3; word < 5; word++) {
        VC_CHECK_OK(vc_playout_push_word(playout, word, audio, &n));
        if (word == 3) VC_CHECK_OK(vc_playout_flush(playout));
    }
    (void)vc_playout_render(playout, 50, frame);
    VC_CHECK_EQ(count_of(VC_EVENT_WORD_REACHED), 2); /* 3 was thrown away */
    VC_CHECK_EQ(last_of(VC_EVENT_WORD_REACHED).a, 4);
    vc_playout_destroy(playout);
}

VC_TEST(rejects_bad_settings_and_survives_failed_allocations)
{
    vc_playout *playout;
    int16_t sound[RATE] = {0};
    vc_playout_config config = settings(RATE), good = config;
    config.prebuffer_ms = 1001;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.prebuffer_ms = 200;
    config.buffer_ms = 199;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config = good;
    config.comfort_noise_db = NAN;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.comfort_noise_db = -19.0f;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config = good;
    config.when_dry = (vc_playout_filling)3;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.when_dry = VC_PLAYOUT_FILL_HOLD;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_NULL);
    config.hold = sound;
    config.hold_samples = FRAME - 1;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.hold_samples = 60 * RATE + 1;
    VC_CHECK_EQ(vc_playout_create(&playout, &config), VC_E_RANGE);
    config.hold_samples = RATE;
    for (int kind = 0; kind < 2; kind++) {
        vc_test_heap heap = {0, 0, 0};
        vc_allocator allocator = vc_test_allocator(&heap);
        config.allocator = &allocator;
        config.when_dry = kind ? VC_PLAYOUT_FILL_HOLD : VC_PLAYOUT_FILL_COMFORT;
        for (heap.fail_at = 0;; heap.fail_at++) {
            heap.total = 0;
            vc_status status = vc_playout_create(&playout, &config);
            if (status == VC_OK) break;
            VC_CHECK_EQ(status, VC_E_MEMORY);
            VC_CHECK_EQ(heap.live, 0);
        }
        VC_CHECK(heap.fail_at >= 8);
        vc_playout_destroy(playout);
        VC_CHECK_EQ(heap.live, 0);
    }
}

VC_MAIN(VC_RUN(a_segment_begins_when_so_much_is_queued) VC_RUN(a_short_segment_begins_at_once)
            VC_RUN(after_an_underrun_it_is_buffered_again_and_a_late_end_will_do)
                VC_RUN(a_resume_goes_on_at_once_and_a_flush_begins_anew)
                    VC_RUN(what_a_replacement_drops_is_not_queued)
                        VC_RUN(the_lowest_level_is_that_of_a_segment_that_is_being_made) VC_RUN(
                            a_hold_sound_begins_with_a_fade_goes_round_and_ends_with_agent_audio)
                            VC_RUN(a_pause_silences_the_filler_and_a_resume_brings_it_back) VC_RUN(
                                after_a_flush_or_a_late_end_there_is_silence)
                                VC_RUN(ducking_turns_the_filler_down) VC_RUN(
                                    comfort_noise_has_the_level_that_was_asked_for)
                                    VC_RUN(there_is_no_click_between_agent_audio_and_filler) VC_RUN(
                                        slicing_changes_nothing)
                                        VC_RUN(a_word_begins_with_its_first_sample) VC_RUN(
                                            rejects_bad_settings_and_survives_failed_allocations))
