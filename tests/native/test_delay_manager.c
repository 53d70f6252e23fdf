/* vc_delay_manager. Oracle: the delays put in, and their quantiles. */
#include "net/vc_delay_manager.h"

#include <math.h>

#include "vc_test.h"

/* Packets every 20 ms; every `every`-th one comes delay_ms later, in order. */
static int64_t feed(vc_delay_manager *delay, int64_t now_ns, int packets, int every,
                    double delay_ms)
{
    for (int i = 0; i < packets; i++, now_ns += VC_TICK_NS)
        vc_delay_manager_push(delay, 5.0 + (every && i % every == every - 1 ? delay_ms : 0.0),
                              now_ns, 0.0);
    return now_ns;
}

/* A stall of so long: nothing comes, then all packets that waited in one burst. */
static int64_t stall(vc_delay_manager *delay, int64_t now_ns, int ms)
{
    now_ns += ms * VC_NS_PER_MS;
    for (int late_ms = ms; late_ms > 0; late_ms -= VC_TICK_MS)
        vc_delay_manager_push(delay, 5.0 + late_ms, now_ns, 0.0);
    return now_ns + VC_TICK_NS;
}

VC_TEST(starts_at_the_default_and_falls_on_a_clean_network)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), VC_DELAY_START_MS);
    VC_CHECK(vc_delay_manager_base_ms(&delay) == 0.0);
    int64_t now = feed(&delay, 1, 24, 0, 0.0);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), VC_DELAY_START_MS);
    feed(&delay, now, 6, 0, 0.0);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5);
    VC_CHECK(vc_delay_manager_base_ms(&delay) == 5.0);
}

VC_TEST(regular_jitter_is_covered)
{
    for (int ms = 0; ms < 55; ms += 3) {
        vc_delay_manager delay;
        vc_delay_manager_reset(&delay);
        feed(&delay, 1, 1000, 5, ms);
        VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), (ms / 5 + 1) * 5);
    }
}

VC_TEST(exponential_jitter_is_cut_where_it_costs_least)
{
    /* d/dD of D + 100 c exp(-D / t) is zero at D = t ln(100 c / t), c being 80 ms or 1.3 D; the
     * histogram holds 1000 packets, of which the rarest decide, so it is only near that. */
    for (int t = 5; t <= 40; t += 5) {
        vc_delay_manager delay;
        uint32_t seed = 3;
        vc_delay_manager_reset(&delay);
        int64_t now = 1;
        double sum = 0.0;
        int measured = 0;
        for (int i = 0; i < 20000; i++, now += VC_TICK_NS) {
            double u = (double)((vc_test_random(&seed) >> 8) + 1) / (1 << 24);
            vc_delay_manager_push(&delay, -t * log(u), now, i % 3 ? 1.0 : 0.0);
            if (i < 4000) continue;
            sum += vc_delay_manager_target_ms(&delay);
            measured++;
        }
        double expected = t * log(8000.0 / t), mean = sum / measured;
        for (int i = 0; i < 20; i++) expected = t * log(100.0 * fmax(80.0, 1.3 * expected) / t);
        VC_CHECK(mean > 0.85 * expected && mean < 1.2 * expected + 10.0);
    }
}

VC_TEST(one_stall_is_no_reason_two_are)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    int64_t now = feed(&delay, 1, 500, 0, 0.0);
    now = stall(&delay, now, 300);
    now = feed(&delay, now, 100, 0, 0.0);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5);
    now = stall(&delay, now, 200);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 301);
    now = feed(&delay, now, 1600, 0, 0.0); /* 32 s without */
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5);
}

VC_TEST(stalls_that_come_back_stay_covered)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    int64_t now = feed(&delay, 1, 500, 0, 0.0);
    for (int i = 0; i < 40; i++) {
        now = stall(&delay, now, 120);
        if (i > 0) VC_CHECK(vc_delay_manager_target_ms(&delay) >= 120);
        if (i > 0) VC_CHECK(vc_delay_manager_target_ms(&delay) <= 130);
        now = feed(&delay, now, 400, 0, 0.0);
    }
}

