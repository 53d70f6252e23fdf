"""Other jitter buffers in the laboratory, each in the settings of those who use it.

fixed-60: a constant 60 ms from the first packet, as SIP gateways do it; written here. A frame that
    is not there repeats the last one once, then silence. After ten late packets in a row it starts
    anew.
aiortc: that library's buffer as it sets it up for audio (capacity 16, prefetch 4). It has no clock:
    what it lets go of waits in a queue, from which a frame is taken every 20 ms.
pjmedia: the adaptive buffer of pjproject as its streams set it up (500 ms, prefetch 0, 1 to 20
    frames, progressive discard), through ctypes from the library in the package pjsua2-python.
gstreamer: rtpjitterbuffer with its defaults (200 ms, mode slave), in a process of its own. A packet
    is played at its presentation time and the latency, or without a gap after the one before it, by
    the rules of GStreamer's sinks.

A buffer of packets conceals nothing by itself; the peers get what fixed-60 does: the last frame
once more, then silence. pjmedia's streams would stretch instead.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, MissingLibraryError
from voicecore.media._codec import Decoder
from voicecore.testing.lab import Chunk, Receiver
from voicecore.testing.lab_gstreamer import Released, find_gstreamer, run_gstreamer
from voicecore.testing.lab_load import LabPacket, Load

__all__ = [
    *("PEERS", "AiortcBuffer", "FixedBuffer", "GstreamerBuffer", "PjmediaBuffer"),
    *("make_peer", "missing_peers"),
]

_FRAME_MS = 20
_RESTART_S = 2


class _Peer(Receiver):
    """Decoding and the poor man's concealment, the same for all."""

    def __init__(self, name: str, load: Load) -> None:
        self.name = name
        self.rate_hz = load.trace.rate_hz
        self.frame = self.rate_hz * _FRAME_MS // 1000
        if set(load.trace.samples[load.trace.audio]) - {self.frame}:
            raise ConfigError(f"{name} plays packets of {_FRAME_MS} ms only; this trace has others")
        self._decoder: Any = Decoder(load.codec, self.rate_hz)  # type: ignore[arg-type]
        self._last: NDArray[np.int16] | None = None
        self._begun = False

    def _decoded(self, payload: bytes, timestamp: int) -> Chunk:
        self._last = self._decoder.decode(payload)[: self.frame]
        self._begun = True
        return Chunk(self._last, "decoded", timestamp, 0)

    def _nothing(self) -> Chunk:
        last, self._last = self._last, None
        if last is not None:
            return Chunk(last, "concealed", None, self.frame)
        kind = "concealed" if self._begun else "silence"
        return Chunk(np.zeros(self.frame, np.int16), kind, None, self.frame)


class FixedBuffer(_Peer):
    """A constant depth from the first packet on."""

    LATE_IN_A_ROW = 10

    def __init__(self, load: Load, depth_ms: int = 60) -> None:
        super().__init__(f"fixed-{depth_ms}", load)
        self._depth_ns = depth_ms * 1_000_000
        self._held: dict[int, bytes] = {}
        self._start_ns: int | None = None
        self._next = 0
        self._late_in_a_row = 0
        self._late = 0

    def put(self, packet: LabPacket, now_ns: int) -> None:
        """Take a packet, or drop it if its time has passed."""
        if not packet.samples:
            return
        ahead = (packet.timestamp - self._next + 2**31) % 2**32 - 2**31
        if self._start_ns is None or abs(ahead) > _RESTART_S * self.rate_hz:
            self._restart(packet, now_ns)
        elif ahead < 0:
            self._late += 1
            self._late_in_a_row += 1
            if self._late_in_a_row < self.LATE_IN_A_ROW:
                return
            self._restart(packet, now_ns)
        self._late_in_a_row = 0
        self._held[packet.timestamp] = packet.payload

    def _restart(self, packet: LabPacket, now_ns: int) -> None:
        self._held.clear()
        self._start_ns = now_ns + self._depth_ns
        self._next = packet.timestamp
        self._late_in_a_row = 0

    def pull(self, now_ns: int) -> Chunk:
        """The frame whose turn it is."""
        if self._start_ns is None or now_ns < self._start_ns:
            return self._nothing()
        timestamp, self._next = self._next, (self._next + self.frame) % 2**32
        payload = self._held.pop(timestamp, None)
        return self._nothing() if payload is None else self._decoded(payload, timestamp)

    def stats(self) -> Mapping[str, int | float]:
        """Packets that came too late."""
        return {"late": self._late}


