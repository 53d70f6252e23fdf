/* vc_shard: see vc_shard.h. One epoll set holds the grid's timer, the mailbox's eventfd and every
 * call's socket. Calls are made and freed on the producer's thread; only pointers cross, through a
 * ring, so the media thread never allocates. Each call has a socket of its own and loopback
 * measurements show nothing to gain from recvmmsg, so plain recvfrom and sendto are used. */
#define _GNU_SOURCE
#include "engine/vc_shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/vc_ring.h"
#include "engine/vc_bank.h"

enum { EVENTS = 8192, MAX_READY = 256, MAX_DATAGRAMS = 8, DATAGRAM_BYTES = 2048 };

struct vc_leg {
    vc_call *call;
    int fd; /* -1 for pushed calls */
    int pushed, rate_hz;
    int has_remote;
    struct sockaddr_storage remote;
    socklen_t remote_bytes;
    int closing;  /* producer: vc_shard_close was called */
    size_t index; /* media thread: place in shard->legs */
    int noted;    /* media thread: waits in a bank */
};

typedef enum command_kind { ADD, REMOVE, STOP } command_kind;
typedef struct command {
    command_kind kind;
    vc_leg *leg;
} command;

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

/* Tags that cannot be leg pointers. */
static char timer_tag, wake_tag;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * VC_NS_PER_S + now.tv_nsec;
}

vc_shard_config vc_shard_config_default(void)
{
    vc_shard_config config = {.max_calls = 4096, .event_fd = -1};
    return config;
}

static vc_status watch(vc_shard *shard, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(shard->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? VC_OK : VC_E_SYSTEM;
}

/* A close must always be heard of, so that much room is kept for one of every call. */
static size_t reserved_events(const vc_shard *shard)
{
    return (size_t)shard->config.max_calls;
}

static vc_status create_parts(vc_shard *shard)
{
    const vc_shard_config *config = &shard->config;
    size_t calls = (size_t)config->max_calls;
    vc_status status;
    shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    shard->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (shard->epoll_fd < 0 || shard->timer_fd < 0 || shard->wake_fd < 0) return VC_E_SYSTEM;
    shard->legs = vc_allocate(config->allocator, 2 * calls * sizeof(vc_leg *));
    if (!shard->legs) return VC_E_MEMORY;
    shard->dirty = shard->legs + calls;
    status = watch(shard, shard->timer_fd, &timer_tag);
    if (status == VC_OK) status = watch(shard, shard->wake_fd, &wake_tag);
    /* Room for an ADD and a REMOVE of every call, and the STOP. */
    if (status == VC_OK)
        status =
            vc_ring_create(&shard->commands, sizeof(command), 2 * calls + 1, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&shard->events, sizeof(vc_event), EVENTS + reserved_events(shard),
                                config->allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_8k, config->model_8k, calls, config->allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_16k, config->model_16k, calls, config->allocator);
    return status;
}

vc_status vc_shard_create(vc_shard **out, const vc_shard_config *config)
{
    if (!out || !config || !config->model_8k || !config->model_16k) return VC_E_NULL;
    *out = NULL;
    if (config->max_calls < 1 || config->max_calls > 65536) return VC_E_RANGE;
    vc_shard *shard = vc_allocate(config->allocator, sizeof(vc_shard));
    if (!shard) return VC_E_MEMORY;
    shard->config = *config;
    shard->epoll_fd = shard->timer_fd = shard->wake_fd = -1;
    vc_status status = create_parts(shard);
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_destroy(shard);
        errno = saved;
        return status;
    }
    *out = shard;
    return VC_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0) close(fd);
}

void vc_shard_destroy(vc_shard *shard)
{
    if (!shard) return;
    vc_shard_stop(shard);
    vc_bank_destroy(shard->bank_16k);
    vc_bank_destroy(shard->bank_8k);
    vc_ring_destroy(shard->events);
    vc_ring_destroy(shard->commands);
    vc_release(shard->config.allocator, shard->legs);
    close_fd(shard->wake_fd);
    close_fd(shard->timer_fd);
    close_fd(shard->epoll_fd);
    vc_release(shard->config.allocator, shard);
}

/* -- events -- */

static void add_stat(vc_shard *shard, vc_shard_stat stat, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&shard->stats[stat], memory_order_relaxed);
    atomic_store_explicit(&shard->stats[stat], value + more, memory_order_relaxed);
}

static void raise_stat(vc_shard *shard, vc_shard_stat stat, uint64_t value)
{
    if (value > atomic_load_explicit(&shard->stats[stat], memory_order_relaxed))
        atomic_store_explicit(&shard->stats[stat], value, memory_order_relaxed);
}

static size_t usable_events(const vc_shard *shard)
{
    size_t room = vc_ring_room(shard->events);
    return room > reserved_events(shard) ? room - reserved_events(shard) : 0;
}

