"""Polyphase FIR resampler, mono, streaming."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int16_t

cimport numpy as cnp

from voicecore.media._common cimport buffer_kind, check, enter, get_f32, get_s16, level_of
from voicecore.media.c_base cimport (
    vc_cpu_level,
    vc_cpu_name,
    vc_cpu_resolve,
    vc_guard_leave,
    vc_status,
)
from voicecore.media.c_resample cimport (
    vc_resample,
    vc_resample_config,
    vc_resample_config_default,
    vc_resample_create,
    vc_resample_delay_samples,
    vc_resample_destroy,
    vc_resample_flush_f32,
    vc_resample_flush_s16,
    vc_resample_flush_samples,
    vc_resample_max_output,
    vc_resample_process_f32,
    vc_resample_process_s16,
    vc_resample_reset,
)

import numpy as np

from voicecore import errors as _errors

cnp.import_array()

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

# Below this the C call is shorter than about 5 us and keeping the GIL is cheaper.
DEF NOGIL_SAMPLES = 4096


cdef class Resampler:
    """Converts a mono stream from one sample rate to another.

    Linear-phase FIR, 24 samples of the lower rate on either side; flat within 0.05 dB up to 0.858
    of the lower Nyquist frequency, -3 dB at 0.90, at least 90 dB down from 1.02 on. How the input
    is sliced never changes the output: after n input samples in all, floor(n * out_hz / in_hz)
    have come out, so 20 ms in gives 20 ms out.

    Parameters
    ----------
    in_hz, out_hz: two of 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000.
    level: CPU level ('c', 'avx2', 'avx512', 'neon'); None is the best one of this machine.
    preset: 'voice', the only one.

    Raises RateError for another rate, ConfigError for an unknown level or preset, CpuLevelError
    for a level that this machine lacks. One object serves one stream and one thread at a time.

    Example
    -------
    >>> import numpy, voicecore
    >>> resampler = voicecore.Resampler(8000, 16000)
    >>> resampler.process(numpy.zeros(160, numpy.int16)).shape
    (320,)
    """

    cdef vc_resample *handle
    cdef int busy
    cdef vc_cpu_level cpu_level
    cdef readonly int in_hz
    cdef readonly int out_hz

    def __init__(self, in_hz, out_hz, *, level=None, preset="voice"):
        if preset != "voice":
            raise _errors.ConfigError(f"unknown preset {preset!r}; use 'voice'")
        for name, rate in (("in_hz", in_hz), ("out_hz", out_hz)):
            if rate not in RATES_HZ:
                raise _errors.RateError(
                    f"{name}={rate!r} is not supported; use one of "
                    + ", ".join(map(str, RATES_HZ))
                )
        cdef vc_resample_config config = vc_resample_config_default()
        config.in_hz = int(in_hz)
        config.out_hz = int(out_hz)
        config.cpu_level = level_of(level)
        check(vc_cpu_resolve(config.cpu_level, &config.cpu_level), f"CPU level {level!r}")
        cdef vc_resample *handle = NULL
        check(vc_resample_create(&handle, &config), "Resampler")
        enter(&self.busy)
        vc_resample_destroy(self.handle)
        self.handle = handle
        self.in_hz = config.in_hz
        self.out_hz = config.out_hz
        self.cpu_level = config.cpu_level
        vc_guard_leave(&self.busy)

    def __dealloc__(self):
        vc_resample_destroy(self.handle)

    cdef int claim(self) except -1:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            raise _errors.ClosedError("this Resampler is closed; make a new one")
        return 0

    cdef int run(self, const Py_buffer *src, char kind, size_t n_in, void *dst,
                 size_t *n_out) except -1:
        """The one C call; the object is claimed."""
        cdef vc_status status
        if kind == c'f':
            if n_in < NOGIL_SAMPLES:
                status = vc_resample_process_f32(
                    self.handle, <const float *>src.buf, &n_in, <float *>dst, n_out)
            else:
                with nogil:
                    status = vc_resample_process_f32(
                        self.handle, <const float *>src.buf, &n_in, <float *>dst, n_out)
        else:
            if n_in < NOGIL_SAMPLES:
                status = vc_resample_process_s16(
                    self.handle, <const int16_t *>src.buf, &n_in, <int16_t *>dst, n_out)
            else:
                with nogil:
                    status = vc_resample_process_s16(
                        self.handle, <const int16_t *>src.buf, &n_in, <int16_t *>dst, n_out)
        return check(status, "Resampler.process")

    def process(self, x):
        """The next samples, converted: int16 (or bytes) gives int16, float32 gives float32.

        x: any number of samples, one dimension. int16 and float32 may alternate: the stream is one.
        Raises DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Py_buffer view
        cdef size_t n_in
        cdef size_t n_out
        cdef cnp.npy_intp shape
        cdef char kind = get_samples(x, &view, &n_in)
        try:
            self.claim()
            try:
                n_out = vc_resample_max_output(self.handle, n_in)
                shape = <cnp.npy_intp>n_out
                out = cnp.PyArray_SimpleNew(
                    1, &shape, cnp.NPY_FLOAT32 if kind == c'f' else cnp.NPY_INT16)
                self.run(&view, kind, n_in, cnp.PyArray_DATA(<cnp.ndarray>out), &n_out)
                return out
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)

    def process_into(self, src, dst):
        """Like process, into a writable buffer of the same sample type; returns the samples written.

        Raises BufferTooSmallError, and consumes nothing, if dst has too little room.
        """
        cdef Py_buffer view
        cdef Py_buffer room
        cdef size_t n_in
        cdef size_t n_out
        cdef size_t needed
        cdef char kind = get_samples(src, &view, &n_in)
        try:
            get_room(dst, kind, &room, &n_out)
            try:
                if (<char *>view.buf < <char *>room.buf + room.len
                        and <char *>room.buf < <char *>view.buf + view.len):
                    raise _errors.ConfigError(
                        "src and dst share memory; give dst a buffer of its own")
                self.claim()
                try:
                    needed = vc_resample_max_output(self.handle, n_in)
                    if needed > n_out:
                        raise _errors.BufferTooSmallError(
                            f"{n_in} samples give {needed}, but dst has room for {n_out}; "
                            "make dst larger")
                    self.run(&view, kind, n_in, room.buf, &n_out)
                    return n_out
                finally:
                    vc_guard_leave(&self.busy)
            finally:
                PyBuffer_Release(&room)
        finally:
            PyBuffer_Release(&view)

    def flush(self, dtype=np.int16):
        """The end of the stream: what the delay still holds back. The object is as new then.

        With it, output[delay:] covers all of the input. Nothing fed, nothing returned.
        dtype: numpy.int16 or numpy.float32.
        """
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = None
        if wanted != np.int16 and wanted != np.float32:
            raise _errors.DtypeError(f"dtype {dtype!r}: use numpy.int16 or numpy.float32")
        cdef cnp.ndarray out
        cdef size_t n_out
        cdef vc_status status
        self.claim()
        try:
            n_out = vc_resample_flush_samples(self.handle)
            out = np.empty(n_out, wanted)
            if wanted == np.int16:
                status = vc_resample_flush_s16(
                    self.handle, <int16_t *>cnp.PyArray_DATA(out), &n_out)
            else:
                status = vc_resample_flush_f32(
                    self.handle, <float *>cnp.PyArray_DATA(out), &n_out)
            check(status, "Resampler.flush")
            return out
        finally:
            vc_guard_leave(&self.busy)

    def reset(self):
        """Forgets the stream: as new."""
        self.claim()
        vc_resample_reset(self.handle)
        vc_guard_leave(&self.busy)

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        vc_resample_destroy(self.handle)
        self.handle = NULL
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def delay_samples(self):
        """The filter's delay in output samples; may be fractional."""
        self.claim()
        delay = vc_resample_delay_samples(self.handle)
        vc_guard_leave(&self.busy)
        return delay

    @property
    def delay_ms(self):
        """The filter's delay in milliseconds."""
        return self.delay_samples * 1000.0 / self.out_hz

    @property
    def level(self):
        """The CPU level in use."""
        return vc_cpu_name(self.cpu_level).decode()

    def __repr__(self):
        return f"Resampler({self.in_hz}, {self.out_hz}, level={self.level!r})"


