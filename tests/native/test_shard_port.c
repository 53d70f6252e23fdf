/* vc_shard_port: whose a datagram is, and what becomes of packets. Oracles: a plain list of
 * addresses, plain sockets at the other end, the kernel's own errors. */
#define _GNU_SOURCE
#include "engine/vc_shard_port.h"

#include "vc_test_udp.h"

enum { TOS = 0xb8 };

/* -- whose an address is -- */

/* So few places that most addresses meet, at the end of the table too; of some only family, port
 * or the last byte differ. */
VC_TEST(the_table_is_a_list_of_addresses)
{
    static const size_t rooms[] = {1, 2, 3, 5, 8, 60};
    uint32_t seed = 11;
    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        enum { MOST = 180 };
        size_t room = rooms[r], pool = 3 * room, held = 0;
        vc_port_table *table = NULL;
        VC_NEED(vc_port_table_create(&table, room, NULL) == VC_OK);
        vc_address addresses[MOST];
        memset(addresses, 0, sizeof addresses);
        void *tags[MOST] = {0};
        for (size_t i = 0; i < pool; i++) {
            addresses[i].family = i % 2 ? 6 : 4;
            addresses[i].bytes[0] = 10;
            addresses[i].bytes[3] = (uint8_t)(i / 8);
            addresses[i].bytes[15] = i % 2 ? (uint8_t)(i / 4 % 2) : 0;
            addresses[i].port = (uint16_t)(5004 + i / 2 % 4);
        }
        for (int step = 0; step < 3000; step++) {
            size_t i = vc_test_random(&seed) % pool;
            void *tag = &addresses[vc_test_random(&seed) % 2]; /* some share a tag */
            if (vc_test_random(&seed) % 2) {
                vc_status wanted = tags[i] ? VC_DUPLICATE : held == room ? VC_FULL : VC_OK;
                VC_CHECK_EQ(vc_port_table_insert(table, &addresses[i], tag), wanted);
                if (wanted == VC_OK) tags[i] = tag, held++;
            } else {
                vc_port_table_remove(table, &addresses[i], tag);
                if (tags[i] == tag) tags[i] = NULL, held--;
            }
            int wrong = 0;
            for (size_t k = 0; k < pool; k++)
                wrong += vc_port_table_find(table, &addresses[k]) != tags[k];
            VC_CHECK_EQ(wrong, 0);
        }
        vc_port_table_destroy(table);
    }
}

