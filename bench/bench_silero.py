"""Silero VAD beside onnxruntime on the same ONNX file, one thread, in one run.

    python -m pytest bench/bench_silero.py

One round times ours and the peers, so that both see the same machine, in CPU time of the thread
(both libraries compute on the calling thread), pinned to one core, so that a busy machine does not
count waiting as work and no move to another core costs the caches. The ratio is peer/ours, of the
medians and of the best rounds. Everything goes through the Python door of either library.
Correctness is asserted before anything is timed. Input: real speech with pink noise at 15 dB (how
many inputs of a layer are zero depends on the audio).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import voicecore
from bench.side_by_side import timed
from tests import audio
from voicecore import SileroVad, SileroVadBatch

RATES_HZ = (16000, 8000)
LEVELS = list(reversed(voicecore.cpu_levels()))
BATCHES = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 40
Times = tuple[float, float]  # microseconds per window: median, best
rows: list[tuple[str, int, str, list[Times]]] = []
pytestmark = pytest.mark.benchmark(timer=time.thread_time, disable_gc=True)


@cache
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = audio.package_directory("silero_vad", "--no-deps silero-vad==6.2.3")
    return onnxruntime.InferenceSession(
        str(path / "data" / "silero_vad.onnx"), options, providers=["CPUExecutionProvider"]
    )


class Peer:
    """onnxruntime as its users call it: the context is kept and joined by the caller."""

    def __init__(self, rate_hz: int, streams: int) -> None:
        self.rate = np.array(rate_hz, np.int64)
        self.context = np.zeros((streams, rate_hz // 250), np.float32)
        self.state = np.zeros((2, streams, 128), np.float32)
        self.run = session().run

    def process(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        feed = {
            "input": np.concatenate([self.context, x], axis=1),
            "state": self.state,
            "sr": self.rate,
        }
        probability, self.state = self.run(None, feed)
        self.context = x[:, -self.context.shape[1] :]
        return np.asarray(probability)[:, 0]


@cache
def windows(rate_hz: int) -> npt.NDArray[np.float32]:
    """[200, window]: 6.4 s from the middle of a reading."""
    clean = audio.speech("two_cities", rate_hz)[5 * rate_hz :]
    noisy = audio.mix(clean, audio.noise("pink", 10, rate_hz, 1), 15)
    size = rate_hz * 32 // 1000
    return noisy[: 200 * size].reshape(200, size)


def compare(
    benchmark: BenchmarkFixture,
    ours: Callable[[], object],
    n_ours: int,
    peers: Sequence[tuple[Callable[[], object], int]],
) -> list[Times]:
    """Times of ours, then of each peer; n is the windows of one call."""
    theirs: list[list[float]] = [[] for _ in peers]

    def setup() -> None:
        for times, (peer, n) in zip(theirs, peers, strict=True):
            times.append(1e6 * timed(peer) / n)

    benchmark.pedantic(ours, setup=setup, rounds=ROUNDS, warmup_rounds=2)
    assert benchmark.stats is not None
    ours_us = 1e6 * np.array([benchmark.stats.stats.median, benchmark.stats.stats.min]) / n_ours
    return [tuple(ours_us), *((statistics.median(times), min(times)) for times in theirs)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_one_stream(benchmark: BenchmarkFixture, rate_hz: int, level: str) -> None:
    x = windows(rate_hz)
    vad, peer = SileroVad(rate_hz, level=level), Peer(rate_hz, 1)
    expected = np.array([peer.process(one[None])[0] for one in x])
    assert np.abs(vad.process(x.reshape(-1)) - expected).max() <= 1e-4

    def ours() -> None:
        for one in x:
            vad.process(one)

    def theirs() -> None:
        for one in x[:50]:
            peer.process(one[None])

    rows.append(("one stream", rate_hz, level, compare(benchmark, ours, len(x), [(theirs, 50)])))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("streams", BATCHES)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_batch(benchmark: BenchmarkFixture, rate_hz: int, streams: int, level: str) -> None:
    source = windows(rate_hz)
    steps = max(8, 128 // streams)  # enough that the weights come back into the cache
    x = [source[(np.arange(streams) * 7 + step) % len(source)] for step in range(steps)]
    bank = SileroVadBatch(rate_hz, streams, level=level)
    peer, single = Peer(rate_hz, streams), Peer(rate_hz, 1)
    for one in x:
        assert np.abs(bank.process(one) - peer.process(one)).max() <= 1e-4

    def ours() -> None:
        for one in x:
            bank.process(one)

    def theirs() -> None:
        peer.process(x[0])

    def theirs_single() -> None:
        for one in source[:20]:
            single.process(one[None])

    peers = [(theirs_single, 20), (theirs, streams)]
    rows.append(
        (f"batch of {streams}", rate_hz, level, compare(benchmark, ours, steps * streams, peers))
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_thousand_streams_in_turn(benchmark: BenchmarkFixture, rate_hz: int, level: str) -> None:
    """Every stream has its own state, all share the weights: what falls out of the caches?"""
    x = windows(rate_hz)[100]
    vads = [SileroVad(rate_hz, level=level) for _ in range(1000)]
    peers = [Peer(rate_hz, 1) for _ in range(1000)]
    assert abs(vads[0].process(x)[0] - peers[0].process(x[None])[0]) <= 1e-4

    def ours() -> None:
        for vad in vads:
            vad.process(x)

    def theirs() -> None:
        for peer in peers[::10]:
            peer.process(x[None])

    rows.append(("1000 in turn", rate_hz, level, compare(benchmark, ours, 1000, [(theirs, 100)])))


@pytest.fixture(scope="module", autouse=True)
def ratio_table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    pinned = hasattr(os, "sched_setaffinity")  # Linux
    if pinned:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
    yield
    if pinned:
        os.sched_setaffinity(0, allowed)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(
            f"\n\nCPU us per 32 ms window and stream, medians of {ROUNDS} rounds; onnxruntime "
            f"{onnxruntime.__version__}, 1 thread{' on one core' if pinned else ''}, "
            "in the same rounds; ratios of medians (of bests)"
        )
        print(f"{'':14}{'Hz':>6} {'level':8}{'ours':>6}  onnxruntime, one  onnxruntime, same batch")
        for what, rate_hz, level, (ours, *peers) in rows:
            line = f"{what:14}{rate_hz:6} {level:8}{ours[0]:6.2f}"
            for peer in peers:
                ratio, best = peer[0] / ours[0], peer[1] / ours[1]
                line += f"{peer[0]:8.1f}{ratio:6.1f}x ({best:4.1f}x)"
            print(line)
        ours_us = {(what, rate_hz, level): times[0][0] for what, rate_hz, level, times in rows}
        for (what, rate_hz, level), us in ours_us.items():
            one_us = ours_us.get(("one stream", rate_hz, level))
            if what == "1000 in turn" and one_us:
                print(f"1000 in turn beside one stream, {rate_hz} Hz {level}: {us / one_us:.2f}x")
