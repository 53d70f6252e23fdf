"""What the far ends of the benchmarks send: packets of real speech, made before the run.

A file of them is what bench_content.h reads: RTP ticks in a packet and payload type, then for each
packet its length and bytes, all numbers as 32 bits of this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

__all__ = ["CODECS", "speech", "write_content"]

ROOT = Path(__file__).resolve().parents[2]
CODECS = ("pcmu", "l16", "g722", "opus")


def speech(rate_hz: int) -> np.ndarray:
    """Forty seconds: three voices in spurts of one to three seconds, pauses as long."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests import audio

    rng = np.random.default_rng(6)
    parts, second = [], rate_hz
    while sum(len(part) for part in parts) < 40 * second:
        voice = audio.speech(audio.REAL[len(parts) % len(audio.REAL)], rate_hz)
        start, length = (int(x) for x in rng.integers((0, second), (len(voice) - 3 * second,
                                                                      3 * second)))  # fmt: skip
        parts.append(voice[start : start + length])
        pause = int(rng.integers(second, 3 * second))
        parts.append(rng.normal(0, 0.001, pause).astype(np.float32))
    return (np.clip(np.concatenate(parts), -1, 0.9999) * 32768).astype(np.int16)


def write_content(path: Path, codec: str = "pcmu", rate_hz: int = 0) -> Path:
    """Packets of 20 ms as a call with this codec and rate takes them; Opus as libopus has it."""
    from voicecore import Encoder
    from voicecore.media.config import CallConfig

    config = CallConfig(codec=codec, rate_hz=rate_hz)
    pcm, frame = speech(config.rate_hz), config.rate_hz // 50
    encoder = Encoder(codec, config.rate_hz)  # type: ignore[arg-type]
    parts = [np.array([config.clock_hz // 50, config.wire_payload_type], np.uint32).tobytes()]
    for start in range(0, len(pcm) // frame * frame, frame):
        packet = encoder.encode(pcm[start : start + frame])
        parts += [np.uint32(len(packet)).tobytes(), packet]
    path.write_bytes(b"".join(parts))
    return path
