"""The audio of one utterance, and what has to be decoded of it next. Pure: no clock, no threads.

An utterance is a row of segments. Only the last one grows and is decoded again and again; when it
gets long, or a pause comes, its text is kept for good and the next segment starts, since the cost
of a decode grows with the length of the segment. Levels are kept per 10 ms frame; a frame is quiet
if it is 32 dB below the loudest of its segment.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicecore.providers.base import WordTime
from voicecore.providers.text import frame_levels_db, spread_words, voiced_spans

__all__ = ["Decode", "Utterance"]

RATE_HZ = 16000
FRAME = RATE_HZ // 100  # 10 ms
_MS = RATE_HZ // 1000

_SHORTEST = 300 * _MS  # less audio than this is no utterance
_LEAST_VOICED_FRAMES = 12  # a click or a breath is shorter, "no" is not
_FIRST_INTERIM = 550 * _MS
_SHOW = 450 * _MS  # less speech than this gives guesses; they are kept for the final only
_INTERIM_EVERY = 250 * _MS  # and at least a twelfth of the segment, since a decode costs more then
_EAGER_QUIET = 100 * _MS  # after this much quiet the speech so far is decoded at once
_PAUSE = 350 * _MS  # a pause that ends a segment of ...
_PAUSE_AFTER = 3000 * _MS  # ... at least this length
_LONGEST = 8000 * _MS
_CUT_WITHIN = 3000 * _MS  # a cut is sought in the last part of a long segment
_MARGIN = 40 * _MS  # audio a decode must hold after the last loud frame to count as covering it
_EDGE = 200 * _MS  # quiet audio kept at both ends of what is decoded
_GAP_FILL = 300 * _MS
_FLOOR_DB = -55.0
_BELOW_PEAK_DB = 32.0
_LOUDEST = 8  # the level of the loudest frame but seven counts as the peak: not that of a click
_STEADY_DB = 3.0  # a signal whose frames differ less than this is a hum or a hiss


@dataclass(frozen=True, slots=True)
class Decode:
    """A stretch to decode (offsets in the utterance, 16 kHz samples).

    Attributes:
        start: first sample.
        end: one past the last.
        commit: the text is then final for the stretch and a new segment starts at ``end``.
        show: there is speech enough for the text to be worth showing as an interim.
    """

    start: int
    end: int
    commit: bool = False
    show: bool = True


class Utterance:
    """One utterance at 16 kHz; ``scale`` is 16000 divided by the rate of the timeline."""

    def __init__(self, timeline_hz: int) -> None:
        self._scale = RATE_HZ // timeline_hz
        self._pcm = np.zeros(4 * RATE_HZ, np.int16)
        self._length = 0
        self._levels = np.zeros(512, np.float32)
        self._frames = 0
        self._anchors: list[tuple[int, int]] = []  # (offset here, sample on the timeline)
        self._kept: list[tuple[str, int, int]] = []  # text, start, end of the closed segments
        self._start = 0  # of the growing segment
        self._text = ""
        self._covered = 0  # how far the growing segment has been decoded; start = not at all

    # -- audio in --------------------------------------------------------------------------

    def gap(self, first_sample: int) -> int:
        """Timeline samples between what is here and ``first_sample``; negative: an overlap."""
        if not self._anchors:
            return 0
        offset, sample = self._anchors[-1]
        return first_sample - (sample + (self._length - offset) // self._scale)

    def push(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        """Take 16 kHz audio whose first sample is ``first_sample`` on the timeline."""
        gap = self.gap(first_sample)
        if gap > 0:
            self._append(np.zeros(min(gap * self._scale, _GAP_FILL), np.int16))
        if not self._anchors or gap != 0:
            self._anchors.append((self._length, first_sample))
        self._append(pcm)

    def _append(self, pcm: NDArray[np.int16]) -> None:
        end = self._length + len(pcm)
        if end > len(self._pcm):
            self._pcm = np.concatenate([self._pcm, np.zeros(max(end, len(self._pcm)), np.int16)])
        self._pcm[self._length : end] = pcm
        self._length = end
        levels = frame_levels_db(self._pcm[self._frames * FRAME : end], FRAME)
        frames = self._frames + len(levels)
        if frames > len(self._levels):
            more = np.zeros(max(frames, len(self._levels)), np.float32)
            self._levels = np.concatenate([self._levels, more])
        self._levels[self._frames : frames] = levels
        self._frames = frames

    def audio(self, decode: Decode) -> NDArray[np.float32]:
        """The samples of a decode as float32, scale 32768."""
        pcm = self._pcm[decode.start : decode.end].astype(np.float32)
        pcm *= np.float32(1 / 32768)
        return pcm

    # -- what next -------------------------------------------------------------------------

    def next_decode(self) -> Decode | None:
        """What is worth decoding now for an interim, or None. May close a segment by itself."""
        loud = self._loud(self._start, self._length)
        if loud is None:
            return None
        first, last = loud
        quiet = self._length - last
        if quiet >= _PAUSE and last - self._start >= _PAUSE_AFTER and self._covers(last):
            self._close(last + _EDGE)
            return None
        if self._length - self._start >= _LONGEST:
            return self._commit()
        every = max(_INTERIM_EVERY, (self._length - self._start) // 12)
        if self._covers(last) or self._length - self._covered < every:
            eager = quiet >= _EAGER_QUIET and not self._covers(last)
            return self._window(first, last) if eager else None
        if quiet < _EAGER_QUIET and self._length - first < _FIRST_INTERIM:
            return None
        return self._window(first, last)

    def last_decode(self) -> Decode | None:
        """What is still to be decoded for the final, or None if all that was said is known."""
        if self._length - self._start > _LONGEST + _INTERIM_EVERY:
            return self._commit()
        loud = self._loud(self._start, self._length)
        if loud is None or self._covers(loud[1]):
            return None
        return self._window(*loud)

    def answers_final(self, decode: Decode) -> bool:
        """Whether the result of ``decode``, under way now, is all that a final would need."""
        loud = self._loud(self._start, self._length)
        return loud is None or (
            not decode.commit and decode.start >= self._start and decode.end >= loud[1] + _MARGIN
        )

    def apply(self, decode: Decode, text: str) -> None:
        """Take the text of a decode."""
        self._text = text
        self._covered = decode.end
        if decode.commit:
            self._close(decode.end)

    def _covers(self, last: int) -> bool:
        return self._covered > self._start and self._covered >= min(last + _MARGIN, self._length)

    def _close(self, end: int) -> None:
        end = min(end, self._length)
        if self._text:
            self._kept.append((self._text, self._start, end))
        self._text, self._start, self._covered = "", end, end

    def _window(self, first: int, last: int) -> Decode:
        start = max(self._start, first - _EDGE)
        show = last - first >= _SHOW or bool(self._kept)
        return Decode(start, min(self._length, last + _EDGE), show=show)

    def _commit(self) -> Decode:
        """A cut at the quietest 100 ms of the part from 5 s to 8 s of the segment."""
        high = (self._start + _LONGEST) // FRAME
        low = high - _CUT_WITHIN // FRAME
        power = np.power(10.0, self._levels[low:high] / 10.0)
        smooth = np.convolve(power, np.ones(10), "valid")
        cut = (low + int(smooth.argmin()) + 5) * FRAME
        loud = self._loud(self._start, cut)
        return Decode(self._start if loud is None else max(self._start, loud[0] - _EDGE), cut, True)

    def _threshold_db(self) -> float:
        if self._frames < _LOUDEST:
            return 0.0
        peak = np.partition(self._levels[: self._frames], -_LOUDEST)[-_LOUDEST]
        return max(_FLOOR_DB, float(peak) - _BELOW_PEAK_DB)

    def _loud(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last loud sample of a stretch; None if there is nothing like speech in it."""
        if end - start < _SHORTEST:
            return None
        levels = self._levels[start // FRAME : end // FRAME]
        loud = np.flatnonzero(levels > self._threshold_db())
        if len(loud) < _LEAST_VOICED_FRAMES:
            return None
        low, high = np.percentile(levels, [5, 95])
        if high - low < _STEADY_DB:
            return None
        base = start // FRAME
        return (base + int(loud[0])) * FRAME, (base + int(loud[-1]) + 1) * FRAME

    # -- text out --------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All that is known of the text."""
        return " ".join([*(kept[0] for kept in self._kept), *([self._text] if self._text else [])])

    def words(self) -> tuple[WordTime, ...]:
        """The words with estimated times on the timeline."""
        rows = [*self._kept, (self._text, self._start, max(self._covered, self._start))]
        words: list[WordTime] = []
        for text, start, end in rows:
            levels = self._levels[start // FRAME : end // FRAME]
            if not text or not len(levels):
                continue
            spans = voiced_spans(levels, FRAME, self._threshold_db(), 15)
            base = start // FRAME * FRAME
            for word, a, b in spread_words(text, spans):
                words.append(WordTime(word, self._sample(base + a), self._sample(base + b), True))
        return tuple(words)

    def _sample(self, offset: int) -> int:
        k = max(bisect_right(self._anchors, offset, key=lambda a: a[0]) - 1, 0)
        at, sample = self._anchors[k]
        return sample + (offset - at) // self._scale
