"""What an engine with a hundred calls does when something goes wrong around it.

    python -m bench.engine.chaos                                 every scenario
    python -m bench.engine.chaos --only stop clock --laws        two, with their equations
    python -m bench.engine.chaos --realtime --far-fifo --pin 1 --far-cpu 0

Each scenario gets an engine of its own in a child process and real callers on loopback. Before and
after the disturbance all callers are silent for 0.3 s, so that what is under way has landed, and
every call's counters are compared with its caller's (the laws of rig.balance) and with what was
sent to its port by others. Exits with 1 if a law is broken.

Recovery is the time from the end of the disturbance until every call has sent all packets that were
due. The clock's steps are an LD_PRELOAD library's (bench_clock_shim.c), for the engine's process
alone: it also counts which threads read which clock. The machine's clock is not touched.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.engine.ledger import Ledger
from bench.engine.malformed import PROBES, malformed
from bench.engine.rig import LOOPBACK, Rig, balance, build_far, kernel_drops, write_content

PPS, LEARNERS = 10_000, 10
HOUR_NS = 3_600_000_000_000
STRAY = ("packets_malformed", "packets_unknown", "packets_unproven")
# What no disturbance here may cause.
QUIET = ("duplicate", "send_errors", "resets", "packets_discarded", "packets_silent")
CONFIG: dict[str, Any] = {"play_hz": 8000}


@dataclass
class Report:
    """One scenario's outcome."""

    name: str
    sent: int = 0  # datagrams that were sent to the calls' ports
    seconds: float = 0.0
    packets: int = 0
    due: int = 0
    longest_ms: float = 0.0
    recovery_ms: float = 0.0
    late_ticks: int = 0
    drops: int = 0
    timeouts: int = 0
    after_p99_ms: float = 0.0
    exit_code: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


