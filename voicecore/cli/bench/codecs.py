"""G.711, G.722 and Opus beside audioop, numpy, PyAV and other doors of libopus: 20 ms a call.

Comfort noise has no peer that gives the same.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voicecore.cli.bench.registry import (
    Differs,
    Measurement,
    Need,
    Peer,
    Work,
    has_levels,
    package,
    shared_library,
)
from voicecore.cli.bench.signals import to_s16, voice
from voicecore.errors import MissingLibraryError
from voicecore.media._codec import Decoder, Encoder, opus_version
from voicecore.media._comfort_noise import ComfortNoise, ComfortNoiseModel
from voicecore.media._g711 import G711

__all__ = ["measurements"]

FRAMES = 50
BITRATE = 24000
LIBOPUS = "libopus.so.0"
Law = Literal["ulaw", "alaw"]
Make = Callable[[], Callable[[Any], Any]]  # a new codec's function of one frame


def _pcm(rate_hz: int) -> list[NDArray[np.int16]]:
    x = to_s16(voice(rate_hz, FRAMES / 50))
    size = rate_hz // 50
    return [x[at : at + size].copy() for at in range(0, size * FRAMES, size)]


def _work(given: Sequence[Any], make: Make) -> Work:
    process = make()

    def run() -> None:
        for one in given:
            process(one)

    def result() -> list[bytes]:
        fresh = make()
        return [_bytes(fresh(one)) for one in given]

    return Work(run, len(given), result)


def _bytes(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(_bytes(one) for one in value)
    if hasattr(value, "to_ndarray"):
        value = value.to_ndarray()
    return bytes(value)


def _equal(ours: list[bytes], theirs: list[bytes]) -> str:
    if b"".join(ours) != b"".join(theirs):
        raise Differs("the bytes are not the same")
    return "the same bytes"


def _same_size(ours: list[bytes], theirs: list[bytes]) -> str:
    """Two libopus versions may make other choices; both must spend what they were given."""
    a, b = len(b"".join(ours)), len(b"".join(theirs))
    if abs(a - b) > 0.2 * a:
        raise Differs(f"{b} bytes, ours {a}")
    return f"{b} bytes for {a}"


# -- G.711 ------------------------------------------------------------------------------------


def _g711(law: Law, operation: str) -> tuple[Callable[[str | None], Work], list[Any]]:
    pcm = _pcm(8000)
    given: list[Any] = pcm
    if operation == "decode":
        given = [G711(law).encode(frame) for frame in pcm]

    def make(level: str | None) -> Work:
        options: dict[str, Any] = {} if level is None else {"level": level}
        return _work(given, lambda: getattr(G711(law, **options), operation))

    return make, given


def _audioop(law: Law, operation: str, given: list[Any]) -> Work:
    audioop = importlib.import_module("audioop")
    convert = getattr(audioop, f"lin2{law}" if operation == "encode" else f"{law}2lin")
    return _work([bytes(one) for one in given], lambda: lambda one: convert(one, 2))


def _table(law: Law, operation: str, given: list[Any]) -> Work:
    if operation == "encode":
        every = np.arange(65536).astype(np.uint16).view(np.int16)
        codes = np.frombuffer(G711(law).encode(every), np.uint8)
        return _work(given, lambda: lambda one: codes.take(one.view(np.uint16)).tobytes())
    samples = G711(law).decode(bytes(range(256)))
    return _work(given, lambda: lambda one: samples.take(np.frombuffer(one, np.uint8)))


def _g711_measurements() -> list[Measurement]:
    found = []
    level: dict[str, Any] = {"level": "c"}
    by_level = has_levels(lambda: G711("ulaw", **level))
    audioop = package("audioop-lts", "audioop")
    for law, sign in (("ulaw", "µ-law"), ("alaw", "A-law")):
        for operation in ("encode", "decode"):
            make, given = _g711(law, operation)  # type: ignore[arg-type]
            job: Any = (law, operation, given)
            peers = (
                Peer("audioop", (audioop,), partial(_audioop, *job), _equal),
                Peer("numpy table", (), partial(_table, *job), _equal),
            )
            found.append(
                Measurement(
                    f"g711-{law}-{operation}", "G711", f"G.711 {sign} {operation}, 20 ms", 20,
                    make, by_level, _equal, peers,
                )
            )  # fmt: skip
    return found


# -- PyAV -------------------------------------------------------------------------------------


def _pyav_encode(codec: str) -> Make:
    av = importlib.import_module("av")

    def make() -> Callable[[Any], Any]:
        context = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout, context.format = 16000, "mono", "s16"
        context.time_base = Fraction(1, 16000)
        if codec == "libopus":
            context.bit_rate = BITRATE
            context.options = {"application": "voip", "frame_duration": "20"}
        context.open()
        clock = 0

        def encode(samples: NDArray[np.int16]) -> list[Any]:
            nonlocal clock
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts = 16000, clock
            clock += len(samples)
            return list(context.encode(frame))

        return encode

    return make


def _pyav_decode(codec: str, rate_hz: int) -> Make:
    av = importlib.import_module("av")

    def make() -> Callable[[Any], Any]:
        context = av.CodecContext.create(codec, "r")
        context.sample_rate, context.layout = rate_hz, "mono"
        context.open()
        return lambda packet: [frame.to_ndarray() for frame in context.decode(av.Packet(packet))]

    return make


# -- G.722 and Opus -----------------------------------------------------------------------------


def _bare_encode() -> Callable[[Any], Any]:
    """libopus by ctypes, with nothing around it."""
    opus = ctypes.CDLL(LIBOPUS)
    opus.opus_encoder_create.restype = ctypes.c_void_p
    state = ctypes.c_void_p(opus.opus_encoder_create(16000, 1, 2048, None))
    opus.opus_encoder_ctl(state, 4002, ctypes.c_int(BITRATE))
    out = ctypes.create_string_buffer(1275)

    def encode(frame: NDArray[np.int16]) -> bytes:
        size = opus.opus_encode(state, ctypes.c_void_p(frame.ctypes.data), len(frame), out, 1275)
        return out.raw[:size]

    return encode


def _bare_decode() -> Callable[[Any], Any]:
    opus = ctypes.CDLL(LIBOPUS)
    opus.opus_decoder_create.restype = ctypes.c_void_p
    state = ctypes.c_void_p(opus.opus_decoder_create(48000, 1, None))
    out = np.zeros(5760, np.int16)
    to = ctypes.c_void_p(out.ctypes.data)

    def decode(packet: bytes) -> NDArray[np.int16]:
        return out[: opus.opus_decode(state, packet, len(packet), to, 5760, 0)]

    return decode


def _opuslib_encode() -> Callable[[Any], Any]:
    opuslib = importlib.import_module("opuslib")
    encoder = opuslib.Encoder(16000, 1, "voip")
    encoder.bitrate = BITRATE
    return lambda frame: encoder.encode(frame.tobytes(), len(frame))


def _opuslib_decode() -> Callable[[Any], Any]:
    decoder = importlib.import_module("opuslib").Decoder(48000, 1)
    return lambda packet: decoder.decode(packet, 960)


def _opus_problem() -> str:
    try:
        opus_version()
    except MissingLibraryError as error:
        return str(error)
    return ""


def _g722_measurements() -> list[Measurement]:
    pcm = _pcm(16000)
    encoder = Encoder("g722", 16000)
    packets = [encoder.encode(frame) for frame in pcm]
    av = (package("av"),)
    return [
        Measurement(
            "g722-encode", "Encoder", "G.722 encode, 20 ms", 20,
            lambda level: _work(pcm, lambda: Encoder("g722", 16000).encode), False, _equal,
            (Peer("PyAV (FFmpeg)", av, lambda: _work(pcm, _pyav_encode("g722")), _equal),),
        ),
        Measurement(
            "g722-decode", "Decoder", "G.722 decode, 20 ms", 20,
            lambda level: _work(packets, lambda: Decoder("g722", 16000).decode), False, _equal,
            (Peer("PyAV (FFmpeg)", av, lambda: _work(packets, _pyav_decode("g722", 16000)),
                  _equal),),
        ),
    ]  # fmt: skip


def _opus_measurements() -> list[Measurement]:
    pcm = _pcm(16000)
    packets: list[bytes] = []
    if not _opus_problem():
        encoder = Encoder("opus", 16000, bitrate=BITRATE)
        packets = [encoder.encode(frame) for frame in pcm]
    av = (package("av"),)
    bare: tuple[Need, ...] = (shared_library("libopus", LIBOPUS, "apt install libopus0"),)
    wrapped = (*bare, package("opuslib"))
    encoders = (
        Peer("libopus by ctypes", bare, lambda: _work(pcm, _bare_encode), _same_size),
        Peer("opuslib", wrapped, lambda: _work(pcm, _opuslib_encode), _same_size),
        Peer("PyAV (its libopus)", av, lambda: _work(pcm, _pyav_encode("libopus")), _same_size),
    )
    decoders = (
        Peer("libopus by ctypes", bare, lambda: _work(packets, _bare_decode), _equal),
        Peer("opuslib", wrapped, lambda: _work(packets, _opuslib_decode), _equal),
        Peer("PyAV (its libopus)", av, lambda: _work(packets, _pyav_decode("libopus", 48000)),
             _same_size),
    )  # fmt: skip
    return [
        Measurement(
            "opus-encode", "Encoder", "Opus encode, 20 ms, 16 kHz, 24 kbit/s", 20,
            lambda level: _work(pcm, lambda: Encoder("opus", 16000, bitrate=BITRATE).encode),
            False, _equal, encoders, _opus_problem,
        ),
        Measurement(
            "opus-decode", "Decoder", "Opus decode, 20 ms, to 48 kHz", 20,
            lambda level: _work(packets, lambda: Decoder("opus", 48000).decode),
            False, _equal, decoders, _opus_problem,
        ),
    ]  # fmt: skip


def _comfort_noise(level: str | None) -> Work:
    model = ComfortNoiseModel(-45.0, (0.7, -0.2, 0.1))

    def make() -> Callable[[Any], Any]:
        noise = ComfortNoise(8000)
        noise.set_model(model)
        return noise.process

    return _work([160] * FRAMES, make)


def measurements() -> list[Measurement]:
    """G.711 both laws and ways, G.722, Opus, comfort noise."""
    return [
        *_g711_measurements(),
        *_g722_measurements(),
        *_opus_measurements(),
        Measurement(
            "comfort-noise", "ComfortNoise", "comfort noise, 20 ms at 8 kHz", 20,
            _comfort_noise, False, _equal,
        ),
    ]  # fmt: skip
