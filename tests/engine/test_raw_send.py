"""Engine(raw_send=True): the same packets through one raw socket. Oracles: an engine without it,
plain sockets at the other end, the kernel's own account of CAP_NET_RAW. A process without that
capability must be refused, and then that is all there is to check."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicecore.errors import MissingLibraryError, SystemCallError
from voicecore.media._call import srtp_version
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.srtp import SUITES, SrtpKeys

if sys.platform != "linux":
    pytest.skip("the engine needs Linux", allow_module_level=True)

pytestmark = pytest.mark.network
CAP_NET_RAW = 13
RAMP = np.arange(1, 3201, dtype=np.int16)


def permitted(thread: int | str = "self") -> bool:
    status = Path(f"/proc/self/task/{thread}/status" if thread != "self" else "/proc/self/status")
    found = re.search(r"CapEff:\s*([0-9a-f]+)", status.read_text())
    assert found
    return bool(int(found[1], 16) >> CAP_NET_RAW & 1)


async def refused() -> None:
    with pytest.raises(SystemCallError, match=r"CAP_NET_RAW.*leave raw_send off") as error:
        async with Engine(raw_send=True):
            pass
    assert error.value.errno == errno.EPERM
    assert os.strerror(errno.EPERM) in str(error.value)
    async with Engine(raw_send=False) as engine:
        await engine.open_call()


def run(scenario: Any) -> None:
    """The scenario where it is permitted, else the refusal."""
    asyncio.run(asyncio.wait_for(scenario if permitted() else refused(), 60))
    if not permitted():
        scenario.close()


def peer_socket(ip: str) -> socket.socket:
    peer = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((ip, 0))
    peer.settimeout(10)
    return peer


def is_rtp(packet: bytes) -> bool:
    """RTCP comes to the same port (RFC 5761)."""
    return not 192 <= packet[1] <= 223


def drained(peer: socket.socket) -> list[bytes]:
    """The packets that wait."""
    peer.setblocking(False)
    packets = []
    try:
        while True:
            packets.append(peer.recv(2048))
    except BlockingIOError:
        peer.settimeout(10)
    return packets


async def heard_by(call: Call, peer: socket.socket) -> tuple[list[bytes], set[tuple[str, int]]]:
    """The packets from the ramp's first to its last, and who sent all that came until the call was
    closed; what came is what it counts."""
    call.play(RAMP)
    call.end_segment()
    packets: list[bytes] = []
    sources = set()
    came = 0
    while len(packets) < 20:
        packet, source = peer.recvfrom(2048)
        sources.add(source[:2])
        came += is_rtp(packet)
        if is_rtp(packet) and (packets or any(packet[12:])):
            packets.append(packet)
    # Only the counters of a closed call are complete: a packet arrives before it is counted.
    await call.close()
    stats = call.stats()
    assert stats["packets_sent"] == came + sum(map(is_rtp, drained(peer)))
    assert stats["send_errors"] == 0
    return packets, sources


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "::1"),
    ],
)
def test_the_packets_and_their_source_are_the_same(local: str, remote: str):
    async def scenario() -> None:
        found = []
        for raw_send in (False, True):
            with peer_socket(remote) as peer:
                async with Engine(raw_send=raw_send) as engine:
                    config = CallConfig(
                        codec="l16",
                        play_hz=8000,
                        local=(local, 0),
                        remote=peer.getsockname()[:2],
                        ssrc=7,
                    )
                    call = await engine.open_call(config)
                    packets, sources = await heard_by(call, peer)
                    ip, port = call.local_address
                    ip = remote if local in ("0.0.0.0", "::") else ip
                    assert sources == {(ip, port)}
                    sequences = [int.from_bytes(packet[2:4], "big") for packet in packets]
                    assert (np.diff(sequences) % 65536 == 1).all()
                    found.append([packet[8:] for packet in packets])
        assert found[0] == found[1]
        sent = b"".join(packet[4:] for packet in found[1])
        np.testing.assert_array_equal(np.frombuffer(sent, ">i2"), RAMP)

    run(scenario())


@pytest.mark.parametrize("suite", [None, *SUITES])
def test_many_calls_hear_one_another(suite: str | None):
    """More calls than a shard sends at once, moved under way, in pairs: who hears the ramp heard
    every packet."""
    if suite is not None:
        try:
            srtp_version()
        except MissingLibraryError:
            assert "CI" not in os.environ, "this machine should have it: apt install libsrtp2-1"
            suite = None
    a, b = (bytes(range(k, k + SUITES[suite])) if suite else b"" for k in (0, 100))

    def config(own: bytes, other: bytes, **more: Any) -> CallConfig:
        keys = {"srtp": SrtpKeys(own, other, suite)} if suite else {}
        return CallConfig(codec="l16", play_hz=8000, echo="off", barge_in=False, **keys, **more)

    async def scenario() -> None:
        async with Engine(shards=2, raw_send=True, max_load=None, max_lateness_ms=None) as engine:
            pairs = []
            for _ in range(40):
                first = await engine.open_call(config(a, b))
                second = await engine.open_call(config(b, a, remote=first.local_address))
                second.play(RAMP)
                second.end_segment()
                pairs.append((first, second))
            for index, (_, second) in enumerate(pairs[:10]):
                await engine.move_call(second, index % 2)
            for first, second in pairs:
                heard = np.zeros(0, np.int16)
                while np.count_nonzero(heard) < len(RAMP):
                    heard = np.concatenate([heard, first.read_audio()[0]])
                    await asyncio.sleep(0)
                start = int(np.flatnonzero(heard)[0])
                np.testing.assert_array_equal(heard[start : start + len(RAMP)], RAMP)
                stats = first.stats()
                assert stats["lost"] == stats["srtp_rejected"] == 0
                assert second.stats()["send_errors"] == 0
            assert engine.profile().stages["send"].units > 0

    run(scenario())


def test_a_closed_port_disturbs_nobody():
    async def scenario() -> None:
        async with Engine(raw_send=True) as engine:
            with peer_socket("127.0.0.1") as gone:
                nowhere = gone.getsockname()
            lonely = await engine.open_call(CallConfig(remote=nowhere))
            with peer_socket("127.0.0.1") as peer:
                call = await engine.open_call(
                    CallConfig(codec="l16", play_hz=8000, remote=peer.getsockname())
                )
                await heard_by(call, peer)
            await lonely.close()
            assert lonely.stats()["packets_sent"] >= 20
            assert lonely.stats()["send_errors"] == 0

    run(scenario())


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def drop_capability() -> None:
    """Takes CAP_NET_RAW from the calling thread alone (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(ctypes.byref(header), data) == 0
    data[0] &= ~(1 << CAP_NET_RAW)  # what is effective
    assert libc.capset(ctypes.byref(header), data) == 0, os.strerror(ctypes.get_errno())


def test_without_the_capability_the_error_says_what_to_do():
    outcome: list[BaseException | None] = []

    def without() -> None:
        try:
            drop_capability()
            assert not permitted(threading.get_native_id())
            asyncio.run(refused())
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=without)
    before = os.listdir("/proc/self/fd")
    thread.start()
    thread.join()
    assert outcome == [None]
    assert len(os.listdir("/proc/self/fd")) == len(before)
