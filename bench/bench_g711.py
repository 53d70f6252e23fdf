"""G.711 beside audioop (standard library to 3.12, audioop-lts after) and a numpy table, in one run.

    python -m pytest bench/bench_g711.py

20 ms (160 samples) and 1 s (8000 samples) a call, through the Python door of each; the results are
compared before anything is timed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from voicecore import G711

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CALLS = 500
rows: list[tuple[str, float, str, float]] = []


@pytest.mark.parametrize("peer", ["audioop", "numpy table"])
@pytest.mark.parametrize("samples", [160, 8000])
@pytest.mark.parametrize("operation", ["encode", "decode"])
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_g711(
    benchmark: BenchmarkFixture, law: str, operation: str, samples: int, peer: str
) -> None:
    pcm = np.random.default_rng(1).normal(0, 3000, samples).astype(np.int16)
    g711 = G711(law)  # type: ignore[arg-type]
    codes = g711.encode(pcm)
    data: bytes | np.ndarray = pcm if operation == "encode" else codes
    ours: Callable[..., object] = getattr(g711, operation)
    theirs: Callable[[], object]
    if peer == "audioop":
        convert = getattr(audioop, f"lin2{law}" if operation == "encode" else f"{law}2lin")
        raw = bytes(data)

        def theirs() -> object:
            return convert(raw, 2)
    elif operation == "encode":
        every = np.arange(65536).astype(np.uint16).view(np.int16)
        table = np.frombuffer(g711.encode(every), np.uint8)
        index = pcm.view(np.uint16)

        def theirs() -> object:
            return table.take(index).tobytes()
    else:
        table = g711.decode(bytes(range(256)))
        index = np.frombuffer(codes, np.uint8)

        def theirs() -> object:
            return table.take(index)

    expected = theirs()
    result = ours(data)
    assert bytes(result) == bytes(expected)  # type: ignore[call-overload]

    def run_ours() -> None:
        for _ in range(CALLS):
            ours(data)

    def run_theirs() -> None:
        for _ in range(CALLS):
            theirs()

    us, peer_us = compare(benchmark, run_ours, run_theirs, CALLS)
    rows.append((f"{law} {operation}, {samples} samples", us, peer, peer_us))


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    show(request.config, "G.711, one call", rows)
