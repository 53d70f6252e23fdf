/* vc_decision: the decision logic of a paced jitter buffer: play as it is, faster, or slower?
 *
 * Both delays count from the fastest packet, so that a packet is in time if its relative delay is
 * below the playout delay. A pure function; any thread. The role is that of NetEq's decision logic;
 * how much is removed or inserted, and where, is vc_stretch's business. */
#ifndef VC_DECISION_H
#define VC_DECISION_H

#include "base/vc_base.h"

typedef enum vc_operation {
    VC_OPERATION_NORMAL = 0,
    VC_OPERATION_ACCELERATE = 1,
    VC_OPERATION_FAST_ACCELERATE = 2,
    VC_OPERATION_EXPAND = 3, /* preemptive: before the buffer runs dry */
} vc_operation;

/* Stretches change the delay by 2.5 to 15 ms at once, so there must be as much between the two. */
#define VC_DECISION_EXPAND_MS     5.0   /* expands below the target less this */
#define VC_DECISION_ACCELERATE_MS 10.0  /* accelerates above the target and this */
#define VC_DECISION_FAST_MS       100.0 /* accelerates where it may be heard */

VC_RT vc_operation vc_decision_of(double playout_delay_ms, double target_ms);

#endif
