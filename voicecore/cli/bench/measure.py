"""Measures: first that all give the same, then how long each takes, all in the same rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from voicecore.cli.bench.machine import Machine, this_machine
from voicecore.cli.bench.registry import Differs, Measurement, Need, Peer, Work
from voicecore.cli.bench.timing import Effort, Times, interleaved
from voicecore.errors import DataError
from voicecore.media._cpu import cpu_levels

__all__ = ["SCHEMA", "Bench", "LeftOut", "PeerTimes", "Row", "measure", "measure_one"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class PeerTimes:
    """A peer's times; ``checked`` says what of its output was compared with ours."""

    name: str
    version: str
    times: Times
    checked: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was not measured: a peer (or, with an empty name, the measurement) and why."""

    measurement: str
    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement's times: ours at each CPU level, slowest first, and the peers'."""

    name: str
    unit: str
    what: str
    item_ms: float
    by_level: bool
    levels: dict[str, Times]
    used: str  # the level that a new object takes
    peers: tuple[PeerTimes, ...] = ()

    @property
    def us(self) -> float:
        """Microseconds an item, as the unit runs here."""
        return self.levels[self.used].median_us

    @property
    def streams_per_core(self) -> int:
        """How many streams one core could serve if it did nothing else."""
        return int(1000 * self.item_ms / self.us)

    def ratio(self, peer: PeerTimes) -> float:
        """How many times as long the peer takes."""
        return peer.times.median_us / self.us

    def to_json(self) -> dict[str, Any]:
        """Plain values."""

        def times(one: Times) -> dict[str, Any]:
            return {"median_us": round(one.median_us, 4), "min_us": round(one.min_us, 4)}

        return {
            "name": self.name,
            "unit": self.unit,
            "what": self.what,
            "item_ms": self.item_ms,
            "by_level": self.by_level,
            "level": self.used,
            "levels": {
                level: {**times(one), "streams_per_core": int(1000 * self.item_ms / one.median_us)}
                for level, one in self.levels.items()
            },
            "peers": [
                {
                    "name": peer.name,
                    "version": peer.version,
                    **times(peer.times),
                    "own_threads": peer.times.threads,
                    "ratio": round(self.ratio(peer), 3),
                    "checked": peer.checked,
                }
                for peer in self.peers
            ],
        }


@dataclass(slots=True)
class Bench:
    """All that a run found."""

    machine: Machine
    effort: Effort
    rows: list[Row] = field(default_factory=list)
    missing: dict[str, tuple[Need, str]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def peer_versions(self) -> dict[str, str]:
        """Of the packages that were measured, by name of the peer."""
        found: dict[str, str] = {}
        for row in self.rows:
            for peer in row.peers:
                if peer.version:
                    found.setdefault(peer.version, peer.name)
        return {name: version for version, name in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "machine": self.machine.to_json(),
            "clock": "processor time of the thread (of the process where own_threads)",
            "rounds": self.effort.rounds,
            "results": [row.to_json() for row in self.rows],
            "missing": [
                {"name": name, "problem": problem, "install": need.install}
                for name, (need, problem) in self.missing.items()
            ],
            "left_out": [asdict(one) for one in self.left_out],
        }


def _ready_peer(peer: Peer, ours: Any) -> tuple[Work, str]:
    work = peer.make()
    return work, peer.check(ours, work.result())


def measure_one(
    one: Measurement, bench: Bench, compare: bool, step: Callable[[], None] = lambda: None
) -> Row | None:
    """Adds a row to ``bench`` and returns it; None if the unit cannot run here.

    Raises DataError if two CPU levels disagree.
    """
    if problem := one.problem():
        bench.left_out.append(LeftOut(one.name, "", problem))
        return None
    levels: list[str | None] = [*cpu_levels()] if one.by_level else [None]
    works = [one.make(level) for level in levels]
    results = [work.result() for work in works]
    for level, result in zip(levels[1:], results[1:], strict=True):
        try:
            one.same(results[0], result)
        except Differs as error:
            raise DataError(f"{one.what}: level {level} and plain C disagree: {error}") from error
    used = bench.machine.level if one.by_level else "c"
    ours = results[levels.index(used)] if one.by_level else results[0]

    peers: list[tuple[Peer, str]] = []
    for peer in one.peers if compare else ():
        if lacks := peer.problem():
            bench.missing[lacks[0].name] = lacks
            continue
        try:
            work, checked = _ready_peer(peer, ours)
        except Exception as error:  # other people's code, of any version
            kind = "" if isinstance(error, Differs) else f"{type(error).__name__}: "
            bench.left_out.append(LeftOut(one.name, peer.name, f"{kind}{error}"))
            continue
        works.append(work)
        peers.append((peer, checked))

    times = interleaved(works, bench.effort, step)
    row = Row(
        one.name,
        one.unit,
        one.what,
        one.item_ms,
        one.by_level,
        {level or "c": found for level, found in zip(levels, times, strict=False)},
        used,
        tuple(
            PeerTimes(peer.name, _version(peer), found, checked)
            for (peer, checked), found in zip(peers, times[len(levels) :], strict=True)
        ),
    )
    bench.rows.append(row)
    return row


def _version(peer: Peer) -> str:
    return next((f"{need.name} {need.version}" for need in peer.needs if need.version), "")


def measure(
    chosen: Sequence[Measurement],
    effort: Effort,
    compare: bool,
    step: Callable[[str], None] = lambda what: None,
) -> Bench:
    """All of them, one after the other. ``step`` is called after every round."""
    bench = Bench(this_machine(), effort)
    for one in chosen:
        measure_one(one, bench, compare, lambda what=one.what: step(what))  # type: ignore[misc]
    return bench
