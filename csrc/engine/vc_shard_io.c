/* vc_shard: sockets. Each call has one of its own and loopback measurements show nothing to gain
 * from recvmmsg, so plain recvfrom and sendto are used; with raw_send the calls' packets leave
 * together. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>

/* BATCH_NS: no packet waits longer for the others of its slot, which may have a slow codec. */
enum { DATAGRAM_BYTES = 2048, BATCH_NS = 500000, WAY_TICKS = 50 };
/* Datagrams read together, and at most of one socket in one go, where old ones are thrown away. */
enum { TOGETHER = 16, MOST_TOGETHER = 1024 };

static vc_address address_of(const struct sockaddr_storage *from)
{
    vc_address address = {0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        address.family = 4;
        address.port = ntohs(v4->sin_port);
        memcpy(address.bytes, &v4->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *v6 = (const void *)from;
        address.family = 6;
        address.port = ntohs(v6->sin6_port);
        memcpy(address.bytes, &v6->sin6_addr, 16);
    }
    return address;
}

/* The call's remote is what it is sent to. */
static int follow_remote(vc_leg *leg)
{
    const vc_address *remote = vc_call_remote(leg->call);
    if (remote->family == 0) return 0;
    if (leg->remote_bytes > 0 && vc_address_equal(remote, &leg->followed)) return 1;
    leg->followed = *remote;
    leg->way = VC_WAY_UNKNOWN;
    memset(&leg->remote, 0, sizeof leg->remote);
    if (remote->family == 4) {
        struct sockaddr_in *v4 = (void *)&leg->remote;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(remote->port);
        memcpy(&v4->sin_addr, remote->bytes, 4);
        leg->remote_bytes = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (void *)&leg->remote;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(remote->port);
        memcpy(&v6->sin6_addr, remote->bytes, 16);
        leg->remote_bytes = sizeof *v6;
    }
    return 1;
}

static void take(vc_leg *leg, const struct sockaddr_storage *from, const uint8_t *bytes, size_t n,
                 int64_t now_ns)
{
    vc_address address = address_of(from);
    if (n > DATAGRAM_BYTES) n = 0; /* too long for RTP audio: counted as malformed */
    (void)vc_call_receive_from(leg->call, &address, bytes, n, now_ns);
}

void vc_shard_receive(vc_shard *shard, vc_leg *leg, int64_t now_ns)
{
    uint8_t bytes[DATAGRAM_BYTES];
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof from;
    ssize_t n = recvfrom(leg->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC,
                         (struct sockaddr *)&from, &from_bytes);
    vc_shard_lap(shard, VC_STAGE_RECEIVE, 1);
    /* An ICMP error of something we sent comes up here, once; then the queue goes on. */
    if (n < 0) return;
    take(leg, &from, bytes, (size_t)n, now_ns);
    vc_shard_note(shard, leg);
    vc_shard_lap(shard, VC_STAGE_TAKE, 1);
}

size_t vc_shard_catch_up(vc_shard *shard, vc_leg *leg, int64_t now_ns)
{
    uint8_t bytes[TOGETHER][DATAGRAM_BYTES];
    struct sockaddr_storage from[TOGETHER];
    struct iovec vectors[TOGETHER];
    struct mmsghdr messages[TOGETHER] = {0};
    for (size_t i = 0; i < TOGETHER; i++) {
        vectors[i] = (struct iovec){bytes[i], DATAGRAM_BYTES};
        messages[i].msg_hdr.msg_name = &from[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    size_t taken = 0;
    for (int read = 0, n = TOGETHER; n == TOGETHER && read < MOST_TOGETHER; read += n) {
        for (size_t i = 0; i < TOGETHER; i++) messages[i].msg_hdr.msg_namelen = sizeof from[i];
        n = recvmmsg(leg->fd, messages, TOGETHER, MSG_DONTWAIT | MSG_TRUNC, NULL);
        vc_shard_lap(shard, VC_STAGE_RECEIVE, n > 0 ? (size_t)n : 0);
        for (int i = 0; i < n; i++) {
            const int old = n == TOGETHER || i + VC_SHARD_NEWEST < n;
            if (old && vc_call_is_audio(leg->call, bytes[i], messages[i].msg_len)) {
                vc_call_shed(leg->call);
            } else {
                take(leg, &from[i], bytes[i], messages[i].msg_len, now_ns);
                taken++;
            }
        }
        vc_shard_lap(shard, VC_STAGE_TAKE, n > 0 ? (size_t)n : 0);
    }
    if (taken > 0) vc_shard_note(shard, leg);
    return taken;
}

static void send_own(vc_leg *leg, const uint8_t *packet, size_t n)
{
    if (sendto(leg->fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&leg->remote, leg->remote_bytes) < 0)
        vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
    else
        vc_call_count(leg->call, VC_STAT_PACKETS_SENT, 1);
}

/* Behind the wildcard address the source is the route's, which may change: asked every second. */
static int goes_raw(vc_shard *shard, vc_leg *leg)
{
    int wildcard = leg->local.sin_addr.s_addr == htonl(INADDR_ANY);
    if (leg->way == VC_WAY_UNKNOWN || (wildcard && --leg->way_ticks <= 0)) {
        vc_status status =
            vc_shard_raw_route(shard->raw, &leg->local, (const void *)&leg->remote, &leg->source);
        leg->way = status == VC_OK ? VC_WAY_RAW : VC_WAY_OWN_SOCKET;
        leg->way_ticks = WAY_TICKS;
    }
    return leg->way == VC_WAY_RAW;
}

uint8_t *vc_shard_packet_room(vc_shard *shard, uint8_t *spare)
{
    if (!shard->raw) return spare;
    uint8_t *room = vc_shard_raw_room(shard->raw);
    if (room) return room;
    vc_shard_flush(shard);
    return vc_shard_raw_room(shard->raw);
}

/* What the raw socket refuses (no room, too long for the interface) goes by the call's own, which
 * says whether it is an error. */
void vc_shard_flush(vc_shard *shard)
{
    if (!shard->raw || shard->batch_ns == 0) return;
    const vc_shard_raw_sent *sent;
    size_t n = vc_shard_raw_flush(shard->raw, &sent);
    shard->batch_ns = 0;
    for (size_t i = 0; i < n; i++) {
        vc_leg *leg = sent[i].tag;
        if (sent[i].error == 0) {
            vc_call_count(leg->call, VC_STAT_PACKETS_SENT, 1);
        } else {
            leg->way = VC_WAY_UNKNOWN;
            send_own(leg, sent[i].payload, sent[i].n);
        }
        vc_shard_report(leg, 0);
    }
    vc_shard_lap(shard, VC_STAGE_SEND, n);
}

void vc_shard_send(vc_shard *shard, vc_leg *leg, const uint8_t *packet, size_t n, int64_t now_ns)
{
    if (follow_remote(leg)) {
        if (shard->raw && goes_raw(shard, leg) &&
            vc_shard_raw_add(shard->raw, &leg->source, (const void *)&leg->remote, n, leg) ==
                VC_OK) {
            vc_shard_lap(shard, VC_STAGE_SEND, 0);
            if (shard->batch_ns == 0) shard->batch_ns = now_ns;
            if (now_ns - shard->batch_ns > BATCH_NS) vc_shard_flush(shard);
            return;
        }
        send_own(leg, packet, n);
        vc_shard_report(leg, 0);
    }
    vc_shard_lap(shard, VC_STAGE_SEND, 1);
}

void vc_shard_report(vc_leg *leg, int last)
{
    uint8_t packet[VC_CALL_MAX_PACKET_BYTES];
    size_t n = sizeof packet;
    if (leg->pushed || !follow_remote(leg)) return;
    if (vc_call_report(leg->call, vc_shard_now_ns(), last, packet, &n) != VC_OK || n == 0) return;
    if (sendto(leg->fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&leg->remote, leg->remote_bytes) < 0)
        vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
}

static vc_status parse_address(const char *ip, int port, struct sockaddr_storage *out,
                               socklen_t *bytes)
{
    memset(out, 0, sizeof *out);
    if (port < 0 || port > 65535) return VC_E_RANGE;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *bytes = sizeof *v4;
        return VC_OK;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *bytes = sizeof *v6;
        return VC_OK;
    }
    return VC_E_RANGE;
}

vc_status vc_shard_open_socket(vc_leg *leg, const vc_leg_config *config)
{
    struct sockaddr_storage local;
    socklen_t bytes;
    vc_status status = parse_address(config->local_ip, config->local_port, &local, &bytes);
    if (status != VC_OK) return status;
    if (config->remote_ip) {
        if (config->remote_port == 0) return VC_E_RANGE;
        status =
            parse_address(config->remote_ip, config->remote_port, &leg->remote, &leg->remote_bytes);
        if (status != VC_OK || leg->remote.ss_family != local.ss_family) return VC_E_RANGE;
        vc_address remote = address_of(&leg->remote);
        leg->remote_bytes = 0;
        status = vc_call_set_remote(leg->call, &remote);
        if (status != VC_OK) return status;
    }
    leg->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (leg->fd < 0) return VC_E_SYSTEM;
    if (bind(leg->fd, (const struct sockaddr *)&local, bytes) < 0) return VC_E_SYSTEM;
    if (local.ss_family == AF_INET) {
        bytes = sizeof leg->local;
        if (getsockname(leg->fd, (struct sockaddr *)&leg->local, &bytes) < 0) return VC_E_SYSTEM;
    }
    /* A network or kernel that refuses it changes nothing. */
    int tos = VC_SHARD_TOS;
    if (local.ss_family == AF_INET)
        (void)setsockopt(leg->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    else
        (void)setsockopt(leg->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    return VC_OK;
}

void vc_leg_local(const vc_leg *leg, char *ip, size_t n, int *port)
{
    struct sockaddr_storage local;
    socklen_t bytes = sizeof local;
    *port = 0;
    snprintf(ip, n, "push");
    if (leg->fd < 0 || getsockname(leg->fd, (struct sockaddr *)&local, &bytes) < 0) return;
    if (local.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)&local;
        (void)inet_ntop(AF_INET, &v4->sin_addr, ip, (socklen_t)n);
        *port = ntohs(v4->sin_port);
    } else {
        const struct sockaddr_in6 *v6 = (const void *)&local;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, ip, (socklen_t)n);
        *port = ntohs(v6->sin6_port);
    }
}
