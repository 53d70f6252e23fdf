"""Who may speak on the media port, and RTCP. Oracles: aiortc's RTCP packets, both ways; the rules
of docs/engine.md; for round-trip time the delay of the virtual network."""

from __future__ import annotations

import asyncio
import socket
import sys

import numpy as np
import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from voicecore.errors import ConfigError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import ByeReceived, CallEvent, RtpTimedOut
from voicecore.testing.virtual import VirtualEngine

LOOPBACK = "127.0.0.1"
CALLER, STRANGER = ("192.0.2.7", 4000), ("198.51.100.9", 4000)
OURS, THEIRS = 0xCAFE, 0xBEEF
FIXED = {"ssrc": OURS, "first_sequence": 7, "first_timestamp": 90_000}


def rtp(sequence: int, ssrc: int = THEIRS, payload_type: int = 0) -> bytes:
    head = bytes([0x80, payload_type]) + (sequence % 65536).to_bytes(2, "big")
    return head + (sequence * 160).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + b"\xff" * 160


def is_rtcp(packet: bytes) -> bool:
    return 192 <= packet[1] <= 223


def taken(call: Call) -> list[CallEvent]:
    found = list(call._events)
    call._events.clear()
    return found


def test_a_strangers_packets_change_nothing():
    """The same call twice, once with a stranger who knows all but the address: same samples."""
    heard = []
    for attacked in (False, True):
        engine = VirtualEngine("c")
        call = engine.open(CallConfig())
        for index in range(100):
            assert engine.receive(call, rtp(index), CALLER)
            if attacked:
                assert not engine.receive(call, rtp(index + 1), STRANGER)
                assert not engine.receive(call, rtp(index, ssrc=1), (CALLER[0], 4002))
            engine.advance(20)
        stats = call.stats()
        assert stats["packets_strange"] == (200 if attacked else 0)
        assert stats["sources"] == 1
        heard.append(call.read_audio()[0])
    np.testing.assert_array_equal(*heard)


def test_a_stranger_does_not_keep_a_dead_call_alive():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(rtp_timeout_ms=200))
    engine.receive(call, rtp(0), CALLER)
    for index in range(20):
        engine.receive(call, rtp(index), STRANGER)
        engine.receive(call, rtp(2 * index, ssrc=1), CALLER)  # never two in a row
        engine.advance(20)
    assert [type(event) for event in taken(call)] == [RtpTimedOut]


def test_nothing_but_valid_packets_teaches_an_address():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(rtcp=True))
    wrong_type, empty, report = rtp(0, payload_type=50), rtp(0)[:12], bytes(RtcpRrPacket(ssrc=1))
    for packet in (b"", b"hello", wrong_type, empty, report):
        assert not engine.receive(call, packet, STRANGER)
    assert engine.receive(call, rtp(0), CALLER)
    assert not engine.receive(call, rtp(1), STRANGER)
    engine.tick()
    stats = call.stats()
    assert (stats["packets_malformed"], stats["packets_unknown"]) == (3, 1)
    assert stats["packets_strange"] == 2


@pytest.mark.parametrize(
    ("lock_source", "learns"), [(None, False), ("remote", False), ("first", True)]
)
def test_the_address_of_the_offer_is_locked_unless_it_is_to_be_learnt(lock_source, learns):
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(remote=CALLER, lock_source=lock_source))
    assert engine.receive(call, rtp(0), STRANGER) is learns
    assert engine.receive(call, rtp(1), CALLER) is not learns


def test_another_ssrc_is_taken_when_the_old_one_is_silent():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig())
    for index in range(10):
        assert engine.receive(call, rtp(index), CALLER)
        assert not engine.receive(call, rtp(500 + index, ssrc=1), CALLER)
        engine.advance(20)
    # 20 ms after the last of the old one: the fifth of the new one is 100 ms after it.
    used = []
    for index in range(10, 20):
        used.append(engine.receive(call, rtp(500 + index, ssrc=1), CALLER))
        engine.advance(20)
    assert used == [False] * 4 + [True] * 6
    stats = call.stats()
    assert stats["packets_unproven"] == 14
    assert stats["sources"] == 2
    assert stats["received_samples"] == 160 * (10 + 6)


