"""The ring of a call's received audio. Python owns it, so views outlive the call and the engine."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int16_t, int64_t

from voicecore.media._common cimport PyBuffer_Release, check, enter, get_s16, vc_guard_leave
from voicecore.media.c_base cimport VC_LATE, VC_NEED_MORE, VC_OK

import numpy as np

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import AudioGoneError, ConfigError, LengthError


cdef class RingPool:
    """Where the rings of one engine take their memory; lives as long as the last of them."""

    def __dealloc__(self):
        vc_pool_destroy(self.handle)


cdef RingPool make_pool(size_t chunk_bytes, const vc_allocator *source):
    cdef RingPool pool = RingPool()
    check(vc_pool_create(&pool.handle, chunk_bytes, source), "memory for received audio")
    return pool


cdef class PcmRing:
    """The last samples of a stream; a media thread writes while Python reads.

    Not for users: see Call.read_audio, Call.chunks and Call.replay.
    """

    def __cinit__(self, size_t samples, RingPool pool=None):
        cdef const vc_allocator *allocator = NULL
        if pool is not None:
            allocator = vc_pool_allocator(pool.handle)
        self.pool = pool
        check(vc_pcm_ring_create(&self.handle, samples, allocator), "the ring of received audio")
        self.storage = vc_pcm_ring_storage(self.handle, &self.capacity)

    def __dealloc__(self):
        vc_pcm_ring_destroy(self.handle)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef Py_ssize_t size = <Py_ssize_t>(self.capacity * sizeof(int16_t))
        PyBuffer_FillInfo(buffer, self, <void *>self.storage, size, 1, flags)

    cdef object view(self, int64_t first, size_t n):
        """The samples in place, read-only; None where they are not in one piece."""
        cdef size_t at = <size_t>first % self.capacity
        if n > self.capacity - at:
            return None
        return np.frombuffer(self, np.int16, n, at * sizeof(int16_t))

    @property
    def begin(self):
        """The oldest sample that is held."""
        return vc_pcm_ring_begin(self.handle)

    @property
    def end(self):
        """One past the newest sample."""
        return vc_pcm_ring_end(self.handle)

    @property
    def unread(self):
        """Samples that were not taken yet."""
        cdef int64_t first
        enter(&self.busy)
        cdef size_t n = vc_pcm_ring_unread(self.handle, &first)
        vc_guard_leave(&self.busy)
        return n

    @property
    def dropped(self):
        """Samples that were overwritten before they were taken."""
        return vc_pcm_ring_dropped(self.handle)

    def read(self, bint copy=True):
        """(all that was not taken yet, its first index); index -1 if there is nothing."""
        cdef int64_t first = -1, now
        cdef size_t n
        cdef int16_t[::1] room
        cdef bint taken = False
        while True:
            enter(&self.busy)
            n = vc_pcm_ring_unread(self.handle, &first)
            vc_guard_leave(&self.busy)
            # Made outside, where an exception or another thread cannot find the ring claimed.
            samples = None if copy or n == 0 else self.view(first, n)
            if samples is None:
                break
            enter(&self.busy)
            vc_pcm_ring_unread(self.handle, &now)
            taken = now == first
            if taken:
                vc_pcm_ring_skip(self.handle, n)
            vc_guard_leave(&self.busy)
            if taken:
                return samples, first
        samples = np.empty(n, dtype=np.int16)
        if n == 0:
            return samples, -1
        room = samples
        enter(&self.busy)
        if vc_pcm_ring_pull(self.handle, &room[0], &n, &first) != VC_OK:
            first = -1
        vc_guard_leave(&self.busy)
        return samples[:n], first

    def take(self, size_t samples):
        """(the next so many, their first index), or None if they are not all there."""
        cdef int64_t first
        cdef size_t n = samples
        cdef int16_t[::1] room
        enter(&self.busy)
        cdef bint enough = vc_pcm_ring_unread(self.handle, &first) >= n
        vc_guard_leave(&self.busy)
        if n == 0 or not enough:
            return None
        piece = np.empty(n, dtype=np.int16)
        room = piece
        enter(&self.busy)
        # Again: another thread may have been faster.
        enough = vc_pcm_ring_unread(self.handle, &first) >= n
        if enough:
            vc_pcm_ring_pull(self.handle, &room[0], &n, &first)
        vc_guard_leave(&self.busy)
        return (piece, first) if enough else None

    def replay(self, int64_t first, last=None, bint copy=True):
        """The samples first..last, taken or not."""
        cdef int64_t end = vc_pcm_ring_end(self.handle)
        cdef int64_t stop = end if last is None else last
        cdef int16_t[::1] room
        cdef size_t n
        cdef int status = VC_OK
        if first < 0 or stop < first:
            raise ConfigError(
                f"first is {first} and last is {stop}; they must be 0 or more and in order"
            )
        if stop > end:
            raise LengthError(f"last is {stop}, but only {end} samples have been received")
        n = <size_t>(stop - first)
        if first < vc_pcm_ring_begin(self.handle):
            status = VC_LATE
        samples = self.view(first, n) if not copy and status == VC_OK else None
        if samples is None and status == VC_OK:
            samples = np.empty(n, dtype=np.int16)
            if n > 0:
                room = samples
                status = vc_pcm_ring_copy(self.handle, first, &room[0], n)
        if status != VC_OK:
            oldest = vc_pcm_ring_begin(self.handle)
            raise AudioGoneError(
                f"sample {first} is no longer held: the oldest one is {oldest} "
                f"({end - oldest} back from the newest); keep more with "
                "CallConfig(receive_buffer_ms=...), at most 60000",
                oldest,
            )
        return samples

    def want(self, size_t samples):
        """Asks to be told when so many are unread."""
        enter(&self.busy)
        vc_pcm_ring_want(self.handle, samples)
        vc_guard_leave(&self.busy)

    def write(self, pcm):
        """The writer's side, as the media thread uses it; whether what is wanted is there."""
        cdef Py_buffer buffer
        cdef size_t n
        get_s16(pcm, &buffer, &n)
        vc_pcm_ring_write(self.handle, <const int16_t *>buffer.buf, n)
        PyBuffer_Release(&buffer)
        return bool(vc_pcm_ring_due(self.handle))
