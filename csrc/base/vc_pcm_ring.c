/* vc_pcm_ring: see vc_pcm_ring.h. A sequence lock whose counter is the write position: the writer
 * says in `claimed` what it is about to overwrite, writes, and moves `end`. A reader copies and
 * then looks whether `claimed` has come round to its first sample. Samples go in and out as atomic
 * words of four, so that a copy that is overtaken is a wrong copy and no undefined behaviour;
 * released and acquired word by word, which a fence would do as well (H.-J. Boehm, "Can seqlocks
 * get along with programming language memory models?", MSPC 2012), but checkers of races do not
 * know fences. */
#include "base/vc_pcm_ring.h"

#include <stdatomic.h>
#include <string.h>

#define LANES       4u
#define MAX_SAMPLES ((size_t)1 << 26)

struct vc_pcm_ring {
    /* the writer's line; a wish is rare */
    _Alignas(64) _Atomic int64_t claimed;
    _Atomic int64_t end;
    _Atomic int64_t wanted; /* INT64_MAX: nothing */
    size_t capacity;
    _Atomic uint64_t *words;
    /* the reader's line */
    _Alignas(64) int64_t next;
    uint64_t dropped;
    vc_allocator allocator;
    int custom_allocator;
};

vc_status vc_pcm_ring_create(vc_pcm_ring **out, size_t samples, const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (samples == 0 || samples > MAX_SAMPLES) return VC_E_RANGE;
    size_t capacity = (samples + VC_PCM_RING_SLACK + LANES - 1) / LANES * LANES;
    vc_pcm_ring *ring =
        vc_allocate(allocator, sizeof(vc_pcm_ring) + capacity / LANES * sizeof(uint64_t));
    if (!ring) return VC_E_MEMORY;
    ring->capacity = capacity;
    ring->words = (_Atomic uint64_t *)(ring + 1);
    if (allocator) {
        ring->allocator = *allocator;
        ring->custom_allocator = 1;
    }
    atomic_store_explicit(&ring->wanted, INT64_MAX, memory_order_relaxed);
    *out = ring;
    return VC_OK;
}

void vc_pcm_ring_destroy(vc_pcm_ring *ring)
{
    if (!ring) return;
    vc_allocator allocator = ring->allocator;
    vc_release(ring->custom_allocator ? &allocator : NULL, ring);
}

void vc_pcm_ring_reset(vc_pcm_ring *ring)
{
    for (size_t i = 0; i < ring->capacity / LANES; i++)
        atomic_store_explicit(&ring->words[i], 0, memory_order_relaxed);
    ring->next = 0;
    ring->dropped = 0;
    atomic_store_explicit(&ring->wanted, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&ring->claimed, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->end, 0, memory_order_release);
}

const int16_t *vc_pcm_ring_storage(const vc_pcm_ring *ring, size_t *capacity)
{
    *capacity = ring->capacity;
    return (const void *)ring->words;
}

/* -- words -- */

static void put_part(_Atomic uint64_t *word, size_t lane, const int16_t *samples, size_t n)
{
    int16_t lanes[LANES];
    uint64_t value = atomic_load_explicit(word, memory_order_relaxed);
    memcpy(lanes, &value, sizeof value);
    memcpy(lanes + lane, samples, n * sizeof(int16_t));
    memcpy(&value, lanes, sizeof value);
    atomic_store_explicit(word, value, memory_order_release);
}

static void get_part(const _Atomic uint64_t *word, size_t lane, int16_t *samples, size_t n)
{
    int16_t lanes[LANES];
    uint64_t value = atomic_load_explicit(word, memory_order_acquire);
    memcpy(lanes, &value, sizeof value);
    memcpy(samples, lanes + lane, n * sizeof(int16_t));
}

/* Up to the end of the storage. */
static void put(_Atomic uint64_t *words, size_t at, const int16_t *samples, size_t n)
{
    size_t lane = at % LANES, head = lane == 0 ? 0 : LANES - lane;
    _Atomic uint64_t *word = words + at / LANES;
    if (head > n) head = n;
    if (head > 0) put_part(word++, lane, samples, head);
    samples += head;
    n -= head;
    size_t whole = n / LANES;
#pragma GCC unroll 8
    for (size_t i = 0; i < whole; i++) {
        uint64_t value;
        memcpy(&value, samples + i * LANES, sizeof value);
        atomic_store_explicit(word + i, value, memory_order_release);
    }
    if (n % LANES > 0) put_part(word + whole, 0, samples + whole * LANES, n % LANES);
}

static void get(const _Atomic uint64_t *words, size_t at, int16_t *samples, size_t n)
{
    size_t lane = at % LANES, head = lane == 0 ? 0 : LANES - lane;
    const _Atomic uint64_t *word = words + at / LANES;
    if (head > n) head = n;
    if (head > 0) get_part(word++, lane, samples, head);
    samples += head;
    n -= head;
    size_t whole = n / LANES;
#pragma GCC unroll 8
    for (size_t i = 0; i < whole; i++) {
        uint64_t value = atomic_load_explicit(word + i, memory_order_acquire);
        memcpy(samples + i * LANES, &value, sizeof value);
    }
    if (n % LANES > 0) get_part(word + whole, 0, samples + whole * LANES, n % LANES);
}

