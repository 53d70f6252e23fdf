/* vc_shard_raw: see vc_shard_raw.h.
 *
 * IPv4 by RFC 791, UDP and its checksum by RFC 768, summed as RFC 1071 allows: in words of any size
 * and byte order. Of the IP header the kernel fills in total length, checksum and, where packets
 * may be fragmented, the identification (raw(7)). The source is named for the look-up of the route
 * too (the raw socket is bound to it, or IP_PKTINFO says it), so that rules by source address hold
 * as they do for a bound socket.
 *
 * Not as a socket's own packet: one longer than the interface's MTU is refused (EMSGSIZE) rather
 * than fragmented; one from an address that the machine has lost is not refused; rules that go by
 * UDP port (ip rule, IPsec) do not match when the route is looked up; UDP's own counter of
 * datagrams sent does not count it.
 */
#define _GNU_SOURCE
#include "engine/vc_shard_raw.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ALIGNED_BYTES = 64,
    /* Packets lie one behind the other, so that few calls' packets touch little memory. */
    BUFFER_BYTES = 32768,
    /* The kernel counts some 800 bytes for a packet of 200: thousands of them, for a grid that
     * catches up. */
    SEND_BUFFER_BYTES = 4 << 20,
    UDP = 17,
    DEFAULT_TTL = 64
};

typedef struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
} control;

struct vc_shard_raw {
    const vc_allocator *allocator;
    int fd, probe_fd;
    struct in_addr bound; /* what fd is bound to: the first call's source; 0: nothing yet */
    size_t count, used_bytes;
    uint8_t header[VC_SHARD_RAW_HEADER_BYTES]; /* what all packets have in common */
    vc_shard_raw_sent sent[VC_SHARD_RAW_PACKETS];
    struct mmsghdr messages[VC_SHARD_RAW_PACKETS];
    struct iovec packets[VC_SHARD_RAW_PACKETS];
    struct sockaddr_in remotes[VC_SHARD_RAW_PACKETS];
    control controls[VC_SHARD_RAW_PACKETS];
    _Alignas(ALIGNED_BYTES) uint8_t buffer[BUFFER_BYTES];
};

/* As the system's UDP sockets have them. */
static void make_header(vc_shard_raw *raw, int tos)
{
    int ttl = 0, discover = IP_PMTUDISC_WANT;
    socklen_t bytes = sizeof ttl;
    if (getsockopt(raw->probe_fd, IPPROTO_IP, IP_TTL, &ttl, &bytes) < 0 || ttl < 1)
        ttl = DEFAULT_TTL;
    bytes = sizeof discover;
    (void)getsockopt(raw->probe_fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, &bytes);
    raw->header[0] = 0x45;
    raw->header[1] = (uint8_t)tos;
    raw->header[6] = discover == IP_PMTUDISC_DONT ? 0 : 0x40;
    raw->header[8] = (uint8_t)ttl;
    raw->header[9] = UDP;
}

