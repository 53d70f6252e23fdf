"""The scenes of the echo laboratory: what was sent, what the microphone heard, what it should be.

    scene = make_scene("double-0db-100ms-rt0.2", seed=1)
    out = canceller.process(scene.mic, scene.far)    # and see voicecore.testing.echo_score
    for entry in SCENES.values():
        print(entry.name, entry.description)

A scene is 40 s at 16 kHz (lines: 8 kHz). The far end talks at -20 dBFS from the start, its echo
comes at -26 dBFS; in double talk the near end talks too, from 40 to 90 % of the scene; a jump comes
at 50 %. Another seed is another room, place, voice, order of the prompts and noise. Equal arguments
give equal samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.testing.echo_catalogue import QUICK, SCENES, SceneEntry
from voicecore.testing.echo_paths import (
    CLIPS_DB,
    convolve,
    delayed,
    drifted,
    hybrid_response,
    room_response,
    soft_clip,
    stretched,
)
from voicecore.testing.echo_speech import (
    NEAR_VOICES,
    active_level_dbfs,
    at_level,
    far_speech,
    near_speech,
    synthesized,
)

__all__ = ["QUICK", "SCENES", "Scene", "SceneEntry", "make_scene"]

FAR_DBFS, ECHO_DBFS = -20.0, -26.0
_DOUBLE_FROM, _DOUBLE_TO, _JUMP_AT = 0.4, 0.9, 0.5


@dataclass(frozen=True)
class Scene:
    """Signals of one scene; all int16 arrays have the same length.

    Attributes:
        entry: how it was made.
        seed: of everything random in it.
        rate_hz: 8000 or 16000.
        far: the reference, what was sent to the far loudspeaker.
        mic: echo, near end and noise: what the canceller gets.
        ideal: near end and noise without the echo: what it should give.
        speech: the near end alone, without noise.
        echo: the echo alone, +-32768, not rounded.
        voice: the near end's voice; "" if it is silent.
        double_s: when both talk (start, end); None if they never do.
        jump_s: when the delay jumps; None if it does not.
        jump_ms: by how much.
        onset_s: when the first echo comes to the microphone; 0 without echo.
        events: of the jitter buffer in the path, ("accelerated", "expanded" or "concealed", sample
            of the microphone's clock, samples). "concealed" moves the time too, unless its packet
            never came; gamma-40 and lte-handover lose none.
    """

    entry: SceneEntry
    seed: int
    rate_hz: int
    far: NDArray[np.int16]
    mic: NDArray[np.int16]
    ideal: NDArray[np.int16]
    speech: NDArray[np.int16]
    echo: NDArray[np.float32]
    voice: str
    double_s: tuple[float, float] | None
    jump_s: float | None
    jump_ms: int
    onset_s: float
    events: tuple[tuple[str, int, int], ...] = ()

    @property
    def name(self) -> str:
        """The entry's."""
        return self.entry.name

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.mic) / self.rate_hz


def make_scene(
    entry: str | SceneEntry,
    *,
    seed: int = 1,
    rate_hz: int | None = None,
    seconds: float = 40.0,
    far: NDArray[np.int16] | None = None,
    near: NDArray[np.int16] | None = None,
) -> Scene:
    """The named scene (or one of your own) of this seed; lines are at 8 kHz unless told otherwise.

    far, near: int16 speech of your own at the scene's rate for either end, repeated or cut to
    length and brought to the scene's level, instead of the prompts.

    Raises:
        ConfigError: there is no scene of that name, or an argument is out of range.
        MissingModelError: the prompts are not here; the message says how to get them.
        MissingLibraryError: pyroomacoustics is not installed.
    """
    if isinstance(entry, str):
        if entry not in SCENES:
            raise ConfigError(f"scene {entry!r} is unknown; use one of {', '.join(SCENES)}")
        entry = SCENES[entry]
    rate_hz = rate_hz or (8000 if entry.path == "line" else 16000)
    if rate_hz not in (8000, 16000):
        raise ConfigError(f"rate_hz is {rate_hz}; scenes have 8000 or 16000")
    if not 4.0 <= seconds <= 600.0:
        raise ConfigError(f"seconds is {seconds:g}; use 4 to 600")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; use 0 or more")
    if entry.clip not in CLIPS_DB:
        raise ConfigError(f"clip is {entry.clip!r}; use one of {', '.join(CLIPS_DB)}")
    for name, given in (("far", far), ("near", near)):
        if given is not None and not np.any(given):
            raise ConfigError(f"{name} is silent; give speech, or leave it out for the prompts")
    return _make(entry, seed, rate_hz, seconds, far, near)


