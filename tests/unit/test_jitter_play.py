"""JitterBuffer in play mode over a bad network, in virtual time: what a listener would notice.

Oracle: the speech that was sent (tests/audio.py), found again in what was played by the positions
that the buffer reports, and by the delays that were put in. Frames are pulled every 20 ms, 10 ms
after packets are due.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from tests import audio
from voicecore import G711, JitterBuffer, JitterEvent, RtpPacket

MS = 1_000_000
FRAME = 160
Samples = npt.NDArray[np.int16]


def speech(seconds: float) -> Samples:
    clip = audio.speech("two_cities", 8000)
    return np.round(32768 * np.resize(clip, int(8000 * seconds))).astype(np.int16)


def packets_of(pcm: Samples) -> list[bytes]:
    codes = G711("ulaw").encode(pcm)
    return [
        bytes(RtpPacket(codes[FRAME * n : FRAME * n + FRAME], sequence=n % 65536,
                        timestamp=FRAME * n, ssrc=3))
        for n in range(len(pcm) // FRAME)
    ]  # fmt: skip


@dataclass
class Played:
    """What came out, frame by frame."""

    audio: Samples
    kinds: list[str]
    stream_positions: npt.NDArray[np.int64]
    delay_ms: npt.NDArray[np.float64]
    events: list[JitterEvent] = field(default_factory=list)
    stats: dict[str, int | float] = field(default_factory=dict)


def play(packets: list[bytes], arrivals_ms: npt.NDArray[np.float64], **settings: int) -> Played:
    """arrivals_ms: one for each packet, nan: lost."""
    buffer = JitterBuffer(8000, mode="play", **settings)
    order = [int(n) for n in np.argsort(arrivals_ms, kind="stable") if not np.isnan(arrivals_ms[n])]
    frames, kinds, positions, delays, events, at = [], [], [], [], [], 0
    for tick in range(int(np.nanmax(arrivals_ms) // 20) + 1):
        now_ns = (20 * tick + 10) * MS
        while at < len(order) and arrivals_ms[order[at]] * MS <= now_ns:
            buffer.put(packets[order[at]], int(arrivals_ms[order[at]] * MS))
            at += 1
        samples, info = buffer.get(now_ns)
        frames.append(samples)
        kinds.append(info.kind)
        positions.append(info.stream_position)
        delays.append(buffer.stats()["delay_ms"])
        events += buffer.events()
    return Played(np.concatenate(frames), kinds, np.array(positions), np.array(delays), events,
                  buffer.stats())  # fmt: skip


def due_ms(packets: list[bytes]) -> npt.NDArray[np.float64]:
    return 20.0 * np.arange(len(packets))


def steps(samples: Samples) -> npt.NDArray[np.int64]:
    return np.abs(np.diff(samples.astype(np.int64)))


def test_a_spike_of_300_ms_is_over_in_5_s_and_costs_no_speech() -> None:
    pcm = speech(40)
    packets = packets_of(pcm)
    arrivals = due_ms(packets)
    stalled = slice(1000, 1015)  # at 20 s: nothing for 300 ms, then all at once
    arrivals[stalled] = arrivals[1015]
    result = play(packets, arrivals)
    before_ms = np.median(result.delay_ms[900:1000])
    highest_ms = result.delay_ms[1000:1050].max()
    assert highest_ms >= 280
    back = 1015 + int(np.argmax(result.delay_ms[1015:] <= before_ms + 20))
    print(
        f"300 ms spike: {before_ms:.0f} -> {highest_ms:.0f} ms, back after {(back - 1015) / 50} s"
    )
    assert (back - 1015) / 50 <= 5.0
    assert result.delay_ms[back:].max() <= before_ms + 20
    stats = result.stats
    assert stats["decoded"] == stats["received"] == len(packets) - stats["held"]
    assert stats["lost"] == stats["late"] == stats["discarded"] == 0


def test_after_a_stall_of_2_s_the_newest_audio_is_played_on() -> None:
    packets = packets_of(speech(30))
    arrivals = due_ms(packets)
    arrivals[700:800] = arrivals[800]
    result = play(packets, arrivals, max_depth_ms=400)
    stats = result.stats
    # 2 s came at once: 400 ms are kept, the rest is thrown away and counted.
    assert 78 <= stats["discarded"] <= 82
    assert stats["lost"] == stats["late"] == 0
    # Made up for 60 ms and fading for the rest of a second, then silence until the burst.
    assert result.kinds[701 + 60 : 799] == ["silence"] * 38
    after = result.stream_positions[802:850]
    assert after[0] >= 780 * FRAME
    assert (np.diff(after) > 0).all()
    assert np.median(result.delay_ms[1100:1200]) <= np.median(result.delay_ms[600:690]) + 20


@pytest.mark.parametrize("ppm", [-200, 200])
@pytest.mark.parametrize("jitter_ms", [0, 20])
def test_an_hour_of_clock_drift_conceals_nothing(ppm: int, jitter_ms: int) -> None:
    """The rate is learnt and removed by the filter: hardly a stretch after the first minutes."""
    hour = 3600 * 50
    packets = [
        bytes(RtpPacket(b"\xd5" * FRAME, sequence=n % 65536, timestamp=FRAME * n % 2**32, ssrc=3))
        for n in range(2**16)
    ]
    generator = np.random.default_rng(7)
    sent_ms = 20.0 * np.arange(hour) / (1 + ppm * 1e-6)
    arrivals = np.maximum.accumulate(sent_ms + generator.random(hour) * jitter_ms)
    buffer = JitterBuffer(8000, mode="play")
    at, at_5_minutes = 0, {}
    for tick in range(int(arrivals[-1] // 20)):
        now_ns = (20 * tick + 10) * MS
        while arrivals[at] * MS <= now_ns:
            n = at % 2**16
            packet = packets[n]
            if at >= 2**16:  # sequence numbers come round, timestamps go on
                packet = packet[:4] + (FRAME * at % 2**32).to_bytes(4, "big") + packet[8:]
            buffer.put(packet, int(arrivals[at] * MS))
            at += 1
        _, info = buffer.get(now_ns)
        assert info.kind == "decoded" or tick < 10, tick
        if tick == 5 * 60 * 50:
            at_5_minutes = buffer.stats()
    stats = buffer.stats()
    stretched = sum(
        stats[name] - at_5_minutes[name] for name in ("accelerated_samples", "expanded_samples")
    )
    print(
        f"{ppm} ppm, jitter {jitter_ms} ms: told {stats['drift_ppm']:.1f} ppm, "
        f"{stretched / 8:.0f} ms stretched in 55 minutes, "
        f"{stats['concealed_samples']} samples concealed"
    )
    assert stats["concealed_samples"] == stats["lost"] == stats["late"] == 0
    assert abs(stats["drift_ppm"] - ppm) < 5
    # 200 ppm of 55 minutes are 660 ms; nearly all of it goes through the filter.
    assert stretched / 8 <= 60


def test_the_drift_filter_comes_in_without_a_click_and_tells_the_place() -> None:
    """A sine keeps its waveform through the whole change: no step beyond its own."""
    ppm, seconds = 300, 90
    t = np.arange(8000 * seconds) / 8000
    pcm = np.round(8000 * np.sin(2 * np.pi * 500 * t)).astype(np.int16)
    packets = packets_of(pcm)
    result = play(packets, 20.0 * np.arange(len(packets)) / (1 + ppm * 1e-6))
    assert result.stats["drift_ppm"] == pytest.approx(ppm, abs=3)
    heard = result.audio[8000:]
    assert steps(heard).max() <= 1.02 * steps(pcm).max() + 300  # µ-law's own steps are up to 256
    # The place of every frame: the phase of the sine at it (its delay is 1 period = 16 samples).
    for frame in range(60 * 50, 85 * 50, 37):
        place = result.stream_positions[frame] + np.arange(FRAME)
        found = result.audio[FRAME * frame : FRAME * frame + FRAME].astype(np.float64)
        expected = np.exp(2j * np.pi * 500 * place / 8000)
        angle = np.angle(np.sum(found * np.conj(1j * expected) * -1))
        samples_off = angle / (2 * np.pi) * 16
        assert abs((samples_off + 8) % 16 - 8) <= 1.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_stretch_is_told_to_the_sample(seed: int) -> None:
    """Rebuild the played audio from the sent one with the events alone."""
    generator = np.random.default_rng(seed)
    pcm = speech(60)
    packets = packets_of(pcm)
    sent = G711("ulaw").decode(G711("ulaw").encode(pcm))
    jitter = np.where((np.arange(len(packets)) // 400) % 2, 90.0, 5.0)
    arrivals = np.maximum.accumulate(due_ms(packets) + generator.random(len(packets)) * jitter)
    result = play(packets, arrivals, max_depth_ms=1000)
    stats = result.stats
    assert stats["accelerated_samples"] > 400
    assert stats["expanded_samples"] > 0
    assert stats["events_lost"] == 0
    told = {
        kind: sum(event.samples for event in result.events if event.kind == kind)
        for kind in ("accelerated", "expanded", "concealed")
    }
    assert told["accelerated"] == stats["accelerated_samples"]
    assert told["expanded"] == stats["expanded_samples"]
    assert told["concealed"] == stats["concealed_samples"]
    starts = [event.position for event in result.events]
    assert starts == sorted(starts)
    # Away from seams (15 ms), made-up audio and joins, what is played is what was sent, there.
    touched = np.zeros(len(result.audio) + FRAME, bool)
    for event in result.events:
        length = event.samples if event.kind != "accelerated" else 0
        touched[max(0, event.position - 240) : event.position + length + 240] = True
    compared = 0
    for frame, (kind, place) in enumerate(zip(result.kinds, result.stream_positions, strict=True)):
        here = slice(FRAME * frame, FRAME * frame + FRAME)
        if kind == "decoded" and not touched[here].any():
            np.testing.assert_array_equal(result.audio[here], sent[place : place + FRAME])
            compared += 1
    assert compared > 0.7 * len(result.kinds)


def test_stretching_stays_below_a_quarter_and_keeps_out_of_attacks() -> None:
    packets = packets_of(speech(30))
    arrivals = due_ms(packets)
    arrivals[300:312] = arrivals[312]
    result = play(packets, arrivals)
    positions = result.stream_positions
    for frame in range(320, len(positions) - 50):  # any second of output
        advance = (positions[frame + 50] - positions[frame]) / (50 * FRAME)
        assert advance <= 4 / 3 + 0.02  # a quarter of the input is gone
    changes = [event for event in result.events if event.kind == "accelerated"]
    assert changes
    # No attack is faded: the 15 ms at a cut are not 12 dB louder than the 15 ms before it.
    for event in changes:
        before = result.audio[event.position - 180 : event.position - 60].astype(np.float64)
        faded = result.audio[event.position - 60 : event.position + 60].astype(np.float64)
        loud = 100.0  # below that it is background
        assert np.sqrt(np.mean(faded**2)) <= 4 * max(np.sqrt(np.mean(before**2)), loud)


def test_seams_of_lost_frames_are_no_clicks() -> None:
    """No sample step at a seam above the signal's own 99.9 % step, over 200 losses."""
    pcm = speech(60)
    packets = packets_of(pcm)
    arrivals = due_ms(packets)
    lost = np.arange(100, len(packets) - 20, 14)
    arrivals[lost] = np.nan
    result = play(packets, arrivals)
    usual = np.quantile(steps(pcm), 0.999)
    worst = 0
    for event in result.events:
        if event.kind != "concealed":
            continue
        for seam in (event.position, event.position + event.samples):
            worst = max(worst, int(steps(result.audio[seam - 2 : seam + 2]).max()))
    assert result.stats["lost"] == len(lost)
    print(
        f"steps at {2 * len(lost)} seams: {worst} at most; the signal's 99.9 % step is {usual:.0f}"
    )
    assert worst <= usual
