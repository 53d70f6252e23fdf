"""From a laboratory run to its files, its page and its table."""

from __future__ import annotations

import re
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from voicecore.report.lab_page import LabReport, LabRun, LabTrace
from voicecore.testing.lab import Result
from voicecore.testing.lab_load import Load
from voicecore.testing.lab_score import Score, delay_course
from voicecore.testing.traces import PacketTrace

__all__ = [
    "LabOutcome",
    "folder_of",
    "plain_stats",
    "print_table",
    "shown_run",
    "shown_trace",
    "write_wav",
]


@dataclass(slots=True)
class LabOutcome:
    """What came of it: the figures, the page's facts, and the files written."""

    scores: list[Score] = field(default_factory=list)
    report: LabReport = field(default_factory=lambda: LabReport(()))
    stats: list[dict[str, Any]] = field(default_factory=list)
    page: Path = Path()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "facts": dict(self.report.facts),
            "notes": list(self.report.notes),
            "traces": [
                {
                    "name": trace.name,
                    "description": trace.description,
                    "stationary": trace.stationary,
                    "packets": trace.packets,
                    "loss_percent": round(trace.loss_percent, 3),
                    "reordered": trace.reordered,
                }
                for trace in self.report.traces
            ],
            "runs": [
                {**found.to_json(), "stats": counters}
                for found, counters in zip(self.scores, self.stats, strict=True)
            ],
            "page": str(self.page),
        }


def folder_of(trace: PacketTrace) -> str:
    """The trace's name as a folder's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", trace.name).strip(".") or "trace"


def plain_stats(stats: dict[str, int | float]) -> dict[str, Any]:
    """A receiver's counters, rounded."""
    return {
        name: (round(value, 3) if isinstance(value, float) else value)
        for name, value in stats.items()
    }


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int) -> None:
    """One channel, 16 bits; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def shown_run(load: Load, result: Result, found: Score, out: Path) -> LabRun:
    """Write the sound (.wav) and each packet's delay (.csv) of a run; what the page shows of it."""
    course = delay_course(load, result)
    stem = f"{folder_of(load.trace)}/{result.receiver.replace(' ', '-')}"
    write_wav(out / f"{stem}.wav", result.audio, result.rate_hz)
    rows = np.column_stack([course.out_ms, course.position, course.delay_ms, course.added_ms])
    header = "out_ms,position_samples,delay_ms,added_ms"
    np.savetxt(
        out / f"{stem}.csv", rows, fmt=["%.3f", "%d", "%.3f", "%.3f"],
        delimiter=",", header=header, comments="",
    )  # fmt: skip
    figures = {
        f.name: value
        for f in fields(found)
        if (value := getattr(found, f.name)) is None or isinstance(value, (int, float))
    }
    figures |= _counted(result)
    out_s = result.out_ns / 1e9
    decoded = np.flatnonzero(result.kind == "decoded")
    spans: list[tuple[float, float]] = []
    for chunk in np.flatnonzero(result.made_up > 0):
        if len(decoded) and decoded[0] < chunk < decoded[-1]:
            start = float(out_s[chunk])
            length = float(result.length[chunk]) / result.rate_hz
            if spans and start - spans[-1][1] < 0.001:
                spans[-1] = (spans[-1][0], start + length)
            else:
                spans.append((start, start + length))
    return LabRun(
        receiver=result.receiver,
        paced=result.paced,
        figures=figures,
        delay_s=course.out_ms / 1e3,
        delay_ms=course.delay_ms,
        depth_s=out_s,
        depth_ms=result.depth_ms,
        target_ms=result.target_ms,
        made_up_s=spans,
        wav=f"{stem}.wav",
    )


def _counted(result: Result) -> dict[str, float | None]:
    """What only the receiver itself can tell, where it does."""
    stats = result.stats
    given = float(stats.get("output_samples", 0))

    def share(name: str) -> float | None:
        return 100.0 * float(stats[name]) / given if name in stats and given else None

    if not result.paced:  # it never stretches
        return {"emodel_mos": stats.get("mos")}
    return {
        "accelerated_percent": share("accelerated_samples"),
        "expanded_percent": share("expanded_samples"),
        "emodel_mos": stats.get("mos"),
    }


def shown_trace(load: Load, runs: Sequence[LabRun]) -> LabTrace:
    """What the page shows of a trace."""
    trace, there = load.trace, ~load.trace.lost
    return LabTrace(
        name=trace.name,
        description=trace.description,
        stationary=trace.stationary,
        length_s=trace.length_ns / 1e9,
        packets=len(trace),
        loss_percent=trace.loss_percent,
        reordered=trace.reordered,
        network_s=trace.arrival_ns[there] / 1e9,
        network_ms=trace.transit_ms - trace.base_ns / 1e6,
        runs=runs,
    )


# Heading, figure, digits, and whether a narrow terminal shows it too.
_COLUMNS = (
    ("missing", "missing_percent", 2, True),
    ("made up", "made_up_percent", 2, True),
    ("added", "added_mean_ms", 1, True),
    ("p95", "added_p95_ms", 1, False),
    ("p99", "added_p99_ms", 1, False),
    ("delay", "delay_mean_ms", 1, False),
    ("oracle", "oracle_added_ms", 1, True),
    ("PESQ", "pesq_mos", 2, True),
)
_WIDE = 100


def print_table(outcome: LabOutcome, console: Console) -> None:
    """Print notes and figures; a narrow terminal gets fewer columns."""
    for note in outcome.report.notes:
        console.print(note, style="yellow", highlight=False)
    columns = [column for column in _COLUMNS if column[3] or console.width >= _WIDE]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trace", style="bold", no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    table.add_column("receiver", no_wrap=True)
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for found in outcome.scores:
        values = asdict(found)
        first = found.trace != before
        if first and before:
            table.add_row()
        before = found.trace
        table.add_row(
            found.trace if first else "",
            f"{found.network_loss_percent:.2f}" if first else "",
            found.receiver,
            *("–" if values[n] is None else f"{values[n]:.{d}f}" for _, n, d, _ in columns),
            style="" if found.receiver.startswith("voicecore") else "dim",
        )
    console.print(table)
    console.print(
        "lost, %: by the network. missing, %: sent and never played. made up, %: output that is "
        "not from packets, without the sender's own pauses. added, ms: from a packet's arrival "
        "until it is played. delay, ms: the same from when it could have been there at best. "
        "oracle, ms: added delay of the smallest constant depth that would have missed no more.",
        style="dim",
        highlight=False,
    )
