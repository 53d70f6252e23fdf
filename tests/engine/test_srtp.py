"""SRTP. Oracles: pylibsrtp (another build of libsrtp), both ways; RFC 3711 written down anew below,
on AES and HMAC alone, with the key derivation vectors of its appendix B.3; the tag itself.

Where libsrtp2 is not installed each test checks instead that the error names the package; where CI
is set that is a failure."""

from __future__ import annotations

import base64
import copy
import functools
import gc
import hmac
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pylibsrtp import Error, Policy, Session

from voicecore.errors import ConfigError, MissingLibraryError, StateError
from voicecore.media._call import srtp_version
from voicecore.media.config import CallConfig
from voicecore.media.srtp import SUITES, SrtpKeys
from voicecore.testing.virtual import VirtualEngine

CALLER, MOVED = ("192.0.2.7", 4000), ("192.0.2.7", 4010)
PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 10),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 4),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16),
}
A, B = bytes(range(30)), bytes(range(100, 130))
each_suite = pytest.mark.parametrize("suite", SUITES)


def needs_libsrtp2(test: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        try:
            srtp_version()
        except MissingLibraryError:
            assert "CI" not in os.environ, "this machine should have it: apt install libsrtp2-1"
            with pytest.raises(MissingLibraryError, match="apt install libsrtp2-1"):
                VirtualEngine("c").open(CallConfig(srtp=SrtpKeys(A, B)))
            return
        test(*args, **named)

    return run


def keys(suite: str) -> SrtpKeys:
    return SrtpKeys(A[: SUITES[suite]], B[: SUITES[suite]], suite)


def peer(suite: str, key: bytes, way: int) -> Session:
    key = key[: SUITES[suite]]
    return Session(Policy(key=key, ssrc_type=way, srtp_profile=PROFILES[suite][0]))


def rtp(sequence: int, ssrc: int = 7) -> bytes:
    head = b"\x80\x00" + (sequence % 65536).to_bytes(2, "big")
    return (
        head + (sequence * 160 % 2**32).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + b"\xd5" * 160
    )


def is_rtcp(packet: bytes) -> bool:
    return 192 <= packet[1] <= 223


@each_suite
@needs_libsrtp2
def test_pylibsrtp_reads_what_we_send(suite: str):
    """Across the wrap of the sequence number, and the same packets as without SRTP."""
    settings = {"ssrc": 9, "first_sequence": 65_500, "first_timestamp": 5, "rtcp": True}
    engine, plain = VirtualEngine("c"), VirtualEngine("c")
    engine.open(CallConfig(srtp=keys(suite), **settings))
    plain.open(CallConfig(**settings))
    for each in (engine, plain):
        each.advance(10_000)
    reader = peer(suite, A, Policy.SSRC_ANY_INBOUND)
    reports = 0
    for (_, _, secret), (_, _, clear) in zip(engine.sent, plain.sent, strict=True):
        reports += is_rtcp(clear)
        read = reader.unprotect_rtcp if is_rtcp(clear) else reader.unprotect
        assert read(secret) == clear
        assert len(secret) - len(clear) == PROFILES[suite][1] or is_rtcp(clear)
        assert secret[12:40] != clear[12:40]
    assert reports >= 1


@each_suite
@needs_libsrtp2
def test_we_read_what_pylibsrtp_sends_and_refuse_the_rest(suite: str):
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(codec="pcma", payload_type=0, srtp=keys(suite), rtcp=True))
    writer = peer(suite, B, Policy.SSRC_ANY_OUTBOUND)
    report = b"\x80\xc9\x00\x01\x00\x00\x00\x07"
    for sequence in range(65_400, 65_700):
        secret = writer.protect(rtp(sequence))
        at = 4 + sequence % (len(secret) - 4)  # another sequence number could be a replay
        tampered = secret[:at] + bytes([secret[at] ^ 0x10]) + secret[at + 1 :]
        assert not engine.receive(call, tampered, CALLER)
        assert not engine.receive(call, rtp(sequence), CALLER)  # in the clear
        assert engine.receive(call, secret, CALLER)
        assert not engine.receive(call, secret, CALLER)
        engine.advance(20)
    engine.receive(call, report, CALLER)
    engine.receive(call, writer.protect_rtcp(report), CALLER)
    engine.tick()
    stats = call.stats()
    assert stats["srtp_rejected"] == 601
    assert stats["srtp_replayed"] == 300
    assert (stats["rtcp_received"], stats["rtcp_malformed"]) == (1, 0)
    assert stats["received_samples"] == 300 * 160
    assert (stats["lost"], stats["packets_strange"]) == (0, 0)


