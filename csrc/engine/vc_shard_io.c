/* vc_shard: sockets. Each call has one of its own and loopback measurements show nothing to gain
 * from recvmmsg, so plain recvfrom and sendto are used. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DATAGRAMS = 8, DATAGRAM_BYTES = 2048 };

static int same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) return 0;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
    return x->sin6_port == y->sin6_port &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

void vc_shard_receive(vc_shard *shard, vc_leg *leg)
{
    uint8_t bytes[DATAGRAM_BYTES];
    for (int i = 0; i < MAX_DATAGRAMS; i++) {
        struct sockaddr_storage from;
        socklen_t from_bytes = sizeof from;
        ssize_t n = recvfrom(leg->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &from_bytes);
        if (n < 0) {
            if (errno == EINTR) continue;
            /* An ICMP error of something we sent comes up here, once; then the queue goes on. */
            if (errno == ECONNREFUSED) continue;
            break;
        }
        if (leg->has_remote && !same_address(&from, &leg->remote)) {
            vc_call_count(leg->call, VC_STAT_PACKETS_STRANGE, 1);
            continue;
        }
        if ((size_t)n > sizeof bytes) n = 0; /* too long for RTP audio: counted as malformed */
        vc_status status = vc_call_receive(leg->call, bytes, (size_t)n, vc_shard_now_ns());
        if (!leg->has_remote && status != VC_IGNORED) {
            leg->remote = from;
            leg->remote_bytes = from_bytes;
            leg->has_remote = 1;
        }
        vc_shard_note(shard, leg);
    }
}

void vc_shard_send(vc_leg *leg, const uint8_t *packet, size_t n)
{
    if (!leg->has_remote) return;
    if (sendto(leg->fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&leg->remote, leg->remote_bytes) < 0)
        vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
    else
        vc_call_count(leg->call, VC_STAT_PACKETS_SENT, 1);
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
        leg->has_remote = 1;
    }
    leg->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (leg->fd < 0) return VC_E_SYSTEM;
    if (bind(leg->fd, (const struct sockaddr *)&local, bytes) < 0) return VC_E_SYSTEM;
    /* Expedited forwarding (RFC 3246); a network or kernel that refuses it changes nothing. */
    int tos = 0xb8;
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
