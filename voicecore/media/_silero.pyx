"""Silero VAD v6.2: speech probability of every 32 ms, at 8 or 16 kHz. See docs/units/silero.md."""

cimport numpy as cnp
from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport int16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from voicecore.media._common cimport (
    buffer_kind,
    check,
    describe,
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
from voicecore.media.c_silero cimport (
    vc_silero,
    vc_silero_batch,
    vc_silero_batch_create,
    vc_silero_batch_destroy,
    vc_silero_batch_process,
    vc_silero_create,
    vc_silero_destroy,
    vc_silero_model_config,
    vc_silero_model_config_default,
    vc_silero_model_cpu_level,
    vc_silero_model_create,
    vc_silero_model_destroy,
    vc_silero_model_rate_hz,
    vc_silero_model_window_samples,
    vc_silero_process,
    vc_silero_reset,
)

import os

import numpy as np

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    LengthError,
    MissingModelError,
    RateError,
)

cnp.import_array()

_WEIGHTS_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
_models = {}


def _read_weights(int rate_hz):
    path = os.path.join(_WEIGHTS_DIR, f"silero_v6_{rate_hz // 1000}k.bin")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise MissingModelError(
            f"the weights of the Silero VAD cannot be read ({path}: {error.strerror}); reinstall "
            "voicecore-media, or in a source tree run: python tools/convert_silero.py"
        ) from error


cdef int _checked_rate(object rate_hz) except -1:
    if rate_hz != 8000 and rate_hz != 16000:
        raise RateError(
            f"the Silero VAD runs at 8000 or 16000 Hz, not {rate_hz!r}; "
            "resample first with voicecore.Resampler"
        )
    return <int>rate_hz


cdef class SileroModel:
    """The weights of one network, packed for one CPU level; immutable, shared by all streams.

    Use ``silero_model(rate_hz, level)``, which makes one per process.
    """

    def __cinit__(self, rate_hz, level=None):
        cdef int rate = _checked_rate(rate_hz)
        cdef vc_cpu_level wanted = level_of(level)
        cdef bytes weights = _read_weights(rate)
        cdef vc_silero_model_config config = vc_silero_model_config_default()
        config.rate_hz = rate
        config.weights = <const char *>weights
        config.weights_bytes = <size_t>len(weights)
        config.cpu_level = wanted
        check(
            vc_silero_model_create(&self.handle, &config),
            f"loading the Silero VAD weights for {rate} Hz from {_WEIGHTS_DIR} "
            "(if they are damaged, reinstall voicecore-media)",
        )

    def __dealloc__(self):
        vc_silero_model_destroy(self.handle)

    @property
    def rate_hz(self):
        """8000 or 16000."""
        return vc_silero_model_rate_hz(self.handle)

    @property
    def level(self):
        """The CPU level that the weights are packed for."""
        return vc_cpu_name(vc_silero_model_cpu_level(self.handle)).decode()

    @property
    def window_samples(self):
        """Samples in one 32 ms window: 512 or 256."""
        return vc_silero_model_window_samples(self.handle)


def silero_model(rate_hz, level=None):
    """The shared model for a rate and a CPU level (None: the best); loaded once per process."""
    cdef vc_cpu_level usable
    cdef int rate = _checked_rate(rate_hz)
    check(vc_cpu_resolve(level_of(level), &usable), f"CPU level {level!r}")
    name = vc_cpu_name(usable).decode()
    found = _models.get((rate, name))
    if found is None:
        found = _models.setdefault((rate, name), SileroModel(rate, name))
    return found