@needs_libsrtp2
def test_only_what_is_authentic_teaches_or_moves_an_address():
    suite = "AES_CM_128_HMAC_SHA1_80"
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(srtp=keys(suite)))
    writer, forger = (peer(suite, key, Policy.SSRC_ANY_OUTBOUND) for key in (B, A))
    assert not engine.receive(call, forger.protect(rtp(0)), ("198.51.100.1", 9))
    assert engine.receive(call, writer.protect(rtp(0)), CALLER)
    # The caller's NAT gives it another port: 100 ms of silence, then four packets in a row.
    used = []
    for index in range(1, 10):
        engine.advance(20)
        used.append(engine.receive(call, writer.protect(rtp(index)), MOVED))
        assert not engine.receive(call, forger.protect(rtp(index)), ("198.51.100.1", 9))
    assert used == [False] * 7 + [True] * 2
    assert not engine.receive(call, writer.protect(rtp(10)), CALLER)


def derive(key: bytes, salt: bytes, label: int, n: int) -> bytes:
    """RFC 3711 section 4.3 with a key derivation rate of 0."""
    start = (int.from_bytes(salt, "big") ^ label << 48) << 16
    cipher = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    return cipher.update(bytes(n))


def restated(packet: bytes, index: int, master: bytes) -> bytes:
    """AES_CM_128_HMAC_SHA1_80 of RFC 3711: sections 4.1.1 and 4.2."""
    session, auth, salt = (
        derive(master[:16], master[16:], label, n) for label, n in ((0, 16), (1, 20), (2, 14))
    )
    start = int.from_bytes(salt, "big") << 16 ^ int.from_bytes(packet[8:12], "big") << 64
    start ^= index << 16
    cipher = Cipher(algorithms.AES(session), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    secret = packet[:12] + cipher.update(packet[12:])
    return secret + hmac.digest(auth, secret + (index >> 16).to_bytes(4, "big"), "sha1")[:10]


@needs_libsrtp2
def test_the_packets_are_those_of_rfc_3711():
    key, salt = "E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6"
    vectors = {  # appendix B.3
        0: "C61E7A93744F39EE10734AFE3FF7A087",
        1: "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4",
        2: "30CBBC08863D8C85D49DB34A9AE1",
    }
    for label, expected in vectors.items():
        wanted = bytes.fromhex(expected)
        assert derive(bytes.fromhex(key), bytes.fromhex(salt), label, len(wanted)) == wanted
    settings = {"ssrc": 0xDEADBEEF, "first_sequence": 65_530, "first_timestamp": 5}
    engine, plain = VirtualEngine("c"), VirtualEngine("c")
    engine.open(CallConfig(srtp=keys("AES_CM_128_HMAC_SHA1_80"), **settings))
    plain.open(CallConfig(**settings))
    for each in (engine, plain):
        each.advance(1000)
    assert len(engine.sent) > 40
    for index, ((_, _, secret), (_, _, clear)) in enumerate(
        zip(engine.sent, plain.sent, strict=True)
    ):
        assert secret == restated(clear, 65_530 + index, A)


def line(key: bytes, suite: str = "AES_CM_128_HMAC_SHA1_80", tag: int = 1) -> str:
    return f"a=crypto:{tag} {suite} inline:{base64.b64encode(key).decode()}"


@each_suite
@needs_libsrtp2
def test_keys_from_sdp(suite: str):
    n = SUITES[suite]
    offer, answer = line(A[:n], suite, 3), line(B[:n], suite, 3) + "|2^31"
    caller, agent = SrtpKeys.from_sdp(offer, answer), SrtpKeys.from_sdp(answer, offer)
    engine = VirtualEngine("c")
    a, b = (engine.open(CallConfig(srtp=each, rtcp=True)) for each in (caller, agent))
    engine.connect(a, b)
    engine.advance(10_000)
    for call in (a, b):
        stats = call.stats()
        assert stats["received_samples"] > 70_000
        assert stats["srtp_rejected"] == stats["srtp_replayed"] == 0
        assert stats["rtcp_received"] >= 1
    keys_made, ours = SrtpKeys.answer(offer)
    assert SrtpKeys.from_sdp(ours, offer)._material() == keys_made._material()
    assert SrtpKeys.answer(offer)[1] != ours


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("a=rtpmap:0 PCMU/8000", "no a=crypto"),
        (line(A, "AES_256_CM_HMAC_SHA1_80"), "unknown"),
        (line(A[:-1]), "29 bytes"),
        (line(A, "AEAD_AES_128_GCM"), "30 bytes"),
        (line(A) + "|2^20|1:4", "MKI"),
        (line(A) + "|1:4", "MKI"),
        (line(A) + ";inline:" + "A" * 40, "one inline"),
        (line(A) + " KDR=1", "KDR"),
        (line(A).replace("inline:", "prompt:"), "inline"),
        (line(A).replace("inline:", "inline:!"), "base64"),
        (line(A, tag=2), "do not match"),
    ],
)
def test_lines_that_cannot_be_taken(wrong: str, said: str):
    with pytest.raises(ConfigError, match=said) as caught:
        SrtpKeys.from_sdp(line(B), wrong)
    for key in (A, B):
        assert base64.b64encode(key).decode()[:12] not in str(caught.value)


