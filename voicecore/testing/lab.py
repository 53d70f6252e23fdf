"""The jitter-buffer laboratory: speech over a packet trace through a receiver, in virtual time.

    load = Load.of(make_trace("wifi"), speech, codec="pcmu")
    result = play(load, OurBuffer(load, "play"))
    print(score(load, result))                 # voicecore.testing.lab_score

A paced receiver is asked for 20 ms every 20 ms, as a sound card asks; an unpaced one (the agent's
ear) is asked after every packet, and when it wants to be, and gives all it has. Nothing sleeps and
no clock is read: equal arguments give equal results, to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.media._codec import Decoder, Encoder
from voicecore.media._jitter import FrameInfo, JitterBuffer
from voicecore.media._rtp import RtpPacket
from voicecore.testing.traces import LOST, PacketTrace

__all__ = [
    "CODECS",
    "Chunk",
    "LabPacket",
    "Load",
    "Mode",
    "OurBuffer",
    "Receiver",
    "Result",
    "play",
]

Mode = Literal["play", "listen"]
TICK_NS = 20_000_000
CODECS = ("pcmu", "pcma", "l16")  # RTP clock and sample rate are the same
_PHASE_NS = 10_000_000  # the sound card's ticks lie in the middle of the sender's
_TAIL_NS = 500_000_000
_TAIL_TICKS_EMPTY = 5


@dataclass(frozen=True, slots=True)
class LabPacket:
    """A packet of the load: the header's fields, the payload, and the whole as on the wire."""

    row: int
    position: int
    samples: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    data: bytes


class Chunk(NamedTuple):
    """What a receiver gives out at once.

    Attributes:
        pcm: int16 samples.
        kind: "decoded", "concealed" (some of it is made up) or "silence".
        timestamp: RTP timestamp of the first sample; None if it does not know.
        made_up: how many of the samples are not from packets.
        target_ms: the depth that it aims for, if it says so.
    """

    pcm: NDArray[np.int16]
    kind: str
    timestamp: int | None
    made_up: int
    target_ms: float = float("nan")


class Receiver(ABC):
    """A jitter buffer under test.

    Attributes:
        name: for the tables.
        paced: whether ``pull`` gives 20 ms each 20 ms; else it gives what is there, or None.
    """

    name: str
    paced: bool = True

    @abstractmethod
    def put(self, packet: LabPacket, now_ns: int) -> None:
        """A packet comes."""

    @abstractmethod
    def pull(self, now_ns: int) -> Chunk | None:
        """Paced: the next 20 ms, always. Unpaced: call until it gives None."""

    def deadline_ns(self) -> int | None:
        """Unpaced: when to pull although no packet comes."""
        return None

    def stats(self) -> Mapping[str, int | float]:
        """The receiver's own counters."""
        return {}

    def close(self) -> None:  # noqa: B027 - most have nothing to free
        """Free what it holds."""


