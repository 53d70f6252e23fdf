"""EchoCanceller: the Python door, and that an echo goes.

Oracles: one call for any slicing; the input itself where nothing was sent; for the echo a room made
with scipy; for the caller the ideal, which is the microphone without its echo.

The bars of quality are in bench/aec_bars.py, on the rooms and voices of the echo laboratory.
"""

from __future__ import annotations

import array
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import signal

import voicecore
from voicecore import EchoCanceller, errors

LEVELS = voicecore.cpu_levels()
Floats = NDArray[np.float64]
S16 = NDArray[np.int16]


def speechlike(rate_hz: int, seconds: float, seed: int) -> Floats:
    """Noise with speech's slope in syllables of 160 to 300 ms with pauses between; peak 0.3."""
    random = np.random.default_rng(seed)
    n = round(rate_hz * seconds)
    tilt = signal.butter(1, 500, fs=rate_hz)
    band = signal.butter(2, [120, 0.45 * rate_hz], "bandpass", fs=rate_hz, output="sos")
    x = signal.sosfilt(band, signal.lfilter(*tilt, random.standard_normal(n)))
    envelope, at = np.zeros(n), 0
    while at < n:
        length = int(random.uniform(0.16, 0.3) * rate_hz)
        loud = 0.0 if random.random() < 0.25 else random.uniform(0.3, 1.0)
        piece = loud * np.hanning(length)[: n - at]
        envelope[at : at + len(piece)] = piece
        at += length
    x = x * envelope
    return np.asarray(0.3 * x / np.abs(x).max())


def room(rate_hz: int, rt60_s: float, seed: int) -> Floats:
    """A direct path and exponentially decaying noise, 6 dB over all."""
    random = np.random.default_rng(seed)
    t = np.arange(int(0.8 * rt60_s * rate_hz)) / rate_hz
    h = 0.08 * random.standard_normal(len(t)) * 10 ** (-3 * t / rt60_s)
    h[0] = 1.0
    return np.asarray(0.5 * h / np.sqrt(np.sum(h**2)))


def to_s16(x: Floats) -> S16:
    return np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)


