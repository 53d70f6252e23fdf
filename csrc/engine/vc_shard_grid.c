/* vc_shard: the media thread.
 *
 * With few calls it wakes when a datagram comes. From 96 calls on it wakes when a slot is due
 * (every millisecond if all are in use) and takes all datagrams that have come since: a wake-up a
 * datagram would cost as much as the datagram, and windows would be judged one at a time.
 */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_READY = 256 };

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * VC_NS_PER_S + now.tv_nsec;
}

int64_t vc_shard_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t vc_shard_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

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
    int64_t now_ns = vc_shard_now_ns();
    size_t windows = vc_bank_run(shard->bank_8k, now_ns) + vc_bank_run(shard->bank_16k, now_ns);
    vc_shard_add_stat(shard, VC_SHARD_WINDOWS, windows);
    for (size_t i = 0; i < shard->dirty_count; i++) shard->dirty[i]->noted = 0;
    shard->dirty_count = 0;
    vc_shard_lap(shard, VC_STAGE_JUDGE, windows);
}

/* The legs whose turn comes after the first of n. */
static void prefetch_legs(vc_leg *const *legs, size_t n)
{
    if (n > VC_FOURTH + 1) vc_prefetch(legs[VC_FOURTH + 1], sizeof(vc_leg));
    for (size_t turns = VC_FOURTH; turns >= VC_NEXT; turns--)
        if (turns < n) vc_call_prefetch_datagram(legs[turns]->call, (vc_turns_away)turns);
}

/* What has come to the port. Old audio is not shed as it is with sockets of the calls' own: what
 * waits is bounded by the port's one buffer (0.3 to 0.8 s of max_calls), which drops the newest. */
static void poll_port(vc_shard *shard, size_t most, int64_t patient_until_ns)
{
    vc_leg *legs[VC_SHARD_PORT_PACKETS];
    const vc_shard_port_datagram *received, *of[VC_SHARD_PORT_PACKETS];
    vc_shard_lap(shard, VC_STAGE_WAIT, 0);
    for (size_t taken = 0, n = VC_SHARD_PORT_PACKETS; n == VC_SHARD_PORT_PACKETS && taken < most;
         taken += n) {
        int64_t now_ns = vc_shard_now_ns();
        if (now_ns >= patient_until_ns) break;
        size_t known = 0;
        n = vc_shard_port_receive(shard->port, most - taken, &received);
        vc_shard_lap(shard, VC_STAGE_RECEIVE, n);
        for (size_t i = 0; i < n; i++) {
            if (!received[i].tag) continue;
            of[known] = &received[i];
            legs[known++] = received[i].tag;
        }
        if (known < n) vc_shard_add_stat(shard, VC_SHARD_STRANGERS, n - known);
        for (size_t i = 0; i < known; i++) {
            prefetch_legs(legs + i, known - i);
            (void)vc_call_receive_from(legs[i]->call, &of[i]->from, of[i]->bytes, of[i]->n, now_ns);
            vc_shard_note(shard, legs[i]);
        }
        vc_shard_lap(shard, VC_STAGE_TAKE, known);
    }
}

/* One datagram a socket and round, so that no call holds up the others; the epoll set comes back
 * for the rest, which is cheaper than a receive call that finds nothing. */
