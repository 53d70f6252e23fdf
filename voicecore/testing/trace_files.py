"""Recorded streams: rtpdump and CSV files, and a packet trace from what was received.

Captures (pcap, pcapng) are read by ``voicecore.testing.pcap``. All readers take bytes, check every
length before they use it, and raise TraceFileError with the place of the fault.

    trace = trace_of(read_rtpdump(Path("call.rtp").read_bytes()), rate_hz=8000)

rtpdump: the "#!rtpplay1.0" format of rtptools: a text line, then for each packet a header of
length, original length and milliseconds since the start (all big-endian), and the packet.
CSV: columns arrival_ms, seq, timestamp, payload_type, payload_bytes, one packet a line.
"""

from __future__ import annotations

import csv
import io
import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voicecore.errors import TraceFileError
from voicecore.testing.traces import LOST, PacketTrace

__all__ = [
    "TimedPacket",
    "is_rtp",
    "read_csv",
    "read_rtpdump",
    "trace_of",
    "write_csv",
    "write_rtpdump",
]

MAX_PACKETS = 2_000_000
_RTP_HEADER = struct.Struct("!BBHII")
_DUMP_HEADER = struct.Struct("!IIIHH")
_DUMP_PACKET = struct.Struct("!HHI")
_CSV_COLUMNS = ("arrival_ms", "seq", "timestamp", "payload_type", "payload_bytes")
_MOST_NS = 86_400 * 1_000_000_000
_JUMP_PACKETS = 1000
_JUMP_S = 10
_TELEPHONE_EVENT, _COMFORT_NOISE = 101, 13


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """An RTP packet, header included, and when it came. The end may be missing (snap length)."""

    arrival_ns: int
    data: bytes


def is_rtp(data: bytes) -> bool:
    """Whether it looks like RTP: version 2, a whole header, and no RTCP type (RFC 5761)."""
    return len(data) >= 12 and data[0] >> 6 == 2 and not 64 <= data[1] & 0x7F <= 95


# -- rtpdump -------------------------------------------------------------------------------


def read_rtpdump(data: bytes) -> list[TimedPacket]:
    """The RTP packets of an rtpdump file; RTCP is left out.

    Raises:
        TraceFileError: it is no rtpdump file, or ends within a packet.
    """
    end = data.find(b"\n", 0, 200)
    if not data.startswith(b"#!rtpplay1.0 ") or end < 0:
        raise TraceFileError('this is no rtpdump file: it does not begin with "#!rtpplay1.0 "')
    place = end + 1 + _DUMP_HEADER.size
    if len(data) < place:
        raise TraceFileError(f"the rtpdump file ends within its header, at byte {len(data)}")
    found: list[TimedPacket] = []
    while place < len(data):
        if len(data) - place < _DUMP_PACKET.size:
            raise TraceFileError(f"the rtpdump file ends within a packet's header, byte {place}")
        length, original, offset_ms = _DUMP_PACKET.unpack_from(data, place)
        if length < _DUMP_PACKET.size or place + length > len(data):
            raise TraceFileError(
                f"byte {place}: a packet of {length} bytes, {len(data) - place} are left"
            )
        packet = data[place + _DUMP_PACKET.size : place + length]
        if original > 0 and is_rtp(packet):  # 0: RTCP
            found.append(TimedPacket(offset_ms * 1_000_000, packet))
        place += length
        if len(found) > MAX_PACKETS:
            raise TraceFileError(f"more than {MAX_PACKETS} packets; cut the file into parts")
    return found


def write_rtpdump(packets: Iterable[TimedPacket]) -> bytes:
    """The packets as an rtpdump file; arrivals are rounded to its milliseconds."""
    out = [b"#!rtpplay1.0 127.0.0.1/5004\n", _DUMP_HEADER.pack(0, 0, 0x7F000001, 5004, 0)]
    for packet in packets:
        length = len(packet.data)
        offset_ms = (packet.arrival_ns + 500_000) // 1_000_000
        if not 12 <= length <= 0xFFFF - _DUMP_PACKET.size or not 0 <= offset_ms < 2**32:
            raise TraceFileError(
                f"a packet of {length} bytes at {offset_ms} ms does not fit into an rtpdump file"
            )
        out += [_DUMP_PACKET.pack(length + _DUMP_PACKET.size, length, offset_ms), packet.data]
    return b"".join(out)


