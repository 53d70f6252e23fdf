"""DtmfSender and DtmfReceiver: what was pressed is told once and in order.

Oracle: the list of digits that were pressed. A hypothesis model drops, repeats and delays packets,
but not all packets of a digit, and delays none by more than LATEST_TICKS (60 ms, three packets) and
none beyond the next digit's first packet that arrives: a digit must be heard of before the next.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voicecore
from voicecore import DtmfEvent, DtmfReceiver, DtmfSender, RtpPacket
from voicecore.errors import ConfigError, PacketError, StateError

DIGITS = "0123456789*#ABCD"
STEP = 160
LATEST_TICKS = 480

Sent = tuple[int, RtpPacket]  # when, in ticks


def packets_of(digit: str, start: int, duration_ms: int, sequence: int) -> list[Sent]:
    sender = DtmfSender(ssrc=9)
    sender.press(digit, start % 2**32, duration_ms)
    found: list[Sent] = []
    while (packet := sender.next((sequence + len(found)) % 65536)) is not None:
        found.append((start + STEP * (len(found) + 1), packet))
    return found


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[str, int, int]], list[RtpPacket], set[int]]:
    """Digits (digit, start, ticks), the packets that arrive, starts whose end packet arrives."""
    start = draw(st.sampled_from([1000, 2**32 - 3000]))
    digits: list[tuple[str, int, int]] = []
    arrivals: list[tuple[int, int, RtpPacket]] = []
    ended: set[int] = set()
    before = 0  # the first arrival of the digit before
    for _ in range(draw(st.integers(1, 8))):
        digit = draw(st.sampled_from(DIGITS))
        duration_ms = draw(st.sampled_from([20, 45, 100, 300]))
        sent = packets_of(digit, start, duration_ms, sequence=len(arrivals))
        kept = draw(st.sets(st.sampled_from(range(len(sent))), min_size=1))
        first = None
        for at in sorted(kept):
            for _ in range(draw(st.integers(1, 2))):
                due = sent[at][0] + draw(st.integers(0, LATEST_TICKS))
                arrivals.append((due, len(arrivals), sent[at][1]))
                first = due if first is None else min(first, due)
            if DtmfEvent.parse(sent[at][1].payload).end:
                ended.add(start % 2**32)
        assert first is not None
        if first <= before:  # heard of before the next: delay the whole digit
            shift = before + 1 - first
            own = {id(packet) for _, packet in sent}
            arrivals = [(t + shift * (id(p) in own), n, p) for t, n, p in arrivals]
            first += shift
        before = first
        digits.append((digit, start % 2**32, duration_ms * 8))
        # The next begins 40 ms after the tone, so before the last end packets of this one.
        start += duration_ms * 8 + draw(st.sampled_from([320, 1000, 8000]))
    return digits, [packet for _, _, packet in sorted(arrivals, key=lambda a: a[:2])], ended


@settings(max_examples=400, deadline=None)
@given(streams())
def test_each_digit_once_and_in_order(
    stream: tuple[list[tuple[str, int, int]], list[RtpPacket], set[int]],
) -> None:
    digits, packets, ended = stream
    receiver = DtmfReceiver()
    reports = [report for packet in packets for report in receiver.push(packet)]
    last = receiver.expire((packets[-1].timestamp + 80000) % 2**32)
    reports += [last] if last is not None else []
    assert not receiver.held
    pressed = [(r.digit, r.timestamp) for r in reports if r.kind == "pressed"]
    assert pressed == [digit[:2] for digit in digits]
    assert [r.kind for r in reports] == ["pressed", "released"] * len(digits)
    for report, (digit, start, ticks) in zip(reports[1::2], digits, strict=True):
        assert (report.digit, report.timestamp) == (digit, start)
        assert report.duration_samples <= ticks
        if not report.inferred:
            assert report.duration_samples == ticks
            assert start in ended


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1), st.binary(max_size=8), st.booleans(), st.integers(0, 2)
        ),
        max_size=30,
    )
)
def test_any_packets(story: list[tuple[int, bytes, bool, int]]) -> None:
    """Presses and releases alternate, whatever comes."""
    receiver = DtmfReceiver(timeout_samples=0)
    held = None
    for timestamp, payload, marker, ssrc in story:
        packet = RtpPacket(payload, timestamp=timestamp, marker=marker, ssrc=ssrc)
        if len(payload) < 4:
            with pytest.raises(PacketError, match="no telephone event"):
                receiver.push(packet)
            continue
        for report in receiver.push(packet):
            assert (report.kind == "pressed") == (held is None)
            held = report.digit if held is None else None
            assert report.digit in DIGITS
        assert receiver.held == (held is not None)


def test_the_sender_s_packets() -> None:
    found = packets_of("5", 1000, 100, sequence=65534)
    events = [DtmfEvent.parse(packet.payload) for _, packet in found]
    assert [e.duration_samples for e in events] == [160, 320, 480, 640, 800, 800, 800]
    assert [e.end for e in events] == [False] * 4 + [True] * 3
    assert [p.marker for _, p in found] == [True] + [False] * 6
    assert [p.sequence for _, p in found] == [65534, 65535, 0, 1, 2, 3, 4]
    assert {(p.timestamp, p.ssrc, p.payload_type) for _, p in found} == {(1000, 9, 101)}
    assert {(e.digit, e.volume_dbm0) for e in events} == {("5", 10)}


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_long_digit_in_segments_is_one(rate_hz: int) -> None:
    sender = DtmfSender(rate_hz=rate_hz, volume_dbm0=3)
    receiver = DtmfReceiver()
    sender.press("#", 2**32 - 5, duration_ms=20000)
    reports = []
    timestamps = set()
    while (packet := sender.next(0)) is not None:
        timestamps.add(packet.timestamp)
        reports += receiver.push(packet)
    assert [r.kind for r in reports] == ["pressed", "released"]
    assert reports[1].duration_samples == 20 * rate_hz
    assert reports[1].volume_dbm0 == 3
    expected = {(2**32 - 5 + 65535 * i) % 2**32 for i in range((20 * rate_hz - 1) // 65535 + 1)}
    assert timestamps == expected


def test_held_and_released() -> None:
    sender = DtmfSender()
    receiver = DtmfReceiver()
    sender.press("1", 0, duration_ms=None)
    reports = [r for _ in range(10) for r in receiver.push(sender.next(0))]  # type: ignore[arg-type]
    assert [r.kind for r in reports] == ["pressed"]
    sender.release()
    ends = [sender.next(0) for _ in range(3)]
    released = [r for packet in ends for r in receiver.push(packet)]  # type: ignore[arg-type]
    assert [(r.kind, r.duration_samples, r.inferred) for r in released] == [
        ("released", 1600, False)
    ]
    assert sender.active
    assert sender.next(0) is None
    assert not sender.active
    sender.release()
    assert sender.next(0) is None


def test_lost_ends_expire_by_rtp_time() -> None:
    receiver = DtmfReceiver(timeout_samples=800)
    event = DtmfEvent("9", duration_samples=480)
    receiver.push(RtpPacket(bytes(event), timestamp=1000))
    assert receiver.expire(1480 + 799) is None
    assert receiver.expire(900) is None
    report = receiver.expire(1480 + 800)
    assert report is not None
    assert (report.kind, report.digit, report.duration_samples) == ("released", "9", 480)
    assert report.inferred
    assert "'released', '9'" in repr(report)
    assert receiver.expire(90000) is None
    receiver.reset()
    assert [r.kind for r in receiver.push(RtpPacket(bytes(event), timestamp=1000))] == ["pressed"]


def test_other_events_are_ignored() -> None:
    receiver = DtmfReceiver()
    for number in range(16, 256):
        packet = RtpPacket(bytes(DtmfEvent(number, end=True)), timestamp=number)
        assert receiver.push(packet) == []


def test_wrong_use_is_refused() -> None:
    sender = DtmfSender()
    for digit in ("x", "12", "", "é", 5, None):
        with pytest.raises(ConfigError, match="no DTMF digit"):
            sender.press(digit, 0)  # type: ignore[arg-type]
    for duration_ms in (0, -1, 3600001, 1.5):
        with pytest.raises(ConfigError, match="duration_ms"):
            sender.press("1", 0, duration_ms)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="timestamp"):
        sender.press("1", 2**32)
    assert sender.next(0) is None
    sender.press("1", 0)
    with pytest.raises(StateError, match="being sent"):
        sender.press("2", 0)
    sender.reset()
    sender.press("2", 0)
    for rate_hz, packet_ms in ((8000, 5), (999, 20), (11025, 10), (200000, 20)):
        with pytest.raises(ConfigError):
            DtmfSender(rate_hz=rate_hz, packet_ms=packet_ms)
    with pytest.raises(ConfigError, match="volume_dbm0 is 64"):
        DtmfSender(volume_dbm0=64)
    with pytest.raises(ConfigError, match="timeout_samples is -1"):
        DtmfReceiver(timeout_samples=-1)
    with pytest.raises(TypeError):
        DtmfReceiver().push(b"1234")  # type: ignore[arg-type]


def test_names_are_at_the_top() -> None:
    assert voicecore.DtmfSender is DtmfSender
    assert voicecore.DtmfReceiver is DtmfReceiver
