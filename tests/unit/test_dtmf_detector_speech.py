"""Talk-off: no digit in speech. Over an hour at 8 kHz, of which 2.2 minutes are recorded or
synthesized and the rest are the same voices at other speeds and pitches, backwards, coded, loud,
and with noise and music.

Oracle: nobody pressed a key, so any digit is false. Bound: none.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import resample_poly

from tests import audio
from voicecore import G711, DtmfDetector

# Speed and pitch together; 1 is left out, it is in the corpus.
SPEEDS = (0.72, 0.76, 0.80, 0.84, 0.88, 0.92, 0.96, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.36)
VOICES = (*audio.REAL, "synthetic")

pytestmark = pytest.mark.models  # the recordings are in the packages of the demo extra


def voice(name: str, rate_hz: int) -> audio.Samples:
    if name == "synthetic":
        return audio.synthetic_speech(rate_hz)
    return audio.speech(name, rate_hz)


def false_digits(x: audio.Samples, rate_hz: int = 8000, coding: str = "") -> list[object]:
    pcm = np.clip(np.round(x * 32767), -32768, 32767).astype(np.int16)
    if coding:
        law = G711(coding)
        pcm = np.frombuffer(law.decode(law.encode(pcm)), np.int16)
    detector = DtmfDetector(rate_hz)
    return [*detector.process(pcm), *detector.flush()]


@pytest.mark.parametrize("name", VOICES)
def test_speeds_and_pitches(name: str) -> None:
    seconds = 0.0
    clean = voice(name, 16000)
    for number, speed in enumerate(SPEEDS):
        ratio = Fraction(1 / speed).limit_denominator(50)
        x = resample_poly(clean, ratio.numerator, 2 * ratio.denominator).astype(np.float32)
        assert false_digits(x, coding=("", "ulaw", "alaw")[number % 3]) == [], speed
        seconds += len(x) / 8000
    assert seconds > 10 * len(clean) / 16000


@pytest.mark.parametrize("name", VOICES)
def test_backwards_loud_and_wideband(name: str) -> None:
    x = voice(name, 8000)
    assert false_digits(x[::-1]) == []
    assert false_digits(np.clip(4 * x, -1, 1)) == []
    assert false_digits(0.1 * x, coding="ulaw") == []
    for rate_hz in (16000, 48000):
        assert false_digits(voice(name, rate_hz), rate_hz) == []


@pytest.mark.parametrize("coding", ["", "ulaw"])
def test_the_corpus(coding: str) -> None:
    """Speech clean and with music, babble, hum and noise; and those alone. About 14 minutes."""
    seconds = 0.0
    for clip in audio.corpus(8000):
        assert false_digits(clip.samples, coding=coding) == [], clip.name
        seconds += len(clip.samples) / 8000
    assert seconds > 800
