"""The embedded text-to-speech provider: hibari-tts, voice "heart", on this machine.

Sentence by sentence: a piece of text is cut off the stream as soon as it is complete (the first one
at a comma already, if it is long), made in a worker thread at over 100 times real time, and handed
on whole. hibari puts 0.2-0.35 s of digital silence before the speech and about as much after it.
The silence before the first word would be response time, so it is cut to 20 ms; between pieces a
pause is put in by rule; after the last word 60 ms remain.

Word times are estimated: spread over the voiced audio by the number of phonemes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ClosedError, DataError, MissingModelError, ProviderError
from voicecore.providers._models import import_onnxruntime, package_dir, require_files
from voicecore.providers._worker import PriorityWorker
from voicecore.providers.base import Tts, TtsChunk, TtsContext, TtsUsage, WordTime
from voicecore.providers.text import (
    SentenceSplitter,
    frame_levels_db,
    spread_words,
    voiced_spans,
    word_weight,
)

__all__ = ["INSTALL", "HibariTts", "hibari_dir", "trim"]

INSTALL = 'pip install "hibari-tts==0.2.1"'
RATE_HZ = 24000
_FRAME = RATE_HZ // 200  # 5 ms
_MS = RATE_HZ // 1000
_LEAD = 20 * _MS
_TAIL = 60 * _MS
_PAUSE_SENTENCE = 260 * _MS
_PAUSE_CLAUSE = 110 * _MS
_QUIET_BELOW_PEAK_DB = 42.0
_MAX_READY = 8  # chunks made ahead of the reader; then synthesis waits


def hibari_dir() -> Path:
    """Where the model's files lie.

    Raises:
        MissingModelError: the package is not installed or incomplete.
    """
    package = package_dir("hibari")
    names = ("assets/hibari.onnx", "assets/voices.json", "assets/vocab.json")
    return require_files(package, names, "text to speech (hibari-tts)", INSTALL)


def trim(
    audio: NDArray[np.float32], lead_samples: int, tail_samples: int
) -> tuple[NDArray[np.int16], list[tuple[int, int]]]:
    """24 kHz float32 speech as int16 with just ``lead_samples`` and ``tail_samples`` around it.

    Silence is added where there is less. Also the voiced spans, in samples of the result; both are
    empty if there is no sound in it.
    """
    scaled = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype(np.int16)
    pcm = np.concatenate([scaled, np.zeros(-len(scaled) % _FRAME, np.int16)])
    levels = frame_levels_db(pcm, _FRAME)
    if not len(levels) or levels.max() < -70.0:
        return np.zeros(0, np.int16), []
    threshold = float(levels.max()) - _QUIET_BELOW_PEAK_DB
    spans = voiced_spans(levels, _FRAME, threshold, 18)
    first, last = spans[0][0], spans[-1][1]
    start, end = max(first - lead_samples, 0), min(last + tail_samples, len(pcm))
    lead_zeros = lead_samples - (first - start)
    out = np.zeros(lead_samples + (last - first) + tail_samples, np.int16)
    out[lead_zeros : lead_zeros + end - start] = pcm[start:end]
    shift = lead_samples - first
    return out, [(a + shift, b + shift) for a, b in spans]


class HibariTts(Tts):
    """hibari "heart" (American English); the model is loaded once and shared by all contexts.

    Args:
        threads: pieces that may be made at once, over all calls; each uses one core.
        speed: 1.0 as it is, 0.5 slow to 2.0 fast.
        clock_ns: stamps of the chunks.

    Raises:
        MissingModelError: the package is not installed.

    Example:
        tts = HibariTts()
        context = await tts.open()
        context.append("Good evening. What can I do for you?")
        context.end()
        async for chunk in context: ...
    """

    name = "hibari/heart"
    rate_hz = RATE_HZ

    def __init__(
        self,
        threads: int = 1,
        speed: float = 1.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        hibari_dir()
        self._speed = speed
        self._clock_ns = clock_ns
        self._engine: Any = None
        self._lock = threading.Lock()
        self._worker = PriorityWorker("voicecore-tts", threads)

    def load(self) -> None:
        """Load the model now if it is not loaded; blocks for about a second."""
        with self._lock:
            if self._engine is not None:
                return
            import_onnxruntime("text to speech (hibari-tts)")
            try:
                from hibari import Hibari
            except ImportError as error:
                raise MissingModelError(
                    f"text to speech: hibari cannot be imported ({error}). Run: {INSTALL}"
                ) from error
            try:
                engine = Hibari(voice="heart", threads=1)
                engine("One moment, please.", seed=0)  # loads the lexicon, warms the buffers
            except Exception as error:
                raise DataError(
                    f"text to speech: hibari cannot be loaded ({error}). Run: {INSTALL}"
                ) from error
            self._engine = engine

    async def open(self) -> TtsContext:
        """A context for one answer."""
        if self._engine is None:
            await asyncio.wrap_future(self._worker.submit(self.load))
        return _HibariContext(self, self._worker, self._clock_ns)

    def close(self) -> None:
        """Let the threads end; open contexts fail. Idempotent."""
        self._worker.close()

    def speak(self, text: str, lead_samples: int) -> tuple[NDArray[np.int16], list[WordTime]]:
        """One piece of text as trimmed audio, and its words on the piece's own timeline. Blocks."""
        engine = self._engine
        phonemes = engine.phonemize(text)
        rng = np.random.default_rng(0)  # the noise part of the voice: the same audio every time
        parts = [engine.from_ids(engine.ids(p), self._speed, rng) for p in phonemes]
        if not parts:
            return np.zeros(0, np.int16), []
        pcm, spans = trim(np.concatenate(parts), lead_samples, _TAIL)
        weights = _phoneme_weights(text, " ".join(phonemes))
        return pcm, [WordTime(w, a, b, True) for w, a, b in spread_words(text, spans, weights)]


