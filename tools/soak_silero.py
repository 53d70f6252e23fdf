"""A day of audio through the Silero VAD, faster than real time: does its state drift?

python tools/soak_silero.py                      24 h at both rates, every CPU level: 20 minutes
python tools/soak_silero.py --hours 2 --rate 8000

The audio is the test corpus over and over, each round from another place and at another level.
onnxruntime hears the same from the first window to the last (a fresh start near the end would not
do: the network itself remembers minutes). Bound: 1e-4 in probability in every round, and the same
decisions at 0.5.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import voicecore  # noqa: E402
from tests import audio  # noqa: E402

Floats = npt.NDArray[np.float32]
BOUND = 1e-4


class Onnx:
    """The network in onnxruntime; its caller keeps context and state."""

    def __init__(self, rate_hz: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = audio.package_directory("silero_vad", "--no-deps silero-vad==6.2.3")
        self.session = onnxruntime.InferenceSession(
            str(path / "data" / "silero_vad.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.window = rate_hz * 32 // 1000
        self.rate = np.array(rate_hz, np.int64)
        self.context = np.zeros((1, self.window // 8), np.float32)
        self.state = np.zeros((2, 1, 128), np.float32)

    def process(self, samples: Floats) -> Floats:
        """Probabilities of the whole windows in samples."""
        result = []
        for start in range(0, len(samples) - self.window + 1, self.window):
            block = samples[None, start : start + self.window]
            joined = np.concatenate([self.context, block], axis=1)
            feed = {"input": joined, "state": self.state, "sr": self.rate}
            probability, self.state = self.session.run(None, feed)
            self.context = block[:, -self.context.shape[1] :]
            result.append(probability[0, 0])
        return np.array(result, np.float32)


def onnx_probabilities(samples: Floats, rate_hz: int) -> Floats:
    """What onnxruntime says of a recording."""
    return Onnx(rate_hz).process(samples)


def rounds(rate_hz: int, seconds: float, seed: int) -> Iterator[Floats]:
    """Whole windows, about half an hour a piece, until the seconds are full."""
    window = rate_hz * 32 // 1000
    corpus = np.concatenate([clip.samples for clip in audio.long_corpus(rate_hz)])
    rng = np.random.default_rng(seed)
    left = int(seconds * rate_hz) // window * window
    while left:
        gain = np.float32(10 ** (rng.uniform(-20, 0) / 20))
        piece = gain * np.roll(corpus, -int(rng.integers(len(corpus))))
        piece = piece[: min(left, len(piece) // window * window)]
        left -= len(piece)
        yield piece


def soak(rate_hz: int, hours: float, levels: list[str]) -> bool:
    """Prints what it finds; whether all is within the bound."""
    vads = {level: voicecore.SileroVad(rate_hz, level=level) for level in levels}
    differences: dict[str, list[float]] = {level: [] for level in levels}
    other = dict.fromkeys(levels, 0)
    peer = Onnx(rate_hz)
    windows = 0
    for piece in rounds(rate_hz, 3600 * hours, seed=1):
        expected = peer.process(piece)
        windows += len(expected)
        for level, vad in vads.items():
            got = vad.process(piece)
            differences[level].append(float(np.abs(got - expected).max()))
            other[level] += int(np.sum((got > 0.5) != (expected > 0.5)))
    for level, worst in differences.items():
        print(
            f"{rate_hz} Hz, {level}: {windows} windows, {hours:g} h; max |dp| {max(worst):.1e}, "
            f"in the first half hour {worst[0]:.1e}, in the last {worst[-1]:.1e}; "
            f"{other[level]} other decisions",
            flush=True,
        )
    return all(max(worst) <= BOUND for worst in differences.values()) and not any(other.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--rate", type=int, choices=(8000, 16000), action="append")
    parser.add_argument("--level", choices=voicecore.cpu_levels(), action="append")
    options = parser.parse_args()
    levels = options.level or list(voicecore.cpu_levels())
    results = [soak(rate, options.hours, levels) for rate in options.rate or (16000, 8000)]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