class AiortcBuffer(_Peer):
    """aiortc.jitterbuffer.JitterBuffer, and behind it a queue that a clock empties."""

    def __init__(self, load: Load) -> None:
        super().__init__("aiortc", load)
        try:
            from aiortc.jitterbuffer import JitterBuffer
            from aiortc.rtp import RtpPacket
        except ImportError as error:
            raise MissingLibraryError("the peer aiortc is not installed: pip install aiortc") from (
                error
            )
        self._make: Any = RtpPacket
        self._buffer: Any = JitterBuffer(capacity=16, prefetch=4)
        self._queue: deque[tuple[bytes, int]] = deque()

    def put(self, packet: LabPacket, now_ns: int) -> None:
        """Add the packet; what comes out waits for the clock."""
        if not packet.samples:
            return
        made = self._make(
            sequence_number=packet.sequence,
            timestamp=packet.timestamp,
            ssrc=packet.ssrc,
            payload=packet.payload,
        )
        made._data = packet.payload
        _, frame = self._buffer.add(made)
        if frame is not None:
            self._queue.append((frame.data, frame.timestamp))

    def pull(self, now_ns: int) -> Chunk:
        """The oldest frame of the queue."""
        return self._decoded(*self._queue.popleft()) if self._queue else self._nothing()


# -- pjmedia -------------------------------------------------------------------------------


class _PjString(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char_p), ("length", ctypes.c_ssize_t))


_POOL_BYTES = 1 << 16  # more than a pj_caching_pool takes
_NORMAL_FRAME = 1


@cache
def _pjmedia() -> tuple[ctypes.CDLL, Any]:
    """The library, set up once for the process, and its pool factory."""
    found = importlib.util.find_spec("pjsua2")
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    files = [file for place in places for file in sorted(place.glob("_pjsua2*.so"))]
    if not files:
        raise MissingLibraryError(
            "the peer pjmedia is not installed: pip install pjsua2-python (GPL; not needed else)"
        )
    try:
        library = ctypes.CDLL(str(files[0]))
        library.pj_log_set_level(0)
        factory = ctypes.create_string_buffer(_POOL_BYTES)
        if library.pj_init() != 0:
            raise MissingLibraryError("the peer pjmedia cannot be used: pj_init failed")
        library.pj_caching_pool_init(factory, None, ctypes.c_size_t(0))
        library.pj_pool_create.restype = ctypes.c_void_p
        library.pjmedia_jbuf_create.argtypes = [
            *(ctypes.c_void_p, ctypes.POINTER(_PjString), ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p)),
        ]
    except (OSError, AttributeError) as error:
        raise MissingLibraryError(f"the peer pjmedia cannot be used: {error}") from error
    return library, factory


