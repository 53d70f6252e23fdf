/* vc_shard: one native thread that carries many calls: their UDP sockets and the 20 ms grid.
 *
 * The grid is absolute: slot s of 20 is due at every millisecond of CLOCK_MONOTONIC that is s
 * modulo 20. A call stays in its slot for life, so the calls' work is spread over the 20 ms and
 * each has its own exact grid. A late tick is caught up, never dropped, and counted. From open to
 * close every call sends one packet every 20 ms, whatever the rest of the process does.
 *
 * Threads: one producer thread (Python's loop) makes all the calls below; the shard's own thread
 * does the rest. Linux (epoll, timerfd, eventfd).
 *
 *     vc_shard_create(&shard, &config);  vc_shard_start(shard);
 *     vc_shard_open(shard, &call_config, &leg);
 *     ... when config.waker wakes the loop: vc_shard_next_event until VC_NEED_MORE ...
 *     vc_shard_close(shard, leg);        when VC_EVENT_CLOSED came: vc_shard_free(shard, leg)
 *     vc_shard_stop(shard);  vc_shard_destroy(shard);
 */
#ifndef VC_SHARD_H
#define VC_SHARD_H

#include "engine/vc_call.h"
#include "engine/vc_waker.h"

typedef struct vc_shard vc_shard;
/* A call with its socket. */
typedef struct vc_leg vc_leg;

typedef struct vc_shard_config {
    const vc_silero_model *model_8k;  /* required */
    const vc_silero_model *model_16k; /* required */
    int max_calls;                    /* 1..65536, default 4096 */
    vc_waker *waker; /* is used when there are new events; it may serve several shards, and outlives
                        them; NULL (default): none */
    int cpu;      /* the thread runs on this CPU only; -1 (default): wherever the system puts it */
    int priority; /* SCHED_FIFO 1..99; 0 (default): the ordinary scheduler */
    /* A call is refused when the share of a core that the shard would then need, or its smoothed
     * lateness, is above this; 0: never. Not with fewer than VC_SHARD_ALWAYS_ADMITTED calls. */
    double max_load;        /* 0..1, default 0.9 */
    double max_lateness_ms; /* default 10 */
    /* 1: RTP to IPv4 addresses leaves through one raw socket, up to 64 packets to a system call;
     * vc_shard_create is VC_E_SYSTEM (EPERM) without CAP_NET_RAW. 0 (default): each packet by its
     * call's own socket. */
    int raw_send;
    /* A numeric address: all calls with RTP receive and send through one UDP socket of the shard,
     * bound there (port 0 picks one). Which call a datagram is for is told by its source, so each
     * call needs a remote address, which no other one has; it cannot be moved. Not with raw_send.
     * vc_shard_create is VC_E_SYSTEM (errno) if it cannot be bound. NULL (default): a socket each.
     * Read by create only. */
    const char *port_ip;
    int port;
    const vc_allocator *allocator; /* NULL: a pool of huge pages */
} vc_shard_config;

typedef struct vc_leg_config {
    vc_call_config call;   /* model and sink are filled in by the shard */
    const char *local_ip;  /* numeric IPv4 or IPv6; ignored for pushed calls and on a port */
    int local_port;        /* 0 picks one */
    const char *remote_ip; /* numeric, or NULL: learned from the first RTP packet, not on a port */
    int remote_port;
} vc_leg_config;

enum { VC_SHARD_SLOTS = 20, VC_SHARD_ALWAYS_ADMITTED = 32, VC_SHARD_BUCKETS = 24 };

/* Counters, in this order in the array that vc_shard_get_stats fills. */
typedef enum vc_shard_stat {
    VC_SHARD_TICKS,          /* of slots: at most 1000 a second */
    VC_SHARD_LATE_TICKS_1MS, /* begun more than 1 ms after they were due */
    VC_SHARD_LATE_TICKS_5MS,
    VC_SHARD_LATE_TICKS_20MS,
    VC_SHARD_MAX_LATENESS_NS,
    VC_SHARD_TICK_WORK_NS, /* sum over all ticks */
    VC_SHARD_MAX_TICK_WORK_NS,
    VC_SHARD_WAKEUPS,
    VC_SHARD_WINDOWS, /* VAD windows judged */
    VC_SHARD_CALLS,
    VC_SHARD_EVENTS_DROPPED, /* nobody read them in time */
    VC_SHARD_EVENTS_WAITING, /* not a sum: how many are unread now */
    VC_SHARD_LOOP_WAKEUPS,   /* how often it woke the loop */
    VC_SHARD_STRANGERS,      /* datagrams to the shard's port from an address that no call has */
    VC_SHARD_STAT_COUNT
} vc_shard_stat;

/* Where the time goes; every 17th wake-up is taken apart. */
typedef enum vc_shard_stage {
    VC_STAGE_WAIT,    /* epoll and timer calls after the sleep, a wake-up */
    VC_STAGE_RECEIVE, /* the receive call, a datagram */
    VC_STAGE_TAKE,    /* RTP, jitter buffer, decoder, receive rings, a datagram */
    VC_STAGE_JUDGE,   /* VAD and gate, a window */
    VC_STAGE_RENDER,  /* playout, encoder, RTP, a packet */
    VC_STAGE_SEND,    /* the send call, a packet */
    VC_STAGE_COUNT
} vc_shard_stage;

