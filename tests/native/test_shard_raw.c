/* vc_shard_raw: what is on the wire, byte for byte beside what a socket writes; what arrives; what
 * happens to packets that fail; the shard that sends with it. Oracles: a UDP socket with the same
 * ports and payload, RFC 1071's sum byte by byte, a plain socket at the other end. Without
 * CAP_NET_RAW all there is to check is the refusal. */
#define _GNU_SOURCE
#include "engine/vc_shard_raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/vc_shard.h"
#include "vc_test_model.h"
#include "vc_test_raw.h"

enum { TOS = 0xb8, LIMIT_MS = 10000, HEADER = VC_SHARD_RAW_HEADER_BYTES };

/* -- the system, which can be made to refuse, and whose clock to run ahead -- */

static _Atomic int64_t step_ns, ahead_ns; /* at each look */

int clock_gettime(clockid_t id, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, id, now);
    int64_t ns = now->tv_nsec + (ahead_ns += step_ns);
    now->tv_sec += ns / VC_NS_PER_S;
    now->tv_nsec = ns % VC_NS_PER_S;
    return status;
}

/* Before call k sends, plan[k]: > 0: so many packets at most; < 0: that errno; 0: all. */
static int plan[64];
static _Atomic int planned, made, most, always_fails; /* most: packets in a call; an errno */

/* Packets for which the system was told another source than stands in them; and for how many the
 * packet told it. */
static _Atomic int misnamed, named;

static void look_at(int fd, const struct msghdr *message)
{
    struct sockaddr_in bound;
    socklen_t bytes = sizeof bound;
    int failed = getsockname(fd, (struct sockaddr *)&bound, &bytes);
    struct in_addr told = bound.sin_addr;
    struct cmsghdr *option = CMSG_FIRSTHDR(message);
    if (option && option->cmsg_level == IPPROTO_IP && option->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(option), sizeof info);
        told = info.ipi_spec_dst;
        named++;
    }
    const uint8_t *packet = message->msg_iov->iov_base;
    if (failed || memcmp(packet + 12, &told, sizeof told) != 0) misnamed++;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    if ((int)n > most) most = (int)n;
    for (unsigned i = 0; i < n; i++) look_at(fd, &messages[i].msg_hdr);
    int k = made++, order = k < planned ? plan[k] : -always_fails;
    if (order < 0) {
        errno = -order;
        return -1;
    }
    if (order > 0 && (unsigned)order < n) n = (unsigned)order;
    return (int)syscall(SYS_sendmmsg, fd, messages, n, flags);
}

static void expect(const int *orders, int n)
{
    for (int i = 0; i < n; i++) plan[i] = orders[i];
    made = 0;
    planned = n;
}

/* -- sockets -- */

static struct sockaddr_in address(const char *ip, int port)
{
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    VC_NEED(inet_pton(AF_INET, ip, &found.sin_addr) == 1);
    return found;
}

/* A UDP socket; *local is where. */
static int bound(const char *ip, struct sockaddr_in *local)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), tos = TOS;
    socklen_t bytes = sizeof *local;
    *local = address(ip, 0);
    VC_NEED(fd >= 0 && bind(fd, (struct sockaddr *)local, sizeof *local) == 0);
    VC_NEED(getsockname(fd, (struct sockaddr *)local, &bytes) == 0);
    VC_NEED(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
    return fd;
}

static size_t take(int fd, uint8_t *bytes, size_t room, struct sockaddr_in *from)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    socklen_t from_bytes = sizeof *from;
    VC_NEED(poll(&ready, 1, LIMIT_MS) == 1);
    ssize_t n = recvfrom(fd, bytes, room, 0, (struct sockaddr *)from, &from_bytes);
    VC_NEED(n >= 0);
    return (size_t)n;
}

static vc_shard_raw *create(void)
{
    vc_shard_raw *raw = NULL;
    VC_NEED(vc_shard_raw_create(&raw, TOS, NULL) == VC_OK);
    return raw;
}

