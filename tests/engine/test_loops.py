"""Several loops, threads and processes, each with an engine of its own. Nothing here is timed: a
loop that stands still does so until another one has seen what it waits for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from voicecore.errors import ConfigError, StateError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig

if sys.platform != "linux":
    pytest.skip("the engine needs Linux", allow_module_level=True)

from voicecore.media.engine import Engine

pytestmark = pytest.mark.network
TICK_NS = 20_000_000
L16 = CallConfig(codec="l16", play_hz=8000, echo="off")


def in_threads(*mains: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run each in a thread and a loop of its own; raise what they raise."""
    errors: list[BaseException] = []

    def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            asyncio.run(asyncio.wait_for(main(), 60))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(main,)) for main in mains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


async def hear(call: Call, samples: int) -> np.ndarray:
    """The first so many samples that are not silence, and nothing missing among them."""
    parts: list[np.ndarray] = []
    async for pcm, first in call.chunks(20):
        assert first == sum(map(len, parts))
        parts.append(pcm)
        heard = np.concatenate(parts)
        sounding = np.flatnonzero(heard)
        if len(sounding) and len(heard) - sounding[0] >= samples:
            return heard[sounding[0] : sounding[0] + samples]
    raise AssertionError("the call ended")


def test_three_loops_with_an_engine_each():
    together = threading.Barrier(3)

    async def scenario(seed: int) -> None:
        ramp = np.arange(1, 6001, dtype=np.int16) + np.int16(seed)
        async with Engine(shards=2) as engine:
            pairs = []
            for _ in range(4):
                agent = await engine.open_call(L16)
                caller = await engine.open_call(
                    CallConfig(codec="l16", play_hz=8000, echo="off", remote=agent.local_address)
                )
                pairs.append((agent, caller))
            together.wait(30)
            for _, caller in pairs:
                caller.play(ramp)
                caller.end_segment()
            for heard in await asyncio.gather(*(hear(agent, 6000) for agent, _ in pairs)):
                np.testing.assert_array_equal(heard, ramp)
            # All three still run: they were at it together.
            together.wait(30)

    in_threads(*(lambda seed=seed: scenario(seed) for seed in range(3)))


def test_a_loop_that_stands_still_holds_up_nobody():
    """One loop does nothing from its first packet on until the other has heard all of its call."""
    ramp = np.arange(1, 16_001, dtype=np.int16)
    port: list[tuple[str, int]] = []
    opened, standing, heard_all = threading.Event(), threading.Event(), threading.Event()

    async def listener() -> None:
        async with Engine() as engine:
            call = await engine.open_call(L16)
            port.append(call.local_address)
            opened.set()
            heard = await hear(call, 16_000)
            assert standing.is_set()
            heard_all.set()
            np.testing.assert_array_equal(heard, ramp)
            stats = call.stats()
            assert (stats["lost"], stats["concealed_samples"]) == (0, 0)

    async def speaker() -> None:
        opened.wait(30)
        async with Engine() as engine:
            call = await engine.open_call(
                CallConfig(codec="l16", play_hz=8000, echo="off", remote=port[0])
            )
            call.play(ramp)
            call.end_segment()
            standing.set()
            assert heard_all.wait(50)
            assert call.play_position == 16_000

    in_threads(listener, speaker)


def test_events_wake_a_loop_at_most_once_a_period():
    """Oracle: the periods of the monotonic clock that went by."""

    async def scenario(wake_ms: int) -> tuple[int, int, int]:
        begun_ns = time.monotonic_ns()
        async with Engine(shards=2, wake_ms=wake_ms) as engine:
            calls = [
                await engine.open_call(CallConfig(media="push", play_hz=8000)) for _ in range(24)
            ]
            chunks = [0] * len(calls)

            async def read(index: int) -> None:
                async for _ in calls[index].chunks(20):
                    chunks[index] += 1
                    if chunks[index] == 12:
                        return

            async def push(index: int) -> None:
                for _ in range(24):  # in halves: every call has news at another moment
                    calls[index].push(np.ones(80, np.int16))
                    for _ in range(index):
                        await asyncio.sleep(0)

            await asyncio.gather(
                *(read(i) for i in range(len(calls))), *(push(i) for i in range(len(calls)))
            )
            wakeups = engine.stats()["loop_wakeups"]
            periods = time.monotonic_ns() // (wake_ms * 10**6) - begun_ns // (wake_ms * 10**6) + 1
        return wakeups, periods, sum(chunks)

    for wake_ms in (20, 5):
        wakeups, periods, chunks = asyncio.run(asyncio.wait_for(scenario(wake_ms), 60))
        assert 0 < wakeups <= periods
        assert chunks == 24 * 12
    with pytest.raises(ConfigError, match="wake_ms"):
        Engine(wake_ms=0)


def test_an_engine_belongs_to_its_loop():
    async def scenario() -> None:
        async with Engine() as engine:

            def elsewhere() -> None:
                with pytest.raises(StateError, match="another event loop"):
                    asyncio.run(engine.open_call())

            await asyncio.to_thread(elsewhere)
            assert (await engine.open_call()).number == 1

    asyncio.run(scenario())


FORKS = """
    import asyncio, os
    import numpy as np
    from voicecore import CallConfig, Engine
    from voicecore.errors import ForkedError

    def sockets():
        links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return sum(os.readlink(x).startswith("socket:") for x in links if os.path.islink(x))

    async def talk():
        async with Engine() as engine:
            call = await engine.open_call(CallConfig(media="push"))
            call.push(np.ones(800, np.int16))
            async for pcm, _ in call.chunks(100):
                return len(pcm)

    def refused(use):
        try:
            use()
        except ForkedError as error:
            return "after a fork" in str(error)
        return False

    def child(engine, call, before):
        assert refused(call.read_audio) and refused(lambda: call.play(b"")), "calls"
        assert refused(engine.stats) and refused(engine.capacity_estimate), "engine"
        assert sockets() == before, "the child holds the calls' sockets"
        assert call.is_closed
        assert asyncio.run(talk()) == 800, "an engine of its own"

    async def main():
        async with Engine() as engine:
            before = sockets()
            call = await engine.open_call(CallConfig(remote=("127.0.0.1", 9)))
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    child(engine, call, before)
                    code = 0
                finally:
                    os._exit(code)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert status == 0, "the child failed"
            sent = call.stats()["packets_sent"] + call.stats()["send_errors"]
            while call.stats()["packets_sent"] + call.stats()["send_errors"] < sent + 5:
                await asyncio.sleep(0)
            await call.close()
            assert await talk() == 800
        print("fine")

    asyncio.run(main())
"""


def test_a_fork_leaves_the_engine_to_the_parent():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORKS)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "fine\n", done.stderr
