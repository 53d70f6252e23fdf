"""Generators against their own parameters. Bounds: five standard errors of the mean of what is
counted, from the parameters; exact where the model is exact. Seeds are fixed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.errors import ConfigError, VoicecoreError
from voicecore.testing.trace_catalogue import TRACES, make_trace
from voicecore.testing.trace_effects import (
    bufferbloat,
    clock_drift,
    duplication,
    gamma_delay,
    gilbert_elliott,
    handover,
    iid_loss,
    in_order,
    loss_episodes,
    lte_drx,
    pareto_delay,
    reordering,
    sequence_jump,
    silence_suppression,
    ssrc_change,
    stall,
    timestamp_jump,
    wifi_contention,
)
from voicecore.testing.traces import Effect, PacketTrace, compose, stream

SECONDS = 1000.0
PACKETS = 50_000


def made(*effects: Effect, seed: int = 1, seconds: float = SECONDS, **sender: int) -> PacketTrace:
    return compose("test", [stream(seconds, **sender), *effects], seed=seed)


def runs(mask: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


# -- all of them ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRACES)
def test_named_traces_are_deterministic_and_sound(name: str) -> None:
    trace = make_trace(name, seconds=30, seed=3)
    assert trace.digest() == make_trace(name, seconds=30, seed=3).digest()
    assert trace.digest() != make_trace(name, seconds=30, seed=4).digest()
    assert (trace.name, trace.description) == (name, TRACES[name].description)
    assert trace.stationary == TRACES[name].stationary
    assert len(trace) > 300
    assert (np.diff(trace.position) >= 0).all()
    there = ~trace.lost
    assert (trace.arrival_ns[there] >= trace.sent_ns[there]).all()
    assert (trace.arrival_ns[there] % 1000 == 0).all()
    assert 0 <= trace.loss_percent < 15
    arrivals = trace.arrival_ns[trace.arrival_order]
    assert len(arrivals) == np.count_nonzero(there)
    assert (np.diff(arrivals) >= 0).all()


def test_a_trace_is_the_same_on_every_machine_and_version() -> None:
    """Oracle: the digests of the day when the models were written down."""
    found = {name: make_trace(name, seconds=10, seed=1).digest()[:8] for name in GOLDEN}
    assert found == GOLDEN


GOLDEN: dict[str, str] = {
    "burst-10": "e46dfd00",
    "overtaking-30": "906b465a",
    "pareto-15": "d9d82096",
    "train": "bca5b8ee",
    "dtx-loss": "8f57eb43",
    "lte-drx40": "2f648f21",
    "duplicate-5": "20d861c4",
    "ssrc-change": "d941a770",
}


def test_an_effect_does_not_shift_the_draws_of_another() -> None:
    one = made(gamma_delay(10), iid_loss(2), seconds=60)
    other = made(gamma_delay(50), iid_loss(2), seconds=60)
    np.testing.assert_array_equal(one.lost, other.lost)
    more = made(gamma_delay(10), iid_loss(4), seconds=60)
    assert (more.lost | ~one.lost).all()  # the packets lost at 2 % are lost at 4 % too


def test_traces_are_read_only_and_checked() -> None:
    trace = made(seconds=1)
    with pytest.raises(ValueError, match="read-only"):
        trace.arrival_ns[0] = 0
    with pytest.raises(ConfigError, match="position has shape"):
        trace.replace(position=trace.position[1:])
    with pytest.raises(ConfigError, match="no parts"):
        compose("empty", [])
    with pytest.raises(ConfigError, match="seed is -1"):
        made(seed=-1)
    with pytest.raises(ConfigError, match="'no-such' is unknown; use one of clean"):
        make_trace("no-such")
    for wrong in (
        lambda: iid_loss(101),
        lambda: gilbert_elliott(5, 0),
        lambda: gamma_delay(-1),
        lambda: pareto_delay(10, alpha=1),
        lambda: stall(0, 100, drain=2),
        lambda: lte_drx(1),
        lambda: bufferbloat(peak_ms=2000, fall_ms=500),
        lambda: clock_drift(1e6),
        lambda: made(gilbert_elliott(80, 1)),
        lambda: stream(1, frame_ms=1),
    ):
        with pytest.raises(ConfigError, match=r"must be|cannot be"):
            wrong()


def test_an_empty_trace_is_a_trace() -> None:
    trace = made(gamma_delay(5), gilbert_elliott(5), duplication(5), in_order(), seconds=0)
    assert (len(trace), trace.loss_percent, trace.base_ns, trace.length_ns) == (0, 0.0, 0, 0)
    assert trace.reordered == 0


# -- loss ----------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [1, 5, 30])
def test_iid_loss(percent: float) -> None:
    share = percent / 100
    trace = made(iid_loss(percent))
    error = 500 * np.sqrt(share * (1 - share) / PACKETS)
    assert trace.loss_percent == pytest.approx(percent, abs=error)
    assert runs(trace.lost).mean() == pytest.approx(1 / (1 - share), rel=0.05)


@pytest.mark.parametrize(("percent", "burst_ms"), [(1, 30), (3, 30), (5, 60), (10, 100)])
def test_gilbert_elliott(percent: float, burst_ms: float) -> None:
    """The variance of the share of a two-state chain is that of a coin times (1 + r) / (1 - r),
    where r is the correlation of neighbours; bursts are geometric."""
    share, leave_bad = percent / 100, 20 / burst_ms
    r = 1 - leave_bad - leave_bad * share / (1 - share)
    trace = made(gilbert_elliott(percent, burst_ms))
    error = 5 * np.sqrt(share * (1 - share) * (1 + r) / (1 - r) / PACKETS)
    assert trace.loss_percent / 100 == pytest.approx(share, abs=error)
    bursts = runs(trace.lost)
    mean = 1 / leave_bad
    error = 5 * np.sqrt(mean * (mean - 1) / len(bursts))
    assert bursts.mean() == pytest.approx(mean, abs=error)


def test_loss_episodes() -> None:
    trace = made(loss_episodes(10, 2, 30))
    spells = np.convolve(trace.lost, np.ones(100), "same") > 0
    assert trace.loss_percent == pytest.approx(6, abs=0.6)  # 2 of 10 s at 30 %
    assert np.count_nonzero(~spells) > 0.4 * PACKETS


# -- delay ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean_ms", "shape"), [(10, 1), (40, 2), (40, 5)])
def test_gamma_delay(mean_ms: float, shape: int) -> None:
    waits = made(gamma_delay(mean_ms, shape, fifo=False)).transit_ms - 20
    deviation = mean_ms / np.sqrt(shape)
    assert waits.mean() == pytest.approx(mean_ms, abs=5 * deviation / np.sqrt(PACKETS))
    assert waits.std() == pytest.approx(deviation, rel=0.03)
    assert waits.min() >= 0


def test_pareto_delay() -> None:
    """Oracle: the median and the 99th percentile of the distribution."""
    waits = made(pareto_delay(15, 2.5, cut_ms=500, fifo=False)).transit_ms - 20
    for share in (0.5, 0.99):
        expected = 15 * 1.5 * ((1 - share) ** (-1 / 2.5) - 1)
        assert np.quantile(waits, share) == pytest.approx(expected, rel=0.05)
    assert waits.max() == pytest.approx(500)


def test_fifo_keeps_the_order_and_only_waits() -> None:
    free, queued = (made(gamma_delay(30, fifo=fifo), seconds=100) for fifo in (False, True))
    assert free.reordered > 1000
    assert queued.reordered == 0
    np.testing.assert_array_equal(
        queued.arrival_ns,
        np.maximum.accumulate(free.arrival_ns),
    )
    assert made(gamma_delay(30, fifo=False), in_order(), seconds=9).reordered == 0


def test_wifi_contention_holds_and_releases_together() -> None:
    trace = made(wifi_contention(500, 80, airtime_ms=0.4))
    waits = trace.transit_ms - 20
    held = waits > 0
    # 2000 holds of 40 to 120 ms: 80 ms in 500 of packets, which wait 40 ms on average (and more
    # for the long ones: the mean of half a length squared over the mean length).
    assert held.mean() == pytest.approx(0.16, rel=0.05)
    assert waits[held].mean() == pytest.approx((80**2 + 80**2 / 12) / 2 / 80, rel=0.05)
    assert trace.reordered == 0
    gaps_ms = np.diff(trace.arrival_ns) / 1e6
    together = np.abs(gaps_ms - 0.4) < 0.01
    assert together.sum() == pytest.approx(held.sum() - 2000, rel=0.06)


def test_handover_stalls_and_steps() -> None:
    trace = made(handover(6000, 200, 120))
    waits = trace.transit_ms - 20
    slow = runs(waits > 190)[1:-1]  # steps are half to one and a half periods apart
    assert slow.min() >= 0.5 * 300 - 1
    assert slow.max() <= 1.5 * 300 + 1
    assert len(slow) == pytest.approx(1000 / 12, abs=3)
    assert 0.4 < (waits > 190).mean() < 0.6
    assert waits.max() < 321
    assert trace.reordered == 0
    assert (np.diff(trace.arrival_ns) == 0).sum() > 150  # what was held comes at once


@pytest.mark.parametrize("cycle_ms", [20, 40])
def test_lte_drx(cycle_ms: int) -> None:
    trace = made(lte_drx(cycle_ms))
    # A block that fails four times is lost: 0.1^4 each way.
    expected = 100 * (1 - (1 - 1e-4) ** 2)
    assert trace.loss_percent == pytest.approx(expected, abs=500 * np.sqrt(2e-4 / PACKETS))
    assert trace.reordered == 0
    assert trace.transit_ms.max() < 20 + 2 * (cycle_ms + 3 * 8 + 3) + 1
    pure = made(lte_drx(cycle_ms, 0))
    assert pure.loss_percent == 0
    # Without errors and the core's 3 ms, packets leave the radio at wake-ups only: with a 40 ms
    # cycle two of them share one.
    spaced_ms = np.diff(pure.arrival_ns) / 1e6
    assert (spaced_ms < 3).mean() == pytest.approx(0.5 if cycle_ms == 40 else 0, abs=0.02)


def test_bufferbloat_climbs_and_falls() -> None:
    trace = made(bufferbloat(8000, 300, 3000, 1000))
    waits = trace.transit_ms - 20
    assert waits.max() == pytest.approx(300, abs=3)
    assert waits.mean() == pytest.approx(0.5 * 300 * 4000 / 8000, rel=0.02)
    assert trace.reordered == 0
    slope = np.diff(waits) / 20
    assert slope.max() == pytest.approx(0.1, abs=0.001)
    assert slope.min() == pytest.approx(-0.3, abs=0.001)


def test_stalls() -> None:
    trace = made(stall(5000, 300), seconds=10)
    burst = trace.arrival_ns == 5_300_000_000
    assert burst.sum() == 16  # sent at 4980 to 5280 ms, 20 ms earlier than they arrive
    rest = trace.transit_ms[~burst]
    np.testing.assert_array_equal(rest, np.full(len(rest), 20.0))
    slow = made(stall(2000, 400, drain=0.1), seconds=10).transit_ms - 20
    assert slow.max() == pytest.approx(400, abs=2)
    assert np.count_nonzero(slow > 0) == 200  # 4 s


def test_reordering_and_duplication() -> None:
    trace = made(reordering(5, 3))
    late = np.flatnonzero(trace.transit_ms > 20)
    assert len(late) == pytest.approx(0.05 * PACKETS, rel=0.1)
    overtakers = np.rint((trace.transit_ms[late] - 30) / 20)
    assert set(overtakers) == {1.0, 2.0, 3.0}
    assert trace.reordered <= len(late)
    assert trace.reordered > 0.9 * len(late)

    twice = made(iid_loss(10), duplication(20, 15))
    copies = np.flatnonzero(np.diff(twice.position) == 0) + 1
    assert len(copies) == pytest.approx(0.2 * 0.9 * PACKETS, rel=0.05)
    assert not twice.lost[copies].any()
    later_ms = (twice.arrival_ns[copies] - twice.arrival_ns[copies - 1]) / 1e6
    assert later_ms.min() >= 0
    assert later_ms.max() <= 15
    assert twice.loss_percent == made(iid_loss(10)).loss_percent


# -- the sender ----------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-1000.0, 150.0, 25_000.0])
def test_clock_drift(ppm: float) -> None:
    trace = made(clock_drift(ppm))
    seconds = (trace.arrival_ns[-1] - trace.arrival_ns[0]) / 1e9
    assert (PACKETS - 1) * 0.02 / seconds == pytest.approx(1 + ppm * 1e-6, abs=1e-8)
    np.testing.assert_array_equal(np.diff(trace.position), np.full(PACKETS - 1, 160))


def test_silence_suppression() -> None:
    trace = made(silence_suppression(1200, 700))
    assert len(trace) / PACKETS == pytest.approx(1200 / 1900, rel=0.1)
    assert set(np.diff(trace.sequence.astype(np.int64)) % 2**16) == {1}
    steps = np.diff(trace.timestamp.astype(np.int64)) % 2**32
    assert (steps % 160 == 0).all()
    np.testing.assert_array_equal(steps > 160, trace.marker[1:])
    spurts = np.count_nonzero(trace.marker)
    assert spurts == pytest.approx(SECONDS / 1.9, rel=0.15)


def test_restarts() -> None:
    trace = made(ssrc_change(5000), seconds=10)
    assert (trace.ssrc[:250] == trace.ssrc[0]).all()
    assert (trace.ssrc[250:] == trace.ssrc[250]).all()
    assert trace.ssrc[0] != trace.ssrc[250]
    for jump, column, by in (
        (sequence_jump(5000, 5000), "sequence", 5000),
        (timestamp_jump(5000, 2_000_000), "timestamp", 2_000_000),
    ):
        moved, plain = made(jump, seconds=10), made(seconds=10)
        new, old = (getattr(one, column).astype(np.int64) for one in (moved, plain))
        np.testing.assert_array_equal(new[:250], old[:250])
        size = 2 ** (16 if column == "sequence" else 32)
        assert set((new - old)[250:] % size) == {by}
        np.testing.assert_array_equal(moved.position, plain.position)


def test_wrap() -> None:
    trace = make_trace("wrap", seconds=10)
    assert (trace.sequence[199], trace.sequence[200]) == (65535, 0)
    assert (int(trace.timestamp[199]), int(trace.timestamp[200])) == (2**32 - 160, 0)


def test_other_frames_and_rates() -> None:
    trace = made(gamma_delay(5), seconds=2, frame_ms=30, rate_hz=16000)
    assert len(trace) == 66
    assert set(trace.samples) == {480}
    assert trace.length_ns == 66 * 30_000_000
    for (before, after), step in zip(pairwise(trace.position), np.diff(trace.sent_ns), strict=True):
        assert (after - before, step) == (480, 30_000_000)


EFFECTS = st.lists(
    st.one_of(
        st.builds(iid_loss, st.floats(0, 100)),
        st.builds(gilbert_elliott, st.floats(0, 40), st.floats(20, 500)),
        st.builds(gamma_delay, st.floats(0, 500), st.integers(1, 5), fifo=st.booleans()),
        st.builds(pareto_delay, st.floats(0, 500), st.floats(1.1, 5), fifo=st.booleans()),
        st.builds(wifi_contention, st.just(500.0), st.floats(0, 200)),
        st.builds(lte_drx, st.sampled_from([20, 40])),
        st.builds(stall, st.floats(0, 4000), st.floats(0, 3000), st.floats(0.05, 1)),
        st.builds(duplication, st.floats(0, 100)),
        st.builds(reordering, st.floats(0, 100), st.integers(1, 8)),
        st.builds(clock_drift, st.floats(-50_000, 50_000)),
        st.builds(silence_suppression),
        st.builds(ssrc_change, st.floats(0, 4000)),
        st.just(handover()),
        st.just(bufferbloat()),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(effects=EFFECTS, seed=st.integers(0, 2**32))
def test_any_effects_in_any_order_make_a_sound_trace(effects: list[Effect], seed: int) -> None:
    try:
        trace = made(*effects, seed=seed, seconds=5)
    except VoicecoreError:
        return  # settings that exclude each other, said so
    assert trace.digest() == made(*effects, seed=seed, seconds=5).digest()
    there = ~trace.lost
    assert (trace.arrival_ns[there] >= trace.sent_ns[there]).all()
    assert (trace.arrival_ns >= -1).all()
