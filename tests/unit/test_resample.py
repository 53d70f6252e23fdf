"""Resampler: the filter's figures at all pairs, streaming, and what wrong use says.

Oracles: scipy.signal.upfirdn with the filter built from the table's formula; least-squares sine
fits; the floor law in integers. The filter's response is read back from the object itself with
impulses at every phase, so the figures hold for what ships, not for the design.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache
from math import gcd
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import voicecore
from voicecore import Resampler, errors
from voicecore.media._resample import RATES_HZ

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [(a, b) for a in RATES_HZ for b in RATES_HZ if a != b]
VOICE_PAIRS = [
    (8000, 16000), (16000, 8000), (24000, 8000), (24000, 16000), (48000, 16000), (44100, 16000),
]  # fmt: skip
LEVELS = voicecore.cpu_levels()
SPAN, PASS_EDGE, STOP_EDGE = 48, 0.429, 0.51  # of the design; edges in cycles a lower-rate sample


@cache
def design_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "design_resampler", ROOT / "tools" / "design_resampler.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def stored() -> dict[str, NDArray[np.float64]]:
    """The cosine terms of each response in the header that is compiled."""
    text = (ROOT / "csrc" / "tables" / "vc_resample_table.h").read_text()
    arrays = re.findall(r"double (\w+)\[\d+\] = {([^}]*)}", text)
    return {name: np.array(re.findall(r"-?\d\.\d{9}", body), dtype=float) for name, body in arrays}


def terms() -> NDArray[np.float64]:
    return stored()["voice_terms"]


def ratio(in_hz: int, out_hz: int) -> tuple[int, int]:
    divisor = gcd(in_hz, out_hz)
    return out_hz // divisor, in_hz // divisor


def prototype(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """h(u) as the generator's docstring defines it."""
    k = np.arange(1, len(terms()))
    total = 1 + 2 * np.cos(2 * np.pi * np.outer(u, k) / SPAN) @ terms()[1:]
    return np.where(np.abs(u) < SPAN / 2, total / SPAN, 0.0)


