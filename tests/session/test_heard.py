"""TextCursor, AudioRing, audibility, Backchannels, History. Oracle: positions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.errors import ConfigError, RateError
from voicecore.media.text_cursor import PlayTimeline, TextCursor
from voicecore.providers.base import Message, WordTime
from voicecore.session import (
    BACKCHANNELS,
    ListenSettings,
    SessionConfig,
    SpeakSettings,
    ThinkSettings,
)
from voicecore.session.audio import AudioRing, LeadIn, last_audible
from voicecore.session.backchannel import Backchannels
from voicecore.session.history import History


def cursor(play_hz: int) -> TextCursor:
    return TextCursor(PlayTimeline(play_hz, 8000))


WORDS = [WordTime("One", 100, 200), WordTime("two,", 200, 500), WordTime("three.", 600, 701)]


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (0, ""),
        (1000, ""),
        (1149, ""),
        (1150, "One"),  # half of 100..200
        (1349, "One"),
        (1350, "One two,"),  # half of 200..500
        (1650, "One two,"),
        (1651, "One two, three."),  # half of 101 samples, rounded up
        (9999, "One two, three."),
    ],
)
def test_a_word_is_heard_from_its_middle_on(position, text):
    heard = cursor(8000)
    heard.begin(1000)
    heard.add_words(WORDS[:1])
    heard.add_words(WORDS[1:])
    assert heard.heard(position) == text


def test_a_word_without_length_needs_its_sample_played():
    heard = cursor(8000)
    heard.begin(0)
    heard.add_words([WordTime("a", 10, 10), WordTime("", 10, 20)])
    assert heard.heard(10) == ""
    assert heard.heard(11) == "a"


def test_without_word_times_the_text_is_spread_over_the_audio():
    heard = cursor(1000)
    heard.add_text("aaaa bbbb ")
    heard.begin(500)
    heard.add_audio(1000)
    assert heard.heard(500) == ""
    heard.complete()
    assert heard.heard(500 + 249) == ""
    assert heard.heard(500 + 250) == "aaaa"
    assert heard.heard(500 + 750) == "aaaa bbbb"
    assert heard.text == "aaaa bbbb"


def test_an_incomplete_answer_without_word_times_goes_by_speaking_rate():
    heard = cursor(1000)
    heard.add_text("aaaa " * 60)
    heard.begin(0)
    heard.add_audio(2000)
    assert heard.heard(1000).split() == ["aaaa"] * 3  # 15 characters a second
    assert heard.heard(9000).split() == ["aaaa"] * 6  # no more than the 2 s that were queued


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 400), max_size=12),
    positions=st.lists(st.integers(-100, 5000), min_size=2, max_size=2).map(sorted),
)
def test_more_playing_never_unhears_a_word(lengths, positions):
    heard = cursor(8000)
    heard.begin(0)
    at = 0
    for number, length in enumerate(lengths):
        heard.add_words([WordTime(str(number), at, at + length)])
        at += length
    earlier, later = (heard.heard(p) for p in positions)
    assert later.startswith(earlier)


def test_a_rate_is_needed():
    with pytest.raises(RateError, match="play_hz is 0"):
        cursor(0)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    pieces=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 2000)), max_size=12),
    begin=st.integers(0, 9000),
    length=st.integers(0, 3000),
)
def test_the_ring_holds_the_last_samples_and_fills_gaps(pieces, begin, length):
    ring = AudioRing(1000, 1.0)
    whole = np.zeros(40_000, np.int16)
    at = 0
    started = None
    for gap, size in pieces:
        at += gap
        pcm = (np.arange(size) % 1000 + 1 + at).astype(np.int16)
        ring.append(pcm, at)
        whole[at : at + size] = pcm
        if started is None:
            started = at
        at += size
    pcm, first = ring.read(begin, begin + length)
    assert np.array_equal(pcm, whole[first : first + len(pcm)])
    assert ring.end - ring.begin <= 1000
    if started is not None:
        assert ring.end == at
        assert ring.begin == max(started, at - 1000)
    low, high = max(begin, ring.begin), min(begin + length, ring.end)
    assert len(pcm) == max(0, high - low)


def test_the_ring_ignores_what_it_has():
    ring = AudioRing(8000)
    ring.append(np.arange(100, dtype=np.int16), 50)
    ring.append(np.full(100, 7, np.int16), 100)
    pcm, first = ring.read(0, 1000)
    assert first == 50
    assert list(pcm[98:102]) == [98, 99, 7, 7]
    assert ring.end == 200


def tone(samples, level_db, rate=8000):
    """RMS level in dBFS."""
    peak = 32768 * np.sqrt(2) * 10 ** (level_db / 20)
    return np.round(peak * np.cos(np.arange(samples) * 2 * np.pi * 1000 / rate)).astype(np.int16)


@pytest.mark.parametrize(
    ("tail_db", "end"),
    [(-40, 1600), (-51, 800), (-49, 1600)],  # the floor of -50 dBFS
)
def test_sound_ends_with_its_last_audible_millisecond(tail_db, end):
    pcm = np.concatenate([tone(800, -20), tone(800, tail_db), np.zeros(400, np.int16)])
    # A tail just above the floor is audible only while it fills most of a window of 5 ms.
    assert last_audible(pcm, 4000, 8000) == pytest.approx(4000 + end, abs=40)


def test_a_loud_turn_hides_its_echo():
    pcm = np.concatenate([tone(800, -10), tone(800, -46)])  # 36 dB below, above the floor
    assert last_audible(pcm, 0, 8000) == 800
    assert last_audible(np.zeros(800, np.int16), 0, 8000) is None
    assert last_audible(np.zeros(3, np.int16), 0, 8000) is None


def test_the_end_does_not_depend_on_the_slice():
    pcm = np.concatenate([tone(1000, -20), np.zeros(1000, np.int16)])
    for cut in (0, 1, 17, 39, 40):
        assert last_audible(pcm[cut:], cut, 8000) == pytest.approx(1000, abs=8)  # a millisecond


@pytest.mark.parametrize("slice_", [1, 7, 40, 333, 5000])
def test_the_lead_in_is_found_in_any_slicing(slice_):
    pcm = np.concatenate([np.zeros(1234, np.int16), tone(2000, -20)])
    lead_in = LeadIn(8000, 8000)
    assert lead_in.ns is None
    for at in range(0, len(pcm), slice_):
        lead_in.add(pcm[at : at + slice_])
    assert lead_in.ns == 154_000_000  # the millisecond that holds sample 1234


def test_a_sound_above_the_lines_band_is_not_the_onset():
    fade = np.sin(np.arange(4800) * np.pi / 4800) ** 2  # no click at its ends
    hiss = np.round(6000 * fade * np.cos(np.arange(4800) * 2 * np.pi / 3)).astype(np.int16)
    lead_in = LeadIn(24000, 8000)
    lead_in.add(np.concatenate([hiss, tone(4800, -20, 24000)]))
    # 200 ms of 8 kHz, which an 8 kHz line cannot carry, then 1 kHz; the resampler's 2.9 ms
    # and its ringing move the first audible millisecond a little.
    assert 197_000_000 <= lead_in.ns <= 204_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("...", 0),
        ("Uh-huh.", 0),
        ("uh huh", 0),
        ("Mm-hmm, yeah, I see!", 0),
        ("Got it. Right", 0),
        ("I see a table", 2),
        ("stop", 1),
        ("Okay, but no", 2),
        ("yeah yeah yeah", 0),
    ],
)
def test_backchannels(text, words):
    assert Backchannels(BACKCHANNELS).other_words(text) == words
    assert Backchannels([]).other_words(text) == len(text.replace("...", "").split())


def test_history_joins_neighbours_and_forgets_what_was_withdrawn():
    history = History("Be brief.")
    history.answer("Hello.")
    history.ask("A ta")
    assert history.messages()[-1] == Message("user", "A ta")
    history.withdraw()
    history.ask("A table")
    history.answer("")  # interrupted before a word was heard
    history.ask("for two")
    history.answer("Which day?")
    history.ask(None)
    history.answer("Are you there?")
    assert history.messages() == [
        Message("system", "Be brief."),
        Message("assistant", "Hello."),
        Message("user", "A table for two"),
        Message("assistant", "Which day? Are you there?"),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ListenSettings(turn_threshold=1.1),
        lambda: ListenSettings(turn_wait_ms=100),
        lambda: ListenSettings(max_silence_ms=10),
        lambda: SpeakSettings(confirm_words=0),
        lambda: SpeakSettings(apology=" "),
        lambda: SpeakSettings(backchannels="yeah"),
        lambda: SessionConfig(speaking={}),
    ],
)
def test_settings_outside_their_range_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    ("group", "name", "value", "message"),
    [
        (ListenSettings, "turn_wait_ms", "1200", "a whole number 200 to 10000"),
        (ListenSettings, "turn_wait_ms", 1200.5, "a whole number 200 to 10000"),
        (ListenSettings, "turn_wait_ms", None, "a whole number 200 to 10000"),
        (ListenSettings, "turn_threshold", "0.5", "0.0 to 1.0"),
        (ThinkSettings, "max_failures", True, "a whole number 1 to 20"),
        (ThinkSettings, "system_prompt", None, "text"),
        (SpeakSettings, "greeting", 3, "text"),
        (SpeakSettings, "farewell", None, "text"),
        (SpeakSettings, "half_duplex", "no", "True or False"),
    ],
)
def test_a_setting_of_the_wrong_type_is_refused_with_what_it_must_be(group, name, value, message):
    with pytest.raises(ConfigError, match=f"^{name} is {value!r}; it must be {message}$"):
        group(**{name: value})


def test_numbers_of_numpy_are_numbers():
    listening = ListenSettings(turn_wait_ms=np.int64(500), turn_threshold=np.float32(0.25))
    assert (listening.turn_wait_ms, listening.turn_threshold) == (500, 0.25)
