"""JitterBuffer against a model (hypothesis): loss, order, repeats, packet lengths, pauses, wraps.

The model is listen mode on unbounded integers, without slots, wraps or restarts. Play mode is held
to its laws: 20 ms a call, one timeline, counters that add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.media._jitter import JitterBuffer
from voicecore.media._rtp import RtpPacket

MS = 1_000_000
PER_MS = 8
JOIN = 40  # samples in which real audio is joined to concealed audio
PARTS = ("decoded", "duplicate", "late", "discarded", "rejected", "held")


@dataclass
class Sent:
    """A packet of the sender's course, and when its copies arrive (none: lost)."""

    number: int
    start: int
    samples: int
    arrivals_ms: list[int]


@st.composite
def courses(draw: st.DrawFn, max_packets: int = 40) -> list[Sent]:
    """Packets of 10 to 120 ms, pauses of the sender, loss, delay of up to 150 ms, repeats."""
    fates = draw(
        st.lists(
            st.tuples(
                st.sampled_from([20, 20, 20, 10, 30, 60, 120]),
                st.sampled_from([0, 0, 0, 0, 0, 0, 40, 1500]),
                st.lists(st.integers(0, 150), min_size=0, max_size=2),
                st.booleans(),
            ),
            min_size=1,
            max_size=max_packets,
        )
    )
    course, start, pauses_left = [], 0, 3  # more in a row could look like a restart
    for number, (length_ms, pause_ms, delays_ms, prompt) in enumerate(fates):
        if pause_ms and pauses_left:
            start += pause_ms * PER_MS
            pauses_left -= 1
        sent_ms = start // PER_MS
        delays = [0] if prompt else delays_ms
        course.append(
            Sent(number, start, length_ms * PER_MS, sorted(sent_ms + delay for delay in delays))
        )
        start += length_ms * PER_MS
    return course


def content(start: int, samples: int) -> np.ndarray:
    """A ramp in which each sample is recognizable for some seconds."""
    return (1000 + (start + np.arange(samples)) % 20000).astype(np.int16)


def packet_of(sent: Sent, sequence: int, timestamp: int) -> bytes:
    return bytes(
        RtpPacket(
            content(sent.start, sent.samples).astype(">i2").tobytes(),
            sequence=(sequence + sent.number) % 65536,
            timestamp=(timestamp + sent.start) % 2**32,
            ssrc=1,
        )
    )


