"""Whole calls drawn at random, providers that fail included, in virtual time (the ``play`` fixture
uses ``run_virtual``). Oracle: what must hold of any call."""

from __future__ import annotations

import asyncio
import logging
import random
from itertools import pairwise

import pytest

from voicecore.errors import ProviderError
from voicecore.media.config import CallConfig
from voicecore.media.events import DtmfReceived
from voicecore.session import SessionConfig, SpeakSettings, ThinkSettings
from voicecore.testing.fakes import FakeAnswer, FakeLlm, FakeStt, FakeTts, FakeTurn, FakeUtterance

SAID = ["", "mm-hmm", "yeah", "a table for two", "stop", "no wait", "on Friday"]


def draw(rng: random.Random) -> dict:
    """The parts of one call."""

    def utterance() -> FakeUtterance:
        text = rng.choice(SAID)
        interims = ((rng.randrange(400), text),) if text and rng.random() < 0.5 else ()
        fail = rng.choice(["push", "finalize", "silent"]) if rng.random() < 0.1 else ""
        final_ms = rng.choice([20, 80, 600, 2000])
        return FakeUtterance(text=text, interims=interims, final_ms=final_ms, fail=fail)

    def answer() -> FakeAnswer:
        words = rng.randrange(1, 25)
        sentence = " ".join(f"w{n}" + ("." if rng.random() < 0.2 else "") for n in range(words))
        broken = rng.random()
        return FakeAnswer(
            text=sentence + ".",
            first_ms=rng.choice([10, 300, 2000]),
            word_ms=rng.choice([1, 30, 300]),
            ends_call=rng.random() < 0.05,
            fail_after=rng.randrange(words) if broken < 0.1 else None,
            stall_after=rng.randrange(words) if broken > 0.95 else None,
        )

    return {
        "stt": FakeStt([utterance() for _ in range(60)], fail_opens=rng.choice([0, 0, 1])),
        "llm": FakeLlm([answer() for _ in range(60)]),
        "tts": FakeTts(
            first_ms=rng.choice([20, 200]),
            lead_in_ms=rng.choice([0, 100]),
            words=rng.random() < 0.7,
            fail_contexts=[n for n in range(60) if rng.random() < 0.07],
            fail_after=rng.randrange(3),
        ),
        "turn": FakeTurn(
            [
                rng.random() if rng.random() < 0.95 else ProviderError("turn broke")
                for _ in range(60)
            ],
            delay_ms=rng.choice([5, 400]),
        ),
        "config": SessionConfig(
            thinking=ThinkSettings(reply_timeout_ms=rng.choice([1000, 5000])),
            speaking=SpeakSettings(
                agent_first=rng.random() < 0.5,
                greeting=rng.choice(["", "Hello there."]),
                half_duplex=rng.random() < 0.15,
                confirm_words=rng.choice([1, 2]),
            ),
        ),
        "call_config": CallConfig(
            codec="l16",
            rate_hz=16000,
            play_hz=24000,
            barge_in=rng.random() < 0.8,
            play_buffer_ms=rng.choice([500, 10_000]),
        ),
    }


@pytest.mark.parametrize("seed", range(60))
def test_any_call(play, caplog, seed):
    rng = random.Random(seed)

    async def scene(stage):
        for _ in range(rng.randrange(3, 15)):
            await asyncio.sleep(rng.choice([0.1, 0.5, 1.5, 4.0]))
            if stage.call._closed:
                return
            if rng.random() < 0.1:
                for digit in "12#"[: rng.randrange(1, 4)]:
                    stage.call.emit(DtmfReceived(stage.loop.now_ns(), digit, 0))
            duration_ms = rng.choice([80, 200, 500, 1500, 3000])
            stage.call.speak(duration_ms)
            await asyncio.sleep((duration_ms + 300) / 1000)
        await asyncio.sleep(19)  # less than the silence that is asked about
        if rng.random() < 0.5:
            await asyncio.sleep(60)

    caplog.set_level(logging.ERROR)
    stage = play(scene, **draw(rng))  # ends, and leaves no task behind
    session = stage.session
    assert [r.getMessage() for r in caplog.records] == []  # no defect of ours
    assert [t.index for t in session.turns] == list(range(len(session.turns)))
    assert stage.call.queued_ms == 0 or session.turns[-1].ended == "closed"
    for turn in session.turns:
        if not turn.failures:
            assert turn.agent_text.startswith(turn.heard_text)
        if turn.ended == "finished" and not turn.failures:
            assert turn.heard_text == turn.agent_text
        if turn.heard_text and stage.tts.words:  # without word times it is an estimate
            assert turn.stamps.agent_onset_ns >= turn.stamps.first_packet_ns > 0
        assert turn.interrupted == (turn.ended == "interrupted")
    heard = " ".join(t.heard_text for t in session.turns).split()
    said = " ".join(m.text for m in session.history if m.role == "assistant").split()
    assert said == heard  # the history holds what was heard, all of it, and nothing else
    roles = [m.role for m in session.history]
    assert all(a != b for a, b in pairwise(roles))
    used = session.usage
    assert used[0].audio_ms == pytest.approx(
        sum(count for _, count in stage.stt.pushed) / 16, abs=1e-6
    )
    assert used[2].characters >= sum(t.tts.characters for t in session.turns)