static void poll_sockets(vc_shard *shard, const vc_shard_slot *next)
{
    struct epoll_event ready[MAX_READY];
    vc_leg *legs[MAX_READY];
    int64_t late_ns = next->due * VC_NS_PER_MS + VC_TICK_NS, begun_ns = vc_shard_now_ns();
    int behind = begun_ns >= late_ns, emptied = 0;
    int sheds = vc_shard_sheds(shard->backlog_ns, begun_ns);
    size_t most = vc_shard_most_datagrams(behind, shard->behind, shard->leg_count, next->count);
    shard->behind = behind;
    if (shard->port) {
        poll_port(shard, most, behind ? INT64_MAX : late_ns);
        return;
    }
    for (size_t taken = 0; taken < most;) {
        size_t room = most - taken < MAX_READY ? most - taken : MAX_READY;
        int n = epoll_wait(shard->sockets_fd, ready, (int)room, 0);
        vc_shard_lap(shard, VC_STAGE_WAIT, 0);
        emptied = n <= 0;
        if (emptied) break;
        int64_t now_ns = vc_shard_now_ns();
        if (!behind && now_ns >= late_ns) break;
        for (int i = 0; i < n; i++) legs[i] = ready[i].data.ptr;
        for (int i = 0; i < n; i++) {
            prefetch_legs(legs + i, (size_t)(n - i));
            if (sheds)
                (void)vc_shard_catch_up(shard, legs[i], now_ns);
            else
                vc_shard_receive(shard, legs[i], now_ns);
        }
        taken += (size_t)n;
    }
    if (emptied)
        shard->backlog_ns = 0;
    else if (shard->backlog_ns == 0)
        shard->backlog_ns = begun_ns;
}

static void take_pushed(vc_shard *shard)
{
    for (vc_leg *leg = shard->pushed_legs; leg; leg = leg->next[VC_SHARD_IN_PUSHED]) {
        vc_call_take_pushed(leg->call, vc_shard_now_ns());
        vc_shard_note(shard, leg);
    }
}

void vc_shard_tick_leg(vc_shard *shard, vc_leg *leg, int64_t tick_ms)
{
    uint8_t spare[VC_CALL_MAX_PACKET_BYTES], *packet = vc_shard_packet_room(shard, spare);
    size_t n = sizeof spare;
    int64_t now_ns = vc_shard_now_ns();
    leg->ticked = tick_ms;
    vc_status status = vc_call_tick(leg->call, now_ns, packet, &n);
    vc_shard_lap(shard, VC_STAGE_RENDER, 1);
    if (status == VC_OK && n > 0) vc_shard_send(shard, leg, packet, n, now_ns);
}

/* The legs whose tick comes after this one's; ahead[turns] are they, and move on. */
static void prefetch_ticks(vc_leg **ahead)
{
    for (int turns = VC_NEXT; turns <= VC_FOURTH; turns++) {
        if (ahead[turns]) vc_call_prefetch_tick(ahead[turns]->call, (vc_turns_away)turns);
        ahead[turns - 1] = ahead[turns];
    }
    vc_leg *last = ahead[VC_FOURTH];
    ahead[VC_FOURTH] = last ? last->next[VC_SHARD_IN_SLOT] : NULL;
    if (ahead[VC_FOURTH]) vc_prefetch(ahead[VC_FOURTH], sizeof(vc_leg));
}

static void run_slot(vc_shard *shard, vc_shard_slot *slot)
{
    int64_t begun_ns = vc_shard_now_ns(), due = slot->due;
    for (vc_leg *leg = slot->legs; leg; leg = leg->next[VC_SHARD_IN_SLOT]) {
        if (leg->pushed) vc_call_take_pushed(leg->call, begun_ns);
        vc_call_expire(leg->call, begun_ns);
        vc_shard_note(shard, leg);
    }
    vc_shard_lap(shard, VC_STAGE_TAKE, 0);
    judge(shard);
    vc_leg *ahead[VC_FOURTH + 1] = {slot->legs};
    for (int turns = VC_NEXT; turns <= VC_FOURTH; turns++)
        ahead[turns] = ahead[turns - 1] ? ahead[turns - 1]->next[VC_SHARD_IN_SLOT] : NULL;
    for (vc_leg *leg = slot->legs; leg; leg = leg->next[VC_SHARD_IN_SLOT]) {
        prefetch_ticks(ahead);
        if (leg->ticked < due) vc_shard_tick_leg(shard, leg, due);
    }
    vc_shard_flush(shard);
    slot->due += VC_TICK_MS;
    int64_t end_ns = vc_shard_now_ns(), late_ns = begun_ns - due * VC_NS_PER_MS;
    vc_shard_meter_tick(shard, (uint64_t)(late_ns > 0 ? late_ns : 0),
                        (uint64_t)(end_ns - begun_ns));
    if (slot != shard->slots) return;
    /* Not only with the next event: a lost one may be what the loop waits for. */
    vc_shard_report_lost(shard, begun_ns);
    vc_shard_meter_turn(shard, end_ns);
}

