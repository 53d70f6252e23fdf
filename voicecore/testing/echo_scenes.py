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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
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

Kind = Literal["single", "double", "near"]


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A named scene: how it is made.

    Attributes:
        name: for ``make_scene`` and the command line.
        kind: "single": only the far end talks; "double": both; "near": only the near end.
        path: "room", "line" (a telephone hybrid) or "none" (no echo).
        rt60_s: the room's nominal reverberation time.
        delay_ms: between the reference and the loudspeaker. A room adds 2.5 ms (at 16 kHz) for
            its filters and 1 to 4 ms for the air; -2 takes most of that off.
        jump_to_ms: another delay from half of the scene on.
        drift_ppm: how much faster the microphone's clock is than the reference's.
        clip: the loudspeaker's soft clip: "none", "mild" (-36 dB distortion), "strong" (-22 dB).
        noise_dbfs: white noise at -75, else falling by 5 dB an octave as in rooms.
        ser_db: near end to echo at the microphone.
        return_loss_db: a line's echo return loss; None: 6 to 24, by chance.
        trace: a network in front of the loudspeaker, with voicecore's jitter buffer.
        far: "prompts" or "tts".
        g711: the line is PCMU in both directions.
        early: in double talk the near end talks from 5 % of the scene on.
        overload: from 40 to 50 % of the scene the microphone is 30 dB too loud and clips.
    """

    name: str
    kind: Kind
    path: Literal["room", "line", "none"] = "room"
    rt60_s: float = 0.2
    delay_ms: int = 0
    jump_to_ms: int | None = None
    drift_ppm: float = 0.0
    clip: str = "mild"
    noise_dbfs: float = -75.0
    ser_db: float = 0.0
    return_loss_db: float | None = None
    trace: str | None = None
    far: Literal["prompts", "tts"] = "prompts"
    g711: bool = False
    early: bool = False
    overload: bool = False

    @property
    def description(self) -> str:
        """One line."""
        who = {"single": "far end alone", "double": "both talk", "near": "near end alone"}
        parts = [who[self.kind]]
        if self.kind == "double" and self.path != "none":
            parts.append(f"SER {self.ser_db:+g} dB" if self.ser_db else "SER 0 dB")
        if self.path == "room":
            parts.append(f"room of {self.rt60_s:g} s")
        elif self.path == "line":
            parts.append("telephone line, G.711" if self.g711 else "telephone line")
        else:
            parts.append("no echo")
        if self.path != "none":
            jump = "" if self.jump_to_ms is None else f", then {self.jump_to_ms}"
            parts.append(f"delay {self.delay_ms}{jump} ms")
        if self.path == "room" and self.clip != "mild":
            parts.append("linear loudspeaker" if self.clip == "none" else f"{self.clip} clip")
        if self.drift_ppm:
            parts.append(f"drift {self.drift_ppm:+g} ppm")
        if self.return_loss_db is not None:
            parts.append(f"return loss {self.return_loss_db:g} dB")
        if self.trace:
            parts.append(f"jitter buffer behind {self.trace!r}")
        if self.noise_dbfs > -75:
            parts.append(f"noise {self.noise_dbfs:g} dBFS")
        if self.far == "tts":
            parts.append("synthesized far end")
        if self.early:
            parts.append("both from the start")
        if self.overload:
            parts.append("a clipping microphone for a tenth")
        return ", ".join(parts)


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


def _entries() -> Iterator[SceneEntry]:
    rooms = (0.2, 0.4)
    for delay_ms in (0, 100, 250, 500):
        for rt in rooms:
            yield SceneEntry(f"single-{delay_ms}ms-rt{rt}", "single", rt60_s=rt, delay_ms=delay_ms)
    yield SceneEntry("single-100ms-rt0.6", "single", rt60_s=0.6, delay_ms=100)
    yield SceneEntry("single-minus2ms-rt0.2", "single", delay_ms=-2)
    yield SceneEntry("single-0ms-linear", "single", clip="none")
    yield SceneEntry("single-0ms-strong", "single", clip="strong")
    yield SceneEntry("single-100ms-strong", "single", rt60_s=0.4, delay_ms=100, clip="strong")
    yield SceneEntry("single-0ms-tts", "single", rt60_s=0.4, far="tts")
    yield SceneEntry("single-100ms-noise55", "single", delay_ms=100, noise_dbfs=-55.0)
    yield SceneEntry("single-100ms-overload", "single", delay_ms=100, overload=True)
    for rt in rooms:
        yield SceneEntry(f"jump-100-180-rt{rt}", "single", rt60_s=rt, delay_ms=100, jump_to_ms=180)
    yield SceneEntry("jump-180-100-rt0.2", "single", delay_ms=180, jump_to_ms=100)
    yield SceneEntry("jump-50-450-rt0.4", "single", rt60_s=0.4, delay_ms=50, jump_to_ms=450)
    for ppm in (20, 100):
        for rt in rooms:
            yield SceneEntry(
                f"drift-{ppm}-rt{rt}", "single", rt60_s=rt, delay_ms=100, drift_ppm=ppm
            )
    yield SceneEntry("drift-200-rt0.2", "single", delay_ms=100, drift_ppm=200)
    yield SceneEntry("drift-minus100-rt0.2", "single", delay_ms=100, drift_ppm=-100)
    for trace in ("gamma-40", "wifi", "lte-handover"):
        yield SceneEntry(f"stretch-{trace}-rt0.2", "single", delay_ms=40, trace=trace)
    for loss_db in (6, 12, 24):
        yield SceneEntry(f"line-{loss_db}db", "single", "line", return_loss_db=loss_db)
    yield SceneEntry("line-100ms", "single", "line", delay_ms=100)
    yield SceneEntry("line-g711", "single", "line", delay_ms=40, return_loss_db=10, g711=True)
    for ser_db in (-6, 0, 6):
        sign = {-6: "minus6", 0: "0", 6: "plus6"}[ser_db]
        for delay_ms in (0, 100):
            for rt in rooms:
                yield SceneEntry(
                    f"double-{sign}db-{delay_ms}ms-rt{rt}", "double", rt60_s=rt,
                    delay_ms=delay_ms, ser_db=ser_db,
                )  # fmt: skip
    yield SceneEntry("double-0db-strong", "double", delay_ms=100, clip="strong")
    yield SceneEntry("double-0db-noise55", "double", delay_ms=100, noise_dbfs=-55.0)
    yield SceneEntry("double-0db-drift100", "double", delay_ms=100, drift_ppm=100)
    yield SceneEntry("double-0db-jump", "double", delay_ms=100, jump_to_ms=180)
    yield SceneEntry("double-0db-early", "double", delay_ms=100, early=True)
    yield SceneEntry("double-line", "double", "line", ser_db=6.0, return_loss_db=12)
    yield SceneEntry("double-no-echo", "double", "none")
    yield SceneEntry("near-alone", "near", "none")


SCENES: dict[str, SceneEntry] = {entry.name: entry for entry in _entries()}
QUICK = (
    "single-0ms-rt0.2",
    "single-250ms-rt0.4",
    "jump-100-180-rt0.2",
    "drift-100-rt0.2",
    "double-0db-0ms-rt0.2",
    "double-minus6db-100ms-rt0.4",
    "double-no-echo",
    "near-alone",
    "line-12db",
)


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
    echo, events = _echo(entry, sent / 32768.0, seed, rate_hz, seconds)
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
    entry: SceneEntry, sent: NDArray[np.float64], seed: int, rate_hz: int, seconds: float
) -> tuple[NDArray[np.float64], tuple[tuple[str, int, int], ...]]:
    if entry.path == "none" or entry.kind == "near":
        return np.zeros(len(sent)), ()
    played = sent
    events: tuple[tuple[str, int, int], ...] = ()
    if entry.trace:
        through = stretched(sent, rate_hz, entry.trace, seed)
        shift = entry.delay_ms * rate_hz // 1000
        played, told = through.signal, through.events
        events = tuple((kind, at + shift, count) for kind, at, count in told)
    if entry.path == "line":
        echo = convolve(played, hybrid_response(rate_hz, seed, entry.return_loss_db))
    else:
        echo = convolve(
            soft_clip(played, CLIPS_DB[entry.clip]), room_response(entry.rt60_s, rate_hz, seed)
        )
        echo = at_level(echo, rate_hz, ECHO_DBFS)
    late = delayed(echo, entry.delay_ms * rate_hz // 1000)
    if entry.jump_to_ms is not None:
        at = int(seconds * _JUMP_AT * rate_hz)
        late[at:] = delayed(echo, entry.jump_to_ms * rate_hz // 1000)[at:]
    return drifted(late, entry.drift_ppm), events


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
