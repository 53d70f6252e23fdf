/* vc_shard with many calls: spread over the slots, opened, moved and closed while they run, no
 * allocation, admission, pinning. Runs clean under ThreadSanitizer; a few seconds of real time. */
#include "engine/vc_shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/vc_shard_state.h"
#include "vc_test_model.h"
#include "vc_test_raw.h"

/* OTHERS: few enough that a shard keeps up under a sanitizer too. */
enum { MANY = 120, OTHERS = 30, LIMIT_MS = 20000 };

static vc_silero_model *model_8k, *model_16k;

static int raw_send; /* of the shards to come */

static vc_shard_config shard_settings(void)
{
    vc_shard_config config = vc_shard_config_default();
    config.model_8k = model_8k;
    config.model_16k = model_16k;
    config.max_calls = 2 * MANY;
    config.max_load = 0.0;
    config.max_lateness_ms = 0.0;
    config.raw_send = raw_send;
    return config;
}

static vc_shard *start(const vc_shard_config *config)
{
    vc_shard *shard = NULL;
    VC_NEED(vc_shard_create(&shard, config) == VC_OK);
    VC_NEED(vc_shard_start(shard) == VC_OK);
    return shard;
}

static vc_leg *open_leg(vc_shard *shard, uint32_t number, int remote_port)
{
    vc_leg_config config = {.call = vc_call_config_default(), .local_ip = "127.0.0.1"};
    config.call.number = number;
    config.call.play_hz = 8000;
    config.call.play_buffer_ms = 200;
    config.call.receive_buffer_ms = 200;
    config.remote_ip = remote_port ? "127.0.0.1" : NULL;
    config.remote_port = remote_port;
    vc_leg *leg = NULL;
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    return leg;
}

static int port_of(const vc_leg *leg)
{
    char ip[64];
    int port;
    vc_leg_local(leg, ip, sizeof ip, &port);
    return port;
}

static uint64_t stat_of(const vc_shard *shard, vc_shard_stat stat)
{
    uint64_t counters[VC_SHARD_STAT_COUNT];
    vc_shard_get_stats(shard, counters);
    return counters[stat];
}

static uint64_t call_stat(vc_leg *leg, vc_call_stat stat)
{
    uint64_t counters[VC_STAT_COUNT];
    vc_call_get_stats(vc_leg_call(leg), counters);
    return counters[stat];
}

/* Waits until the shard has run so many more slot ticks. */
static void run_for(vc_shard *shard, uint64_t ticks)
{
    uint64_t until = stat_of(shard, VC_SHARD_TICKS) + ticks;
    for (int ms = 0; ms < LIMIT_MS && stat_of(shard, VC_SHARD_TICKS) < until; ms++) usleep(1000);
    VC_CHECK(stat_of(shard, VC_SHARD_TICKS) >= until);
}

static int await_closed(vc_shard *shard, uint32_t call)
{
    for (int ms = 0; ms < LIMIT_MS; ms++) {
        vc_event event;
        while (vc_shard_next_event(shard, &event) == VC_OK)
            if (event.kind == VC_EVENT_CLOSED && event.call == call) return 1;
        usleep(1000);
    }
    return 0;
}

/* Pairs of calls that talk to one another. */
static void open_pairs(vc_shard *shard, vc_leg **legs, int n)
{
    for (int i = 0; i < n; i += 2) {
        legs[i] = open_leg(shard, (uint32_t)i + 1, 0);
        legs[i + 1] = open_leg(shard, (uint32_t)i + 2, port_of(legs[i]));
    }
}

