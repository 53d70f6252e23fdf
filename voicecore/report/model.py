"""The facts of one call, as plain data: what call.html and the terminal show.

Every time is in milliseconds since the origin of call.wav.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Literal

__all__ = [
    "CallReport",
    "CostLine",
    "CostTable",
    "Counters",
    "Hop",
    "Mark",
    "SpeechSegment",
    "TranscriptLine",
    "TurnLatency",
    "Who",
    "clock_text",
]

Who = Literal["caller", "agent"]


def clock_text(ms: float) -> str:
    """A moment of the call as minutes, seconds and tenths: 65000 is "1:05.0"."""
    minutes, tenths = divmod(round(max(ms, 0.0) / 100), 600)
    return f"{minutes}:{tenths / 10:04.1f}"


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A stretch of speech as a leg's VAD saw it.

    Attributes:
        who: whose voice.
        start_ms: first sample of the speech.
        end_ms: one past its last.
        seen_by: the leg whose VAD it was: "agent" hears the caller, "caller" hears the agent.
    """

    who: Who
    start_ms: float
    end_ms: float
    seen_by: Who


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a line in the picture.

    Attributes:
        kind: "barge-in", "playout", "drained", "flush", "resume", "dtmf", "underrun" or another
            short word; equal kinds look alike.
        who: the track that it belongs to.
        at_ms: when.
        label: one line for the pointer.
    """

    kind: str
    who: Who
    at_ms: float
    label: str


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """Something that was said.

    Attributes:
        who: who said it.
        start_ms: when it began.
        end_ms: when it ended.
        text: what was said and heard.
        unheard: words that were meant to follow and never sounded (after a barge-in).
        spoken: what was really said, where that is known and differs from what was understood.
    """

    who: Who
    start_ms: float
    end_ms: float
    text: str
    unheard: str = ""
    spoken: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One stage of a turn; hops follow each other without overlap.

    Attributes:
        name: the stage.
        length_ms: how long the caller waited for it.
        start_ms: when it began, counted from the start of the turn.
    """

    name: str
    length_ms: float
    start_ms: float


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The waterfall of one turn.

    Attributes:
        number: counted from 1.
        start_ms: when the caller's speech ended.
        caller_text: what the caller was understood to say.
        hops: the stages, in order, "unattributed" not among them.
        unattributed_ms: what no hop explains.
        measured_ms: the gap found in call.wav, on the caller's side; None if it shows none.
        note: why there is no gap, or another remark.
    """

    number: int
    start_ms: float
    caller_text: str
    hops: tuple[Hop, ...]
    unattributed_ms: float
    measured_ms: float | None = None
    note: str = ""

    @property
    def mouth_to_ear_ms(self) -> float:
        """All hops and what is unattributed."""
        return sum(hop.length_ms for hop in self.hops) + self.unattributed_ms


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of one leg, of the network or of the engine."""

    title: str
    values: dict[str, float | int]


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a bill."""

    item: str
    quantity: str
    unit_price: str
    usd: float


@dataclass(frozen=True, slots=True)
class CostTable:
    """A bill: what the call cost, or would have cost.

    Attributes:
        title: whose prices.
        lines: one an item.
        total_usd: their sum.
        per_minute_usd: that, for each minute of the call.
        note: where the prices are from.
    """

    title: str
    lines: tuple[CostLine, ...]
    total_usd: float
    per_minute_usd: float
    note: str = ""


@dataclass(slots=True)
class CallReport:
    """All facts of one call.

    Attributes:
        title: the heading.
        length_ms: length of call.wav.
        facts: (name, value) pairs for the head of the page: versions, voices, network, outcome.
    """

    title: str
    length_ms: float = 0.0
    facts: list[tuple[str, str]] = field(default_factory=list)
    segments: list[SpeechSegment] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    transcript: list[TranscriptLine] = field(default_factory=list)
    turns: list[TurnLatency] = field(default_factory=list)
    counters: list[Counters] = field(default_factory=list)
    costs: list[CostTable] = field(default_factory=list)

    @property
    def median_mouth_to_ear_ms(self) -> float | None:
        """The middle turn's mouth-to-ear; None without turns."""
        values = [turn.mouth_to_ear_ms for turn in self.turns]
        return median(values) if values else None

    @property
    def hop_names(self) -> list[str]:
        """Every hop that occurs, in the order of the turns."""
        return list(dict.fromkeys(hop.name for turn in self.turns for hop in turn.hops))
