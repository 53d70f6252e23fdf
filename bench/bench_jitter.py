"""JitterBuffer beside aiortc's, in one run, and the same in C.

    python -m pytest bench/bench_jitter.py

Ours parses the packet, orders, decodes G.711, conceals and (play) paces; aiortc's, set up as that
library does it for audio, takes packets that are parsed already and gives out payloads as they
are. For every packet: put, then read or get. The share of the stream that is missing or made up at
the end stands beside the time.
"""

from __future__ import annotations

import platform
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiortc
import numpy as np
import pytest
from aiortc.jitterbuffer import JitterBuffer as Peer
from aiortc.rtp import RtpPacket as PeerPacket
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from voicecore import G711, JitterBuffer, RtpPacket

ROOT = Path(__file__).resolve().parents[1]
PACKETS = 5000
TICK_NS = 20_000_000
rows: list[tuple[str, float, str, float]] = []
notes: list[str] = []


def course(loss: float, reorder: float) -> list[int]:
    generator = random.Random(1)
    order = [n for n in range(PACKETS) if n == 0 or generator.random() >= loss]
    for at in range(1, len(order) - 1):
        if generator.random() < reorder:
            order[at], order[at + 1] = order[at + 1], order[at]
    return order


@pytest.mark.parametrize("mode", ["listen", "play"])
@pytest.mark.parametrize(("loss", "reorder"), [(0.0, 0.0), (0.01, 0.0), (0.05, 0.05)])
def test_put_and_read(benchmark: BenchmarkFixture, mode: str, loss: float, reorder: float) -> None:
    order = course(loss, reorder)
    pcm = (8000 * np.sin(np.arange(PACKETS * 160) * 0.1)).astype(np.int16)
    codes = G711("ulaw").encode(pcm)
    packets = {
        n: bytes(RtpPacket(codes[160 * n : 160 * n + 160], sequence=n, timestamp=160 * n))
        for n in order
    }
    # Packet k of the course comes when the one that it took the place of would have come.
    arrivals = [(packets[n], at * TICK_NS) for n, at in zip(order, sorted(order), strict=True)]
    parsed = [PeerPacket.parse(data) for data, _ in arrivals]
    for packet in parsed:
        packet._data = packet.payload  # type: ignore[attr-defined]

    # What happens when: a packet to put, or None for a frame to get in the middle of each tick.
    events: list[tuple[bytes | None, int]] = list(arrivals)
    if mode == "play":
        events += [(None, n * TICK_NS + TICK_NS // 2) for n in range(PACKETS)]
        events.sort(key=lambda event: event[1])

    def ours() -> JitterBuffer:
        buffer = JitterBuffer(8000, mode=mode)  # type: ignore[arg-type]
        put, read = buffer.put, buffer.read
        if mode == "play":
            get = buffer.get
            for data, now_ns in events:
                if data is None:
                    get(now_ns)
                else:
                    put(data, now_ns)
            return buffer
        for data, now_ns in arrivals:
            put(data, now_ns)
            read(now_ns)
        while read(PACKETS * TICK_NS + 10**9)[1] is not None:
            pass
        return buffer

    def theirs() -> int:
        buffer, frames = Peer(capacity=16, prefetch=4), 0
        for packet in parsed:
            frames += buffer.add(packet)[1] is not None
        return frames

    stats = ours().stats()
    assert stats["received"] == len(order)
    lost = (PACKETS - len(order)) / PACKETS
    made_up = stats["concealed_samples"] / stats["output_samples"]
    assert made_up <= 1.1 * lost + 0.005
    missing = 1 - theirs() / PACKETS
    us, peer_us = compare(benchmark, ours, theirs, len(order))
    name = f"{mode}, loss {loss:.0%}, reorder {reorder:.0%}"
    rows.append((name, us, f"aiortc {aiortc.__version__}", peer_us))
    notes.append(f"{name:34} lost {lost:.1%}: ours made up {made_up:.1%}, "
                 f"aiortc's left out {missing:.1%}")  # fmt: skip


def in_c() -> str:
    """Runs bench/native/bench_jitter.c on the libraries that `make build` made."""
    libraries = sorted(
        ROOT.glob("build/temp.*/libvc_*.a"), key=lambda path: "base" not in path.name
    )
    if not libraries:
        raise FileNotFoundError("build/temp.*/libvc_*.a are not there: make build")
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "bench_jitter"
        subprocess.run(
            ["cc", "-std=gnu11", "-O3", "-DNDEBUG", "-Icsrc", "bench/native/bench_jitter.c",
             *map(str, libraries), "-lm", "-ldl", "-o", str(program)],
            check=True, cwd=ROOT,
        )  # fmt: skip
        return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    notes.clear()
    yield
    show(request.config, "jitter buffer, put and read or get of one packet", rows)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n".join(notes))
        print(f"in C on {platform.machine()}, processor time:")
        for line in in_c().splitlines():
            print(f"  {line}")
