/* vc_pool: memory for many handles that come and go alike, as calls do.
 *
 * Blocks are cut from large chunks; a released block waits for the next one of its size. So what
 * one call uses lies together, opening and closing for days does not fragment, and chunks can be
 * huge pages. Chunks go back when the pool is destroyed.
 *
 *     vc_pool_create(&pool, 4 << 20, chunk_hooks);
 *     config.allocator = vc_pool_allocator(pool);
 *
 * One thread at a time; handles must be destroyed before their pool.
 */
#ifndef VC_POOL_H
#define VC_POOL_H

#include "base/vc_base.h"

typedef struct vc_pool vc_pool;

typedef struct vc_pool_stats {
    uint64_t chunks, chunk_bytes; /* got from the source so far */
    uint64_t blocks, block_bytes; /* in use */
} vc_pool_stats;

/* chunk_bytes: 65536..2^30; a larger block gets a chunk of its own. source: where chunks come from;
 * copied; NULL is malloc. */
VC_CHECKED vc_status vc_pool_create(vc_pool **out, size_t chunk_bytes, const vc_allocator *source);
void vc_pool_destroy(vc_pool *pool);

/* For the configs of handles; lives as long as the pool. */
const vc_allocator *vc_pool_allocator(const vc_pool *pool);
void vc_pool_get_stats(const vc_pool *pool, vc_pool_stats *stats);

#endif
