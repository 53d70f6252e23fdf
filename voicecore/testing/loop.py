"""An asyncio event loop whose time is virtual: it jumps to the next timer when nothing is ready.

A test of ten minutes of conversation takes milliseconds, and two runs are identical. Limits: no
threads and no sockets (what they would do takes real time, which never passes here).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from voicecore.errors import StateError

__all__ = ["VirtualLoop", "run_virtual"]

T = TypeVar("T")


class _Selector(selectors.BaseSelector):
    """Asks the real selector without waiting, and lets virtual time pass instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_ns = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise StateError("the virtual loop waits for something that will never happen")
        self.now_ns += max(1, round(timeout * 1e9))
        return ready

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Any:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits.

    Args:
        start_ns: virtual time at the start; not 0, since a stamp of 0 means "did not happen".
    """

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._virtual = _Selector()
        self._virtual.now_ns = start_ns
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.now_ns / 1e9

    def now_ns(self) -> int:
        """Virtual nanoseconds: the clock for what runs on this loop."""
        return self._virtual.now_ns


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time; tasks that it leaves behind are an error.

    Raises:
        StateError: tasks were left behind (their names are in the message), or nothing that could
            wake the loop is left.

    Example:
        >>> async def nap() -> str:
        ...     await asyncio.sleep(3600)
        ...     return "rested"
        >>> run_virtual(nap())
        'rested'
    """
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(main)
        left = asyncio.all_tasks(loop)
        if left:
            names = ", ".join(sorted(task.get_name() for task in left))
            raise StateError(f"tasks were left behind: {names}")
        return result
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
