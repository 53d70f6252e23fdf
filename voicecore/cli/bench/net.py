"""JitterBuffer and RtpPacket beside aiortc's: one packet of 20 ms."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from voicecore.cli.bench.registry import Differs, Measurement, Peer, Work, package
from voicecore.media._g711 import G711
from voicecore.media._jitter import JitterBuffer
from voicecore.media._rtp import RtpPacket

__all__ = ["measurements"]

PACKETS = 500
TICK_NS = 20_000_000
AIORTC = (package("aiortc"),)


@cache
def _packets() -> list[bytes]:
    pcm = (8000 * np.sin(np.arange(PACKETS * 160) * 0.1)).astype(np.int16)
    codes = G711("ulaw").encode(pcm)
    return [
        bytes(RtpPacket(codes[160 * n : 160 * n + 160], sequence=n, timestamp=160 * n, ssrc=7))
        for n in range(PACKETS)
    ]


# -- jitter buffer ------------------------------------------------------------------------------


def _jitter(mode: Literal["listen", "play"]) -> Callable[[str | None], Work]:
    packets = [(data, n * TICK_NS) for n, data in enumerate(_packets())]

    def listen(buffer: JitterBuffer) -> None:
        put, read = buffer.put, buffer.read
        for data, now_ns in packets:
            put(data, now_ns)
            read(now_ns)

    def play(buffer: JitterBuffer) -> None:
        put, get = buffer.put, buffer.get
        for data, now_ns in packets:
            put(data, now_ns)
            get(now_ns + TICK_NS // 2)

    one_pass = listen if mode == "listen" else play

    def make(level: str | None) -> Work:
        buffer = JitterBuffer(8000, mode=mode)

        def run() -> None:
            buffer.reset()
            one_pass(buffer)

        def result() -> int:
            fresh = JitterBuffer(8000, mode=mode)
            one_pass(fresh)
            stats = fresh.stats()
            if stats["received"] != PACKETS or stats["lost"]:
                raise Differs(f"packets were lost: {stats}")
            return PACKETS

        return Work(run, PACKETS, result)

    return make


def _aiortc_jitter() -> Work:
    """As aiortc sets it up for audio; it takes packets that are parsed already."""
    buffers = importlib.import_module("aiortc.jitterbuffer")
    rtp = importlib.import_module("aiortc.rtp")
    parsed = [rtp.RtpPacket.parse(data) for data in _packets()]
    for packet in parsed:
        packet._data = packet.payload

    def run() -> int:
        buffer, frames = buffers.JitterBuffer(capacity=16, prefetch=4), 0
        for packet in parsed:
            frames += buffer.add(packet)[1] is not None
        return frames

    return Work(run, PACKETS, run)


def _all_but_the_last(ours: int, theirs: int) -> str:
    # It holds back `prefetch` frames and the one that is growing.
    if not ours - 6 <= theirs <= ours:
        raise Differs(f"{theirs} frames came out of {ours} packets")
    return f"{theirs} frames of {ours} packets"


# -- RTP packets --------------------------------------------------------------------------------


def _rtp(kind: str, peer: bool) -> Work:
    """parse; make (build from fields); build (of a packet that is there)."""
    module = importlib.import_module("aiortc.rtp") if peer else None
    packet_class: Any = module.RtpPacket if module else RtpPacket
    parse = packet_class.parse
    data = _packets()
    parsed = [parse(one) for one in data]
    payload = bytes(160)
    numbers = range(PACKETS)

    def run_parse() -> list[Any]:
        return [parse(one) for one in data]

    def run_build() -> list[bytes]:
        return [one.serialize() for one in parsed] if peer else [one.build() for one in parsed]

    def run_make() -> list[bytes]:
        if peer:
            return [
                packet_class(
                    payload=payload, sequence_number=n, timestamp=160 * n, ssrc=7
                ).serialize()
                for n in numbers
            ]
        return [RtpPacket(payload, sequence=n, timestamp=160 * n, ssrc=7).build() for n in numbers]

    run: Callable[[], list[Any]] = {"parse": run_parse, "build": run_build, "make": run_make}[kind]

    def result() -> list[Any]:
        if kind != "parse":
            return run()
        sequence = "sequence_number" if peer else "sequence"
        return [(getattr(one, sequence), one.timestamp, one.payload) for one in run()]

    return Work(run, PACKETS, result)


def _ours(kind: str) -> Callable[[str | None], Work]:
    return lambda level: _rtp(kind, False)


def _equal(ours: list[Any], theirs: list[Any]) -> str:
    if ours != theirs:
        raise Differs("the packets are not the same")
    return "the same packets"


def measurements() -> list[Measurement]:
    """The jitter buffer in both modes; RTP packets parsed and built."""
    jitter = (Peer("aiortc", AIORTC, _aiortc_jitter, _all_but_the_last),)
    found = [
        Measurement(
            "jitter-listen", "JitterBuffer", "jitter buffer, put and read (listen)", 20,
            _jitter("listen"), False, _all_but_the_last, jitter,
        ),
        Measurement(
            "jitter-play", "JitterBuffer", "jitter buffer, put and get (play)", 20,
            _jitter("play"), False, _all_but_the_last, jitter,
        ),
    ]  # fmt: skip
    for kind, what in (
        ("parse", "parse an RTP packet"),
        ("make", "make and build an RTP packet"),
        ("build", "build an RTP packet again"),
    ):
        peer = Peer("aiortc", AIORTC, partial(_rtp, kind, True), _equal)
        found.append(
            Measurement(
                f"rtp-{kind}", "RtpPacket", what, 20,
                _ours(kind), False, _equal, (peer,),
            )
        )  # fmt: skip
    return found
