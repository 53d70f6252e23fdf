"""The playout of a FakeCall: positions and events of the native one (csrc/engine/vc_playout.h),
without samples. Levels, fades and the filler are no matter of positions and so are not here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from voicecore.errors import ConfigError, StateError
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    CallEvent,
    Ducked,
    MarkReached,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutPaused,
    PlayoutReplaced,
    PlayoutStarted,
    Unducked,
    WordReached,
)
from voicecore.media.ranges import within

__all__ = ["FakePlayout"]

_MAX_CONTROLS, _MAX_REPLACEMENTS, _MAX_MARKS, _KEPT_FREE = 64, 8, 256, 64


class FakePlayout:
    """A queue that is sent 20 ms at a time.

    Attributes:
        cursor, end: first play sample not sent, and the queue's end.
        sent: (stamp_ns, first play sample, samples) of every piece that was sent.
    """

    def __init__(self, config: CallConfig, emit: Callable[[CallEvent], None]) -> None:
        self._config = config
        self._emit = emit
        self._frame = config.play_hz // 50
        self._line_frame = config.rate_hz // 50
        self._prebuffer = config.play_hz * config.prebuffer_ms // 1000
        self.cursor = self.end = 0
        self.paused = self.ducked = False
        self.underruns = 0
        self.sent: list[tuple[int, int, int]] = []
        self._running = self._fade_out = self._fade_in = self._duck_changed = False
        self._segment_end = -1
        self._ticks = 0
        self._controls: deque[tuple[str, int]] = deque()
        # position, kind, number
        self._marks: deque[tuple[int, Literal["mark", "end", "word"], int]] = deque()
        self._replacements: deque[tuple[int, int]] = deque()

    @property
    def sounding(self) -> bool:
        """Agent audio sounds now."""
        return self._running and not self.paused

    # -- the loop's side -------------------------------------------------------------------

    def push(self, samples: int) -> int:
        """Queue what fits."""
        room = self._config.play_buffer_ms * self._config.play_hz // 1000
        taken = max(0, min(samples, room - (self.end - self.cursor)))
        self.end += taken
        return taken

    def push_words(self, words: list[tuple[int, int]], samples: int) -> int:
        """Queue what fits of audio in which words begin."""
        first = self.end
        taken = self.push(samples)
        for start, number in words:
            if start < taken and len(self._marks) < _MAX_MARKS - _KEPT_FREE:
                self._marks.append((first + start, "word", number))
        return taken

    def mark(self, mark_id: int | None) -> int:
        """A mark, or a segment's end, at the end of the queue."""
        if len(self._marks) >= _MAX_MARKS:
            raise StateError("256 marks are pending; wait until some were reached")
        self._marks.append((self.end, "end" if mark_id is None else "mark", mark_id or 0))
        return self.end

    def control(self, what: str) -> None:
        """Pause, resume, flush, duck or unduck, with the next tick."""
        if len(self._controls) >= _MAX_CONTROLS:
            raise StateError("64 controls are pending within 20 ms; call them less often")
        self._controls.append((what, self.end))

    def set_gain(self, gain_db: float, ramp_ms: int) -> None:
        """Checked as the native one does; there are no samples to change."""
        within("gain_db", gain_db, -60.0, 20.0)
        within("ramp_ms", ramp_ms, 0, 10_000)
        self.control("gain")

    def replace(self, first: int, samples: int) -> int:
        """Queue another source's samples in place of what is queued behind ``first``."""
        start = self.end
        if not 0 <= first <= start:
            raise ConfigError(f"from_position is {first}; it must be 0 to {start}, what is queued")
        taken = self.push(samples)
        if len(self._replacements) >= _MAX_REPLACEMENTS:
            raise StateError("8 replacements are pending; wait for PlayoutReplaced")
        self._replacements.append((first, start))
        return taken

    # -- the media thread's side -----------------------------------------------------------

    def pause_now(self) -> bool:
        """The gate's pause; False if it was paused."""
        if self.paused:
            return False
        self.paused, self._fade_out, self._fade_in = True, self._running, False
        return True

    def tick(self, now_ns: int) -> None:
        """Send the next 20 ms."""
        flushed = self._obey(now_ns)
        if self._duck_changed:
            self._duck_changed = False
            self._emit((Ducked if self.ducked else Unducked)(now_ns, self.cursor))
        if not self.paused:
            self._play(now_ns, flushed)
        elif self._fade_out:
            self._fade_out = False
            self._emit(PlayoutPaused(now_ns, self.cursor))
        self._ticks += 1

    def _obey(self, now_ns: int) -> int:
        """Returns how much of the packet is a flush's fade."""
        faded = 0
        while self._controls:
            what, position = self._controls.popleft()
            if what == "pause":
                self.pause_now()
            elif what == "resume" and self.paused:
                self._fade_in = self._running and not self._fade_out
                self.paused = self._fade_out = False
            elif what in ("duck", "unduck"):
                self._duck(what == "duck")
            elif what == "flush":
                faded = self._flush(position, now_ns)
        return faded

    def _duck(self, on: bool) -> None:
        if self.ducked != on:
            self.ducked, self._duck_changed = on, not self._duck_changed

    def _flush(self, position: int, now_ns: int) -> int:
        faded = 0
        if self._running and (not self.paused or self._fade_out):
            faded = min(self._config.play_hz * self._config.fade_ms // 1000, self.end - self.cursor)
        self._duck(False)
        while self._replacements and self._replacements[0][1] <= position:
            self._replacements.popleft()
        first, self.cursor = self.cursor, max(self.cursor, position)
        self._emit(PlayoutFlushed(now_ns, first, self.cursor))
        self._pass_marks(position, now_ns, flushed=True)
        self.paused = self._fade_out = self._fade_in = self._running = False
        return faded

    def _play(self, now_ns: int, at: int) -> None:
        taken = 0
        while at < self._frame:
            part = self._frame - at
            jump = self._next_jump(0)
            if jump is not None:
                ahead = jump[0] - self.cursor
                if ahead <= 0:
                    self._jump(jump[1], jump[2], now_ns)
                    continue
                part = min(part, ahead)
            if not self._running and not self._may_begin():
                break
            got = min(part, self.end - self.cursor)
            if got and (not self._running or (self._fade_in and not taken)):
                self._start(at, now_ns)
            if got:
                self.sent.append((now_ns, self.cursor, got))
            self.cursor += got
            taken += got
            at += got
            if got < part:
                break
        if taken:
            self._fade_in = False
        self._pass_marks(self.cursor, now_ns, flushed=False)
        if self._running and self.cursor == self.end:
            complete = self._segment_end == self.end
            if complete or at < self._frame:  # else it may still be fed in time
                self.underruns += not complete
                self._running = False
                self._emit(PlayoutDrained(now_ns, self.cursor, not complete))

    def _start(self, at: int, now_ns: int) -> None:
        self._running = True
        play_hz, rate_hz = self._config.play_hz, self._config.rate_hz
        sent = self._ticks * self._line_frame + at * rate_hz // play_hz
        packet_ns = now_ns + at * 1_000_000_000 // play_hz
        self._emit(PlayoutStarted(now_ns, self.cursor, packet_ns, sent))

    def _next_jump(self, skip: int) -> tuple[int, int, int] | None:
        """From, to, and of how many replacements that overlap it is made."""
        found = None
        for first, start in list(self._replacements)[skip:]:
            if found is None:
                found = (first, start, 1)
            elif first >= found[1]:
                break
            else:
                found = (min(first, found[0]), start, found[2] + 1)
        return found

    def _jump(self, start: int, count: int, now_ns: int) -> None:
        first, start = self.cursor, max(start, self.cursor)
        self._pass_marks(first, now_ns, flushed=False)
        self.cursor = start
        self._emit(PlayoutReplaced(now_ns, first, start))
        self._pass_marks(start, now_ns, flushed=True)
        for _ in range(count):
            self._replacements.popleft()

    def _may_begin(self) -> bool:
        jumps, skip, dropped = [], 0, 0
        while (jump := self._next_jump(skip)) is not None:
            first = max(jump[0], self.cursor)
            dropped += max(0, min(jump[1], self.end) - first)
            jumps.append((first, jump[1]))
            skip += jump[2]
        level = self.end - self.cursor - dropped
        return not 0 < level < self._prebuffer or any(
            kind == "end"
            and position > self.cursor
            and not any(first < position <= start for first, start in jumps)
            for position, kind, _ in self._marks
        )

    def _pass_marks(self, position: int, now_ns: int, *, flushed: bool) -> None:
        while self._marks:
            at, kind, number = self._marks[0]
            if at + (kind == "word") > position:
                return
            self._marks.popleft()
            if kind == "mark":
                self._emit(MarkReached(now_ns, number, at, flushed))
            elif kind == "word" and not flushed:
                self._emit(WordReached(now_ns, number, at))
            elif kind == "end" and not flushed:
                self._segment_end = at
