/* vc_dtmf_detector: digits of vc_tone at every rate, their positions within 2 ms, slicing and room
 * for events bit for bit, reset and flush. The tolerances of Q.24 and speech are tested from
 * Python. */
#include "dsp/vc_dtmf_detector.h"

#include <string.h>

#include "dsp/vc_tone.h"
#include "vc_test.h"

enum { MOST = 400000, EVENTS = 64 };
static const char all[] = "0123456789*#ABCD";
static int16_t samples[MOST];

/* 50 ms of silence, then each digit 60 ms on, 50 ms off. */
static size_t dial(int rate_hz)
{
    size_t at = (size_t)rate_hz / 20;
    memset(samples, 0, at * sizeof *samples);
    for (const char *digit = all; *digit; digit++) {
        vc_tone_config config = vc_tone_dtmf(*digit, rate_hz);
        config.on_samples = (uint32_t)rate_hz * 60 / 1000;
        config.off_samples = (uint32_t)rate_hz * 50 / 1000;
        vc_tone tone;
        VC_NEED(vc_tone_start(&tone, &config) == VC_OK);
        size_t n = MOST - at;
        VC_NEED(vc_tone_process(&tone, samples + at, &n) == VC_OK);
        at += n;
    }
    return at;
}

static vc_dtmf_detector *made(int rate_hz)
{
    vc_dtmf_detector *detector;
    VC_NEED(vc_dtmf_detector_create(&detector, rate_hz, NULL) == VC_OK);
    return detector;
}

/* In slices and with little room; seed 0: all at once. */
static size_t run(vc_dtmf_detector *detector, size_t n, uint32_t seed,
                  vc_dtmf_detector_event events[EVENTS])
{
    size_t found = 0;
    for (size_t at = 0; at < n;) {
        size_t part = seed ? vc_test_random(&seed) % 700 : n;
        if (part > n - at) part = n - at;
        size_t room = seed ? 2 + vc_test_random(&seed) % 3 : EVENTS - found;
        VC_NEED(room <= EVENTS - found);
        size_t given = part;
        vc_status status =
            vc_dtmf_detector_process(detector, samples + at, &part, events + found, &room);
        VC_CHECK_EQ(status, part < given ? VC_FULL : VC_OK);
        at += part;
        found += room;
    }
    size_t room = EVENTS - found;
    VC_CHECK_OK(vc_dtmf_detector_flush(detector, events + found, &room));
    return found + room;
}

static int same(const vc_dtmf_detector_event *a, const vc_dtmf_detector_event *b)
{
    return a->kind == b->kind && a->digit == b->digit && a->start_sample == b->start_sample &&
           a->end_sample == b->end_sample && a->level_dbm0 == b->level_dbm0 &&
           a->twist_db == b->twist_db;
}

VC_TEST(digits_and_their_places)
{
    const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
    for (int r = 0; r < 9; r++) {
        size_t n = dial(rates[r]);
        vc_dtmf_detector *detector = made(rates[r]);
        vc_dtmf_detector_event events[EVENTS], again[EVENTS];
        size_t found = run(detector, n, 0, events);
        VC_CHECK_EQ(found, 32);
        for (int i = 0; i < 32 && i < (int)found; i++) {
            int64_t ms = rates[r] / 1000, start = rates[r] / 20 + i / 2 * (rates[r] * 11 / 100);
            VC_CHECK_EQ(events[i].digit, all[i / 2]);
            VC_CHECK_EQ(events[i].kind,
                        i % 2 ? VC_DTMF_DETECTOR_RELEASED : VC_DTMF_DETECTOR_PRESSED);
            VC_CHECK(events[i].start_sample >= start - 2 * ms);
            VC_CHECK(events[i].start_sample <= start + 2 * ms);
            VC_CHECK(events[i].level_dbm0 > -6.4f && events[i].level_dbm0 < -5.4f);
            VC_CHECK(events[i].twist_db > 1.5f && events[i].twist_db < 2.5f);
            if (i % 2 == 0) continue;
            VC_CHECK(events[i].end_sample >= start + 58 * rates[r] / 1000);
            VC_CHECK(events[i].end_sample <= start + 62 * rates[r] / 1000);
        }
        /* Flush has made it new; slices and room make no difference. */
        for (uint32_t seed = 1; seed < 6; seed++) {
            VC_CHECK_EQ(run(detector, n, seed, again), found);
            for (size_t i = 0; i < found; i++) VC_CHECK(same(&events[i], &again[i]));
        }
        vc_dtmf_detector_destroy(detector);
    }
}

