/* vc_source_guard: oracle: the rule in its header, played through packet by packet. */
#include "engine/vc_source_guard.h"

#include <string.h>

#include "vc_test.h"

#define MS VC_NS_PER_MS

static vc_address address(uint8_t host, uint16_t port)
{
    vc_address made = {.family = 4, .bytes = {192, 0, 2, host}, .port = port};
    return made;
}

static vc_source_guard new_guard(int learn, const vc_address *remote)
{
    vc_source_guard guard;
    vc_source_guard_config config = vc_source_guard_config_default();
    config.learn = learn;
    VC_NEED(vc_source_guard_init(&guard, &config, remote) == VC_OK);
    return guard;
}

VC_TEST(the_first_valid_packet_is_the_source)
{
    vc_address a = address(1, 4000), b = address(1, 4002), c = address(2, 4000);
    vc_source_guard guard = new_guard(1, NULL);
    VC_CHECK_EQ(guard.remote.family, 0);
    VC_CHECK(!vc_source_guard_is_source(&guard, &a));
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 1, 0, 0), VC_SOURCE_NEW);
    VC_CHECK(vc_address_equal(&guard.remote, &a));
    VC_CHECK(vc_source_guard_is_source(&guard, &a) && !vc_source_guard_is_source(&guard, &b));
    /* Another port or host, even with the right SSRC and after a day of silence. */
    int64_t day_ns = 86400 * VC_NS_PER_S;
    for (int i = 0; i < 500; i++) {
        const vc_address *from = i % 2 ? &b : &c;
        VC_CHECK(!vc_source_guard_may_pass(&guard, from, 0, day_ns));
        VC_CHECK_EQ(vc_source_guard_judge(&guard, from, 7, (uint16_t)i, 0, day_ns + i * 20 * MS),
                    VC_SOURCE_STRANGE);
    }
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 9, 0, 2 * day_ns), VC_SOURCE_TAKEN);
}

VC_TEST(a_given_address_is_the_only_one)
{
    vc_address a = address(1, 4000), b = address(2, 4000);
    vc_source_guard guard = new_guard(0, &a);
    VC_CHECK(vc_address_equal(&guard.remote, &a));
    VC_CHECK(!vc_source_guard_may_pass(&guard, &b, 1, VC_NS_PER_S)); /* not even authenticated */
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, 1, 1, 0), VC_SOURCE_STRANGE);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 1, 0, 0), VC_SOURCE_NEW);
    /* Latching with an address from SDP: sent there until somebody is heard. */
    guard = new_guard(1, &a);
    VC_CHECK(vc_address_equal(&guard.remote, &a) && !guard.locked);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, 1, 0, 0), VC_SOURCE_NEW);
    VC_CHECK(vc_address_equal(&guard.remote, &b));
    /* Nothing is given and nothing is learnt: nobody is heard. */
    guard = new_guard(0, NULL);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 1, 0, 0), VC_SOURCE_STRANGE);
}

VC_TEST(a_new_ssrc_waits_for_silence_and_a_run)
{
    vc_address a = address(1, 4000);
    vc_source_guard guard = new_guard(1, NULL);
    (void)vc_source_guard_judge(&guard, &a, 7, 0, 0, 0);
    /* The old one still runs: however many come, none is taken. */
    for (int i = 1; i < 100; i++) {
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, (uint16_t)i, 0, i * 20 * MS),
                    VC_SOURCE_UNPROVEN);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, (uint16_t)i, 0, i * 20 * MS),
                    VC_SOURCE_TAKEN);
    }
    /* It falls silent at 1980 ms: the new one, which has its run, is taken 100 ms later. */
    for (int i = 100; i < 104; i++)
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, (uint16_t)i, 0, i * 20 * MS),
                    VC_SOURCE_UNPROVEN);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, 104, 0, 2080 * MS), VC_SOURCE_NEW);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, 105, 0, 2100 * MS), VC_SOURCE_TAKEN);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 105, 0, 2100 * MS), VC_SOURCE_UNPROVEN);
}

VC_TEST(a_run_has_no_holes)
{
    vc_address a = address(1, 4000);
    vc_source_guard guard = new_guard(1, NULL);
    (void)vc_source_guard_judge(&guard, &a, 7, 0, 0, 0);
    int64_t late_ns = 10 * VC_NS_PER_S;
    uint16_t holes[] = {1, 2, 3, 5, 6, 7, 7, 8, 9, 65534, 65535, 0};
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++)
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, holes[i], 0, late_ns), VC_SOURCE_UNPROVEN);
    /* A third SSRC in between breaks the run too; then 0xffff to 0 is in order. */
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 9, 1, 0, late_ns), VC_SOURCE_UNPROVEN);
    for (uint16_t i = 0; i < 3; i++)
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, (uint16_t)(65534 + i), 0, late_ns),
                    VC_SOURCE_UNPROVEN);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 8, 1, 0, late_ns), VC_SOURCE_NEW);
}

