"""Log-mel features in the manner of Whisper, in numpy, for the turn detector.

16 kHz, Hann window of 400 samples (periodic), hop 160, frames centred with the signal reflected at
its ends, 80 mel bands on Slaney's scale with area normalization, log10, floored 8 below the
greatest value, then (x + 4) / 4. Source: Radford et al. 2022 (Whisper), section 2.2, and Slaney's
Auditory Toolbox (1998) for the scale. The waveform is brought to zero mean and unit variance first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOP", "MEL_BANDS", "RATE_HZ", "log_mel", "mel_filters"]

RATE_HZ = 16000
MEL_BANDS = 80
HOP = 160
_FFT = 400
_LOG_BREAK_HZ = 1000.0
_LINEAR_HZ = 200.0 / 3.0
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = hz / _LINEAR_HZ
    log = _LOG_BREAK_HZ / _LINEAR_HZ + np.log(np.maximum(hz, 1e-9) / _LOG_BREAK_HZ) / _LOG_STEP
    return np.where(hz < _LOG_BREAK_HZ, linear, log)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ
    log = _LOG_BREAK_HZ * np.exp(_LOG_STEP * (mel - _LOG_BREAK_HZ / _LINEAR_HZ))
    return np.where(mel < _LOG_BREAK_HZ / _LINEAR_HZ, linear, log)


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """The triangular filters, shape (201 bins, 80 bands); each has the same area."""
    bins = np.linspace(0.0, RATE_HZ / 2, _FFT // 2 + 1)
    top = _hz_to_mel(np.array([RATE_HZ / 2.0]))[0]
    edges = _mel_to_hz(np.linspace(0.0, top, MEL_BANDS + 2))
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)


@lru_cache(maxsize=1)
def _sparse_filters() -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
    """The filters' non-zero entries by band: their bins, their weights, where each band starts.

    They are few (a bin lies in two bands), and a product with the full matrix would wake the
    threads of the linear algebra library, which costs more than the sum itself.
    """
    filters = mel_filters().T
    bands, bins = np.nonzero(filters)
    starts = np.searchsorted(bands, np.arange(MEL_BANDS))
    return bins, filters[bands, bins], starts


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)).astype(np.float32)


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of mono 16 kHz ``audio``: float32 of shape (80, len // 160)."""
    centred = audio - audio.mean(dtype=np.float64).astype(np.float32)
    variance = np.float32(np.mean(np.square(centred), dtype=np.float64))
    normal = centred / np.sqrt(variance + np.float32(1e-7))
    padded = np.pad(normal, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::HOP][: len(audio) // HOP]
    spectrum = np.fft.rfft(frames * _window(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bins, weights, starts = _sparse_filters()
    bands = np.add.reduceat(power[:, bins] * weights, starts, axis=1)
    mel = np.log10(np.maximum(bands, np.float32(1e-10)))
    floored = np.maximum(mel, mel.max() - np.float32(8.0))
    return np.ascontiguousarray(((floored + np.float32(4.0)) / np.float32(4.0)).T)
