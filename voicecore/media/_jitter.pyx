"""Jitter buffer."""

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
    VC_FULL,
    VC_LATE,
    VC_NEED_MORE,
    VC_OK,
    vc_guard_leave,
    vc_status,
)
from voicecore.media.c_net cimport (
    VC_CODEC_L16,
    VC_CODEC_PCMA,
    VC_CODEC_PCMU,
    VC_FRAME_CONCEALED,
    VC_FRAME_DECODED,
    VC_JITTER_LISTEN,
    VC_JITTER_PLAY,
    vc_frame_info,
    vc_jitter,
    vc_jitter_config,
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

cnp.import_array()

cdef dict CODECS = {"pcmu": VC_CODEC_PCMU, "pcma": VC_CODEC_PCMA, "l16": VC_CODEC_L16}


@cython.freelist(16)
cdef class FrameInfo:
    """What a JitterBuffer gave out; immutable.

    position: sample index of the first sample; timestamp: its RTP timestamp; arrival_ns: arrival of
    the packet that it came from, or the time of the call if nothing was decoded; kind: "decoded",
    "concealed" (some of it is made up) or "silence"; depth_ms: audio still held.
    """

    cdef readonly int64_t position
    cdef readonly uint32_t timestamp
    cdef readonly int64_t arrival_ns
    cdef readonly str kind
    cdef readonly double depth_ms

    def __init__(self):
        raise ConfigError("FrameInfo objects are made by JitterBuffer.read and .get")

    def __repr__(self):
        return (f"FrameInfo(position={self.position}, timestamp={self.timestamp}, "
                f"arrival_ns={self.arrival_ns}, kind={self.kind!r}, depth_ms={self.depth_ms:g})")


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


cdef class JitterBuffer:
    """Jitter buffer for one RTP stream of PCMU, PCMA or L16 audio.

    mode "listen" (for an agent's ear): ``read`` gives all that is contiguous as soon as it is
    there; only what is out of order is held; a gap is concealed once loss_wait_ms (0..500) have
    passed since the first younger packet came. Read after every put.
    mode "play" (for a human's ear): ``get`` gives 20 ms, each 20 ms, at a depth that follows the
    network's jitter between min_depth_ms (0..500) and max_depth_ms.
    max_depth_ms (40..2000): hard maximum of held audio. rate_hz: 8000..48000, a multiple of 50.

    Output is one continuous timeline of int16 samples. Times are nanoseconds of one monotonic
    clock. Settings out of range raise ConfigError or RateError; the other mode's method StateError.

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
                 min_depth_ms=20, max_depth_ms=400):
        cdef vc_jitter_config config = vc_jitter_config_default()
        if codec not in CODECS:
            raise ConfigError(f"unknown codec {codec!r}; use 'pcmu', 'pcma' or 'l16'")
        if mode != "listen" and mode != "play":
            raise ConfigError(f"unknown mode {mode!r}; use 'listen' or 'play'")
        config.mode = VC_JITTER_LISTEN if mode == "listen" else VC_JITTER_PLAY
        config.codec = CODECS[codec]
        config.rate_hz = int_of(rate_hz, "rate_hz")
        config.loss_wait_ms = int_of(loss_wait_ms, "loss_wait_ms")
        config.min_depth_ms = int_of(min_depth_ms, "min_depth_ms")
        config.max_depth_ms = int_of(max_depth_ms, "max_depth_ms")
        if self._jitter is not NULL:
            raise StateError("a JitterBuffer is set up once; make a new one")
        check(vc_jitter_create(&self._jitter, &config),
              f"JitterBuffer(rate_hz={rate_hz} [8000..48000, multiple of 50], "
              f"loss_wait_ms={loss_wait_ms} [0..500], min_depth_ms={min_depth_ms} "
              f"[0..500, 20 below max_depth_ms], max_depth_ms={max_depth_ms} [40..2000])")
        self.rate_hz = config.rate_hz
        self.codec = codec
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
                    f"an RTP payload of {parsed.payload_bytes} bytes is no {self.codec} audio: "
                    "it must have 1 sample to 120 ms, and whole samples; drop the packet")
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
        made.timestamp = info.timestamp
        made.arrival_ns = info.arrival_ns
        if info.kind == VC_FRAME_DECODED:
            made.kind = "decoded"
        elif info.kind == VC_FRAME_CONCEALED:
            made.kind = "concealed"
        else:
            made.kind = "silence"
        made.depth_ms = info.depth_samples * 1000.0 / self.rate_hz
        return made

    @property
    def deadline_ns(self):
        """listen, when read has given all: when the pending gap will be declared lost, or None."""
        self._enter()
        cdef int64_t deadline = vc_jitter_deadline_ns(self._jitter)
        vc_guard_leave(&self._busy)
        return None if deadline == INT64_MAX else deadline

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
