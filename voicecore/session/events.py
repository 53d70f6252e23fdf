"""What a session hears and what it tells.

Two groups, all immutable and past-tense. *Inputs* drive :class:`SessionMachine` beside the call's
own events (:mod:`voicecore.media.events`). *Reports* go to the session's observer, each with its
stamp (CLOCK_MONOTONIC ns); the call's own events are passed on to it unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicecore.media.events import CallEvent
from voicecore.session.records import ProviderFailure, TurnRecord

__all__ = [
    "AgentAudioFinished",
    "AgentAudioReady",
    "AgentSaid",
    "BargeInConfirmed",
    "BargeInDismissed",
    "CallerTranscribed",
    "ProviderFailed",
    "ReplyDelta",
    "ReplyFailed",
    "ReplyFinished",
    "SessionClosed",
    "SessionEvent",
    "SessionReport",
    "SessionStarted",
    "State",
    "StateChanged",
    "TimerFired",
    "TimerName",
    "TranscriptFailed",
    "TranscriptFinal",
    "TranscriptInterim",
    "TurnFinished",
    "TurnPredicted",
]

State = Literal["listening", "thinking", "speaking", "interrupted"]
TimerName = Literal["turn", "final", "reply", "confirm", "silence", "digits", "hang_up"]

# -- inputs of the machine -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The call is up: greet, or listen."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session was told to end."""


@dataclass(frozen=True, slots=True)
class TranscriptInterim:
    """Text so far of the segment that is being collected; may change."""

    text: str


@dataclass(frozen=True, slots=True)
class TranscriptFinal:
    """The text of one segment (``FinalizeTranscript.segment``); may be empty."""

    segment: int
    text: str
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """There will be no text for this segment."""

    segment: int


@dataclass(frozen=True, slots=True)
class TurnPredicted:
    """The detector's probability that the turn ended with this segment."""

    segment: int
    probability: float


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """The answer has more text."""

    reply: int


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The answer's text is complete."""

    reply: int
    ends_call: bool = False


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The language model or the TTS failed."""

    reply: int


@dataclass(frozen=True, slots=True)
class AgentAudioReady:
    """Audio of the answer is in the play queue; ``first_sample`` is where the answer begins."""

    reply: int
    first_sample: int


@dataclass(frozen=True, slots=True)
class AgentAudioFinished:
    """All audio of the answer is in the play queue, up to ``end_sample``."""

    reply: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set with ``SetTimer`` ran out."""

    name: TimerName


SessionEvent = (
    CallEvent
    | SessionStarted
    | SessionClosed
    | TranscriptInterim
    | TranscriptFinal
    | TranscriptFailed
    | TurnPredicted
    | ReplyDelta
    | ReplyFinished
    | ReplyFailed
    | AgentAudioReady
    | AgentAudioFinished
    | TimerFired
)

# -- reports to the observer ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Base of the reports.

    Attributes:
        stamp_ns: when it happened.
    """

    stamp_ns: int


@dataclass(frozen=True, slots=True)
class StateChanged(SessionReport):
    """The conversation went from one state to another."""

    previous: State
    state: State


@dataclass(frozen=True, slots=True)
class CallerTranscribed(SessionReport):
    """What the caller has said so far in this segment."""

    kind: Literal["interim", "final"]
    text: str


@dataclass(frozen=True, slots=True)
class AgentSaid(SessionReport):
    """The agent's answer has more text (it will be heard later, or never)."""

    reply: int
    delta: str


@dataclass(frozen=True, slots=True)
class BargeInConfirmed(SessionReport):
    """The caller took the floor; the agent was heard up to ``play_sample``."""

    play_sample: int


@dataclass(frozen=True, slots=True)
class BargeInDismissed(SessionReport):
    """The agent goes on at ``play_sample``.

    Attributes:
        play_sample: where the playout had been paused.
        reason: "backchannel", "empty" (no words) or "played_out" (nothing was left to say).
    """

    play_sample: int
    reason: Literal["backchannel", "empty", "played_out"]


@dataclass(frozen=True, slots=True)
class ProviderFailed(SessionReport):
    """A provider failed; the session went on."""

    failure: ProviderFailure


@dataclass(frozen=True, slots=True)
class TurnFinished(SessionReport):
    """A turn is over."""

    record: TurnRecord