static void fill(uint8_t *bytes, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)vc_test_random(&seed);
}

static vc_status add(vc_shard_raw *raw, const struct sockaddr_in *from,
                     const struct sockaddr_in *to, size_t n, uint32_t number)
{
    uint8_t *payload = vc_shard_raw_room(raw);
    if (!payload) return VC_FULL;
    VC_CHECK_EQ((uintptr_t)payload % 64, 0);
    fill(payload, n, number + 1);
    return vc_shard_raw_add(raw, from, to, n, (void *)(uintptr_t)number);
}

/* -- on the wire -- */

/* The loopback interface as others see it: packets that come in. */
static int open_wire(void)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(0x0800));
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0800)};
    where.sll_ifindex = (int)if_nametoindex("lo");
    VC_NEED(fd >= 0 && bind(fd, (struct sockaddr *)&where, sizeof where) == 0);
    return fd;
}

/* The next packet to that port, whoever else sends. */
static size_t see(int wire, in_port_t port, uint8_t *packet, size_t room)
{
    for (;;) {
        struct pollfd ready = {.fd = wire, .events = POLLIN};
        VC_NEED(poll(&ready, 1, LIMIT_MS) == 1);
        ssize_t n = recv(wire, packet, room, 0);
        if (n >= HEADER && packet[9] == 17 && memcmp(packet + 22, &port, 2) == 0) return (size_t)n;
    }
}

VC_TEST(the_wire_sees_what_a_socket_would_write)
{
    vc_shard_raw *raw = create();
    struct sockaddr_in from, to;
    int own = bound("127.0.0.1", &from), far = bound("127.0.0.1", &to), wire = open_wire();
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 12, 63, 64, 65, 171, 172, 652, 1000};
    for (size_t i = 0; i <= sizeof lengths / sizeof *lengths; i++) {
        size_t n = i < sizeof lengths / sizeof *lengths ? lengths[i] : VC_SHARD_RAW_MAX_BYTES;
        static uint8_t payload[2000], seen[2][2000];
        const vc_shard_raw_sent *sent;
        fill(payload, n, (uint32_t)i + 1);
        VC_NEED(sendto(own, payload, n, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)n);
        VC_CHECK_EQ(see(wire, to.sin_port, seen[0], sizeof seen[0]), HEADER + n);
        VC_CHECK_OK(add(raw, &from, &to, n, (uint32_t)i));
        VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), 1);
        VC_CHECK_EQ(sent[0].error, 0);
        VC_CHECK_EQ(see(wire, to.sin_port, seen[1], sizeof seen[1]), HEADER + n);
        VC_CHECK_EQ(seen[1][1], TOS);
        /* All but the identification, and the sums over it and of what the socket leaves to the
         * interface. */
        static const struct {
            size_t at, n;
        } same[] = {{0, 4}, {6, 4}, {12, 14}};
        for (size_t k = 0; k < 3; k++)
            VC_CHECK(memcmp(seen[0] + same[k].at, seen[1] + same[k].at, same[k].n) == 0);
        VC_CHECK(memcmp(seen[1] + HEADER, payload, n) == 0);
        VC_CHECK_EQ(vc_test_sum(seen[1], 20, 0), 0xffff);
        VC_CHECK_EQ(vc_test_udp_sum(seen[1], HEADER + n), 0xffff);
        VC_CHECK(seen[1][26] != 0 || seen[1][27] != 0);
    }
    close(own);
    close(far);
    close(wire);
    vc_shard_raw_destroy(raw);
}