VC_TEST(many_calls_are_spread_and_nothing_is_allocated)
{
    vc_test_heap heap = {.fail_at = -1};
    vc_allocator hooks = vc_test_allocator(&heap);
    vc_shard_config config = shard_settings();
    config.allocator = &hooks;
    vc_shard *shard = start(&config);
    static vc_leg *legs[MANY];
    open_pairs(shard, legs, MANY);
    run_for(shard, 50);
    long before = heap.total;
    run_for(shard, 500);
    VC_CHECK_EQ(heap.total, before);
    VC_CHECK_EQ(stat_of(shard, VC_SHARD_CALLS), MANY);
    VC_CHECK(stat_of(shard, VC_SHARD_WINDOWS) > MANY);
    /* 120 calls are in 4 slots; each tick of a slot is its calls' packet. */
    uint64_t least = UINT64_MAX, most = 0, lost = 0;
    for (int i = 0; i < MANY; i++) {
        uint64_t sent = call_stat(legs[i], VC_STAT_PACKETS_SENT);
        /* A call without a remote address sends nothing until it has learned it. */
        if (i % 2 == 0) continue;
        least = sent < least ? sent : least;
        most = sent > most ? sent : most;
        lost += call_stat(legs[i], VC_STAT_LOST);
    }
    VC_CHECK(least >= 90 && most - least < 30);
    VC_CHECK_EQ(lost, 0);
    vc_shard_profile profile;
    vc_shard_get_profile(shard, &profile);
    uint64_t ticks = 0;
    for (int i = 0; i < VC_SHARD_BUCKETS; i++) ticks += profile.lateness[i];
    VC_CHECK(ticks > 500);
    for (int i = VC_STAGE_RECEIVE; i < VC_STAGE_COUNT; i++) VC_CHECK(profile.units[i] > 0);
    vc_shard_estimate estimate;
    vc_shard_get_estimate(shard, &estimate);
    VC_CHECK_EQ(estimate.calls, MANY);
    VC_CHECK(estimate.load > 0.0 && estimate.us_per_call > 0.0 && estimate.capacity_calls >= 1.0);
    vc_shard_stop(shard);
    for (int i = 0; i < MANY; i++) vc_shard_free(shard, legs[i]);
    vc_shard_destroy(shard);
    VC_CHECK_EQ(heap.live, 0);
}

/* Oracle: the sequence numbers that a plain socket sees are without a gap, whatever happens. */
VC_TEST(a_moved_call_misses_no_packet)
{
    vc_shard_config config = shard_settings();
    vc_shard *shards[2] = {start(&config), start(&config)};
    int far = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in local = {.sin_family = AF_INET};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof local;
    VC_NEED(bind(far, (struct sockaddr *)&local, sizeof local) == 0);
    VC_NEED(getsockname(far, (struct sockaddr *)&local, &bytes) == 0);
    vc_leg *leg = open_leg(shards[0], 1, ntohs(local.sin_port));
    static vc_leg *others[OTHERS];
    open_pairs(shards[0], others, OTHERS);
    int at = 0, moves = 0, seen = 0, gaps = 0, last = -1;
    while (seen < 150 || moves < 20) {
        struct pollfd ready = {.fd = far, .events = POLLIN};
        VC_NEED(poll(&ready, 1, LIMIT_MS) == 1);
        uint8_t packet[256];
        VC_NEED(recv(far, packet, sizeof packet, 0) == 172);
        int sequence = packet[2] << 8 | packet[3];
        gaps += last >= 0 && sequence != ((last + 1) & 0xffff);
        last = sequence;
        if (++seen % 5 == 0 && vc_shard_move(shards[at], leg, shards[!at]) == VC_OK) {
            at = !at;
            moves++;
        }
    }
    VC_CHECK_EQ(gaps, 0);
    /* Closed in the same breath as moved: the new shard tells of it. */
    while (vc_shard_move(shards[at], leg, shards[!at]) != VC_OK) usleep(1000);
    VC_CHECK_OK(vc_shard_close(shards[!at], leg));
    VC_CHECK_EQ(vc_shard_move(shards[!at], leg, shards[at]), VC_E_STATE);
    VC_CHECK(await_closed(shards[!at], 1));
    vc_shard_free(shards[!at], leg);
    /* All the others leave the first shard while they talk. */
    for (int i = 0; i < OTHERS; i++)
        while (vc_shard_move(shards[0], others[i], shards[1]) != VC_OK) usleep(1000);
    run_for(shards[1], 100);
    VC_CHECK_EQ(stat_of(shards[0], VC_SHARD_CALLS), 0);
    VC_CHECK_EQ(stat_of(shards[1], VC_SHARD_CALLS), OTHERS);
    for (int i = 0; i < 2; i++) vc_shard_stop(shards[i]);
    for (int i = 0; i < OTHERS; i++) {
        VC_CHECK_EQ(call_stat(others[i], VC_STAT_LOST), 0);
        vc_shard_free(shards[1], others[i]);
    }
    for (int i = 0; i < 2; i++) vc_shard_destroy(shards[i]);
    close(far);
}

