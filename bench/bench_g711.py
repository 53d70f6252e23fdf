"""G.711 beside audioop (standard library to 3.12, audioop-lts after) and a numpy table, in one run.

    python -m pytest bench/bench_g711.py

20 ms (160 samples) and 1 s (8000 samples) a call, through the Python door of each, over 50 frames
that differ: a processor learns the branches of one frame by heart. The results are compared before
anything is timed. decode makes an array; decode_bytes makes bytes, as audioop does; the _into calls
make nothing. "0 samples" is the call alone. The last row is what Python takes for the least call
that there is, len of the codes, in the same loop: the bound for what is compared with audioop here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from voicecore import G711

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

FRAMES = 50
PASSES = 20
CALLS = FRAMES * PASSES
OPERATIONS = ["encode", "encode_into", "decode", "decode_bytes", "decode_into"]
CASES = [(operation, n, "audioop") for operation in OPERATIONS for n in (160, 8000, 0)]
CASES += [(operation, n, "numpy table") for operation in ("encode", "decode") for n in (160, 8000)]
rows: list[tuple[str, float, str, float]] = []
Call = Callable[..., Any]


def table_call(g711: G711, encode: bool) -> Call:
    if not encode:
        return g711.decode(bytes(range(256))).take
    table = np.frombuffer(g711.encode(np.arange(65536).astype(np.uint16).view(np.int16)), np.uint8)
    return lambda index: table.take(index).tobytes()


def repeated(call: Call, frames: list[Any], second: object = None) -> Callable[[], None]:
    """The same loop for everyone; some calls take a second argument."""
    frames = frames * PASSES

    def with_one() -> None:
        for frame in frames:
            call(frame)

    def with_two() -> None:
        for frame in frames:
            call(frame, second)

    return with_one if second is None else with_two


@pytest.mark.parametrize(("operation", "samples", "peer"), CASES)
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_g711(
    benchmark: BenchmarkFixture, law: str, operation: str, samples: int, peer: str
) -> None:
    rng = np.random.default_rng(1)
    g711 = G711(law)  # type: ignore[arg-type]
    encode = operation.startswith("encode")
    pcm = [rng.normal(0, 3000, samples).astype(np.int16) for _ in range(FRAMES)]
    frames: list[Any] = pcm if encode else [g711.encode(frame) for frame in pcm]
    raw = [bytes(frame) for frame in frames]
    out: Any = None
    if operation.endswith("_into"):
        out = bytearray(samples) if encode else np.empty(samples, np.int16)
    call: Call = getattr(g711, operation)
    ours = repeated(call, frames, out)
    if peer == "audioop":
        convert: Call = getattr(audioop, f"lin2{law}" if encode else f"{law}2lin")
        expected = convert(raw[-1], 2)
        theirs = repeated(convert, raw, 2)
    else:
        convert = table_call(g711, encode)
        index = [np.frombuffer(one, np.uint16 if encode else np.uint8) for one in raw]
        expected = bytes(convert(index[-1]))
        theirs = repeated(convert, index)
    if out is None:
        assert bytes(call(frames[-1])) == expected
    else:
        assert call(frames[-1], out) == samples
        assert bytes(out) == expected
    us, peer_us = compare(benchmark, ours, theirs, CALLS)
    rows.append((f"{law} {operation}, {samples} samples", us, peer, peer_us))


def test_least_call(benchmark: BenchmarkFixture) -> None:
    frames = [bytes([number]) * 160 for number in range(FRAMES)]
    least, theirs = repeated(len, frames), repeated(audioop.ulaw2lin, frames, 2)
    us, peer_us = compare(benchmark, least, theirs, CALLS)
    rows.append(("len(), beside decoding 160 samples", us, "audioop", peer_us))


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    show(request.config, "G.711, one call", rows)
