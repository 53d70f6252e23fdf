"""Calls with G.722 and Opus. Oracles: the codec units alone, bit for bit; aiortc's encoders,
decoders, RTP and RTCP (over the libopus and the libavcodec inside PyAV) for what is on the wire.

Where libopus is not installed the tests of Opus check instead that the error names the package;
where CI is set that is a failure.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import socket
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from aiortc.codecs.g722 import G722Decoder, G722Encoder
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtcpPacket, RtcpSrPacket, RtpPacket
from scipy.signal import resample_poly

from tests import audio
from voicecore import Decoder, Encoder, JitterBuffer
from voicecore.errors import ConfigError, MissingLibraryError, RateError
from voicecore.media._call import srtp_version
from voicecore.media._codec import opus_version
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import SpeechStarted
from voicecore.media.srtp import SrtpKeys
from voicecore.testing.virtual import VirtualEngine

PCM = npt.NDArray[np.int16]
FEC = {"opus_bitrate_bps": 32000, "opus_complexity": 5, "opus_packet_loss_percent": 20}
SAME = {"bitrate": 32000, "complexity": 5, "fec": True, "packet_loss_percent": 20}
# Codec, rate, settings of the call, and the same in the words of Encoder.
KINDS: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
    ("g722", 16000, {}, {}),
    ("opus", 16000, {}, {}),
    ("opus", 8000, {}, {}),
    ("opus", 16000, FEC, SAME),
]
each_kind = pytest.mark.parametrize(("codec", "rate_hz", "settings", "options"), KINDS)
each_codec = pytest.mark.parametrize("codec", ["g722", "opus"])


def with_libopus(test: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        try:
            opus_version()
        except MissingLibraryError:
            assert "CI" not in os.environ, "this machine should have libopus: apt install libopus0"
            if named.get("codec", "opus") == "opus":
                with pytest.raises(MissingLibraryError, match="apt install libopus0"):
                    VirtualEngine("c").open(CallConfig(codec="opus"))
                return
        test(*args, **named)

    return run


@functools.cache
def speech(rate_hz: int, seconds: int = 4) -> PCM:
    voice = audio.speech("beckett", rate_hz)[: seconds * rate_hz]
    return (np.clip(voice, -1, 0.9999) * 32768).astype(np.int16)


def config_of(codec: str, rate_hz: int = 0, **settings: Any) -> CallConfig:
    settings = {"echo": "off", "fade_ms": 0, "play_hz": rate_hz or 16000, **settings}
    return CallConfig(codec=codec, rate_hz=rate_hz, **settings)


def pair(config: CallConfig, network: Any = None) -> tuple[VirtualEngine, Call, Call]:
    engine = VirtualEngine()
    agent, caller = engine.open(config), engine.open(config)
    engine.connect(agent, caller, network)
    return engine, agent, caller


@functools.cache
def newer_libopus() -> ctypes.CDLL:
    """The one inside PyAV; opus_packet_has_lbrr is there since 1.4."""
    where = Path(av.__file__).parent
    found = [*where.glob("../av.libs/libopus*"), *where.glob(".dylibs/libopus*")]
    return ctypes.CDLL(str(found[0]))


def carries_fec(payload: bytes) -> bool:
    return newer_libopus().opus_packet_has_lbrr(payload, len(payload)) == 1


def is_rtcp(packet: bytes) -> bool:
    return 192 <= packet[1] <= 223  # RFC 5761 4; 111 with the marker is 239


def sent_by(config: CallConfig, pcm: PCM) -> list[RtpPacket]:
    engine = VirtualEngine()
    call = engine.open(config)
    call.play(pcm)
    engine.advance(1000 * len(pcm) / config.play_hz)
    return [RtpPacket.parse(packet) for _, _, packet in engine.sent]


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "rate_hz", "payload_type", "clock_hz", "rtpmap"),
    [
        ("pcmu", 8000, 0, 8000, "PCMU/8000"),
        ("pcma", 8000, 8, 8000, "PCMA/8000"),
        ("l16", 8000, 96, 8000, "L16/8000"),
        ("g722", 16000, 9, 8000, "G722/8000"),
        ("opus", 16000, 111, 48000, "opus/48000/2"),
    ],
)
def test_a_codec_brings_its_rate_payload_type_and_clock(
    codec: str, rate_hz: int, payload_type: int, clock_hz: int, rtpmap: str
):
    """Oracles: RFC 3551 tables 4 and 6, RFC 7587 clause 7."""
    config = CallConfig(codec=codec)
    assert (config.rate_hz, config.wire_payload_type) == (rate_hz, payload_type)
    assert (config.clock_hz, config.rtpmap) == (clock_hz, rtpmap)
    assert CallConfig(codec=codec, payload_type=120).wire_payload_type == 120
    assert CallConfig(codec=codec, rate_hz=rate_hz) == config


def test_wrong_settings_say_what_is_allowed():
    assert CallConfig(codec="l16", rate_hz=16000).rtpmap == "L16/16000"
    assert CallConfig(codec="opus", rate_hz=8000).clock_hz == 48000
    assert CallConfig(codec="g722", rate_hz=8000, media="push").rate_hz == 8000
    with pytest.raises(RateError, match="g722 runs at 16000 Hz only"):
        CallConfig(codec="g722", rate_hz=8000)
    with pytest.raises(RateError, match="8000 or 16000"):
        CallConfig(codec="opus", rate_hz=48000)
    with pytest.raises(ConfigError, match="'g722' or 'opus'"):
        CallConfig(codec="speex")
    for name, value in (
        ("opus_bitrate_bps", 5999), ("opus_bitrate_bps", 510001), ("opus_complexity", 11),
        ("opus_packet_loss_percent", 101), ("opus_packet_loss_percent", 0.5),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=name):
            CallConfig(codec="opus", **{name: value})
    for name, value in FEC.items():
        with pytest.raises(ConfigError, match=f"{name} is for codec 'opus'"):
            CallConfig(codec="g722", **{name: value})


def test_without_libopus_open_says_so_and_the_engine_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VOICECORE_LIBOPUS", "/nowhere/libopus.so")
    virtual = VirtualEngine("c")
    with pytest.raises(MissingLibraryError, match=r"/nowhere/libopus\.so"):
        virtual.open(CallConfig(codec="opus"))
    assert len(virtual.open(CallConfig(codec="g722")).read_audio()[0]) == 0

    async def scenario() -> None:
        async with Engine() as engine:
            with pytest.raises(MissingLibraryError, match="apt install libopus0"):
                await engine.open_call(CallConfig(codec="opus"))
            assert engine.stats()["calls"] == 0
            await engine.open_call(CallConfig(codec="opus", media="push"))

    if sys.platform == "linux":
        asyncio.run(scenario())


# -- audio -------------------------------------------------------------------------------------


@each_kind
@with_libopus
def test_the_caller_reads_what_the_units_make(
    codec: str, rate_hz: int, settings: dict[str, Any], options: dict[str, Any]
):
    pcm = speech(rate_hz)
    engine, agent, caller = pair(config_of(codec, rate_hz, **settings))
    agent.play(pcm)
    engine.advance(4000)
    heard, first = caller.read_audio()
    frame = rate_hz // 50
    encoder, decoder = Encoder(codec, rate_hz, **options), Decoder(codec, rate_hz)
    coded = [decoder.decode(encoder.encode(pcm[i : i + frame])) for i in range(0, len(pcm), frame)]
    expected = np.concatenate(coded)
    assert first == 0
    np.testing.assert_array_equal(heard[: len(expected)], expected)
    stats = caller.stats()
    # What the jitter buffer counts is as of the last tick, before the last packet came.
    assert stats["packets_decoded"] == stats["packets_received"] - 1 == 200
    assert stats["jitter_ms"] == 0.0  # timestamps and arrival times agree
    if codec == "g722":  # 64 kbit/s for 7 kHz: a waveform coder
        delay = encoder.delay_samples
        truth = pcm[: len(expected) - delay].astype(np.float64)
        noise = heard[delay : len(expected)] - truth
        assert 10 * np.log10(np.mean(truth**2) / np.mean(noise**2)) > 20.0


@each_kind
@with_libopus
def test_losses_are_concealed_with_as_many_samples(
    codec: str, rate_hz: int, settings: dict[str, Any], options: dict[str, Any]
):
    lost = {n for n in range(200) if n % 9 == 4 or n in (60, 61, 62)}
    payloads: list[bytes] = []

    def network(n: int, packet: bytes) -> list[float]:
        payloads.append(packet[12:])
        return [] if n in lost else [0.0]

    engine, agent, caller = pair(config_of(codec, rate_hz, **settings), network)
    agent.play(speech(rate_hz))
    engine.advance(4020)
    stats = caller.stats()
    assert stats["lost"] == len(lost)
    assert stats["packets_decoded"] == 201 - len(lost)
    assert stats["concealed_samples"] == len(lost) * rate_hz // 50
    assert stats["received_samples"] == 202 * rate_hz // 50
    # Of a burst only the last can be in the packet behind it.
    ends = [n + 1 for n in lost if n + 1 not in lost]
    carried = sum(carries_fec(payloads[n]) for n in ends) if codec == "opus" else 0
    assert stats["recovered"] == carried
    assert (carried > len(ends) / 3) == options.get("fec", False)  # speech, not the pauses


def hears_itself(codec: str, echo: str) -> tuple[Call, int, float]:
    """The agent's packets, decoded, 18 dB softer and 120 ms later, coded again, for 20 s: the call,
    how often it heard speech begin, and how much softer what it heard is than that, in dB."""
    engine = VirtualEngine()
    call = engine.open(CallConfig(codec=codec, play_hz=16000, echo=echo, barge_in=False))
    encoder, decoder = Encoder(codec, 16000), Decoder(codec, 16000)
    voice = (audio.synthetic_speech(16000)[: 20 * 16000] * 24000).astype(np.int16)
    line = np.zeros(6 * 320, np.int16)
    in_power = out_power = 0.0
    for n in range(1000):
        call.play(voice[n * 320 : n * 320 + 320])
        engine.tick()
        heard = (decoder.decode(engine.sent.pop()[2][12:]) / 8).astype(np.int16)
        line = np.concatenate([line, heard])
        back = encoder.encode(np.ascontiguousarray(line[n * 320 : n * 320 + 320]))
        head = RtpPacket(
            payload_type=call.config.wire_payload_type, sequence_number=n, ssrc=5,
            timestamp=n * call.config.clock_hz // 50,
        )  # fmt: skip
        assert engine.receive(call, head.serialize() + back)
        left = call.read_audio()[0].astype(np.float64)
        if n > 300:
            in_power += float(np.square(line[n * 320 : n * 320 + 320].astype(np.float64)).sum())
            out_power += float(np.square(left).sum())
    begun = sum(isinstance(event, SpeechStarted) for event in call._events)
    return call, begun, 10 * float(np.log10(in_power / out_power))


@pytest.mark.parametrize("duration_ms", [10, 20, 40, 60])
@pytest.mark.parametrize(("rate_hz", "bitrate"), [(8000, 20000), (16000, 24000), (48000, 32000)])
@with_libopus
def test_what_is_recovered_is_what_libopus_says_is_carried(
    duration_ms: int, rate_hz: int, bitrate: int
):
    """Every other packet is lost. Oracle: opus_packet_has_lbrr; SILK and hybrid packets."""
    encoder = Encoder("opus", rate_hz, bitrate=bitrate, fec=True, packet_loss_percent=25)
    n, ticks = rate_hz * duration_ms // 1000, 48 * duration_ms
    pcm = speech(rate_hz)
    packets = [encoder.encode(pcm[i : i + n]) for i in range(0, len(pcm) - n + 1, n)]
    buffer = JitterBuffer(16000, codec="opus", loss_wait_ms=0)
    carried = []
    for index in range(0, len(packets), 2):
        head = RtpPacket(sequence_number=index, timestamp=index * ticks, ssrc=1)
        buffer.put(head.serialize() + packets[index], arrival_ns=index * duration_ms * 1_000_000)
        while len(buffer.read(index * duration_ms * 1_000_000)[0]):
            pass
        carried.append(index > 0 and carries_fec(packets[index]))
    assert buffer.stats()["lost"] == len(carried) - 1
    assert buffer.stats()["recovered"] == sum(carried)
    assert any(carried)


@each_codec
@with_libopus
def test_the_canceller_works_through_the_codec(codec: str):
    call, begun, softer_db = hears_itself(codec, "on")
    assert begun <= 1  # 0 with libopus 1.3.1; without the canceller at every other sentence
    assert softer_db > 20.0
    assert call.stats()["echo_delay_ms"] == pytest.approx(120, abs=15)
    _, begun, softer_db = hears_itself(codec, "off")
    assert begun >= 4
    assert softer_db < 3.0


# -- the wire ----------------------------------------------------------------------------------


@each_codec
@with_libopus
def test_aiortc_understands_what_is_sent(codec: str):
    """RTP by aiortc, audio by PyAV: G.722 bit for bit, Opus within 60 dB of our own decoder."""
    pcm = speech(16000)
    packets = sent_by(config_of(codec, ssrc=7, first_sequence=65530, first_timestamp=1), pcm)
    assert {p.payload_type for p in packets} == {9 if codec == "g722" else 111}
    assert [p.marker for p in packets] == [1, *[0] * 200]
    assert {p.ssrc for p in packets} == {7}
    assert [p.sequence_number for p in packets] == [(65530 + n) % 65536 for n in range(201)]
    step = 160 if codec == "g722" else 960
    assert [p.timestamp for p in packets] == [1 + n * step for n in range(201)]
    theirs: Any = G722Decoder() if codec == "g722" else OpusDecoder()
    frames = [f for p in packets for f in theirs.decode(JitterFrame(p.payload, p.timestamp))]
    channels = 1 if codec == "g722" else 2
    heard = np.concatenate([f.to_ndarray().reshape(-1, channels)[:, 0] for f in frames])
    decoder = Decoder(codec, 16000 if codec == "g722" else 48000)
    ours = np.concatenate([decoder.decode(p.payload) for p in packets])
    if codec == "g722":
        np.testing.assert_array_equal(heard, ours)
    else:
        assert heard.shape == ours.shape
        noise = np.mean(np.square(heard.astype(np.float64) - ours))
        assert noise < 1e-6 * np.mean(np.square(ours.astype(np.float64)))


@each_codec
@with_libopus
def test_what_aiortc_sends_is_understood(codec: str):
    """A stream whose payloads and timestamps aiortc made (Opus: stereo, 48 kHz)."""
    rate_hz = 16000 if codec == "g722" else 48000
    pcm = speech(rate_hz)
    encoder: Any = G722Encoder() if codec == "g722" else OpusEncoder()
    engine = VirtualEngine()
    call = engine.open(config_of(codec))
    payloads: list[bytes] = []
    for n in range(0, len(pcm), rate_hz // 50):
        frame = av.AudioFrame.from_ndarray(pcm[None, n : n + rate_hz // 50], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, n, Fraction(1, rate_hz)
        made, timestamp = encoder.encode(frame)
        for payload in made:
            packet = RtpPacket(
                payload_type=call.config.wire_payload_type, ssrc=9,
                sequence_number=len(payloads), timestamp=timestamp,
            )  # fmt: skip
            payloads.append(payload)
            assert engine.receive(call, packet.serialize() + payload)
        engine.tick()
    engine.tick()
    heard, first = call.read_audio()
    decoder = Decoder(codec, 16000)
    expected = np.concatenate([decoder.decode(payload) for payload in payloads])
    assert first == 0
    np.testing.assert_array_equal(heard, expected)
    stats = call.stats()
    assert stats["packets_decoded"] == len(payloads) >= 198
    assert stats["lost"] == stats["concealed_samples"] == stats["silence_samples"] == 0
    # It is the speech: at the best lag of up to 30 ms the correlation is above 0.7.
    truth = resample_poly(pcm.astype(np.float64), 16000, rate_hz)[16000:48000]

    def likeness(lag: int) -> float:
        other = heard[16000 + lag : 48000 + lag].astype(np.float64)
        return float(truth @ other / np.sqrt((truth @ truth) * (other @ other)))

    assert max(map(likeness, range(480))) > 0.7


@each_codec
@with_libopus
def test_sender_reports_count_in_the_codecs_clock(codec: str):
    """Two reports by aiortc's parser: RTP time by NTP time is the clock rate."""
    engine = VirtualEngine()
    call = engine.open(config_of(codec, rtcp=True, ssrc=3, first_timestamp=0))
    engine.advance(20_000)
    compounds = [RtcpPacket.parse(p) for _, _, p in engine.sent if is_rtcp(p)]
    infos = [one.sender_info for c in compounds for one in c if isinstance(one, RtcpSrPacket)]
    assert len(infos) >= 3
    ntp_s = (infos[-1].ntp_timestamp - infos[0].ntp_timestamp) / 2**32
    ticks = infos[-1].rtp_timestamp - infos[0].rtp_timestamp
    assert ticks / ntp_s == pytest.approx(8000 if codec == "g722" else 48000, rel=1e-5)
    octets = [len(p) - 12 for _, _, p in engine.sent if not is_rtcp(p)]
    assert infos[-1].octet_count == sum(octets[: infos[-1].packet_count])
    assert call.stats()["rtcp_sent"] == len(compounds)


