/* vc_shard_port: one UDP socket for many calls. It is read 64 datagrams at a time, each told by
 * its source address whose it is, and sends 64 to a system call.
 *
 * Linux. Nothing is allocated after create; one thread uses it at a time.
 *
 *     vc_shard_port_create(&port, "192.0.2.1", 5004, 0xb8, 1000, NULL);
 *     vc_shard_port_join(port, &remote, call);             from now on these are the call's
 *     n = vc_shard_port_receive(port, 64, &received);      received[0..n-1]
 *     uint8_t *payload = vc_shard_port_room(port);         NULL: flush first
 *     ... write up to VC_SHARD_RAW_MAX_BYTES ...
 *     vc_shard_port_add(port, &to, to_bytes, n, call);
 *     n = vc_shard_port_flush(port, &sent);                sent[0..n-1]: what became of each
 */
#ifndef VC_SHARD_PORT_H
#define VC_SHARD_PORT_H

#include "engine/vc_shard_address.h"
#include "engine/vc_shard_raw.h"

/* -- whose an address is -- */

/* Addresses and their tags, of fixed room. */
typedef struct vc_port_table vc_port_table;

/* most: 1..65537. */
VC_CHECKED vc_status vc_port_table_create(vc_port_table **out, size_t most,
                                          const vc_allocator *allocator);
void vc_port_table_destroy(vc_port_table *table);
/* NULL: nobody's. */
VC_RT void *vc_port_table_find(const vc_port_table *table, const vc_address *address);
/* VC_DUPLICATE: it is somebody's already, this tag's or another's; VC_FULL. tag: not NULL. */
VC_CHECKED VC_RT vc_status vc_port_table_insert(vc_port_table *table, const vc_address *address,
                                                void *tag);
/* Nothing happens unless it is this tag's. */
VC_RT void vc_port_table_remove(vc_port_table *table, const vc_address *address, const void *tag);

/* -- the socket -- */

enum {
    VC_SHARD_PORT_PACKETS = 64, /* a receive takes and a flush sends so many at most */
    VC_SHARD_PORT_DATAGRAM_BYTES = 2048
};

typedef struct vc_shard_port vc_shard_port;

typedef struct vc_shard_port_datagram {
    void *tag; /* whose; NULL: from an address that nobody has */
    const uint8_t *bytes;
    size_t n; /* 0 also if it is longer than VC_SHARD_PORT_DATAGRAM_BYTES */
    vc_address from;
} vc_shard_port_datagram;

/* ip: numeric; number: 0 picks one; tos: byte of the IP header; calls: 1..65536. VC_E_RANGE, also
 * for an ip that is not numeric; VC_E_SYSTEM (errno): it cannot be bound. */
VC_CHECKED vc_status vc_shard_port_create(vc_shard_port **out, const char *ip, int number, int tos,
                                          size_t calls, const vc_allocator *allocator);
void vc_shard_port_destroy(vc_shard_port *port);
/* In the child of a fork: closes the child's copy of the descriptor, leaves the memory. */
void vc_shard_port_abandon(vc_shard_port *port);
int vc_shard_port_fd(const vc_shard_port *port);
/* AF_INET or AF_INET6. */
int vc_shard_port_family(const vc_shard_port *port);

/* As vc_port_table_insert and vc_port_table_remove. */
VC_CHECKED VC_RT vc_status vc_shard_port_join(vc_shard_port *port, const vc_address *remote,
                                              void *tag);
VC_RT void vc_shard_port_leave(vc_shard_port *port, const vc_address *remote, const void *tag);

/* Up to `most` datagrams that have come, 64 at most; valid until the next receive. Fewer: there
 * are no more. */
size_t vc_shard_port_receive(vc_shard_port *port, size_t most,
                             const vc_shard_port_datagram **received);

/* These are as those of vc_shard_raw. */
VC_RT uint8_t *vc_shard_port_room(vc_shard_port *port);
VC_CHECKED VC_RT vc_status vc_shard_port_add(vc_shard_port *port,
                                             const struct sockaddr_storage *remote,
                                             socklen_t remote_bytes, size_t n, void *tag);
size_t vc_shard_port_flush(vc_shard_port *port, const vc_shard_raw_sent **sent);

#endif
