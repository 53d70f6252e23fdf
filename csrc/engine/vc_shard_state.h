/* What the parts of vc_shard share: the shard itself, and a call with its socket.
 *   vc_shard.c        made, opened, closed and destroyed: the producer's side
 *   vc_shard_grid.c   the media thread: wake-ups, ticks, windows
 *   vc_shard_calls.c  the media thread: calls come, move and go; events
 *   vc_shard_meter.c  histograms, time by stage, load and admission
 *   vc_shard_io.c     sockets, datagrams
 *   vc_shard_address.c addresses as text and for the system
 *   vc_shard_raw.c    many calls' datagrams through one raw socket
 *   vc_shard_port.c   many calls' datagrams to and from one UDP socket
 */
#ifndef VC_SHARD_STATE_H
#define VC_SHARD_STATE_H

#include "engine/vc_shard.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/vc_huge_pages.h"
#include "base/vc_pool.h"
#include "base/vc_ring.h"
#include "engine/vc_bank.h"
#include "engine/vc_shard_port.h"
#include "engine/vc_shard_raw.h"

/* Expedited forwarding (RFC 3246). */
enum { VC_SHARD_TOS = 0xb8 };

/* Lists that a leg can be in. */
enum { VC_SHARD_IN_SLOT, VC_SHARD_IN_PUSHED, VC_SHARD_LISTS };

/* How a leg's packets leave a shard with raw_send. */
typedef enum vc_way { VC_WAY_UNKNOWN, VC_WAY_RAW, VC_WAY_OWN_SOCKET } vc_way;

struct vc_leg {
    vc_call *call;
    int fd;              /* -1 for pushed calls */
    vc_shard_port *port; /* the shard's, whose fd is also fd; NULL: fd is the call's own socket */
    int pushed, rate_hz;
    double expected_us;  /* what a call of this kind costs until that is measured */
    vc_address followed; /* what `remote` was made from; on a port the leg has joined it there */
    struct sockaddr_storage remote;
    socklen_t remote_bytes;   /* 0: none yet */
    struct sockaddr_in local; /* as bound; of another family for IPv6 */
    /* With raw_send: the packets' source, and whether that is known. */
    struct sockaddr_in source;
    vc_way way;
    int way_ticks; /* until the system is asked again */
    /* producer */
    const vc_allocator *allocator; /* of the shard that opened it */
    int closing;                   /* vc_shard_close was called */
    vc_address claimed;            /* on a port: what no other call may have */
    /* The shard whose media thread has it; NULL while it moves. */
    _Atomic(vc_shard *) owner;
    /* owner's media thread */
    struct vc_leg *next[VC_SHARD_LISTS], *previous[VC_SHARD_LISTS];
    struct vc_leg *next_arrival;
    int slot;
    int64_t ticked;   /* the millisecond of its last tick */
    int noted;        /* waits in a bank */
    int close_wanted; /* closed before it reached the shard that it moves to */
};

typedef enum vc_shard_command_kind {
    VC_SHARD_ADD,
    VC_SHARD_REMOVE,
    VC_SHARD_MOVE,
    VC_SHARD_STOP
} vc_shard_command_kind;
typedef struct vc_shard_command {
    vc_shard_command_kind kind;
    vc_leg *leg;
    vc_shard *to;
} vc_shard_command;

typedef struct vc_shard_slot {
    vc_leg *legs;
    size_t count;
    double expected_us; /* what they cost, as far as that is known from their kind */
    int64_t due;        /* millisecond of its next tick */
} vc_shard_slot;

/* Written by the media thread, read by anyone. */
typedef struct vc_shard_meter {
    _Atomic uint64_t stage_ns[VC_STAGE_COUNT], stage_units[VC_STAGE_COUNT];
    _Atomic uint64_t lateness[VC_SHARD_BUCKETS], work[VC_SHARD_BUCKETS];
    _Atomic uint64_t clock_ns;
    _Atomic uint64_t load_ppm, calls_milli, lateness_ns; /* smoothed */
    /* media thread */
    uint64_t rounds;
    int sampled;
    int64_t mark_ns, turn_ns, turn_cpu_ns;
    uint64_t turn_lateness_ns;
    double load, calls, late_ns;
} vc_shard_meter;

struct vc_shard {
    vc_shard_config config;
    pthread_t thread;
    int started;
    int epoll_fd;   /* timer, mailbox and, while there are few calls, sockets_fd */
    int sockets_fd; /* an epoll set of all sockets */
    int timer_fd, wake_fd;
    vc_ring *commands, *events;
    vc_bank *bank_8k, *bank_16k;
    /* producer */
    vc_pool *pool;         /* of the calls and of what the thread reads all the time */
    vc_port_table *claims; /* with a port: the open calls' remote addresses */
    size_t open_legs;
    double expected_us;         /* of all of them */
    _Atomic(vc_leg *) arrivals; /* of moved calls, the last one first; any media thread adds */
    /* media thread */
    vc_shard_slot slots[VC_SHARD_SLOTS];
    vc_leg *pushed_legs;
    size_t leg_count;
    vc_leg **dirty;
    size_t dirty_count;
    vc_shard_raw *raw;   /* NULL: each packet by its call's own socket */
    vc_shard_port *port; /* of all calls with RTP; NULL: a socket each */
    int64_t batch_ns;    /* when its first waiting packet was made */
    int paced;           /* sockets are looked at when a slot is due, not when something comes */
    int behind;         /* the last look at the sockets was more than a tick after a slot was due */
    int64_t backlog_ns; /* since when no look has emptied them; 0: the last one did */
    int stopping, events_posted;
    uint64_t lost_unreported;
    vc_shard_meter meter;
    _Atomic uint64_t stats[VC_SHARD_STAT_COUNT];
};

