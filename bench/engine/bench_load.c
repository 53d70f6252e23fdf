/* The far end of N calls: sends and receives real RTP on loopback; built and run by capacity.py.
 *
 *     bench_load CALLS CONTENT WARM_UP_S SECONDS CPU FIFO START_S
 *
 * Prints "ports ..." (its own), reads as many ports (the engine's) from standard input, prints
 * "measuring" after the warm-up and one JSON object at the end. CONTENT is a file of content.py, in
 * which every call starts elsewhere. The callers begin one after another within START_S, as calls
 * do, and their packets are spread over the 20 ms; each call keeps an absolute grid. Arrival times
 * are the kernel's (SO_TIMESTAMPNS), so this process's own delays are not in them; it only has to
 * empty the sockets in time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_content.h"

enum { SLOTS = 20, HEADER = 12, BUCKETS = 2000, BUCKET_US = 50, CENTRE = 1000 };
static const int64_t slot_ns = 1000000, tick_ns = 20000000, s_ns = 1000000000;

typedef struct far_call {
    int fd;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    size_t position; /* in the content, packets */
    /* what came in */
    int begun;
    uint16_t last_sequence;
    int64_t last_ns, first_ns, first_index, index;
    uint64_t received, missing, duplicate;
    uint32_t *gap;   /* BUCKETS: packet distance minus 20 ms, signed around CENTRE */
    uint32_t *place; /* BUCKETS: against a grid through the first packet, signed around CENTRE */
    int64_t max_gap_ns, earliest_ns, latest_ns;
} far_call;

static far_call *calls;
static size_t call_count;
static bench_content content;
static int measuring;
static uint64_t sent, send_errors;

static void fail(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * s_ns + now.tv_nsec;
}

static void put(uint32_t *histogram, int64_t ns)
{
    int64_t bucket = CENTRE + (ns >= 0 ? ns : ns - BUCKET_US * 1000 + 1) / (BUCKET_US * 1000);
    if (bucket < 0) bucket = 0;
    if (bucket >= BUCKETS) bucket = BUCKETS - 1;
    histogram[bucket]++;
}

static void arrived(far_call *call, uint16_t sequence, int64_t at_ns)
{
    int step = (int16_t)(uint16_t)(sequence - call->last_sequence);
    if (call->begun && step <= 0) {
        call->duplicate += measuring != 0;
        return;
    }
    if (call->begun) call->index += step;
    if (call->begun && measuring) {
        call->received++;
        if (call->first_ns == 0) {
            call->first_ns = at_ns;
            call->first_index = call->index;
        } else {
            call->missing += (uint64_t)(step - 1);
            if (step == 1) {
                int64_t gap_ns = at_ns - call->last_ns - tick_ns;
                put(call->gap, gap_ns);
                if (llabs(gap_ns) > call->max_gap_ns) call->max_gap_ns = llabs(gap_ns);
            }
        }
        int64_t place_ns = at_ns - call->first_ns - (call->index - call->first_index) * tick_ns;
        put(call->place, place_ns);
        if (place_ns < call->earliest_ns) call->earliest_ns = place_ns;
        if (place_ns > call->latest_ns) call->latest_ns = place_ns;
    }
    call->begun = 1;
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
        if (n < HEADER || !one || one->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(one), sizeof stamp);
        arrived(call, (uint16_t)(bytes[2] << 8 | bytes[3]), stamp.tv_sec * s_ns + stamp.tv_nsec);
    }
}

static void send_one(far_call *call)
{
    uint8_t packet[HEADER + CONTENT_MOST_BYTES] = {0x80, (uint8_t)content.payload_type};
    const bench_packet *next = bench_content_next(&content, &call->position);
    uint16_t sequence = htons(call->sequence++);
    uint32_t timestamp = htonl(call->timestamp), ssrc = htonl(call->ssrc);
    call->timestamp += content.ticks;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    memcpy(packet + HEADER, next->bytes, next->n);
    if (send(call->fd, packet, HEADER + next->n, MSG_DONTWAIT) < 0)
        send_errors++;
    else
        sent += measuring != 0;
}