/* Says that events were lost, once there is room for that and one more. */
static void report_lost(vc_shard *shard, int64_t stamp_ns)
{
    if (shard->lost_unreported == 0 || usable_events(shard) < 2) return;
    vc_event lost = {VC_EVENT_EVENTS_LOST, 0, stamp_ns, (int64_t)shard->lost_unreported, 0, 0};
    size_t one = 1;
    (void)vc_ring_push(shard->events, &lost, &one);
    shard->lost_unreported = 0;
    shard->events_posted = 1;
}

static void post_event(void *context, const vc_event *event)
{
    vc_shard *shard = context;
    size_t one = 1;
    if (event->kind == VC_EVENT_CLOSED) {
        (void)vc_ring_push(shard->events, event, &one);
        shard->events_posted = 1;
        return;
    }
    report_lost(shard, event->stamp_ns);
    if (shard->lost_unreported > 0 || usable_events(shard) == 0) {
        shard->lost_unreported++;
        add_stat(shard, VC_SHARD_EVENTS_DROPPED, 1);
        return;
    }
    (void)vc_ring_push(shard->events, event, &one);
    shard->events_posted = 1;
}

static void write_one(int fd)
{
    uint64_t one = 1;
    /* A full counter already means "awake"; nothing else can fail here. */
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;
}

static void drain_fd(int fd)
{
    uint64_t value;
    if (read(fd, &value, sizeof value) < 0) return;
}

vc_status vc_shard_next_event(vc_shard *shard, vc_event *event)
{
    size_t one = 1;
    return vc_ring_pull(shard->events, event, &one);
}

void vc_shard_get_stats(const vc_shard *shard, uint64_t *stats)
{
    for (int i = 0; i < VC_SHARD_STAT_COUNT; i++)
        stats[i] = atomic_load_explicit(&shard->stats[i], memory_order_relaxed);
}

/* -- the media thread -- */

static void note(vc_shard *shard, vc_leg *leg)
{
    if (leg->noted) return;
    leg->noted = 1;
    shard->dirty[shard->dirty_count++] = leg;
    (void)vc_bank_note(leg->rate_hz == 8000 ? shard->bank_8k : shard->bank_16k, leg->call);
}

static void judge(vc_shard *shard)
{
    if (shard->dirty_count == 0) return;
    int64_t now = now_ns();
    size_t windows = vc_bank_run(shard->bank_8k, now) + vc_bank_run(shard->bank_16k, now);
    add_stat(shard, VC_SHARD_WINDOWS, windows);
    for (size_t i = 0; i < shard->dirty_count; i++) shard->dirty[i]->noted = 0;
    shard->dirty_count = 0;
}

static void add_leg(vc_shard *shard, vc_leg *leg)
{
    leg->index = shard->leg_count;
    shard->legs[shard->leg_count++] = leg;
    if (leg->fd >= 0 && watch(shard, leg->fd, leg) != VC_OK)
        vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
    atomic_store_explicit(&shard->stats[VC_SHARD_CALLS], shard->leg_count, memory_order_relaxed);
}

static void remove_leg(vc_shard *shard, vc_leg *leg)
{
    if (leg->fd >= 0) (void)epoll_ctl(shard->epoll_fd, EPOLL_CTL_DEL, leg->fd, NULL);
    vc_leg *last = shard->legs[--shard->leg_count];
    shard->legs[leg->index] = last;
    last->index = leg->index;
    atomic_store_explicit(&shard->stats[VC_SHARD_CALLS], shard->leg_count, memory_order_relaxed);
    vc_call_post(leg->call, VC_EVENT_CLOSED, now_ns());
}

static void obey_commands(vc_shard *shard)
{
    command next;
    size_t one = 1;
    while (vc_ring_pull(shard->commands, &next, &one) == VC_OK) {
        switch (next.kind) {
        case ADD: add_leg(shard, next.leg); break;
        case REMOVE: remove_leg(shard, next.leg); break;
        case STOP: shard->stopping = 1; break;
        }
        one = 1;
    }
}

static void take_pushed(vc_shard *shard)
{
    for (size_t i = 0; i < shard->leg_count; i++)
        if (shard->legs[i]->pushed) {
            vc_call_take_pushed(shard->legs[i]->call, now_ns());
            note(shard, shard->legs[i]);
        }
}

static int same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) return 0;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
    return x->sin6_port == y->sin6_port &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

