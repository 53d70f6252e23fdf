"""What the laboratory plays: speech, coded and put into the packets of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.media._codec import Encoder
from voicecore.media._rtp import RtpPacket
from voicecore.testing.traces import PacketTrace

__all__ = ["CODECS", "LabPacket", "Load"]

_MOST_S = 3600
CODECS = ("pcmu", "pcma", "l16")  # RTP clock and sample rate are the same


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
        if length > _MOST_S * trace.rate_hz:
            raise ConfigError(
                f"trace {trace.name!r} lasts {length / trace.rate_hz:.0f} s; cut it to {_MOST_S}"
            )
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
            payload = payloads[start] if count else b""
            packet = RtpPacket(
                payload,
                payload_type=int(trace.payload_type[row]),
                sequence=int(trace.sequence[row]),
                timestamp=int(trace.timestamp[row]),
                ssrc=int(trace.ssrc[row]),
                marker=bool(trace.marker[row]),
            )
            made.append(
                LabPacket(
                    row,
                    start,
                    count,
                    packet.sequence,
                    packet.timestamp,
                    packet.ssrc,
                    payload,
                    bytes(packet),
                )
            )
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
        for start, end in pairwise(edges):
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