/* RFC 768: a sum of nought is sent as all ones. */
VC_TEST(a_sum_of_nought_is_sent_as_all_ones)
{
    vc_shard_raw *raw = create();
    struct sockaddr_in from, to;
    int own = bound("127.0.0.1", &from), far = bound("127.0.0.1", &to), wire = open_wire();
    uint8_t seen[64];
    const vc_shard_raw_sent *sent;
    uint8_t *payload = vc_shard_raw_room(raw);
    memset(payload, 0, 4);
    VC_CHECK_OK(vc_shard_raw_add(raw, &from, &to, 4, NULL));
    VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), 1);
    (void)see(wire, to.sin_port, seen, sizeof seen);
    /* The checksum itself as payload makes the rest's sum all ones. */
    payload = vc_shard_raw_room(raw);
    memcpy(payload, (uint8_t[]){seen[26], seen[27], 0, 0}, 4);
    VC_CHECK_OK(vc_shard_raw_add(raw, &from, &to, 4, NULL));
    VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), 1);
    (void)see(wire, to.sin_port, seen, sizeof seen);
    VC_CHECK_EQ(seen[26] << 8 | seen[27], 0xffff);
    struct sockaddr_in who;
    VC_CHECK_EQ(take(far, seen, sizeof seen, &who), 4);
    VC_CHECK_EQ(take(far, seen, sizeof seen, &who), 4); /* the kernel takes it for right */
    close(own);
    close(far);
    close(wire);
    vc_shard_raw_destroy(raw);
}

/* -- what arrives -- */

VC_TEST(packets_arrive_in_order_over_many_flushes)
{
    enum { SOURCES = 3, PACKETS = 1000 };
    vc_test_heap heap = {.fail_at = -1};
    vc_allocator hooks = vc_test_allocator(&heap);
    vc_shard_raw *raw = NULL;
    VC_NEED(vc_shard_raw_create(&raw, TOS, &hooks) == VC_OK);
    long before = heap.total;
    struct sockaddr_in from[SOURCES], to;
    int own[SOURCES], far = bound("127.0.0.1", &to);
    for (int i = 0; i < SOURCES; i++) own[i] = bound(i == 1 ? "127.0.0.2" : "127.0.0.1", &from[i]);
    const vc_shard_raw_sent *sent;
    struct sockaddr_in source;
    for (int i = 0; i < SOURCES; i++) /* the first one becomes the raw socket's */
        VC_CHECK_OK(vc_shard_raw_route(raw, &from[i], &to, &source));
    VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), 0);
    uint32_t seed = 7, begun = 0;
    misnamed = named = 0;
    for (uint32_t i = 0; i <= PACKETS; i++) {
        /* Longest ones too, of which fewer than 64 fit. */
        size_t n = i % 97 < 40 ? VC_SHARD_RAW_MAX_BYTES : 12 + i % 500;
        vc_status status = i < PACKETS ? add(raw, &from[i % SOURCES], &to, n, i) : VC_FULL;
        if (status == VC_OK && vc_test_random(&seed) % 50) continue;
        if (status == VC_OK) i++;
        size_t count = vc_shard_raw_flush(raw, &sent);
        VC_CHECK_EQ(count, i - begun);
        VC_CHECK(count <= VC_SHARD_RAW_PACKETS);
        for (uint32_t k = begun; k < i; k++) {
            uint8_t bytes[2000], wanted[2000];
            struct sockaddr_in who;
            size_t length = k % 97 < 40 ? VC_SHARD_RAW_MAX_BYTES : 12 + k % 500;
            fill(wanted, length, k + 1);
            VC_CHECK_EQ(sent[k - begun].error, 0);
            VC_CHECK_EQ((uintptr_t)sent[k - begun].tag, k);
            VC_CHECK_EQ(sent[k - begun].n, length);
            VC_CHECK(memcmp(sent[k - begun].payload, wanted, length) == 0);
            VC_CHECK_EQ(take(far, bytes, sizeof bytes, &who), length);
            VC_CHECK(memcmp(bytes, wanted, length) == 0);
            VC_CHECK_EQ(who.sin_port, from[k % SOURCES].sin_port);
            VC_CHECK_EQ(who.sin_addr.s_addr, from[k % SOURCES].sin_addr.s_addr);
        }
        begun = i;
        if (i < PACKETS) i--; /* the one that there was no room for, or the next */
    }
    VC_CHECK_EQ(begun, PACKETS);
    VC_CHECK_EQ(misnamed, 0);
    VC_CHECK_EQ(named, PACKETS / SOURCES); /* those of 127.0.0.2 */
    VC_CHECK_EQ(heap.total, before);
    for (int i = 0; i < SOURCES; i++) close(own[i]);
    close(far);
    vc_shard_raw_destroy(raw);
    VC_CHECK_EQ(heap.live, 0);
}

