/* vc_huge_pages: transparent huge pages of Linux (madvise). See vc_huge_pages.h. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/mman.h>
#endif

#include "base/vc_huge_pages.h"

#if defined(__linux__)

#include <string.h>

enum { PAGE_BYTES = 1 << 21, FRONT_BYTES = 64 }; /* the mapping's size stands in front */

static void *map(void *context, size_t bytes)
{
    (void)context;
    if (bytes > SIZE_MAX / 2) return NULL;
    size_t whole = (bytes + FRONT_BYTES + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    char *start =
        mmap(NULL, whole + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t skip = (PAGE_BYTES - (uintptr_t)start % PAGE_BYTES) % PAGE_BYTES;
    if (skip > 0) (void)munmap(start, skip);
    start += skip;
    (void)munmap(start + whole, PAGE_BYTES - skip);
    (void)madvise(start, whole, MADV_HUGEPAGE);
    memcpy(start, &whole, sizeof whole);
    return start + FRONT_BYTES;
}

static void unmap(void *context, void *memory)
{
    (void)context;
    size_t whole;
    char *start = (char *)memory - FRONT_BYTES;
    memcpy(&whole, start, sizeof whole);
    (void)munmap(start, whole);
}

const vc_allocator *vc_huge_pages(void)
{
    static const vc_allocator allocator = {map, unmap, NULL};
    return &allocator;
}

#else

const vc_allocator *vc_huge_pages(void)
{
    return NULL;
}

#endif
