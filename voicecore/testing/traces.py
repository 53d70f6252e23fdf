"""Packet traces: which packets a sender sends, and when, or whether, each of them arrives.

A trace is made of a sender and of effects, each with its own random numbers, drawn from the seed
and the effect's place in the list; so equal seeds give equal traces, and one effect's settings do
not shift another's draws. Only uniform numbers are drawn, the rest is computed from them here, and
arrivals are rounded to 1 us: a trace is the same on every machine.

    trace = compose("train", [stream(20), gamma_delay(30), gilbert_elliott(5, 60)], seed=1)
    print(trace.loss_percent, trace.transit_ms.max())

The named traces are in ``voicecore.testing.trace_catalogue``, the effects on the sender and on the
path in ``voicecore.testing.trace_effects``, files in ``trace_files`` and ``pcap``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError

__all__ = ["LOST", "Effect", "PacketTrace", "Sender", "Uniform", "compose", "stream"]

LOST = -1
_US = 1000
_COLUMNS: dict[str, type[np.generic]] = {
    "sequence": np.uint16,
    "timestamp": np.uint32,
    "ssrc": np.uint32,
    "payload_type": np.uint8,
    "marker": np.bool_,
    "position": np.int64,
    "samples": np.int32,
    "sent_ns": np.int64,
    "arrival_ns": np.int64,
}


@dataclass(frozen=True, eq=False)
class PacketTrace:
    """One RTP stream: a row for every packet sent, in sending order; all arrays are read-only.

    Attributes:
        name: what it is called.
        rate_hz: of the RTP timestamps, which is the sample rate.
        sequence, timestamp, ssrc, payload_type, marker: the RTP header.
        position: sample of the sender's signal that the packet starts with. It goes on where
            timestamps jump or another SSRC starts, so it tells where a packet's audio belongs.
        samples: samples in the packet; 0 for one without audio, as telephone events.
        sent_ns: when it was sent.
        arrival_ns: when it came, LOST (-1) if never. A duplicate is a row of its own.
        description: one line.
        stationary: whether the network is the same from start to end.
    """

    name: str
    rate_hz: int
    sequence: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    ssrc: NDArray[np.uint32]
    payload_type: NDArray[np.uint8]
    marker: NDArray[np.bool_]
    position: NDArray[np.int64]
    samples: NDArray[np.int32]
    sent_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    description: str = ""
    stationary: bool = True

    def __post_init__(self) -> None:
        if not 1000 <= self.rate_hz <= 192_000:
            raise ConfigError(f"rate_hz is {self.rate_hz}; an RTP clock has 1000 to 192000 Hz")
        rows = np.shape(self.sequence)
        for name, dtype in _COLUMNS.items():
            column = np.array(getattr(self, name), dtype=dtype)
            if column.ndim != 1 or column.shape != rows:
                raise ConfigError(f"{name} has shape {column.shape}; sequence has {rows}")
            column.setflags(write=False)
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.sequence)

    def replace(self, **changes: Any) -> PacketTrace:
        """The same trace with some attributes changed."""
        return dataclasses.replace(self, **changes)

    def rows(self, index: NDArray[Any]) -> PacketTrace:
        """Some of the rows, by number or by mask."""
        return self.replace(**{name: getattr(self, name)[index] for name in _COLUMNS})

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Rows that never arrive."""
        never: NDArray[np.bool_] = self.arrival_ns == LOST
        return never

    @property
    def arrival_order(self) -> NDArray[np.int64]:
        """Numbers of the rows that arrive, in order of arrival; ties in order of sending."""
        there = np.flatnonzero(~self.lost)
        return there[np.argsort(self.arrival_ns[there], kind="stable")]

    @property
    def audio(self) -> NDArray[np.bool_]:
        """Rows that carry audio."""
        some: NDArray[np.bool_] = self.samples > 0
        return some

    @property
    def transit_ms(self) -> NDArray[np.float64]:
        """Arrival minus sending, of each row that arrives, in order of sending."""
        there = ~self.lost
        return (self.arrival_ns[there] - self.sent_ns[there]) / 1e6

    @property
    def base_ns(self) -> int:
        """The shortest transit: what no buffer can help. 0 if nothing arrives."""
        there = ~self.lost
        return int((self.arrival_ns[there] - self.sent_ns[there]).min()) if there.any() else 0

    @property
    def loss_percent(self) -> float:
        """Share of the packets with audio of which no copy arrives."""
        sent = len(np.unique(self.position[self.audio]))
        came = len(np.unique(self.position[self.audio & ~self.lost]))
        return 100.0 * (1.0 - came / sent) if sent else 0.0

    @property
    def reordered(self) -> int:
        """Packets that come behind one that was sent later."""
        order = self.arrival_order
        return int(np.count_nonzero(order < np.maximum.accumulate(order))) if len(order) else 0

    @property
    def length_ns(self) -> int:
        """From time 0 to the end of the last packet's audio at the sender."""
        if not len(self):
            return 0
        end = int((self.position + self.samples).max())
        return end * 1_000_000_000 // self.rate_hz

    def digest(self) -> str:
        """SHA-256 of every column: equal digests, equal traces."""
        found = hashlib.sha256(f"{self.rate_hz}".encode())
        for name in _COLUMNS:
            found.update(getattr(self, name).tobytes())
        return found.hexdigest()


