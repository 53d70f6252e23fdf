"""Resampler: presets, two channels and ratio trim, and how they stream.

Oracles: scipy.signal.freqz of the taps read back; one channel after the other; the sine at the
output's places, in double; integers for the counts.
"""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import voicecore
from voicecore import Resampler, errors
from voicecore.media._resample import RATES_HZ

PRESETS = ("telephony", "voice", "studio")
ALL = [(a, b) for a in RATES_HZ for b in RATES_HZ]
PAIRS = [pair for pair in ALL if pair[0] != pair[1]]
SOME = [
    (8000, 16000), (16000, 8000), (24000, 16000), (44100, 16000), (16000, 48000), (11025, 8000),
]  # fmt: skip
LEVELS = voicecore.cpu_levels()

# The bounds of each preset; edges in Nyquist frequencies of the lower rate.
FIGURES = {
    #            delay_ms  ripple_db  flat to  -3 dB  stop edge  alias_db
    "telephony": (1.5, 0.055, 0.85, 0.93, 1.15, -76.5),
    "voice": (3.0, 0.052, 0.858, 0.90, 1.02, -90.0),
    "studio": (8.0, 0.035, 0.946, 0.96, 1.02, -115.0),
}


def noise(samples: int, seed: int, channels: int = 1) -> NDArray[np.int16]:
    shape = samples if channels == 1 else (samples, channels)
    return np.random.default_rng(seed).integers(-20000, 20000, shape).astype(np.int16)


def read_back(in_hz: int, out_hz: int, preset: str) -> NDArray[np.float64]:
    """The filter at the rate in_hz * L: impulses far apart, at every phase of the outputs."""
    divisor = gcd(in_hz, out_hz)
    up, down = out_hz // divisor, in_hz // divisor
    with Resampler(in_hz, out_hz, preset=preset) as resampler:
        # Half the window is the delay and one output; the padding is the kernels' matter.
        window = int(2 * (resampler.delay_samples + 1) * down / up) + 40
        spacing = window + (1 - window) % down
        impulses = np.arange(down) * spacing + window
        x = np.zeros(impulses[-1] + 2 * spacing, np.float32)
        x[impulses] = 1
        y = resampler.process(x)
    h = np.zeros((window + 1) * up)
    for impulse in impulses:
        m = np.arange(-(-impulse * up // down), (impulse + window) * up // down - 1) - 1
        m = m[(m + 1) * down >= impulse * up]
        h[(m + 1) * down - impulse * up] = y[m]
    return h


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_figures_of_the_preset(in_hz: int, out_hz: int, preset: str) -> None:
    delay_ms, ripple_db, flat, three_db, stop, alias_db = FIGURES[preset]
    up = out_hz // gcd(in_hz, out_hz)
    h = read_back(in_hz, out_hz, preset)
    nyquist = min(in_hz, out_hz) / 2
    points = max(2**15, 2 ** int(np.ceil(np.log2(len(h) * 32))))
    hz, response = signal.freqz(h / up, worN=points, fs=in_hz * up)
    gain_db = 20 * np.log10(np.maximum(np.abs(response), 1e-12))
    assert np.abs(gain_db[hz <= flat * nyquist]).max() <= ripple_db
    assert gain_db[hz <= three_db * nyquist].min() >= -3.0
    # What lies beyond is heard only folded or mirrored.
    assert gain_db[hz >= stop * nyquist].max() <= alias_db
    with Resampler(in_hz, out_hz, preset=preset) as resampler:
        assert resampler.preset == preset
        assert resampler.delay_ms <= delay_ms * 8000 / min(in_hz, out_hz)
        # Linear phase about the delay, one output sample before the middle of h.
        middle = (resampler.delay_samples + 1) * in_hz // gcd(in_hz, out_hz)
    assert np.abs(h[: int(middle)][::-1] - h[int(middle) + 1 :][: int(middle)]).max() <= 2e-6


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("in_hz", "out_hz"), ALL)
def test_delay_is_where_the_click_is(in_hz: int, out_hz: int, preset: str) -> None:
    """To the sample: the largest is the nearest to the place that the delay says."""
    trim = in_hz == out_hz
    with Resampler(in_hz, out_hz, preset=preset, trim=trim) as resampler:
        group = in_hz // gcd(in_hz, out_hz)
        for at in (group, group + 1):
            x = np.zeros(at + in_hz // 20, np.float32)
            x[at] = 1
            peak = int(np.argmax(resampler.process(x)))
            expected = at * out_hz / in_hz + resampler.delay_samples
            assert abs(peak - expected) <= 0.5 + 1e-9
            if in_hz % out_hz == 0 or out_hz % in_hz == 0:
                assert peak == expected or expected % 1
            resampler.reset()


# ------------------------------------------------------------------ two channels


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize(("in_hz", "out_hz"), [*SOME, (8000, 8000)])
def test_two_channels_are_two_streams(in_hz: int, out_hz: int, dtype: type, preset: str) -> None:
    x = noise(2500, 3, 2).astype(dtype)
    if dtype is np.float32:
        x = x / np.float32(32768)
    with Resampler(in_hz, out_hz, preset=preset, channels=2) as both:
        y = np.concatenate([both.process(x), both.flush(dtype)])
        assert y.dtype == dtype
        assert y.ndim == y.shape[1] == 2
        for channel in (0, 1):
            with Resampler(in_hz, out_hz, preset=preset) as one:
                alone = np.ascontiguousarray(x[:, channel])
                expected = np.concatenate([one.process(alone), one.flush(dtype)])
            assert np.array_equal(y[:, channel], expected)


def test_two_channels_in_any_buffer() -> None:
    x = noise(480, 4, 2)
    expected = Resampler(24000, 16000, channels=2).process(x)
    assert expected.shape == (320, 2)
    for source in (x.tobytes(), bytearray(x.tobytes()), memoryview(x)):
        assert np.array_equal(Resampler(24000, 16000, channels=2).process(source), expected)
    for dst in (np.zeros((320, 2), np.int16), bytearray(1280)):
        with Resampler(24000, 16000, channels=2) as resampler:
            assert resampler.process_into(x, dst) == 320
            assert np.array_equal(np.frombuffer(dst, np.int16).reshape(-1, 2), expected)


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (noise(10, 1), errors.LengthError, r"\[n, 2\]"),
        (np.zeros((10, 3), np.int16), errors.LengthError, r"\[10, 3\]"),
        (np.zeros((2, 10), np.float32), errors.LengthError, r"\[2, 10\]"),
        (np.zeros((10, 2)), errors.DtypeError, "float64"),
        (np.zeros((10, 4), np.int16)[:, :2], errors.DtypeError, "contiguous"),
        (bytes(6), errors.LengthError, "6 bytes"),
        ([[1, 2]], errors.DtypeError, "list"),
    ],
)
def test_wrong_input_for_two_channels(source: object, error: type[Exception], says: str) -> None:
    with Resampler(8000, 16000, channels=2) as resampler:
        with pytest.raises(error, match=says):
            resampler.process(source)  # type: ignore[arg-type]
        room = np.zeros((319, 2), np.int16)
        with pytest.raises(errors.BufferTooSmallError, match="320"):
            resampler.process_into(noise(160, 1, 2), room)
        with pytest.raises(errors.LengthError, match=r"\[n, 2\]"):
            resampler.process_into(noise(160, 1, 2), np.zeros(640, np.int16))
        with pytest.raises(errors.ConfigError, match="share"):
            resampler.process_into(room[:100], room[99:])
        assert resampler.process(noise(160, 1, 2)).shape == (320, 2)


