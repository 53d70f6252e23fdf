/* vc_ring: order across wraps, partial transfers, peek and skip, two threads. */
#include "base/vc_ring.h"

#include <pthread.h>

#include "vc_test.h"

VC_TEST(rejects_bad_sizes)
{
    vc_ring *ring;
    VC_CHECK_EQ(vc_ring_create(NULL, 2, 8, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_ring_create(&ring, 0, 8, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_ring_create(&ring, 2, 0, NULL), VC_E_RANGE);
    VC_CHECK(ring == NULL);
    vc_ring_destroy(NULL);
}

VC_TEST(keeps_order_and_counts)
{
    vc_ring *ring;
    VC_NEED(vc_ring_create(&ring, sizeof(int), 5, NULL) == VC_OK);
    VC_CHECK_EQ(vc_ring_capacity(ring), 8);
    int next_in = 0, next_out = 0;
    for (int round = 0; round < 100; round++) {
        int in[7], out[7];
        for (int i = 0; i < 7; i++) in[i] = next_in + i;
        size_t n = 7;
        vc_status status = vc_ring_push(ring, in, &n);
        VC_CHECK_EQ(status, n < 7 ? VC_FULL : VC_OK);
        next_in += (int)n;
        n = (size_t)(round % 5) + 1;
        size_t level = vc_ring_level(ring);
        int first = -1;
        if (level > 0) VC_CHECK_OK(vc_ring_peek(ring, level - 1, &first, 1));
        if (level > 0) VC_CHECK_EQ(first, next_in - 1);
        VC_CHECK_EQ(vc_ring_peek(ring, level, &first, 1), VC_NEED_MORE);
        vc_ring_pull(ring, out, &n);
        for (size_t i = 0; i < n; i++) VC_CHECK_EQ(out[i], next_out + (int)i);
        next_out += (int)n;
    }
    VC_CHECK_EQ(vc_ring_pushed(ring), next_in);
    VC_CHECK_EQ(vc_ring_pulled(ring), next_out);
    VC_CHECK_EQ(vc_ring_skip(ring, vc_ring_level(ring) + 1), VC_NEED_MORE);
    VC_CHECK_OK(vc_ring_skip(ring, vc_ring_level(ring)));
    size_t n = 3;
    int out[3];
    VC_CHECK_EQ(vc_ring_pull(ring, out, &n), VC_NEED_MORE);
    VC_CHECK_EQ(n, 0);
    vc_ring_destroy(ring);
}

enum { CROSSINGS = 200000 };

static void *produce(void *ring)
{
    for (uint32_t next = 0; next < CROSSINGS;) {
        uint32_t block[13];
        size_t n = CROSSINGS - next < 13 ? CROSSINGS - next : 13;
        for (size_t i = 0; i < n; i++) block[i] = next + (uint32_t)i;
        (void)vc_ring_push(ring, block, &n);
        next += (uint32_t)n;
    }
    return NULL;
}

VC_TEST(two_threads_lose_nothing)
{
    vc_ring *ring;
    VC_NEED(vc_ring_create(&ring, sizeof(uint32_t), 64, NULL) == VC_OK);
    pthread_t producer;
    VC_NEED(pthread_create(&producer, NULL, produce, ring) == 0);
    uint32_t expected = 0, wrong = 0;
    while (expected < CROSSINGS) {
        uint32_t block[17];
        size_t n = 17;
        (void)vc_ring_pull(ring, block, &n);
        for (size_t i = 0; i < n; i++) wrong += block[i] != expected++;
    }
    pthread_join(producer, NULL);
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_EQ(vc_ring_level(ring), 0);
    vc_ring_destroy(ring);
}

VC_TEST(allocation_failure_and_balance)
{
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    vc_ring *ring;
    VC_CHECK_EQ(vc_ring_create(&ring, 2, 8, &allocator), VC_E_MEMORY);
    heap.fail_at = -1;
    VC_CHECK_OK(vc_ring_create(&ring, 2, 8, &allocator));
    vc_ring_destroy(ring);
    VC_CHECK_EQ(heap.live, 0);
}

VC_MAIN(VC_RUN(rejects_bad_sizes) VC_RUN(keeps_order_and_counts) VC_RUN(two_threads_lose_nothing)
            VC_RUN(allocation_failure_and_balance))
