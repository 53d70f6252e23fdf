"""The session: moves events to the state machine, and does what it asks for.

One call, one loop, no threads. Every event goes through ``SessionMachine.step`` at once, so there
is no queue here that could grow. A provider that fails is reported and recorded; the agent says a
line instead, and the call goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from voicecore.errors import ClosedError, ConfigError, RateError, StateError
from voicecore.media.events import (
    CallEvent,
    EventsLost,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStopped,
)
from voicecore.providers.base import (
    Llm,
    LlmUsage,
    Message,
    Stt,
    SttEvent,
    SttUsage,
    Tts,
    TtsUsage,
    TurnDetector,
)
from voicecore.session import actions as act
from voicecore.session import events as ev
from voicecore.session.call import SessionCall
from voicecore.session.config import SessionConfig
from voicecore.session.ears import Ears
from voicecore.session.history import History
from voicecore.session.machine import SessionMachine
from voicecore.session.owner import LoopScheduler, Scheduler, TaskOwner, TimerHandle, for_the_log
from voicecore.session.records import ProviderFailure, TurnRecord
from voicecore.session.reply import Reply
from voicecore.session.turnbook import TurnBook

__all__ = ["Observer", "Session"]

_log = logging.getLogger("voicecore.session")

Observer = Callable[["ev.SessionReport | CallEvent"], None]

_CLOSING_S = 5.0  # providers get this long to end their streams


class Session:
    """One conversation on one call.

    Args:
        call: an open call; its ``play_hz`` must be the TTS's rate.
        stt: speech to text.
        llm: makes the answers.
        tts: speaks them.
        turn: end-of-turn detector; None ends turns by silence alone.
        config: settings.
        observer: called on the loop with every report and every event of the call; keep it short.
        scheduler: time, for tests; None uses the loop and CLOCK_MONOTONIC.

    Raises:
        RateError: the TTS speaks at another rate than the call plays.
        ConfigError: the call's barge-in gate is quicker than its report of speech, or ``config`` is
            no SessionConfig.

    Example::

        async with voicecore.Engine() as engine:
            call = await engine.open_call(CallConfig(play_hz=tts.rate_hz))
            session = Session(call, stt=stt, llm=llm, tts=tts, turn=detector)
            await session.run()                     # until somebody hangs up
        print(session.history, session.turns[-1].stamps.mouth_to_ear_ms)
    """

    def __init__(
        self,
        call: SessionCall,
        *,
        stt: Stt,
        llm: Llm,
        tts: Tts,
        turn: TurnDetector | None = None,
        config: SessionConfig | None = None,
        observer: Observer | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        if tts.rate_hz != call.play_hz:
            raise RateError(
                f"{tts.name} speaks at {tts.rate_hz} Hz and the call plays {call.play_hz} Hz;"
                f" open the call with CallConfig(play_hz={tts.rate_hz})"
            )
        self.config = SessionConfig() if config is None else config
        if not isinstance(self.config, SessionConfig):
            raise ConfigError(f"config is a {type(config).__name__}; give a SessionConfig")
        self._call = call
        self._stt, self._llm, self._tts, self._turn = stt, llm, tts, turn
        self._observer = observer
        self._observer_failed = False
        self._given_scheduler = scheduler
        self._machine = SessionMachine(self.config, native_gate=call.config.gate_pauses)
        self._inbox: deque[ev.SessionEvent] = deque()
        self._stepping = False
        self._timers: dict[str, TimerHandle] = {}
        self._history = History(self.config.thinking.system_prompt)
        self._book = TurnBook()
        self._replies: dict[int, Reply] = {}
        self._last_stop: SpeechStopped | None = None
        self._stops: dict[int, tuple[int, SpeechStopped]] = {}  # by segment, with the turn's first
        self._ran = False
        self._over: asyncio.Event | None = None

    # -- what is to be seen ----------------------------------------------------------------

    @property
    def state(self) -> ev.State:
        """Listening, thinking, speaking or interrupted."""
        return self._machine.state

    @property
    def history(self) -> list[Message]:
        """The conversation as the caller heard it, the turn being answered included."""
        return self._history.messages()

    @property
    def turns(self) -> list[TurnRecord]:
        """Finished turns, oldest first."""
        return list(self._book.turns)

    @property
    def failures(self) -> list[ProviderFailure]:
        """Every failure of a provider, oldest first."""
        return list(self._book.failures)

    @property
    def usage(self) -> tuple[SttUsage, LlmUsage, TtsUsage]:
        """All that the call used, finished turns and the rest together; valid after ``run`` too."""
        llm, tts = self._book.usage
        return self._ears.usage if self._ran else SttUsage(), llm, tts

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold the conversation until the call is closed; no task is left behind.

        Raises:
            StateError: it was run before.
        """
        if self._ran:
            raise StateError("a session runs once; make a new one for another call")
        self._scheduler = self._given_scheduler or LoopScheduler()
        self._owner = TaskOwner(self._task_failed)
        self._ears = Ears(
            self._call,
            stt=self._stt,
            turn=self._turn,
            settings=self.config.listening,
            owner=self._owner,
            scheduler=self._scheduler,
            emit=self._dispatch,
            heard=self._transcribed,
            failed=self._provider_failed,
        )
        self._ran = True
        self._over = asyncio.Event()
        try:
            self._ears.begin()
            self._dispatch(ev.SessionStarted())
            async for event in self._call:
                self._take(event)
        finally:
            self._dispatch(ev.SessionClosed())
            self._ears.close()
            await self._owner.join(_CLOSING_S)
            self._over.set()

    async def close(self) -> None:
        """Close the call and wait until ``run`` has returned. Idempotent."""
        await self._call.close()
        if self._over is not None:
            await self._over.wait()

    # -- events in -------------------------------------------------------------------------

    def _take(self, event: CallEvent) -> None:
        self._report(event)
        self._ears.pull()
        if isinstance(event, SpeechStopped):
            self._last_stop = event
        elif isinstance(event, PlayoutStarted):
            reply = self._replies.get(self._machine.reply or 0)
            if reply is not None:
                self._book.playout_started(reply, event)
        self._dispatch(event)
        if isinstance(event, EventsLost):
            self._make_up_for_lost_events()

    def _make_up_for_lost_events(self) -> None:
        """The end of the playout may be among the events that were dropped."""
        try:
            if self._call.queued_ms == 0:
                now_ns = self._scheduler.now_ns()
                self._dispatch(PlayoutDrained(now_ns, self._call.play_position, False))
        except ClosedError:
            return

    def _dispatch(self, event: ev.SessionEvent) -> None:
        """Step the machine and act, in order, also when acting brings the next event."""
        self._inbox.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inbox:
                before = self._machine.state
                now_ns = self._scheduler.now_ns()
                actions = self._machine.step(self._inbox.popleft(), now_ns)
                if self._machine.state != before:
                    self._tell_gate(before)
                    self._report(ev.StateChanged(now_ns, before, self._machine.state))
                for action in actions:
                    try:
                        self._act(action)
                    except ClosedError:
                        continue  # the call went first; CallClosed is on its way
        finally:
            self._stepping = False

    def _tell_gate(self, before: ev.State) -> None:
        if "thinking" in (before, self._machine.state):
            with suppress(ClosedError):
                self._call.set_thinking(self._machine.state == "thinking")

    # -- actions out -----------------------------------------------------------------------

    def _act(self, action: act.Action) -> None:
        if isinstance(action, act.SetTimer):
            self._set_timer(action)
        elif isinstance(action, act.CancelTimer):
            self._cancel_timer(action.name)
        elif isinstance(action, act.StartTranscript):
            self._ears.start(action.segment, action.sample)
        elif isinstance(action, act.FinalizeTranscript):
            self._ears.finalize(action.segment)
        elif isinstance(action, act.DiscardTranscript):
            self._ears.discard(action.segment)
        elif isinstance(action, act.PredictTurn):
            self._predict(action)
        elif isinstance(action, act.StartReply):
            self._start_reply(action)
        elif isinstance(action, act.Speak):
            if action.timed_out:
                late = f"no progress for {self.config.thinking.reply_timeout_ms} ms"
                self._provider_failed(self._replies[action.reply].stage, TimeoutError(late))
            self._replies[action.reply].speak(action.text)
        elif isinstance(action, act.CancelReply):
            self._replies[action.reply].cancel()
        elif isinstance(action, act.TruncateHistory):
            self._truncate(action)
        elif isinstance(action, act.FinishTurn):
            self._finish_turn(action)
        elif isinstance(action, act.PausePlayout):
            self._call.pause()
        elif isinstance(action, act.ResumePlayout):
            self._call.resume()
        elif isinstance(action, act.FlushPlayout):
            self._call.flush()
        elif isinstance(action, act.ReportBargeIn):
            self._report_barge_in(action)
        elif isinstance(action, act.HangUp):
            self._owner.spawn(self._call.close(), "session-hang-up")

    def _set_timer(self, action: act.SetTimer) -> None:
        self._cancel_timer(action.name)
        delay_ns = action.due_ns - self._scheduler.now_ns()

        def fire() -> None:
            self._timers.pop(action.name, None)
            self._dispatch(ev.TimerFired(action.name))

        self._timers[action.name] = self._scheduler.call_later(delay_ns, fire)

    def _cancel_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _predict(self, action: act.PredictTurn) -> None:
        if self._last_stop is not None:
            self._stops[action.segment] = (action.first_segment, self._last_stop)
        self._ears.predict(action.segment, action.first_segment)

    def _start_reply(self, action: act.StartReply) -> None:
        def said(delta: str) -> None:
            self._report(ev.AgentSaid(self._scheduler.now_ns(), action.reply, delta))

        reply = Reply(
            action.reply,
            self._call,
            llm=self._llm,
            tts=self._tts,
            owner=self._owner,
            scheduler=self._scheduler,
            emit=self._dispatch,
            said=said,
            failed=self._provider_failed,
        )
        self._replies[action.reply] = reply
        ended = (0, 0)
        if action.segment in self._stops:  # only now: sound may go on after the VAD's verdict
            first_segment, stop = self._stops[action.segment]
            self._ears.pull()
            ended = (self._ears.caller_end_ns(first_segment, stop), stop.stamp_ns)
            self._stops = {s: v for s, v in self._stops.items() if s >= first_segment}
        self._history.ask(action.user_text)
        self._book.start(action, reply, ended)
        reply.start(self._history.messages(), action.line)

    def _truncate(self, action: act.TruncateHistory) -> None:
        reply = self._replies[action.reply]
        position = action.play_sample
        if position is None:
            position = self._play_position(reply)
        self._book.truncate(reply, position)

    def _play_position(self, reply: Reply) -> int:
        try:
            return self._call.play_position
        except ClosedError:
            return self._book.played_by(reply, self._scheduler.now_ns(), self._call.play_hz)

    def _finish_turn(self, action: act.FinishTurn) -> None:
        reply = self._replies.pop(action.reply)
        if action.ended == "withdrawn":
            self._history.withdraw()
        else:
            self._history.answer(self._book.heard_text(reply))
        turn = self._book.close(reply, action.ended, self._ears.usage)
        if reply.settling:
            self._owner.spawn(self._settle(reply, turn), f"session-turn-close-{reply.number}")
        else:
            self._record(reply, turn)

    async def _settle(self, reply: Reply, turn: int | None) -> None:
        await reply.settled()
        self._record(reply, turn)

    def _record(self, reply: Reply, turn: int | None) -> None:
        record = self._book.record(reply, turn)
        if record is not None:
            self._report(ev.TurnFinished(self._scheduler.now_ns(), record))

    # -- reports ---------------------------------------------------------------------------

    def _report_barge_in(self, action: act.ReportBargeIn) -> None:
        now_ns = self._scheduler.now_ns()
        play_sample = action.play_sample
        if play_sample is None:
            play_sample = self._call.play_position
        if action.reason:
            self._report(ev.BargeInDismissed(now_ns, play_sample, action.reason))
        else:
            self._report(ev.BargeInConfirmed(now_ns, play_sample))

    def _transcribed(self, event: SttEvent) -> None:
        kind: Literal["interim", "final"] = "final" if event.kind == "final" else "interim"
        stamp_ns = event.stamp_ns or self._scheduler.now_ns()
        self._report(ev.CallerTranscribed(stamp_ns, kind, event.text))

    def _provider_failed(self, stage: str, error: Exception) -> None:
        names = {"stt": self._stt.name, "llm": self._llm.name, "tts": self._tts.name}
        name = names.get(stage) or (self._turn.name if self._turn is not None else "")
        now_ns = self._scheduler.now_ns()
        failure = ProviderFailure(stage, name, f"{type(error).__name__}: {error}", now_ns)
        self._book.failures.append(failure)
        _log.warning("%s %s failed: %s", stage, name, type(error).__name__)
        self._report(ev.ProviderFailed(now_ns, failure))

    def _task_failed(self, name: str, error: BaseException) -> None:
        # Providers' errors are handled in the tasks; what comes here is a defect of ours.
        _log.error("task %s failed: %s", name, for_the_log(error))

    def _report(self, report: ev.SessionReport | CallEvent) -> None:
        if self._observer is None:
            return
        try:
            self._observer(report)
        except Exception as error:
            if not self._observer_failed:
                _log.warning("the observer failed: %s", type(error).__name__)
            self._observer_failed = True