def test_a_new_offer_moves_the_call():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(remote=CALLER))
    engine.receive(call, rtp(0), CALLER)
    call.set_remote(("192.0.2.8", 5000))
    assert not engine.receive(call, rtp(1), CALLER)
    assert engine.receive(call, rtp(0, ssrc=1), ("192.0.2.8", 5000))
    for wrong in (("host", 1), ("192.0.2.8", 0), ("192.0.2.8", 65536)):
        with pytest.raises(ConfigError):
            call.set_remote(wrong)


def test_aiortc_reads_our_reports():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(rtcp=True, **FIXED))
    lost = {20, 21, 50}
    for index in range(1000):
        if index not in lost:
            engine.receive(call, rtp(index), CALLER)
        engine.advance(20)
    sent = [(at, packet) for at, _, packet in engine.sent]
    reports = [(at, RtcpPacket.parse(packet)) for at, packet in sent if is_rtcp(packet)]
    assert len(reports) == call.stats()["rtcp_sent"] >= 3
    steps = np.diff([at for at, _ in reports]) / 1e9
    assert ((steps > 2.05) & (steps < 6.2)).all()  # RFC 3550 6.3.1 of 5 s, on the 20 ms grid
    for at, (sr, sdes) in reports:
        before = [packet for when, packet in sent if when <= at and not is_rtcp(packet)]
        assert isinstance(sr, RtcpSrPacket)
        assert isinstance(sdes, RtcpSdesPacket)
        assert sr.ssrc == OURS
        assert sr.sender_info.packet_count == len(before)
        assert sr.sender_info.octet_count == 160 * len(before)
        assert sr.sender_info.rtp_timestamp == 90_000 + 160 * (len(before) - 1)
        assert sdes.chunks == [RtcpSourceInfo(ssrc=OURS, items=[(1, b"0000cafe")])]
        (report,) = sr.reports
        heard = report.highest_sequence + 1
        assert report.ssrc == THEIRS
        assert report.packets_lost == len([index for index in lost if index < heard])
        assert report.jitter == 0
    assert sum(report[0].reports[0].fraction_lost > 0 for _, report in reports) == 1


def test_aiortc_writes_what_we_read():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(rtcp=True, **FIXED))
    engine.receive(call, rtp(0), CALLER)
    about_us = RtcpReceiverInfo(
        ssrc=OURS, fraction_lost=64, packets_lost=12, highest_sequence=99, jitter=40, lsr=0, dlsr=0
    )
    about_another = RtcpReceiverInfo(
        ssrc=5, fraction_lost=9, packets_lost=9, highest_sequence=9, jitter=9, lsr=0, dlsr=0
    )
    report = RtcpSrPacket(
        ssrc=THEIRS,
        sender_info=RtcpSenderInfo(
            ntp_timestamp=0x8000000100000000, rtp_timestamp=1, packet_count=1, octet_count=160
        ),
        reports=[about_another, about_us, about_another],
    )
    name = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=THEIRS, items=[(1, b"somebody")])])
    engine.receive(call, bytes(report) + bytes(name), CALLER)
    engine.receive(call, bytes(report), STRANGER)
    engine.receive(call, bytes(report)[:-1], CALLER)
    engine.tick()
    stats = call.stats()
    assert (stats["remote_loss"], stats["remote_lost"]) == (0.25, 12)
    assert (stats["remote_jitter_ms"], stats["round_trip_ms"]) == (5.0, 0.0)
    counted = ("rtcp_received", "rtcp_malformed", "packets_strange")
    assert [stats[name] for name in counted] == [1, 1, 1]

    # LSR and DLSR come back: 1.5 s after that report, and then the BYE of somebody else and theirs.
    engine.advance(10_000)
    last = [packet for _, _, packet in engine.sent if is_rtcp(packet)][-1]
    block = RtcpPacket.parse(last)[0].reports[0]
    assert block.lsr == 0x00010000
    receiver = bytes(RtcpRrPacket(ssrc=THEIRS))
    engine.receive(call, receiver + bytes(RtcpByePacket(sources=[77])), CALLER)
    engine.receive(call, receiver + bytes(RtcpByePacket(sources=[THEIRS])), STRANGER)
    assert not [event for event in taken(call) if isinstance(event, ByeReceived)]
    engine.receive(call, receiver + bytes(RtcpByePacket(sources=[THEIRS])), CALLER)
    assert [event for event in taken(call) if isinstance(event, ByeReceived)]