VC_TEST(room_and_lengths)
{
    vc_shard_raw *raw = create();
    struct sockaddr_in to = address("127.0.0.1", 9);
    const vc_shard_raw_sent *sent;
    VC_CHECK_EQ(vc_shard_raw_add(raw, &to, &to, VC_SHARD_RAW_MAX_BYTES + 1, NULL), VC_E_LENGTH);
    VC_CHECK_EQ(vc_shard_raw_add(raw, NULL, &to, 1, NULL), VC_E_NULL);
    for (uint32_t i = 0; i < VC_SHARD_RAW_PACKETS; i++) VC_CHECK_OK(add(raw, &to, &to, 172, i));
    VC_CHECK(vc_shard_raw_room(raw) == NULL);
    VC_CHECK_EQ(vc_shard_raw_add(raw, &to, &to, 1, NULL), VC_FULL);
    VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), VC_SHARD_RAW_PACKETS);
    VC_CHECK(vc_shard_raw_room(raw) != NULL);
    vc_shard_raw_destroy(raw);
    vc_shard_raw_destroy(NULL);
    VC_CHECK_EQ(vc_shard_raw_create(NULL, 0, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_shard_raw_create(&raw, 256, NULL), VC_E_RANGE);
    vc_test_heap heap = {.fail_at = 0};
    vc_allocator hooks = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_shard_raw_create(&raw, TOS, &hooks), VC_E_MEMORY);
}

/* -- what fails -- */

/* Six packets to `to`, but the third to a broadcast address, which is not permitted. */
static size_t send_six(vc_shard_raw *raw, const struct sockaddr_in *from,
                       const struct sockaddr_in *to, const vc_shard_raw_sent **sent)
{
    struct sockaddr_in all = address("127.255.255.255", 5000);
    for (uint32_t i = 0; i < 6; i++) VC_CHECK_OK(add(raw, from, i == 2 ? &all : to, 100, i));
    return vc_shard_raw_flush(raw, sent);
}

