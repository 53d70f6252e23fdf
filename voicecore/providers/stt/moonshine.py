"""The embedded speech-to-text provider: Moonshine tiny (English), on this machine.

The model has no streaming mode, and needs none: a decode costs about 3 % of the audio's length, so
the growing segment is decoded again every 250 ms or so while the caller speaks, always one decode
at a time, and never one queued behind another. When the speech has been quiet for 100 ms what was
said is decoded at once; if nothing more is said, the final is that text and costs no decode.

A finalize breaks off a running interim between two tokens (about 2 ms), after the encoder at the
latest (about 40 % of the decode), unless that interim already holds all the audio.

Word times are estimated: spread over the voiced audio by the words' length.
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

from voicecore.errors import ClosedError, DtypeError, LengthError, ProviderError, RateError
from voicecore.providers._models import package_dir, require_files
from voicecore.providers._worker import PriorityWorker
from voicecore.providers.base import Stt, SttEvent, SttStream, SttUsage
from voicecore.providers.stt._moonshine_model import FILES, MoonshineModel
from voicecore.providers.stt._utterance import RATE_HZ, Decode, Utterance

__all__ = ["INSTALL", "MoonshineStt", "moonshine_dir"]

INSTALL = 'pip install "moonshine-voice==0.0.73"'
_LOOK_EVERY = RATE_HZ // 20  # samples between two looks at what could be decoded


def moonshine_dir() -> Path:
    """Where the model's files lie.

    Raises:
        MissingModelError: not installed, or a version without the weights.
    """
    package = package_dir("moonshine_voice")
    directory = None if package is None else package / "assets" / "tiny-en"
    return require_files(directory, FILES, "speech to text (Moonshine tiny-en)", INSTALL)


class MoonshineStt(Stt):
    """Moonshine tiny-en; the model is loaded once and shared by all streams.

    Args:
        threads: decodes that may run at once, over all calls; each uses one core.
        clock_ns: stamps of the events.
        model: a loaded model; by default it is loaded on first use, or by :meth:`load`.

    Raises:
        MissingModelError: the model is not installed.

    Example:
        stt = MoonshineStt()
        stream = await stt.open(8000)
        stream.push(pcm, first_sample=0)
        stream.finalize()
        async for event in stream: ...
    """

    name = "moonshine/tiny-en"

    def __init__(
        self,
        threads: int = 1,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        model: MoonshineModel | None = None,
    ) -> None:
        self._directory = None if model is not None else moonshine_dir()
        self._model = model
        self._lock = threading.Lock()
        self._worker = PriorityWorker("voicecore-stt", threads)
        self._clock_ns = clock_ns

    def load(self) -> MoonshineModel:
        """Load the model now if it is not loaded; blocks for about half a second."""
        with self._lock:
            if self._model is None:
                assert self._directory is not None
                self._model = MoonshineModel(self._directory)
            return self._model

    async def open(self, rate_hz: int) -> SttStream:
        """A stream for one call.

        Raises:
            RateError: the rate is neither 8000 nor 16000.
        """
        if rate_hz not in (8000, 16000):
            raise RateError(f"MoonshineStt takes 8000 or 16000 Hz, not {rate_hz}; resample first")
        model = self._model
        if model is None:
            model = await asyncio.wrap_future(self._worker.submit(self.load))
        return _MoonshineStream(model, self._worker, rate_hz, self._clock_ns)

    def close(self) -> None:
        """Let the threads end; open streams fail. Idempotent."""
        self._worker.close()


class _MoonshineStream(SttStream):
    """One call's transcription; all methods are called on one event loop."""

    def __init__(
        self,
        model: MoonshineModel,
        worker: PriorityWorker,
        rate_hz: int,
        clock_ns: Callable[[], int],
    ) -> None:
        self._model = model
        self._worker = worker
        self._rate_hz = rate_hz
        self._clock_ns = clock_ns
        self._resampler: Any = None
        if rate_hz != RATE_HZ:
            from voicecore.media._resample import Resampler

            self._resampler = Resampler(rate_hz, RATE_HZ)
        self._utterance = Utterance(rate_hz)
        self._finishing: deque[Utterance] = deque()
        self._running: tuple[Utterance, Decode] | None = None  # an interim's decode only
        self._break_off = threading.Event()
        self._unseen = 0
        self._shown = ""
        self._samples = 0
        self._wake = asyncio.Event()
        self._events: deque[tuple[Utterance, SttEvent]] = deque()
        self._have_event = asyncio.Event()
        self._failure: ProviderError | None = None
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="moonshine-stream")

    def _next_utterance(self) -> None:
        if self._resampler is not None:
            self._resampler.reset()
        self._utterance = Utterance(self._rate_hz)
        self._shown = ""

    # -- the contract ----------------------------------------------------------------------

    def push(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        self._check_open()
        if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16:
            raise DtypeError("push takes a numpy int16 array (mono)")
        if pcm.ndim != 1:
            raise LengthError(f"push takes mono audio of shape (n,), not {pcm.shape}")
        overlap = -self._utterance.gap(first_sample)
        if overlap > 0:  # heard before
            pcm, first_sample = pcm[overlap:], first_sample + overlap
        if not len(pcm):
            return
        self._samples += len(pcm)
        wide = pcm if self._resampler is None else self._resampler.process(pcm)
        self._utterance.push(wide, first_sample)
        self._unseen += len(wide)
        if self._unseen >= _LOOK_EVERY:
            self._wake.set()

    def finalize(self) -> None:
        self._check_open()
        self._finishing.append(self._utterance)
        self._next_utterance()
        if self._running is not None:
            utterance, decode = self._running
            mine = utterance is self._finishing[0]
            if not (mine and utterance.answers_final(decode)):
                self._break_off.set()
        self._wake.set()

    def discard(self) -> None:
        self._check_open()
        dropped = self._utterance
        if self._running is not None and self._running[0] is dropped:
            self._break_off.set()
        self._events = deque(e for e in self._events if e[0] is not dropped)
        self._next_utterance()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._iterate()

    @property
    def usage(self) -> SttUsage:
        return SttUsage(audio_ms=self._samples * 1000 / self._rate_hz)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._break_off.set()
        self._have_event.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise ClosedError("the STT stream was closed; open a new one")

    async def _iterate(self) -> AsyncIterator[SttEvent]:
        while True:
            if self._closed:
                return
            if self._events:
                yield self._events.popleft()[1]
                continue
            if self._failure is not None:
                raise self._failure
            self._have_event.clear()
            await self._have_event.wait()

    async def _run(self) -> None:
        try:
            while True:
                self._wake.clear()
                self._unseen = 0
                if not await self._step():
                    await self._wake.wait()
        except Exception as error:
            self._failure = ProviderError(f"{MoonshineStt.name}: {type(error).__name__}: {error}")
            self._failure.__cause__ = error
            self._have_event.set()

    async def _step(self) -> bool:
        """Do one thing; False if there is nothing to do until more comes in."""
        if self._finishing:
            utterance = self._finishing[0]
            decode = utterance.last_decode()
            if decode is None:
                self._finishing.popleft()
                self._post(utterance, "final")
            else:
                await self._decode(utterance, decode, urgent=True)
            return True
        utterance = self._utterance
        decode = utterance.next_decode()
        if decode is None:
            return False
        known = await self._decode(utterance, decode, urgent=False)
        if known and utterance is self._utterance and decode.show:
            text = utterance.text
            if text and text != self._shown:
                self._shown = text
                self._post(utterance, "interim")
        return True

    async def _decode(self, utterance: Utterance, decode: Decode, urgent: bool) -> bool:
        """Run one decode in the worker and keep its text; False if it was broken off."""
        audio = utterance.audio(decode)
        break_off = self._break_off
        break_off.clear()

        def stop() -> bool:
            return break_off.is_set() or (not urgent and self._worker.urgent_waiting())

        self._running = None if urgent else (utterance, decode)
        try:
            job = self._worker.submit(lambda: self._model.transcribe(audio, stop), urgent=urgent)
            text = await asyncio.wrap_future(job)
        finally:
            self._running = None
        if text is None:
            return False
        utterance.apply(decode, text)
        return True

    def _post(self, utterance: Utterance, kind: str) -> None:
        # A newer interim replaces one that nobody took: at most one waits.
        if self._events:
            waiting, event = self._events[-1]
            if waiting is utterance and event.kind == "interim":
                self._events.pop()
        event = SttEvent(
            "final" if kind == "final" else "interim",
            utterance.text,
            self._clock_ns(),
            utterance.words(),
        )
        self._events.append((utterance, event))
        self._have_event.set()
