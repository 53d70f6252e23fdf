"""Who owns the tasks and the timers of a session.

``asyncio.TaskGroup`` needs Python 3.11 and ends all when one fails; a call must outlive a failed
provider, so the rule here is the other way round: a task that fails is reported, the rest go on.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

__all__ = ["LoopScheduler", "Scheduler", "TaskOwner", "TimerHandle", "for_the_log"]


def for_the_log(error: BaseException) -> str:
    """The kind of an error and where it was raised.

    Without any message, its own or that of an error behind it: those may hold what was said, or a
    provider's key.
    """
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


class TimerHandle(Protocol):
    """A timer that can be stopped."""

    def cancel(self) -> None:
        """Stop it; harmless if it has fired."""


class Scheduler(Protocol):
    """Time, injected: the session reads no clock and sets no timer but through this."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC nanoseconds, or the virtual clock's."""

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Call back on the loop after ``delay_ns``."""


class LoopScheduler:
    """The running loop's timers and the monotonic clock.

    Args:
        now_ns: the clock; tests give the virtual loop's.
    """

    def __init__(self, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._loop = asyncio.get_running_loop()
        self.now_ns = now_ns

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Call back on the loop after ``delay_ns``."""
        return self._loop.call_later(max(0, delay_ns) / 1e9, callback)


class TaskOwner:
    """Starts tasks, knows them all, and ends them all.

    Args:
        on_error: gets the name and the exception of a task that failed.
    """

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run it under a name."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_error(task.get_name(), error)

    async def join(self, timeout_s: float) -> None:
        """Let the tasks end by themselves for a while, then end them."""
        others = self._others()
        if others:
            await asyncio.wait(others, timeout=timeout_s)
        await self.cancel()

    async def cancel(self) -> None:
        """End all tasks and wait until they are gone."""
        others = self._others()
        for task in others:
            task.cancel()
        if others:
            await asyncio.gather(*others, return_exceptions=True)

    def _others(self) -> list[asyncio.Task[Any]]:
        return [t for t in self._tasks if t is not asyncio.current_task()]