# -- CSV -----------------------------------------------------------------------------------


def read_csv(data: bytes) -> list[TimedPacket]:
    """The packets of a CSV file, with zeros as payload (only its length is known).

    Raises:
        TraceFileError: a column is missing or a value is no number or out of range.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceFileError(f"the CSV file is no UTF-8 text (byte {error.start})") from None
    found: list[TimedPacket] = []
    try:
        table = csv.DictReader(io.StringIO(text))
        missing = set(_CSV_COLUMNS) - set(table.fieldnames or ())
        if missing:
            raise TraceFileError(f"the CSV file has no column {', '.join(sorted(missing))}")
        for line in table:
            found.append(_packet_of(line, table.line_num))
            if len(found) > MAX_PACKETS:
                raise TraceFileError(f"more than {MAX_PACKETS} packets; cut the file into parts")
    except csv.Error as error:
        raise TraceFileError(f"the CSV file cannot be read: {error}") from None
    return found


def _packet_of(line: dict[str, str], number: int) -> TimedPacket:
    try:
        arrival_ms = float(line["arrival_ms"])
        if not math.isfinite(arrival_ms) or not 0 <= arrival_ms < 1e9:
            raise ValueError("arrival_ms is outside 0 to 1e9")
        fields = [int(line[name]) for name in _CSV_COLUMNS[1:]]
    except (TypeError, ValueError) as error:
        raise TraceFileError(f"line {number} of the CSV file: {error}") from None
    for name, value, most in zip(
        _CSV_COLUMNS[1:], fields, (0xFFFF, 0xFFFFFFFF, 127, 65_000), strict=True
    ):
        if not 0 <= value <= most:
            raise TraceFileError(f"line {number} of the CSV file: {name} {value} exceeds {most}")
    sequence, timestamp, payload_type, payload_bytes = fields
    header = _RTP_HEADER.pack(0x80, payload_type, sequence, timestamp, 1)
    return TimedPacket(round(arrival_ms * 1e6), header + bytes(payload_bytes))


def write_csv(packets: Iterable[TimedPacket]) -> bytes:
    """The packets as CSV: times, headers and payload lengths."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_CSV_COLUMNS)
    for packet in packets:
        _, kind, sequence, timestamp, _ = _RTP_HEADER.unpack_from(packet.data)
        arrival_ms = f"{packet.arrival_ns / 1e6:.6f}".rstrip("0").rstrip(".")
        table.writerow([arrival_ms, sequence, timestamp, kind & 0x7F, len(packet.data) - 12])
    return out.getvalue().encode("utf-8")


# -- from packets to a trace ---------------------------------------------------------------