VC_TEST(one_that_fails_does_not_keep_back_the_others)
{
    vc_shard_raw *raw = create();
    struct sockaddr_in from, to, closed, who;
    int own = bound("127.0.0.1", &from), far = bound("127.0.0.1", &to);
    const vc_shard_raw_sent *sent;
    uint8_t bytes[200], wanted[100];
    /* What the calls say, what becomes of the six, and how many arrive. EACCES is
     * the kernel's own word. */
    static const struct {
        int orders[6], n, errors[6], arrive;
    } cases[] = {
        {{0}, 1, {0, 0, EACCES, 0, 0, 0}, 5},
        {{1, 1, 0}, 3, {0, 0, EACCES, 0, 0, 0}, 5},
        {{-EINTR, 1, -EINTR, 0}, 4, {0, 0, EACCES, 0, 0, 0}, 5},
        {{-EMSGSIZE, 0}, 2, {EMSGSIZE, 0, EACCES, 0, 0, 0}, 4},
        {{1, -EPERM, 0}, 3, {0, EPERM, EACCES, 0, 0, 0}, 4},
        {{2, 0, 2, -EAGAIN}, 4, {0, 0, EACCES, 0, 0, EAGAIN}, 4},
        {{2, -EAGAIN}, 2, {0, 0, EAGAIN, EAGAIN, EAGAIN, EAGAIN}, 2},
        {{-EAGAIN}, 1, {EAGAIN, EAGAIN, EAGAIN, EAGAIN, EAGAIN, EAGAIN}, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        expect(cases[c].orders, cases[c].n);
        VC_CHECK_EQ(send_six(raw, &from, &to, &sent), 6);
        int arrived = 0;
        for (uint32_t i = 0; i < 6; i++) {
            VC_CHECK_EQ(sent[i].error, cases[c].errors[i]);
            VC_CHECK_EQ((uintptr_t)sent[i].tag, i);
            if (sent[i].error) continue;
            fill(wanted, sizeof wanted, i + 1);
            VC_CHECK_EQ(take(far, bytes, sizeof bytes, &who), 100);
            VC_CHECK(memcmp(bytes, wanted, 100) == 0);
            arrived++;
        }
        VC_CHECK_EQ(arrived, cases[c].arrive);
    }
    expect(NULL, 0);
    /* A closed port: the ICMP error is for the socket whose port the packet names. */
    close(bound("127.0.0.1", &closed));
    int one = 1;
    VC_NEED(setsockopt(own, IPPROTO_IP, IP_RECVERR, &one, sizeof one) == 0);
    for (int round = 0; round < 3; round++) {
        VC_CHECK_OK(add(raw, &from, &closed, 50, 0));
        VC_CHECK_OK(add(raw, &from, &to, 50, 1));
        VC_CHECK_EQ(vc_shard_raw_flush(raw, &sent), 2);
        VC_CHECK(sent[0].error == 0 && sent[1].error == 0);
        VC_CHECK_EQ(take(far, bytes, sizeof bytes, &who), 50);
        struct pollfd told = {.fd = own};
        VC_CHECK_EQ(poll(&told, 1, LIMIT_MS), 1);
        VC_CHECK(recv(own, bytes, sizeof bytes, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED);
        VC_CHECK(recv(own, bytes, sizeof bytes, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
    }
    VC_CHECK(recv(far, bytes, sizeof bytes, MSG_DONTWAIT) < 0);
    close(own);
    close(far);
    vc_shard_raw_destroy(raw);
}

/* Oracle: a new socket that is connected there. */
VC_TEST(the_source_behind_a_wildcard_is_the_routes)
{
    vc_shard_raw *raw = create();
    static const char *const remotes[] = {"127.0.0.1", "192.0.2.7", "127.0.0.9", "198.51.100.1"};
    struct sockaddr_in any = address("0.0.0.0", 4000), given = address("127.0.0.3", 4000);
    for (int round = 0; round < 8; round++) {
        struct sockaddr_in to = address(remotes[round % 4], 5000), source, wanted;
        socklen_t bytes = sizeof wanted;
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        int reachable = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
        VC_NEED(getsockname(fd, (struct sockaddr *)&wanted, &bytes) == 0);
        close(fd);
        vc_status status = vc_shard_raw_route(raw, &any, &to, &source);
        VC_CHECK_EQ(status, reachable ? VC_OK : VC_E_SYSTEM);
        if (status == VC_OK) {
            VC_CHECK_EQ(source.sin_addr.s_addr, wanted.sin_addr.s_addr);
            VC_CHECK_EQ(source.sin_port, htons(4000));
        }
        VC_CHECK_OK(vc_shard_raw_route(raw, &given, &to, &source));
        VC_CHECK_EQ(source.sin_addr.s_addr, given.sin_addr.s_addr);
    }
    static const char *const others[] = {"0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3"};
    for (int i = 0; i < 4; i++) {
        struct sockaddr_in to = address(others[i], 5000), source;
        VC_CHECK_EQ(vc_shard_raw_route(raw, &given, &to, &source), VC_IGNORED);
    }
    struct sockaddr_in v6 = {.sin_family = AF_INET6}, source;
    VC_CHECK_EQ(vc_shard_raw_route(raw, &v6, &given, &source), VC_IGNORED);
    vc_shard_raw_destroy(raw);
}

/* -- the shard -- */

static vc_silero_model *model_8k, *model_16k;

static vc_shard_config shard_settings(void)
{
    vc_shard_config config = vc_shard_config_default();
    config.model_8k = model_8k;
    config.model_16k = model_16k;
    config.raw_send = 1;
    return config;
}

static vc_leg *open_leg(vc_shard *shard, const char *local, const struct sockaddr_in *remote)
{
    char ip[64];
    VC_NEED(inet_ntop(AF_INET, &remote->sin_addr, ip, sizeof ip) != NULL);
    vc_leg_config config = {.call = vc_call_config_default(), .local_ip = local};
    config.call.play_hz = 8000;
    config.call.rtp_timeout_ms = 0;
    config.remote_ip = ip;
    config.remote_port = ntohs(remote->sin_port);
    vc_leg *leg = NULL;
    VC_NEED(vc_shard_open(shard, &config, &leg) == VC_OK);
    return leg;
}

/* So many packets come without a gap, from the leg's own port. */
static void follow(int far, vc_leg *leg, int packets)
{
    char ip[64];
    int port, last = -1;
    vc_leg_local(leg, ip, sizeof ip, &port);
    for (int i = 0; i < packets; i++) {
        uint8_t packet[256];
        struct sockaddr_in who;
        VC_NEED(take(far, packet, sizeof packet, &who) == 172);
        int sequence = packet[2] << 8 | packet[3];
        if (last >= 0) VC_CHECK_EQ(sequence, (last + 1) & 0xffff);
        last = sequence;
        VC_CHECK_EQ(ntohs(who.sin_port), port);
        VC_CHECK_EQ(who.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    }
}

VC_TEST(a_shard_sends_whatever_the_raw_socket_says)
{
    vc_shard_config config = shard_settings();
    vc_shard *shard = NULL;
    VC_NEED(vc_shard_create(&shard, &config) == VC_OK && vc_shard_start(shard) == VC_OK);
    struct sockaddr_in to[2], nowhere = address("255.255.255.255", 9);
    int far[2] = {bound("127.0.0.1", &to[0]), bound("127.0.0.1", &to[1])};
    made = 0;
    vc_leg *legs[3] = {open_leg(shard, "127.0.0.1", &to[0]), open_leg(shard, "0.0.0.0", &to[1]),
                       open_leg(shard, "127.0.0.1", &nowhere)};
    int before = 0;
    static const int failures[] = {0, EAGAIN, EMSGSIZE, 0, EPERM};
    for (int i = 0; i < 5; i++) {
        always_fails = failures[i];
        before = made;
        for (int k = 0; k < 2; k++) follow(far[k], legs[k], 20);
        VC_CHECK(made > before);
    }
    always_fails = 0;
    VC_CHECK_EQ(misnamed, 0);
    vc_shard_stop(shard);
    uint64_t stats[VC_STAT_COUNT];
    for (int k = 0; k < 2; k++) {
        uint8_t packet[256];
        uint64_t received = 100;
        while (recv(far[k], packet, sizeof packet, MSG_DONTWAIT) > 0) received++;
        vc_call_get_stats(vc_leg_call(legs[k]), stats);
        VC_CHECK_EQ(stats[VC_STAT_PACKETS_SENT], received);
        VC_CHECK_EQ(stats[VC_STAT_SEND_ERRORS], 0);
    }
    /* Broadcast goes by the call's own socket, which may not. */
    vc_call_get_stats(vc_leg_call(legs[2]), stats);
    VC_CHECK_EQ(stats[VC_STAT_PACKETS_SENT], 0);
    VC_CHECK(stats[VC_STAT_SEND_ERRORS] >= 90);
    for (int k = 0; k < 3; k++) vc_shard_free(shard, legs[k]);
    vc_shard_destroy(shard);
    close(far[0]);
    close(far[1]);
}

/* A slot's packets leave together, but none waits for more than 0.5 ms of other calls' work: with
 * a clock that is 0.3 ms later at each look, three. */
VC_TEST(no_packet_waits_long_for_others)
{
    enum { CALLS = 8 };
    vc_shard_config config = shard_settings();
    vc_shard *shard = NULL;
    VC_NEED(vc_shard_create(&shard, &config) == VC_OK && vc_shard_start(shard) == VC_OK);
    struct sockaddr_in to = address("127.0.0.1", 9);
    vc_leg *legs[CALLS];
    for (int i = 0; i < CALLS; i++) legs[i] = open_leg(shard, "127.0.0.1", &to);
    most = 0;
    for (int ms = 0; ms < LIMIT_MS && most < CALLS; ms++) usleep(1000);
    VC_CHECK_EQ(most, CALLS);
    step_ns = 300000;
    for (int round = 0; round < 2; round++) {
        /* The first time round a batch may have begun before. */
        int before = made;
        for (int ms = 0; ms < LIMIT_MS && made < before + 40; ms++) usleep(1000);
        VC_CHECK(made >= before + 40);
        if (round == 0) most = 0;
    }
    VC_CHECK_EQ(most, 3);
    step_ns = 0;
    vc_shard_stop(shard);
    for (int i = 0; i < CALLS; i++) vc_shard_free(shard, legs[i]);
    vc_shard_destroy(shard);
    ahead_ns = 0;
}

/* -- without the capability -- */

/* 0: refused as it should be, and nothing was left open. */
static int refused(void)
{
    vc_shard_raw *raw = NULL;
    vc_shard *shard = NULL;
    vc_shard_config config = shard_settings();
    int lowest = dup(0);
    close(lowest);
    errno = 0;
    if (vc_shard_raw_create(&raw, TOS, NULL) != VC_E_SYSTEM || errno != EPERM || raw) return 1;
    errno = 0;
    if (vc_shard_create(&shard, &config) != VC_E_SYSTEM || errno != EPERM || shard) return 2;
    int after = dup(0);
    close(after);
    if (after != lowest) return 3;
    config.raw_send = 2;
    return vc_shard_create(&shard, &config) == VC_E_RANGE ? 0 : 4;
}

VC_TEST(without_the_capability_it_is_refused)
{
    pid_t child = fork();
    VC_NEED(child >= 0);
    if (child == 0) {
        /* Another user has none of root's capabilities. */
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(9);
        _exit(vc_test_raw_permitted() ? 8 : refused());
    }
    int status = -1;
    VC_CHECK_EQ(waitpid(child, &status, 0), child);
    VC_CHECK_EQ(status, 0);
}

VC_TEST(a_forked_child_closes_its_copies)
{
    int before = dup(0);
    close(before);
    vc_shard_raw *raw = create();
    pid_t child = fork();
    VC_NEED(child >= 0);
    if (child == 0) {
        vc_shard_raw_abandon(raw);
        vc_shard_raw_abandon(NULL);
        _exit(dup(0) == before ? 0 : 1);
    }
    int status = -1;
    VC_CHECK_EQ(waitpid(child, &status, 0), child);
    VC_CHECK_EQ(status, 0);
    vc_shard_raw_destroy(raw);
    int after = dup(0);
    close(after);
    VC_CHECK_EQ(after, before);
}

int main(void)
{
    model_8k = vc_test_model(8000);
    model_16k = vc_test_model(16000);
    VC_RUN(without_the_capability_it_is_refused)
    if (vc_test_raw_permitted()) {
        VC_RUN(the_wire_sees_what_a_socket_would_write)
        VC_RUN(a_sum_of_nought_is_sent_as_all_ones)
        VC_RUN(packets_arrive_in_order_over_many_flushes)
        VC_RUN(room_and_lengths)
        VC_RUN(one_that_fails_does_not_keep_back_the_others)
        VC_RUN(the_source_behind_a_wildcard_is_the_routes)
        VC_RUN(a_forked_child_closes_its_copies)
        VC_RUN(a_shard_sends_whatever_the_raw_socket_says)
        VC_RUN(no_packet_waits_long_for_others)
    } else {
        printf("  no CAP_NET_RAW: the refusal is all there is to check\n");
    }
    vc_silero_model_destroy(model_8k);
    vc_silero_model_destroy(model_16k);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0 || vc_test_checks == 0;
}
