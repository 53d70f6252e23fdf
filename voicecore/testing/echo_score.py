"""Figures of an echo canceller on a scene: how much echo is gone, and what is left of the caller.

    score = run(make_scene("double-0db-0ms-rt0.2"), canceller)

A canceller is any object with ``process(near, far) -> int16`` of the same length, and
``delay_samples``; it gets 10 ms at a time, or its ``block_samples``. All figures are taken from
its output after that delay is taken off, in the same way for every canceller. None: the scene has
nothing to tell of it.

erle_db: power of the microphone over that of the output, 5 s after the start until the near end
    talks, or until the end. Noise is not taken off: with noise at -75 dBFS and echo at -26, 49 dB
    is all there is.
erle_last_db: the same in the last quarter of a scene of single talk.
to_20_db_s: from when the echo first comes to the end of the first window of 0.5 s (every 0.1 s)
    whose ERLE is 20 dB; windows without echo do not count. 0.5 is the least; inf is never.
back_20_db_s: the same after a jump. jump_erle_db: ERLE in the second after it.
lowest_erle_db: of all windows from 1 s after the echo came, and from 1 s after a jump (a canceller
    should never be worse than none).
pesq_mos: ITU-T P.862.2 (P.862 at 8 kHz) of the output against the near end without noise, while
    both talk, or in the whole scene if only the near end talks. ideal_pesq_mos: of the ideal.
sdr_db: near end over all else in the output, any filter of 256 taps counted as the near end
    (Vincent, Gribonval and Fevotte 2006); near_gain_db: what that filter does to its power.
recall: share of the chunks (32 ms) that Silero at 0.5 finds in the ideal, found in the output too.
false_alarms: share of the chunks in which Silero finds speech although only the far end talks,
    from 5 s on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, MissingModelError
from voicecore.testing.echo_scenes import Scene

__all__ = [
    "EchoCanceller",
    "EchoScore",
    "cancelled",
    "erle_course",
    "erle_db",
    "false_alarm_share",
    "recall_share",
    "run",
    "score",
    "sdr_and_gain_db",
    "seconds_to",
    "speech_chunks",
]

_BLOCK_S = 0.01
_WINDOW_S, _HOP_S = 0.5, 0.1
_SETTLED_S, _ADAPT_S = 5.0, 1.0
_TAPS, _LEAD = 256, 64
_CUT_S = 0.04
_ENOUGH_DB = 20.0
_THRESHOLD = 0.5
_FLOOR = 1.0 / 12.0  # power of rounding to int16: the least that an output can be said to have

Pcm = NDArray[np.int16]


class EchoCanceller(Protocol):
    """What the laboratory needs of a canceller."""

    name: str
    delay_samples: int

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """Any length; as many samples as given."""


@dataclass(frozen=True, slots=True)
class EchoScore:
    """The figures of one run; the module says what they mean."""

    scene: str
    seed: int
    rate_hz: int
    canceller: str
    delay_samples: int
    erle_db: float | None = None
    erle_last_db: float | None = None
    to_20_db_s: float | None = None
    back_20_db_s: float | None = None
    jump_erle_db: float | None = None
    lowest_erle_db: float | None = None
    pesq_mos: float | None = None
    ideal_pesq_mos: float | None = None
    sdr_db: float | None = None
    near_gain_db: float | None = None
    recall: float | None = None
    false_alarms: float | None = None

    def to_json(self) -> dict[str, object]:
        """As plain data, rounded to what means something; never is null."""
        return {
            name: (round(value, 4) if np.isfinite(value) else str(value))
            if isinstance(value, float)
            else value
            for name, value in asdict(self).items()
        }


def cancelled(scene: Scene, canceller: EchoCanceller) -> Pcm:
    """The canceller's output in its blocks or those of 10 ms, its delay taken off."""
    block = getattr(canceller, "block_samples", int(scene.rate_hz * _BLOCK_S))
    delay = canceller.delay_samples
    pad = delay + -(len(scene.mic) + delay) % block
    near = np.concatenate([scene.mic, np.zeros(pad, np.int16)])
    far = np.concatenate([scene.far, np.zeros(pad, np.int16)])
    parts = [
        canceller.process(near[at : at + block], far[at : at + block])
        for at in range(0, len(near), block)
    ]
    out = np.concatenate(parts)
    if out.dtype != np.int16 or len(out) != len(near):
        raise ConfigError(
            f"{canceller.name} gave {len(out)} samples of {out.dtype}; give {len(near)} of int16"
        )
    return out[delay : delay + len(scene.mic)]


def run(scene: Scene, canceller: EchoCanceller, *, with_pesq: bool = True) -> EchoScore:
    """``cancelled`` and ``score`` in one."""
    out = cancelled(scene, canceller)
    return score(
        scene, out, canceller.name, delay_samples=canceller.delay_samples, with_pesq=with_pesq
    )


