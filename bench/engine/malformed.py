"""Datagrams that a media port gets and should not: broken RTP and RTCP, probes of port scans."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["KINDS", "PROBES", "malformed"]

_FRAME = 160


def _header(rng: np.random.Generator, first: int = 0x80, second: int = 0) -> bytes:
    sequence, timestamp, ssrc = (int(rng.integers(0, 2**n)) for n in (16, 32, 32))
    return struct.pack(">BBHII", first, second, sequence, timestamp, ssrc)


def _bytes(rng: np.random.Generator, low: int, high: int) -> bytes:
    return bytes(rng.bytes(int(rng.integers(low, high))))


def _rtcp_garbage(rng: np.random.Generator) -> bytes:
    kind, count = int(rng.integers(200, 208)), int(rng.integers(0, 32))
    words = int(rng.integers(0, 2**16))
    return struct.pack(">BBH", 0x80 | count, kind, words) + _bytes(rng, 0, 200)


# By what is wrong with them.
KINDS = {
    "nothing": lambda rng: b"",
    "random bytes": lambda rng: _bytes(rng, 1, 400),
    "a header cut short": lambda rng: _header(rng)[: int(rng.integers(1, 12))],
    "version 1": lambda rng: _header(rng, 0x40) + _bytes(rng, _FRAME, _FRAME + 1),
    "more CSRCs than bytes": lambda rng: _header(rng, 0x8F) + _bytes(rng, 0, 60),
    "an extension cut short": lambda rng: _header(rng, 0x90) + _bytes(rng, 0, 4),
    "an extension too long": lambda rng: (
        _header(rng, 0x90) + struct.pack(">HH", 0xBEDE, int(rng.integers(50, 2**16))) + b"\0" * 90
    ),
    "padding beyond its payload": lambda rng: _header(rng, 0xA0) + b"\0" * 40 + b"\xff",
    "no payload": lambda rng: _header(rng),
    "another payload type": lambda rng: _header(rng, 0x80, 77) + b"\0" * _FRAME,
    "another SSRC": lambda rng: _header(rng) + b"\0" * _FRAME,
    "a key press cut short": lambda rng: _header(rng, 0x80, 101) + b"\1\0",
    "a megabit frame": lambda rng: _header(rng) + b"\0" * int(rng.integers(2048, 9000)),
    "RTCP garbage": _rtcp_garbage,
    "a report that ends early": lambda rng: struct.pack(">BBH", 0x81, 200, 12) + b"\0" * 20,
}

PROBES = (
    b"",
    b"\0" * 8,
    b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/UDP nm;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\r\n",
    bytes.fromhex("0000 0100 0001 0000 0000 0000 0776 6572 7369 6f6e 0462 696e 6400 0010 0003"),
    bytes.fromhex("0001 0000 2112 a442 000102030405060708090a0b"),  # STUN binding request
    bytes.fromhex("16feff0000000000000000 0036"),  # DTLS client hello, its head
)


def malformed(count: int, seed: int) -> list[bytes]:
    """So many datagrams, of every kind in turn."""
    rng = np.random.default_rng(seed)
    makers = list(KINDS.values())
    return [makers[i % len(makers)](rng) for i in range(count)]
