"""What the echo canceller gains by a reference from behind the codec, and what the decoder costs.

    python -m bench.echo_codec                    some two minutes' work
    python -m bench.echo_codec --seconds 15 --seeds 3

The agent's voice goes through the codec, a room and the codec again, as it does in a call. Echo
return loss enhancement (energy of the echo by what is left of it, last two thirds, while the agent
speaks) with either reference: "plain", what was encoded, and "decoded", what the caller's side
decodes. Beside it what the second decoder costs.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore import Decoder, EchoCanceller, Encoder
from voicecore.testing.echo_paths import convolve, room_response
from voicecore.testing.echo_speech import active_level_dbfs, far_speech

CODECS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("pcmu", 8000, {}),
    ("g722", 16000, {}),
    ("opus", 16000, {}),
    ("opus", 8000, {}),
)
Signal = NDArray[np.int16]


def through(codec: str, rate_hz: int, options: dict[str, Any], pcm: Signal) -> tuple[Signal, float]:
    """There and back in packets of 20 ms, and the decoder's us for each."""
    frame = rate_hz // 50
    with Encoder(codec, rate_hz, **options) as encoder, Decoder(codec, rate_hz) as decoder:
        packets = [encoder.encode(pcm[i : i + frame]) for i in range(0, len(pcm), frame)]
        began = time.thread_time()
        parts = [decoder.decode(packet) for packet in packets]
        us = (time.thread_time() - began) * 1e6 / len(packets)
    return np.concatenate(parts), us


def s16(signal: NDArray[np.float64]) -> Signal:
    return (np.clip(signal, -1.0, 0.9999) * 32768).astype(np.int16)


def cancelled(near: Signal, far: Signal, rate_hz: int) -> Signal:
    """What the canceller leaves, in the place of the input."""
    with EchoCanceller(rate_hz) as aec:
        block, delay = aec.block_samples, aec.delay_samples
        parts = [
            np.asarray(aec.process(near[i : i + block], far[i : i + block]))
            for i in range(0, len(near) - block + 1, block)
        ]
        return np.concatenate(parts)[delay:]


def erle_db(near: Signal, left: Signal, rate_hz: int) -> float:
    """Over the active frames of 20 ms of the last two thirds."""
    frame, n = rate_hz // 50, min(len(near), len(left))

    def energies(signal: Signal) -> NDArray[np.float64]:
        used = signal[n // 3 : n].astype(np.float64)
        return np.square(used[: len(used) // frame * frame]).reshape(-1, frame).sum(axis=1)

    before, after = energies(near), energies(left)
    active = before > 1e-3 * before.max()
    return float(10 * np.log10(before[active].sum() / (after[active].sum() + 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    print("codec  rate   ERLE dB, median (least): plain         decoded        decoder us/20 ms")
    for codec, rate_hz, settings in CODECS:
        found, cost = [], []
        for seed in range(1, options.seeds + 1):
            rng = np.random.default_rng([seed, 60])
            agent = far_speech(rng, rate_hz, options.seconds)
            agent = agent[: len(agent) // (rate_hz // 50) * (rate_hz // 50)]
            response = room_response(0.3, rate_hz, seed)
            level = active_level_dbfs(convolve(agent, response), rate_hz)
            response = response * 10 ** ((-30.0 - level) / 20.0)
            sent = s16(agent)
            decoded, us = through(codec, rate_hz, settings, sent)
            echo = convolve(decoded / 32768.0, response)
            echo = np.concatenate([np.zeros(rate_hz // 10), echo])[: len(agent)]
            near, _ = through(codec, rate_hz, settings, s16(echo))
            cost.append(us)
            found.append(
                [erle_db(near, cancelled(near, far, rate_hz), rate_hz) for far in (sent, decoded)]
            )
        middle, least = np.median(found, axis=0), np.min(found, axis=0)
        print(
            f"{codec:6} {rate_hz:5} {'':25} {middle[0]:5.1f} ({least[0]:5.1f})  "
            f"{middle[1]:5.1f} ({least[1]:5.1f})  {np.median(cost):6.1f}"
        )


if __name__ == "__main__":
    main()
