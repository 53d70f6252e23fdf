"""Response gaps measured in a recording, with no stamp believed.

A two-channel recording (left the caller, right the agent) holds the truth about response time: how
long after the caller's last sound the agent's first sound comes. The rule is plain energy over
windows of 5 ms, one every millisecond, so that where the recording begins changes nothing. A window
is audible above -50 dBFS, and above the peak window of its utterance minus 35 dB, so that neither a
line's idle noise nor a voice's tail counts as speech. Sounds closer than ``join_ms`` are one
utterance; utterances shorter than ``min_ms`` are clicks.

Limits: times are whole milliseconds; echo or noise less than 35 dB below the voice makes ends late.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import AudioFileError, ConfigError, DtypeError, LengthError

__all__ = ["Gap", "Utterance", "find_utterances", "measure_gaps"]

Samples = NDArray[np.int16] | NDArray[np.float32]

WINDOW_MS = 5
FLOOR_DB = -50.0
BELOW_PEAK_DB = 35.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of sound on one channel; ``peak_db`` is the level of its loudest window in dBFS."""

    start_ms: float
    end_ms: float
    peak_db: float


@dataclass(frozen=True, slots=True)
class Gap:
    """One answer: when the caller's last sound ended and when the agent's first sound began."""

    caller_end_ms: float
    agent_onset_ms: float

    @property
    def gap_ms(self) -> float:
        """How long the caller waited; never negative."""
        return self.agent_onset_ms - self.caller_end_ms


def find_utterances(
    samples: Samples, rate_hz: int, *, join_ms: float = 200.0, min_ms: float = 30.0
) -> list[Utterance]:
    """Find the stretches of sound on one channel.

    Args:
        samples: int16[n], or float32[n] in -1..1.
        rate_hz: sample rate, 4000 or more.
        join_ms: pauses shorter than this do not end an utterance.
        min_ms: shorter sounds are left out.

    Raises:
        DtypeError, LengthError, ConfigError: the samples or the rate cannot be used.
    """
    if rate_hz < 4000:
        raise ConfigError(f"rate_hz is {rate_hz}; it must be 4000 or more")
    if join_ms < 0 or min_ms < 0:
        raise ConfigError(f"join_ms is {join_ms} and min_ms is {min_ms}; both must be 0 or more")
    if samples.ndim != 1:
        raise LengthError(f"samples have shape {samples.shape}; give one channel")
    levels = _levels_db(samples, rate_hz)
    found = []
    for start, end in _groups(levels > FLOOR_DB, join_ms):
        peak_db = float(levels[start:end].max())
        audible = levels[start:end] > max(FLOOR_DB, peak_db - BELOW_PEAK_DB)
        for first, last in _groups(audible, join_ms):
            # The first window to hear a sound has it at its end, the last one at its beginning.
            start_ms = start + first
            end_ms = start + last - (WINDOW_MS - 1)
            if end_ms - start_ms >= min_ms:
                utterance_db = float(levels[start + first : start + last].max())
                found.append(Utterance(float(start_ms), float(end_ms), utterance_db))
    return found


