"""DTMF in the audio itself: a detector and a generator."""

from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport int16_t, uint32_t

cimport numpy as cnp

from voicecore.media._common cimport check, enter, get_s16
from voicecore.media.c_base cimport VC_OK, vc_guard_leave, vc_status
from voicecore.media.c_dtmf_detector cimport (
    VC_DTMF_DETECTOR_PRESSED,
    vc_dtmf_detector,
    vc_dtmf_detector_create,
    vc_dtmf_detector_destroy,
    vc_dtmf_detector_event,
    vc_dtmf_detector_flush,
    vc_dtmf_detector_process,
    vc_dtmf_detector_reset,
    vc_tone,
    vc_tone_config,
    vc_tone_dtmf,
    vc_tone_process,
    vc_tone_start,
)

import numpy as np

from voicecore import errors as _errors

cnp.import_array()

cdef enum:
    ROOM = 16  # events a C call
    NOGIL_SAMPLES = 1024  # below this the C call is shorter than about 5 us


cdef int rate_of(object rate_hz) except -1:
    try:
        if int(rate_hz) == rate_hz and 8000 <= rate_hz <= 48000:
            return <int>rate_hz
    except (TypeError, ValueError, OverflowError):
        pass
    raise _errors.RateError(f"rate_hz={rate_hz!r} is not supported; use 8000 to 48000")


cdef class DtmfTone:
    """A digit that was heard, pressed or released; read-only.

    kind: "pressed" or "released"; digit: "0".."9", "*", "#", "A".."D"; start_sample, end_sample: in
    the stream, the end as far as it is known when pressed; level_dbm0: of both tones together;
    twist_db: the high tone over the low one.
    """

    cdef vc_dtmf_detector_event _event

    @property
    def kind(self):
        return "pressed" if self._event.kind == VC_DTMF_DETECTOR_PRESSED else "released"

    @property
    def digit(self):
        return chr(self._event.digit)

    @property
    def start_sample(self):
        return self._event.start_sample

    @property
    def end_sample(self):
        return self._event.end_sample

    @property
    def level_dbm0(self):
        return self._event.level_dbm0

    @property
    def twist_db(self):
        return self._event.twist_db

    def _key(self):
        return (self._event.kind, self._event.digit, self._event.start_sample,
                self._event.end_sample, self._event.level_dbm0, self._event.twist_db)

    def __eq__(self, other):
        return isinstance(other, DtmfTone) and self._key() == (<DtmfTone>other)._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        return (f"DtmfTone({self.kind!r}, {self.digit!r}, {self.start_sample}..{self.end_sample}, "
                f"{self.level_dbm0:.1f} dBm0, twist {self.twist_db:.1f} dB)")


cdef class DtmfDetector:
    """Finds DTMF digits in mono int16 audio: each is pressed once and released once.

    Accepted: both tones within 1.5 % + 2 Hz, 0 to -35 dBm0 each, the high one at most 6 dB over or
    10 dB under the low one, 40 ms or more, noise 15 dB below. Refused: a tone off by 3.5 %, below
    -45 dBm0, of 23 ms or less, and speech. A break of 10 ms is none, one of 40 ms ends a digit. A
    press is told about 40 ms after the tone began, a release about 40 ms after it ended. How the
    audio is sliced changes nothing. 0 dBm0 is a sine 3.14 dB below full scale.

    rate_hz: 8000..48000; RateError otherwise. One object serves one stream and one thread at a time.

    >>> detector = DtmfDetector(8000)
    >>> [(tone.kind, tone.digit) for tone in detector.process(dtmf_tones("5", 8000))]
    [('pressed', '5'), ('released', '5')]

    Source: ITU-T Q.23, Q.24; single-bin transforms as in the Goertzel algorithm.
    """

    cdef vc_dtmf_detector *handle
    cdef int busy
    cdef readonly int rate_hz

    def __init__(self, rate_hz):
        cdef int rate = rate_of(rate_hz)
        enter(&self.busy)
        try:
            vc_dtmf_detector_destroy(self.handle)
            self.handle = NULL
            check(vc_dtmf_detector_create(&self.handle, rate, NULL), "DtmfDetector")
            self.rate_hz = rate
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        vc_dtmf_detector_destroy(self.handle)

    cdef int claim(self) except -1:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            raise _errors.ClosedError("this DtmfDetector is closed; make a new one")
        return 0

    def process(self, x):
        """Takes the next samples, int16 or bytes, any number; returns a list of DtmfTone.

        Raises DtypeError, LengthError, ClosedError, ConcurrentUseError.
        """
        cdef Py_buffer view
        cdef size_t count = 0, at = 0, taken, n
        cdef vc_dtmf_detector_event events[ROOM]
        cdef const int16_t *samples
        cdef list found = []
        get_s16(x, &view, &count)
        try:
            self.claim()
            try:
                samples = <const int16_t *>view.buf
                while at < count:
                    taken = count - at
                    n = ROOM
                    if taken < NOGIL_SAMPLES:
                        vc_dtmf_detector_process(self.handle, samples + at, &taken, events, &n)
                    else:
                        with nogil:
                            vc_dtmf_detector_process(self.handle, samples + at, &taken, events, &n)
                    at += taken
                    if n:
                        append(found, events, n)
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)
        return found

    def flush(self):
        """The end of the stream: what its last samples still decide. The object is as new then."""
        cdef vc_dtmf_detector_event events[ROOM]
        cdef size_t n = ROOM
        cdef list found = []
        self.claim()
        cdef vc_status status = vc_dtmf_detector_flush(self.handle, events, &n)
        vc_guard_leave(&self.busy)
        check(status, "DtmfDetector.flush")
        append(found, events, n)
        return found

    def reset(self):
        """Forgets the stream: as new."""
        self.claim()
        vc_dtmf_detector_reset(self.handle)
        vc_guard_leave(&self.busy)

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        vc_dtmf_detector_destroy(self.handle)
        self.handle = NULL
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"DtmfDetector({self.rate_hz})"