@dataclass(frozen=True)
class Load:
    """Speech, coded and put into the packets of a trace.

    Attributes:
        trace: the network.
        codec: "pcmu", "pcma" or "l16".
        reference: what the sender had to say, from sample 0 on; zeros where it sent nothing.
        packets: one for each row of the trace.
    """

    trace: PacketTrace
    codec: str
    reference: NDArray[np.int16]
    packets: tuple[LabPacket, ...]

    @classmethod
    def of(cls, trace: PacketTrace, speech: NDArray[np.int16], codec: str = "pcmu") -> Load:
        """Code the speech, repeated or cut to the trace's length.

        Raises:
            ConfigError: another codec, a rate that it does not have, or no speech.
        """
        if codec not in CODECS:
            raise ConfigError(f"codec {codec!r} is not for the laboratory; use pcmu, pcma or l16")
        if codec != "l16" and trace.rate_hz != 8000:
            raise ConfigError(f"{codec} has 8000 Hz; the trace has {trace.rate_hz}")
        if len(speech) == 0:
            raise ConfigError("there is no speech to play; give at least one sample")
        if len(trace) == 0:
            raise ConfigError(f"trace {trace.name!r} has no packets")
        length = int((trace.position + trace.samples).max())
        signal = np.resize(np.asarray(speech, np.int16), length)
        reference = np.zeros(length, np.int16)
        encoder: Any = Encoder(codec, trace.rate_hz)  # type: ignore[arg-type]
        made: list[LabPacket] = []
        payloads: dict[int, bytes] = {}
        for row in range(len(trace)):
            start, count = int(trace.position[row]), int(trace.samples[row])
            if start not in payloads:
                part = signal[start : start + count]
                payloads[start] = encoder.encode(part) if count else b""
                reference[start : start + count] = part
            header: dict[str, int] = {
                "sequence": int(trace.sequence[row]),
                "timestamp": int(trace.timestamp[row]),
                "ssrc": int(trace.ssrc[row]),
            }
            payload = payloads[start] if count else b""
            data = bytes(
                RtpPacket(
                    payload,
                    payload_type=int(trace.payload_type[row]),
                    marker=bool(trace.marker[row]),
                    **header,
                )
            )
            made.append(LabPacket(row, start, count, payload=payload, data=data, **header))
        return cls(trace, codec, reference, tuple(made))

    @cached_property
    def sent(self) -> PacketTrace:
        """One row for each packet with audio, by position, with the arrival of its first copy."""
        audio = self.trace.rows(np.flatnonzero(self.trace.audio))
        never = np.iinfo(np.int64).max
        arrival_ns = np.where(audio.lost, never, audio.arrival_ns)
        order = np.lexsort((arrival_ns, audio.position))
        first = np.diff(audio.position[order], prepend=-1) > 0
        return audio.rows(order[first])

    @cached_property
    def _clocks(self) -> list[tuple[int, int, int]]:
        """Stretches of one timestamp origin: origin, first and last position."""
        origin = (self.trace.timestamp.astype(np.int64) - self.trace.position) % 2**32
        edges = [0, *(np.flatnonzero(np.diff(origin)) + 1), len(origin)]
        found: dict[int, tuple[int, int]] = {}
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            key = int(origin[start])
            low, high = int(self.trace.position[start]), int(self.trace.position[end - 1])
            before = found.get(key, (low, high))
            found[key] = (min(low, before[0]), max(high, before[1]))
        return [(key, low, high) for key, (low, high) in found.items()]

    def position_of(self, timestamp: int, near: int = 0) -> int | None:
        """The sample of the speech that has this timestamp; None if there is none."""
        slack = self.trace.rate_hz
        best: int | None = None
        for origin, low, high in self._clocks:
            position = low + (timestamp - origin - low + 2**31) % 2**32 - 2**31
            inside = low - slack <= position <= high + slack
            if inside and (best is None or abs(position - near) < abs(best - near)):
                best = position
        return best


class OurBuffer(Receiver):
    """voicecore.JitterBuffer in either mode."""

    def __init__(self, load: Load, mode: Mode, **settings: Any) -> None:
        self.name = f"voicecore {mode}"
        self.paced = mode == "play"
        self._frame = load.trace.rate_hz // 50
        self._buffer = JitterBuffer(
            load.trace.rate_hz,
            codec=load.codec,  # type: ignore[arg-type]
            mode=mode,
            **settings,
        )
        self._made_up = 0

    def put(self, packet: LabPacket, now_ns: int) -> None:
        """Packets without audio are noted."""
        if packet.samples:
            self._buffer.put(packet.data, now_ns)
        else:
            self._buffer.note(packet.data, now_ns)

    def pull(self, now_ns: int) -> Chunk | None:
        """``get`` or ``read``, with the made-up samples from the counters."""
        info: FrameInfo | None
        if self.paced:
            pcm, info = self._buffer.get(now_ns)
        else:
            pcm, info = self._buffer.read(now_ns)
            if info is None:
                return None
        stats = self._buffer.stats()
        total = int(stats.get("concealed_samples", 0)) + int(stats.get("silence_samples", 0))
        made_up, self._made_up = total - self._made_up, total
        target_ms = float(stats.get("target_ms", "nan")) if self.paced else float("nan")
        return Chunk(pcm, info.kind, info.timestamp, min(len(pcm), made_up), target_ms)

    def deadline_ns(self) -> int | None:
        """When the pending gap is lost."""
        return None if self.paced else self._buffer.deadline_ns

    def stats(self) -> Mapping[str, int | float]:
        """JitterBuffer.stats()."""
        return self._buffer.stats()

    def close(self) -> None:
        """Close the buffer."""
        self._buffer.close()


@dataclass
class Result:
    """What came out of a receiver: all the audio, and a row for each chunk of it.

    Attributes:
        receiver, paced: which one.
        trace: name of the trace.
        rate_hz: sample rate.
        audio: int16.
        start: index in ``audio`` of the chunk's first sample.
        length: its samples.
        out_ns: when it came out; paced: when its first sample is played.
        kind: "decoded", "concealed" or "silence".
        position: sample of the speech that it starts with; -1 if that is not known.
        made_up: samples of it that are not from packets.
        depth_ms: audio that had arrived and lay ahead, after the chunk; nan if not known.
        target_ms: what the receiver aims for; nan if it does not say.
        stats: its own counters at the end.
    """

    receiver: str
    paced: bool
    trace: str
    rate_hz: int
    audio: NDArray[np.int16]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    out_ns: NDArray[np.int64]
    kind: NDArray[np.str_]
    position: NDArray[np.int64]
    made_up: NDArray[np.int64]
    depth_ms: NDArray[np.float64]
    target_ms: NDArray[np.float64]
    stats: dict[str, int | float] = field(default_factory=dict)