def measure_gaps(
    recording: str | Path | Samples,
    *,
    rate_hz: int = 8000,
    join_ms: float = 200.0,
    min_ms: float = 30.0,
) -> list[Gap]:
    """Measure every gap between the caller's end and the agent's onset.

    An answer is the first agent utterance after the end of a caller utterance and before the
    caller's next one. Where the agent was sounding at the caller's end (it talks on over a
    backchannel) there is no gap.

    Args:
        recording: a 16-bit stereo WAV file, or an array int16[n, 2] (or float32 in -1..1): column
            0 the caller, column 1 the agent.
        rate_hz: sample rate of an array; a file says its own.
        join_ms: pauses shorter than this do not end an utterance.
        min_ms: shorter sounds are left out.

    Raises:
        AudioFileError: the file is missing, damaged, or not 16-bit stereo.
        DtypeError, LengthError, ConfigError: the array cannot be used.

    Example:
        >>> sound = np.zeros((8000, 2), np.int16)
        >>> sound[800:2400, 0] = 3000 * np.sin(np.arange(1600))
        >>> sound[4800:6400, 1] = 3000 * np.sin(np.arange(1600))
        >>> measure_gaps(sound)[0].gap_ms
        300.0
    """
    samples: Samples
    if isinstance(recording, (str, Path)):
        samples, rate_hz = _read_stereo(Path(recording))
    else:
        samples = recording
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise LengthError(f"samples have shape {samples.shape}; give [n, 2]: caller, agent")
    caller = find_utterances(samples[:, 0], rate_hz, join_ms=join_ms, min_ms=min_ms)
    agent = find_utterances(samples[:, 1], rate_hz, join_ms=join_ms, min_ms=min_ms)
    gaps = []
    for index, spoken in enumerate(caller):
        next_ms = caller[index + 1].start_ms if index + 1 < len(caller) else float("inf")
        if any(answer.start_ms < spoken.end_ms < answer.end_ms for answer in agent):
            continue
        onset_ms = next((a.start_ms for a in agent if a.start_ms >= spoken.end_ms), None)
        if onset_ms is not None and onset_ms < next_ms:
            gaps.append(Gap(spoken.end_ms, onset_ms))
    return gaps


def _levels_db(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Levels in dBFS (a full-scale square wave is 0): number k is that of the 5 ms window whose
    last millisecond begins at k ms; beyond the ends there is silence."""
    if samples.dtype == np.int16:
        # Whole numbers: the sums are exact, whatever came before.
        energy = np.cumsum(np.square(samples.astype(np.int64)))
        full_scale = 32768.0**2
    elif samples.dtype == np.float32:
        energy = np.cumsum(np.square(samples.astype(np.float64)))
        full_scale = 1.0
    else:
        raise DtypeError(f"samples are {samples.dtype}; give int16, or float32 in -1..1")
    if len(samples) == 0:
        return np.zeros(0)
    energy = np.concatenate([energy[:1] * 0, energy])
    # Window edges in exact samples, so that 44100 Hz does not drift.
    count = -(-len(samples) * 1000 // rate_hz) + WINDOW_MS - 1
    starts = (np.arange(count) - (WINDOW_MS - 1)) * rate_hz // 1000
    ends = (np.arange(count) + 1) * rate_hz // 1000
    n = len(samples)
    power = (energy[np.clip(ends, 0, n)] - energy[np.clip(starts, 0, n)]) / (ends - starts)
    levels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power / full_scale, 1e-12))
    return levels


def _groups(audible: NDArray[np.bool_], join_ms: float) -> list[tuple[int, int]]:
    """Runs of audible windows as [start, end), joined over pauses shorter than ``join_ms``."""
    indices = np.flatnonzero(audible)
    if not len(indices):
        return []
    # A pause is heard by its inner windows only, so it looks shorter by all but one millisecond.
    pauses_ms = np.diff(indices) + WINDOW_MS - 2
    breaks = np.flatnonzero((np.diff(indices) > 1) & (pauses_ms >= join_ms))
    firsts = indices[np.concatenate([[0], breaks + 1])]
    lasts = indices[np.concatenate([breaks, [len(indices) - 1]])] + 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _read_stereo(path: Path) -> tuple[NDArray[np.int16], int]:
    """Read a 16-bit stereo WAV file: int16[n, 2] and its rate."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate_hz = file.getnchannels(), file.getsampwidth(), file.getframerate()
            promised = file.getnframes()
            data = file.readframes(promised)
    except FileNotFoundError as error:
        raise AudioFileError(f"{path}: there is no such file") from error
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends within its header"
        raise AudioFileError(f"{path}: not a PCM WAV file: {reason}") from error
    if width != 2:
        raise AudioFileError(f"{path}: {8 * width} bits a sample; convert it to 16-bit PCM")
    if channels != 2:
        raise AudioFileError(f"{path}: {channels} channel(s); two are needed: caller, agent")
    if len(data) != promised * 4:
        raise AudioFileError(
            f"{path}: truncated: the header says {promised} frames, {len(data) // 4} are there"
        )
    if promised == 0:
        raise AudioFileError(f"{path}: holds no audio")
    return np.frombuffer(data, dtype="<i2").astype(np.int16).reshape(-1, 2), rate_hz
