"""Polyphase FIR resampler, streaming."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int16_t

cimport numpy as cnp

from voicecore.media._common cimport (
    buffer_kind,
    check,
    enter,
    get_bytes,
    get_f32,
    get_s16,
    level_of,
)
from voicecore.media.c_base cimport (
    vc_cpu_level,
    vc_cpu_name,
    vc_cpu_resolve,
    vc_guard_leave,
    vc_status,
)
from voicecore.media.c_resample cimport (
    VC_RESAMPLE_MAX_TRIM_PPM,
    VC_RESAMPLE_STUDIO,
    VC_RESAMPLE_TELEPHONY,
    VC_RESAMPLE_VOICE,
    vc_resample,
    vc_resample_config,
    vc_resample_config_default,
    vc_resample_create,
    vc_resample_delay_samples,
    vc_resample_destroy,
    vc_resample_flush_f32,
    vc_resample_flush_s16,
    vc_resample_flush_samples,
    vc_resample_inputs_for,
    vc_resample_max_output,
    vc_resample_process_f32,
    vc_resample_process_s16,
    vc_resample_reset,
    vc_resample_set_trim_ppm,
    vc_resample_trim_ppm,
)

import numpy as np

from voicecore import errors as _errors

cnp.import_array()

MOST_SAMPLES = 1 << 48
RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

PRESETS = {
    "telephony": VC_RESAMPLE_TELEPHONY,
    "voice": VC_RESAMPLE_VOICE,
    "studio": VC_RESAMPLE_STUDIO,
}

# Below this the C call is shorter than about 5 us and keeping the GIL is cheaper.
cdef enum:
    NOGIL_SAMPLES = 4096

cdef struct Samples:
    void *data
    size_t count  # of one channel
    char kind  # 'h' int16, 'f' float32
    bint held  # the view is to be released
    Py_buffer view


cdef class Resampler:
    """Converts a stream from one sample rate to another.

    Linear-phase FIR (frequency-sampling design: Rabiner, Gold, McGonegal 1970). How the input is
    sliced never changes the output: after n input samples in all, floor(n * out_hz / in_hz) have
    come out, so 20 ms in gives 20 ms out.

    Parameters
    ----------
    in_hz, out_hz: two of 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000.
    preset: the filter. Edges are fractions of the lower rate's Nyquist frequency, and the delay is
        that at a lower rate of 8 kHz; it shrinks as that rate grows.

        =========== ======== ========= ===== ========= ===========
        preset      delay    flat to   -3 dB stop edge worst alias
        =========== ======== ========= ===== ========= ===========
        'telephony' 1.5 ms   0.85      0.93  1.15      -76 dB
        'voice'     3 ms     0.858     0.90  1.02      -90 dB
        'studio'    8 ms     0.946     0.96  1.02      -115 dB
        =========== ======== ========= ===== ========= ===========
    channels: 1, arrays of shape [n]; or 2, arrays of shape [n, 2] (bytes: interleaved).
    trim: True lets ``trim_ppm`` be set. Equal rates, which else copy, then have a delay too.
    level: CPU level ('c', 'avx2', 'avx512', 'neon'); None is the best one of this machine.

    Raises RateError for another rate, ConfigError for another preset, level or number of channels,
    CpuLevelError for a level that this machine lacks. One object serves one stream and one thread
    at a time.

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
    cdef readonly int channels
    cdef readonly str preset
    cdef readonly bint trim

    def __init__(self, in_hz, out_hz, *, preset="voice", channels=1, trim=False, level=None):
        if not isinstance(preset, str) or preset not in PRESETS:
            raise _errors.ConfigError(
                f"unknown preset {preset!r}; use one of " + ", ".join(map(repr, PRESETS)))
        if channels not in (1, 2):
            raise _errors.ConfigError(f"channels={channels!r}; use 1 or 2")
        for name, rate in (("in_hz", in_hz), ("out_hz", out_hz)):
            if rate not in RATES_HZ:
                raise _errors.RateError(
                    f"{name}={rate!r} is not supported; use one of "
                    + ", ".join(map(str, RATES_HZ))
                )
        cdef vc_resample_config config = vc_resample_config_default()
        config.in_hz = int(in_hz)
        config.out_hz = int(out_hz)
        config.preset = PRESETS[preset]
        config.channels = int(channels)
        config.trim = bool(trim)
        config.cpu_level = level_of(level)
        check(vc_cpu_resolve(config.cpu_level, &config.cpu_level), f"CPU level {level!r}")
        enter(&self.busy)
        try:
            vc_resample_destroy(self.handle)
            self.handle = NULL
            check(vc_resample_create(&self.handle, &config), "Resampler")
            self.in_hz = config.in_hz
            self.out_hz = config.out_hz
            self.channels = config.channels
            self.preset = preset
            self.trim = config.trim
            self.cpu_level = config.cpu_level
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        vc_resample_destroy(self.handle)

    cdef int claim(self) except -1:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            raise _errors.ClosedError("this Resampler is closed; make a new one")
        return 0

    cdef int run(self, const Samples *src, void *dst, size_t *n_out) except -1:
        """The one C call; the object is claimed."""
        cdef vc_status status
        cdef size_t n_in = src.count
        if n_in < NOGIL_SAMPLES:
            status = process_any(self.handle, src, &n_in, dst, n_out)
        else:
            with nogil:
                status = process_any(self.handle, src, &n_in, dst, n_out)
        return check(status, "Resampler.process")

    def process(self, x):
        """The next samples, converted: int16 (or bytes) gives int16, float32 gives float32.

        x: any number of samples: shape [n], or [n, 2] for two channels; so is the result. int16
        and float32 may alternate: the stream is one.
        Raises DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Samples src
        cdef size_t n_out
        cdef cnp.npy_intp shape[2]
        get_samples(x, &src, self.channels)
        try:
            self.claim()
            try:
                n_out = vc_resample_max_output(self.handle, src.count)
                shape[0] = <cnp.npy_intp>n_out
                shape[1] = self.channels
                out = cnp.PyArray_SimpleNew(
                    self.channels, shape, cnp.NPY_FLOAT32 if src.kind == c'f' else cnp.NPY_INT16)
                self.run(&src, cnp.PyArray_DATA(<cnp.ndarray>out), &n_out)
                return out
            finally:
                vc_guard_leave(&self.busy)
        finally:
            release(&src)

    def process_into(self, src, dst):
        """Like process, into a writable buffer of the same sample type; returns the samples written
        (of one channel).

        Raises BufferTooSmallError, and consumes nothing, if dst has too little room.
        """
        cdef Samples given
        cdef Samples room
        cdef size_t needed
        get_samples(src, &given, self.channels)
        try:
            get_room(dst, given.kind, &room, self.channels)
            try:
                if share_memory(&given, &room, self.channels):
                    raise _errors.ConfigError(
                        "src and dst share memory; give dst a buffer of its own")
                self.claim()
                try:
                    needed = vc_resample_max_output(self.handle, given.count)
                    if needed > room.count:
                        raise _errors.BufferTooSmallError(
                            f"{given.count} samples give {needed}, but dst has room for "
                            f"{room.count}; make dst larger")
                    self.run(&given, room.data, &room.count)
                    return room.count
                finally:
                    vc_guard_leave(&self.busy)
            finally:
                release(&room)
        finally:
            release(&given)

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
            shape = [n_out, self.channels][:1 if self.channels == 1 else 2]
            out = np.empty(shape, wanted)
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

    def inputs_for(self, samples):
        """The least number of input samples with which the next `samples` outputs are all there."""
        if not 0 <= samples <= MOST_SAMPLES:
            raise _errors.ConfigError(f"samples={samples!r}; use 0 to {MOST_SAMPLES}")
        cdef size_t n_out = samples
        self.claim()
        needed = vc_resample_inputs_for(self.handle, n_out)
        vc_guard_leave(&self.busy)
        return needed

    @property
    def trim_ppm(self):
        """How much faster than in_hz the source's clock runs, parts per million; -500 to 500.

        Settable between calls if the object was made with trim=True. The output goes on from the
        same place without a click; positive gives fewer outputs an input. It holds from the output
        after the next one on, is exact in steps of 0.001 ppm, and is 0 again after reset or flush.
        Raises ConfigError out of range, StateError without trim=True.
        """
        self.claim()
        ppm = vc_resample_trim_ppm(self.handle)
        vc_guard_leave(&self.busy)
        return ppm

    @trim_ppm.setter
    def trim_ppm(self, value):
        if not self.trim:
            raise _errors.StateError(
                "this Resampler was made without trim; make it with Resampler(..., trim=True)")
        cdef double ppm
        cdef vc_status status
        try:
            ppm = value
        except (TypeError, OverflowError):
            raise _errors.ConfigError(f"trim_ppm={value!r} is not a number") from None
        if not abs(ppm) <= VC_RESAMPLE_MAX_TRIM_PPM:
            raise _errors.ConfigError(
                f"trim_ppm={value!r} is out of range; use -{VC_RESAMPLE_MAX_TRIM_PPM:.0f} to "
                f"{VC_RESAMPLE_MAX_TRIM_PPM:.0f}")
        self.claim()
        status = vc_resample_set_trim_ppm(self.handle, ppm)
        vc_guard_leave(&self.busy)
        check(status, "Resampler.trim_ppm")

    def reset(self):
        """Forgets the stream and the trim: as new."""
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
        """The filter's delay in output samples; may be fractional. A trim does not change it."""
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
        return (
            f"Resampler({self.in_hz}, {self.out_hz}, preset={self.preset!r}, "
            f"channels={self.channels}, trim={bool(self.trim)}, level={self.level!r})"
        )


