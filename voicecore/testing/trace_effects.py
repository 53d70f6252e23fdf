"""What senders and networks do to a packet trace: loss, delay, order, silence, restarts.

Every effect is a function of its settings that gives an ``Effect`` for ``traces.compose``. Models:
Gilbert-Elliott loss (Gilbert 1960, with all packets lost in the bad state), gamma and Pareto
delays (queues, and long tails), LTE with DRX as 3GPP TS 26.131/26.132 set up their jitter-buffer
profiles (DRX cycles of 20 or 40 ms, 10 % block errors each way, +-3 ms in the core), and plain
descriptions of what Wi-Fi contention, handover and bufferbloat look like at the receiver.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.testing.traces import LOST, Effect, PacketTrace, Uniform, _check

__all__ = [
    "bufferbloat",
    "clock_drift",
    "duplication",
    "gamma_delay",
    "gilbert_elliott",
    "handover",
    "iid_loss",
    "in_order",
    "loss_episodes",
    "lte_drx",
    "pareto_delay",
    "reordering",
    "sequence_jump",
    "silence_suppression",
    "ssrc_change",
    "stall",
    "timestamp_jump",
    "wifi_contention",
]

_MS = 1_000_000
_HARQ_MS = 8.0  # round trip of an LTE retransmission (FDD)
_HARQ_MOST = 4


def _delayed(trace: PacketTrace, extra_ms: NDArray[np.float64], fifo: bool = False) -> PacketTrace:
    """Later by ``extra_ms`` each; with ``fifo`` nobody overtakes."""
    extra_ns = np.rint(extra_ms * _MS).astype(np.int64)
    moved = trace.replace(arrival_ns=np.where(trace.lost, LOST, trace.arrival_ns + extra_ns))
    return _queued(moved) if fifo else moved


def _queued(trace: PacketTrace) -> PacketTrace:
    waited = np.maximum.accumulate(trace.arrival_ns) if len(trace) else trace.arrival_ns
    return trace.replace(arrival_ns=np.where(trace.lost, LOST, waited))


def _dropped(trace: PacketTrace, drop: NDArray[np.bool_]) -> PacketTrace:
    return trace.replace(arrival_ns=np.where(drop, LOST, trace.arrival_ns))


def _exponential(uniform: Uniform, count: int) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = -np.log1p(-uniform(count))
    return drawn


def _frame_ms(trace: PacketTrace) -> float:
    return float(np.median(trace.samples)) * 1000.0 / trace.rate_hz if len(trace) else 20.0


# -- loss ----------------------------------------------------------------------------------


def iid_loss(percent: float) -> Effect:
    """Each packet is lost with this probability, independent of the others."""
    _check("percent", percent, 0.0, 100.0)
    return lambda trace, uniform: _dropped(trace, uniform(len(trace)) < percent / 100.0)


def gilbert_elliott(percent: float, burst_ms: float = 30.0) -> Effect:
    """Loss in bursts: two states, good (nothing lost) and bad (all lost).

    Args:
        percent: share lost in the long run, below 100.
        burst_ms: mean length of a burst; at least one packet's.
    """
    _check("percent", percent, 0.0, 99.0)
    _check("burst_ms", burst_ms, 1.0, 60_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        share = percent / 100.0
        leave_bad = min(1.0, _frame_ms(trace) / burst_ms)
        leave_good = leave_bad * share / (1.0 - share)
        if leave_good > 1.0:
            raise ConfigError(f"{percent} % cannot be lost in bursts of only {burst_ms} ms")
        drawn = uniform(len(trace) + 1)
        bad = bool(drawn[0] < share)
        lost = np.zeros(len(trace), np.bool_)
        for row, chance in enumerate(drawn[1:]):
            lost[row] = bad
            bad = bool(chance >= leave_bad) if bad else bool(chance < leave_good)
        return _dropped(trace, lost)

    return apply


def loss_episodes(every_s: float, length_s: float, percent: float) -> Effect:
    """Long bad spells: every ``every_s`` (mean), for ``length_s``, packets are lost at random."""
    _check("every_s", every_s, 0.1, 3600.0)
    _check("length_s", length_s, 0.02, 3600.0)
    _check("percent", percent, 0.0, 100.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        bad = np.zeros(len(trace), np.bool_)
        for start_ms in _times_ms(trace, every_s * 1000.0, uniform):
            at_ms = trace.sent_ns / _MS
            bad |= (at_ms >= start_ms) & (at_ms < start_ms + length_s * 1000.0)
        return _dropped(trace, bad & (uniform(len(trace)) < percent / 100.0))

    return apply


def _times_ms(trace: PacketTrace, every_ms: float, uniform: Uniform) -> list[float]:
    """Times of something that happens every ``every_ms``, each within the middle half of it."""
    count = int(trace.length_ns / _MS // every_ms) + 1
    return [(n + 0.25 + 0.5 * float(u)) * every_ms for n, u in enumerate(uniform(count))]


# -- delay ---------------------------------------------------------------------------------


def gamma_delay(mean_ms: float, shape: int = 2, *, fifo: bool = True) -> Effect:
    """A random wait at every packet, gamma distributed: the usual shape of a queue.

    Args:
        mean_ms: of the wait drawn; with ``fifo`` packets also wait for those before them.
        shape: 1 is exponential; larger is more regular. 1 to 20.
        fifo: nobody overtakes.
    """
    _check("mean_ms", mean_ms, 0.0, 2000.0)
    _check("shape", shape, 1, 20)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        drawn = _exponential(uniform, shape * len(trace)).reshape(shape, -1).sum(axis=0)
        return _delayed(trace, drawn * (mean_ms / shape), fifo)

    return apply


def pareto_delay(
    mean_ms: float, alpha: float = 2.5, *, cut_ms: float = 500.0, fifo: bool = True
) -> Effect:
    """A random wait with a long tail (Pareto II, from 0), cut at ``cut_ms``.

    Args:
        mean_ms: of the wait before the cut.
        alpha: tail index, above 1; the smaller the longer the tail.
        cut_ms: no packet waits longer.
        fifo: nobody overtakes.
    """
    _check("mean_ms", mean_ms, 0.0, 2000.0)
    _check("alpha", alpha, 1.05, 20.0)
    _check("cut_ms", cut_ms, 1.0, 60_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        drawn = (1.0 - uniform(len(trace))) ** (-1.0 / alpha) - 1.0
        return _delayed(trace, np.minimum(drawn * mean_ms * (alpha - 1.0), cut_ms), fifo)

    return apply


def wifi_contention(
    every_ms: float = 500.0, hold_ms: float = 80.0, *, airtime_ms: float = 0.4
) -> Effect:
    """Wi-Fi: now and then the air is taken; packets are held and leave together.

    Args:
        every_ms: mean time between holds.
        hold_ms: mean length, drawn from half to one and a half of it.
        airtime_ms: distance of the packets that leave together.
    """
    _check("every_ms", every_ms, 10.0, 60_000.0)
    _check("hold_ms", hold_ms, 0.0, every_ms / 2)
    _check("airtime_ms", airtime_ms, 0.0, 5.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        starts_ms = _times_ms(trace, every_ms, uniform)
        lengths_ms = (0.5 + uniform(len(starts_ms))) * hold_ms
        arrival_ms = trace.arrival_ns / _MS
        extra_ms = np.zeros(len(trace))
        for start_ms, length_ms in zip(starts_ms, lengths_ms, strict=True):
            held = np.flatnonzero((arrival_ms >= start_ms) & (arrival_ms < start_ms + length_ms))
            leave_ms = start_ms + length_ms + airtime_ms * np.arange(len(held))
            extra_ms[held] = leave_ms - arrival_ms[held]
        return _delayed(trace, extra_ms, fifo=True)

    return apply


def handover(every_ms: float = 6000.0, step_ms: float = 200.0, stall_ms: float = 120.0) -> Effect:
    """LTE handover: a stall, then everything at once, then another path that is slower or faster.

    The extra transit alternates between 0 and ``step_ms``.
    """
    _check("every_ms", every_ms, 100.0, 600_000.0)
    _check("step_ms", step_ms, 0.0, 2000.0)
    _check("stall_ms", stall_ms, 0.0, every_ms / 4)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        arrival_ms = trace.arrival_ns / _MS
        extra_ms = np.zeros(len(trace))
        for number, at_ms in enumerate(_times_ms(trace, every_ms, uniform)):
            extra_ms[arrival_ms >= at_ms] = 0.0 if number % 2 else step_ms
            wait_ms = at_ms + stall_ms - arrival_ms
            held = (arrival_ms >= at_ms) & (wait_ms > 0)
            extra_ms[held] = np.maximum(extra_ms[held], wait_ms[held])
        return _delayed(trace, extra_ms, fifo=True)

    return apply


def lte_drx(cycle_ms: int = 20, block_errors_percent: float = 10.0) -> Effect:
    """LTE at both ends with discontinuous reception, as in 3GPP's jitter-buffer profiles.

    Each way a packet waits for the next wake-up, every ``cycle_ms``, and is sent again 8 ms later
    while its block is in error, at most four times in all; then it is lost. The core adds up to
    3 ms each way. Packets stay in order, as the radio link's protocol keeps them.
    """
    _check("cycle_ms", cycle_ms, 5, 640)
    _check("block_errors_percent", block_errors_percent, 0.0, 90.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        count, error = len(trace), block_errors_percent / 100.0
        at_ms = trace.arrival_ns / _MS
        lost = np.zeros(count, np.bool_)
        phases_ms = uniform(2) * cycle_ms
        for phase_ms in phases_ms:
            wake_ms = np.ceil((at_ms - phase_ms) / cycle_ms) * cycle_ms + phase_ms
            chances = np.maximum(uniform(count), 1e-12)
            sendings = 1 + (np.floor(np.log(chances) / np.log(error)) if error > 0 else 0.0)
            lost |= sendings > _HARQ_MOST
            radio_ms = np.maximum.accumulate(wake_ms + _HARQ_MS * (sendings - 1))
            at_ms = np.maximum.accumulate(radio_ms + 3.0 * uniform(count))
        moved = _delayed(trace, at_ms - trace.arrival_ns / _MS)
        return _dropped(moved, lost)

    return apply


def bufferbloat(
    every_ms: float = 8000.0, peak_ms: float = 300.0, rise_ms: float = 3000.0, fall_ms: float = 1000
) -> Effect:
    """A queue that fills while somebody uploads: the delay climbs to ``peak_ms`` and falls."""
    _check("every_ms", every_ms, rise_ms + fall_ms, 600_000.0)
    _check("peak_ms", peak_ms, 0.0, fall_ms)  # falls no faster than time passes: order is kept
    _check("rise_ms", rise_ms, 1.0, 600_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        at_ms = trace.sent_ns / _MS
        extra_ms = np.zeros(len(trace))
        quiet_ms = every_ms - rise_ms - fall_ms
        count = int(trace.length_ns / _MS // every_ms) + 1
        for number, chance in enumerate(uniform(count)):
            since_ms = at_ms - number * every_ms - quiet_ms * float(chance)
            up = peak_ms * since_ms / rise_ms
            down = peak_ms * (1.0 - (since_ms - rise_ms) / fall_ms)
            extra_ms = np.maximum(extra_ms, np.minimum(up, down))
        return _delayed(trace, extra_ms, fifo=True)

    return apply


def stall(at_ms: float, length_ms: float, drain: float = 1.0) -> Effect:
    """Nothing arrives for ``length_ms``, then all that was held.

    Args:
        at_ms: when it starts, in time of arrival.
        length_ms: how long.
        drain: 1 lets all go at once; less lets the delay fall that many ms in a ms, 0.05 to 1.
    """
    _check("at_ms", at_ms, 0.0, 3.6e6)
    _check("length_ms", length_ms, 0.0, 60_000.0)
    _check("drain", drain, 0.05, 1.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        since_ms = trace.arrival_ns / _MS - at_ms
        extra_ms = np.where(since_ms >= 0, np.maximum(0.0, length_ms - since_ms * drain), 0.0)
        return _delayed(trace, extra_ms)

    return apply


def in_order() -> Effect:
    """Nobody overtakes: a packet that is ahead of one before it waits for that one."""
    return lambda trace, uniform: _queued(trace)


def reordering(percent: float, most_packets: int = 3) -> Effect:
    """Some packets are overtaken by one to ``most_packets`` of those behind them."""
    _check("percent", percent, 0.0, 100.0)
    _check("most_packets", most_packets, 1, 100)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        late = uniform(len(trace)) < percent / 100.0
        steps = np.floor(uniform(len(trace)) * most_packets) + 1.5
        return _delayed(trace, np.where(late, steps * _frame_ms(trace), 0.0))

    return apply


def duplication(percent: float, most_ms: float = 20.0) -> Effect:
    """Some packets come twice, the copy up to ``most_ms`` later. A lost packet has no copy."""
    _check("percent", percent, 0.0, 100.0)
    _check("most_ms", most_ms, 0.0, 10_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        twice = uniform(len(trace)) < percent / 100.0
        later_ns = np.rint(uniform(len(trace)) * most_ms * _MS).astype(np.int64)
        row = np.repeat(np.arange(len(trace)), 1 + (twice & ~trace.lost))
        copied = trace.rows(row)
        copy = np.diff(row, prepend=-1) == 0
        return copied.replace(
            arrival_ns=np.where(copy, copied.arrival_ns + later_ns[row], copied.arrival_ns)
        )

    return apply


# -- the sender ----------------------------------------------------------------------------


def clock_drift(ppm: float) -> Effect:
    """The sender's clock is fast by ``ppm``, -50000 to 50000: its packets come closer together.

    25000 ppm are 25 ms a second, what NetEq's tests use; sound cards have 10 to 200.
    """
    _check("ppm", ppm, -50_000.0, 50_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        sent_ns = np.rint(trace.sent_ns * (1.0 / (1.0 + ppm * 1e-6))).astype(np.int64)
        moved = trace.arrival_ns + sent_ns - trace.sent_ns
        return trace.replace(sent_ns=sent_ns, arrival_ns=np.where(trace.lost, LOST, moved))

    return apply


def silence_suppression(talk_ms: float = 1200.0, pause_ms: float = 700.0) -> Effect:
    """The sender sends nothing in pauses: timestamps jump, sequence numbers do not.

    Talk and pauses are exponentially distributed with these means; the first packet of a talk
    spurt has the marker. Use it before effects of the path.
    """
    _check("talk_ms", talk_ms, 20.0, 60_000.0)
    _check("pause_ms", pause_ms, 20.0, 60_000.0)

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        at_ms = trace.sent_ns / _MS
        talks = int(trace.length_ns / _MS / (talk_ms + pause_ms) * 4) + 8
        lengths = np.stack(
            [_exponential(uniform, talks) * talk_ms, _exponential(uniform, talks) * pause_ms], 1
        )
        change = np.searchsorted(np.cumsum(lengths.ravel()), at_ms, side="right")
        kept = np.flatnonzero(change % 2 == 0)
        sent = trace.rows(kept)
        first = np.diff(kept, prepend=-2) > 1
        start = int(trace.sequence[0]) if len(trace) else 0
        sequence = ((start + np.arange(len(kept))) % 2**16).astype(np.uint16)
        return sent.replace(sequence=sequence, marker=first)

    return apply


def ssrc_change(at_ms: float) -> Effect:
    """From ``at_ms`` on the stream has another SSRC, sequence and timestamp: a transfer."""

    def apply(trace: PacketTrace, uniform: Uniform) -> PacketTrace:
        later = trace.sent_ns >= at_ms * _MS
        source, start, clock = uniform(3)
        new = np.uint32(int(source * 2**32))
        moved = _jumped(trace, later, int(start * 2**16), int(clock * 2**32))
        return moved.replace(ssrc=np.where(later, new, trace.ssrc))

    return apply


def sequence_jump(at_ms: float, by: int = 5000) -> Effect:
    """From ``at_ms`` on sequence numbers are ahead by ``by``; timestamps go on."""
    return lambda trace, uniform: _jumped(trace, trace.sent_ns >= at_ms * _MS, by, 0)


def timestamp_jump(at_ms: float, by_samples: int = 2_000_000) -> Effect:
    """From ``at_ms`` on timestamps are ahead by ``by_samples``; sequence numbers go on."""
    return lambda trace, uniform: _jumped(trace, trace.sent_ns >= at_ms * _MS, 0, by_samples)


def _jumped(trace: PacketTrace, later: NDArray[np.bool_], by: int, clock: int) -> PacketTrace:
    sequence = (trace.sequence.astype(np.int64) + np.where(later, by, 0)) % 2**16
    timestamp = (trace.timestamp.astype(np.int64) + np.where(later, clock, 0)) % 2**32
    return trace.replace(sequence=sequence.astype(np.uint16), timestamp=timestamp.astype(np.uint32))
