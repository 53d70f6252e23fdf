"""A call without media: the Call API on a 20 ms grid of the running loop's time.

For tests of what sits on a call. Speech is scripted, no VAD runs: it is reported as the engine
would, after 64 ms of speech and 192 ms of silence, and the barge-in gate fires after 96 ms.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ClosedError
from voicecore.media._call import check_words
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    BargedIn,
    CallClosed,
    CallEvent,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.media.gate import GateSettings
from voicecore.media.text_cursor import PlayTimeline
from voicecore.testing.fake_playout import FakePlayout

__all__ = ["FakeCall"]

_TICK_NS = 20_000_000
_GATE_MS = 96


class FakeCall:
    """A scripted caller's end of the line.

    Args:
        now_ns: the loop's clock.
        config: settings; rates, buffer, gate and VAD times are used.

    Attributes:
        sent: (stamp_ns, first play sample, samples) of every packet with agent audio.
    """

    def __init__(self, now_ns: Callable[[], int], config: CallConfig | None = None) -> None:
        self.config = config or CallConfig(codec="l16", rate_hz=16000, play_hz=24000)
        self.rate_hz = self.config.rate_hz
        self.play_hz = self.config.play_hz
        self.timeline = PlayTimeline(self.play_hz, self.rate_hz)
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._ticks = 0
        self._events: deque[CallEvent] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        # receive side
        self._speech: list[tuple[int, int]] = []
        self._speaking: tuple[int, int] | None = None
        self._gate_fired = self._thinking = False
        self._received = 0
        self._read = 0
        # send side
        self._playout = FakePlayout(self.config, self.emit)
        self.sent = self._playout.sent
        self._flushes = 0
        self._room = asyncio.Event()
        self._schedule()

    # -- the script ------------------------------------------------------------------------

    def speak(self, duration_ms: int, *, in_ms: int = 0) -> None:
        """The caller speaks for ``duration_ms``, beginning ``in_ms`` from now."""
        begin = self._received + in_ms * self.rate_hz // 1000
        self._speech.append((begin, begin + duration_ms * self.rate_hz // 1000))

    def emit(self, event: CallEvent) -> None:
        """Report an event as the engine would."""
        self.timeline.take(event)
        self._events.append(event)
        self._wake.set()

    def hang_up(self) -> None:
        """The caller hangs up."""
        if not self._closed:
            self._closed = True
            self._room.set()
            self.emit(CallClosed(self._now_ns()))

    def sample_ns(self, sample: int) -> int:
        """When a received sample arrived."""
        return self._start_ns + _TICK_NS + sample * 1_000_000_000 // self.rate_hz

    # -- the grid --------------------------------------------------------------------------

    def _schedule(self) -> None:
        due_ns = self._start_ns + (self._ticks + 1) * _TICK_NS
        delay_s = max(0, due_ns - self._now_ns()) / 1e9
        asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        if self._closed:
            return
        self._ticks += 1
        self._received += self.rate_hz // 50
        self._listen()
        self._playout.tick(self._now_ns())
        if self.queued_ms * 2 <= self.config.play_buffer_ms:
            self._room.set()
        self._schedule()

    def _listen(self) -> None:
        def ms(value: int) -> int:
            return value * self.rate_hz // 1000

        now = self._now_ns()
        for begin, end in self._speech:
            begun = self._received >= begin + ms(self.config.min_speech_ms)
            over = self._received >= end + ms(self.config.min_silence_ms)
            if self._speaking is None and begun and not over:
                self._speaking, self._gate_fired = (begin, end), False
                self.emit(SpeechStarted(now, begin, self.sample_ns(begin)))
        if self._speaking is None:
            return
        begin, end = self._speaking
        if self._received >= end + ms(self.config.min_silence_ms):
            self._speech.remove(self._speaking)
            self._speaking = None
            self.emit(SpeechStopped(now, end, self.sample_ns(end)))
        elif (
            self.config.barge_in
            and not self._gate_fired
            and self._gate.action == "pause"
            and self._received >= begin + ms(max(_GATE_MS, self._gate.min_speech_ms))
        ):
            self._gate_fired = True
            if self._playout.pause_now():
                self.emit(BargedIn(now, begin, self._playout.cursor, self.sample_ns(begin)))

    @property
    def _gate(self) -> GateSettings:
        if self._playout.sounding:
            return self.config.speaking
        return self.config.thinking if self._thinking else self.config.listening

    # -- the Call API ----------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[CallEvent]:
        """Events until the call is closed."""
        while True:
            while self._events:
                event = self._events.popleft()
                yield event
                if isinstance(event, CallClosed):
                    return
            self._wake.clear()
            await self._wake.wait()

    def read_audio(self) -> tuple[NDArray[np.int16], int]:
        """A tone where the caller speaks, silence elsewhere."""
        self._check()
        first, self._read = self._read, self._received
        pcm = np.zeros(self._read - first, np.int16)
        spans = [*self._speech, *([self._speaking] if self._speaking else [])]
        for begin, end in spans:
            at = np.arange(max(begin, first), min(end, self._read))
            pcm[at - first] = np.round(8000 * np.cos(at * (2 * np.pi * 300 / self.rate_hz)))
        return pcm, first

    def play(self, pcm: NDArray[np.int16]) -> int:
        """Queue what fits."""
        self._check()
        return self._playout.push(len(pcm))

    def play_words(self, pcm: NDArray[np.int16], words: Iterable[tuple[int, int]]) -> int:
        """Queue what fits; ``WordReached`` comes for each word."""
        self._check()
        return self._playout.push_words(check_words(words, len(pcm)), len(pcm))

    async def play_all(self, pcm: NDArray[np.int16]) -> None:
        """Queue all of it, waiting for room; stops quietly when a flush comes."""
        flushes = self._flushes
        while True:
            pcm = pcm[self.play(pcm) :]
            if not len(pcm):
                return
            self._room.clear()
            await self._room.wait()
            if self._flushes != flushes or self._closed:
                return

    def end_segment(self) -> None:
        """The audio queued so far is complete."""
        self._check()
        self._playout.mark(None)

    def mark(self, mark_id: int) -> int:
        """A mark at the end of the queue."""
        self._check()
        return self._playout.mark(mark_id)

    def set_thinking(self, thinking: bool) -> None:
        """Which settings the gate uses while nothing sounds."""
        self._check()
        self._thinking = thinking

    def pause(self) -> None:
        """Freeze the playout."""
        self._check()
        self._playout.control("pause")

    def resume(self) -> None:
        """Go on at the exact sample."""
        self._check()
        self._playout.control("resume")

    def flush(self) -> None:
        """Throw away what is queued; the play timeline jumps over it."""
        self._check()
        self._flushes += 1
        self._room.set()
        self._playout.control("flush")

    def replace(self, from_position: int, pcm: NDArray[np.int16]) -> int:
        """Another source takes over at a play sample."""
        self._check()
        return self._playout.replace(from_position, len(pcm))

    def set_gain(self, gain_db: float, ramp_ms: int = 20) -> None:
        """Checked; there are no samples to change."""
        self._check()
        self._playout.set_gain(gain_db, ramp_ms)

    def duck(self) -> None:
        """``Ducked`` comes with the next tick."""
        self._check()
        self._playout.control("duck")

    def unduck(self) -> None:
        """``Unducked`` comes with the next tick."""
        self._check()
        self._playout.control("unduck")

    def play_sample_at(self, stamp_ns: int) -> int | None:
        """The play sample on the wire at a moment."""
        elapsed = (stamp_ns - self._start_ns - _TICK_NS) * self.rate_hz // 1_000_000_000
        return self.timeline.play_sample(elapsed) if elapsed >= 0 else None

    @property
    def queued_ms(self) -> float:
        """Agent audio queued and not yet sent."""
        return (self._playout.end - self._playout.cursor) * 1000 / self.play_hz

    @property
    def queue_position(self) -> int:
        """Play sample that the next ``play`` starts at."""
        self._check()
        return self._playout.end

    @property
    def play_position(self) -> int:
        """First play sample not yet sent."""
        self._check()
        return self._playout.cursor

    async def close(self) -> None:
        """End the call."""
        self.hang_up()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the call is closed; open a new one")
