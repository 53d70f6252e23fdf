"""PlayTimeline and TextCursor. Oracle: a ramp through L16 whose samples name their play position,
so what was on the wire says itself which play sample it was; and positions worked out by hand."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore import PlayTimeline, TextCursor, TextPosition
from voicecore.errors import ConfigError, RateError, StateError
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutPaused,
    PlayoutReplaced,
    PlayoutStarted,
    WordReached,
)
from voicecore.providers.base import WordTime
from voicecore.testing.virtual import VirtualEngine

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(1, 900)),
        st.tuples(st.just("replace"), st.integers(0, 900)),
        st.tuples(st.sampled_from(["pause", "resume", "flush", "end"]), st.just(0)),
        st.tuples(st.just("run"), st.integers(1, 5)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("prebuffer_ms", [0, 50])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_every_sent_sample_says_which_play_sample_it_is(steps: list[tuple], prebuffer_ms: int):
    engine = VirtualEngine("c")
    # No fades: they sound without being heard, and would blur the samples' names.
    call = engine.open(
        CallConfig(media="push", play_hz=8000, fade_ms=0, crossfade_ms=0, prebuffer_ms=prebuffer_ms)
    )
    for what, amount in steps:
        first = call.queue_position
        ramp = np.arange(first + 1, first + 1 + amount).astype(np.int16)  # at most 32,400
        if what == "play":
            call.play(ramp)
        elif what == "replace":
            call.replace(max(0, first - amount), ramp)
        elif what == "end":
            call.end_segment()
        elif what == "run":
            for _ in range(amount):
                engine.tick()
        else:
            getattr(call, what)()
    for _ in range(3):
        engine.tick()
    sent, first = call.read_sent()
    heard = set()
    for at, value in enumerate(sent.tolist()):
        play = call.timeline.play_sample(at)
        assert play == (value - 1 if value else None), at
        if play is not None:
            assert call.timeline.sent_sample(play) == at
            heard.add(play)
    # What was passed over by the cursor and not heard was dropped, and nothing else.
    position = call.play_position
    assert call.timeline.dropped(0, position) == position - len(heard)


@pytest.mark.parametrize("play_hz", [11025, 16000, 24000, 44100, 48000])
def test_other_rates_are_within_a_sample(play_hz: int):
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(media="push", play_hz=play_hz))
    call.play(np.ones(2 * play_hz, np.int16))
    for tick in range(1, 50):
        engine.tick()
        expected = call.timeline.play_sample(tick * 160)
        assert abs(call.play_position - expected) <= (0 if play_hz % 50 == 0 else 1)


def test_a_moment_on_the_wire_is_a_word():
    engine = VirtualEngine()
    call = engine.open(CallConfig(play_hz=24000))
    cursor = TextCursor(call.timeline)
    engine.advance(100)
    assert call.play_sample_at(engine.now_ns) is None
    cursor.begin(call.queue_position)
    cursor.add_words([WordTime("One", 0, 4800), WordTime("two.", 4800, 9600)])
    call.play(np.ones(9600, np.int16))
    call.end_segment()
    begin_ns = engine.now_ns + 20_000_000
    engine.advance(60)  # 60 ms of the 400 are sent
    call.pause()
    engine.advance(1000)
    call.resume()
    engine.advance(1000)
    at = {ms: call.play_sample_at(begin_ns + ms * 1_000_000) for ms in (0, 59, 60, 500, 1061, 1300)}
    assert at == {0: 0, 59: 1416, 60: None, 500: None, 1061: 1464, 1300: 7200}
    assert cursor.at(at[59]) == TextPosition(0, 0)
    assert cursor.at(at[1300]) == TextPosition(1, 6)
    assert cursor.text[:6] == "One tw"
    assert cursor.heard(at[1061]) == ""
    assert cursor.heard(at[1300]) == "One two."


def timeline_of(*events: object) -> PlayTimeline:
    timeline = PlayTimeline(1000, 1000)
    for event in events:
        timeline.take(event)  # type: ignore[arg-type]
    return timeline


WORDS = [WordTime(text, at, at + 100) for at, text in zip(range(0, 500, 100), "abcde", strict=True)]


def test_words_that_a_flush_took_were_not_heard_and_later_ones_are():
    timeline = timeline_of(PlayoutStarted(0, 0, 0, 0), PlayoutFlushed(0, 130, 500))
    cursor = TextCursor(timeline)
    cursor.begin(0)
    cursor.add_words(WORDS)
    assert cursor.heard(130) == cursor.heard(500) == cursor.heard(900) == "a"
    assert cursor.at(130) == cursor.at(700) == TextPosition(1, 2)
    cursor.begin(500)
    cursor.add_words([WordTime("again", 0, 50)])
    assert cursor.heard(530) == "a again"
    assert cursor.at(520) == TextPosition(5, 10 + 2)
    assert timeline.play_sample(129) == 129
    assert timeline.play_sample(130) is None
    assert timeline.sent_sample(200) is None


def test_a_replacement_goes_on_in_the_same_packet():
    timeline = timeline_of(
        PlayoutStarted(0, 0, 0, 40), PlayoutReplaced(0, 250, 400), PlayoutDrained(0, 460, False)
    )
    assert [timeline.play_sample(at) for at in (39, 40, 289, 290, 349, 350)] == [
        None, 0, 249, 400, 459, None,
    ]  # fmt: skip
    cursor = TextCursor(timeline)
    cursor.begin(0)
    cursor.add_words(WORDS[:4])
    cursor.begin(400)
    cursor.add_words([WordTime("D", 0, 60)])
    # Half of c was played, nothing of d.
    assert cursor.heard(460) == "a b c D"
    assert cursor.at(459) == TextPosition(4, 8)


def test_audio_that_was_dropped_is_not_counted_where_text_is_spread_over_it():
    cursor = TextCursor(timeline_of(PlayoutFlushed(0, 500, 900)))
    cursor.add_text("aaaa bbbb ")
    cursor.begin(0)
    cursor.add_audio(1000)
    cursor.complete()
    assert cursor.at(-1) == TextPosition(-1, 0)
    assert cursor.at(250) == TextPosition(0, 2)
    assert cursor.at(900) == TextPosition(1, 5)
    assert cursor.heard(900) == "aaaa"
    assert cursor.at(5000) == TextPosition(1, 5 + 1)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 300), max_size=12),
    jumps=st.lists(st.integers(0, 3000), max_size=6).map(sorted),
    positions=st.lists(st.integers(-100, 4000), min_size=2, max_size=2).map(sorted),
)
def test_more_playing_never_unhears_a_word_whatever_was_dropped(lengths, jumps, positions):
    pairs = zip(jumps[::2], jumps[1::2], strict=False)
    cursor = TextCursor(timeline_of(*(PlayoutFlushed(0, a, b) for a, b in pairs)))
    cursor.begin(0)
    at = 0
    for number, length in enumerate(lengths):
        cursor.add_words([WordTime(str(number), at, at + length)])
        at += length
    earlier, later = (cursor.heard(p).split() for p in positions)
    assert later[: len(earlier)] == earlier
    places = [cursor.at(p) for p in positions]
    assert places[0].word <= places[1].word
    assert places[0].character <= places[1].character <= len(cursor.text)


def test_events_that_were_lost_mend_with_the_next_start():
    timeline = timeline_of(PlayoutStarted(0, 0, 0, 0), PlayoutStarted(0, 300, 0, 1000))
    assert timeline.play_sample(299) == 299
    assert timeline.play_sample(300) is None
    assert timeline.play_sample(1000) == 300
    timeline.take(PlayoutPaused(0, 310))
    assert timeline.play_sample(1010) is None


def test_rates_are_positive():
    with pytest.raises(RateError, match="rate_hz is 0"):
        PlayTimeline(8000, 0)


def test_a_call_that_was_closed_keeps_its_timeline():
    async def scenario() -> None:
        engine = VirtualEngine()
        call = engine.open(CallConfig(media="push", play_hz=8000))
        call.play(np.ones(800, np.int16))
        engine.advance(60)
        await call.close()
        assert call.timeline.play_sample(0) == 0

    asyncio.run(scenario())


def test_words_are_reported_when_they_begin_to_sound():
    engine = VirtualEngine()
    call = engine.open(CallConfig(media="push", play_hz=8000, prebuffer_ms=100))
    call.mark(9)
    assert call.play_words(np.ones(480, np.int16), [(0, 1), (160, 2), (161, 3)]) == 480
    engine.advance(60)
    assert [e for e in call._events if isinstance(e, WordReached)] == []  # it waits
    call.play_words(np.ones(320, np.int16), [(319, -4)])
    begin_ns = engine.now_ns
    engine.advance(100)
    tick_ns = 20_000_000
    assert [e for e in call._events if isinstance(e, WordReached)] == [
        WordReached(begin_ns + tick_ns, 1, 0),
        WordReached(begin_ns + 2 * tick_ns, 2, 160),
        WordReached(begin_ns + 2 * tick_ns, 3, 161),
        WordReached(begin_ns + 5 * tick_ns, -4, 799),
    ]
    # A flush takes those that did not begin; the next answer's first word stays.
    call.play_words(np.ones(320, np.int16), [(0, 5), (170, 6)])
    call.end_segment()
    engine.advance(20)
    call.flush()
    call.play_words(np.ones(100, np.int16), [(0, 7)])
    call.end_segment()
    engine.advance(40)
    assert [e.word for e in call._events if isinstance(e, WordReached)] == [1, 2, 3, -4, 5, 7]


def test_many_words_leave_room_for_marks_and_only_what_fits_is_queued():
    engine = VirtualEngine()
    call = engine.open(CallConfig(media="push", play_hz=8000, play_buffer_ms=1000))
    words = [(20 * number, number) for number in range(1000)]
    taken = call.play_words(np.ones(20_000, np.int16), words)
    assert taken == 8192  # the ring's, of 8000 that were asked for
    for number in range(64):
        call.mark(number)
    with pytest.raises(StateError):
        call.mark(64)
    engine.advance(2000)
    assert [e.word for e in call._events if isinstance(e, WordReached)] == list(range(192))


@pytest.mark.parametrize("words", [[(10, 0)], [(-1, 0)], [(3, 0), (3, 1)], [(0, 2**63)]])
def test_words_lie_within_their_audio(words: list[tuple[int, int]]):
    call = VirtualEngine().open(CallConfig())
    with pytest.raises(ConfigError, match="offsets must rise from 0 to 9"):
        call.play_words(np.ones(10, np.int16), words)
    assert call.queue_position == 0
