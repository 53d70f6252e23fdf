"""JitterBuffer: what must hold in both modes, in virtual time. Oracle: the samples that went in.

Streams are G.711 µ-law of a seeded tone with noise; `sent` is what a decoder gives without a
buffer between. The hypothesis model is in test_jitter_model.py.
"""

from __future__ import annotations

import random
import threading

import numpy as np
import numpy.typing as npt
import pytest

from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    PacketError,
    RateError,
    StateError,
)
from voicecore.media._g711 import G711
from voicecore.media._jitter import FrameInfo, JitterBuffer
from voicecore.media._rtp import RtpPacket

MS = 1_000_000
FRAME = 160
Samples = npt.NDArray[np.int16]
Played = list[tuple[Samples, FrameInfo]]


def stream(packets: int, seed: int = 1) -> tuple[list[bytes], Samples]:
    """RTP payloads of 20 ms, and the samples that they decode to."""
    generator = np.random.default_rng(seed)
    t = np.arange(packets * FRAME) / 8000
    x = 6000 * np.sin(2 * np.pi * 180 * t) * (1 + 0.5 * np.sin(2 * np.pi * 2 * t))
    pcm = (x + generator.normal(0, 100, len(t))).astype(np.int16)
    codes = G711("ulaw").encode(pcm)
    payloads = [codes[i : i + FRAME] for i in range(0, len(codes), FRAME)]
    return payloads, G711("ulaw").decode(codes)


def rtp(payload: bytes, number: int, sequence: int = 0, timestamp: int = 0, ssrc: int = 5) -> bytes:
    return bytes(
        RtpPacket(
            payload,
            sequence=(sequence + number) % 65536,
            timestamp=(timestamp + number * FRAME) % 2**32,
            ssrc=ssrc,
        )
    )


def read_all(buffer: JitterBuffer, now_ns: int) -> Played:
    found = []
    while True:
        samples, info = buffer.read(now_ns)
        if info is None:
            assert len(samples) == 0
            return found
        found.append((samples, info))


