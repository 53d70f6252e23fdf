/* vc_prefetch: asks the memory for what is needed soon.
 *
 * A thousand calls do not fit a processor's second-level cache, and what a call touches is spread
 * over a dozen structures that no hardware prefetcher follows. So while one call is served, the
 * next ones' lines are on their way: first what holds the pointers, then what these point to. */
#ifndef VC_PREFETCH_H
#define VC_PREFETCH_H

#include <stddef.h>

/* How many turns away its turn is. What is found through another structure comes a step later: by
 * then that one is there. */
typedef enum vc_turns_away { VC_NEXT = 1, VC_SECOND, VC_THIRD, VC_FOURTH } vc_turns_away;

static inline void vc_prefetch(const void *first, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)first + i);
}

#endif
