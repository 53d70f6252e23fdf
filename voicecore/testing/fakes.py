"""Scripted providers: say what they are told, after fixed delays, or fail as they are told.

Delays go through an injected ``sleep`` (seconds); on a virtual loop they take no real time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ProviderError
from voicecore.providers.base import (
    Llm,
    LlmStream,
    LlmUsage,
    Message,
    Stt,
    SttEvent,
    SttStream,
    SttUsage,
    Tts,
    TtsChunk,
    TtsContext,
    TtsUsage,
    TurnDetector,
    WordTime,
)

__all__ = ["FakeAnswer", "FakeLlm", "FakeStt", "FakeTts", "FakeTurn", "FakeUtterance"]

Sleep = Callable[[float], Awaitable[None]]
_FOREVER_S = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeUtterance:
    """What the STT makes of one segment.

    Attributes:
        text: the final.
        interims: (milliseconds after the first audio, text).
        final_ms: from ``finalize`` to the final.
        fail: "" or where the stream breaks: "push", "finalize", "silent" (no final ever comes).
    """

    text: str = ""
    interims: tuple[tuple[float, str], ...] = ()
    final_ms: float = 80.0
    fail: str = ""


class FakeStt(Stt):
    """An STT that knows its script.

    Args:
        script: one entry a segment; after the last, segments are empty.
        fail_opens: the first so many ``open`` calls fail.
        sleep: waits, in seconds.
        now_ns: the clock.
    """

    def __init__(
        self,
        script: Sequence[FakeUtterance | str] = (),
        *,
        fail_opens: int = 0,
        sleep: Sleep = asyncio.sleep,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = "fake/stt"
        self.script = [u if isinstance(u, FakeUtterance) else FakeUtterance(text=u) for u in script]
        self.fail_opens = fail_opens
        self.sleep = sleep
        self.now_ns = now_ns
        self.pushed: list[tuple[int, int]] = []  # (first sample, samples) of every push
        self.discards = 0
        self.streams = 0

    async def open(self, rate_hz: int) -> SttStream:
        """A stream, or a failure."""
        if self.fail_opens > 0:
            self.fail_opens -= 1
            raise ProviderError("fake/stt cannot be reached")
        self.streams += 1
        return _FakeSttStream(self, rate_hz)


class _FakeSttStream(SttStream):
    def __init__(self, stt: FakeStt, rate_hz: int) -> None:
        self._stt = stt
        self._rate_hz = rate_hz
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._utterance: FakeUtterance | None = None
        self._samples = 0

    def push(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        self._stt.pushed.append((first_sample, len(pcm)))
        self._samples += len(pcm)
        if self._utterance is None:
            self._utterance = self._stt.script.pop(0) if self._stt.script else FakeUtterance()
            for delay_ms, text in self._utterance.interims:
                self._later(delay_ms, "interim", text)
        if self._utterance.fail == "push":
            self._events.put_nowait(ProviderError("fake/stt broke while listening"))

    def finalize(self) -> None:
        utterance, self._utterance = self._utterance or FakeUtterance(), None
        self._drop_interims()
        if utterance.fail == "finalize":
            self._events.put_nowait(ProviderError("fake/stt broke at the end"))
        elif utterance.fail != "silent":
            self._later(utterance.final_ms, "final", utterance.text)

    def discard(self) -> None:
        self._stt.discards += 1
        self._utterance = None
        self._drop_interims()

    def _drop_interims(self) -> None:
        for task in self._tasks:
            if task.get_name() == "fake-stt-interim":
                task.cancel()

    def _later(self, delay_ms: float, kind: str, text: str) -> None:
        async def come() -> None:
            await self._stt.sleep(delay_ms / 1000)
            made = SttEvent("final" if kind == "final" else "interim", text, self._stt.now_ns())
            self._events.put_nowait(made)

        task = asyncio.get_running_loop().create_task(come(), name=f"fake-stt-{kind}")
        self._tasks.append(task)

    async def __aiter__(self) -> AsyncIterator[SttEvent]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            if isinstance(event, ProviderError):
                raise event
            yield event

    @property
    def usage(self) -> SttUsage:
        return SttUsage(self._samples * 1000 / self._rate_hz)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._events.put_nowait(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    """One answer of the language model.

    Attributes:
        text: given out word by word.
        first_ms: before the first word.
        word_ms: between words.
        ends_call: the agent hangs up after it.
        fail_after: words before it fails; None for never.
        stall_after: words before it hangs for good; None for never.
    """

    text: str = ""
    first_ms: float = 100.0
    word_ms: float = 5.0
    ends_call: bool = False
    fail_after: int | None = None
    stall_after: int | None = None


class FakeLlm(Llm):
    """A language model that knows its answers; after the last it says "Okay.".

    Args:
        answers: in order.
        sleep: waits, in seconds.
    """

    def __init__(
        self, answers: Sequence[FakeAnswer | str] = (), *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.name = "fake/llm"
        self.answers = [a if isinstance(a, FakeAnswer) else FakeAnswer(text=a) for a in answers]
        self.sleep = sleep
        self.requests: list[list[Message]] = []
        self.cancelled = 0

    def stream(self, messages: Sequence[Message]) -> LlmStream:
        """The next answer."""
        self.requests.append(list(messages))
        answer = self.answers.pop(0) if self.answers else FakeAnswer(text="Okay.")
        return _FakeLlmStream(self, answer, sum(len(m.text.split()) for m in messages))


class _FakeLlmStream(LlmStream):
    def __init__(self, llm: FakeLlm, answer: FakeAnswer, input_tokens: int) -> None:
        self._llm = llm
        self._answer = answer
        self._input_tokens = input_tokens
        self._given = 0
        self._cancelled = False

    async def __aiter__(self) -> AsyncIterator[str]:
        answer = self._answer
        await self._llm.sleep(answer.first_ms / 1000)
        for word in answer.text.split() or [""]:
            if self._given == answer.fail_after:
                raise ProviderError("fake/llm broke")
            if self._given == answer.stall_after:
                await self._llm.sleep(_FOREVER_S)
            yield word if not self._given else f" {word}"
            self._given += 1
            await self._llm.sleep(answer.word_ms / 1000)

    async def cancel(self) -> None:
        if not self._cancelled:
            self._llm.cancelled += 1
        self._cancelled = True

    @property
    def usage(self) -> LlmUsage:
        return LlmUsage(self._input_tokens, self._given, estimated=self._cancelled)

    @property
    def ends_call(self) -> bool:
        return self._answer.ends_call


class FakeTts(Tts):
    """A TTS that speaks a tone a word: sample-exact word times, one chunk a word.

    Args:
        rate_hz: of the audio.
        first_ms: from a complete sentence to its first chunk.
        word_ms: audio of each word; the last 10 ms of it are silent.
        lead_in_ms: silence before the first word of an answer.
        stall_ms: the lead-in is a chunk of its own, and the first word comes that much later.
        words: whether word times are given.
        fail_contexts: numbers (from 0) of the contexts that fail, or "all".
        fail_after: chunks that a failing context still gives.
        sleep: waits, in seconds.
        now_ns: the clock.
    """

    def __init__(
        self,
        rate_hz: int = 24000,
        *,
        first_ms: float = 60.0,
        word_ms: int = 200,
        lead_in_ms: int = 0,
        stall_ms: float = 0.0,
        words: bool = True,
        fail_contexts: Sequence[int] | str = (),
        fail_after: int = 0,
        sleep: Sleep = asyncio.sleep,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = "fake/tts"
        self.rate_hz = rate_hz
        self.first_ms = first_ms
        self.word_samples = rate_hz * word_ms // 1000
        self.lead_in_samples = rate_hz * lead_in_ms // 1000
        self.stall_ms = stall_ms
        self.words = words
        self.fail_contexts = fail_contexts
        self.fail_after = fail_after
        self.sleep = sleep
        self.now_ns = now_ns
        self.contexts = 0
        self.cancelled = 0

    async def open(self) -> TtsContext:
        """The next context."""
        number = self.contexts
        self.contexts += 1
        fails = self.fail_contexts == "all" or number in self.fail_contexts
        return _FakeTtsContext(self, fails)


class _FakeTtsContext(TtsContext):
    def __init__(self, tts: FakeTts, fails: bool) -> None:
        self._tts = tts
        self._fails = fails
        self._text = ""
        self._due = ""  # complete sentences
        self._ended = False
        self._cancelled = False
        self._wake = asyncio.Event()
        self._characters = 0
        self._at = 0

    def append(self, text: str) -> None:
        self._text += text
        self._characters += len(text)
        end = max(self._text.rfind(mark) for mark in ".!?") + 1
        self._due, self._text = self._due + self._text[:end], self._text[end:]
        self._wake.set()

    def flush(self) -> None:
        self._due, self._text = self._due + self._text, ""
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self.flush()

    async def __aiter__(self) -> AsyncIterator[TtsChunk]:
        tts = self._tts
        made = 0
        while not self._cancelled:
            words, self._due = self._due.split(), ""
            if not words:
                if self._ended:
                    break
                self._wake.clear()
                await self._wake.wait()
                continue
            await tts.sleep(tts.first_ms / 1000)
            for word in words:
                if self._fails and made >= tts.fail_after:
                    raise ProviderError("fake/tts broke")
                lead_in = tts.lead_in_samples if not self._at else 0
                if lead_in and tts.stall_ms:
                    yield TtsChunk(np.zeros(lead_in, np.int16), (), tts.now_ns())
                    await tts.sleep(tts.stall_ms / 1000)
                    self._at, lead_in = lead_in, 0
                start, self._at = self._at + lead_in, self._at + lead_in + tts.word_samples
                pcm = np.zeros(self._at - start + lead_in, np.int16)
                silent = tts.rate_hz // 100
                tone = np.arange(tts.word_samples - silent) * (2 * np.pi * 400 / tts.rate_hz)
                pcm[lead_in:-silent] = np.round(8000 * np.cos(tone))
                times = (WordTime(word, start, self._at),) if tts.words else ()
                yield TtsChunk(pcm, times, tts.now_ns())
                made += 1
                await tts.sleep(0.002)

    async def cancel(self) -> None:
        if not self._cancelled:
            self._tts.cancelled += 1
        self._cancelled = True
        self._wake.set()

    @property
    def usage(self) -> TtsUsage:
        return TtsUsage(self._characters, self._at * 1000 / self._tts.rate_hz)


class FakeTurn(TurnDetector):
    """A turn detector that knows its verdicts; after the last it says 1.

    Args:
        script: probabilities; an exception is raised instead.
        delay_ms: of each.
        sleep: waits, in seconds.
    """

    def __init__(
        self,
        script: Sequence[float | Exception] = (),
        *,
        delay_ms: float = 20.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = "fake/turn"
        self.script = list(script)
        self.delay_ms = delay_ms
        self.sleep = sleep
        self.asked: list[int] = []  # samples that were given each time

    async def predict(self, pcm: NDArray[np.int16], rate_hz: int) -> float:
        """The next verdict."""
        self.asked.append(len(pcm))
        verdict = self.script.pop(0) if self.script else 1.0
        await self.sleep(self.delay_ms / 1000)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict
