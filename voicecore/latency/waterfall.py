"""The waterfall of one turn: what the caller waited for, cut into hops that do not overlap.

The cut follows the critical path. A cursor walks from the end of the caller's speech to the first
audible sample of the answer; a hop takes the time from the cursor (or from its own first stamp, if
that is later) to its last stamp. Work that ran beside something slower gets only the time by which
it made the caller wait longer. What no hop explains is ``unattributed``: it is shown, never spread
over the others. In whole nanoseconds, hops + unattributed = mouth-to-ear, always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["HOP_NAMES", "UNATTRIBUTED", "Hop", "Row", "TurnStampsLike", "Waterfall"]

_NS_PER_MS = 1_000_000

UNATTRIBUTED = "unattributed"

# Name of the hop, the stamps that it may start at (the latest that happened counts), and its end.
_HOPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("endpointing", ("caller_end_ns",), "vad_stopped_ns"),
    ("turn detection", ("vad_stopped_ns",), "turn_decided_ns"),
    ("transcription", ("vad_stopped_ns", "turn_decided_ns"), "transcript_final_ns"),
    ("llm first token", ("reply_started_ns",), "first_token_ns"),
    ("first clause", ("first_token_ns",), "first_clause_ns"),
    ("tts first audio", ("first_clause_ns",), "first_audio_ns"),
    ("queueing", ("first_audio_ns",), "queued_ns"),
    ("playout", ("queued_ns",), "first_packet_ns"),
    ("lead-in", ("first_packet_ns",), "agent_onset_ns"),
)

HOP_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _HOPS)

_STAMPS: tuple[str, ...] = (
    "caller_end_ns",
    "vad_stopped_ns",
    "turn_decided_ns",
    "transcript_final_ns",
    "reply_started_ns",
    "first_token_ns",
    "first_clause_ns",
    "first_audio_ns",
    "queued_ns",
    "first_packet_ns",
    "agent_onset_ns",
)


class TurnStampsLike(Protocol):
    """The moments of one turn: CLOCK_MONOTONIC nanoseconds, 0 = did not happen."""

    @property
    def caller_end_ns(self) -> int:
        """The last audible sample of the caller."""

    @property
    def vad_stopped_ns(self) -> int:
        """The VAD reported the end of speech."""

    @property
    def turn_decided_ns(self) -> int:
        """The turn was found complete."""

    @property
    def transcript_final_ns(self) -> int:
        """The final transcript was there."""

    @property
    def reply_started_ns(self) -> int:
        """The language model was asked."""

    @property
    def first_token_ns(self) -> int:
        """Its first text came."""

    @property
    def first_clause_ns(self) -> int:
        """Enough text was there for speech to start."""

    @property
    def first_audio_ns(self) -> int:
        """The first audio was synthesised."""

    @property
    def queued_ns(self) -> int:
        """That audio was in the playout queue."""

    @property
    def first_packet_ns(self) -> int:
        """The packet with its first sample left."""

    @property
    def agent_onset_ns(self) -> int:
        """The first audible sample of the agent left."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One stage's share of the wait; never negative, never overlapping another hop."""

    name: str
    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds."""
        return self.end_ns - self.start_ns

    @property
    def duration_ms(self) -> float:
        """Length in milliseconds."""
        return self.duration_ns / _NS_PER_MS


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a printed waterfall; ``start_ms`` counts from the end of the caller's speech."""

    name: str
    start_ms: float
    duration_ms: float
    share: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All hops of a turn, in order of time.

    Attributes:
        start_ns: the end of the caller's speech (or the first stamp, if the agent opened).
        end_ns: the first audible sample of the answer (or the last stamp, if it never sounded).
        hops: in order, without overlap, none empty.
        complete: both ends were stamped, so that the total is mouth-to-ear.

    Example:
        >>> from types import SimpleNamespace
        >>> stamps = dict.fromkeys(_STAMPS, 0) | {
        ...     "caller_end_ns": 1_000_000, "vad_stopped_ns": 193_000_000,
        ...     "agent_onset_ns": 301_000_000}
        >>> waterfall = Waterfall.from_stamps(SimpleNamespace(**stamps))
        >>> waterfall.mouth_to_ear_ms, waterfall.hops[0].duration_ms, waterfall.unattributed_ms
        (300.0, 192.0, 108.0)
    """

    start_ns: int
    end_ns: int
    hops: tuple[Hop, ...]
    complete: bool

    @classmethod
    def from_stamps(cls, stamps: TurnStampsLike) -> Waterfall:
        """Cut a turn into hops. Missing or disordered stamps give fewer hops, never negative ones.

        A hop with no start stamp is left out, and its time is unattributed: better unexplained
        than blamed on the wrong stage. A final transcript that came after the answer had started
        was not waited for and is no hop. Stamps after the onset cannot have caused it.
        """
        at = {name: int(getattr(stamps, name)) for name in _STAMPS}
        happened = [value for value in at.values() if value > 0]
        start_ns = at["caller_end_ns"] or min(happened, default=0)
        end_ns = max(at["agent_onset_ns"] or max(happened, default=0), start_ns)
        if 0 < at["reply_started_ns"] < at["transcript_final_ns"]:
            at["transcript_final_ns"] = 0
        cursor_ns = start_ns
        hops = []
        for name, starts, end in _HOPS:
            begun_ns = max((at[stamp] for stamp in starts), default=0)
            first_ns, last_ns = max(cursor_ns, begun_ns), at[end]
            if begun_ns > 0 and first_ns < last_ns <= end_ns:
                hops.append(Hop(name, first_ns, last_ns))
                cursor_ns = last_ns
        complete = at["caller_end_ns"] > 0 and at["agent_onset_ns"] > at["caller_end_ns"]
        return cls(start_ns, end_ns, tuple(hops), complete)

    @property
    def mouth_to_ear_ns(self) -> int:
        """From the end of the caller's speech to the first audible sample, in nanoseconds."""
        return self.end_ns - self.start_ns

    @property
    def mouth_to_ear_ms(self) -> float:
        """From the end of the caller's speech to the first audible sample, in milliseconds."""
        return self.mouth_to_ear_ns / _NS_PER_MS

    @property
    def unattributed_ns(self) -> int:
        """What no hop explains, in nanoseconds; never negative."""
        return self.mouth_to_ear_ns - sum(hop.duration_ns for hop in self.hops)

    @property
    def unattributed_ms(self) -> float:
        """What no hop explains, in milliseconds."""
        return self.unattributed_ns / _NS_PER_MS

    def spans(self) -> Iterator[Hop]:
        """Hops and the unattributed time between them, in order, without a hole: for a drawing."""
        cursor_ns = self.start_ns
        for hop in self.hops:
            if hop.start_ns > cursor_ns:
                yield Hop(UNATTRIBUTED, cursor_ns, hop.start_ns)
            yield hop
            cursor_ns = hop.end_ns
        if self.end_ns > cursor_ns:
            yield Hop(UNATTRIBUTED, cursor_ns, self.end_ns)

    def rows(self) -> list[Row]:
        """One row a hop, and a last one for what is unattributed (there even if it is 0)."""
        total_ns = self.mouth_to_ear_ns or 1
        rows = [
            Row(
                hop.name,
                (hop.start_ns - self.start_ns) / _NS_PER_MS,
                hop.duration_ms,
                hop.duration_ns / total_ns,
            )
            for hop in self.hops
        ]
        holes = [span.start_ns for span in self.spans() if span.name == UNATTRIBUTED]
        start_ns = holes[0] if holes else self.end_ns
        rows.append(
            Row(
                UNATTRIBUTED,
                (start_ns - self.start_ns) / _NS_PER_MS,
                self.unattributed_ms,
                self.unattributed_ns / total_ns,
            )
        )
        return rows

    def to_json(self) -> dict[str, object]:
        """Plain values for ``json.dumps``; times in milliseconds, the origin in nanoseconds."""
        return {
            "start_ns": self.start_ns,
            "mouth_to_ear_ms": self.mouth_to_ear_ms,
            "unattributed_ms": self.unattributed_ms,
            "complete": self.complete,
            "hops": [
                {
                    "name": hop.name,
                    "start_ms": (hop.start_ns - self.start_ns) / _NS_PER_MS,
                    "duration_ms": hop.duration_ms,
                }
                for hop in self.hops
            ],
        }
