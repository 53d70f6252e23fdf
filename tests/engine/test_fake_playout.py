"""FakeCall's playout beside the native one. Oracle: the native one, under the virtual clock: the
same events with the same numbers in the same order, whatever is asked for when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.errors import ConfigError, StateError
from voicecore.media import events as ev
from voicecore.media.config import CallConfig
from voicecore.testing.fake_call import FakeCall
from voicecore.testing.fake_playout import FakePlayout
from voicecore.testing.loop import run_virtual
from voicecore.testing.virtual import VirtualEngine

CONTROLS = ["pause", "resume", "flush", "duck", "unduck"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(1, 3000)),
        st.tuples(st.sampled_from(["replace", "words"]), st.integers(0, 3000)),
        st.tuples(st.sampled_from([*CONTROLS, "end", "mark"]), st.just(0)),
        st.tuples(st.just("run"), st.integers(1, 4)),
    ),
    max_size=40,
)


@pytest.mark.parametrize(("play_hz", "prebuffer_ms"), [(8000, 0), (24000, 0), (24000, 60)])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_the_same_events_as_the_native_playout(steps: list, play_hz: int, prebuffer_ms: int):
    # A crossfade's tail lasts on behind the queue, which FakePlayout has no samples for.
    config = CallConfig(
        media="push",
        play_hz=play_hz,
        prebuffer_ms=prebuffer_ms,
        crossfade_ms=0,
        play_buffer_ms=20_000,
    )
    engine = VirtualEngine("c")
    call = engine.open(config)
    found: list[ev.CallEvent] = []
    fake = FakePlayout(config, found.append)
    for number, (what, amount) in enumerate([*steps, ("resume", 0), ("end", 0), ("run", 30)]):
        if what == "play":
            assert call.play(np.ones(amount, np.int16)) == fake.push(amount)
        elif what == "words":
            words = [(start, number) for number, start in enumerate(range(0, amount, 700))]
            assert call.play_words(np.ones(amount, np.int16), words) == amount
            fake.push_words(words, amount)
        elif what == "replace":
            first = max(0, fake.end - amount)
            if len(fake._replacements) < 8:
                assert call.replace(first, np.ones(amount // 2, np.int16)) == amount // 2
                fake.replace(first, amount // 2)
        elif what == "end":
            call.end_segment()
            fake.mark(None)
        elif what == "mark":
            assert call.mark(number) == fake.mark(number)
        elif what == "run":
            for _ in range(amount):
                engine.tick()
                fake.tick(engine.now_ns)
                assert call.play_position == fake.cursor
        else:
            getattr(call, what)()
            fake.control(what)
        assert call.queue_position == fake.end
    assert found == list(call._events)
    assert call.stats()["underruns"] == fake.underruns


def test_wrong_arguments_are_refused_as_by_a_call():
    async def scenario() -> None:
        call = FakeCall(lambda: 1_000_000_000)
        call.play(np.zeros(100, np.int16))
        with pytest.raises(ConfigError, match="it must be 0 to 100, what is queued"):
            call.replace(101, np.zeros(1, np.int16))
        with pytest.raises(ConfigError, match="gain_db"):
            call.set_gain(21.0)
        with pytest.raises(ConfigError, match="ramp_ms"):
            call.set_gain(0.0, ramp_ms=-1)
        for _ in range(8):
            call.replace(100, np.zeros(0, np.int16))
        with pytest.raises(StateError, match="8 replacements"):
            call.replace(100, np.zeros(0, np.int16))
        for _ in range(64):
            call.duck()
        with pytest.raises(StateError, match="64 controls"):
            call.unduck()
        for number in range(256):
            call.mark(number)
        with pytest.raises(StateError, match="256 marks"):
            call.end_segment()
        call.hang_up()

    run_virtual(scenario())
