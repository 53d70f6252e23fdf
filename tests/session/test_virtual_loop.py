"""The virtual loop. Oracle: the delays that were asked for."""

from __future__ import annotations

import asyncio
import time

import pytest

from voicecore.errors import StateError
from voicecore.testing.loop import run_virtual


def test_time_passes_exactly_and_costs_nothing():
    async def main():
        loop = asyncio.get_running_loop()
        begin = loop.now_ns()
        order = []

        async def nap(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, loop.now_ns() - begin))

        await asyncio.gather(nap(3600), nap(0.02), nap(0.00001))
        return order

    real = time.process_time()
    assert run_virtual(main()) == [
        (0.00001, 10_000),
        (0.02, 20_000_000),
        (3600, 3_600_000_000_000),
    ]
    assert time.process_time() - real < 3600


def test_a_task_left_behind_is_named():
    async def main():
        asyncio.create_task(asyncio.sleep(5), name="straggler")  # noqa: RUF006
        await asyncio.sleep(0)

    with pytest.raises(StateError, match="straggler"):
        run_virtual(main())


def test_a_wait_for_nothing_is_an_error():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(StateError, match="never happen"):
        run_virtual(main())
