/* vc_rtcp_session. Oracles: figures worked out by hand from RFC 3550 A.3, A.7, A.8 and figure 2;
 * two sessions that talk over a wire of known delay in virtual time. */
#include "net/vc_rtcp_session.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

#define MS VC_NS_PER_MS

static vc_rtcp_session new_session(uint32_t ssrc, uint32_t seed, int64_t now_ns)
{
    vc_rtcp_session session;
    vc_rtcp_session_config config = vc_rtcp_session_config_default();
    config.ssrc = ssrc;
    config.seed = seed;
    strcpy(config.cname, "c@test");
    VC_NEED(vc_rtcp_session_init(&session, &config, now_ns) == VC_OK);
    return session;
}

static void hear(vc_rtcp_session *session, uint32_t ssrc, int sequence, uint32_t timestamp,
                 int64_t now_ns)
{
    vc_rtp_packet packet = {.ssrc = ssrc, .sequence = (uint16_t)sequence, .timestamp = timestamp};
    vc_rtcp_session_heard(session, &packet, now_ns);
}

/* The report in the compound that is made now, whatever is due. */
static vc_rtcp_packet report_now(vc_rtcp_session *session, int64_t now_ns)
{
    static uint8_t bytes[VC_RTCP_MAX_COMPOUND_BYTES];
    vc_rtcp_packet packet;
    size_t n = sizeof bytes, at = 0;
    VC_NEED(vc_rtcp_session_bye(session, now_ns, bytes, &n) == VC_OK);
    VC_NEED(vc_rtcp_check(bytes, n) == VC_OK && vc_rtcp_next(bytes, n, &at, &packet) == VC_OK);
    return packet;
}

VC_TEST(loss_by_hand)
{
    vc_rtcp_session session = new_session(1, 1, 0);
    /* 65530..65539 across the wrap without two, and one of them twice. */
    for (int i = 65530; i < 65540; i++)
        if (i != 65533 && i != 65536) hear(&session, 9, i, 0, 0);
    vc_rtcp_packet packet = report_now(&session, 0);
    VC_CHECK_EQ(packet.type, VC_RTCP_RR);
    VC_CHECK_EQ(packet.blocks[0].ssrc, 9);
    VC_CHECK_EQ(packet.blocks[0].highest_sequence, 65539);
    VC_CHECK_EQ(packet.blocks[0].lost, 2);
    VC_CHECK_EQ(packet.blocks[0].fraction_lost, 2 * 256 / 10);
    /* A late one and a duplicate: the sum goes down, the interval's fraction is not negative. */
    hear(&session, 9, 65533, 0, 0);
    hear(&session, 9, 65539, 0, 0);
    packet = report_now(&session, 0);
    VC_CHECK_EQ(packet.blocks[0].lost, 0);
    VC_CHECK_EQ(packet.blocks[0].fraction_lost, 0);
    hear(&session, 9, 65543, 0, 0);
    packet = report_now(&session, 0);
    VC_CHECK_EQ(packet.blocks[0].lost, 3);
    VC_CHECK_EQ(packet.blocks[0].fraction_lost, 3 * 256 / 4);
    /* Another SSRC, and a sender that begins anew, begin anew. */
    hear(&session, 10, 5, 0, 0);
    packet = report_now(&session, 0);
    VC_CHECK(packet.blocks[0].ssrc == 10 && packet.blocks[0].lost == 0);
    hear(&session, 10, 20000, 0, 0);
    VC_CHECK_EQ(report_now(&session, 0).blocks[0].lost, 0);
}

VC_TEST(jitter_by_hand)
{
    vc_rtcp_session session = new_session(1, 1, 0);
    double expected = 0;
    /* Every second packet is 5 ms late: |D| is 40 ticks each time; across the timestamp's wrap. */
    for (int i = 0; i < 50; i++) {
        uint32_t timestamp = 4294967296u - 800 + (uint32_t)i * 160;
        hear(&session, 9, i, timestamp, (20 * i + (i % 2 ? 5 : 0)) * MS);
        if (i > 0) expected += (40.0 - expected) / 16;
    }
    VC_CHECK_EQ(report_now(&session, 0).blocks[0].jitter, (int)expected);
    vc_rtcp_session_stats stats;
    vc_rtcp_session_get_stats(&session, &stats);
    VC_CHECK(fabs(stats.jitter_ms - expected / 8) < 1e-6);
}

