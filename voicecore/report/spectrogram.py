"""Spectrograms as PNG, made with numpy and zlib alone.

png = spectrogram_png(samples, 16000, width=720, height=96)
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_uri", "spectrogram_png"]

_WINDOW_S = 0.032
_SHADES = 32
# Dark blue over violet and orange to light yellow: light grows evenly, also without colour.
_STOPS = ((0.0, 8, 8, 30), (0.3, 62, 24, 108), (0.55, 168, 50, 92), (0.8, 240, 132, 48),
          (1.0, 253, 240, 170))  # fmt: skip


def spectrogram_png(
    samples: NDArray[Any], rate_hz: int, *, width: int, height: int,
    floor_dbfs: float = -95.0, top_dbfs: float = -35.0,
) -> bytes:  # fmt: skip
    """A picture of int16 samples: time to the right, 0 Hz at the bottom, half the rate on top.

    Each pixel is the largest value in its time (power of a Hann window of 32 ms, dB over full
    scale in a bin) and the mean in its band. Nothing is drawn beyond the end.
    """
    size = int(rate_hz * _WINDOW_S)
    signal = samples.astype(np.float64) / 32768.0
    hop = max(1, min(size // 2, len(signal) // (2 * width) or 1))
    padded = np.concatenate([signal, np.zeros(size)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(signal) or 1 : hop]
    window = np.hanning(size + 1)[:size]
    power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)) * 2 / window.sum())[:, 1:]
    columns = np.linspace(0, len(power), width + 1).astype(int)
    rows = np.linspace(0, power.shape[1], height + 1).astype(int)
    starts = np.minimum(columns[:-1], len(power) - 1)
    picture = np.maximum.reduceat(power, starts, axis=0)
    picture = np.add.reduceat(picture, np.minimum(rows[:-1], power.shape[1] - 1), axis=1)
    picture /= np.maximum(1, np.diff(rows))[None, :]
    level = (10 * np.log10(picture.T[::-1] + 1e-20) - floor_dbfs) / (top_dbfs - floor_dbfs)
    index = np.clip(np.rint(level * (_SHADES - 1)), 0, _SHADES - 1).astype(np.uint8)
    return _png(index)


def data_uri(png: bytes) -> str:
    """For the src of an img."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(index: NDArray[np.uint8]) -> bytes:
    """PNG with a palette (ISO/IEC 15948), 8 bits a pixel."""
    height, width = index.shape
    at = np.linspace(0, 1, _SHADES)
    stops = np.array(_STOPS)
    palette = np.column_stack([np.interp(at, stops[:, 0], stops[:, c]) for c in (1, 2, 3)])
    rows = np.concatenate([np.zeros((height, 1), np.uint8), index], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", np.rint(palette).astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
