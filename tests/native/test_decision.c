/* vc_decision. Oracle: the thresholds of its header; a queue played in its simplest form. */
#include "net/vc_decision.h"

#include <math.h>

#include "vc_test.h"

VC_TEST(thresholds)
{
    VC_CHECK_EQ(vc_decision_of(60.0, 40.0, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(55.0, 35.0, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(54.9, 34.9, 60.0), VC_OPERATION_EXPAND);
    VC_CHECK_EQ(vc_decision_of(79.9, 59.9, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(80.0, 60.0, 60.0), VC_OPERATION_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(62.0, 62.0, 60.0), VC_OPERATION_ACCELERATE); /* costs nothing */
    VC_CHECK_EQ(vc_decision_of(160.0, 140.0, 60.0), VC_OPERATION_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(160.1, 140.1, 60.0), VC_OPERATION_FAST_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(NAN, NAN, 60.0), VC_OPERATION_NORMAL);
}

/* ms beyond whole frames in a queue; the deadline moves by a frame when they pass 0 or 20. */
static double deadline_of(double whole_ms, double beyond_ms)
{
    return whole_ms + VC_TICK_MS * floor(beyond_ms / VC_TICK_MS);
}

VC_TEST(it_settles_and_does_not_swing)
{
    uint32_t seed = 4;
    for (int i = 0; i < 20000; i++) {
        double whole_ms = (double)(vc_test_random(&seed) % 20000) / 100.0;
        double beyond_ms = (double)(vc_test_random(&seed) % 2000) / 100.0;
        const double target_ms = 60.0;
        int turns = 0, operations = 0;
        vc_operation last = VC_OPERATION_NORMAL;
        for (;;) {
            double change_ms = 2.5 + (double)(vc_test_random(&seed) % 1251) / 100.0;
            vc_operation now = vc_decision_of(deadline_of(whole_ms, beyond_ms),
                                              deadline_of(whole_ms, beyond_ms - 15.0), target_ms);
            if (now == VC_OPERATION_NORMAL || ++operations > 200) break;
            int slower = now == VC_OPERATION_EXPAND, was = last == VC_OPERATION_EXPAND;
            turns += last != VC_OPERATION_NORMAL && slower != was;
            beyond_ms += slower ? change_ms : -change_ms;
            last = now;
        }
        double settled_ms = deadline_of(whole_ms, beyond_ms);
        VC_CHECK(operations <= 200 && turns == 0);
        VC_CHECK(settled_ms >= target_ms - VC_DECISION_EXPAND_MS && settled_ms < target_ms + 20.0);
    }
}

VC_MAIN(VC_RUN(thresholds) VC_RUN(it_settles_and_does_not_swing))
