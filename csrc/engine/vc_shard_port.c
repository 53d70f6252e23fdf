/* vc_shard_port: see vc_shard_port.h.
 *
 * The table is open addressing with linear probing (Knuth, TAOCP 3, 6.4, algorithms L and R):
 * what is removed leaves no mark, those behind it move up. It is half empty at most calls. */
#define _GNU_SOURCE
#include "engine/vc_shard_port.h"

#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <unistd.h>

#include "base/vc_prefetch.h"

enum {
    ALIGNED_BYTES = 64,
    MOST_CALLS = 65536,
    PACKETS = VC_SHARD_PORT_PACKETS,
    ROOM_BYTES = VC_SHARD_PORT_DATAGRAM_BYTES,
    /* An odd number of cache lines, so that the beginnings of datagrams do not share a few sets. */
    STRIDE_BYTES = ROOM_BYTES + ALIGNED_BYTES,
    /* As in vc_shard_raw. */
    SEND_ROOM_BYTES = 32768,
    SEND_BUFFER_BYTES = 4 << 20,
    /* 16 packets, 320 ms, if one costs 1 KiB. The kernel doubles it, for its own; on loopback a
     * packet of 200 bytes counts 768, with many drivers 2 KiB and more. */
    RECEIVE_BUFFER_PER_CALL_BYTES = 16 * 1024,
    RECEIVE_BUFFER_BYTES = 8 << 20
};

/* -- whose an address is -- */

typedef struct entry {
    void *tag; /* NULL: free */
    uint32_t hash;
    vc_address address;
} entry;

struct vc_port_table {
    const vc_allocator *allocator;
    size_t count, most;
    size_t mask; /* places - 1, a power of two */
    entry *entries;
};

/* Every bit of the address changes half of the hash's (murmur3's last steps). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return x ^ x >> 33;
}

static uint32_t hash_of(const vc_address *address)
{
    uint64_t half[2] = {0};
    memcpy(half, address->bytes, address->family == 4 ? 4 : 16);
    return (uint32_t)mix(mix(half[0] ^ (uint64_t)address->port << 48 ^ address->family) ^ half[1]);
}

vc_status vc_port_table_create(vc_port_table **out, size_t most, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (most < 1 || most > MOST_CALLS + 1) return VC_E_RANGE;
    vc_port_table *table = vc_allocate(allocator, sizeof(vc_port_table));
    if (!table) return VC_E_MEMORY;
    table->allocator = allocator;
    table->most = most;
    size_t places = 2;
    while (places < 2 * most) places *= 2;
    table->mask = places - 1;
    table->entries = vc_allocate(allocator, places * sizeof(entry));
    if (!table->entries) {
        vc_port_table_destroy(table);
        return VC_E_MEMORY;
    }
    *out = table;
    return VC_OK;
}

void vc_port_table_destroy(vc_port_table *table)
{
    if (!table) return;
    vc_release(table->allocator, table->entries);
    vc_release(table->allocator, table);
}

/* Its place, or the free one where it would be. */
static size_t place_of(const vc_port_table *table, const vc_address *address, uint32_t hash)
{
    size_t at = hash & table->mask;
    for (; table->entries[at].tag; at = (at + 1) & table->mask)
        if (table->entries[at].hash == hash &&
            vc_address_equal(&table->entries[at].address, address))
            break;
    return at;
}

void *vc_port_table_find(const vc_port_table *table, const vc_address *address)
{
    return table->entries[place_of(table, address, hash_of(address))].tag;
}

vc_status vc_port_table_insert(vc_port_table *table, const vc_address *address, void *tag)
{
    if (!table || !address || !tag) return VC_E_NULL;
    uint32_t hash = hash_of(address);
    entry *place = &table->entries[place_of(table, address, hash)];
    if (place->tag) return VC_DUPLICATE;
    if (table->count == table->most) return VC_FULL;
    *place = (entry){tag, hash, *address};
    table->count++;
    return VC_OK;
}

