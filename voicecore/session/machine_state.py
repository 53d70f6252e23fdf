"""What the state machine knows, and the small steps that its two sides share."""

from __future__ import annotations

from dataclasses import dataclass

from voicecore.media.events import SpeechStarted
from voicecore.session import actions as act
from voicecore.session import events as ev
from voicecore.session.backchannel import Backchannels
from voicecore.session.config import SessionConfig

__all__ = ["MS", "MachineState", "Segment"]

MS = 1_000_000


@dataclass(slots=True)
class Segment:
    """One stretch of the caller's speech."""

    id: int
    started_ns: int
    voiced_ns: int = 0
    interim: str = ""
    text: str | None = None
    final_ns: int = 0
    failed: bool = False


class MachineState:
    """Fields, timers, and questions about the caller's turn."""

    def __init__(self, config: SessionConfig, *, native_gate: bool = True) -> None:
        self._config = config
        self._native_gate = native_gate
        self._backchannels = Backchannels(config.speaking.backchannels)
        self._out: list[act.Action] = []
        self._timers: set[ev.TimerName] = set()
        self.state: ev.State = "listening"
        self.closed = False
        self._begun = self._leaving = False
        self._failures = self._silences = 0
        # the caller's turn
        self._segments: list[Segment] = []
        self._open: Segment | None = None
        self._last_segment = 0
        self._digits = ""
        self._decided_ns: int | None = None
        self._complete_segment = 0
        self._probability: float | None = None
        self._talked_over: SpeechStarted | None = None
        # the agent's answer
        self._reply: int | None = None
        self._last_reply = 0
        self._reply_broken = self._ends_call = self._sounding = False
        self._farewell = False  # the answer is the agent's own goodbye
        self._audio_first: int | None = None
        self._audio_end: int | None = None
        self._played_to = 0
        self._paused_at: int | None = None

    @property
    def timers(self) -> frozenset[ev.TimerName]:
        """The timers that are running."""
        return frozenset(self._timers)

    @property
    def reply(self) -> int | None:
        """The answer that is alive, or None."""
        return self._reply

    # -- the caller's turn -----------------------------------------------------------------

    def _awaiting(self) -> bool:
        return any(s.text is None and s is not self._open for s in self._segments)

    def _text(self) -> str:
        return " ".join(s.text for s in self._segments if s.text)

    def _decide(self, now: int) -> None:
        if self._decided_ns is None:
            self._decided_ns = now

    def _forget_turn(self) -> None:
        """Nothing that the caller said is waiting for an answer any more."""
        self._segments = []
        self._decided_ns, self._complete_segment = None, 0
        self._probability = None
        for name in ("turn", "final", "confirm"):
            self._cancel_timer(name)

    def _wait_in_silence(self, now: int) -> None:
        wait_ms = self._config.listening.max_silence_ms
        if wait_ms and self._open is None and not self._digits:
            self._set_timer("silence", now + wait_ms * MS)

    def _leave(self, now: int) -> None:
        self._leaving = True
        for name in tuple(self._timers):
            self._cancel_timer(name)
        self._set_timer("hang_up", now + self._config.speaking.hang_up_delay_ms * MS)

    # -- asking for things -----------------------------------------------------------------

    def _set_timer(self, name: ev.TimerName, due_ns: int) -> None:
        self._timers.add(name)
        self._do(act.SetTimer(name, due_ns))

    def _cancel_timer(self, name: ev.TimerName) -> None:
        if name in self._timers:
            self._timers.discard(name)
            self._do(act.CancelTimer(name))

    def _do(self, action: act.Action) -> None:
        self._out.append(action)
