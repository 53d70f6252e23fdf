/* vc_decision: see vc_decision.h. */
#include "net/vc_decision.h"

vc_operation vc_decision_of(double playout_delay_ms, double target_ms)
{
    double over_ms = playout_delay_ms - target_ms;
    if (over_ms > VC_DECISION_FAST_MS) return VC_OPERATION_FAST_ACCELERATE;
    if (over_ms > VC_DECISION_ACCELERATE_MS) return VC_OPERATION_ACCELERATE;
    if (over_ms < -VC_DECISION_EXPAND_MS) return VC_OPERATION_EXPAND;
    return VC_OPERATION_NORMAL; /* NaN too */
}
