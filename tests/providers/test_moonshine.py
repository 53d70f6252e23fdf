"""MoonshineStt: the contract on a scripted model, and the real model against transcripts.

The scripted model decodes nothing: it says how much audio it was given, and waits when told to,
so that every order of events can be made. Nothing here depends on how fast anything is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import voicecore
from voicecore.errors import (
    ClosedError,
    DataError,
    DtypeError,
    LengthError,
    MissingModelError,
    ProviderError,
    RateError,
)
from voicecore.providers.base import SttEvent, SttStream
from voicecore.providers.stt._moonshine_model import MoonshineModel, read_tokenizer, strip_repeats
from voicecore.providers.stt.moonshine import MoonshineStt

RATE = 16000
Pcm = NDArray[np.int16]


def talk(seconds: float) -> Pcm:
    t = np.arange(int(seconds * RATE)) / RATE
    envelope = 0.1 + 0.9 * np.abs(np.sin(2 * np.pi * 2 * t))
    return (8000 * envelope * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


def quiet(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE), np.int16)


class ScriptedModel:
    """Answers with the length of the audio in ms; ``hold`` makes it wait for ``go`` or stop."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.threads: set[str] = set()
        self.broken_off = 0
        self.hold = False
        self.started = threading.Event()
        self.go = threading.Event()
        self.error: Exception | None = None

    def transcribe(
        self, audio: NDArray[np.float32], stop: Callable[[], bool] | None = None
    ) -> str | None:
        self.calls.append(len(audio) * 1000 // RATE)
        self.threads.add(threading.current_thread().name)
        self.started.set()
        if self.error is not None:
            raise self.error
        while self.hold and not self.go.wait(0.002):
            if stop is not None and stop():
                self.broken_off += 1
                return None
        return f"ms{self.calls[-1]}"

    async def wait_started(self) -> None:
        assert await asyncio.to_thread(self.started.wait, 20)
        self.started.clear()


Scene = Callable[[ScriptedModel, MoonshineStt], Awaitable[None]]


def play(scene: Scene) -> ScriptedModel:
    """Run a scene on a fresh loop with a scripted model."""
    model = ScriptedModel()

    async def run() -> None:
        stt = MoonshineStt(model=model)  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(scene(model, stt), 60)
        finally:
            model.go.set()
            stt.close()

    asyncio.run(run())
    return model


async def until_final(stream: SttStream) -> list[SttEvent]:
    """Events up to and with the next final."""
    events = []
    async for event in stream:
        events.append(event)
        if event.kind == "final":
            break
    return events


def test_one_final_for_each_finalize_in_order() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        for k, seconds in enumerate((0.6, 1.0, 1.4)):
            stream.push(talk(seconds), k * 100_000)
            stream.finalize()
        stream.finalize()
        finals = [(await until_final(stream))[-1].text for _ in range(4)]
        assert finals == ["ms600", "ms1000", "ms1400", ""]
        await stream.aclose()
        assert [e async for e in stream] == []

    play(scene)


def test_nothing_but_noise_or_silence_gives_an_empty_final_and_no_decode() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        noise = (1500 * np.random.default_rng(3).standard_normal(RATE)).astype(np.int16)
        for pcm in (talk(0.25), quiet(1.0), noise):
            stream.push(pcm, 0)
            stream.finalize()
            events = await until_final(stream)
            assert [(e.kind, e.text, e.words) for e in events] == [("final", "", ())]
        await stream.aclose()

    assert play(scene).calls == []


def test_final_reuses_an_interim_that_holds_all_the_speech() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        stream.push(np.r_[talk(1.0), quiet(0.15)], 0)
        events = aiter(stream)
        interim = await anext(events)
        assert interim.kind == "interim"
        stream.push(quiet(0.1), int(1.15 * RATE))
        stream.finalize()
        final = await anext(events)
        assert (final.kind, final.text) == ("final", interim.text)
        await stream.aclose()

    assert len(play(scene).calls) == 1


def test_finalize_breaks_off_an_interim_that_holds_too_little() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.hold = True
        stream.push(talk(1.0), 0)
        await model.wait_started()
        stream.push(talk(0.5), RATE)
        stream.finalize()
        await model.wait_started()
        model.go.set()
        assert [e.text for e in await until_final(stream)] == ["ms1500"]
        await stream.aclose()

    model = play(scene)
    assert model.broken_off == 1
    assert model.calls == [1000, 1500]


def test_finalize_waits_for_an_interim_that_holds_everything() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.hold = True
        stream.push(np.r_[talk(1.0), quiet(0.15)], 0)
        await model.wait_started()
        stream.finalize()
        model.go.set()
        assert (await until_final(stream))[-1].text == "ms1150"
        await stream.aclose()

    model = play(scene)
    assert model.broken_off == 0
    assert model.calls == [1150]


def test_interims_are_never_queued() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.hold = True
        stream.push(talk(0.8), 0)
        await model.wait_started()
        for k in range(10):
            stream.push(talk(0.25), int((0.8 + k * 0.25) * RATE))
            await asyncio.sleep(0)
        assert model.calls == [800]
        model.go.set()
        await model.wait_started()
        assert model.calls == [800, 3300]  # one decode of all that came in meanwhile
        await stream.aclose()

    play(scene)


def test_an_interim_that_nobody_took_is_replaced() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        for k in range(3):
            stream.push(talk(1.0), k * RATE)
            await model.wait_started()
            for _ in range(100):
                await asyncio.sleep(0)
        stream.finalize()
        kinds = [e.kind for e in await until_final(stream)]
        assert kinds.count("interim") <= 1
        assert kinds[-1] == "final"
        await stream.aclose()

    play(scene)


def test_discard_leaves_no_event_and_the_next_utterance_is_whole() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.hold = True
        stream.push(talk(1.0), 0)
        await model.wait_started()
        stream.discard()
        model.hold = False
        stream.push(talk(0.7), 5 * RATE)
        stream.finalize()
        events = await until_final(stream)
        assert {e.text for e in events} == {"ms700"}
        assert events[-1].words[0].start_sample >= 5 * RATE
        await stream.aclose()

    play(scene)


def test_discard_does_not_take_back_a_finalize() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        stream.push(talk(1.0), 0)
        stream.finalize()
        stream.push(talk(0.6), 3 * RATE)
        stream.discard()
        assert [e.text for e in await until_final(stream)] == ["ms1000"]
        await stream.aclose()

    play(scene)


def test_a_final_goes_before_the_interim_of_another_call() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        one, two = await stt.open(RATE), await stt.open(RATE)
        model.hold = True
        one.push(talk(1.0), 0)
        await model.wait_started()
        two.push(talk(2.0), 0)
        two.finalize()
        await model.wait_started()  # the final of two: the interim of one was broken off for it
        assert model.calls[:2] == [1000, 2000]
        model.go.set()
        assert (await until_final(two))[-1].text == "ms2000"
        one.finalize()
        assert (await until_final(one))[-1].text == "ms1000"
        await asyncio.gather(one.aclose(), two.aclose())

    assert play(scene).broken_off == 1


def test_decoding_is_in_a_thread_of_its_own() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        stream.push(talk(1.0), 0)
        stream.finalize()
        await until_final(stream)
        await stream.aclose()

    model = play(scene)
    assert model.threads
    assert all(name.startswith("voicecore-stt") for name in model.threads)


def test_close_ends_the_iteration_and_refuses_more() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.hold = True
        stream.push(talk(1.0), 0)
        stream.finalize()
        reader = asyncio.create_task(until_final(stream))
        await model.wait_started()
        await stream.aclose()
        await stream.aclose()
        assert await reader == []
        for call in (stream.finalize, stream.discard, lambda: stream.push(talk(0.1), 0)):
            with pytest.raises(ClosedError, match="open a new one"):
                call()

    play(scene)


def test_a_failing_model_is_a_provider_error_not_silence() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        model.error = RuntimeError("out of memory")
        stream.push(talk(1.0), 0)
        stream.finalize()
        with pytest.raises(ProviderError, match=r"moonshine/tiny-en.*out of memory"):
            await until_final(stream)
        with pytest.raises(ProviderError):
            stream.push(talk(0.1), RATE)
        await stream.aclose()

    play(scene)


def test_closed_provider_fails_its_streams() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        stt.close()
        stream.push(talk(1.0), 0)
        stream.finalize()
        with pytest.raises(ProviderError, match="closed"):
            await until_final(stream)
        await stream.aclose()

    play(scene)


def test_a_provider_closed_while_a_decode_waits_fails_its_stream() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        model.hold = True
        first, second = await stt.open(RATE), await stt.open(RATE)
        first.push(talk(1.0), 0)
        first.finalize()
        await model.wait_started()
        second.push(talk(1.0), 0)
        second.finalize()
        await asyncio.sleep(0)  # its decode waits for the only thread
        stt.close()
        with pytest.raises(ProviderError, match="closed"):
            await asyncio.wait_for(until_final(second), 10)
        await asyncio.gather(first.aclose(), second.aclose())

    play(scene)


def test_wrong_input_says_what_is_wrong() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        with pytest.raises(RateError, match="24000"):
            await stt.open(24000)
        stream = await stt.open(RATE)
        wrong: Any
        for wrong in (np.zeros(10, np.float32), b"\0\0", [0, 0]):
            with pytest.raises(DtypeError, match="int16"):
                stream.push(wrong, 0)
        with pytest.raises(LengthError, match="mono"):
            stream.push(np.zeros((10, 2), np.int16), 0)
        stream.push(np.zeros(0, np.int16), 0)
        assert stream.usage.audio_ms == 0.0
        await stream.aclose()

    play(scene)


def test_overlapping_audio_counts_once() -> None:
    async def scene(model: ScriptedModel, stt: MoonshineStt) -> None:
        stream = await stt.open(RATE)
        speech = talk(1.0)
        stream.push(speech[:12000], 1000)
        stream.push(speech[8000:], 9000)
        assert stream.usage.audio_ms == 1000.0
        stream.finalize()
        assert (await until_final(stream))[-1].text == "ms1000"
        await stream.aclose()

    play(scene)


# -- the model -----------------------------------------------------------------------------


def test_tokenizer_reads_both_kinds_of_length() -> None:
    long = b"x" * 300
    data = b"\x02ab\x00" + bytes([300 % 128 + 128, 300 // 128]) + long
    assert read_tokenizer(data) == [b"ab", b"", long]


@pytest.mark.parametrize("data", [b"\x05ab", b"\x80", b"\x81\x01x"])
def test_truncated_tokenizer_is_an_error(data: bytes) -> None:
    with pytest.raises(DataError, match="reinstall"):
        read_tokenizer(data)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([5, 7, 7, 7, 7], [5, 7]),
        ([5, 1, 2, 1, 2, 1, 2], [5, 1, 2]),
        ([5, 7, 7], [5, 7, 7]),
        ([1, 2, 3], [1, 2, 3]),
        ([9, 9, 9], [9]),
        ([], []),
    ],
)
def test_loops_at_the_end_are_cut(tokens: list[int], kept: list[int]) -> None:
    assert strip_repeats(tokens) == kept


def test_missing_package_names_the_command(uninstalled: Callable[[str], None]) -> None:
    uninstalled("moonshine_voice")
    with pytest.raises(MissingModelError, match=r'pip install "moonshine-voice==0\.0\.73"'):
        MoonshineStt()


def test_package_without_weights_names_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from voicecore.providers.stt import moonshine as module

    monkeypatch.setattr(module, "package_dir", lambda name: tmp_path)
    with pytest.raises(MissingModelError, match=r"encoder_model\.ort.*moonshine-voice==0\.0\.73"):
        MoonshineStt()


def test_damaged_model_is_a_data_error(moonshine: MoonshineModel, tmp_path: Path) -> None:
    for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"):
        (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(DataError, match="reinstall"):
        MoonshineModel(tmp_path)


def test_stop_breaks_off_a_decode(moonshine: MoonshineModel) -> None:
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    assert moonshine.transcribe(talk(2.0).astype(np.float32) / 32768, stop) is None
    assert len(asked) == 3
    assert moonshine.transcribe(np.zeros(100, np.float32)) == ""


def read(path: Path, rate_hz: int) -> Pcm:
    pcm, rate = soundfile.read(path, dtype="int16")
    if rate == rate_hz:
        return pcm
    return np.asarray(voicecore.Resampler(rate, rate_hz).process(pcm))


def transcribe(moonshine: MoonshineModel, pcm: Pcm, rate_hz: int) -> SttEvent:
    async def run() -> SttEvent:
        stt = MoonshineStt(model=moonshine)
        stream = await stt.open(rate_hz)
        for at in range(0, len(pcm), rate_hz // 50):
            stream.push(pcm[at : at + rate_hz // 50], at)
        stream.finalize()
        event = (await until_final(stream))[-1]
        await stream.aclose()
        stt.close()
        return event

    return asyncio.run(run())


# Dickens, 1859: what is read in two_cities.wav.
TWO_CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it
was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the
season of light, it was the season of darkness, it was the spring of hope, it was the winter of
despair, we had everything before us, we had nothing before us, we were all going direct to heaven,
we were all going direct the other way. In short, the period was so far like the present period that
some of its noisiest authorities insisted on its being received, for good or for evil, in the
superlative degree of comparison only."""


@pytest.mark.parametrize(("rate_hz", "bound"), [(16000, 0.08), (8000, 0.12)])
def test_real_speech(
    moonshine: MoonshineModel,
    assets: Path,
    word_errors: Callable[[str, str], int],
    rate_hz: int,
    bound: float,
) -> None:
    """44 s of one reader in one utterance, cut into segments; word errors below the bound."""
    pcm = read(assets / "two_cities.wav", rate_hz)
    event = transcribe(moonshine, pcm, rate_hz)
    rate = word_errors(TWO_CITIES, event.text) / len(TWO_CITIES.split())
    assert rate <= bound, event.text
    edges = [edge for w in event.words for edge in (w.start_sample, w.end_sample)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= len(pcm)
    assert [w.text for w in event.words] == event.text.split()


CALLER = [
    "I would like to book a table for four people.",
    "Friday at half past seven, please.",
    "My name is Maria.",
    "No, for five people.",
    "Yes, that is right.",
    "What time is it?",
    "Thank you very much, goodbye.",
    "Tomorrow at eight.",
]


def test_a_caller_on_the_telephone(
    moonshine: MoonshineModel, hibari: Any, word_errors: Callable[[str, str], int]
) -> None:
    """What callers of the demo say, spoken by hibari, at 8 kHz: at most one word in ten wrong."""
    errors = words = 0
    for text in CALLER:
        spoken, _ = hibari.speak(text, 4800)
        wide = np.concatenate([spoken, np.zeros(4800, np.int16)])
        pcm = np.asarray(voicecore.Resampler(24000, 8000).process(wide))
        errors += word_errors(text, transcribe(moonshine, pcm, 8000).text)
        words += len(text.split())
    assert errors / words <= 0.1
