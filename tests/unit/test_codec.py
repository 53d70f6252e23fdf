"""Encoder and Decoder: each codec behind the door against its own oracle, and the errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore import G711, Decoder, Encoder
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    LengthError,
    PacketError,
    RateError,
    VoicecoreError,
)

PLAIN = [("pcmu", 8000), ("pcma", 8000), ("l16", 8000), ("l16", 44100), ("g722", 16000)]
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = bytes(range(256))


@pytest.mark.parametrize(("codec", "law"), [("pcmu", "ulaw"), ("pcma", "alaw")])
def test_g711_is_g711(codec: str, law: str) -> None:
    g711 = G711(law)  # type: ignore[arg-type]
    assert Encoder(codec, 8000).encode(EVERY_SAMPLE) == g711.encode(EVERY_SAMPLE)  # type: ignore[arg-type]
    decoded = Decoder(codec, 8000).decode(EVERY_CODE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(decoded, g711.decode(EVERY_CODE))


L16_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@pytest.mark.parametrize("rate_hz", L16_RATES_HZ)
def test_l16_is_network_byte_order(rate_hz: int) -> None:
    """Every sample, and every length up to 70 from every buffer."""
    encoder, decoder = Encoder("l16", rate_hz), Decoder("l16", rate_hz)
    packet = encoder.encode(EVERY_SAMPLE)
    assert packet == EVERY_SAMPLE.astype(">i2").tobytes()
    np.testing.assert_array_equal(decoder.decode(packet), EVERY_SAMPLE)
    for samples in range(71):
        pcm = EVERY_SAMPLE[1234 : 1234 + samples]
        for source in (pcm, pcm.tobytes(), memoryview(pcm)):
            assert encoder.encode(source) == pcm.astype(">i2").tobytes()
        payload = pcm.astype(">i2").tobytes()
        for given_bytes in (payload, bytearray(payload), np.frombuffer(payload, np.uint8)):
            np.testing.assert_array_equal(decoder.decode(given_bytes), pcm)
        with pytest.raises(PacketError, match="whole number"):
            decoder.decode(payload + b"~")
    assert (encoder.frame_samples, encoder.delay_samples) == (rate_hz // 50, 0)


@pytest.mark.parametrize(("codec", "rate_hz"), PLAIN)
def test_any_buffer_any_slice(codec: str, rate_hz: int) -> None:
    pcm = np.random.default_rng(4).normal(0, 5000, 900).clip(-32768, 32767).astype(np.int16)
    encoder, decoder = Encoder(codec, rate_hz), Decoder(codec, rate_hz)  # type: ignore[arg-type]
    assert (encoder.codec, encoder.rate_hz, encoder.frame_samples) == (
        codec,
        rate_hz,
        rate_hz // 50,
    )
    packet = encoder.encode(pcm)
    audio = decoder.decode(packet)
    assert isinstance(packet, bytes)
    assert audio.dtype == np.int16
    assert audio.shape == pcm.shape
    encoder.reset()
    assert encoder.encode(pcm[:100].tobytes()) + encoder.encode(memoryview(pcm[100:])) == packet
    decoder.reset()
    cut = len(encoder.encode(pcm[:100]))
    array = np.frombuffer(packet, np.uint8)
    parts = [decoder.decode(bytearray(packet[:cut])), decoder.decode(array[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), audio)
    assert encoder.encode(b"") == b""
    assert decoder.decode(b"").shape == (0,)


@pytest.mark.parametrize(("codec", "rate_hz"), PLAIN)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(packet=st.binary(max_size=700))
def test_garbage_is_audio_or_a_packet_error(codec: str, rate_hz: int, packet: bytes) -> None:
    decoder = Decoder(codec, rate_hz)  # type: ignore[arg-type]
    if codec == "l16" and len(packet) % 2:
        with pytest.raises(PacketError, match="whole number"):
            decoder.decode(packet)
    else:
        samples = {"l16": len(packet) // 2, "g722": 2 * len(packet)}.get(codec, len(packet))
        assert decoder.decode(packet).shape == (samples,)


def test_unknown_codec_and_rate_say_what_there_is() -> None:
    for door in (Encoder, Decoder):
        with pytest.raises(ConfigError, match="'pcmu', 'pcma', 'l16', 'g722', 'opus'"):
            door("mp3", 8000)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="unknown codec"):
            door(["pcmu"], 8000)  # type: ignore[arg-type]
        with pytest.raises(RateError, match="pcmu does not run at 16000; use 8000"):
            door("pcmu", 16000)
        with pytest.raises(RateError, match="use 16000"):
            door("g722", 8000)
        with pytest.raises(RateError, match="44100"):
            door("l16", 7999)


@pytest.mark.parametrize(
    "option",
    [
        {"bitrate": 24000}, {"complexity": 3}, {"fec": True}, {"dtx": True},
        {"bandwidth": "wideband"}, {"packet_loss_percent": 5},
    ],
)  # fmt: skip
@pytest.mark.parametrize(("codec", "rate_hz"), PLAIN)
def test_options_that_a_codec_does_not_have(
    codec: str, rate_hz: int, option: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match=f"{codec} has no {next(iter(option))}"):
        Encoder(codec, rate_hz, **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(("codec", "rate_hz"), PLAIN)
def test_bad_buffers_say_what_to_do(codec: str, rate_hz: int) -> None:
    encoder, decoder = Encoder(codec, rate_hz), Decoder(codec, rate_hz)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="astype"):
        encoder.encode(np.zeros(320, np.float32))
    with pytest.raises(DtypeError, match="list"):
        encoder.encode([1, 2])  # type: ignore[arg-type]
    with pytest.raises(LengthError, match="even number of bytes"):
        encoder.encode(b"123")
    with pytest.raises(LengthError, match="mono"):
        encoder.encode(np.zeros((2, 160), np.int16))
    with pytest.raises(DtypeError, match="payload"):
        decoder.decode(np.zeros(160, np.int16))
    with pytest.raises(DtypeError, match="NoneType"):
        decoder.decode(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("codec", "rate_hz"), PLAIN)
def test_closed_says_so(codec: str, rate_hz: int) -> None:
    with Encoder(codec, rate_hz) as encoder, Decoder(codec, rate_hz) as decoder:  # type: ignore[arg-type]
        assert decoder.decode(encoder.encode(np.zeros(160, np.int16))).shape == (160,)
    for use in (
        lambda: encoder.encode(b""), lambda: decoder.decode(b""), encoder.reset, decoder.reset,
        lambda: encoder.delay_samples,
    ):  # fmt: skip
        with pytest.raises(ClosedError, match="make a new one"):
            use()
    encoder.close()
    decoder.close()


def test_use_from_two_threads_is_refused_or_right() -> None:
    """Long g722 calls release the GIL; a call that meets another raises and leaves no trace."""
    pcm = np.random.default_rng(6).normal(0, 5000, 160000).clip(-32768, 32767).astype(np.int16)
    expected = Encoder("g722", 16000).encode(pcm)
    encoder = Encoder("g722", 16000)
    outcomes: list[object] = []

    def work() -> None:
        try:
            outcomes.append(encoder.encode(pcm))
        except VoicecoreError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    packets = [one for one in outcomes if isinstance(one, bytes)]
    assert len(outcomes) == 4
    assert packets[0] == expected
    assert set(outcomes) - set(packets) <= {"ConcurrentUseError"}
