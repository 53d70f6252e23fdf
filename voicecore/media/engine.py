"""The engine: native threads that carry the calls, bound to one event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from types import TracebackType

from voicecore.errors import ClosedError, StateError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import CallClosed

if sys.platform == "linux":
    from voicecore.media._engine import NativeEngine, NativeLeg

__all__ = ["Call", "CallConfig", "Engine"]


class Engine:
    """Many calls on a few native threads; the loop only sees events.

    Args:
        shards: native threads, 1 to 64; calls go to the one with the fewest.
        level: CPU level of the kernels ("c", "avx2", "avx512", "neon"); None is the best.
        max_calls: calls per shard, 1 to 65536.

    Raises:
        ConfigError, CpuLevelError: an argument is out of range.
        SystemCallError: the system gives no thread or file descriptor.
        StateError: used outside ``async with``, or on a system other than Linux.

    Example::

        async with Engine() as engine:
            call = await engine.open_call(CallConfig(remote=("192.0.2.7", 4000)))
    """

    def __init__(self, *, shards: int = 1, level: str | None = None, max_calls: int = 4096) -> None:
        if sys.platform != "linux":
            raise StateError(
                "the engine's threads need Linux; the units and voicecore.testing work here"
            )
        self._arguments = (shards, level, max_calls)
        self._native: NativeEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[int, Call] = {}

    async def __aenter__(self) -> Engine:
        """Start the threads and bind to the running loop."""
        if self._native is not None:
            raise StateError("the engine is running already; make one engine per loop")
        self._loop = asyncio.get_running_loop()
        self._native = NativeEngine(*self._arguments)
        self._loop.add_reader(self._native.fileno(), self._take_events)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all calls and end the threads."""
        try:
            for call in list(self._calls.values()):
                await call.close()
        finally:
            if self._native is not None and self._loop is not None:
                self._loop.remove_reader(self._native.fileno())
                self._native.stop()
            self._native = None
            # Calls opened meanwhile, or all of them if the wait was cancelled.
            calls, self._calls = self._calls, {}
            for call in calls.values():
                call.deliver(CallClosed(time.monotonic_ns()), True)

    def _running(self) -> NativeEngine:
        if self._native is None:
            raise StateError("the engine is not running; use it in 'async with Engine() as engine'")
        return self._native

    async def open_call(self, config: CallConfig | None = None) -> Call:
        """Open a call; from now on a packet leaves every 20 ms.

        Raises:
            ConfigError: an address is not numeric.
            SystemCallError: the port is taken or the address is not on this machine.
            StateError: the engine is full or not running.
        """
        native = self._running().open(config or CallConfig())
        call = Call(native, self, native.local_address)
        self._calls[call.number] = call
        return call

    def begin_close(self, call: Call) -> None:
        """Start to close a call; used by ``Call.close``."""
        native = call._native
        if native.is_closed or self._native is None:
            raise ClosedError("the call is closed")
        if isinstance(native, NativeLeg):
            self._native.close(native)

    def _take_events(self) -> None:
        if self._native is None:
            return
        for number, event, is_room in self._native.take_events():
            if number == 0:  # of a shard: events were lost, whose is not known
                for call in self._calls.values():
                    call.deliver(event, True)
                continue
            if number in self._calls:
                self._calls[number].deliver(event, is_room)
                # Not is_closed: the whole batch is taken, and CallClosed may still be in it.
                if isinstance(event, CallClosed):
                    del self._calls[number]

    def stats(self) -> dict[str, int]:
        """Counters of all shards: ticks, late ticks (over 1, 5, 20 ms), lateness, work, calls."""
        return self._running().stats()