@each_codec
@with_libopus
def test_srtp_and_rtcp_between_two_calls(codec: str):
    try:
        srtp_version()
    except MissingLibraryError:
        assert "CI" not in os.environ, "this machine should have it: apt install libsrtp2-1"
        return
    keys = SrtpKeys(bytes(range(30)), bytes(range(30)))
    engine, agent, caller = pair(config_of(codec, srtp=keys, rtcp=True))
    plain_engine, plain_agent, plain_caller = pair(config_of(codec))
    for one, other in ((engine, agent), (plain_engine, plain_agent)):
        other.play(speech(16000))
        one.advance(9000)
    np.testing.assert_array_equal(caller.read_audio()[0], plain_caller.read_audio()[0])
    stats = caller.stats()
    assert stats["srtp_rejected"] == stats["rtcp_malformed"] == 0
    assert stats["rtcp_received"] >= 1
    assert stats["packets_received"] == stats["packets_decoded"] + stats["rtcp_received"] + 1
    assert agent.stats()["remote_loss"] == 0.0


# -- threads -----------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the engine needs Linux")
@each_codec
@with_libopus
def test_a_call_that_changes_shards_misses_nothing(codec: str):
    """The call moves ten times; its packets, in order, decode to the same as those of the units."""
    pcm = speech(16000)[16000:48000]
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(10)

    async def scenario() -> list[bytes]:
        async with Engine(shards=2) as engine:
            call = await engine.open_call(
                config_of(codec, remote=peer.getsockname(), barge_in=False)
            )
            await call.play_all(pcm)
            call.end_segment()
            packets = []
            for n in range(130):
                packets.append(await asyncio.to_thread(peer.recv, 2048))
                peer.sendto(packets[-1], call.local_address)
                if n % 12 == 5:
                    await engine.move_call(call, n // 12 % 2)
            stats = call.stats()
            assert stats["packets_malformed"] == stats["lost"] == 0
            assert stats["packets_decoded"] > 120
            return packets

    packets = [RtpPacket.parse(packet) for packet in asyncio.run(scenario())]
    peer.close()
    first = packets[0].sequence_number
    assert [(p.sequence_number - first) % 65536 for p in packets] == list(range(130))
    # The queue may begin a packet or two after the call does.
    encoder = Encoder(codec, 16000)
    silence = np.zeros(320, np.int16)
    lead = 0
    while packets[lead].payload == encoder.encode(silence):
        lead += 1
    encoder.reset()
    said = np.concatenate([silence] * lead + [pcm])
    expected = [encoder.encode(said[i : i + 320]) for i in range(0, len(said), 320)]
    assert [p.payload for p in packets[: len(expected)]] == expected


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the engine needs Linux")
@pytest.mark.parametrize(
    ("config", "expected_us"),
    [
        (CallConfig(), 10.0), (CallConfig(codec="g722"), 30.0), (CallConfig(codec="opus"), 305.0),
        (CallConfig(codec="opus", opus_complexity=0), 80.0),
        (CallConfig(codec="opus", rate_hz=8000), 152.5),
        (CallConfig(codec="opus", media="push"), 10.0),
    ],
)  # fmt: skip
@with_libopus
def test_a_codecs_cost_is_expected_before_it_is_measured(config: CallConfig, expected_us: float):
    """Oracle: the figures of docs/engine.md. One call weighs little beside a prior of eight."""

    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(config)
            estimate = engine.capacity_estimate().shards[0]
            assert estimate.us_per_call == pytest.approx(expected_us, rel=0.3)
            await call.close()

    asyncio.run(scenario())