@pytest.mark.parametrize("channels", [0, 3, -1, None, "2"])
def test_wrong_number_of_channels(channels: int) -> None:
    with pytest.raises(errors.ConfigError, match="1 or 2"):
        Resampler(8000, 16000, channels=channels)


# ------------------------------------------------------------------ trim


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("in_hz", "out_hz"), ALL)
def test_trim_left_at_0_changes_nothing(in_hz: int, out_hz: int, preset: str) -> None:
    x = noise(2000, 5)
    with (
        Resampler(in_hz, out_hz, preset=preset) as usual,
        Resampler(in_hz, out_hz, preset=preset, trim=True) as trimmed,
    ):
        trimmed.trim_ppm = 0
        late = 0
        if in_hz == out_hz:
            late = int(trimmed.delay_samples)
            assert trimmed.delay_ms == 1000 * late / in_hz > 0
        y = np.concatenate([trimmed.process(x), trimmed.flush()])
        assert not y[:late].any()
        assert np.array_equal(y[late:], np.concatenate([usual.process(x), usual.flush()]))


# SNR of a tone at 0.4 of the lower Nyquist frequency while the trim changes, f32.
TRIM_SNR_DB = {"telephony": 80, "voice": 92, "studio": 115}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("in_hz", "out_hz"), [*SOME, (8000, 8000), (48000, 48000)])
def test_trimmed_tone_has_no_step(in_hz: int, out_hz: int, preset: str) -> None:
    """Oracle: the sine at the places that the trims say. A step would be in the error."""
    turn = 2 * np.pi * 0.2 * min(in_hz, out_hz) / in_hz
    x = (0.5 * np.sin(turn * np.arange(in_hz))).astype(np.float32)
    heard, places = [], []
    with Resampler(in_hz, out_hz, preset=preset, trim=True) as resampler:
        place = -resampler.delay_samples * in_hz / out_hz
        for part, ppm in zip(np.array_split(x, 5), (0, 500, -500, 17.125, 0), strict=True):
            resampler.trim_ppm = ppm
            assert resampler.trim_ppm == ppm
            y = resampler.process(part)
            step = in_hz / out_hz * (1 + ppm / 1e6)
            places.append(place + step * np.arange(len(y)))
            place += step * len(y)
            heard.append(y.astype(float))
    y, pure = np.concatenate(heard), np.sin(turn * np.concatenate(places))
    y, pure = y[out_hz // 20 :], pure[out_hz // 20 :]
    gain = (y @ pure) / (pure @ pure)
    error = y - gain * pure
    snr_db = 10 * np.log10(np.mean((gain * pure) ** 2) / np.mean(error**2))
    assert snr_db >= TRIM_SNR_DB[preset]


@settings(max_examples=200, deadline=None)
@given(
    pair=st.sampled_from(ALL),
    preset=st.sampled_from(PRESETS),
    channels=st.sampled_from([1, 2]),
    level=st.sampled_from(LEVELS),
    cuts=st.lists(st.integers(0, 3000), max_size=10),
    trims=st.none() | st.lists(
        st.tuples(st.integers(0, 3000), st.floats(-500, 500) | st.just(0.0)), max_size=4
    ),
    as_float=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_slicing_changes_nothing(
    pair: tuple[int, int],
    preset: str,
    channels: int,
    level: str,
    cuts: list[int],
    trims: list[tuple[int, float]] | None,
    as_float: bool,
    seed: int,
) -> None:
    x: NDArray[np.generic] = noise(3000, seed, channels)
    if as_float:
        x = x.astype(np.float32) / np.float32(20000)
    changes = sorted(trims or [], key=lambda change: change[0])

    def streamed(resampler: Resampler, cuts: list[int]) -> NDArray[np.generic]:
        out, at, pending = [], 0, list(changes)
        for cut in sorted({*cuts, *(place for place, _ in changes), 3000}):
            out.append(resampler.process(x[at:cut]))
            while pending and pending[0][0] == cut:
                resampler.trim_ppm = pending.pop(0)[1]
            at = cut
        return np.concatenate([*out, resampler.flush(x.dtype)])

    def make() -> Resampler:
        return Resampler(
            *pair, preset=preset, channels=channels, trim=trims is not None, level=level
        )

    with make() as one, make() as many:
        whole = streamed(one, [])
        assert np.array_equal(whole, streamed(many, cuts))
        # As new after the flush and after a reset in mid-stream.
        if trims is not None:
            assert many.trim_ppm == 0
            many.trim_ppm = 250
        many.process(x[:777])
        many.reset()
        assert np.array_equal(whole, streamed(many, cuts))


@settings(max_examples=100, deadline=None)
@given(
    pair=st.sampled_from(ALL),
    ppm=st.floats(-500, 500),
    fed=st.integers(0, 2000),
    wanted=st.integers(0, 5000),
)
def test_inputs_for_is_the_least(pair: tuple[int, int], ppm: float, fed: int, wanted: int) -> None:
    with Resampler(*pair, trim=True) as resampler:
        resampler.trim_ppm = ppm
        resampler.process(noise(fed, 1))
        needed = resampler.inputs_for(wanted)
        if needed == 0:
            assert wanted == 0
            return
        y = resampler.process(noise(needed - 1, 2))
        assert len(y) < wanted
        assert resampler.inputs_for(wanted - len(y)) == 1
        assert len(y) + len(resampler.process(noise(1, 3))) >= wanted


def test_fast_source_gives_fewer_outputs() -> None:
    for ppm in (500, -500):
        with Resampler(8000, 8000, trim=True) as resampler:
            resampler.trim_ppm = ppm
            assert len(resampler.process(noise(800_000, 1))) == 800_000 - ppm * 8 // 10


def test_wrong_trim() -> None:
    with Resampler(8000, 16000) as resampler, pytest.raises(errors.StateError, match="trim=True"):
        resampler.trim_ppm = 1
    with Resampler(8000, 16000, trim=True) as resampler:
        for ppm in (500.01, -501, float("nan"), float("inf"), None, "fast"):
            with pytest.raises(errors.ConfigError, match="trim_ppm"):
                resampler.trim_ppm = ppm  # type: ignore[assignment]
        assert resampler.trim_ppm == 0
        for samples in (-1, 1 << 60):
            with pytest.raises(errors.ConfigError, match="samples"):
                resampler.inputs_for(samples)
        resampler.trim_ppm = -0.0004
        assert resampler.trim_ppm == 0
    with pytest.raises(errors.ClosedError):
        resampler.trim_ppm = 3
    with pytest.raises(errors.ClosedError):
        resampler.inputs_for(3)
