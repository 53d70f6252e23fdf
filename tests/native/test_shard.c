/* vc_shard: two legs that talk over loopback, opening and closing under way, events, stop.
 * Runs clean under ThreadSanitizer. Bounded: about a second of real time. */
#include "engine/vc_shard.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vc_test_model.h"

enum { RATE = 8000, LIMIT_MS = 3000 };

/* The shard's clock, which can be made to run away: each look at it is 30 ms later. */
static _Atomic int runs_away;
static _Atomic int64_t ahead_ns;

int clock_gettime(clockid_t id, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, id, now);
    if (runs_away) ahead_ns += 30 * VC_NS_PER_MS;
    int64_t ns = now->tv_nsec + ahead_ns;
    now->tv_sec += ns / VC_NS_PER_S;
    now->tv_nsec = ns % VC_NS_PER_S;
    return status;
}

static vc_silero_model *model_8k, *model_16k;

static vc_waker waker;

static vc_shard *start_shard(void)
{
    vc_shard_config config = vc_shard_config_default();
    config.model_8k = model_8k;
    config.model_16k = model_16k;
    config.max_calls = 8;
    config.waker = &waker;
    vc_shard *shard = NULL;
    VC_NEED(vc_shard_create(&shard, &config) == VC_OK);
    VC_NEED(vc_shard_start(shard) == VC_OK);
    return shard;
}

static vc_shard *create(int event_fd)
{
    VC_CHECK_OK(vc_waker_init(&waker, event_fd, 20));
    return start_shard();
}

static vc_leg_config settings(uint32_t number)
{
    vc_leg_config config = {.call = vc_call_config_default(), .local_ip = "127.0.0.1"};
    config.call.number = number;
    config.call.codec = VC_CODEC_L16;
    config.call.payload_type = 96;
    config.call.play_hz = RATE;
    config.call.rate_hz = RATE;
    config.call.record_sent = 1;
    return config;
}

/* Waits until an event of this kind and call comes; gives up after LIMIT_MS. */
static int await(vc_shard *shard, int event_fd, uint32_t kind, uint32_t call, vc_event *event)
{
    for (int waited = 0; waited < LIMIT_MS; waited += 20) {
        struct pollfd ready = {.fd = event_fd, .events = POLLIN};
        (void)poll(&ready, 1, 20);
        uint64_t count;
        if (read(event_fd, &count, sizeof count) < 0) count = 0;
        while (vc_shard_next_event(shard, event) == VC_OK)
            if (event->kind == kind && event->call == call) return 1;
    }
    return 0;
}

