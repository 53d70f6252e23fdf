/* vc_dtmf: payload layout of RFC 4733, each digit reported once under loss, reorder and repeats,
 * the sender's packet sequence. */
#include "net/vc_dtmf.h"

#include <string.h>

#include "vc_test.h"

static vc_status feed(vc_dtmf_receiver *receiver, uint32_t timestamp, uint8_t event, int end,
                      char *digit)
{
    vc_dtmf_event e = {.event = event, .end = (uint8_t)end, .duration_samples = 160};
    uint8_t payload[VC_DTMF_PAYLOAD_BYTES];
    VC_NEED(vc_dtmf_build(&e, payload) == VC_OK);
    vc_rtp_packet packet = {
        .timestamp = timestamp, .ssrc = 1, .payload = payload, .payload_bytes = sizeof payload};
    return vc_dtmf_receive(receiver, &packet, digit);
}

VC_TEST(payload_layout)
{
    const uint8_t payload[] = {11, 0x80 | 0x40 | 10, 0x03, 0x20};
    vc_dtmf_event event;
    VC_CHECK_EQ(vc_dtmf_parse(payload, 3, &event), VC_E_PACKET);
    VC_CHECK_OK(vc_dtmf_parse(payload, 4, &event));
    VC_CHECK_EQ(event.event, 11);
    VC_CHECK_EQ(event.end, 1);
    VC_CHECK_EQ(event.volume_dbm0, 10); /* the reserved bit is no part of it */
    VC_CHECK_EQ(event.duration_samples, 800);
    uint8_t out[VC_DTMF_PAYLOAD_BYTES];
    VC_CHECK_OK(vc_dtmf_build(&event, out));
    VC_CHECK_EQ(out[1], 0x80 | 10);
    event.volume_dbm0 = 64;
    VC_CHECK_EQ(vc_dtmf_build(&event, out), VC_E_RANGE);
}

VC_TEST(digits_and_events)
{
    for (int event = 0; event < 16; event++)
        VC_CHECK_EQ(vc_dtmf_event_of(vc_dtmf_digit_of(event)), event);
    VC_CHECK_EQ(vc_dtmf_event_of('#'), 11);
    VC_CHECK_EQ(vc_dtmf_event_of('E'), -1);
    VC_CHECK_EQ(vc_dtmf_event_of(0), -1);
    VC_CHECK_EQ(vc_dtmf_digit_of(16), 0);
    VC_CHECK_EQ(vc_dtmf_digit_of(-1), 0);
}

VC_TEST(each_digit_once)
{
    vc_dtmf_receiver receiver = {0};
    char digit = 0;
    VC_CHECK_OK(feed(&receiver, 0xffffff00u, 1, 0, &digit));
    VC_CHECK_EQ(digit, '1');
    VC_CHECK_EQ(feed(&receiver, 0xffffff00u, 1, 0, &digit), VC_DUPLICATE);
    VC_CHECK_EQ(feed(&receiver, 0xffffff00u, 1, 1, &digit), VC_DUPLICATE);
    VC_CHECK_EQ(feed(&receiver, 0xffffff00u, 1, 1, &digit), VC_DUPLICATE);
    /* The same digit again, across the timestamp wrap; only an end packet of it arrives. */
    VC_CHECK_OK(feed(&receiver, 2000, 1, 1, &digit));
    VC_CHECK_EQ(feed(&receiver, 0xffffff00u, 1, 1, &digit), VC_DUPLICATE); /* reordered */
    VC_CHECK_EQ(feed(&receiver, 9000, 16, 0, &digit), VC_IGNORED);         /* flash hook */
    VC_CHECK_EQ(feed(&receiver, 2000, 1, 1, &digit), VC_DUPLICATE);
    VC_CHECK_OK(feed(&receiver, 20000, 15, 0, &digit));
    VC_CHECK_EQ(digit, 'D');
    /* A tone longer than its 16-bit duration goes on under a new timestamp. */
    VC_CHECK_EQ(feed(&receiver, 20000 + 65535, 15, 0, &digit), VC_DUPLICATE);
    VC_CHECK_EQ(feed(&receiver, 20000 + 65535, 15, 1, &digit), VC_DUPLICATE);
    VC_CHECK_OK(feed(&receiver, 20000 + 2 * 65535, 15, 0, &digit));
    vc_rtp_packet empty = {0};
    VC_CHECK_EQ(vc_dtmf_receive(&receiver, &empty, &digit), VC_E_PACKET);
}