static vc_status open_sockets(vc_shard_raw *raw, int tos)
{
    raw->fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
    if (raw->fd < 0) return VC_E_SYSTEM;
    raw->probe_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (raw->probe_fd < 0) return VC_E_SYSTEM;
    (void)setsockopt(raw->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    (void)setsockopt(raw->probe_fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    /* More than the system's usual limit needs CAP_NET_ADMIN. */
    int most = SEND_BUFFER_BYTES, least = 0;
    if (setsockopt(raw->fd, SOL_SOCKET, SO_SNDBUFFORCE, &most, sizeof most) < 0)
        (void)setsockopt(raw->fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
    /* Nobody reads what is sent to protocol 255. */
    (void)setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    return VC_OK;
}

vc_status vc_shard_raw_create(vc_shard_raw **out, int tos, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (tos < 0 || tos > 255) return VC_E_RANGE;
    vc_shard_raw *raw = vc_allocate(allocator, sizeof(vc_shard_raw));
    if (!raw) return VC_E_MEMORY;
    raw->allocator = allocator;
    raw->fd = raw->probe_fd = -1;
    vc_status status = open_sockets(raw, tos);
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_raw_destroy(raw);
        errno = saved;
        return status;
    }
    make_header(raw, tos);
    for (size_t i = 0; i < VC_SHARD_RAW_PACKETS; i++) {
        raw->remotes[i].sin_family = AF_INET;
        struct msghdr *message = &raw->messages[i].msg_hdr;
        message->msg_name = &raw->remotes[i];
        message->msg_namelen = sizeof raw->remotes[i];
        message->msg_iov = &raw->packets[i];
        message->msg_iovlen = 1;
        message->msg_control = raw->controls[i].bytes;
        message->msg_controllen = sizeof raw->controls[i].bytes; /* or CMSG_FIRSTHDR finds none */
        struct cmsghdr *option = CMSG_FIRSTHDR(message);
        option->cmsg_level = IPPROTO_IP;
        option->cmsg_type = IP_PKTINFO;
        option->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    }
    *out = raw;
    return VC_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0) close(fd);
}

void vc_shard_raw_destroy(vc_shard_raw *raw)
{
    if (!raw) return;
    vc_shard_raw_abandon(raw);
    vc_release(raw->allocator, raw);
}

void vc_shard_raw_abandon(vc_shard_raw *raw)
{
    if (!raw) return;
    close_fd(raw->fd);
    close_fd(raw->probe_fd);
}

/* Most calls of a machine have the same source: named by the socket, it costs nothing a packet. */
static void bind_once(vc_shard_raw *raw, const struct sockaddr_in *source)
{
    if (raw->bound.s_addr != 0) return;
    if (bind(raw->fd, (const struct sockaddr *)source, sizeof *source) == 0)
        raw->bound = source->sin_addr;
}

vc_status vc_shard_raw_route(vc_shard_raw *raw, const struct sockaddr_in *local,
                             const struct sockaddr_in *remote, struct sockaddr_in *source)
{
    if (!raw || !local || !remote || !source) return VC_E_NULL;
    if (local->sin_family != AF_INET || remote->sin_family != AF_INET) return VC_IGNORED;
    in_addr_t to = ntohl(remote->sin_addr.s_addr);
    if (to == INADDR_ANY || to == INADDR_BROADCAST || IN_MULTICAST(to)) return VC_IGNORED;
    *source = *local;
    if (local->sin_addr.s_addr != htonl(INADDR_ANY)) {
        bind_once(raw, source);
        return VC_OK;
    }
    struct sockaddr_in found, nobody = {.sin_family = AF_UNSPEC};
    socklen_t bytes = sizeof found;
    int failed = connect(raw->probe_fd, (const struct sockaddr *)remote, sizeof *remote) < 0 ||
                 getsockname(raw->probe_fd, (struct sockaddr *)&found, &bytes) < 0;
    int saved = errno;
    /* Forgets the source too, which the next connect would keep. */
    (void)connect(raw->probe_fd, (const struct sockaddr *)&nobody, sizeof nobody);
    errno = saved;
    if (failed) return VC_E_SYSTEM;
    source->sin_addr = found.sin_addr;
    bind_once(raw, source);
    return VC_OK;
}

/* Headers lie right in front of their payload. */
static uint8_t *next_payload(vc_shard_raw *raw)
{
    return raw->buffer + raw->used_bytes + ALIGNED_BYTES;
}

uint8_t *vc_shard_raw_room(vc_shard_raw *raw)
{
    if (raw->count == VC_SHARD_RAW_PACKETS ||
        raw->used_bytes + ALIGNED_BYTES + VC_SHARD_RAW_MAX_BYTES > BUFFER_BYTES)
        return NULL;
    return next_payload(raw);
}

static void put_u16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* The sum of the words of 4 bytes, of which the last may be short. */
static uint64_t sum_of(const uint8_t *bytes, size_t n)
{
    uint64_t sum = 0;
    uint32_t word;
    size_t at = 0;
    for (; at + sizeof word <= n; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        sum += word;
    }
    word = 0;
    memcpy(&word, bytes + at, n - at);
    return sum + word;
}

/* Of the datagram with its addresses in front; in the byte order of memory. */
static uint16_t checksum(const uint8_t *header, size_t udp_bytes)
{
    uint64_t sum = sum_of(header + 12, 8 + udp_bytes) + htons(UDP) + htons((uint16_t)udp_bytes);
    for (int i = 0; i < 2; i++) sum = (sum & 0xffffffff) + (sum >> 32);
    for (int i = 0; i < 3; i++) sum = (sum & 0xffff) + (sum >> 16);
    /* 0 would say that there is none; both are nought in ones' complement. */
    return sum == 0xffff ? 0xffff : (uint16_t)~sum;
}

/* For the look-up of the route. */
static void name_source(vc_shard_raw *raw, size_t at, struct in_addr source)
{
    struct msghdr *message = &raw->messages[at].msg_hdr;
    message->msg_controllen = 0;
    if (source.s_addr == raw->bound.s_addr) return;
    message->msg_controllen = sizeof raw->controls[at].bytes;
    struct in_pktinfo info = {.ipi_spec_dst = source};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(message)), &info, sizeof info);
}

