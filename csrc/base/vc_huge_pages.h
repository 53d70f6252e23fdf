/* vc_huge_pages: memory for what is read all the time and never given back piece by piece: the
 * chunks of pools, the weights of networks.
 *
 * A processor remembers where some dozens to thousands of pages are; a thousand calls and the
 * weights have more of 4 KB. Where the system has no huge pages it is ordinary memory.
 *
 *     vc_pool_create(&pool, VC_HUGE_CHUNK_BYTES, vc_huge_pages());
 */
#ifndef VC_HUGE_PAGES_H
#define VC_HUGE_PAGES_H

#include "base/vc_base.h"

/* A block of so many bytes takes two whole huge pages of 2 MB. */
#define VC_HUGE_CHUNK_BYTES (((size_t)4 << 20) - 64)

/* Each block is a mapping of its own, rounded up to 2 MB; malloc where there is no Linux. */
const vc_allocator *vc_huge_pages(void);

#endif
