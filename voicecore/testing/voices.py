"""The simulated caller's voice: not the agent's.

flite or espeak-ng if their programs are installed, else the agent's own synthesizer, played back
at another speed, so that it sounds like somebody else (lower and slower by 8 %).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import wave
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, ProviderError
from voicecore.providers.base import Tts
from voicecore.testing.wavfiles import to_line

__all__ = ["CallerVoice", "ProgramVoice", "ShiftedVoice", "find_voice"]

_TIMEOUT_S = 30.0
_TEXT_MAX = 1000
# Speech power of a telephone talker: ITU-T P.56 recommends about -26 dBov for test speech.
_LEVEL_DBOV = -24.0


class CallerVoice(ABC):
    """Turns a line into speech. ``name`` says which voice it is."""

    name: str

    @abstractmethod
    async def speak(self, text: str, rate_hz: int) -> NDArray[np.int16]:
        """The line as mono int16 at ``rate_hz``, without silence around it.

        Raises:
            ProviderError: the voice made no sound.
        """


class ProgramVoice(CallerVoice):
    """A command-line synthesizer that writes a WAV file.

    Args:
        name: what to call it.
        command: the arguments; "{text}" and "{file}" are replaced within them.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = tuple(command)

    async def speak(self, text: str, rate_hz: int) -> NDArray[np.int16]:
        """Run the program in a thread."""
        return await asyncio.to_thread(self._speak, text, rate_hz)

    def _speak(self, text: str, rate_hz: int) -> NDArray[np.int16]:
        with tempfile.TemporaryDirectory(prefix="voicecore-") as folder:
            file = Path(folder) / "line.wav"
            command = [
                part.replace("{text}", text[:_TEXT_MAX]).replace("{file}", str(file))
                for part in self._command
            ]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
                with wave.open(str(file)) as speech:
                    in_hz = speech.getframerate()
                    raw = np.frombuffer(speech.readframes(speech.getnframes()), "<i2")
                    mono = raw.reshape(-1, speech.getnchannels()).mean(axis=1)
            except (OSError, subprocess.SubprocessError, wave.Error, EOFError) as error:
                raise ProviderError(f"the caller's voice {self.name} failed: {error}") from error
        return _finish((mono / 32768.0).astype(np.float32), in_hz, rate_hz, self.name)


class ShiftedVoice(CallerVoice):
    """Another synthesizer's speech, taken for 22.05 kHz although it is 24 kHz."""

    def __init__(self, tts: Tts) -> None:
        if tts.rate_hz != 24_000:
            raise ConfigError(f"the shifted voice needs a 24 kHz synthesizer, not {tts.rate_hz} Hz")
        self._tts = tts
        self.name = f"{tts.name}, shifted"

    async def speak(self, text: str, rate_hz: int) -> NDArray[np.int16]:
        """Synthesize and shift."""
        context = await self._tts.open()
        context.append(text)
        context.end()
        chunks = [chunk.pcm async for chunk in context]
        pcm = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        return _finish((pcm / 32768.0).astype(np.float32), 22_050, rate_hz, self.name)


def _finish(mono: NDArray[np.float32], in_hz: int, rate_hz: int, name: str) -> NDArray[np.int16]:
    """Trim the silence, bring to the telephone's level, resample."""
    loud = np.flatnonzero(np.abs(mono) > 10 ** (-50 / 20))
    if len(loud) == 0:
        raise ProviderError(f"the caller's voice {name} made no sound")
    margin = in_hz // 50
    mono = mono[max(0, loud[0] - margin) : loud[-1] + margin]
    frames = mono[: len(mono) // margin * margin].reshape(-1, margin)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    active = power[power > power.max() * 1e-3]  # within 30 dB of the loudest 20 ms
    gain = 10 ** (_LEVEL_DBOV / 20) / float(np.sqrt(active.mean()))
    gain = min(gain, 0.99 / float(np.abs(mono).max()))
    return to_line(mono * np.float32(gain), in_hz, rate_hz)


def find_voice(tts: Tts | None = None, prefer: str | None = None) -> CallerVoice:
    """The best voice there is that is not the agent's.

    Args:
        tts: the agent's synthesizer, the last resort.
        prefer: "flite", "espeak-ng" or "shifted" to insist on one.

    Raises:
        ConfigError: the voice asked for is not installed, or there is none at all.
    """
    if prefer not in (None, "flite", "espeak-ng", "shifted"):
        raise ConfigError(f"voice {prefer!r} is unknown; use 'flite', 'espeak-ng' or 'shifted'")
    flite = shutil.which("flite")
    if flite and prefer in (None, "flite"):
        return ProgramVoice("flite rms", [flite, "-voice", "rms", "-t", "{text}", "-o", "{file}"])
    espeak = shutil.which("espeak-ng")
    if espeak and prefer in (None, "espeak-ng"):
        return ProgramVoice(
            "espeak-ng en-us", [espeak, "-v", "en-us", "-s", "150", "-w", "{file}", "{text}"]
        )
    if tts is not None and prefer in (None, "shifted"):
        return ShiftedVoice(tts)
    raise ConfigError(
        "there is no voice for the caller: install flite or espeak-ng (apt install flite)"
        if prefer in (None, "shifted")
        else f"{prefer} is not installed: apt install {prefer}"
    )
