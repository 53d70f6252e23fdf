"""How often many calls wake the loop: every call is read in chunks of 100 ms.

    make build
    python bench/engine/wakeups.py [--calls 2 40 200 400] [--seconds 4]

Pairs of calls send each other silence over loopback. For wake_ms 1 (as often as there is news) and
20: chunks a second, wake-ups of the loop a second, CPU time of the process as a share of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import replace

from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine

SETTINGS = CallConfig(play_hz=8000, echo="off", receive_buffer_ms=1000)


async def measure(calls: int, wake_ms: int, seconds: float) -> tuple[float, float, float]:
    """Chunks and wake-ups a second, and CPU time."""
    chunks = 0

    async def read(call: Call) -> None:
        nonlocal chunks
        async for _ in call.chunks(100):
            chunks += 1

    async with Engine(max_load=None, max_lateness_ms=None, wake_ms=wake_ms) as engine:
        opened = []
        for _ in range(calls // 2):
            one = await engine.open_call(SETTINGS)
            opened += [one, await engine.open_call(replace(SETTINGS, remote=one.local_address))]
        tasks = [asyncio.create_task(read(call)) for call in opened]
        await asyncio.sleep(1)
        before = chunks, engine.stats()["loop_wakeups"], time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        passed_s = time.monotonic() - before[3]
        found = chunks - before[0], engine.stats()["loop_wakeups"] - before[1]
        used_s = time.process_time() - before[2]
        for task in tasks:
            task.cancel()
    return found[0] / passed_s, found[1] / passed_s, used_s / passed_s


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, nargs="+", default=[2, 40, 200, 400])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    for calls in options.calls:
        for wake_ms in (1, 20):
            chunks, wakeups, load = asyncio.run(measure(calls, wake_ms, options.seconds))
            print(
                f"{calls:5} calls, wake_ms {wake_ms:2}: {chunks:7.0f} chunks, {wakeups:6.1f} "
                f"wake-ups a second, {load:.2f} of a core"
            )


if __name__ == "__main__":
    main()
