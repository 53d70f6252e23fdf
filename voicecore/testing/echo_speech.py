"""Voices of the echo laboratory: recorded prompts for both ends, and the embedded synthesizer.

    far = far_speech(rng, 16000, seconds=40)         # the agent: en_US_f_Allison
    near = near_speech(rng, 16000, seconds=20, voice=NEAR_VOICES[0])

The prompts are those of Asterisk, recorded people in G.722, from the Debian packages
asterisk-core-sounds-en-g722 (and -it-, -fr-, -ru-). They are read from where the packages install
them, or from the cache folder, into which ``python tools/fetch_echo_speech.py`` unpacks them.
"""

from __future__ import annotations

import asyncio
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import MissingModelError, ProviderError

__all__ = [
    "FAR_VOICE",
    "NEAR_VOICES",
    "active_level_dbfs",
    "at_level",
    "cache_folder",
    "far_speech",
    "near_speech",
    "prompts",
    "synthesized",
]

FAR_VOICE = "en_US_f_Allison"
# The Spanish prompts are spoken by the far end's voice; these three are other people.
NEAR_VOICES = ("it_IT_m_Carlo", "fr_CA_f_June", "ru_RU_f_IvrvoiceRU")
_INSTALLED = Path("/usr/share/asterisk/sounds")
_RATE_HZ = 16000
_SHORTEST_S, _PAUSE_S = 1.0, 0.2
_FRAME_S = 0.02
_TEXT = (
    "Good evening, this is the restaurant by the river. I can offer you a table for four people "
    "on Friday at half past seven. Would you like to sit near the window, or rather inside? "
    "If you tell me your name and your number, I will write everything down and call you back. "
    "We open at eleven in the morning, and the kitchen closes at ten in the evening. "
    "The soup of the day is pumpkin with ginger, and there is fresh bread with every dish."
)

Signal = NDArray[np.float64]


def cache_folder() -> Path:
    """Where the laboratory keeps what takes long to get: $VOICECORE_CACHE, else ~/.cache/voicecore.

    XDG_CACHE_HOME takes the place of ~/.cache.
    """
    named = os.environ.get("VOICECORE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicecore"


def active_level_dbfs(signal: NDArray[Any], rate_hz: int) -> float:
    """Level of the speech without its pauses, dB over full scale (int16 or +-1 floats).

    Mean power of the 20 ms frames that are within 25 dB of the loud ones (the 95 % quantile of
    those that are not silent). -inf for silence. A plain stand-in for ITU-T P.56.
    """
    scale = 32768.0 if np.issubdtype(signal.dtype, np.integer) else 1.0
    frame = int(rate_hz * _FRAME_S)
    count = len(signal) // frame
    power = np.square(signal[: count * frame].astype(np.float64) / scale)
    power = power.reshape(count, frame).mean(axis=1)
    power = power[power > 0]
    if not len(power):
        return float("-inf")
    active = power[power > np.quantile(power, 0.95) * 10**-2.5]
    return float(10 * np.log10(active.mean()))


@lru_cache(maxsize=8)
def prompts(voice: str) -> tuple[Signal, ...]:
    """A voice's prompts of at least a second at 16 kHz, +-1, without the silence around them.

    Raises:
        MissingModelError: the package is not there; the message says how to get it.
    """
    from voicecore.media._codec import Decoder

    places = [
        folder / voice
        for folder in (_INSTALLED, cache_folder() / "asterisk/usr/share/asterisk/sounds")
    ]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise MissingModelError(
            f"the prompts of {voice} are not here; python tools/fetch_echo_speech.py fetches them, "
            f"or apt-get install asterisk-core-sounds-{voice[:2]}-g722"
        )
    found: list[Signal] = []
    for path in sorted(folder.glob("*.g722")):
        codes = path.read_bytes()
        if len(codes) < _SHORTEST_S * _RATE_HZ / 2:
            continue
        with Decoder("g722", _RATE_HZ) as decoder:
            signal = _trimmed(decoder.decode(codes) / 32768.0)
        if len(signal) >= _SHORTEST_S * _RATE_HZ:
            found.append(signal)
    if not found:
        raise MissingModelError(f"{folder} holds no prompts (.g722); install the package again")
    return tuple(found)


def _trimmed(signal: Signal) -> Signal:
    frame = int(_RATE_HZ * _FRAME_S)
    count = len(signal) // frame
    power = np.square(signal[: count * frame]).reshape(count, frame).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-4)
    if not len(loud):
        return signal[:0]
    return signal[loud[0] * frame : (loud[-1] + 1) * frame]