/* -- writer -- */

void vc_pcm_ring_write(vc_pcm_ring *ring, const int16_t *samples, size_t n)
{
    int64_t end = atomic_load_explicit(&ring->end, memory_order_relaxed);
    while (n > 0) {
        size_t take = n < VC_PCM_RING_SLACK ? n : VC_PCM_RING_SLACK;
        size_t at = (size_t)end % ring->capacity, room = ring->capacity - at;
        size_t first = take < room ? take : room;
        end += (int64_t)take;
        atomic_store_explicit(&ring->claimed, end, memory_order_relaxed);
        put(ring->words, at, samples, first);
        if (take > first) put(ring->words, 0, samples + first, take - first);
        atomic_store_explicit(&ring->end, end, memory_order_release);
        samples += take;
        n -= take;
    }
}

int vc_pcm_ring_due(vc_pcm_ring *ring)
{
    int64_t wanted = atomic_load_explicit(&ring->wanted, memory_order_relaxed);
    if (wanted > atomic_load_explicit(&ring->end, memory_order_relaxed)) return 0;
    /* Not a new wish that came since. */
    return atomic_compare_exchange_strong_explicit(&ring->wanted, &wanted, INT64_MAX,
                                                   memory_order_relaxed, memory_order_relaxed);
}

void vc_pcm_ring_prefetch(const vc_pcm_ring *ring, size_t n, vc_turns_away turns)
{
    if (turns == VC_SECOND) {
        vc_prefetch(ring, 64);
        return;
    }
    int64_t end = atomic_load_explicit(&ring->end, memory_order_relaxed);
    size_t at = (size_t)end % ring->capacity, room = ring->capacity - at;
    vc_prefetch(&ring->words[at / LANES], (n < room ? n : room) * sizeof(int16_t));
}

/* -- any thread -- */

int64_t vc_pcm_ring_end(const vc_pcm_ring *ring)
{
    return atomic_load_explicit(&ring->end, memory_order_acquire);
}

int64_t vc_pcm_ring_begin(const vc_pcm_ring *ring)
{
    int64_t claimed = atomic_load_explicit(&ring->claimed, memory_order_relaxed);
    int64_t begin = claimed - (int64_t)ring->capacity;
    return begin > 0 ? begin : 0;
}

vc_status vc_pcm_ring_copy(const vc_pcm_ring *ring, int64_t first, int16_t *samples, size_t n)
{
    if (first < vc_pcm_ring_begin(ring)) return VC_LATE;
    int64_t end = vc_pcm_ring_end(ring);
    if (first > end || n > (size_t)(end - first)) return VC_NEED_MORE;
    if (n > ring->capacity) return VC_LATE; /* it came round since the first look */
    size_t at = (size_t)first % ring->capacity, room = ring->capacity - at;
    size_t head = n < room ? n : room;
    get(ring->words, at, samples, head);
    get(ring->words, 0, samples + head, n - head);
    return first < vc_pcm_ring_begin(ring) ? VC_LATE : VC_OK;
}

/* -- the reader -- */

size_t vc_pcm_ring_unread(vc_pcm_ring *ring, int64_t *first)
{
    int64_t end = vc_pcm_ring_end(ring), begin = vc_pcm_ring_begin(ring);
    if (begin > end) begin = end; /* all of it came round between the two looks */
    if (ring->next < begin) {
        ring->dropped += (uint64_t)(begin - ring->next);
        ring->next = begin;
    }
    *first = ring->next;
    return (size_t)(end - ring->next);
}

void vc_pcm_ring_skip(vc_pcm_ring *ring, size_t n)
{
    ring->next += (int64_t)n;
}

vc_status vc_pcm_ring_pull(vc_pcm_ring *ring, int16_t *samples, size_t *n, int64_t *first)
{
    size_t room = *n, taken;
    do {
        size_t unread = vc_pcm_ring_unread(ring, first);
        taken = unread < room ? unread : room;
    } while (taken > 0 && vc_pcm_ring_copy(ring, *first, samples, taken) != VC_OK);
    *n = taken;
    if (taken == 0) return VC_NEED_MORE;
    vc_pcm_ring_skip(ring, taken);
    return VC_OK;
}

uint64_t vc_pcm_ring_dropped(const vc_pcm_ring *ring)
{
    int64_t begin = vc_pcm_ring_begin(ring);
    return ring->dropped + (begin > ring->next ? (uint64_t)(begin - ring->next) : 0);
}

void vc_pcm_ring_want(vc_pcm_ring *ring, size_t n)
{
    atomic_store_explicit(&ring->wanted, ring->next + (int64_t)n, memory_order_relaxed);
}
