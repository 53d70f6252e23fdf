"""Comfort noise: RFC 3389 payloads, learning a background, making noise like it."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

cimport numpy as cnp

from voicecore.media._common cimport check, enter, get_bytes, get_s16
from voicecore.media.c_base cimport VC_OK, vc_guard_leave, vc_status
from voicecore.media.c_comfort_noise cimport (
    VC_COMFORT_NOISE_MAX_ORDER,
    VC_COMFORT_NOISE_PAYLOAD_BYTES,
    vc_comfort_noise,
    vc_comfort_noise_build,
    vc_comfort_noise_config,
    vc_comfort_noise_config_default,
    vc_comfort_noise_create,
    vc_comfort_noise_destroy,
    vc_comfort_noise_get_learned,
    vc_comfort_noise_learn,
    vc_comfort_noise_model,
    vc_comfort_noise_parse,
    vc_comfort_noise_process,
    vc_comfort_noise_push,
    vc_comfort_noise_reset,
    vc_comfort_noise_set_model,
)

import numpy as np

from voicecore import errors as _errors

cnp.import_array()

# Below this the C call is shorter than about 5 us and keeping the GIL is cheaper.
cdef enum:
    NOGIL_SAMPLES = 160


cdef object whole_number(object value, object lowest, object highest, str name):
    try:
        number = int(value)
        if number == value and lowest <= number <= highest:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise _errors.ConfigError(f"{name} is {value!r}; use an integer from {lowest} to {highest}")


cdef class ComfortNoiseModel:
    """A background: its level and its spectrum; immutable. What an RFC 3389 payload carries.

    level_dbov: -127.0..0.0, the power relative to a square wave of full scale. reflection: up to 24
    reflection coefficients, each between -1 and 1; none is white noise. The noise is white noise
    through 1 / A(z), A(z) from the step-up recursion, so a positive first coefficient means more high
    frequencies. The model holds at the sample rate it was made for. Values out of range raise
    ConfigError.

    ``ComfortNoiseModel.parse(payload)`` reads a payload; ``bytes(model)`` writes one, rounded to its
    quanta of 1 dB and 258/32768.

    >>> bytes(ComfortNoiseModel(-60.0, [-0.5])).hex()
    '3c3f'
    """

    cdef vc_comfort_noise_model _model

    def __init__(self, level_dbov, reflection=()):
        coefficients = tuple(reflection)
        if len(coefficients) > VC_COMFORT_NOISE_MAX_ORDER:
            raise _errors.ConfigError(
                f"{len(coefficients)} reflection coefficients; use at most "
                f"{VC_COMFORT_NOISE_MAX_ORDER}")
        cdef int i
        try:
            self._model.level_dbov = level_dbov
            for i in range(len(coefficients)):
                self._model.reflection[i] = coefficients[i]
        except TypeError:
            raise _errors.ConfigError(
                f"level_dbov {level_dbov!r} and reflection {reflection!r} must be numbers") from None
        if not -127.0 <= self._model.level_dbov <= 0.0:
            raise _errors.ConfigError(f"level_dbov is {level_dbov!r}; use -127.0 to 0.0")
        for i in range(len(coefficients)):
            if not -1.0 < self._model.reflection[i] < 1.0:
                raise _errors.ConfigError(
                    f"reflection[{i}] is {coefficients[i]!r}; use more than -1 and less than 1")
        self._model.order = <int>len(coefficients)

    @staticmethod
    def parse(payload):
        """The model in an RTP payload. PacketError if it is empty; any other bytes are a model.

        Coefficients beyond the 24th, and from the first reserved byte (255) on, are left out.
        """
        cdef ComfortNoiseModel self = ComfortNoiseModel.__new__(ComfortNoiseModel)
        cdef Py_buffer view
        get_bytes(payload, &view)
        cdef vc_status status = vc_comfort_noise_parse(
            <const uint8_t *>view.buf, <size_t>view.len, &self._model)
        PyBuffer_Release(&view)
        if status != VC_OK:
            raise _errors.PacketError("an empty payload is no comfort noise; it has at least a level")
        return self

    @property
    def level_dbov(self):
        return self._model.level_dbov

    @property
    def reflection(self):
        return tuple([self._model.reflection[i] for i in range(self._model.order)])

    def build(self):
        """The payload, 1 byte and 1 for each coefficient; the same as bytes(model)."""
        cdef size_t n = VC_COMFORT_NOISE_PAYLOAD_BYTES
        cdef uint8_t out[25]
        check(vc_comfort_noise_build(&self._model, out, &n), "ComfortNoiseModel.build")
        return PyBytes_FromStringAndSize(<const char *>out, <Py_ssize_t>n)

    def __bytes__(self):
        return self.build()

    def __eq__(self, other):
        return (isinstance(other, ComfortNoiseModel) and self.level_dbov == other.level_dbov
                and self.reflection == other.reflection)

    def __hash__(self):
        return hash((self.level_dbov, self.reflection))

    def __repr__(self):
        return f"ComfortNoiseModel({self.level_dbov:.1f}, {[round(k, 3) for k in self.reflection]})"


cdef class ComfortNoise:
    """Learns the background of a stream and makes noise like it; mono, int16.

    ``learn`` and ``learned`` on one side, ``set_model`` and ``process`` on the other: to send, learn
    and send ``bytes(noise.learned)``; to receive, set the parsed payload; to fill the gaps of a sender
    that sends no comfort noise, set what was learned from its audio.

    Parameters
    ----------
    rate_hz: 8000..48000, of the audio and of the models.
    order: 0..24, reflection coefficients that are learned and used; a longer model is cut.
    seed: 0..2**64 - 1; the same seed and the same calls give the same samples.

    Raises RateError, ConfigError. One object serves one stream and one thread at a time. How the
    audio is sliced changes nothing.

    Example
    -------
    >>> import numpy
    >>> noise = ComfortNoise(8000)
    >>> noise.set_model(ComfortNoiseModel.parse(b"\\x37"))
    >>> noise.process(160).shape
    (160,)

    Source: RFC 3389; synthesis by the normalized lattice of Gray and Markel (1975).
    """

    cdef vc_comfort_noise *handle
    cdef int busy
    cdef readonly int rate_hz
    cdef readonly int order

    def __init__(self, rate_hz, *, order=10, seed=1):
        try:
            legal = int(rate_hz) == rate_hz and 8000 <= rate_hz <= 48000
        except (TypeError, ValueError, OverflowError):
            legal = False
        if not legal:
            raise _errors.RateError(f"rate_hz={rate_hz!r} is not supported; use 8000 to 48000")
        cdef vc_comfort_noise_config config = vc_comfort_noise_config_default()
        config.rate_hz = int(rate_hz)
        config.order = whole_number(order, 0, VC_COMFORT_NOISE_MAX_ORDER, "order")
        config.seed = whole_number(seed, 0, 2**64 - 1, "seed")
        enter(&self.busy)
        try:
            vc_comfort_noise_destroy(self.handle)
            self.handle = NULL
            check(vc_comfort_noise_create(&self.handle, &config), "ComfortNoise")
            self.rate_hz = config.rate_hz
            self.order = config.order
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        vc_comfort_noise_destroy(self.handle)

    cdef int claim(self) except -1:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            raise _errors.ClosedError("this ComfortNoise is closed; make a new one")
        return 0

    def learn(self, x, *, background=False):
        """Takes the next samples of the stream: int16 or bytes, any number.

        background: True if a detector says that all of x is background. Otherwise blocks of 20 ms
        within 6 dB of the quietest of the last 3 s are taken for it. The newest half second of
        background counts.
        Raises DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Py_buffer view
        cdef size_t n = 0
        cdef bint pure = bool(background)
        get_s16(x, &view, &n)
        try:
            self.claim()
            try:
                with nogil:
                    if pure:
                        vc_comfort_noise_push(self.handle, <const int16_t *>view.buf, n)
                    else:
                        vc_comfort_noise_learn(self.handle, <const int16_t *>view.buf, n)
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)

    @property
    def learned(self):
        """The model of the background so far; None before 20 ms of it were learned."""
        cdef ComfortNoiseModel found = ComfortNoiseModel.__new__(ComfortNoiseModel)
        self.claim()
        cdef vc_status status = vc_comfort_noise_get_learned(self.handle, &found._model)
        vc_guard_leave(&self.busy)
        check(status, "ComfortNoise.learned")
        return found if status == VC_OK else None

    def set_model(self, ComfortNoiseModel model not None):
        """The noise to make from here on. The first counts at once, a later one within 50 ms."""
        self.claim()
        cdef vc_status status = vc_comfort_noise_set_model(self.handle, &model._model)
        vc_guard_leave(&self.busy)
        check(status, "ComfortNoise.set_model")

    def process(self, samples):
        """The next samples of noise, an int16 array; zeros before a model is set.

        Raises ConfigError for a negative number, ClosedError, ConcurrentUseError.
        """
        cdef size_t n = whole_number(samples, 0, 2**40, "samples")
        cdef cnp.ndarray out = np.empty(n, np.int16)
        cdef int16_t *room = <int16_t *>cnp.PyArray_DATA(out)
        self.claim()
        if n < NOGIL_SAMPLES:
            vc_comfort_noise_process(self.handle, room, n)
        else:
            with nogil:
                vc_comfort_noise_process(self.handle, room, n)
        vc_guard_leave(&self.busy)
        return out

    def reset(self):
        """Forgets what was learned and set: as new."""
        self.claim()
        vc_comfort_noise_reset(self.handle)
        vc_guard_leave(&self.busy)

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        vc_comfort_noise_destroy(self.handle)
        self.handle = NULL
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"ComfortNoise({self.rate_hz}, order={self.order})"
