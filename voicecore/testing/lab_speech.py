"""Something to say in the laboratory: a file, the speech in an installed package, or vowels.

In this order: the file given; the recording in the moonshine-voice package (real speech); the
embedded synthesizer; vowel-like sounds made here, which exercise concealment but are no speech.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import AudioFileError, MissingModelError, ProviderError
from voicecore.testing.wavfiles import load_speech, to_line

__all__ = ["LabSpeech", "find_lab_speech", "vowels"]

_TEXT = (
    "Good evening, this is the restaurant by the river. I can offer you a table for four people "
    "on Friday at half past seven. Would you like to sit near the window, or rather inside? "
    "If you tell me your name and your number, I will write everything down and call you back."
)


@dataclass(frozen=True, slots=True)
class LabSpeech:
    """Samples, where they are from, and whether they are speech at all."""

    samples: NDArray[np.int16]
    name: str
    real: bool = True


def find_lab_speech(rate_hz: int, path: Path | None = None) -> LabSpeech:
    """The best there is at this rate (8000 or 16000, say).

    Raises:
        AudioFileError: the file given cannot be used.
    """
    if path is not None:
        return LabSpeech(load_speech(path, rate_hz), path.name)
    package = find_spec("moonshine_voice")
    for place in (package.submodule_search_locations or ()) if package else ():
        recording = Path(place) / "assets" / "two_cities.wav"
        try:
            return LabSpeech(load_speech(recording, rate_hz), "two_cities.wav of moonshine-voice")
        except (AudioFileError, MissingModelError):
            continue
    try:
        return LabSpeech(asyncio.run(_synthesized(rate_hz)), "the embedded synthesizer")
    except (MissingModelError, ProviderError, ImportError):
        return LabSpeech(vowels(rate_hz), "vowel-like sounds", real=False)


async def _synthesized(rate_hz: int) -> NDArray[np.int16]:
    from voicecore.providers.tts.hibari import HibariTts

    tts = HibariTts()
    try:
        await asyncio.to_thread(tts.load)
        context = await tts.open()
        context.append(_TEXT)
        context.end()
        chunks = [chunk.pcm async for chunk in context]
        rate = tts.rate_hz
    finally:
        tts.close()
    if not chunks:
        raise ProviderError(f"{tts.name} made no sound")
    return to_line((np.concatenate(chunks) / 32768.0).astype(np.float32), rate, rate_hz)


# The first two formants of five vowels, Hz, of a male talker (Peterson and Barney 1952).
_VOWELS = ((730, 1090), (530, 1840), (270, 2290), (570, 840), (300, 870))
_SYLLABLE_MS, _PAUSE_EVERY = 220, 9


def vowels(rate_hz: int, seconds: float = 12.0) -> NDArray[np.int16]:
    """Syllables of five vowels with a moving pitch, and a pause after every eighth."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * t) - 6 * (t % 2.0)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    syllable = (t * 1000 / _SYLLABLE_MS).astype(int)
    formants = np.array(_VOWELS, float)[(syllable * 7 // 3) % len(_VOWELS)]
    out = np.zeros(len(t))
    for harmonic in range(1, 30):
        at_hz = harmonic * pitch_hz
        gain = sum(
            1.0 / (1.0 + ((at_hz - formants[:, f]) / (60 + 40 * f)) ** 2) / (1 + f)
            for f in range(2)
        )
        out += np.where(at_hz < 0.45 * rate_hz, gain + 0.01, 0.0) * np.sin(harmonic * phase)
    envelope = np.sin(np.pi * (t * 1000 / _SYLLABLE_MS % 1.0)) ** 0.5
    envelope[syllable % _PAUSE_EVERY == _PAUSE_EVERY - 1] = 0.0
    out *= envelope
    samples: NDArray[np.int16] = np.rint(9000 * out / np.abs(out).max()).astype(np.int16)
    return samples