def score(
    scene: Scene,
    out: Pcm,
    canceller: str = "",
    *,
    delay_samples: int = 0,
    with_pesq: bool = True,
    ideal: EchoScore | None = None,
) -> EchoScore:
    """All figures of an output (its delay taken off); PESQ (slow) unless it is not wanted.

    ideal: the score of the scene's ideal if it is there; it saves a PESQ.

    Raises:
        MissingModelError: the package pesq is not installed.
    """
    if len(out) != len(scene.mic):
        raise ConfigError(f"the output has {len(out)} samples; the scene has {len(scene.mic)}")
    found: dict[str, Any] = {}
    kind, rate_hz = scene.entry.kind, scene.rate_hz
    echoes = bool(scene.echo.any())
    if echoes:
        found |= _echo_figures(scene, out)
    if kind != "near":
        alone = _far_alone(scene)
        if alone is not None:
            found["false_alarms"] = false_alarm_share(out, rate_hz, *alone)
    if kind != "single":
        start_s, end_s = scene.double_s or (0.0, scene.seconds)
        inside = slice(int(start_s * rate_hz), int(end_s * rate_hz))
        speech, heard = scene.speech[inside], out[inside]
        found["sdr_db"], found["near_gain_db"] = sdr_and_gain_db(speech, heard)
        found["recall"] = recall_share(out, scene.ideal, rate_hz, start_s, end_s)
        if with_pesq:
            found["pesq_mos"] = _pesq(rate_hz, speech, heard)
            found["ideal_pesq_mos"] = (
                ideal.pesq_mos if ideal else _pesq(rate_hz, speech, scene.ideal[inside])
            )
    return EchoScore(scene.name, scene.seed, rate_hz, canceller, delay_samples, **found)


# -- echo ----------------------------------------------------------------------------------


def erle_db(mic: NDArray[Any], out: NDArray[Any]) -> float:
    """Power of one over power of the other, dB; both in int16 units."""
    powers = (float(np.square(x.astype(np.float64)).mean()) + _FLOOR for x in (mic, out))
    return float(10 * np.log10(next(powers) / next(powers)))