vc_status vc_shard_raw_add(vc_shard_raw *raw, const struct sockaddr_in *source,
                           const struct sockaddr_in *remote, size_t n, void *tag)
{
    if (!raw || !source || !remote) return VC_E_NULL;
    if (n > VC_SHARD_RAW_MAX_BYTES) return VC_E_LENGTH;
    if (!vc_shard_raw_room(raw)) return VC_FULL;
    uint8_t *payload = next_payload(raw), *header = payload - VC_SHARD_RAW_HEADER_BYTES;
    memcpy(header, raw->header, VC_SHARD_RAW_HEADER_BYTES);
    put_u16(header + 2, VC_SHARD_RAW_HEADER_BYTES + n);
    memcpy(header + 12, &source->sin_addr, 4);
    memcpy(header + 16, &remote->sin_addr, 4);
    memcpy(header + 20, &source->sin_port, 2);
    memcpy(header + 22, &remote->sin_port, 2);
    put_u16(header + 24, 8 + n);
    uint16_t sum = checksum(header, 8 + n);
    memcpy(header + 26, &sum, sizeof sum);
    size_t at = raw->count++;
    raw->remotes[at].sin_addr = remote->sin_addr;
    raw->packets[at] = (struct iovec){header, VC_SHARD_RAW_HEADER_BYTES + n};
    name_source(raw, at, source->sin_addr);
    raw->sent[at] = (vc_shard_raw_sent){tag, payload, n, 0};
    raw->used_bytes += (ALIGNED_BYTES + n + ALIGNED_BYTES - 1) / ALIGNED_BYTES * ALIGNED_BYTES;
    return VC_OK;
}

void vc_shard_send_all(int fd, struct mmsghdr *messages, vc_shard_raw_sent *sent, size_t n)
{
    for (size_t at = 0; at < n;) {
        /* How many were sent until one failed, which the next call tells of. */
        int done = sendmmsg(fd, messages + at, (unsigned)(n - at), MSG_NOSIGNAL);
        int error = done < 0 ? errno : EIO;
        if (done > 0) {
            at += (size_t)done;
        } else if (error == EAGAIN) {
            for (; at < n; at++) sent[at].error = error;
        } else if (error != EINTR) {
            sent[at++].error = error;
        }
    }
}

size_t vc_shard_raw_flush(vc_shard_raw *raw, const vc_shard_raw_sent **sent)
{
    size_t n = raw->count;
    *sent = raw->sent;
    vc_shard_send_all(raw->fd, raw->messages, raw->sent, n);
    raw->count = 0;
    raw->used_bytes = 0;
    return n;
}