/* A few datagrams of one call; epoll comes back for the rest, so no call holds up the others. */
static void receive(vc_shard *shard, vc_leg *leg)
{
    uint8_t bytes[DATAGRAM_BYTES];
    for (int i = 0; i < MAX_DATAGRAMS; i++) {
        struct sockaddr_storage from;
        socklen_t from_bytes = sizeof from;
        ssize_t n = recvfrom(leg->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &from_bytes);
        if (n < 0) {
            if (errno == EINTR) continue;
            /* An ICMP error of something we sent comes up here, once; then the queue goes on. */
            if (errno == ECONNREFUSED) continue;
            break;
        }
        if (leg->has_remote && !same_address(&from, &leg->remote)) {
            vc_call_count(leg->call, VC_STAT_PACKETS_STRANGE, 1);
            continue;
        }
        if ((size_t)n > sizeof bytes) n = 0; /* too long for RTP audio: counted as malformed */
        vc_status status = vc_call_receive(leg->call, bytes, (size_t)n, now_ns());
        if (!leg->has_remote && status != VC_IGNORED) {
            leg->remote = from;
            leg->remote_bytes = from_bytes;
            leg->has_remote = 1;
        }
        note(shard, leg);
    }
}

static void run_tick(vc_shard *shard, int64_t due_ns)
{
    int64_t begun = now_ns();
    uint64_t late = (uint64_t)(begun - due_ns);
    add_stat(shard, VC_SHARD_TICKS, 1);
    raise_stat(shard, VC_SHARD_MAX_LATENESS_NS, late);
    if (late > 1 * VC_NS_PER_MS) add_stat(shard, VC_SHARD_LATE_TICKS_1MS, 1);
    if (late > 5 * VC_NS_PER_MS) add_stat(shard, VC_SHARD_LATE_TICKS_5MS, 1);
    if (late > 20 * VC_NS_PER_MS) add_stat(shard, VC_SHARD_LATE_TICKS_20MS, 1);

    take_pushed(shard);
    for (size_t i = 0; i < shard->leg_count; i++) {
        vc_call_expire(shard->legs[i]->call, begun);
        note(shard, shard->legs[i]);
    }
    judge(shard);
    for (size_t i = 0; i < shard->leg_count; i++) {
        vc_leg *leg = shard->legs[i];
        uint8_t packet[VC_CALL_MAX_PACKET_BYTES];
        size_t n = sizeof packet;
        if (vc_call_tick(leg->call, now_ns(), packet, &n) != VC_OK || n == 0) continue;
        if (!leg->has_remote) continue;
        if (sendto(leg->fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL,
                   (const struct sockaddr *)&leg->remote, leg->remote_bytes) < 0)
            vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
        else
            vc_call_count(leg->call, VC_STAT_PACKETS_SENT, 1);
    }
    /* Not only with the next event: a lost one may be what the loop waits for. */
    report_lost(shard, begun);
    uint64_t work = (uint64_t)(now_ns() - begun);
    add_stat(shard, VC_SHARD_TICK_WORK_NS, work);
    raise_stat(shard, VC_SHARD_MAX_TICK_WORK_NS, work);
}