VC_TEST(sender_walks_through_the_digit)
{
    vc_dtmf_sender sender;
    VC_CHECK_EQ(vc_dtmf_sender_start(&sender, 'x', 0, 800), VC_E_RANGE);
    VC_CHECK_EQ(vc_dtmf_sender_start(&sender, '5', 0, 0), VC_E_RANGE);
    VC_CHECK_OK(vc_dtmf_sender_start(&sender, '5', 0, 800));
    uint8_t unused[VC_DTMF_PAYLOAD_BYTES];
    int no_marker;
    VC_CHECK_EQ(vc_dtmf_sender_next(&sender, 0, unused, &no_marker), VC_E_RANGE);
    VC_CHECK_EQ(vc_dtmf_sender_next(&sender, 65536, unused, &no_marker), VC_E_RANGE);
    VC_CHECK_OK(vc_dtmf_sender_start(&sender, '5', 1000, 400));
    const unsigned durations[] = {160, 320, 400, 400, 400}, ends[] = {0, 0, 1, 1, 1};
    uint8_t payload[VC_DTMF_PAYLOAD_BYTES];
    int marker;
    for (int i = 0; i < 5; i++) {
        vc_dtmf_event event;
        VC_CHECK_OK(vc_dtmf_sender_next(&sender, 160, payload, &marker));
        VC_CHECK_OK(vc_dtmf_parse(payload, sizeof payload, &event));
        VC_CHECK_EQ(marker, i == 0);
        VC_CHECK_EQ(event.event, 5);
        VC_CHECK_EQ(event.duration_samples, durations[i]);
        VC_CHECK_EQ(event.end, ends[i]);
        VC_CHECK_EQ(sender.timestamp, 1000);
    }
    VC_CHECK_EQ(vc_dtmf_sender_next(&sender, 160, payload, &marker), VC_NEED_MORE);
    VC_CHECK_EQ(sender.active, 0);
    VC_CHECK_EQ(vc_dtmf_sender_next(&sender, 160, payload, &marker), VC_NEED_MORE);
}

/* What the reports say, in one line: +5@100 pressed, -5@100:400 released, -5@100:400? inferred. */
static char *told(const vc_dtmf_report *reports, size_t n)
{
    static char text[200];
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < n; i++) {
        int pressed = reports[i].kind == VC_DTMF_PRESSED;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%c@%u:%u%s", i ? " " : "",
                               pressed ? '+' : '-', reports[i].digit, reports[i].timestamp,
                               reports[i].duration_samples, reports[i].inferred ? "?" : "");
    }
    return text;
}

typedef struct given {
    uint32_t timestamp;
    uint8_t event;
    int flags;
    uint16_t duration_samples;
    const char *told;
} given;
enum { END = 1, MARKER = 2, OTHER_SSRC = 4 };

static void check_story(const given *story, size_t n)
{
    vc_dtmf_receiver receiver = {0};
    for (size_t i = 0; i < n; i++) {
        vc_dtmf_event event = {.event = story[i].event,
                               .end = story[i].flags & END,
                               .volume_dbm0 = 7,
                               .duration_samples = story[i].duration_samples};
        uint8_t payload[VC_DTMF_PAYLOAD_BYTES];
        VC_NEED(vc_dtmf_build(&event, payload) == VC_OK);
        vc_rtp_packet packet = {.timestamp = story[i].timestamp,
                                .marker = (story[i].flags & MARKER) != 0,
                                .ssrc = story[i].flags & OTHER_SSRC,
                                .payload = payload,
                                .payload_bytes = sizeof payload};
        vc_dtmf_report reports[VC_DTMF_MAX_REPORTS];
        size_t count = 77;
        vc_status status = vc_dtmf_receiver_push(&receiver, &packet, reports, &count);
        VC_CHECK_EQ(status, count ? VC_OK : story[i].event < 16 ? VC_DUPLICATE : VC_IGNORED);
        if (strcmp(told(reports, count), story[i].told) != 0) {
            printf("step %zu: %s, expected %s\n", i, told(reports, count), story[i].told);
            VC_CHECK(!"as expected");
        }
        if (count) VC_CHECK_EQ(reports[0].volume_dbm0, 7);
    }
}
#define STORY(story) check_story(story, sizeof story / sizeof story[0])

