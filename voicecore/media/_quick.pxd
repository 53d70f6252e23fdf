"""The usual buffers without a buffer export: exact bytes, bytearray, and one-dimensional contiguous
ndarrays. An export costs about as much as coding 20 ms of G.711.

Each function gives NULL for anything else, which then takes the way through _common.pxd and is
refused there if it is wrong. What they point at is valid while the caller holds the object and the
GIL: no Python code may run and the GIL may not be released before the last use.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_CheckExact, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, uint8_t

cimport numpy as cnp


cdef inline void *quick_array(object source, int kind, int flags, size_t *count) noexcept:
    """The elements of an array of that type whose flags are set."""
    if not cnp.PyArray_CheckExact(source) or cnp.PyArray_NDIM(<cnp.ndarray>source) != 1:
        return NULL
    if cnp.PyArray_TYPE(<cnp.ndarray>source) != kind:
        return NULL
    if not cnp.PyArray_CHKFLAGS(<cnp.ndarray>source, flags):
        return NULL
    if not cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>source):
        return NULL
    count[0] = <size_t>cnp.PyArray_DIM(<cnp.ndarray>source, 0)
    return cnp.PyArray_DATA(<cnp.ndarray>source)


cdef inline const int16_t *quick_s16(object source, size_t *samples) noexcept:
    """Samples of an int16 array or of bytes."""
    if PyBytes_CheckExact(source):
        if PyBytes_GET_SIZE(source) % 2:
            return NULL
        samples[0] = <size_t>PyBytes_GET_SIZE(source) // 2
        return <const int16_t *>PyBytes_AS_STRING(source)
    return <const int16_t *>quick_array(source, cnp.NPY_INT16, cnp.NPY_ARRAY_CARRAY_RO, samples)


cdef inline const uint8_t *quick_bytes(object source, size_t *count) noexcept:
    """Bytes of bytes or of a uint8 array."""
    if PyBytes_CheckExact(source):
        count[0] = <size_t>PyBytes_GET_SIZE(source)
        return <const uint8_t *>PyBytes_AS_STRING(source)
    return <const uint8_t *>quick_array(source, cnp.NPY_UINT8, cnp.NPY_ARRAY_CARRAY_RO, count)


cdef inline int16_t *quick_s16_room(object target, size_t *samples) noexcept:
    """A writable int16 array."""
    return <int16_t *>quick_array(target, cnp.NPY_INT16, cnp.NPY_ARRAY_CARRAY, samples)


cdef inline uint8_t *quick_bytes_room(object target, size_t *count) noexcept:
    """A bytearray or a writable uint8 array."""
    if PyByteArray_CheckExact(target):
        count[0] = <size_t>PyByteArray_GET_SIZE(target)
        return <uint8_t *>PyByteArray_AS_STRING(target)
    return <uint8_t *>quick_array(target, cnp.NPY_UINT8, cnp.NPY_ARRAY_CARRAY, count)
