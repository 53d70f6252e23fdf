"""The simulated caller's manners, on a virtual clock, against an agent that is a list of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from voicecore.errors import ConfigError
from voicecore.media.events import (
    CallClosed,
    CallEvent,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.testing.caller import CallerOutcome, CallerSettings, SimulatedCaller
from voicecore.testing.loop import run_virtual
from voicecore.testing.script import CallerLine, Script

RATE_HZ = 8000


def now_ns() -> int:
    return round(asyncio.get_running_loop().time() * 1e9)


class AgentOnTheLine:
    """A leg whose far end greets for 2 s, then answers each line 0.5 s after it with 3 s of speech.

    ``deaf`` names how many times a line (by its length in samples) is left without an answer.
    """

    def __init__(self, deaf: dict[int, int] | None = None, hang_up_after: int = 99) -> None:
        self.events: asyncio.Queue[CallEvent] = asyncio.Queue()
        self.played: list[tuple[int, int]] = []  # (when, samples)
        self.agent: list[tuple[int, int]] = []  # (start, end) of the agent's speech
        self.deaf = dict(deaf or {})
        self.hang_up_after = hang_up_after
        self._speech: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, greeting_s: float = 2.0) -> None:
        self._speech = self._spawn(self._speak(0.2, greeting_s))

    def _spawn(self, work: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        return task

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _speak(self, after_s: float, for_s: float) -> None:
        await asyncio.sleep(after_s)
        start_ns = now_ns()
        self.events.put_nowait(SpeechStarted(start_ns, start_ns // 125_000, start_ns))
        try:
            await asyncio.sleep(for_s)
        finally:
            self.agent.append((start_ns, now_ns()))
            self.events.put_nowait(SpeechStopped(now_ns(), now_ns() // 125_000, now_ns()))

    async def _line(self, samples: int) -> None:
        self.events.put_nowait(PlayoutStarted(now_ns(), 0, now_ns()))
        await asyncio.sleep(0.1)
        if self._speech is not None and not self._speech.done():
            self._speech.cancel()  # the agent lets itself be interrupted
        await asyncio.sleep(samples / RATE_HZ - 0.1)
        self.events.put_nowait(PlayoutDrained(now_ns(), samples, False))
        if self.deaf.get(samples, 0) > 0:
            self.deaf[samples] -= 1
            return
        self._speech = self._spawn(self._speak(0.5, 3.0))
        if len(self.played) == self.hang_up_after:
            await asyncio.sleep(1.0)
            self.events.put_nowait(CallClosed(now_ns()))

    def __aiter__(self) -> AsyncIterator[CallEvent]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[CallEvent]:
        while True:
            event = await self.events.get()
            yield event
            if isinstance(event, CallClosed):
                return

    async def play_all(self, pcm: np.ndarray) -> None:
        self.played.append((now_ns(), len(pcm)))
        self._spawn(self._line(len(pcm)))

    def end_segment(self) -> None:
        pass


def script(*lengths: int, interrupting: int = -1) -> Script:
    return Script(
        [
            CallerLine(f"line {n}", np.zeros(n, np.int16), interrupts=i == interrupting)
            for i, n in enumerate(lengths)
        ]
    )


async def talk(leg: AgentOnTheLine, lines: Script, greeting: bool = True) -> CallerOutcome:
    if greeting:
        leg.start()
    try:
        return await SimulatedCaller(leg, lines, CallerSettings(seed=3), now_ns=now_ns).run()
    finally:
        await leg.stop()


def test_each_line_waits_for_the_agent_and_a_human_pause() -> None:
    leg = AgentOnTheLine()
    outcome = run_virtual(talk(leg, script(8000, 12000, 16000)))
    assert outcome.ended == "finished"
    assert [line.text for line in outcome.said] == ["line 8000", "line 12000", "line 16000"]
    for (played_ns, _), (_, agent_end_ns) in zip(leg.played, leg.agent, strict=False):
        assert 150e6 <= played_ns - agent_end_ns <= 401e6
    assert not any(line.interrupted for line in outcome.said)


def test_an_interrupting_line_starts_a_second_into_the_agents_speech() -> None:
    leg = AgentOnTheLine()
    outcome = run_virtual(talk(leg, script(8000, 12000, 16000, interrupting=1)))
    assert outcome.ended == "finished"
    assert [line.interrupted for line in outcome.said] == [False, True, False]
    answer_start_ns = leg.agent[1][0]
    assert leg.played[1][0] - answer_start_ns == pytest.approx(1e9, abs=1e6)
    assert leg.agent[1][1] - leg.played[1][0] == pytest.approx(0.1e9, abs=1e6)


class AgentThatBreaksOff(AgentOnTheLine):
    """Takes a pause in the line for its end, breaks off, answers later, and hangs up."""

    async def _line(self, samples: int) -> None:
        self.events.put_nowait(PlayoutStarted(now_ns(), 0, now_ns()))
        await self._speak(0.3, 0.1)
        await asyncio.sleep(samples / RATE_HZ - 0.4)
        self.events.put_nowait(PlayoutDrained(now_ns(), samples, False))
        await self._speak(2.0, 1.0)
        self.events.put_nowait(CallClosed(now_ns()))


def test_the_caller_stays_for_an_answer_that_broke_off_for_its_last_words() -> None:
    leg = AgentThatBreaksOff()
    assert run_virtual(talk(leg, script(8000))).ended == "finished"
    assert len(leg.agent) == 3  # the greeting, the attempt, and the answer
    start_ns, end_ns = leg.agent[-1]
    assert end_ns - start_ns == pytest.approx(1e9, abs=1e6)  # to its end


def test_a_line_without_an_answer_is_said_again() -> None:
    leg = AgentOnTheLine(deaf={12000: 2})
    outcome = run_virtual(talk(leg, script(8000, 12000)))
    assert outcome.ended == "finished"
    assert [line.text for line in outcome.said] == ["line 8000"] + ["line 12000"] * 3


def test_an_agent_that_never_answers_is_given_up() -> None:
    outcome = run_virtual(talk(AgentOnTheLine(deaf={12000: 99}), script(8000, 12000)))
    assert outcome.ended == "no_answer"
    assert len(outcome.said) == 4


def test_an_agent_that_never_greets_is_given_up() -> None:
    outcome = run_virtual(talk(AgentOnTheLine(), script(8000), greeting=False))
    assert outcome.ended == "no_greeting"
    assert outcome.said == []


@pytest.mark.parametrize(("after", "ended"), [(1, "hung_up"), (2, "finished")])
def test_hanging_up_ends_the_call_well_only_after_the_last_line(after: int, ended: str) -> None:
    leg = AgentOnTheLine(hang_up_after=after)
    assert run_virtual(talk(leg, script(8000, 12000))).ended == ended


def test_what_the_agent_said_is_understood_and_chooses_the_line() -> None:
    leg = AgentOnTheLine()
    stretches: list[tuple[int, int]] = []

    async def understand(first: int, end: int) -> str:
        stretches.append((first, end))
        return "What name?" if len(stretches) in (1, 2) else "At what time?"

    async def run() -> CallerOutcome:
        leg.start()
        lines = [
            CallerLine("seven", np.zeros(8000, np.int16), "what time"),
            CallerLine("Baker", np.zeros(9000, np.int16), "what name"),
        ]
        caller = SimulatedCaller(leg, Script(lines), understand=understand, now_ns=now_ns)
        return await caller.run()

    outcome = run_virtual(run())
    assert [line.text for line in outcome.said][:3] == ["Baker", "Baker", "seven"]
    assert outcome.heard[0] == "What name?"
    # oracle: the stretch is the agent's speech, in samples of the receive timeline
    for (first, end), (start_ns, end_ns) in zip(stretches, leg.agent, strict=False):
        assert (first, end) == (start_ns // 125_000, end_ns // 125_000)


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"patience_ms": 0}, {"linger_ms": -1}, {"reply_pause_ms": (400, 100)}],
)
def test_impossible_manners_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        CallerSettings(**settings)  # type: ignore[arg-type]
