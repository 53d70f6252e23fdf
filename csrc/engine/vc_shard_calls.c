/* vc_shard: the media thread's calls: they come, move and go; their events.
 *
 * Slots are filled to SLOT_US of work before the next one is used, so that a few calls make few
 * wake-ups and a window seldom is judged alone (in a batch of 16 it takes a third of the time). By
 * so much the last packet of a slot is later than the first. Slots are taken far from one another,
 * so that used ones are spread over the 20 ms at any number.
 *
 * A call moves from thread to thread through the receiver's list of arrivals, without the producer:
 * all shards have the same slots at the same times, so it goes on in its slot, and a tick that
 * falls in between is made up at once.
 */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <sys/epoll.h>

enum { PACED_FROM = 96, PACED_UNTIL = 80 };
static const double SLOT_US = 320.0; /* 32 calls of G.711, one of Opus at 16 kHz */

/* -- events -- */

size_t vc_shard_reserved_events(const vc_shard *shard)
{
    return (size_t)shard->config.max_calls;
}

static size_t usable_events(const vc_shard *shard)
{
    size_t room = vc_ring_room(shard->events);
    return room > vc_shard_reserved_events(shard) ? room - vc_shard_reserved_events(shard) : 0;
}

static void push_event(vc_shard *shard, const vc_event *event)
{
    size_t one = 1;
    (void)vc_ring_push(shard->events, event, &one);
    shard->events_posted = 1;
}

void vc_shard_report_lost(vc_shard *shard, int64_t stamp_ns)
{
    /* One that says so, and room for one more. */
    if (shard->lost_unreported == 0 || usable_events(shard) < 2) return;
    vc_event lost = {VC_EVENT_EVENTS_LOST, 0, stamp_ns, (int64_t)shard->lost_unreported, 0, 0};
    push_event(shard, &lost);
    shard->lost_unreported = 0;
}

void vc_shard_post(void *context, const vc_event *event)
{
    vc_leg *leg = context;
    vc_shard *shard = atomic_load_explicit(&leg->owner, memory_order_relaxed);
    if (event->kind == VC_EVENT_CLOSED) {
        push_event(shard, event);
        return;
    }
    vc_shard_report_lost(shard, event->stamp_ns);
    if (shard->lost_unreported > 0 || usable_events(shard) == 0) {
        shard->lost_unreported++;
        vc_shard_add_stat(shard, VC_SHARD_EVENTS_DROPPED, 1);
        return;
    }
    push_event(shard, event);
}

/* -- lists -- */

static void link_leg(vc_leg **first, vc_leg *leg, int list)
{
    leg->previous[list] = NULL;
    leg->next[list] = *first;
    if (*first) (*first)->previous[list] = leg;
    *first = leg;
}

static void unlink_leg(vc_leg **first, vc_leg *leg, int list)
{
    if (leg->previous[list])
        leg->previous[list]->next[list] = leg->next[list];
    else
        *first = leg->next[list];
    if (leg->next[list]) leg->next[list]->previous[list] = leg->previous[list];
}

/* -- come, move and go -- */

vc_status vc_shard_watch(int epoll_fd, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? VC_OK : VC_E_SYSTEM;
}

static int choose_slot(const vc_shard *shard)
{
    static const int order[VC_SHARD_SLOTS] = {0, 10, 5, 15, 2, 12, 7, 17, 3, 13,
                                              8, 18, 1, 11, 6, 16, 4, 14, 9, 19};
    int least = 0;
    for (int i = 0; i < VC_SHARD_SLOTS; i++) {
        int slot = order[i];
        if (shard->slots[slot].expected_us < SLOT_US) return slot;
        if (shard->slots[slot].expected_us < shard->slots[least].expected_us) least = slot;
    }
    return least;
}

static void count_calls(vc_shard *shard)
{
    atomic_store_explicit(&shard->stats[VC_SHARD_CALLS], shard->leg_count, memory_order_relaxed);
    int paced = shard->leg_count >= (shard->paced ? PACED_UNTIL : PACED_FROM);
    if (paced == shard->paced) return;
    shard->paced = paced;
    if (paced)
        (void)epoll_ctl(shard->epoll_fd, EPOLL_CTL_DEL, shard->sockets_fd, NULL);
    else
        (void)vc_shard_watch(shard->epoll_fd, shard->sockets_fd, &shard->sockets_fd);
}

