"""What the engine measures of itself: load, capacity, where the time goes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CapacityEstimate", "EngineProfile", "ShardEstimate", "StageTime"]


@dataclass(frozen=True, slots=True)
class ShardEstimate:
    """One shard's load and room.

    Attributes:
        calls: calls that it carries.
        load: CPU time of its thread as a share of a core, smoothed over about a second.
        us_per_call: CPU time of one call and 20 ms; 10 as long as nothing was measured.
        lateness_ms: the latest tick of each 20 ms, smoothed over about a second.
        capacity_calls: calls that fit below ``Engine(max_load=...)``.
        draining: it takes no new calls.
    """

    calls: int
    load: float
    us_per_call: float
    lateness_ms: float
    capacity_calls: int
    draining: bool


@dataclass(frozen=True, slots=True)
class CapacityEstimate:
    """How many calls the engine carries and how many of the same kind it could.

    Attributes:
        calls: calls that run.
        capacity_calls: calls that fit on the shards that are not draining.
        shards: each shard's own figures.
    """

    calls: int
    capacity_calls: int
    shards: tuple[ShardEstimate, ...]


@dataclass(frozen=True, slots=True)
class StageTime:
    """Time of one stage, from every 17th wake-up.

    Attributes:
        total_us: time spent, the clock's own cost taken off.
        units: datagrams, windows or packets that were timed.
        us: time of one unit.
    """

    total_us: float
    units: int
    us: float


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """Where the shards' time goes and how late their ticks are, summed since the start.

    Attributes:
        stages: "wait" (a wake-up's system calls), "receive" (the receive call, a datagram), "take"
            (RTP, jitter buffer, decoder, a datagram), "judge" (VAD and gate, a window), "render"
            (playout, encoder, RTP, a packet), "send" (the send call, a packet).
        lateness: counts of slot ticks; entry i holds those begun less than 2**i us after they were
            due (and not in an entry before), the last one all others.
        work: likewise, by the time that a slot tick took.
        clock_ns: what one look at the clock costs.
    """

    stages: dict[str, StageTime]
    lateness: tuple[int, ...]
    work: tuple[int, ...]
    clock_ns: int
