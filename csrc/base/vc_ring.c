/* vc_ring: the usual two-counter ring. Each counter is written by one side with release order
 * and read by the other with acquire order; the counters never wrap in practice (64 bit) and
 * sit on cache lines of their own so that the two threads do not fight over one. Each side has what
 * never changes on its own line too: a look at one of thousands of rings fetches two lines, not
 * three. */
#include "base/vc_ring.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_ELEMENT_BYTES 4096u
#define MAX_CAPACITY      ((size_t)1 << 30)

typedef struct shape {
    size_t element_bytes, capacity;
    unsigned char *data;
} shape;

struct vc_ring {
    _Alignas(64) _Atomic uint64_t pushed;
    shape in; /* the producer's */
    _Alignas(64) _Atomic uint64_t pulled;
    shape out; /* the consumer's, equal */
    vc_allocator allocator;
    int custom_allocator;
};

vc_status vc_ring_create(vc_ring **out, size_t element_bytes, size_t capacity,
                         const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (element_bytes == 0 || element_bytes > MAX_ELEMENT_BYTES) return VC_E_RANGE;
    if (capacity == 0 || capacity > MAX_CAPACITY) return VC_E_RANGE;
    size_t rounded = 1;
    while (rounded < capacity) rounded <<= 1;
    vc_ring *ring = vc_allocate(allocator, sizeof(vc_ring) + rounded * element_bytes);
    if (!ring) return VC_E_MEMORY;
    ring->in = ring->out = (shape){element_bytes, rounded, (unsigned char *)(ring + 1)};
    if (allocator) {
        ring->allocator = *allocator;
        ring->custom_allocator = 1;
    }
    *out = ring;
    return VC_OK;
}

void vc_ring_destroy(vc_ring *ring)
{
    if (!ring) return;
    vc_allocator allocator = ring->allocator;
    vc_release(ring->custom_allocator ? &allocator : NULL, ring);
}

void vc_ring_reset(vc_ring *ring)
{
    atomic_store_explicit(&ring->pushed, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->pulled, 0, memory_order_release);
}

size_t vc_ring_capacity(const vc_ring *ring)
{
    return ring->in.capacity;
}

uint64_t vc_ring_pushed(const vc_ring *ring)
{
    return atomic_load_explicit(&ring->pushed, memory_order_acquire);
}

uint64_t vc_ring_pulled(const vc_ring *ring)
{
    return atomic_load_explicit(&ring->pulled, memory_order_acquire);
}

size_t vc_ring_level(const vc_ring *ring)
{
    uint64_t pulled = vc_ring_pulled(ring);
    return (size_t)(vc_ring_pushed(ring) - pulled);
}

size_t vc_ring_room(const vc_ring *ring)
{
    uint64_t pushed = vc_ring_pushed(ring);
    return ring->in.capacity - (size_t)(pushed - vc_ring_pulled(ring));
}

/* Copies n elements between a flat buffer and the ring at absolute position `at`. */
static void copy_out(const shape *ring, uint64_t at, void *elements, size_t n)
{
    size_t size = ring->element_bytes;
    size_t start = (size_t)(at & (ring->capacity - 1));
    size_t first = ring->capacity - start < n ? ring->capacity - start : n;
    memcpy(elements, ring->data + start * size, first * size);
    if (n > first) memcpy((unsigned char *)elements + first * size, ring->data, (n - first) * size);
}

static void copy_in(const shape *ring, uint64_t at, const void *elements, size_t n)
{
    size_t size = ring->element_bytes;
    size_t start = (size_t)(at & (ring->capacity - 1));
    size_t first = ring->capacity - start < n ? ring->capacity - start : n;
    memcpy(ring->data + start * size, elements, first * size);
    if (n > first)
        memcpy(ring->data, (const unsigned char *)elements + first * size, (n - first) * size);
}

vc_status vc_ring_push(vc_ring *ring, const void *elements, size_t *n)
{
    uint64_t at = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    size_t room = vc_ring_room(ring);
    size_t taken = *n < room ? *n : room;
    vc_status status = taken < *n ? VC_FULL : VC_OK;
    if (taken > 0) copy_in(&ring->in, at, elements, taken);
    atomic_store_explicit(&ring->pushed, at + taken, memory_order_release);
    *n = taken;
    return status;
}

vc_status vc_ring_peek(const vc_ring *ring, size_t offset, void *elements, size_t n)
{
    size_t level = vc_ring_level(ring);
    if (offset > level || n > level - offset) return VC_NEED_MORE;
    if (n > 0) copy_out(&ring->out, vc_ring_pulled(ring) + offset, elements, n);
    return VC_OK;
}

vc_status vc_ring_skip(vc_ring *ring, size_t n)
{
    if (n > vc_ring_level(ring)) return VC_NEED_MORE;
    uint64_t at = atomic_load_explicit(&ring->pulled, memory_order_relaxed);
    atomic_store_explicit(&ring->pulled, at + n, memory_order_release);
    return VC_OK;
}

vc_status vc_ring_pull(vc_ring *ring, void *elements, size_t *n)
{
    size_t level = vc_ring_level(ring);
    size_t taken = *n < level ? *n : level;
    *n = taken;
    if (level == 0) return VC_NEED_MORE;
    uint64_t at = atomic_load_explicit(&ring->pulled, memory_order_relaxed);
    if (taken > 0) copy_out(&ring->out, at, elements, taken);
    atomic_store_explicit(&ring->pulled, at + taken, memory_order_release);
    return VC_OK;
}

void vc_ring_prefetch(const vc_ring *ring, size_t n, vc_turns_away turns)
{
    if (turns == VC_SECOND) {
        vc_prefetch(ring, 2 * 64);
        return;
    }
    const shape *out = &ring->out;
    size_t size = out->element_bytes;
    size_t start = (size_t)(vc_ring_pulled(ring) & (out->capacity - 1));
    vc_prefetch(out->data + start * size,
                (n < out->capacity - start ? n : out->capacity - start) * size);
}