cdef inline vc_status process_any(vc_resample *handle, const Samples *src, size_t *n_in, void *dst,
                                  size_t *n_out) noexcept nogil:
    if src.kind == c'f':
        return vc_resample_process_f32(
            handle, <const float *>src.data, n_in, <float *>dst, n_out)
    return vc_resample_process_s16(handle, <const int16_t *>src.data, n_in, <int16_t *>dst, n_out)


cdef inline bint share_memory(const Samples *a, const Samples *b, int channels) noexcept:
    cdef size_t size = (4 if a.kind == c'f' else 2) * <size_t>channels
    return (<char *>a.data < <char *>b.data + b.count * size
            and <char *>b.data < <char *>a.data + a.count * size)


cdef inline void release(Samples *samples) noexcept:
    if samples.held:
        PyBuffer_Release(&samples.view)


cdef inline bint from_array(object source, Samples *to, int channels, bint writable) noexcept:
    """The usual case, a plain int16 or float32 array, without the cost of a buffer export."""
    if not cnp.PyArray_Check(source):
        return False
    cdef cnp.ndarray array = <cnp.ndarray>source
    cdef int kind = cnp.PyArray_TYPE(array)
    if kind != cnp.NPY_INT16 and kind != cnp.NPY_FLOAT32:
        return False
    if cnp.PyArray_NDIM(array) != channels or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    if channels == 2 and cnp.PyArray_DIM(array, 1) != 2:
        return False
    if writable and not cnp.PyArray_ISWRITEABLE(array):
        return False
    to.data = cnp.PyArray_DATA(array)
    to.count = <size_t>cnp.PyArray_DIM(array, 0)
    to.kind = c'f' if kind == cnp.NPY_FLOAT32 else c'h'
    to.held = False
    return True


