"""The engine: native threads that carry the calls, bound to one event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from voicecore.errors import ClosedError, ConfigError, ForkedError, StateError
from voicecore.media.call import Call
from voicecore.media.capacity import CapacityEstimate, EngineProfile
from voicecore.media.config import CallConfig
from voicecore.media.events import CallClosed
from voicecore.media.ranges import within

if sys.platform == "linux":
    from voicecore.media._engine import NativeEngine, NativeLeg

__all__ = ["Call", "CallConfig", "Engine"]

_FIFO_PRIORITY = 10  # above ordinary programs, below what a system itself runs


def _check_one_port(one_port: object, shards: int, raw_send: bool) -> None:
    match one_port:
        case (str(ip), int(port)) if not isinstance(port, bool):
            pass
        case _:
            raise ConfigError(
                f"one_port is {one_port!r}; it must be a numeric IP address and a port, such as "
                '("127.0.0.1", 5004)'
            )
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        raise ConfigError(
            f"one_port: {ip!r} is no numeric IP address; resolve names first"
        ) from None
    within("one_port", port, 0, 65535)
    if port and port + 2 * (shards - 1) > 65535:
        raise ConfigError(
            f"one_port: shard {shards - 1} would have port {port + 2 * (shards - 1)}; start lower"
        )
    if raw_send:
        raise ConfigError("one_port and raw_send exclude one another; one_port is the cheaper one")


def _check_fits_port(config: CallConfig) -> None:
    if config.remote is None:
        raise ConfigError(
            "with one_port a call needs remote, its RTP address from SDP: packets are told apart "
            "by where they come from"
        )
    if config.local != ("127.0.0.1", 0):
        raise ConfigError("with one_port a call has its shard's address and port; leave out local")


class Engine:
    """Many calls on a few native threads; the loop only sees events.

    Args:
        shards: native threads, 1 to 64; calls go to the one with the fewest.
        level: CPU level of the kernels ("c", "avx2", "avx512", "neon"); None is the best.
        max_calls: calls per shard, 1 to 65536.
        pin: one CPU number for each shard; none: wherever the system puts the threads.
        realtime: run the threads under SCHED_FIFO, before all ordinary programs.
        max_load: most CPU time of a shard, as a share of a core, 0.05 to 1, that a new call may
            bring it to; None: no limit.
        max_lateness_ms: no new call while the shard's ticks begin later than this (smoothed over
            about a second), 1 to 1000; None: no limit. Neither limit counts below 32 calls.
        wake_ms: events wake the loop at most once in so many milliseconds, 1 to 20; the first one
            at once, those that follow it together at the next multiple.
        raw_send: send the RTP of all calls over IPv4 through one raw socket a shard, up to 64
            packets to a system call, instead of each by its call's own socket. It saves CPU time;
            the packets are the same. It needs CAP_NET_RAW (root and Docker's default have it).

    Raises:
        ConfigError, CpuLevelError: an argument is out of range.
        SystemCallError: the system gives no thread or file descriptor, there is no such CPU,
            ``one_port`` is taken or not of this machine, or realtime or raw_send is not permitted
            (``errno`` is EPERM).
        StateError: used outside ``async with``, or on a system other than Linux.

    Example::

        async with Engine() as engine:
            call = await engine.open_call(CallConfig(remote=("192.0.2.7", 4000)))
    """

    def __init__(
        self,
        *,
        shards: int = 1,
        level: str | None = None,
        max_calls: int = 4096,
        pin: Sequence[int] | None = None,
        realtime: bool = False,
        max_load: float | None = 0.9,
        max_lateness_ms: float | None = 10.0,
        wake_ms: int = 20,
        raw_send: bool = False,
        one_port: tuple[str, int] | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise StateError(
                "the engine's threads need Linux; the units and voicecore.testing work here"
            )
        if max_load is not None:
            within("max_load", max_load, 0.05, 1.0)
        if max_lateness_ms is not None:
            within("max_lateness_ms", max_lateness_ms, 1.0, 1000.0)
        within("wake_ms", wake_ms, 1, 20)
        for cpu in pin or ():
            within("pin", cpu, 0, 1023)
        if one_port is not None:
            _check_one_port(one_port, shards, raw_send)
        self._arguments = (
            shards,
            level,
            max_calls,
            tuple(pin or ()),
            _FIFO_PRIORITY if realtime else 0,
            max_load or 0.0,
            max_lateness_ms or 0.0,
            wake_ms,
            raw_send,
            one_port,
        )
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
            await asyncio.gather(*(call.close() for call in list(self._calls.values())))
        finally:
            # A forked child's loop shares its epoll set with the parent's: nothing is taken out.
            if self._native is not None and self._loop is not None and not self._native.forked:
                self._loop.remove_reader(self._native.fileno())
                self._native.stop()
            self._native = None
            # Calls opened meanwhile, or all of them if the wait was cancelled.
            calls, self._calls = self._calls, {}
            for call in calls.values():
                call.deliver(CallClosed(time.monotonic_ns()), 0)

    def _running(self) -> NativeEngine:
        if self._native is None:
            raise StateError("the engine is not running; use it in 'async with Engine() as engine'")
        if self._native.forked:
            raise ForkedError(
                "the engine's threads are the parent process's; after a fork make a new engine"
            )
        return self._native

    async def open_call(self, config: CallConfig | None = None) -> Call:
        """Open a call; from now on a packet leaves every 20 ms.

        Raises:
            ConfigError: an address is not numeric; with ``one_port``, no ``remote`` is given, or
                ``local`` is.
            SystemCallError: the port is taken or the address is not on this machine.
            CapacityError: the engine is full, or running calls would suffer; it says why.
            StateError: the engine is not running, or on another loop; with ``one_port``, another
                open call of each shard has that ``remote``.
        """
        if self._native is not None and asyncio.get_running_loop() is not self._loop:
            raise StateError("the engine is bound to another event loop; make one for each loop")
        engine, config = self._running(), config or CallConfig()
        if engine.ports and config.media == "rtp":
            _check_fits_port(config)
        native = engine.open(config)
        call = Call(native, self, native.local_address)
        self._calls[call.number] = call
        return call

    async def move_call(self, call: Call, shard: int) -> None:
        """Move a running call to another shard; not a packet is missed.

        Raises:
            ConfigError: there is no such shard.
            CapacityError: that shard carries ``max_calls`` calls.
            ClosedError: the call is closed.
            StateError: with ``one_port``, whose calls stay on their shard.
        """
        engine = self._running()
        within("shard", shard, 0, engine.shard_count - 1)
        native = call._native
        if native.is_closed:
            raise ClosedError("the call is closed")
        if isinstance(native, NativeLeg):
            # A thread that has not yet got a new or a moved call gets it within a tick or so.
            while not engine.move(native, shard):  # noqa: ASYNC110  the thread knows no loop
                await asyncio.sleep(0.005)

    async def drain_shard(self, shard: int) -> None:
        """Take no new calls on a shard and move those it has to the others.

        With ``one_port`` the calls stay until they are closed; only pushed ones move.

        Raises:
            ConfigError: there is no such shard.
            CapacityError: it is the last one, or the others are full.
        """
        engine = self._running()
        within("shard", shard, 0, engine.shard_count - 1)
        engine.drain(shard, True)
        for call in list(self._calls.values()):
            native = call._native
            if isinstance(native, NativeLeg) and native.shard_index == shard:
                if engine.stays(native):
                    continue
                try:
                    await self.move_call(call, engine.emptiest())
                except ClosedError:
                    continue

    def undrain_shard(self, shard: int) -> None:
        """Let a drained shard take new calls again."""
        engine = self._running()
        within("shard", shard, 0, engine.shard_count - 1)
        engine.drain(shard, False)

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
        for number, event, signal in self._native.take_events():
            if number == 0:  # of a shard: events were lost, whose is not known
                for call in self._calls.values():
                    call.deliver(event, signal)
                continue
            if number in self._calls:
                self._calls[number].deliver(event, signal)
                # Not is_closed: the whole batch is taken, and CallClosed may still be in it.
                if isinstance(event, CallClosed):
                    del self._calls[number]

    @property
    def ports(self) -> list[tuple[str, int]]:
        """With ``one_port``, address and port of each shard; else empty."""
        return list(self._running().ports)

    def stats(self) -> dict[str, int]:
        """Counters of all shards: ticks, late ticks (over 1, 5, 20 ms), lateness, work, calls.

        "strangers" are datagrams to ``one_port`` from an address that no call has.
        """
        return self._running().stats()

    def profile(self) -> EngineProfile:
        """Time by stage, and histograms of lateness and work, of all shards since the start."""
        return self._running().profile()

    def capacity_estimate(self) -> CapacityEstimate:
        """How many calls like the present ones fit below ``max_load``."""
        shards = self._running().estimates()
        return CapacityEstimate(
            sum(shard.calls for shard in shards),
            sum(shard.capacity_calls for shard in shards if not shard.draining),
            shards,
        )
