"""G.711 against Python's audioop and against the decision values of ITU-T G.711, exhaustively."""

from __future__ import annotations

import threading
import warnings
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import (
    BufferTooSmallError,
    ConfigError,
    CpuLevelError,
    DtypeError,
    LengthError,
)
from voicecore.media._cpu import cpu_levels
from voicecore.media._g711 import G711

LAWS = ["ulaw", "alaw"]
LEVELS = cpu_levels()
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = bytes(range(256))


@pytest.fixture(scope="module")
def audioop() -> ModuleType:
    """Standard library up to 3.12 (deprecated there), the audioop-lts package from 3.13 on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    return audioop


def lower_decision_values(law: str) -> np.ndarray:
    """For each positive code 0..127 the smallest magnitude that it stands for.

    Integers of 13 (µ-law) and 12 (A-law) bits of magnitude, from the segment end points of tables
    1a and 2a of the recommendation: 16 equal intervals to a segment.
    """
    if law == "ulaw":
        ends = [-1, 31, 95, 223, 479, 991, 2015, 4063, 8159]
    else:
        ends = [0, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    values = [low + step * (high - low) // 16 for low, high in pairwise(ends) for step in range(16)]
    values[0] = 0
    return np.array(values)


def output_values(law: str) -> np.ndarray:
    """The value of each positive code: the middle of its interval (code 0 of µ-law: zero)."""
    lower = lower_decision_values(law)
    upper = np.append(lower[1:], 8159 if law == "ulaw" else 4096)
    middle = (lower + upper) / 2
    if law == "ulaw":
        middle[0] = 0
    return middle


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("law", LAWS)
def test_every_sample_and_code_equal_audioop(law: str, level: str, audioop: ModuleType) -> None:
    g711 = G711(law, level=level)
    assert g711.level == level
    assert g711.encode(EVERY_SAMPLE) == getattr(audioop, f"lin2{law}")(EVERY_SAMPLE.tobytes(), 2)
    expected = getattr(audioop, f"{law}2lin")(EVERY_CODE, 2)
    assert g711.decode(EVERY_CODE).tobytes() == expected
    assert g711.decode_bytes(EVERY_CODE) == expected


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("law", LAWS)
def test_every_length_equals_audioop(law: str, level: str, audioop: ModuleType) -> None:
    """Lengths 0 to 70, and the start of every length at each place of a vector of samples."""
    g711 = G711(law, level=level)
    rng = np.random.default_rng(711)
    pcm = rng.integers(-32768, 32768, 140).astype(np.int16)
    codes = rng.integers(0, 256, 140).astype(np.uint8)
    for samples in range(71):
        for start in range(0, 70, 7):
            part, coded = pcm[start : start + samples], codes[start : start + samples]
            expected = getattr(audioop, f"lin2{law}")(part.tobytes(), 2)
            decoded = getattr(audioop, f"{law}2lin")(coded.tobytes(), 2)
            assert g711.encode(part) == expected
            assert g711.decode(coded).tobytes() == decoded
            assert g711.decode_bytes(coded) == decoded
            out, array = bytearray(samples), np.empty(samples, np.int16)
            assert g711.encode_into(part, out) == samples
            assert g711.decode_into(coded, array) == samples
            assert out == expected
            assert array.tobytes() == decoded


def test_level_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for level in LEVELS:
        monkeypatch.setenv("VOICECORE_CPU", level)
        assert G711().level == level
    with pytest.raises(ConfigError, match="'avx2'"):
        G711(level="mmx")
    foreign = "avx2" if "neon" in LEVELS else "neon"
    with pytest.raises(CpuLevelError):
        G711(level=foreign)


@pytest.mark.parametrize("law", LAWS)
def test_encode_keeps_to_the_decision_values_of_the_recommendation(law: str) -> None:
    x = EVERY_SAMPLE.astype(np.int64) >> (2 if law == "ulaw" else 3)
    negative = x < 0
    magnitude = np.where(negative, -x if law == "ulaw" else -x - 1, x)
    code = np.searchsorted(lower_decision_values(law), magnitude, side="right") - 1
    if law == "ulaw":
        expected = (code | np.where(negative, 0x80, 0)) ^ 0xFF
    else:
        expected = (code | np.where(negative, 0, 0x80)) ^ 0x55
    assert G711(law).encode(EVERY_SAMPLE) == expected.astype(np.uint8).tobytes()


@pytest.mark.parametrize("law", LAWS)
def test_decode_gives_the_output_values_of_the_recommendation(law: str) -> None:
    positive = output_values(law) * (4 if law == "ulaw" else 8)
    codes = np.arange(256) ^ (0xFF if law == "ulaw" else 0x55)
    sign_bit = (codes & 0x80) != 0
    value = positive[codes & 0x7F]
    expected = np.where(sign_bit == (law == "ulaw"), -value, value).astype(np.int16)
    np.testing.assert_array_equal(G711(law).decode(EVERY_CODE), expected)


@pytest.mark.parametrize("law", LAWS)
def test_decoded_values_encode_to_their_code(law: str) -> None:
    """All codes but µ-law's negative zero (0x7f), whose value is plain zero."""
    g711 = G711(law)
    again = g711.encode(g711.decode(EVERY_CODE))
    expected = bytearray(EVERY_CODE)
    if law == "ulaw":
        expected[0x7F] = 0xFF
    assert again == bytes(expected)