void vc_port_table_remove(vc_port_table *table, const vc_address *address, const void *tag)
{
    size_t hole = place_of(table, address, hash_of(address));
    if (!tag || table->entries[hole].tag != tag) return;
    for (size_t at = (hole + 1) & table->mask; table->entries[at].tag;
         at = (at + 1) & table->mask) {
        /* One that would be looked for between the hole and itself stays. */
        size_t home = table->entries[at].hash & table->mask;
        if (((at - home) & table->mask) < ((at - hole) & table->mask)) continue;
        table->entries[hole] = table->entries[at];
        hole = at;
    }
    table->entries[hole].tag = NULL;
    table->count--;
}

/* -- the socket -- */

struct vc_shard_port {
    const vc_allocator *allocator;
    int fd, family;
    vc_port_table *table;
    /* in */
    vc_shard_port_datagram received[PACKETS];
    struct mmsghdr incoming[PACKETS];
    struct iovec rooms[PACKETS];
    struct sockaddr_storage sources[PACKETS];
    /* out */
    size_t count, used_bytes;
    vc_shard_raw_sent sent[PACKETS];
    struct mmsghdr outgoing[PACKETS];
    struct iovec packets[PACKETS];
    struct sockaddr_storage remotes[PACKETS];
    _Alignas(ALIGNED_BYTES) uint8_t bytes[PACKETS][STRIDE_BYTES];
    _Alignas(ALIGNED_BYTES) uint8_t buffer[SEND_ROOM_BYTES];
};

/* More than the system's usual limit needs CAP_NET_ADMIN. */
static void set_buffer(int fd, int forced, int usual, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, usual, &bytes, sizeof bytes);
}

