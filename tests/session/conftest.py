"""A session on a fake call with fake providers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from voicecore.media.config import CallConfig
from voicecore.media.events import CallEvent
from voicecore.providers.base import TurnDetector
from voicecore.session import Session, SessionConfig, SpeakSettings
from voicecore.session.events import SessionReport
from voicecore.session.owner import LoopScheduler
from voicecore.testing.fake_call import FakeCall
from voicecore.testing.fakes import FakeLlm, FakeStt, FakeTts, FakeTurn
from voicecore.testing.loop import VirtualLoop, run_virtual

QUIET = SessionConfig(speaking=SpeakSettings(agent_first=False))


class Stage:
    """What a scene plays on."""

    def __init__(
        self,
        *,
        stt: FakeStt | None = None,
        llm: FakeLlm | None = None,
        tts: FakeTts | None = None,
        turn: TurnDetector | None = None,
        config: SessionConfig = QUIET,
        call_config: CallConfig | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.call = FakeCall(loop.now_ns, call_config)
        self.stt, self.llm, self.tts = stt or FakeStt(), llm or FakeLlm(), tts or FakeTts()
        self.turn = turn or FakeTurn()
        for fake in (self.stt, self.tts):
            fake.now_ns = loop.now_ns
        self.reports: list[SessionReport | CallEvent] = []
        self.session = Session(
            self.call,
            stt=self.stt,
            llm=self.llm,
            tts=self.tts,
            turn=self.turn,
            config=config,
            observer=self.reports.append,
            scheduler=LoopScheduler(loop.now_ns),
        )

    def seen(self, kind: type) -> list[Any]:
        return [r for r in self.reports if isinstance(r, kind)]

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(m.role, m.text) for m in self.session.history]

    def sent_ranges(self) -> list[tuple[int, int]]:
        """Play samples that left, neighbours joined."""
        ranges: list[tuple[int, int]] = []
        for _, first, count in self.call.sent:
            if ranges and ranges[-1][1] == first:
                ranges[-1] = (ranges[-1][0], first + count)
            else:
                ranges.append((first, first + count))
        return ranges


@pytest.fixture
def play() -> Callable[..., Stage]:
    """Run a scene on a stage: the session runs beside it, then the caller hangs up."""

    def run(scene: Callable[[Stage], Awaitable[None]], **parts: Any) -> Stage:
        async def main() -> Stage:
            stage = Stage(**parts)
            session = asyncio.create_task(stage.session.run(), name="test-session")
            await scene(stage)
            stage.call.hang_up()
            await session
            return stage

        return run_virtual(main())

    return run


@pytest.fixture
def make_stage() -> type[Stage]:
    """For tests that run the scene themselves."""
    return Stage
