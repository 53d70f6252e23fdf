"""Jitter buffer."""

from typing import NamedTuple

from cpython.buffer cimport PyBuffer_Release
from cpython.number cimport PyNumber_Index
from libc.stdint cimport INT64_MAX, int16_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport cython
cimport numpy as cnp

from voicecore.media._common cimport check, enter, get_bytes
from voicecore.media.c_base cimport (
    VC_DUPLICATE,
    VC_E_MISSING,
    VC_FULL,
    VC_LATE,
    VC_NEED_MORE,
    VC_OK,
    vc_guard_leave,
    vc_status,
)
from voicecore.media.c_net cimport (
    VC_CODEC_CN,
    VC_CODEC_EVENTS,
    VC_CODEC_G722,
    VC_CODEC_L16,
    VC_CODEC_OPUS,
    VC_CODEC_PCMA,
    VC_CODEC_PCMU,
    VC_CODEC_RED,
    VC_FRAME_CONCEALED,
    VC_FRAME_DECODED,
    VC_FRAME_SILENCE,
    VC_JITTER_ACCELERATED,
    VC_JITTER_CONCEALED,
    VC_JITTER_LISTEN,
    VC_JITTER_PAYLOAD_TYPES,
    VC_JITTER_PLAY,
    vc_frame_info,
    vc_jitter,
    vc_jitter_config,
    vc_jitter_event,
    vc_jitter_next_event,
    vc_jitter_config_default,
    vc_jitter_create,
    vc_jitter_deadline_ns,
    vc_jitter_destroy,
    vc_jitter_get,
    vc_jitter_get_stats,
    vc_jitter_note,
    vc_jitter_put,
    vc_jitter_read,
    vc_jitter_reset,
    vc_jitter_stats,
    vc_rtp_packet,
    vc_rtp_parse,
)

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    PacketError,
    StateError,
    VoicecoreMemoryError,
)
from voicecore.media.libopus import library_path, missing_libopus

cnp.import_array()

cdef dict AUDIO = {
    "pcmu": VC_CODEC_PCMU,
    "pcma": VC_CODEC_PCMA,
    "l16": VC_CODEC_L16,
    "g722": VC_CODEC_G722,
    "opus": VC_CODEC_OPUS,
}
cdef dict CODECS = {
    **AUDIO,
    "cn": VC_CODEC_CN,
    "telephone-event": VC_CODEC_EVENTS,
    "red": VC_CODEC_RED,
}


class JitterEvent(NamedTuple):
    """A change that a JitterBuffer made to the timeline.

    kind: "concealed" (``samples`` from ``position`` on are made up), "accelerated" (``samples`` of
    the sender's were taken out at ``position``) or "expanded" (as many were put in there).
    position: sample index of the output.
    """

    kind: str
    position: int
    samples: int


@cython.freelist(16)
cdef class FrameInfo:
    """What a JitterBuffer gave out; immutable.

    position: sample index of the first sample; stream_position: its sample index on the sender's
    timeline; timestamp: its RTP timestamp; arrival_ns: arrival of the packet that it came from, or
    the time of the call if nothing was decoded; kind: "decoded", "concealed" (some of it is made
    up), "silence" or "comfort-noise"; depth_ms: audio still held.
    """

    cdef readonly int64_t position
    cdef readonly int64_t stream_position
    cdef readonly uint32_t timestamp
    cdef readonly int64_t arrival_ns
    cdef readonly str kind
    cdef readonly double depth_ms

    def __init__(self):
        raise ConfigError("FrameInfo objects are made by JitterBuffer.read and .get")

    def __repr__(self):
        return (f"FrameInfo(position={self.position}, stream_position={self.stream_position}, "
                f"timestamp={self.timestamp}, arrival_ns={self.arrival_ns}, kind={self.kind!r}, depth_ms={self.depth_ms:g})")


cdef inline int64_t time_of(object now_ns) except? -1:
    try:
        return now_ns if type(now_ns) is int else PyNumber_Index(now_ns)
    except TypeError:
        raise DtypeError(
            f"a time is {now_ns!r}; use an int of nanoseconds, for example time.monotonic_ns()"
        ) from None
    except OverflowError:
        raise ConfigError(f"a time of {now_ns} ns does not fit in 64 bits") from None


