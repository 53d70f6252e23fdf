"""What :class:`SessionMachine` asks the driver to do. Done in order, none of them waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicecore.session.events import TimerName

__all__ = [
    "Action",
    "CancelReply",
    "CancelTimer",
    "DiscardTranscript",
    "FinalizeTranscript",
    "FinishTurn",
    "FlushPlayout",
    "HangUp",
    "PausePlayout",
    "PredictTurn",
    "ReportBargeIn",
    "ResumePlayout",
    "SetTimer",
    "Speak",
    "StartReply",
    "StartTranscript",
    "TruncateHistory",
]


@dataclass(frozen=True, slots=True)
class Action:
    """Base of all actions."""


@dataclass(frozen=True, slots=True)
class StartTranscript(Action):
    """Give the STT the audio from ``sample`` (less the pre-roll) on."""

    segment: int
    sample: int


@dataclass(frozen=True, slots=True)
class FinalizeTranscript(Action):
    """The segment is over: ask for its text."""

    segment: int


@dataclass(frozen=True, slots=True)
class DiscardTranscript(Action):
    """Nothing more is wanted of the segment: it was noise, or its text never came."""

    segment: int


@dataclass(frozen=True, slots=True)
class PredictTurn(Action):
    """Ask the detector whether the turn, from the first segment to this one, is complete."""

    segment: int
    first_segment: int


@dataclass(frozen=True, slots=True)
class StartReply(Action):
    """Begin an answer.

    Attributes:
        reply: its number.
        user_text: what the caller said; None when the agent speaks unasked.
        line: say this and do not ask the language model; None asks it.
        segment: the last segment that had text, 0 if there is none.
        decided_ns: when the turn was found complete, 0 if there was none.
        final_ns: when the last text came.
        probability: the detector's last word.
    """

    reply: int
    user_text: str | None = None
    line: str | None = None
    segment: int = 0
    decided_ns: int = 0
    final_ns: int = 0
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Speak(Action):
    """Stop what still works on this answer, and say ``text`` behind what is queued of it."""

    reply: int
    text: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class CancelReply(Action):
    """Stop the language model and the TTS of this answer."""

    reply: int


@dataclass(frozen=True, slots=True)
class PausePlayout(Action):
    """Stop the agent where it is."""


@dataclass(frozen=True, slots=True)
class ResumePlayout(Action):
    """Go on at the exact sample."""


@dataclass(frozen=True, slots=True)
class FlushPlayout(Action):
    """Throw away what is queued."""


@dataclass(frozen=True, slots=True)
class TruncateHistory(Action):
    """The answer counts only as far as it was heard: ``play_sample``, or None for "till now"."""

    reply: int
    play_sample: int | None


@dataclass(frozen=True, slots=True)
class FinishTurn(Action):
    """The answer is over. A withdrawn one leaves no trace: its turn goes on."""

    reply: int
    ended: Literal["finished", "interrupted", "failed", "withdrawn", "closed"]


@dataclass(frozen=True, slots=True)
class ReportBargeIn(Action):
    """How the barge-in ended; a reason means that it was dismissed."""

    play_sample: int | None
    reason: Literal["", "backchannel", "empty", "played_out"] = ""


@dataclass(frozen=True, slots=True)
class SetTimer(Action):
    """(Re)start the timer of this name; it fires at ``due_ns``."""

    name: TimerName
    due_ns: int


@dataclass(frozen=True, slots=True)
class CancelTimer(Action):
    """Stop the timer of this name."""

    name: TimerName


@dataclass(frozen=True, slots=True)
class HangUp(Action):
    """Close the call."""
