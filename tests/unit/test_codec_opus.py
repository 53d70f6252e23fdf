"""Opus through libopus, beside two others: opuslib on the same libopus, which must be equal bit for
bit, and the libopus inside PyAV, another build of another version.

Where libopus is not installed each test checks instead that the error names the package; where CI
is set that is a failure.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import opuslib_peer
from voicecore import Decoder, Encoder
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    LengthError,
    MissingLibraryError,
    PacketError,
    RateError,
    VoicecoreError,
)
from voicecore.media._codec import opus_version

PCM = npt.NDArray[np.int16]
RATES_HZ = (8000, 12000, 16000, 24000, 48000)
# One of each mode of the codec: speech (SILK) at two widths, both (hybrid), music (CELT).
MODES = [(8000, 12000), (16000, 24000), (48000, 30000), (48000, 64000)]


def needs_libopus(test: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        try:
            opus_version()
        except MissingLibraryError:
            assert "CI" not in os.environ, "this machine should have libopus: apt install libopus0"
            with pytest.raises(MissingLibraryError, match="apt install libopus0"):
                Encoder("opus", 16000)
            return
        test(*args, **named)

    return run


@functools.cache
def voice(rate_hz: int) -> PCM:
    """3 s of harmonics whose pitch glides, in syllables of changing loudness."""
    t = np.arange(3 * rate_hz) / rate_hz
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 0.7 * t)) / rate_hz
    tone = sum(np.sin(k * phase + k * k) / k for k in range(1, 25))
    loudness = 0.5 + 0.45 * np.sin(2 * np.pi * 3 * t)
    return (6000 * tone * loudness).clip(-32768, 32767).astype(np.int16)


def frames(pcm: PCM, samples: int) -> list[PCM]:
    return [pcm[at : at + samples] for at in range(0, len(pcm), samples)]


def encoded(rate_hz: int, pcm: PCM, **options: Any) -> list[bytes]:
    encoder = Encoder("opus", rate_hz, **options)
    return [encoder.encode(frame) for frame in frames(pcm, encoder.frame_samples)]


def theirs_encoded(rate_hz: int, bitrate: int, pcm: PCM) -> list[bytes]:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = rate_hz, "mono", "s16"
    context.bit_rate, context.time_base = bitrate, Fraction(1, rate_hz)
    context.options = {"application": "voip", "frame_duration": "20"}
    context.open()
    packets = []
    for number, samples in enumerate(frames(pcm, rate_hz // 50)):
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate, frame.pts = rate_hz, number * len(samples)
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def theirs_decoded(packets: list[bytes]) -> PCM:
    """At 48 kHz, as libavcodec always asks for."""
    context = av.CodecContext.create("libopus", "r")
    context.sample_rate, context.layout = 48000, "mono"
    context.open()
    given = [*(av.Packet(packet) for packet in packets), None]
    return np.concatenate([f.to_ndarray()[0] for one in given for f in context.decode(one)])


def power(x: npt.NDArray[np.floating] | PCM) -> float:
    return float(np.mean(np.square(x, dtype=np.float64)))


@needs_libopus
def test_opuslib_is_on_the_same_library() -> None:
    assert opuslib_peer.version() == opus_version()


# Ours, and the same in libopus' words. Each must change the packets of the input that it is for.
SETTINGS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"bitrate": 16000}, {"bitrate": 16000}),
    ({"bitrate": 40000}, {"bitrate": 40000}),
    ({"complexity": 0}, {"complexity": 0}),
    ({"complexity": 5}, {"complexity": 5}),
    ({"packet_loss_percent": 15}, {"packet_loss_perc": 15}),
    ({"fec": True, "packet_loss_percent": 15}, {"inband_fec": 1, "packet_loss_perc": 15}),
    ({"dtx": True}, {"dtx": 1}),
    ({"bandwidth": "narrowband"}, {"max_bandwidth": 1101}),
]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@needs_libopus
def test_packets_and_audio_equal_opuslib(rate_hz: int) -> None:
    """Both ways and bit for bit: with libopus' own settings, at every rate of the decoder."""
    pcm = voice(rate_hz)
    packets = encoded(rate_hz, pcm)
    peer = opuslib_peer.PeerEncoder(rate_hz)
    theirs = [peer.encode(frame.tobytes()) for frame in frames(pcm, rate_hz // 50)]
    assert packets == theirs
    for out_hz in RATES_HZ:
        decoder, peer_decoder = Decoder("opus", out_hz), opuslib_peer.PeerDecoder(out_hz)
        for number, packet in enumerate(theirs):
            assert decoder.decode(packet).tobytes() == peer_decoder.decode(packet), number


@pytest.mark.skipif(not opuslib_peer.SETTINGS_WORK, reason="opuslib cannot set on Apple arm64")
@pytest.mark.parametrize(("ours", "theirs"), SETTINGS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@needs_libopus
def test_each_setting_is_that_of_opuslib(
    rate_hz: int, ours: dict[str, Any], theirs: dict[str, int]
) -> None:
    pcm = voice(rate_hz)
    if "dtx" in ours:
        pcm = np.concatenate([pcm[:rate_hz], np.zeros(2 * rate_hz, np.int16)])
    base: dict[str, Any] = {} if "bitrate" in ours else {"bitrate": 24000}
    packets = encoded(rate_hz, pcm, **base, **ours)
    peer = opuslib_peer.PeerEncoder(rate_hz, **base, **theirs)
    assert packets == [peer.encode(frame.tobytes()) for frame in frames(pcm, rate_hz // 50)]
    if not (rate_hz == 8000 and "bandwidth" in ours):  # it is no wider anyway
        assert packets != encoded(rate_hz, pcm, **base)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@needs_libopus
def test_lost_packets_are_made_good_as_by_opuslib(rate_hz: int) -> None:
    """Every fourth packet is lost: from the next one, or concealed in one piece or several."""
    pcm, samples = voice(rate_hz), rate_hz // 50
    packets = encoded(rate_hz, pcm, bitrate=32000, fec=True, packet_loss_percent=20)
    for way in ("fec", "conceal", "pieces"):
        decoder, peer = Decoder("opus", rate_hz), opuslib_peer.PeerDecoder(rate_hz)
        for i, packet in enumerate(packets[:-1]):
            if i % 4 != 3:
                ours, theirs = decoder.decode(packet), peer.decode(packet)
            elif way == "fec":
                ours = decoder.decode_fec(packets[i + 1])
                theirs = peer.decode_fec(packets[i + 1], samples)
            else:
                size = samples if way == "conceal" else rate_hz // 400
                pieces = range(0, samples, size)
                ours = np.concatenate([decoder.conceal(size) for _ in pieces])
                theirs = b"".join([peer.conceal(size) for _ in pieces])
            assert ours.tobytes() == theirs, (way, i)


@pytest.mark.parametrize(("rate_hz", "bitrate"), MODES)
@needs_libopus
def test_our_packets_are_the_same_audio_in_pyav(rate_hz: int, bitrate: int) -> None:
    """Two decoders of one packet agree within rounding: 80 dB at the least."""
    packets = encoded(rate_hz, voice(rate_hz), bitrate=bitrate)
    decoder = Decoder("opus", 48000)
    ours = np.concatenate([decoder.decode(packet) for packet in packets])
    theirs = theirs_decoded(packets)
    assert ours.shape == theirs.shape
    difference = ours.astype(np.float64) - theirs
    assert power(difference) < 1e-8 * power(ours)


@pytest.mark.parametrize(("rate_hz", "bitrate"), MODES)
@needs_libopus
def test_pyav_packets_are_the_same_audio_here(rate_hz: int, bitrate: int) -> None:
    packets = theirs_encoded(rate_hz, bitrate, voice(rate_hz))
    decoder = Decoder("opus", 48000)
    ours = np.concatenate([decoder.decode(packet) for packet in packets])
    difference = ours.astype(np.float64) - theirs_decoded(packets)
    assert power(difference) < 1e-8 * power(ours)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@needs_libopus
def test_every_rate_and_the_stated_delay(rate_hz: int) -> None:
    """The audio is most alike within 0.25 ms of the stated delay, with a correlation above 0.7."""
    encoder, decoder = Encoder("opus", rate_hz, bitrate=32000), Decoder("opus", rate_hz)
    pcm = voice(rate_hz)
    packets = [encoder.encode(frame) for frame in frames(pcm, encoder.frame_samples)]
    audio = np.concatenate([decoder.decode(packet) for packet in packets])
    assert audio.shape == pcm.shape
    x = pcm[rate_hz // 2 : 2 * rate_hz].astype(np.float64)

    def likeness(lag: int) -> float:
        y = audio[rate_hz // 2 + lag : 2 * rate_hz + lag].astype(np.float64)
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    best = max(range(rate_hz // 50), key=likeness)
    assert abs(best - encoder.delay_samples) <= rate_hz / 4000
    assert likeness(best) > 0.7


@pytest.mark.parametrize("duration_ms", [2.5, 5, 10, 20, 40, 60])
@needs_libopus
def test_every_duration(duration_ms: float) -> None:
    samples = round(16 * duration_ms)
    packet = Encoder("opus", 16000).encode(voice(16000)[:samples])
    assert Decoder("opus", 16000).decode(packet).shape == (samples,)
    assert Decoder("opus", 48000).decode(packet).shape == (3 * samples,)


@needs_libopus
def test_fec_is_nearer_to_the_truth_than_concealment() -> None:
    packets = encoded(16000, voice(16000), bitrate=28000, fec=True, packet_loss_percent=20)
    whole = Decoder("opus", 16000)
    truth = [whole.decode(packet) for packet in packets]
    errors = {}
    for way in ("fec", "conceal"):
        decoder, error = Decoder("opus", 16000), 0.0
        for i, packet in enumerate(packets):
            if i % 5 != 4 or i + 1 == len(packets):
                decoder.decode(packet)
                continue
            made = decoder.decode_fec(packets[i + 1]) if way == "fec" else decoder.conceal(320)
            assert made.shape == (320,)
            assert made.any()
            error += power(made.astype(np.float64) - truth[i])
        errors[way] = error
    assert 0 < errors["fec"] < 0.5 * errors["conceal"]


@needs_libopus
def test_long_loss_fades_and_the_stream_goes_on() -> None:
    packets = encoded(16000, voice(16000))
    decoder = Decoder("opus", 16000)
    for packet in packets[:20]:
        last = decoder.decode(packet)
    gone = [decoder.conceal(320) for _ in range(50)]
    assert power(gone[0]) > 0.05 * power(last)
    assert power(gone[-1]) < 0.001 * power(last)
    assert decoder.decode(packets[20]).shape == (320,)
    for samples in (40, 320, 1920):
        assert decoder.conceal(samples).shape == (samples,)


@needs_libopus
def test_reset_is_as_new() -> None:
    options: dict[str, Any] = {"bitrate": 20000, "complexity": 4, "dtx": True}
    pcm = voice(16000)
    expected = encoded(16000, pcm, **options)
    encoder, decoder = Encoder("opus", 16000, **options), Decoder("opus", 16000)
    audio = [decoder.decode(packet) for packet in expected]
    for frame in frames(pcm, 320)[:77]:
        encoder.encode(frame)
    encoder.reset()
    assert [encoder.encode(frame) for frame in frames(pcm, 320)] == expected
    decoder.conceal(320)
    decoder.reset()
    np.testing.assert_array_equal([decoder.decode(packet) for packet in expected], audio)


@pytest.mark.parametrize("bitrate", [8000, 16000, 32000, 64000])
@needs_libopus
def test_bitrate_is_kept(bitrate: int) -> None:
    """Within 25 % over 3 s: the rate is variable."""
    packets = encoded(48000, voice(48000), bitrate=bitrate)
    bits_per_second = 8 * 50 * np.mean([len(packet) for packet in packets])
    assert bits_per_second == pytest.approx(bitrate, rel=0.25)


@needs_libopus
def test_bandwidth_is_the_widest() -> None:
    """Oracle: the configuration number in a packet's first byte (RFC 6716, table 2)."""
    silk, hybrid, celt = [0, 1, 2], [3, 4], [0, 2, 3, 4]
    width_of = [w for w in silk for _ in range(4)] + [w for w in hybrid for _ in range(2)]
    width_of += [w for w in celt for _ in range(4)]
    noise = np.random.default_rng(8).normal(0, 5000, 48000).clip(-32768, 32767).astype(np.int16)
    names = ("narrowband", "mediumband", "wideband", "superwideband", "fullband")
    for widest, name in enumerate(names):
        # The music mode, which takes over at high rates, has no mediumband.
        bitrate = 12000 if name == "mediumband" else 64000
        packets = encoded(48000, noise, bitrate=bitrate, bandwidth=name)
        widths = {width_of[packet[0] >> 3] for packet in packets}
        assert max(widths) == widest, name


@needs_libopus
def test_dtx_hardly_sends_silence_and_complexity_counts() -> None:
    silence = np.zeros(3 * 16000, np.int16)
    packets = encoded(16000, silence, dtx=True)
    assert np.mean([len(packet) <= 2 for packet in packets[50:]]) > 0.8
    decoder = Decoder("opus", 16000)
    audio = np.stack([decoder.decode(packet) for packet in packets])
    assert audio.shape == (150, 320)
    assert np.abs(audio).max() < 100
    assert encoded(16000, voice(16000), complexity=0) != encoded(16000, voice(16000), complexity=10)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(packet=st.binary(max_size=400), way=st.sampled_from(["decode", "decode_fec"]))
@needs_libopus
def test_garbage_is_audio_or_a_packet_error(packet: bytes, way: str) -> None:
    decoder = Decoder("opus", 16000)
    try:
        audio = getattr(decoder, way)(packet)
        assert 0 < len(audio) <= 1920
        assert len(audio) % 40 == 0
    except PacketError:
        pass
    assert decoder.decode(encoded(16000, voice(16000)[:320])[0]).shape == (320,)


@needs_libopus
def test_bad_input_says_what_to_do() -> None:
    encoder, decoder = Encoder("opus", 16000), Decoder("opus", 16000)
    for samples in (0, 1, 160 + 1, 480, 1920):
        with pytest.raises(LengthError, match=r"2\.5, 5, 10, 20, 40 or 60 ms.*320"):
            encoder.encode(np.zeros(samples, np.int16))
    with pytest.raises(PacketError, match="0 bytes as an Opus packet"):
        decoder.decode(b"")
    with pytest.raises(DtypeError, match="NoneType"):
        decoder.decode(None)  # type: ignore[arg-type]
    for gap in (0, -40, 41, 1960, 20.0, 2**70):
        with pytest.raises(LengthError, match=r"multiple of 40 .* up to 1920"):
            decoder.conceal(gap)  # type: ignore[arg-type]
    for door in (Encoder, Decoder):
        with pytest.raises(RateError, match="8000, 12000, 16000, 24000, 48000"):
            door("opus", 44100)


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"bitrate": 5999}, "6000 to 510000"), ({"bitrate": 24e3}, "whole number"),
        ({"complexity": 11}, "0 to 10"), ({"packet_loss_percent": 101}, "0 to 100"),
        ({"bandwidth": "wide"}, "'wideband'"), ({"bandwidth": 8000}, "'wideband'"),
        ({"fec": True}, "packet_loss_percent=10"),
    ],
)  # fmt: skip
def test_bad_options_say_what_to_do(option: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Encoder("opus", 16000, **option)


@pytest.mark.parametrize("codec", ["pcmu", "l16", "g722"])
def test_only_opus_conceals(codec: Any) -> None:
    decoder = Decoder(codec, 16000 if codec == "g722" else 8000)
    for use in (lambda: decoder.conceal(320), lambda: decoder.decode_fec(b"12")):
        with pytest.raises(ConfigError, match="JitterBuffer"):
            use()


@needs_libopus
def test_closed_says_so() -> None:
    with Encoder("opus", 8000) as encoder, Decoder("opus", 8000) as decoder:
        packet = encoder.encode(voice(8000)[:160])
    for use in (
        lambda: encoder.encode(voice(8000)[:160]), lambda: decoder.decode(packet),
        lambda: decoder.decode_fec(packet), lambda: decoder.conceal(160), encoder.reset,
        decoder.reset, lambda: encoder.delay_samples,
    ):  # fmt: skip
        with pytest.raises(ClosedError, match="make a new one"):
            use()


@needs_libopus
def test_use_from_two_threads_is_refused() -> None:
    """The GIL is released: calls that meet raise, the others give packets."""
    encoder = Encoder("opus", 48000, complexity=10)
    outcomes: list[str] = []

    def work() -> None:
        for frame in frames(voice(48000), 2880):
            try:
                outcomes.append(type(encoder.encode(frame)).__name__)
            except VoicecoreError as error:
                outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 200
    assert "bytes" in outcomes
    assert set(outcomes) <= {"bytes", "ConcurrentUseError"}


@pytest.mark.parametrize("path", ["/nowhere/libopus.so.0", "libc.so.6"])
def test_absence_names_the_package(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not there, or another library."""
    monkeypatch.setenv("VOICECORE_LIBOPUS", path)
    for make in (lambda: Encoder("opus", 16000), lambda: Decoder("opus", 16000), opus_version):
        with pytest.raises(MissingLibraryError, match="apt install libopus0") as caught:
            make()
        assert path in str(caught.value)
        assert isinstance(caught.value, ImportError)
    assert Encoder("pcmu", 8000).encode(b"") == b""