VC_TEST(opening_and_closing_while_others_run)
{
    vc_shard_config config = shard_settings();
    vc_shard *shard = start(&config);
    static vc_leg *legs[MANY];
    open_pairs(shard, legs, MANY);
    for (uint32_t round = 0; round < 30; round++) {
        vc_leg *one = open_leg(shard, 1000 + round, port_of(legs[0]));
        run_for(shard, 3);
        VC_CHECK_OK(vc_shard_close(shard, one));
        VC_CHECK(await_closed(shard, 1000 + round));
        vc_shard_free(shard, one);
    }
    VC_CHECK_EQ(stat_of(shard, VC_SHARD_CALLS), MANY);
    vc_shard_stop(shard);
    for (int i = 0; i < MANY; i++) vc_shard_free(shard, legs[i]);
    vc_shard_destroy(shard);
}

VC_TEST(admission)
{
    vc_shard_config config = shard_settings();
    /* What was not measured counts as 10 us a call: 32 calls are 1.6 % of a core. */
    config.max_load = 0.0161;
    vc_shard *shard = start(&config);
    static vc_leg *legs[VC_SHARD_ALWAYS_ADMITTED];
    for (int i = 0; i < VC_SHARD_ALWAYS_ADMITTED; i++) legs[i] = open_leg(shard, (uint32_t)i, 0);
    vc_leg_config more = {.call = vc_call_config_default(), .local_ip = "127.0.0.1"};
    vc_leg *leg = NULL;
    VC_CHECK_EQ(vc_shard_open(shard, &more, &leg), VC_FULL);
    VC_CHECK(leg == NULL);
    vc_shard_estimate estimate;
    vc_shard_get_estimate(shard, &estimate);
    VC_CHECK(estimate.projected_load > config.max_load);
    vc_shard_stop(shard);
    for (int i = 0; i < VC_SHARD_ALWAYS_ADMITTED; i++) vc_shard_free(shard, legs[i]);
    vc_shard_destroy(shard);
}

VC_TEST(placing_the_thread)
{
    vc_shard *shard = NULL;
    vc_shard_config config = shard_settings();
    config.cpu = 0;
    shard = start(&config);
    run_for(shard, 2);
    vc_shard_destroy(shard);
    config.cpu = 1023; /* no such CPU on any machine that runs this */
    VC_NEED(vc_shard_create(&shard, &config) == VC_OK);
    VC_CHECK_EQ(vc_shard_start(shard), VC_E_SYSTEM);
    VC_CHECK_EQ(errno, EINVAL);
    vc_shard_destroy(shard);
    config.cpu = -2;
    VC_CHECK_EQ(vc_shard_create(&shard, &config), VC_E_RANGE);
    config = shard_settings();
    config.priority = 100;
    VC_CHECK_EQ(vc_shard_create(&shard, &config), VC_E_RANGE);
    config = shard_settings();
    config.max_load = 1.5;
    VC_CHECK_EQ(vc_shard_create(&shard, &config), VC_E_RANGE);
    config = shard_settings();
    config.max_lateness_ms = -1.0;
    VC_CHECK_EQ(vc_shard_create(&shard, &config), VC_E_RANGE);
}

/* Whatever a slot holds, an eighth of what is sent is taken, and one more. */
VC_TEST(a_late_grid_sends_first)
{
    for (size_t calls = 1; calls <= 4096; calls *= 2)
        for (size_t slot = 1; slot <= calls; slot *= 2) {
            VC_CHECK_EQ(vc_shard_most_datagrams(0, 0, calls, slot), VC_SHARD_MOST_DATAGRAMS);
            VC_CHECK_EQ(vc_shard_most_datagrams(0, 1, calls, slot), VC_SHARD_MOST_DATAGRAMS);
            VC_CHECK_EQ(vc_shard_most_datagrams(1, 0, calls, slot), calls);
            VC_CHECK(8 * vc_shard_most_datagrams(1, 1, calls, slot) <= slot + 8);
            VC_CHECK(vc_shard_most_datagrams(1, 1, calls, slot) > slot / 8);
        }
}

