/* vc_dtmf: payload layout of RFC 4733, each digit reported once under loss, reorder and repeats,
 * the sender's packet sequence. */
#include "net/vc_dtmf.h"

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
    VC_CHECK_EQ(vc_dtmf_sender_start(&sender, '5', 0, 65536), VC_E_RANGE);
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

VC_MAIN(VC_RUN(payload_layout) VC_RUN(digits_and_events) VC_RUN(each_digit_once)
            VC_RUN(sender_walks_through_the_digit))
