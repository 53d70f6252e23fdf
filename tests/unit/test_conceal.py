"""Concealment on speech, through the jitter buffer in listen mode.

Oracles: PESQ (ITU-T P.862, the package pesq) against silence and against ITU-T G.711 Appendix I as
tests/appendix_i.py restates it; the signal's own steps. The arithmetic is tested in
tests/native/test_conceal.c.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from pesq import pesq

from tests import appendix_i
from tests.loss import FRAME, RATE_HZ, concealed, decoded, losses, silenced, speech_pieces
from voicecore import Encoder, JitterBuffer, RtpPacket

PACKETS = 400
Codec: TypeAlias = Literal["pcmu", "pcma", "l16"]


def score(sent: npt.NDArray[np.int16], heard: npt.NDArray[np.int16]) -> float:
    return float(pesq(RATE_HZ, sent / 32768, heard / 32768, "nb"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "burst", "above_silence", "above_appendix"),
    [
        (0.01, 1, 0.15, 0.05),
        (0.05, 1, 0.5, 0.2),
        (0.10, 1, 0.5, 0.2),
        (0.05, 2, 0.5, 0.2),
        (0.05, 3, 0.5, 0.2),
    ],
    ids=["1 %", "5 %", "10 %", "5 % in 40 ms", "5 % in 60 ms"],
)
def test_pesq(rate: float, burst: int, above_silence: float, above_appendix: float) -> None:
    """The mean over fifteen pieces of speech, each with its own losses.

    The aim is 0.5 above silence at 5 % and not below Appendix I; figures: docs/units/conceal.md.
    """
    ours, silence, appendix = [], [], []
    for number, (_, sent) in enumerate(speech_pieces()):
        lost = losses(PACKETS, rate, burst, seed=number)
        ours.append(score(sent, concealed(sent, lost)))
        silence.append(score(sent, silenced(sent, lost)))
        appendix.append(score(sent, appendix_i.conceal(decoded(sent), lost)))
    print(f"ours {np.mean(ours):.3f}, silence {np.mean(silence):.3f}, "
          f"Appendix I {np.mean(appendix):.3f}")  # fmt: skip
    assert np.mean(ours) >= np.mean(silence) + above_silence
    assert np.mean(ours) >= np.mean(appendix) + above_appendix


def test_no_loss_changes_nothing() -> None:
    for _, sent in speech_pieces()[:3]:
        assert np.array_equal(concealed(sent, np.zeros(PACKETS, bool)), decoded(sent))


@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_not_near_a_gap_is_unchanged(parts: int) -> None:
    """From both sides nothing but the gap is touched; from one, 3 ms after it are, too."""
    _, sent = speech_pieces()[4]
    lost = losses(PACKETS, 0.1, 1, seed=1)
    heard, clean = concealed(sent, lost, parts), decoded(sent)
    touched = np.repeat(lost, FRAME)
    if parts == 2:
        for gap in np.flatnonzero(lost):
            touched[FRAME * (gap + 1) : FRAME * (gap + 1) + 24] = True
    assert np.array_equal(heard[~touched], clean[~touched])


def gliding(rate_hz: int) -> npt.NDArray[np.int16]:
    """Two seconds of a harmonic tone from 150 to 310 Hz."""
    t = np.arange(2 * rate_hz) / rate_hz
    phase = 2 * np.pi * (150 * t + 40 * t**2)
    return np.rint(6000 * np.sin(phase) + 3000 * np.sin(2 * phase)).astype(np.int16)


def packets_of(pcm: npt.NDArray[np.int16], codec: Codec, rate_hz: int, size: int) -> list[bytes]:
    encoder = Encoder(codec, rate_hz)
    return [
        bytes(RtpPacket(encoder.encode(pcm[at : at + size]), sequence=n, timestamp=at, ssrc=1))
        for n, at in enumerate(range(0, len(pcm), size))
    ]


def listened(
    packets: list[bytes], lost: set[int], codec: Codec, rate_hz: int, size: int
) -> npt.NDArray[np.int16]:
    """Each gap is concealed when the first packet after it is there."""
    buffer = JitterBuffer(rate_hz, codec=codec, loss_wait_ms=0)
    heard = []
    for n, packet in enumerate(packets):
        if n in lost:
            continue
        now_ns = n * size * 1_000_000_000 // rate_hz
        buffer.put(packet, now_ns)
        while (read := buffer.read(now_ns))[1] is not None:
            heard.append(read[0])
    return np.concatenate(heard)


STATELESS: list[tuple[Codec, int]] = [
    ("pcmu", 8000), ("pcma", 8000), ("l16", 16000), ("l16", 48000)
]  # fmt: skip


@pytest.mark.parametrize(("codec", "rate_hz"), STATELESS)
def test_what_follows_is_used(codec: Codec, rate_hz: int) -> None:
    """The error of gaps in a glide is less than half (in power) of what one side leaves."""
    pcm, frame = gliding(rate_hz), rate_hz // 50
    lost = set(range(13, 98, 7))
    errors = []
    for parts in (1, 2):
        size = frame // parts
        packets = packets_of(pcm, codec, rate_hz, size)
        gone = {parts * n + k for n in lost for k in range(parts)}
        heard = listened(packets, gone, codec, rate_hz, size)
        off = (heard.astype(np.float64) - pcm[: len(heard)]) ** 2
        errors.append(sum(off[frame * n : frame * (n + 1)].sum() for n in lost))
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(("codec", "rate_hz"), STATELESS)
def test_play_mode_makes_up_the_same(codec: Codec, rate_hz: int) -> None:
    """With the packet after a gap in the buffer, what is played is what listen mode gives."""
    pcm, frame = gliding(rate_hz), rate_hz // 50
    lost = {*range(23, 90, 7), 45, 60, 61, 62, 63, 64, 65}
    packets = packets_of(pcm, codec, rate_hz, frame)
    expected = listened(packets, lost, codec, rate_hz, frame)
    buffer = JitterBuffer(rate_hz, codec=codec, mode="play", min_depth_ms=200)
    made = 0
    for n, packet in enumerate(packets):
        if n not in lost:
            buffer.put(packet, 20_000_000 * n)
        played, info = buffer.get(20_000_000 * n + 10_000_000)
        if info.kind not in ("decoded", "concealed"):
            continue
        made += info.kind == "concealed"
        place = info.stream_position
        assert np.array_equal(played, expected[place : place + frame]), (n, info)
    stats = buffer.stats()
    assert stats["underruns"] == stats["accelerated_samples"] == stats["expanded_samples"] == 0
    assert made >= 10


def test_no_click_at_either_seam() -> None:
    """Gaps of 20 ms at every tenth packet, at ten offsets: 5,835 of them.

    Neither the step into a gap nor a step from its end until 3 ms after it is above the 99.9 % step
    of the piece, or above the biggest step that the piece has from 15 ms before the gap on.
    """
    gaps = 0
    for _, sent in speech_pieces():
        clean = decoded(sent)
        own = np.abs(np.diff(clean.astype(np.int32)))
        usual = np.quantile(own, 0.999)
        for offset in range(10, 20):
            lost = np.zeros(PACKETS, bool)
            lost[offset:-1:10] = True
            steps = np.abs(np.diff(concealed(sent, lost).astype(np.int32)))
            for gap in np.flatnonzero(lost):
                gaps += 1
                start, end = FRAME * int(gap) - 1, FRAME * (int(gap) + 1) - 1
                there = own[start - 120 : start].max()
                assert steps[start] <= max(usual, there), (offset, gap)
                there = own[start - 120 : end + 120].max()
                assert steps[end : end + 25].max() <= max(usual, there), (offset, gap)
    assert gaps == 389 * len(speech_pieces())
