/* vc_shard whose calls share one port. Oracles: plain sockets at the other end, and the law that
 * each datagram that was sent is some call's or a stranger's. Nothing depends on how long it takes.
 */
#define _GNU_SOURCE
#include "engine/vc_shard.h"

#include <poll.h>
#include <sys/wait.h>

#include "vc_test_model.h"
#include "vc_test_udp.h"

enum { LIMIT_MS = 20000, RTP_BYTES = 172 };

static vc_silero_model *model_8k, *model_16k;

static vc_shard_config shard_settings(void)
{
    vc_shard_config config = vc_shard_config_default();
    config.model_8k = model_8k;
    config.model_16k = model_16k;
    config.max_calls = 256;
    config.max_load = config.max_lateness_ms = 0.0;
    config.port_ip = "127.0.0.1";
    return config;
}

static vc_shard *start(const vc_shard_config *config)
{
    vc_shard *shard = NULL;
    VC_NEED(vc_shard_create(&shard, config) == VC_OK);
    VC_NEED(vc_shard_start(shard) == VC_OK);
    return shard;
}

static vc_status try_open(vc_shard *shard, uint32_t number, const struct sockaddr_in *remote,
                          vc_leg **leg)
{
    char ip[64];
    vc_leg_config config = {.call = vc_call_config_default()};
    config.call.number = number;
    config.call.play_hz = 8000;
    config.call.rtp_timeout_ms = 0;
    config.call.guard.learn = 0; /* only the given address */
    config.call.pushed = remote == NULL;
    if (remote) {
        VC_NEED(inet_ntop(AF_INET, &remote->sin_addr, ip, sizeof ip) != NULL);
        config.remote_ip = ip;
        config.remote_port = ntohs(remote->sin_port);
    }
    return vc_shard_open(shard, &config, leg);
}

static vc_leg *open_leg(vc_shard *shard, uint32_t number, const struct sockaddr_in *remote)
{
    vc_leg *leg = NULL;
    VC_NEED(try_open(shard, number, remote, &leg) == VC_OK);
    return leg;
}

static uint64_t call_stat(vc_leg *leg, vc_call_stat stat)
{
    uint64_t counters[VC_STAT_COUNT];
    vc_call_get_stats(vc_leg_call(leg), counters);
    return counters[stat];
}

static uint64_t shard_stat(const vc_shard *shard, vc_shard_stat stat)
{
    uint64_t counters[VC_SHARD_STAT_COUNT];
    vc_shard_get_stats(shard, counters);
    return counters[stat];
}

static uint64_t strangers_of(const vc_shard *shard)
{
    return shard_stat(shard, VC_SHARD_STRANGERS);
}

#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        for (int ms = 0; ms < LIMIT_MS && !(condition); ms++) usleep(1000);                        \
        VC_NEED(condition);                                                                        \
    } while (0)

static void await_closed(vc_shard *shard, uint32_t call)
{
    vc_event event = {0};
    for (int ms = 0; ms < LIMIT_MS; ms++) {
        while (vc_shard_next_event(shard, &event) == VC_OK)
            if (event.kind == VC_EVENT_CLOSED && event.call == call) return;
        usleep(1000);
    }
    VC_NEED(0);
}

/* A caller: a plain socket that sends PCMU of one byte to the shard's port. */
typedef struct caller {
    int fd, number, next, last; /* packets sent; the last sequence number heard */
    struct sockaddr_in local;
} caller;

static void make_caller(caller *one, int number)
{
    *one = (caller){.number = number, .last = -1};
    one->fd = vc_test_bound(&one->local);
}

static void say(caller *one, const vc_shard *shard)
{
    char ip[64];
    int port;
    vc_shard_local(shard, ip, sizeof ip, &port);
    struct sockaddr_in to = vc_test_at(ip, port);
    uint8_t packet[RTP_BYTES] = {0x80, 0, (uint8_t)(one->next >> 8), (uint8_t)one->next};
    uint32_t timestamp = htonl((uint32_t)one->next++ * 160);
    memcpy(packet + 4, &timestamp, 4);
    packet[11] = (uint8_t)one->number;
    memset(packet + 12, 0x80 + one->number % 0x70, 160);
    VC_NEED(sendto(one->fd, packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to) ==
            RTP_BYTES);
}

/* So many packets come without a gap, from the shard's port. */
static void follow(caller *one, const vc_shard *shard, int packets)
{
    char ip[64];
    int port;
    vc_shard_local(shard, ip, sizeof ip, &port);
    for (int i = 0; i < packets; i++) {
        struct pollfd ready = {.fd = one->fd, .events = POLLIN};
        VC_NEED(poll(&ready, 1, LIMIT_MS) == 1);
        uint8_t packet[256];
        struct sockaddr_in who;
        socklen_t bytes = sizeof who;
        VC_NEED(recvfrom(one->fd, packet, sizeof packet, 0, (struct sockaddr *)&who, &bytes) ==
                RTP_BYTES);
        int sequence = packet[2] << 8 | packet[3];
        if (one->last >= 0) VC_CHECK_EQ(sequence, (one->last + 1) & 0xffff);
        one->last = sequence;
        VC_CHECK_EQ(ntohs(who.sin_port), port);
    }
}

