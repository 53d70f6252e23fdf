"""The agent's side of the state machine: one answer, from its start to its last sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from voicecore.media.events import MarkReached, PlayoutDrained, PlayoutStarted
from voicecore.session import actions as act
from voicecore.session import events as ev
from voicecore.session.machine_state import MS, MachineState

__all__ = ["AgentSide"]

_Ended = Literal["finished", "interrupted", "failed", "withdrawn", "closed"]


class AgentSide(MachineState, ABC):
    """Starts, watches and ends answers."""

    # -- what the caller's side does -------------------------------------------------------

    @abstractmethod
    def _interrupt(self, now: int, play_sample: int | None) -> None:
        """The caller spoke: judge it while the playout stands."""

    @abstractmethod
    def _listen_again(self, now: int) -> None:
        """The answer is over."""

    # -- the agent's answer ----------------------------------------------------------------

    def _start_reply(
        self, now: int, *, user_text: str | None = None, line: str | None = None, last: bool = False
    ) -> None:
        for name in ("turn", "final", "silence"):
            self._cancel_timer(name)
        self._last_reply += 1
        self._reply = self._last_reply
        self._reply_broken = self._sounding = False
        self._ends_call = self._farewell = last
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
        self._set_timer("reply", now + self._config.thinking.reply_timeout_ms * MS)

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

    def _end_reply(self, ended: _Ended) -> None:
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
            if self._farewell or self._failures >= self._config.thinking.max_failures:
                self._leave(now)
            else:
                self._listen_again(now)
            return
        self._reply_broken = True
        self._audio_end = None
        self._do(act.Speak(self._reply, self._failure_line(), timed_out))
        self._expect_progress(now)

    def _failure_line(self) -> str:
        """What to say about one more failure; the last one ends the call."""
        self._failures += 1
        too_many = self._failures >= self._config.thinking.max_failures
        self._ends_call = self._farewell or too_many
        speaking = self._config.speaking
        return speaking.farewell if self._ends_call else speaking.apology

    def _apologize(self, now: int) -> None:
        self._farewell = False
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
        self._listen_again(now)

    # -- the end of a barge-in -------------------------------------------------------------

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
