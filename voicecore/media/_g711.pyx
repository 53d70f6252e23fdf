"""G.711 µ-law and A-law."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

cimport cython
cimport numpy as cnp

from voicecore.media._common cimport buffer_kind, check, describe, get_bytes, get_s16, level_of
from voicecore.media._quick cimport quick_bytes, quick_bytes_room, quick_s16, quick_s16_room
from voicecore.media.c_base cimport VC_CPU_AUTO, vc_cpu_level, vc_cpu_name, vc_cpu_resolve
from voicecore.media.c_codec cimport vc_g711, vc_g711_get

from voicecore import errors as _errors  # used by the inline functions of _common.pxd

cnp.import_array()

cdef size_t RELEASE_GIL_SAMPLES = 16000  # 1 to 8 us of work

ctypedef void (*encode_function)(const int16_t *pcm, uint8_t *out, size_t n) noexcept nogil
ctypedef void (*decode_function)(const uint8_t *data, int16_t *pcm, size_t n) noexcept nogil


cdef class G711:
    """G.711 encoder and decoder; stateless, so one object serves any number of threads.

    law: "ulaw" (PCMU, payload type 0) or "alaw" (PCMA, payload type 8); anything else raises
    ConfigError. int16 in, 8-bit codes out, and back; one code per sample. Bit-exact with
    Python's audioop. Algorithm: ITU-T G.711.
    level: CPU level ('c', 'avx2', 'avx512', 'neon'); None is the best one of this machine, and
    CpuLevelError says that it has no such level. Every level gives the same bits.

    >>> G711("ulaw").decode(b"\\xff\\x80")
    array([    0, 32124], dtype=int16)
    """

    cdef encode_function _encode
    cdef decode_function _decode
    cdef vc_cpu_level _level
    cdef readonly str law

    def __cinit__(self):
        choose(self, "ulaw", VC_CPU_AUTO)

    def __init__(self, law="ulaw", *, level=None):
        if law != "ulaw" and law != "alaw":
            raise _errors.ConfigError(f"unknown law {law!r}; use 'ulaw' (PCMU) or 'alaw' (PCMA)")
        choose(self, law, level_of(level))

    @cython.binding(False)
    def encode(self, pcm):
        """One byte per int16 sample (int16 array, or raw little-endian bytes)."""
        cdef size_t n = 0
        cdef const int16_t *source = quick_s16(pcm, &n)
        if source == NULL or n > RELEASE_GIL_SAMPLES:
            return self.encode_any(pcm)
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
        self._encode(source, <uint8_t *>PyBytes_AS_STRING(out), n)
        return out

    @cython.binding(False)
    def decode(self, data):
        """int16 array with one sample per code (bytes, or a uint8 array)."""
        cdef size_t n = 0
        cdef cnp.npy_intp shape
        cdef const uint8_t *source = quick_bytes(data, &n)
        if source == NULL or n > RELEASE_GIL_SAMPLES:
            return self.decode_any(data, True)
        shape = <cnp.npy_intp>n
        out = cnp.PyArray_SimpleNew(1, &shape, cnp.NPY_INT16)
        self._decode(source, <int16_t *>cnp.PyArray_DATA(out), n)
        return out

    @cython.binding(False)
    def decode_bytes(self, data):
        """The samples of decode as raw bytes, which are quicker to make than an array."""
        cdef size_t n = 0
        cdef const uint8_t *source = quick_bytes(data, &n)
        if source == NULL or n > RELEASE_GIL_SAMPLES:
            return self.decode_any(data, False)
        out = PyBytes_FromStringAndSize(NULL, 2 * <Py_ssize_t>n)
        self._decode(source, <int16_t *>PyBytes_AS_STRING(out), n)
        return out

    @cython.binding(False)
    def encode_into(self, pcm, out, /):
        """Like encode, into the start of a writable buffer of bytes; returns the codes written.

        Raises BufferTooSmallError, and writes nothing, if out has too little room.
        """
        cdef size_t n = 0, room = 0
        cdef const int16_t *source = quick_s16(pcm, &n)
        cdef uint8_t *target = quick_bytes_room(out, &room)
        if (source == NULL or target == NULL or n > room or n > RELEASE_GIL_SAMPLES
                or share(source, 2 * n, target, n)):
            return self.encode_any_into(pcm, out)
        self._encode(source, target, n)
        return n

    @cython.binding(False)
    def decode_into(self, data, out, /):
        """Like decode, into the start of a writable int16 array; returns the samples written.

        Raises BufferTooSmallError, and writes nothing, if out has too little room.
        """
        cdef size_t n = 0, room = 0
        cdef const uint8_t *source = quick_bytes(data, &n)
        cdef int16_t *target = quick_s16_room(out, &room)
        if (source == NULL or target == NULL or n > room or n > RELEASE_GIL_SAMPLES
                or share(source, n, target, 2 * n)):
            return self.decode_any_into(data, out)
        self._decode(source, target, n)
        return n

    cdef object encode_any(self, pcm):
        cdef Py_buffer view
        cdef size_t n
        get_s16(pcm, &view, &n)
        try:
            out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
            self.run_encode(<const int16_t *>view.buf, <uint8_t *>PyBytes_AS_STRING(out), n)
        finally:
            PyBuffer_Release(&view)
        return out

    cdef object decode_any(self, data, bint as_array):
        cdef Py_buffer view
        cdef cnp.npy_intp n
        get_codes(data, &view)
        try:
            n = view.len
            if as_array:
                out = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_INT16)
                self.run_decode(
                    <const uint8_t *>view.buf, <int16_t *>cnp.PyArray_DATA(out), <size_t>n)
            else:
                out = PyBytes_FromStringAndSize(NULL, 2 * n)
                self.run_decode(
                    <const uint8_t *>view.buf, <int16_t *>PyBytes_AS_STRING(out), <size_t>n)
        finally:
            PyBuffer_Release(&view)
        return out

    cdef object encode_any_into(self, pcm, out):
        cdef Py_buffer view, room
        cdef size_t n
        get_s16(pcm, &view, &n)
        try:
            get_room(out, False, &room)
            try:
                check_room(&view, &room, n, <size_t>room.len)
                self.run_encode(<const int16_t *>view.buf, <uint8_t *>room.buf, n)
            finally:
                PyBuffer_Release(&room)
        finally:
            PyBuffer_Release(&view)
        return n

    cdef object decode_any_into(self, data, out):
        cdef Py_buffer view, room
        get_codes(data, &view)
        try:
            get_room(out, True, &room)
            try:
                check_room(&view, &room, <size_t>view.len, <size_t>room.len // 2)
                self.run_decode(
                    <const uint8_t *>view.buf, <int16_t *>room.buf, <size_t>view.len)
                return view.len
            finally:
                PyBuffer_Release(&room)
        finally:
            PyBuffer_Release(&view)

    cdef void run_encode(self, const int16_t *pcm, uint8_t *out, size_t n) noexcept:
        if n > RELEASE_GIL_SAMPLES:
            with nogil:
                self._encode(pcm, out, n)
        else:
            self._encode(pcm, out, n)

    cdef void run_decode(self, const uint8_t *data, int16_t *pcm, size_t n) noexcept:
        if n > RELEASE_GIL_SAMPLES:
            with nogil:
                self._decode(data, pcm, n)
        else:
            self._decode(data, pcm, n)

    @property
    def level(self):
        """The CPU level in use."""
        return vc_cpu_name(self._level).decode()

    def __repr__(self):
        return f"G711({self.law!r})"


cdef int choose(G711 self, str law, vc_cpu_level level) except -1:
    cdef const vc_g711 *functions
    check(vc_cpu_resolve(level, &level), "G711: CPU level")
    check(vc_g711_get(level, &functions), "G711")
    self._level = level
    self.law = law
    self._encode = functions.ulaw_encode if law == "ulaw" else functions.alaw_encode
    self._decode = functions.ulaw_decode if law == "ulaw" else functions.alaw_decode
    return 0


cdef inline bint share(const void *a, size_t a_bytes, const void *b, size_t b_bytes) noexcept:
    return <size_t>a < <size_t>b + b_bytes and <size_t>b < <size_t>a + a_bytes


cdef inline bint is_bytes(char kind) noexcept:
    return kind == c'B' or kind == c'b' or kind == c'c'


cdef int get_codes(object data, Py_buffer *view) except -1:
    """The caller releases the view."""
    get_bytes(data, view)
    if not is_bytes(buffer_kind(view)):
        PyBuffer_Release(view)
        raise _errors.DtypeError(
            f"expected bytes or a uint8 array of codes, got {describe(data)}")
    return 0


cdef int get_room(object out, bint of_samples, Py_buffer *view) except -1:
    """Writable samples, or bytes. The caller releases the view."""
    wanted = "int16 array" if of_samples else "bytearray or uint8 array"
    try:
        PyObject_GetBuffer(out, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    except (TypeError, BufferError, ValueError):
        raise _errors.DtypeError(
            f"out: expected a writable contiguous {wanted}, got {type(out).__name__}") from None
    cdef char kind = buffer_kind(view)
    if not (kind == c'h' if of_samples else is_bytes(kind)):
        PyBuffer_Release(view)
        raise _errors.DtypeError(f"out: expected a writable {wanted}, got {describe(out)}")
    if view.ndim > 1:
        ndim = view.ndim
        PyBuffer_Release(view)
        raise _errors.LengthError(f"out: expected one dimension, got {ndim}")
    return 0


cdef int check_room(const Py_buffer *given, const Py_buffer *room, size_t n, size_t has) except -1:
    if n > has:
        raise _errors.BufferTooSmallError(
            f"{n} samples do not fit in out, which has room for {has}; make out larger")
    if share(given.buf, <size_t>given.len, room.buf, <size_t>room.len):
        raise _errors.ConfigError("input and out share memory; give out a buffer of its own")
    return 0
