/* The far end of calls that come and go; built and run by rig.py, which makes the sockets.
 *
 *     bench_far CONTENT CPU FIFO
 *
 * Standard input: first the number of calls and their sockets' descriptors, then a command a line:
 *     x I        its socket is emptied, its counters are 0; then the engine may open the call
 *     c I PORT   it begins to send: to that port of 127.0.0.1, on a grid of 20 ms
 *     m I, u I   is silent (no packets, its clock goes on), speaks again; -1: every call
 *     e I        ends
 *     i I        prints what call I has seen
 *     z          forgets the distances so far
 *     d          prints the distances of all calls' packets
 *     q          ends the program
 * CONTENT is a file of content.py. Every answer is a line of JSON. Sequence numbers begin at 65000, timestamps 8000 below the wrap.
 * Arrival times are the kernel's, so delays of this process are not in them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_content.h"

enum { SLOTS = 20, HEADER = 12, BUCKETS = 20000, BUCKET_US = 50 };
static const int64_t slot_ns = 1000000, tick_ns = 20000000, s_ns = 1000000000;

typedef struct far_call {
    int fd, speaks, muted;
    struct sockaddr_in remote;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    size_t position;
    uint64_t sent, send_errors;
    /* what came in */
    int begun;
    uint16_t first_sequence, last_sequence;
    int64_t index, last_ns, most_apart_ns;
    uint64_t received, missing, duplicate, reordered, other;
} far_call;

static far_call *calls;
static size_t call_count;
static bench_content content;
static uint64_t distance[BUCKETS]; /* |distance of two packets - 20 ms| */
static int64_t max_deviation_ns, max_own_late_ns;

static void fail(const char *what)
{
    fprintf(stderr, "bench_far: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * s_ns + now.tv_nsec;
}

static void arrived(far_call *call, const uint8_t *bytes, int64_t at_ns)
{
    uint16_t sequence = (uint16_t)(bytes[2] << 8 | bytes[3]);
    int step = (int16_t)(uint16_t)(sequence - call->last_sequence);
    if (!call->begun) {
        call->begun = 1;
        call->first_sequence = sequence;
    } else if (step <= 0) {
        call->duplicate += step == 0;
        call->reordered += step < 0;
        return;
    } else {
        int64_t apart_ns = at_ns - call->last_ns;
        int64_t away_ns = llabs(apart_ns - step * tick_ns);
        size_t bucket = (size_t)(away_ns / (BUCKET_US * 1000));
        distance[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
        if (away_ns > max_deviation_ns) max_deviation_ns = away_ns;
        if (apart_ns > call->most_apart_ns) call->most_apart_ns = apart_ns;
        call->index += step;
        call->missing += (uint64_t)(step - 1);
    }
    call->received++;
    call->last_sequence = sequence;
    call->last_ns = at_ns;
}

static void drain(far_call *call)
{
    for (;;) {
        uint8_t bytes[2048];
        _Alignas(struct cmsghdr) char control[64];
        struct iovec vector = {bytes, sizeof bytes};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        ssize_t n = recvmsg(call->fd, &message, MSG_DONTWAIT);
        if (n < 0) {
            if (errno == ECONNREFUSED || errno == EINTR) continue;
            return;
        }
        struct cmsghdr *one = CMSG_FIRSTHDR(&message);
        if (!one || one->cmsg_type != SCM_TIMESTAMPNS) continue;
        if (n < HEADER || (bytes[1] & 0x7f) != content.payload_type) { /* RTCP, or no audio */
            call->other++;
            continue;
        }
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(one), sizeof stamp);
        arrived(call, bytes, stamp.tv_sec * s_ns + stamp.tv_nsec);
    }
}

static void send_one(far_call *call)
{
    uint8_t packet[HEADER + CONTENT_MOST_BYTES] = {0x80, (uint8_t)content.payload_type};
    uint16_t sequence = htons(call->sequence);
    uint32_t timestamp = htonl(call->timestamp), ssrc = htonl(call->ssrc);
    call->timestamp += content.ticks;
    if (call->muted) return;
    call->sequence++;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    const bench_packet *next = bench_content_next(&content, &call->position);
    memcpy(packet + HEADER, next->bytes, next->n);
    if (sendto(call->fd, packet, HEADER + next->n, MSG_DONTWAIT,
               (const struct sockaddr *)&call->remote, sizeof call->remote) < 0)
        call->send_errors++;
    else
        call->sent++;
}

/* -- commands -- */

static void begin(far_call *call, int port)
{
    call->remote.sin_family = AF_INET;
    call->remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    call->remote.sin_port = htons((uint16_t)port);
    call->speaks = 1;
}

static void forget(far_call *call)
{
    drain(call); /* of the call before */
    static uint32_t next_ssrc = 1000;
    size_t position = call->position;
    int fd = call->fd;
    memset(call, 0, sizeof *call);
    call->fd = fd;
    call->position = position;
    call->sequence = 65000;
    call->timestamp = (uint32_t)-8000;
    call->ssrc = next_ssrc++;
}

static void inform(size_t i)
{
    far_call *call = &calls[i];
    drain(call);
    printf("{\"call\": %zu, \"sent\": %llu, \"send_errors\": %llu, \"received\": %llu, "
           "\"missing\": %llu, \"duplicate\": %llu, \"reordered\": %llu, \"other\": %llu, "
           "\"begun\": %d, \"index\": %lld, \"first_sequence\": %d, \"most_apart_ms\": %.3f}\n",
           i, (unsigned long long)call->sent, (unsigned long long)call->send_errors,
           (unsigned long long)call->received, (unsigned long long)call->missing,
           (unsigned long long)call->duplicate, (unsigned long long)call->reordered,
           (unsigned long long)call->other, call->begun, (long long)call->index,
           call->first_sequence, (double)call->most_apart_ns / 1e6);
    call->most_apart_ns = 0;
}

static double within_ms(double share)
{
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) total += distance[i];
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += distance[i];
        if (total > 0 && (double)seen >= share * (double)total)
            return (double)((i + 1) * BUCKET_US) / 1000.0;
    }
    return 0.0;
}

