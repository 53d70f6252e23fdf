"""Gaps in a recording. Oracle: recordings built sample by sample; bound: one block of 5 ms."""

from __future__ import annotations

import doctest
import struct
import wave as stdlib_wave
from pathlib import Path

import numpy as np
import pytest

import voicecore.latency.wave as unit
from voicecore.errors import AudioFileError, ConfigError, DtypeError, LengthError
from voicecore.latency import find_utterances, measure_gaps

RATE_HZ = 8000


def tone(length_ms: float, level_db: float = -12.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A sine whose blocks have the RMS level ``level_db``."""
    n = round(length_ms * rate_hz / 1000)
    amplitude = 32768 * np.sqrt(2) * 10 ** (level_db / 20)
    return np.round(amplitude * np.sin(2 * np.pi * 400 / rate_hz * np.arange(n))).astype(np.int16)


def track(total_ms: float, *sounds: tuple[float, np.ndarray], rate_hz: int = RATE_HZ) -> np.ndarray:
    """Silence with sounds put in at their start in ms."""
    samples = np.zeros(round(total_ms * rate_hz / 1000), np.int16)
    for start_ms, sound in sounds:
        start = round(start_ms * rate_hz / 1000)
        samples[start : start + len(sound)] = sound
    return samples


def stereo(caller: np.ndarray, agent: np.ndarray) -> np.ndarray:
    return np.stack([caller, agent], axis=1)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    with stdlib_wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
        file.setsampwidth(samples.dtype.itemsize)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return path


def test_gaps_of_a_conversation():
    caller = track(10_000, (500, tone(1000)), (3000, tone(800)), (6000, tone(500)))
    agent = track(10_000, (1800, tone(900)), (4125, tone(1200)), (6740, tone(300)))
    gaps = measure_gaps(stereo(caller, agent))
    assert [(gap.caller_end_ms, gap.agent_onset_ms) for gap in gaps] == [
        (1500, 1800),
        (3800, 4125),
        (6500, 6740),
    ]
    assert [gap.gap_ms for gap in gaps] == [300, 325, 240]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 44100])
def test_any_rate_within_one_block(rate_hz: int):
    caller = track(20_000, (17_003, tone(1000, rate_hz=rate_hz)), rate_hz=rate_hz)
    agent = track(20_000, (18_401, tone(500, rate_hz=rate_hz)), rate_hz=rate_hz)
    (gap,) = measure_gaps(stereo(caller, agent), rate_hz=rate_hz)
    assert abs(gap.caller_end_ms - 18_003) <= 5
    assert abs(gap.agent_onset_ms - 18_401) <= 5


def test_pauses_within_an_utterance_are_joined_and_only_the_last_end_counts():
    caller = track(5000, (500, tone(400)), (1000, tone(400)), (1900, tone(300)))
    agent = track(5000, (2500, tone(400)), (3300, tone(400)))
    spoken = find_utterances(caller, RATE_HZ)
    assert [(u.start_ms, u.end_ms) for u in spoken] == [(500, 1400), (1900, 2200)]
    assert [g.gap_ms for g in measure_gaps(stereo(caller, agent))] == [300]
    assert len(find_utterances(caller, RATE_HZ, join_ms=600)) == 1
    assert len(find_utterances(caller, RATE_HZ, join_ms=50)) == 3


def test_level_rule_floor_and_distance_to_the_peak():
    loud = track(2000, (500, tone(300, -10)), (800, tone(300, -47)), (1400, tone(300, -48)))
    # -47 dBFS is 37 dB below the peak of its own utterance: a tail. Alone, -48 is above the floor,
    # but only when most of a window is full of it.
    spoken = find_utterances(loud, RATE_HZ)
    assert (spoken[0].start_ms, spoken[0].end_ms) == (500, 800)
    assert (spoken[1].start_ms, spoken[1].end_ms) == (
        pytest.approx(1400, abs=4),
        pytest.approx(1700, abs=4),
    )
    assert len(spoken) == 2
    assert find_utterances(track(1000, (200, tone(300, -52))), RATE_HZ) == []
    assert find_utterances(loud, RATE_HZ)[0].peak_db == pytest.approx(-10, abs=0.1)


def test_clicks_are_no_utterances():
    assert find_utterances(track(1000, (200, tone(10))), RATE_HZ) == []
    assert len(find_utterances(track(1000, (200, tone(10))), RATE_HZ, min_ms=5)) == 1


def test_agent_that_talks_on_over_a_backchannel_makes_no_gap():
    caller = track(6000, (500, tone(500)), (2000, tone(200)))
    agent = track(6000, (1300, tone(2500)), (4500, tone(300)))
    assert [g.gap_ms for g in measure_gaps(stereo(caller, agent))] == [300]


def test_unanswered_caller_makes_no_gap():
    caller = track(6000, (500, tone(500)), (3000, tone(500)))
    agent = track(6000, (3900, tone(500)))
    assert [g.caller_end_ms for g in measure_gaps(stereo(caller, agent))] == [3500]
    assert measure_gaps(np.zeros((0, 2), np.int16)) == []


def test_float_samples_and_a_file_give_the_same(tmp_path: Path):
    caller = track(3000, (500, tone(500)))
    agent = track(3000, (1250, tone(500)))
    samples = stereo(caller, agent)
    expected = measure_gaps(samples)
    assert expected[0].gap_ms == 250
    assert measure_gaps((samples / 32768).astype(np.float32)) == expected
    assert measure_gaps(write_wav(tmp_path / "call.wav", samples)) == expected
    assert measure_gaps(str(tmp_path / "call.wav")) == expected


def test_unreadable_files_say_what_is_wrong(tmp_path: Path):
    path = tmp_path / "x.wav"
    with pytest.raises(AudioFileError, match="no such file"):
        measure_gaps(path)
    with pytest.raises(AudioFileError, match="cannot be read"):
        measure_gaps(tmp_path)
    for content in (b"", b"RIFF", b"\x00" * 100, b"RIFF\x10\x00\x00\x00WAVEfmt "):
        path.write_bytes(content)
        with pytest.raises(AudioFileError, match=r"not a PCM WAV file: ."):
            measure_gaps(path)
    with pytest.raises(AudioFileError, match=r"1 channel\(s\)"):
        measure_gaps(write_wav(path, np.zeros(800, np.int16)))
    with pytest.raises(AudioFileError, match="8 bits a sample"):
        measure_gaps(write_wav(path, np.zeros((800, 2), np.uint8)))
    with pytest.raises(AudioFileError, match="holds no audio"):
        measure_gaps(write_wav(path, np.zeros((0, 2), np.int16)))
    write_wav(path, np.zeros((800, 2), np.int16))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(AudioFileError, match="truncated: the header says 800 frames, 700 are"):
        measure_gaps(path)
    # IEEE float, format tag 3
    header = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 3, 2, 8000, 64000, 8, 32
    )
    path.write_bytes(header + struct.pack("<4sI", b"data", 0))
    with pytest.raises(AudioFileError, match="unknown format: 3"):
        measure_gaps(path)


def test_wrong_arrays_are_refused():
    with pytest.raises(DtypeError, match="float64"):
        measure_gaps(np.zeros((100, 2)))
    with pytest.raises(LengthError, match=r"\(100,\)"):
        measure_gaps(np.zeros(100, np.int16))
    with pytest.raises(LengthError, match="one channel"):
        find_utterances(np.zeros((100, 2), np.int16), RATE_HZ)
    with pytest.raises(ConfigError, match="rate_hz is 0"):
        measure_gaps(np.zeros((100, 2), np.int16), rate_hz=0)
    with pytest.raises(ConfigError, match="join_ms is -1"):
        measure_gaps(np.zeros((100, 2), np.int16), join_ms=-1)


def test_docstring_examples():
    result = doctest.testmod(unit)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 44100])
def test_where_the_recording_begins_changes_nothing(rate_hz: int):
    rng = np.random.default_rng(5)
    sound = np.zeros(2 * rate_hz, np.int16)
    ramp = np.minimum(np.arange(rate_hz // 2), rate_hz // 2 - np.arange(rate_hz // 2))
    sound[rate_hz // 4 : rate_hz // 4 + rate_hz // 2] = (
        rng.normal(0, 1, rate_hz // 2) * 8000 * ramp / ramp.max()
    ).astype(np.int16)
    (reference,) = find_utterances(sound, rate_hz)
    for cut in (1, 7, 20, 39, 40, 111):
        (shifted,) = find_utterances(sound[cut:], rate_hz)
        shift_ms = cut * 1000 / rate_hz
        assert shifted.start_ms + shift_ms == pytest.approx(reference.start_ms, abs=3)
        assert shifted.end_ms + shift_ms == pytest.approx(reference.end_ms, abs=3)