@dataclass
class Model:
    """Listen mode, restated."""

    wait_ms: int
    held: dict[int, tuple[Sent, int]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    place: int | None = None
    settled: int = 0  # up to here it is decided what comes out
    concealed: int = 0  # up to here of that, concealed
    last: int = -1
    usual: int = 0
    begun: bool = False
    lost: int = 0

    def put(self, sent: Sent, now_ms: int) -> str:
        if sent.number in self.seen:
            return "duplicate"
        self.seen.add(sent.number)
        if self.place is None or (not self.begun and sent.start < self.place):
            self.place = self.settled = self.concealed = sent.start
            self.last = sent.number - 1
        if sent.start < self.settled or sent.start < self.place:
            return "late"
        self.held[sent.number] = (sent, now_ms)
        return "ok"

    def read(self, now_ms: int) -> list[tuple[str, int, int]]:
        """(kind, start, samples), neighbours of one kind joined."""
        found: list[tuple[str, int, int]] = []
        while self.held and self.place is not None:
            head, _ = self.held[min(self.held)]
            if head.start > self.place >= self.settled:
                missing = [n for n in range(self.last + 1, head.number) if n not in self.seen]
                first_ms = min(arrival for _, arrival in self.held.values())
                if missing and now_ms < first_ms + self.wait_ms:
                    break
                worth = len(missing) * max(self.usual, head.samples)
                self.concealed = min(self.place + worth, head.start)
                self.settled = head.start
                self.lost += len(missing)
            if self.place < self.concealed:
                kind, n = "concealed", self.concealed - self.place
            elif self.place < self.settled:
                kind, n = "silence", self.settled - self.place
            else:
                kind, n = "decoded", head.samples
                del self.held[head.number]
                self.last, self.usual = head.number, head.samples
            self.begun = True
            if found and found[-1][0] == kind:
                found[-1] = (kind, found[-1][1], found[-1][2] + n)
            else:
                found.append((kind, self.place, n))
            self.place += n
        return found


def joined(buffer: JitterBuffer, now_ns: int) -> list[tuple[str, int, np.ndarray]]:
    """(kind, timestamp, samples), neighbours of one kind joined."""
    found: list[tuple[str, int, np.ndarray]] = []
    while True:
        samples, info = buffer.read(now_ns)
        if info is None:
            return found
        if found and found[-1][0] == info.kind:
            kind, timestamp, before = found[-1]
            found[-1] = (kind, timestamp, np.concatenate([before, samples]))
        else:
            found.append((info.kind, info.timestamp, samples))


@settings(max_examples=300, deadline=None)
@given(
    course=courses(),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    wait_ms=st.sampled_from([0, 20, 60, 200]),
    idle_ms=st.lists(st.integers(0, 4000), max_size=20),
)
def test_listen_is_the_model(
    course: list[Sent], sequence: int, timestamp: int, wait_ms: int, idle_ms: list[int]
) -> None:
    buffer = JitterBuffer(codec="l16", loss_wait_ms=wait_ms, max_depth_ms=2000)
    model = Model(wait_ms)
    events = sorted(
        [(ms, sent.number) for sent in course for ms in sent.arrivals_ms]
        + [(ms, -1) for ms in [*idle_ms, 10**6]]
    )
    first_timestamp: int | None = None
    heard: list[np.ndarray] = []
    was_concealed = False
    for now_ms, number in events:
        if number >= 0:
            sent = course[number]
            outcome = buffer.put(packet_of(sent, sequence, timestamp), now_ms * MS)
            assert outcome == model.put(sent, now_ms)
        expected = model.read(now_ms)
        found = joined(buffer, now_ms * MS)
        assert [(kind, len(samples)) for kind, _, samples in found] == [
            (kind, n) for kind, _, n in expected
        ]
        for (kind, at, samples), (_, start, n) in zip(found, expected, strict=True):
            assert at == (timestamp + start) % 2**32
            first_timestamp = start if first_timestamp is None else first_timestamp
            skip = JOIN if was_concealed else 0
            if kind == "decoded":
                np.testing.assert_array_equal(samples[skip:], content(start, n)[skip:])
            elif kind == "silence":
                assert not samples[JOIN:].any()
            was_concealed = kind == "concealed"
            heard.append(samples)
    stats = buffer.stats()
    total = sum(map(len, heard))
    assert stats["output_samples"] == total
    if model.place is not None and first_timestamp is not None:
        assert total == model.place - first_timestamp
    assert stats["lost"] == model.lost
    assert stats["received"] == sum(len(sent.arrivals_ms) for sent in course)
    assert stats["received"] == sum(stats[name] for name in PARTS)
    assert stats["discarded"] == stats["rejected"] == stats["held"] == stats["resets"] == 0


@settings(max_examples=200, deadline=None)
@given(
    course=courses(),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    max_depth_ms=st.sampled_from([60, 200, 400]),
)
def test_play_keeps_its_laws(
    course: list[Sent], sequence: int, timestamp: int, max_depth_ms: int
) -> None:
    buffer = JitterBuffer(codec="l16", mode="play", max_depth_ms=max_depth_ms)
    events = sorted((ms, sent.number) for sent in course for ms in sent.arrivals_ms)
    ticks = (events[-1][0] if events else 0) // 20 + 40
    at = 0
    made = {"concealed": 0, "silence": 0}
    for tick in range(ticks):
        now_ms = 20 * tick + 10
        while at < len(events) and events[at][0] <= now_ms:
            ms, number = events[at]
            outcome = buffer.put(packet_of(course[number], sequence, timestamp), ms * MS)
            assert outcome in ("ok", "late", "duplicate", "full")
            at += 1
        assert buffer.stats()["depth_ms"] <= max(max_depth_ms, 120) + 80
        samples, info = buffer.get(now_ms * MS)
        assert len(samples) == 160
        assert info.position == 160 * tick
        if info.kind in made:
            made[info.kind] += 160
        else:
            assert info.arrival_ns <= now_ms * MS
    stats = buffer.stats()
    assert stats["received"] == len(events)
    assert stats["received"] == sum(stats[name] for name in PARTS)
    assert stats["output_samples"] == 160 * ticks
    assert stats["concealed_samples"] <= made["concealed"]
    assert stats["silence_samples"] >= made["silence"]
    assert stats["held"] == 0
    if not stats["discarded"]:
        # Everything that was decoded came out, but for what was taken out or put in by stretching.
        ends = {sent.number: sent for sent in course if sent.arrivals_ms}
        decoded = stats["output_samples"] - stats["concealed_samples"] - stats["silence_samples"]
        decoded += stats["accelerated_samples"] - stats["expanded_samples"]
        assert decoded <= sum(sent.samples for sent in ends.values())
        if not stats["late"]:
            assert decoded == sum(sent.samples for sent in ends.values())


@settings(max_examples=100, deadline=None)
@given(
    packets=st.lists(
        st.tuples(
            st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 970)
        ),
        max_size=60,
    ),
    mode=st.sampled_from(["listen", "play"]),
    times=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=60, max_size=60),
)
def test_any_packets_at_any_time_keep_the_books(
    packets: list[tuple[int, int, int, int]], mode: str, times: list[int]
) -> None:
    buffer = JitterBuffer(mode=mode)  # type: ignore[arg-type]
    position = 0
    for (sequence, timestamp, ssrc, n), now_ns in zip(packets, times, strict=False):
        data = bytes(RtpPacket(bytes(n), sequence=sequence, timestamp=timestamp, ssrc=ssrc))
        if 1 <= n <= 960:
            buffer.put(data, now_ns)
        if mode == "play":
            samples, info = buffer.get(now_ns)
            assert info.position == position
            position += len(samples)
        else:
            for _, _, samples in joined(buffer, now_ns):
                position += len(samples)
        stats = buffer.stats()
        assert stats["output_samples"] == position
        assert stats["received"] == sum(stats[name] for name in PARTS)
