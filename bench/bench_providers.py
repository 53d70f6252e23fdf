"""What the embedded providers cost, each beside the plain way of doing the same:

- speech to text: a decode by the audio's length; a final whose text is known already, beside one
  that has to be decoded;
- text to speech: time to the first audible sample, beside hibari's own stream();
- turn detector: one prediction; its features beside the same through a full filter matrix.

Medians; CPU time of the whole process, since wall time says little on a machine that does other
things too. `pytest bench/bench_providers.py -s` prints the table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import audio
from voicecore.providers.stt._moonshine_model import MoonshineModel
from voicecore.providers.stt.moonshine import MoonshineStt, moonshine_dir
from voicecore.providers.tts.hibari import HibariTts
from voicecore.providers.turn._features import log_mel, mel_filters
from voicecore.providers.turn.smart_turn import SmartTurn

SENTENCE = "So that is a table for four on Friday at 7:30 pm, under the name John Smith."
SPEECH = np.ascontiguousarray(audio.speech("two_cities", 16000)[: 12 * 16000])
PCM = np.clip(np.rint(SPEECH * 32768), -32768, 32767).astype(np.int16)
ROWS: list[tuple[str, float, float]] = []


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    print("\n\nembedded providers (median ms; CPU of the whole process)")
    for what, wall_ms, cpu_ms in ROWS:
        print(f"  {what:58s} {wall_ms:8.1f} ms wall {cpu_ms:8.1f} ms CPU")


@pytest.fixture(scope="module")
def model() -> MoonshineModel:
    return MoonshineModel(moonshine_dir())


@pytest.fixture(scope="module")
def tts() -> Iterator[HibariTts]:
    voice = HibariTts()
    voice.load()
    yield voice
    voice.close()


class Clocked:
    """Wall and CPU time of a block, in ms."""

    def __enter__(self) -> Clocked:
        self._cpu_ns, self._wall_ns = time.process_time_ns(), time.monotonic_ns()
        return self

    def __exit__(self, *failure: object) -> None:
        self.wall_ms = (time.monotonic_ns() - self._wall_ns) / 1e6
        self.cpu_ms = (time.process_time_ns() - self._cpu_ns) / 1e6


def row(what: str, runs: list[Clocked]) -> float:
    """Put the medians into the table; the CPU time in ms."""
    cpu_ms = median(run.cpu_ms for run in runs)
    ROWS.append((what, median(run.wall_ms for run in runs), cpu_ms))
    return cpu_ms


def measure(what: str, benchmark: Any, job: Callable[[], Any], rounds: int = 7) -> float:
    """Time ``job`` for the table and for pytest-benchmark; the median CPU time in ms."""
    runs: list[Clocked] = []

    def timed() -> None:
        with Clocked() as run:
            job()
        runs.append(run)

    benchmark.pedantic(timed, rounds=rounds, warmup_rounds=1)
    return row(what, runs[1:])


def peer(what: str, job: Callable[[], Any], rounds: int = 7) -> float:
    """Time ``job`` for the table only; the median CPU time in ms."""
    runs: list[Clocked] = []
    for _ in range(rounds + 1):
        with Clocked() as run:
            job()
        runs.append(run)
    return row(what, runs[1:])


@pytest.mark.parametrize("seconds", [1, 3, 5, 8])
def test_stt_decode(benchmark: Any, model: MoonshineModel, seconds: int) -> None:
    part = SPEECH[: seconds * 16000]
    assert model.transcribe(part)
    ms = measure(f"STT: decode of {seconds} s", benchmark, lambda: model.transcribe(part))
    benchmark.extra_info["share_of_real_time"] = ms / 1000 / seconds


@pytest.mark.parametrize("known", [True, False], ids=["known", "decoded"])
def test_stt_final(benchmark: Any, model: MoonshineModel, known: bool) -> None:
    """From finalize() to the final, after 5 s of speech; known: 0.2 s of silence came before."""
    finals: list[Clocked] = []

    async def utterance() -> None:
        stt = MoonshineStt(model=model)
        stream = await stt.open(16000)
        events = aiter(stream)
        stream.push(PCM[: 5 * 16000], 0)
        await anext(events)
        if known:
            stream.push(np.zeros(3200, np.int16), 5 * 16000)
            await asyncio.sleep(0.2)  # the pause: the stream sees it as it would on a call
        else:
            stream.push(PCM[5 * 16000 : 5 * 16000 + 3000], 5 * 16000)
        with Clocked() as run:
            stream.finalize()
            while (event := await anext(events)).kind != "final":
                pass
        finals.append(run)
        assert event.text
        await stream.aclose()
        stt.close()

    benchmark.pedantic(lambda: asyncio.run(utterance()), rounds=5, warmup_rounds=1)
    what = "decoded in the pause" if known else "speech until the end"
    row(f"STT: finalize() to final after 5 s, {what}", finals[1:])


def first_audible_ms(pcm: NDArray[np.int16]) -> float:
    return int(np.flatnonzero(np.abs(pcm) > 300)[0]) / 24.0


def test_tts_first_audio(benchmark: Any, tts: HibariTts) -> None:
    """Text in to the first sample that can be heard, leading silence included."""
    leads: list[float] = []

    async def ours() -> None:
        context = await tts.open()
        context.append(SENTENCE)
        context.end()
        leads.append(first_audible_ms((await anext(aiter(context))).pcm))
        await context.cancel()

    ours_ms = measure("TTS: first chunk, through a context", benchmark, lambda: asyncio.run(ours()))
    stream = "TTS: first chunk of hibari's own stream()"
    theirs_ms = peer(stream, lambda: next(tts._engine.stream(SENTENCE, seed=0)))
    raw = next(tts._engine.stream(SENTENCE, seed=0))
    their_lead_ms = first_audible_ms((raw * 32767).astype(np.int16))
    ratio = (theirs_ms + their_lead_ms) / (ours_ms + leads[-1])
    benchmark.extra_info["ratio_to_hibari"] = ratio
    print(
        f"\nfirst audible sample (CPU ms + leading silence): {ours_ms:.0f} + {leads[-1]:.0f} ms, "
        f"hibari's stream() {theirs_ms:.0f} + {their_lead_ms:.0f} ms: {ratio:.1f}x sooner"
    )


def test_tts_real_time(benchmark: Any, tts: HibariTts) -> None:
    pcm, _ = tts.speak(SENTENCE, 480)
    ms = measure("TTS: the whole sentence", benchmark, lambda: tts.speak(SENTENCE, 480))
    print(f"\nTTS: {len(pcm) / 24 / ms:.0f} times real time")


def test_turn_prediction(benchmark: Any) -> None:
    turn = SmartTurn()
    turn.load()
    assert 0.0 <= turn.predict_now(PCM[: 4 * 16000], 16000) <= 1.0
    job = lambda: turn.predict_now(PCM[: 4 * 16000], 16000)  # noqa: E731
    measure("turn: one prediction", benchmark, job)
    turn.close()


def test_turn_features(benchmark: Any) -> None:
    eight = np.concatenate([np.zeros(4 * 16000, np.float32), SPEECH[: 4 * 16000]])

    def full_matrix() -> NDArray[np.float32]:
        x = eight - eight.mean()
        x = np.pad(x / np.sqrt((x**2).mean() + 1e-7), 200, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160][:800]
        window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)
        power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
        mel = np.log10(np.maximum(power @ mel_filters(), 1e-10))
        return ((np.maximum(mel, mel.max() - 8) + 4) / 4).T.astype(np.float32)

    np.testing.assert_allclose(log_mel(eight), full_matrix(), atol=1e-3)
    ours_ms = measure("turn: its features", benchmark, lambda: log_mel(eight), rounds=15)
    full_ms = peer("turn: features through the full filter matrix", full_matrix, rounds=15)
    print(f"\nfeatures: {full_ms / ours_ms:.1f}x faster than through the full matrix")