@given(data=st.binary(max_size=200), law=st.sampled_from(LAWS), cut=st.integers(0, 200))
def test_slicing_never_changes_the_result(data: bytes, law: str, cut: int) -> None:
    g711 = G711(law)
    whole = g711.decode(data)
    parts = np.concatenate([g711.decode(data[:cut]), g711.decode(data[cut:])])
    np.testing.assert_array_equal(whole, parts)
    assert g711.encode(whole) == g711.encode(whole[:cut]) + g711.encode(whole[cut:])


def test_takes_any_buffer_and_returns_numpy() -> None:
    g711 = G711("ulaw")
    pcm = np.array([0, 1000, -1000], dtype=np.int16)
    code = g711.encode(pcm)
    assert isinstance(code, bytes)
    assert g711.encode(pcm.tobytes()) == code
    assert g711.encode(memoryview(pcm)) == code
    decoded = g711.decode(bytearray(code))
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(g711.decode(np.frombuffer(code, np.uint8)), decoded)
    assert g711.encode(b"") == b""
    assert g711.decode(b"").shape == (0,)


@pytest.mark.parametrize("samples", [0, 3, 160, 40000])
def test_into_writes_the_start_of_any_writable_buffer(samples: int) -> None:
    """Quick ways and general ones; beyond the result nothing is touched."""
    g711 = G711("alaw")
    pcm = np.random.default_rng(3).integers(-32768, 32768, samples).astype(np.int16)
    codes = g711.encode(pcm)
    decoded = g711.decode(codes)
    for source in (pcm, pcm.tobytes(), memoryview(pcm), bytearray(pcm.tobytes())):
        rooms = [bytearray(b"~" * (samples + 5)), np.full(samples + 5, 126, np.uint8)]
        for out in [*rooms, memoryview(bytearray(b"~" * (samples + 5)))]:
            assert g711.encode_into(source, out) == samples
            assert bytes(out) == codes + b"~" * 5
    for coded in (codes, bytearray(codes), memoryview(codes), np.frombuffer(codes, np.uint8)):
        array = np.full(samples + 5, 77, np.int16)
        for out in (array, memoryview(np.full(samples + 5, 77, np.int16))):
            assert g711.decode_into(coded, out) == samples
            np.testing.assert_array_equal(np.asarray(out), [*decoded, *[77] * 5])
        assert g711.decode_bytes(coded) == decoded.tobytes()


def test_into_says_what_to_do() -> None:
    g711 = G711("ulaw")
    pcm, codes = np.zeros(8, np.int16), bytes(8)
    with pytest.raises(BufferTooSmallError, match="room for 7"):
        g711.encode_into(pcm, bytearray(7))
    with pytest.raises(BufferTooSmallError, match="room for 7"):
        g711.decode_into(codes, np.zeros(7, np.int16))
    locked = np.zeros(8, np.int16)
    locked.flags.writeable = False
    big_endian = np.zeros(8, ">i2")
    for out in (locked, big_endian, np.zeros(16, np.int16)[::2], bytearray(16), [0] * 8, None):
        with pytest.raises(DtypeError, match="out: expected a writable"):
            g711.decode_into(codes, out)  # type: ignore[arg-type]
    for room in (b"12345678", np.zeros(8, np.int16), np.zeros(16, np.uint8)[::2], [0] * 8):
        with pytest.raises(DtypeError, match="out: expected a writable"):
            g711.encode_into(pcm, room)  # type: ignore[arg-type]
    with pytest.raises(LengthError, match="one dimension"):
        g711.decode_into(codes, np.zeros((2, 8), np.int16))
    both = np.zeros(24, np.uint8)
    with pytest.raises(ConfigError, match="share memory"):
        g711.decode_into(both[15:23], both[:16].view(np.int16))
    with pytest.raises(ConfigError, match="share memory"):
        g711.encode_into(both[:16].view(np.int16), both[15:23])
    assert g711.decode_into(both[16:24], both[:16].view(np.int16)) == 8
    with pytest.raises(LengthError, match="even"):
        g711.encode_into(b"123", bytearray(8))
    with pytest.raises(DtypeError, match="int16 samples"):
        g711.encode_into(big_endian, bytearray(8))


def test_bad_input_says_what_to_do() -> None:
    g711 = G711("alaw")
    with pytest.raises(ConfigError, match="use 'ulaw'"):
        G711("mulaw")  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="astype"):
        g711.encode(np.zeros(4, np.float32))
    with pytest.raises(DtypeError, match="list"):
        g711.encode([1, 2])  # type: ignore[arg-type]
    with pytest.raises(LengthError, match="even"):
        g711.encode(b"\x00\x01\x02")
    with pytest.raises(LengthError, match="mono"):
        g711.encode(np.zeros((2, 2), np.int16))
    with pytest.raises(DtypeError, match="contiguous"):
        g711.encode(np.zeros(8, np.int16)[::2])
    with pytest.raises(DtypeError, match="codes"):
        g711.decode(np.zeros(4, np.int16))


def test_threads_share_one_object() -> None:
    g711 = G711("ulaw")
    expected = g711.encode(EVERY_SAMPLE)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(g711.encode(EVERY_SAMPLE))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
