"""Gain, ducking and the change of sources through the call's door. Oracle: constant signals through
L16 and the formulas of docs/engine.md; the native test looks at every sample."""

from __future__ import annotations

import numpy as np
import pytest

from voicecore.errors import ConfigError, StateError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import Ducked, MarkReached, PlayoutReplaced, Unducked
from voicecore.testing.virtual import VirtualEngine

CONFIG = CallConfig(codec="l16", play_hz=8000, echo="off", record_sent=True)


def opened(config: CallConfig = CONFIG) -> tuple[VirtualEngine, Call]:
    engine = VirtualEngine()
    return engine, engine.open(config)


def sent(engine: VirtualEngine, call: Call, duration_ms: int) -> np.ndarray:
    engine.advance(duration_ms)
    return call.read_sent()[0]


def test_gain_ramps_and_is_limited():
    engine, call = opened()
    call.play(np.full(8000, 10000, np.int16))
    call.set_gain(-20, ramp_ms=10)
    heard = sent(engine, call, 200)
    ramp = 10000 * (1 - 0.9 * np.minimum(np.arange(len(heard)) / 80, 1))
    assert np.abs(heard - ramp).max() <= 1
    call.set_gain(20, ramp_ms=0)
    heard = sent(engine, call, 200)
    assert (heard == 32767).all()
    for wrong in (20.1, -61.0, float("nan")):
        with pytest.raises(ConfigError, match="-60 to 20"):
            call.set_gain(wrong)
    with pytest.raises(ConfigError, match="0 to 10000"):
        call.set_gain(0, ramp_ms=-1)


def test_ducking_is_reported_and_counts_as_heard():
    engine, call = opened(
        CallConfig(
            codec="l16", play_hz=8000, echo="off", record_sent=True, duck_db=-20.0, duck_ms=10
        )
    )
    call.play(np.full(8000, 10000, np.int16))
    sent(engine, call, 100)
    at = call.play_position
    call.duck()
    heard = sent(engine, call, 100)
    assert heard[0] == 10000
    assert np.abs(heard[80:] - 1000).max() <= 1
    assert call.play_position == at + len(heard)
    call.unduck()
    heard = sent(engine, call, 100)
    assert (heard[80:] == 10000).all()
    events = [e for e in call._events if isinstance(e, Ducked | Unducked)]
    assert [type(e) for e in events] == [Ducked, Unducked]
    assert [e.play_sample for e in events] == [at, at + 800]


def test_a_second_source_takes_over_at_a_word():
    engine, call = opened()
    call.play(np.full(4000, 1000, np.int16))
    call.mark(1)
    first = sent(engine, call, 100)
    assert call.replace(1000, np.full(4000, -3000, np.int16)) == 4000
    call.mark(2)
    call.end_segment()
    heard = np.concatenate([first, sent(engine, call, 1000)])
    assert (heard[:1000] == 1000).all()
    t = np.arange(160) / 160
    s = t * t * (3 - 2 * t)
    crossfade = 1000 * np.sqrt(1 - s) - 3000 * np.sqrt(s)
    assert np.abs(heard[1000:1160] - crossfade).max() <= 1
    assert (heard[1160:5000] == -3000).all()
    assert not heard[5000:].any()
    replaced = [e for e in call._events if isinstance(e, PlayoutReplaced)]
    assert [(e.play_sample, e.new_sample) for e in replaced] == [(1000, 4000)]
    marks = [(e.mark_id, e.flushed) for e in call._events if isinstance(e, MarkReached)]
    assert marks == [(1, True), (2, False)]
    assert call.play_position == 8000


def test_a_replacement_needs_a_queued_position():
    _, call = opened()
    call.play(np.zeros(10, np.int16))
    for wrong in (-1, 11):
        with pytest.raises(ConfigError, match="0 to 10"):
            call.replace(wrong, b"")
    for _ in range(8):
        call.replace(10, b"")
    with pytest.raises(StateError, match="8 replacements"):
        call.replace(10, b"")


@pytest.mark.parametrize(
    ("name", "value"), [("duck_db", 0.5), ("duck_ms", 1001), ("crossfade_ms", 101)]
)
def test_settings_out_of_range_are_refused(name: str, value: float):
    with pytest.raises(ConfigError, match=name):
        CallConfig(**{name: value})
