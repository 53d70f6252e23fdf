/* vc_drift. Oracle: the clock rate that made the transit times. */
#include "net/vc_drift.h"

#include <math.h>

#include "vc_test.h"

static uint32_t seed;

static double uniform(void)
{
    return (double)((vc_test_random(&seed) >> 8) + 1) / (1 << 24);
}

/* `seconds` of packets of a sender whose clock is `ppm` fast; each is late by an exponential delay
 * of that mean, in order, and by `path_ms` more. Returns the time after them. */
static double feed(vc_drift *drift, double from_s, double seconds, double ppm, double mean_ms,
                   double path_ms)
{
    double at_s = from_s, arrival_s = from_s;
    for (; at_s < from_s + seconds; at_s += 0.02) {
        double due_s = at_s + (path_ms - mean_ms * log(uniform())) / 1000.0;
        arrival_s = due_s > arrival_s ? due_s : arrival_s;
        double transit_ms = (arrival_s - at_s * (1.0 + ppm * 1e-6)) * 1000.0;
        vc_drift_push(drift, transit_ms, (int64_t)(arrival_s * 1e9));
    }
    return at_s;
}

VC_TEST(steady_clocks_are_told_to_a_few_ppm)
{
    const double rates[] = {-400, -200, -100, -20, 20, 50, 200, 400};
    for (int jitter = 0; jitter < 3; jitter++)
        for (int i = 0; i < 8; i++) {
            vc_drift drift;
            seed = 5;
            vc_drift_reset(&drift);
            feed(&drift, 0.0, 240.0, rates[i], 15.0 * jitter, 30.0);
            VC_CHECK(fabs(vc_drift_ppm(&drift) - rates[i]) < 4.0);
        }
}

/* Jitter that comes and goes moves the fastest packets a little. */
VC_TEST(weather_is_no_drift)
{
    for (int i = 1; i < 20; i++) {
        vc_drift drift;
        seed = (uint32_t)i;
        vc_drift_reset(&drift);
        double at_s = 0.0;
        for (int turn = 0; turn < 40; turn++) {
            at_s = feed(&drift, at_s, 10.0, 0.0, turn % 2 ? 0.0 : 20.0, 0.0);
            VC_CHECK(vc_drift_ppm(&drift) == 0.0);
        }
    }
}

VC_TEST(it_is_known_within_40_seconds)
{
    vc_drift drift;
    seed = 6;
    vc_drift_reset(&drift);
    double at_s = feed(&drift, 0.0, 25.0, 200.0, 10.0, 0.0);
    VC_CHECK(vc_drift_ppm(&drift) == 0.0);
    feed(&drift, at_s, 15.0, 200.0, 10.0, 0.0);
    VC_CHECK(fabs(vc_drift_ppm(&drift) - 200.0) < 30.0);
}

VC_TEST(equal_clocks_are_no_drift)
{
    for (int jitter = 0; jitter < 4; jitter++) {
        vc_drift drift;
        seed = 7;
        vc_drift_reset(&drift);
        feed(&drift, 0.0, 600.0, 0.0, 20.0 * jitter, 0.0);
        VC_CHECK(fabs(vc_drift_ppm(&drift)) < 6.0);
    }
}

VC_TEST(a_step_of_the_path_is_no_drift)
{
    vc_drift drift;
    seed = 8;
    vc_drift_reset(&drift);
    double at_s = feed(&drift, 0.0, 100.0, 0.0, 5.0, 0.0);
    for (int i = 0; i < 10; i++) at_s = feed(&drift, at_s, 40.0, 0.0, 5.0, i % 2 ? 20.0 : 60.0);
    VC_CHECK(vc_drift_ppm(&drift) == 0.0);
    vc_drift_reset(&drift);
    at_s = feed(&drift, 0.0, 100.0, 150.0, 5.0, 0.0);
    at_s = feed(&drift, at_s, 100.0, 150.0, 5.0, 80.0);
    VC_CHECK(fabs(vc_drift_ppm(&drift) - 150.0) < 8.0);
    vc_drift_rebase(&drift);
    VC_CHECK(fabs(vc_drift_ppm(&drift) - 150.0) < 8.0); /* it is the same sender */
    feed(&drift, at_s, 100.0, 150.0, 5.0, -500.0);
    VC_CHECK(fabs(vc_drift_ppm(&drift) - 150.0) < 8.0);
}

VC_TEST(any_numbers_are_safe)
{
    vc_drift drift;
    vc_drift_reset(&drift);
    vc_drift_push(&drift, NAN, 0);
    vc_drift_push(&drift, 1e300, INT64_MIN);
    vc_drift_push(&drift, -1e11, INT64_MIN);
    for (int i = 0; i < 50; i++)
        vc_drift_push(&drift, i % 2 ? 1e11 : -1e11,
                      (int64_t)((uint64_t)INT64_MIN + (uint64_t)(INT64_MAX / 30) * (uint64_t)i));
    VC_CHECK(fabs(vc_drift_ppm(&drift)) <= VC_DRIFT_MAX_PPM);
}

VC_MAIN(VC_RUN(steady_clocks_are_told_to_a_few_ppm) VC_RUN(it_is_known_within_40_seconds)
            VC_RUN(weather_is_no_drift) VC_RUN(equal_clocks_are_no_drift)
                VC_RUN(a_step_of_the_path_is_no_drift) VC_RUN(any_numbers_are_safe))