VC_TEST(presses_and_releases)
{
    const given usual[] = {
        {100, 5, 0, 160, "+5@100:160"}, {100, 5, 0, 320, ""}, {100, 5, 1, 400, "-5@100:400"},
        {100, 5, 1, 400, ""},           {100, 5, 1, 400, ""}, {900, 16, 0, 160, ""},
        {2000, 5, 0, 0, "+5@2000:0"},   {900, 5, 1, 0, ""},
    };
    STORY(usual);
    const given only_an_end_packet_arrives[] = {
        {100, 11, 1, 400, "+#@100:400 -#@100:400"},
        {100, 11, 1, 400, ""},
    };
    STORY(only_an_end_packet_arrives);
    /* The next digit comes before the end of the old one, whose end packets come between. */
    const given overlapping[] = {
        {100, 1, 0, 160, "+1@100:160"}, {500, 2, 0, 160, "-1@100:160? +2@500:160"},
        {100, 1, 1, 400, ""},           {500, 2, 0, 320, ""},
        {100, 1, 1, 400, ""},           {500, 2, 1, 480, "-2@500:480"},
        {100, 1, 1, 400, ""},           {500, 2, 1, 480, ""},
    };
    STORY(overlapping);
    const given all_in_one_packet[] = {
        {100, 1, 0, 160, "+1@100:160"},
        {900, 1, 1, 400, "-1@100:160? +1@900:400 -1@900:400"},
    };
    STORY(all_in_one_packet);
    const given reordered[] = {
        {100, 3, 0, 320, "+3@100:320"}, {100, 3, 0, 160, ""}, {100, 3, 1, 400, "-3@100:400"},
        {100, 3, 0, 320, ""},           {100, 3, 1, 400, ""},
    };
    STORY(reordered);
}

VC_TEST(long_tones_are_one_digit)
{
    const given segments[] = {
        {100, 9, 0, 65440, "+9@100:65440"},
        {100, 9, 0, 65535, ""},
        {65635, 9, 0, 225, ""},
        {100, 9, 0, 65535, ""},
        {65635 + 65535, 9, 0, 1000, ""},
        {65635 + 65535, 9, 1, 1200, "-9@100:132270"},
        {65635 + 65535, 9, 1, 1200, ""},
    };
    STORY(segments);
    const given a_segment_is_lost_and_only_the_end_comes[] = {
        {100, 9, 0, 160, "+9@100:160"},
        {100 + 3 * 65535, 9, 1, 7, "-9@100:196612"},
    };
    STORY(a_segment_is_lost_and_only_the_end_comes);
    const given by_its_marker_a_new_digit[] = {
        {100, 9, 0, 160, "+9@100:160"},
        {65635, 9, MARKER, 160, "-9@100:160? +9@65635:160"},
    };
    STORY(by_its_marker_a_new_digit);
}

VC_TEST(a_new_ssrc_is_a_new_sender)
{
    const given story[] = {
        {5000, 1, 0, 160, "+1@5000:160"},
        {70, 1, OTHER_SSRC, 160, "-1@5000:160? +1@70:160"},
        {5000, 1, END, 400, ""},
        {70, 1, OTHER_SSRC | END, 400, "-1@70:400"},
    };
    STORY(story);
}

VC_TEST(lost_ends_expire)
{
    vc_dtmf_receiver receiver = {0};
    vc_dtmf_report report;
    char digit;
    VC_CHECK_EQ(vc_dtmf_receiver_expire(&receiver, 5000, 100, &report), VC_NEED_MORE);
    VC_CHECK_OK(feed(&receiver, 0xffffff80u, 4, 0, &digit)); /* lasts until 0x20 */
    VC_CHECK_EQ(vc_dtmf_receiver_expire(&receiver, 0xffffff90u, 800, &report), VC_NEED_MORE);
    VC_CHECK_EQ(vc_dtmf_receiver_expire(&receiver, 0x20 + 799, 800, &report), VC_NEED_MORE);
    VC_CHECK_OK(vc_dtmf_receiver_expire(&receiver, 0x20 + 800, 800, &report));
    VC_CHECK(strcmp(told(&report, 1), "-4@4294967168:160?") == 0);
    VC_CHECK_EQ(vc_dtmf_receiver_expire(&receiver, 0x20 + 900, 800, &report), VC_NEED_MORE);
    VC_CHECK_EQ(feed(&receiver, 0xffffff80u, 4, 1, &digit), VC_DUPLICATE);
    VC_CHECK_OK(feed(&receiver, 4000, 4, 1, &digit));
}