class Scene:
    """A running engine and what a scenario does to it."""

    def __init__(self, rig: Rig, report: Report, options: argparse.Namespace) -> None:
        self.rig, self.report, self.options = rig, report, options
        self.rng = np.random.default_rng(options.seed)
        self.numbers = rig.open(list(range(options.calls)), **CONFIG)
        self.strangers: dict[int, int] = {}
        self.stray: dict[int, int] = {}
        self.timeouts: dict[int, int] = {}
        self.learners: list[int] = []

    def flood(self, seconds: float, chosen: list[int], own_address: bool) -> None:
        """10,000 malformed datagrams a second to these calls in turn."""
        packets = malformed(6000, self.options.seed)
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
        counts = self.stray if own_address else self.strangers
        started, sent = time.monotonic(), 0
        while (now := time.monotonic()) < started + seconds:
            for _ in range(int((now - started) * PPS) - sent):
                number = chosen[sent % len(chosen)]
                place, port = self.rig.places[number]
                source = self.rig.sockets[place] if own_address else sockets[sent % 16]
                # In the order of the calls every kind comes to each of them.
                packet = packets[(sent + sent // len(chosen)) % len(packets)]
                source.sendto(packet, (LOOPBACK, port))
                counts[number] = counts.get(number, 0) + 1
                sent += 1
            time.sleep(0.001)
        self.report.sent, self.report.seconds = sent, time.monotonic() - started
        for one in sockets:
            one.close()

    def scan(self) -> None:
        """Every port from 200 addresses, in six rounds; 10 calls do not know their caller yet."""
        rig, options = self.rig, self.options
        places = list(range(options.calls, options.calls + LEARNERS))
        self.learners = rig.open(places, learns=True, **CONFIG)
        started, sent = time.monotonic(), 0
        for k in range(200):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
                source.bind((f"127.0.{1 + k // 100}.{1 + k % 100}", 0))
                for number in [*self.numbers, *self.learners]:
                    source.sendto(PROBES[k % len(PROBES)], (LOOPBACK, rig.places[number][1]))
                    counts = self.strangers if number in self.numbers else self.stray
                    counts[number] = counts.get(number, 0) + 1
                    sent += 1
            time.sleep(0.01)
        self.report.sent, self.report.seconds = sent, time.monotonic() - started
        rig.begin(self.learners)
        time.sleep(1.0)

    def silence(self) -> None:
        """30 % of the callers stop for longer than rtp_timeout_ms, then speak again."""
        chosen = self.rng.choice(self.numbers, round(0.3 * len(self.numbers)), replace=False)
        self.timeouts = {int(number): 1 for number in chosen}
        places = [self.rig.places[number][0] for number in self.timeouts]
        self.rig.tell(*(f"m {place}" for place in places))
        time.sleep(7.0)
        self.rig.tell(*(f"u {place}" for place in places))
        self.report.notes["silent_calls"] = len(places)
        time.sleep(0.5)

    def clock(self, memory: mmap.mmap) -> None:
        """An hour ahead, an hour back, and right again."""
        seen = []
        for offset_ns in (HOUR_NS, -HOUR_NS, 0):
            struct.pack_into("q", memory, 0, offset_ns)
            time.sleep(1.5)
            wall_ns = self.rig.ask("stats", numbers=[])["wall_ns"]
            seen.append(round((wall_ns - time.time_ns()) / HOUR_NS))
        _, shard, others, monotonic, _ = struct.unpack_from("5q", memory, 0)
        self.report.notes.update(
            hours_seen=seen, realtime_reads_of_shards=shard, realtime_reads_of_others=others,
            monotonic_reads_of_shards=monotonic,
        )  # fmt: skip
        law = self.report.ledger.equal
        law("steps that the process saw = steps made", seen == [1, -1, 0], True)
        law("the shard's reads of CLOCK_REALTIME = 0", shard, 0)
        law("the shard's reads of CLOCK_MONOTONIC > 0 (the count works)", monotonic > 0, True)

    def stop(self) -> None:
        """SIGSTOP for 3 s."""
        pid = self.rig.engine.process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        os.kill(pid, signal.SIGCONT)

    # -- judged --

    def recover(self) -> None:
        """Wait until no call is behind its grid, 10 s at most."""
        started = time.monotonic()
        while (took := time.monotonic() - started) < 10.0:
            calls = self.rig.ask("stats", numbers=self.numbers)["calls"].values()
            if all(c["due"][0] - 1 <= c["packets_sent"] <= c["due"][1] + 1 for c in calls):
                break
        self.report.recovery_ms = took * 1000

    def judge(self) -> None:
        rig, report, ledger = self.rig, self.report, self.report.ledger
        drops = kernel_drops(port for _, port in rig.places.values())
        asked = time.monotonic()
        found = rig.stats()
        ticks_after = int((time.monotonic() - asked) * 50) + 2
        report.late_ticks = found["engine"]["late_ticks_20ms"]
        ledger.equal("events dropped = 0", found["engine"]["events_dropped"], 0)
        ledger.equal("calls that run = calls opened", found["engine"]["calls"], len(rig.places))
        for number, (_, port) in rig.places.items():
            stats, far = found["calls"][str(number)], rig.seen(number)
            ticks_after_call = ticks_after + int((time.monotonic() - asked) * 50)
            strangers, stray = self.strangers.get(number, 0), self.stray.get(number, 0)
            dropped = drops.get(port, 0)
            timeouts = self.timeouts.get(number, 0)
            balance(
                ledger, stats, far, injected=strangers + stray, dropped=dropped,
                ticks_after=ticks_after_call, quiet=QUIET, rtp_timeouts=timeouts,
                learns=number in self.learners, whose=f"call {number}",
            )  # fmt: skip
            if dropped == 0:
                refused = stats["packets_strange"], sum(stats[name] for name in STRAY)
                if number in self.learners:
                    ledger.equal("unlocked port: strange + malformed + unknown + unproven = probes",
                                 sum(refused), stray, number)  # fmt: skip
                else:
                    ledger.equal("strange = sent from other addresses", refused[0], strangers,
                                 number)  # fmt: skip
                    ledger.equal("malformed + unknown + unproven = stray from the caller's address",
                                 refused[1], stray, number)  # fmt: skip
            ledger.equal("accepted sources = 1", stats["sources"], 1, number)
            report.packets += stats["packets_sent"]
            report.due += stats["due"][1]
            report.drops += dropped
            report.timeouts += stats["events"].get("RtpTimedOut", 0)
            report.longest_ms = max(report.longest_ms, far["most_apart_ms"])


SCENARIOS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "undisturbed": ("nothing happens", lambda s: time.sleep(s.options.seconds)),
    "strangers": (
        "10 kpps malformed from 16 other addresses",
        lambda s: s.flood(s.options.seconds, s.numbers, False),
    ),
    "callers": (
        "10 kpps malformed from the callers' own addresses",
        lambda s: s.flood(s.options.seconds, s.numbers, True),
    ),
    "one": (
        "10 kpps malformed at one call, from its caller's address",
        lambda s: s.flood(s.options.seconds, s.numbers[:1], True),
    ),
    "scan": ("port scan from 200 addresses", Scene.scan),
    "silence": ("30 % of the callers silent for 7 s", Scene.silence),
    "clock": ("CLOCK_REALTIME +1 h, -1 h, right again", lambda s: None),
    "stop": ("SIGSTOP for 3 s", Scene.stop),
}


def build_shim(folder: Path) -> Path:
    library = folder / "bench_clock_shim.so"
    source = Path(__file__).parent / "bench_clock_shim.c"
    command = [
        "cc",
        "-std=gnu11",
        "-O2",
        "-Wall",
        "-shared",
        "-fPIC",
        source,
        "-o",
        library,
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return library


def run(name: str, folder: Path, options: argparse.Namespace) -> Report:
    report = Report(name)
    engine = ["--realtime"] if options.realtime else []
    engine += ["--pin", str(options.pin)] if options.pin is not None else []
    environment = {}
    shared = folder / f"clock_{name}"
    if name == "clock":
        shared.write_bytes(bytes(4096))
        environment = {"LD_PRELOAD": str(build_shim(folder)), "BENCH_CLOCK_SHIM": str(shared)}
    places = options.calls + LEARNERS
    with Rig(places, folder, engine, options.far_cpu, options.far_fifo, environment) as rig:
        scene = Scene(rig, report, options)
        time.sleep(2.0)
        rig.tell("z")
        for number in scene.numbers:
            rig.seen(number)  # the longest distance counts from here
        if name == "clock":
            with shared.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as memory:
                scene.clock(memory)
        else:
            SCENARIOS[name][1](scene)
        scene.recover()
        rig.tell("z")
        time.sleep(2.0)
        report.after_p99_ms = rig.distances()["p99_ms"]
        scene.judge()
        closed = rig.ask("close", numbers=list(rig.places))
        ends = [c["events"].get("CallClosed", 0) for c in closed.values()]
        report.ledger.equal("CallClosed events = calls closed", sum(ends), len(rig.places))
        left = rig.ask("stats", numbers=[])["engine"]["calls"]
        report.ledger.equal("calls on the shard at the end = 0", left, 0)
    codes = rig.exit_codes or (1, 1)
    report.exit_code = codes[0]
    report.ledger.equal("exit codes = 0", abs(codes[0]) + abs(codes[1]), 0)
    return report


COLUMNS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("datagrams\nsent in", lambda r: f"{r.sent:,}"),
    ("a second", lambda r: f"{r.sent / r.seconds:,.0f}" if r.seconds else ""),
    ("packets\nout", lambda r: f"{r.packets:,}"),
    ("due", lambda r: f"{r.due:,}"),
    ("longest\npause ms", lambda r: f"{r.longest_ms:.0f}"),
    ("recovery\nms", lambda r: f"{r.recovery_ms:.0f}"),
    ("then p99\nms", lambda r: f"{r.after_p99_ms:.2f}"),
    ("ticks late\n> 20 ms", lambda r: f"{r.late_ticks:,}"),
    ("RTP\ntimeouts", lambda r: f"{r.timeouts}"),
    ("dropped by\nthe kernel", lambda r: f"{r.drops:,}"),
    ("exit\ncode", lambda r: f"{r.exit_code}"),
    (
        "laws\nbroken",
        lambda r: (
            f"{sum(e.broken > 0 for e in r.ledger.equations.values())} of {len(r.ledger.equations)}"
        ),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a flood")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the shard")
    parser.add_argument("--pin", type=int, help="the shard's CPU")
    parser.add_argument("--far-cpu", type=int, default=-1, help="the load process's CPU")
    parser.add_argument("--far-fifo", action="store_true")
    parser.add_argument("--laws", action="store_true", help="print every scenario's equations")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.only or list(SCENARIOS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_far(folder)
        write_content(folder)
        errors = Console(stderr=True)
        steps = track(names, "chaos", console=errors, transient=True, disable=options.json)
        reports = [run(one, folder, options) for one in steps]
    good = all(report.ledger.holds for report in reports)
    if options.json:
        rows = [{**asdict(r), "ledger": r.ledger.rows()} for r in reports]
        print(json.dumps({"good": good, "scenarios": rows, "load": os.getloadavg()[0]}))
        return 0 if good else 1
    console = Console(width=165)
    table = Table(title=f"{options.calls} calls; machine's load {os.getloadavg()[0]:.1f}")
    table.add_column("scenario")
    for title, _ in COLUMNS:
        table.add_column(title, justify="right")
    for report in reports:
        table.add_row(SCENARIOS[report.name][0], *(cell(report) for _, cell in COLUMNS))
    console.print(table)
    for report in reports:
        if report.notes:
            console.print(f"{report.name}: {report.notes}")
        if options.laws or not report.ledger.holds:
            console.print(report.ledger.table(report.name))
    console.print("all laws hold" if good else "[red]laws BROKEN[/red]")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
