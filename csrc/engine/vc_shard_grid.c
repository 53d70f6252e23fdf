/* vc_shard: the media thread. One epoll set holds the grid's timer, the mailbox's eventfd and every
 * call's socket. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_READY = 256 };

int64_t vc_shard_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * VC_NS_PER_S + now.tv_nsec;
}

vc_status vc_shard_watch(vc_shard *shard, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(shard->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? VC_OK : VC_E_SYSTEM;
}

/* A close must always be heard of, so that much room is kept for one of every call. */
size_t vc_shard_reserved_events(const vc_shard *shard)
{
    return (size_t)shard->config.max_calls;
}

/* -- events -- */

void vc_shard_add_stat(vc_shard *shard, vc_shard_stat stat, uint64_t more)
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
    return room > vc_shard_reserved_events(shard) ? room - vc_shard_reserved_events(shard) : 0;
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

void vc_shard_post(void *context, const vc_event *event)
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
        vc_shard_add_stat(shard, VC_SHARD_EVENTS_DROPPED, 1);
        return;
    }
    (void)vc_ring_push(shard->events, event, &one);
    shard->events_posted = 1;
}

void vc_shard_write_one(int fd)
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

/* -- the thread -- */

void vc_shard_note(vc_shard *shard, vc_leg *leg)
{
    if (leg->noted) return;
    leg->noted = 1;
    shard->dirty[shard->dirty_count++] = leg;
    (void)vc_bank_note(leg->rate_hz == 8000 ? shard->bank_8k : shard->bank_16k, leg->call);
}

static void judge(vc_shard *shard)
{
    if (shard->dirty_count == 0) return;
    int64_t now = vc_shard_now_ns();
    size_t windows = vc_bank_run(shard->bank_8k, now) + vc_bank_run(shard->bank_16k, now);
    vc_shard_add_stat(shard, VC_SHARD_WINDOWS, windows);
    for (size_t i = 0; i < shard->dirty_count; i++) shard->dirty[i]->noted = 0;
    shard->dirty_count = 0;
}

static void add_leg(vc_shard *shard, vc_leg *leg)
{
    leg->index = shard->leg_count;
    shard->legs[shard->leg_count++] = leg;
    if (leg->fd >= 0 && vc_shard_watch(shard, leg->fd, leg) != VC_OK)
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
    vc_shard_report(leg, 1);
    vc_call_post(leg->call, VC_EVENT_CLOSED, vc_shard_now_ns());
}

static void obey_commands(vc_shard *shard)
{
    vc_shard_command next;
    size_t one = 1;
    while (vc_ring_pull(shard->commands, &next, &one) == VC_OK) {
        switch (next.kind) {
        case VC_SHARD_ADD: add_leg(shard, next.leg); break;
        case VC_SHARD_REMOVE: remove_leg(shard, next.leg); break;
        case VC_SHARD_STOP: shard->stopping = 1; break;
        }
        one = 1;
    }
}

static void take_pushed(vc_shard *shard)
{
    for (size_t i = 0; i < shard->leg_count; i++)
        if (shard->legs[i]->pushed) {
            vc_call_take_pushed(shard->legs[i]->call, vc_shard_now_ns());
            vc_shard_note(shard, shard->legs[i]);
        }
}

static void run_tick(vc_shard *shard, int64_t due_ns)
{
    int64_t begun = vc_shard_now_ns();
    uint64_t late = (uint64_t)(begun - due_ns);
    vc_shard_add_stat(shard, VC_SHARD_TICKS, 1);
    raise_stat(shard, VC_SHARD_MAX_LATENESS_NS, late);
    if (late > 1 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_1MS, 1);
    if (late > 5 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_5MS, 1);
    if (late > 20 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_20MS, 1);

    take_pushed(shard);
    for (size_t i = 0; i < shard->leg_count; i++) {
        vc_call_expire(shard->legs[i]->call, begun);
        vc_shard_note(shard, shard->legs[i]);
    }
    judge(shard);
    for (size_t i = 0; i < shard->leg_count; i++) {
        vc_leg *leg = shard->legs[i];
        uint8_t packet[VC_CALL_MAX_PACKET_BYTES];
        size_t n = sizeof packet;
        if (vc_call_tick(leg->call, vc_shard_now_ns(), packet, &n) != VC_OK || n == 0) continue;
        vc_shard_send(leg, packet, n);
        vc_shard_report(leg, 0);
    }
    /* Not only with the next event: a lost one may be what the loop waits for. */
    report_lost(shard, begun);
    uint64_t work = (uint64_t)(vc_shard_now_ns() - begun);
    vc_shard_add_stat(shard, VC_SHARD_TICK_WORK_NS, work);
    raise_stat(shard, VC_SHARD_MAX_TICK_WORK_NS, work);
}

static void arm(vc_shard *shard, int64_t due_ns)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = due_ns / VC_NS_PER_S, .tv_nsec = due_ns % VC_NS_PER_S}};
    (void)timerfd_settime(shard->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void *vc_shard_run(void *argument)
{
    vc_shard *shard = argument;
    struct epoll_event ready[MAX_READY];
    int64_t due_ns = vc_shard_now_ns() + VC_TICK_NS;
    arm(shard, due_ns);
    while (!shard->stopping) {
        int n = epoll_wait(shard->epoll_fd, ready, MAX_READY, -1);
        vc_shard_add_stat(shard, VC_SHARD_WAKEUPS, 1);
        int woken = 0;
        for (int i = 0; i < n; i++) {
            void *tag = ready[i].data.ptr;
            if (tag == &shard->timer_fd)
                drain_fd(shard->timer_fd);
            else if (tag == &shard->wake_fd)
                woken = 1;
            else
                vc_shard_receive(shard, tag);
        }
        if (woken) {
            drain_fd(shard->wake_fd);
            take_pushed(shard);
        }
        judge(shard);
        /* After all sockets and banks: a removed leg is in none of them then. */
        if (woken) obey_commands(shard);
        /* One a round, however many are due: under overload sockets and commands get their turn. */
        if (!shard->stopping && vc_shard_now_ns() >= due_ns) {
            run_tick(shard, due_ns);
            due_ns += VC_TICK_NS;
            arm(shard, due_ns);
        }
        if (shard->events_posted) {
            shard->events_posted = 0;
            vc_shard_write_one(shard->config.event_fd);
        }
    }
    while (shard->leg_count > 0) remove_leg(shard, shard->legs[shard->leg_count - 1]);
    vc_shard_write_one(shard->config.event_fd);
    return NULL;
}
