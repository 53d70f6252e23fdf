/* vc_decision: see vc_decision.h. */
#include "net/vc_decision.h"

vc_operation vc_decision_of(double deadline_ms, double accelerated_ms, double target_ms)
{
    if (accelerated_ms >= target_ms)
        return deadline_ms > target_ms + VC_DECISION_FAST_MS ? VC_OPERATION_FAST_ACCELERATE
                                                             : VC_OPERATION_ACCELERATE;
    if (deadline_ms < target_ms - VC_DECISION_EXPAND_MS) return VC_OPERATION_EXPAND;
    return VC_OPERATION_NORMAL; /* NaN too */
}
