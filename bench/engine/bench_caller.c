/* The callers of N calls: sends bytes at given times and writes down what comes back, and when.
 * Built and run by barge_in.py.
 *
 *     bench_caller udp|tcp CALLS PLAN LOG TAIL_S FIFO
 *
 * udp: prints "ports ..." (its own) and reads as many ports (the agent's); tcp: prints "ready" and
 * reads one port, to which every call connects. Both then read the start, ns of CLOCK_MONOTONIC.
 *
 * PLAN holds what to send, sorted by time: int64 ns after the start, int32 call, int32 bytes, the
 * bytes. LOG gets what came, alike, with absolute times: of a datagram the kernel's time of arrival
 * (SO_TIMESTAMPNS, brought to CLOCK_MONOTONIC), of a stream the time of the read, which epoll wakes
 * for. LOG.sent gets the int64 time of every sending. It ends TAIL_S after the last sending.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BYTES = 65536, MAX_EVENTS = 64 };
static const int64_t s_ns = 1000000000;

typedef struct record {
    int64_t ns;
    int32_t call, bytes;
} record;

static int *sockets, is_stream;
static size_t call_count;
static FILE *log_file;

static void fail(const char *what)
{
    fprintf(stderr, "bench_caller: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * s_ns + now.tv_nsec;
}

static char *read_plan(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    if (fseek(file, 0, SEEK_END) != 0) fail(path);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *plan = malloc(*bytes + 1);
    if (!plan || fread(plan, 1, *bytes, file) != *bytes) fail(path);
    fclose(file);
    return plan;
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int read_port(void)
{
    int port;
    if (scanf("%d", &port) != 1) fail("ports of the agent");
    return port;
}

static void open_sockets(int epoll)
{
    int one = 1;
    for (size_t i = 0; i < call_count; i++) {
        sockets[i] = socket(AF_INET, is_stream ? SOCK_STREAM : SOCK_DGRAM, 0);
        if (sockets[i] < 0) fail("socket (raise ulimit -n?)");
        struct sockaddr_in local = loopback(0);
        socklen_t bytes = sizeof local;
        if (is_stream) continue;
        if (bind(sockets[i], (struct sockaddr *)&local, sizeof local) < 0 ||
            setsockopt(sockets[i], SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0 ||
            getsockname(sockets[i], (struct sockaddr *)&local, &bytes) < 0)
            fail("socket");
        printf("%s %d", i == 0 ? "ports" : "", ntohs(local.sin_port));
    }
    puts(is_stream ? "ready" : "");
    fflush(stdout);
    int port = 0;
    for (size_t i = 0; i < call_count; i++) {
        if (i == 0 || !is_stream) port = read_port();
        struct sockaddr_in remote = loopback(port);
        if (connect(sockets[i], (struct sockaddr *)&remote, sizeof remote) < 0) fail("connect");
        if (is_stream && setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
            fail("TCP_NODELAY");
        struct epoll_event wanted = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &wanted) < 0) fail("epoll_ctl");
    }
}

/* Takes all that waits in a socket; 0 when a stream has ended. */
static int drain(size_t call)
{
    static char bytes[MAX_BYTES];
    for (;;) {
        _Alignas(struct cmsghdr) char control[64];
        struct iovec vector = {bytes, sizeof bytes};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        ssize_t n = recvmsg(sockets[call], &message, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == ECONNREFUSED)) continue;
        if (n < 0) return errno == EAGAIN;
        if (n == 0 && is_stream) return 0;
        record head = {now_ns(CLOCK_MONOTONIC), (int32_t)call, (int32_t)n};
        struct cmsghdr *one = CMSG_FIRSTHDR(&message);
        if (one && one->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(one), sizeof stamp);
            int64_t age_ns = now_ns(CLOCK_REALTIME) - (stamp.tv_sec * s_ns + stamp.tv_nsec);
            head.ns = now_ns(CLOCK_MONOTONIC) - age_ns;
        }
        if (fwrite(&head, sizeof head, 1, log_file) != 1 ||
            fwrite(bytes, 1, (size_t)n, log_file) != (size_t)n)
            fail("log");
    }
}

static void set_timer(int timer, int64_t at_ns)
{
    struct itimerspec due = {.it_value = {at_ns / s_ns, at_ns % s_ns}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &due, NULL) < 0) fail("timerfd_settime");
}

/* Sends what is due; returns when the next is, or INT64_MAX. */
static int64_t send_due(const char *plan, size_t plan_bytes, size_t *at, int64_t start_ns,
                        FILE *sent)
{
    while (*at < plan_bytes) {
        record head;
        memcpy(&head, plan + *at, sizeof head);
        int64_t now = now_ns(CLOCK_MONOTONIC);
        if (start_ns + head.ns > now) return start_ns + head.ns;
        (void)send(sockets[head.call], plan + *at + sizeof head, (size_t)head.bytes, MSG_NOSIGNAL);
        if (fwrite(&now, sizeof now, 1, sent) != 1) fail("log");
        *at += sizeof head + (size_t)head.bytes;
    }
    return INT64_MAX;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: bench_caller udp|tcp CALLS PLAN LOG TAIL_S FIFO\n");
        return 2;
    }
    is_stream = strcmp(argv[1], "tcp") == 0;
    call_count = (size_t)atol(argv[2]);
    size_t plan_bytes, at = 0;
    char *plan = read_plan(argv[3], &plan_bytes), name[4096];
    int64_t tail_ns = (int64_t)(atof(argv[5]) * 1e9), start_ns;
    snprintf(name, sizeof name, "%s.sent", argv[4]);
    log_file = fopen(argv[4], "wb");
    FILE *sent = fopen(name, "wb");
    if (!log_file || !sent) fail(argv[4]);
    struct sched_param priority = {.sched_priority = 10};
    if (atoi(argv[6]) && sched_setscheduler(0, SCHED_FIFO, &priority) < 0) fail("SCHED_FIFO");
    int epoll = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event wanted = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    sockets = calloc(call_count, sizeof *sockets);
    if (!sockets || epoll < 0 || timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &wanted) < 0)
        fail("set-up");
    open_sockets(epoll);
    if (scanf("%" SCNd64, &start_ns) != 1) fail("start");
    (void)mlockall(MCL_CURRENT);

    int64_t end_ns = INT64_MAX;
    while (now_ns(CLOCK_MONOTONIC) < end_ns) {
        int64_t next_ns = send_due(plan, plan_bytes, &at, start_ns, sent);
        if (next_ns == INT64_MAX && end_ns == INT64_MAX) end_ns = now_ns(CLOCK_MONOTONIC) + tail_ns;
        set_timer(timer, next_ns < end_ns ? next_ns : end_ns);
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            uint64_t expirations, call = events[i].data.u64;
            if (call == UINT64_MAX)
                (void)!read(timer, &expirations, sizeof expirations);
            else if (!drain((size_t)call))
                (void)epoll_ctl(epoll, EPOLL_CTL_DEL, sockets[call], NULL);
        }
    }
    if (fclose(log_file) != 0 || fclose(sent) != 0) fail("log");
    puts("done");
    return 0;
}
