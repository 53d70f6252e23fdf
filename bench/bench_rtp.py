"""RtpPacket beside aiortc's, in one run: parse, build, and a telephone event.

    python -m pytest bench/bench_rtp.py

160 bytes of payload. What either parses or builds is compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Iterator

import aiortc
import pytest
from aiortc.rtp import RtpPacket as Peer
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from voicecore import RtpPacket

PACKETS = 1000
rows: list[tuple[str, float, str, float]] = []
DATA = [
    bytes(RtpPacket(bytes([n % 256]) * 160, sequence=n, timestamp=160 * n, ssrc=0x12345678))
    for n in range(PACKETS)
]


def test_parse(benchmark: BenchmarkFixture) -> None:
    for one in DATA:
        ours, theirs = RtpPacket.parse(one), Peer.parse(one)
        assert ours.payload == theirs.payload
        assert (ours.sequence, ours.timestamp) == (theirs.sequence_number, theirs.timestamp)
    us, peer_us = compare(
        benchmark,
        lambda: [RtpPacket.parse(one) for one in DATA],
        lambda: [Peer.parse(one) for one in DATA],
        PACKETS,
    )
    rows.append(("parse", us, f"aiortc {aiortc.__version__}", peer_us))


def test_make_and_build(benchmark: BenchmarkFixture) -> None:
    payload = bytes(160)

    def ours() -> list[bytes]:
        return [
            RtpPacket(payload, sequence=n, timestamp=160 * n, ssrc=7).build()
            for n in range(PACKETS)
        ]

    def theirs() -> list[bytes]:
        return [
            Peer(payload=payload, sequence_number=n, timestamp=160 * n, ssrc=7).serialize()
            for n in range(PACKETS)
        ]

    assert ours() == theirs()
    us, peer_us = compare(benchmark, ours, theirs, PACKETS)
    rows.append(("make and build", us, f"aiortc {aiortc.__version__}", peer_us))


def test_build(benchmark: BenchmarkFixture) -> None:
    ours, theirs = [RtpPacket.parse(one) for one in DATA], [Peer.parse(one) for one in DATA]
    assert [one.build() for one in ours] == [one.serialize() for one in theirs]
    us, peer_us = compare(
        benchmark,
        lambda: [one.build() for one in ours],
        lambda: [one.serialize() for one in theirs],
        PACKETS,
    )
    rows.append(("build", us, f"aiortc {aiortc.__version__}", peer_us))


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    show(request.config, "RTP, one packet", rows)
