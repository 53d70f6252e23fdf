"""The engine's process of a soak: started by rig.py, driven by lines of JSON on standard input.

    {"do": "open", "remotes": [port or null, ...], "config": {...}}   calls begin
    {"do": "stats", "numbers": [...] or null}                         what they counted
    {"do": "close", "numbers": [...]}                                 the same, and they end
    {"do": "reading"}                                                 what the process holds
    {"do": "quit"}

Python's loop feeds and reads every call every two seconds, and answers barge-ins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.engine.ledger import Reading
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import BargedIn

TURN_S, PIECES, TICK_NS = 2.0, 100, 20_000_000


class Leg:
    """A call and what Python did with it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.read = self.holes = self.next_sample = self.queued = self.answered = 0
        self.events: dict[str, int] = {}

    def follow(self, audio: Any) -> None:
        self.take()
        if len(audio):
            self.queued += self.call.play(audio)
            self.call.end_segment()

    def take(self) -> None:
        while True:
            pcm, first = self.call.read_audio()
            if len(pcm) == 0:
                break
            self.holes += first - self.next_sample
            self.next_sample = first + len(pcm)
            self.read += len(pcm)
        self.take_events()

    def take_events(self) -> None:
        while self.call._events:
            event = self.call._events.popleft()
            name = type(event).__name__
            self.events[name] = self.events.get(name, 0) + 1
            if isinstance(event, BargedIn) and not self.call.is_closed:
                self.answered += 1
                if self.answered % 2:
                    self.call.resume()
                else:
                    self.call.flush()

    def due(self, now_ns: int) -> int:
        """Packets that were due by then, by when the first one left."""
        started = self.call.sent_start_ns
        return 0 if started == 0 else (now_ns - started) // TICK_NS + 1

    def balance(self) -> dict[str, Any]:
        """Counters, with the ticks that were due before and after they were read."""
        self.take()
        before = self.due(time.monotonic_ns())
        stats = self.call.stats()
        after = self.due(time.monotonic_ns())
        return {
            **stats,
            "due": [before, after],
            "read": self.read,
            "holes": self.holes,
            "queued": self.queued,
            "queue_position": self.call.queue_position,
            "events": self.events,
            "cancels_echo": self.call.config.cancels_echo,
        }


async def serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    legs: dict[int, Leg] = {}
    tone = (np.sin(np.arange(int(8000 * TURN_S)) * 0.3) * 8000).astype(np.int16)
    audio = tone[: int(len(tone) * options.speaking)]

    async def feed() -> None:
        due = time.monotonic()
        while True:
            for piece in range(PIECES):
                for number, leg in list(legs.items()):
                    if number % PIECES == piece and not leg.call.is_closed:
                        leg.follow(audio)
                due = max(due + TURN_S / PIECES, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def obey(engine: Engine, command: dict[str, Any]) -> Any:
        numbers = command.get("numbers")
        chosen = list(legs) if numbers is None else numbers
        match command["do"]:
            case "open":
                opened = []
                for port in command["remotes"]:
                    remote = None if port is None else ("127.0.0.1", port)
                    call = await engine.open_call(CallConfig(remote=remote, **command["config"]))
                    legs[call.number] = Leg(call)
                    opened.append([call.number, call.local_address[1]])
                return opened
            case "stats":
                return {
                    "calls": {number: legs[number].balance() for number in chosen},
                    "engine": engine.stats(),
                    "estimate": asdict(engine.capacity_estimate()),
                    "now_ns": time.monotonic_ns(),
                    "wall_ns": time.time_ns(),
                }
            case "close":
                found = {}
                for number in chosen:
                    leg = legs.pop(number)
                    # A tick that is late just now is caught up; a missing one is not.
                    for _ in range(200):
                        found[number] = leg.balance()
                        low, high = found[number]["due"]
                        if low - 1 <= found[number]["packets_sent"] <= high + 1:
                            break
                        await asyncio.sleep(0.005)
                    await leg.call.close()
                    leg.take_events()
                return found
            case "reading":
                return asdict(Reading.take(0.0))
        raise ValueError(command)

    async with Engine(
        max_calls=4096,
        pin=options.pin,
        realtime=options.realtime,
        max_load=None,
        max_lateness_ms=None,
        raw_send=options.raw_send,
    ) as engine:
        feeding = asyncio.create_task(feed())
        print(json.dumps("ready"), flush=True)
        while True:
            command = json.loads(await reader.readline() or '{"do": "quit"}')
            if command["do"] == "quit":
                break
            print(json.dumps(await obey(engine, command)), flush=True)
        feeding.cancel()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pin", type=int, nargs="+")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--raw-send", action="store_true")
    parser.add_argument("--speaking", type=float, default=0.9, help="the agent's share of time")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
