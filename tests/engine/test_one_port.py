"""Engine(one_port=...): all calls through one UDP socket a shard. Oracles: an engine with a socket
a call, plain sockets at the other end, the law that each datagram is some call's or a stranger's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from voicecore.errors import ConfigError, MissingLibraryError, StateError, SystemCallError
from voicecore.media._call import srtp_version
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import ByeReceived
from voicecore.media.srtp import SUITES, SrtpKeys

if sys.platform != "linux":
    pytest.skip("the engine needs Linux", allow_module_level=True)

pytestmark = pytest.mark.network
LOOPBACK = "127.0.0.1"
RAMP = np.arange(1, 3201, dtype=np.int16)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def peer_socket(ip: str = LOOPBACK) -> socket.socket:
    peer = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((ip, 0))
    peer.settimeout(10)
    return peer


def to(peer: socket.socket, **more: Any) -> CallConfig:
    """L16 at 8 kHz, so that what is heard is what was said, bit for bit."""
    settings = {"codec": "l16", "play_hz": 8000, "echo": "off", "barge_in": False, **more}
    return CallConfig(remote=peer.getsockname()[:2], **settings)


def rtp(sequence: int, samples: np.ndarray, ssrc: int = 9) -> bytes:
    header = bytes([0x80, 96]) + sequence.to_bytes(2, "big") + (160 * sequence).to_bytes(4, "big")
    return header + ssrc.to_bytes(4, "big") + samples.astype(">i2").tobytes()


def is_rtp(packet: bytes) -> bool:
    """RTCP comes to the same port (RFC 5761)."""
    return not 192 <= packet[1] <= 223


async def ramp_to(peer: socket.socket, call: Call) -> tuple[list[bytes], set[tuple[str, int]]]:
    """The packets from the ramp's first to its last, and who sent them."""
    call.play(RAMP)
    call.end_segment()
    packets: list[bytes] = []
    sources = set()
    while len(packets) < 20:
        packet, source = await asyncio.to_thread(peer.recvfrom, 2048)
        sources.add(source[:2])
        if is_rtp(packet) and (packets or any(packet[12:])):
            packets.append(packet)
    return packets, sources


async def closed_stats(call: Call) -> dict[str, Any]:
    """Only the counters of a closed call are complete."""
    await call.close()
    return call.stats()


@pytest.mark.parametrize("ip", [LOOPBACK, "::1"])
def test_the_packets_are_those_of_a_socket_a_call(ip: str):
    async def scenario() -> None:
        found = []
        for own in (True, False):
            with peer_socket(ip) as peer:
                async with Engine(one_port=None if own else (ip, 0)) as engine:
                    more = {"local": (ip, 0)} if own else {}
                    call = await engine.open_call(to(peer, ssrc=7, **more))
                    assert engine.ports == ([] if own else [call.local_address])
                    packets, sources = await ramp_to(peer, call)
                    assert sources == {call.local_address}
                    sequences = [int.from_bytes(packet[2:4], "big") for packet in packets]
                    assert (np.diff(sequences) % 65536 == 1).all()
                    found.append([packet[8:] for packet in packets])
        assert found[0] == found[1]
        sent = b"".join(packet[4:] for packet in found[1])
        np.testing.assert_array_equal(np.frombuffer(sent, ">i2"), RAMP)

    run(scenario())


