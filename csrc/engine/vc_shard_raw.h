/* vc_shard_raw: the datagrams of many calls through one raw IPv4 socket, 64 to a system call.
 *
 * Each packet gets the IPv4 and UDP header that the call's own socket would have written: the
 * kernel sees no difference on the wire and delivers answers (and ICMP errors) to that socket.
 * Opening one needs CAP_NET_RAW. Linux. Nothing is allocated after create; one thread uses it at a
 * time.
 *
 *     vc_shard_raw_create(&raw, 0xb8, NULL);
 *     vc_shard_raw_route(raw, &bound, &remote, &source);   once for each remote address
 *     uint8_t *payload = vc_shard_raw_room(raw);           NULL: flush first
 *     ... write up to VC_SHARD_RAW_MAX_BYTES ...
 *     vc_shard_raw_add(raw, &source, &remote, n, call);
 *     n = vc_shard_raw_flush(raw, &sent);                  sent[0..n-1]: what became of each
 */
#ifndef VC_SHARD_RAW_H
#define VC_SHARD_RAW_H

#include <netinet/in.h>

#include "engine/vc_call.h"

enum {
    VC_SHARD_RAW_PACKETS = 64, /* a flush sends so many at most */
    VC_SHARD_RAW_HEADER_BYTES = 28,
    VC_SHARD_RAW_MAX_BYTES = VC_CALL_MAX_PACKET_BYTES
};

typedef struct vc_shard_raw vc_shard_raw;

typedef struct vc_shard_raw_sent {
    void *tag; /* as it was added */
    const uint8_t *payload;
    size_t n;
    int error; /* an errno, EAGAIN: the send buffer is full; 0: sent */
} vc_shard_raw_sent;

/* tos: byte of the IP header, and the sockets' priority in the system. VC_E_SYSTEM (errno): EPERM
 * without CAP_NET_RAW. */
VC_CHECKED vc_status vc_shard_raw_create(vc_shard_raw **out, int tos,
                                         const vc_allocator *allocator);
void vc_shard_raw_destroy(vc_shard_raw *raw);
/* In the child of a fork: closes the child's copies of the descriptors, leaves the memory. */
void vc_shard_raw_abandon(vc_shard_raw *raw);

/* The source that a socket bound to `local` would name towards `remote`; it asks the system when
 * `local` is the wildcard. VC_IGNORED: a destination that only the socket itself can send to
 * (multicast, broadcast, none). VC_E_SYSTEM (errno): there is no way. */
VC_CHECKED vc_status vc_shard_raw_route(vc_shard_raw *raw, const struct sockaddr_in *local,
                                        const struct sockaddr_in *remote,
                                        struct sockaddr_in *source);
/* Where the next payload goes, 64-byte aligned; NULL: there is no room before a flush. */
VC_RT uint8_t *vc_shard_raw_room(vc_shard_raw *raw);
/* The n bytes that were written there are the next packet. VC_E_LENGTH: too many; VC_FULL. */
VC_CHECKED VC_RT vc_status vc_shard_raw_add(vc_shard_raw *raw, const struct sockaddr_in *source,
                                            const struct sockaddr_in *remote, size_t n, void *tag);
/* Sends all in the order in which they were added. How many there were, and what became of each:
 * valid until the next room. One that fails does not keep back the others. */
size_t vc_shard_raw_flush(vc_shard_raw *raw, const vc_shard_raw_sent **sent);

/* What a flush does: sends n messages of one packet each through fd and fills in their errors. */
struct mmsghdr;
void vc_shard_send_all(int fd, struct mmsghdr *messages, vc_shard_raw_sent *sent, size_t n);

#endif
