/* vc_delay: how deep a paced jitter buffer must be, learnt from the arrival times.
 *
 * Each packet's transit time (arrival minus RTP time) is compared with the shortest of about the
 * last 2 s. The longest excess of every 500 ms goes into a histogram of 20 ms buckets that forgets
 * (0.983 an entry, faster at the start). The target is the upper edge of the bucket in which 95 %
 * are reached: a lost packet does not raise it, a rare late one only for a while.
 * The rule is that of NetEq's underrun optimizer (WebRTC); the code is our own.
 * Plain struct, no memory of its own, no failure. */
#ifndef VC_DELAY_H
#define VC_DELAY_H

#include "base/vc_base.h"

#define VC_DELAY_BUCKETS   100
#define VC_DELAY_BUCKET_MS 20
#define VC_DELAY_START_MS  80
#define VC_DELAY_WINDOWS   4

typedef struct vc_delay {
    double weight[VC_DELAY_BUCKETS]; /* sums to 1 once `entries` > 0 */
    int entries;
    int started;
    int64_t window_start_ns, last_ns;
    double shortest_ms, longest_ms;            /* transit times in the present window */
    double past_shortest_ms[VC_DELAY_WINDOWS]; /* of the windows before it */
    int past;
} vc_delay;

VC_RT void vc_delay_reset(vc_delay *delay);

/* transit_ms: arrival minus RTP time, from any fixed origin; now_ns: the arrival, never going
 * back. */
VC_RT void vc_delay_push(vc_delay *delay, double transit_ms, int64_t now_ns);

/* 20..2000; VC_DELAY_START_MS until the first 500 ms are over. */
VC_RT int vc_delay_target_ms(const vc_delay *delay);

#endif