cdef int append(list found, const vc_dtmf_detector_event *events, size_t n) except -1:
    cdef size_t i
    cdef DtmfTone tone
    for i in range(n):
        tone = DtmfTone.__new__(DtmfTone)
        tone._event = events[i]
        found.append(tone)
    return 0


cdef uint32_t samples_of(object value_ms, int rate_hz, str name) except? 0xdead:
    try:
        if 0 <= value_ms <= 60000:
            return <uint32_t>(value_ms * rate_hz / 1000 + 0.5)
    except TypeError:
        pass
    raise _errors.ConfigError(f"{name} is {value_ms!r}; use 0 to 60000")


def dtmf_tones(digits, rate_hz, *, on_ms=100, off_ms=100, low_dbm0=-10.0, high_dbm0=-8.0,
               edge_ms=2.0):
    """The digits as audio, an int16 array: each on_ms of its two tones, then off_ms of silence.

    digits: any of "0123456789*#ABCD"; rate_hz: 8000..48000; on_ms, off_ms: 0..60000; low_dbm0,
    high_dbm0: -100 (off)..3, the level of each tone; edge_ms: raised cosine at either end of a tone,
    at most half of it. What is too loud saturates. Raises RateError, ConfigError.

    >>> dtmf_tones("12", 8000, on_ms=50, off_ms=50).shape
    (1600,)

    Source: ITU-T Q.23.
    """
    cdef int rate = rate_of(rate_hz)
    cdef uint32_t on = samples_of(on_ms, rate, "on_ms")
    cdef uint32_t off = samples_of(off_ms, rate, "off_ms")
    cdef uint32_t edge = samples_of(edge_ms, rate, "edge_ms")
    cdef vc_tone tone
    cdef vc_tone_config config
    cdef size_t n, at = 0
    cdef cnp.ndarray out
    if not isinstance(digits, str):
        raise _errors.ConfigError(f"digits must be a str, got {type(digits).__name__}")
    for digit in digits:
        if digit not in "0123456789*#ABCD":
            raise _errors.ConfigError(f"{digit!r} is no DTMF digit; use any of 0123456789*#ABCD")
    for name, level in (("low_dbm0", low_dbm0), ("high_dbm0", high_dbm0)):
        if not isinstance(level, (int, float)) or not -100 <= level <= 3:
            raise _errors.ConfigError(f"{name} is {level!r}; use -100 to 3")
    if edge > on // 2:
        raise _errors.ConfigError(f"edge_ms is {edge_ms!r}; use at most half of on_ms")
    out = np.empty(len(digits) * (on + off), np.int16)
    cdef int16_t *room = <int16_t *>cnp.PyArray_DATA(out)
    for digit in digits:
        config = vc_tone_dtmf(<char>ord(digit), rate)
        config.level_dbm0[0] = low_dbm0
        config.level_dbm0[1] = high_dbm0
        config.on_samples = on
        config.off_samples = off
        config.edge_samples = edge
        check(vc_tone_start(&tone, &config), "dtmf_tones")
        n = on + off
        if vc_tone_process(&tone, room + at, &n) == VC_OK:
            at += n
    return out