static uint64_t waiting(const caller *one)
{
    uint8_t packet[256];
    uint64_t n = 0;
    while (recv(one->fd, packet, sizeof packet, MSG_DONTWAIT) > 0) n++;
    return n;
}

/* Few calls are woken by datagrams, many are paced; each hears its own caller alone, bit for bit.
 */
static void hear(int calls)
{
    enum { MOST = 130, PACKETS = 40, FULL = 100 };
    vc_test_heap heap = {.fail_at = -1};
    vc_allocator hooks = vc_test_allocator(&heap);
    vc_shard_config config = shard_settings();
    config.allocator = &hooks;
    vc_shard *shard = start(&config);
    static caller callers[MOST + 1];
    static vc_leg *legs[MOST];
    for (int i = 0; i <= calls; i++) make_caller(&callers[i], i);
    for (int i = 0; i < calls; i++) legs[i] = open_leg(shard, (uint32_t)i + 1, &callers[i].local);
    char ip[64];
    int port, own;
    vc_shard_local(shard, ip, sizeof ip, &port);
    vc_leg_local(legs[0], ip, sizeof ip, &own);
    VC_CHECK(own == port && strcmp(ip, "127.0.0.1") == 0);
    for (int i = 0; i < calls; i++) follow(&callers[i], shard, 1);
    long before = heap.total;
    for (int k = 0; k < PACKETS; k++)
        for (int i = 0; i <= calls; i++) say(&callers[i], shard); /* the last is a stranger */
    for (int i = 0; i < calls; i++) follow(&callers[i], shard, 3);
    for (int i = 0; i < calls; i++) AWAIT(call_stat(legs[i], VC_STAT_PACKETS_RECEIVED) == PACKETS);
    AWAIT(strangers_of(shard) == PACKETS);
    VC_CHECK_EQ(heap.total, before);
    vc_shard_stop(shard);
    for (int i = 0; i < calls; i++) {
        int16_t samples[PACKETS * 160], value = 0;
        size_t n = PACKETS * 160;
        int64_t first;
        VC_CHECK_EQ(call_stat(legs[i], VC_STAT_PACKETS_DECODED), PACKETS);
        VC_CHECK_EQ(call_stat(legs[i], VC_STAT_LOST), 0);
        VC_CHECK_EQ(call_stat(legs[i], VC_STAT_SEND_ERRORS), 0);
        /* On a slow machine the caller's socket is full before all have heard theirs. */
        uint64_t sent = call_stat(legs[i], VC_STAT_PACKETS_SENT), rest = waiting(&callers[i]);
        VC_CHECK(sent == 4 + rest || (sent > 4 + rest && rest >= FULL));
        VC_CHECK_OK(vc_call_read(vc_leg_call(legs[i]), samples, &n, &first));
        VC_CHECK(n == PACKETS * 160 && first == 0);
        /* ITU-T G.711, mu-law, bit by bit. */
        int code = ~(0x80 + i % 0x70) & 0xff, segment = code >> 4 & 7;
        value = (int16_t)(((((code & 15) << 3) + 132) << segment) - 132);
        if (code & 0x80) value = (int16_t)-value;
        size_t wrong = 0;
        for (size_t k = 0; k < n; k++) wrong += samples[k] != value;
        VC_CHECK_EQ(wrong, 0);
        vc_shard_free(shard, legs[i]);
    }
    vc_shard_destroy(shard);
    VC_CHECK_EQ(heap.live, 0);
    for (int i = 0; i <= calls; i++) close(callers[i].fd);
}

VC_TEST(a_few_calls_hear_their_callers)
{
    hear(3);
}

VC_TEST(many_calls_hear_their_callers)
{
    hear(130);
}