VC_TEST(two_legs_talk)
{
    int event_fd = eventfd(0, EFD_NONBLOCK);
    vc_shard *shard = create(event_fd);
    vc_leg *a = NULL, *b = NULL;
    vc_leg_config config = settings(1);
    VC_NEED(vc_shard_open(shard, &config, &a) == VC_OK);
    char ip[64];
    int port;
    vc_leg_local(a, ip, sizeof ip, &port);
    VC_CHECK(strcmp(ip, "127.0.0.1") == 0 && port > 0);
    vc_leg_config other = settings(2);
    other.remote_ip = "127.0.0.1";
    other.remote_port = port;
    VC_NEED(vc_shard_open(shard, &other, &b) == VC_OK);

    static int16_t ramp[4000], heard[40000];
    for (int i = 0; i < 4000; i++) ramp[i] = (int16_t)(i + 1);
    size_t n = 4000;
    VC_CHECK_OK(vc_playout_push(vc_call_playout(vc_leg_call(b)), ramp, &n));
    VC_CHECK_OK(vc_playout_mark(vc_call_playout(vc_leg_call(b)), 42));
    VC_CHECK_OK(vc_playout_end_segment(vc_call_playout(vc_leg_call(b))));
    vc_event event;
    VC_CHECK(await(shard, event_fd, VC_EVENT_MARK_REACHED, 2, &event));
    VC_CHECK_EQ(event.a, 42);
    /* a learned b's address from its packets, so b hears a's silence. */
    size_t got = 0;
    for (int waited = 0; waited < LIMIT_MS && got < 8000; waited += 10) {
        int64_t first;
        size_t room = sizeof heard / sizeof *heard - got;
        if (vc_call_read(vc_leg_call(a), heard + got, &room, &first) == VC_OK) {
            VC_CHECK_EQ(first, got);
            got += room;
        } else {
            usleep(10000);
        }
    }
    size_t start = 0;
    while (start < got && heard[start] == 0) start++;
    VC_CHECK(start + 4000 <= got && memcmp(heard + start, ramp, sizeof ramp) == 0);
    uint64_t stats[VC_STAT_COUNT];
    vc_call_get_stats(vc_leg_call(b), stats);
    VC_CHECK(stats[VC_STAT_PACKETS_RECEIVED] > 0);
    VC_CHECK_EQ(stats[VC_STAT_LOST], 0);

    VC_CHECK_OK(vc_shard_close(shard, b));
    VC_CHECK_EQ(vc_shard_close(shard, b), VC_E_STATE);
    VC_CHECK(await(shard, event_fd, VC_EVENT_CLOSED, 2, &event));
    vc_shard_free(shard, b);
    uint64_t counters[VC_SHARD_STAT_COUNT];
    vc_shard_get_stats(shard, counters);
    VC_CHECK(counters[VC_SHARD_TICKS] > 10);
    VC_CHECK_EQ(counters[VC_SHARD_CALLS], 1);
    VC_CHECK(counters[VC_SHARD_WINDOWS] > 5);
    vc_shard_stop(shard);
    VC_CHECK(await(shard, event_fd, VC_EVENT_CLOSED, 1, &event));
    vc_shard_free(shard, a);
    vc_shard_destroy(shard);
    close(event_fd);
}

VC_TEST(refusals)
{
    vc_shard *shard = create(-1);
    vc_leg *leg = NULL, *legs[8];
    vc_leg_config config = settings(1);
    config.local_ip = "localhost";
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_RANGE);
    config = settings(1);
    config.local_ip = "192.0.2.1"; /* TEST-NET: no address of this machine */
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_SYSTEM);
    config = settings(1);
    config.remote_ip = "::1";
    config.remote_port = 9;
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_RANGE);
    config = settings(1);
    config.remote_ip = "127.0.0.1";
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_RANGE);
    config = settings(1);
    config.call.play_hz = 1;
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_RATE);
    VC_CHECK(leg == NULL);
    for (int i = 0; i < 8; i++) {
        config = settings((uint32_t)i);
        config.call.pushed = i % 2;
        VC_NEED(vc_shard_open(shard, &config, &legs[i]) == VC_OK);
    }
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_FULL);
    VC_CHECK_EQ(vc_shard_start(shard), VC_E_STATE);
    vc_shard_stop(shard);
    vc_shard_stop(shard);
    for (int i = 0; i < 8; i++) vc_shard_free(shard, legs[i]);
    config = settings(1);
    VC_CHECK_EQ(vc_shard_open(shard, &config, &leg), VC_E_STATE);
    vc_shard_destroy(shard);
    vc_shard_destroy(NULL);
}

VC_TEST(unread_events_are_counted_not_piled_up)
{
    vc_shard *shard = create(-1);
    vc_leg *leg = NULL;
    vc_leg_config config = settings(5);
    config.call.pushed = 1;
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    int16_t sample = 1;
    uint64_t counters[VC_SHARD_STAT_COUNT];
    int waited = 0;
    for (; waited < 60000; waited++) {
        for (int i = 0; i < 1000; i++) {
            size_t one = 1;
            (void)vc_playout_push(vc_call_playout(vc_leg_call(leg)), &sample, &one);
            if (vc_playout_mark(vc_call_playout(vc_leg_call(leg)), i) != VC_OK) break;
        }
        vc_shard_get_stats(shard, counters);
        if (counters[VC_SHARD_EVENTS_DROPPED] > 0) break;
        usleep(1000);
    }
    VC_CHECK(counters[VC_SHARD_EVENTS_DROPPED] > 0);
    vc_shard_stop(shard);
    vc_event event;
    int read = 0;
    while (vc_shard_next_event(shard, &event) == VC_OK) read++;
    VC_CHECK(read >= 8192);
    /* The close is never among the dropped. */
    VC_CHECK_EQ(event.kind, VC_EVENT_CLOSED);
    vc_shard_free(shard, leg);
    vc_shard_destroy(shard);
}

