"""The agent of the barge-in bench on voicecore's engine; started by barge_in.py.

It speaks from the first moment on, is silent when the caller barges in, and speaks again when the
caller has stopped. The loop is held as the standard input says; the hold keeps Python's lock too.

Standard input: one line of JSON (ports, voice, holds_ns, hold_ms, settings), then "start NS", then
"stop". Standard output: the ports, then one JSON object.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import BargedIn, SpeechStarted, SpeechStopped
from voicecore.media.gate import GateSettings

LOOPBACK = "127.0.0.1"
PLAY_BUFFER_MS = 20_000


def hold(ms: float) -> None:
    """Sleep with Python's lock held: no other thread runs Python meanwhile, and no CPU is used."""
    ctypes.PyDLL(None).usleep(int(ms * 1000))


async def converse(call: Call, voice: Any, events: list[dict[str, Any]]) -> None:
    """Answer as a session would: flush when barged in, speak when the caller has stopped."""
    call.play(voice)
    async for event in call:
        if call.is_closed:
            return
        call.read_audio()
        if isinstance(event, BargedIn):
            call.flush()
        elif isinstance(event, SpeechStopped):
            call.flush()
            call.play(voice)
        if isinstance(event, BargedIn | SpeechStarted):
            row = {"call": call.number, "kind": type(event).__name__, "stamp_ns": event.stamp_ns,
                   "sample": event.sample, "audio_ns": event.audio_ns}  # fmt: skip
            events.append(row)


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    loop = asyncio.get_running_loop()
    voice = np.frombuffer(Path(order["voice"]).read_bytes(), np.int16)
    voice = resample_poly(voice.astype(np.float32), 3, 1)  # as synthesizers give it: 24 kHz
    voice = np.clip(voice, -32768, 32767).astype(np.int16)
    events: list[dict[str, Any]] = []
    settings = {"play_hz": 24000, "play_buffer_ms": PLAY_BUFFER_MS, **order["settings"]}
    if "speaking" in settings:
        settings["speaking"] = GateSettings(**settings["speaking"])
    # Admission looks at the CPU and at lateness; this bench wants all its calls whatever they are.
    async with Engine(
        max_load=None, max_lateness_ms=None, realtime=bool(order["realtime"])
    ) as engine:
        calls = [
            await engine.open_call(CallConfig(remote=(LOOPBACK, port), **settings))
            for port in order["ports"]
        ]
        print(json.dumps([call.local_address[1] for call in calls]), flush=True)
        numbers = [call.number for call in calls]
        line = await asyncio.to_thread(sys.stdin.readline)
        start_ns = int(line.split()[1])
        talks = [asyncio.create_task(converse(call, voice, events)) for call in calls]
        if order["hold_ms"]:
            ctypes.PyDLL(None).usleep(1)
            for at_ns in order["holds_ns"]:
                loop.call_at((start_ns + at_ns) / 1e9, hold, order["hold_ms"])
        cpu = time.process_time()
        await asyncio.to_thread(sys.stdin.readline)
        cpu = time.process_time() - cpu
        stats = [call.stats() for call in calls]
        ticks = engine.stats()
    await asyncio.gather(*talks)
    for event in events:
        event["call"] = numbers.index(event["call"])
    found = {"events": events, "calls": stats, "engine": ticks, "cpu_s": cpu}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