/* The slot that is due first; slot 0 always has its turn. */
static vc_shard_slot *next_slot(vc_shard *shard)
{
    vc_shard_slot *next = &shard->slots[0];
    for (int i = 1; i < VC_SHARD_SLOTS; i++)
        if (shard->slots[i].count > 0 && shard->slots[i].due < next->due) next = &shard->slots[i];
    return next;
}

static void arm(vc_shard *shard, int64_t due_ns)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = due_ns / VC_NS_PER_S, .tv_nsec = due_ns % VC_NS_PER_S}};
    /* Setting it also takes back that it has expired: it is never read. */
    (void)timerfd_settime(shard->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Sleeps until something is to be done; whether the mailbox was written to. */
static int sleep_until_due(vc_shard *shard, int *sockets_ready)
{
    struct epoll_event ready[3];
    int woken = 0;
    int n = epoll_wait(shard->epoll_fd, ready, 3, -1);
    *sockets_ready = shard->paced;
    for (int i = 0; i < n; i++) {
        if (ready[i].data.ptr == &shard->wake_fd)
            woken = 1;
        else if (ready[i].data.ptr == &shard->sockets_fd)
            *sockets_ready = 1;
    }
    return woken;
}

/* When the loop is to hear of events that were posted. */
static int64_t news_due_ns(const vc_shard *shard)
{
    if (!shard->events_posted || !shard->config.waker) return INT64_MAX;
    return vc_waker_due_ns(shard->config.waker);
}

/* Wakes the loop, unless that must wait or it has taken the events already. */
static void tell(vc_shard *shard)
{
    if (!shard->config.waker || vc_ring_level(shard->events) == 0) {
        shard->events_posted = 0;
    } else if (vc_waker_wake(shard->config.waker, vc_shard_now_ns())) {
        shard->events_posted = 0;
        vc_shard_add_stat(shard, VC_SHARD_LOOP_WAKEUPS, 1);
    }
}

void *vc_shard_run(void *argument)
{
    vc_shard *shard = argument;
    vc_shard_meter_start(shard);
    int64_t turn = vc_shard_now_ns() / VC_TICK_NS + 1, armed_ns = 0;
    shard->slots[0].due = turn * VC_TICK_MS;
    while (!shard->stopping) {
        vc_shard_slot *next = next_slot(shard);
        int64_t wake_ns = news_due_ns(shard), due_ns = next->due * VC_NS_PER_MS;
        if (wake_ns < due_ns) due_ns = wake_ns;
        if (due_ns != armed_ns) {
            armed_ns = due_ns;
            arm(shard, armed_ns);
        }
        int sockets_ready, woken = sleep_until_due(shard, &sockets_ready);
        vc_shard_meter_round(shard);
        if (sockets_ready) poll_sockets(shard, next);
        if (woken) {
            uint64_t value;
            if (read(shard->wake_fd, &value, sizeof value) < 0) value = 0;
            take_pushed(shard);
            judge(shard);
            /* After all sockets and banks: a removed leg is in none of them then. */
            vc_shard_obey(shard);
            next = next_slot(shard);
        } else if (!shard->paced) {
            judge(shard);
        }
        /* One a round, however many are due: under overload sockets and commands get their turn. */
        if (!shard->stopping && vc_shard_now_ns() >= next->due * VC_NS_PER_MS)
            run_slot(shard, next);
        if (shard->events_posted) tell(shard);
    }
    vc_shard_remove_all(shard);
    if (shard->config.waker) vc_shard_write_one(shard->config.waker->fd);
    return NULL;
}