def erle_course(scene: Scene, out: Pcm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ERLE of windows of 0.5 s, every 0.1 s: when each ends, and dB.

    nan where the echo is too weak (25 dB under its level) or the near end talks.
    """
    window, hop = (int(x * scene.rate_hz) for x in (_WINDOW_S, _HOP_S))

    def powers(signal: NDArray[Any]) -> NDArray[np.float64]:
        total = np.concatenate([[0.0], np.cumsum(np.square(signal.astype(np.float64)))])
        return np.asarray((total[window::hop] - total[:-window:hop]) / window)

    echo, near = powers(scene.echo), powers(scene.speech)
    course = 10 * np.log10((powers(scene.mic) + _FLOOR) / (powers(out) + _FLOOR))
    course[(echo < 10**-2.5 * np.quantile(echo, 0.9)) | (near > 1.0)] = np.nan
    return (window + hop * np.arange(len(course))) / scene.rate_hz, course


def seconds_to(
    level_db: float, ends_s: NDArray[np.float64], course: NDArray[np.float64], from_s: float
) -> float:
    """From ``from_s`` to the end of the first whole window after it with this ERLE; inf: never."""
    good = np.flatnonzero((course >= level_db) & (ends_s >= from_s + _WINDOW_S - 1e-6))
    return float(ends_s[good[0]] - from_s) if len(good) else float("inf")


def _echo_figures(scene: Scene, out: Pcm) -> dict[str, Any]:
    rate_hz, length = scene.rate_hz, len(out)
    # A canceller's last blocks hear an echo that the recording's end cuts off: not its doing.
    end_s = scene.double_s[0] if scene.double_s else scene.seconds - _CUT_S
    settled = slice(int(min(_SETTLED_S, end_s / 2) * rate_hz), int(end_s * rate_hz))
    found: dict[str, Any] = {"erle_db": erle_db(scene.mic[settled], out[settled])}
    ends_s, course = erle_course(scene, out)
    found["to_20_db_s"] = seconds_to(_ENOUGH_DB, ends_s, course, scene.onset_s)
    later = (ends_s >= scene.onset_s + _ADAPT_S + _WINDOW_S) & ~np.isnan(course)
    if scene.jump_s is not None:
        later &= (ends_s <= scene.jump_s) | (ends_s >= scene.jump_s + _ADAPT_S + _WINDOW_S)
    if later.any():
        found["lowest_erle_db"] = float(course[later].min())
    if scene.entry.kind == "single":
        last = slice(length * 3 // 4, int(end_s * rate_hz))
        found["erle_last_db"] = erle_db(scene.mic[last], out[last])
    if scene.jump_s is not None and scene.entry.kind == "single":
        after = slice(int(scene.jump_s * rate_hz), int((scene.jump_s + 1.0) * rate_hz))
        found["jump_erle_db"] = erle_db(scene.mic[after], out[after])
        found["back_20_db_s"] = seconds_to(_ENOUGH_DB, ends_s, course, scene.jump_s)
    return found


def _far_alone(scene: Scene) -> tuple[float, float] | None:
    start_s = min(_SETTLED_S, scene.seconds / 4)
    end_s = scene.double_s[0] if scene.double_s else scene.seconds
    return (start_s, end_s) if end_s - start_s >= 1.0 else None


# -- near end ------------------------------------------------------------------------------


def sdr_and_gain_db(speech: NDArray[Any], out: NDArray[Any]) -> tuple[float, float]:
    """Signal to distortion, dB, with any filter of 256 taps allowed, and the filter's power gain.

    The taps reach from 64 samples before to 191 after.
    """
    reference, heard = (x.astype(np.float64) for x in (speech, out))
    size = 1 << (len(heard) + 2 * _TAPS).bit_length()
    spectrum = np.fft.rfft(reference, size)
    auto = np.fft.irfft(np.abs(spectrum) ** 2, size)[:_TAPS]
    cross = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(spectrum), size)
    cross = np.concatenate([cross[-_LEAD:], cross[: _TAPS - _LEAD]])
    index = np.abs(np.arange(_TAPS)[:, None] - np.arange(_TAPS)[None, :])
    matrix = auto[index]
    # A little of the diagonal keeps speech without high frequencies solvable: -100 dB.
    matrix[np.diag_indices(_TAPS)] += auto[0] * 1e-10
    taps = np.linalg.solve(matrix, cross)
    kept = np.roll(np.fft.irfft(np.fft.rfft(taps, size) * spectrum, size), -_LEAD)[: len(heard)]
    power = float(np.square(kept).sum())
    left = float(np.square(heard - kept).sum()) + _FLOOR * len(heard) * 1e-3
    sdr = 10 * np.log10((power + 1e-9) / left)
    return float(sdr), float(10 * np.log10((power + 1e-9) / np.square(reference).sum()))


def _pesq(rate_hz: int, speech: Pcm, heard: Pcm) -> float | None:
    try:
        import pesq
    except ImportError as error:
        raise MissingModelError(
            'PESQ needs the package pesq: pip install "voicecore-media[bench]", or --no-pesq'
        ) from error
    if not heard.any():
        return 1.0  # nothing is left
    # PESQ allows about 15 s at once and is meant for 8 to 12: the mean of pieces of 10 s.
    piece = 10 * rate_hz
    count = max(1, len(speech) // piece)
    found: list[float] = []
    for index in range(count):
        part = slice(index * piece, len(speech) if index == count - 1 else (index + 1) * piece)
        try:
            band = "nb" if rate_hz == 8000 else "wb"
            found.append(float(pesq.pesq(rate_hz, speech[part], heard[part], band)))
        except (pesq.NoUtterancesError, pesq.BufferTooShortError):
            continue
    return float(np.mean(found)) if found else None


# -- what a voice activity detector makes of it --------------------------------------------


def speech_chunks(signal: Pcm, rate_hz: int) -> NDArray[np.bool_]:
    """Silero's decisions at 0.5, one for each 32 ms."""
    from voicecore.media._silero import SileroVad

    with SileroVad(rate_hz) as vad:
        return np.asarray(vad.process(signal) >= _THRESHOLD)


def _between(rate_hz: int, chunks: int, start_s: float, end_s: float) -> slice:
    size = 512 * rate_hz // 16000
    return slice(int(np.ceil(start_s * rate_hz / size)), min(chunks, int(end_s * rate_hz // size)))


def recall_share(out: Pcm, ideal: Pcm, rate_hz: int, start_s: float, end_s: float) -> float | None:
    """Of the chunks between the two that are speech in the ideal, the share found in the output."""
    wanted, found = speech_chunks(ideal, rate_hz), speech_chunks(out, rate_hz)
    inside = _between(rate_hz, len(wanted), start_s, end_s)
    count = int(wanted[inside].sum())
    return float((wanted & found)[inside].sum() / count) if count else None


def false_alarm_share(out: Pcm, rate_hz: int, start_s: float, end_s: float) -> float:
    """Share of the chunks between the two that are speech to Silero."""
    found = speech_chunks(out, rate_hz)
    return float(found[_between(rate_hz, len(found), start_s, end_s)].mean())