VC_TEST(wrong_arguments)
{
    vc_port_table *table = NULL;
    vc_shard_port *port = NULL;
    vc_address key = {4, {127, 0, 0, 1}, 9};
    VC_CHECK_EQ(vc_port_table_create(NULL, 1, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_port_table_create(&table, 0, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_port_table_create(&table, 65538, NULL), VC_E_RANGE);
    VC_NEED(vc_port_table_create(&table, 65537, NULL) == VC_OK);
    VC_CHECK_EQ(vc_port_table_insert(table, &key, NULL), VC_E_NULL);
    vc_port_table_remove(table, &key, NULL);
    vc_port_table_destroy(table);
    vc_port_table_destroy(NULL);
    int before = vc_test_lowest_fd();
    VC_CHECK_EQ(vc_shard_port_create(NULL, "127.0.0.1", 0, TOS, 1, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_shard_port_create(&port, NULL, 0, TOS, 1, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_shard_port_create(&port, "localhost", 0, TOS, 1, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_shard_port_create(&port, "127.0.0.1", 65536, TOS, 1, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_shard_port_create(&port, "127.0.0.1", 0, 256, 1, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_shard_port_create(&port, "127.0.0.1", 0, TOS, 0, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_shard_port_create(&port, "192.0.2.1", 0, TOS, 1, NULL), VC_E_SYSTEM);
    VC_CHECK_EQ(errno, EADDRNOTAVAIL);
    for (int i = 0; i < 3; i++) {
        vc_test_heap heap = {.fail_at = i};
        vc_allocator hooks = vc_test_allocator(&heap);
        VC_CHECK_EQ(vc_shard_port_create(&port, "127.0.0.1", 0, TOS, 1, &hooks), VC_E_MEMORY);
        VC_CHECK(port == NULL);
        VC_CHECK_EQ(heap.live, 0);
    }
    vc_shard_port_destroy(NULL);
    vc_shard_port_abandon(NULL);
    VC_CHECK_EQ(vc_test_lowest_fd(), before);
}

/* -- the socket -- */

static vc_shard_port *create(struct sockaddr_in *local)
{
    vc_shard_port *port = NULL;
    socklen_t bytes = sizeof *local;
    VC_NEED(vc_shard_port_create(&port, "127.0.0.1", 0, TOS, 100, NULL) == VC_OK);
    VC_NEED(getsockname(vc_shard_port_fd(port), (struct sockaddr *)local, &bytes) == 0);
    return port;
}

/* Datagrams of two members and a stranger, some empty, full or too long, come in their order. */
VC_TEST(each_datagram_is_its_senders)
{
    enum { DATAGRAMS = 200, LONG = VC_SHARD_PORT_DATAGRAM_BYTES };
    struct sockaddr_in local, from[3];
    vc_shard_port *port = create(&local);
    int fds[3];
    for (int i = 0; i < 3; i++) fds[i] = vc_test_bound(&from[i]);
    vc_address keys[3] = {vc_test_key(&from[0]), vc_test_key(&from[1]), vc_test_key(&from[2])};
    for (int i = 0; i < 2; i++) VC_CHECK_OK(vc_shard_port_join(port, &keys[i], &fds[i]));
    VC_CHECK_EQ(vc_shard_port_join(port, &keys[0], &fds[1]), VC_DUPLICATE);
    static const size_t lengths[] = {0, 1, 172, LONG, LONG + 1, 3000};
    static uint8_t bytes[3000];
    const vc_shard_port_datagram *received;
    VC_CHECK_EQ(vc_shard_port_receive(port, 64, &received), 0);
    for (int i = 0; i < DATAGRAMS; i++) {
        memset(bytes, i, sizeof bytes);
        VC_NEED(sendto(fds[i % 3], bytes, lengths[i % 6], 0, (struct sockaddr *)&local,
                       sizeof local) == (ssize_t)lengths[i % 6]);
    }
    int seen = 0;
    for (size_t most = 1; seen < DATAGRAMS; most += 13) {
        size_t n = vc_shard_port_receive(port, most, &received);
        VC_CHECK(n <= most && n <= VC_SHARD_PORT_PACKETS);
        VC_NEED(n > 0);
        for (size_t k = 0; k < n; k++, seen++) {
            size_t length = lengths[seen % 6] > LONG ? 0 : lengths[seen % 6];
            VC_CHECK_EQ(received[k].n, length);
            VC_CHECK(received[k].tag == (seen % 3 < 2 ? &fds[seen % 3] : NULL));
            VC_CHECK(vc_address_equal(&received[k].from, &keys[seen % 3]));
            VC_CHECK(length == 0 || (received[k].bytes[0] == (uint8_t)seen &&
                                     received[k].bytes[length - 1] == (uint8_t)seen));
        }
    }
    /* Who has left is a stranger. */
    vc_shard_port_leave(port, &keys[1], &fds[0]);
    vc_shard_port_leave(port, &keys[0], &fds[0]);
    for (int i = 0; i < 2; i++)
        VC_NEED(sendto(fds[i], bytes, 1, 0, (struct sockaddr *)&local, sizeof local) == 1);
    VC_CHECK_EQ(vc_shard_port_receive(port, 64, &received), 2);
    VC_CHECK(received[0].tag == NULL && received[1].tag == &fds[1]);
    for (int i = 0; i < 3; i++) close(fds[i]);
    vc_shard_port_destroy(port);
}

static vc_status add(vc_shard_port *port, const struct sockaddr_in *to, size_t n, uint32_t number)
{
    struct sockaddr_storage remote = vc_test_general(to);
    uint8_t *payload = vc_shard_port_room(port);
    if (!payload) return VC_FULL;
    VC_CHECK_EQ((uintptr_t)payload % 64, 0);
    memset(payload, (int)number, n);
    return vc_shard_port_add(port, &remote, sizeof *to, n, (void *)(uintptr_t)number);
}

VC_TEST(one_that_fails_does_not_keep_back_the_others)
{
    struct sockaddr_in local, to, all = vc_test_at("127.255.255.255", 5000);
    vc_shard_port *port = create(&local);
    int far = vc_test_bound(&to);
    const vc_shard_raw_sent *sent;
    /* What the calls say, and what becomes of six packets, of which the third goes to a broadcast
     * address: EACCES is the kernel's own word. */
    static const struct {
        int orders[4], n, errors[6];
    } cases[] = {
        {{0}, 1, {0, 0, EACCES, 0, 0, 0}},
        {{1, 1, 0}, 3, {0, 0, EACCES, 0, 0, 0}},
        {{-EINTR, 1, -EINTR, 0}, 4, {0, 0, EACCES, 0, 0, 0}},
        {{-ENETUNREACH, 0}, 2, {ENETUNREACH, 0, EACCES, 0, 0, 0}},
        {{2, 0, 2, -EAGAIN}, 4, {0, 0, EACCES, 0, 0, EAGAIN}},
        {{2, -EAGAIN}, 2, {0, 0, EAGAIN, EAGAIN, EAGAIN, EAGAIN}},
        {{-EAGAIN}, 1, {EAGAIN, EAGAIN, EAGAIN, EAGAIN, EAGAIN, EAGAIN}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        memcpy(vc_test_plan, cases[c].orders, sizeof cases[c].orders);
        vc_test_made = 0;
        vc_test_planned = cases[c].n;
        for (uint32_t i = 0; i < 6; i++) VC_CHECK_OK(add(port, i == 2 ? &all : &to, 100, i));
        VC_CHECK_EQ(vc_shard_port_flush(port, &sent), 6);
        for (uint32_t i = 0; i < 6; i++) {
            uint8_t bytes[200];
            struct sockaddr_in who;
            socklen_t who_bytes = sizeof who;
            VC_CHECK_EQ(sent[i].error, cases[c].errors[i]);
            VC_CHECK_EQ((uintptr_t)sent[i].tag, i);
            VC_CHECK(sent[i].n == 100 && sent[i].payload[99] == i);
            if (sent[i].error) continue;
            VC_CHECK_EQ(recvfrom(far, bytes, 200, 0, (struct sockaddr *)&who, &who_bytes), 100);
            VC_CHECK(bytes[0] == i && bytes[99] == i && who.sin_port == local.sin_port);
        }
    }
    vc_test_planned = 0;
    /* A whole batch, of the longest too; then there is room again. */
    for (size_t n = 172; n <= VC_SHARD_RAW_MAX_BYTES; n += VC_SHARD_RAW_MAX_BYTES - 172) {
        uint32_t count = 0;
        while (add(port, &to, n, count) == VC_OK) count++;
        VC_CHECK(n > 172 ? count >= 20 : count == VC_SHARD_PORT_PACKETS);
        struct sockaddr_storage remote = vc_test_general(&to);
        VC_CHECK_EQ(vc_shard_port_add(port, &remote, sizeof to, n, NULL), VC_FULL);
        VC_CHECK_EQ(vc_shard_port_add(port, &remote, sizeof to, VC_SHARD_RAW_MAX_BYTES + 1, NULL),
                    VC_E_LENGTH);
        VC_CHECK_EQ(vc_shard_port_flush(port, &sent), count);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t bytes[2000];
            VC_CHECK_EQ(sent[i].error, 0);
            VC_CHECK_EQ(recv(far, bytes, sizeof bytes, 0), (ssize_t)n);
            VC_CHECK_EQ(bytes[n - 1], i);
        }
        VC_CHECK_EQ(vc_shard_port_flush(port, &sent), 0);
    }
    close(far);
    vc_shard_port_destroy(port);
}

VC_MAIN(VC_RUN(the_table_is_a_list_of_addresses) VC_RUN(wrong_arguments)
            VC_RUN(each_datagram_is_its_senders)
                VC_RUN(one_that_fails_does_not_keep_back_the_others))