VC_TEST(lost_events_are_told_of_when_nothing_else_happens)
{
    int event_fd = eventfd(0, EFD_NONBLOCK);
    vc_shard *shard = create(event_fd);
    vc_leg *leg = NULL;
    vc_leg_config config = settings(6);
    config.call.pushed = 1;
    config.call.play_hz = 48000;
    config.call.rtp_timeout_ms = 0;
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    vc_playout *playout = vc_call_playout(vc_leg_call(leg));
    int16_t sample = 1;
    uint64_t counters[VC_SHARD_STAT_COUNT] = {0};
    for (int waited = 0; waited < 60000 && !counters[VC_SHARD_EVENTS_DROPPED]; waited++) {
        for (int i = 0; i < 1000; i++) {
            size_t one = 1;
            (void)vc_playout_push(playout, &sample, &one);
            if (vc_playout_mark(playout, i) != VC_OK) break;
        }
        usleep(1000);
        vc_shard_get_stats(shard, counters);
    }
    /* Until all has been played and dropped: from then on the call has nothing to say. */
    while (vc_playout_play_position(playout) < vc_playout_queue_position(playout)) usleep(1000);
    uint64_t quiet = counters[VC_SHARD_TICKS] + 10;
    while (counters[VC_SHARD_TICKS] < quiet) {
        usleep(1000);
        vc_shard_get_stats(shard, counters);
    }
    vc_event event;
    VC_CHECK(await(shard, event_fd, VC_EVENT_EVENTS_LOST, 0, &event));
    VC_CHECK_EQ(event.a, counters[VC_SHARD_EVENTS_DROPPED]);
    vc_shard_stop(shard);
    vc_shard_free(shard, leg);
    vc_shard_destroy(shard);
    close(event_fd);
}

VC_TEST(a_forked_child_leaves_the_parents_shard_alone)
{
    int event_fd = eventfd(0, EFD_NONBLOCK);
    vc_shard *shard = create(event_fd);
    vc_leg *leg = NULL;
    vc_leg_config config = settings(1);
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    vc_playout *playout = vc_call_playout(vc_leg_call(leg));
    int before[2], after[2];
    VC_NEED(pipe(before) == 0);
    close(before[0]);
    close(before[1]);
    pid_t child = fork();
    VC_NEED(child >= 0);
    if (child == 0) {
        vc_leg_abandon(leg);
        vc_shard_abandon(shard);
        vc_shard_stop(shard); /* there is nothing to wait for */
        /* The lowest free descriptors are the shard's now. */
        _exit(pipe(after) == 0 && after[0] < before[0] && after[1] < before[1] ? 0 : 1);
    }
    int status = -1;
    VC_CHECK_EQ(waitpid(child, &status, 0), child);
    VC_CHECK_EQ(status, 0);
    VC_CHECK_OK(vc_playout_mark(playout, 5));
    vc_event event;
    VC_CHECK(await(shard, event_fd, VC_EVENT_MARK_REACHED, 1, &event));
    vc_shard_stop(shard);
    vc_shard_free(shard, leg);
    vc_shard_destroy(shard);
    close(event_fd);
}

VC_TEST(commands_are_obeyed_when_ticks_are_always_late)
{
    int event_fd = eventfd(0, EFD_NONBLOCK);
    vc_shard *shard = create(event_fd);
    vc_leg *leg = NULL;
    vc_leg_config config = settings(7);
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    runs_away = 1;
    uint64_t counters[VC_SHARD_STAT_COUNT] = {0};
    while (counters[VC_SHARD_LATE_TICKS_20MS] == 0) {
        usleep(1000);
        vc_shard_get_stats(shard, counters);
    }
    VC_CHECK_OK(vc_shard_close(shard, leg));
    vc_event event;
    VC_CHECK(await(shard, event_fd, VC_EVENT_CLOSED, 7, &event));
    runs_away = 0;
    ahead_ns = 0;
    vc_shard_stop(shard);
    vc_shard_free(shard, leg);
    vc_shard_destroy(shard);
    close(event_fd);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * VC_NS_PER_S + now.tv_nsec;
}