def trace_of(
    packets: Sequence[TimedPacket],
    *,
    rate_hz: int = 8000,
    ssrc: int | None = None,
    name: str = "capture",
    description: str = "",
) -> PacketTrace:
    """The trace of one stream, with a lost row for each missing sequence number.

    When a packet was sent is not recorded: it is taken from its timestamp, so that the fastest
    packet of all has no transit time. A packet has as many samples as timestamps go on from one
    packet to the next (the median), whatever its payload. Where sequence numbers jump by more than
    1000 or timestamps by more than 10 s, the sender's signal is taken to go on.

    Args:
        packets: RTP, in any order.
        rate_hz: of the RTP clock.
        ssrc: which stream; by default the one with the most packets.

    Raises:
        TraceFileError: there are fewer than two packets of that stream, or they do not go on.
    """
    heads = [
        (packet.arrival_ns, *_RTP_HEADER.unpack_from(packet.data))
        for packet in packets
        if is_rtp(packet.data)
    ]
    if ssrc is None and heads:
        ssrc = Counter(head[5] for head in heads).most_common(1)[0][0]
    chosen = sorted((head for head in heads if head[5] == ssrc), key=lambda head: head[0])
    if chosen and chosen[-1][0] - chosen[0][0] > _MOST_NS:
        raise TraceFileError(
            f"the packets lie {(chosen[-1][0] - chosen[0][0]) / 1e9:.3g} s apart; the most is a day"
        )
    if len(chosen) < 2:
        raise TraceFileError(
            f"{len(chosen)} packets of "
            + ("RTP" if ssrc is None else f"SSRC {ssrc:#010x}")
            + "; a trace takes two or more"
        )
    common = Counter(head[2] & 0x7F for head in chosen).most_common(3)
    audio_type = next((kind for kind, _ in common if not _is_note(kind)), common[0][0])
    rows = _unrolled(chosen, rate_hz)
    step = _step(rows)
    rows = _with_lost(sorted(rows, key=lambda row: (row[0], row[2])), step)
    number, place, arrival, kind, sequence, timestamp = (list(c) for c in zip(*rows, strict=True))
    audio = np.array([value < 0 or value & 0x7F == audio_type for value in kind])
    there = np.array(kind) >= 0
    position = np.array(place, np.int64) - min(place)
    seconds, rest = np.divmod(position, rate_hz)
    sent_ns = seconds * 1_000_000_000 + rest * 1_000_000_000 // rate_hz
    arrival_ns = np.array(arrival, np.int64)
    shift_ns = int((arrival_ns - sent_ns)[there].min())
    return PacketTrace(
        name=name,
        rate_hz=rate_hz,
        sequence=np.array(sequence, np.uint16),
        timestamp=np.array(timestamp, np.uint32),
        ssrc=np.full(len(number), ssrc, np.uint32),
        payload_type=np.array([audio_type if k < 0 else k & 0x7F for k in kind], np.uint8),
        marker=np.array([k >= 0 and k >> 7 for k in kind], np.bool_),
        position=position,
        samples=np.where(audio, step, 0).astype(np.int32),
        sent_ns=sent_ns,
        arrival_ns=np.where(there, arrival_ns - shift_ns, LOST),
        description=description or f"recorded, SSRC {ssrc:#010x}",
        stationary=False,
    )


def _is_note(kind: int) -> bool:
    return kind in (_COMFORT_NOISE, _TELEPHONE_EVENT)


# Running sequence number, running timestamp, arrival, second header byte (-1: lost), and the two
# as they were in the header.
_Row = tuple[int, int, int, int, int, int]


def _unrolled(heads: Sequence[tuple[int, ...]], rate_hz: int) -> list[_Row]:
    rows: list[_Row] = []
    number = place = 0
    newest = (0, 0)  # highest running number and its place
    before: tuple[int, int] | None = None
    usual = max(1, rate_hz // 50)
    start_ns, last_ns = heads[0][0], -1
    for arrival_ns, _, kind, sequence, timestamp, _ in heads:
        last_ns = max(arrival_ns - start_ns, last_ns + 1)  # of equal times the file's order stays
        if before is not None:
            ahead = (sequence - before[0] + 0x8000) % 0x10000 - 0x8000
            later = (timestamp - before[1] + 2**31) % 2**32 - 2**31
            if abs(ahead) > _JUMP_PACKETS or abs(later) > _JUMP_S * rate_hz:
                number, place = newest[0] + 1, newest[1] + usual
            else:
                number, place = number + ahead, place + later
        before = (sequence, timestamp)
        newest = max(newest, (number, place))
        rows.append((number, place, last_ns, kind, sequence, timestamp))
    return rows


def _step(rows: Sequence[_Row]) -> int:
    """The usual distance of timestamps."""
    place_of = {row[0]: row[1] for row in rows}
    steps = [
        place_of[number + 1] - place
        for number, place in place_of.items()
        if place_of.get(number + 1, place) > place
    ]
    if not steps:
        raise TraceFileError("no packet follows another one: sequence or timestamps stand still")
    return int(np.median(steps))


def _with_lost(rows: Sequence[_Row], step: int) -> list[_Row]:
    out: list[_Row] = []
    for row in rows:
        if out:
            number, place, *_, sequence, timestamp = out[-1]
            if len(out) + row[0] - number > MAX_PACKETS:
                raise TraceFileError(f"more than {MAX_PACKETS} packets, missing ones counted")
            for missing in range(1, row[0] - number):
                out.append(
                    (
                        number + missing,
                        place + step * missing,
                        LOST,
                        -1,
                        (sequence + missing) % 2**16,
                        (timestamp + step * missing) % 2**32,
                    )
                )
        out.append(row)
    return out
