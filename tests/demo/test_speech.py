"""Where the caller's speech comes from: files of any kind, and voices."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicecore.errors import AudioFileError, ConfigError, ProviderError
from voicecore.testing.voices import ProgramVoice, find_voice
from voicecore.testing.wavfiles import load_speech


def tone(rate_hz: int, channels: int = 1, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    mono = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    return np.stack([mono] * channels, axis=1)


@pytest.mark.parametrize("rate_hz", [6000, 8000, 11025, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_files_of_any_rate_keep_their_sound(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate_hz, channels), rate_hz)
    pcm = load_speech(path, 8000)
    assert pcm.dtype == np.int16
    assert abs(len(pcm) - 8000) <= 50  # the resampler's tail
    # oracle: a 440 Hz sine of amplitude 0.5 keeps its level (0.2 dB) and its place in the spectrum
    middle = pcm[2000:6000].astype(float) / 32768
    assert 20 * np.log10(np.sqrt(2 * np.mean(middle**2)) / 0.5) == pytest.approx(0.0, abs=0.2)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(4000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=2)


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    def write(name: str, samples: np.ndarray, rate_hz: int = 8000) -> Path:
        soundfile.write(tmp_path / name, samples, rate_hz, subtype="FLOAT")
        return tmp_path / name

    text = tmp_path / "text.wav"
    text.write_text("this is no audio")
    cut = tmp_path / "cut.wav"
    cut.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    nan = np.full(800, np.nan, np.float32)
    cases = {
        tmp_path / "missing.wav": "does not exist",
        tmp_path: "not a file",
        text: "cannot be read as audio",
        cut: "cannot be read as audio",
        write("empty.wav", np.zeros(0, np.float32)): "no audio",
        write("silent.wav", np.zeros(800, np.float32)): "silent",
        write("nan.wav", nan): "not numbers",
        write("slow.wav", np.ones(800, np.float32), 1000): "1000 Hz",
    }
    for path, reason in cases.items():
        with pytest.raises(AudioFileError, match=reason):
            load_speech(path, 8000)


async def _speak(voice: ProgramVoice) -> np.ndarray:
    return await voice.speak("Good day.", 8000)


def test_a_voice_that_fails_says_so() -> None:
    import asyncio

    with pytest.raises(ProviderError, match="broken"):
        asyncio.run(_speak(ProgramVoice("broken", ["false", "{text}"])))
    with pytest.raises(ProviderError, match="nowhere"):
        asyncio.run(_speak(ProgramVoice("nowhere", ["/no/such/program"])))


def test_a_voice_is_trimmed_and_has_the_level_of_a_telephone() -> None:
    import asyncio

    found = [name for name in ("flite", "espeak-ng") if shutil.which(name)]
    for name in found:
        pcm = asyncio.run(find_voice(prefer=name).speak("Good day to you.", 8000))
        assert 0.5 < len(pcm) / 8000 < 3.0
        assert np.abs(pcm[:400]).max() > 0  # at most 50 ms of silence before it
        loud = np.abs(pcm) > 1000
        level_db = 20 * np.log10(np.sqrt(np.mean((pcm[loud] / 32768.0) ** 2)))
        assert -30 < level_db < -12
    if not found:
        with pytest.raises(ConfigError, match="apt install"):
            find_voice()


def test_unknown_voices_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown"):
        find_voice(prefer="robot")
