"""What the engine measures of itself, admission, and calls that move between shards. The clock is
the packets and the engine's own tick counter, never the wall."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import numpy as np
import pytest

from voicecore.errors import CapacityError, ClosedError, ConfigError, StateError, SystemCallError
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import MarkReached

if sys.platform != "linux":
    pytest.skip("the engine needs Linux", allow_module_level=True)

pytestmark = pytest.mark.network
LOOPBACK = "127.0.0.1"
PUSHED = CallConfig(media="push", play_hz=8000, play_buffer_ms=200, receive_buffer_ms=200)


async def ticks(engine: Engine, more: int) -> None:
    """Until the engine has run so many more slot ticks."""
    until = engine.stats()["ticks"] + more
    while engine.stats()["ticks"] < until:  # noqa: ASYNC110  threads set no asyncio.Event
        await asyncio.sleep(0.002)  # real time: the engine's own threads tick


def test_the_profile_counts_every_stage_and_every_tick():
    async def scenario() -> None:
        async with Engine(max_load=None, max_lateness_ms=None) as engine:
            a = await engine.open_call(CallConfig(play_hz=8000))
            b = await engine.open_call(CallConfig(play_hz=8000, remote=a.local_address))
            await ticks(engine, 100)
            before = engine.stats()
            profile = engine.profile()
            after = engine.stats()
            assert list(profile.stages) == ["wait", "receive", "take", "judge", "render", "send"]
            for name in ("receive", "take", "judge", "render", "send"):
                stage = profile.stages[name]
                assert stage.units > 0
                assert stage.us == pytest.approx(stage.total_us / stage.units)
            for histogram in (profile.lateness, profile.work):
                assert len(histogram) == 24
                assert before["ticks"] <= sum(histogram) <= after["ticks"] + 1
            # Oracle of the buckets: the counters of late ticks; 1024 us is an edge, 1 ms is not.
            assert sum(profile.lateness[11:]) <= after["late_ticks_1ms"]
            assert profile.clock_ns > 0
            assert b.stats()["queued_samples"] == 0
            assert a.stats()["unread_samples"] >= 160

    asyncio.run(scenario())


def test_the_estimate_has_a_prior_and_then_what_was_measured():
    async def scenario() -> None:
        async with Engine(shards=2, max_load=0.5) as engine:
            first = engine.capacity_estimate()
            assert first.calls == 0
            assert [shard.us_per_call for shard in first.shards] == pytest.approx([10, 10], rel=0.3)
            # Half a core at 10 us a call and 20 ms.
            assert first.shards[0].capacity_calls == pytest.approx(1000, rel=0.3)
            for _ in range(10):
                await engine.open_call(PUSHED)
            await ticks(engine, 200)
            estimate = engine.capacity_estimate()
            assert estimate.calls == 10
            assert [shard.calls for shard in estimate.shards] == [5, 5]
            assert all(0 < shard.load < 1 for shard in estimate.shards)
            assert estimate.capacity_calls == sum(s.capacity_calls for s in estimate.shards)

    asyncio.run(scenario())


def test_a_call_too_many_is_refused_with_figures_and_those_that_run_stay():
    async def scenario() -> None:
        async with Engine(max_load=0.05, max_lateness_ms=None) as engine:
            opened = 0

            async def open_all() -> None:
                nonlocal opened
                while True:
                    await engine.open_call(PUSHED)
                    opened += 1

            with pytest.raises(CapacityError, match="of a core for") as refused:
                await open_all()
            # 5 % of a core are 100 calls at the prior of 10 us.
            assert 32 <= opened < 4096
            assert refused.value.reason == "load"
            assert refused.value.projected_load > 0.05
            assert engine.stats()["calls"] <= opened
            await ticks(engine, 20)
            assert engine.stats()["calls"] == opened

    asyncio.run(scenario())


def test_max_calls_is_a_capacity_error_too():
    async def scenario() -> None:
        async with Engine(max_calls=1) as engine:
            await engine.open_call(PUSHED)
            with pytest.raises(CapacityError, match="max_calls") as refused:
                await engine.open_call(PUSHED)
            assert refused.value.reason == "max_calls"
            assert isinstance(refused.value, StateError)

    asyncio.run(scenario())


def test_a_moved_call_misses_no_packet_and_no_event():
    async def scenario() -> None:
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.bind((LOOPBACK, 0))
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        async with Engine(shards=3) as engine:
            call = await engine.open_call(CallConfig(remote=peer.getsockname(), play_hz=8000))
            call.play(np.full(3200, 1000, np.int16))
            call.mark(1)
            sequences = []
            for index in range(60):
                packet = await asyncio.wait_for(loop.sock_recv(peer, 2048), 10)
                sequences.append(int.from_bytes(packet[2:4], "big"))
                if index % 3 == 0:
                    await engine.move_call(call, index // 3 % 3)
            steps = np.diff(sequences) % 65536
            assert (steps == 1).all()
            async for event in call:
                if isinstance(event, MarkReached):
                    break
            await call.close()
            with pytest.raises(ClosedError):
                await engine.move_call(call, 0)
            with pytest.raises(ConfigError, match="shard is 3"):
                await engine.move_call(call, 3)
        peer.close()

    asyncio.run(scenario())


def test_a_drained_shard_gives_its_calls_away_and_takes_none():
    async def scenario() -> None:
        async with Engine(shards=2) as engine:
            calls = [await engine.open_call(PUSHED) for _ in range(10)]
            await engine.drain_shard(0)
            estimate = engine.capacity_estimate()
            assert [shard.calls for shard in estimate.shards] == [0, 10]
            assert [shard.draining for shard in estimate.shards] == [True, False]
            assert estimate.capacity_calls == estimate.shards[1].capacity_calls
            await engine.open_call(PUSHED)
            assert [shard.calls for shard in engine.capacity_estimate().shards] == [0, 11]
            with pytest.raises(CapacityError, match="draining") as refused:
                await engine.drain_shard(1)
            assert refused.value.reason == "draining"
            engine.undrain_shard(0)
            engine.undrain_shard(1)
            await engine.open_call(PUSHED)
            assert [shard.calls for shard in engine.capacity_estimate().shards] == [1, 11]
            for call in calls:
                await call.close()
            assert [shard.calls for shard in engine.capacity_estimate().shards] == [1, 1]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_load": 1.5}, "max_load is 1.5"),
        ({"max_load": 0.0}, "max_load is 0.0"),
        ({"max_lateness_ms": 0.5}, "max_lateness_ms is 0.5"),
        ({"pin": [-1]}, "pin is -1"),
    ],
)
def test_settings_out_of_range(arguments: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        Engine(**arguments)  # type: ignore[arg-type]


def test_threads_are_pinned_or_it_is_said_why_not():
    async def scenario() -> None:
        cpu = min(os.sched_getaffinity(0))
        async with Engine(pin=[cpu]) as engine:
            await ticks(engine, 2)
            tasks = [int(name) for name in os.listdir("/proc/self/task")]
            pinned = [tid for tid in tasks if os.sched_getaffinity(tid) == {cpu}]
            everywhere = os.sched_getaffinity(0) == {cpu}
            assert pinned or everywhere
        with pytest.raises(SystemCallError, match="on CPU 1023"):
            async with Engine(pin=[1023]):
                pass
        with pytest.raises(ConfigError, match="2 CPUs for 1 shards"):
            async with Engine(pin=[0, 0]):
                pass

    asyncio.run(scenario())


def test_realtime_is_given_or_it_is_said_what_is_missing():
    async def scenario() -> None:
        try:
            async with Engine(realtime=True) as engine:
                await ticks(engine, 2)
                policies = [os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")]
                assert policies.count(os.SCHED_FIFO) == 1
        except SystemCallError as error:
            assert "CAP_SYS_NICE" in str(error)  # noqa: PT017  either outcome is right

    asyncio.run(scenario())
