from libc.stdint cimport int16_t, int64_t, uint64_t

from voicecore.media.c_base cimport vc_allocator, vc_status


cdef extern from "base/vc_pcm_ring.h" nogil:
    ctypedef struct vc_pcm_ring:
        pass
    vc_status vc_pcm_ring_create(vc_pcm_ring **out, size_t samples, const vc_allocator *allocator)
    void vc_pcm_ring_destroy(vc_pcm_ring *ring)
    const int16_t *vc_pcm_ring_storage(const vc_pcm_ring *ring, size_t *capacity)
    void vc_pcm_ring_write(vc_pcm_ring *ring, const int16_t *samples, size_t n)
    int vc_pcm_ring_due(vc_pcm_ring *ring)
    int64_t vc_pcm_ring_end(const vc_pcm_ring *ring)
    int64_t vc_pcm_ring_begin(const vc_pcm_ring *ring)
    vc_status vc_pcm_ring_copy(const vc_pcm_ring *ring, int64_t first, int16_t *samples, size_t n)
    size_t vc_pcm_ring_unread(vc_pcm_ring *ring, int64_t *first)
    void vc_pcm_ring_skip(vc_pcm_ring *ring, size_t n)
    vc_status vc_pcm_ring_pull(vc_pcm_ring *ring, int16_t *samples, size_t *n, int64_t *first)
    uint64_t vc_pcm_ring_dropped(const vc_pcm_ring *ring)
    void vc_pcm_ring_want(vc_pcm_ring *ring, size_t n)


cdef extern from "base/vc_pool.h" nogil:
    ctypedef struct vc_pool:
        pass
    vc_status vc_pool_create(vc_pool **out, size_t chunk_bytes, const vc_allocator *source)
    void vc_pool_destroy(vc_pool *pool)
    const vc_allocator *vc_pool_allocator(const vc_pool *pool)


cdef class RingPool:
    cdef vc_pool *handle


cdef RingPool make_pool(size_t chunk_bytes, const vc_allocator *source)


cdef class PcmRing:
    cdef RingPool pool
    cdef vc_pcm_ring *handle
    cdef const int16_t *storage
    cdef size_t capacity
    cdef int busy
    cdef object view(self, int64_t first, size_t n)