def _make(
    entry: SceneEntry,
    seed: int,
    rate_hz: int,
    seconds: float,
    own_far: NDArray[np.int16] | None,
    own_near: NDArray[np.int16] | None,
) -> Scene:
    # One stream of chance each, so that scenes of one seed share what they have in common.
    far_rng, near_rng, noise_rng = (np.random.default_rng([seed, n]) for n in (10, 11, 12))
    length = int(seconds * rate_hz)
    far = np.zeros(length)
    if entry.kind != "near":
        if own_far is not None:
            far = at_level(np.resize(own_far / 32768.0, length), rate_hz, FAR_DBFS)
        elif entry.far == "tts":
            far = synthesized(rate_hz, seconds, FAR_DBFS)[:length]
        else:
            far = far_speech(far_rng, rate_hz, seconds, FAR_DBFS)[:length]
    sent = _rounded(_g711(far) if entry.g711 else far)
    played = sent / 32768.0
    events: tuple[tuple[str, int, int], ...] = ()
    if entry.trace and entry.kind != "near":
        through = stretched(played, rate_hz, entry.trace, seed)
        played = through.signal
        shift = entry.delay_ms * rate_hz // 1000
        events = tuple((kind, at + shift, count) for kind, at, count in through.events)
        if entry.known:
            sent, events = _rounded(played), ()
    echo = _echo(entry, played, seed, rate_hz, seconds)
    double_s = None
    near, voice = np.zeros(length), ""
    if entry.kind != "single":
        start_s, end_s = 0.0, seconds
        if entry.kind == "double" and entry.path != "none":
            start_s = seconds * (0.05 if entry.early else _DOUBLE_FROM)
            end_s = seconds * _DOUBLE_TO
        first, count = int(start_s * rate_hz), int((end_s - start_s) * rate_hz)
        level = (_line_dbfs(entry) if entry.path == "line" else ECHO_DBFS) + entry.ser_db
        if own_near is not None:
            voice = "your own"
            said = at_level(np.resize(own_near / 32768.0, count), rate_hz, level)
        else:
            voice = NEAR_VOICES[(seed - 1) % len(NEAR_VOICES)]  # seeds in a row: each in turn
            said = near_speech(near_rng, rate_hz, end_s - start_s, level, voice=voice)
        near[first : first + count] = said[:count]
        double_s = (start_s, end_s) if entry.kind == "double" else None
    noise = _noise(noise_rng, length, rate_hz, entry.noise_dbfs)
    finish = _g711 if entry.g711 else np.asarray
    heard = finish(echo + near + noise)
    if entry.overload:
        heard[int(_DOUBLE_FROM * length) : int(_JUMP_AT * length)] *= 10**1.5
    jumps = entry.jump_to_ms is not None
    loud = np.flatnonzero(np.abs(echo) > 10 ** ((active_level_dbfs(echo, rate_hz) - 20) / 20))
    return Scene(
        entry=entry,
        seed=seed,
        rate_hz=rate_hz,
        far=sent,
        mic=_rounded(heard),
        ideal=_rounded(finish(near + noise)),
        speech=_rounded(near),
        echo=(echo * 32768.0).astype(np.float32),
        voice=voice,
        double_s=double_s,
        jump_s=seconds * _JUMP_AT if jumps else None,
        jump_ms=(entry.jump_to_ms or 0) - entry.delay_ms if jumps else 0,
        onset_s=float(loud[0]) / rate_hz if len(loud) else 0.0,
        events=events,
    )


def _echo(
    entry: SceneEntry, played: NDArray[np.float64], seed: int, rate_hz: int, seconds: float
) -> NDArray[np.float64]:
    if entry.path == "none" or entry.kind == "near":
        return np.zeros(len(played))
    if entry.path == "line":
        echo = convolve(played, hybrid_response(rate_hz, seed, entry.return_loss_db))
    else:
        clipped = soft_clip(played, CLIPS_DB[entry.clip])
        echo = convolve(clipped, room_response(entry.rt60_s, rate_hz, seed))
        echo = at_level(echo, rate_hz, ECHO_DBFS)
    late = delayed(echo, entry.delay_ms * rate_hz // 1000)
    if entry.jump_to_ms is not None:
        at = int(seconds * _JUMP_AT * rate_hz)
        late[at:] = delayed(echo, entry.jump_to_ms * rate_hz // 1000)[at:]
    return drifted(late, entry.drift_ppm)


def _line_dbfs(entry: SceneEntry) -> float:
    return FAR_DBFS - (15.0 if entry.return_loss_db is None else entry.return_loss_db)


def _rounded(signal: NDArray[np.float64]) -> NDArray[np.int16]:
    pcm: NDArray[np.int16] = np.rint(signal * 32768.0).clip(-32768, 32767).astype(np.int16)
    return pcm


def _g711(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    from voicecore.media._codec import Decoder, Encoder

    with Encoder("pcmu", 8000) as encoder, Decoder("pcmu", 8000) as decoder:
        return np.asarray(decoder.decode(encoder.encode(_rounded(signal))) / 32768.0)


def _noise(
    rng: np.random.Generator, length: int, rate_hz: int, level_dbfs: float
) -> NDArray[np.float64]:
    noise = rng.normal(size=length)
    if level_dbfs > -75.0:
        f_hz = np.maximum(np.fft.rfftfreq(length, 1 / rate_hz), 50.0)
        noise = np.fft.irfft(np.fft.rfft(noise) * f_hz ** (-5 / 6.02), length)
    return np.asarray(noise * 10 ** (level_dbfs / 20) / np.sqrt(np.square(noise).mean()))