/* Every packet of the sender into the receiver: one press, one release, the right length. */
VC_TEST(sender_to_receiver)
{
    const uint32_t lengths[] = {1, 159, 160, 161, 65534, 65535, 65536, 65600, 131070, 200001};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        vc_dtmf_sender sender;
        vc_dtmf_receiver receiver = {0};
        VC_CHECK_OK(vc_dtmf_sender_start(&sender, '*', 0xfffffff0u, lengths[i]));
        sender.volume_dbm0 = 12;
        int marker, presses = 0, releases = 0, ends = 0, markers = 0;
        uint8_t payload[VC_DTMF_PAYLOAD_BYTES];
        uint32_t last_timestamp = sender.timestamp, steps = 0;
        while (vc_dtmf_sender_next(&sender, 160, payload, &marker) == VC_OK) {
            vc_rtp_packet packet = {.timestamp = sender.timestamp,
                                    .marker = (uint8_t)marker,
                                    .payload = payload,
                                    .payload_bytes = sizeof payload};
            vc_dtmf_report reports[VC_DTMF_MAX_REPORTS];
            size_t n;
            VC_CHECK(vc_dtmf_receiver_push(&receiver, &packet, reports, &n) >= 0);
            for (size_t r = 0; r < n; r++) {
                presses += reports[r].kind == VC_DTMF_PRESSED;
                if (reports[r].kind != VC_DTMF_RELEASED) continue;
                releases++;
                VC_CHECK_EQ(reports[r].duration_samples, lengths[i]);
                VC_CHECK_EQ(reports[r].timestamp, 0xfffffff0u);
                VC_CHECK_EQ(reports[r].volume_dbm0, 12);
            }
            ends += payload[1] >> 7;
            markers += marker;
            uint32_t moved = sender.timestamp - last_timestamp;
            VC_CHECK(moved == 0 || moved == 65535);
            last_timestamp = sender.timestamp;
            steps++;
        }
        VC_CHECK_EQ(presses, 1);
        VC_CHECK_EQ(releases, 1);
        VC_CHECK_EQ(markers, 1);
        VC_CHECK_EQ(ends, 3);
        VC_CHECK(steps <= (lengths[i] + 159) / 160 + 3);
    }
}

VC_TEST(a_held_digit_ends_when_stopped)
{
    for (int steps = 0; steps < 900; steps += steps < 3 ? 1 : 203) {
        vc_dtmf_sender sender;
        VC_CHECK_OK(vc_dtmf_sender_start(&sender, '7', 100, VC_DTMF_HELD));
        uint8_t payload[VC_DTMF_PAYLOAD_BYTES];
        int marker;
        for (int i = 0; i < steps; i++)
            VC_CHECK_OK(vc_dtmf_sender_next(&sender, 160, payload, &marker));
        vc_dtmf_sender_stop(&sender);
        for (int i = 0; i < 3; i++) {
            VC_CHECK_OK(vc_dtmf_sender_next(&sender, 160, payload, &marker));
            VC_CHECK_EQ(payload[1] >> 7, 1);
            VC_CHECK_EQ(marker, steps == 0 && i == 0);
            uint32_t total = sender.timestamp - 100 + (uint32_t)(payload[2] << 8 | payload[3]);
            VC_CHECK_EQ(total, steps ? 160 * steps : 160);
        }
        VC_CHECK_EQ(vc_dtmf_sender_next(&sender, 160, payload, &marker), VC_NEED_MORE);
    }
}

VC_MAIN(VC_RUN(payload_layout) VC_RUN(digits_and_events) VC_RUN(each_digit_once)
            VC_RUN(presses_and_releases) VC_RUN(long_tones_are_one_digit)
                VC_RUN(a_new_ssrc_is_a_new_sender) VC_RUN(lost_ends_expire)
                    VC_RUN(sender_walks_through_the_digit) VC_RUN(sender_to_receiver)
                        VC_RUN(a_held_digit_ends_when_stopped))
