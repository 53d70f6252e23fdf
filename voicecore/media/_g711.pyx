"""G.711 µ-law and A-law."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

cimport numpy as cnp

from voicecore.media._common cimport buffer_kind, describe, get_bytes, get_s16
from voicecore.media.c_net cimport (
    vc_g711_alaw_decode,
    vc_g711_alaw_encode,
    vc_g711_ulaw_decode,
    vc_g711_ulaw_encode,
)

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import ConfigError, DtypeError

cnp.import_array()

cdef size_t RELEASE_GIL_SAMPLES = 16000  # about 5 us of work


cdef class G711:
    """G.711 encoder and decoder; stateless, so one object serves any number of threads.

    law: "ulaw" (PCMU, payload type 0) or "alaw" (PCMA, payload type 8); anything else raises
    ConfigError. int16 in, 8-bit codes out, and back; one code per sample. Bit-exact with
    Python's audioop. Algorithm: ITU-T G.711.

    >>> G711("ulaw").decode(b"\\xff\\x80")
    array([    0, 32124], dtype=int16)
    """

    cdef bint _ulaw
    cdef readonly str law

    def __init__(self, law="ulaw"):
        if law != "ulaw" and law != "alaw":
            raise ConfigError(f"unknown law {law!r}; use 'ulaw' (PCMU) or 'alaw' (PCMA)")
        self.law = law
        self._ulaw = law == "ulaw"

    def encode(self, pcm):
        """One byte per int16 sample (int16 array, or raw little-endian bytes)."""
        cdef Py_buffer view
        cdef size_t n
        get_s16(pcm, &view, &n)
        cdef const int16_t *source = <const int16_t *>view.buf
        cdef uint8_t *target
        try:
            out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
            target = <uint8_t *>PyBytes_AS_STRING(out)
            if n > RELEASE_GIL_SAMPLES:
                with nogil:
                    if self._ulaw:
                        vc_g711_ulaw_encode(source, target, n)
                    else:
                        vc_g711_alaw_encode(source, target, n)
            elif self._ulaw:
                vc_g711_ulaw_encode(source, target, n)
            else:
                vc_g711_alaw_encode(source, target, n)
        finally:
            PyBuffer_Release(&view)
        return out

    def decode(self, data):
        """int16 array with one sample per byte."""
        cdef Py_buffer view
        get_bytes(data, &view)
        cdef char kind = buffer_kind(&view)
        if kind != c'B' and kind != c'b' and kind != c'c':
            PyBuffer_Release(&view)
            raise DtypeError(f"expected bytes or a uint8 array of codes, got {describe(data)}")
        cdef cnp.npy_intp n = view.len
        cdef const uint8_t *source = <const uint8_t *>view.buf
        cdef int16_t *target
        try:
            out = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT16, 0)
            target = <int16_t *>cnp.PyArray_DATA(out)
            if <size_t>n > RELEASE_GIL_SAMPLES:
                with nogil:
                    if self._ulaw:
                        vc_g711_ulaw_decode(source, target, <size_t>n)
                    else:
                        vc_g711_alaw_decode(source, target, <size_t>n)
            elif self._ulaw:
                vc_g711_ulaw_decode(source, target, <size_t>n)
            else:
                vc_g711_alaw_decode(source, target, <size_t>n)
        finally:
            PyBuffer_Release(&view)
        return out

    def __repr__(self):
        return f"G711({self.law!r})"
