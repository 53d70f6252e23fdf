"""Resampler against soxr (stream, 20 ms mono frames, the Python call included).

    python -m pytest bench/bench_resample.py
    python bench/bench_resample.py              only the ratio table

The rounds of all implementations are interleaved in one process; a table of medians with the ratio
soxr HQ / voicecore ends the run. Before any timing the outputs are compared with each other.
soxr delivers in bursts, up to 118 ms late; its time is the mean over the burst.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import voicecore

try:
    import samplerate
except ImportError:
    samplerate = None

PAIRS = [
    (8000, 16000), (16000, 8000), (24000, 8000), (24000, 16000), (48000, 16000), (44100, 16000),
    (16000, 24000), (16000, 48000), (8000, 48000), (48000, 8000),
]  # fmt: skip
ROUNDS, CALLS = 31, 100
Step = Callable[[], object]
_results: dict[str, dict[str, float]] = {}


def speech_like(rate_hz: int, samples: int) -> NDArray[np.int16]:
    """Low-passed noise below 3 kHz: nothing near the edge of any pair's filter."""
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=samples))
    spectrum[np.arange(len(spectrum)) * rate_hz / samples > 3000] = 0
    x = np.fft.irfft(spectrum, samples)
    return np.asarray(x / np.abs(x).max() * 16000).astype(np.int16)


def steps(in_hz: int, out_hz: int) -> dict[str, Step]:
    frame = speech_like(in_hz, in_hz // 50)
    as_float = (frame / 32768).astype(np.float32)
    best = voicecore.Resampler(in_hz, out_hz)
    floating = voicecore.Resampler(in_hz, out_hz)
    into = voicecore.Resampler(in_hz, out_hz)
    room = np.empty(out_hz // 50, np.int16)
    found: dict[str, Step] = {
        f"voicecore {best.level}": lambda: best.process(frame),
        "into": lambda: into.process_into(frame, room),
        "f32": lambda: floating.process(as_float),
    }
    for level in voicecore.cpu_levels():
        if level != best.level:
            lower = voicecore.Resampler(in_hz, out_hz, level=level)
            found[level] = lambda r=lower: r.process(frame)  # type: ignore[misc]
    for quality in ("HQ", "MQ", "LQ"):
        stream = soxr.ResampleStream(in_hz, out_hz, 1, dtype="int16", quality=quality)
        found[f"soxr {quality}"] = lambda s=stream: s.resample_chunk(frame)  # type: ignore[misc]
    if samplerate is not None:
        sinc = samplerate.Resampler("sinc_fastest", channels=1)
        found["src fastest"] = lambda: sinc.process(as_float, out_hz / in_hz)
    return found


def check(in_hz: int, out_hz: int) -> None:
    """Both give the same signal. Bound 43 dB: our 0.05 dB of ripple alone is 45 dB."""
    x = speech_like(in_hz, in_hz)
    ours = voicecore.Resampler(in_hz, out_hz)
    y = np.concatenate([ours.process(x), ours.flush()]).astype(float)
    expected = soxr.resample(x, in_hz, out_hz, quality="HQ").astype(float)
    # Ours is late by a fraction of a sample: shift it back with the FFT.
    spectrum = np.fft.rfft(y, 2 * len(y))
    turn = np.exp(2j * np.pi * np.arange(len(spectrum)) / (2 * len(y)) * ours.delay_samples)
    aligned = np.fft.irfft(spectrum * turn)[: len(expected)]
    middle = slice(out_hz // 10, len(expected) - out_hz // 10)
    error = np.mean((aligned[middle] - expected[middle]) ** 2)
    assert 10 * np.log10(np.mean(expected[middle] ** 2) / error) >= 43


def interleaved(found: dict[str, Step]) -> dict[str, float]:
    """Median microseconds a call."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(ROUNDS):
        for name, step in found.items():
            start_ns = time.perf_counter_ns()
            for _ in range(CALLS):
                step()
            times[name].append((time.perf_counter_ns() - start_ns) / CALLS / 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def show() -> None:
    table = Table(title="resampler, us per 20 ms frame (median), Python call included")
    names = next(iter(_results.values())).keys()
    for heading in ("pair", *names, "soxr HQ / voicecore"):
        table.add_column(heading, justify="right")
    for pair, row in _results.items():
        ours = next(iter(row.values()))
        cells = [f"{value:.2f}" for value in row.values()]
        table.add_row(pair, *cells, f"{row['soxr HQ'] / ours:.1f}x")
    Console(width=150).print(table)


def measure(in_hz: int, out_hz: int) -> dict[str, float]:
    check(in_hz, out_hz)
    row = interleaved(steps(in_hz, out_hz))
    _results[f"{in_hz}>{out_hz}"] = row
    return row


@pytest.fixture(scope="module", autouse=True)
def table_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        show()


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS, ids=lambda hz: str(hz))
def test_resample(benchmark: Any, in_hz: int, out_hz: int) -> None:
    row = measure(in_hz, out_hz)
    assert row["soxr HQ"] > next(iter(row.values())), "slower than soxr HQ"
    step = next(iter(steps(in_hz, out_hz).values()))
    benchmark.pedantic(step, rounds=100, iterations=100, warmup_rounds=2)


if __name__ == "__main__":
    for pair in PAIRS:
        measure(*pair)
    show()
