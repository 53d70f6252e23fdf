"""The network of a virtual soak: one direction, and what it did to each packet."""

from __future__ import annotations

import numpy as np

__all__ = ["Line"]

DRAWS = 1 << 15
RTCP_TYPES = range(200, 208)


class Line:
    """One direction of a pair's network; counts what it does to each packet."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.calm = self.cut = self.dead = False
        self.sent = self.lost = self.withheld = self.copies = 0
        self.rtcp_sent = self.rtcp_lost = self.rtcp_withheld = self.rtcp_copies = 0
        self.burst = 0
        self._at = DRAWS

    def _draw(self) -> None:
        # Bursts of up to 4, 1 % of the packets in all; 0.5 % twice; a mean of 8 ms of delay
        # and a spike of up to 150 ms in 0.1 %.
        rng = self.rng
        self._begins = (rng.random(DRAWS) < 0.004).tolist()
        self._lengths = rng.integers(1, 5, DRAWS).tolist()
        self._twice = (rng.random(DRAWS) < 0.005).tolist()
        delay = rng.gamma(2.0, 4.0, DRAWS)
        delay += np.where(rng.random(DRAWS) < 0.001, rng.uniform(50, 150, DRAWS), 0.0)
        self._delays = np.round(delay, 3).tolist()
        self._at = 0

    def __call__(self, number: int, packet: bytes) -> list[float]:
        is_rtcp = packet[1] in RTCP_TYPES
        self.sent += 1
        self.rtcp_sent += is_rtcp
        if self.cut:
            self.withheld += 1
            self.rtcp_withheld += is_rtcp
            return []
        if self.calm:
            return [5.0]
        if self._at == DRAWS:
            self._draw()
        at = self._at
        self._at += 1
        if self._begins[at] and not self.burst:
            self.burst = self._lengths[at]
        if self.burst or self.dead:
            self.burst = max(0, self.burst - 1)
            self.lost += 1
            self.rtcp_lost += is_rtcp
            return []
        delay = self._delays[at]
        if self._twice[at]:
            self.copies += 1
            self.rtcp_copies += is_rtcp
            return [delay, delay + 3.0]
        return [delay]

    @property
    def delivered(self) -> int:
        return self.sent - self.lost - self.withheld + self.copies

    @property
    def rtcp_delivered(self) -> int:
        return self.rtcp_sent - self.rtcp_lost - self.rtcp_withheld + self.rtcp_copies