VC_TEST(a_call_follows_its_new_remote)
{
    vc_shard_config config = shard_settings();
    vc_shard *shard = start(&config);
    caller old, new, other;
    make_caller(&old, 1);
    make_caller(&new, 2);
    make_caller(&other, 3);
    vc_leg *leg = open_leg(shard, 1, &old.local), *second = open_leg(shard, 2, &other.local);
    follow(&old, shard, 2);
    say(&new, shard);
    AWAIT(strangers_of(shard) == 1);
    vc_address others = vc_test_key(&other.local), news = vc_test_key(&new.local);
    vc_address v6 = {.family = 6, .port = 9};
    VC_CHECK_EQ(vc_leg_set_remote(shard, leg, &others), VC_DUPLICATE);
    VC_CHECK_EQ(vc_leg_set_remote(shard, leg, &v6), VC_E_RANGE);
    VC_CHECK_OK(vc_leg_set_remote(shard, leg, &news));
    follow(&new, shard, 3);
    say(&new, shard);
    AWAIT(call_stat(leg, VC_STAT_PACKETS_RECEIVED) == 1);
    say(&old, shard);
    AWAIT(strangers_of(shard) == 2);
    /* What it has left may be another's. */
    vc_leg *third = open_leg(shard, 3, &old.local);
    AWAIT(shard_stat(shard, VC_SHARD_CALLS) == 3);
    say(&old, shard);
    AWAIT(call_stat(third, VC_STAT_PACKETS_RECEIVED) == 1);
    /* One that the producer was not asked for: nothing is sent there as long as it is another's,
     * and the old address stays. */
    (void)waiting(&other);
    uint64_t errors = call_stat(leg, VC_STAT_SEND_ERRORS);
    VC_CHECK_EQ(errors, 0);
    VC_CHECK_OK(vc_call_set_remote(vc_leg_call(leg), &others));
    AWAIT(call_stat(leg, VC_STAT_SEND_ERRORS) >= 3);
    other.last = -1;
    follow(&other, shard, 5); /* of one call alone: without a gap */
    uint64_t before = call_stat(second, VC_STAT_PACKETS_RECEIVED);
    say(&other, shard);
    AWAIT(call_stat(second, VC_STAT_PACKETS_RECEIVED) == before + 1);
    say(&new, shard);
    AWAIT(call_stat(leg, VC_STAT_PACKETS_RECEIVED) == 2);
    VC_CHECK_OK(vc_shard_close(shard, second));
    await_closed(shard, 2);
    (void)waiting(&other);
    say(&other, shard);
    other.last = -1;
    follow(&other, shard, 3);
    say(&other, shard);
    AWAIT(call_stat(leg, VC_STAT_PACKETS_RECEIVED) >= 3);
    vc_shard_stop(shard);
    VC_CHECK_EQ(strangers_of(shard) + call_stat(leg, VC_STAT_PACKETS_RECEIVED) +
                    call_stat(second, VC_STAT_PACKETS_RECEIVED) +
                    call_stat(third, VC_STAT_PACKETS_RECEIVED),
                old.next + new.next + other.next);
    vc_shard_free(shard, leg);
    vc_shard_free(shard, second);
    vc_shard_free(shard, third);
    vc_shard_destroy(shard);
    close(old.fd);
    close(new.fd);
    close(other.fd);
}

VC_TEST(what_is_refused)
{
    int before = vc_test_lowest_fd();
    vc_shard_config config = shard_settings();
    vc_shard *shard = start(&config), *second = NULL;
    caller one;
    make_caller(&one, 1);
    char ip[64];
    vc_leg *leg = open_leg(shard, 1, &one.local), *other = NULL;
    vc_leg_config without = {.call = vc_call_config_default()};
    without.call.play_hz = 8000;
    VC_CHECK_EQ(vc_shard_open(shard, &without, &other), VC_E_RANGE);
    without.remote_ip = "::1";
    without.remote_port = 9;
    VC_CHECK_EQ(vc_shard_open(shard, &without, &other), VC_E_RANGE);
    VC_CHECK_EQ(try_open(shard, 2, &one.local, &other), VC_DUPLICATE);
    VC_CHECK(other == NULL);
    /* Closed and opened again, before anybody heard of the close. */
    for (uint32_t round = 2; round < 20; round++) {
        follow(&one, shard, 1);
        VC_CHECK_OK(vc_shard_close(shard, leg));
        vc_leg *next = open_leg(shard, round, &one.local);
        await_closed(shard, round - 1);
        AWAIT(shard_stat(shard, VC_SHARD_CALLS) == 1);
        uint64_t received = call_stat(leg, VC_STAT_PACKETS_RECEIVED);
        say(&one, shard);
        AWAIT(call_stat(next, VC_STAT_PACKETS_RECEIVED) == 1);
        VC_CHECK_EQ(call_stat(leg, VC_STAT_PACKETS_RECEIVED), received);
        vc_shard_free(shard, leg);
        VC_CHECK_EQ(try_open(shard, 99, &one.local, &other), VC_DUPLICATE);
        leg = next;
        (void)waiting(&one);
        one.last = -1;
    }
    VC_CHECK_EQ(strangers_of(shard), 0);
    /* A port that is taken, and settings that make no sense. */
    vc_shard_local(shard, ip, sizeof ip, &config.port);
    VC_CHECK_EQ(vc_shard_create(&second, &config), VC_E_SYSTEM);
    VC_CHECK_EQ(errno, EADDRINUSE);
    config.port_ip = "nowhere";
    VC_CHECK_EQ(vc_shard_create(&second, &config), VC_E_RANGE);
    config = shard_settings();
    config.raw_send = 1;
    VC_CHECK_EQ(vc_shard_create(&second, &config), VC_E_RANGE);
    VC_CHECK(second == NULL);
    /* Only a pushed call can go elsewhere. */
    config = shard_settings();
    second = start(&config);
    vc_leg *pushed = open_leg(shard, 100, NULL);
    VC_CHECK_EQ(vc_shard_move(shard, leg, second), VC_E_STATE);
    for (int ms = 0; ms < LIMIT_MS && vc_shard_move(shard, pushed, second) != VC_OK; ms++)
        usleep(1000); /* the thread has not got it yet */
    AWAIT(shard_stat(second, VC_SHARD_CALLS) == 1);
    follow(&one, shard, 3);
    vc_shard_stop(shard);
    vc_shard_stop(second);
    vc_shard_free(shard, leg);
    vc_shard_free(second, pushed);
    vc_shard_destroy(shard);
    vc_shard_destroy(second);
    close(one.fd);
    VC_CHECK_EQ(vc_test_lowest_fd(), before);
}

