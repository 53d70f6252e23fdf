"""HibariTts: the contract on a scripted voice, and the real voice.

The oracle of the real audio is the recognizer (test_moonshine) and the positions of its silence.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from voicecore.errors import ClosedError, MissingModelError, ProviderError
from voicecore.providers.base import TtsChunk, TtsContext, TtsUsage, WordTime
from voicecore.providers.tts.hibari import HibariTts, trim

RATE = 24000


class ScriptedVoice(HibariTts):
    """Speaks 10 ms a letter; ``hold`` makes it wait for ``go``."""

    def __init__(self) -> None:
        super().__init__()
        self._engine = object()
        self.spoken: list[str] = []
        self.leads: list[int] = []
        self.threads: set[str] = set()
        self.hold = False
        self.started = threading.Event()
        self.each = threading.Semaphore(0)
        self.go = threading.Event()

    def speak(self, text: str, lead_samples: int) -> tuple[np.ndarray, list[WordTime]]:
        self.spoken.append(text)
        self.leads.append(lead_samples)
        self.threads.add(threading.current_thread().name)
        self.started.set()
        self.each.release()
        if self.hold:
            self.go.wait(20)
        if "FAIL" in text:
            raise RuntimeError("no voice")
        samples = len(text) * RATE // 100
        return np.ones(samples, np.int16), [WordTime(text.split()[0], 5, samples, True)]


def play(scene: Callable[[ScriptedVoice], Awaitable[None]]) -> ScriptedVoice:
    voice = ScriptedVoice()

    async def run() -> None:
        try:
            await asyncio.wait_for(scene(voice), 60)
        finally:
            voice.go.set()
            voice.close()

    asyncio.run(run())
    return voice


async def collect(context: TtsContext) -> list[TtsChunk]:
    return [chunk async for chunk in context]


def test_sentences_are_spoken_one_by_one_and_words_run_on() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        for delta in ("Good eve", "ning. How", " are you? Fi", "ne"):
            context.append(delta)
        context.end()
        context.end()
        chunks = await collect(context)
        assert voice.spoken == ["Good evening.", "How are you?", "Fine"]
        starts = [chunk.words[0].start_sample for chunk in chunks]
        assert starts == [5, 13 * 240 + 5, 25 * 240 + 5]
        assert [c.words[0].estimated for c in chunks] == [True] * 3
        assert context.usage == TtsUsage(29, 290.0)
        stamps = [chunk.stamp_ns for chunk in chunks]
        assert stamps == sorted(stamps)

    voice = play(scene)
    # 20 ms before the first word; then a pause, longer after a sentence than 100 ms.
    assert voice.leads[0] == RATE // 50
    assert all(lead >= RATE // 10 for lead in voice.leads[1:])
    assert all(name.startswith("voicecore-tts") for name in voice.threads)


def test_first_sentence_is_spoken_before_the_text_is_complete() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.append("One moment please. And then")
        chunk = await anext(aiter(context))
        assert len(chunk.pcm) == 18 * 240
        assert voice.spoken == ["One moment please."]
        await context.cancel()

    play(scene)


def test_a_voice_closed_while_a_piece_waits_fails_its_context() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        voice.hold = True
        first, second = await voice.open(), await voice.open()
        first.append("Good evening. ")
        assert await asyncio.to_thread(voice.started.wait, 20)
        second.append("One moment please. ")
        second.end()
        await asyncio.sleep(0)  # its piece waits for the only thread
        voice.close()
        with pytest.raises(ProviderError, match="closed"):
            await asyncio.wait_for(collect(second), 10)
        await first.cancel()

    play(scene)


def test_flush_speaks_what_is_there() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.append("Let me see")
        context.flush()
        await anext(aiter(context))
        assert voice.spoken == ["Let me see"]
        await context.cancel()

    play(scene)


def test_nothing_to_say_ends_without_audio() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.append(" ... ")
        context.end()
        assert await collect(context) == []
        assert context.usage == TtsUsage(0, 0.0)

    play(scene)


def test_cancel_stops_between_sentences_and_says_what_is_billable() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        voice.hold = True
        context.append("One is said. Two is not. Three is not. ")
        reader = asyncio.create_task(collect(context))
        assert await asyncio.to_thread(voice.started.wait, 20)
        await context.cancel()
        await context.cancel()
        assert await reader == []
        assert context.usage == TtsUsage(len("One is said."), 0.0)
        with pytest.raises(ClosedError, match="open a new one"):
            context.append("more")

    assert play(scene).spoken == ["One is said."]


def test_nothing_may_be_added_after_the_end() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.end()
        for call in (lambda: context.append("x"), context.flush):
            with pytest.raises(ClosedError):
                call()
        assert await collect(context) == []

    play(scene)


def test_a_slow_reader_holds_synthesis_back() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.append("Say this. " * 30)
        context.end()
        chunks = aiter(context)
        await anext(chunks)
        for _ in range(9):  # eight made ahead, after the one that was taken
            assert await asyncio.to_thread(voice.each.acquire, True, 20)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(voice.spoken) <= 10
        rest = [chunk async for chunk in chunks]
        assert len(rest) == 29

    play(scene)


def test_a_failing_voice_is_a_provider_error_after_what_was_made() -> None:
    async def scene(voice: ScriptedVoice) -> None:
        context = await voice.open()
        context.append("Good. FAIL here. Never said. ")
        chunks = aiter(context)
        assert len((await anext(chunks)).pcm) == 5 * 240
        with pytest.raises(ProviderError, match=r"hibari/heart.*no voice"):
            await anext(chunks)
        with pytest.raises(ProviderError):
            context.append("more")
        await context.cancel()

    assert "Never said." not in play(scene).spoken


def test_missing_package_names_the_command(uninstalled: Callable[[str], None]) -> None:
    uninstalled("hibari")
    with pytest.raises(MissingModelError, match=r'pip install "hibari-tts==0\.2\.1"'):
        HibariTts()


# -- silence and scale ---------------------------------------------------------------------


def test_trim_leaves_exactly_the_silence_asked_for() -> None:
    audio = np.zeros(RATE, np.float32)
    audio[7200:12000] = 0.5
    pcm, spans = trim(audio, 480, 1440)
    assert len(pcm) == 480 + 4800 + 1440
    assert spans == [(480, 5280)]
    assert not pcm[:480].any()
    assert (pcm[480:5280] == 16384).all()


def test_trim_adds_silence_where_there_is_none() -> None:
    pcm, spans = trim(np.full(2400, 0.5, np.float32), 480, 240)
    assert (len(pcm), spans) == (3120, [(480, 2880)])


def test_trim_saturates_and_knows_silence() -> None:
    pcm, _ = trim(np.tile(np.array([2.0, -2.0], np.float32), 600), 0, 0)
    assert (pcm.max(), pcm.min()) == (32767, -32768)
    for silence in (np.zeros(0, np.float32), np.zeros(1000, np.float32)):
        pcm, spans = trim(silence, 480, 480)
        assert (len(pcm), spans) == (0, [])


TEXTS = [
    "Good evening, thank you for calling.",
    "For how many people?",
    "So that is a table for four on Friday at 7:30 pm, under the name John Smith.",
    "Yes.",
]


@pytest.mark.parametrize("text", TEXTS)
def test_real_voice_starts_at_once_and_words_cover_the_speech(hibari: Any, text: str) -> None:
    async def run() -> list[TtsChunk]:
        context = await hibari.open()
        context.append(text)
        context.end()
        return await collect(context)

    chunks = asyncio.run(run())
    pcm = np.concatenate([chunk.pcm for chunk in chunks]).astype(np.float64)
    peak = np.abs(pcm).max()
    assert peak > 3000
    # 20 ms and 60 ms of silence by construction; an "f" or a "th" is soft for up to 0.15 s more.
    loud = np.flatnonzero(np.abs(pcm) > 0.03 * peak)
    assert loud[0] <= 0.07 * RATE
    assert np.abs(pcm[: int(0.015 * RATE)]).max() < 0.01 * peak
    assert len(pcm) - loud[-1] <= 0.22 * RATE
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.text for word in words] == text.split()
    edges = [edge for w in words for edge in (w.start_sample, w.end_sample)]
    assert edges == sorted(edges)
    assert edges[0] == pytest.approx(0.02 * RATE, abs=120)
    assert edges[-1] <= len(pcm)
    first = 0
    for chunk in chunks:
        assert all(first <= w.start_sample < first + len(chunk.pcm) for w in chunk.words)
        first += len(chunk.pcm)


def test_the_same_text_is_the_same_audio(hibari: Any) -> None:
    one, two = (hibari.speak("For how many people?", 480)[0] for _ in range(2))
    assert np.array_equal(one, two)