cdef inline int get_samples(object source, Samples *to, int channels) except -1:
    """int16 or float32 samples; release them after use."""
    if from_array(source, to, channels, False):
        return 0
    flags = getattr(source, "flags", None)
    if flags is not None and getattr(flags, "c_contiguous", True) is False:
        raise _errors.DtypeError(
            "expected contiguous samples, got a strided array; use numpy.ascontiguousarray(x)")
    if channels > 1:
        get_channels(source, to, channels)
    elif getattr(source, "dtype", None) == np.float32:
        get_f32(source, &to.view, &to.count)
        to.kind = c'f'
    else:
        get_s16(source, &to.view, &to.count)
        to.kind = c'h'
    to.data = to.view.buf
    to.held = True
    return 0


cdef int get_channels(object source, Samples *to, int channels) except -1:
    """Interleaved channels: shape [n, channels], or bytes."""
    get_bytes(source, &to.view)
    cdef char kind = buffer_kind(&to.view)
    cdef bint raw = kind == c'B' or kind == c'b' or kind == c'c'
    to.kind = c'f' if kind == c'f' else c'h'
    cdef Py_ssize_t size = (4 if kind == c'f' else 2) * channels
    error = None
    if not raw and kind != c'h' and kind != c'f':
        error = _errors.DtypeError(
            f"expected int16 or float32 samples, got {getattr(source, 'dtype', type(source))}")
    elif not raw and (to.view.ndim != 2 or to.view.shape[1] != channels):
        error = _errors.LengthError(
            f"expected shape [n, {channels}] for {channels} channels, got "
            f"{[to.view.shape[i] for i in range(to.view.ndim)]}")
    elif to.view.len % size:
        error = _errors.LengthError(
            f"{to.view.len} bytes are no whole number of int16 samples of {channels} channels")
    if error is not None:
        PyBuffer_Release(&to.view)
        raise error
    to.count = <size_t>(to.view.len // size)
    return 0


cdef inline int get_room(object target, char kind, Samples *to, int channels) except -1:
    """A writable buffer for samples of that kind; release it after use."""
    if from_array(target, to, channels, True) and to.kind == kind:
        return 0
    try:
        PyObject_GetBuffer(target, &to.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    except (TypeError, BufferError, ValueError):
        raise _errors.DtypeError(
            f"dst must be a writable contiguous buffer, got {type(target).__name__}"
        ) from None
    cdef char found = buffer_kind(&to.view)
    cdef bint raw = kind == c'h' and found == c'B'
    cdef int dimensions = to.view.ndim
    to.data = to.view.buf
    to.count = <size_t>to.view.len // ((4 if kind == c'f' else 2) * <size_t>channels)
    to.kind = kind
    to.held = True
    error = None
    if found != kind and not raw:
        error = _errors.DtypeError(
            "dst must have the sample type of src: "
            + ("float32" if kind == c'f' else "int16 (or a bytearray)"))
    elif not raw and (dimensions != channels or (channels > 1 and to.view.shape[1] != channels)):
        wanted = "one" if channels == 1 else f"shape [n, {channels}]"
        error = _errors.LengthError(f"dst has {dimensions} dimensions; pass {wanted}")
    if error is not None:
        release(to)
        raise error
    return 0
