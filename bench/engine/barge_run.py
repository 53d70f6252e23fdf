"""Rows of the barge-in bench: the agent's process and the callers', and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine import barge_plan as planning
from bench.engine import barge_score as score
from bench.engine.barge_plan import Plan, Trial
from voicecore.media.config import CallConfig

__all__ = [
    "ENGINE",
    "INSTALL",
    "PIPECAT_VAD",
    "System",
    "engine_system",
    "find_pipecat",
    "measure",
    "pipecat_system",
]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TAIL_S = 0.5
WINDOW, ECHO = 256, 80  # samples at 8 kHz: the VAD's window, the echo canceller's delay
PATIENCE_NS = 3_500_000_000  # after an onset; the next round comes later than that
ENGINE = "voicecore engine"
INSTALL = "pipecat-ai[silero,websocket]", "uvicorn"

# pipecat's own VAD settings, and quick ones: three windows in a row that are more likely speech.
PIPECAT_VAD = {
    "pipecat": {},
    "pipecat, VAD at 96 ms": {"confidence": 0.5, "start_secs": 0.096, "min_volume": 0.0},
}


@dataclass(frozen=True)
class System:
    """What is measured. ``order`` goes to its process; ``calls`` at once in one process."""

    name: str
    command: list[str]
    stream: bool
    calls: int
    rounds: int
    order: dict[str, Any] = field(default_factory=dict)


def engine_system(calls: int, rounds: int, settings: dict[str, Any], realtime: bool) -> System:
    command = [sys.executable, "-m", "bench.engine.barge_agent"]
    order = {"settings": settings, "realtime": realtime}
    return System(ENGINE, command, False, calls, rounds, order)


def pipecat_system(name: str, python: str, calls: int, rounds: int) -> System:
    order = {"vad": PIPECAT_VAD[name], "chunk_ms": 20}
    return System(
        name, [python, str(HERE / "barge_pipecat.py")], True, calls, rounds, order
    )  # fmt: skip


def find_pipecat(folder: Path, install: bool) -> tuple[str, str]:
    """Python of the environment that has pipecat, and its version, "" if it is not there."""
    python = folder / "bin" / "python"
    if install and not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if install:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *INSTALL], check=True)
    ask = "from importlib.metadata import version; print(version('pipecat-ai'))"
    if not python.exists():
        return str(python), ""
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return str(python), done.stdout.strip()


def build(folder: Path) -> Path:
    program = folder / "bench_caller"
    source = HERE / "bench_caller.c"
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", source, "-o", program], check=True)
    return program


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise SystemExit(f"{process.args!r} ended early; see above")
    return text


def _say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def measure(
    system: System,
    plan: Plan,
    hold_ms: float,
    folder: Path,
    progress: Callable[[float], None],
) -> dict[str, Any]:
    """One row: all trials of ``plan`` with holds of that length."""
    kind = "tcp" if system.stream else "udp"
    plan_path, log_path = folder / f"{kind}.plan", folder / f"{kind}.log"
    events = planning.ws_messages(plan) if system.stream else planning.rtp_packets(plan)
    planning.write_plan(plan_path, events)
    order = {"voice": str(folder / "agent.raw"), "hold_ms": hold_ms,
             "holds_ns": planning.holds_ns(plan, hold_ms), **system.order}  # fmt: skip
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    fifo = str(int(os.geteuid() == 0))
    caller = subprocess.Popen(
        [folder / "bench_caller", kind, str(plan.calls), plan_path, log_path, str(TAIL_S), fifo],
        **pipes,
    )
    quiet = {**os.environ, "LOGURU_LEVEL": "ERROR"}  # of pipecat's log
    agent = subprocess.Popen(system.command, cwd=ROOT, env=quiet, **pipes)
    try:
        ports = _line(caller).split()[1:]
        _say(agent, json.dumps({"ports": [int(port) for port in ports], **order}))
        answer = json.loads(_line(agent))
        theirs = [answer["port"]] if system.stream else answer
        start_ns = time.monotonic_ns() + 1_000_000_000
        _say(caller, " ".join(map(str, [*theirs, start_ns])))
        _say(agent, f"start {start_ns}")
        load = []
        while caller.poll() is None and time.monotonic_ns() < start_ns + (plan.seconds + 5) * 1e9:
            time.sleep(0.25)
            load.append(os.getloadavg()[0])
            progress(min(1.0, (time.monotonic_ns() - start_ns) / 1e9 / plan.seconds))
        _say(agent, "stop")
        found = json.loads(_line(agent))
    finally:
        for process in (caller, agent):
            if process.poll() is None:
                try:
                    process.communicate(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
    sent = np.fromfile(f"{log_path}.sent", np.int64) - start_ns
    due = np.sort([due_ns for due_ns, _, _ in events])[: len(sent)]
    late_ms = (sent - due) / 1e6
    machine = score.stalls(due, sent)
    row = {
        "system": system.name,
        "title": system.name,
        "hold_ms": hold_ms,
        "machine_load": float(np.mean(load)),
        "agent_core_share": found["cpu_s"] / plan.seconds,
        "caller_late_ms_p99": float(np.percentile(late_ms, 99)),
        "caller_late_ms_max": float(late_ms.max()),
        "machine_stall_s": float((machine[:, 1] - machine[:, 0]).sum() / 1e9),
    }
    if system.stream:
        row["title"] = system.name.replace("pipecat", f"pipecat {answer['version']}")
    logs = planning.read_log(log_path, plan.calls)
    scored = score_stream if system.stream else score_rtp
    scores, streams = scored(plan, logs, start_ns, found, system.order)
    return row | scores | {"pacing": score.pacing(streams, machine)}


# -- what came of it -----------------------------------------------------------------------------


def _summary(outcomes: list[tuple[Trial, str, int]]) -> dict[str, Any]:
    values = [(at - t.onset_ns) / 1e6 for t, status, at in outcomes if status == "stopped"]
    count = lambda status: sum(1 for _, found, _ in outcomes if found == status)  # noqa: E731
    return {
        "trials": len(outcomes) - count("silent"),
        "not_speaking": count("silent"),
        "missed": count("missed"),
        "latency_ms": score.quantiles(values),
        "latencies_ms": [round(value, 3) for value in values],
    }


def score_rtp(
    plan: Plan,
    logs: list[list[tuple[int, bytes]]],
    start_ns: int,
    found: dict[str, Any],
    order: dict[str, Any],
) -> tuple[dict[str, Any], list[NDArray[np.int64]]]:
    cancels_echo = CallConfig(echo=order["settings"].get("echo", "auto")).cancels_echo
    outcomes, stages, streams, unexplained = [], [], [], 0
    for call in range(plan.calls):
        times, blocks = planning.rtp_received(logs[call])
        streams.append(times - start_ns)
        heard = score.audible(times - start_ns, blocks)
        gates = [
            event["stamp_ns"] - start_ns
            for event in found["events"]
            if event["call"] == call and event["kind"] == "BargedIn"
        ]
        for trial in (trial for trial in plan.trials if trial.call == call):
            status, at_ns = score.silent_after(heard, trial.onset_ns, trial.onset_ns + PATIENCE_NS)
            outcomes.append((trial, status, at_ns))
            if status != "stopped":
                continue
            near = [gate for gate in gates if abs(gate - at_ns) < 2 * score.TICK_NS]
            if near:
                stages.append(_stages(plan, trial, near[0], ECHO * cancels_echo, at_ns))
            else:
                unexplained += 1
    return _summary(outcomes) | {
        "stages": _stage_table(stages),
        "without_gate": unexplained,
        "late_ticks_20ms": found["engine"]["late_ticks_20ms"],
    }, streams


def _stages(
    plan: Plan, trial: Trial, gate_ns: int, echo_samples: int, silent_ns: int
) -> dict[str, float]:
    """Where the time of one trial went; the parts add up to "onset to silence"."""
    numbers, due_ns = plan.packets[trial.call]
    origin = int(numbers[0]) * planning.FRAME  # where the receive timeline begins
    onset = trial.onset_sample - origin
    holds_onset = (onset // WINDOW + 1) * WINDOW
    there = int(numbers[due_ns <= gate_ns].max() + 1) * planning.FRAME - origin
    decided = (there - echo_samples) // WINDOW * WINDOW  # one past the last sample judged
    packet = (decided + echo_samples + origin - 1) // planning.FRAME
    arrived = np.flatnonzero(numbers >= packet)  # a lost one is made up for when a later comes
    arrived_ns = int(due_ns[arrived[0]])
    full_ns = plan.spoken_ns[trial.call] + (packet + 1) * score.TICK_NS
    spoken_ns = plan.spoken_ns[trial.call] + (decided + echo_samples + origin) * score.SAMPLE_NS
    return {
        "echo canceller: its delay": echo_samples / 8,
        "VAD: rest of the window with the onset": (holds_onset - onset) / 8,
        "VAD and gate: windows after that": (decided - holds_onset) / 8,
        "caller: rest of the packet": (full_ns - spoken_ns) / 1e6,
        "network: jitter": (arrived_ns - full_ns) / 1e6,
        "engine: until the decision": (gate_ns - arrived_ns) / 1e6,
        "engine: next packet, fade": (silent_ns - gate_ns) / 1e6,
        "onset to decision": (gate_ns - trial.onset_ns) / 1e6,
        "onset to silence": (silent_ns - trial.onset_ns) / 1e6,
    }


def _stage_table(stages: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Quantiles of each stage, and its mean in all trials and in the slowest twentieth."""
    if not stages:
        return {}
    slow = sorted(stages, key=lambda stage: stage["onset to silence"])[-max(1, len(stages) // 20) :]
    mean = lambda rows, name: float(np.mean([row[name] for row in rows]))  # noqa: E731
    return {
        name: score.quantiles([stage[name] for stage in stages])
        | {"mean": mean(stages, name), "mean_of_slowest_5_percent": mean(slow, name)}
        for name in stages[0]
    }


def score_stream(
    plan: Plan,
    logs: list[list[tuple[int, bytes]]],
    start_ns: int,
    found: dict[str, Any],
    order: dict[str, Any],
) -> tuple[dict[str, Any], list[NDArray[np.int64]]]:
    outcomes, told, decided = [], [], []
    streams: list[NDArray[np.int64]] = []
    for call in range(plan.calls):
        (times, blocks), clears = planning.ws_received(logs[call])
        times, clears = times - start_ns, [at - start_ns for at in clears]
        lengths = np.array([len(block) for block in blocks], np.int64)
        heard = score.audible(score.played(times, lengths, clears), blocks)
        # A packet or two may follow a clear; from 300 ms on it is the next answer.
        edges = [-(2**62), *clears, 2**62]
        for begin, end in pairwise(edges):
            streams.append(times[(times > begin + 300_000_000) & (times < end)])
        begun = [
            event["stamp_ns"] - start_ns
            for event in found["events"]
            if event["call"] == call and event["kind"] == "VADUserStartedSpeakingFrame"
        ]
        for trial in (trial for trial in plan.trials if trial.call == call):
            due = [at for at in clears if 0 <= at - trial.onset_ns < PATIENCE_NS]
            until_ns = trial.onset_ns + PATIENCE_NS
            status, at_ns = score.silent_after(
                heard, trial.onset_ns, until_ns, due[0] if due else until_ns
            )
            if status == "stopped" and not due:
                status = "missed"
            outcomes.append((trial, status, at_ns))
            if status != "stopped":
                continue
            told.append((due[0] - trial.onset_ns) / 1e6)
            decided += [
                (at - trial.onset_ns) / 1e6 for at in begun if trial.onset_ns <= at < due[0]
            ]
    return _summary(outcomes) | {
        "told_ms": score.quantiles(told),
        "stages": {"onset to decision": score.quantiles(decided)},
    }, streams
