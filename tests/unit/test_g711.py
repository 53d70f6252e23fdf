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

from voicecore.errors import ConfigError, DtypeError, LengthError
from voicecore.media._g711 import G711

LAWS = ["ulaw", "alaw"]
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


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_and_code_equal_audioop(law: str, audioop: ModuleType) -> None:
    g711 = G711(law)
    assert g711.encode(EVERY_SAMPLE) == getattr(audioop, f"lin2{law}")(EVERY_SAMPLE.tobytes(), 2)
    assert g711.decode(EVERY_CODE).tobytes() == getattr(audioop, f"{law}2lin")(EVERY_CODE, 2)


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