def _phoneme_weights(text: str, phonemes: str) -> list[float]:
    """How long each word takes: its phonemes, if there is one group of them a word."""
    words, groups = text.split(), phonemes.split()
    if len(words) != len(groups):
        return [word_weight(word) for word in words]
    # Capitals stand for diphthongs in hibari's alphabet, ː for length.
    return [
        0.6 + sum(1.0 + (c.isascii() and c.isupper()) * 0.7 for c in group if c.isalnum())
        for group in groups
    ]


class _HibariContext(TtsContext):
    """One answer; all methods are called on one event loop."""

    def __init__(self, tts: HibariTts, worker: PriorityWorker, clock_ns: Callable[[], int]) -> None:
        self._tts = tts
        self._worker = worker
        self._clock_ns = clock_ns
        self._splitter = SentenceSplitter()
        self._pieces: deque[str] = deque()
        self._chunks: deque[TtsChunk] = deque()
        self._work = asyncio.Event()
        self._ready = asyncio.Event()
        self._ended = False
        self._finished = False
        self._failure: ProviderError | None = None
        self._characters = 0
        self._samples = 0
        self._task = asyncio.get_running_loop().create_task(self._run(), name="hibari-context")

    # -- the contract ----------------------------------------------------------------------

    def append(self, text: str) -> None:
        self._check_open()
        self._give(self._splitter.push(text))

    def flush(self) -> None:
        self._check_open()
        self._give(self._splitter.flush())

    def end(self) -> None:
        if self._ended:
            return
        self.flush()
        self._ended = True
        self._work.set()

    def __aiter__(self) -> AsyncIterator[TtsChunk]:
        return self._iterate()

    async def cancel(self) -> None:
        self._ended = self._finished = True
        self._pieces.clear()
        self._chunks.clear()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._ready.set()

    @property
    def usage(self) -> TtsUsage:
        return TtsUsage(self._characters, self._samples * 1000 / RATE_HZ)

    # -- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise ClosedError("the TTS context was ended; open a new one")

    def _give(self, pieces: list[str]) -> None:
        self._pieces.extend(pieces)
        if pieces:
            self._work.set()

    async def _iterate(self) -> AsyncIterator[TtsChunk]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._work.set()
                yield chunk
            if self._failure is not None:
                raise self._failure
            if self._finished:
                return
            self._ready.clear()
            await self._ready.wait()

    async def _run(self) -> None:
        try:
            lead = _LEAD
            while True:
                self._work.clear()
                if self._pieces and len(self._chunks) < _MAX_READY:
                    lead = await self._speak(self._pieces.popleft(), lead)
                elif self._ended and not self._pieces:
                    break
                else:
                    await self._work.wait()
        except Exception as error:
            self._failure = ProviderError(f"{HibariTts.name}: {type(error).__name__}: {error}")
            self._failure.__cause__ = error
        self._finished = True
        self._ready.set()

    async def _speak(self, text: str, lead: int) -> int:
        """Make one piece; the silence that belongs before the next one."""
        self._characters += len(text)
        # The first piece of an answer is what the caller waits for.
        urgent = self._samples == 0
        job = self._worker.submit(lambda: self._tts.speak(text, lead), urgent=urgent)
        pcm, words = await asyncio.wrap_future(job)
        if not len(pcm):
            return lead
        timed = tuple(
            WordTime(w.text, w.start_sample + self._samples, w.end_sample + self._samples, True)
            for w in words
        )
        self._samples += len(pcm)
        self._chunks.append(TtsChunk(pcm, timed, self._clock_ns()))
        self._ready.set()
        pause = _PAUSE_SENTENCE if text.rstrip("\"”’')]")[-1:] in ".!?…" else _PAUSE_CLAUSE
        return max(pause - _TAIL, _LEAD)