VC_TEST(round_trip_by_hand)
{
    /* 100 ms there, 70 ms kept, 130 ms back: 230 ms. */
    vc_rtcp_session a = new_session(1, 1, 0), b = new_session(2, 2, 500 * MS);
    uint8_t bytes[VC_RTCP_MAX_COMPOUND_BYTES];
    size_t n = sizeof bytes;
    int bye;
    vc_rtcp_session_sent(&a, 1000, 160, 990 * MS);
    vc_rtcp_session_sent(&a, 1160, 160, 1010 * MS);
    hear(&b, 1, 0, 1000, 1090 * MS);
    VC_CHECK_OK(vc_rtcp_session_bye(&a, 1020 * MS, bytes, &n));
    size_t at = 0;
    vc_rtcp_packet packet;
    VC_CHECK_OK(vc_rtcp_next(bytes, n, &at, &packet));
    VC_CHECK(packet.type == VC_RTCP_SR && packet.packets_sent == 2 && packet.bytes_sent == 320);
    VC_CHECK_EQ(packet.rtp_timestamp, 1160 + 80); /* 10 ms behind the last packet's */
    VC_CHECK_EQ(packet.ntp >> 32, 2);             /* second 1 is where it begins */
    VC_CHECK_OK(vc_rtcp_session_receive(&b, bytes, n, 1120 * MS, &bye));
    VC_CHECK_EQ(bye, 1);
    n = sizeof bytes;
    VC_CHECK_OK(vc_rtcp_session_bye(&b, 1190 * MS, bytes, &n));
    VC_CHECK_OK(vc_rtcp_session_receive(&a, bytes, n, 1320 * MS, &bye));
    vc_rtcp_session_stats stats;
    vc_rtcp_session_get_stats(&a, &stats);
    VC_CHECK(stats.has_report);
    VC_CHECK(fabs(stats.round_trip_ms - 230) < 0.1); /* three roundings to 1/65536 s */
    /* Nonsense about us is not believed: a delay longer than the time that has passed. */
    vc_rtcp_packet lie = {.type = VC_RTCP_RR, .ssrc = 2, .count = 1};
    lie.blocks[0] = (vc_rtcp_block){.ssrc = 1, .last_sr = 0x20000, .dlsr = 1u << 30};
    n = sizeof bytes;
    VC_CHECK_OK(vc_rtcp_build(&lie, bytes, &n));
    VC_CHECK_OK(vc_rtcp_session_receive(&a, bytes, n, 1330 * MS, &bye));
    vc_rtcp_session_get_stats(&a, &stats);
    VC_CHECK(fabs(stats.round_trip_ms - 230) < 0.1);
}

VC_TEST(bye_of_whom)
{
    vc_rtcp_session session = new_session(1, 1, 0), other = new_session(2, 2, 0);
    uint8_t bytes[VC_RTCP_MAX_COMPOUND_BYTES];
    size_t n = sizeof bytes;
    int bye;
    VC_CHECK_OK(vc_rtcp_session_bye(&other, 0, bytes, &n));
    VC_CHECK_OK(vc_rtcp_session_receive(&session, bytes, n, 0, &bye));
    VC_CHECK_EQ(bye, 1);
    hear(&session, 3, 0, 0, 0);
    VC_CHECK_OK(vc_rtcp_session_receive(&session, bytes, n, 0, &bye));
    VC_CHECK_EQ(bye, 0); /* 2 is not who is heard */
    hear(&session, 2, 0, 0, 0);
    VC_CHECK_OK(vc_rtcp_session_receive(&session, bytes, n, 0, &bye));
    VC_CHECK_EQ(bye, 1);
    VC_CHECK_EQ(vc_rtcp_session_receive(&session, bytes, n - 1, 0, &bye), VC_E_PACKET);
    VC_CHECK_EQ(bye, 0);
}

VC_TEST(interval_by_hand)
{
    /* 128 bytes, two members, 500 bytes/s: 0.512 s, so the minimum; half of it at first. */
    VC_CHECK(vc_rtcp_interval_s(2, 2, 500, 1, 128, 5, 0) == 5.0);
    VC_CHECK(vc_rtcp_interval_s(2, 2, 500, 1, 128, 5, 1) == 2.5);
    /* 1000 members of whom 10 send: a quarter of 500 bytes/s for those. */
    VC_CHECK(fabs(vc_rtcp_interval_s(1000, 10, 500, 1, 100, 5, 0) - 8.0) < 1e-9);
    VC_CHECK(fabs(vc_rtcp_interval_s(1000, 10, 500, 0, 100, 5, 0) - 264.0) < 1e-9);
    VC_CHECK(fabs(vc_rtcp_interval_s(1000, 900, 500, 1, 100, 5, 0) - 200.0) < 1e-9);
}