/* -- what was seen -- */

/* The least value of |bucket| (or of the bucket above `zero`) that a share of the counts is within.
 */
static double percentile_ms(const uint64_t *magnitudes, size_t n, double share)
{
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < n; i++) total += magnitudes[i];
    for (size_t i = 0; i < n; i++) {
        seen += magnitudes[i];
        if (total > 0 && (double)seen >= share * (double)total)
            return (double)((i + 1) * BUCKET_US) / 1000.0;
    }
    return 0.0;
}

static void fold(uint64_t *magnitudes, const uint32_t *histogram, int64_t zero)
{
    for (int64_t i = 0; i < BUCKETS; i++) {
        int64_t away = i >= zero ? i - zero : zero - 1 - i;
        if (away >= BUCKETS) away = BUCKETS - 1;
        magnitudes[away] += histogram[i];
    }
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void report(double seconds, int64_t cpu_ns, int64_t most_late_ns, uint64_t late_slots)
{
    static uint64_t gaps[BUCKETS], places[BUCKETS], own[BUCKETS];
    uint64_t received = 0, missing = 0, duplicate = 0, silent = 0;
    int64_t max_gap_ns = 0, max_late_ns = 0;
    double *worst = calloc(call_count, sizeof *worst);
    if (!worst) fail("memory");
    for (size_t i = 0; i < call_count; i++) {
        far_call *call = &calls[i];
        received += call->received;
        missing += call->missing;
        duplicate += call->duplicate;
        silent += call->received == 0;
        fold(gaps, call->gap, CENTRE);
        /* The earliest packet says where the call's grid is. */
        int64_t zero = CENTRE + call->earliest_ns / (BUCKET_US * 1000) - 1;
        fold(places, call->place, zero < 0 ? 0 : zero);
        if (call->max_gap_ns > max_gap_ns) max_gap_ns = call->max_gap_ns;
        if (call->latest_ns - call->earliest_ns > max_late_ns)
            max_late_ns = call->latest_ns - call->earliest_ns;
        memset(own, 0, sizeof own);
        fold(own, call->gap, CENTRE);
        worst[i] = percentile_ms(own, BUCKETS, 0.999);
    }
    qsort(worst, call_count, sizeof *worst, descending);
    printf("{\"seconds\": %.3f, \"sent\": %llu, \"send_errors\": %llu, \"received\": %llu, "
           "\"missing\": %llu, \"duplicate\": %llu, \"silent_calls\": %llu, ",
           seconds, (unsigned long long)sent, (unsigned long long)send_errors,
           (unsigned long long)received, (unsigned long long)missing, (unsigned long long)duplicate,
           (unsigned long long)silent);
    printf("\"deviation_ms_p50\": %.2f, \"deviation_ms_p99\": %.2f, \"deviation_ms_p999\": %.2f, "
           "\"deviation_ms_max\": %.3f, \"deviation_ms_p999_worst_call\": %.2f, ",
           percentile_ms(gaps, BUCKETS, 0.5), percentile_ms(gaps, BUCKETS, 0.99),
           percentile_ms(gaps, BUCKETS, 0.999), (double)max_gap_ns / 1e6, worst[0]);
    printf("\"late_ms_p50\": %.2f, \"late_ms_p99\": %.2f, \"late_ms_p999\": %.2f, "
           "\"late_ms_max\": %.3f, ",
           percentile_ms(places, BUCKETS, 0.5), percentile_ms(places, BUCKETS, 0.99),
           percentile_ms(places, BUCKETS, 0.999), (double)max_late_ns / 1e6);
    printf("\"load_core_share\": %.3f, \"load_late_slots\": %llu, \"load_late_ms_max\": %.3f}\n",
           (double)cpu_ns / 1e9 / seconds, (unsigned long long)late_slots,
           (double)most_late_ns / 1e6);
    free(worst);
}

/* -- set-up -- */

static void open_calls(void)
{
    calls = calloc(call_count, sizeof *calls);
    uint32_t *counts = calloc(call_count * 2 * BUCKETS, sizeof *counts);
    if (!calls || !counts) fail("memory");
    printf("ports");
    for (size_t i = 0; i < call_count; i++) {
        struct sockaddr_in local = {.sin_family = AF_INET};
        socklen_t bytes = sizeof local;
        int one = 1;
        local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        far_call *call = &calls[i];
        call->gap = counts + 2 * i * BUCKETS;
        call->place = call->gap + BUCKETS;
        call->ssrc = (uint32_t)(1000 + i);
        call->position = i * 37 % content.count;
        call->fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (call->fd < 0 || bind(call->fd, (struct sockaddr *)&local, sizeof local) < 0 ||
            setsockopt(call->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0 ||
            getsockname(call->fd, (struct sockaddr *)&local, &bytes) < 0)
            fail("socket (raise ulimit -n?)");
        printf(" %d", ntohs(local.sin_port));
    }
    printf("\n");
    fflush(stdout);
    for (size_t i = 0; i < call_count; i++) {
        struct sockaddr_in remote = {.sin_family = AF_INET};
        int port;
        if (scanf("%d", &port) != 1) fail("ports of the engine");
        remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        remote.sin_port = htons((uint16_t)port);
        if (connect(calls[i].fd, (struct sockaddr *)&remote, sizeof remote) < 0) fail("connect");
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: bench_load CALLS CONTENT WARM_UP_S SECONDS CPU FIFO START_S\n");
        return 2;
    }
    call_count = (size_t)atol(argv[1]);
    if (!bench_content_read(&content, argv[2])) fail(argv[2]);
    int64_t warm_up_ns = (int64_t)(atof(argv[3]) * 1e9);
    int64_t wanted_ns = (int64_t)(atof(argv[4]) * 1e9);
    if (atoi(argv[5]) >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)atoi(argv[5]), &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0) fail("pin");
    }
    struct sched_param priority = {.sched_priority = 10};
    if (atoi(argv[6]) && sched_setscheduler(0, SCHED_FIFO, &priority) < 0) fail("SCHED_FIFO");
    const double starts = atof(argv[7]) * 50.0 / (double)call_count; /* ticks between two callers */
    open_calls();
    (void)mlockall(MCL_CURRENT);

    int64_t start_ns = now_ns(CLOCK_MONOTONIC) + slot_ns, begun_ns = 0, cpu_ns = 0, end_ns = 0;
    int64_t most_late_ns = 0;
    uint64_t late_slots = 0;
    for (int64_t k = 0; end_ns == 0; k++) {
        int64_t due_ns = start_ns + k * slot_ns;
        struct timespec due = {due_ns / s_ns, due_ns % s_ns};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) continue;
        int64_t late_ns = now_ns(CLOCK_MONOTONIC) - due_ns;
        if (measuring) {
            if (late_ns > most_late_ns) most_late_ns = late_ns;
            late_slots += late_ns > 5000000;
        }
        for (size_t i = (size_t)(k % SLOTS); i < call_count; i += SLOTS) {
            if ((double)(k / SLOTS) >= (double)i * starts) send_one(&calls[i]);
            drain(&calls[i]);
        }
        if (!measuring && due_ns - start_ns >= warm_up_ns) {
            measuring = 1;
            begun_ns = due_ns;
            cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            printf("measuring\n");
            fflush(stdout);
        } else if (measuring && due_ns - begun_ns >= wanted_ns) {
            end_ns = now_ns(CLOCK_MONOTONIC);
        }
    }
    report((double)(end_ns - begun_ns) / 1e9, now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns,
           most_late_ns, late_slots);
    return 0;
}
