"""Times of several works in the same rounds, so that all see the same machine.

The clock is the processor time of the thread: waiting for a core does not count. A library that
works in threads of its own is measured by the processor time of the process.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voicecore.cli.bench.registry import Work

__all__ = ["Effort", "Times", "interleaved"]


@dataclass(frozen=True, slots=True)
class Effort:
    """rounds, and how long one work runs in a round, in microseconds of processor time."""

    rounds: int
    round_us: float


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds an item: the median of the rounds and the least.

    threads: it works in threads of its own, which are counted.
    """

    median_us: float
    min_us: float
    threads: bool = False


# The work of other threads counts when it is more than this share of the thread's own.
_OTHERS = 0.3


def _passes_us(work: Work, passes: int) -> tuple[float, float]:
    """Of the thread, of the process."""
    process_ns, start_ns = time.process_time_ns(), time.thread_time_ns()
    for _ in range(passes):
        work.run()
    own_ns = time.thread_time_ns() - start_ns
    return own_ns / 1000, (time.process_time_ns() - process_ns) / 1000


def interleaved(
    works: Sequence[Work], effort: Effort, step: Callable[[], None] = lambda: None
) -> list[Times]:
    """Times of each work. Each begins a round with a pass that does not count: what ran before
    must not cost it its caches. ``step`` is called after every round.
    """
    passes = []
    for work in works:
        work.run()
        passes.append(max(1, round(effort.round_us / max(_passes_us(work, 1)[1], 0.1))))
    found: list[list[tuple[float, float]]] = [[] for _ in works]
    collected = gc.isenabled()
    gc.disable()
    try:
        for turn in range(effort.rounds):
            for place in range(len(works)):
                which = (place + turn) % len(works)
                works[which].run()
                found[which].append(_passes_us(works[which], passes[which]))
            step()
    finally:
        if collected:
            gc.enable()
    return [
        _times(rounds, n * work.items) for rounds, n, work in zip(found, passes, works, strict=True)
    ]


def _times(rounds: list[tuple[float, float]], items: int) -> Times:
    own, process = ([one[i] / items for one in rounds] for i in (0, 1))
    threads = statistics.median(process) > (1 + _OTHERS) * statistics.median(own)
    chosen = process if threads else own
    return Times(statistics.median(chosen), min(chosen), threads)
