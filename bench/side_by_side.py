"""Time ours and a peer in the same rounds, so that both see the same machine; print the ratios.

The ratios are of processor time of the thread, which a busy machine disturbs less than wall time;
pytest-benchmark's own table is wall time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 40


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of the second of two runs: what ran before must not cost it its caches."""
    work()
    start = time.thread_time()
    work()
    return time.thread_time() - start


def compare(
    benchmark: BenchmarkFixture,
    ours: Callable[[], object],
    peer: Callable[[], object],
    n: int,
    n_peer: int | None = None,
) -> tuple[float, float]:
    """Microseconds an item, ours and the peer's: medians; a call of each does n items."""
    own: list[float] = []
    theirs: list[float] = []

    def setup() -> None:
        theirs.append(timed(peer) / (n_peer or n))
        own.append(timed(ours) / n)

    benchmark.pedantic(ours, setup=setup, rounds=ROUNDS, warmup_rounds=2)
    return 1e6 * statistics.median(own), 1e6 * statistics.median(theirs)


def show(config: pytest.Config, title: str, rows: list[tuple[str, float, str, float]]) -> None:
    """Rows of what, our microseconds, the peer's name, its microseconds."""
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n\n{title}; us of processor time, medians of {ROUNDS} rounds with both in each")
        for what, us, peer, peer_us in rows:
            ratio = peer_us / us
            digits = 2 if ratio < 2 else 1
            print(f"{what:34}{us:8.3f}   {peer:28}{peer_us:8.3f}{ratio:8.{digits}f}x")
