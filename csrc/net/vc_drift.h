/* vc_drift: how much faster or slower the sender's sample clock is than ours, from arrival times.
 *
 * The fastest packet of every 2 s says when the audio left the sender, give or take a steady path:
 * its transit time falls when the sender's clock is fast and rises when it is slow. A line through
 * the last 3 minutes of these, by least squares, gives the rate. A change of path shows as a step
 * and starts the line anew.
 * Plain struct, no memory of its own, no failure; one thread at a time. */
#ifndef VC_DRIFT_H
#define VC_DRIFT_H

#include "base/vc_base.h"

#define VC_DRIFT_POINTS  90  /* windows of 2 s */
#define VC_DRIFT_MAX_PPM 500 /* what crystal clocks never reach */

typedef struct vc_drift {
    double at_s[VC_DRIFT_POINTS], transit_ms[VC_DRIFT_POINTS]; /* a ring */
    int points, next;
    int started;
    int64_t first_ns, window_start_ns;
    double shortest_ms, shortest_at_s; /* of the present window */
    double ppm;                        /* positive: the sender's clock is fast */
} vc_drift;

VC_RT void vc_drift_reset(vc_drift *drift);

/* A new path or stream: forgets the points, keeps the rate. */
VC_RT void vc_drift_rebase(vc_drift *drift);

/* One packet: its transit time (arrival minus RTP time from any fixed origin) and arrival. */
VC_RT void vc_drift_push(vc_drift *drift, double transit_ms, int64_t now_ns);

/* -500..500 parts in a million, 0 until it can be told from 0 with some certainty (30 s at least):
 * positive when the sender's clock is fast. */
VC_RT double vc_drift_ppm(const vc_drift *drift);

#endif
