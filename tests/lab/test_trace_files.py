"""Readers and writers of recorded streams. Oracles: what was written is read back; files put
together here by hand from the formats' definitions; and that damaged files raise TraceFileError or
are read, but never anything else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore import RtpPacket
from voicecore.errors import TraceFileError
from voicecore.testing.pcap import read_pcap, write_pcap
from voicecore.testing.trace_catalogue import make_trace
from voicecore.testing.trace_files import (
    TimedPacket,
    read_csv,
    read_rtpdump,
    trace_of,
    write_csv,
    write_rtpdump,
)
from voicecore.testing.traces import PacketTrace

MS = 1_000_000


def rtp(number: int, *, kind: int = 0, ssrc: int = 7, payload: bytes = b"\xff" * 160) -> bytes:
    return bytes(
        RtpPacket(
            payload,
            payload_type=kind,
            sequence=number % 65536,
            timestamp=160 * number % 2**32,
            ssrc=ssrc,
        )
    )


PACKETS = [TimedPacket(n * 20 * MS, rtp(n)) for n in range(50)]


def recorded(trace: PacketTrace) -> list[TimedPacket]:
    """What a capture of the trace would hold."""
    return [
        TimedPacket(
            int(trace.arrival_ns[row]),
            bytes(
                RtpPacket(
                    bytes(160),
                    sequence=int(trace.sequence[row]),
                    timestamp=int(trace.timestamp[row]),
                    ssrc=int(trace.ssrc[row]),
                    marker=bool(trace.marker[row]),
                )
            ),
        )
        for row in trace.arrival_order
    ]


# -- round trips ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "dtx-loss", "reorder-3", "wrap", "duplicate-5"])
@pytest.mark.parametrize(
    ("write", "read", "grain_ns"),
    [(write_pcap, read_pcap, 1), (write_rtpdump, read_rtpdump, MS), (write_csv, read_csv, 1)],
    ids=["pcap", "rtpdump", "csv"],
)
def test_what_is_written_is_read_back(
    name: str, write: Callable[..., bytes], read: Callable[..., list[TimedPacket]], grain_ns: int
) -> None:
    sent = recorded(make_trace(name, seconds=10, seed=5))
    back = read(write(sent))
    assert len(back) == len(sent)
    first_ns = sent[0].arrival_ns if read is read_pcap else 0
    for before, after in zip(sent, back, strict=True):
        assert abs(before.arrival_ns - first_ns - after.arrival_ns) <= grain_ns // 2
        if read is not read_csv:
            assert after.data == before.data
        else:
            assert after.data[2:8] == before.data[2:8]
            assert len(after.data) == len(before.data)


@pytest.mark.parametrize("name", ["gamma-10", "burst-10", "overtaking-30", "wrap", "dtx"])
def test_a_recorded_trace_has_the_same_loss_and_delays(name: str) -> None:
    trace = make_trace(name, seconds=30, seed=2)
    found = trace_of(recorded(trace), rate_hz=8000)
    first = np.flatnonzero(~trace.lost)[0]
    last = np.flatnonzero(~trace.lost)[-1]
    inside = trace.rows(np.arange(first, last + 1))  # losses at the ends leave no sign
    assert found.loss_percent == pytest.approx(inside.loss_percent, abs=1e-9)
    np.testing.assert_array_equal(found.lost, inside.lost)
    np.testing.assert_array_equal(found.sequence, inside.sequence)
    np.testing.assert_array_equal(found.timestamp[~found.lost], inside.timestamp[~inside.lost])
    np.testing.assert_array_equal(
        found.position[~found.lost],
        (inside.position - inside.position[0])[~inside.lost],
    )
    np.testing.assert_allclose(
        found.transit_ms, inside.transit_ms - inside.transit_ms.min(), atol=1e-4
    )
    assert (found.name, found.stationary) == ("capture", False)


def test_comfort_noise_and_events_carry_no_audio_and_are_not_lost() -> None:
    packets = [*PACKETS[:10], TimedPacket(200 * MS, rtp(10, kind=13, payload=b"\x40"))]
    packets += [TimedPacket(n * 20 * MS, rtp(n)) for n in range(11, 20)]
    trace = trace_of(packets)
    assert (np.flatnonzero(~trace.audio) == [10]).all()
    assert trace.payload_type[10] == 13
    assert trace.loss_percent == 0
    assert len(trace) == 20


def test_a_restart_goes_on_and_the_largest_stream_is_taken() -> None:
    packets = PACKETS[:20] + [
        TimedPacket(n * 20 * MS, rtp(n + 30_000)) for n in range(20, 40)
    ]  # sequence and timestamp far ahead
    others = [TimedPacket(n * 20 * MS + 1, rtp(n, ssrc=9)) for n in range(5)]
    trace = trace_of(packets + others)
    np.testing.assert_array_equal(np.diff(trace.position), np.full(39, 160))
    assert set(trace.ssrc) == {7}
    assert len(trace_of(packets + others, ssrc=9)) == 5


def test_stereo_payload_counts_as_the_timestamps_say() -> None:
    text = "arrival_ms,seq,timestamp,payload_type,payload_bytes\n" + "".join(
        f"{20 * n},{n},{160 * n},125,320\n" for n in range(9)
    )
    trace = trace_of(read_csv(text.encode()))
    assert set(trace.samples) == {160}


# -- captures put together by hand ---------------------------------------------------------


def udp(payload: bytes, port: int = 4000) -> bytes:
    return struct.pack("!HHHH", 3000, port, 8 + len(payload), 0) + payload


def ipv4(payload: bytes, fragment: int = 0, options: bytes = b"") -> bytes:
    head = 20 + len(options)
    return (
        struct.pack("!BBHHHBBH", 0x40 + head // 4, 0, head + len(payload), 1, fragment, 9, 17, 0)
        + bytes(8)
        + options
        + payload
    )


def ipv6(payload: bytes, extensions: bytes = b"", kind: int = 17) -> bytes:
    size = len(extensions) + len(payload)
    return struct.pack("!IHBB", 6 << 28, size, kind, 9) + bytes(32) + extensions + payload


ETHERNET = bytes(12)
FRAMES = {
    "Ethernet": (1, ETHERNET + b"\x08\x00" + ipv4(udp(rtp(1)))),
    "padded Ethernet": (1, ETHERNET + b"\x08\x00" + ipv4(udp(rtp(1))) + bytes(9)),
    "VLAN": (1, ETHERNET + b"\x81\x00\x00\x05\x08\x00" + ipv4(udp(rtp(1)))),
    "two VLANs": (1, ETHERNET + b"\x88\xa8\0\1\x81\0\0\5\x86\xdd" + ipv6(udp(rtp(1)))),
    "cooked": (113, bytes(14) + b"\x08\x00" + ipv4(udp(rtp(1)))),
    "cooked 2": (276, b"\x86\xdd" + bytes(18) + ipv6(udp(rtp(1)))),
    "raw IPv4": (101, ipv4(udp(rtp(1)), options=bytes(4))),
    "raw IPv6": (101, ipv6(udp(rtp(1)))),
    "IPv6 options": (229, ipv6(udp(rtp(1)), bytes([17, 0]) + bytes(6), kind=0)),
    "loopback": (0, b"\2\0\0\0" + ipv4(udp(rtp(1)))),
}
OTHERS = {
    "ARP": (1, ETHERNET + b"\x08\x06" + bytes(40)),
    "TCP": (101, ipv4(udp(rtp(1)))[:9] + b"\x06" + ipv4(udp(rtp(1)))[10:]),
    "fragment": (101, ipv4(udp(rtp(1)), fragment=0x2000)),
    "later fragment": (101, ipv4(udp(rtp(1)), fragment=10)),
    "RTCP": (101, ipv4(udp(b"\x80\xc8" + bytes(40)))),
    "STUN": (101, ipv4(udp(b"\x00\x01" + bytes(40)))),
    "short": (101, ipv4(udp(rtp(1)))[:24]),
    "bad header": (101, b"\x41" + ipv4(udp(rtp(1)))[1:]),
    "empty": (101, b""),
    "IPv6 cut": (101, ipv6(udp(rtp(1)), bytes([17, 9]) + bytes(6), kind=0)[:60]),
}


def capture(link: int, frames: list[bytes], order: str = "<", ns: bool = False) -> bytes:
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames):
        fraction = number * 20 * (MS if ns else 1000)
        out += struct.pack(f"{order}IIII", 5, fraction, len(frame), len(frame)) + frame
    return out


def block(kind: int, body: bytes, order: str) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def capture_ng(link: int, frames: list[bytes], order: str = "<", tsresol: int = 6) -> bytes:
    out = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    option = struct.pack(f"{order}HHB3xHH", 9, 1, tsresol, 0, 0)
    out += block(1, struct.pack(f"{order}HHI", link, 0, 0) + option, order)
    out += block(5, bytes(12), order)  # interface statistics: passed over
    for number, frame in enumerate(frames):
        stamp = (5000 + number * 20) * 10**tsresol // 1000
        size = len(frame)
        head = struct.pack(f"{order}IIIII", 0, stamp >> 32, stamp % 2**32, size, size)
        out += block(6, head + frame, order)
    return out


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", FRAMES)
def test_every_link_layer_in_every_format(name: str, order: str) -> None:
    link, frame = FRAMES[name]
    expected = [TimedPacket(0, rtp(1)), TimedPacket(20 * MS, rtp(1))]
    for data in (
        capture(link, [frame] * 2, order),
        capture(link, [frame] * 2, order, ns=True),
        capture_ng(link, [frame] * 2, order),
        capture_ng(link, [frame] * 2, order, tsresol=9),
    ):
        assert read_pcap(data) == expected


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_rtp_over_udp_is_passed_over(name: str) -> None:
    link, frame = OTHERS[name]
    good = FRAMES["Ethernet" if link == 1 else "raw IPv4"][1]
    assert [p.arrival_ns for p in read_pcap(capture(link, [frame, good]))] == [20 * MS]


def test_filters() -> None:
    frames = [ipv4(udp(rtp(n, ssrc=n % 2), port=4000 + n % 3)) for n in range(12)]
    data = capture(101, frames)
    assert len(read_pcap(data)) == 12
    assert len(read_pcap(data, port=4001)) == 4
    assert len(read_pcap(data, port=3000)) == 12  # the source port counts too
    assert {p.data[11] for p in read_pcap(data, ssrc=1)} == {1}
    assert read_pcap(data, port=9) == []


# -- damaged files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        (read_pcap, b"", "0 bytes are no capture"),
        (read_pcap, bytes(40), "begins with 00000000"),
        (read_pcap, capture(105, []), "link type 105 is not supported"),
        (read_pcap, capture(1, [b"abc"])[:-1], "byte 40: a record of 3 bytes, 2 are left"),
        (read_pcap, capture(1, []) + b"12", "within a record's header, byte 24"),
        (read_pcap, capture_ng(105, [b"a"]), "link type 105"),
        (read_pcap, capture_ng(1, [b"abc"])[:-1], "a block of 36 bytes"),
        (read_pcap, capture_ng(1, [], tsresol=100), "resolution 0x64"),
        (read_pcap, capture_ng(1, [])[:28] + block(6, bytes(20), "<"), "interface 0, which"),
        (read_pcap, b"\x0a\x0d\x0d\x0a" + bytes(40), "without byte-order mark"),
        (read_rtpdump, b"#!rtpplay2.0 ", "no rtpdump file"),
        (read_rtpdump, b"#!rtpplay1.0 1.2.3.4/5\nabc", "within its header"),
        (read_rtpdump, write_rtpdump(PACKETS)[:-1], "a packet of 180 bytes, 179 are left"),
        (read_rtpdump, write_rtpdump([]) + b"abc", "within a packet's header"),
        (read_csv, b"\xff\xfe", "no UTF-8 text"),
        (read_csv, b"arrival_ms,seq\n1,2\n", "no column payload_bytes, payload_type, timestamp"),
        (read_csv, write_csv(PACKETS) + b"1,2\n", "line 52"),
        (read_csv, write_csv(PACKETS) + b"nan,2,3,0,160\n", "line 52.*arrival_ms"),
        (read_csv, write_csv(PACKETS) + b"1,65536,3,0,160\n", "seq 65536 exceeds 65535"),
        (read_csv, write_csv(PACKETS) + b"1,-1,3,0,160\n", "seq -1 exceeds"),
    ],
)
def test_errors_name_the_fault(read: Callable[[bytes], object], data: bytes, message: str) -> None:
    with pytest.raises(TraceFileError, match=message):
        read(data)


def test_times_may_be_anywhere_but_not_far_apart() -> None:
    """Only distances count; a damaged stamp is an error and no overflow."""
    moved = [TimedPacket(p.arrival_ns - 10**18, p.data) for p in PACKETS]
    assert trace_of(moved).digest() == trace_of(PACKETS).digest()
    with pytest.raises(TraceFileError, match="the most is a day"):
        trace_of([*PACKETS, TimedPacket(2**70, PACKETS[0].data)])


def test_a_hostile_file_does_not_grow() -> None:
    """Every packet 999 numbers ahead would make a thousand times as many rows of lost ones."""
    packets = [
        TimedPacket(
            n,
            bytes(RtpPacket(b"", sequence=(n // 2 * 999 + n % 2) % 65536, timestamp=160 * n)),
        )
        for n in range(4100)
    ]
    with pytest.raises(TraceFileError, match="missing ones counted"):
        trace_of(packets)


def test_traces_of_too_little_say_so() -> None:
    with pytest.raises(TraceFileError, match="0 packets of RTP"):
        trace_of([])
    with pytest.raises(TraceFileError, match="1 packets of SSRC 0x00000007"):
        trace_of(PACKETS[:1])
    with pytest.raises(TraceFileError, match="no packet follows"):
        trace_of([PACKETS[0], PACKETS[0]])
    with pytest.raises(TraceFileError, match="does not fit"):
        write_rtpdump([TimedPacket(-MS, rtp(1))])
    with pytest.raises(TraceFileError, match="does not fit"):
        write_pcap([TimedPacket(0, bytes(70_000))])


WHOLE = {
    "pcap": (read_pcap, capture(1, [FRAMES["Ethernet"][1]] * 3)),
    "pcapng": (read_pcap, capture_ng(276, [FRAMES["cooked 2"][1]] * 3, ">")),
    "rtpdump": (read_rtpdump, write_rtpdump(PACKETS[:3])),
    "csv": (read_csv, write_csv(PACKETS[:3])),
}


def survives(read: Callable[[bytes], list[TimedPacket]], data: bytes) -> None:
    try:
        trace_of(read(data))
    except TraceFileError:
        return


@pytest.mark.parametrize("name", WHOLE)
def test_files_cut_anywhere(name: str) -> None:
    read, data = WHOLE[name]
    for length in range(len(data)):
        survives(read, data[:length])


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=400, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_files_with_bytes_changed(name: str, changes: list[tuple[float, int]]) -> None:
    read, data = WHOLE[name]
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (len(data) - 1))] = value
    survives(read, bytes(damaged))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.binary(max_size=400), name=st.sampled_from(list(WHOLE)), keep=st.integers(0, 60))
def test_random_bytes_behind_a_good_start(data: bytes, name: str, keep: int) -> None:
    read, whole = WHOLE[name]
    survives(read, whole[:keep] + data)
    survives(read, data)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    heads=st.lists(
        st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 10**12)),
        max_size=30,
    )
)
def test_any_headers_make_a_trace_or_an_error(heads: list[tuple[int, int, int]]) -> None:
    packets = [
        TimedPacket(at_ns, bytes(RtpPacket(b"", sequence=seq, timestamp=stamp)))
        for seq, stamp, at_ns in heads
    ]
    try:
        trace = trace_of(packets)
    except TraceFileError:
        return
    assert len(trace) - np.count_nonzero(trace.lost) == len(packets)
    assert len(trace) <= 1001 * len(packets)
    assert all(a <= b for a, b in pairwise(trace.arrival_ns[trace.arrival_order]))