# Draws n numbers from 0 inclusive to 1 exclusive.
Uniform: TypeAlias = Callable[[int], NDArray[np.float64]]
Effect: TypeAlias = Callable[[PacketTrace, Uniform], PacketTrace]
Sender: TypeAlias = Callable[[Uniform], PacketTrace]


def stream(
    seconds: float,
    *,
    frame_ms: int = 20,
    rate_hz: int = 8000,
    base_ms: float = 20.0,
    payload_type: int = 0,
    sequence: int | None = None,
    timestamp: int | None = None,
) -> Sender:
    """A sender that sends a packet every ``frame_ms``; each arrives ``base_ms`` later.

    Args:
        seconds: length, up to an hour.
        frame_ms: audio in a packet, 5 to 120.
        rate_hz: sample rate and RTP clock.
        base_ms: transit time of every packet.
        payload_type: 0 to 127.
        sequence, timestamp: the first ones; random if not given.
    """
    _check("seconds", seconds, 0.0, 3600.0)
    _check("frame_ms", frame_ms, 5, 120)
    _check("base_ms", base_ms, 0.0, 10_000.0)
    _check("payload_type", payload_type, 0, 127)

    def make(uniform: Uniform) -> PacketTrace:
        step = rate_hz * frame_ms // 1000
        count = int(seconds * 1000) // frame_ms
        first, clock, source = uniform(3)
        number = np.arange(count, dtype=np.int64)
        start = int(first * 65536) if sequence is None else sequence
        origin = int(clock * 2**32) if timestamp is None else timestamp
        sent_ns = number * (frame_ms * 1_000_000)
        return PacketTrace(
            name="stream",
            rate_hz=rate_hz,
            sequence=((start + number) % 2**16).astype(np.uint16),
            timestamp=((origin + number * step) % 2**32).astype(np.uint32),
            ssrc=np.full(count, int(source * 2**32), np.uint32),
            payload_type=np.full(count, payload_type, np.uint8),
            marker=number == 0,
            position=number * step,
            samples=np.full(count, step, np.int32),
            sent_ns=sent_ns,
            arrival_ns=sent_ns + int(base_ms * 1e6),
        )

    return make


def compose(
    name: str,
    parts: Sequence[Sender | Effect],
    *,
    seed: int = 1,
    description: str = "",
    stationary: bool = True,
) -> PacketTrace:
    """A trace from a sender (first) and effects, applied in their order.

    The usual order: what the sender does, delays, duplication, loss. Equal arguments give equal
    traces, bit for bit.

    Raises:
        ConfigError: there is no sender, or the seed is negative.
    """
    if not parts:
        raise ConfigError(f"trace {name!r} has no parts; begin with stream(seconds)")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; use 0 or more")

    def source(place: int) -> Uniform:
        return np.random.Generator(
            np.random.PCG64([seed, place, zlib.crc32(name.encode("utf-8"))])
        ).random

    sender: Any = parts[0]
    trace: PacketTrace = sender(source(0))
    for place, effect in enumerate(parts[1:], 1):
        apply: Any = effect
        trace = apply(trace, source(place))
    arrival_ns = np.where(trace.lost, LOST, (trace.arrival_ns + _US // 2) // _US * _US)
    return trace.replace(
        name=name, arrival_ns=arrival_ns, description=description, stationary=stationary
    )


def _check(name: str, value: float, least: float, most: float) -> None:
    """Raise ConfigError unless ``least <= value <= most``."""
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}; it must be {least:g} to {most:g}")