def scene(rate_hz: int, seconds: float, delay_ms: int, seed: int) -> tuple[S16, Floats, Floats]:
    """What was sent, its echo and a caller as loud as it."""
    far = speechlike(rate_hz, seconds, seed)
    far_s16 = to_s16(far)
    path = np.concatenate([np.zeros(delay_ms * rate_hz // 1000), room(rate_hz, 0.3, seed)])
    echo = signal.fftconvolve(far_s16 / 32768, path)[: len(far)]
    caller = speechlike(rate_hz, seconds, seed + 1000)
    caller *= np.sqrt(np.mean(echo**2) / np.mean(caller**2))
    return far_s16, echo, caller


def ratio_db(over: NDArray[Any], under: NDArray[Any]) -> float:
    powers = [np.mean(np.square(x.astype(float))) + 1e-12 for x in (over, under)]
    return float(10 * np.log10(powers[0] / powers[1]))


# -- echo and caller ----------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize("delay_ms", [0, 100, 500])
def test_the_echo_goes(rate_hz: int, delay_ms: int) -> None:
    """Bound: 30 dB from the fourth second on; the ideal would leave the noise, at 45 dB."""
    far, echo, _ = scene(rate_hz, 6, delay_ms, 1)
    noise = np.random.default_rng(2).standard_normal(len(far))
    noise *= np.sqrt(np.mean(echo**2)) * 10 ** (-45 / 20)
    near = to_s16(echo + noise)
    canceller = EchoCanceller(rate_hz)
    assert canceller.echo_delay_ms is None
    assert (canceller.erle_db, canceller.drift_ppm, canceller.echo_likelihood) == (0, 0, 0)
    out = canceller.process(near, far)
    settled = slice(3 * rate_hz, None)
    assert ratio_db(near[settled], out[settled]) > 30
    assert canceller.erle_db > 10
    assert canceller.echo_delay_ms == pytest.approx(delay_ms, abs=3)
    assert canceller.drift_ppm == pytest.approx(0, abs=20)
    assert 0 <= canceller.echo_likelihood <= 1


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_caller_stays_in_double_talk(rate_hz: int) -> None:
    """Bound: what comes out is the caller within 6 dB SDR, where the microphone is at 0 dB."""
    far, echo, caller = scene(rate_hz, 8, 60, 3)
    caller[: 4 * rate_hz] = 0
    near = to_s16(echo + caller)
    canceller = EchoCanceller(rate_hz)
    out = canceller.process(near, far) / 32768
    late = canceller.delay_samples
    ideal = np.concatenate([np.zeros(late), caller[:-late]])
    both = slice(4 * rate_hz + late, None)
    assert ratio_db(ideal[both], near[both] / 32768 - caller[both]) == pytest.approx(0, abs=3)
    assert ratio_db(ideal[both], out[both] - ideal[both]) > 6
    gain = np.dot(out[both], ideal[both]) / np.dot(ideal[both], ideal[both])
    assert 20 * np.log10(gain) == pytest.approx(0, abs=2)


def test_likelihood_tells_echo_from_caller() -> None:
    """Means over the last two seconds: over 0.5 for echo alone, under 0.2 for the caller alone."""
    rate_hz = 16000
    far, echo, caller = scene(rate_hz, 6, 60, 5)
    found = []
    for near, sent in ((to_s16(echo), far), (to_s16(caller), None), (to_s16(caller), far)):
        canceller = EchoCanceller(rate_hz)
        seen = []
        for at in range(0, len(near), 160):
            canceller.process(near[at : at + 160], None if sent is None else sent[at : at + 160])
            seen.append(canceller.echo_likelihood)
        found.append(float(np.mean(seen[-200:])))
    assert found[0] > 0.5
    assert found[1] == 0
    assert found[2] < 0.2


def test_drift_is_found() -> None:
    """The microphone's clock is 100 ppm slow: read at a finer place by a spline of the far end."""
    rate_hz, n = 16000, 10 * 16000
    from scipy.interpolate import make_interp_spline

    far = to_s16(signal.sosfilt(
        signal.butter(4, 3000, fs=rate_hz, output="sos"), speechlike(rate_hz, 10, 7)))  # fmt: skip
    places = np.clip(np.arange(n) * (1 - 100e-6) - 800, 0, n - 1)
    near = to_s16(0.4 * make_interp_spline(np.arange(n), far / 32768, 5)(places))
    canceller = EchoCanceller(rate_hz)
    out = canceller.process(near, far)
    assert canceller.drift_ppm == pytest.approx(100, abs=20)
    assert ratio_db(near[-2 * rate_hz :], out[-2 * rate_hz :]) > 25


# -- what the door promises -----------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_without_far_end_the_input_comes_out(rate_hz: int) -> None:
    near = np.random.default_rng(1).integers(-32768, 32768, 2 * rate_hz).astype(np.int16)
    canceller, block = EchoCanceller(rate_hz), rate_hz // 100
    assert (canceller.block_samples, canceller.delay_samples) == (block, block)
    assert canceller.delay_ms == 10
    out = canceller.process(near, None)
    assert np.array_equal(out[rate_hz:], near[rate_hz - block : -block])
    silent = EchoCanceller(rate_hz).process(near, np.zeros_like(near))
    assert np.array_equal(out, silent)
    floats = (near / 32768).astype(np.float32)
    passed = EchoCanceller(rate_hz).process(floats, None)
    assert np.array_equal(passed[rate_hz:], floats[rate_hz - block : -block])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.integers(0, 2**31), st.booleans())
def test_slicing_changes_nothing(blocks: list[int], seed: int, floats: bool) -> None:
    random = np.random.default_rng(seed)
    n = 160 * sum(blocks)
    far = random.integers(-9000, 9000, n).astype(np.int16)
    near = np.roll(far, 300) // 2 + random.integers(-99, 99, n).astype(np.int16)
    if floats:
        far, near = ((x / 32768).astype(np.float32) for x in (far, near))
    whole = EchoCanceller().process(near, far)
    assert whole.dtype == near.dtype
    canceller, at, parts = EchoCanceller(), 0, [near[:0]]
    for count in blocks:
        end = at + 160 * count
        parts.append(canceller.process(near[at:end], far[at:end]))
        at = end
    assert np.array_equal(np.concatenate(parts), whole)
    canceller.reset()
    assert np.array_equal(canceller.process(near, far), whole)


ODD = arrays.arrays(
    np.float32, 320, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
)


@settings(max_examples=60, deadline=None)
@given(ODD, st.none() | ODD, st.integers(-16000, 16000))
def test_any_input_gives_finite_output(
    near: NDArray[np.float32], far: NDArray[np.float32] | None, change: int
) -> None:
    canceller = EchoCanceller(tail_ms=64)
    for _ in range(12):
        out = canceller.process(near, far)
        assert np.isfinite(out).all()
        assert np.abs(out).max() < 8
        canceller.delay_changed(change)
    assert 0 <= canceller.echo_likelihood <= 1
    assert np.isfinite([canceller.erle_db, canceller.drift_ppm]).all()


def test_a_bad_half_second_is_recovered_from() -> None:
    """20 dB over the last two of six seconds."""
    far, echo, _ = scene(16000, 6, 60, 9)
    near = (echo).astype(np.float32)
    sent = (far / 32768).astype(np.float32)
    near[20000:28000] = np.nan
    sent[24000:32000] = np.inf
    out = EchoCanceller().process(near, sent)
    assert np.isfinite(out).all()
    assert ratio_db(near[-32000:], out[-32000:]) > 20


def test_levels_agree() -> None:
    """Sums in another order, fed back by the learning: 50 dB below the microphone."""
    far, echo, caller = scene(16000, 3, 60, 11)
    near = to_s16(echo + caller)
    plain = EchoCanceller(level="c").process(near, far).astype(float)
    for level in LEVELS:
        canceller = EchoCanceller(level=level)
        assert canceller.level == level
        assert ratio_db(near, canceller.process(near, far) - plain) > 50


def test_any_buffer() -> None:
    far, echo, _ = scene(8000, 1, 20, 13)
    near = to_s16(echo)
    want = EchoCanceller(8000).process(near, far)
    for kind in (bytes, bytearray, memoryview, lambda x: array.array("h", x.tobytes())):
        assert np.array_equal(EchoCanceller(8000).process(kind(near), kind(far)), want)
    near.setflags(write=False)
    assert np.array_equal(EchoCanceller(8000).process(near, far), want)
    floats = array.array("f", [0.0] * 80)
    assert EchoCanceller(8000).process(floats, floats).dtype == np.float32
    assert len(EchoCanceller(8000).process(b"", None)) == 0


def test_state() -> None:
    for rate_hz in (8000, 16000):
        sizes = [EchoCanceller(rate_hz, tail_ms).state_bytes for tail_ms in (64, 128, 256)]
        assert sizes == sorted(sizes)
        assert 20_000 < sizes[0] < sizes[-1] <= 160 * 1024
    canceller = EchoCanceller(8000, 128, level="c")
    assert (canceller.rate_hz, canceller.tail_ms, canceller.level) == (8000, 128, "c")
    assert repr(canceller) == "EchoCanceller(8000, 128, level='c')"


ZEROS = np.zeros(320, np.int16)


@pytest.mark.parametrize(
    ("near", "far", "error", "match"),
    [
        (ZEROS[:100], None, errors.LengthError, "multiple of 10 ms, that is of 160 at 16000 Hz"),
        (ZEROS, ZEROS[:160], errors.LengthError, "320 samples and far 160; pass as many of each"),
        (ZEROS, ZEROS.astype(np.float32), errors.DtypeError, "one sample type"),
        (ZEROS.astype(float), ZEROS, errors.DtypeError, "float64; convert"),
        (ZEROS[::2], None, errors.DtypeError, "ascontiguousarray"),
        (ZEROS.reshape(2, 160), None, errors.LengthError, "mono"),
        (b"123", None, errors.LengthError, "even number of bytes"),
        (None, None, errors.DtypeError, "NoneType"),
        (ZEROS, "far", errors.DtypeError, "str"),
    ],
)
def test_wrong_input(near: Any, far: Any, error: type[Exception], match: str) -> None:
    canceller = EchoCanceller()
    with pytest.raises(error, match=match):
        canceller.process(near, far)
    assert len(canceller.process(ZEROS, None)) == 320  # it goes on


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"rate_hz": 44100}, errors.RateError, "use 8000 or 16000"),
        ({"rate_hz": "8000"}, errors.RateError, "'8000'"),
        ({"tail_ms": 63}, errors.ConfigError, "64 to 256"),
        ({"tail_ms": 100.5}, errors.ConfigError, "whole number"),
        ({"tail_ms": None}, errors.ConfigError, "whole number"),
        ({"level": "z80"}, errors.ConfigError, "z80"),
        ({"level": "neon" if "avx2" in LEVELS else "avx512"}, errors.CpuLevelError, "level"),
    ],
)
def test_wrong_settings(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        EchoCanceller(**arguments)


def test_wrong_change_of_delay() -> None:
    canceller = EchoCanceller(8000)
    for samples in (8001, -8001, 0.5, None, "1"):
        with pytest.raises(errors.ConfigError, match="from -8000 to 8000"):
            canceller.delay_changed(samples)  # type: ignore[arg-type]


def test_closed() -> None:
    with EchoCanceller() as canceller:
        canceller.process(ZEROS, ZEROS)
    canceller.close()
    for use in (lambda: canceller.process(ZEROS, None), canceller.reset, lambda: canceller.erle_db):
        with pytest.raises(errors.ClosedError, match="make a new one"):
            use()


def test_the_gil_is_released_and_a_second_thread_refused() -> None:
    near = np.zeros(16000 * 60, np.int16)
    far = np.random.default_rng(1).integers(-9000, 9000, len(near)).astype(np.int16)
    canceller, refused, other = EchoCanceller(), 0, 0
    thread = threading.Thread(target=lambda: canceller.process(near, far))
    thread.start()
    while thread.is_alive():
        other += 1
        try:
            canceller.reset()
        except errors.ConcurrentUseError:
            refused += 1
    thread.join()
    assert other > 1
    assert refused > 0
