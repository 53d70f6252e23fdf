"""A simulated caller: holds the other end of a real call, speaks prepared lines and listens.

The caller knows only what a caller's ear knows: that the agent speaks, and that it has stopped,
from the voice activity on its own leg of the call. A line is prepared before the call, so that
making speech never competes with the agent for the processor.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.media.events import (
    CallClosed,
    CallEvent,
    PlayoutDrained,
    PlayoutStarted,
    RtpTimedOut,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.testing.script import CallerLine, Script

__all__ = ["CallerOutcome", "CallerSettings", "SaidLine", "SimulatedCaller"]


class CallerLeg(Protocol):
    """What the caller needs of a call; voicecore.Call has it."""

    def __aiter__(self) -> AsyncIterator[CallEvent]: ...
    async def play_all(self, pcm: NDArray[np.int16]) -> None: ...
    def end_segment(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSettings:
    """How this caller behaves.

    Attributes:
        reply_pause_ms: shortest and longest pause after the agent has stopped, on top of the
            leg's own ``min_silence_ms``.
        interrupt_after_ms: how long the agent has spoken when an interrupting line begins.
        patience_ms: without an answer for so long, the line is said again.
        attempts: how often a line is said before the caller hangs up.
        linger_ms: with nothing left to say, the caller stays so long in case the agent, which may
            have broken off for the last words, speaks again; 0 to 120000.
        seed: of the pauses.
    """

    reply_pause_ms: tuple[float, float] = (150.0, 400.0)
    interrupt_after_ms: float = 1000.0
    patience_ms: float = 8000.0
    attempts: int = 3
    linger_ms: float = 3000.0
    seed: int = 1

    def __post_init__(self) -> None:
        low, high = self.reply_pause_ms
        if not 0 <= low <= high <= 10_000:
            raise ConfigError(
                f"reply_pause_ms is {self.reply_pause_ms}; it must be 0 <= low <= high"
            )
        if not 0 < self.patience_ms <= 120_000:
            raise ConfigError(f"patience_ms is {self.patience_ms}; it must be above 0, to 120000")
        if not 0 <= self.linger_ms <= 120_000:
            raise ConfigError(f"linger_ms is {self.linger_ms}; it must be 0 to 120000")
        if self.attempts < 1:
            raise ConfigError(f"attempts is {self.attempts}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class SaidLine:
    """A line that was said, with the stamps of its first and last packet."""

    text: str
    start_ns: int
    end_ns: int
    interrupted: bool


@dataclass(slots=True)
class CallerOutcome:
    """How the call went for the caller.

    Attributes:
        ended: "finished" (all lines said and answered), "no_answer" (the agent did not answer a
            line in spite of all attempts), "no_greeting", or "hung_up" (the call closed first).
        said: every line, repetitions too.
        heard: what the caller understood of the agent, if it was given an understanding.
    """

    ended: Literal["finished", "no_answer", "no_greeting", "hung_up"] = "hung_up"
    said: list[SaidLine] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)


class _HungUp(Exception):
    """The leg closed."""


class SimulatedCaller:
    """Speaks a script's lines, each after the agent has had its say.

    Args:
        leg: the caller's call; its ``min_silence_ms`` decides when the agent counts as silent.
        script: prepared speech.
        settings: behaviour.
        understand: turns a stretch of the leg's receive timeline (first sample, one past the last)
            into text, so that the caller can answer a question asked again; None: the lines come
            in their order.
        observe: gets every event of the leg, in order.
        now_ns: the clock, CLOCK_MONOTONIC.

        caller = SimulatedCaller(leg, Script(lines))
        outcome = await caller.run()

    One run a caller; ``run`` owns the leg's event iteration.
    """

    def __init__(
        self,
        leg: CallerLeg,
        script: Script,
        settings: CallerSettings | None = None,
        *,
        understand: Callable[[int, int], Awaitable[str]] | None = None,
        observe: Callable[[CallEvent], None] | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.settings = settings or CallerSettings()
        self.outcome = CallerOutcome()
        self._leg = leg
        self._script = script
        self._understand = understand
        self._observe = observe
        self._now_ns = now_ns
        self._random = random.Random(self.settings.seed)
        self._changed = asyncio.Condition()
        self._agent_speaks = False
        self._agent_starts = 0
        self._first_sample: int | None = None  # of what the agent said since the last line
        self._end_sample = 0
        self._playout_started_ns = 0
        self._drains = 0
        self._starts_before_line = 0
        self._hung_up = False

    async def run(self) -> CallerOutcome:
        """Hold the conversation; returns when it is over for the caller."""
        ears = asyncio.create_task(self._listen(), name="voicecore-caller-ears")
        try:
            self.outcome.ended = await self._talk()
        except _HungUp:
            # Hanging up is also how an agent says that all is said.
            if self._script.is_complete and self._agent_starts > self._starts_before_line:
                self.outcome.ended = "finished"
        finally:
            ears.cancel()
            await asyncio.gather(ears, return_exceptions=True)
        return self.outcome

    async def agent_hung_up(self) -> None:
        """Tell the caller that the call is over (a carrier would signal it)."""
        async with self._changed:
            self._hung_up = True
            self._changed.notify_all()

    # -- the ear ---------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for event in self._leg:
            if self._observe is not None:
                self._observe(event)
            async with self._changed:
                self._take(event)
                self._changed.notify_all()

    def _take(self, event: CallEvent) -> None:
        if isinstance(event, SpeechStarted):
            self._agent_speaks = True
            self._agent_starts += 1
            if self._first_sample is None:
                self._first_sample = event.sample
        elif isinstance(event, SpeechStopped):
            self._agent_speaks = False
            self._end_sample = event.sample
        elif isinstance(event, PlayoutStarted):
            self._playout_started_ns = event.packet_ns
        elif isinstance(event, PlayoutDrained):
            self._drains += 1
        elif isinstance(event, (CallClosed, RtpTimedOut)):
            self._hung_up = True

    async def _until(self, true: Callable[[], bool], timeout_ms: float | None = None) -> bool:
        """Wait for a state of the ear; False after the time is up."""

        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: true() or self._hung_up)

        try:
            await asyncio.wait_for(wait(), None if timeout_ms is None else timeout_ms / 1000.0)
        except asyncio.TimeoutError:
            return False
        if not true():
            raise _HungUp
        return True

    async def _heard(self) -> str:
        """What the agent said since the last line, as far as it is understood."""
        first, self._first_sample = self._first_sample, None
        if self._understand is None or first is None or self._end_sample <= first:
            return ""
        text = await self._understand(first, self._end_sample)
        self.outcome.heard.append(text)
        return text

    # -- the mouth -------------------------------------------------------------------------

    async def _talk(self) -> Literal["finished", "no_answer", "no_greeting"]:
        if not await self._until(lambda: self._agent_starts > 0, self.settings.patience_ms):
            return "no_greeting"
        while True:
            interrupting = self._script.next_interrupts() and await self._wait_to_interrupt()
            if not interrupting:
                await self._wait_for_floor()
            line = self._script.choose("" if interrupting else await self._heard())
            if line is None:
                if await self._agent_goes_on(self.settings.linger_ms):
                    continue
                return "finished"
            for _ in range(self.settings.attempts):
                if await self._say_and_be_answered(line):
                    break
            else:
                return "no_answer"

    async def _wait_for_floor(self) -> None:
        """Until the agent has stopped and has not gone on within a human pause."""
        while True:
            await self._until(lambda: not self._agent_speaks)
            if not await self._agent_goes_on(self._random.uniform(*self.settings.reply_pause_ms)):
                return

    async def _agent_goes_on(self, within_ms: float) -> bool:
        """Whether the agent begins to speak within this time."""
        starts = self._agent_starts
        return await self._until(lambda: self._agent_starts > starts, within_ms)

    async def _wait_to_interrupt(self) -> bool:
        """Until the agent is a second into its speech; False if it stopped before that."""
        return not await self._until(
            lambda: not self._agent_speaks, self.settings.interrupt_after_ms
        )

    async def _say_and_be_answered(self, line: CallerLine) -> bool:
        drains, starts = self._drains, self._agent_starts
        self._starts_before_line = starts
        self._first_sample = None
        over_agent = self._agent_speaks
        await self._leg.play_all(line.pcm)
        self._leg.end_segment()
        await self._until(lambda: self._drains > drains)
        self.outcome.said.append(
            SaidLine(line.text, self._playout_started_ns, self._now_ns(), over_agent)
        )
        return await self._until(lambda: self._agent_starts > starts, self.settings.patience_ms)