static void arm(vc_shard *shard, int64_t due_ns)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = due_ns / VC_NS_PER_S, .tv_nsec = due_ns % VC_NS_PER_S}};
    (void)timerfd_settime(shard->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void *run(void *argument)
{
    vc_shard *shard = argument;
    struct epoll_event ready[MAX_READY];
    int64_t due_ns = now_ns() + VC_TICK_NS;
    arm(shard, due_ns);
    while (!shard->stopping) {
        int n = epoll_wait(shard->epoll_fd, ready, MAX_READY, -1);
        add_stat(shard, VC_SHARD_WAKEUPS, 1);
        int woken = 0;
        for (int i = 0; i < n; i++) {
            void *tag = ready[i].data.ptr;
            if (tag == &timer_tag)
                drain_fd(shard->timer_fd);
            else if (tag == &wake_tag)
                woken = 1;
            else
                receive(shard, tag);
        }
        if (woken) {
            drain_fd(shard->wake_fd);
            take_pushed(shard);
        }
        judge(shard);
        /* After all sockets and banks: a removed leg is in none of them then. */
        if (woken) obey_commands(shard);
        /* One a round, however many are due: under overload sockets and commands get their turn. */
        if (!shard->stopping && now_ns() >= due_ns) {
            run_tick(shard, due_ns);
            due_ns += VC_TICK_NS;
            arm(shard, due_ns);
        }
        if (shard->events_posted) {
            shard->events_posted = 0;
            write_one(shard->config.event_fd);
        }
    }
    while (shard->leg_count > 0) remove_leg(shard, shard->legs[shard->leg_count - 1]);
    write_one(shard->config.event_fd);
    return NULL;
}

/* -- producer side -- */

vc_status vc_shard_start(vc_shard *shard)
{
    if (shard->started) return VC_E_STATE;
    /* Signals belong to the embedding program's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&shard->thread, NULL, run, shard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        errno = failed;
        return VC_E_SYSTEM;
    }
    (void)pthread_setname_np(shard->thread, "voicecore-shard");
    shard->started = 1;
    return VC_OK;
}

static vc_status send_command(vc_shard *shard, command_kind kind, vc_leg *leg)
{
    command next = {kind, leg};
    size_t one = 1;
    vc_status status = vc_ring_push(shard->commands, &next, &one);
    if (status == VC_OK) write_one(shard->wake_fd);
    return status;
}

void vc_shard_wake(vc_shard *shard)
{
    write_one(shard->wake_fd);
}

void vc_shard_stop(vc_shard *shard)
{
    if (!shard->started) return;
    while (send_command(shard, STOP, NULL) == VC_FULL) write_one(shard->wake_fd);
    pthread_join(shard->thread, NULL);
    shard->started = 0;
}

static vc_status parse_address(const char *ip, int port, struct sockaddr_storage *out,
                               socklen_t *bytes)
{
    memset(out, 0, sizeof *out);
    if (port < 0 || port > 65535) return VC_E_RANGE;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *bytes = sizeof *v4;
        return VC_OK;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *bytes = sizeof *v6;
        return VC_OK;
    }
    return VC_E_RANGE;
}

static vc_status open_socket(vc_leg *leg, const vc_leg_config *config)
{
    struct sockaddr_storage local;
    socklen_t bytes;
    vc_status status = parse_address(config->local_ip, config->local_port, &local, &bytes);
    if (status != VC_OK) return status;
    if (config->remote_ip) {
        if (config->remote_port == 0) return VC_E_RANGE;
        status =
            parse_address(config->remote_ip, config->remote_port, &leg->remote, &leg->remote_bytes);
        if (status != VC_OK || leg->remote.ss_family != local.ss_family) return VC_E_RANGE;
        leg->has_remote = 1;
    }
    leg->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (leg->fd < 0) return VC_E_SYSTEM;
    if (bind(leg->fd, (const struct sockaddr *)&local, bytes) < 0) return VC_E_SYSTEM;
    /* Expedited forwarding (RFC 3246); a network or kernel that refuses it changes nothing. */
    int tos = 0xb8;
    if (local.ss_family == AF_INET)
        (void)setsockopt(leg->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    else
        (void)setsockopt(leg->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    return VC_OK;
}

vc_status vc_shard_open(vc_shard *shard, const vc_leg_config *config, vc_leg **out)
{
    if (!shard || !config || !out) return VC_E_NULL;
    *out = NULL;
    if (!shard->started) return VC_E_STATE;
    if (!config->call.pushed && !config->local_ip) return VC_E_NULL;
    if (shard->open_legs >= (size_t)shard->config.max_calls) return VC_FULL;
    vc_leg *leg = vc_allocate(shard->config.allocator, sizeof(vc_leg));
    if (!leg) return VC_E_MEMORY;
    leg->fd = -1;
    leg->pushed = config->call.pushed;
    leg->rate_hz = config->call.rate_hz;
    vc_call_config call = config->call;
    call.model = leg->rate_hz == 16000 ? shard->config.model_16k : shard->config.model_8k;
    call.sink = (vc_event_sink){post_event, shard};
    call.allocator = shard->config.allocator;
    vc_status status = vc_call_create(&leg->call, &call);
    if (status == VC_OK && !leg->pushed) status = open_socket(leg, config);
    shard->open_legs++;
    if (status == VC_OK) status = send_command(shard, ADD, leg);
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_free(shard, leg);
        errno = saved;
        return status;
    }
    *out = leg;
    return VC_OK;
}

vc_status vc_shard_close(vc_shard *shard, vc_leg *leg)
{
    if (!shard || !leg) return VC_E_NULL;
    if (leg->closing || !shard->started) return VC_E_STATE;
    leg->closing = 1;
    return send_command(shard, REMOVE, leg);
}

void vc_shard_free(vc_shard *shard, vc_leg *leg)
{
    if (!leg) return;
    close_fd(leg->fd);
    vc_call_destroy(leg->call);
    vc_release(shard->config.allocator, leg);
    shard->open_legs--;
}

vc_call *vc_leg_call(vc_leg *leg)
{
    return leg->call;
}

void vc_leg_local(const vc_leg *leg, char *ip, size_t n, int *port)
{
    struct sockaddr_storage local;
    socklen_t bytes = sizeof local;
    *port = 0;
    snprintf(ip, n, "push");
    if (leg->fd < 0 || getsockname(leg->fd, (struct sockaddr *)&local, &bytes) < 0) return;
    if (local.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)&local;
        (void)inet_ntop(AF_INET, &v4->sin_addr, ip, (socklen_t)n);
        *port = ntohs(v4->sin_port);
    } else {
        const struct sockaddr_in6 *v6 = (const void *)&local;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, ip, (socklen_t)n);
        *port = ntohs(v6->sin6_port);
    }
}
