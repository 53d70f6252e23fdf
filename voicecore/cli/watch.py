"""From the events of a running call to the lines on the terminal."""

from __future__ import annotations

from voicecore.cli.show import LiveView
from voicecore.media.events import BargedIn, CallEvent, PlayoutDrained
from voicecore.report.model import TranscriptLine
from voicecore.session.events import (
    AgentSaid,
    BargeInConfirmed,
    BargeInDismissed,
    CallerTranscribed,
    ProviderFailed,
    SessionReport,
    StateChanged,
    TurnFinished,
)

__all__ = ["LiveWatcher"]


class LiveWatcher:
    """Feeds a LiveView; times count from the first event.

    A turn is printed when it is over; what happened during it follows it.
    """

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._first_ns = 0
        self._reply = 0
        self._reply_text = ""
        self._notes: list[tuple[float, str, str]] = []

    def _note(self, stamp_ns: int, text: str, style: str = "dim") -> None:
        self._notes.append((self._ms(stamp_ns), text, style))

    def _ms(self, stamp_ns: int) -> float:
        return (stamp_ns - self._first_ns) / 1e6

    def take(self, source: str, event: object) -> None:
        """Take an event of the call."""
        if isinstance(event, (CallEvent, SessionReport)) and self._first_ns == 0:
            self._first_ns = event.stamp_ns
        if source == "caller-leg":
            return
        if isinstance(event, StateChanged):
            self._view.state(event.state)
        elif isinstance(event, CallerTranscribed):
            self._view.hint("caller", event.text)
        elif isinstance(event, AgentSaid):
            if event.reply != self._reply:
                self._reply, self._reply_text = event.reply, ""
            self._reply_text += event.delta
            self._view.hint("agent", self._reply_text)
        elif isinstance(event, BargedIn):
            self._note(event.stamp_ns, "the caller speaks over the agent: paused natively")
        elif isinstance(event, BargeInConfirmed):
            self._note(event.stamp_ns, "barge-in confirmed: the rest is dropped")
        elif isinstance(event, BargeInDismissed):
            self._note(event.stamp_ns, f"false alarm ({event.reason}): the agent goes on")
        elif isinstance(event, PlayoutDrained) and event.underrun:
            self._note(event.stamp_ns, "the agent's audio ran dry", "yellow")
        elif isinstance(event, ProviderFailed):
            failure = event.failure
            text = f"{failure.stage} {failure.provider} failed: {failure.message}"
            self._note(event.stamp_ns, text, "red")
        elif isinstance(event, TurnFinished):
            self._turn(event)
            for at_ms, text, style in self._notes:
                self._view.note(at_ms, text, style)
            self._notes.clear()

    def _turn(self, event: TurnFinished) -> None:
        record = event.record
        stamps = record.stamps
        if record.caller_text:
            at_ms = self._ms(stamps.caller_end_ns or event.stamp_ns)
            self._view.said(TranscriptLine("caller", at_ms, at_ms, record.caller_text))
        if record.agent_text:
            at_ms = self._ms(stamps.first_packet_ns or event.stamp_ns)
            meant, heard = record.agent_text.split(), record.heard_text.split()
            unheard = " ".join(meant[len(heard) :]) if record.interrupted else ""
            waited = record.stamps.mouth_to_ear_ms
            note = f"after {waited:.0f} ms" if waited is not None and record.heard_text else ""
            line = TranscriptLine("agent", at_ms, at_ms, record.heard_text, unheard=unheard)
            self._view.said(line, note)
