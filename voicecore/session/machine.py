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
from typing import Any

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
from voicecore.session.agent_side import AgentSide
from voicecore.session.config import SessionConfig
from voicecore.session.machine_state import MS, Segment

__all__ = ["SessionMachine"]


class SessionMachine(AgentSide):
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
        super().__init__(config, native_gate=native_gate)
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
        self._open = Segment(self._last_segment, started_ns)
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
        self._set_timer("turn", max(now, stopped_ns + listening.turn_wait_ms * MS))
        self._set_timer("final", now + listening.final_timeout_ms * MS)
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
            self._set_timer("digits", now + self._config.listening.digits_wait_ms * MS)
        else:
            self._digits_complete(now)

    def _digits_complete(self, now: int) -> None:
        self._cancel_timer("digits")
        self._last_segment += 1
        text = " ".join(self._digits)
        self._digits = ""
        self._segments.append(Segment(self._last_segment, now, text=text, final_ns=now))
        self._decided_ns = now
        self._reply_if_complete(now)

    # -- is the turn over? -----------------------------------------------------------------

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

    def _listen_again(self, now: int) -> None:
        """Listening again. The caller may be speaking, or have spoken, already."""
        over, self._talked_over = self._talked_over, None
        if self._ends_call and not self._segments:
            self._leave(now)
        elif over is not None and self._open is None:
            self._open_segment(over.sample, over.audio_ns)
        else:
            self._reply_if_complete(now)

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
        due = started + self._config.speaking.confirm_ms * MS - voiced
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
        if any(texts) and not words and voiced_ns >= speaking.backchannel_max_ms * MS:
            self._confirm()
            self._reply_if_complete(now)
            return
        self._dismiss("backchannel" if any(texts) else "empty")
        self._forget_turn()
        self._finish_if_played(now)

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
                self._do(act.DiscardTranscript(segment.id))
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
