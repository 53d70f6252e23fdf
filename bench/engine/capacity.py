"""How many calls a core carries and how well it keeps their 20 ms, seen from another process.

    python bench/engine/capacity.py                            2,000 calls on one shard
    python bench/engine/capacity.py --calls 100 500 1000 2000  one row each
    python bench/engine/capacity.py --shards 2 --calls 1000    two shards
    python bench/engine/capacity.py --block-ms 500 --json      the event loop blocked every 2 s
    python bench/engine/capacity.py --codec opus --calls 200   Opus at 16 kHz, coded before the run

A load process in C (bench_load.c, compiled here) sends real speech in talk spurts from its
own sockets and takes the arrival times of the engine's packets from the kernel; the engine runs in
a process of its own with Python's loop feeding and reading every call. Times of the engine are CPU
times of its threads, so other programs on the machine do not count; lateness does count them: the
load (1 minute) and how long the shards waited for a CPU (a share of the time) stand in every row.
With --pin, --realtime and --load-fifo on a CPU each, both come before other programs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.engine.content import CODECS, speech, write_content  # noqa: E402

LOOPBACK = "127.0.0.1"
TURN_S = 2.0  # how often Python comes round to each call


# -- the engine process ----------------------------------------------------------------------


@dataclass
class Snapshot:
    """Counters of the engine, CPU times of its threads, and the memory of the process."""

    stats: dict[str, Any]
    calls: list[dict[str, Any]]
    threads: dict[int, tuple[int, int]]
    process_ns: int
    profile: Any
    estimate: Any

    @classmethod
    def take(cls, engine: Any, legs: list[Any]) -> Snapshot:
        return cls(
            engine.stats(),
            [leg.stats() for leg in legs],
            shard_threads(),
            time.process_time_ns(),
            engine.profile(),
            engine.capacity_estimate(),
        )


def shard_threads() -> dict[int, tuple[int, int]]:
    """CPU time and time spent waiting for a CPU, ns, of each shard's thread."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("voicecore-shard"):
            used, waited, _ = (task / "schedstat").read_text().split()
            found[int(task.name)] = (int(used), int(waited))
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def agent_turns(options: argparse.Namespace) -> list[Any]:
    """Speech without its pauses, backwards: what the callers say must not be an echo of it."""
    rate = options.play_hz or options.rate_hz
    frames = speech(rate)[::-1]
    frames = frames[: len(frames) // rate * rate].reshape(-1, rate // 10)
    spoken = frames[np.abs(frames).max(axis=1) > 300].ravel()
    n = int(rate * TURN_S)
    turns = spoken[: len(spoken) // n * n].reshape(-1, n)
    return [np.ascontiguousarray(turn[: int(n * options.speaking)]) for turn in turns]


async def feed(
    legs: list[Any], turns: list[Any], options: argparse.Namespace, stop: asyncio.Event
) -> None:
    """Give every call its agent audio and read its received audio, a few calls at a time."""
    pieces = min(100, len(legs))
    due = time.monotonic()
    for audio in itertools.cycle(turns):
        if stop.is_set():
            return
        for piece in range(pieces):
            for leg in legs[piece::pieces]:
                leg.read_audio()
                if len(audio):
                    leg.play(audio)
                    leg.end_segment()
            due += (TURN_S - options.block_ms / 1000) / pieces
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if options.block_ms:
            time.sleep(options.block_ms / 1000)  # noqa: ASYNC251  this is the point
            due += options.block_ms / 1000


async def run_engine(options: argparse.Namespace) -> None:
    """Open the calls to the ports on standard input; report what happened between two lines."""
    from voicecore.media.config import CallConfig
    from voicecore.media.engine import Engine

    audio = agent_turns(options)
    remote = json.loads(sys.stdin.readline())
    before = resident_bytes()
    async with Engine(
        shards=options.shards,
        max_calls=len(remote),
        pin=options.pin,
        realtime=options.realtime,
        max_load=None,
        max_lateness_ms=None,
        raw_send=options.raw_send,
        one_port=(LOOPBACK, 0) if options.one_port else None,
    ) as engine:
        legs = [
            await engine.open_call(
                CallConfig(
                    codec=options.codec,
                    rate_hz=options.rate_hz,
                    remote=(LOOPBACK, port),
                    play_hz=options.play_hz or options.rate_hz,
                    barge_in=False,
                    opus_complexity=options.opus_complexity,
                    play_buffer_ms=options.play_buffer_ms,
                    receive_buffer_ms=options.receive_buffer_ms,
                    echo=options.echo,
                )
            )
            for port in remote
        ]
        print(json.dumps([leg.local_address[1] for leg in legs]), flush=True)
        stop = asyncio.Event()
        feeding = asyncio.create_task(feed(legs, audio, options, stop))
        await asyncio.to_thread(sys.stdin.readline)
        first = Snapshot.take(engine, legs)
        await asyncio.to_thread(sys.stdin.readline)
        last = Snapshot.take(engine, legs)
        memory = resident_bytes() - before
        stop.set()
        await feeding
    print(json.dumps(summary(first, last, len(legs), memory, options)), flush=True)


def summary(
    first: Snapshot, last: Snapshot, calls: int, memory_bytes: int, options: argparse.Namespace
) -> dict[str, Any]:
    stats = {
        name: value if name.startswith("max_") else value - first.stats[name]
        for name, value in last.stats.items()
        if isinstance(value, int)
    }

    def count(name: str) -> int:
        pairs = zip(first.calls, last.calls, strict=True)
        return sum(int(after[name] - before[name]) for before, after in pairs)

    used_ns = [last.threads[tid][0] - first.threads[tid][0] for tid in last.threads]
    waited_ns = [last.threads[tid][1] - first.threads[tid][1] for tid in last.threads]
    call_ticks = count("packets_sent") or 1
    frame = options.rate_hz // 50
    ring_bytes = calls * ring_memory_bytes(options.receive_buffer_ms, options.rate_hz)
    return {
        "call_ticks": call_ticks,
        "us_per_call_tick": sum(used_ns) / call_ticks / 1e3,
        "shard_cpu_ns": used_ns,
        "shard_waited_ns": waited_ns,
        "python_cpu_ns": last.process_ns - first.process_ns - sum(used_ns),
        "memory_kb_per_call": memory_bytes / calls / 1024,
        "memory_kb_without_received_ring": (memory_bytes - ring_bytes) / calls / 1024,
        "capacity_estimate": last.estimate.capacity_calls,
        "stage_us": stage_us(first, last),
        "stage_us_per_call_tick": {
            name: us * STAGE_UNITS[name] for name, us in stage_us(first, last).items()
        },
        "packets_lost_at_engine": count("lost"),
        "packets_late_at_engine": count("late"),
        "packets_concealed": count("concealed_samples") // frame,
        "underruns": count("underruns"),
        "echo_run_share": float(np.mean([call["echo_run_share"] for call in last.calls])),
        "windows_rested_share": count("windows_rested") / max(1, stats["windows"]),
        "engine_send_errors": count("send_errors"),
        "unread_dropped_samples": count("unread_dropped_samples"),
        **{f"engine_{name}": value for name, value in stats.items()},
    }


# Units of a stage in a call's 20 ms: one datagram, 20/32 of a window, one packet.
STAGE_UNITS = {"receive": 1.0, "take": 1.0, "judge": 0.625, "render": 1.0, "send": 1.0}


def stage_us(first: Snapshot, last: Snapshot) -> dict[str, float]:
    found = {}
    for name in STAGE_UNITS:
        before, after = first.profile.stages[name], last.profile.stages[name]
        found[name] = (after.total_us - before.total_us) / max(1, after.units - before.units)
    return found


def ring_memory_bytes(receive_buffer_ms: int, rate_hz: int) -> int:
    """The ring of received PCM, with what is given up while it is overwritten."""
    return 2 * (rate_hz // 1000 * receive_buffer_ms + 1024)


# -- the driver --------------------------------------------------------------------------------


def build(folder: Path) -> Path:
    program = folder / "bench_load"
    source = Path(__file__).parent / "bench_load.c"
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", source, "-o", program], check=True)
    return program


def stolen_s() -> float:
    """CPU time that the host of a virtual machine gave to others."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def measure(
    program: Path, content: Path, calls: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One row: the load process and the engine process, connected to one another."""
    arguments = [
        sys.executable, __file__, "--engine", "--shards", str(options.shards),
        "--codec", options.codec, "--rate-hz", str(options.rate_hz),
        "--play-hz", str(options.play_hz), "--block-ms", str(options.block_ms),
        "--speaking", str(options.speaking), "--play-buffer-ms", str(options.play_buffer_ms),
        "--receive-buffer-ms", str(options.receive_buffer_ms), "--echo", options.echo,
        *([] if options.opus_complexity is None
          else ["--opus-complexity", str(options.opus_complexity)]),
        *(["--realtime"] if options.realtime else []),
        *(["--raw-send"] if options.raw_send else []),
        *(["--one-port"] if options.one_port else []),
        *(["--pin", *map(str, options.pin)] if options.pin else []),
    ]  # fmt: skip
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    engine = subprocess.Popen(arguments, **pipes)
    load = subprocess.Popen(
        [program, str(calls), content, str(options.warm_up), str(options.seconds),
         str(options.load_cpu), str(int(options.load_fifo)), str(options.start)],
        **pipes,
    )  # fmt: skip
    try:
        assert engine.stdin is not None
        assert engine.stdout is not None
        assert load.stdin is not None
        assert load.stdout is not None

        def line(stream: Any) -> str:
            text = stream.readline()
            if not text:
                raise SystemExit("a process of the measurement ended early; see above")
            return str(text)

        def say(stream: Any, text: str) -> None:
            stream.write(text + "\n")
            stream.flush()

        say(engine.stdin, json.dumps([int(port) for port in line(load.stdout).split()[1:]]))
        say(load.stdin, " ".join(str(port) for port in json.loads(line(engine.stdout))))
        line(load.stdout)
        stolen = stolen_s()
        say(engine.stdin, "measuring")
        seen = json.loads(line(load.stdout))
        stolen = stolen_s() - stolen
        say(engine.stdin, "stop")
        found = json.loads(line(engine.stdout))
    finally:
        for process in (engine, load):
            process.communicate() if process.returncode is None else None
    return {
        "calls": calls,
        "shards": options.shards,
        "stolen_core_share": stolen / seen["seconds"],
        "machine_load": os.getloadavg()[0],
        "core_share": sum(found["shard_cpu_ns"]) / 1e9 / seen["seconds"],
        "waited_for_cpu_share": sum(found["shard_waited_ns"]) / 1e9 / seen["seconds"],
        **seen,
        **found,
    }


COLUMNS = (
    ("calls", "calls", "{:d}"),
    ("shards", "shards", "{:d}"),
    ("us a call\nand tick", "us_per_call_tick", "{:.2f}"),
    ("share of\na core", "core_share", "{:.3f}"),
    ("deviation\nms p50", "deviation_ms_p50", "{:.2f}"),
    ("\np99", "deviation_ms_p99", "{:.2f}"),
    ("\np99.9", "deviation_ms_p999", "{:.2f}"),
    ("\nmax", "deviation_ms_max", "{:.1f}"),
    ("late\np99.9", "late_ms_p999", "{:.2f}"),
    ("ticks late\n> 20 ms", "engine_late_ticks_20ms", "{:d}"),
    ("packets\nmissing", "missing", "{:d}"),
    ("lost at\nthe engine", "packets_lost_at_engine", "{:d}"),
    ("KB a\ncall", "memory_kb_without_received_ring", "{:.0f}"),
    ("waited\nfor CPU", "waited_for_cpu_share", "{:.3f}"),
    ("machine's\nload", "machine_load", "{:.1f}"),
)


def cells(row: dict[str, Any]) -> Iterator[str]:
    for _, key, form in COLUMNS:
        yield form.format(row[key])


def call_rate_hz(options: argparse.Namespace) -> int:
    from voicecore.media.config import CallConfig

    return CallConfig(codec=options.codec, rate_hz=options.rate_hz).rate_hz


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, nargs="+", default=[2000])
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=3, help="seconds before the measurement")
    parser.add_argument("--start", type=float, default=1.0, metavar="S",
                        help="within which the callers begin to speak, of --warm-up")  # fmt: skip
    parser.add_argument("--block-ms", type=float, default=0, help="block the loop every 2 s")
    parser.add_argument("--speaking", type=float, default=1.0, help="the agent's share of time")
    parser.add_argument("--codec", choices=CODECS, default="pcmu")
    parser.add_argument("--rate-hz", type=int, default=0, help="of the call; 0: the codec's own")
    parser.add_argument("--opus-complexity", type=int, help="0 to 10; libopus' own is 9")
    parser.add_argument("--play-hz", type=int, default=0, help="agent audio; 0: the call's rate")
    parser.add_argument("--play-buffer-ms", type=int, default=4000)
    parser.add_argument("--receive-buffer-ms", type=int, default=4000)
    parser.add_argument("--echo", choices=("on", "off"), default="off", help="the canceller")
    parser.add_argument("--pin", type=int, nargs="+", help="one CPU for each shard")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the shards")
    parser.add_argument("--raw-send", action="store_true", help="one raw socket a shard sends")
    parser.add_argument("--one-port", action="store_true", help="one UDP socket a shard")
    parser.add_argument("--load-cpu", type=int, default=-1, help="pin the load process")
    parser.add_argument("--load-fifo", action="store_true", help="SCHED_FIFO for the load process")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rate_hz = call_rate_hz(options)
    if options.engine:
        asyncio.run(run_engine(options))
        return
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        content = write_content(Path(folder) / "speech.packets", options.codec, options.rate_hz)
        rows = [measure(program, content, calls, options) for calls in options.calls]
    if options.json:
        print(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    kind = f"{options.codec} calls at {options.rate_hz // 1000} kHz"
    table = Table(title=f"Full-duplex {kind} on {platform.machine()}, {os.cpu_count()} CPUs")
    for title, _, _ in COLUMNS:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*cells(row))
    console = Console(width=160)
    console.print(table)
    stages = Table(title="us a call and tick by stage, from every 17th wake-up")
    for title in ("calls", *STAGE_UNITS, "sum", "thread's CPU time"):
        stages.add_column(title, justify="right")
    for row in rows:
        parts = list(row["stage_us_per_call_tick"].values())
        values = [*parts, sum(parts), row["us_per_call_tick"]]
        stages.add_row(str(row["calls"]), *(f"{value:.2f}" for value in values))
    console.print(stages)


if __name__ == "__main__":
    main()
