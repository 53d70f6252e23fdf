"""The codecs of Encoder and Decoder beside the same codecs in PyAV, in one run.

    python -m pytest bench/bench_codec.py

20 ms a call, a stream of 1 s, through the Python door of each. G.722: the results are compared
before anything is timed. Opus: PyAV brings a libopus of its own, so the rows that say what this
wrapping costs are "bare libopus": the same library, called by ctypes in a loop with nothing around
it. The packets and the audio of the two are equal. opuslib, too, is on the same library.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.side_by_side import compare, show
from tests.opuslib_peer import PeerDecoder, PeerEncoder, library_name
from voicecore import Decoder, Encoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CALLS = 50
BITRATE = 24000
rows: list[tuple[str, float, str, float]] = []
Calls = Callable[[], list[Any]]


def voice(rate_hz: int = 16000) -> list[np.ndarray]:
    """1 s of harmonics whose pitch glides, in frames of 20 ms."""
    t = np.arange(rate_hz) / rate_hz
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 2 * t)) / rate_hz
    tone = sum(np.sin(k * phase + k * k) / k for k in range(1, 25))
    pcm = (4000 * tone * (0.5 + 0.45 * np.sin(6 * np.pi * t))).astype(np.int16)
    return [pcm[at : at + rate_hz // 50] for at in range(0, rate_hz, rate_hz // 50)]


def pyav_encode(codec: str, frames: list[np.ndarray]) -> Calls:
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = 16000, "mono", "s16"
    context.time_base = Fraction(1, 16000)
    if codec == "libopus":
        context.bit_rate = BITRATE
        context.options = {"application": "voip", "frame_duration": "20"}
    context.open()
    clock = 0

    def run() -> list[bytes]:
        nonlocal clock
        packets = []
        for samples in frames:
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts = 16000, clock
            clock += 320
            packets += [bytes(packet) for packet in context.encode(frame)]
        return packets

    return run


def pyav_decode(codec: str, packets: list[bytes]) -> Calls:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 48000 if codec == "libopus" else 16000, "mono"
    context.open()

    def run() -> list[bytes]:
        given = [av.Packet(packet) for packet in packets]
        return [f.to_ndarray().tobytes() for one in given for f in context.decode(one)]

    return run


def bare_encode(frames: list[np.ndarray], complexity: int) -> Calls:
    opus = ctypes.CDLL(library_name())
    samples = len(frames[0])
    opus.opus_encoder_create.restype = ctypes.c_void_p
    state = ctypes.c_void_p(opus.opus_encoder_create(50 * samples, 1, 2048, None))
    opus.opus_encoder_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int]  # the rest is variadic
    opus.opus_encoder_ctl(state, 4002, ctypes.c_int(BITRATE))
    opus.opus_encoder_ctl(state, 4010, ctypes.c_int(complexity))
    encode, out = opus.opus_encode, ctypes.create_string_buffer(1275)
    given = [ctypes.c_void_p(frame.ctypes.data) for frame in frames]

    def run() -> list[bytes]:
        sizes = [encode(state, frame, samples, out, 1275) for frame in given]
        return [bytes(size) for size in sizes]

    return run


def bare_decode(packets: list[bytes], rate_hz: int) -> Calls:
    opus = ctypes.CDLL(library_name())
    opus.opus_decoder_create.restype = ctypes.c_void_p
    state = ctypes.c_void_p(opus.opus_decoder_create(rate_hz, 1, None))
    decode, out = opus.opus_decode, ctypes.create_string_buffer(11520)

    def run() -> list[bytes]:
        for packet in packets:
            decode(state, packet, len(packet), out, 5760, 0)
        return [out.raw[: rate_hz // 25]]

    return run


def time_both(benchmark: BenchmarkFixture, what: str, ours: Calls, name: str, peer: Calls) -> None:
    us, peer_us = compare(benchmark, ours, peer, CALLS)
    rows.append((what, us, name, peer_us))


@pytest.mark.parametrize("operation", ["encode", "decode"])
def test_l16(benchmark: BenchmarkFixture, operation: str) -> None:
    raw = [frame.tobytes() for frame in voice(48000)]
    door = Encoder("l16", 48000) if operation == "encode" else Decoder("l16", 48000)
    call = getattr(door, operation)
    ours = lambda: [call(one) for one in raw]  # noqa: E731
    theirs = lambda: [audioop.byteswap(one, 2) for one in raw]  # noqa: E731
    assert [bytes(one) for one in ours()] == theirs()
    time_both(benchmark, f"l16 {operation} 48 kHz, 20 ms", ours, "audioop.byteswap", theirs)


def test_g722_encode(benchmark: BenchmarkFixture) -> None:
    frames, encoder = voice(), Encoder("g722", 16000)
    ours = lambda: [encoder.encode(frame) for frame in frames]  # noqa: E731
    theirs = pyav_encode("g722", frames)
    assert ours() == theirs()
    time_both(benchmark, "g722 encode, 20 ms", ours, "PyAV", theirs)


def test_g722_decode(benchmark: BenchmarkFixture) -> None:
    encoder, decoder = Encoder("g722", 16000), Decoder("g722", 16000)
    packets = [encoder.encode(frame) for frame in voice()]
    ours = lambda: [decoder.decode(packet).tobytes() for packet in packets]  # noqa: E731
    theirs = pyav_decode("g722", packets)
    assert ours() == theirs()
    time_both(benchmark, "g722 decode, 20 ms", ours, "PyAV", theirs)


BARE = [
    (rate_hz, complexity) for rate_hz in (8000, 16000, 24000, 48000) for complexity in (0, 5, 10)
]


@pytest.mark.parametrize(("rate_hz", "complexity"), BARE)
def test_opus_encode_beside_bare_libopus(
    benchmark: BenchmarkFixture, rate_hz: int, complexity: int
) -> None:
    frames = voice(rate_hz)
    encoder = Encoder("opus", rate_hz, bitrate=BITRATE, complexity=complexity)
    ours = lambda: [encoder.encode(frame) for frame in frames]  # noqa: E731
    theirs = bare_encode(frames, complexity)
    assert [len(packet) for packet in ours()] == [len(packet) for packet in theirs()]
    what = f"opus encode {rate_hz // 1000} kHz, complexity {complexity}"
    time_both(benchmark, what, ours, "bare libopus", theirs)


@pytest.mark.parametrize(("rate_hz", "complexity"), BARE)
def test_opus_decode_beside_bare_libopus(
    benchmark: BenchmarkFixture, rate_hz: int, complexity: int
) -> None:
    encoder = Encoder("opus", rate_hz, bitrate=BITRATE, complexity=complexity)
    packets = [encoder.encode(frame) for frame in voice(rate_hz)]
    decoder = Decoder("opus", rate_hz)
    ours = lambda: [decoder.decode(packet) for packet in packets]  # noqa: E731
    theirs = bare_decode(packets, rate_hz)
    assert ours()[-1].tobytes() == theirs()[-1]
    what = f"opus decode {rate_hz // 1000} kHz, complexity {complexity}"
    time_both(benchmark, what, ours, "bare libopus", theirs)


@pytest.mark.parametrize("peer", ["opuslib", "PyAV (its own libopus)"])
def test_opus_encode(benchmark: BenchmarkFixture, peer: str) -> None:
    frames, encoder = voice(), Encoder("opus", 16000, bitrate=BITRATE)
    ours = lambda: [encoder.encode(frame) for frame in frames]  # noqa: E731
    if peer == "opuslib":
        other, raw = PeerEncoder(16000, bitrate=BITRATE), [frame.tobytes() for frame in frames]
        theirs: Calls = lambda: [other.encode(frame) for frame in raw]  # noqa: E731
        assert ours() == theirs()
    else:
        theirs = pyav_encode("libopus", frames)
        ours_bytes, their_bytes = (sum(map(len, run())) for run in (ours, theirs))
        assert abs(ours_bytes - their_bytes) <= 0.2 * ours_bytes
    time_both(benchmark, "opus encode 16 kHz", ours, peer, theirs)


@pytest.mark.parametrize("peer", ["opuslib", "PyAV (its own libopus)"])
def test_opus_decode(benchmark: BenchmarkFixture, peer: str) -> None:
    """At 48 kHz, because PyAV decodes Opus at no other rate."""
    encoder, decoder = Encoder("opus", 16000, bitrate=BITRATE), Decoder("opus", 48000)
    packets = [encoder.encode(frame) for frame in voice()]
    ours = lambda: [decoder.decode(packet).tobytes() for packet in packets]  # noqa: E731
    if peer == "opuslib":
        other = PeerDecoder(48000)
        theirs: Calls = lambda: [other.decode(packet) for packet in packets]  # noqa: E731
        assert ours() == theirs()
    else:
        theirs = pyav_decode("libopus", packets)
        assert len(b"".join(ours())) == 2 * 48000
    time_both(benchmark, "opus decode 16 kHz to 48 kHz", ours, peer, theirs)


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    rows.clear()
    yield
    show(request.config, "Codecs, one call", rows)
