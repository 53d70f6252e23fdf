"""Memory for kernels under test: at any offset, with marks around it, full of odd values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
GUARD_BYTES = 64
MARK = 0xA5  # as a float -2.9e-16, as an s16 -23131: neither looks like silence


class Arena:
    """Arrays whose first item lies ``offset`` items behind a 64-byte boundary."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._given: list[tuple[Array, Array, Array]] = []  # raw bytes, their marks, what was put

    def _make(self, n: int, dtype: Any) -> tuple[Array, Array]:
        item = np.dtype(dtype)
        size = n * item.itemsize
        raw = np.full(size + 2 * GUARD_BYTES + 128, MARK, np.uint8)
        first = -raw.ctypes.data % 64 + GUARD_BYTES + self.offset * item.itemsize
        return raw, raw[first : first + size].view(item)

    def put(self, values: Array) -> Array:
        """An input: a copy that nothing may change."""
        raw, array = self._make(len(values), values.dtype)
        array[:] = values
        self._given.append((raw, array, raw.copy()))
        return array

    def room(self, n: int, dtype: Any, values: Array | None = None) -> Array:
        """An output (or, with values, what is changed in place)."""
        raw, array = self._make(n, dtype)
        before = raw.copy()
        if values is not None:
            array[:] = values
        self._given.append((raw, array, before))
        return array

    def check(self, outputs: list[Array]) -> None:
        """Nothing was written but the outputs."""
        for raw, array, before in self._given:
            now = raw.copy()
            if any(array is one for one in outputs):
                start = array.ctypes.data - raw.ctypes.data
                now[start : start + array.nbytes] = before[start : start + array.nbytes]
            at = np.flatnonzero(now != before)
            assert not len(at), f"wrote outside its output, first at byte {at[0]} of {len(raw)}"


def floats(random: np.random.Generator, n: int, kind: str) -> NDArray[np.float32]:
    """random: -1..1. extreme: the ends of the range, ties, denormals. special: NaN, infinities."""
    values = random.uniform(-1, 1, n)
    if kind == "extreme":
        ties = (random.integers(-32770, 32770, n) + 0.5) / 32768
        odd = random.choice([0.0, -0.0, 1.0, -1.0, 1e-40, -1e-45, 2.0**-126, 1e30, -1e30], n)
        values = np.where(random.random(n) < 0.5, ties, odd)
    elif kind == "special":
        odd = random.choice([np.nan, np.inf, -np.inf], n)
        values = np.where(random.random(n) < 0.03, odd, values)
    return values.astype(np.float32)


def shorts(random: np.random.Generator, n: int, kind: str) -> NDArray[np.int16]:
    """random: all of the range. extreme: its ends and what lies around zero."""
    if kind == "extreme":
        return random.choice(np.array([-32768, -32767, -1, 0, 1, 32766, 32767], np.int16), n)
    return random.integers(-32768, 32768, n).astype(np.int16)


def to_s16(scaled: Array) -> NDArray[np.int16]:
    """On the s16 scale: half to even, saturated, NaN is 0."""
    known = np.where(np.isnan(scaled), 0, scaled)
    return np.rint(np.clip(known, -32768, 32767)).astype(np.int16)