def test_round_trip_time_and_bye_of_two_calls():
    engine = VirtualEngine("c")
    agent, caller = engine.open(CallConfig(rtcp=True)), engine.open(CallConfig(rtcp=True))
    engine.connect(agent, caller, lambda *_: [30.0], lambda *_: [70.0])
    engine.advance(20_000)
    for call in (agent, caller):
        assert call.stats()["round_trip_ms"] == pytest.approx(100, abs=0.1)
        assert call.stats()["remote_loss"] == 0
    asyncio.run(agent.close())
    engine.advance(100)
    assert [type(event) for event in taken(caller)].count(ByeReceived) == 1


def test_without_rtcp_there_is_none():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig())
    engine.receive(call, rtp(0), CALLER)
    engine.receive(call, bytes(RtcpRrPacket(ssrc=THEIRS)), CALLER)
    engine.advance(20_000)
    assert not any(is_rtcp(packet) for _, _, packet in engine.sent)
    assert call.stats()["packets_unknown"] == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lock_source": "any"}, "lock_source 'any'"),
        ({"lock_source": "remote"}, "needs remote"),
        ({"rtcp": True, "payload_type": 72}, "RFC 5761"),
        ({"rtcp": True, "media": "push"}, "pushed media"),
        ({"srtp": b"key"}, "SrtpKeys"),
    ],
)
def test_settings_of_the_port_are_checked(wrong: dict[str, object], said: str):
    with pytest.raises(ConfigError, match=said):
        CallConfig(**wrong)


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the engine's threads need Linux")
def test_on_real_sockets():
    """Lock, RTCP and BYE over loopback; the packets that come are the clock."""

    async def scenario() -> None:
        peer, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        with peer, stranger:
            for one in (peer, stranger):
                one.bind((LOOPBACK, 0))
                one.settimeout(10)
            async with Engine() as engine:
                call = await engine.open_call(CallConfig(rtcp=True, rtp_timeout_ms=500, **FIXED))
                stranger.sendto(b"no RTP", call.local_address)
                peer.sendto(rtp(0), call.local_address)
                stranger.sendto(rtp(1), call.local_address)
                reports = 0
                for _ in range(1000):  # 7 s at most until the first report
                    packet = peer.recv(2048)
                    if is_rtcp(packet):
                        (sr, _) = RtcpPacket.parse(packet)
                        assert sr.reports[0].ssrc == THEIRS
                        reports += 1
                        break
                assert reports == 1
                bye = bytes(RtcpRrPacket(ssrc=THEIRS)) + bytes(RtcpByePacket(sources=[THEIRS]))
                stranger.sendto(bye, call.local_address)
                peer.sendto(bye, call.local_address)
                kinds = []
                async for event in call:
                    kinds.append(type(event))
                    if isinstance(event, ByeReceived):
                        break
                assert kinds.count(RtpTimedOut) == 1
                peer.recv(2048)
                stats = call.stats()
                assert (stats["packets_malformed"], stats["packets_strange"]) == (1, 2)
                call.set_remote(stranger.getsockname())
                assert stranger.recv(2048)[1] == 0x00
                await call.close()
                while True:
                    last = stranger.recv(2048)
                    if is_rtcp(last) and isinstance(RtcpPacket.parse(last)[-1], RtcpByePacket):
                        break

    asyncio.run(asyncio.wait_for(scenario(), 60))
