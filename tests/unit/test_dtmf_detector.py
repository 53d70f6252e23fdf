"""DtmfDetector against tones made with numpy: the tolerances of ITU-T Q.24 and of exchanges.

Every case runs all 16 digits, several phases each, seeds fixed. "Found" is exactly that digit,
pressed once and released once. Speech is in test_dtmf_detector_speech.py.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import voicecore
from voicecore import DtmfDetector, dtmf_tones
from voicecore.errors import ClosedError, ConfigError, DtypeError, LengthError, RateError
from voicecore.media._dtmf_detector import DtmfTone

LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"
PEAK_0DBM0 = 32768 * 10 ** (-3.14 / 20)
Wave = NDArray[np.float64]


def silence(ms: float, rate_hz: int = 8000) -> Wave:
    return np.zeros(round(rate_hz * ms / 1000))


def tone(
    digit: str,
    ms: float,
    rate_hz: int = 8000,
    *,
    low_dbm0: float = -12,
    high_dbm0: float = -12,
    low_off_hz: float = 0,
    high_off_hz: float = 0,
    phase: float = 0.3,
) -> Wave:
    row, column = divmod(KEYS.index(digit), 4)
    t = 2 * np.pi * np.arange(round(rate_hz * ms / 1000)) / rate_hz
    low = 10 ** (low_dbm0 / 20) * np.sin(t * (LOW_HZ[row] + low_off_hz) + phase)
    high = 10 ** (high_dbm0 / 20) * np.sin(t * (HIGH_HZ[column] + high_off_hz) + 1.7 * phase)
    return np.asarray(PEAK_0DBM0 * (low + high))


def detect(x: Wave, rate_hz: int = 8000) -> list[DtmfTone]:
    detector = DtmfDetector(rate_hz)
    found = detector.process(np.clip(np.round(x), -32768, 32767).astype(np.int16))
    return found + detector.flush()


def digits(found: list[DtmfTone]) -> str:
    pressed = [t.digit for t in found if t.kind == "pressed"]
    assert [(t.kind, t.digit) for t in found] == [
        (kind, digit) for digit in pressed for kind in ("pressed", "released")
    ]
    return "".join(pressed)


def share_found(make: object, rate_hz: int = 8000, phases: int = 6) -> float:
    """Of all digits and phases, found exactly once and nothing else."""
    ok = 0
    for digit in KEYS:
        for phase in range(phases):
            wave = make(digit, phase)  # type: ignore[operator]
            before = silence(50 + 0.7 * phase, rate_hz)
            x = np.concatenate([before, wave, silence(60, rate_hz)])
            ok += digits(detect(x, rate_hz)) == digit
    return ok / (16 * phases)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("low_way", [-1, 0, 1])
@pytest.mark.parametrize("high_way", [-1, 0, 1])
def test_frequency(rate_hz: int, low_way: int, high_way: int) -> None:
    """Accepted at 1.5 % + 2 Hz; refused at 3.5 % of either tone."""

    def off(percent: float, extra_hz: float) -> object:
        def make(digit: str, phase: int) -> Wave:
            row, column = divmod(KEYS.index(digit), 4)
            low = low_way * (LOW_HZ[row] * percent / 100 + extra_hz)
            high = high_way * (HIGH_HZ[column] * percent / 100 + extra_hz)
            return tone(digit, 45, rate_hz, low_off_hz=low, high_off_hz=high, phase=phase)

        return make

    assert share_found(off(1.5, 2), rate_hz, phases=3) == 1
    if low_way or high_way:
        assert share_found(off(3.5, 0), rate_hz, phases=3) == 0


@pytest.mark.parametrize("twist_db", [-10, -8, -4, 0, 4, 6])
def test_twist_accepted(twist_db: float) -> None:
    assert share_found(lambda d, p: tone(d, 40, high_dbm0=-12 + twist_db, phase=p)) == 1


@pytest.mark.parametrize("twist_db", [-14, 10])
def test_twist_refused(twist_db: float) -> None:
    made = lambda d, p: tone(d, 60, low_dbm0=-16, high_dbm0=-16 + twist_db, phase=p)  # noqa: E731
    assert share_found(made) == 0


@pytest.mark.parametrize(
    ("level_dbm0", "share"), [(0, 1), (-3, 1), (-10, 1), (-25, 1), (-35, 1), (-45, 0), (-55, 0)]
)
def test_level(level_dbm0: float, share: float) -> None:
    """At 0 dBm0 each the sum of both tones clips, as on a line."""
    made = lambda d, p: tone(d, 40, low_dbm0=level_dbm0, high_dbm0=level_dbm0, phase=p)  # noqa: E731
    assert share_found(made) == share


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize(("ms", "share"), [(15, 0), (20, 0), (23, 0), (40, 1), (60, 1), (500, 1)])
def test_duration(rate_hz: int, ms: float, share: float) -> None:
    assert share_found(lambda d, p: tone(d, ms, rate_hz, phase=p), rate_hz) == share


@pytest.mark.parametrize(("gap_ms", "presses"), [(3, 1), (6, 1), (10, 1), (40, 2), (60, 2)])
def test_breaks(gap_ms: float, presses: int) -> None:
    for digit in KEYS:
        for phase in range(5):
            parts = [
                silence(50 + 0.7 * phase),
                tone(digit, 60, phase=phase),
                silence(gap_ms),
                tone(digit, 60, phase=phase + 1),
                silence(60),
            ]
            assert digits(detect(np.concatenate(parts))) == digit * presses


@pytest.mark.parametrize(("snr_db", "twist_db", "least"), [(15, 0, 1), (15, -8, 1), (12, 0, 1)])
def test_noise(snr_db: float, twist_db: float, least: float) -> None:
    """White noise in the whole band, ratio to both tones together; 40 ms, 1.5 % + 2 Hz off."""
    rng = np.random.default_rng(1)

    def make(digit: str, phase: int) -> Wave:
        row, column = divmod(KEYS.index(digit), 4)
        way = 1 if phase % 2 else -1
        x = tone(
            digit,
            40,
            high_dbm0=-12 + twist_db,
            low_off_hz=way * (0.015 * LOW_HZ[row] + 2),
            high_off_hz=way * (0.015 * HIGH_HZ[column] + 2),
            phase=phase,
        )
        x = np.concatenate([silence(30), x, silence(50)])
        power = PEAK_0DBM0**2 / 2 * (10**-1.2 + 10 ** (-1.2 + twist_db / 10))
        return np.asarray(x + rng.standard_normal(len(x)) * np.sqrt(power * 10 ** (-snr_db / 10)))

    assert share_found(make, phases=12) >= least


@pytest.mark.parametrize("dial_hz", [(350, 440), (425,), (400,), (350, 450)])
@pytest.mark.parametrize("over_db", [-10, 0, 5])
def test_dial_tone(dial_hz: tuple[int, ...], over_db: float) -> None:
    """Each of its tones over_db above each of the digit's, all the time; alone it is no digit."""
    t = 2 * np.pi * np.arange(8 * 170) / 8000
    dial = sum(np.sin(t * hz) for hz in dial_hz) * PEAK_0DBM0 * 10 ** ((over_db - 14) / 20)
    assert detect(np.tile(dial, 20)) == []

    def make(digit: str, phase: int) -> Wave:
        x = np.concatenate([silence(60), tone(digit, 50, low_dbm0=-14, high_dbm0=-14, phase=phase)])
        return np.asarray(np.concatenate([x, silence(60)]) + dial)

    assert share_found(make) == 1


