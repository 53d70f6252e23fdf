"""A day of calls: is memory flat, is every handle given back, is every counter explained?

    python -m bench.engine.soak                          24 h of the virtual clock
    python -m bench.engine.soak --hours 1                shorter
    python -m bench.engine.soak --real --minutes 20      sockets and real time at 80 % load
    python -m bench.engine.soak --real --realtime --far-fifo --pin 1 --far-cpu 0

24 h means: the clock of one virtual engine goes on by 24 h while pairs of calls open and close on
it (--pairs at a time; the first one lives for all of it). In real time, calls are opened until the
CPU time of the shard's thread is --load of a core, and then one after another ends and is replaced;
what a call costs depends on what else the machine does, so now and then one is not replaced, or one
more is opened, to stay at that load. --calls sets their number instead. Memory is judged once the
calls are of all ages. Exits with 1 if a law is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.engine.ledger import Growth, Ledger, Reading, accounted, growth
from bench.engine.rig import QUIET, Rig, balance, build_far, kernel_drops, write_content
from bench.engine.soak_virtual import run_virtual_soak

KIB = 1024
# What may be gained from the end of the warm-up to the end of the run.
RESIDENT_KIB, HEAP_KIB = 4096, 512
SLACK = 0.03  # of the load in real time
Report = dict[str, Any]


def judge_growth(
    ledger: Ledger, readings: list[Reading], warm_up: float = 0.1
) -> dict[str, Growth]:
    """Memory flat by a straight line; descriptors and threads constant."""
    found = {}
    for name, limit in (("resident_bytes", RESIDENT_KIB), ("heap_bytes", HEAP_KIB)):
        line = growth(((r.at_h, getattr(r, name)) for r in readings), warm_up)
        found[name] = line
        ledger.at_most(f"{name.replace('_', ' ')} gained after the warm-up, KiB, <= {limit}",
                       round(line.total / KIB), limit)  # fmt: skip
    return found


def speech() -> Any:
    from tests import audio

    voice = audio.speech("two_cities", 8000)[: 8000 * 120]
    return (np.clip(voice, -1, 0.9999) * 32768).astype(np.int16)


def run_virtual(options: argparse.Namespace, progress: Callable[[float], None]) -> Report:
    words = speech()
    # Once through all that is made once: caches, pools, modules.
    run_virtual_soak(words, hours=0.02, pairs=options.pairs, seed=options.seed + 1)
    started, cpu = time.monotonic(), time.process_time()
    found = run_virtual_soak(
        words, hours=options.hours, pairs=options.pairs, seed=options.seed, progress=progress
    )
    took_s = time.monotonic() - started
    ledger: Ledger = found["ledger"]
    before, after = found.pop("before"), found.pop("after")
    lines = judge_growth(ledger, found["readings"])
    ledger.equal("descriptors at the end = at the start", after.descriptors, before.descriptors)
    ledger.equal("threads at the end = at the start", after.threads, before.threads)
    ledger.at_most(f"heap kept after the end, KiB, <= {HEAP_KIB}",
                   (after.heap_bytes - before.heap_bytes) // KIB, HEAP_KIB)  # fmt: skip
    return {
        **found,
        "took_s": took_s,
        "cpu_s": time.process_time() - cpu,
        "speed_up": options.hours * 3600 / took_s,
        "growth": lines,
    }


# -- in real time ------------------------------------------------------------------------------

QUIET_BUT_STRANGE = tuple(name for name in QUIET if name != "packets_strange")
CONFIG = {"play_hz": 8000, "play_buffer_ms": 4000, "receive_buffer_ms": 4000}


def settled(stats: Report) -> bool:
    """Whether the shard is not behind and has taken all that came."""
    low, high = stats["due"]
    on_time = low - 1 <= stats["packets_sent"] <= high + 1
    return on_time and accounted(stats) == stats["packets_received"]


class RealSoak:
    """Calls that end and are replaced, at a load."""

    def __init__(self, rig: Rig, options: argparse.Namespace) -> None:
        self.rig, self.options = rig, options
        self.ledger = Ledger()
        self.free = list(range(len(rig.ports)))
        self.open: list[int] = []
        self.ending: list[tuple[float, int]] = []
        self.readings: list[Reading] = []
        self.opened = self.closed = 0
        self.totals: dict[str, float] = {}

    def begin(self, count: int) -> None:
        if count == 0:
            return
        places, self.free = self.free[:count], self.free[count:]
        self.open += self.rig.open(places, **CONFIG)
        self.opened += len(places)

    def fill(self) -> Any:
        """Up to the wanted load; the engine's estimate when it is reached."""
        options = self.options
        if options.calls:
            while len(self.open) < options.calls:
                self.begin(min(50, options.calls - len(self.open)))
                time.sleep(0.5)
            time.sleep(5)
            return self.rig.ask("stats", numbers=[])["estimate"]
        self.begin(100)
        for _ in range(12):
            time.sleep(6)  # new calls cost something else than old ones
            mean = float(np.mean([self.load(pause_s=1) for _ in range(6)]))
            wanted = min(int(len(self.open) * options.load / mean), options.most_calls)
            more = wanted - len(self.open)
            if abs(more) <= 0.03 * wanted:
                break
            if more > 0:
                self.begin(min(100, more))
            for _ in range(-more):
                self.end_one()
            self.finish(everything=True)
        return self.rig.ask("stats", numbers=[])["estimate"]

    def replace(self, loads: list[float]) -> None:
        """The call that has ended; or none or two more, if the load has gone astray."""
        wanted = self.options.load
        low, high = (1.0 - SLACK) * wanted, (1.0 + SLACK) * wanted
        mean = float(np.mean(loads)) if loads and not self.options.calls else wanted
        self.begin(min(len(self.free), 0 if mean > high else 2 if mean < low else 1))

    def load(self, pause_s: float = 0.0) -> float:
        """Of the shard: CPU time as a share of a core, smoothed over a second."""
        time.sleep(pause_s)
        return float(self.rig.ask("stats", numbers=[])["estimate"]["shards"][0]["load"])

    def end_one(self) -> None:
        """The oldest call's far end stops; 0.3 s later the call ends."""
        number = self.open.pop(0)
        self.rig.tell(f"e {self.rig.places[number][0]}")
        self.ending.append((time.monotonic() + 0.3, number))

    def finish(self, everything: bool = False) -> None:
        """End what has been silent long enough, and balance it."""
        waiting = {n: at for at, n in self.ending if everything or at <= time.monotonic()}
        due = []
        while waiting:
            early = self.rig.ask("stats", numbers=list(waiting))["calls"]
            for number, at in list(waiting.items()):
                # On a busy machine the shard may be behind; 3 s later it is judged as it is.
                if settled(early[str(number)]) or time.monotonic() > at + 3.0:
                    due.append(number)
                    del waiting[number]
            if not everything:
                break
        self.ending = [(at, n) for at, n in self.ending if n not in due]
        if not due:
            return
        drops = kernel_drops(self.rig.places[n][1] for n in due)
        asked = time.monotonic()
        found = self.rig.ask("close", numbers=due)
        ticks = int((time.monotonic() - asked) * 50) + 2
        for number in due:
            stats = found[str(number)]
            far = self.rig.seen(number)
            port = self.rig.places[number][1]
            # Others on the machine may send to a port that was theirs a moment ago.
            balance(self.ledger, stats, far, dropped=drops.get(port, 0), ticks_after=ticks,
                    injected=stats["packets_strange"], quiet=QUIET_BUT_STRANGE,
                    whose=f"call {number}")  # fmt: skip
            self.ledger.equal("CallClosed events = calls closed",
                              stats["events"].get("CallClosed", 0), 1)  # fmt: skip
            for name, value in stats.items():
                if isinstance(value, int):
                    self.totals[name] = self.totals.get(name, 0) + value
            self.free.append(self.rig.places.pop(number)[0])
            self.closed += 1

    def read(self, at_h: float) -> None:
        found = self.rig.ask("reading")
        self.readings.append(Reading(**{**found, "at_h": at_h}))

    def run(self, progress: Callable[[float], None]) -> Report:
        options, rig = self.options, self.rig
        empty = Reading(**rig.ask("reading"))
        estimate = self.fill()
        calls = len(self.open)
        rig.tell("z")
        first = rig.ask("stats", numbers=[])
        started, pause = time.monotonic(), options.seconds_between
        next_end, next_reading, loads, late = started, started, [], []
        while (now := time.monotonic()) - started < options.minutes * 60:
            self.finish()
            if now >= next_end:
                self.end_one()
                self.replace(loads[-5:])
                next_end = max(next_end + pause, now - 1)
            if now >= next_reading:
                self.read((now - started) / 3600)
                loads.append(self.load())
                late.append(rig.ask("stats", numbers=[])["engine"]["late_ticks_20ms"])
                next_reading += max(2.0, options.minutes * 60 / 240)
                progress((now - started) / (options.minutes * 60))
            time.sleep(0.02)
        distances = rig.distances()
        last = rig.ask("stats", numbers=[])
        while self.open:
            for _ in range(min(50, len(self.open))):
                self.end_one()
            time.sleep(0.5)
            self.finish(everything=True)
        self.finish(everything=True)
        time.sleep(0.5)
        end = Reading(**rig.ask("reading"))
        after = rig.ask("stats", numbers=[])["engine"]
        ledger = self.ledger
        ledger.equal("calls closed = calls opened", self.closed, self.opened)
        ledger.equal("calls on the shard at the end = 0", after["calls"], 0)
        ledger.equal("events dropped = 0", after["events_dropped"], 0)
        ledger.equal("descriptors at the end = before the first call", end.descriptors,
                     empty.descriptors)  # fmt: skip
        ledger.equal("threads at the end = before the first call", end.threads, empty.threads)
        life = calls * pause / (60 * options.minutes)
        lines = judge_growth(ledger, self.readings, min(0.5, max(0.1, 1.2 * life)))
        ticks = {n: last["engine"][n] - first["engine"][n] for n in last["engine"]
                 if n.startswith(("ticks", "late_"))}  # fmt: skip
        return {
            "minutes": options.minutes,
            "calls_at_a_time": calls,
            "calls": self.opened,
            "estimate": estimate,
            "mean_load": float(np.mean(loads)),
            "loads": loads,
            "late_20ms": late,
            "distances": distances,
            "slot_ticks": ticks,
            "max_lateness_ms": last["engine"]["max_lateness_ns"] / 1e6,
            "totals": self.totals,
            "readings": self.readings,
            "growth": lines,
            "ledger": ledger,
            "machine_load": os.getloadavg()[0],
        }


