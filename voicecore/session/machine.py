"""The conversation as a pure state machine: ``step(event, now_ns) -> actions``.

No asyncio, no clock, no audio. Four states: *listening* (nobody speaks, or the caller does, or the
turn is being judged), *thinking* (an answer is on its way, nothing of it was heard), *speaking*,
*interrupted* (the playout is paused, the caller's speech is being judged).

A caller's turn is made of segments: one a stretch of speech. A segment is finalized and judged at
once when its speech stops; more speech adds a segment. Events that belong to something that is
over (an old answer, a stopped timer) are ignored, so any order of events is safe.

Limits: one caller, one answer at a time; in half duplex a caller who speaks into the agent's end
is taken from the start of that speech.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from voicecore.media.events import (
    BargedIn,
    CallClosed,
    DtmfReceived,
    EventsLost,
    MarkReached,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.session import actions as act
from voicecore.session import events as ev
from voicecore.session.backchannel import Backchannels
from voicecore.session.config import SessionConfig

__all__ = ["SessionMachine"]

_MS = 1_000_000


@dataclass(slots=True)
class _Segment:
    """One stretch of the caller's speech."""

    id: int
    started_ns: int
    voiced_ns: int = 0
    interim: str = ""
    text: str | None = None
    final_ns: int = 0
    failed: bool = False


