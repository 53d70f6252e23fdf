/* vc_decision: the decision logic of a paced jitter buffer: play as it is, faster, or slower?
 *
 * All delays count from the fastest packet. The deadline is the relative delay up to which the next
 * packet comes in time. As samples leave 20 ms at a time, it moves in steps of 20 ms only: taking
 * out what stands beyond a whole step costs nothing, and more than that a whole step.
 * A pure function; any thread. The role is that of NetEq's decision logic; how much is taken out or
 * put in, and where, is vc_stretch's business. */
#ifndef VC_DECISION_H
#define VC_DECISION_H

#include "base/vc_base.h"

typedef enum vc_operation {
    VC_OPERATION_NORMAL = 0,
    VC_OPERATION_ACCELERATE = 1,
    VC_OPERATION_FAST_ACCELERATE = 2, /* where it may be heard */
    VC_OPERATION_EXPAND = 3,          /* preemptive: before the buffer runs dry */
} vc_operation;

#define VC_DECISION_EXPAND_MS 5.0   /* expands below the target less this */
#define VC_DECISION_FAST_MS   100.0 /* accelerates faster above the target and this */

/* accelerated_ms: what the deadline would be with the most taken out that one operation takes. */
VC_RT vc_operation vc_decision_of(double deadline_ms, double accelerated_ms, double target_ms);

#endif