cdef inline char get_samples(object source, Py_buffer *view, size_t *samples) except 0:
    """int16 or float32 samples; returns 'h' or 'f'. The caller releases the view."""
    # The usual case without a second look; everything else goes through the checks.
    if PyObject_CheckBuffer(source):
        try:
            PyObject_GetBuffer(source, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError):
            raise _errors.DtypeError(
                f"expected a contiguous buffer, got a strided {type(source).__name__}; "
                "use numpy.ascontiguousarray(x)"
            ) from None
        if view.ndim == 1:
            if buffer_kind(view) == c'h':
                samples[0] = <size_t>view.len // 2
                return c'h'
            if buffer_kind(view) == c'f':
                samples[0] = <size_t>view.len // 4
                return c'f'
        PyBuffer_Release(view)
    if getattr(source, "dtype", None) == np.float32:
        get_f32(source, view, samples)
        return c'f'
    get_s16(source, view, samples)
    return c'h'


cdef int get_room(object target, char kind, Py_buffer *view, size_t *samples) except -1:
    """A writable buffer for samples of that kind. The caller releases the view."""
    try:
        PyObject_GetBuffer(target, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    except (TypeError, BufferError, ValueError):
        raise _errors.DtypeError(
            f"dst must be a writable contiguous buffer, got {type(target).__name__}"
        ) from None
    cdef char found = buffer_kind(view)
    cdef size_t size = 4 if kind == c'f' else 2
    if view.ndim > 1:
        PyBuffer_Release(view)
        raise _errors.LengthError(f"dst has {view.ndim} dimensions; pass one")
    if found != kind and not (kind == c'h' and found == c'B'):
        PyBuffer_Release(view)
        raise _errors.DtypeError(
            "dst must have the sample type of src: "
            + ("float32" if kind == c'f' else "int16 (or a bytearray)")
        )
    samples[0] = <size_t>view.len // size
    return 0


cdef extern from "Python.h":
    int PyObject_CheckBuffer(object)