def run_real(options: argparse.Namespace, progress: Callable[[float], None]) -> Report:
    engine = ["--realtime"] if options.realtime else []
    engine += ["--raw-send"] if options.raw_send else []
    engine += ["--pin", str(options.pin)] if options.pin is not None else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_far(folder)
        write_content(folder)
        places = (options.calls or options.most_calls) + 50
        with Rig(places, folder, engine, options.far_cpu, options.far_fifo) as rig:
            report = RealSoak(rig, options).run(progress)
        ledger: Ledger = report["ledger"]
        ledger.equal("exit codes of the engine and the load process = 0",
                     sum(abs(code) for code in rig.exit_codes or (1,)), 0)  # fmt: skip
    return report


def show(console: Console, report: Report, real: bool) -> None:
    if real:
        far, ticks = report["distances"], report["slot_ticks"]
        console.print(
            f"{report['minutes']:g} minutes, {report['calls_at_a_time']} calls at a time, "
            f"{report['calls']} in all; {report['totals']['packets_strange']:,} packets of "
            f"strangers; load of the shard {report['mean_load']:.3f} of a core; "
            f"machine's load {report['machine_load']:.1f}\n"
            f"distance of packets, deviation from 20 ms: p50 {far['p50_ms']:.2f}, p99 "
            f"{far['p99_ms']:.2f}, p99.9 {far['p999_ms']:.2f}, max {far['max_ms']:.1f} ms over "
            f"{far['distances']:,}\nslot ticks {ticks['ticks']:,}: late by more than 1 ms "
            f"{ticks['late_ticks_1ms']:,}, 5 ms {ticks['late_ticks_5ms']:,}, 20 ms "
            f"{ticks['late_ticks_20ms']:,}; the latest {report['max_lateness_ms']:.1f} ms"
        )
    else:
        console.print(
            f"{report['hours']:g} h of the virtual clock, {report['ticks']:,} ticks, "
            f"{report['calls']:,} calls opened and closed, {report['call_ticks']:,} packets sent, "
            f"{report['outages']} outages, in {report['took_s']:.0f} s "
            f"({report['cpu_s']:.0f} s of CPU time): {report['speed_up']:.0f} times real time"
        )
    for name, line in report["growth"].items():
        console.print(
            f"{name.replace('_', ' ')}: {line.per_hour / KIB:+.2f} KiB an hour, "
            f"{line.total / KIB:+.0f} KiB in the run, scatter {line.scatter / KIB:.0f} KiB, "
            f"{line.readings} readings"
        )
    if report.get("events"):
        console.print("events: " + ", ".join(f"{k} {v:,}" for k, v in report["events"].items()))
    console.print(report["ledger"].table("Every counter explained"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0, help="of the virtual clock")
    parser.add_argument("--pairs", type=int, default=2, help="virtual pairs at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true", help="sockets and real time")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--load", type=float, default=0.8, help="share of a core")
    parser.add_argument("--calls", type=int, help="at a time, instead of --load")
    parser.add_argument("--most-calls", type=int, default=1500)
    parser.add_argument("--seconds-between", type=float, default=0.25, help="calls that end")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the shard")
    parser.add_argument("--raw-send", action="store_true", help="one raw socket sends")
    parser.add_argument("--pin", type=int, help="the shard's CPU")
    parser.add_argument("--far-cpu", type=int, default=-1, help="the load process's CPU")
    parser.add_argument("--far-fifo", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console(width=150)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("soak", total=1.0)
        run = run_real if options.real else run_virtual
        report = run(options, lambda share: bar.update(task, completed=share))
    ledger: Ledger = report["ledger"]
    if options.json:
        report["ledger"] = ledger.rows()
        report["readings"] = [asdict(r) for r in report["readings"]]
        report["growth"] = {k: asdict(v) for k, v in report["growth"].items()}
        print(json.dumps({"machine": platform.machine(), **report}))
    else:
        show(console, report, options.real)
        console.print("all laws hold" if ledger.holds else "[red]laws BROKEN[/red]")
    return 0 if ledger.holds else 1


if __name__ == "__main__":
    sys.exit(main())
