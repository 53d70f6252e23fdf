"""Equations between counters, and what a process holds: what a soak is judged by.

An equation is checked for every call by itself; the table shows the sums of both sides and how
many calls broke it. What grows is judged by a straight line through the readings after a warm-up.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ACCOUNTS", "Equation", "Growth", "Ledger", "Reading", "accounted", "growth"]

# Each datagram that a call has received is counted in exactly one of these.
ACCOUNTS = (
    "packets_decoded",
    "packets_held",
    "packets_silent",
    "packets_discarded",
    "packets_shed",
    "duplicate",
    "late",
    "packets_malformed",
    "packets_unknown",
    "packets_strange",
    "packets_unproven",
    "srtp_rejected",
    "srtp_replayed",
    "rtcp_received",
    "rtcp_malformed",
)


def accounted(stats: Mapping[str, float]) -> int:
    """Datagrams of a call that one of its counters explains."""
    return int(sum(stats[name] for name in ACCOUNTS))


@dataclass
class Equation:
    """One law, over all that it was checked for.

    Attributes:
        law: in words: "left = right" or "left <= right".
        left, right: sums of both sides.
        checked, broken: how often it was checked, and did not hold.
        example: of the first time that it did not hold.
    """

    law: str
    left: float = 0
    right: float = 0
    checked: int = 0
    broken: int = 0
    example: str = ""


@dataclass
class Ledger:
    """All equations of a run, in the order of their first check."""

    equations: dict[str, Equation] = field(default_factory=dict)

    def equal(self, law: str, left: float, right: float, whose: object = "") -> bool:
        """Check left = right; whether it holds."""
        return self._check(law, left, right, left == right, whose)

    def at_most(self, law: str, left: float, right: float, whose: object = "") -> bool:
        """Check left <= right; whether it holds."""
        return self._check(law, left, right, left <= right, whose)

    def between(self, law: str, low: float, left: float, high: float, whose: object = "") -> bool:
        """Check low <= left <= high; the table's right side is high."""
        return self._check(law, left, high, low <= left <= high, whose)

    def _check(self, law: str, left: float, right: float, holds: bool, whose: object) -> bool:
        entry = self.equations.setdefault(law, Equation(law))
        entry.left += left
        entry.right += right
        entry.checked += 1
        if not holds:
            entry.broken += 1
            entry.example = entry.example or f"{whose}: {left:g} and {right:g}"
        return holds

    @property
    def holds(self) -> bool:
        """Whether something was checked and nothing was broken."""
        return bool(self.equations) and not any(e.broken for e in self.equations.values())

    def rows(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [dict(vars(entry)) for entry in self.equations.values()]

    def table(self, title: str) -> Any:
        """For a terminal (rich)."""
        from rich.table import Table

        table = Table(title=title)
        for name in ("law, for each", "sum left", "sum right", "checked", "broken"):
            table.add_column(name, justify="left" if name.startswith("law") else "right")
        for e in self.equations.values():
            broken = f"[red]{e.broken}: {e.example}[/red]" if e.broken else "0"
            table.add_row(e.law, f"{e.left:,.0f}", f"{e.right:,.0f}", f"{e.checked:,}", broken)
        return table


# -- what a process holds ----------------------------------------------------------------------


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


@cache
def _libc() -> Any:
    libc: Any = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo
    return libc


@dataclass(frozen=True)
class Reading:
    """What a process holds at one time.

    Attributes:
        at_h: hours since the start, by the run's own clock.
        resident_bytes: memory of the process.
        heap_bytes: of the C heap in use (glibc; Python's own small objects are not in it).
        descriptors, threads: open file descriptors, threads.
    """

    at_h: float
    resident_bytes: int
    heap_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def take(cls, at_h: float) -> Reading:
        heap = _libc().mallinfo2()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            at_h,
            pages * os.sysconf("SC_PAGE_SIZE"),
            int(heap.uordblks + heap.hblkhd),
            len(os.listdir("/proc/self/fd")) - 1,  # less the one of the listing itself
            len(os.listdir("/proc/self/task")),
        )


@dataclass(frozen=True)
class Growth:
    """A straight line through readings.

    Attributes:
        per_hour: its slope.
        total: what it rises by from the first to the last reading that counts.
        scatter: standard deviation of the readings around it.
        readings: how many count.
    """

    per_hour: float
    total: float
    scatter: float
    readings: int


def growth(points: Iterable[tuple[float, float]], warm_up: float = 0.1) -> Growth:
    """Least squares through (hours, value), without the first ``warm_up`` (share) of the time.

    Raises:
        ValueError: fewer than three readings are left.
    """
    data = np.array(list(points), dtype=np.float64).reshape(-1, 2)
    if len(data):
        first, last = data[0, 0], data[-1, 0]
        data = data[data[:, 0] >= first + warm_up * (last - first)]
    if len(data) < 3:
        raise ValueError(f"{len(data)} readings after the warm-up; take three at least")
    hours = data[:, 0] - data[0, 0]
    slope, start = np.polyfit(hours, data[:, 1], 1)
    scatter = float(np.std(data[:, 1] - (start + slope * hours)))
    return Growth(float(slope), float(slope * hours[-1]), scatter, len(data))