@dataclass
class _Course:
    """Collects chunks while a receiver runs."""

    load: Load
    chunks: list[Chunk] = field(default_factory=list)
    out_ns: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    depth_ms: list[float] = field(default_factory=list)
    newest: int = 0
    next: int = 0

    def came(self, packet: LabPacket) -> None:
        self.newest = max(self.newest, packet.position + packet.samples)

    def take(self, chunk: Chunk, now_ns: int) -> None:
        found = None
        if chunk.timestamp is not None and chunk.kind != "silence":
            found = self.load.position_of(chunk.timestamp, self.next)
        self.chunks.append(chunk)
        self.out_ns.append(now_ns)
        self.position.append(-1 if found is None else max(0, found))
        depth_ms = float("nan")
        if found is not None:
            self.next = found + len(chunk.pcm)
            depth_ms = max(0.0, (self.newest - self.next) * 1000.0 / self.load.trace.rate_hz)
        self.depth_ms.append(depth_ms)

    def result(self, receiver: Receiver) -> Result:
        lengths = np.array([len(chunk.pcm) for chunk in self.chunks], np.int64)
        return Result(
            receiver=receiver.name,
            paced=receiver.paced,
            trace=self.load.trace.name,
            rate_hz=self.load.trace.rate_hz,
            audio=np.concatenate([np.zeros(0, np.int16), *(c.pcm for c in self.chunks)]),
            start=np.cumsum(lengths) - lengths,
            length=lengths,
            out_ns=np.array(self.out_ns, np.int64),
            kind=np.array([chunk.kind for chunk in self.chunks], dtype="U9"),
            position=np.array(self.position, np.int64),
            made_up=np.array([chunk.made_up for chunk in self.chunks], np.int64),
            depth_ms=np.array(self.depth_ms, np.float64),
            target_ms=np.array([chunk.target_ms for chunk in self.chunks], np.float64),
            stats=dict(receiver.stats()),
        )


def play(load: Load, receiver: Receiver) -> Result:
    """Run a receiver over a load, from time 0 to half a second after the end; closes it."""
    course = _Course(load)
    try:
        if receiver.paced:
            _play_paced(load, receiver, course)
        else:
            _play_unpaced(load, receiver, course)
        return course.result(receiver)
    finally:
        receiver.close()


def _arrivals(load: Load) -> Iterator[tuple[int, LabPacket]]:
    for row in load.trace.arrival_order:
        yield int(load.trace.arrival_ns[row]), load.packets[row]


def _end_ns(load: Load) -> int:
    last = int(load.trace.arrival_ns.max())
    return max(last if last != LOST else 0, load.trace.length_ns + load.trace.base_ns) + _TAIL_NS


def _play_paced(load: Load, receiver: Receiver, course: _Course) -> None:
    arrivals = _arrivals(load)
    pending = next(arrivals, None)
    end_ns, empty = _end_ns(load), 0
    now_ns = _PHASE_NS
    # Until the end, and then until nothing more comes: a receiver may be far behind.
    while now_ns < end_ns or (empty < _TAIL_TICKS_EMPTY and now_ns < 2 * end_ns):
        while pending is not None and pending[0] <= now_ns:
            receiver.put(pending[1], pending[0])
            course.came(pending[1])
            pending = next(arrivals, None)
        chunk = receiver.pull(now_ns)
        if chunk is None:
            raise ConfigError(f"{receiver.name} is paced and gave nothing at {now_ns} ns")
        course.take(chunk, now_ns)
        empty = 0 if chunk.kind == "decoded" else empty + 1
        now_ns += TICK_NS


def _play_unpaced(load: Load, receiver: Receiver, course: _Course) -> None:
    def pull(now_ns: int) -> None:
        while (chunk := receiver.pull(now_ns)) is not None:
            course.take(chunk, now_ns)

    def until(end_ns: int) -> None:
        while (due_ns := receiver.deadline_ns()) is not None and due_ns < end_ns:
            before = len(course.chunks)
            pull(due_ns)
            if len(course.chunks) == before:  # a deadline that yields nothing must not hold us
                return

    for arrival_ns, packet in _arrivals(load):
        until(arrival_ns)
        receiver.put(packet, arrival_ns)
        course.came(packet)
        pull(arrival_ns)
    until(_end_ns(load))
