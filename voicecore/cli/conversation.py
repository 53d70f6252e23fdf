"""One real call on this machine: the agent's leg in one engine, the caller's leg in another.

Both legs are native, paced and independent; between them lies UDP loopback, or a relay that loses
and delays packets. Everything that happens goes into a journal, the caller's side into a recording.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voicecore.errors import StateError
from voicecore.media._g711 import G711
from voicecore.media.config import CallConfig
from voicecore.media.engine import Call, Engine
from voicecore.media.events import CallEvent
from voicecore.providers.base import LlmUsage, Message, Stt, SttUsage, TtsUsage
from voicecore.providers.embedded import EmbeddedProviders
from voicecore.report.journal import Journal
from voicecore.report.recording import Recording
from voicecore.session import Session, SessionConfig, TurnRecord
from voicecore.session.events import SessionReport
from voicecore.testing.caller import CallerOutcome, CallerSettings, SimulatedCaller
from voicecore.testing.network import Impairment, NetworkRelay, RelayStats
from voicecore.testing.script import Script

__all__ = ["CALLER_HZ", "Conversation", "Watcher", "hold_conversation"]

CALLER_HZ = 8000
_CALLER_SILENCE_MS = 700
_PUMP_S = 0.1
_CONNECT_S = 5.0
_LAST_PACKETS_S = 0.3
_LONGEST_CALL_S = 600.0

Watcher = Callable[[str, object], None]


@dataclass(slots=True)
class Conversation:
    """Everything that is known of a call when it is over.

    Attributes:
        journal: all events.
        recording: the caller's side.
        turns: the session's records.
        history: the conversation as the caller heard it.
        caller: how it went for the caller.
        agent_events: the agent leg's events; caller_events: the caller leg's.
        reports: the session's reports.
        stats: last counters, by title.
        network: the relay's counters, there and back.
        call_ms: from answer to hang-up.
        usage: of the agent's STT, language model and TTS, withdrawn answers too.
        agent_hung_up: the agent ended the call.
        timed_out: the call was ended because it lasted ten minutes.
    """

    journal: Journal
    recording: Recording
    turns: list[TurnRecord] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    caller: CallerOutcome = field(default_factory=CallerOutcome)
    agent_events: list[CallEvent] = field(default_factory=list)
    caller_events: list[CallEvent] = field(default_factory=list)
    reports: list[SessionReport] = field(default_factory=list)
    stats: dict[str, dict[str, float | int]] = field(default_factory=dict)
    network: tuple[RelayStats, RelayStats] | None = None
    call_ms: float = 0.0
    usage: tuple[SttUsage, LlmUsage, TtsUsage] = (SttUsage(), LlmUsage(), TtsUsage())
    agent_hung_up: bool = False
    timed_out: bool = False

    def watch(self, watcher: Watcher | None, source: str, event: CallEvent | SessionReport) -> None:
        """Keep an event, and tell whoever watches."""
        self.journal.add(source, event)
        if not isinstance(event, CallEvent):
            self.reports.append(event)
        elif source == "agent-leg":
            self.agent_events.append(event)
        else:
            self.caller_events.append(event)
        if watcher is not None:
            watcher(source, event)


async def hold_conversation(
    providers: EmbeddedProviders,
    script: Script,
    *,
    impairment: Impairment,
    settings: CallerSettings,
    understand_agent: bool = True,
    session_config: SessionConfig | None = None,
    watcher: Watcher | None = None,
    tick: Callable[[float], None] | None = None,
) -> Conversation:
    """Hold the call to its end.

    Args:
        providers: the agent's ear, wits and voice.
        script: what the caller says.
        impairment: the network between them.
        settings: the caller's manners.
        understand_agent: whether the caller listens to words (with the same STT, on its own leg).
        session_config: the agent's settings.
        watcher: gets (source, event) of every event as it happens.
        tick: gets the length of the call so far in ms, every 100 ms.

    Raises:
        StateError: no audio came through within five seconds.
    """
    talk = Conversation(Journal(), Recording(CALLER_HZ))
    async with AsyncExitStack() as stack:
        relay = None
        if not impairment.is_none:
            relay = await asyncio.to_thread(NetworkRelay(impairment).__enter__)
            stack.callback(relay.close)
        agent_engine = await stack.enter_async_context(Engine())
        caller_engine = await stack.enter_async_context(Engine())
        agent_leg = await agent_engine.open_call(
            CallConfig(play_hz=providers.tts.rate_hz, remote=relay.second if relay else None)
        )
        caller_leg = await caller_engine.open_call(
            CallConfig(
                play_hz=CALLER_HZ,
                remote=relay.first if relay else agent_leg.local_address,
                barge_in=False,
                echo="off",  # what this leg hears is what is measured
                min_silence_ms=_CALLER_SILENCE_MS,
                receive_buffer_ms=60_000,
                sent_buffer_ms=60_000,
                record_sent=True,
            )
        )
        session = Session(
            agent_leg,
            stt=providers.stt,
            llm=providers.llm,
            tts=providers.tts,
            turn=providers.turn,
            config=session_config,
            observer=lambda event: talk.watch(
                watcher, "agent-leg" if isinstance(event, CallEvent) else "session", event
            ),
        )
        caller = SimulatedCaller(
            caller_leg,
            script,
            settings,
            understand=_ear(providers.stt, talk.recording) if understand_agent else None,
            observe=lambda event: talk.watch(watcher, "caller-leg", event),
        )

        codec: Any = G711("ulaw")

        def collect() -> None:
            sent, first = caller_leg.read_sent()
            # What the wire carries: the codec takes from the sound what it takes.
            talk.recording.add_sent(codec.decode(codec.encode(sent)), first)
            talk.recording.add_received(*caller_leg.read_audio())
            talk.stats["caller's leg"] = caller_leg.stats()
            talk.stats["caller's engine"] = dict(caller_engine.stats())
            talk.stats["agent's engine"] = dict(agent_engine.stats())
            if not agent_leg.is_closed:
                talk.stats["agent's leg"] = agent_leg.stats()

        await _connected(agent_leg, caller_leg, impairment)
        started_ns = time.monotonic_ns()
        pump = asyncio.create_task(_pump(collect, tick, started_ns), name="voicecore-demo-pump")
        try:
            await _talk(session, caller, talk)
            await asyncio.sleep(_LAST_PACKETS_S)
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            collect()
            talk.recording.start(caller_leg.sent_start_ns, caller_leg.received_start_ns)
            talk.call_ms = (time.monotonic_ns() - started_ns) / 1e6
        talk.turns, talk.history = session.turns, session.history
        talk.usage = session.usage
        if relay is not None:
            await asyncio.to_thread(relay.close)
            talk.network = relay.stats
    _write_records(talk)
    return talk


async def _connected(agent_leg: Call, caller_leg: Call, impairment: Impairment) -> None:
    """Until both hear each other, so that no first word is lost."""
    deadline_ns = time.monotonic_ns() + int(_CONNECT_S * 1e9)
    while not (agent_leg.received_start_ns and caller_leg.received_start_ns):
        if time.monotonic_ns() > deadline_ns:
            cause = "is the loopback interface up? (ip link set lo up)"
            if not impairment.is_none:
                cause = (
                    f"the network was asked to lose {impairment.loss_percent:g} % of the packets:"
                    f" give less --loss; or {cause}"
                )
            raise StateError(
                f"no audio came through on {agent_leg.local_address[0]} within {_CONNECT_S:.0f} s;"
                f" {cause}"
            )
        await asyncio.sleep(0.01)


async def _pump(
    collect: Callable[[], None], tick: Callable[[float], None] | None, started_ns: int
) -> None:
    while True:
        await asyncio.sleep(_PUMP_S)
        collect()
        if tick is not None:
            tick((time.monotonic_ns() - started_ns) / 1e6)


async def _talk(session: Session, caller: SimulatedCaller, talk: Conversation) -> None:
    """Run both sides until one hangs up; then end the other."""
    agent = asyncio.create_task(session.run(), name="voicecore-demo-session")
    human = asyncio.create_task(caller.run(), name="voicecore-demo-caller")
    try:
        done, _ = await asyncio.wait(
            {agent, human}, timeout=_LONGEST_CALL_S, return_when=asyncio.FIRST_COMPLETED
        )
        talk.timed_out = not done
        talk.agent_hung_up = agent in done and agent.exception() is None
        if human not in done:
            await caller.agent_hung_up()
        talk.caller = await human
        await session.close()
        await agent
    finally:
        for task in (agent, human):
            task.cancel()
        await asyncio.gather(agent, human, return_exceptions=True)
        talk.caller = caller.outcome


def _ear(stt: Stt, recording: Recording) -> Callable[[int, int], Awaitable[str]]:
    """The caller's understanding: the words in a stretch of what its leg received."""

    async def understand(first_sample: int, end_sample: int) -> str:
        # The pump fetches every 100 ms; the stretch ended at least the VAD's silence ago.
        pcm = recording.received(first_sample, end_sample)
        stream = await stt.open(CALLER_HZ)
        try:
            stream.push(np.ascontiguousarray(pcm), 0)
            stream.finalize()
            async for event in stream:
                if event.kind == "final":
                    return event.text
        finally:
            await stream.aclose()
        return ""

    return understand


def _write_records(talk: Conversation) -> None:
    """The providers' stamps of each turn, and what the caller really said, into the journal."""
    for record in talk.turns:
        for name in record.stamps.__slots__:
            stamp_ns = getattr(record.stamps, name)
            if stamp_ns > 0:
                talk.journal.note("stamp", name.removesuffix("_ns"), stamp_ns, turn=record.index)
    for line in talk.caller.said:
        talk.journal.note(
            "caller", "said", line.start_ns, text=line.text, interrupted=line.interrupted
        )
