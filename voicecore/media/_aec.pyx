"""Echo canceller, streaming."""

from cpython.buffer cimport PyBuffer_Release
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
from voicecore.media.c_aec cimport (
    VC_AEC_BLOCK_MS,
    VC_AEC_DELAY_MS,
    vc_aec,
    vc_aec_bytes,
    vc_aec_config,
    vc_aec_config_default,
    vc_aec_create,
    vc_aec_delay_changed,
    vc_aec_delay_samples,
    vc_aec_destroy,
    vc_aec_drift_ppm,
    vc_aec_echo_likelihood,
    vc_aec_erle_db,
    vc_aec_process_f32,
    vc_aec_process_s16,
    vc_aec_reset,
)
from voicecore.media.c_base cimport (
    vc_cpu_level,
    vc_cpu_name,
    vc_cpu_resolve,
    vc_guard_leave,
    vc_status,
)

from voicecore import errors as _errors

cnp.import_array()

RATES_HZ = (8000, 16000)
LEAST_TAIL_MS, MOST_TAIL_MS = 64, 256

cdef struct Signal:
    const void *data
    size_t count
    bint floats
    bint held  # the view is to be released
    Py_buffer view


cdef class EchoCanceller:
    """Takes the agent's echo out of the caller's audio and leaves the caller in it.

    It finds the echo's delay (0 to 1000 ms) and follows it, follows the drift of two clocks,
    subtracts the echo with a partitioned Kalman filter (Enzner and Vary 2006; Kuech, Mabande and
    Enzner 2014) and takes out what is left with a suppressor that opens while the caller talks over
    the agent. How whole blocks of 10 ms are sliced never changes the output.

    Parameters
    ----------
    rate_hz: 8000 or 16000.
    tail_ms: length of the echo path after its delay, 64 to 256; used in steps of 20, upwards.
    level: CPU level ('c', 'avx2', 'avx512', 'neon'); None is the best one of this machine.

    Raises RateError for another rate, ConfigError for another tail or level, CpuLevelError for a
    level that this machine lacks. One object serves one stream and one thread at a time.

    Example
    -------
    >>> import numpy, voicecore
    >>> canceller = voicecore.EchoCanceller(16000)
    >>> near, far = numpy.zeros(320, numpy.int16), numpy.zeros(320, numpy.int16)
    >>> canceller.process(near, far).shape
    (320,)
    """

    cdef vc_aec *handle
    cdef int busy
    cdef vc_cpu_level cpu_level
    cdef readonly int rate_hz
    cdef readonly int tail_ms
    cdef readonly int block_samples

    def __init__(self, rate_hz=16000, tail_ms=256, *, level=None):
        if rate_hz not in RATES_HZ:
            raise _errors.RateError(
                f"rate_hz={rate_hz!r} is not supported; use 8000 or 16000, with a Resampler before")
        cdef vc_aec_config config = vc_aec_config_default()
        config.rate_hz = int(rate_hz)
        config.tail_ms = whole(tail_ms, "tail_ms", LEAST_TAIL_MS, MOST_TAIL_MS)
        config.cpu_level = level_of(level)
        check(vc_cpu_resolve(config.cpu_level, &config.cpu_level), f"CPU level {level!r}")
        enter(&self.busy)
        try:
            vc_aec_destroy(self.handle)
            self.handle = NULL
            check(vc_aec_create(&self.handle, &config), "EchoCanceller")
            self.rate_hz = config.rate_hz
            self.tail_ms = config.tail_ms
            self.cpu_level = config.cpu_level
            self.block_samples = config.rate_hz * VC_AEC_BLOCK_MS // 1000
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        vc_aec_destroy(self.handle)

    cdef int claim(self) except -1:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            raise _errors.ClosedError("this EchoCanceller is closed; make a new one")
        return 0

    cdef int run(self, const Signal *near, const Signal *far, void *out) except -1:
        """The one C call; the object is claimed."""
        cdef vc_status status
        if near.count % <size_t>self.block_samples:
            raise _errors.LengthError(
                f"near has {near.count} samples; pass a multiple of 10 ms, that is of "
                f"{self.block_samples} at {self.rate_hz} Hz")
        if far.data != NULL and far.count != near.count:
            raise _errors.LengthError(
                f"near has {near.count} samples and far {far.count}; pass as many of each, "
                "or far=None if nothing was sent")
        if far.data != NULL and far.floats != near.floats:
            raise _errors.DtypeError(
                "near and far must have one sample type; convert one of them: int16, or float32 "
                "between -1 and 1")
        with nogil:
            if near.floats:
                status = vc_aec_process_f32(
                    self.handle, <const float *>near.data, <const float *>far.data, <float *>out,
                    near.count)
            else:
                status = vc_aec_process_s16(
                    self.handle, <const int16_t *>near.data, <const int16_t *>far.data,
                    <int16_t *>out, near.count)
        return check(status, "EchoCanceller.process")

    def process(self, near, far):
        """The caller's audio without the echo, ``delay_samples`` late: shape and type of near.

        near: what was received, mono: int16 (or bytes) or float32 (-1..1; NaN counts as 0, and what
            is beyond is clipped); a multiple of 10 ms.
        far: what was sent in that time, as long and of the same type; None: nothing was.
        Raises DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Signal mine
        cdef Signal sent
        cdef cnp.npy_intp n
        get_signal(near, &mine)
        try:
            sent.data = NULL
            sent.held = False
            if far is not None:
                get_signal(far, &sent)
            try:
                self.claim()
                try:
                    n = <cnp.npy_intp>mine.count
                    out = cnp.PyArray_SimpleNew(
                        1, &n, cnp.NPY_FLOAT32 if mine.floats else cnp.NPY_INT16)
                    self.run(&mine, &sent, cnp.PyArray_DATA(<cnp.ndarray>out))
                    return out
                finally:
                    vc_guard_leave(&self.busy)
            finally:
                release(&sent)
        finally:
            release(&mine)

    def delay_changed(self, samples):
        """From the next block on, the echo comes so many samples later (negative: earlier).

        For a change that is known, as of a jitter buffer that stretched: the echo path moves at
        once instead of being learned anew. samples: up to a second. Raises ConfigError.
        """
        cdef int by = whole(samples, "samples", -self.rate_hz, self.rate_hz)
        self.claim()
        vc_aec_delay_changed(self.handle, by)
        vc_guard_leave(&self.busy)

    def reset(self):
        """Forgets the streams: as new."""
        self.claim()
        vc_aec_reset(self.handle)
        vc_guard_leave(&self.busy)

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        vc_aec_destroy(self.handle)
        self.handle = NULL
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def echo_likelihood(self):
        """0..1: how much of the newest 10 ms of output may be echo; 0 while nothing was sent."""
        self.claim()
        likelihood = vc_aec_echo_likelihood(self.handle)
        vc_guard_leave(&self.busy)
        return likelihood

    @property
    def echo_delay_ms(self):
        """From a sample that was sent to its echo, in milliseconds; None: there is none."""
        self.claim()
        cdef double delay = vc_aec_delay_samples(self.handle)
        vc_guard_leave(&self.busy)
        return None if delay < 0.0 else delay * 1000.0 / self.rate_hz

    @property
    def drift_ppm(self):
        """How fast the echo's delay grows (negative: shrinks), parts per million."""
        self.claim()
        ppm = vc_aec_drift_ppm(self.handle)
        vc_guard_leave(&self.busy)
        return ppm

    @property
    def erle_db(self):
        """Input over output power in the last seconds in which something was sent, in dB.

        While the caller is silent that is the echo return loss enhancement. 0 at first.
        """
        self.claim()
        erle_db = vc_aec_erle_db(self.handle)
        vc_guard_leave(&self.busy)
        return erle_db

    @property
    def state_bytes(self):
        """Memory that the object holds beside itself."""
        self.claim()
        n = vc_aec_bytes(self.handle)
        vc_guard_leave(&self.busy)
        return n

    @property
    def delay_samples(self):
        """By how much the output is late, in samples: 10 ms."""
        return self.rate_hz * VC_AEC_DELAY_MS // 1000

    @property
    def delay_ms(self):
        """By how much the output is late, in milliseconds: 10."""
        return float(VC_AEC_DELAY_MS)

    @property
    def level(self):
        """The CPU level in use."""
        return vc_cpu_name(self.cpu_level).decode()

    def __repr__(self):
        return f"EchoCanceller({self.rate_hz}, {self.tail_ms}, level={self.level!r})"