/* The first millisecond from now on that is a slot's. */
static int64_t first_due(int slot)
{
    int64_t next = vc_shard_now_ns() / VC_NS_PER_MS + 1;
    int64_t ahead = (slot - next % VC_SHARD_SLOTS + VC_SHARD_SLOTS) % VC_SHARD_SLOTS;
    return next + ahead;
}

/* `ticked` is known of a call that was moved, -1 of a new one. */
static void take_in(vc_shard *shard, vc_leg *leg, int64_t ticked)
{
    vc_shard_slot *slot = &shard->slots[leg->slot];
    if (slot->count == 0 && leg->slot != 0)
        slot->due = ticked < 0 ? first_due(leg->slot) : ticked + VC_TICK_MS;
    leg->ticked = ticked < 0 ? slot->due - VC_TICK_MS : ticked;
    slot->count++;
    slot->expected_us += leg->expected_us;
    link_leg(&slot->legs, leg, VC_SHARD_IN_SLOT);
    if (leg->pushed) link_leg(&shard->pushed_legs, leg, VC_SHARD_IN_PUSHED);
    if (vc_shard_watch_leg(shard, leg) != VC_OK) vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
    atomic_store_explicit(&leg->owner, shard, memory_order_release);
    shard->leg_count++;
    count_calls(shard);
    /* What fell due on the way. */
    while (leg->ticked + VC_TICK_MS < slot->due) {
        vc_shard_tick_leg(shard, leg, leg->ticked + VC_TICK_MS);
        vc_shard_flush(shard);
    }
}

static void take_out(vc_shard *shard, vc_leg *leg)
{
    vc_shard_unwatch_leg(shard, leg);
    vc_shard_slot *slot = &shard->slots[leg->slot];
    slot->count--;
    slot->expected_us -= leg->expected_us;
    unlink_leg(&slot->legs, leg, VC_SHARD_IN_SLOT);
    if (leg->pushed) unlink_leg(&shard->pushed_legs, leg, VC_SHARD_IN_PUSHED);
    shard->leg_count--;
    count_calls(shard);
}

static void remove_leg(vc_shard *shard, vc_leg *leg)
{
    vc_shard_report(leg, 1); /* it may be the first to see a new remote address */
    take_out(shard, leg);
    vc_call_publish(leg->call);
    vc_call_post(leg->call, VC_EVENT_CLOSED, vc_shard_now_ns());
}

static void move_leg(vc_shard *shard, vc_leg *leg, vc_shard *to)
{
    take_out(shard, leg);
    atomic_store_explicit(&leg->owner, NULL, memory_order_relaxed);
    vc_leg *first = atomic_load_explicit(&to->arrivals, memory_order_relaxed);
    do leg->next_arrival = first;
    while (!atomic_compare_exchange_weak_explicit(&to->arrivals, &first, leg, memory_order_release,
                                                  memory_order_relaxed));
    vc_shard_write_one(to->wake_fd);
}

static void take_arrivals(vc_shard *shard)
{
    vc_leg *leg = atomic_exchange_explicit(&shard->arrivals, NULL, memory_order_acquire);
    while (leg) {
        vc_leg *next = leg->next_arrival;
        /* Before it can be moved on. */
        int close = leg->close_wanted;
        take_in(shard, leg, leg->ticked);
        if (close) remove_leg(shard, leg);
        leg = next;
    }
}

static void obey(vc_shard *shard, const vc_shard_command *command)
{
    vc_leg *leg = command->leg;
    switch (command->kind) {
    case VC_SHARD_ADD:
        leg->slot = choose_slot(shard);
        take_in(shard, leg, -1);
        break;
    case VC_SHARD_REMOVE:
        if (atomic_load_explicit(&leg->owner, memory_order_relaxed) == shard)
            remove_leg(shard, leg);
        else
            leg->close_wanted = 1;
        break;
    case VC_SHARD_MOVE: move_leg(shard, leg, command->to); break;
    case VC_SHARD_STOP: shard->stopping = 1; break;
    }
}

void vc_shard_obey(vc_shard *shard)
{
    vc_shard_command next;
    size_t one = 1;
    take_arrivals(shard);
    while (vc_ring_pull(shard->commands, &next, &one) == VC_OK) {
        obey(shard, &next);
        one = 1;
    }
}

void vc_shard_remove_all(vc_shard *shard)
{
    take_arrivals(shard);
    for (int i = 0; i < VC_SHARD_SLOTS; i++)
        while (shard->slots[i].legs) remove_leg(shard, shard->slots[i].legs);
}