/* A closed port, a broadcast address (EACCES) and a full send buffer: only those count errors. */
VC_TEST(packets_that_fail_disturb_nobody)
{
    vc_shard_config config = shard_settings();
    vc_shard *shard = start(&config);
    caller one, gone;
    make_caller(&one, 1);
    make_caller(&gone, 2);
    close(gone.fd);
    struct sockaddr_in all = vc_test_at("127.255.255.255", 5000);
    vc_leg *legs[3] = {open_leg(shard, 1, &gone.local), open_leg(shard, 2, &all),
                       open_leg(shard, 3, &one.local)};
    follow(&one, shard, 1);
    for (int i = 0; i < 30; i++) {
        say(&one, shard);
        follow(&one, shard, 1);
    }
    AWAIT(call_stat(legs[2], VC_STAT_PACKETS_RECEIVED) == 30);
    VC_CHECK_EQ(call_stat(legs[2], VC_STAT_SEND_ERRORS), 0);
    vc_test_always_fails = EAGAIN;
    AWAIT(call_stat(legs[2], VC_STAT_SEND_ERRORS) >= 3);
    vc_test_always_fails = 0;
    vc_shard_stop(shard);
    VC_CHECK(call_stat(legs[0], VC_STAT_PACKETS_SENT) >= 20);
    VC_CHECK(call_stat(legs[1], VC_STAT_SEND_ERRORS) >= 20);
    VC_CHECK_EQ(call_stat(legs[1], VC_STAT_PACKETS_SENT), 0);
    VC_CHECK_EQ(call_stat(legs[2], VC_STAT_PACKETS_SENT), 31 + waiting(&one));
    for (int i = 0; i < 3; i++) vc_shard_free(shard, legs[i]);
    vc_shard_destroy(shard);
    close(one.fd);
}

VC_TEST(a_forked_child_closes_its_copies)
{
    int before = vc_test_lowest_fd();
    vc_shard_config config = shard_settings();
    caller one;
    vc_shard *shard = start(&config);
    make_caller(&one, 1);
    vc_leg *leg = open_leg(shard, 1, &one.local);
    follow(&one, shard, 1);
    pid_t child = fork();
    VC_NEED(child >= 0);
    if (child == 0) {
        close(one.fd);
        vc_leg_abandon(leg);
        vc_shard_abandon(shard);
        _exit(vc_test_lowest_fd() == before ? 0 : 1);
    }
    int status = -1;
    VC_CHECK_EQ(waitpid(child, &status, 0), child);
    VC_CHECK_EQ(status, 0);
    say(&one, shard);
    AWAIT(call_stat(leg, VC_STAT_PACKETS_RECEIVED) == 1);
    follow(&one, shard, 3);
    vc_shard_stop(shard);
    vc_shard_free(shard, leg);
    vc_shard_destroy(shard);
    close(one.fd);
    VC_CHECK_EQ(vc_test_lowest_fd(), before);
}

int main(void)
{
    model_8k = vc_test_model(8000);
    model_16k = vc_test_model(16000);
    VC_RUN(a_few_calls_hear_their_callers)
    VC_RUN(many_calls_hear_their_callers)
    VC_RUN(a_call_follows_its_new_remote)
    VC_RUN(what_is_refused)
    VC_RUN(packets_that_fail_disturb_nobody)
    VC_RUN(a_forked_child_closes_its_copies)
    vc_silero_model_destroy(model_8k);
    vc_silero_model_destroy(model_16k);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0 || vc_test_checks == 0;
}