cdef int int_of(object value, str name) except? -1:
    try:
        return PyNumber_Index(value)
    except (TypeError, OverflowError):
        raise ConfigError(f"{name} is {value!r}; use an int") from None


cdef int set_payload_types(vc_jitter_config *config, object payload_types) except -1:
    """Checked payload types; none leave the codec alone."""
    if payload_types is None:
        return 0
    if not isinstance(payload_types, dict) or not payload_types:
        raise ConfigError(
            f"payload_types is {payload_types!r}; use a dict such as {{0: 'pcmu', 13: 'cn'}}")
    if len(payload_types) > VC_JITTER_PAYLOAD_TYPES:
        raise ConfigError(
            f"payload_types has {len(payload_types)} entries; {VC_JITTER_PAYLOAD_TYPES} at most")
    cdef int n = 0
    for number, codec in payload_types.items():
        kind = int_of(number, "a payload type")
        if not 0 <= kind <= 127:
            raise ConfigError(f"payload type {number} is not 0..127")
        if codec not in CODECS:
            raise ConfigError(f"unknown codec {codec!r} of payload type {number}; "
                              f"use one of {', '.join(map(repr, CODECS))}")
        config.payload_type[n].payload_type = <uint8_t>kind
        config.payload_type[n].codec = CODECS[codec]
        n += 1
    if not any(codec in AUDIO for codec in payload_types.values()):
        raise ConfigError(f"payload_types {payload_types!r} name no audio codec; "
                          f"add one of {', '.join(map(repr, AUDIO))}")
    config.payload_types = n
    return 0


