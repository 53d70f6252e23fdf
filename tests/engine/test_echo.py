"""The echo canceller inside calls. Oracle: a room of the test's own, a direct sound and a decay,
through which the agent hears his own voice; the full-size figures: bench/echo_calls.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import audio
from voicecore.errors import ConfigError
from voicecore.media.config import CallConfig
from voicecore.media.gate import GateSettings
from voicecore.testing.echo_calls import EchoCall, run_echo_calls
from voicecore.testing.echo_speech import active_level_dbfs, at_level
from voicecore.testing.virtual import VirtualEngine

RATE_HZ = 8000
CALL = CallConfig(play_hz=RATE_HZ)


def room(seed: int, loss_db: float) -> np.ndarray:
    """A direct sound and a decay of RT60 0.3 s as strong, 0.1 s long, of this gain."""
    rng = np.random.default_rng(seed)
    n = RATE_HZ // 10
    response = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / (0.3 * RATE_HZ))
    response[0] = np.sqrt(np.square(response).sum())
    return response * 10 ** (-loss_db / 20) / np.sqrt(np.square(response).sum())


def agent() -> np.ndarray:
    return at_level(audio.synthetic_speech(RATE_HZ, 300).astype(np.float64), RATE_HZ, -20.0)


def caller(level_dbfs: float) -> np.ndarray:
    words = audio.speech("beckett", RATE_HZ)[: 2 * RATE_HZ].astype(np.float64)
    return at_level(words, RATE_HZ, level_dbfs)


def scene(seed: int, loss_db: float = 10.0, callers: int = 0) -> EchoCall:
    echo_dbfs = -20.0 - loss_db
    return EchoCall(
        agent=np.roll(agent(), -seed * RATE_HZ), response=room(seed, loss_db),
        delay_ms=80.0 + 60.0 * seed, callers=(caller(echo_dbfs),) * callers, seed=seed,
    )  # fmt: skip


def test_the_agent_does_not_interrupt_itself():
    scenes = [scene(seed) for seed in range(4)]
    reports = run_echo_calls(scenes, 20.0, CALL)
    assert [r.false_barge_ins for r in reports] == [[]] * 4
    assert [r.false_starts for r in reports] == [0] * 4
    for report, one in zip(reports, scenes, strict=True):
        # The room begins at once and its middle is a few ms in.
        assert report.stats["echo_delay_ms"] == pytest.approx(one.delay_ms, abs=30.0)
        assert report.stats["echo_erle_db"] > 15.0
        assert abs(report.stats["echo_drift_ppm"]) < 20.0
        assert report.stats["echo_run_share"] > 0.9
    # And without the canceller it does.
    alone = run_echo_calls(scenes, 20.0, CallConfig(play_hz=RATE_HZ, echo="off"))
    assert sum(len(r.false_barge_ins) for r in alone) > 4


def test_a_caller_as_loud_as_the_echo_silences_the_agent():
    # Oracle: the same callers with no echo and no canceller. 10 ms are the canceller's delay, and a
    # VAD window of 32 ms may be lost to the echo.
    scenes = [scene(seed, callers=3) for seed in range(4)]
    silent = [replace(one, response=np.zeros(0)) for one in scenes]
    heard, ideal = (
        np.array([t for r in run_echo_calls(group, 24.0, config) for t in r.reactions_ms])
        for group, config in ((scenes, CALL), (silent, CallConfig(play_hz=RATE_HZ, echo="off")))
    )
    assert len(heard) == len(ideal) == 12
    assert np.isfinite(heard).all()
    assert np.median(heard - ideal) <= 50.0
    assert np.quantile(heard, 0.95) <= np.quantile(ideal, 0.95) + 100.0


def test_the_same_run_twice_is_the_same():
    first, second = (run_echo_calls([scene(1, callers=1)], 8.0, CALL)[0] for _ in range(2))
    assert first == second


def test_a_gate_that_lets_all_pass_hears_the_first_echo():
    # Before the echo is learnt only its likelihood holds the gate.
    config = CallConfig(play_hz=RATE_HZ, speaking=GateSettings(max_echo_likelihood=1.0))
    reports = run_echo_calls([scene(seed, loss_db=6.0) for seed in range(4)], 4.0, config)
    assert sum(len(r.false_barge_ins) for r in reports) > 0


@pytest.mark.parametrize("echo", ["auto", "on", "off"])
@pytest.mark.parametrize("media", ["rtp", "push"])
def test_who_has_a_canceller(echo: str, media: str):
    config = CallConfig(media=media, echo=echo)
    expected = echo == "on" or (echo == "auto" and media == "rtp")
    assert config.cancels_echo == expected
    engine = VirtualEngine()
    call = engine.open(config)
    engine.advance(40)
    assert (call.stats()["echo_bytes"] > 0) == expected


def test_pushed_audio_is_cancelled_too_and_keeps_its_indices():
    engine = VirtualEngine()
    call = engine.open(CallConfig(media="push", echo="on", play_hz=RATE_HZ))
    voice = (agent() * 32767).astype(np.int16)
    echo = np.concatenate([np.zeros(960, np.int16), voice // 4])
    expected, in_power, out_power = 0, 1.0, 1.0
    for k in range(400):
        pushed = echo[160 * k : 160 * (k + 1)]
        call.play(voice[160 * k : 160 * (k + 1)])
        call.push(pushed)
        engine.tick()
        heard, first = call.read_audio()
        if len(heard):
            assert first == expected
            expected += len(heard)
        if 200 <= k < 225:
            in_power += float(np.square(pushed.astype(np.float64)).sum())
            out_power += float(np.square(heard.astype(np.float64)).sum())
    assert expected == 400 * 160 - 80
    assert 10 * np.log10(in_power / out_power) > 15.0
    assert call.stats()["echo_delay_ms"] >= 0.0


def test_without_echo_audio_passes_bit_for_bit_ten_ms_later():
    engine = VirtualEngine()
    agent_call = engine.open(CallConfig(codec="l16", play_hz=RATE_HZ))
    caller_call = engine.open(CallConfig(codec="l16", play_hz=RATE_HZ))
    engine.connect(agent_call, caller_call)
    engine.advance(100)
    ramp = np.arange(1, 4001, dtype=np.int16)
    caller_call.play(ramp)
    engine.advance(1000)
    heard, _ = agent_call.read_audio()
    start = int(np.flatnonzero(heard)[0])
    np.testing.assert_array_equal(heard[start : start + 4000], ramp)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"echo": "yes"}, "echo 'yes' is unknown; use 'auto', 'on' or 'off'"),
        ({"echo": True}, "echo True is unknown"),
        ({"echo_tail_ms": 63}, "echo_tail_ms is 63; it must be a whole number 64 to 256"),
        ({"echo_tail_ms": 257}, "echo_tail_ms is 257"),
    ],
)
def test_wrong_settings_say_so(settings: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        CallConfig(**settings)  # type: ignore[arg-type]


def test_echo_calls_take_pcmu_only():
    with pytest.raises(ConfigError, match="PCMU"):
        run_echo_calls([scene(0)], 1.0, CallConfig(codec="l16"))
    with pytest.raises(ConfigError, match="second at least"):
        run_echo_calls([EchoCall(agent=np.zeros(5), response=np.zeros(0))], 1.0)


def test_levels_of_the_scenes():
    # SER 0: the caller is as loud as the echo.
    one = scene(0, callers=1)
    echo = np.convolve(one.agent, one.response)
    assert abs(active_level_dbfs(echo, RATE_HZ) - active_level_dbfs(one.callers[0], RATE_HZ)) < 3.0