VC_TEST(reports_come_at_random_every_five_seconds)
{
    /* 6.3.1: between 0.5/1.21828 and 1.5/1.21828 of 5 s; with reconsideration the mean is about 5.
     * 400 intervals: the mean is within 4 standard errors of 1.1 s/sqrt(400). */
    vc_rtcp_session session = new_session(1, 7, 0), twin = new_session(1, 7, 0);
    int64_t last_ns = 0;
    double sum_s = 0, least_s = 1e9, most_s = 0, first_s = 0;
    int reports = 0;
    for (int64_t now_ns = 0; reports < 401; now_ns += 20 * MS) {
        uint8_t bytes[VC_RTCP_MAX_COMPOUND_BYTES], same[VC_RTCP_MAX_COMPOUND_BYTES];
        size_t n = sizeof bytes, m = sizeof same;
        vc_rtcp_session_sent(&session, (uint32_t)(now_ns / 125000), 160, now_ns);
        vc_rtcp_session_sent(&twin, (uint32_t)(now_ns / 125000), 160, now_ns);
        hear(&session, 9, (int)(now_ns / (20 * MS)), (uint32_t)(now_ns / 125000), now_ns);
        hear(&twin, 9, (int)(now_ns / (20 * MS)), (uint32_t)(now_ns / 125000), now_ns);
        VC_CHECK_OK(vc_rtcp_session_report(&session, now_ns, bytes, &n));
        VC_CHECK_OK(vc_rtcp_session_report(&twin, now_ns, same, &m));
        VC_NEED(n == m && memcmp(bytes, same, n) == 0);
        if (n == 0) continue;
        double interval_s = (double)(now_ns - last_ns) / 1e9;
        last_ns = now_ns;
        if (reports++ == 0) {
            first_s = interval_s;
            continue;
        }
        sum_s += interval_s;
        if (interval_s < least_s) least_s = interval_s;
        if (interval_s > most_s) most_s = interval_s;
    }
    printf("    first %.2f s, then %.2f to %.2f s, mean %.2f s\n", first_s, least_s, most_s,
           sum_s / 400);
    VC_CHECK(first_s >= 1.02 && first_s <= 3.1);
    VC_CHECK(least_s >= 2.05 && most_s <= 6.18);
    VC_CHECK(fabs(sum_s / 400 - 5.0) < 0.4);
}

VC_TEST(arguments_and_reset)
{
    vc_rtcp_session session, fresh;
    vc_rtcp_session_config config = vc_rtcp_session_config_default();
    VC_CHECK_EQ(vc_rtcp_session_init(&session, NULL, 0), VC_E_NULL);
    config.clock_hz = 0;
    VC_CHECK_EQ(vc_rtcp_session_init(&session, &config, 0), VC_E_RANGE);
    config = vc_rtcp_session_config_default();
    config.min_interval_ms = 99;
    VC_CHECK_EQ(vc_rtcp_session_init(&session, &config, 0), VC_E_RANGE);
    config = vc_rtcp_session_config_default();
    memset(config.cname, 'x', sizeof config.cname);
    VC_CHECK_EQ(vc_rtcp_session_init(&session, &config, 0), VC_E_RANGE);
    /* The longest name fits in the longest compound. */
    config.cname[VC_RTCP_MAX_CNAME_BYTES - 1] = 0;
    VC_CHECK_OK(vc_rtcp_session_init(&session, &config, 0));
    hear(&session, 9, 0, 0, 0);
    vc_rtcp_session_sent(&session, 0, 160, 0);
    (void)report_now(&session, VC_NS_PER_S);
    uint8_t bytes[VC_RTCP_MAX_COMPOUND_BYTES];
    size_t n = VC_RTCP_MAX_COMPOUND_BYTES - 1;
    VC_CHECK_EQ(vc_rtcp_session_bye(&session, 0, bytes, &n), VC_E_LENGTH);
    memset(&fresh, 0xff, sizeof fresh);
    VC_CHECK_OK(vc_rtcp_session_init(&session, &config, 5));
    VC_CHECK_OK(vc_rtcp_session_init(&fresh, &config, 5));
    VC_CHECK_EQ(memcmp(&session, &fresh, sizeof fresh), 0);
}

VC_MAIN(VC_RUN(loss_by_hand) VC_RUN(jitter_by_hand) VC_RUN(round_trip_by_hand) VC_RUN(bye_of_whom)
            VC_RUN(interval_by_hand) VC_RUN(reports_come_at_random_every_five_seconds)
                VC_RUN(arguments_and_reset))
