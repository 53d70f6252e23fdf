"""The echo canceller's bars, on every scene of the laboratory and several seeds, beside the peers.

    python -m bench.aec_bars                          three seeds: some six minutes on two cores
    python -m bench.aec_bars --seeds 1 --no-peers     ours alone: the figures to work with
    python -m bench.aec_bars --first-seed 100         other rooms, places, voices and prompts
    python -m bench.aec_bars --rate 8000              rooms on a telephone (PESQ of P.862)
    python -m bench.aec_bars --json > bars.json

Each row: the figure for the bar, and in brackets the median (where the worst is judged) or the
worst (where the mean is judged, as for PESQ and recall over rooms and voices). A row is judged on
voicecore; the others stand beside it. Figures are those of voicecore.testing.echo_score. Exits
with 1 if a bar is missed.

Cost: thread CPU time of 10 ms while both talk, the call from Python included, median of stretches
of 0.2 s that take turns between the cancellers. The times are of this machine, the ratios travel.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from voicecore.cli.echo_results import print_echo_table
from voicecore.testing.echo_lab import (
    Job,
    Outcome,
    default_cancellers,
    default_jobs,
    names_like,
    run_jobs,
)
from voicecore.testing.echo_peers import make_canceller, missing_cancellers
from voicecore.testing.echo_scenes import SCENES, make_scene
from voicecore.testing.echo_score import EchoScore

OURS = "voicecore"
STRETCH_S, WARM_S, ROUNDS = 0.2, 20.0, 80
RECALL = {"minus6": "-6", "0": "0", "plus6": "+6"}
Fold = Callable[[list[float]], float]


@dataclass
class Row:
    """A bar: its figure for each canceller, and whether ours meets it (None: not judged)."""

    metric: str
    bar: str
    cells: dict[str, str]
    values: dict[str, float] = field(default_factory=dict)
    met: bool | None = None


class Figures:
    """All scores of a run, to be asked for by scene and figure."""

    def __init__(self, outcomes: Sequence[Outcome], cancellers: Sequence[str]) -> None:
        self.scores = [score for outcome in outcomes for score in outcome.scores]
        self.outcomes = outcomes
        self.cancellers = cancellers
        self.ideal = {(s.scene, s.seed): s for s in self.scores if s.canceller == "ideal"}

    def of(self, scenes: Iterable[str], canceller: str, take: Callable[[EchoScore], float | None]
           ) -> list[tuple[float, str]]:  # fmt: skip
        """What there is of it, with the scene and the seed."""
        wanted = set(scenes)
        return [
            (value, f"{s.scene} #{s.seed}")
            for s in self.scores
            if s.scene in wanted and s.canceller == canceller and (value := take(s)) is not None
        ]

    def row(
        self,
        metric: str,
        scenes: Iterable[str],
        take: str | Callable[[EchoScore], float | None],
        *,
        fold: Fold,
        beside: Fold,
        at_least: float | None = None,
        at_most: float | None = None,
        digits: int = 1,
        bar: str = "",
        where: bool = False,
    ) -> Row | None:
        """A row, or None if no scene of it was run."""
        names = list(scenes)
        asked = (lambda s: getattr(s, take)) if isinstance(take, str) else take
        row = Row(metric, bar, {})
        if not bar and at_least is not None:
            row.bar = f">= {at_least:g}"
        elif not bar and at_most is not None:
            row.bar = f"<= {at_most:g}"
        for name in self.cancellers:
            found = self.of(names, name, asked)
            if not found:
                continue
            values = [value for value, _ in found]
            value = fold(values)
            row.values[name] = value
            text = f"{shown(value, digits)} ({shown(beside(values), digits)})"
            if where and name == OURS:
                text += " " + next(place for v, place in found if v == value)
            row.cells[name] = text
        if not row.values:
            return None
        ours = row.values.get(OURS)
        if ours is not None and at_least is not None:
            row.met = ours >= at_least
        if ours is not None and at_most is not None:
            row.met = ours <= at_most
        return row


def shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "never"


def below_ideal(figures: Figures) -> Callable[[EchoScore], float | None]:
    def take(score: EchoScore) -> float | None:
        best = figures.ideal[score.scene, score.seed].pesq_mos
        return None if best is None or score.pesq_mos is None else best - score.pesq_mos

    return take


def quality_rows(figures: Figures) -> list[Row | None]:
    """The table of the bars, but for cost."""
    delays = names_like(["single-*ms-rt0.2", "single-*ms-rt0.4"])
    delays = tuple(name for name in delays if "minus" not in name)
    jumps = names_like(["jump-100-180-*"])
    drifts = names_like(["drift-100-*"])
    echoes = [name for name, entry in SCENES.items() if entry.path != "none"]
    # While the microphone clips, what it hears is no longer the echo of anything.
    clean = [name for name in echoes if not SCENES[name].overload]
    rows = [
        figures.row("ERLE, single talk, 0-500 ms, dB", delays, "erle_db",
                    fold=min, beside=median, at_least=45.0),
        figures.row("s to 20 dB", delays, "to_20_db_s", fold=max, beside=median, at_most=1.0),
        figures.row("s back to 20 dB, 100 > 180 ms", jumps, "back_20_db_s",
                    fold=max, beside=median, at_most=1.5),
        figures.row("drift 100 ppm: ERLE, dB", drifts, "erle_db",
                    fold=min, beside=median, at_least=35.0),
        figures.row("drift 100 ppm: false alarms", drifts, "false_alarms",
                    fold=max, beside=median, at_most=0.01, digits=3),
        figures.row("false alarms, every scene", clean, "false_alarms",
                    fold=max, beside=median, at_most=0.01, digits=3, where=True),
    ]  # fmt: skip
    for key, name in RECALL.items():
        rows.append(
            figures.row(f"recall, SER {name} dB", names_like([f"double-{key}db-*ms-*"]), "recall",
                        fold=mean, beside=min, at_least=0.99, digits=3)
        )  # fmt: skip
    for key, name in RECALL.items():
        judged = 0.85 if key == "0" else None
        rows.append(
            figures.row(f"PESQ under the ideal, SER {name} dB",
                        names_like([f"double-{key}db-*ms-*"]), below_ideal(figures),
                        fold=mean, beside=max, at_most=judged, digits=2)
        )  # fmt: skip
    alone = figures.of(["near-alone"], "ideal", lambda s: s.pesq_mos)
    best = mean(value for value, _ in alone) if alone else 4.2
    # Who passes the near end through bit for bit has the ideal's PESQ, which may be under 4.2.
    rows.append(
        figures.row("near end alone: PESQ", ["near-alone"], "pesq_mos", fold=mean, beside=min,
                    at_least=min(4.2, best), digits=2, bar=f">= 4.2, or the ideal's {best:.2f}")
    )  # fmt: skip
    rows.append(passed_through(figures))
    rows.append(
        figures.row("lowest ERLE from 1 s on, dB", echoes, "lowest_erle_db",
                    fold=min, beside=median, at_least=0.0, where=True)
    )  # fmt: skip
    rows.append(
        figures.row("ERLE after a clipping microphone", ["single-100ms-overload"], "erle_last_db",
                    fold=min, beside=median, at_least=45.0)
    )  # fmt: skip
    return rows


def other_rows(figures: Figures) -> list[Row | None]:
    """What has no bar."""
    hard = [n for n in SCENES if n.startswith("double-0db-") and "ms-rt" not in n]
    both: dict[str, Fold] = {"fold": mean, "beside": max}
    low: dict[str, Fold] = {"fold": mean, "beside": min}
    strong = names_like(["single-*strong"])
    still = [n for n in SCENES if not n.startswith(("jump-", "stretch-")) and "overload" not in n]
    stretch, lines = names_like(["stretch-*"]), names_like(["line-*"])
    take = below_ideal(figures)
    return [
        figures.row("no echo, both talk: PESQ under the ideal", ["double-no-echo"], take,
                    digits=2, **both),
        figures.row("no echo, both talk: recall", ["double-no-echo"], "recall", digits=3, **low),
        figures.row("hard double talk: PESQ under the ideal", hard, take, digits=2, **both),
        figures.row("hard double talk: recall", hard, "recall", digits=3, **low),
        figures.row("line, double talk: PESQ under the ideal", ["double-line"], take,
                    digits=2, **both),
        figures.row("SDR, SER 0 dB", names_like(["double-0db-*ms-*"]), "sdr_db", **low),
        figures.row("near-end gain, SER 0 dB", names_like(["double-0db-*ms-*"]), "near_gain_db",
                    **low),
        figures.row("ERLE, strong clip, dB", strong, "erle_db", **low),
        figures.row("ERLE, drift 200 ppm, dB", ["drift-200-rt0.2"], "erle_db", **low),
        figures.row("ERLE, jitter buffer in the path, dB", stretch, "erle_db", **low),
        figures.row("ERLE, the same told to the reference", ["known-lte-handover-rt0.2"],
                    "erle_db", **low),
        figures.row("false alarms without jump or stretch", still, "false_alarms",
                    fold=max, beside=median, digits=3, where=True),
        figures.row("ERLE, lines, dB", lines, "erle_db", **low),
        figures.row("s to 20 dB, lines", lines, "to_20_db_s", **both),
    ]  # fmt: skip


def passed_through(figures: Figures) -> Row | None:
    """Near end alone: the output is the microphone's samples, from 1 s on."""
    row = Row("near end alone: bit for bit after 1 s", "yes", {})
    for name in figures.cancellers:
        changed = [o.late_change[name] for o in figures.outcomes if o.job.name == "near-alone"]
        if changed:
            row.values[name] = float(not any(changed))
            row.cells[name] = "no" if any(changed) else "yes"
    if OURS in row.values:
        row.met = bool(row.values[OURS])
    return row if row.cells else None