VC_TEST(reset_is_new)
{
    size_t n = dial(8000), used = 6000, room = EVENTS;
    vc_dtmf_detector *detector = made(8000), *fresh = made(8000);
    vc_dtmf_detector_event events[EVENTS], expected[EVENTS];
    VC_CHECK_OK(vc_dtmf_detector_process(detector, samples + 333, &used, events, &room));
    VC_CHECK(room > 5);
    vc_dtmf_detector_reset(detector);
    size_t found = run(detector, n, 0, events);
    VC_CHECK_EQ(run(fresh, n, 0, expected), found);
    for (size_t i = 0; i < found; i++) VC_CHECK(same(&events[i], &expected[i]));
    vc_dtmf_detector_destroy(detector);
    vc_dtmf_detector_destroy(fresh);
}

VC_TEST(a_digit_at_the_end_is_released_by_flush)
{
    (void)dial(8000);
    vc_dtmf_detector *detector = made(8000);
    vc_dtmf_detector_event events[EVENTS];
    size_t n = 400 + 320, room = EVENTS; /* 40 ms of the first digit */
    VC_CHECK_OK(vc_dtmf_detector_process(detector, samples, &n, events, &room));
    size_t left = 1;
    VC_CHECK_EQ(vc_dtmf_detector_flush(detector, events + room, &left), VC_E_LENGTH);
    left = EVENTS - room;
    VC_CHECK_OK(vc_dtmf_detector_flush(detector, events + room, &left));
    VC_CHECK_EQ(room + left, 2);
    VC_CHECK_EQ(events[1].kind, VC_DTMF_DETECTOR_RELEASED);
    VC_CHECK(events[1].end_sample > 700 && events[1].end_sample <= 720);
    left = EVENTS;
    VC_CHECK_OK(vc_dtmf_detector_flush(detector, events, &left));
    VC_CHECK_EQ(left, 0);
    vc_dtmf_detector_destroy(detector);
}

VC_TEST(no_room_no_step)
{
    size_t n = dial(8000), room = 1, all_of_it = n;
    vc_dtmf_detector *detector = made(8000);
    vc_dtmf_detector_event events[EVENTS];
    VC_CHECK_EQ(vc_dtmf_detector_process(detector, samples, &n, events, &room), VC_FULL);
    VC_CHECK_EQ(room, 0);
    VC_CHECK(n < all_of_it);
    n = 100;
    VC_CHECK_EQ(vc_dtmf_detector_process(detector, NULL, &n, events, &room), VC_E_NULL);
    vc_dtmf_detector_destroy(detector);
}

/* Loud noise, full-scale squares, silence, DC: nothing is found, and no harm done. */
VC_TEST(what_is_no_digit)
{
    uint32_t seed = 77;
    for (int kind = 0; kind < 5; kind++) {
        for (size_t i = 0; i < MOST; i++) {
            uint32_t dice = vc_test_random(&seed);
            const int values[] = {(int16_t)(dice >> 16), i / 6 & 1 ? 32767 : -32768, 0, -32768,
                                  (int)(i % 7 * (dice % 100)) - 300};
            samples[i] = (int16_t)values[kind];
        }
        vc_dtmf_detector *detector = made(8000);
        vc_dtmf_detector_event events[EVENTS];
        VC_CHECK_EQ(run(detector, MOST, 0, events), 0);
        vc_dtmf_detector_destroy(detector);
    }
}

VC_TEST(creation)
{
    vc_dtmf_detector *detector;
    VC_CHECK_EQ(vc_dtmf_detector_create(&detector, 7999, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_dtmf_detector_create(&detector, 48001, NULL), VC_E_RATE);
    vc_test_heap heap = {.fail_at = 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_dtmf_detector_create(&detector, 8000, &allocator), VC_E_MEMORY);
    VC_CHECK_OK(vc_dtmf_detector_create(&detector, 8000, &allocator));
    vc_dtmf_detector_event events[EVENTS];
    VC_CHECK_EQ(run(detector, dial(8000), 0, events), 32);
    VC_CHECK_EQ(heap.total, 2);
    vc_dtmf_detector_destroy(detector);
    vc_dtmf_detector_destroy(NULL);
    VC_CHECK_EQ(heap.live, 0);
}

VC_MAIN(VC_RUN(digits_and_their_places) VC_RUN(reset_is_new)
            VC_RUN(a_digit_at_the_end_is_released_by_flush) VC_RUN(no_room_no_step)
                VC_RUN(what_is_no_digit) VC_RUN(creation))