class PjmediaBuffer(_Peer):
    """pjmedia_jbuf, adaptive."""

    MOST_MS = 500

    def __init__(self, load: Load) -> None:
        super().__init__("pjmedia", load)
        self._library, factory = _pjmedia()
        self._size = len(next(p.payload for p in load.packets if p.samples))
        most = self.MOST_MS // _FRAME_MS
        pool = self._library.pj_pool_create(
            factory, b"lab", ctypes.c_size_t(8192), ctypes.c_size_t(8192), None
        )
        self._pool = ctypes.c_void_p(pool)
        self._handle = ctypes.c_void_p()
        status = self._library.pjmedia_jbuf_create(
            self._pool,
            ctypes.byref(_PjString(b"lab", 3)),
            self._size,
            _FRAME_MS,
            most,
            ctypes.byref(self._handle),
        )
        if status != 0:
            raise MissingLibraryError(f"pjmedia_jbuf_create gave {status}")
        self._library.pjmedia_jbuf_set_adaptive(self._handle, 0, 1, most * 4 // 5)
        self._frame_bytes = ctypes.create_string_buffer(self._size)

    def put(self, packet: LabPacket, now_ns: int) -> None:
        """Put the packet as a pjmedia stream does."""
        if packet.samples:
            self._library.pjmedia_jbuf_put_frame3(
                self._handle,
                packet.payload,
                ctypes.c_size_t(len(packet.payload)),
                ctypes.c_uint32(0),
                packet.sequence,
                ctypes.c_uint32(packet.timestamp),
                None,
            )

    def pull(self, now_ns: int) -> Chunk:
        """The next frame."""
        size, kind = ctypes.c_size_t(self._size), ctypes.c_char(b"\0")
        bits, timestamp, sequence = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_int()
        self._library.pjmedia_jbuf_get_frame3(
            self._handle,
            self._frame_bytes,
            ctypes.byref(size),
            ctypes.byref(kind),
            ctypes.byref(bits),
            ctypes.byref(timestamp),
            ctypes.byref(sequence),
        )
        if kind.value[0] != _NORMAL_FRAME:
            return self._nothing()
        return self._decoded(self._frame_bytes.raw[: size.value], timestamp.value)

    def close(self) -> None:
        """Give its memory back."""
        if self._handle:
            self._library.pjmedia_jbuf_destroy(self._handle)
            self._library.pj_pool_release(self._pool)
            self._handle = ctypes.c_void_p()


# -- GStreamer -----------------------------------------------------------------------------


class GstreamerBuffer(_Peer):
    """rtpjitterbuffer and a sink that plays what it lets go of.

    The element has the whole load beforehand: it runs once, when this is made. A packet is played
    only after the element has let go of it.
    """

    ALIGNMENT_NS = 40_000_000  # GstAudioBaseSink: alignment-threshold
    WAIT_NS = 1_000_000_000  # and discont-wait

    def __init__(self, load: Load) -> None:
        super().__init__("gstreamer", load)
        self._released = deque(run_gstreamer(load))
        self._held: dict[int, LabPacket] = {}
        self._place_ns = 0
        self._timestamp: int | None = None
        self._off_since_ns: int | None = None
        self._late = self._overwritten = self._realigned = 0

    def put(self, packet: LabPacket, now_ns: int) -> None:
        """Nothing: the element knows."""

    def _sink(self, released: Released) -> None:
        """Write a packet that came out onto the time line of the sound card, over what is there."""
        packet = released.packet
        place_ns = self._place_of(released)
        self._place_ns, self._timestamp = place_ns, packet.timestamp
        if not packet.samples:
            return
        for other_ns in [o for o in self._held if abs(o - place_ns) < _FRAME_MS * 1_000_000]:
            del self._held[other_ns]
            self._overwritten += 1
        self._held[place_ns] = packet

    def _place_of(self, released: Released) -> int:
        """Where the one before it ends, unless that is played already or the times do not fit."""
        packet, out_ns, due_ns = released
        if self._timestamp is None:
            return due_ns
        step = (packet.timestamp - self._timestamp + 2**31) % 2**32 - 2**31
        next_ns = self._place_ns + step * 1_000_000_000 // self.rate_hz
        # The sink does not see the timestamps: where they jump, the presentation times go on.
        anew = abs(step) > _RESTART_S * self.rate_hz or next_ns < min(out_ns, due_ns)
        if abs(due_ns - next_ns) < self.ALIGNMENT_NS:
            self._off_since_ns = None
        elif self._off_since_ns is None:
            self._off_since_ns = due_ns
        elif due_ns - self._off_since_ns >= self.WAIT_NS:
            self._off_since_ns = None
            anew = True
        self._realigned += anew
        return due_ns if anew else next_ns

    def pull(self, now_ns: int) -> Chunk:
        """The frame whose time has come since the last one."""
        while self._released and self._released[0].out_ns <= now_ns:
            self._sink(self._released.popleft())
        come = sorted(place_ns for place_ns in self._held if place_ns <= now_ns)
        packets = [self._held.pop(place_ns) for place_ns in come]
        in_time = bool(come) and come[-1] > now_ns - _FRAME_MS * 1_000_000
        self._late += len(packets) - in_time
        if not in_time:
            return self._nothing()
        return self._decoded(packets[-1].payload, packets[-1].timestamp)

    def stats(self) -> Mapping[str, int | float]:
        """What the sink did: packets too late, overwritten, and placed anew."""
        return {
            "late": self._late,
            "overwritten": self._overwritten,
            "realigned": self._realigned,
        }


PEERS: dict[str, Callable[[Load], Receiver]] = {
    "fixed-60": FixedBuffer,
    "aiortc": AiortcBuffer,
    "pjmedia": PjmediaBuffer,
    "gstreamer": GstreamerBuffer,
}


def make_peer(name: str, load: Load) -> Receiver:
    """A new peer of this name.

    Raises:
        ConfigError: there is none, or it cannot play this load.
        MissingLibraryError: its package is not installed.
    """
    if name not in PEERS:
        raise ConfigError(f"peer {name!r} is unknown; use one of {', '.join(PEERS)}")
    return PEERS[name](load)


def missing_peers() -> dict[str, str]:
    """The peers that cannot be used here, each with the reason and what to do."""
    missing = {}
    if importlib.util.find_spec("aiortc") is None:
        missing["aiortc"] = "not installed: pip install aiortc"
    for name, find in (("pjmedia", _pjmedia), ("gstreamer", find_gstreamer)):
        try:
            find()
        except MissingLibraryError as error:
            missing[name] = str(error).partition(" is ")[2] or str(error)
    return missing
