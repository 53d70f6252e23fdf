"""The relay against its own contract: the fates are drawn as stated, nothing else is lost."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from voicecore.errors import ConfigError, SystemCallError
from voicecore.testing.network import MAX_QUEUED, Forwarder, Impairment, NetworkRelay, PacketFate


def fates(count: int, **settings: float) -> list[int | None]:
    source = PacketFate(Impairment(seed=7, **settings), 0)  # type: ignore[arg-type]
    return [source.next() for _ in range(count)]


def test_loss_and_delay_follow_the_stated_distribution() -> None:
    # oracle: binomial share of losses (5 sigma) and the mean of the gamma (cut loses < 1 %)
    drawn = fates(20_000, loss_percent=5.0, jitter_ms=30.0)
    lost = sum(fate is None for fate in drawn) / len(drawn)
    assert lost == pytest.approx(0.05, abs=5 * (0.05 * 0.95 / 20_000) ** 0.5)
    delays_ms = np.array([fate for fate in drawn if fate is not None]) / 1e6
    assert delays_ms.mean() == pytest.approx(30.0, rel=0.03)
    assert delays_ms.min() >= 0.0
    assert delays_ms.max() <= 120.0
    # gamma of shape 2: standard deviation = mean / sqrt(2)
    assert delays_ms.std() == pytest.approx(30.0 / 2**0.5, rel=0.05)


def test_equal_seeds_give_equal_fates_and_loss_does_not_shift_delay() -> None:
    assert fates(500, loss_percent=10.0, jitter_ms=20.0) == fates(
        500, loss_percent=10.0, jitter_ms=20.0
    )
    with_loss = fates(500, loss_percent=30.0, jitter_ms=20.0)
    without = fates(500, loss_percent=0.0, jitter_ms=20.0)
    assert all(a is None or a == b for a, b in zip(with_loss, without, strict=True))
    other = PacketFate(Impairment(jitter_ms=20.0, seed=7), 1)
    assert [other.next() for _ in range(500)] != without


def test_forwarder_releases_in_order_of_time_and_counts_overtaking() -> None:
    forwarder = Forwarder(Impairment(jitter_ms=60.0, seed=3))
    now = 0
    sent: list[tuple[int, bytes]] = []
    for number in range(500):
        forwarder.put(0, number.to_bytes(2, "big"), now)
        now += 20_000_000
        while (one := forwarder.get(now)) is not None:
            sent.append(one)
    while (one := forwarder.get(now + 10**9)) is not None:
        sent.append(one)
    numbers = [int.from_bytes(packet, "big") for _, packet in sent]
    assert sorted(numbers) == list(range(500))
    overtaken = sum(n < max(numbers[:i], default=-1) for i, n in enumerate(numbers))
    assert overtaken > 0
    assert forwarder.stats[0].reordered == overtaken


def test_no_jitter_keeps_the_order() -> None:
    forwarder = Forwarder(Impairment(loss_percent=50.0, seed=3))
    for number in range(200):
        forwarder.put(0, number.to_bytes(2, "big"), 1000)
    numbers = []
    while (one := forwarder.get(1000)) is not None:
        numbers.append(int.from_bytes(one[1], "big"))
    assert numbers == sorted(numbers)
    assert len(numbers) + forwarder.stats[0].lost == 200
    assert forwarder.next_due_ns() is None


def test_queue_is_bounded() -> None:
    forwarder = Forwarder(Impairment(jitter_ms=500.0, seed=3))
    for _ in range(MAX_QUEUED + 10):
        forwarder.put(0, b"x", 0)
    assert forwarder.stats[0].overflowed == 10


@pytest.mark.parametrize("settings", [{"loss_percent": 101}, {"jitter_ms": -1}])
def test_impossible_networks_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Impairment(**settings)  # type: ignore[arg-type]


@pytest.mark.network
def test_relay_carries_both_ways_through_real_sockets() -> None:
    impairment = Impairment(loss_percent=20.0, jitter_ms=5.0, seed=11)
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with a, b, NetworkRelay(impairment) as relay:
        for here in (a, b):
            here.bind(("127.0.0.1", 0))
            here.settimeout(5.0)
        # Until both peers are known nothing can be carried: say hello until each hears the other.
        a.setblocking(False)
        b.setblocking(False)
        heard = {"a": False, "b": False}
        deadline = time.monotonic() + 10
        while not all(heard.values()) and time.monotonic() < deadline:
            a.sendto(b"hello", relay.first)
            b.sendto(b"hello", relay.second)
            for name, here in (("a", a), ("b", b)):
                try:
                    while here.recv(100):
                        heard[name] = True
                except BlockingIOError:
                    pass
        assert all(heard.values())
        for number in range(100):
            a.sendto(number.to_bytes(2, "big"), relay.first)
        a_stats_deadline = time.monotonic() + 5
        got: set[int] = set()
        while time.monotonic() < a_stats_deadline and len(got) < 70:
            try:
                packet = b.recv(100)
                if len(packet) == 2:
                    got.add(int.from_bytes(packet, "big"))
            except BlockingIOError:
                pass
    assert relay.stats is not None
    for stats in relay.stats:
        assert stats.received == (stats.forwarded + stats.lost + stats.unroutable + stats.unsent)
    assert relay.stats[0].lost > 0
    assert len(got) >= 70
    relay.close()  # idempotent


def test_relay_that_cannot_bind_says_so() -> None:
    with (
        pytest.raises(SystemCallError, match=r"203\.0\.113\.1"),
        NetworkRelay(Impairment(loss_percent=1), host="203.0.113.1"),
    ):
        pass