VC_TEST(a_path_that_changes_to_and_fro_is_covered_from_the_second_time_on)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    int64_t now = 1;
    for (int turn = 0; turn < 6; turn++) {
        now = feed(&delay, now, 300, 0, 0.0);
        /* on the fast path: 200 ms is remembered once it has come twice */
        VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), turn < 2 ? 5 : 201);
        now = feed(&delay, now, 300, 1, 200.0);
        VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5); /* on the slow one it is nothing */
    }
}

VC_TEST(a_slower_route_is_learnt_as_the_new_base)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    int64_t now = feed(&delay, 1, 500, 0, 0.0);
    now = feed(&delay, now, 500, 1, 200.0); /* all packets 200 ms later from here on */
    VC_CHECK(vc_delay_manager_base_ms(&delay) == 205.0);
    feed(&delay, now, 3000, 1, 200.0);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5);
    vc_delay_manager_rebase(&delay);
    VC_CHECK(vc_delay_manager_base_ms(&delay) == 0.0);
    VC_CHECK_EQ(vc_delay_manager_target_ms(&delay), 5);
}

VC_TEST(the_wait_for_a_missing_packet_is_learnt)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    int64_t now = 1;
    for (int i = 0; i < 4000; i++, now += VC_TICK_NS) {
        VC_CHECK(i >= 1000 || vc_delay_manager_loss_wait_ms(&delay) == -1);
        vc_delay_manager_push(&delay, 0.0, now, 0.0);
    }
    VC_CHECK_EQ(vc_delay_manager_loss_wait_ms(&delay), 10);
    for (int i = 0; i < 1000; i++, now += VC_TICK_NS)
        vc_delay_manager_push(&delay, 0.0, now, i % 20 ? 0.0 : 37.0);
    VC_CHECK_EQ(vc_delay_manager_loss_wait_ms(&delay), 40);
    for (int i = 0; i < 30000; i++, now += VC_TICK_NS) vc_delay_manager_push(&delay, 0.0, now, 0.0);
    VC_CHECK_EQ(vc_delay_manager_loss_wait_ms(&delay), 10);
}

VC_TEST(any_numbers_are_safe)
{
    vc_delay_manager delay;
    vc_delay_manager_reset(&delay);
    vc_delay_manager_push(&delay, -1e15, INT64_MIN, 0.0);
    vc_delay_manager_push(&delay, 1e15, INT64_MAX, 1e300);
    vc_delay_manager_push(&delay, 0.0, INT64_MAX, -1.0);
    vc_delay_manager_push(&delay, 1e300, INT64_MAX, 0.0);
    vc_delay_manager_push(&delay, -1e300, INT64_MAX, 0.0);
    for (int i = 0; i < 2000; i++) vc_delay_manager_push(&delay, 1e9, INT64_MAX, 1e9);
    VC_CHECK(vc_delay_manager_target_ms(&delay) >= 5);
    VC_CHECK(vc_delay_manager_target_ms(&delay) <= 2000);
    VC_CHECK_EQ(vc_delay_manager_loss_wait_ms(&delay), 2000);
}

VC_MAIN(VC_RUN(starts_at_the_default_and_falls_on_a_clean_network) VC_RUN(regular_jitter_is_covered)
            VC_RUN(exponential_jitter_is_cut_where_it_costs_least)
                VC_RUN(one_stall_is_no_reason_two_are) VC_RUN(stalls_that_come_back_stay_covered)
                    VC_RUN(a_path_that_changes_to_and_fro_is_covered_from_the_second_time_on)
                        VC_RUN(a_slower_route_is_learnt_as_the_new_base)
                            VC_RUN(the_wait_for_a_missing_packet_is_learnt)
                                VC_RUN(any_numbers_are_safe))
