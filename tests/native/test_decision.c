/* vc_decision. Oracle: the thresholds of its header; no operation may call for its opposite. */
#include "net/vc_decision.h"

#include <math.h>

#include "vc_test.h"

VC_TEST(thresholds)
{
    VC_CHECK_EQ(vc_decision_of(60.0, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(55.0, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(54.9, 60.0), VC_OPERATION_EXPAND);
    VC_CHECK_EQ(vc_decision_of(70.0, 60.0), VC_OPERATION_NORMAL);
    VC_CHECK_EQ(vc_decision_of(70.1, 60.0), VC_OPERATION_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(160.0, 60.0), VC_OPERATION_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(160.1, 60.0), VC_OPERATION_FAST_ACCELERATE);
    VC_CHECK_EQ(vc_decision_of(NAN, 60.0), VC_OPERATION_NORMAL);
}

VC_TEST(a_stretch_never_calls_for_its_opposite)
{
    for (double change_ms = 2.5; change_ms <= 15.0; change_ms += 0.5)
        for (double delay_ms = 0.0; delay_ms < 150.0; delay_ms += 0.25) {
            switch (vc_decision_of(delay_ms, 60.0)) {
            case VC_OPERATION_ACCELERATE:
            case VC_OPERATION_FAST_ACCELERATE:
                VC_CHECK(vc_decision_of(delay_ms - change_ms, 60.0) != VC_OPERATION_EXPAND);
                break;
            case VC_OPERATION_EXPAND:
                VC_CHECK(vc_decision_of(delay_ms + change_ms, 60.0) != VC_OPERATION_ACCELERATE);
                break;
            case VC_OPERATION_NORMAL: break;
            }
        }
}

VC_MAIN(VC_RUN(thresholds) VC_RUN(a_stretch_never_calls_for_its_opposite))
