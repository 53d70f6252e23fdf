"""What a tick costs per call: the whole receive and send path under the virtual clock, so without
the kernel's share. The sum of the units alone stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import audio
from voicecore import G711, JitterBuffer, RtpPacket, SileroVadBatch
from voicecore.media.config import CallConfig
from voicecore.testing.virtual import VirtualEngine

CALLS = 64
TICKS = 200
measured: dict[str, float] = {}
PCM = (np.clip(audio.speech("beckett", 8000), -1, 0.9999) * 32768).astype(np.int16)


def packets() -> list[bytes]:
    law = G711("ulaw")
    return [
        bytes(
            RtpPacket(
                payload_type=0,
                sequence=i,
                timestamp=160 * i,
                ssrc=1,
                payload=law.encode(PCM[160 * i : 160 * i + 160]),
            )
        )
        for i in range(TICKS)
    ]


@pytest.mark.parametrize("speaking", [False, True], ids=["silent", "speaking"])
def test_tick(benchmark: Callable[..., Any], speaking: bool) -> None:
    """One tick of 64 calls: 64 datagrams in, VAD, playout, 64 packets out."""
    stream = packets()

    def setup() -> tuple[tuple[VirtualEngine, list[Any]], dict[str, Any]]:
        engine = VirtualEngine()
        calls = [
            engine.open(CallConfig(play_hz=8000, barge_in=False, remote=("192.0.2.1", 9)))
            for _ in range(CALLS)
        ]
        if speaking:
            for call in calls:
                call.play(np.tile(PCM[:8000], 5))
        return (engine, calls), {}

    def run(engine: VirtualEngine, calls: list[Any]) -> None:
        native = engine._native
        now_ns = engine.now_ns
        for packet in stream:
            for call in calls:
                native.receive(call._native, packet, now_ns)
            native.tick(now_ns)
            now_ns += 20_000_000

    benchmark.pedantic(run, setup=setup, rounds=5)
    per_call_us = benchmark.stats.stats.median / TICKS / CALLS * 1e6  # type: ignore[attr-defined]
    benchmark.extra_info["us_per_call_tick"] = per_call_us  # type: ignore[attr-defined]
    measured["speaking" if speaking else "silent"] = per_call_us
    print(
        f"\nengine tick, {'speaking' if speaking else 'silent'}: {per_call_us:.2f} us per call, "
        f"{20_000 / per_call_us:.0f} calls a core (two Python calls a packet included)"
    )


def test_units_alone(benchmark: Callable[..., Any]) -> None:
    """The same work through the units' own Python calls, 20 ms of one call."""
    stream = packets()
    window = np.tile(PCM[:256].astype(np.float32) / 32768, (CALLS, 1))
    law = G711("ulaw")

    def setup() -> tuple[tuple[list[JitterBuffer], SileroVadBatch], dict[str, Any]]:
        return ([JitterBuffer(8000) for _ in range(CALLS)], SileroVadBatch(8000, CALLS)), {}

    def run(buffers: list[JitterBuffer], bank: SileroVadBatch) -> None:
        now_ns = 0
        for tick, packet in enumerate(stream):
            for buffer in buffers:
                buffer.put(packet, now_ns)
                pcm, _ = buffer.read(now_ns)
                law.encode(pcm)
            if tick % 8 < 5:  # five windows of 32 ms in eight ticks of 20 ms
                bank.process(window)
            now_ns += 20_000_000

    benchmark.pedantic(run, setup=setup, rounds=5)
    per_call_us = benchmark.stats.stats.median / TICKS / CALLS * 1e6  # type: ignore[attr-defined]
    beside = ", ".join(f"{kind} tick {us / per_call_us:.2f}x" for kind, us in measured.items())
    print(f"\nunits alone: {per_call_us:.2f} us per call and 20 ms; {beside} that")
