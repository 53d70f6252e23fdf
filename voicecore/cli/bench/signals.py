"""Audio to measure with, made here from fixed seeds: the cost of a unit can depend on its input."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["aligned_snr_db", "low_noise", "to_s16", "voice"]

_VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
_SYLLABLE_S = 0.2


@cache
def voice(rate_hz: int, seconds: float) -> NDArray[np.float32]:
    """Like a voice on a line: gliding pitch, formants, syllables, pauses; noise 15 dB below."""
    random = np.random.default_rng(11)
    n = int(rate_hz * seconds)
    t = np.arange(n) / rate_hz
    pitch_hz = 130 + 35 * np.sin(2 * np.pi * 0.7 * t) + 10 * np.sin(2 * np.pi * 3.1 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    syllable = (t / _SYLLABLE_S).astype(int)
    sounds = random.permutation(np.resize([0, 1, 2, 3, 4], syllable[-1] + 1))[syllable]  # 4: none
    formants = np.array([*_VOWELS_HZ, _VOWELS_HZ[0]], float)[sounds]
    total = np.zeros(n)
    for k in range(1, int(min(5000, 0.45 * rate_hz) / 175)):
        near = sum(1 / (1 + ((k * pitch_hz - formants[:, f]) / 120) ** 2) for f in range(3))
        total += near / np.sqrt(k) * np.sin(k * phase + k * k)
    loudness = np.where(sounds == 4, 0, np.sin(np.pi * (t / _SYLLABLE_S % 1)) ** 0.5)
    total *= loudness
    total *= 0.08 / np.sqrt(np.mean(total**2))
    spectrum = np.fft.rfft(random.standard_normal(n))
    spectrum /= np.sqrt(1 + np.arange(len(spectrum)))
    noise = np.fft.irfft(spectrum, n)
    total += noise * 0.08 / np.sqrt(np.mean(noise**2)) / 10 ** (15 / 20)
    result = np.clip(total, -1, 0.9999).astype(np.float32)
    result.setflags(write=False)
    return result


@cache
def low_noise(rate_hz: int, seconds: float, below_hz: int = 3000) -> NDArray[np.int16]:
    """Noise with nothing above ``below_hz``, so that no resampler's filter edge matters."""
    n = int(rate_hz * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(n))
    spectrum[np.arange(len(spectrum)) * rate_hz / n > below_hz] = 0
    x = np.fft.irfft(spectrum, n)
    result = np.asarray(x / np.abs(x).max() * 16000).astype(np.int16)
    result.setflags(write=False)
    return result


def to_s16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """On the scale of 32768, saturated."""
    return np.asarray(np.clip(np.rint(samples * 32768), -32768, 32767), np.int16)


def aligned_snr_db(ours: NDArray[np.int16], theirs: NDArray[np.int16], edge: int) -> float:
    """Signal to difference after the delay between the two, a fraction of a sample too, is undone.

    ``edge`` samples at either end are not looked at.
    """
    n = min(len(ours), len(theirs))
    a, b = ours[:n].astype(float), theirs[:n].astype(float)
    size = 2 * n
    cross = np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size))
    lag = int(np.argmax(np.fft.irfft(cross)))
    turns = np.arange(len(cross)) / size
    # What is left after the whole samples is a straight line in the phase.
    left = np.angle(cross * np.exp(2j * np.pi * turns * lag))
    weight = np.abs(cross)
    shift = lag - np.sum(weight * left * turns) / np.sum(weight * turns**2) / (2 * np.pi)
    shift = shift - size if shift > n else shift
    moved = np.fft.irfft(np.fft.rfft(a, size) * np.exp(-2j * np.pi * turns * shift))[:n]
    middle = slice(edge, n - edge)
    error = np.mean((moved[middle] - b[middle]) ** 2)
    return float(10 * np.log10(np.mean(b[middle] ** 2) / max(error, 1e-9)))