def read_back(in_hz: int, out_hz: int, level: str | None = None) -> NDArray[np.float64]:
    """The filter at the rate in_hz * L, from impulses at every phase.

    Its middle is one output sample after the delay.
    """
    up, down = ratio(in_hz, out_hz)
    window = -(-SPAN * max(up, down) // up) + 40  # input samples, with room for padding
    spacing = window + (1 - window) % down  # one more than a multiple of M: all phases in turn
    x = np.zeros(window + down * spacing, np.float32)
    impulses = range(window, len(x), spacing)
    x[impulses] = 1
    with Resampler(in_hz, out_hz, level=level) as resampler:
        y = np.concatenate([resampler.process(x), resampler.process(np.zeros(spacing, np.float32))])
    h = np.zeros((window + 1) * up)
    for impulse in impulses:
        # An output hears input up to one output sample after its own place: hence + down.
        first, last = -(-impulse * up // down) - 1, (impulse + window) * up // down - 1
        m = np.arange(first, last)
        places = (m + 1) * down - impulse * up
        h[places[places >= 0]] = y[m[places >= 0]]
    return h


def gain_db(h: NDArray[np.float64], up: int, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """frequency in cycles an input sample."""
    points = 1 << int(np.ceil(np.log2(len(h) * 16)))
    magnitude = np.abs(np.fft.rfft(h, points)) / up
    at = np.interp(frequency, np.arange(len(magnitude)) * up / points, magnitude)
    return np.asarray(20 * np.log10(np.maximum(at, 1e-12)))


def tone(rate_hz: int, frequency_hz: float, samples: int, peak: float) -> NDArray[np.float64]:
    return np.asarray(peak * np.sin(2 * np.pi * frequency_hz / rate_hz * np.arange(samples)))


def sine_fit(
    y: NDArray[np.float64], rate_hz: int, frequency_hz: float
) -> tuple[complex, NDArray[np.float64]]:
    """The phasor A of Im(A exp(i w t)) that fits best, and what is left."""
    w = 2 * np.pi * frequency_hz / rate_hz * np.arange(len(y))
    basis = np.stack([np.sin(w), np.cos(w), np.ones(len(y))], axis=1)
    found = np.linalg.lstsq(basis, y, rcond=None)[0]
    return complex(found[0], found[1]), y - basis[:, :2] @ found[:2]


def noise(samples: int, seed: int = 1) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-20000, 20000, samples).astype(np.int16)


# ------------------------------------------------------------------ the filter


def test_table_is_what_the_generator_gives() -> None:
    tool = design_tool()
    designs = [tool.design(spec) for spec in tool.SPECS]
    text = (ROOT / "csrc" / "tables" / "vc_resample_table.h").read_text()
    number = r"-?\d\.\d{9}"
    assert re.sub(number, "#", tool.header(designs)) == re.sub(number, "#", text)
    assert len(stored()) == len(designs) == 6
    for spec, made in zip(tool.SPECS, designs, strict=True):
        # The last digits may differ between versions of the solver.
        assert np.abs(made - stored()[tool.array_name(spec)]).max() <= 1e-8


WORST: dict[str, float] = {}


def note(figure: str, value: float, worse: Callable[[float, float], float]) -> None:
    """Keep the worst of a figure over all pairs, for the print at the end (pytest -s)."""
    WORST[figure] = worse(value, WORST.get(figure, value))


@pytest.fixture(scope="module", autouse=True)
def _print_worst() -> Iterator[None]:
    yield
    for figure, value in WORST.items():
        print(f"worst of all pairs: {figure} {value:.4g}")


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_response(in_hz: int, out_hz: int) -> None:
    up, _ = ratio(in_hz, out_hz)
    lower = min(in_hz, out_hz) / in_hz  # in cycles an input sample
    h = read_back(in_hz, out_hz)
    passing = gain_db(h, up, np.linspace(0, PASS_EDGE * lower, 2000))
    assert np.abs(passing).max() <= 0.052, "pass-band ripple, dB"
    near = np.linspace(0.40 * lower, 0.5 * lower, 20001)
    edge = near[np.argmax(gain_db(h, up, near) < -3.0)] / (0.5 * lower)
    assert edge >= 0.90, "-3 dB edge, of the lower Nyquist"
    # Any tone from the stop edge up, folded or mirrored, comes out through this part of h.
    stopping = gain_db(h, up, np.linspace(STOP_EDGE * lower, up / 2, 40 * len(h)))
    assert stopping.max() <= -90.0, "worst alias or image, dB"
    note("alias or image, dB", float(stopping.max()), max)
    note("-3 dB edge, of the lower Nyquist", float(edge), min)
    note("pass-band ripple, dB", float(np.abs(passing).max()), max)


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_each_phase_has_unit_gain_at_0_hz(in_hz: int, out_hz: int) -> None:
    up, _ = ratio(in_hz, out_hz)
    h = read_back(in_hz, out_hz)
    gains = [h[phase::up].sum() for phase in range(up)]
    assert np.abs(np.array(gains) - 1).max() <= 1e-5


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_linear_phase_about_the_reported_delay(in_hz: int, out_hz: int) -> None:
    up, down = ratio(in_hz, out_hz)
    h = read_back(in_hz, out_hz)
    with Resampler(in_hz, out_hz) as resampler:
        middle = (resampler.delay_samples + 1) * down  # in samples of in_hz * L
        assert resampler.delay_ms <= 3.0
        note("delay, ms", resampler.delay_ms, max)
        assert resampler.delay_ms == pytest.approx(1000 * (middle - down) / (in_hz * up), abs=1e-9)
    assert middle == pytest.approx(round(middle), abs=1e-6)
    middle = round(middle)
    reach = np.arange(1, middle + 1)
    reach = reach[middle + reach < len(h)]
    assert np.abs(h[middle + reach] - h[middle - reach]).max() <= 2e-6
    assert np.argmax(h) == pytest.approx(middle, abs=max(up, down) / 10)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_equals_upfirdn(in_hz: int, out_hz: int, level: str) -> None:
    up, down = ratio(in_hz, out_hz)
    scale = max(1.0, down / up)
    middle = SPAN // 2 * max(up, down)
    h = prototype((np.arange(2 * middle + 1) - middle) / up / scale) / scale
    x = noise(700, seed=in_hz + out_hz).astype(np.float32) / 32768
    expected = signal.upfirdn(h, x, up, down)[1:]  # the delay is one output less than the half
    with Resampler(in_hz, out_hz, level=level) as resampler:
        y = resampler.process(x)
    assert len(y) == 700 * up // down
    error = y - expected[: len(y)]
    snr_db = 10 * np.log10(np.mean(expected[: len(y)] ** 2) / np.mean(error**2))
    assert snr_db >= 100, "the unit-gain normalization and f32 sums are all that may differ"


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_997_hz_s16(in_hz: int, out_hz: int) -> None:
    x = np.round(tone(in_hz, 997, in_hz // 2, 16384)).astype(np.int16)
    with Resampler(in_hz, out_hz) as resampler:
        y = resampler.process(x)[out_hz // 50 :].astype(float)
        delay = resampler.delay_samples
    amplitude, rest = sine_fit(y, out_hz, 997)
    snr_db = 10 * np.log10(abs(amplitude) ** 2 / 2 / np.mean(rest**2))
    assert snr_db >= 86
    note("997 Hz SNR, s16, dB", float(snr_db), min)
    assert 20 * np.log10(abs(amplitude) / 16384) == pytest.approx(0, abs=0.06)
    # The phase of the tone gives the delay to a small fraction of a sample.
    turn = 2 * np.pi * 997 / out_hz
    behind = np.angle(np.exp(1j * (turn * (out_hz // 50 - delay) - np.angle(amplitude)))) / turn
    assert behind == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("in_hz", "out_hz"), VOICE_PAIRS)
def test_tones_above_the_stop_edge_stay_out(in_hz: int, out_hz: int) -> None:
    """The direct measurement: one tone in, everything that comes out counts. Bound: -88 dB."""
    if in_hz < out_hz:
        frequencies = np.linspace(0.2, 0.98, 24) * in_hz / 2
    else:
        frequencies = np.linspace(1.02, in_hz / out_hz * 0.999, 24) * out_hz / 2
    for frequency in frequencies:
        x = tone(in_hz, frequency, in_hz // 4, 0.5).astype(np.float32)
        with Resampler(in_hz, out_hz) as resampler:
            y = resampler.process(x)[out_hz // 20 :].astype(float)
        if in_hz < out_hz:
            y = sine_fit(y, out_hz, frequency)[1]  # the tone itself belongs there
        assert 20 * np.log10(np.sqrt(2 * np.mean(y**2)) / 0.5) <= -88, f"{frequency} Hz"


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_click_comes_out_after_the_delay(in_hz: int, out_hz: int) -> None:
    x = np.zeros(in_hz // 10, np.int16)
    x[in_hz // 20] = 20000
    with Resampler(in_hz, out_hz) as resampler:
        y = resampler.process(x)
        expected = in_hz // 20 * out_hz / in_hz + resampler.delay_samples
    assert abs(int(np.argmax(np.abs(y.astype(int)))) - expected) <= 0.75


# ------------------------------------------------------------------ the stream


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS + [(r, r) for r in RATES_HZ])
def test_20_ms_in_20_ms_out(in_hz: int, out_hz: int) -> None:
    with Resampler(in_hz, out_hz) as resampler:
        if in_hz % 50 == 0 and out_hz % 50 == 0:
            for _ in range(120):
                assert len(resampler.process(noise(in_hz // 50))) == out_hz // 50
        total_in = total_out = 0
        resampler.reset()
        for n in (1, 7, 0, 221, 1000, 13):
            total_out += len(resampler.process(noise(n)))
            total_in += n
            assert total_out == total_in * out_hz // in_hz


@settings(max_examples=150, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    level=st.sampled_from(LEVELS),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    as_float=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_slicing_changes_nothing(
    pair: tuple[int, int], level: str, cuts: list[int], as_float: bool, seed: int
) -> None:
    x: NDArray[np.generic] = noise(3000, seed)
    if as_float:
        x = (x.astype(np.float32) / np.float32(20000)).astype(np.float32)
    with Resampler(*pair, level=level) as one, Resampler(*pair, level=level) as many:
        whole = np.concatenate([one.process(x), one.flush(x.dtype)])
        parts = [many.process(part) for part in np.split(x, sorted(cuts))]
        sliced = np.concatenate([*parts, many.flush(x.dtype)])
        assert whole.dtype == sliced.dtype == x.dtype
        assert np.array_equal(whole, sliced)
        # After the flush, and after a reset, both are as new.
        many.process(x[:77])
        many.reset()
        assert np.array_equal(many.process(x), one.process(x))


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_one_sample_at_a_time(in_hz: int, out_hz: int) -> None:
    x = noise(300)
    with Resampler(in_hz, out_hz) as one, Resampler(in_hz, out_hz) as many:
        single = np.concatenate([many.process(x[i : i + 1]) for i in range(len(x))])
        assert np.array_equal(one.process(x), single)


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_flush_gives_the_tail(in_hz: int, out_hz: int) -> None:
    with Resampler(in_hz, out_hz) as resampler:
        assert len(resampler.flush()) == 0
        x = tone(in_hz, 440, in_hz // 10, 0.5).astype(np.float32)
        y = np.concatenate([resampler.process(x), resampler.flush(np.float32)])
        delay = resampler.delay_samples
        assert len(resampler.flush()) == 0
    # All of the input has come out, and is the tone up to the ringing of the edge.
    assert len(y) >= int(len(x) * out_hz / in_hz + delay)
    at = np.arange(out_hz // 50, len(x) * out_hz // in_hz - out_hz // 100)
    expected = 0.5 * np.sin(2 * np.pi * 440 / out_hz * (at - delay))
    assert np.abs(y[at] - expected).max() <= 0.004


@pytest.mark.parametrize(("in_hz", "out_hz"), VOICE_PAIRS)
def test_silence_stays_silent_and_full_scale_saturates(in_hz: int, out_hz: int) -> None:
    square = np.where(np.arange(4000) // 40 % 2, -32768, 32767).astype(np.int16)
    with Resampler(in_hz, out_hz) as resampler:
        assert not resampler.process(np.zeros(999, np.int16)).any()
        resampler.reset()
        y = resampler.process(square)
    overshooting = Resampler(in_hz, out_hz).process(square.astype(np.float32) / 32768)
    assert np.abs(overshooting).max() > 1.05
    assert np.array_equal(y, np.clip(np.rint(overshooting * 32768), -32768, 32767))


def test_s16_and_f32_agree_and_may_alternate() -> None:
    x = noise(960)
    x_f32 = (x / 32768).astype(np.float32)
    with Resampler(48000, 16000) as a, Resampler(48000, 16000) as b:
        for first, second in ((x, x_f32), (x_f32, x), (x, x)):
            y = {part.dtype: part for part in (a.process(first), b.process(second))}
            if len(y) == 2:
                rounded = np.rint(y[np.dtype(np.float32)] * 32768)
                assert np.array_equal(y[np.dtype(np.int16)], rounded)
        assert np.array_equal(a.process(x), b.process(x))


def test_equal_rates_copy() -> None:
    with Resampler(16000, 16000) as resampler:
        x = noise(320)
        y = resampler.process(x)
        assert np.array_equal(x, y)
        assert not np.shares_memory(x, y)
        assert resampler.delay_ms == 0
        assert len(resampler.flush()) == 0


def test_any_buffer() -> None:
    x = noise(160)
    expected = Resampler(8000, 16000).process(x)
    for source in (x.tobytes(), bytearray(x.tobytes()), memoryview(x), x.copy().view("<i2")):
        assert np.array_equal(Resampler(8000, 16000).process(source), expected)
    assert len(Resampler(8000, 16000).process(b"")) == 0


def test_process_into() -> None:
    x = noise(480)
    expected = Resampler(24000, 16000).process(x)
    for dst in (np.zeros(320, np.int16), bytearray(640), np.zeros(400, np.int16)):
        with Resampler(24000, 16000) as resampler:
            assert resampler.process_into(x, dst) == 320
            assert np.array_equal(np.frombuffer(dst, np.int16)[:320], expected)


# ------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (np.zeros(10), errors.DtypeError, "float64"),
        (np.zeros(10, np.int32), errors.DtypeError, "int32"),
        (np.zeros(10, ">i2"), errors.DtypeError, "int16"),
        (np.zeros((2, 10), np.int16), errors.LengthError, "mono"),
        (np.zeros((2, 10), np.float32), errors.LengthError, "mono"),
        (b"abc", errors.LengthError, "even"),
        (np.zeros(20, np.int16)[::2], errors.DtypeError, "contiguous"),
        ([1, 2, 3], errors.DtypeError, "list"),
        (None, errors.DtypeError, "NoneType"),
        ("text", errors.DtypeError, "str"),
    ],
)
def test_wrong_input(source: object, error: type[Exception], says: str) -> None:
    with Resampler(8000, 16000) as resampler:
        with pytest.raises(error, match=says):
            resampler.process(source)  # type: ignore[arg-type]
        with pytest.raises(error, match=says):
            resampler.process_into(source, bytearray(9999))  # type: ignore[arg-type]
        assert len(resampler.process(noise(160))) == 320


@pytest.mark.parametrize("rate", [0, -8000, 8001, 96000, 2**80, "8000", None, 8000.5])
def test_wrong_rate(rate: int) -> None:
    with pytest.raises(errors.RateError, match="48000"):
        Resampler(rate, 16000)
    with pytest.raises(errors.RateError, match="out_hz"):
        Resampler(16000, rate)


def test_wrong_settings() -> None:
    with pytest.raises(errors.ConfigError, match="loud"):
        Resampler(8000, 16000, preset="loud")
    with pytest.raises(errors.ConfigError, match="mmx"):
        Resampler(8000, 16000, level="mmx")
    foreign = "avx2" if "neon" in LEVELS else "neon"
    with pytest.raises(errors.CpuLevelError):
        Resampler(8000, 16000, level=foreign)
    for level in LEVELS:
        assert Resampler(8000, 16000, level=level).level == level
    with pytest.raises(errors.DtypeError, match="int16"):
        Resampler(8000, 16000).flush(np.float64)


def test_wrong_output_buffer() -> None:
    x = noise(160)
    with Resampler(8000, 16000) as resampler:
        with pytest.raises(errors.BufferTooSmallError, match="320"):
            resampler.process_into(x, np.zeros(319, np.int16))
        with pytest.raises(errors.DtypeError, match="writable"):
            resampler.process_into(x, bytes(640))
        with pytest.raises(errors.DtypeError, match="int16"):
            resampler.process_into(x, np.zeros(320, np.float32))
        with pytest.raises(errors.LengthError, match="dimensions"):
            resampler.process_into(x, np.zeros((2, 320), np.int16))
        shared = np.zeros(480, np.int16)
        with pytest.raises(errors.ConfigError, match="share"):
            resampler.process_into(shared[:160], shared[100:])
        # Nothing was consumed by any of them.
        assert np.array_equal(resampler.process(x), Resampler(8000, 16000).process(x))


def test_closed() -> None:
    resampler = Resampler(8000, 16000)
    resampler.close()
    resampler.close()
    with pytest.raises(errors.ClosedError):
        resampler.process(noise(160))
    with pytest.raises(errors.ClosedError):
        resampler.process_into(noise(160), bytearray(999))
    with pytest.raises(errors.ClosedError):
        resampler.flush()
    with pytest.raises(errors.ClosedError):
        resampler.reset()
    with pytest.raises(errors.ClosedError):
        _ = resampler.delay_ms
    assert "8000" in repr(resampler)


def test_two_threads_at_once() -> None:
    x = noise(10_000_000)
    resampler = Resampler(8000, 48000, level="c")
    worker = threading.Thread(target=resampler.process, args=(x,))
    refused = False
    worker.start()
    while worker.is_alive() and not refused:
        try:
            resampler.process(x[:0])
        except errors.ConcurrentUseError:
            refused = True
    worker.join()
    assert refused
    assert len(resampler.process(x[:160])) == 960
