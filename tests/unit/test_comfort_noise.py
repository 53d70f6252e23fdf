"""ComfortNoise: RFC 3389 restated in numpy, spectra against scipy, levels, slicing, wrong use.

Bounds, each with a fixed seed: level of analyse -> build -> parse -> synthesize within 0.5 dB plus
the 0.5 dB that the payload's whole dB takes away, 0.5 dB without the payload; log-spectral distance
between the smoothed spectra of background and noise 1.5 dB (a chance distance of 0.8 dB included).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter, welch

import voicecore
from tests import audio
from voicecore import ComfortNoise, ComfortNoiseModel
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    LengthError,
    PacketError,
    RateError,
)

RATES_HZ = (8000, 11025, 16000, 24000, 44100, 48000)
Shorts = NDArray[np.int16]

# Backgrounds as all-pole filters: white, low-passed, room-like, with a ridge, high.
FILTERS = {
    "white": [1.0],
    "pinkish": [1.0, -0.93],
    "room": np.poly([0.9, 0.6, -0.3]),
    "ridge": np.poly([0.92 * np.exp(0.9j), 0.92 * np.exp(-0.9j), 0.7]).real,
    "hiss": [1.0, 0.7],
}


def level_dbov(x: NDArray[np.generic]) -> float:
    return float(10 * np.log10(np.mean(np.square(x.astype(float))) / 32768.0**2))


def background(name: str, n: int, level: float, seed: int) -> Shorts:
    x = lfilter([1.0], FILTERS[name], np.random.default_rng(seed).standard_normal(n + 1000))[1000:]
    x *= 32768 * 10 ** (level / 20) / np.sqrt(np.mean(x**2))
    return np.clip(np.round(x), -32768, 32767).astype(np.int16)


def polynomial(reflection: tuple[float, ...]) -> NDArray[np.float64]:
    """A(z) by the step-up recursion."""
    a = np.array([1.0])
    for k in reflection:
        a = np.append(a, 0.0) + k * np.append(a, 0.0)[::-1]
    return a


def log_spectrum(x: Shorts, rate_hz: int) -> NDArray[np.float64]:
    """In dB, smoothed to 1/32 of the band, without the lowest band that a lag window widens."""
    _, power = welch(x.astype(float), rate_hz, nperseg=512)
    return np.asarray(10 * np.log10(power[1:].reshape(32, -1).mean(axis=1)[1:] + 1e-9))


def distance_db(a: Shorts, b: Shorts, rate_hz: int) -> float:
    """Log-spectral distance."""
    return float(np.sqrt(np.mean((log_spectrum(a, rate_hz) - log_spectrum(b, rate_hz)) ** 2)))


@given(st.binary(min_size=1, max_size=40))
def test_payload_is_that_of_the_rfc(payload: bytes) -> None:
    """Section 3.1: level in the low 7 bits; 3.2: k = 258 (N - 127) / 32768."""
    model = ComfortNoiseModel.parse(payload)
    assert model.level_dbov == -(payload[0] & 0x7F)
    kept = payload[1:25].split(b"\xff")[0]
    expected = [258 * (index - 127) / 32768 for index in kept]
    np.testing.assert_allclose(model.reflection, expected, atol=1e-7)
    assert bytes(model) == bytes([payload[0] & 0x7F]) + kept


@given(
    st.floats(-127, 0),
    st.lists(st.floats(-1, 1, exclude_min=True, exclude_max=True, width=32), max_size=24),
)
def test_building_rounds_to_the_nearest(level: float, reflection: list[float]) -> None:
    again = ComfortNoiseModel.parse(bytes(ComfortNoiseModel(level, reflection)))
    assert abs(again.level_dbov - level) <= 0.5001
    assert len(again.reflection) == len(reflection)
    # Half a step is 0.00394; the last index stands 0.00006 short of 1.
    assert all(abs(a - k) < 0.00400 for a, k in zip(again.reflection, reflection, strict=True))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("name", FILTERS)
def test_analyse_build_parse_synthesize(name: str, rate_hz: int) -> None:
    for level in (-65.0, -45.3, -30.0):
        x = background(name, 4 * rate_hz, level, seed=1)
        sender = ComfortNoise(rate_hz)
        sender.learn(x, background=True)
        learned = sender.learned
        assert learned is not None
        assert abs(learned.level_dbov - level_dbov(x[-rate_hz // 2 :])) < 0.3
        receiver = ComfortNoise(rate_hz, seed=7)
        receiver.set_model(ComfortNoiseModel.parse(bytes(learned)))
        y = receiver.process(4 * rate_hz)
        assert abs(level_dbov(y) - learned.level_dbov) < 1.0
        assert distance_db(x, y, rate_hz) < 1.5
        direct = ComfortNoise(rate_hz, seed=8)
        direct.set_model(learned)
        assert abs(level_dbov(direct.process(4 * rate_hz)) - level_dbov(x)) < 0.5


@pytest.mark.parametrize("reflection", [(), (-0.9,), (0.5, -0.6, 0.3), (-0.95, 0.9, 0.2, -0.4)])
def test_spectrum_is_that_of_the_coefficients(reflection: tuple[float, ...]) -> None:
    """White noise through scipy's 1 / A(z) at the same level sounds the same: LSD below 1 dB."""
    maker = ComfortNoise(16000, seed=3)
    maker.set_model(ComfortNoiseModel(-35.0, reflection))
    made = maker.process(16 * 16000)
    white = np.random.default_rng(5).standard_normal(len(made) + 4000)
    expected = lfilter([1.0], polynomial(reflection), white)[4000:]
    expected *= 32768 * 10 ** (-35 / 20) / np.sqrt(np.mean(expected**2))
    assert distance_db(made, np.round(expected).astype(np.int16), 16000) < 1.0
    assert abs(level_dbov(made) + 35.0) < 0.5


