"""What is decoded when. Pure logic on synthetic speech: no model. Oracle: positions by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicecore.providers.stt._utterance import RATE_HZ, Decode, Utterance

Pcm = NDArray[np.int16]


def talk(seconds: float, amplitude: float = 8000.0) -> Pcm:
    """A tone with the rhythm of syllables, four a second, never silent for long."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    envelope = 0.1 + 0.9 * np.abs(np.sin(2 * np.pi * 2 * t))
    return (amplitude * envelope * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


def quiet(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE_HZ), np.int16)


def run(utterance: Utterance, pcm: Pcm, first: int = 0, slice_samples: int = 320) -> list[Decode]:
    """Push in slices and decode at once whatever is asked for; the decodes that were made."""
    made = []
    for at in range(0, len(pcm), slice_samples):
        utterance.push(pcm[at : at + slice_samples], first + at)
        while (decode := utterance.next_decode()) is not None:
            made.append(decode)
            utterance.apply(decode, f"text{len(made)}")
    return made


def finish(utterance: Utterance) -> int:
    """Decode what a final still needs; how many decodes that took."""
    count = 0
    while (decode := utterance.last_decode()) is not None:
        count += 1
        utterance.apply(decode, f"last{count}")
    return count


@pytest.mark.parametrize(
    "pcm",
    [
        quiet(2.0),
        talk(0.29),
        talk(1.0, amplitude=20.0),
        np.r_[quiet(0.5), np.full(300, 20000, np.int16), quiet(0.5)],
        (8000 * np.sin(2 * np.pi * 50 * np.arange(16000) / RATE_HZ)).astype(np.int16),
        (2000 * np.random.default_rng(7).standard_normal(24000)).astype(np.int16),
    ],
    ids=["silence", "too short", "too soft", "click", "hum", "hiss"],
)
def test_what_is_no_speech_is_never_decoded(pcm: Pcm) -> None:
    utterance = Utterance(RATE_HZ)
    assert run(utterance, pcm) == []
    assert finish(utterance) == 0
    assert utterance.text == ""
    assert utterance.words() == ()


def test_interims_start_after_half_a_second_and_come_every_quarter() -> None:
    utterance = Utterance(RATE_HZ)
    made = run(utterance, talk(3.0))
    ends = [d.end / RATE_HZ for d in made]
    assert 0.55 <= ends[0] <= 0.6
    assert all(0.25 <= b - a <= 0.28 for a, b in pairwise(ends))
    assert all(d.start == 0 and d.show and not d.commit for d in made)


def test_speech_that_has_ended_is_decoded_at_once_and_then_known() -> None:
    utterance = Utterance(RATE_HZ)
    made = run(utterance, np.r_[quiet(0.5), talk(1.1), quiet(0.3)])
    # The last decode was made within 0.12 s of the end of the speech and holds all of it.
    assert 1.6 <= made[-1].end / RATE_HZ <= 1.72
    assert made[-1].start / RATE_HZ == pytest.approx(0.3, abs=0.02)
    assert utterance.last_decode() is None
    assert utterance.text == f"text{len(made)}"


def test_a_short_word_is_decoded_for_the_final_but_not_shown() -> None:
    utterance = Utterance(RATE_HZ)
    made = run(utterance, np.r_[quiet(0.2), talk(0.35), quiet(0.2)])
    assert [d.show for d in made] == [False]
    assert utterance.last_decode() is None


def test_final_needs_a_decode_if_the_speech_went_on() -> None:
    utterance = Utterance(RATE_HZ)
    run(utterance, talk(1.0))
    utterance.push(talk(0.2), RATE_HZ)
    decode = utterance.last_decode()
    assert decode == Decode(0, int(1.2 * RATE_HZ))


def test_pause_closes_a_long_segment_without_a_decode() -> None:
    utterance = Utterance(RATE_HZ)
    run(utterance, np.r_[talk(3.2), quiet(0.5)])
    first = utterance.text
    made = run(utterance, talk(1.0), int(3.7 * RATE_HZ))
    assert made[0].start >= 3.2 * RATE_HZ  # only the new segment is decoded
    assert not any(d.commit for d in made)
    assert utterance.text == f"{first} text{len(made)}"


def test_long_speech_is_cut_at_its_quietest_place() -> None:
    utterance = Utterance(RATE_HZ)
    speech = talk(8.6)
    dip = slice(int(6.3 * RATE_HZ), int(6.45 * RATE_HZ))
    speech[dip] //= 16
    made = run(utterance, speech)
    commits = [d for d in made if d.commit]
    assert len(commits) == 1
    assert dip.start <= commits[0].end <= dip.stop
    assert max(d.end - d.start for d in made) <= 8.1 * RATE_HZ


def test_much_audio_at_once_is_decoded_in_segments() -> None:
    utterance = Utterance(RATE_HZ)
    utterance.push(talk(25.0), 0)
    assert finish(utterance) >= 3
    assert len(utterance.text.split()) >= 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60))
def test_slicing_does_not_change_the_final_decode(sizes: list[int]) -> None:
    pcm = np.r_[quiet(0.2), talk(1.3), quiet(0.15)]
    whole, sliced = Utterance(RATE_HZ), Utterance(RATE_HZ)
    whole.push(pcm, 100)
    at = 0
    for size in [*sizes, len(pcm)]:
        part = pcm[at : at + size]
        if len(part):
            sliced.push(part, 100 + at)
        at += size
    decode = whole.last_decode()
    assert decode is not None
    assert sliced.last_decode() == decode
    assert np.array_equal(whole.audio(decode), sliced.audio(decode))


def test_audio_is_float_of_scale_32768() -> None:
    utterance = Utterance(RATE_HZ)
    utterance.push(np.array([-32768, 0, 16384], np.int16), 0)
    assert utterance.audio(Decode(0, 3)).tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("timeline_hz", [8000, 16000])
def test_word_times_lie_on_the_timeline_also_after_a_gap(timeline_hz: int) -> None:
    utterance = Utterance(timeline_hz)
    utterance.push(talk(1.0), 50_000)
    after = 50_000 + 3 * timeline_hz  # the second part starts 3 s after the first
    utterance.push(talk(1.0), after)
    decode = utterance.last_decode()
    assert decode is not None
    utterance.apply(decode, "one two")
    one, two = utterance.words()
    assert one.estimated
    assert one.text == "one"
    assert one.start_sample == pytest.approx(50_000, abs=timeline_hz // 50)
    assert one.end_sample == pytest.approx(50_000 + timeline_hz, abs=timeline_hz // 10)
    assert two.start_sample == pytest.approx(after, abs=timeline_hz // 10)
    assert two.end_sample == pytest.approx(after + timeline_hz, abs=timeline_hz // 50)


def test_overlap_and_gap_are_measured_from_the_end() -> None:
    utterance = Utterance(8000)
    assert utterance.gap(123) == 0
    utterance.push(talk(0.5), 1000)  # 0.5 s = 4000 samples of the timeline
    assert utterance.gap(5000) == 0
    assert utterance.gap(5010) == 10
    assert utterance.gap(4900) == -100
