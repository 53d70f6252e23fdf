"""The engine's call code under a virtual clock: no threads, no sockets, no waiting.

The very code of the native engine runs, 20 ms a tick, as fast as the machine can. Nothing here
reads a clock, so the same input gives the same output, bit for bit.

Example::

    engine = VirtualEngine()
    agent = engine.open(CallConfig())
    caller = engine.open(CallConfig())
    engine.connect(agent, caller)
    caller.play(speech)
    engine.advance(2000)
    heard, first_sample = agent.read_audio()
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from voicecore.errors import ClosedError
from voicecore.media._virtual import NativeVirtualEngine
from voicecore.media.call import Call
from voicecore.media.config import CallConfig

__all__ = ["TICK_NS", "VirtualEngine"]

TICK_NS = 20_000_000

# Takes the packet's number and its bytes; returns delays in ms, one per copy that arrives.
Network = Callable[[int, bytes], "list[float]"]


class VirtualEngine:
    """Calls that go forward only when told to.

    Args:
        level: CPU level of the kernels; None is the best.
        start_ns: the virtual monotonic time at the start; greater than 0.
    """

    def __init__(self, level: str | None = None, start_ns: int = 1_000_000_000) -> None:
        self._native = NativeVirtualEngine(level)
        self._calls: dict[int, Call] = {}
        self._peers: dict[int, tuple[Call, Network | None]] = {}
        self._counts: dict[int, int] = {}
        self._in_flight: list[tuple[int, int, int, bytes]] = []
        self._order = 0
        self._next_tick_ns = start_ns
        self.now_ns = start_ns
        #: Packets of calls without a peer: (time, call, bytes).
        self.sent: list[tuple[int, Call, bytes]] = []

    def open(self, config: CallConfig | None = None) -> Call:
        """Open a call; it sends with the next tick."""
        native = self._native.open(config or CallConfig())
        call = Call(native, self, ("virtual", native.number))
        self._calls[call.number] = call
        return call

    async def open_call(self, config: CallConfig | None = None) -> Call:
        """As ``Engine.open_call``."""
        return self.open(config)

    def begin_close(self, call: Call) -> None:
        """Close a call at once; used by ``Call.close``."""
        if call.is_closed:
            raise ClosedError("the call is closed")
        bye = self._native.close(call._native, self.now_ns)
        if bye is not None:
            self._send(call, bye)
        self._deliver()
        del self._calls[call.number]
        self._peers.pop(call.number, None)
        self._counts.pop(call.number, None)

    def connect(
        self, a: Call, b: Call, a_to_b: Network | None = None, b_to_a: Network | None = None
    ) -> None:
        """Carry each call's packets to the other, through a network if one is given.

        A network is a function of the packet's number and bytes that returns the delays, in ms,
        of the copies that arrive: ``[]`` loses it, ``[0, 0]`` duplicates it.
        """
        self._peers[a.number] = (b, a_to_b)
        self._peers[b.number] = (a, b_to_a)

    def receive(self, call: Call, packet: bytes, source: tuple[str, int] | None = None) -> bool:
        """Hand a datagram to a call now; returns whether it was used.

        ``source`` is the sender's address; None, as between connected calls, passes as the right
        one.
        """
        used = self._native.receive(call._native, packet, self.now_ns, source)
        self._deliver()
        return used

    def _route(self, call: Call, packet: bytes) -> None:
        peer, network = self._peers[call.number]
        number = self._counts.get(call.number, 0)
        self._counts[call.number] = number + 1
        for delay_ms in [0.0] if network is None else network(number, packet):
            at_ns = self.now_ns + round(delay_ms * 1e6)
            self._order += 1
            heapq.heappush(self._in_flight, (at_ns, self._order, peer.number, packet))

    def _send(self, call: Call, packet: bytes) -> None:
        if call.number in self._peers:
            self._route(call, packet)
        else:
            self.sent.append((self.now_ns, call, packet))

    def _land(self, until_ns: int) -> None:
        while self._in_flight and self._in_flight[0][0] <= until_ns:
            at_ns, _, number, packet = heapq.heappop(self._in_flight)
            self.now_ns = max(self.now_ns, at_ns)
            call = self._calls.get(number)
            if call is not None:
                self._native.receive(call._native, packet, self.now_ns)
                self._deliver()

    def _deliver(self) -> None:
        for number, event, signal in self._native.take_events():
            call = self._calls.get(number)
            if call is not None:
                call.deliver(event, signal)

    def tick(self) -> None:
        """Go on to the next tick of the 20 ms grid and run it."""
        due_ns = self._next_tick_ns
        self._land(due_ns)
        self.now_ns = due_ns
        self._next_tick_ns += TICK_NS
        for native, packet in self._native.tick(due_ns):
            self._send(self._calls[native.number], packet)
        self._deliver()
        self._land(due_ns)

    def advance(self, duration_ms: float) -> None:
        """Run all ticks and arrivals of the next ``duration_ms`` of virtual time."""
        until_ns = self.now_ns + round(duration_ms * 1e6)
        while self._next_tick_ns <= until_ns:
            self.tick()
        self._land(until_ns)
        self.now_ns = until_ns

    async def run(self, duration_ms: float) -> None:
        """As ``advance``, giving the loop a turn after every tick, for code that awaits."""
        until_ns = self.now_ns + round(duration_ms * 1e6)
        while self._next_tick_ns <= until_ns:
            self.tick()
            for _ in range(8):  # several hand-overs between tasks can follow one event
                await asyncio.sleep(0)
        self._land(until_ns)
        self.now_ns = until_ns
