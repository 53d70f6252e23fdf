"""The session's own look at audio: the last seconds received, and where sound begins and ends.

Audibility: RMS of blocks of 5 ms, aligned to the sample index, so that slicing changes nothing. A
block is audible above the larger of -50 dBFS and 35 dB below the loudest block of the same turn:
the first keeps line noise out, the second breath and reverberation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.media._resample import Resampler

__all__ = ["AudioRing", "LeadIn", "last_audible"]

_FLOOR_DBFS = -50.0
_BELOW_PEAK_DB = 35.0
_BLOCK_MS = 5


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


def _block_powers(pcm: NDArray[np.int16], block: int) -> NDArray[np.float32]:
    """Mean square of each whole block, full scale 1."""
    count = len(pcm) // block
    blocks = pcm[: count * block].reshape(count, block).astype(np.float32)
    powers: NDArray[np.float32] = np.einsum("ij,ij->i", blocks, blocks) / np.float32(
        block * 32768.0**2
    )
    return powers


def _audible(powers: NDArray[np.float32]) -> NDArray[np.intp]:
    """Indices of the audible blocks."""
    if not len(powers):
        return np.zeros(0, np.intp)
    floor = 10.0 ** (_FLOOR_DBFS / 10.0)
    return np.flatnonzero(
        powers > max(floor, float(powers.max()) * 10.0 ** (-_BELOW_PEAK_DB / 10.0))
    )


def last_audible(pcm: NDArray[np.int16], first_sample: int, rate_hz: int) -> int | None:
    """One past the last audible sample, to 5 ms; None if nothing is audible.

    Args:
        pcm: a turn's audio, mono int16.
        first_sample: its index on the receive timeline.
        rate_hz: its rate.
    """
    block = rate_hz * _BLOCK_MS // 1000
    skip = -first_sample % block
    audible = _audible(_block_powers(pcm[skip:], block))
    if not len(audible):
        return None
    return first_sample + skip + (int(audible[-1]) + 1) * block


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
        self._block = line_hz * _BLOCK_MS // 1000
        self._rest = np.zeros(0, np.int16)
        self._powers: list[NDArray[np.float32]] = []

    def add(self, pcm: NDArray[np.int16]) -> None:
        """Take the next piece, any length."""
        pcm = np.concatenate([self._rest, self._resampler.process(pcm)])
        whole = len(pcm) // self._block * self._block
        self._powers.append(_block_powers(pcm[:whole], self._block))
        self._rest = pcm[whole:]

    @property
    def ns(self) -> int | None:
        """Time before the first audible block, to 5 ms; None if nothing is audible."""
        audible = _audible(np.concatenate([np.zeros(0, np.float32), *self._powers]))
        if not len(audible):
            return None
        return int(audible[0]) * self._block * 1_000_000_000 // self._line_hz
