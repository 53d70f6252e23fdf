"""A bad network between two RTP peers: a UDP relay in a process of its own.

The relay has two ports. What comes in at the one leaves from the other, to the peer that was last
heard there, after a random delay, or not at all. It runs in a separate process so that the models
and the interpreter lock of the caller's process do not add to the impairment, and ends with its
parent. Without impairment use no relay at all.

Every packet's fate is drawn from its direction and its number in it, so equal seeds give equal
fates whatever the scheduling does. The delay is gamma distributed (shape 2, the usual shape of a
queue), with the mean asked for and cut at four times the mean; packets overtake each other, as on
a real network. The schedule's resolution is that of the operating system's timers (about 0.1 ms).
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TextIO

from voicecore.errors import ConfigError, SystemCallError

__all__ = ["Impairment", "NetworkRelay", "PacketFate", "RelayStats"]

MAX_QUEUED = 4096
MAX_DATAGRAM_BYTES = 2048
_SHAPE = 2.0
_CUT = 4.0
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Impairment:
    """What the network does to each packet, in each direction alike.

    Attributes:
        loss_percent: share of packets that vanish, 0..100, independent of each other.
        jitter_ms: mean of the random delay, 0..500; single packets wait up to four times as long.
        seed: same seed, same fates.
    """

    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.loss_percent <= 100.0:
            raise ConfigError(f"loss_percent is {self.loss_percent}; it must be 0 to 100")
        if not 0.0 <= self.jitter_ms <= 500.0:
            raise ConfigError(f"jitter_ms is {self.jitter_ms}; it must be 0 to 500")

    @property
    def is_none(self) -> bool:
        """Whether the network would be perfect, so that no relay is needed."""
        return self.loss_percent == 0.0 and self.jitter_ms == 0.0


@dataclass(slots=True)
class RelayStats:
    """Packets of one direction.

    Attributes:
        received: packets that came in.
        forwarded: packets that went out.
        lost: packets dropped on purpose.
        reordered: packets that left after one that had come in later.
        unroutable: packets dropped because the other peer had not been heard yet, or refused.
        overflowed: packets dropped because more than 4096 were waiting.
        unsent: packets that still waited when the relay was closed.
    """

    received: int = 0
    forwarded: int = 0
    lost: int = 0
    reordered: int = 0
    unroutable: int = 0
    overflowed: int = 0
    unsent: int = 0


class PacketFate:
    """The sequence of fates of one direction: None for a lost packet, else its delay in ns.

    Args:
        impairment: the network.
        direction: 0 from the first peer to the second, 1 back.
    """

    def __init__(self, impairment: Impairment, direction: int) -> None:
        self._random = random.Random(f"{impairment.seed}/{direction}")
        self._loss = impairment.loss_percent / 100.0
        self._mean_ns = impairment.jitter_ms * 1e6

    def next(self) -> int | None:
        """The next packet's fate. Loss and delay are drawn always, so neither shifts the other."""
        dropped = self._random.random() < self._loss
        drawn = self._random.gammavariate(_SHAPE, 1.0 / _SHAPE)
        return None if dropped else int(min(drawn, _CUT) * self._mean_ns)


class Forwarder:
    """The relay's decisions without sockets or clock: what goes where, and when."""

    def __init__(self, impairment: Impairment) -> None:
        self._fates = (PacketFate(impairment, 0), PacketFate(impairment, 1))
        self.stats = (RelayStats(), RelayStats())
        self._queue: list[tuple[int, int, int, bytes]] = []
        self._arrivals = 0
        self._last_sent = [-1, -1]

    def put(self, direction: int, packet: bytes, now_ns: int) -> None:
        """Take a packet that came in at ``now_ns``."""
        stats = self.stats[direction]
        stats.received += 1
        delay_ns = self._fates[direction].next()
        if delay_ns is None:
            stats.lost += 1
        elif len(self._queue) >= MAX_QUEUED:
            stats.overflowed += 1
        else:
            self._arrivals += 1
            heapq.heappush(self._queue, (now_ns + delay_ns, self._arrivals, direction, packet))

    def close(self) -> None:
        """Count what still waits."""
        for _, _, direction, _ in self._queue:
            self.stats[direction].unsent += 1
        self._queue.clear()

    def next_due_ns(self) -> int | None:
        """When the next packet must leave; None if nothing waits."""
        return self._queue[0][0] if self._queue else None

    def get(self, now_ns: int) -> tuple[int, bytes] | None:
        """A packet that is due, with its direction; None if none is."""
        if not self._queue or self._queue[0][0] > now_ns:
            return None
        _, arrival, direction, packet = heapq.heappop(self._queue)
        if arrival < self._last_sent[direction]:
            self.stats[direction].reordered += 1
        self._last_sent[direction] = max(arrival, self._last_sent[direction])
        return direction, packet