def test_each_call_hears_its_own_caller_and_each_datagram_is_counted():
    calls, packets = 100, 30

    async def scenario() -> None:
        async with Engine(
            one_port=(LOOPBACK, 0), max_load=None, max_lateness_ms=None, max_calls=calls
        ) as engine:
            (port,) = engine.ports
            peers = [peer_socket() for _ in range(calls + 1)]
            legs = [await engine.open_call(to(peer)) for peer in peers[:calls]]
            assert {leg.local_address for leg in legs} == {port}
            # The first packet of a call says that its thread has it.
            for peer in peers[:calls]:
                assert (await asyncio.to_thread(peer.recvfrom, 2048))[1] == port
            for k in range(packets):
                for number, peer in enumerate(peers):
                    peer.sendto(rtp(k, np.full(160, 100 + number)), port)
                await asyncio.sleep(0)
            for number, leg in enumerate(legs):
                heard = np.zeros(0, np.int16)
                while len(heard) < packets * 160:
                    heard = np.concatenate([heard, leg.read_audio()[0]])
                    await asyncio.sleep(0)
                np.testing.assert_array_equal(heard, np.full(packets * 160, 100 + number))
            while engine.stats()["strangers"] < packets:  # noqa: ASYNC110  no event says it
                await asyncio.sleep(0)
            stats = [await closed_stats(leg) for leg in legs]
            assert all(one["packets_received"] == packets and one["lost"] == 0 for one in stats)
            assert all(one["send_errors"] == 0 for one in stats)
            received = sum(one["packets_received"] for one in stats)
            assert received + engine.stats()["strangers"] == len(peers) * packets
            for peer in peers:
                peer.close()

    run(scenario())


@pytest.mark.parametrize("suite", SUITES)
def test_srtp(suite: str):
    try:
        srtp_version()
    except MissingLibraryError:
        assert "CI" not in os.environ, "this machine should have it: apt install libsrtp2-1"
        pytest.skip("needs libsrtp2")
    a, b = (bytes(range(k, k + SUITES[suite])) for k in (0, 100))

    async def scenario() -> None:
        """An engine with one port, at whose other end is one with a socket a call."""
        async with Engine(one_port=(LOOPBACK, 0)) as engine, Engine() as other:
            own, far = SrtpKeys(a, b, suite), SrtpKeys(b, a, suite)
            settings: dict[str, Any] = {"codec": "l16", "play_hz": 8000, "echo": "off"}
            settings |= {"barge_in": False}
            theirs = await other.open_call(CallConfig(srtp=far, remote=engine.ports[0], **settings))
            ours = await engine.open_call(
                CallConfig(srtp=own, remote=theirs.local_address, **settings)
            )
            for speaks, hears in ((theirs, ours), (ours, theirs)):
                speaks.play(RAMP)
                speaks.end_segment()
                heard = np.zeros(0, np.int16)
                while np.count_nonzero(heard) < len(RAMP):
                    heard = np.concatenate([heard, hears.read_audio()[0]])
                    await asyncio.sleep(0)
                begin = int(np.flatnonzero(heard)[0])
                np.testing.assert_array_equal(heard[begin : begin + len(RAMP)], RAMP)
            assert ours.stats()["srtp_rejected"] == theirs.stats()["srtp_rejected"] == 0

    run(scenario())


def test_rtcp_goes_through_the_port():
    """RFC 3550 6.6 and 6.1: a BYE (203) ends a compound that a report begins (200 or 201)."""

    async def scenario() -> None:
        with peer_socket() as peer:
            async with Engine(one_port=(LOOPBACK, 0)) as engine:
                call = await engine.open_call(to(peer, rtcp=True))
                await ramp_to(peer, call)
                peer.sendto(rtp(0, RAMP[:160], ssrc=9), engine.ports[0])
                receiver = bytes([0x80, 201, 0, 1, 0, 0, 0, 9])
                peer.sendto(receiver + bytes([0x81, 203, 0, 1, 0, 0, 0, 9]), engine.ports[0])
                async for event in call:
                    if isinstance(event, ByeReceived):
                        break
                await call.close()
                while is_rtp(last := peer.recv(2048)):
                    pass
                assert 200 <= last[1] <= 201
                assert last[-8:-6] == bytes([0x81, 203])

    run(scenario())


