"""What a call from Python costs before any work is done: each unit's cheapest call beside what a
Python user has otherwise, numpy.frombuffer and a C function through ctypes.

    python -m pytest bench/bench_calls.py

The units' calls are those that do next to nothing: one sample, an empty read, equal rates. 20 ms
frames of int16 in an array or in bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from voicecore import G711, JitterBuffer, Resampler, RtpPacket, SileroVad
from voicecore.media.config import CallConfig
from voicecore.testing.virtual import VirtualEngine

CALLS = 2000
rows: list[tuple[str, float, str, float]] = []

frame = np.arange(160, dtype=np.int16)
out = np.empty(160, dtype=np.int16)
sample = frame[:1]
encoded = bytes(160)
packet = RtpPacket(encoded).build()
copy = Resampler(8000, 8000)
vad = SileroVad(8000)
law = G711("ulaw")
jitter = JitterBuffer(8000)
engine = VirtualEngine()
call = engine.open(CallConfig(play_hz=8000))
memcmp = ctypes.CDLL(None).memcmp
memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

UNITS: dict[str, Callable[[], object]] = {
    "Resampler.process_into, 8 -> 8 kHz": lambda: copy.process_into(frame, out),
    "Resampler.process, 8 -> 8 kHz": lambda: copy.process(frame),
    "SileroVad.process, one sample": lambda: vad.process(sample),
    "G711.decode, 160 bytes": lambda: law.decode(encoded),
    "JitterBuffer.read, nothing due": lambda: jitter.read(0),
    "RtpPacket.parse, 172 bytes": lambda: RtpPacket.parse(packet),
    "Call.play, no samples": lambda: call.play(b""),
    "Call.play_position": lambda: call.play_position,
}


def repeat(work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(CALLS):
            work()

    return run


def through_numpy() -> object:
    return np.frombuffer(encoded, np.int16)


def through_ctypes() -> object:
    return memcmp(frame.ctypes.data, out.ctypes.data, 1)


@pytest.mark.parametrize("unit", UNITS)
def test_call(benchmark: BenchmarkFixture, unit: str) -> None:
    us, peer_us = compare(benchmark, repeat(UNITS[unit]), repeat(through_numpy), CALLS)
    rows.append((unit, us, "numpy.frombuffer", peer_us))


def test_two_buffers(benchmark: BenchmarkFixture) -> None:
    """A frame in and a frame out, as a ctypes binding would take them."""
    copy.process_into(frame, out)
    assert (out == frame).all()
    unit = "Resampler.process_into, 8 -> 8 kHz"
    us, peer_us = compare(benchmark, repeat(UNITS[unit]), repeat(through_ctypes), CALLS)
    rows.append((unit, us, "ctypes, two array pointers", peer_us))


@pytest.fixture(scope="module", autouse=True)
def table(pytestconfig: pytest.Config) -> Iterator[None]:
    rows.clear()
    yield
    show(pytestconfig, "one Python call, lambda included", rows)