static void tell_distances(void)
{
    uint64_t total = 0;
    for (size_t i = 0; i < BUCKETS; i++) total += distance[i];
    printf("{\"distances\": %llu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"p999_ms\": %.2f, "
           "\"max_ms\": %.3f, \"own_late_max_ms\": %.3f}\n",
           (unsigned long long)total, within_ms(0.5), within_ms(0.99), within_ms(0.999),
           (double)max_deviation_ns / 1e6, (double)max_own_late_ns / 1e6);
}

static void each(long i, int muted)
{
    for (size_t k = i < 0 ? 0 : (size_t)i; k < (i < 0 ? call_count : (size_t)i + 1); k++)
        calls[k].muted = muted;
}

/* Whether to go on. */
static int obey(const char *line)
{
    long i = -1, port = 0;
    char what = line[0];
    int given = sscanf(line + 1, "%ld %ld", &i, &port);
    if (i >= (long)call_count ||
        (i < 0 && (what == 'c' || what == 'x' || what == 'e' || what == 'i')))
        return 0;
    switch (what) {
    case 'x': forget(&calls[i]); break;
    case 'c':
        if (given == 2) begin(&calls[i], (int)port);
        break;
    case 'e': calls[i].speaks = 0; break;
    case 'm': each(i, 1); break;
    case 'u': each(i, 0); break;
    case 'i': inform((size_t)i); break;
    case 'z':
        memset(distance, 0, sizeof distance);
        max_deviation_ns = max_own_late_ns = 0;
        break;
    case 'd': tell_distances(); break;
    default: return 0;
    }
    return 1;
}

static int take_commands(void)
{
    static char pending[1 << 16];
    static size_t held;
    ssize_t n = read(0, pending + held, sizeof pending - held - 1);
    if (n == 0) return 0;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    held += (size_t)n;
    pending[held] = 0;
    char *line = pending, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        if (!obey(line)) return 0;
        line = end + 1;
    }
    held -= (size_t)(line - pending);
    memmove(pending, line, held);
    fflush(stdout);
    return held < sizeof pending - 1;
}

/* -- set-up -- */

/* Byte by byte: what follows the line is for take_commands. */
static long read_number(void)
{
    char text[32];
    size_t n = 0;
    while (n < sizeof text - 1 && read(0, text + n, 1) == 1 && text[n] != ' ' && text[n] != '\n')
        n++;
    text[n] = 0;
    return atol(text);
}

static void take_sockets(void)
{
    call_count = (size_t)read_number();
    calls = calloc(call_count, sizeof *calls);
    if (!calls) fail("memory");
    for (size_t i = 0; i < call_count; i++) {
        int one = 1;
        calls[i].fd = (int)read_number();
        calls[i].position = i * 37 % content.count;
        if (setsockopt(calls[i].fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0)
            fail("socket");
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_far CONTENT CPU FIFO\n");
        return 2;
    }
    if (!bench_content_read(&content, argv[1])) fail(argv[1]);
    if (atoi(argv[2]) >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)atoi(argv[2]), &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0) fail("pin");
    }
    struct sched_param priority = {.sched_priority = 10};
    if (atoi(argv[3]) && sched_setscheduler(0, SCHED_FIFO, &priority) < 0) fail("SCHED_FIFO");
    take_sockets();
    printf("{\"ready\": %zu}\n", call_count);
    fflush(stdout);
    if (fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK) < 0) fail("standard input");

    int64_t start_ns = now_ns() + slot_ns;
    for (int64_t k = 0;; k++) {
        int64_t due_ns = start_ns + k * slot_ns;
        struct timespec due = {due_ns / s_ns, due_ns % s_ns};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) continue;
        int64_t late_ns = now_ns() - due_ns;
        if (late_ns > max_own_late_ns) max_own_late_ns = late_ns;
        for (size_t i = (size_t)(k % SLOTS); i < call_count; i += SLOTS) {
            if (calls[i].speaks) send_one(&calls[i]);
            drain(&calls[i]);
        }
        if (!take_commands()) return 0;
    }
}
