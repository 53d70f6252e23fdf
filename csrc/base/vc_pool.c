/* vc_pool: see vc_pool.h. Sizes are rounded up to 64 bytes; each size that was ever released has a
 * list, found in a small open hash. A block is headed by its size. If there are more sizes than
 * lists, blocks of further sizes are not used again before the pool goes. */
#include "base/vc_pool.h"

#include <string.h>

enum { ROUND = 64, HEADER = 16, LISTS = 512 };

typedef struct block {
    size_t bytes; /* of the whole block, header included */
    struct block *next;
} block;

typedef struct chunk {
    struct chunk *next;
    size_t bytes;
} chunk;

typedef struct size_list {
    size_t bytes; /* 0: unused */
    block *first;
} size_list;

struct vc_pool {
    vc_allocator source, hooks;
    int has_source;
    size_t chunk_bytes;
    chunk *chunks;
    unsigned char *free_start; /* of the newest chunk */
    size_t free_bytes;
    vc_pool_stats stats;
    size_list lists[LISTS];
};

_Static_assert(sizeof(block) <= HEADER && sizeof(chunk) <= ROUND, "headers have room");

static const vc_allocator *source_of(const vc_pool *pool)
{
    return pool->has_source ? &pool->source : NULL;
}

static size_list *list_of(vc_pool *pool, size_t bytes)
{
    size_t at = bytes / ROUND % LISTS;
    for (size_t i = 0; i < LISTS; i++) {
        size_list *list = &pool->lists[(at + i) % LISTS];
        if (list->bytes == bytes) return list;
        if (list->bytes == 0) {
            list->bytes = bytes;
            return list;
        }
    }
    return NULL;
}

static chunk *get_chunk(const vc_allocator *source, size_t bytes)
{
    chunk *one = source ? source->alloc(source->context, bytes) : vc_allocate(NULL, bytes);
    if (one) one->bytes = bytes;
    return one;
}

/* The first `used` bytes are not for blocks. */
static void begin_chunk(vc_pool *pool, chunk *one, size_t used)
{
    one->next = pool->chunks;
    pool->chunks = one;
    pool->free_start = (unsigned char *)one + used;
    pool->free_bytes = one->bytes - used;
    pool->stats.chunks++;
    pool->stats.chunk_bytes += one->bytes;
}

/* The rest of the chunk before is given up: blocks are small beside a chunk. */
static int add_chunk(vc_pool *pool, size_t least)
{
    size_t bytes = pool->chunk_bytes;
    if (least > bytes - ROUND) bytes = least + ROUND;
    chunk *one = get_chunk(source_of(pool), bytes);
    if (one) begin_chunk(pool, one, ROUND);
    return one != NULL;
}

static void *pool_alloc(void *context, size_t bytes)
{
    vc_pool *pool = context;
    if (bytes > SIZE_MAX / 2) return NULL;
    size_t whole = (bytes + HEADER + ROUND - 1) / ROUND * ROUND;
    size_list *list = list_of(pool, whole);
    block *found = list ? list->first : NULL;
    if (found) {
        list->first = found->next;
    } else {
        if (whole > pool->free_bytes && !add_chunk(pool, whole)) return NULL;
        found = (block *)(void *)pool->free_start;
        pool->free_start += whole;
        pool->free_bytes -= whole;
        found->bytes = whole;
    }
    pool->stats.blocks++;
    pool->stats.block_bytes += whole;
    return (unsigned char *)found + HEADER;
}

static void pool_release(void *context, void *memory)
{
    vc_pool *pool = context;
    block *one = (block *)(void *)((unsigned char *)memory - HEADER);
    size_list *list = list_of(pool, one->bytes);
    pool->stats.blocks--;
    pool->stats.block_bytes -= one->bytes;
    if (!list) return;
    one->next = list->first;
    list->first = one;
}

vc_status vc_pool_create(vc_pool **out, size_t chunk_bytes, const vc_allocator *source)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (chunk_bytes < 65536 || chunk_bytes > (size_t)1 << 30) return VC_E_RANGE;
    /* The pool itself lies in its first chunk. */
    chunk *one = get_chunk(source, chunk_bytes);
    if (!one) return VC_E_MEMORY;
    vc_pool *pool = (vc_pool *)(void *)((unsigned char *)one + ROUND);
    memset(pool, 0, sizeof *pool);
    if (source) {
        pool->source = *source;
        pool->has_source = 1;
    }
    pool->hooks = (vc_allocator){pool_alloc, pool_release, pool};
    pool->chunk_bytes = chunk_bytes;
    begin_chunk(pool, one, ROUND + (sizeof *pool + ROUND - 1) / ROUND * ROUND);
    *out = pool;
    return VC_OK;
}

void vc_pool_destroy(vc_pool *pool)
{
    if (!pool) return;
    vc_allocator source = pool->source;
    int has_source = pool->has_source;
    for (chunk *one = pool->chunks, *next; one; one = next) {
        next = one->next;
        if (has_source)
            source.release(source.context, one);
        else
            vc_release(NULL, one);
    }
}

const vc_allocator *vc_pool_allocator(const vc_pool *pool)
{
    return &pool->hooks;
}

void vc_pool_get_stats(const vc_pool *pool, vc_pool_stats *stats)
{
    *stats = pool->stats;
}