cdef class JitterBuffer:
    """Jitter buffer for one RTP stream; an adaptive one for an ear, an eager one for an agent's.

    mode "listen" (for an agent's ear): ``read`` gives all that is contiguous as soon as it is
    there; only what is out of order is held; a gap is concealed once a late packet would have come,
    which is learnt, and after loss_wait_ms (0..500) at most. Read after every put.
    mode "play" (for a human's ear): ``get`` gives 20 ms, each 20 ms, at a depth that follows the
    network's jitter between min_depth_ms (0..500) and max_depth_ms, by playing a little faster or
    slower; the sender's clock is followed.
    max_depth_ms (40..2000): hard maximum of held audio. rate_hz of the output: 8000..48000, a
    multiple of 50; also the RTP clock, but for "g722" (16000 Hz only) and "opus" (8000, 12000,
    16000, 24000 or 48000 Hz).
    codec: "pcmu", "pcma", "l16", "g722" or "opus", of every packet; or payload_types, a dict of up
    to 8 payload types: {0: "pcmu", 13: "cn", 101: "telephone-event", 97: "red"}. Then the codec may
    change in mid-call, comfort noise fills pauses, redundancy is used, and other types are ignored.

    Output is one continuous timeline of int16 samples. Times are nanoseconds of one monotonic
    clock. Settings out of range raise ConfigError or RateError; the other mode's method StateError;
    Opus without libopus MissingLibraryError. Algorithm: docs/units/jitter.md.

    >>> buffer = JitterBuffer(8000, codec="pcmu")
    >>> buffer.put(bytes(RtpPacket(b"\\xff" * 160)), arrival_ns=0)
    'ok'
    >>> samples, info = buffer.read(now_ns=0)
    >>> len(samples), info.kind
    (160, 'decoded')
    """

    cdef vc_jitter *_jitter
    cdef int16_t *_scratch
    cdef size_t _room
    cdef int _busy
    cdef readonly int rate_hz
    cdef readonly str codec
    cdef readonly str mode

    def __cinit__(self):
        self._jitter = NULL
        self._scratch = NULL
        self._busy = 0

    def __init__(self, rate_hz=8000, *, codec="pcmu", mode="listen", loss_wait_ms=60,
                 min_depth_ms=0, max_depth_ms=600, payload_types=None):
        cdef vc_jitter_config config = vc_jitter_config_default()
        if codec not in AUDIO:
            raise ConfigError(f"unknown codec {codec!r}; use one of {', '.join(map(repr, AUDIO))}")
        if mode != "listen" and mode != "play":
            raise ConfigError(f"unknown mode {mode!r}; use 'listen' or 'play'")
        config.mode = VC_JITTER_LISTEN if mode == "listen" else VC_JITTER_PLAY
        config.codec = AUDIO[codec]
        config.rate_hz = int_of(rate_hz, "rate_hz")
        config.loss_wait_ms = int_of(loss_wait_ms, "loss_wait_ms")
        config.min_depth_ms = int_of(min_depth_ms, "min_depth_ms")
        config.max_depth_ms = int_of(max_depth_ms, "max_depth_ms")
        set_payload_types(&config, payload_types)
        cdef bytes path = library_path()
        if path is not None:
            config.opus_library = path
        if self._jitter is not NULL:
            raise StateError("a JitterBuffer is set up once; make a new one")
        cdef vc_status status = vc_jitter_create(&self._jitter, &config)
        if status == VC_E_MISSING:
            raise missing_libopus(path)
        check(status,
              f"JitterBuffer(rate_hz={rate_hz} [8000..48000, multiple of 50; 16000 for g722; "
              f"8000, 12000, 16000, 24000, 48000 for opus], "
              f"loss_wait_ms={loss_wait_ms} [0..500], min_depth_ms={min_depth_ms} "
              f"[0..500, 20 below max_depth_ms], max_depth_ms={max_depth_ms} [40..2000])")
        self.rate_hz = config.rate_hz
        self.codec = codec if payload_types is None else next(
            one for one in payload_types.values() if one in AUDIO)
        self.mode = mode
        self._room = <size_t>config.rate_hz // 1000 * max(120, config.max_depth_ms)
        self._scratch = <int16_t *>malloc(self._room * sizeof(int16_t))
        if self._scratch is NULL:
            raise VoicecoreMemoryError("JitterBuffer: out of memory")

    def __dealloc__(self):
        vc_jitter_destroy(self._jitter)
        free(self._scratch)

    cdef int _enter(self) except -1:
        enter(&self._busy)
        if self._jitter is NULL or self._scratch is NULL:
            vc_guard_leave(&self._busy)
            raise ClosedError("this JitterBuffer is closed; make a new one")
        return 0

    cdef vc_status _feed(self, object packet, object arrival_ns, bint audio) except *:
        cdef Py_buffer view
        cdef vc_rtp_packet parsed
        cdef vc_status status
        cdef int64_t now = time_of(arrival_ns)
        get_bytes(packet, &view)
        try:
            status = vc_rtp_parse(<const uint8_t *>view.buf, <size_t>view.len, &parsed)
            if status != VC_OK:
                raise PacketError(f"{view.len} bytes are no RTP packet; drop them")
            self._enter()
            if audio:
                status = vc_jitter_put(self._jitter, &parsed, now)
            else:
                status = vc_jitter_note(self._jitter, &parsed, now)
            vc_guard_leave(&self._busy)
            if status < 0:
                raise PacketError(
                    f"an RTP payload of {parsed.payload_bytes} bytes is none of type "
                    f"{parsed.payload_type} here: audio has 1 sample to 120 ms, and whole samples; "
                    "drop the packet")
        finally:
            PyBuffer_Release(&view)
        return status

    def put(self, packet, arrival_ns):
        """Takes one RTP packet (bytes, header included), which arrived at arrival_ns.

        Returns "ok"; "late" (its place was already given out); "duplicate"; "full" (taken, but an
        oldest packet was thrown away for it); "ignored" (a stray, or the first packet of a jump).
        Raises PacketError for what is no RTP packet or holds no audio of the codec.
        """
        return outcome(self._feed(packet, arrival_ns, True))

    def note(self, packet, arrival_ns):
        """Tells of a packet of the stream without audio, as telephone events and comfort noise.

        Its sequence number then does not count as lost. Returns "ok", "duplicate" or "ignored".
        """
        return outcome(self._feed(packet, arrival_ns, False))

    def read(self, now_ns):
        """listen: what is contiguous now and of one kind, as (int16 array, FrameInfo).

        Call again until nothing is due: then (empty array, None).
        """
        cdef vc_frame_info info
        cdef vc_status status
        cdef int64_t now = time_of(now_ns)
        self._enter()
        cdef cnp.npy_intp n = 0
        cdef size_t samples = self._room
        try:
            status = vc_jitter_read(self._jitter, now, self._scratch, &samples, &info)
            if status < 0:
                raise StateError(f"read is for mode 'listen'; in mode {self.mode!r} use get")
            n = <cnp.npy_intp>samples
            out = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT16, 0)
            memcpy(cnp.PyArray_DATA(out), self._scratch, samples * sizeof(int16_t))
        finally:
            vc_guard_leave(&self._busy)
        return out, (None if status == VC_NEED_MORE else self._info(&info))

    def get(self, now_ns):
        """play: the next 20 ms, always, as (int16 array, FrameInfo)."""
        cdef vc_frame_info info
        cdef int64_t now = time_of(now_ns)
        cdef cnp.npy_intp n = self.rate_hz // 50
        self._enter()
        try:
            out = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT16, 0)
            if vc_jitter_get(self._jitter, now, <int16_t *>cnp.PyArray_DATA(out), &info) < 0:
                raise StateError(f"get is for mode 'play'; in mode {self.mode!r} use read")
        finally:
            vc_guard_leave(&self._busy)
        return out, self._info(&info)

    cdef FrameInfo _info(self, const vc_frame_info *info):
        cdef FrameInfo made = FrameInfo.__new__(FrameInfo)
        made.position = info.position
        made.stream_position = info.stream_position
        made.timestamp = info.timestamp
        made.arrival_ns = info.arrival_ns
        if info.kind == VC_FRAME_DECODED:
            made.kind = "decoded"
        elif info.kind == VC_FRAME_CONCEALED:
            made.kind = "concealed"
        elif info.kind == VC_FRAME_SILENCE:
            made.kind = "silence"
        else:
            made.kind = "comfort-noise"
        made.depth_ms = info.depth_samples * 1000.0 / self.rate_hz
        return made

    @property
    def deadline_ns(self):
        """listen, when read has given all: when the pending gap will be declared lost, or None."""
        self._enter()
        cdef int64_t deadline = vc_jitter_deadline_ns(self._jitter)
        vc_guard_leave(&self._busy)
        return None if deadline == INT64_MAX else deadline

    def events(self):
        """What was done to the timeline since the last call: a list of JitterEvent, oldest first.

        Positions are exact, for echo cancellers and word times. 32 events are kept; older ones are
        counted in stats()["events_lost"]. Concealment is told when it has ended, or every second.
        """
        cdef vc_jitter_event event
        found = []
        self._enter()
        try:
            while vc_jitter_next_event(self._jitter, &event) == VC_OK:
                if event.kind == VC_JITTER_CONCEALED:
                    kind = "concealed"
                elif event.kind == VC_JITTER_ACCELERATED:
                    kind = "accelerated"
                else:
                    kind = "expanded"
                found.append(JitterEvent(kind, event.position, event.samples))
        finally:
            vc_guard_leave(&self._busy)
        return found

    def stats(self):
        """Counters since the start or reset; the names are those of vc_jitter_stats in C.

        received = decoded + duplicate + late + discarded + rejected + held.
        """
        cdef vc_jitter_stats stats
        self._enter()
        vc_jitter_get_stats(self._jitter, &stats)
        vc_guard_leave(&self._busy)
        return stats

    def reset(self):
        """Back to the state of a new object, counters included."""
        self._enter()
        vc_jitter_reset(self._jitter)
        vc_guard_leave(&self._busy)

    def close(self):
        """Frees the memory; every later call but close raises ClosedError."""
        enter(&self._busy)
        vc_jitter_destroy(self._jitter)
        self._jitter = NULL
        vc_guard_leave(&self._busy)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


cdef inline str outcome(vc_status status):
    if status == VC_OK:
        return "ok"
    if status == VC_LATE:
        return "late"
    if status == VC_DUPLICATE:
        return "duplicate"
    if status == VC_FULL:
        return "full"
    return "ignored"
