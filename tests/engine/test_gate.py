"""The barge-in gate in a call, under the virtual clock. Oracle: the recorded caller, whose onset is
known; what was sent, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests import audio
from voicecore.errors import ConfigError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    BargedIn,
    Ducked,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
    Unducked,
)
from voicecore.media.gate import GateSettings
from voicecore.testing.virtual import VirtualEngine

RATE_HZ = 8000
SPEECH = (np.clip(audio.speech("beckett", RATE_HZ), -1, 0.9999) * 32768).astype(np.int16)
TONE = (3000 * np.sin(np.arange(5 * RATE_HZ) * (2 * np.pi * 440 / RATE_HZ))).astype(np.int16)


def opened(**settings: object) -> tuple[VirtualEngine, Call]:
    engine = VirtualEngine()
    config = CallConfig(media="push", play_hz=RATE_HZ, play_buffer_ms=20_000, **settings)  # type: ignore[arg-type]
    return engine, engine.open(config)


def listen(engine: VirtualEngine, call: Call, pcm: np.ndarray) -> list[object]:
    """Pushes 20 ms a tick; the events with the samples that had been received by then."""
    found: list[object] = []
    for at in range(0, len(pcm) - 159, 160):
        call.push(pcm[at : at + 160])
        engine.tick()
        found += list(call._events)
        call._events.clear()
    return found


def kinds(events: list[object]) -> list[type]:
    return [type(e) for e in events if isinstance(e, (BargedIn, SpeechStarted, SpeechStopped))]


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE_HZ), np.int16)


def test_fires_before_speech_of_the_least_length_and_reports_it_first():
    engine, call = opened(min_speech_ms=1000)
    call.play(TONE)
    events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH[:4000], quiet(1.0)]))
    assert kinds(events) == [SpeechStarted, BargedIn, SpeechStopped]
    started, barged = events[kinds_at(events, SpeechStarted)], events[kinds_at(events, BargedIn)]
    assert isinstance(started, SpeechStarted)
    assert isinstance(barged, BargedIn)
    assert started.sample == barged.sample
    assert barged.stamp_ns - started.stamp_ns == 0


def kinds_at(events: list[object], kind: type) -> int:
    return next(i for i, e in enumerate(events) if isinstance(e, kind))


def test_more_evidence_and_a_least_length_are_later():
    stamps = []
    for settings in (
        GateSettings(),
        GateSettings(evidence=6.0),
        GateSettings(min_speech_ms=320),
    ):
        engine, call = opened(speaking=settings)
        call.play(TONE)
        events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH[:8000]]))
        barged = events[kinds_at(events, BargedIn)]
        assert isinstance(barged, BargedIn)
        stamps.append((barged.play_sample, barged.sample))
    assert stamps[0][0] < stamps[1][0] < stamps[2][0]
    # Windows of 32 ms, ticks of 20 ms: the least length is kept to the window.
    play, sample = stamps[2]
    assert play + 160 >= sample + 320 * 8


@pytest.mark.parametrize(
    "settings", [{"barge_in": False}, {"speaking": GateSettings(action="none")}]
)
def test_none_does_nothing(settings: dict[str, object]):
    engine, call = opened(**settings)
    call.play(TONE)
    events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH]))
    assert BargedIn not in kinds(events)
    assert SpeechStarted in kinds(events)


def test_an_answer_that_comes_while_the_caller_goes_on_does_not_begin():
    engine, call = opened()
    call.set_thinking(True)
    events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH[:8000]]))
    barged = events[kinds_at(events, BargedIn)]
    assert isinstance(barged, BargedIn)
    assert barged.play_sample == 0
    call.play(TONE)
    call.read_sent()
    events = listen(engine, call, quiet(0.2))
    assert not any(isinstance(e, PlayoutStarted) for e in events)
    sent, _ = call.read_sent()
    assert len(sent) == 1600
    assert not sent.any()
    call.resume()
    listen(engine, call, quiet(0.1))
    sent, _ = call.read_sent()
    # At once and whole: nothing was faded out, so nothing is faded in.
    np.testing.assert_array_equal(sent, TONE[:800])


def test_nothing_is_held_when_nobody_thinks():
    engine, call = opened()
    events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH[:8000]]))
    assert BargedIn not in kinds(events)
    call.play(TONE)
    events = listen(engine, call, np.concatenate([SPEECH[8000:9600]]))
    assert any(isinstance(e, PlayoutStarted) for e in events)


def test_ducks_while_the_caller_speaks():
    engine, call = opened(speaking=GateSettings(action="duck"), duck_db=-60.0)
    call.play(TONE)
    events = listen(engine, call, np.concatenate([quiet(1.0), SPEECH[:6400], quiet(1.0)]))
    assert BargedIn not in kinds(events)
    ducked, unducked = (events[kinds_at(events, kind)] for kind in (Ducked, Unducked))
    assert isinstance(ducked, Ducked)
    assert isinstance(unducked, Unducked)
    sent, _ = call.read_sent()
    low = np.abs(sent[ducked.play_sample + 160 : unducked.play_sample])
    assert low.max() <= 3 < 2900 < np.abs(sent[: ducked.play_sample]).max()
    assert np.abs(sent[unducked.play_sample + 160 :]).max() > 2900
    # It ends with the speech, whatever Python does.
    assert call.play_position == len(sent)


def test_a_caller_who_does_not_stand_out_is_background():
    noisy = np.random.default_rng(1).normal(0, 300, len(SPEECH) + 4 * RATE_HZ)
    voice = np.concatenate([quiet(4.0), SPEECH])
    for snr_db, fires in ((3.0, True), (60.0, False)):
        engine, call = opened(speaking=GateSettings(min_snr_db=snr_db))
        call.play(np.tile(TONE, 3))
        events = listen(engine, call, (voice + noisy).clip(-32768, 32767).astype(np.int16))
        assert (BargedIn in kinds(events)) == fires


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action": "stop"}, "action 'stop' is unknown; use 'pause', 'duck' or 'none'"),
        ({"neutral_probability": 1.0}, "neutral_probability is 1.0; it must be 0.01 to 0.99"),
        ({"evidence": 0.0}, "evidence is 0.0; it must be 0.1 to 20.0"),
        ({"min_speech_ms": 1001}, "min_speech_ms is 1001; it must be a whole number 0 to 1000"),
        ({"min_snr_db": -1.0}, "min_snr_db is -1.0; it must be 0.0 to 60.0"),
        ({"max_echo_likelihood": 1.5}, "max_echo_likelihood is 1.5; it must be 0.0 to 1.0"),
        ({"max_echo_likelihood": float("nan")}, "max_echo_likelihood is nan"),
    ],
)
def test_wrong_settings_say_so(settings: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        GateSettings(**settings)  # type: ignore[arg-type]


def test_a_call_takes_gate_settings_only():
    with pytest.raises(ConfigError, match="speaking is 'pause'; give GateSettings"):
        CallConfig(speaking="pause")  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["pause", "duck", "none"])
def test_within_an_answer_that_ran_dry_the_rest_is_on_its_way(action: str):
    """A caller who speaks into the hold sound meets the settings for thinking."""
    engine, call = opened(
        thinking=GateSettings(action=action),
        speaking=GateSettings(action="none"),
        when_dry="hold",
        hold_sound=np.full(RATE_HZ, 2000, np.int16),
    )
    call.play(TONE[:4000])  # not complete
    listen(engine, call, quiet(0.7))
    call.read_sent()
    events = listen(engine, call, SPEECH[:8000])
    hold = call.read_sent()[0]
    assert hold[0] == 2000
    if action == "pause":
        barged = events[kinds_at(events, BargedIn)]
        assert isinstance(barged, BargedIn)
        assert barged.play_sample == 4000
        assert not hold[-160:].any()
        call.play(TONE)  # what comes now does not begin to sound
        listen(engine, call, quiet(0.1))
        assert not call.read_sent()[0].any()
        call.flush()
        listen(engine, call, quiet(0.1))
        assert not call.read_sent()[0].any()
    else:
        assert kinds(events) == [SpeechStarted]
        level = 2000 * 10 ** (-15 / 20) if action == "duck" else 2000
        assert np.abs(hold[-160:] - level).max() <= 1


def test_after_a_complete_answer_there_is_no_hold_sound_to_interrupt():
    engine, call = opened(when_dry="hold", hold_sound=np.full(RATE_HZ, 2000, np.int16))
    call.play(TONE[:4000])
    call.end_segment()
    listen(engine, call, quiet(0.7))
    call.read_sent()
    assert kinds(listen(engine, call, SPEECH[:8000])) == [SpeechStarted]
    assert not call.read_sent()[0].any()