def test_a_new_offer_moves_the_call_to_its_new_address():
    async def scenario() -> None:
        with peer_socket() as old, peer_socket() as new, peer_socket() as others:
            async with Engine(one_port=(LOOPBACK, 0)) as engine:
                call = await engine.open_call(to(old))
                other = await engine.open_call(to(others))
                with pytest.raises(StateError, match=str(others.getsockname()[1])):
                    call.set_remote(others.getsockname())
                with pytest.raises(ConfigError, match="one family"):
                    call.set_remote(("::1", 4000))
                call.set_remote(new.getsockname())
                await ramp_to(new, call)
                new.sendto(rtp(0, RAMP[:160]), engine.ports[0])
                async for heard, _ in call.chunks(20):
                    np.testing.assert_array_equal(heard, RAMP[:160])
                    break
                # The address that it left is free.
                again = await engine.open_call(to(old))
                await ramp_to(old, again)
                assert (await closed_stats(other))["send_errors"] == 0
                # As is that of a call that was closed.
                await ramp_to(others, await engine.open_call(to(others)))

    run(scenario())


def test_the_same_remote_goes_to_another_shard_or_is_refused():
    async def scenario() -> None:
        peers = [peer_socket() for _ in range(3)]
        address = peers[0].getsockname()
        async with Engine(one_port=(LOOPBACK, 0), shards=2) as engine:
            assert len(set(engine.ports)) == 2
            # The second shard is the emptiest, but has that address.
            calls = [await engine.open_call(to(peers[k])) for k in (1, 0, 2, 0)]
            homes = [engine.ports.index(call.local_address) for call in calls]
            assert homes == [0, 1, 0, 0]
            for call, k in zip(calls, (1, 0, 2), strict=False):
                await ramp_to(peers[k], call)
            with pytest.raises(StateError, match=f"{address[1]}.*close that one first"):
                await engine.open_call(to(peers[0]))
            await calls[1].close()
            again = await engine.open_call(to(peers[0]))
            assert again.local_address == engine.ports[1]
            with pytest.raises(StateError, match="cannot be moved"):
                await engine.move_call(again, 0)
            await engine.move_call(again, 1)
            await engine.drain_shard(1)
            assert again.local_address == engine.ports[1]
            pushed = await engine.open_call(CallConfig(media="push"))
            await engine.move_call(pushed, 1)
            await ramp_to(peers[2], calls[2])
        for peer in peers:
            peer.close()

    run(scenario())


def test_wrong_settings_say_what_to_do():
    for one_port, match in [
        (("localhost", 5004), "resolve names"),
        ((LOOPBACK, 65536), "65535"),
        ((LOOPBACK, True), "numeric IP address and a port"),
        (5004, "numeric IP address and a port"),
    ]:
        with pytest.raises(ConfigError, match=match):
            Engine(one_port=one_port)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="65537"):
        Engine(one_port=(LOOPBACK, 65535), shards=2)
    with pytest.raises(ConfigError, match="exclude"):
        Engine(one_port=(LOOPBACK, 0), raw_send=True)

    async def scenario() -> None:
        async with Engine(one_port=(LOOPBACK, 0)) as engine:
            with pytest.raises(ConfigError, match="needs remote"):
                await engine.open_call()
            remote = (LOOPBACK, 4000)
            with pytest.raises(ConfigError, match="leave out local"):
                await engine.open_call(CallConfig(remote=remote, local=(LOOPBACK, 4002)))
            with pytest.raises(ConfigError, match="one family"):
                await engine.open_call(CallConfig(remote=("::1", 4000)))
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(SystemCallError, match=f"{engine.ports[0][1]} .one_port") as error:
                async with Engine(one_port=engine.ports[0]):
                    pass
            assert error.value.errno == errno.EADDRINUSE
            assert len(os.listdir("/proc/self/fd")) == before

    run(scenario())


def test_shard_i_has_port_plus_two_i():
    """Beside a port that was free just now; whoever took one of the next meanwhile, again."""

    async def ports_from(first: int) -> list[tuple[str, int]]:
        async with Engine(one_port=(LOOPBACK, first), shards=3) as engine:
            return engine.ports

    async def scenario() -> None:
        for _ in range(20):
            with peer_socket() as free:
                first = min(free.getsockname()[1], 65000)
            with contextlib.suppress(SystemCallError):
                assert await ports_from(first) == [(LOOPBACK, first + 2 * i) for i in range(3)]
                return
        raise AssertionError("no three free ports in twenty attempts")

    run(scenario())