# -- cost ----------------------------------------------------------------------------------


def microseconds(rate_hz: int, cancellers: Sequence[str]) -> dict[str, float]:
    """us of thread CPU time for 10 ms, both talking."""
    scene = make_scene("double-0db-100ms-rt0.2", rate_hz=rate_hz)
    made = {name: make_canceller(name, scene) for name in cancellers}
    warm, stretch = int(WARM_S * rate_hz), int(STRETCH_S * rate_hz)
    end = int(0.9 * scene.seconds * rate_hz) // stretch * stretch
    spent: dict[str, list[float]] = {name: [] for name in cancellers}

    def play(name: str, start: int, samples: int) -> None:
        canceller = made[name]
        block = getattr(canceller, "block_samples", rate_hz // 100)
        near, far = (x[start : start + samples] for x in (scene.mic, scene.far))
        pieces = [(near[at : at + block], far[at : at + block]) for at in range(0, samples, block)]
        before_ns = time.thread_time_ns()
        for mic, played in pieces:
            canceller.process(mic, played)
        spent[name].append((time.thread_time_ns() - before_ns) / 1000 / (samples / rate_hz * 100))

    for name in cancellers:
        play(name, 0, warm)
        spent[name].clear()
    for index in range(ROUNDS):
        start = warm + index * stretch % (end - warm)
        for name in cancellers:
            play(name, start, stretch)
    return {name: median(times) for name, times in spent.items()}


def cost_rows(cancellers: Sequence[str], state_bytes: dict[str, int]) -> list[Row]:
    rows = []
    # WebRTC and speexdsp have no other size than what PEERS told; only ours tells its own.
    for rate_hz, most_us in ((16000, 20.0), (8000, 10.0)):
        found = microseconds(rate_hz, cancellers)
        ours = found.get(OURS)
        rows.append(
            Row(
                f"us per 10 ms at {rate_hz // 1000} kHz",
                f"<= {most_us:g}",
                {name: f"{us:.1f}" + ("" if ours is None or name == OURS else f" {us / ours:.1f}x")
                 for name, us in found.items()},
                found,
                None if ours is None else ours <= most_us,
            )
        )  # fmt: skip
    if OURS in state_bytes:
        kib = state_bytes[OURS] / 1024
        rows.append(
            Row("state, KiB", "<= 160", {OURS: f"{kib:.0f}"}, {OURS: kib}, kib <= 160.0)
        )  # fmt: skip
    return rows


# -- the command ---------------------------------------------------------------------------


def print_rows(title: str, rows: Sequence[Row], cancellers: Sequence[str], console: Console
               ) -> None:  # fmt: skip
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("bar", no_wrap=True)
    judged = any(row.met is not None for row in rows)
    if judged:
        table.add_column("")
    for name in cancellers:
        table.add_column(name, justify="left" if name == OURS else "right")
    for row in rows:
        mark = {True: "met", False: "[bold red]MISSED[/]", None: ""}[row.met]
        cells = [row.cells.get(name, "") for name in cancellers]
        table.add_row(row.metric, row.bar, *([mark] if judged else []), *cells)
    console.print(table)
    console.print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rate", type=int, choices=(8000, 16000), help="of the rooms too")
    parser.add_argument("--scenes", nargs="*", default=["*"], help="names or patterns")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-pesq", action="store_true")
    parser.add_argument("--no-cost", action="store_true", help="do not measure the time")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--all", action="store_true", help="every scene and seed as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cancellers = default_cancellers(not options.no_peers)
    order = [n for n in (OURS, "aec3", "speex", "speex+pp", "ideal", "none") if n in cancellers]
    notes = Console(stderr=True)
    for name, reason in missing_cancellers().items():
        if name == OURS or not options.no_peers:
            notes.print(f"{name} is left out: {reason}", style="yellow", highlight=False)
    todo = [
        Job(
            name,
            seed=seed,
            rate_hz=options.rate,
            cancellers=cancellers,
            with_pesq=not options.no_pesq,
        )
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for name in names_like(options.scenes)
    ]
    outcomes: list[Outcome] = []
    with Progress(console=notes, transient=True) as progress:
        for outcome in progress.track(run_jobs(todo, options.jobs), total=len(todo)):
            outcomes.append(outcome)
    figures = Figures(outcomes, order)
    bars = [row for row in quality_rows(figures) if row is not None]
    others = [row for row in other_rows(figures) if row is not None]
    if not options.no_cost:
        timed = [name for name in order if name not in ("ideal", "none")]
        bars += cost_rows(timed, outcomes[0].state_bytes)
    if options.json:
        found = {"bars": bars, "other": others}
        plain = {key: [vars(row) for row in rows] for key, rows in found.items()}
        json.dump(plain | {"runs": [s.to_json() for s in figures.scores]}, sys.stdout, indent=2)
        print()
    else:
        console = Console(width=max(170, Console().width))
        last = options.first_seed + options.seeds - 1
        what = f"{len(todo)} runs, seeds {options.first_seed} to {last}"
        print_rows(f"bars; {what}", bars, order, console)
        print_rows("without a bar; mean (worst)", others, order, console)
        if options.all:
            print_echo_table(figures.scores, [], console, seeds=True)
    missed = sum(row.met is False for row in bars)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
