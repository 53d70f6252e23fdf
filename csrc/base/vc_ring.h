/* vc_ring: a single-producer, single-consumer ring of fixed-size elements.
 *
 * One thread pushes, one thread pulls, neither waits. Positions are absolute 64-bit element
 * counts since create or reset, so a consumer can say "up to there" across wraps.
 * The capacity is rounded up to a power of two.
 *
 *     vc_ring *ring;
 *     vc_status status = vc_ring_create(&ring, sizeof(int16_t), 8000, NULL);
 *     size_t n = 160;
 *     vc_ring_push(ring, samples, &n);       n = how many were taken
 */
#ifndef VC_RING_H
#define VC_RING_H

#include "base/vc_base.h"
#include "base/vc_prefetch.h"

typedef struct vc_ring vc_ring;

/* element_bytes 1..4096, capacity 1..2^30 elements. */
VC_CHECKED vc_status vc_ring_create(vc_ring **out, size_t element_bytes, size_t capacity,
                                    const vc_allocator *allocator);
void vc_ring_destroy(vc_ring *ring);

/* Back to just created; only while neither side is in a call. */
void vc_ring_reset(vc_ring *ring);

size_t vc_ring_capacity(const vc_ring *ring);

/* Producer. *n: elements offered in, taken out. VC_FULL when fewer were taken than offered. */
VC_RT vc_status vc_ring_push(vc_ring *ring, const void *elements, size_t *n);
/* Producer. Elements that can be pushed now. */
VC_RT size_t vc_ring_room(const vc_ring *ring);

/* Consumer. *n: room in elements in, elements pulled out. VC_NEED_MORE when it was empty. */
VC_RT vc_status vc_ring_pull(vc_ring *ring, void *elements, size_t *n);
/* Consumer. Copies n elements starting at `offset` from the oldest without consuming them;
 * VC_NEED_MORE (nothing copied) if they are not all there. */
VC_RT vc_status vc_ring_peek(const vc_ring *ring, size_t offset, void *elements, size_t n);
/* Consumer. Consumes n elements unread; VC_NEED_MORE (nothing consumed) if there are fewer. */
VC_RT vc_status vc_ring_skip(vc_ring *ring, size_t n);
/* Elements that can be pulled now. */
VC_RT size_t vc_ring_level(const vc_ring *ring);

/* Elements pushed and pulled since create or reset. */
VC_RT uint64_t vc_ring_pushed(const vc_ring *ring);
VC_RT uint64_t vc_ring_pulled(const vc_ring *ring);

/* Consumer. For a look (VC_SECOND), and for a peek or pull of n elements (VC_NEXT). */
VC_RT void vc_ring_prefetch(const vc_ring *ring, size_t n, vc_turns_away turns);

#endif