def test_positions_level_and_twist() -> None:
    """In clean audio within 2 ms, 0.5 dB, 0.5 dB."""
    for digit in KEYS:
        for rate_hz in (8000, 16000, 48000):
            wave = tone(digit, 90, rate_hz, low_dbm0=-20, high_dbm0=-17)
            x = np.concatenate([silence(70, rate_hz), wave, silence(70, rate_hz)])
            pressed, released = detect(x, rate_hz)
            start, end = 70 * rate_hz // 1000, 160 * rate_hz // 1000
            assert pressed.start_sample == released.start_sample
            assert abs(released.start_sample - start) <= rate_hz // 500
            assert abs(released.end_sample - end) <= rate_hz // 500
            assert start < pressed.end_sample < end
            assert abs(pressed.twist_db - 3) < 0.5
            assert abs(pressed.level_dbm0 - 10 * np.log10(10**-2 + 10**-1.7)) < 0.5


@settings(max_examples=60, deadline=None)
@given(
    dialled=st.text(KEYS, max_size=6),
    rate_hz=st.sampled_from([8000, 12000, 16000]),
    cuts=st.lists(st.integers(0, 3000), max_size=15),
    noise=st.integers(0, 300),
)
def test_slicing_changes_nothing(dialled: str, rate_hz: int, cuts: list[int], noise: int) -> None:
    x = dtmf_tones(dialled, rate_hz, on_ms=55, off_ms=45)
    rng = np.random.default_rng(noise)
    x = (x + noise * rng.standard_normal(len(x))).astype(np.int16)
    whole = DtmfDetector(rate_hz)
    expected = whole.process(x) + whole.flush()
    places = [0, *np.minimum(np.cumsum([*cuts, len(x)]), len(x)).tolist()]
    for _ in range(2):  # after flush the object is as new
        found = [t for a, b in pairwise(places) for t in whole.process(x[a:b])] + whole.flush()
        assert found == expected
    whole.process(x[: len(x) // 2])
    whole.reset()
    assert whole.process(x) + whole.flush() == expected
    if noise < 100:
        assert digits(expected) == dialled


def test_bytes_do_as_well() -> None:
    x = dtmf_tones("17", 8000)
    assert digits(DtmfDetector(8000).process(x.tobytes())) == "17"


def test_generator_against_numpy() -> None:
    for digit in KEYS:
        x = dtmf_tones(digit, 16000, on_ms=50, off_ms=20, low_dbm0=-9, high_dbm0=-6, edge_ms=0)
        expected = tone(digit, 50, 16000, low_dbm0=-9, high_dbm0=-6, phase=0)
        assert len(x) == 16 * 70
        assert np.abs(x[:800] - expected).max() <= 0.6  # half a step of rounding
        assert not x[800:].any()
    assert len(dtmf_tones("", 8000)) == 0


def test_generator_edges_are_smooth() -> None:
    x = dtmf_tones("5", 8000, edge_ms=5).astype(float)
    hard = dtmf_tones("5", 8000, edge_ms=0).astype(float)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    assert np.abs(x[:40] - hard[:40] * ramp).max() <= 1.01
    assert np.abs(x[760:800] - hard[760:800] * ramp[::-1]).max() <= 1.01
    np.testing.assert_array_equal(x[40:760], hard[40:760])


def test_wrong_use_is_refused() -> None:
    for rate in (7999, 48001, "8000", None, 8000.5):
        with pytest.raises(RateError, match="use 8000 to 48000"):
            DtmfDetector(rate)  # type: ignore[arg-type]
        with pytest.raises(RateError):
            dtmf_tones("1", rate)  # type: ignore[arg-type]
    for wrong in ("x", "1 2", "é"):
        with pytest.raises(ConfigError, match="no DTMF digit"):
            dtmf_tones(wrong, 8000)
    with pytest.raises(ConfigError, match="must be a str"):
        dtmf_tones(5, 8000)  # type: ignore[arg-type]
    for setting in ({"on_ms": -1}, {"off_ms": 60001}, {"low_dbm0": 4}, {"high_dbm0": -101}):
        with pytest.raises(ConfigError, match=next(iter(setting))):
            dtmf_tones("1", 8000, **setting)
    with pytest.raises(ConfigError, match="at most half"):
        dtmf_tones("1", 8000, on_ms=10, edge_ms=6)
    detector = DtmfDetector(8000)
    with pytest.raises(DtypeError, match="expected int16"):
        detector.process(np.zeros(100))
    with pytest.raises(LengthError):
        detector.process(b"abc")
    assert detector.process(b"") == []
    with detector:
        pass
    detector.close()
    for use in (detector.flush, detector.reset, lambda: detector.process(b"")):
        with pytest.raises(ClosedError):
            use()


def test_names_and_repr() -> None:
    assert voicecore.DtmfDetector is DtmfDetector
    pressed, _ = DtmfDetector(8000).process(dtmf_tones("5", 8000))
    assert repr(pressed).startswith("DtmfTone('pressed', '5', ")
    assert repr(DtmfDetector(16000)) == "DtmfDetector(16000)"
