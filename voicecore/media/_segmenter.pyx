"""Stretches of speech, cut as silero-vad cuts them. See docs/units/segmenter.md."""

from cpython.buffer cimport PyBuffer_Release

from voicecore.media._common cimport check, enter, get_f32
from voicecore.media.c_base cimport vc_guard_leave
from voicecore.media.c_segmenter cimport (
    VC_SEGMENT_MOST_EVENTS,
    VC_SEGMENT_START,
    vc_segment_event,
    vc_segmenter,
    vc_segmenter_config,
    vc_segmenter_config_default,
    vc_segmenter_finish,
    vc_segmenter_in_segment,
    vc_segmenter_init,
    vc_segmenter_reset,
    vc_segmenter_step,
)

import numbers
from collections import namedtuple

import numpy as np

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import ConfigError, StateError
from voicecore.media._silero import SileroVad

_MOST_MS = 60_000

SpeechEvent = namedtuple("SpeechEvent", ("kind", "sample", "probability"), module=__name__)
SpeechEvent.__doc__ = """Where speech starts or ends.

``kind``: "start" or "end". ``sample``: position in the stream of the segment's first sample, or of
the first one after it, padding included. ``probability``: of the window that began the speech, or
the silence after it; for speech that lasts to the end of the audio, of the last window.
"""


cdef double _threshold(str name, object value, double most) except -1:
    if isinstance(value, numbers.Real) and 0 <= value <= most:
        return value
    raise ConfigError(f"{name} must be a probability from 0 to {most:g}, not {value!r}")


cdef int _milliseconds(str name, object value) except -1:
    if isinstance(value, numbers.Integral) and 0 <= value <= _MOST_MS:
        return value
    raise ConfigError(f"{name} must be an integer from 0 to {_MOST_MS}, not {value!r}")


