"""The session's own look at audio: the last seconds received, and where sound begins and ends.

What counts as sound is decided by ``voicecore.latency.find_utterances``, the rule by which a
recording of the call is measured too: both must tell the same story.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.latency.wave import find_utterances
from voicecore.media._resample import Resampler

__all__ = ["AudioRing", "LeadIn", "last_audible"]

_LEAD_IN_S = 5  # the beginning of an answer that is looked at; its first words decide


class AudioRing:
    """The last seconds of received audio, by sample index; gaps read as silence.

    Args:
        rate_hz: the call's rate.
        seconds: how much is kept, 0.1..60.
    """

    def __init__(self, rate_hz: int, seconds: float = 10.0) -> None:
        self.rate_hz = rate_hz
        self._buffer = np.zeros(int(rate_hz * seconds), np.int16)
        self._end = 0
        self._begin = 0
        self._empty = True

    @property
    def begin(self) -> int:
        """The oldest sample kept."""
        return self._begin

    @property
    def end(self) -> int:
        """One past the newest sample."""
        return self._end

    def append(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        """Take audio at its index; indices never go back (an overlap is ignored)."""
        size = len(self._buffer)
        if self._empty:
            self._begin = self._end = first_sample
            self._empty = False
        if first_sample < self._end:
            pcm = pcm[self._end - first_sample :]
            first_sample = self._end
        gap = first_sample - self._end
        if gap > 0:
            self._write(np.zeros(min(gap, size), np.int16), first_sample)
        self._write(pcm[-size:], first_sample + len(pcm))
        self._begin = max(self._begin, self._end - size)

    def _write(self, pcm: NDArray[np.int16], end: int) -> None:
        size = len(self._buffer)
        at = (end - len(pcm)) % size
        head = min(len(pcm), size - at)
        self._buffer[at : at + head] = pcm[:head]
        self._buffer[: len(pcm) - head] = pcm[head:]
        self._end = end

    def read(self, begin: int, end: int) -> tuple[NDArray[np.int16], int]:
        """A copy of what is kept of ``begin..end``, and the index of its first sample."""
        begin = min(max(begin, self._begin), self._end)
        end = min(max(end, begin), self._end)
        size = len(self._buffer)
        at = begin % size
        head = min(end - begin, size - at)
        rest = end - begin - head
        return np.concatenate([self._buffer[at : at + head], self._buffer[:rest]]), begin


def last_audible(pcm: NDArray[np.int16], first_sample: int, rate_hz: int) -> int | None:
    """One past the last audible sample, to a millisecond; None if nothing is audible.

    Args:
        pcm: a turn's audio, mono int16.
        first_sample: its index on the receive timeline.
        rate_hz: its rate.
    """
    spoken = find_utterances(pcm, rate_hz)
    return first_sample + round(spoken[-1].end_ms) * rate_hz // 1000 if spoken else None


class LeadIn:
    """Finds where an answer becomes audible on the line, while its audio comes in pieces.

    The audio is resampled as the engine does it, delay included: an "s" that fills the TTS's band
    can be silence on a telephone line.

    Args:
        play_hz: the audio's rate.
        line_hz: the call's rate.
    """

    def __init__(self, play_hz: int, line_hz: int) -> None:
        self._resampler: Any = Resampler(play_hz, line_hz)
        self._line_hz = line_hz
        self._pieces: list[NDArray[np.int16]] = []
        self._kept = 0

    def add(self, pcm: NDArray[np.int16]) -> None:
        """Take the next piece, any length."""
        if self._kept < _LEAD_IN_S * self._line_hz:
            self._pieces.append(self._resampler.process(pcm))
            self._kept += len(self._pieces[-1])

    @property
    def ns(self) -> int | None:
        """Time before the first audible sound, to a millisecond; None if nothing is audible."""
        spoken = find_utterances(
            np.concatenate([np.zeros(0, np.int16), *self._pieces]), self._line_hz
        )
        return round(spoken[0].start_ms) * 1_000_000 if spoken else None
