"""The peers of bench_resample.py: what converts one 20 ms mono frame, as each library is used.

Every one has a real anti-alias filter. A peer that cannot be loaded is named in ``missing``.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = Callable[[], object]
missing: list[str] = []


def load(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        missing.append(f"{package} is missing: pip install {package}")
        return None


soxr = load("soxr", "soxr")
samplerate = load("samplerate", "samplerate")
av = load("av", "av")
rtc = load("livekit.rtc", "livekit")
_speex_path = ctypes.util.find_library("speexdsp")
speex = ctypes.CDLL(_speex_path) if _speex_path else None
if speex is None:
    missing.append("speexdsp is missing: apt-get install libspeexdsp1")
else:
    speex.speex_resampler_init.restype = ctypes.c_void_p


def speex_step(in_hz: int, out_hz: int, frame: NDArray[np.int16]) -> Step:
    """libspeexdsp at quality 5; the arrays' addresses are taken once, outside of the timing."""
    assert speex is not None
    error = ctypes.c_int()
    state = ctypes.c_void_p(speex.speex_resampler_init(1, in_hz, out_hz, 5, ctypes.byref(error)))
    assert error.value == 0
    out = np.empty(out_hz // 50 + 100, np.int16)
    n_in, n_out = ctypes.c_uint32(), ctypes.c_uint32()
    arguments = (
        state, ctypes.c_uint32(0), ctypes.c_void_p(frame.ctypes.data), ctypes.byref(n_in),
        ctypes.c_void_p(out.ctypes.data), ctypes.byref(n_out),
    )  # fmt: skip
    process = speex.speex_resampler_process_int

    def step(_keep: object = (frame, out)) -> object:
        n_in.value, n_out.value = len(frame), len(out)
        return process(*arguments)

    return step


def av_step(in_hz: int, out_hz: int, frame: NDArray[np.int16]) -> Step:
    converter = av.AudioResampler(format="s16", layout="mono", rate=out_hz)
    given = av.AudioFrame.from_ndarray(frame[None, :], format="s16", layout="mono")
    given.sample_rate = in_hz
    return lambda: converter.resample(given)


def livekit_step(in_hz: int, out_hz: int, frame: NDArray[np.int16]) -> Step:
    converter = rtc.AudioResampler(in_hz, out_hz)
    given = rtc.AudioFrame(frame.tobytes(), in_hz, 1, len(frame))
    return lambda: converter.push(given)


def peers(in_hz: int, out_hz: int, frame: NDArray[np.int16]) -> dict[str, Step]:
    """Steps by name; frame is 20 ms at in_hz."""
    as_float = (frame / 32768).astype(np.float32)
    found: dict[str, Step] = {}
    if soxr is not None:
        for quality in ("HQ", "MQ", "LQ"):
            for name, x in (("s16", frame), ("f32", as_float)):
                dtype = "int16" if name == "s16" else "float32"
                stream = soxr.ResampleStream(in_hz, out_hz, 1, dtype=dtype, quality=quality)
                found[f"soxr {quality} {name}"] = lambda s=stream, x=x: s.resample_chunk(x)  # type: ignore[misc]
    if speex is not None:
        found["speexdsp q5"] = speex_step(in_hz, out_hz, frame)
    if rtc is not None:
        found["livekit"] = livekit_step(in_hz, out_hz, frame)
    if av is not None:
        found["PyAV"] = av_step(in_hz, out_hz, frame)
    if samplerate is not None:
        sinc = samplerate.Resampler("sinc_fastest", channels=1)
        found["src sinc_fastest"] = lambda: sinc.process(as_float, out_hz / in_hz)
    return found