typedef struct vc_shard_profile {
    uint64_t ns[VC_STAGE_COUNT];         /* the clock's own cost taken off */
    uint64_t units[VC_STAGE_COUNT];      /* how many were timed */
    uint64_t clock_ns;                   /* what one look at the clock costs */
    uint64_t lateness[VC_SHARD_BUCKETS]; /* of slot ticks: [i] below 2^i us, the last all above */
    uint64_t work[VC_SHARD_BUCKETS];     /* likewise: time that a slot tick took */
} vc_shard_profile;

/* What admission goes by. Load is CPU time of the thread, smoothed over about a second. */
typedef struct vc_shard_estimate {
    int calls;
    double load;           /* share of a core, 0..1 */
    double us_per_call;    /* CPU time of one call and 20 ms; what is usual for their codecs
                              (G.711: 10) as long as nothing is measured */
    double projected_load; /* with one call more */
    double lateness_ms;    /* the latest tick of 20 ms, smoothed */
    double capacity_calls; /* that fit below max_load (below 1 if that is 0) */
} vc_shard_estimate;

vc_shard_config vc_shard_config_default(void);
/* VC_E_SYSTEM (errno): no descriptors, no raw socket for raw_send, or the port cannot be bound. */
VC_CHECKED vc_status vc_shard_create(vc_shard **out, const vc_shard_config *config);
/* VC_E_SYSTEM (errno): no thread, or it may not be pinned or have its priority. */
VC_CHECKED vc_status vc_shard_start(vc_shard *shard);
/* Ends the thread; open legs are closed and must still be freed. Idempotent. */
void vc_shard_stop(vc_shard *shard);
/* After all calls that were opened here are freed, wherever they were moved. */
void vc_shard_destroy(vc_shard *shard);
/* In the child of a fork, which the shard's thread did not follow: closes the child's copies of its
 * descriptors, and leaves the memory alone, which the thread may have been writing to. Of the other
 * calls only vc_shard_stop may follow, which does nothing then. The parent notices nothing. */
void vc_shard_abandon(vc_shard *shard);
/* Likewise for each call. */
void vc_leg_abandon(vc_leg *leg);

/* Makes the call, binds its socket and hands it to the thread. VC_E_SYSTEM (errno) when the socket
 * cannot be had, VC_E_RANGE for an address that is not numeric or, on a port, for none, VC_FULL at
 * max_calls or when it is not admitted (vc_shard_get_estimate says why), VC_DUPLICATE when another
 * open call of the port has that remote address. */
VC_CHECKED vc_status vc_shard_open(vc_shard *shard, const vc_leg_config *config, vc_leg **out);
/* Takes the leg out of the thread; VC_EVENT_CLOSED follows. VC_E_STATE when already closing. */
VC_CHECKED vc_status vc_shard_close(vc_shard *shard, vc_leg *leg);
/* As vc_call_set_remote, which knows nothing of other calls. VC_DUPLICATE: another open call
 * of the shard's port has that address; VC_E_RANGE: it is not of the port's family. */
VC_CHECKED vc_status vc_leg_set_remote(vc_shard *shard, vc_leg *leg, const vc_address *remote);
/* Hands a running call to another shard of the same producer, with its socket, its grid and its
 * rings: no packet is missed. Its later events come from there; close and free it there.
 * VC_E_STATE when either does not run, the call is closing or
 * the thread has not got it yet (try again) or one of them has a port and the call has RTP, VC_FULL
 * at the other's max_calls. */
VC_CHECKED vc_status vc_shard_move(vc_shard *shard, vc_leg *leg, vc_shard *to);
/* After VC_EVENT_CLOSED, or after vc_shard_stop. */
void vc_shard_free(vc_shard *shard, vc_leg *leg);

vc_call *vc_leg_call(vc_leg *leg);
/* The bound address: text into ip (at least 64 bytes), and the port; port 0 for pushed calls. */
void vc_leg_local(const vc_leg *leg, char *ip, size_t n, int *port);
/* Likewise of the shard's port; port 0 if it has none. */
void vc_shard_local(const vc_shard *shard, char *ip, size_t n, int *port);

/* Makes the thread look at pushed audio now rather than at the next tick. */
void vc_shard_wake(vc_shard *shard);
/* The next event, or VC_NEED_MORE. */
VC_RT vc_status vc_shard_next_event(vc_shard *shard, vc_event *event);
/* VC_SHARD_STAT_COUNT numbers. */
VC_RT void vc_shard_get_stats(const vc_shard *shard, uint64_t *stats);
VC_RT void vc_shard_get_profile(const vc_shard *shard, vc_shard_profile *profile);
VC_RT void vc_shard_get_estimate(const vc_shard *shard, vc_shard_estimate *estimate);

#endif