VC_TEST(an_authenticated_source_may_move)
{
    vc_address a = address(1, 4000), b = address(9, 5000);
    vc_source_guard guard = new_guard(1, NULL);
    (void)vc_source_guard_judge(&guard, &a, 7, 0, 1, 0);
    /* Not while the old one is heard, however many come. */
    VC_CHECK(!vc_source_guard_may_pass(&guard, &b, 1, 100 * MS - 1));
    for (uint16_t i = 1; i < 50; i++)
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, i, 1, i * MS), VC_SOURCE_STRANGE);
    VC_CHECK(vc_source_guard_may_pass(&guard, &b, 1, 100 * MS));
    for (uint16_t i = 1; i < 4; i++)
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, i, 1, (200 + i) * MS), VC_SOURCE_STRANGE);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, 4, 0, 204 * MS), VC_SOURCE_STRANGE);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 7, 4, 1, 204 * MS), VC_SOURCE_NEW);
    VC_CHECK(vc_address_equal(&guard.remote, &b));
    VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 5, 1, 205 * MS), VC_SOURCE_STRANGE);
}

VC_TEST(a_new_offer_moves_the_port)
{
    vc_address a = address(1, 4000), b = address(2, 5000);
    for (int learn = 0; learn < 2; learn++) {
        vc_source_guard guard = new_guard(learn, &a);
        (void)vc_source_guard_judge(&guard, &a, 7, 0, 0, 0);
        vc_source_guard_set_remote(&guard, &b, 0);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 1, 0, MS), VC_SOURCE_STRANGE);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 8, 1, 0, MS), VC_SOURCE_NEW);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &a, 7, 2, 0, MS), VC_SOURCE_STRANGE);
        /* A caller who stays where he was is heard again, if addresses are learnt. */
        vc_source_guard_set_remote(&guard, &a, 0);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 8, 1, 0, 2 * VC_NS_PER_S - 1),
                    VC_SOURCE_STRANGE);
        VC_CHECK_EQ(vc_source_guard_judge(&guard, &b, 8, 2, 0, 2 * VC_NS_PER_S),
                    learn ? VC_SOURCE_NEW : VC_SOURCE_STRANGE);
    }
}

VC_TEST(arguments_reset_and_unknown_addresses)
{
    vc_source_guard guard, fresh;
    vc_source_guard_config config = vc_source_guard_config_default();
    VC_CHECK_EQ(vc_source_guard_init(NULL, &config, NULL), VC_E_NULL);
    config.probation_packets = 0;
    VC_CHECK_EQ(vc_source_guard_init(&guard, &config, NULL), VC_E_RANGE);
    config = vc_source_guard_config_default();
    config.silence_ms = -1;
    VC_CHECK_EQ(vc_source_guard_init(&guard, &config, NULL), VC_E_RANGE);
    config = vc_source_guard_config_default();
    VC_CHECK_OK(vc_source_guard_init(&guard, &config, NULL));
    memset(&fresh, 0xff, sizeof fresh);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, NULL, 7, 0, 0, 0), VC_SOURCE_NEW);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, NULL, 7, 1, 0, 0), VC_SOURCE_TAKEN);
    VC_CHECK_EQ(vc_source_guard_judge(&guard, NULL, 8, 1, 0, 0), VC_SOURCE_UNPROVEN);
    VC_CHECK_EQ(guard.remote.family, 0);
    VC_CHECK_OK(vc_source_guard_init(&guard, &config, NULL));
    VC_CHECK_OK(vc_source_guard_init(&fresh, &config, NULL));
    VC_CHECK_EQ(memcmp(&guard, &fresh, sizeof guard), 0);
    vc_address v6 = {.family = 6, .bytes = {[15] = 1}, .port = 9}, other = v6;
    other.bytes[15] = 2;
    VC_CHECK(vc_address_equal(&v6, &v6) && !vc_address_equal(&v6, &other));
}

VC_MAIN(VC_RUN(the_first_valid_packet_is_the_source) VC_RUN(a_given_address_is_the_only_one)
            VC_RUN(a_new_ssrc_waits_for_silence_and_a_run) VC_RUN(a_run_has_no_holes)
                VC_RUN(an_authenticated_source_may_move) VC_RUN(a_new_offer_moves_the_port)
                    VC_RUN(arguments_reset_and_unknown_addresses))