cdef int whole(object value, str name, int least, int most) except? -1:
    """An integer in a range."""
    try:
        if int(value) == value and least <= value <= most:
            return <int>int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise _errors.ConfigError(f"{name}={value!r}; use a whole number from {least} to {most}")


cdef inline void release(Signal *signal) noexcept:
    if signal.held:
        PyBuffer_Release(&signal.view)


cdef inline bint from_array(object source, Signal *to) noexcept:
    """The usual case, a plain int16 or float32 array, without the cost of a buffer export."""
    if not cnp.PyArray_Check(source):
        return False
    cdef cnp.ndarray array = <cnp.ndarray>source
    cdef int kind = cnp.PyArray_TYPE(array)
    if kind != cnp.NPY_INT16 and kind != cnp.NPY_FLOAT32:
        return False
    if cnp.PyArray_NDIM(array) != 1 or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    to.data = cnp.PyArray_DATA(array)
    to.count = <size_t>cnp.PyArray_DIM(array, 0)
    to.floats = kind == cnp.NPY_FLOAT32
    to.held = False
    return True


cdef int get_signal(object source, Signal *to) except -1:
    """int16 or float32 samples; release them after use."""
    if from_array(source, to):
        return 0
    flags = getattr(source, "flags", None)
    if flags is not None and getattr(flags, "c_contiguous", True) is False:
        raise _errors.DtypeError(
            "expected contiguous samples, got a strided array; use numpy.ascontiguousarray(x)")
    get_bytes(source, &to.view)
    to.floats = buffer_kind(&to.view) == c'f'
    PyBuffer_Release(&to.view)
    if to.floats:
        get_f32(source, &to.view, &to.count)
    else:
        get_s16(source, &to.view, &to.count)
    to.data = to.view.buf
    to.held = True
    return 0
