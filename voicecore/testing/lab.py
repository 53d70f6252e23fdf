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
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.media._jitter import FrameInfo, JitterBuffer
from voicecore.testing.lab_load import LabPacket, Load
from voicecore.testing.traces import LOST

__all__ = ["Chunk", "Mode", "OurBuffer", "Receiver", "Result", "play"]

Mode = Literal["play", "listen"]
TICK_NS = 20_000_000
_MADE_UP = ("concealed_samples", "silence_samples", "comfort_noise_samples")
_PHASE_NS = 10_000_000  # the sound card's ticks lie in the middle of the sender's
_TAIL_NS = 500_000_000
_TAIL_TICKS_EMPTY = 5


class Chunk(NamedTuple):
    """What a receiver gives out at once.

    Attributes:
        pcm: int16 samples.
        kind: "decoded", "concealed" (some of it is made up), "silence" or another word for what is
            not from packets.
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
        total = sum(int(stats.get(name, 0)) for name in _MADE_UP)
        made_up, self._made_up = max(0, total - self._made_up), total
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
        kind: as each chunk says.
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
        # Silence has a place only if a packet's sound begins in it.
        placed = chunk.kind in ("decoded", "concealed") or chunk.made_up < len(chunk.pcm)
        if chunk.timestamp is not None and placed:
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
            kind=np.array([chunk.kind for chunk in self.chunks], dtype="U16"),
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