def test_learns_the_pauses_of_speech() -> None:
    """Speech-like bursts over pink noise: level within 1.5 dB of the noise, LSD below 3 dB."""
    rate_hz = 8000
    floor = np.round(audio.noise("pink", 12, rate_hz, 9) * 32768 * 0.02).astype(np.int16)
    rng = np.random.default_rng(10)
    loud = np.zeros(len(floor))
    for start in range(0, len(floor), rate_hz):  # 0.7 s of sound, 0.3 s of pause
        burst = rng.standard_normal(7 * rate_hz // 10)
        loud[start : start + len(burst)] = 3000 * burst
    noise = ComfortNoise(rate_hz)
    noise.learn(np.clip(floor + loud, -32768, 32767).astype(np.int16))
    learned = noise.learned
    assert learned is not None
    assert abs(learned.level_dbov - level_dbov(floor)) < 1.5
    noise.set_model(learned)
    assert distance_db(noise.process(12 * rate_hz), floor, rate_hz) < 3.0


@settings(max_examples=40, deadline=None)
@given(
    rate_hz=st.sampled_from(RATES_HZ),
    cuts=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 2**64 - 1),
)
def test_slicing_and_reset(rate_hz: int, cuts: list[int], seed: int) -> None:
    x = background("room", 5000, -40.0, seed=2)
    whole = ComfortNoise(rate_hz, seed=seed)
    sliced = ComfortNoise(rate_hz, seed=seed)
    places = [0, *np.minimum(np.cumsum([*cuts, 5000]), 5000).tolist()]
    for _ in range(2):
        whole.learn(x)
        for start, end in pairwise(places):
            sliced.learn(x[start:end])
        assert whole.learned == sliced.learned
        pieces = []
        expected = []
        for model in (ComfortNoiseModel(-50.0, [0.3]), whole.learned):
            assert model is not None
            whole.set_model(model)
            sliced.set_model(model)
            expected.append(whole.process(5000))
            pieces += [sliced.process(b - a) for a, b in pairwise(places)]
        np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(expected))
        sliced.reset()
        whole.close()
        whole = ComfortNoise(rate_hz, seed=seed)
        assert sliced.learned is None
        assert not sliced.process(50).any()


def test_seeds_differ_and_repeat() -> None:
    def samples(seed: int) -> Shorts:
        noise = ComfortNoise(8000, seed=seed)
        noise.set_model(ComfortNoiseModel(-40.0, [-0.5]))
        return noise.process(1000)

    np.testing.assert_array_equal(samples(1), samples(1))
    assert abs(np.corrcoef(samples(1), samples(2))[0, 1]) < 0.15


def test_order_limits_the_model() -> None:
    noise = ComfortNoise(8000, order=1)
    noise.set_model(ComfortNoiseModel(-40.0, [-0.5, 0.9, 0.9]))
    other = ComfortNoise(8000, order=1)
    other.set_model(ComfortNoiseModel(-40.0, [-0.5]))
    np.testing.assert_array_equal(noise.process(500), other.process(500))


def test_wrong_use_is_refused() -> None:
    for rate in (7999, 48001, 8000.5, "8000", None):
        with pytest.raises(RateError, match="use 8000 to 48000"):
            ComfortNoise(rate)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="order is 25"):
        ComfortNoise(8000, order=25)
    with pytest.raises(ConfigError, match="seed is -1"):
        ComfortNoise(8000, seed=-1)
    with pytest.raises(PacketError, match="empty payload"):
        ComfortNoiseModel.parse(b"")
    with pytest.raises(DtypeError, match="got str"):
        ComfortNoiseModel.parse("x")  # type: ignore[arg-type]
    for level, reflection in ((1.0, []), (-128, []), (float("nan"), []), (-9, [1.0]), ("x", [])):
        with pytest.raises(ConfigError):
            ComfortNoiseModel(level, reflection)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="25 reflection coefficients"):
        ComfortNoiseModel(-50, [0.0] * 25)
    noise = ComfortNoise(8000)
    assert noise.learned is None
    assert not noise.process(100).any()
    with pytest.raises(DtypeError, match="expected int16"):
        noise.learn(np.zeros(10))
    with pytest.raises(LengthError):
        noise.learn(b"abc")
    with pytest.raises(ConfigError, match="samples is -1"):
        noise.process(-1)
    with pytest.raises(TypeError):
        noise.set_model(None)  # type: ignore[arg-type]
    with noise:
        pass
    noise.close()
    for use in (
        lambda: noise.process(1),
        lambda: noise.learn(b""),
        lambda: noise.learned,
        noise.reset,
        lambda: noise.set_model(ComfortNoiseModel(-50)),
    ):
        with pytest.raises(ClosedError):
            use()


def test_names_are_at_the_top() -> None:
    assert voicecore.ComfortNoise is ComfortNoise
    assert "ComfortNoise(8000, order=10)" in repr(ComfortNoise(8000))
    assert repr(ComfortNoiseModel(-50, [0.25])) == "ComfortNoiseModel(-50.0, [0.25])"
