"""Session on the engine's own call code, VAD and gate included, in virtual time.

Oracle: the audio that the caller's end of the line received, measured by energy alone.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests import audio
from voicecore.latency import measure_gaps
from voicecore.media.config import CallConfig
from voicecore.media.events import BargedIn, PlayoutStarted
from voicecore.session import Session, SessionConfig, SpeakSettings
from voicecore.session import events as ev
from voicecore.session.owner import LoopScheduler
from voicecore.testing.fakes import FakeLlm, FakeStt, FakeTts, FakeTurn, FakeUtterance
from voicecore.testing.loop import run_virtual
from voicecore.testing.virtual import VirtualEngine

RATE = 8000
LONG = "One two three four five six seven eight nine ten."


def caller_speech(ms: int) -> np.ndarray:
    """The first ``ms`` of a voice, from its first sound on."""
    pcm = (np.clip(audio.speech("beckett", RATE), -1, 0.9999) * 32768).astype(np.int16)
    loud = np.flatnonzero(np.abs(pcm) > 1000)[0]
    return pcm[loud : loud + ms * RATE // 1000]


def hold(lines, *, seconds: float, **providers):
    """Run a call: the caller plays each (at_ms, samples). Returns what there is to look at."""

    async def main():
        loop = asyncio.get_running_loop()
        engine = VirtualEngine(start_ns=loop.now_ns())
        # No echo on this line: the canceller would listen for one in the first words.
        agent = engine.open(CallConfig(play_hz=24000, echo="off"))
        caller = engine.open(CallConfig(play_hz=RATE, barge_in=False))
        engine.connect(agent, caller)
        reports = []
        fakes = {"stt": FakeStt(now_ns=loop.now_ns), "tts": FakeTts(now_ns=loop.now_ns)}
        fakes |= {"llm": FakeLlm(), "turn": FakeTurn()}
        fakes |= providers
        fakes["stt"].now_ns = fakes["tts"].now_ns = loop.now_ns
        session = Session(
            agent,
            **fakes,
            config=SessionConfig(speaking=SpeakSettings(agent_first=False)),
            observer=reports.append,
            scheduler=LoopScheduler(loop.now_ns),
        )
        task = asyncio.create_task(session.run())
        received, said = [], np.zeros(int(seconds * RATE), np.int16)
        waiting = sorted(lines, key=lambda line: line[0])
        for tick in range(int(seconds * 50)):
            while waiting and waiting[0][0] <= tick * 20:
                pcm = waiting.pop(0)[1]
                assert caller.play(pcm) == len(pcm)
                caller.end_segment()
                said[tick * 160 : tick * 160 + len(pcm)] = pcm
            engine.tick()
            received.append(caller.read_audio()[0])
            await asyncio.sleep(0.02)
        await agent.close()
        await task
        await caller.close()
        return session, reports, said, np.concatenate(received)

    return run_virtual(main())


def test_mouth_to_ear_equals_the_gap_in_the_audio():
    session, _, said, received = hold(
        [(500, caller_speech(850))],  # cut before its first pause
        seconds=6,
        stt=FakeStt(["Hello?"]),
        llm=FakeLlm(["Good evening to you."]),
        tts=FakeTts(lead_in_ms=70),
    )
    (turn,) = session.turns
    length = min(len(said), len(received))
    (gap,) = measure_gaps(np.stack([said[:length], received[:length]], 1), rate_hz=RATE)
    assert turn.heard_text == "Good evening to you."
    assert turn.stamps.mouth_to_ear_ms == pytest.approx(gap.gap_ms, abs=20)
    assert gap.gap_ms > 300


@pytest.mark.parametrize("text", ["Mm-hmm.", ""])
def test_a_dismissed_barge_in_goes_on_at_the_sample_where_the_gate_stopped(text):
    session, reports, _, received = hold(
        [(500, caller_speech(850)), (2900, caller_speech(500))],
        seconds=9,
        stt=FakeStt(["Count.", text]),
        llm=FakeLlm([LONG]),
    )
    (barged,) = [r for r in reports if isinstance(r, BargedIn)]
    starts = [r.play_sample for r in reports if isinstance(r, PlayoutStarted)]
    assert starts == [0, barged.play_sample]
    assert [type(r) for r in reports if isinstance(r, ev.BargeInDismissed)]
    assert [m.text for m in session.history] == ["Count.", LONG]
    # Ten words of 190 ms of tone; each edge may count one cycle (2.5 ms) that is not whole.
    cycles = np.abs(received[: len(received) // 20 * 20].astype(int)).reshape(-1, 20).max(1)
    assert np.count_nonzero(cycles > 500) * 20 / RATE == pytest.approx(1.925, abs=0.03)


def test_a_confirmed_barge_in_keeps_what_the_caller_received():
    session, reports, _, received = hold(
        [(500, caller_speech(850)), (2900, caller_speech(1500))],
        seconds=9,
        stt=FakeStt(["Count.", FakeUtterance(text="Stop it.", interims=((150, "stop"),))]),
        llm=FakeLlm([LONG, "Fine."]),
    )
    (confirmed,) = [r for r in reports if isinstance(r, ev.BargeInConfirmed)]
    turn = session.turns[0]
    level = np.abs(received.astype(int))
    first = int(np.flatnonzero(level > 500)[0])
    silent = first + 160 * int(np.argmax(level[first:][: 160 * 200].reshape(-1, 160).max(1) < 50))
    words_received = (silent - first) / RATE / 0.2
    assert abs(len(turn.heard_text.split()) - words_received) <= 1
    assert abs(confirmed.play_sample / 24000 - (silent - first) / RATE) <= 0.025
    assert [m.text for m in session.history] == [
        "Count.",
        turn.heard_text,
        "Stop it.",
        "Fine.",
    ]
    assert LONG.startswith(turn.heard_text)
    assert turn.interrupted
