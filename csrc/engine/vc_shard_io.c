/* vc_shard: sockets. Where each call has one of its own, loopback measurements show nothing to gain
 * from recvmmsg, so plain recvfrom and sendto are used; with raw_send the calls' packets leave
 * together, on a shared port they also come together. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

/* BATCH_NS: no packet waits longer for the others of its slot, which may have a slow codec. */
enum { DATAGRAM_BYTES = 2048, BATCH_NS = 500000, WAY_TICKS = 50 };
/* Datagrams read together, and at most of one socket in one go, where old ones are thrown away. */
enum { TOGETHER = 16, MOST_TOGETHER = 1024 };

/* The call's remote is what it is sent to. On a shared port it must be the call's alone, there: as
 * long as another call has it, nothing is sent, and what comes from the old one is still its own.
 */
static int follow_remote(vc_leg *leg)
{
    const vc_address *remote = vc_call_remote(leg->call);
    if (remote->family == 0) return 0;
    if (leg->remote_bytes > 0 && vc_address_equal(remote, &leg->followed)) return 1;
    if (leg->port) {
        if (vc_shard_port_join(leg->port, remote, leg) != VC_OK) return 0;
        if (leg->remote_bytes > 0) vc_shard_port_leave(leg->port, &leg->followed, leg);
    }
    leg->followed = *remote;
    leg->way = VC_WAY_UNKNOWN;
    leg->remote_bytes = vc_shard_address_to(remote, &leg->remote);
    return 1;
}

