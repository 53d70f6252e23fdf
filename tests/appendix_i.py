"""ITU-T G.711 Appendix I, restated from its description: the reference for concealment at 8 kHz.

Frames of 10 ms. On loss the last pitch period (5 to 15 ms, by normalized correlation over 20 ms)
is repeated, from the second frame on the last two and from the third the last three; each joint is
overlap-added over a quarter period, into the real samples too, for which the output is late by
3.75 ms.
From the second frame on the level falls by 20 % a frame, to nothing after 60 ms. The first real
samples are overlap-added with the continued repetition over a quarter period and 4 ms for each lost
frame after the first, 10 ms at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
FRAME = 80
DELAY = 30
HISTORY = 390
SHORTEST, LONGEST = 40, 120
WINDOW = 160


def period(history: Samples) -> int:
    """The lag with the best normalized correlation, first at every second lag and sample."""
    fixed = history[-WINDOW:]

    def likeness(lag: int, step: int) -> float:
        moved = history[len(history) - WINDOW - lag : len(history) - lag][::step]
        energy = max(float(moved @ moved), 250.0)
        return float(fixed[::step] @ moved) / np.sqrt(energy)

    coarse = max(range(SHORTEST, LONGEST + 1, 2), key=lambda lag: likeness(lag, 2))
    near = range(max(coarse - 1, SHORTEST), min(coarse + 1, LONGEST) + 1)
    return max(near, key=lambda lag: likeness(lag, 1))


def faded(old: Samples, new: Samples) -> Samples:
    weight = np.arange(1, len(old) + 1) / len(old)
    return (1 - weight) * old + weight * new


class Concealer:
    """Takes frames of 80 samples or None; gives out frames, 30 samples late."""

    def __init__(self) -> None:
        self.history: Samples = np.zeros(HISTORY)
        self.lost = 0
        self.ring: Samples = np.zeros(0)
        self.lag = self.quarter = self.at = 0

    def _ring(self, periods: int) -> Samples:
        """The last periods, whose end leads over to their start."""
        n = periods * self.lag
        ring = self.pitch[-n:].copy()
        before = self.pitch[len(self.pitch) - n - self.quarter : len(self.pitch) - n]
        ring[-self.quarter :] = faded(self.pitch[-self.quarter :], before)
        return ring

    def _take(self, n: int) -> Samples:
        index = (self.at + np.arange(n)) % len(self.ring)
        self.at = (self.at + n) % len(self.ring)
        return self.ring[index]

    def _level(self, frame: int, n: int) -> Samples:
        """Of n samples in the frame of that number, the first being 0."""
        return np.maximum(1.0 - 0.2 * np.maximum(frame - 1 + np.arange(n) / FRAME, 0.0), 0.0)

    def _made(self, n: int) -> Samples:
        return self._take(n) * self._level(self.lost, n)

    def process(self, frame: Samples | None) -> Samples:
        if frame is not None:
            new = np.array(frame, dtype=np.float64)
            if self.lost:
                n = min(self.quarter + 32 * (self.lost - 1), FRAME)
                if self.lost < 6:
                    new[:n] = faded(self._made(n), new[:n])
                else:
                    new[:n] *= np.arange(1, n + 1) / n
                self.lost = 0
        elif self.lost >= 6:
            new = np.zeros(FRAME)
            self.lost += 1
        elif self.lost == 0:
            self.pitch = self.history.copy()
            self.lag = period(self.pitch)
            self.quarter = self.lag // 4
            self.ring = self._ring(1)
            # The delay lets the joint lie in what was not given out yet.
            self.history[-self.quarter :] = self.ring[-self.quarter :]
            self.at = 0
            new = self._made(FRAME)
            self.lost = 1
        elif self.lost < 3:
            start = self.at % self.lag
            tail = self._take(self.quarter)
            self.ring, self.at = self._ring(self.lost + 1), start
            new = self._take(FRAME)
            new[: self.quarter] = faded(tail, new[: self.quarter])
            new *= self._level(self.lost, FRAME)
            self.lost += 1
        else:
            new = self._made(FRAME)
            self.lost += 1
        self.history = np.concatenate([self.history[FRAME:], new])
        return self.history[-FRAME - DELAY : -DELAY]


def conceal(samples: npt.NDArray[np.int16], lost: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    """Samples with frames of 20 ms missing where ``lost``; the delay is taken away again."""
    concealer = Concealer()
    parts = []
    for k in range(2 * len(lost)):
        frame = samples[FRAME * k : FRAME * (k + 1)].astype(np.float64)
        parts.append(concealer.process(None if lost[k // 2] else frame))
    parts.append(concealer.process(np.zeros(FRAME)))
    whole = np.concatenate(parts)[DELAY : DELAY + 2 * FRAME * len(lost)]
    return np.clip(np.rint(whole), -32768, 32767).astype(np.int16)
