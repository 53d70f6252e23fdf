"""The resampler beside soxr, libsamplerate, speexdsp, FFmpeg and LiveKit's: frames of 20 ms."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterable
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
from voicecore.cli.bench.signals import aligned_snr_db, low_noise, to_s16
from voicecore.media._resample import Resampler

__all__ = ["measurements"]

PAIRS_HZ = (
    (8000, 16000), (16000, 8000), (24000, 16000), (24000, 8000),
    (48000, 16000), (48000, 8000), (16000, 48000), (44100, 16000),
)  # fmt: skip
FRAMES = 50
# Ours has 0.05 dB of ripple, which alone is 45 dB; what is farther off is not the same filter.
BOUND_DB = 40.0
SPEEX = "libspeexdsp.so.1"
SPEEX_QUALITY = 3  # the default of its own tools, SPEEX_RESAMPLER_QUALITY_VOIP

S16 = NDArray[np.int16]
Frames = list[S16]
Feed = Callable[[S16], Any]  # a frame in, samples (or nothing) out


def _frames(in_hz: int) -> Frames:
    x = low_noise(in_hz, FRAMES / 50)
    size = in_hz // 50
    return [x[at : at + size].copy() for at in range(0, size * FRAMES, size)]


def _work(frames: Frames, make: Callable[[], Feed], joined: Callable[[list[Any]], S16]) -> Work:
    feed = make()

    def run() -> None:
        for frame in frames:
            feed(frame)

    def result() -> S16:
        fresh = make()
        return joined([fresh(frame) for frame in frames])

    return Work(run, len(frames), result)


def _arrays(parts: Iterable[Any]) -> S16:
    return np.concatenate(list(parts))


def _floats(parts: list[Any]) -> S16:
    return to_s16(np.concatenate(parts))


def _ours(in_hz: int, out_hz: int) -> Callable[[str | None], Work]:
    def make(level: str | None) -> Work:
        return _work(_frames(in_hz), lambda: Resampler(in_hz, out_hz, level=level).process, _arrays)

    return make


def _soxr(in_hz: int, out_hz: int, quality: str) -> Work:
    soxr = importlib.import_module("soxr")

    def make() -> Feed:
        stream = soxr.ResampleStream(in_hz, out_hz, 1, dtype="int16", quality=quality)
        return stream.resample_chunk  # type: ignore[no-any-return]

    return _work(_frames(in_hz), make, _arrays)


def _samplerate(in_hz: int, out_hz: int) -> Work:
    samplerate = importlib.import_module("samplerate")
    ratio = out_hz / in_hz

    def make() -> Feed:
        process = samplerate.Resampler("sinc_fastest", channels=1).process
        return lambda frame: process(frame, ratio)

    frames: list[Any] = [(frame / 32768).astype(np.float32) for frame in _frames(in_hz)]
    return _work(frames, make, _floats)


class _Speex:
    """speexdsp's resampler by ctypes."""

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self._library = ctypes.CDLL(SPEEX)
        create = self._library.speex_resampler_init
        create.restype = ctypes.c_void_p
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(create(1, in_hz, out_hz, SPEEX_QUALITY, ctypes.byref(error)))
        self._out = np.zeros(out_hz // 50 + 16, np.int16)
        self._to = ctypes.c_void_p(self._out.ctypes.data)
        self._process = self._library.speex_resampler_process_int

    def process(self, frame: S16) -> S16:
        n_in, n_out = ctypes.c_uint(len(frame)), ctypes.c_uint(len(self._out))
        self._process(
            self._state,
            0,
            ctypes.c_void_p(frame.ctypes.data),
            ctypes.byref(n_in),
            self._to,
            ctypes.byref(n_out),
        )
        return np.array(self._out[: n_out.value])

    def __del__(self) -> None:
        self._library.speex_resampler_destroy(self._state)


def _speex(in_hz: int, out_hz: int) -> Work:
    return _work(_frames(in_hz), lambda: _Speex(in_hz, out_hz).process, _arrays)


def _pyav(in_hz: int, out_hz: int) -> Work:
    av = importlib.import_module("av")

    def make() -> Feed:
        resampler = av.AudioResampler("s16", "mono", out_hz)

        def feed(samples: S16) -> list[Any]:
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate = in_hz
            return resampler.resample(frame)  # type: ignore[no-any-return]

        return feed

    def joined(parts: list[Any]) -> S16:
        return _arrays(frame.to_ndarray()[0] for part in parts for frame in part)

    return _work(_frames(in_hz), make, joined)


def _livekit(in_hz: int, out_hz: int) -> Work:
    rtc = importlib.import_module("livekit.rtc")

    def make() -> Feed:
        push = rtc.AudioResampler(in_hz, out_hz).push
        return lambda samples: push(bytearray(samples))

    def joined(parts: list[Any]) -> S16:
        return _arrays(np.frombuffer(frame.data, np.int16) for part in parts for frame in part)

    return _work(_frames(in_hz), make, joined)


def _same(ours: S16, theirs: S16) -> str:
    worst = int(np.abs(ours.astype(int) - theirs).max())
    if len(ours) != len(theirs) or worst > 1:
        raise Differs(f"two levels differ by {worst} of 32768")
    return f"within {worst} of 32768"


def _alike(ours: S16, theirs: S16) -> str:
    snr_db = aligned_snr_db(ours, theirs, len(ours) // 10)
    if not snr_db >= BOUND_DB:
        raise Differs(f"the difference is only {snr_db:.1f} dB below the signal")
    return f"difference {snr_db:.0f} dB below the signal"


def _peers(in_hz: int, out_hz: int) -> tuple[Peer, ...]:
    soxr = (package("soxr"),)
    speex = shared_library("speexdsp", SPEEX, "apt install libspeexdsp1")
    pair = (in_hz, out_hz)
    return (
        Peer("soxr HQ", soxr, lambda: _soxr(*pair, "HQ"), _alike),
        Peer("soxr MQ", soxr, lambda: _soxr(*pair, "MQ"), _alike),
        Peer("samplerate fastest", (package("samplerate"),), lambda: _samplerate(*pair), _alike),
        Peer(f"speexdsp {SPEEX_QUALITY}", (speex,), lambda: _speex(*pair), _alike),
        Peer("PyAV (swresample)", (package("av"),), lambda: _pyav(*pair), _alike),
        Peer("livekit (soxr MQ)", (package("livekit", "livekit.rtc"),), lambda: _livekit(*pair),
             _alike),
    )  # fmt: skip


def measurements() -> list[Measurement]:
    """The pairs of rates that calls use."""
    return [
        Measurement(
            f"resample-{in_hz / 1000:g}-{out_hz / 1000:g}",
            "Resampler",
            f"resample 20 ms, {in_hz / 1000:g} to {out_hz / 1000:g} kHz",
            20,
            _ours(in_hz, out_hz),
            True,
            _same,
            _peers(in_hz, out_hz),
        )
        for in_hz, out_hz in PAIRS_HZ
    ]
