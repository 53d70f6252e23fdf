"""From the caller's first sample of speech to the agent's last audible one, whatever the loop does.

    python -m bench.engine.barge_in                                    the engine, about 5 minutes
    python -m bench.engine.barge_in --peer pipecat --peer-env .venv-pipecat --install
    python -m bench.engine.barge_in --trials 100 --json                fewer trials
    python -m bench.engine.barge_in --set fade_ms=2                    other settings of CallConfig

A process in C (bench_caller.c, compiled here) sends recorded voices with packet jitter and writes
down what comes back; the agent is another process, whose event loop is held for 0, 50, 500 and
2,000 ms around each trial, Python's lock included. docs/barge-in.md says how time is counted.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.engine import barge_run
from bench.engine.barge_picture import draw
from bench.engine.barge_plan import agent_voice, make_plan
from bench.engine.barge_run import (
    ENGINE,
    INSTALL,
    PIPECAT_VAD,
    System,
    engine_system,
    pipecat_system,
)

BAR_MS, TICK_MS = 200.0, 20.0
PEER_CALLS = 5  # in one process: its loop carries them at about a third of a core


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=500, help="in each row, at least")
    parser.add_argument("--calls", type=int, default=50, help="at once on the engine")
    parser.add_argument("--hold-ms", type=float, nargs="+", default=[0, 50, 500, 2000])
    parser.add_argument("--network", default="gamma-10", help="a trace of voicecore.testing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="CallConfig")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the engine")
    parser.add_argument("--peer", choices=["pipecat"], help="the same trials through a peer")
    parser.add_argument("--peer-env", type=Path, default=Path(".venv-pipecat"))
    parser.add_argument("--peer-trials", type=int, default=100)
    parser.add_argument("--install", action="store_true", help="make the peer's environment")
    parser.add_argument("--picture", type=Path, help="write the distributions as SVG")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
    parser.add_argument("--from-json", type=Path, help="show figures of an earlier --json")
    return parser.parse_args()


def systems(options: argparse.Namespace, console: Console) -> list[System]:
    settings = {}
    for pair in options.set:
        name, _, value = pair.partition("=")
        try:
            settings[name] = ast.literal_eval(value)
        except ValueError:
            settings[name] = value
    rounds = -(-options.trials // options.calls)
    found = [engine_system(options.calls, rounds, settings, options.realtime)]
    if options.peer:
        python, version = barge_run.find_pipecat(options.peer_env, options.install)
        if not version:
            names = " ".join(f'"{name}"' for name in INSTALL)
            console.print(
                f"pipecat is not in {options.peer_env}: run again with --install, or: python -m "
                f"venv {options.peer_env} && {options.peer_env}/bin/pip install {names}"
            )
            return found
        rounds = -(-options.peer_trials // PEER_CALLS)
        found += [pipecat_system(name, python, PEER_CALLS, rounds) for name in PIPECAT_VAD]
    return found


def run(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    rows = []
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    work = [(one, hold_ms) for one in systems(options, console) for hold_ms in options.hold_ms]
    with tempfile.TemporaryDirectory() as name, Progress(*columns, console=console) as progress:
        folder = Path(name)
        barge_run.build(folder)
        (folder / "agent.raw").write_bytes(agent_voice().tobytes())
        plans: dict[tuple[int, int], Any] = {}
        bar = progress.add_task("plans", total=len(work))
        for number, (one, hold_ms) in enumerate(work):
            progress.update(bar, description=f"{one.name}, loop held for {hold_ms:.0f} ms")
            size = (one.calls, one.rounds)
            if size not in plans:
                plans[size] = make_plan(*size, seed=options.seed, network=options.network)
            rows.append(
                barge_run.measure(
                    one, plans[size], hold_ms, folder,
                    lambda share, n=number: progress.update(bar, completed=n + share),
                )
            )  # fmt: skip
    return rows


def _cells(quantiles: dict[str, float]) -> list[str]:
    return [f"{quantiles[key]:.0f}" if quantiles else "-" for key in ("p50", "p95", "p99")]


def show(rows: list[dict[str, Any]], console: Console, network: str) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs"
    table = Table(title=f"From speech onset to the agent's last audible sample, ms; {machine}")
    for name in ("", "loop\nheld, ms", "trials", "p50", "p95", "p99", "onset to decision\np50",
                  "\np95", "missed", "agent not\nspeaking", "machine's\nload"):  # fmt: skip
        table.add_column(name, justify="right")
    for row in rows:
        decided = row["stages"].get("onset to decision", {})
        table.add_row(
            row["title"], f"{row['hold_ms']:.0f}", str(row["trials"]), *_cells(row["latency_ms"]),
            *_cells(decided)[:2], str(row["missed"]), str(row["not_speaking"]),
            f"{row['machine_load']:.1f}",
        )  # fmt: skip
    console.print(table)
    for name in dict.fromkeys(row["title"] for row in rows):
        p95 = [
            row["latency_ms"]["p95"] for row in rows if row["title"] == name and row["latency_ms"]
        ]
        if p95:
            spread = max(p95) - min(p95)
            console.print(
                f"{name}: p95 {max(p95):.0f} ms at most ({verdict(max(p95) <= BAR_MS)} {BAR_MS:.0f}"
                f" ms), rows within {spread:.0f} ms ({verdict(spread <= TICK_MS)} one tick)"
            )
    stage_table(rows, console)
    pacing_table(rows, console)
    console.print(f"network: {network}; callers late p99 "
                  f"{max(row['caller_late_ms_p99'] for row in rows):.2f} ms")  # fmt: skip


def verdict(good: bool) -> str:
    return "within" if good else "NOT within"


def stage_table(rows: list[dict[str, Any]], console: Console) -> None:
    row = next((row for row in rows if row["system"] == ENGINE and row["stages"]), None)
    if row is None:
        return
    table = Table(
        title=f"Where the engine's time goes, ms; loop held for {row['hold_ms']:.0f} ms"
    )  # fmt: skip
    for name in ("", "mean", "p50", "p95", "mean of the\nslowest 5 %", "more than\nusual"):
        table.add_column(name, justify="left" if not name else "right")
    for name, found in row["stages"].items():
        slow = found["mean_of_slowest_5_percent"]
        values = (found["mean"], found["p50"], found["p95"], slow, slow - found["mean"])
        table.add_row(name, *(f"{value:.1f}" for value in values))
    console.print(table)


def pacing_table(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(
        title="Distance of outgoing packets in the same runs: 20 ms wanted; own: outside the "
        "machine's stalls"
    )
    names = (
        "", "loop\nheld, ms", "packets", "deviation, ms\np50", "\np99.9", "\nown p99.9", "\nmax",
        "gaps\n> 40 ms", "\nown", "longest\ngap, ms", "machine\nstalled, s",
    )  # fmt: skip
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        found = row["pacing"]
        table.add_row(
            row["title"], f"{row['hold_ms']:.0f}", str(found["packets"]),
            f"{found['deviation_ms_p50']:.2f}", f"{found['deviation_ms_p999']:.1f}",
            f"{found['own_deviation_ms_p999']:.1f}", f"{found['deviation_ms_max']:.1f}",
            str(found["gaps_over_40_ms"]), str(found["own_gaps_over_40_ms"]),
            f"{found['longest_gap_ms']:.0f}", f"{row['machine_stall_s']:.2f}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    options = parse()
    console = Console(width=140, stderr=options.json)
    if options.from_json:
        found = json.loads(options.from_json.read_text())
    else:
        rows = run(options, console)
        found = {"network": options.network, "seed": options.seed, "set": options.set, "rows": rows}
    if options.json:
        print(json.dumps(found))
    else:
        show(found["rows"], console, found["network"])
    if options.picture:
        options.picture.write_text(draw(found["rows"], BAR_MS), encoding="utf-8")


if __name__ == "__main__":
    main()
