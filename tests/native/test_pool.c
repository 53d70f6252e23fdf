/* vc_pool: blocks are apart, aligned by vc_allocate and used again; chunks are few and all go back.
 * Oracle: a table of what every live block was filled with, seed 7. */
#include "base/vc_pool.h"

#include <string.h>

#include "vc_test.h"

enum { CHUNK = 1 << 20, LIVE = 200, STEPS = 20000 };

static uint32_t state = 7;

static uint32_t random_below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state * n >> 32);
}

VC_TEST(blocks_do_not_touch_one_another)
{
    vc_test_heap heap = {.fail_at = -1};
    vc_allocator hooks = vc_test_allocator(&heap);
    vc_pool *pool = NULL;
    VC_NEED(vc_pool_create(&pool, CHUNK, &hooks) == VC_OK);
    const vc_allocator *allocator = vc_pool_allocator(pool);
    static unsigned char *blocks[LIVE];
    static size_t sizes[LIVE];
    int wrong = 0;
    for (int step = 0; step < STEPS; step++) {
        uint32_t at = random_below(LIVE);
        if (blocks[at]) {
            for (size_t i = 0; i < sizes[at]; i++) wrong += blocks[at][i] != (unsigned char)at;
            vc_release(allocator, blocks[at]);
            blocks[at] = NULL;
        } else {
            sizes[at] = 1 + random_below(random_below(10) == 0 ? 2 * CHUNK : 3000);
            blocks[at] = vc_allocate(allocator, sizes[at]);
            VC_NEED(blocks[at] != NULL);
            wrong += (uintptr_t)blocks[at] % 64 != 0;
            memset(blocks[at], (int)at, sizes[at]);
        }
    }
    VC_CHECK_EQ(wrong, 0);
    for (int i = 0; i < LIVE; i++) vc_release(allocator, blocks[i]);
    vc_pool_stats stats;
    vc_pool_get_stats(pool, &stats);
    VC_CHECK_EQ(stats.blocks, 0);
    VC_CHECK_EQ(stats.block_bytes, 0);
    vc_pool_destroy(pool);
    VC_CHECK_EQ(heap.live, 0);
    vc_pool_destroy(NULL);
}

/* A thousand calls come and go: after the first round not a byte more. */
VC_TEST(what_is_released_is_used_again)
{
    vc_test_heap heap = {.fail_at = -1};
    vc_allocator hooks = vc_test_allocator(&heap);
    vc_pool *pool = NULL;
    VC_NEED(vc_pool_create(&pool, CHUNK, &hooks) == VC_OK);
    const vc_allocator *allocator = vc_pool_allocator(pool);
    static const size_t sizes[] = {7472, 2144, 16648, 24840, 1288, 86280, 776};
    enum { KINDS = sizeof sizes / sizeof *sizes, CALLS = 50 };
    static void *blocks[CALLS][KINDS];
    long chunks = 0;
    for (int round = 0; round < 1000 / CALLS; round++) {
        for (int c = 0; c < CALLS; c++)
            for (int k = 0; k < KINDS; k++)
                VC_NEED((blocks[c][k] = vc_allocate(allocator, sizes[k])) != NULL);
        if (round == 0) chunks = heap.total;
        for (int c = 0; c < CALLS; c++)
            for (int k = 0; k < KINDS; k++)
                vc_release(allocator, blocks[(c * 7 + round) % CALLS][k]);
    }
    VC_CHECK_EQ(heap.total, chunks);
    vc_pool_stats stats;
    vc_pool_get_stats(pool, &stats);
    VC_CHECK_EQ(stats.chunks, chunks); /* the pool itself lies in the first */
    vc_pool_destroy(pool);
    VC_CHECK_EQ(heap.live, 0);
}

VC_TEST(refusals)
{
    vc_pool *pool = NULL;
    VC_CHECK_EQ(vc_pool_create(NULL, CHUNK, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_pool_create(&pool, 1000, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_pool_create(&pool, ((size_t)1 << 30) + 1, NULL), VC_E_RANGE);
    vc_test_heap heap = {.fail_at = 0};
    vc_allocator hooks = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_pool_create(&pool, CHUNK, &hooks), VC_E_MEMORY);
    heap = (vc_test_heap){.fail_at = 1};
    VC_NEED(vc_pool_create(&pool, CHUNK, &hooks) == VC_OK);
    VC_CHECK(vc_allocate(vc_pool_allocator(pool), CHUNK) == NULL);
    VC_CHECK(vc_allocate(vc_pool_allocator(pool), SIZE_MAX - 200) == NULL);
    void *block = vc_allocate(vc_pool_allocator(pool), 100);
    VC_CHECK(block != NULL);
    vc_release(vc_pool_allocator(pool), block);
    vc_pool_destroy(pool);
    VC_CHECK_EQ(heap.live, 0);
    VC_NEED(vc_pool_create(&pool, CHUNK, NULL) == VC_OK);
    VC_CHECK(vc_allocate(vc_pool_allocator(pool), 2 * CHUNK) != NULL);
    vc_pool_destroy(pool); /* blocks go with it */
}

VC_MAIN(VC_RUN(blocks_do_not_touch_one_another) VC_RUN(what_is_released_is_used_again)
            VC_RUN(refusals))
