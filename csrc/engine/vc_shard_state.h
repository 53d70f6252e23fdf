/* What the parts of vc_shard share: the shard itself, and a call with its socket.
 *   vc_shard.c        made, opened, closed and destroyed: the producer's side
 *   vc_shard_grid.c   the media thread: commands, ticks, windows, events
 *   vc_shard_io.c     addresses, sockets, datagrams in
 */
#ifndef VC_SHARD_STATE_H
#define VC_SHARD_STATE_H

#include "engine/vc_shard.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/vc_ring.h"
#include "engine/vc_bank.h"

struct vc_leg {
    vc_call *call;
    int fd; /* -1 for pushed calls */
    int pushed, rate_hz;
    vc_address followed; /* what `remote` was made from */
    struct sockaddr_storage remote;
    socklen_t remote_bytes; /* 0: none yet */
    int closing;            /* producer: vc_shard_close was called */
    size_t index;           /* media thread: place in shard->legs */
    int noted;              /* media thread: waits in a bank */
};

typedef enum vc_shard_command_kind {
    VC_SHARD_ADD,
    VC_SHARD_REMOVE,
    VC_SHARD_STOP
} vc_shard_command_kind;
typedef struct vc_shard_command {
    vc_shard_command_kind kind;
    vc_leg *leg;
} vc_shard_command;

struct vc_shard {
    vc_shard_config config;
    pthread_t thread;
    int started;
    int epoll_fd, timer_fd, wake_fd;
    vc_ring *commands, *events;
    vc_bank *bank_8k, *bank_16k;
    size_t open_legs; /* producer */
    /* media thread */
    vc_leg **legs;
    size_t leg_count;
    vc_leg **dirty;
    size_t dirty_count;
    int stopping, events_posted;
    uint64_t lost_unreported;
    _Atomic uint64_t stats[VC_SHARD_STAT_COUNT];
};

/* Registers a descriptor with the media thread; the tag comes back with its readiness. */
vc_status vc_shard_watch(vc_shard *shard, int fd, void *tag);
/* Adds to an eventfd; -1 is none. */
void vc_shard_write_one(int fd);
int64_t vc_shard_now_ns(void);
/* Events that are always kept free: a close must be heard of, so one of every call. */
size_t vc_shard_reserved_events(const vc_shard *shard);
/* Where the calls post their events; media thread. */
void vc_shard_post(void *context, const vc_event *event);
/* The media thread. */
void *vc_shard_run(void *argument);
void vc_shard_add_stat(vc_shard *shard, vc_shard_stat stat, uint64_t more);
/* The leg may have complete windows. */
void vc_shard_note(vc_shard *shard, vc_leg *leg);

/* Makes and binds the leg's socket; the remote address if it is given. */
vc_status vc_shard_open_socket(vc_leg *leg, const vc_leg_config *config);
/* A few datagrams of one call; epoll comes back for the rest, so no call holds up the others. */
void vc_shard_receive(vc_shard *shard, vc_leg *leg);
/* The RTCP report that is due, if one is; last: now, with BYE. */
void vc_shard_report(vc_leg *leg, int last);
/* One packet out. */
void vc_shard_send(vc_leg *leg, const uint8_t *packet, size_t n);

#endif
