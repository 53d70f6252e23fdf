"""G.711 beside audioop (standard library to 3.12, audioop-lts after) and a numpy table, in one run.

    python -m pytest bench/bench_g711.py

20 ms (160 samples) and 1 s (8000 samples) a call, through the Python door of each; the results are
compared before anything is timed. decode makes an array; decode_bytes makes bytes, as audioop does;
the _into calls make nothing. "0 samples" is the call alone: no call can be quicker.
"""

from __future__ import annotations

import itertools
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

CALLS = 1000
OPERATIONS = ["encode", "encode_into", "decode", "decode_bytes", "decode_into"]
rows: list[tuple[str, float, str, float]] = []
Call = Callable[..., object]


def audioop_call(law: str, encode: bool, data: bytes) -> tuple[Call, tuple[object, ...]]:
    return getattr(audioop, f"lin2{law}" if encode else f"{law}2lin"), (data, 2)


def table_call(g711: G711, encode: bool, data: bytes) -> tuple[Call, tuple[object, ...]]:
    if not encode:
        return g711.decode(bytes(range(256))).take, (np.frombuffer(data, np.uint8),)
    every = np.arange(65536).astype(np.uint16).view(np.int16)
    table = np.frombuffer(g711.encode(every), np.uint8)
    return lambda index: table.take(index).tobytes(), (np.frombuffer(data, np.uint16),)


def repeated(call: Call, arguments: tuple[object, ...]) -> Callable[[], None]:
    """A loop as in timeit, the same for everyone."""
    if len(arguments) == 1:
        (only,) = arguments

        def run() -> None:
            for _ in itertools.repeat(None, CALLS):
                call(only)
    else:
        first, second = arguments

        def run() -> None:
            for _ in itertools.repeat(None, CALLS):
                call(first, second)

    return run


CASES = [(operation, n, "audioop") for operation in OPERATIONS for n in (160, 8000, 0)]
CASES += [(operation, n, "numpy table") for operation in ("encode", "decode") for n in (160, 8000)]


@pytest.mark.parametrize(("operation", "samples", "peer"), CASES)
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_g711(
    benchmark: BenchmarkFixture, law: str, operation: str, samples: int, peer: str
) -> None:
    pcm = np.random.default_rng(1).normal(0, 3000, samples).astype(np.int16)
    g711 = G711(law)  # type: ignore[arg-type]
    codes = g711.encode(pcm)
    encode = operation.startswith("encode")
    given: bytes | np.ndarray = pcm if encode else codes
    if peer == "audioop":
        call, arguments = audioop_call(law, encode, bytes(given))
    else:
        call, arguments = table_call(g711, encode, bytes(given))
    ours: tuple[object, ...] = (given,)
    result: object = bytearray(samples) if encode else np.empty(samples, np.int16)
    if operation.endswith("_into"):
        ours = (given, result)
        getattr(g711, operation)(*ours)
    else:
        result = getattr(g711, operation)(given)
    assert bytes(result) == bytes(call(*arguments))  # type: ignore[call-overload]
    us, peer_us = compare(
        benchmark, repeated(getattr(g711, operation), ours), repeated(call, arguments), CALLS
    )
    rows.append((f"{law} {operation}, {samples} samples", us, peer, peer_us))


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    show(request.config, "G.711, one call", rows)
