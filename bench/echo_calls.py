"""Full calls whose agent hears its own voice through a room: false barge-ins and reaction times.

    python -m bench.echo_calls                    20 calls of 10 minutes; some five minutes' work
    python -m bench.echo_calls --minutes 1        shorter
    python -m bench.echo_calls --echo off         the same without a canceller

Callers speak over the agent at SER 0 (as loud as the echo, by active level), one after the other,
and the time from the onset to the last agent sample sent is taken; beside it the same callers with
no echo and no canceller, which is what the VAD and the gate need by themselves. Then the agent
speaks alone, all the time, and every barge-in is false. Rooms, delays of 60 to 400 ms, echo losses
of 6 to 20 dB and voices are drawn from the seed. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.media.config import CallConfig
from voicecore.media.gate import GateSettings
from voicecore.testing.echo_calls import EchoCall, EchoCallReport, run_echo_calls
from voicecore.testing.echo_paths import convolve, room_response
from voicecore.testing.echo_speech import (
    NEAR_VOICES,
    active_level_dbfs,
    at_level,
    far_speech,
    near_speech,
)
from voicecore.testing.virtual import VirtualEngine

RATE_HZ = 8000
BAR_MS = 250.0
Signal = NDArray[np.float64]


def make_scene(seed: int, callers: int) -> EchoCall:
    """An agent of 60 s of prompts at -20 dBFS, a room, and callers of 2 s."""
    rng = np.random.default_rng([seed, 50])
    agent = far_speech(rng, RATE_HZ, 60.0)
    response = room_response(float(rng.choice([0.2, 0.3, 0.4])), RATE_HZ, seed)
    loss_db = float(rng.uniform(6.0, 20.0))
    echo_dbfs = active_level_dbfs(convolve(agent, response), RATE_HZ)
    response = response * 10 ** ((-20.0 - loss_db - echo_dbfs) / 20.0)
    voice = NEAR_VOICES[seed % len(NEAR_VOICES)]
    pool = near_speech(rng, RATE_HZ, 3.0 * callers + 10.0, -20.0 - loss_db, voice=voice)
    said = []
    for k in range(callers):
        said.append(first_words(pool[3 * k * RATE_HZ : (3 * k + 6) * RATE_HZ], -20.0 - loss_db))
    return EchoCall(
        agent=agent,
        response=response,
        delay_ms=float(rng.uniform(60.0, 400.0)),
        callers=tuple(said),
        seed=seed,
    )


def first_words(signal: Signal, level_dbfs: float) -> Signal:
    """2 s from where speech begins after a pause, at this level."""
    frame = RATE_HZ // 100
    power = np.square(signal[: len(signal) // frame * frame]).reshape(-1, frame).mean(axis=1)
    loud = power > 10 ** ((level_dbfs - 30.0) / 10)
    quiet = 15
    begin = next(
        (i for i in range(quiet, len(loud) - 200) if loud[i] and not loud[i - quiet : i].any()), 0
    )
    return at_level(signal[begin * frame : begin * frame + 2 * RATE_HZ], RATE_HZ, level_dbfs)


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def held_bytes() -> int:
    """Of the C heap."""
    libc: Any = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo
    found = libc.mallinfo2()
    return int(found.uordblks + found.hblkhd)


def bytes_a_call(echo: str) -> int:
    """Mean over 200 open calls."""
    engine = VirtualEngine()
    before = held_bytes()
    for _ in range(200):
        engine.open(CallConfig(echo=echo))
    return (held_bytes() - before) // 200


def show(name: str, reports: list[EchoCallReport]) -> tuple[int, float]:
    false = sum(len(r.false_barge_ins) for r in reports)
    starts = sum(r.false_starts for r in reports)
    erle = [r.stats["echo_erle_db"] for r in reports]
    for number, report in enumerate(reports):
        if report.false_barge_ins:
            print(f"  call {number}, s: {' '.join(f'{t:.1f}' for t in report.false_barge_ins)}")
    times = np.array([t for r in reports for t in r.reactions_ms])
    print(f"{name}: {false} false barge-ins, {starts} false speech starts", end="")
    print(f"; ERLE at the end {np.median(erle):.1f} dB ({min(erle):.1f})")
    if not len(times):
        return false, 0.0
    p95 = float(np.quantile(times, 0.95, method="higher"))
    reached = times[np.isfinite(times)]
    print(
        f"  {len(times)} callers: median {np.median(times):.0f} ms, p95 {p95:.0f} ms, "
        f"slowest {max(reached):.0f} ms, missed {len(times) - len(reached)}"
    )
    return false, p95


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--callers", type=int, default=10, help="of each call")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--echo", choices=("on", "off"), default="on")
    parser.add_argument("--max-likelihood", type=float, default=GateSettings().max_echo_likelihood)
    parser.add_argument("--evidence", type=float, default=GateSettings().evidence)
    args = parser.parse_args()
    gate = GateSettings(max_echo_likelihood=args.max_likelihood, evidence=args.evidence)
    config = CallConfig(play_hz=RATE_HZ, echo=args.echo, speaking=gate)
    print(f"bytes a call: {bytes_a_call('off')} without, {bytes_a_call('on')} with the canceller")
    scenes = [make_scene(args.first_seed + i, args.callers) for i in range(args.calls)]
    # Each caller speaks for 2 s, 3 to 5 s after the one before.
    seconds = 3.0 + 7.0 * args.callers
    silent = [replace(s, response=s.response[:0]) for s in scenes]
    show("no echo, no canceller", run_echo_calls(silent, seconds, replace(config, echo="off")))
    talk = show("callers at SER 0", run_echo_calls(scenes, seconds, config))
    alone = [replace(s, callers=()) for s in scenes]
    minutes = args.minutes * 60.0
    false, _ = show(f"agent alone, {args.calls} calls of {args.minutes:g} minutes",
                    run_echo_calls(alone, minutes, config))  # fmt: skip
    met = false == 0 and talk[1] <= BAR_MS
    print("bars met" if met else "bars MISSED", f"(0 false barge-ins alone, p95 <= {BAR_MS:g} ms)")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
