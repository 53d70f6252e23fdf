"""The named traces of the jitter-buffer laboratory.

    trace = make_trace("wifi", seconds=30, seed=1)
    for entry in TRACES.values():
        print(entry.name, entry.stationary, entry.description)

A stationary trace is the same kind of network from start to end, so a constant depth can be right
for it; the others change, which a buffer has to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from voicecore.errors import ConfigError
from voicecore.testing.trace_effects import (
    bufferbloat,
    clock_drift,
    duplication,
    gamma_delay,
    gilbert_elliott,
    handover,
    iid_loss,
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

__all__ = ["TRACES", "TraceEntry", "make_trace"]


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """A named trace: how it is made and what it stands for.

    Attributes:
        name: for ``make_trace`` and the command line.
        description: one line.
        stationary: whether the network is the same from start to end.
        effects: makes the effects for a length in ms.
        sender: further settings of ``traces.stream``.
    """

    name: str
    description: str
    stationary: bool
    effects: Callable[[float], Sequence[Effect]]
    sender: tuple[tuple[str, int], ...] = ()


def _entries() -> list[TraceEntry]:
    def steady(name: str, description: str, *effects: Effect) -> TraceEntry:
        return TraceEntry(name, description, True, lambda length_ms: effects)

    def changing(name: str, description: str, *effects: Effect) -> TraceEntry:
        return TraceEntry(name, description, False, lambda length_ms: effects)

    def halfway(name: str, description: str, effect: Callable[[float], Effect]) -> TraceEntry:
        return TraceEntry(name, description, False, lambda length_ms: [effect(length_ms / 2)])

    return [
        steady("clean", "every packet after the same 20 ms"),
        steady("loss-1", "1 % lost, independent", iid_loss(1)),
        steady("loss-5", "5 % lost, independent", iid_loss(5)),
        steady("loss-10", "10 % lost, independent", iid_loss(10)),
        steady("burst-3", "3 % lost in bursts of 30 ms (mean)", gilbert_elliott(3, 30)),
        steady("burst-10", "10 % lost in bursts of 60 ms (mean)", gilbert_elliott(10, 60)),
        changing(
            "sparse-burst",
            "every 10 s or so 2 s with 30 % lost",
            loss_episodes(10, 2, 30),
        ),
        steady("gamma-10", "a queue: 10 ms more on average, in order", gamma_delay(10)),
        steady("gamma-40", "a busy queue: 40 ms more on average, in order", gamma_delay(40)),
        steady("pareto-15", "15 ms more on average, long tail up to 500 ms", pareto_delay(15)),
        steady(
            "overtaking-30",
            "30 ms more on average, each packet on its own: they overtake",
            gamma_delay(30, fifo=False),
        ),
        steady(
            "reorder-3",
            "5 % overtaken by up to three packets, small jitter",
            gamma_delay(3),
            reordering(5, 3),
        ),
        steady(
            "duplicate-5",
            "5 % come twice, 1 % lost",
            gamma_delay(5),
            duplication(5),
            iid_loss(1),
        ),
        steady(
            "wifi",
            "contention: twice a second 80 ms of packets held and released together",
            gamma_delay(2),
            wifi_contention(500, 80),
        ),
        steady("lte-drx20", "LTE, 20 ms DRX, 10 % block errors each way", lte_drx(20)),
        steady("lte-drx40", "LTE, 40 ms DRX, 10 % block errors each way", lte_drx(40)),
        changing(
            "lte-handover",
            "every 6 s a stall of 120 ms and a path 200 ms slower or faster",
            gamma_delay(4),
            handover(6000, 200, 120),
        ),
        changing(
            "bufferbloat",
            "an upload every 8 s: the delay climbs by 300 ms in 3 s and falls in 1 s",
            gamma_delay(6),
            bufferbloat(),
        ),
        halfway("spike-300", "300 ms of nothing once, then all of it", lambda at: stall(at, 300)),
        halfway("stall-2s", "2 s of nothing once, then all of it", lambda at: stall(at, 2000)),
        halfway(
            "slow-drain",
            "a jump by 400 ms that takes 4 s to go away",
            lambda at: stall(at, 400, drain=0.1),
        ),
        changing(
            "drift-fast",
            "the sender's clock is 1000 ppm fast, small jitter",
            clock_drift(1000),
            gamma_delay(5),
        ),
        changing(
            "drift-slow",
            "the sender's clock is 1000 ppm slow, small jitter",
            clock_drift(-1000),
            gamma_delay(5),
        ),
        steady(
            "dtx",
            "silence suppression: 1.2 s of talk, 0.7 s of nothing, small jitter",
            silence_suppression(),
            gamma_delay(10),
        ),
        steady(
            "dtx-loss",
            "silence suppression, 20 ms jitter and 3 % lost in bursts",
            silence_suppression(),
            gamma_delay(20),
            gilbert_elliott(3, 40),
        ),
        halfway("ssrc-change", "another SSRC from the middle on", ssrc_change),
        halfway("sequence-jump", "sequence numbers jump by 5000 in the middle", sequence_jump),
        halfway("timestamp-jump", "timestamps jump by 250 s in the middle", timestamp_jump),
        TraceEntry(
            "wrap",
            "sequence numbers and timestamps wrap after 4 s, small jitter",
            True,
            lambda length_ms: [gamma_delay(10)],
            (("sequence", 2**16 - 200), ("timestamp", 2**32 - 200 * 160)),
        ),
        changing(
            "train",
            "everything: handovers, Wi-Fi holds, 3 % lost in bursts, some reordering",
            gamma_delay(8),
            wifi_contention(900, 60),
            handover(7000, 120, 200),
            reordering(1, 2),
            gilbert_elliott(3, 60),
        ),
    ]


TRACES: dict[str, TraceEntry] = {entry.name: entry for entry in _entries()}


def make_trace(
    name: str, *, seconds: float = 30.0, seed: int = 1, rate_hz: int = 8000, payload_type: int = 0
) -> PacketTrace:
    """The named trace: 20 ms packets for ``seconds``, the same for the same arguments.

    Raises:
        ConfigError: there is no trace of that name, or an argument is out of range.
    """
    entry = TRACES.get(name)
    if entry is None:
        raise ConfigError(f"trace {name!r} is unknown; use one of {', '.join(TRACES)}")
    settings: dict[str, Any] = dict(entry.sender)
    sender = stream(seconds, rate_hz=rate_hz, payload_type=payload_type, **settings)
    return compose(
        name,
        [sender, *entry.effects(seconds * 1000.0)],
        seed=seed,
        description=entry.description,
        stationary=entry.stationary,
    )