VC_TEST(two_shards_wake_one_loop_at_most_once_a_period)
{
    enum { CALLS = 4, NEWS = 160 };
    int event_fd = eventfd(0, EFD_NONBLOCK);
    vc_shard *shards[2] = {create(event_fd), start_shard()};
    vc_leg *legs[2 * CALLS];
    int told[2 * CALLS] = {0}, waiting[2 * CALLS] = {0};
    int64_t begun = now_ns();
    for (int i = 0; i < 2 * CALLS; i++) {
        vc_leg_config config = settings((uint32_t)i + 1);
        config.call.pushed = 1;
        VC_NEED(vc_shard_open(shards[i % 2], &config, &legs[i]) == VC_OK);
    }
    /* Each call has news as soon as its last are heard of. */
    int least = 0;
    for (int round = 0; round < 1000 && least < NEWS / (2 * CALLS); round++) {
        for (int i = 0; i < 2 * CALLS; i++) {
            if (waiting[i]) continue;
            vc_call *call = vc_leg_call(legs[i]);
            int64_t first;
            vc_pcm_ring *ring = vc_call_received(call);
            vc_pcm_ring_skip(ring, vc_pcm_ring_unread(ring, &first));
            vc_pcm_ring_want(ring, 1);
            int16_t sample = 1;
            size_t one = 1;
            VC_CHECK_OK(vc_call_push(call, &sample, &one));
            vc_shard_wake(shards[i % 2]);
            waiting[i] = 1;
        }
        struct pollfd ready = {.fd = event_fd, .events = POLLIN};
        VC_NEED(poll(&ready, 1, LIMIT_MS) == 1); /* nothing else wakes this loop */
        uint64_t count;
        if (read(event_fd, &count, sizeof count) < 0) count = 0;
        vc_event event;
        for (int k = 0; k < 2; k++)
            while (vc_shard_next_event(shards[k], &event) == VC_OK)
                if (event.kind == VC_EVENT_AUDIO) {
                    told[event.call - 1]++;
                    waiting[event.call - 1] = 0;
                }
        least = told[0];
        for (int i = 1; i < 2 * CALLS; i++) least = told[i] < least ? told[i] : least;
    }
    VC_CHECK_EQ(least, NEWS / (2 * CALLS));
    uint64_t stats[VC_SHARD_STAT_COUNT], wakes = 0;
    int64_t periods = now_ns() / VC_TICK_NS - begun / VC_TICK_NS + 1;
    for (int k = 0; k < 2; k++) {
        vc_shard_get_stats(shards[k], stats);
        wakes += stats[VC_SHARD_LOOP_WAKEUPS];
    }
    VC_CHECK(wakes > 0 && wakes <= (uint64_t)periods);
    printf("  (%d news, %d wake-ups, %d periods)\n", NEWS, (int)wakes, (int)periods);
    for (int k = 0; k < 2; k++) vc_shard_stop(shards[k]);
    for (int i = 0; i < 2 * CALLS; i++) vc_shard_free(shards[i % 2], legs[i]);
    for (int k = 0; k < 2; k++) vc_shard_destroy(shards[k]);
    close(event_fd);
}

int main(void)
{
    model_8k = vc_test_model(8000);
    model_16k = vc_test_model(16000);
    VC_RUN(two_legs_talk)
    VC_RUN(refusals)
    VC_RUN(unread_events_are_counted_not_piled_up)
    VC_RUN(lost_events_are_told_of_when_nothing_else_happens)
    VC_RUN(two_shards_wake_one_loop_at_most_once_a_period)
    VC_RUN(a_forked_child_leaves_the_parents_shard_alone)
    VC_RUN(commands_are_obeyed_when_ticks_are_always_late)
    vc_silero_model_destroy(model_8k);
    vc_silero_model_destroy(model_16k);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