cdef class SpeechSegmenter:
    """Where speech starts and ends in one audio stream: Silero VAD, hysteresis, padding.

    Speech begins at a window whose probability is ``threshold`` or more. It ends where the
    probability fell below ``negative_threshold`` (None: 0.15 less than threshold, 0.01 or more) and
    did not come back to ``threshold`` within ``min_silence_ms``. Speech of ``min_speech_ms`` or less
    is dropped; what is left is padded by ``pad_ms`` at both ends, or by half of a shorter gap.
    ``rate_hz`` is 8000 or 16000; ``level`` picks a CPU level (None: the best).

    The segments are those of silero-vad's get_speech_timestamps, however the audio is sliced. An
    event comes with the audio that makes it certain: a start when min_speech_ms of speech are
    there, an end after min_silence_ms of silence (and twice pad_ms, if that is longer).

    >>> with SpeechSegmenter(16000, min_silence_ms=300) as segmenter:
    ...     for chunk in chunks:                      # int16 or float32, any length
    ...         for event in segmenter.process(chunk):
    ...             print(event.kind, event.sample)
    ...     last = segmenter.flush()                  # the end of a segment that was still open
    """

    cdef vc_segmenter _segmenter
    cdef object _vad
    cdef object _settings
    cdef int _busy

    def __cinit__(self, rate_hz, *, threshold=0.5, negative_threshold=None, min_speech_ms=250,
                  min_silence_ms=100, pad_ms=30, level=None):
        cdef vc_segmenter_config config = vc_segmenter_config_default()
        self._vad = SileroVad(rate_hz, level=level)
        cdef int per_ms = rate_hz // 1000
        config.threshold = _threshold("threshold", threshold, 1)
        if negative_threshold is None:
            negative_threshold = min(threshold, max(threshold - 0.15, 0.01))
        config.negative_threshold = _threshold(
            "negative_threshold", negative_threshold, config.threshold
        )
        config.window_samples = self._vad.window_samples
        config.min_speech_samples = per_ms * _milliseconds("min_speech_ms", min_speech_ms)
        config.min_silence_samples = per_ms * _milliseconds("min_silence_ms", min_silence_ms)
        config.pad_samples = per_ms * _milliseconds("pad_ms", pad_ms)
        self._settings = (
            f"threshold={threshold}, negative_threshold={negative_threshold:g}, "
            f"min_speech_ms={min_speech_ms}, min_silence_ms={min_silence_ms}, pad_ms={pad_ms}"
        )
        check(vc_segmenter_init(&self._segmenter, &config), "SpeechSegmenter")

    def __repr__(self):
        return f"SpeechSegmenter({self.rate_hz}, {self._settings}, level={self.level!r})"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    cdef list _judge(self, object probabilities):
        """Events of the next windows."""
        cdef vc_segment_event events[VC_SEGMENT_MOST_EVENTS]
        cdef Py_buffer view
        cdef size_t n = 0, i
        cdef list result = []
        get_f32(probabilities, &view, &n)
        try:
            for i in range(n):
                _append(result, events, vc_segmenter_step(
                    &self._segmenter, (<const float *>view.buf)[i], events))
        finally:
            PyBuffer_Release(&view)
        return result

    def process(self, x):
        """Take samples; return the events that they complete, a list of ``SpeechEvent``.

        ``x``: int16 (array or little-endian bytes) or float32 on the scale -1..1, one dimension, any
        length; samples that do not fill a window wait. Raises DtypeError, LengthError, ClosedError,
        ConcurrentUseError; the stream stays as it was then.
        """
        enter(&self._busy)
        try:
            return self._judge(self._vad.process(x))
        finally:
            vc_guard_leave(&self._busy)

    def process_probabilities(self, p):
        """The same from probabilities, one for each 32 ms window, as a SileroVadBatch gives them.

        ``p``: float32[n], n may be 0. Raises DtypeError, LengthError, ClosedError,
        ConcurrentUseError, and StateError if samples wait for the rest of their window.
        """
        enter(&self._busy)
        try:
            self._vad.process(b"")  # says so if it is closed
            if self._vad.pending_samples:
                raise StateError(
                    f"{self._vad.pending_samples} samples wait for the rest of their window; give "
                    "one object either samples or probabilities"
                )
            return self._judge(p)
        finally:
            vc_guard_leave(&self._busy)

    def flush(self):
        """The end of the audio: return the events that were still open. The object is as new then.

        A last window that is not full is judged with zeros behind it; no event lies after the end.
        """
        cdef vc_segment_event events[VC_SEGMENT_MOST_EVENTS]
        cdef float probability = 0
        cdef int pending, n
        cdef list result = []
        enter(&self._busy)
        try:
            self._vad.process(b"")
            pending = self._vad.pending_samples
            if pending:
                rest = np.zeros(self._vad.window_samples - pending, np.float32)
                probability = self._vad.process(rest)[0]
            n = vc_segmenter_finish(
                &self._segmenter, &probability if pending else NULL, pending, events)
            _append(result, events, n)
            self._vad.reset()
            return result
        finally:
            vc_guard_leave(&self._busy)

    def reset(self):
        """Forget everything, also what is open: as if new."""
        enter(&self._busy)
        try:
            self._vad.reset()
            vc_segmenter_reset(&self._segmenter)
        finally:
            vc_guard_leave(&self._busy)

    def close(self):
        """Free the native state now. Closing twice is fine; anything else afterwards is an error."""
        enter(&self._busy)
        try:
            self._vad.close()
        finally:
            vc_guard_leave(&self._busy)

    @property
    def rate_hz(self):
        """8000 or 16000."""
        return self._vad.rate_hz

    @property
    def level(self):
        """The CPU level in use."""
        return self._vad.level

    @property
    def in_segment(self):
        """Whether a start was returned that has no end yet."""
        return vc_segmenter_in_segment(&self._segmenter) != 0


cdef int _append(list result, const vc_segment_event *events, int n) except -1:
    cdef int i
    for i in range(n):
        kind = "start" if events[i].kind == VC_SEGMENT_START else "end"
        result.append(SpeechEvent(kind, events[i].sample, events[i].probability))
    return 0


def speech_segments(x, rate_hz, **settings):
    """The speech in a whole recording: int64[n, 2], the start and end sample of each segment.

    ``x``: int16 or float32 samples, one dimension; ``settings`` as of ``SpeechSegmenter``, which
    says how the segments are found. ``x[start:end]`` is a segment. Raises what it raises.

    >>> for start, end in speech_segments(x, 16000, pad_ms=100):
    ...     print(start / 16000, end / 16000)
    """
    with SpeechSegmenter(rate_hz, **settings) as segmenter:
        events = segmenter.process(x) + segmenter.flush()
    return np.array([event.sample for event in events], np.int64).reshape(-1, 2)
