"""Each kernel at each CPU level of this machine, without Python around it.

    python -m pytest bench/kernels                    all (make bench ARGS=bench/kernels)
    python -m pytest bench/kernels -k resample        some

The list is that of tests/kernels, and every level is compared with plain C before it is timed.
Nanoseconds of processor time of a call, in a loop in C: median of interleaved rounds, so that every
level sees the same machine. The ratio is that of plain C to the level; it travels, times do not.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

import pytest

from tests.kernels.cases import CASES, Case
from tests.kernels.check import against, build, run
from voicecore._kernels import KERNELS

ROUNDS = int(os.environ.get("VC_BENCH_ROUNDS", "31"))
ROUND_NS = 200_000  # of calls in one round
rows: list[tuple[Case, dict[str, float]]] = []


def measure(case: Case) -> dict[str, float]:
    """Nanoseconds a call at each level."""
    kernels = KERNELS[case.kernel]
    plain = run(case, "c", case.bench_size, "random", 0, 1)
    ready = {}
    for level, kernel in kernels.items():
        problem = against(run(case, level, case.bench_size, "random", 0, 1), plain)
        assert not problem, f"{case.name} at {level}: {problem}"
        arena, call = build(case, level, case.bench_size, "random", 0, 1)
        arguments = call.calls[0]
        once_ns = max(kernel.time_ns(20, *arguments), 1.0)
        ready[level] = (kernel, max(1, int(ROUND_NS / once_ns)), arguments, arena)
    times: dict[str, list[float]] = {level: [] for level in kernels}
    for _ in range(ROUNDS):
        for level, (kernel, calls, arguments, _arena) in ready.items():
            times[level].append(kernel.time_ns(calls, *arguments))
    return {level: statistics.median(found) for level, found in times.items()}


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "_") for case in CASES])
def test_kernel(case: Case) -> None:
    rows.append((case, measure(case)))


def show() -> None:
    levels = list(max((times for _, times in rows), key=len))
    print(f"\n\nns of processor time of a call, medians of {ROUNDS} rounds; xN: plain C / level")
    heads = "".join(f"{level:>9}{'':>7}" for level in levels[1:])
    print(f"{'kernel':32}{'one call is':24}{'c':>9}{heads}")
    for case, times in rows:
        line = f"{case.name:32}{case.work:24}{times['c']:9.1f}"
        for level in levels[1:]:
            if level in times:
                line += f"{times[level]:9.1f}{times['c'] / times[level]:6.2f}x"
        print(line)


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        show()