def run(
    mode: str, arrivals: list[tuple[float, int]], payloads: list[bytes], *,
    sequence: int = 0, timestamp: int = 0, **settings: int,
) -> tuple[JitterBuffer, Played]:  # fmt: skip
    """Puts packet n at each (ms, n) and reads (after each put) or gets (every 20 ms, on 10)."""
    buffer = JitterBuffer(8000, mode=mode, **settings)  # type: ignore[arg-type]
    played: Played = []
    waiting = sorted(arrivals)
    end_ms = max(waiting)[0] + 1
    at = 0
    for tick in range(int(end_ms // 20) + (5 if mode == "listen" else 1)):
        now_ms = 20 * tick + 10
        while at < len(waiting) and waiting[at][0] <= now_ms:
            ms, number = waiting[at]
            buffer.put(rtp(payloads[number], number, sequence, timestamp), int(ms * MS))
            if mode == "listen":
                played += read_all(buffer, int(ms * MS))
            at += 1
        if mode == "listen":
            played += read_all(buffer, now_ms * MS)
        else:
            played.append(buffer.get(now_ms * MS))
    for ms, number in waiting[at:]:
        buffer.put(rtp(payloads[number], number, sequence, timestamp), int(ms * MS))
    return buffer, played


def audio(played: Played) -> Samples:
    position = 0
    for samples, info in played:
        assert info.position == position
        position += len(samples)
    return np.concatenate([samples for samples, _ in played])


def concealed(played: Played) -> float:
    """Share of concealed samples, whole frames counted."""
    made = sum(len(samples) for samples, info in played if info.kind == "concealed")
    return made / sum(len(samples) for samples, _ in played)


def check_sum(buffer: JitterBuffer) -> dict[str, int | float]:
    stats = buffer.stats()
    parts = ("decoded", "duplicate", "late", "discarded", "rejected", "held")
    assert stats["received"] == sum(stats[name] for name in parts)
    return stats


# -- what must hold -------------------------------------------------------------------------------


def test_listen_gives_an_in_order_packet_at_once_and_unchanged() -> None:
    payloads, sent = stream(500)
    buffer = JitterBuffer()
    heard = []
    for number, payload in enumerate(payloads):
        assert buffer.put(rtp(payload, number), number * 20 * MS) == "ok"
        samples, info = buffer.read(number * 20 * MS)
        assert info is not None
        assert (len(samples), info.kind, info.depth_ms) == (FRAME, "decoded", 0.0)
        assert info.arrival_ns == number * 20 * MS
        heard.append(samples)
    np.testing.assert_array_equal(np.concatenate(heard), sent)
    assert buffer.deadline_ns is None


@pytest.mark.parametrize("mode", ["listen", "play"])
def test_one_lost_packet_conceals_one_frame_and_leaves_the_depth(mode: str) -> None:
    payloads, sent = stream(1000)
    whole = [(20.0 * n, n) for n in range(1000)]
    settled, _ = run(mode, whole, payloads)
    lossy, played = run(mode, [item for item in whole if item[1] != 700], payloads)
    stats = check_sum(lossy)
    assert (stats["lost"], stats["concealed_samples"]) == (1, FRAME)
    assert stats["target_ms"] == settled.stats()["target_ms"]
    assert stats["depth_ms"] == settled.stats()["depth_ms"]
    assert stats["output_samples"] == settled.stats()["output_samples"]
    if mode == "listen":
        heard = audio(played)
        assert len(heard) == len(sent)
        after = 701 * FRAME + 40  # the join takes 5 ms
        np.testing.assert_array_equal(heard[: 700 * FRAME], sent[: 700 * FRAME])
        np.testing.assert_array_equal(heard[after:], sent[after:])


@pytest.mark.parametrize("mode", ["listen", "play"])
@pytest.mark.parametrize("jitter_ms", [0, 15])
def test_one_percent_random_loss_conceals_at_most_1_1_percent(mode: str, jitter_ms: int) -> None:
    generator = random.Random(2024)
    payloads, _ = stream(6000)
    lost = set(generator.sample(range(10, 5990), 60))
    arrivals = [
        (20.0 * n + generator.random() * jitter_ms, n) for n in range(6000) if n not in lost
    ]
    buffer, played = run(mode, arrivals, payloads)
    stats = check_sum(buffer)
    assert stats["lost"] == 60
    assert stats["concealed_samples"] <= 0.011 * stats["output_samples"]
    if mode == "listen":  # with frames that line up, flags and samples tell the same
        assert concealed(played) <= 0.011


def test_listen_duplicates_and_reordering_within_the_wait_cost_nothing() -> None:
    generator = random.Random(7)
    payloads, sent = stream(2000)
    arrivals = [(20.0 * n + generator.random() * 59, n) for n in range(1, 2000)]
    arrivals += generator.sample(arrivals, 300)  # twice at the same time
    arrivals += [(ms + 30, n) for ms, n in generator.sample(arrivals, 300)]
    arrivals.append((0.0, 0))
    buffer, played = run("listen", arrivals, payloads)
    stats = check_sum(buffer)
    assert stats["reordered"] > 300
    assert stats["duplicate"] == 600
    assert stats["concealed_samples"] + stats["silence_samples"] + stats["late"] == 0
    np.testing.assert_array_equal(audio(played), sent)


def test_play_duplicates_and_reordering_up_to_the_depth_cost_nothing() -> None:
    generator = random.Random(8)
    payloads, sent = stream(2000)
    arrivals = [(20.0 * n + (generator.random() * 55 if n else 0), n) for n in range(2000)]
    arrivals += generator.sample(arrivals, 300)
    buffer, played = run("play", arrivals, payloads, min_depth_ms=80)
    stats = check_sum(buffer)
    assert stats["reordered"] > 300
    assert stats["duplicate"] == 300
    assert stats["concealed_samples"] + stats["late"] + stats["lost"] == 0
    heard = np.concatenate([samples for samples, info in played if info.kind == "decoded"])
    assert stats["accelerated_samples"] == 0
    np.testing.assert_array_equal(heard, sent[: len(heard)])


@pytest.mark.parametrize("mode", ["listen", "play"])
def test_sequence_and_timestamp_wraps_are_invisible(mode: str) -> None:
    generator = random.Random(9)
    payloads, _ = stream(800)
    arrivals = [(20.0 * n + generator.random() * 70, n) for n in range(800) if n % 41]
    plain, expected = run(mode, arrivals, payloads)
    wrapped, played = run(mode, arrivals, payloads, sequence=65136, timestamp=2**32 - 400 * FRAME)
    np.testing.assert_array_equal(audio(played), audio(expected))
    assert wrapped.stats() == plain.stats()
    assert [info.kind for _, info in played] == [info.kind for _, info in expected]


def test_listen_declares_a_loss_by_time_not_by_fill() -> None:
    payloads, _ = stream(30)
    buffer = JitterBuffer(loss_wait_ms=60)
    buffer.put(rtp(payloads[0], 0), 0)
    assert len(read_all(buffer, 0)) == 1
    for number in range(2, 20):  # a burst: 360 ms of younger audio change nothing
        buffer.put(rtp(payloads[number], number), 40 * MS)
    assert read_all(buffer, 100 * MS - 1) == []
    assert buffer.deadline_ns == 100 * MS
    kinds = [(len(samples), info.kind) for samples, info in read_all(buffer, 100 * MS)]
    assert kinds == [(FRAME, "concealed"), (18 * FRAME, "decoded")]
    assert buffer.put(rtp(payloads[1], 1), 101 * MS) == "late"


def test_play_depth_follows_the_jitter_up_and_down() -> None:
    generator = random.Random(10)
    payloads, _ = stream(9000)
    arrivals = [
        (20.0 * n + generator.random() * (110 if 1000 <= n < 3000 else 0), n) for n in range(9000)
    ]
    buffer, played = run("play", arrivals, payloads)
    depth_ms = [info.depth_ms for _, info in played]
    assert np.median(depth_ms[500:1000]) <= 40
    assert np.median(depth_ms[2000:3000]) >= 40
    assert concealed(played[1500:3000]) <= 0.02
    assert np.median(depth_ms[8900:]) <= 40
    stats = check_sum(buffer)
    assert stats["lost"] == stats["late"] <= 20  # while it was not yet deep enough
    assert stats["target_ms"] == 5


def test_concealment_is_no_click_and_fades_out() -> None:
    """Steps at and in a gap stay below 1.5 times the largest step of the speech-like signal.

    Nothing is left from 90 ms after the start of a gap until 80 ms before its end.
    """
    payloads, sent = stream(100)
    lost = {30, 50, 51, *range(70, 80)}
    buffer, played = run("listen", [(20.0 * n, n) for n in range(100) if n not in lost], payloads)
    heard = audio(played).astype(np.int32)
    assert np.abs(np.diff(heard)).max() <= 1.5 * np.abs(np.diff(sent.astype(np.int32))).max()
    assert np.abs(heard[70 * FRAME + 720 : 80 * FRAME - 640]).max() == 0
    assert np.abs(heard[80 * FRAME - 320 : 80 * FRAME]).max() > 3000
    assert np.abs(heard[30 * FRAME : 31 * FRAME]).max() > 3000
    assert buffer.stats()["lost"] == len(lost)


def test_hard_maximum_and_burst() -> None:
    payloads, sent = stream(100)
    buffer = JitterBuffer(max_depth_ms=200)
    outcomes = [buffer.put(rtp(payloads[n], n), 2000 * MS) for n in range(100)]
    assert outcomes == ["ok"] * 10 + ["full"] * 90
    assert buffer.stats()["depth_ms"] == 200
    (gap, info), (tail, _) = (lambda p: (p[0], p[-1]))(read_all(buffer, 2000 * MS))
    assert info.kind == "concealed"
    np.testing.assert_array_equal(tail[-9 * FRAME :], sent[-9 * FRAME :])
    assert buffer.stats()["discarded"] == 90
    assert len(gap) > 0


def test_reset_is_as_new_and_streams_of_other_codecs_decode() -> None:
    payloads, _ = stream(60)
    used = JitterBuffer(mode="play")
    for number in range(40):
        used.put(rtp(payloads[number], number * 2, ssrc=9), number * 20 * MS)
        used.get(number * 20 * MS)
    used.reset()
    new = JitterBuffer(mode="play")
    for number in range(60):
        for buffer in (used, new):
            buffer.put(rtp(payloads[number], number + number // 20), number * 20 * MS)
        pair = used.get(number * 20 * MS), new.get(number * 20 * MS)
        np.testing.assert_array_equal(pair[0][0], pair[1][0])
        assert repr(pair[0][1]) == repr(pair[1][1])
    assert used.stats() == new.stats()

    pcm = np.arange(-480, 480).astype(np.int16)
    linear = JitterBuffer(48000, codec="l16")
    linear.put(rtp(pcm.astype(">i2").tobytes(), 0), 0)
    np.testing.assert_array_equal(linear.read(0)[0], pcm)
    alaw = JitterBuffer(codec="pcma")
    alaw.put(rtp(payloads[3], 0), 0)
    np.testing.assert_array_equal(alaw.read(0)[0], G711("alaw").decode(payloads[3]))


# -- the binding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"rate_hz": 11025}, RateError),
        ({"rate_hz": 96000}, RateError),
        ({"rate_hz": "8000"}, ConfigError),
        ({"codec": "speex"}, ConfigError),
        ({"mode": "both"}, ConfigError),
        ({"loss_wait_ms": 501}, ConfigError),
        ({"loss_wait_ms": 1.5}, ConfigError),
        ({"min_depth_ms": -1}, ConfigError),
        ({"min_depth_ms": 501}, ConfigError),
        ({"max_depth_ms": 2001}, ConfigError),
        ({"max_depth_ms": 1 << 40}, ConfigError),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], error: type[Exception]) -> None:
    (name,) = settings
    with pytest.raises(error, match=name.removeprefix("rate_")):
        JitterBuffer(**settings)  # type: ignore[arg-type]


def test_bad_packets_and_times_are_refused() -> None:
    buffer = JitterBuffer(codec="l16")
    with pytest.raises(PacketError, match="5 bytes are no RTP packet"):
        buffer.put(b"short", 0)
    with pytest.raises(PacketError, match="payload of 3 bytes"):
        buffer.put(rtp(b"odd", 0), 0)
    with pytest.raises(PacketError, match="120 ms"):
        buffer.put(rtp(bytes(2000), 0), 0)
    with pytest.raises(PacketError, match="payload of 0 bytes"):
        buffer.put(rtp(b"", 0), 0)
    with pytest.raises(DtypeError, match="monotonic_ns"):
        buffer.put(rtp(b"ab", 0), 0.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="64 bits"):
        buffer.read(1 << 63)
    with pytest.raises(DtypeError, match="got str"):
        buffer.put("text", 0)  # type: ignore[arg-type]
    assert check_sum(buffer)["rejected"] == 3


def test_each_mode_has_its_own_method() -> None:
    with pytest.raises(StateError, match="use read"):
        JitterBuffer(mode="listen").get(0)
    with pytest.raises(StateError, match="use get"):
        JitterBuffer(mode="play").read(0)
    with pytest.raises(ConfigError, match=r"JitterBuffer\.read"):
        FrameInfo()


def test_closed_buffers_say_so() -> None:
    with JitterBuffer() as buffer:
        buffer.put(rtp(b"\xff" * 160, 0), 0)
    buffer.close()
    for use in (buffer.stats, buffer.reset, lambda: buffer.read(0), lambda: buffer.deadline_ns,
                lambda: buffer.put(rtp(b"\xff", 0), 0)):  # fmt: skip
        with pytest.raises(ClosedError, match="make a new one"):
            use()


def test_non_audio_packets_are_no_loss() -> None:
    buffer = JitterBuffer()
    buffer.put(rtp(b"\xff" * 160, 0), 0)
    assert buffer.note(rtp(b"", 1), 0) == "ok"
    assert buffer.note(rtp(b"", 1), 0) == "duplicate"
    assert buffer.note(rtp(b"", 1, ssrc=6), 0) == "ignored"
    buffer.put(rtp(b"\xff" * 160, 2), 40 * MS)
    assert [info.kind for _, info in read_all(buffer, 40 * MS)] == ["decoded", "silence", "decoded"]
    assert buffer.stats()["lost"] == 0


def test_many_threads_on_one_buffer_do_no_harm() -> None:
    """Under the GIL calls never overlap; without it the later one gets ConcurrentUseError."""
    from voicecore.errors import ConcurrentUseError

    buffer = JitterBuffer()
    refused = []

    def work(first: int) -> None:
        for number in range(first, first + 500):
            try:
                buffer.put(rtp(b"\xff" * 160, number), number * MS)
                buffer.read(number * MS)
            except ConcurrentUseError as error:
                refused.append(error)

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = check_sum(buffer)
    assert stats["received"] + len(refused) >= 2000
