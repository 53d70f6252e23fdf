/* vc_delay: the target follows the 95 % quantile of the longest delays of 500 ms. */
#include "net/vc_delay.h"

#include "vc_test.h"

/* Packets every 20 ms for so long; delay_ms(i) is added to the i-th transit. */
static int64_t feed(vc_delay *delay, int64_t now_ns, int packets, int every, double delay_ms)
{
    for (int i = 0; i < packets; i++, now_ns += VC_TICK_NS)
        vc_delay_push(delay, 5.0 + (every && i % every == every - 1 ? delay_ms : 0.0), now_ns);
    return now_ns;
}

VC_TEST(starts_at_the_default_and_falls_on_a_clean_network)
{
    vc_delay delay;
    vc_delay_reset(&delay);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), VC_DELAY_START_MS);
    int64_t now = feed(&delay, 1, 25, 0, 0.0);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), VC_DELAY_START_MS);
    feed(&delay, now, 1, 0, 0.0);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), 20);
}

VC_TEST(regular_jitter_sets_the_bucket)
{
    for (int ms = 0; ms < 300; ms += 7) {
        vc_delay delay;
        vc_delay_reset(&delay);
        feed(&delay, 1, 500, 5, ms);
        VC_CHECK_EQ(vc_delay_target_ms(&delay), (ms / 20 + 1) * 20);
    }
}

VC_TEST(one_spike_is_forgotten)
{
    vc_delay delay;
    vc_delay_reset(&delay);
    int64_t now = feed(&delay, 1, 1000, 0, 0.0);
    now = feed(&delay, now, 1, 1, 300.0);
    now = feed(&delay, now, 50, 0, 0.0);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), 20); /* one window of many */
    feed(&delay, now, 50, 1, 0.0);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), 20);
}

VC_TEST(a_slower_route_is_learnt_as_the_new_base)
{
    vc_delay delay;
    vc_delay_reset(&delay);
    int64_t now = feed(&delay, 1, 500, 0, 0.0);
    now = feed(&delay, now, 1000, 1, 200.0); /* all packets 200 ms later from here on */
    now = feed(&delay, now, 6000, 1, 200.0);
    VC_CHECK_EQ(vc_delay_target_ms(&delay), 20);
}

VC_TEST(any_numbers_are_safe)
{
    vc_delay delay;
    vc_delay_reset(&delay);
    vc_delay_push(&delay, -1e15, INT64_MIN);
    vc_delay_push(&delay, 1e15, INT64_MAX);
    vc_delay_push(&delay, 0.0, INT64_MAX);
    vc_delay_push(&delay, 1e300, INT64_MAX);
    int target = vc_delay_target_ms(&delay);
    VC_CHECK(target >= 20 && target <= VC_DELAY_BUCKETS * VC_DELAY_BUCKET_MS);
}

VC_MAIN(VC_RUN(starts_at_the_default_and_falls_on_a_clean_network)
            VC_RUN(regular_jitter_sets_the_bucket) VC_RUN(one_spike_is_forgotten)
                VC_RUN(a_slower_route_is_learnt_as_the_new_base) VC_RUN(any_numbers_are_safe))