class SessionMachine:
    """Decides; never acts.

    Args:
        config: the settings.
        native_gate: whether the call pauses the playout by itself when the caller speaks
            (``CallConfig.barge_in``); if not, the machine asks for it.

    Example:
        >>> machine = SessionMachine(SessionConfig())
        >>> [type(a).__name__ for a in machine.step(ev.SessionStarted(), 0)]
        ['StartReply', 'SetTimer']
    """

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
        self._segments: list[_Segment] = []
        self._open: _Segment | None = None
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
        self._audio_first: int | None = None
        self._audio_end: int | None = None
        self._played_to = 0
        self._paused_at: int | None = None
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            ev.SessionStarted: self._session_started,
            ev.SessionClosed: self._call_closed,
            CallClosed: self._call_closed,
            SpeechStarted: self._speech_started,
            SpeechStopped: self._speech_stopped,
            BargedIn: self._barged_in,
            PlayoutStarted: self._playout_started,
            PlayoutDrained: self._playout_drained,
            MarkReached: self._mark_reached,
            DtmfReceived: self._dtmf_received,
            EventsLost: self._events_lost,
            ev.TranscriptInterim: self._transcript_interim,
            ev.TranscriptFinal: self._transcript_final,
            ev.TranscriptFailed: self._transcript_failed,
            ev.TurnPredicted: self._turn_predicted,
            ev.ReplyDelta: self._reply_delta,
            ev.ReplyFinished: self._reply_finished,
            ev.ReplyFailed: self._reply_failed,
            ev.AgentAudioReady: self._audio_ready,
            ev.AgentAudioFinished: self._audio_finished,
            ev.TimerFired: self._timer_fired,
        }

    @property
    def timers(self) -> frozenset[ev.TimerName]:
        """The timers that are running."""
        return frozenset(self._timers)

    @property
    def reply(self) -> int | None:
        """The answer that is alive, or None."""
        return self._reply

    def step(self, event: ev.SessionEvent, now_ns: int) -> list[act.Action]:
        """Take one event at ``now_ns``; returns what to do, in order. Never raises."""
        if self.closed:
            return []
        self._out = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, now_ns)
        return self._out

    # -- the call begins and ends ----------------------------------------------------------

    def _session_started(self, _event: ev.SessionStarted, now: int) -> None:
        speaking = self._config.speaking
        if self._begun:
            return
        self._begun = True
        if speaking.agent_first and not self._segments:
            self._start_reply(now, line=speaking.greeting or None)
        else:
            self._wait_in_silence(now)

    def _call_closed(self, _event: object, _now: int) -> None:
        self._drop_reply("closed", flush=False)
        for name in tuple(self._timers):
            self._cancel_timer(name)
        self._segments, self._open = [], None
        self.state = "listening"
        self.closed = True

    def _leave(self, now: int) -> None:
        self._leaving = True
        for name in tuple(self._timers):
            self._cancel_timer(name)
        self._set_timer("hang_up", now + self._config.speaking.hang_up_delay_ms * _MS)

    def _events_lost(self, _event: EventsLost, now: int) -> None:
        # The end of the speech, or a pause, may be among the lost: wait for neither.
        if self.state == "speaking":
            self._do(act.ResumePlayout())
        if self._open is not None:
            self._close_segment(now, now)

    # -- the caller ------------------------------------------------------------------------

    def _speech_started(self, event: SpeechStarted, now: int) -> None:
        if self._leaving or self._open is not None:
            return
        if self.state == "speaking" and self._config.speaking.half_duplex:
            self._talked_over = event
            return
        if self.state == "thinking":
            self._withdraw()
        self._open_segment(event.sample, event.audio_ns)
        if self.state == "speaking" and not (self._native_gate and self._sounding):
            self._do(act.PausePlayout())
            self._interrupt(now, None)
        elif self.state == "interrupted":
            self._set_confirm_timer(now)

    def _barged_in(self, event: BargedIn, now: int) -> None:
        if self.state == "speaking" and self._config.speaking.half_duplex:
            self._do(act.ResumePlayout())
            return
        if self.state == "thinking":
            self._withdraw()
            self._do(act.FlushPlayout())
        elif self.state == "listening":
            self._do(act.FlushPlayout())  # the gate waits for an answer; nothing is left to say
        if self._leaving:
            return
        if self._open is None:
            self._open_segment(event.sample, event.audio_ns)
        if self.state == "speaking":
            self._interrupt(now, event.play_sample)
            self._played_to = max(self._played_to, event.play_sample)
            self._finish_if_played(now)
        elif self.state == "interrupted":
            self._paused_at = event.play_sample

    def _speech_stopped(self, event: SpeechStopped, now: int) -> None:
        self._talked_over = None
        if self._open is not None:
            self._close_segment(event.audio_ns, now)

    def _open_segment(self, sample: int, started_ns: int) -> None:
        self._cancel_timer("turn")
        self._cancel_timer("silence")
        self._last_segment += 1
        self._open = _Segment(self._last_segment, started_ns)
        self._segments.append(self._open)
        self._decided_ns = None
        self._do(act.StartTranscript(self._last_segment, sample))

    def _close_segment(self, stopped_ns: int, now: int) -> None:
        segment = self._open
        assert segment is not None
        self._open = None
        segment.voiced_ns = max(0, stopped_ns - segment.started_ns)
        self._cancel_timer("confirm")
        if self.state == "speaking":  # too short for the gate: a cough
            self._segments.remove(segment)
            self._do(act.DiscardTranscript(segment.id))
            return
        self._probability = None
        self._do(act.FinalizeTranscript(segment.id))
        self._do(act.PredictTurn(segment.id, self._segments[0].id))
        listening = self._config.listening
        self._set_timer("turn", max(now, stopped_ns + listening.turn_wait_ms * _MS))
        self._set_timer("final", now + listening.final_timeout_ms * _MS)
        if segment.failed:
            self._settle(segment.id, "", now, now, failed=True)

    def _transcript_interim(self, event: ev.TranscriptInterim, now: int) -> None:
        if self._open is not None:
            self._open.interim = event.text
        elif self._segments and self._segments[-1].text is None:
            self._segments[-1].interim = event.text
        if self.state == "interrupted":
            self._judge(now)

    def _transcript_final(self, event: ev.TranscriptFinal, now: int) -> None:
        self._settle(event.segment, event.text.strip(), event.stamp_ns, now)

    def _transcript_failed(self, event: ev.TranscriptFailed, now: int) -> None:
        if self._open is not None and self._open.id == event.segment:
            self._open.failed = True  # let the caller finish before saying so
            return
        self._settle(event.segment, "", now, now, failed=True)

    def _settle(
        self, id_: int, text: str, stamp_ns: int, now: int, *, failed: bool = False
    ) -> None:
        """A segment's text is known, or will never be."""
        segment = next((s for s in self._segments if s.id == id_ and s.text is None), None)
        if segment is None or segment is self._open:
            return
        segment.text, segment.final_ns = text, stamp_ns
        if not self._awaiting():
            self._cancel_timer("final")
        if self.state == "interrupted":
            self._judge(now)
        elif self.state == "listening":
            if failed and self._open is None and not self._awaiting() and not self._text():
                self._forget_turn()
                self._apologize(now)
            else:
                self._reply_if_complete(now)
        else:
            self._segments.remove(segment)

    def _turn_predicted(self, event: ev.TurnPredicted, now: int) -> None:
        if event.segment != self._last_segment or self._open is not None or not self._segments:
            return
        self._probability = event.probability
        if event.probability >= self._config.listening.turn_threshold:
            self._decide(now)
            self._cancel_timer("turn")
            self._reply_if_complete(now)

    def _dtmf_received(self, event: DtmfReceived, now: int) -> None:
        if self._leaving or (event.digit == "#" and not self._digits):
            return
        if self.state == "thinking":
            self._withdraw()
        elif self.state in ("speaking", "interrupted"):
            self._confirm()
        self._cancel_timer("silence")
        if event.digit != "#":
            self._digits += event.digit
            self._set_timer("digits", now + self._config.listening.digits_wait_ms * _MS)
        else:
            self._digits_complete(now)

    def _digits_complete(self, now: int) -> None:
        self._cancel_timer("digits")
        self._last_segment += 1
        text = " ".join(self._digits)
        self._digits = ""
        self._segments.append(_Segment(self._last_segment, now, text=text, final_ns=now))
        self._decided_ns = now
        self._reply_if_complete(now)

    # -- is the turn over? -----------------------------------------------------------------

    def _awaiting(self) -> bool:
        return any(s.text is None and s is not self._open for s in self._segments)

    def _text(self) -> str:
        return " ".join(s.text for s in self._segments if s.text)

    def _reply_if_complete(self, now: int) -> None:
        if self.state != "listening" or self._leaving or self._open is not None:
            return
        if self._digits or self._awaiting():
            return
        self._segments = [s for s in self._segments if s.text]
        if not self._segments:
            self._forget_turn()
            self._wait_in_silence(now)
            return
        if self._segments[-1].id == self._complete_segment:
            self._decide(now)  # only noise came since it was found complete
        if self._decided_ns is not None:
            self._silences = 0
            self._start_reply(now, user_text=self._text())

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
            self._set_timer("silence", now + wait_ms * _MS)

    # -- barge-in --------------------------------------------------------------------------

    def _interrupt(self, now: int, play_sample: int | None) -> None:
        self.state = "interrupted"
        self._sounding = False
        self._paused_at = play_sample
        self._set_confirm_timer(now)
        self._judge(now)

    def _set_confirm_timer(self, now: int) -> None:
        voiced = sum(s.voiced_ns for s in self._segments if s is not self._open)
        started = self._open.started_ns if self._open is not None else now
        due = started + self._config.speaking.confirm_ms * _MS - voiced
        self._set_timer("confirm", max(now, due))

    def _judge(self, now: int) -> None:
        """Interrupted: do the words so far settle it?"""
        speaking = self._config.speaking
        texts = [s.text if s.text is not None else s.interim for s in self._segments]
        words = sum(self._backchannels.other_words(t) for t in texts)
        if words >= speaking.confirm_words:
            self._confirm()
            self._reply_if_complete(now)
            return
        if self._open is not None or self._awaiting():
            return
        voiced_ns = sum(s.voiced_ns for s in self._segments)
        if any(texts) and not words and voiced_ns >= speaking.backchannel_max_ms * _MS:
            self._confirm()
            self._reply_if_complete(now)
            return
        self._dismiss("backchannel" if any(texts) else "empty")
        self._forget_turn()
        self._finish_if_played(now)

    def _confirm(self) -> None:
        self._cancel_timer("confirm")
        if self.state == "interrupted":
            self._do(act.ReportBargeIn(self._paused_at))
        self._drop_reply("interrupted", flush=True)

    def _dismiss(self, reason: Literal["backchannel", "empty", "played_out"]) -> None:
        self._cancel_timer("confirm")
        self._do(act.ReportBargeIn(self._paused_at, reason))
        self._do(act.ResumePlayout())
        self._paused_at = None
        self.state = "speaking"

    # -- the agent's answer ----------------------------------------------------------------

    def _start_reply(
        self, now: int, *, user_text: str | None = None, line: str | None = None, last: bool = False
    ) -> None:
        for name in ("turn", "final", "silence"):
            self._cancel_timer(name)
        self._last_reply += 1
        self._reply = self._last_reply
        self._reply_broken = self._sounding = False
        self._ends_call = last
        self._audio_first = self._audio_end = self._paused_at = None
        self._complete_segment = self._segments[-1].id if self._segments else 0
        final_ns = max((s.final_ns for s in self._segments), default=0)
        self.state = "thinking"
        self._do(
            act.StartReply(
                self._last_reply,
                user_text,
                line,
                self._complete_segment,
                self._decided_ns or 0,
                final_ns,
                self._probability,
            )
        )
        self._expect_progress(now)

    def _expect_progress(self, now: int) -> None:
        self._set_timer("reply", now + self._config.thinking.reply_timeout_ms * _MS)

    def _withdraw(self) -> None:
        """The caller goes on before hearing an answer: the turn was not over."""
        self._drop_reply("withdrawn", flush=self._audio_first is not None)

    def _drop_reply(
        self, ended: Literal["interrupted", "failed", "withdrawn", "closed"], *, flush: bool
    ) -> None:
        if self._reply is None:
            return
        if ended != "withdrawn":
            self._do(act.TruncateHistory(self._reply, self._paused_at))
        if flush:
            self._do(act.FlushPlayout())
        self._do(act.CancelReply(self._reply))
        self._end_reply(ended)

    def _end_reply(
        self, ended: Literal["finished", "interrupted", "failed", "withdrawn", "closed"]
    ) -> None:
        assert self._reply is not None
        self._cancel_timer("reply")
        self._cancel_timer("confirm")
        self._do(act.FinishTurn(self._reply, ended))
        self._reply = self._paused_at = None
        self._sounding = False
        self.state = "listening"

    def _reply_delta(self, event: ev.ReplyDelta, now: int) -> None:
        if event.reply == self._reply and self._audio_end is None:
            self._expect_progress(now)

    def _reply_finished(self, event: ev.ReplyFinished, _now: int) -> None:
        if event.reply == self._reply:
            self._ends_call = self._ends_call or event.ends_call

    def _audio_ready(self, event: ev.AgentAudioReady, now: int) -> None:
        if event.reply == self._reply and self._audio_end is None:
            if self._audio_first is None:
                self._audio_first = event.first_sample
            self._expect_progress(now)

    def _audio_finished(self, event: ev.AgentAudioFinished, now: int) -> None:
        if event.reply == self._reply:
            self._cancel_timer("reply")
            self._audio_end = event.end_sample
            self._finish_if_played(now)

    def _reply_failed(self, event: ev.ReplyFailed, now: int) -> None:
        if event.reply == self._reply:
            self._reply_broke(now, timed_out=False)

    def _reply_broke(self, now: int, *, timed_out: bool) -> None:
        assert self._reply is not None
        if self._reply_broken:  # the apology failed as well: no voice is left
            if self.state == "thinking":
                self._forget_turn()
            self._drop_reply("failed", flush=self._audio_first is not None)
            if self._failures >= self._config.thinking.max_failures:
                self._leave(now)
            else:
                self._after_reply(now)
            return
        self._reply_broken = True
        self._audio_end = None
        self._do(act.Speak(self._reply, self._failure_line(), timed_out))
        self._expect_progress(now)

    def _failure_line(self) -> str:
        """What to say about one more failure; the last one ends the call."""
        self._failures += 1
        self._ends_call = self._failures >= self._config.thinking.max_failures
        speaking = self._config.speaking
        return speaking.farewell if self._ends_call else speaking.apology

    def _apologize(self, now: int) -> None:
        line = self._failure_line()
        self._start_reply(now, line=line, last=self._ends_call)
        self._reply_broken = True

    def _playout_started(self, event: PlayoutStarted, _now: int) -> None:
        if self._audio_first is None or event.play_sample < self._audio_first:
            return  # the rest of an answer that is over
        if self.state == "thinking":
            self.state = "speaking"
            self._forget_turn()
        self._sounding = self.state == "speaking"

    def _playout_drained(self, event: PlayoutDrained, now: int) -> None:
        self._sounding = False
        self._played_to = max(self._played_to, event.play_sample)
        self._finish_if_played(now)
        if self._reply is not None and "reply" in self._timers:
            self._expect_progress(now)
        # The gate listens only while audio plays: a caller who spoke into its end is ours.
        if self.state == "speaking" and self._open is not None:
            self._do(act.PausePlayout())
            self._interrupt(now, event.play_sample)

    def _mark_reached(self, event: MarkReached, now: int) -> None:
        if not event.flushed and event.mark_id == self._reply:
            self._played_to = max(self._played_to, event.play_sample)
            self._finish_if_played(now)

    def _finish_if_played(self, now: int) -> None:
        if self._reply is None or self._audio_end is None:
            return
        if self._audio_first is not None and self._played_to < self._audio_end:
            return
        if self.state == "interrupted":  # nothing was left to interrupt
            self._dismiss("played_out")
        elif self.state == "thinking":
            self._forget_turn()
        if not self._reply_broken:
            self._failures = 0
        self._end_reply("finished")
        self._after_reply(now)

    def _after_reply(self, now: int) -> None:
        """Listening again. The caller may be speaking, or have spoken, already."""
        over, self._talked_over = self._talked_over, None
        if self._ends_call and not self._segments:
            self._leave(now)
        elif over is not None and self._open is None:
            self._open_segment(over.sample, over.audio_ns)
        else:
            self._reply_if_complete(now)

    # -- timers ----------------------------------------------------------------------------

    def _timer_fired(self, event: ev.TimerFired, now: int) -> None:
        if event.name not in self._timers:
            return
        self._timers.discard(event.name)
        if event.name == "turn":
            self._decide(now)
            self._reply_if_complete(now)
        elif event.name == "final":
            for segment in [s for s in self._segments if s.text is None and s is not self._open]:
                self._settle(segment.id, "", now, now, failed=True)
        elif event.name == "reply" and self._reply is not None:
            if self._sounding or self.state == "interrupted":
                self._expect_progress(now)  # the caller hears, or is heard: nothing is late yet
            else:
                self._reply_broke(now, timed_out=True)
        elif event.name == "confirm" and self.state == "interrupted":
            self._confirm()
            self._reply_if_complete(now)
        elif event.name == "digits":
            self._digits_complete(now)
        elif event.name == "silence":
            self._silence_lasted(now)
        elif event.name == "hang_up":
            self._do(act.HangUp())

    def _silence_lasted(self, now: int) -> None:
        if self.state != "listening" or self._segments:
            return
        self._silences += 1
        last = self._silences > self._config.listening.max_silence_lines
        speaking = self._config.speaking
        line = speaking.farewell if last else speaking.silence_line
        self._start_reply(now, line=line, last=last)

    def _set_timer(self, name: ev.TimerName, due_ns: int) -> None:
        self._timers.add(name)
        self._do(act.SetTimer(name, due_ns))

    def _cancel_timer(self, name: ev.TimerName) -> None:
        if name in self._timers:
            self._timers.discard(name)
            self._do(act.CancelTimer(name))

    def _do(self, action: act.Action) -> None:
        self._out.append(action)
