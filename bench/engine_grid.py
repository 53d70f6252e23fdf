"""How well the engine keeps its 20 ms grid, seen from another process on loopback.

    python bench/engine_grid.py                          one call, the loop blocked now and then
    python bench/engine_grid.py --calls 200 --seconds 30 --json

A peer process answers every packet with a packet of real speech, so every stage of the receive
path works too. It takes arrival times from the kernel (SO_TIMESTAMPNS), so its own scheduling does
not count. The event loop of the measured process is blocked for --block-ms every two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SO_TIMESTAMPNS = 35
LOOPBACK = "127.0.0.1"


# -- the peer process ----------------------------------------------------------------------


def speech_packets() -> list[bytes]:
    """One loop of real speech as PCMU payloads."""
    from tests import audio
    from voicecore import G711

    pcm = (np.clip(audio.speech("beckett", 8000), -1, 0.9999) * 32768).astype(np.int16)
    law = G711("ulaw")
    return [law.encode(pcm[i : i + 160]) for i in range(0, len(pcm) - 160, 160)]


def run_peer(calls: int) -> None:
    """Echo every packet with speech until standard input says stop; print what came when."""
    payloads = speech_packets()
    sockets = {}
    poll = select.epoll()
    for index in range(calls):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.bind((LOOPBACK, 0))
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        poll.register(peer, select.EPOLLIN)
        # Each call starts elsewhere in the speech, so that not all callers speak at once.
        sockets[peer.fileno()] = [peer, index * 37 % len(payloads), [], 0]
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print(json.dumps([entry[0].getsockname()[1] for entry in sockets.values()]), flush=True)
    stopping = False
    while not stopping:
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                stopping = True
                continue
            entry = sockets[fd]
            peer, position, times, sent = entry
            while True:
                try:
                    packet, ancillary, _, sender = peer.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
                sequence = int.from_bytes(packet[2:4], "big")
                times.append((seconds * 1_000_000_000 + nanoseconds, sequence))
                header = struct.pack("!BBHII", 0x80, 0, sent & 0xFFFF, sent * 160, 7)
                peer.sendto(header + payloads[position % len(payloads)], sender)
                entry[1] = position = position + 1
                entry[3] = sent = sent + 1
    json.dump([(entry[2], entry[3]) for entry in sockets.values()], sys.stdout)


# -- the measured process ------------------------------------------------------------------


async def measure(calls: int, seconds: float, block_ms: float) -> dict[str, float]:
    from voicecore.media.config import CallConfig
    from voicecore.media.engine import Engine

    peer = subprocess.Popen(  # noqa: ASYNC220  before the measurement begins
        [sys.executable, __file__, "--peer", "--calls", str(calls)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    ports = json.loads(peer.stdout.readline())
    async with Engine() as engine:
        legs = [
            await engine.open_call(CallConfig(remote=(LOOPBACK, port), play_hz=8000))
            for port in ports
        ]
        tone = (np.sin(np.arange(8000) * 0.3) * 8000).astype(np.int16)
        end = time.monotonic() + seconds
        blocked = 0
        while time.monotonic() < end:
            for leg in legs:
                if leg.queued_ms < 2000:
                    leg.flush()
                    leg.play(np.tile(tone, 4))
            await asyncio.sleep(2 - block_ms / 1000)
            time.sleep(block_ms / 1000)  # noqa: ASYNC251  this is the point
            blocked += 1
        counters = engine.stats()
        stats = [leg.stats() for leg in legs]
        peer.stdin.write("stop\n")
        peer.stdin.flush()
        output, _ = await asyncio.to_thread(peer.communicate)
    seen = json.loads(output)
    deviations, missing = [], 0
    for times, _ in seen:
        stamps = np.array([at for at, _ in times], dtype=np.int64)
        sequences = np.array([sequence for _, sequence in times], dtype=np.int64)
        steps = np.diff(sequences) % 65536
        missing += int((steps - 1).sum())
        deviations.append((np.diff(stamps) / 1e6 - 20.0)[steps == 1])
    deviation = np.abs(np.concatenate(deviations))
    answered = sum(sent for _, sent in seen)
    received = sum(s["packets_received"] for s in stats)
    return {
        "calls": calls,
        "seconds": seconds,
        "times_loop_blocked": blocked,
        "block_ms": block_ms,
        "packets_seen": int(sum(len(times) for times, _ in seen)),
        "packets_missing_at_peer": missing,
        "packets_lost_at_engine": int(sum(s["lost"] for s in stats)),
        "packets_concealed": int(sum(s["concealed_samples"] for s in stats)) // 160,
        "answers_not_yet_received": int(answered - received),
        "deviation_ms_p50": float(np.percentile(deviation, 50)),
        "deviation_ms_p99": float(np.percentile(deviation, 99)),
        "deviation_ms_p999": float(np.percentile(deviation, 99.9)),
        "deviation_ms_max": float(deviation.max()),
        "ticks": counters["ticks"],
        "late_ticks_1ms": counters["late_ticks_1ms"],
        "late_ticks_5ms": counters["late_ticks_5ms"],
        "late_ticks_20ms": counters["late_ticks_20ms"],
        "max_lateness_ms": counters["max_lateness_ns"] / 1e6,
        "tick_work_us_per_call": counters["tick_work_ns"] / counters["ticks"] / calls / 1e3,
        "max_tick_work_ms": counters["max_tick_work_ns"] / 1e6,
        "underruns": int(sum(s["underruns"] for s in stats)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--block-ms", type=float, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        run_peer(options.calls)
        return
    result = asyncio.run(measure(options.calls, options.seconds, options.block_ms))
    if options.json:
        print(json.dumps(result))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"The 20 ms grid on {platform.machine()}, {os.cpu_count()} CPUs")
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in result.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