cdef class SileroVad:
    """Speech probability of one audio stream, one for each 32 ms window.

    ``rate_hz`` is 8000 or 16000; ``level`` picks a CPU level (None: the best). Audio of any length
    goes in; samples that do not fill a window wait for the next call, so slicing never changes the
    result.

    >>> vad = SileroVad(16000)
    >>> vad.process(bytes(2 * 16000)).shape          # one second of int16 silence
    (31,)
    >>> vad.pending_samples
    128
    """

    cdef SileroModel _model
    cdef vc_silero *_vad
    cdef float _window[512]
    cdef size_t _size
    cdef size_t _pending
    cdef int _busy

    def __cinit__(self, rate_hz, *, level=None):
        self._model = silero_model(rate_hz, level)
        self._size = vc_silero_model_window_samples(self._model.handle)
        check(vc_silero_create(&self._vad, self._model.handle, NULL), "SileroVad")

    def __dealloc__(self):
        vc_silero_destroy(self._vad)

    def __repr__(self):
        return f"SileroVad({self.rate_hz}, level={self.level!r})"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    cdef int _claim(self) except -1:
        enter(&self._busy)
        if self._vad == NULL:
            vc_guard_leave(&self._busy)
            raise ClosedError("this SileroVad is closed; make a new one")
        return 0

    cdef size_t _run(self, const char *samples, size_t n, bint is_f32, float *out) noexcept nogil:
        """Fills windows and runs the network on each full one; returns how many."""
        cdef size_t done = 0, at = 0, room, i
        cdef int16_t one
        while at < n:
            room = self._size - self._pending
            if room > n - at:
                room = n - at
            if is_f32:
                memcpy(&self._window[self._pending], samples + 4 * at, 4 * room)
            else:
                for i in range(room):
                    memcpy(&one, samples + 2 * (at + i), 2)
                    self._window[self._pending + i] = <float>one * <float>(1.0 / 32768.0)
            self._pending += room
            at += room
            if self._pending == self._size:
                vc_silero_process(self._vad, self._window, out + done)
                done += 1
                self._pending = 0
        return done

    def process(self, x):
        """Take samples; return the probabilities of the windows that they complete.

        ``x``: int16 (array or little-endian bytes) or float32 on the scale -1..1, one dimension, any
        length. Samples that are not finite count as 0. Returns float32[n], n may be 0. Raises
        DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Py_buffer view
        cdef size_t n = 0, count
        cdef cnp.npy_intp shape
        cdef bint is_f32
        cdef float *out
        self._claim()
        try:
            get_bytes(x, &view)
            is_f32 = buffer_kind(&view) == c'f'
            PyBuffer_Release(&view)
            if is_f32:
                get_f32(x, &view, &n)
            else:
                get_s16_or_say(x, &view, &n)
            try:
                count = (self._pending + n) // self._size
                shape = <cnp.npy_intp>count
                result = cnp.PyArray_SimpleNew(1, &shape, cnp.NPY_FLOAT32)
                out = <float *>cnp.PyArray_DATA(result)
                if count > 0:
                    with nogil:
                        self._run(<const char *>view.buf, n, is_f32, out)
                else:
                    self._run(<const char *>view.buf, n, is_f32, out)
            finally:
                PyBuffer_Release(&view)
        finally:
            vc_guard_leave(&self._busy)
        return result

    def reset(self):
        """Forget everything, also the samples that wait: as if new."""
        self._claim()
        vc_silero_reset(self._vad)
        self._pending = 0
        vc_guard_leave(&self._busy)

    def close(self):
        """Free the native state now. Closing twice is fine; anything else afterwards is an error."""
        enter(&self._busy)
        vc_silero_destroy(self._vad)
        self._vad = NULL
        vc_guard_leave(&self._busy)

    @property
    def rate_hz(self):
        """8000 or 16000."""
        return self._model.rate_hz

    @property
    def level(self):
        """The CPU level in use."""
        return self._model.level

    @property
    def window_samples(self):
        """Samples in one 32 ms window: 512 or 256."""
        return self._size

    @property
    def pending_samples(self):
        """Samples that wait for the rest of their window."""
        return self._pending


cdef int get_s16_or_say(object source, Py_buffer *view, size_t *samples) except -1:
    try:
        get_s16(source, view, samples)
    except DtypeError:
        raise DtypeError(
            f"expected int16 samples (array or bytes) or float32 samples, got {describe(source)}; "
            "convert with x.astype(numpy.float32) (scale -1..1)"
        ) from None
    return 0


cdef class SileroVadBatch:
    """Speech probability of many streams at once: one pass over the weights serves several.

    ``streams`` states are held; ``process`` takes one window for each of them (or for those named
    by ``active``). The results equal those of single ``SileroVad`` objects bit for bit.

    >>> bank = SileroVadBatch(16000, streams=1000)
    >>> bank.process(numpy.zeros((1000, 512), numpy.float32)).shape
    (1000,)
    """

    cdef SileroModel _model
    cdef vc_silero_batch *_batch
    cdef vc_silero **_vads
    cdef vc_silero **_chosen
    cdef const float **_windows
    cdef size_t _streams
    cdef size_t _size
    cdef int _busy

    def __cinit__(self, rate_hz, streams, *, level=None):
        cdef size_t i
        self._model = silero_model(rate_hz, level)
        if not isinstance(streams, (int, np.integer)) or not 1 <= streams <= 1000000:
            raise ConfigError(f"streams must be an integer from 1 to 1000000, not {streams!r}")
        self._streams = streams
        self._size = vc_silero_model_window_samples(self._model.handle)
        self._vads = <vc_silero **>calloc(self._streams, sizeof(vc_silero *))
        self._chosen = <vc_silero **>calloc(self._streams, sizeof(vc_silero *))
        self._windows = <const float **>calloc(self._streams, sizeof(float *))
        if self._vads == NULL or self._chosen == NULL or self._windows == NULL:
            raise MemoryError(f"no memory for {streams} streams")
        check(vc_silero_batch_create(&self._batch, self._model.handle, NULL), "SileroVadBatch")
        for i in range(self._streams):
            check(vc_silero_create(&self._vads[i], self._model.handle, NULL), "SileroVadBatch")

    cdef void _free(self) noexcept:
        cdef size_t i
        if self._vads != NULL:
            for i in range(self._streams):
                vc_silero_destroy(self._vads[i])
        free(self._vads)
        free(self._chosen)
        free(self._windows)
        vc_silero_batch_destroy(self._batch)
        self._vads = self._chosen = NULL
        self._windows = NULL
        self._batch = NULL

    def __dealloc__(self):
        self._free()

    def __repr__(self):
        return f"SileroVadBatch({self.rate_hz}, streams={self.streams}, level={self.level!r})"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    cdef int _claim(self) except -1:
        enter(&self._busy)
        if self._batch == NULL:
            vc_guard_leave(&self._busy)
            raise ClosedError("this SileroVadBatch is closed; make a new one")
        return 0

    cdef object _indices(self, object index, str name):
        """A checked int64 array of stream numbers."""
        array = np.asarray(index)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise DtypeError(
                f"{name} must be a one-dimensional array of stream numbers (integers), got "
                f"{array.ndim} dimensions of {array.dtype}; for a mask use numpy.flatnonzero(mask)"
            )
        array = np.ascontiguousarray(array, dtype=np.int64)
        if array.size and (array.min() < 0 or array.max() >= self.streams):
            raise ConfigError(f"{name} must hold stream numbers from 0 to {self.streams - 1}")
        return array

    def process(self, x, *, active=None):
        """Run one window of every stream (or of those in ``active``); return float32[rows].

        ``x``: float32 (scale -1..1) or int16, shape [streams, window_samples], contiguous; with
        ``active`` (different stream numbers) row i belongs to stream active[i]. Raises DtypeError,
        LengthError, ConfigError, ClosedError, ConcurrentUseError.
        """
        cdef Py_buffer view
        cdef size_t i, n
        cdef cnp.npy_intp shape
        cdef const cnp.int64_t *numbers = NULL
        cdef const float *samples
        cdef float *out
        cdef vc_status status = 0
        cdef char kind
        self._claim()
        try:
            n = self._streams
            if active is not None:
                indices = self._indices(active, "active")
                if len(np.unique(indices)) != len(indices):
                    raise ConfigError("active names a stream twice; each has one window per call")
                n = <size_t>len(indices)
                numbers = <const cnp.int64_t *>cnp.PyArray_DATA(indices)
            get_bytes(x, &view)
            try:
                kind = buffer_kind(&view)
                if kind != c'f' and kind != c'h':
                    raise DtypeError(
                        f"expected a float32 or int16 array, got {describe(x)}; "
                        "convert with x.astype(numpy.float32) (scale -1..1)"
                    )
                if (
                    view.ndim != 2
                    or <size_t>view.shape[0] != n
                    or <size_t>view.shape[1] != self._size
                ):
                    got = [view.shape[i] for i in range(<size_t>view.ndim)]
                    raise LengthError(
                        f"expected shape [{n}, {self._size}] (one window for each stream), got {got}"
                    )
            except BaseException:
                PyBuffer_Release(&view)
                raise
            if kind == c'h' or <size_t>view.buf % sizeof(float) != 0:
                PyBuffer_Release(&view)
                scale = np.float32(1.0 / 32768.0 if kind == c'h' else 1.0)
                x = np.multiply(x, scale, dtype=np.float32)  # a new array is aligned
                get_bytes(x, &view)
            try:
                samples = <const float *>view.buf
                for i in range(n):
                    self._chosen[i] = self._vads[i if numbers == NULL else <size_t>numbers[i]]
                    self._windows[i] = samples + i * self._size
                shape = <cnp.npy_intp>n
                result = cnp.PyArray_SimpleNew(1, &shape, cnp.NPY_FLOAT32)
                out = <float *>cnp.PyArray_DATA(result)
                with nogil:
                    status = vc_silero_batch_process(
                        self._batch, self._chosen, self._windows, n, out
                    )
                check(status, "SileroVadBatch.process")
            finally:
                PyBuffer_Release(&view)
        finally:
            vc_guard_leave(&self._busy)
        return result

    def reset(self, index=None):
        """Forget the past of one stream (an integer), of several (an array), or of all (None)."""
        cdef size_t i
        self._claim()
        try:
            if index is None:
                for i in range(self._streams):
                    vc_silero_reset(self._vads[i])
                return
            if isinstance(index, (int, np.integer)):
                index = [index]
            for number in self._indices(index, "index"):
                vc_silero_reset(self._vads[<size_t>number])
        finally:
            vc_guard_leave(&self._busy)

    def close(self):
        """Free the native state now. Closing twice is fine; anything else afterwards is an error."""
        enter(&self._busy)
        self._free()
        vc_guard_leave(&self._busy)

    @property
    def rate_hz(self):
        """8000 or 16000."""
        return self._model.rate_hz

    @property
    def streams(self):
        """How many streams this object holds."""
        return self._streams

    @property
    def level(self):
        """The CPU level in use."""
        return self._model.level

    @property
    def window_samples(self):
        """Samples in one 32 ms window: 512 or 256."""
        return self._size
