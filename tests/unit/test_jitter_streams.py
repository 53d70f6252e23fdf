"""JitterBuffer with the streams that calls are made of: G.722, Opus with FEC, redundancy, comfort
noise, telephone events, a change of codec in mid-call, restarts. In virtual time.

Oracle: the same packets through voicecore.Decoder, one after the other, and the payload formats of
RFC 2198, RFC 3389, RFC 3551, RFC 4733 and RFC 7587 written out here byte by byte.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests import audio
from voicecore import G711, ComfortNoise, Decoder, Encoder, JitterBuffer, JitterEvent, RtpPacket
from voicecore.errors import ConfigError, MissingLibraryError, PacketError, RateError

MS = 1_000_000
Samples = npt.NDArray[np.int16]


def speech(seconds: float, rate_hz: int) -> Samples:
    clip = audio.speech("two_cities", rate_hz)[rate_hz : rate_hz + int(seconds * rate_hz)]
    return np.round(32768 * clip).astype(np.int16)


def rtp(payload: bytes, number: int, timestamp: int, payload_type: int = 0, ssrc: int = 9) -> bytes:
    return bytes(RtpPacket(payload, sequence=(65500 + number) % 65536, payload_type=payload_type,
                           timestamp=(2**32 - 1000 + timestamp) % 2**32, ssrc=ssrc))  # fmt: skip


def read_all(buffer: JitterBuffer, now_ms: float) -> list[tuple[str, Samples]]:
    found = []
    while True:
        samples, info = buffer.read(int(now_ms * MS))
        if info is None:
            return found
        found.append((info.kind, samples))


def listen(
    buffer: JitterBuffer, packets: list[bytes], missing: frozenset[int] = frozenset()
) -> list[tuple[str, Samples]]:
    """A packet every 20 ms but for the missing ones, read as they come."""
    heard = []
    for number, packet in enumerate(packets):
        if number not in missing:
            buffer.put(packet, 20 * number * MS)
        heard += read_all(buffer, 20 * number)
    return heard + read_all(buffer, 20 * len(packets) + 500)


def sound(heard: list[tuple[str, Samples]]) -> Samples:
    return np.concatenate([samples for _, samples in heard])


def snr_db(clean: Samples, other: Samples) -> float:
    clean, other = clean.astype(np.float64), other.astype(np.float64)
    return float(10 * np.log10(np.sum(clean**2) / max(np.sum((clean - other) ** 2), 1e-9)))


# -- codecs with a memory and a clock of their own -----------------------------------------------


@pytest.mark.parametrize("codec", ["g722", "opus"])
def test_packets_in_order_decode_as_without_a_buffer(codec: str) -> None:
    clock = {"g722": 160, "opus": 960}[codec]  # ticks of 20 ms: 8 kHz and 48 kHz
    encoder, decoder = Encoder(codec, 16000), Decoder(codec, 16000)  # type: ignore[arg-type]
    pcm = speech(4, 16000)
    payloads = [encoder.encode(pcm[i : i + 320]) for i in range(0, len(pcm), 320)]
    expected = np.concatenate([decoder.decode(payload) for payload in payloads])
    packets = [rtp(payload, n, clock * n) for n, payload in enumerate(payloads)]
    for mode in ("listen", "play"):
        with JitterBuffer(16000, codec=codec, mode=mode) as buffer:  # type: ignore[arg-type]
            if mode == "listen":
                heard = listen(buffer, packets)
                assert {kind for kind, _ in heard} == {"decoded"}
                np.testing.assert_array_equal(sound(heard), expected)
            else:
                frames = []
                for number, packet in enumerate(packets):
                    buffer.put(packet, 20 * number * MS)
                    samples, info = buffer.get((20 * number + 10) * MS)
                    if info.kind == "decoded":
                        if not frames:
                            first = info.timestamp
                        frames.append(samples)
                assert (first + 1000) % 2**32 == 0
                if not buffer.stats()["accelerated_samples"]:
                    np.testing.assert_array_equal(np.concatenate(frames)[:4000], expected[:4000])
            assert buffer.stats()["decoded"] + buffer.stats()["held"] == len(packets)


@pytest.mark.parametrize("batch", [2, 5, 9])
def test_when_opus_packets_are_read_changes_nothing(batch: int) -> None:
    encoder = Encoder("opus", 16000, fec=True, packet_loss_percent=20)
    pcm = speech(2, 16000)
    packets = [
        rtp(encoder.encode(pcm[320 * n : 320 * n + 320]), n, 960 * n)
        for n in range(len(pcm) // 320)
    ]
    missing = frozenset({20, 21, 40, 60})
    one = JitterBuffer(16000, codec="opus")
    expected = sound(listen(one, packets, missing))
    other = JitterBuffer(16000, codec="opus")
    heard, waiting = [], []
    for number, packet in enumerate(packets):
        if number not in missing:
            waiting.append(packet)
        if len(waiting) >= batch or number == len(packets) - 1:
            for held in waiting:
                other.put(held, 20 * number * MS)
            waiting.clear()
            heard += read_all(other, 20 * number)
    heard += read_all(other, 20 * len(packets) + 500)
    np.testing.assert_array_equal(sound(heard), expected)


def test_opus_fec_and_concealment_fill_what_is_lost() -> None:
    encoder = Encoder("opus", 16000, bitrate=24000, fec=True, packet_loss_percent=20)
    pcm = speech(8, 16000)
    payloads = [encoder.encode(pcm[i : i + 320]) for i in range(0, len(pcm) - 319, 320)]
    packets = [rtp(payload, n, 960 * n) for n, payload in enumerate(payloads)]
    lost = frozenset(range(30, len(packets) - 3, 11))
    decoder = Decoder("opus", 16000)
    whole = np.concatenate([decoder.decode(payload) for payload in payloads])
    heard = listen(JitterBuffer(16000, codec="opus"), packets, lost)
    assert sum(len(samples) for kind, samples in heard if kind == "concealed") == 320 * len(lost)
    # By hand: the next packet's copy of the lost one, then the next packet itself.
    by_hand, decoder = [], Decoder("opus", 16000)
    for number, payload in enumerate(payloads):
        if number in lost:
            by_hand.append(decoder.decode_fec(payloads[number + 1]))
        else:
            by_hand.append(decoder.decode(payload))
    np.testing.assert_array_equal(sound(heard), np.concatenate(by_hand))
    # And it is worth it: nearer to the whole than silence in the gaps.
    silent = whole.copy()
    for number in lost:
        silent[320 * number : 320 * number + 320] = 0
    assert snr_db(whole, sound(heard)) > snr_db(whole, silent) + 3


def test_a_missing_libopus_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECORE_LIBOPUS", str(tmp_path / "none.so"))
    with pytest.raises(MissingLibraryError, match=r"none\.so; install it: apt install libopus0"):
        JitterBuffer(16000, codec="opus")
    assert JitterBuffer(16000, codec="g722").codec == "g722"


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"rate_hz": 8000, "codec": "g722"}, RateError, "16000 for g722"),
        ({"rate_hz": 11000, "codec": "opus"}, RateError, "for opus"),
        ({"payload_types": {}}, ConfigError, "use a dict"),
        ({"payload_types": [0]}, ConfigError, "use a dict"),
        ({"payload_types": {13: "cn"}}, ConfigError, "no audio codec"),
        ({"payload_types": {128: "pcmu"}}, ConfigError, "not 0..127"),
        ({"payload_types": {"0": "pcmu"}}, ConfigError, "a payload type"),
        ({"payload_types": {0: "speex"}}, ConfigError, "unknown codec 'speex'"),
        ({"payload_types": {0: "pcmu", 9: "g722"}}, RateError, "16000 for g722"),
        ({"payload_types": dict.fromkeys(range(9), "pcmu")}, ConfigError, "8 at most"),
    ],
)
def test_bad_streams_are_refused(
    settings: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        JitterBuffer(**settings)  # type: ignore[arg-type]


# -- payload types --------------------------------------------------------------------------------

TYPES = {0: "pcmu", 8: "pcma", 11: "l16", 13: "cn", 97: "red", 101: "telephone-event"}


def stream(mode: str = "listen", **settings: object) -> JitterBuffer:
    return JitterBuffer(8000, mode=mode, payload_types=TYPES, **settings)  # type: ignore[arg-type]


def test_the_codec_may_change_in_mid_call() -> None:
    pcm = speech(3, 8000)
    ulaw, alaw = G711("ulaw"), G711("alaw")
    packets, expected = [], []
    for n in range(len(pcm) // 160):
        frame = pcm[160 * n : 160 * n + 160]
        kind = (n // 20) % 3
        payload = (ulaw.encode(frame), alaw.encode(frame), frame.astype(">i2").tobytes())[kind]
        packets.append(rtp(payload, n, 160 * n, (0, 8, 11)[kind]))
        expected.append((ulaw.decode(payload), alaw.decode(payload), frame)[kind]
                        if kind < 2 else frame)  # fmt: skip
    buffer = stream()
    heard = listen(buffer, packets)
    np.testing.assert_array_equal(sound(heard), np.concatenate(expected))
    assert buffer.stats()["resets"] == 0


def test_a_codec_with_another_clock_goes_on_behind_the_old_one() -> None:
    """L16 at 16 kHz, then G.722 (RTP clock 8 kHz): the timestamps say nothing of each other."""
    pcm = speech(2, 16000)
    buffer = JitterBuffer(16000, payload_types={101: "telephone-event", 96: "l16", 9: "g722"})
    assert buffer.codec == "l16"
    encoder, decoder = Encoder("g722", 16000), Decoder("g722", 16000)
    packets, expected, timestamp = [], [], 0
    for n in range(100):
        frame = pcm[320 * n : 320 * n + 320]
        if n < 50:
            packets.append(rtp(frame.astype(">i2").tobytes(), n, 320 * n, 96))
            expected.append(frame)
        else:
            payload = encoder.encode(frame)
            packets.append(rtp(payload, n, 77777 + timestamp, 9))
            expected.append(decoder.decode(payload))
            timestamp += 160
    heard = listen(buffer, packets)
    assert {kind for kind, _ in heard} == {"decoded"}
    np.testing.assert_array_equal(sound(heard), np.concatenate(expected))
    assert buffer.stats()["resets"] == 1
    assert buffer.stats()["lost"] == 0


def test_unknown_types_are_ignored_and_counted() -> None:
    buffer = stream()
    assert buffer.codec == "pcmu"
    assert buffer.put(rtp(b"\xff" * 160, 0, 0, 0), 0) == "ok"
    assert buffer.put(rtp(b"\xff" * 160, 1, 160, 77), 0) == "ignored"
    stats = buffer.stats()
    assert (stats["received"], stats["discarded"]) == (2, 1)


@pytest.mark.parametrize("mode", ["listen", "play"])
def test_digits_in_between_are_no_loss(mode: str) -> None:
    """Events of 100 ms share the timestamp of their start; no audio is sent meanwhile."""
    buffer = stream(mode)
    kinds = []
    for tick in range(100):
        if 40 <= tick < 45:
            event = bytes([5, 0x80 if tick == 44 else 0, 0, 160])
            assert buffer.put(rtp(event, tick, 160 * 40, 101), 20 * tick * MS) == "ok"
        else:
            assert buffer.put(rtp(b"\x90" * 160, tick, 160 * tick), 20 * tick * MS) == "ok"
        if mode == "play":
            kinds.append(buffer.get((20 * tick + 10) * MS)[1].kind)
        else:
            kinds += [kind for kind, _ in read_all(buffer, 20 * tick)]
    stats = buffer.stats()
    assert stats["lost"] == stats["rejected"] == stats["discarded"] == 0
    if mode == "listen":
        assert kinds.count("silence") == 1
        assert stats["silence_samples"] == 5 * 160
        assert "concealed" not in kinds


# -- comfort noise --------------------------------------------------------------------------------


def test_pauses_are_filled_with_the_noise_that_was_described() -> None:
    """Talk, a pause of 1 s with RFC 3389 descriptions, talk: -50 dBov of noise, no concealment."""
    buffer = stream("play", min_depth_ms=40)
    payload = bytes([50, 100, 140])  # -50 dBov, two reflection coefficients
    noise = ComfortNoise(8000)
    number, frames, kinds = 0, [], []
    talk = G711("ulaw").encode(speech(1, 8000)[:8000])
    for tick in range(150):
        if tick < 50 or tick >= 100:
            at = 160 * (tick % 50)
            buffer.put(rtp(talk[at : at + 160], number, 160 * tick), 20 * tick * MS)
            number += 1
        elif tick % 10 == 0:
            buffer.put(rtp(payload, number, 160 * tick, 13), 20 * tick * MS)
            number += 1
        samples, info = buffer.get((20 * tick + 10) * MS)
        frames.append(samples)
        kinds.append(info.kind)
    pause = kinds[56:100]
    assert set(pause) == {"comfort-noise"}
    stats = buffer.stats()
    assert stats["lost"] == 0
    assert stats["comfort_noise_samples"] >= 44 * 160
    assert stats["concealed_samples"] <= 2 * 160  # at most what came before the first description
    heard = np.concatenate(frames[58:98]).astype(np.float64)
    level_dbov = 10 * np.log10(np.mean(heard**2) / 32768**2)
    assert abs(level_dbov + 50) < 1.0
    assert noise.rate_hz == 8000
    with pytest.raises(PacketError, match="type 13"):
        buffer.put(rtp(b"", number, 0, 13), 3000 * MS)


# -- redundancy -----------------------------------------------------------------------------------


def red(primary: bytes, *older: tuple[bytes, int]) -> bytes:
    """RFC 2198: (block, how many ticks before), all of type 0; oldest first."""
    headers = b"".join(
        (0x80 << 24 | 0 << 24 | ticks << 10 | len(block)).to_bytes(4, "big")
        for block, ticks in older
    )
    return headers + b"\x00" + b"".join(block for block, _ in older) + primary


def test_redundancy_makes_good_single_and_double_losses() -> None:
    pcm = speech(4, 8000)
    codes = G711("ulaw").encode(pcm)
    blocks = [codes[160 * n : 160 * n + 160] for n in range(200)]
    packets = []
    for n, block in enumerate(blocks):
        older = [(blocks[n - k], 160 * k) for k in (2, 1) if n >= k]
        packets.append(rtp(red(block, *older), n, 160 * n, 97))
    lost = frozenset({10, 30, 31, 50, 90, 91, 92, 150})  # of 90..92 the first is gone for good
    buffer = stream(loss_wait_ms=60)
    heard = listen(buffer, packets, lost)
    stats = buffer.stats()
    expected = G711("ulaw").decode(codes)
    got = sound(heard)
    assert len(got) == len(expected)
    assert stats["lost"] == 1
    assert stats["concealed_samples"] == 160
    assert stats["recovered"] == 7
    same = np.ones(len(expected), bool)
    same[90 * 160 : 91 * 160 + 80] = False  # made up, and joined
    np.testing.assert_array_equal(got[same], expected[same])
    assert stats["received"] == 200 - len(lost) + stats["recovered"]
    parts = ("decoded", "duplicate", "late", "discarded", "rejected", "held")
    assert stats["received"] == sum(stats[name] for name in parts)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\x80\x00\x00\x10\x00abc", red(b"\x01" * 160)[:1], b"\x4d" + b"x" * 9],
)
def test_damaged_redundancy_is_refused(payload: bytes) -> None:
    buffer = stream()
    with pytest.raises(PacketError, match="type 97"):
        buffer.put(rtp(payload, 0, 0, 97), 0)
    assert buffer.stats()["rejected"] == 1


# -- what the buffer tells ------------------------------------------------------------------------


def test_events_tell_concealment_to_the_sample() -> None:
    codes = G711("ulaw").encode(speech(2, 8000))
    packets = [rtp(codes[160 * n : 160 * n + 160], n, 160 * n) for n in range(100)]
    buffer = JitterBuffer()
    listen(buffer, packets, frozenset({20, 40, 41, 42}))
    assert buffer.events() == [
        JitterEvent("concealed", 20 * 160, 160),
        JitterEvent("concealed", 40 * 160, 480),
    ]
    assert buffer.events() == []
    assert buffer.stats()["concealment_events"] == 2


def test_the_opinion_falls_with_loss() -> None:
    """E-model (G.107): 4.4 for a clean line; the loss of G.711 with concealment by its formula."""
    codes = G711("ulaw").encode(speech(8, 8000))
    packets = [rtp(codes[160 * n : 160 * n + 160], n, 160 * n) for n in range(400)]
    scores = []
    for every in (0, 50, 20, 10):
        buffer = JitterBuffer()
        lost = frozenset(range(5, 400, every)) if every else frozenset()
        listen(buffer, packets, lost)
        scores.append(buffer.stats()["mos"])
        share = 100 * len(lost) / 400
        rating = 93.2 - 95 * share / (share + 25.1)
        mos = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
        assert scores[-1] == pytest.approx(mos, abs=0.05)
    assert scores == sorted(scores, reverse=True)


def test_stream_positions_go_on_where_the_sender_is() -> None:
    codes = G711("ulaw").encode(speech(2, 8000))
    packets = [rtp(codes[160 * n : 160 * n + 160], n, 160 * n) for n in range(100)]
    buffer = JitterBuffer()
    at = 0
    for number, packet in enumerate(packets):
        if number != 50:
            buffer.put(packet, 20 * number * MS)
        while True:
            samples, info = buffer.read((20 * number + 5) * MS)
            if info is None:
                break
            assert info.stream_position == at == info.position
            assert info.timestamp == (2**32 - 1000 + at) % 2**32
            at += len(samples)