/* -- vc_shard.c -- */
/* Adds to an eventfd; -1 is none. */
void vc_shard_write_one(int fd);

/* -- vc_shard_grid.c -- */
int64_t vc_shard_now_ns(void);
int64_t vc_shard_cpu_ns(void);
/* The media thread. */
void *vc_shard_run(void *argument);
/* The leg may have complete windows. */
void vc_shard_note(vc_shard *shard, vc_leg *leg);
/* One tick of one call: a packet. */
void vc_shard_tick_leg(vc_shard *shard, vc_leg *leg, int64_t tick_ms);

/* How many datagrams a round takes, which sends one slot, of `calls` and of `slot_calls`. While the
 * grid is more than a tick behind it takes an eighth of what it sends, or what comes in would keep
 * the thread from what goes out for good; in the first such round one of every call, so that who
 * has sent does not time out. What stays in a full socket is dropped there. */
enum { VC_SHARD_MOST_DATAGRAMS = 4096 };
static inline size_t vc_shard_most_datagrams(int behind, int was_behind, size_t calls,
                                             size_t slot_calls)
{
    if (!behind) return VC_SHARD_MOST_DATAGRAMS;
    return was_behind ? slot_calls / 8 + 1 : calls;
}

/* Whether audio that waits in the sockets is thrown away but for the newest. They have not been
 * empty since `backlog_ns` (0: they were just now): what is in them is old, and to work it off
 * would put the shard behind again, for good where it has little time to spare. So little is kept
 * that one look can empty them all. */
static const int64_t VC_SHARD_PATIENCE_NS = VC_NS_PER_S;
static inline int vc_shard_sheds(int64_t backlog_ns, int64_t now_ns)
{
    return backlog_ns > 0 && now_ns - backlog_ns > VC_SHARD_PATIENCE_NS;
}

/* -- vc_shard_calls.c -- */
vc_status vc_shard_watch(int epoll_fd, int fd, void *tag);
/* Takes in what the mailbox holds and the calls that were moved here. No leg may be noted. */
void vc_shard_obey(vc_shard *shard);
void vc_shard_remove_all(vc_shard *shard);
/* Where the calls post their events; the context is the leg. */
void vc_shard_post(void *leg, const vc_event *event);
/* Says that events were lost, once there is room for that. */
void vc_shard_report_lost(vc_shard *shard, int64_t stamp_ns);
/* Events that are always kept free: a close must be heard of, so one of every call. */
size_t vc_shard_reserved_events(const vc_shard *shard);

/* -- vc_shard_meter.c -- */
void vc_shard_add_stat(vc_shard *shard, vc_shard_stat stat, uint64_t more);
void vc_shard_meter_start(vc_shard *shard);
/* A wake-up; whether it is taken apart. */
void vc_shard_meter_round(vc_shard *shard);
/* What was done since the last lap was this stage. */
void vc_shard_lap_sampled(vc_shard *shard, vc_shard_stage stage, size_t units);
void vc_shard_meter_tick(vc_shard *shard, uint64_t late_ns, uint64_t work_ns);
/* Once in 20 ms. */
void vc_shard_meter_turn(vc_shard *shard, int64_t now_ns);
/* What a call may cost in 20 ms, us, before calls like it are measured. */
double vc_shard_expected_us(const vc_call_config *call);
/* Whether one call more is admitted that may cost so much. */
int vc_shard_admits(const vc_shard *shard, double expected_us);

static inline void vc_shard_lap(vc_shard *shard, vc_shard_stage stage, size_t units)
{
    if (shard->meter.sampled) vc_shard_lap_sampled(shard, stage, units);
}

/* -- vc_shard_io.c -- */
/* Makes and binds the leg's socket; the remote address if it is given. */
vc_status vc_shard_open_socket(vc_leg *leg, const vc_leg_config *config);
/* The shard's port instead; VC_DUPLICATE: another call has that remote address. The claim is held
 * until it is released. These two are the producer's. */
vc_status vc_shard_open_on_port(vc_shard *shard, vc_leg *leg, const vc_leg_config *config);
void vc_shard_release_claim(vc_shard *shard, vc_leg *leg);
/* From now on, and from now on no more, datagrams are the leg's. */
vc_status vc_shard_watch_leg(vc_shard *shard, vc_leg *leg);
void vc_shard_unwatch_leg(vc_shard *shard, vc_leg *leg);
/* One datagram of one call. */
void vc_shard_receive(vc_shard *shard, vc_leg *leg, int64_t now_ns);
/* All datagrams of one call. Of audio in a row the newest is taken and the rest thrown away and
 * counted; reports and key presses are taken. How many were taken. */
size_t vc_shard_catch_up(vc_shard *shard, vc_leg *leg, int64_t now_ns);
/* The RTCP report that is due, if one is; last: now, with BYE. */
void vc_shard_report(vc_leg *leg, int last);
/* Where the next packet is to be written, VC_CALL_MAX_PACKET_BYTES: in the batch of the raw socket
 * or the port, or in `spare`. */
uint8_t *vc_shard_packet_room(vc_shard *shard, uint8_t *spare);
/* One packet out, and the RTCP report that is due; with a batch at the next flush. */
void vc_shard_send(vc_shard *shard, vc_leg *leg, const uint8_t *packet, size_t n, int64_t now_ns);
/* Sends what waits; between two slots nothing does. */
void vc_shard_flush(vc_shard *shard);

#endif