def test_keys_are_shown_to_nobody_and_wiped():
    secret = keys("AES_CM_128_HMAC_SHA1_80")
    config = CallConfig(srtp=secret)
    for text in (repr(secret), str(secret), repr(config)):
        assert "AES_CM" in text
        assert base64.b64encode(A).decode() not in text
        assert repr(A)[2:20] not in text
        assert A.hex()[:16] not in text
    for wrong in (pickle.dumps, lambda keys: pickle.dumps(keys, 5)):
        with pytest.raises(StateError, match="not pickled"):
            wrong(secret)
    assert copy.deepcopy(config).srtp is secret
    with pytest.raises(ConfigError) as caught:
        SrtpKeys(A + A, B)
    assert repr(A)[2:20] not in str(caught.value)
    held = secret._send
    view = memoryview(bytearray(held))
    assert view == A
    secret.wipe()
    assert bytes(held) == b""
    with pytest.raises(StateError, match="wiped"):
        VirtualEngine("c").open(config)
    other = keys("AEAD_AES_128_GCM")
    held = other._receive
    del other
    gc.collect()
    assert bytes(held) == b""


def test_a_missing_libsrtp2_is_named(monkeypatch: pytest.MonkeyPatch):
    """In a process of its own: once loaded the library stays."""
    import subprocess
    import sys

    program = (
        "from voicecore.media._call import srtp_version\n"
        "from voicecore.errors import MissingLibraryError\n"
        "try: srtp_version()\n"
        "except MissingLibraryError as error: print(error)\n"
    )
    environment = {**os.environ, "VOICECORE_LIBSRTP2": "/nowhere/libsrtp2.so.1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "VOICECORE_LIBSRTP2=/nowhere/libsrtp2.so.1" in done.stdout
    assert "apt install libsrtp2-1" in done.stdout


def test_the_peer_is_strict_itself():
    """pylibsrtp refuses a wrong key: that it accepts ours says something."""
    writer = peer("AES_CM_128_HMAC_SHA1_80", A, Policy.SSRC_ANY_OUTBOUND)
    reader = peer("AES_CM_128_HMAC_SHA1_80", B, Policy.SSRC_ANY_INBOUND)
    with pytest.raises(Error, match="authentication"):
        reader.unprotect(writer.protect(rtp(1)))
