"""What every binding does: turn a status into an exception, take a buffer, guard a handle."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int16_t, uint8_t

from voicecore.media.c_base cimport (
    VC_CPU_AUTO,
    VC_CPU_AVX2,
    VC_CPU_AVX512,
    VC_CPU_C,
    VC_CPU_NEON,
    vc_cpu_level,
    vc_guard_enter,
    vc_guard_leave,
    vc_status,
    vc_status_str,
)

from voicecore import errors as _errors


cdef inline int check(vc_status status, str what) except -1:
    """Raises for a negative status; positive ones are outcomes, not errors."""
    if status < 0:
        _errors.raise_status(<int>status, (<bytes>vc_status_str(status)).decode(), what)
    return 0


cdef inline int enter(int *busy) except -1:
    """Claims a handle for this thread."""
    if not vc_guard_enter(busy):
        raise _errors.ConcurrentUseError(
            "another thread is inside this object: one object serves one thread at a time, "
            "so give each thread its own"
        )
    return 0


cdef inline char buffer_kind(const Py_buffer *view) noexcept:
    """The one-letter element type of a buffer in native byte order, or 0."""
    cdef const char *format = view.format
    if format == NULL:
        return c'B'
    if format[0] == c'@' or format[0] == c'=' or format[0] == c'<':
        format += 1
    if format[0] == 0 or format[1] != 0:
        return 0
    return format[0]


cdef inline int get_bytes(object source, Py_buffer *view) except -1:
    """Any contiguous buffer as raw bytes. The caller releases the view."""
    try:
        PyObject_GetBuffer(source, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except (TypeError, BufferError, ValueError):
        raise _errors.DtypeError(
            f"expected bytes or another contiguous buffer, got {type(source).__name__}"
        ) from None
    return 0


cdef inline int get_s16(object source, Py_buffer *view, size_t *samples) except -1:
    """int16 samples from an int16 array or from raw little-endian bytes. The caller releases."""
    get_bytes(source, view)
    cdef char kind = buffer_kind(view)
    if kind != c'h' and kind != c'B' and kind != c'b' and kind != c'c':
        PyBuffer_Release(view)
        raise _errors.DtypeError(
            f"expected int16 samples (int16 array or bytes), got {describe(source)}; "
            "convert with x.astype(numpy.int16) or (x * 32768)"
        )
    if view.ndim > 1:
        PyBuffer_Release(view)
        raise _errors.LengthError(f"expected one dimension, got {view.ndim}; pass mono audio")
    if view.len % 2:
        PyBuffer_Release(view)
        raise _errors.LengthError(
            f"{view.len} bytes are no whole number of int16 samples; pass an even number of bytes"
        )
    samples[0] = <size_t>view.len // 2
    return 0


cdef inline int get_f32(object source, Py_buffer *view, size_t *samples) except -1:
    """float32 samples from a float32 array. The caller releases."""
    get_bytes(source, view)
    if buffer_kind(view) != c'f':
        PyBuffer_Release(view)
        raise _errors.DtypeError(
            f"expected float32 samples, got {describe(source)}; "
            "convert with x.astype(numpy.float32)"
        )
    if view.ndim > 1:
        PyBuffer_Release(view)
        raise _errors.LengthError(f"expected one dimension, got {view.ndim}; pass mono audio")
    samples[0] = <size_t>view.len // 4
    return 0


cdef inline str describe(object source):
    """What a user passed, for an error message."""
    dtype = getattr(source, "dtype", None)
    if dtype is not None:
        return f"an array of {dtype}"
    return type(source).__name__


cdef inline vc_cpu_level level_of(object name) except *:
    """A CPU level from its name; None means the best one (lowered by VOICECORE_CPU)."""
    if name is None or name == "auto":
        return VC_CPU_AUTO
    if name == "c":
        return VC_CPU_C
    if name == "neon":
        return VC_CPU_NEON
    if name == "avx2":
        return VC_CPU_AVX2
    if name == "avx512":
        return VC_CPU_AVX512
    raise _errors.ConfigError(
        f"unknown CPU level {name!r}; use 'c', 'neon', 'avx2', 'avx512' or None for the best"
    )