/* One packet of the stream that a plain socket sends to the leg. */
static void send_to(int fd, const vc_leg *leg, int number, int payload_type)
{
    uint8_t packet[172] = {0x80, (uint8_t)payload_type, (uint8_t)(number >> 8), (uint8_t)number};
    uint32_t timestamp = htonl((uint32_t)number * 160);
    memcpy(packet + 4, &timestamp, 4);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(leg))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* A report and an event are as long as they say. */
    size_t n = payload_type == 201 ? 8 : payload_type == 101 ? 16 : sizeof packet;
    if (payload_type == 201) packet[2] = 0, packet[3] = 1;
    VC_CHECK_EQ(sendto(fd, packet, n, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)n);
}

/* Oracle: what a plain socket sent: audio with a report and a key press between. Of audio in a row
 * the newest is taken, also where there are just as many datagrams as are read together (16). */
VC_TEST(old_audio_is_shed_and_counted)
{
    vc_shard_config config = shard_settings();
    static const int audios[] = {0, 6, 13, 14, 15, 30, 46, 100};
    for (size_t k = 0; k < sizeof audios / sizeof *audios; k++) {
        const int audio = audios[k];
        vc_shard *shard = start(&config);
        vc_leg *leg = open_leg(shard, 1, 0);
        run_for(shard, 3);
        vc_shard_stop(shard); /* so that this thread may do its work */
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        int sent = 0;
        for (int i = 0; i < audio; i++) {
            if (i == 3) send_to(fd, leg, sent++, 201);
            if (i == 4) send_to(fd, leg, sent++, 101);
            send_to(fd, leg, sent++, 0);
        }
        size_t taken = vc_shard_catch_up(shard, leg, vc_shard_now_ns());
        VC_CHECK_EQ(vc_shard_catch_up(shard, leg, vc_shard_now_ns()), 0); /* none are left */
        vc_call_publish(vc_leg_call(leg));
        uint64_t shed = call_stat(leg, VC_STAT_PACKETS_SHED);
        uint64_t decoded = call_stat(leg, VC_STAT_PACKETS_DECODED);
        uint64_t kept = decoded + call_stat(leg, VC_STAT_PACKETS_HELD);
        VC_CHECK_EQ(call_stat(leg, VC_STAT_PACKETS_RECEIVED), sent);
        VC_CHECK_EQ(taken + shed, sent);
        if (audio) {
            VC_CHECK_EQ(call_stat(leg, VC_STAT_PACKETS_SILENT), 1);
            VC_CHECK_EQ(taken, kept + 2);
            VC_CHECK_EQ(kept, 3); /* before the report, before the key press, the newest */
            VC_CHECK_EQ(kept + shed, audio);
        }
        close(fd);
        vc_shard_free(shard, leg);
        vc_shard_destroy(shard);
    }
}

/* Only what has waited for a second is old: a burst of the network passes whole. */
VC_TEST(a_backlog_is_old_after_a_second)
{
    const int64_t s = VC_NS_PER_S;
    VC_CHECK_EQ(vc_shard_sheds(0, 9 * s), 0);
    VC_CHECK_EQ(vc_shard_sheds(5 * s, 5 * s), 0);
    VC_CHECK_EQ(vc_shard_sheds(5 * s, 6 * s), 0);
    VC_CHECK_EQ(vc_shard_sheds(5 * s, 6 * s + 1), 1);
}

int main(void)
{
    model_8k = vc_test_model(8000);
    model_16k = vc_test_model(16000);
    /* The second time through the raw socket. */
    for (raw_send = 0; raw_send <= vc_test_raw_permitted(); raw_send++) {
        VC_RUN(many_calls_are_spread_and_nothing_is_allocated)
        VC_RUN(a_moved_call_misses_no_packet)
        VC_RUN(opening_and_closing_while_others_run)
    }
    raw_send = 0;
    VC_RUN(admission)
    VC_RUN(a_late_grid_sends_first)
    VC_RUN(old_audio_is_shed_and_counted)
    VC_RUN(a_backlog_is_old_after_a_second)
    VC_RUN(placing_the_thread)
    vc_silero_model_destroy(model_8k);
    vc_silero_model_destroy(model_16k);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