static vc_status open_socket(vc_shard_port *port, const char *ip, int number, int tos, size_t calls)
{
    struct sockaddr_storage local;
    socklen_t bytes;
    vc_status status = vc_shard_address_parse(ip, number, &local, &bytes);
    if (status != VC_OK) return status;
    port->family = local.ss_family;
    port->fd = socket(port->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->fd < 0) return VC_E_SYSTEM;
    size_t room = calls * RECEIVE_BUFFER_PER_CALL_BYTES;
    if (room < RECEIVE_BUFFER_BYTES) room = RECEIVE_BUFFER_BYTES;
    set_buffer(port->fd, SO_RCVBUFFORCE, SO_RCVBUF, (int)room);
    set_buffer(port->fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_BYTES);
    /* A network or kernel that refuses it changes nothing. */
    if (port->family == AF_INET)
        (void)setsockopt(port->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    else
        (void)setsockopt(port->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    return bind(port->fd, (const struct sockaddr *)&local, bytes) < 0 ? VC_E_SYSTEM : VC_OK;
}

vc_status vc_shard_port_create(vc_shard_port **out, const char *ip, int number, int tos,
                               size_t calls, const vc_allocator *allocator)
{
    if (!out || !ip) return VC_E_NULL;
    *out = NULL;
    if (tos < 0 || tos > 255 || calls < 1 || calls > MOST_CALLS) return VC_E_RANGE;
    vc_shard_port *port = vc_allocate(allocator, sizeof(vc_shard_port));
    if (!port) return VC_E_MEMORY;
    port->allocator = allocator;
    port->fd = -1;
    vc_status status = open_socket(port, ip, number, tos, calls);
    /* And for the new address of one that has not left its old one. */
    if (status == VC_OK) status = vc_port_table_create(&port->table, calls + 1, allocator);
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_port_destroy(port);
        errno = saved;
        return status;
    }
    for (size_t i = 0; i < PACKETS; i++) {
        port->rooms[i] = (struct iovec){port->bytes[i], ROOM_BYTES};
        port->incoming[i].msg_hdr.msg_name = &port->sources[i];
        port->incoming[i].msg_hdr.msg_iov = &port->rooms[i];
        port->incoming[i].msg_hdr.msg_iovlen = 1;
        port->outgoing[i].msg_hdr.msg_name = &port->remotes[i];
        port->outgoing[i].msg_hdr.msg_iov = &port->packets[i];
        port->outgoing[i].msg_hdr.msg_iovlen = 1;
    }
    *out = port;
    return VC_OK;
}

void vc_shard_port_destroy(vc_shard_port *port)
{
    if (!port) return;
    vc_shard_port_abandon(port);
    vc_port_table_destroy(port->table);
    vc_release(port->allocator, port);
}

void vc_shard_port_abandon(vc_shard_port *port)
{
    if (port && port->fd >= 0) close(port->fd);
}

int vc_shard_port_fd(const vc_shard_port *port)
{
    return port->fd;
}

int vc_shard_port_family(const vc_shard_port *port)
{
    return port->family;
}

vc_status vc_shard_port_join(vc_shard_port *port, const vc_address *remote, void *tag)
{
    return vc_port_table_insert(port->table, remote, tag);
}

void vc_shard_port_leave(vc_shard_port *port, const vc_address *remote, const void *tag)
{
    vc_port_table_remove(port->table, remote, tag);
}

size_t vc_shard_port_receive(vc_shard_port *port, size_t most,
                             const vc_shard_port_datagram **received)
{
    *received = port->received;
    if (most > PACKETS) most = PACKETS;
    for (size_t i = 0; i < most; i++)
        port->incoming[i].msg_hdr.msg_namelen = sizeof port->sources[i];
    /* An unconnected socket is not told of ICMP errors; whatever else fails is tried again. */
    int n = recvmmsg(port->fd, port->incoming, (unsigned)most, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (n <= 0) return 0;
    const vc_port_table *table = port->table;
    uint32_t hashes[PACKETS];
    for (int i = 0; i < n; i++) {
        size_t bytes = port->incoming[i].msg_len;
        port->received[i] =
            (vc_shard_port_datagram){NULL, port->bytes[i], bytes > ROOM_BYTES ? 0 : bytes,
                                     vc_shard_address_of(&port->sources[i])};
        hashes[i] = hash_of(&port->received[i].from);
        vc_prefetch(&table->entries[hashes[i] & table->mask], sizeof(entry));
    }
    for (int i = 0; i < n; i++) {
        vc_shard_port_datagram *one = &port->received[i];
        one->tag = table->entries[place_of(table, &one->from, hashes[i])].tag;
    }
    return (size_t)n;
}

uint8_t *vc_shard_port_room(vc_shard_port *port)
{
    if (port->count == PACKETS || port->used_bytes + VC_SHARD_RAW_MAX_BYTES > SEND_ROOM_BYTES)
        return NULL;
    return port->buffer + port->used_bytes;
}

vc_status vc_shard_port_add(vc_shard_port *port, const struct sockaddr_storage *remote,
                            socklen_t remote_bytes, size_t n, void *tag)
{
    if (!port || !remote) return VC_E_NULL;
    if (n > VC_SHARD_RAW_MAX_BYTES || remote_bytes > sizeof *remote) return VC_E_LENGTH;
    uint8_t *payload = vc_shard_port_room(port);
    if (!payload) return VC_FULL;
    size_t at = port->count++;
    memcpy(&port->remotes[at], remote, remote_bytes);
    port->outgoing[at].msg_hdr.msg_namelen = remote_bytes;
    port->packets[at] = (struct iovec){payload, n};
    port->sent[at] = (vc_shard_raw_sent){tag, payload, n, 0};
    port->used_bytes += (n + ALIGNED_BYTES - 1) / ALIGNED_BYTES * ALIGNED_BYTES;
    return VC_OK;
}

size_t vc_shard_port_flush(vc_shard_port *port, const vc_shard_raw_sent **sent)
{
    size_t n = port->count;
    *sent = port->sent;
    vc_shard_send_all(port->fd, port->outgoing, port->sent, n);
    port->count = 0;
    port->used_bytes = 0;
    return n;
}