def _relay(
    forwarder: Forwarder, sockets: tuple[socket.socket, socket.socket], stop: Callable[[], bool]
) -> None:
    """Move packets until ``stop`` (called when standard input is readable) says so."""
    peers: list[tuple[str, int] | None] = [None, None]
    watched: list[socket.socket | TextIO] = [*sockets, sys.stdin]
    while True:
        due_ns = forwarder.next_due_ns()
        wait_s = 1.0 if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        readable, _, _ = select.select(watched, [], [], wait_s)
        if sys.stdin in readable and stop():
            return
        for direction, here in enumerate(sockets):
            if here not in readable:
                continue
            while True:
                try:
                    packet, peer = here.recvfrom(MAX_DATAGRAM_BYTES)
                except BlockingIOError:
                    break
                except OSError:  # ICMP "port unreachable": the peer is gone or not there yet
                    break
                peers[direction] = peer
                forwarder.put(direction, packet, time.monotonic_ns())
        while (sent := forwarder.get(time.monotonic_ns())) is not None:
            direction, packet = sent
            other = peers[1 - direction]
            stats = forwarder.stats[direction]
            if other is None:
                stats.unroutable += 1
                continue
            try:
                sockets[1 - direction].sendto(packet, other)
                stats.forwarded += 1
            except OSError:
                stats.unroutable += 1


class NetworkRelay:
    """The relay, started and stopped as a context manager.

    ``first`` and ``second`` are the addresses that the two peers send to. A peer's own address is
    learned from its packets.

        with NetworkRelay(Impairment(loss_percent=2, jitter_ms=30, seed=1)) as relay:
            agent = await engine.open_call(CallConfig(remote=relay.second))
            caller = await engine.open_call(CallConfig(remote=relay.first))
        print(relay.stats)   # (first to second, second to first)

    Raises:
        SystemCallError: the process or its sockets could not be started.
    """

    def __init__(self, impairment: Impairment, host: str = "127.0.0.1") -> None:
        self.impairment = impairment
        self.stats: tuple[RelayStats, RelayStats] | None = None
        self.first: tuple[str, int] = (host, 0)
        self.second: tuple[str, int] = (host, 0)
        self._host = host
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> NetworkRelay:
        argument = json.dumps({"host": self._host, **asdict(self.impairment)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voicecore.testing.network", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None  # for the type checker: PIPE was asked for
        ready, _, _ = select.select([self._process.stdout], [], [], _START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else ""
        try:
            ports = json.loads(line)
            self.first, self.second = (self._host, ports[0]), (self._host, ports[1])
        except (ValueError, IndexError, TypeError):
            self._process.kill()
            _, errors = self._process.communicate()
            self._process = None
            reason = errors.strip().splitlines()[-1:] or ["it did not start in time"]
            raise SystemCallError(
                f"the network relay could not start on {self._host}: {reason[0]}"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the process and collect ``stats``. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            output, _ = process.communicate(timeout=_STOP_TIMEOUT_S)  # closes its standard input
            first, second = json.loads(output.splitlines()[-1])
            self.stats = (RelayStats(**first), RelayStats(**second))
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            process.kill()
            process.communicate()


def _main(argument: str) -> None:
    settings = json.loads(argument)
    host = settings.pop("host")
    forwarder = Forwarder(Impairment(**settings))
    first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with first, second:
        for here in (first, second):
            here.bind((host, 0))
            here.setblocking(False)
        print(json.dumps([first.getsockname()[1], second.getsockname()[1]]), flush=True)
        try:
            # End of file means that the parent closed us or died.
            _relay(forwarder, (first, second), lambda: sys.stdin.read(1) == "")
        except KeyboardInterrupt:
            pass  # Ctrl-C goes to the whole terminal; the parent reports it
    forwarder.close()
    print(json.dumps([asdict(stats) for stats in forwarder.stats]), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