def _sequence(voice: str, rng: np.random.Generator, seconds: float) -> Signal:
    """Prompts in random order, each at the same level, with short pauses."""
    pool = prompts(voice)
    parts: list[Signal] = []
    needed = int(seconds * _RATE_HZ)
    length = 0
    while length < needed:
        for index in rng.permutation(len(pool)):
            level = 10 ** (-(active_level_dbfs(pool[index], _RATE_HZ) + 26.0) / 20.0)
            parts += [pool[index] * level, np.zeros(int(_PAUSE_S * _RATE_HZ))]
            length += len(parts[-1]) + len(parts[-2])
            if length >= needed:
                break
    return np.concatenate([np.zeros(0), *parts])[:needed]


def _at(signal: Signal, rate_hz: int, level_dbfs: float) -> Signal:
    from voicecore.media._resample import Resampler

    if rate_hz != _RATE_HZ:
        resampler: Any = Resampler(_RATE_HZ, rate_hz)
        pcm = np.rint(signal * 32768.0).clip(-32768, 32767).astype(np.int16)
        signal = np.concatenate([resampler.process(pcm), resampler.flush()]) / 32768.0
    return at_level(signal, rate_hz, level_dbfs)


def at_level(signal: Signal, rate_hz: int, level_dbfs: float) -> Signal:
    """The same, louder or softer: so that its active level is this. Silence stays silent."""
    level = active_level_dbfs(signal, rate_hz)
    if level == float("-inf"):
        return np.array(signal)
    return np.asarray(signal * 10 ** ((level_dbfs - level) / 20.0))


def far_speech(
    rng: np.random.Generator, rate_hz: int, seconds: float, level_dbfs: float = -20.0
) -> Signal:
    """The far end's prompts in random order at this level, +-1."""
    return _at(_sequence(FAR_VOICE, rng, seconds), rate_hz, level_dbfs)


def near_speech(
    rng: np.random.Generator,
    rate_hz: int,
    seconds: float,
    level_dbfs: float = -26.0,
    *,
    voice: str,
) -> Signal:
    """Another voice's prompts (one of ``NEAR_VOICES``) at this level, +-1."""
    return _at(_sequence(voice, rng, seconds), rate_hz, level_dbfs)


def synthesized(rate_hz: int, seconds: float, level_dbfs: float = -20.0) -> Signal:
    """The embedded synthesizer's voice, repeated to this length; made once and then cached.

    Raises:
        MissingModelError: the synthesizer's package is not installed.
    """
    signal = _synthesized_once()
    return _at(np.resize(signal, int(seconds * _RATE_HZ)), rate_hz, level_dbfs)


@lru_cache(maxsize=1)
def _synthesized_once() -> Signal:
    path = cache_folder() / "echo-lab" / "hibari-heart.npy"
    try:
        pcm = np.load(path)
    except (OSError, ValueError):
        pcm = asyncio.run(_synthesize())
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, pcm)
    return np.concatenate([_trimmed(pcm / 32768.0), np.zeros(int(_PAUSE_S * _RATE_HZ))])


async def _synthesize() -> NDArray[np.int16]:
    from voicecore.providers.tts.hibari import HibariTts
    from voicecore.testing.wavfiles import to_line

    tts = HibariTts()
    try:
        await asyncio.to_thread(tts.load)
        context = await tts.open()
        context.append(_TEXT)
        context.end()
        chunks = [chunk.pcm async for chunk in context]
        rate_hz = tts.rate_hz
    finally:
        tts.close()
    if not chunks:
        raise ProviderError(f"{tts.name} made no sound")
    return to_line((np.concatenate(chunks) / 32768.0).astype(np.float32), rate_hz, _RATE_HZ)
