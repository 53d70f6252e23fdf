"""The echo canceller beside speexdsp and WebRTC's AEC3: frames of 20 ms, a caller in half of them.

Quality is compared in the echo laboratory (``voicecore aec-lab``); here every canceller only has to
show that it works: the echo of the time before the caller speaks must become weaker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.cli.bench.registry import (
    Differs,
    Measurement,
    Peer,
    Work,
    package,
    shared_library,
)
from voicecore.cli.bench.signals import to_s16, voice
from voicecore.media._aec import EchoCanceller

__all__ = ["measurements"]

FRAMES = 200
BOUND_DB = 6.0
LEVELS_DB = 40.0  # sums in another order, fed back by the learning

S16 = NDArray[np.int16]
Feed = Callable[[S16, S16], S16]


@cache
def _streams(rate_hz: int) -> tuple[S16, S16]:
    """What was sent; its echo 40 ms later, 6 dB down, and from the middle on a caller."""
    far = voice(rate_hz, FRAMES / 50)
    decay = np.exp(-np.arange(rate_hz * 80 // 1000) / (rate_hz * 0.02))
    path = decay * np.random.default_rng(3).standard_normal(len(decay))
    path *= 0.5 / np.sqrt(np.sum(path**2))
    near = np.zeros(len(far))
    late = rate_hz // 25
    near[late:] = np.convolve(far, path)[: len(far) - late]
    middle = len(far) // 2
    near[middle:] += np.roll(far[::-1], rate_hz // 3)[middle:]
    return to_s16(far), to_s16(near.astype(np.float32))


def _work(rate_hz: int, make: Callable[[], Feed]) -> Work:
    far, near = _streams(rate_hz)
    size = rate_hz // 50
    frames = [
        (near[at : at + size].copy(), far[at : at + size].copy())
        for at in range(0, size * FRAMES, size)
    ]
    feed = make()

    def run() -> None:
        for mic, sent in frames:
            feed(mic, sent)

    def result() -> S16:
        fresh = make()
        return np.concatenate([fresh(mic, sent) for mic, sent in frames])

    return Work(run, len(frames), result)


def _ours(rate_hz: int) -> Callable[[str | None], Work]:
    return lambda level: _work(rate_hz, lambda: EchoCanceller(rate_hz, level=level).process)


def _peer(kind: str, rate_hz: int) -> Work:
    from voicecore.testing import echo_peers

    scene: Any = SimpleNamespace(rate_hz=rate_hz)
    makes: dict[str, Callable[[], Any]] = {
        "speex": lambda: echo_peers.Speex(scene),
        "speex+pp": lambda: echo_peers.Speex(scene, preprocess=True),
        "aec3": lambda: echo_peers.Aec3(scene),
    }
    return _work(rate_hz, lambda: makes[kind]().process)


def _levels_agree(rate_hz: int) -> Callable[[S16, S16], str]:
    _, near = _streams(rate_hz)

    def check(ours: S16, theirs: S16) -> str:
        off = float(np.mean((ours.astype(float) - theirs) ** 2)) + 0.01
        below_db = 10 * np.log10(float(np.mean(near.astype(float) ** 2)) / off)
        if not below_db >= LEVELS_DB:
            raise Differs(f"two levels differ by only {below_db:.0f} dB below the microphone")
        return f"difference {below_db:.0f} dB below the microphone"

    return check


def _cancels(rate_hz: int) -> Callable[[S16, S16], str]:
    _, near = _streams(rate_hz)
    alone = slice(len(near) // 4, len(near) // 2)

    def check(ours: S16, theirs: S16) -> str:
        powers = [float(np.mean(x[alone].astype(float) ** 2)) for x in (near, ours, theirs)]
        gains_db = [10 * np.log10(powers[0] / (power + 0.01)) for power in powers[1:]]
        if not min(gains_db) >= BOUND_DB:
            raise Differs(
                f"in the second second of echo {gains_db[0]:.0f} dB are gone, "
                f"with the peer {gains_db[1]:.0f} dB"
            )
        return f"echo in its second second {gains_db[0]:.0f} dB down; peer {gains_db[1]:.0f} dB"

    return check


def _peers(rate_hz: int) -> tuple[Peer, ...]:
    speex = (shared_library("speexdsp", "libspeexdsp.so.1", "apt install libspeexdsp1"),)
    aec3 = (package("aec-audio-processing", "aec_audio_processing"),)
    check = _cancels(rate_hz)
    return (
        Peer("speexdsp", speex, lambda: _peer("speex", rate_hz), check),
        Peer("speexdsp, preprocessor", speex, lambda: _peer("speex+pp", rate_hz), check),
        Peer("aec-audio-processing (AEC3)", aec3, lambda: _peer("aec3", rate_hz), check),
    )


def measurements() -> list[Measurement]:
    """Both rates."""
    return [
        Measurement(
            f"echo-{rate_hz // 1000}",
            "EchoCanceller",
            f"cancel echo, 20 ms at {rate_hz // 1000} kHz",
            20,
            _ours(rate_hz),
            True,
            _levels_agree(rate_hz),
            _peers(rate_hz),
        )
        for rate_hz in (16000, 8000)
    ]
