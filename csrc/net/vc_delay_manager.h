/* vc_delay_manager: what the arrival times of a stream teach a jitter buffer.
 *
 * Every packet's transit time (arrival minus RTP time, from any fixed origin) is compared with the
 * fastest of about the last 2 s: its relative delay. From these:
 *   target_ms     how late after the fastest a paced player should play: the delay for which
 *                 delay and cost of the packets that come later still are the least together, over
 *                 a histogram with forgetting; raised to remembered peaks that come back.
 *   loss_wait_ms  how long after the first younger packet a missing one may still come.
 * Plain struct, no memory of its own, no failure; one thread at a time. */
#ifndef VC_DELAY_MANAGER_H
#define VC_DELAY_MANAGER_H

#include "base/vc_prefetch.h"
#include "net/vc_histogram.h"

#define VC_DELAY_WINDOWS  4  /* of 500 ms, and the present one, give the fastest packet */
#define VC_DELAY_START_MS 60 /* target until 25 packets are known */
#define VC_DELAY_PEAKS    8

typedef struct vc_delay_manager {
    vc_histogram relative; /* relative delay of every packet, stalls left out */
    vc_histogram behind;   /* how long after the first younger packet each one came; 0: in order */

    int started;
    int64_t window_start_ns, last_ns;
    double shortest_ms, past_shortest_ms[VC_DELAY_WINDOWS];
    int past;
    double base_ms; /* the shortest of all these */

    double last_transit_ms; /* of the newest packet in order */
    int stall;              /* 0 none, 1 one may have begun, 2 its packets come in a burst */
    int stall_counted;      /* its first packet is in the histogram already */
    double stall_ms;        /* relative delay of its first packet */
    int64_t peak_ns[VC_DELAY_PEAKS];
    double peak_ms[VC_DELAY_PEAKS]; /* transit times */
    int peaks;                      /* recorded so far; the newest VC_DELAY_PEAKS are kept */

    int target_ms;
    int since_target; /* packets since it was worked out */
} vc_delay_manager;

VC_RT void vc_delay_manager_reset(vc_delay_manager *delay);
/* For a packet in order (vc_prefetch.h). */
VC_RT void vc_delay_manager_prefetch(const vc_delay_manager *delay);

/* A new path: forgets the fastest packet, keeps what is known of the jitter. */
VC_RT void vc_delay_manager_rebase(vc_delay_manager *delay);

/* One packet. now_ns: its arrival, never going back. behind_ms: time since the first younger packet
 * came, or 0 for a packet in order. */
VC_RT void vc_delay_manager_push(vc_delay_manager *delay, double transit_ms, int64_t now_ns,
                                 double behind_ms);

/* Transit time of the fastest packet of the last 2 s; 0 before the first one. */
VC_RT double vc_delay_manager_base_ms(const vc_delay_manager *delay);

/* 5..2000, relative to the fastest packet; VC_DELAY_START_MS until 25 packets are known. */
VC_RT int vc_delay_manager_target_ms(const vc_delay_manager *delay);

/* 10..2000: fewer than 1 in 10000 packets come later than this after the first younger one. -1
 * until 1000 packets are known. */
VC_RT int vc_delay_manager_loss_wait_ms(const vc_delay_manager *delay);

#endif
