"""G.722 beside libavcodec's (through PyAV), bit for bit; the delay and fidelity that it claims."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio import corpus
from voicecore import Decoder, Encoder
from voicecore.errors import LengthError

RATE_HZ = 16000
PCM = npt.NDArray[np.int16]


def theirs_encoded(pcm: PCM) -> bytes:
    """libavcodec, without its trellis search."""
    context = av.CodecContext.create("g722", "w")
    context.sample_rate, context.layout, context.format = RATE_HZ, "mono", "s16"
    context.time_base = Fraction(1, RATE_HZ)
    context.open()
    packets = []
    for start in range(0, len(pcm), 320):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 320], "s16", "mono")
        frame.sample_rate, frame.pts = RATE_HZ, start
        packets += context.encode(frame)
    packets += context.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def theirs_decoded(codes: bytes) -> PCM:
    context = av.CodecContext.create("g722", "r")
    context.sample_rate, context.layout = RATE_HZ, "mono"
    context.open()
    packets = [av.Packet(codes[start : start + 160]) for start in range(0, len(codes), 160)]
    frames = [frame for packet in [*packets, None] for frame in context.decode(packet)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def hard_signals() -> Iterator[tuple[str, PCM]]:
    """What drives steps, zeros and poles to their ends; 4 s each."""
    rng = np.random.default_rng(722)
    t = np.arange(4 * RATE_HZ)
    signals = {
        "white, clipped": rng.normal(0, 30000, len(t)),
        "uniform": rng.integers(-32768, 32768, len(t)),
        "square": 32768 * np.sign(np.sin(0.1 * t)),
        "Nyquist": np.where(t % 2, 32767, -32768),
        "half Nyquist": np.where(t // 2 % 2, 32767, -32768),
        "bursts": 30000 * rng.normal(0, 1, len(t)) * (np.sin(t / 4000) > 0),
        "sweep": 32767 * np.sin(0.5 * np.pi * t**2 / len(t)),
        "steps": np.repeat(rng.integers(-32768, 32768, len(t) // 500), 500),
        "least bit": t // 3 % 2,
        "lowest": np.full(len(t), -32768),
    }
    for name, samples in signals.items():
        yield name, np.clip(samples, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize(("name", "pcm"), [pytest.param(*one, id=one[0]) for one in hard_signals()])
def test_hard_signals_equal_libavcodec(name: str, pcm: PCM) -> None:
    codes = Encoder("g722", RATE_HZ).encode(pcm)
    assert codes == theirs_encoded(pcm), name
    np.testing.assert_array_equal(Decoder("g722", RATE_HZ).decode(codes), theirs_decoded(codes))


@pytest.mark.models
def test_the_corpus_equals_libavcodec() -> None:
    """Speech, music, noise and mixtures, 14 minutes."""
    for clip in corpus(RATE_HZ):
        pcm = np.clip(np.rint(clip.samples * 32768), -32768, 32767).astype(np.int16)
        pcm = pcm[: len(pcm) // 2 * 2]
        codes = Encoder("g722", RATE_HZ).encode(pcm)
        assert codes == theirs_encoded(pcm), clip.name
        decoded = Decoder("g722", RATE_HZ).decode(codes)
        np.testing.assert_array_equal(decoded, theirs_decoded(codes), err_msg=clip.name)


@pytest.mark.parametrize("seed", range(8))
def test_random_codes_decode_as_libavcodec(seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, 20000).astype(np.uint8).tobytes()
    np.testing.assert_array_equal(Decoder("g722", RATE_HZ).decode(codes), theirs_decoded(codes))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 700), max_size=12))
def test_slicing_never_changes_the_result(seed: int, cuts: list[int]) -> None:
    pcm = np.random.default_rng(seed).normal(0, 6000, 1400).clip(-32768, 32767).astype(np.int16)
    codes = Encoder("g722", RATE_HZ).encode(pcm)
    whole = Decoder("g722", RATE_HZ).decode(codes)
    encoder, decoder = Encoder("g722", RATE_HZ), Decoder("g722", RATE_HZ)
    bounds = [0, *sorted(cuts), 700]
    parts = [encoder.encode(pcm[2 * a : 2 * b]) for a, b in pairwise(bounds)]
    assert b"".join(parts) == codes
    np.testing.assert_array_equal(np.concatenate([decoder.decode(part) for part in parts]), whole)


def test_reset_is_as_new() -> None:
    pcm = np.random.default_rng(5).normal(0, 9000, 3200).clip(-32768, 32767).astype(np.int16)
    encoder, decoder = Encoder("g722", RATE_HZ), Decoder("g722", RATE_HZ)
    codes = encoder.encode(pcm)
    audio = decoder.decode(codes)
    assert encoder.encode(pcm) != codes
    encoder.reset()
    decoder.reset()
    assert encoder.encode(pcm) == codes
    np.testing.assert_array_equal(decoder.decode(codes), audio)


def test_rate_delay_and_fidelity() -> None:
    """8 bytes a millisecond; at the stated delay a 1 kHz tone comes back 35 dB above the error."""
    t = np.arange(RATE_HZ)
    tone = np.rint(10000 * np.sin(2 * np.pi * 1000 / RATE_HZ * t)).astype(np.int16)
    encoder, decoder = Encoder("g722", RATE_HZ), Decoder("g722", RATE_HZ)
    codes = encoder.encode(tone)
    assert len(codes) == 8 * 1000
    delay_samples = encoder.delay_samples
    back = decoder.decode(codes).astype(np.float64)[1000:]
    sent = tone[1000 - delay_samples : len(tone) - delay_samples].astype(np.float64)
    error = back - sent
    assert 10 * np.log10(np.mean(sent**2) / np.mean(error**2)) > 35
    click = np.zeros(640, np.int16)
    click[300] = 20000
    encoder.reset()
    decoder.reset()
    assert np.argmax(decoder.decode(encoder.encode(click))) == 300 + delay_samples


def test_odd_sample_count_says_what_to_do() -> None:
    with pytest.raises(LengthError, match="even number"):
        Encoder("g722", RATE_HZ).encode(np.zeros(319, np.int16))