static void take(vc_leg *leg, const struct sockaddr_storage *from, const uint8_t *bytes, size_t n,
                 int64_t now_ns)
{
    vc_address address = vc_shard_address_of(from);
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
    /* The last room is for the newest audio so far, which waits for a newer one. */
    uint8_t bytes[TOGETHER + 1][DATAGRAM_BYTES];
    struct sockaddr_storage from[TOGETHER + 1];
    struct iovec vectors[TOGETHER];
    struct mmsghdr messages[TOGETHER] = {0};
    for (size_t i = 0; i < TOGETHER; i++) {
        vectors[i] = (struct iovec){bytes[i], DATAGRAM_BYTES};
        messages[i].msg_hdr.msg_name = &from[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    size_t taken = 0, held_bytes = 0;
    int held = -1;
    for (int read = 0, n = TOGETHER; n == TOGETHER && read < MOST_TOGETHER; read += n) {
        for (size_t i = 0; i < TOGETHER; i++) messages[i].msg_hdr.msg_namelen = sizeof from[i];
        n = recvmmsg(leg->fd, messages, TOGETHER, MSG_DONTWAIT | MSG_TRUNC, NULL);
        vc_shard_lap(shard, VC_STAGE_RECEIVE, n > 0 ? (size_t)n : 0);
        for (int i = 0; i < n; i++) {
            const int audio = vc_call_is_audio(leg->call, bytes[i], messages[i].msg_len);
            if (held >= 0 && audio) {
                vc_call_shed(leg->call);
            } else if (held >= 0) { /* in order */
                take(leg, &from[held], bytes[held], held_bytes, now_ns);
                taken++;
            }
            held = audio ? i : -1;
            held_bytes = messages[i].msg_len;
            if (audio) continue;
            take(leg, &from[i], bytes[i], messages[i].msg_len, now_ns);
            taken++;
        }
        if (held >= 0 && held < TOGETHER) {
            memcpy(bytes[TOGETHER], bytes[held], DATAGRAM_BYTES);
            from[TOGETHER] = from[held];
            held = TOGETHER;
        }
        vc_shard_lap(shard, VC_STAGE_TAKE, n > 0 ? (size_t)n : 0);
    }
    if (held >= 0) {
        take(leg, &from[held], bytes[held], held_bytes, now_ns);
        taken++;
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

static uint8_t *batch_room(vc_shard *shard)
{
    return shard->port ? vc_shard_port_room(shard->port) : vc_shard_raw_room(shard->raw);
}

uint8_t *vc_shard_packet_room(vc_shard *shard, uint8_t *spare)
{
    if (!shard->port && !shard->raw) return spare;
    uint8_t *room = batch_room(shard);
    if (room) return room;
    vc_shard_flush(shard);
    return batch_room(shard);
}

/* Whether the packet that was written to the batch's room waits there for the others. */
static int joins_batch(vc_shard *shard, vc_leg *leg, size_t n)
{
    if (leg->port)
        return vc_shard_port_add(leg->port, &leg->remote, leg->remote_bytes, n, leg) == VC_OK;
    return shard->raw && goes_raw(shard, leg) &&
           vc_shard_raw_add(shard->raw, &leg->source, (const void *)&leg->remote, n, leg) == VC_OK;
}

/* What the raw socket refuses (no room, too long for the interface) goes by the call's own, which
 * says whether it is an error; a port has no other way. */
void vc_shard_flush(vc_shard *shard)
{
    if (shard->batch_ns == 0) return;
    const vc_shard_raw_sent *sent;
    size_t n = shard->port ? vc_shard_port_flush(shard->port, &sent)
                           : vc_shard_raw_flush(shard->raw, &sent);
    shard->batch_ns = 0;
    for (size_t i = 0; i < n; i++) {
        vc_leg *leg = sent[i].tag;
        if (sent[i].error == 0) {
            vc_call_count(leg->call, VC_STAT_PACKETS_SENT, 1);
        } else if (shard->port) {
            vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
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
        if (joins_batch(shard, leg, n)) {
            vc_shard_lap(shard, VC_STAGE_SEND, 0);
            if (shard->batch_ns == 0) shard->batch_ns = now_ns;
            if (now_ns - shard->batch_ns > BATCH_NS) vc_shard_flush(shard);
            return;
        }
        send_own(leg, packet, n);
        vc_shard_report(leg, 0);
    } else if (leg->port) {
        vc_call_count(leg->call, VC_STAT_SEND_ERRORS, 1);
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

/* Where the call is to send, if the config says it; *remote has family 0 if not. */
static vc_status set_remote(vc_leg *leg, const vc_leg_config *config, int family,
                            vc_address *remote)
{
    *remote = (vc_address){0};
    if (!config->remote_ip) return VC_OK;
    if (config->remote_port == 0) return VC_E_RANGE;
    struct sockaddr_storage found;
    socklen_t bytes;
    vc_status status =
        vc_shard_address_parse(config->remote_ip, config->remote_port, &found, &bytes);
    if (status != VC_OK || found.ss_family != family) return VC_E_RANGE;
    *remote = vc_shard_address_of(&found);
    return vc_call_set_remote(leg->call, remote);
}

vc_status vc_shard_open_socket(vc_leg *leg, const vc_leg_config *config)
{
    struct sockaddr_storage local;
    socklen_t bytes;
    vc_address remote;
    vc_status status = vc_shard_address_parse(config->local_ip, config->local_port, &local, &bytes);
    if (status == VC_OK) status = set_remote(leg, config, local.ss_family, &remote);
    if (status != VC_OK) return status;
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

vc_status vc_shard_open_on_port(vc_shard *shard, vc_leg *leg, const vc_leg_config *config)
{
    vc_address remote;
    vc_status status = set_remote(leg, config, vc_shard_port_family(shard->port), &remote);
    if (status != VC_OK) return status;
    if (remote.family == 0) return VC_E_RANGE;
    status = vc_port_table_insert(shard->claims, &remote, leg);
    if (status != VC_OK) return status;
    leg->claimed = leg->followed = remote;
    leg->remote_bytes = vc_shard_address_to(&remote, &leg->remote);
    leg->port = shard->port;
    leg->fd = vc_shard_port_fd(shard->port);
    return VC_OK;
}

void vc_shard_release_claim(vc_shard *shard, vc_leg *leg)
{
    if (leg->port) vc_port_table_remove(shard->claims, &leg->claimed, leg);
}

vc_status vc_leg_set_remote(vc_shard *shard, vc_leg *leg, const vc_address *remote)
{
    if (!shard || !leg || !remote) return VC_E_NULL;
    if (leg->port && (vc_shard_port_family(leg->port) == AF_INET) != (remote->family == 4))
        return VC_E_RANGE;
    const vc_leg *other = leg->port ? vc_port_table_find(shard->claims, remote) : NULL;
    if (other && other != leg) return VC_DUPLICATE;
    vc_status status = vc_call_set_remote(leg->call, remote);
    if (status != VC_OK || !leg->port || leg->closing) return status;
    vc_shard_release_claim(shard, leg);
    leg->claimed = *remote;
    return vc_port_table_insert(shard->claims, remote, leg);
}

vc_status vc_shard_watch_leg(vc_shard *shard, vc_leg *leg)
{
    if (leg->fd < 0) return VC_OK;
    if (!leg->port) return vc_shard_watch(shard->sockets_fd, leg->fd, leg);
    /* One that is another's for now is tried again at each tick. */
    if (vc_shard_port_join(leg->port, &leg->followed, leg) != VC_OK) leg->remote_bytes = 0;
    return VC_OK;
}

void vc_shard_unwatch_leg(vc_shard *shard, vc_leg *leg)
{
    if (leg->port)
        vc_shard_port_leave(leg->port, &leg->followed, leg);
    else if (leg->fd >= 0)
        (void)epoll_ctl(shard->sockets_fd, EPOLL_CTL_DEL, leg->fd, NULL);
}

static void print_local(int fd, char *ip, size_t n, int *port)
{
    struct sockaddr_storage local;
    socklen_t bytes = sizeof local;
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&local, &bytes) == 0)
        vc_shard_address_print(&local, ip, n, port);
}

void vc_leg_local(const vc_leg *leg, char *ip, size_t n, int *port)
{
    *port = 0;
    snprintf(ip, n, "push");
    print_local(leg->fd, ip, n, port);
}

void vc_shard_local(const vc_shard *shard, char *ip, size_t n, int *port)
{
    *port = 0;
    snprintf(ip, n, "none");
    print_local(shard->port ? vc_shard_port_fd(shard->port) : -1, ip, n, port);
}
