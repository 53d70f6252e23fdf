"""RTP out of packet captures: classic pcap and pcapng, read and (classic) written.

Link layers: Ethernet with or without VLAN tags, Linux cooked 1 and 2, BSD loopback, raw IP. UDP
over IPv4 and IPv6; fragments are left out, since a voice packet is never one. What is not RTP is
passed over; a damaged file raises TraceFileError with the byte of the fault.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; link types from tcpdump.org.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from voicecore.errors import TraceFileError
from voicecore.testing.trace_files import MAX_PACKETS, TimedPacket, is_rtp

__all__ = ["read_pcap", "write_pcap"]

_MAGIC = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}  # ns per fraction
_SECTION, _INTERFACE, _OLD_PACKET, _ENHANCED = 0x0A0D0D0A, 1, 2, 6
_BYTE_ORDER = 0x1A2B3C4D
_NULL, _ETHERNET, _RAW, _SLL, _SLL2, _IPV4, _IPV6 = 0, 1, 101, 113, 276, 228, 229
_LINKS = {_NULL, _ETHERNET, 12, 14, _RAW, _SLL, _SLL2, _IPV4, _IPV6}
_UDP = 17
_MAX_RECORD_BYTES = 1 << 20


def read_pcap(
    data: bytes, *, port: int | None = None, ssrc: int | None = None
) -> list[TimedPacket]:
    """The RTP packets of a capture; times count from the first packet of the file.

    Args:
        data: the file.
        port: only packets from or to this UDP port.
        ssrc: only this stream.

    Raises:
        TraceFileError: it is no capture, a link layer is not supported, or it is damaged.
    """
    if len(data) < 24:
        raise TraceFileError(f"{len(data)} bytes are no capture: a pcap header alone has 24")
    is_ng = data[:4] == b"\x0a\x0d\x0d\x0a"
    records = _pcapng_records(data) if is_ng else _pcap_records(data)
    found: list[TimedPacket] = []
    first_ns: int | None = None
    for stamp_ns, link, frame in records:
        first_ns = stamp_ns if first_ns is None else first_ns
        udp = _udp(link, frame)
        if udp is None or (port is not None and port not in udp[:2]) or not is_rtp(udp[2]):
            continue
        if ssrc is not None and int.from_bytes(udp[2][8:12], "big") != ssrc:
            continue
        found.append(TimedPacket(stamp_ns - first_ns, udp[2]))
        if len(found) > MAX_PACKETS:
            raise TraceFileError(f"more than {MAX_PACKETS} packets; filter by port or SSRC")
    return found


def write_pcap(
    packets: Iterable[TimedPacket], *, source_port: int = 5004, port: int = 5006
) -> bytes:
    """The packets as a classic capture with ns stamps: Ethernet, IPv4, UDP on 127.0.0.1."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, _ETHERNET)]
    for packet in packets:
        length = len(packet.data)
        if length > 65_000 or not 0 <= packet.arrival_ns < 2**32 * 1_000_000_000:
            raise TraceFileError(
                f"a packet of {length} bytes at {packet.arrival_ns} ns does not fit into a capture"
            )
        udp = struct.pack("!HHHH", source_port, port, 8 + length, 0) + packet.data
        ip = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(udp), 0, 0x4000, 64, _UDP, 0),
            b"\x7f\0\0\1",
            b"\x7f\0\0\1",
        )
        checksum = sum(struct.unpack("!10H", ip))
        checksum = ~((checksum & 0xFFFF) + (checksum >> 16)) & 0xFFFF
        ip = ip[:10] + checksum.to_bytes(2, "big") + ip[12:]
        frame = bytes(12) + b"\x08\0" + ip + udp
        seconds, rest_ns = divmod(packet.arrival_ns, 1_000_000_000)
        out += [struct.pack("<IIII", seconds, rest_ns, len(frame), len(frame)), frame]
    return b"".join(out)


# -- the two file formats ------------------------------------------------------------------

_Record = tuple[int, int, bytes]  # stamp in ns, link type, frame


def _pcap_records(data: bytes) -> Iterator[_Record]:
    for order in "<>":
        (magic,) = struct.unpack_from(f"{order}I", data)
        if magic in _MAGIC:
            break
    else:
        raise TraceFileError(f"this is no capture: it begins with {data[:4].hex()}")
    unit_ns = _MAGIC[magic]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    _check_link(link)
    head = struct.Struct(f"{order}IIII")
    place = 24
    while place < len(data):
        if len(data) - place < head.size:
            raise TraceFileError(f"the capture ends within a record's header, byte {place}")
        seconds, fraction, kept, _ = head.unpack_from(data, place)
        place += head.size
        if kept > _MAX_RECORD_BYTES or place + kept > len(data):
            raise TraceFileError(
                f"byte {place}: a record of {kept} bytes, {len(data) - place} are left"
            )
        yield seconds * 1_000_000_000 + fraction * unit_ns, link, data[place : place + kept]
        place += kept


def _pcapng_records(data: bytes) -> Iterator[_Record]:
    place, order = 0, "<"
    interfaces: list[tuple[int, int]] = []  # link type, units of time a second
    while place < len(data):
        if len(data) - place < 12:
            raise TraceFileError(f"the capture ends within a block's header, byte {place}")
        (kind,) = struct.unpack_from(f"{order}I", data, place)
        if kind == _SECTION:
            order = _byte_order(data, place)
            interfaces = []
        (length,) = struct.unpack_from(f"{order}I", data, place + 4)
        if length < 12 or length % 4 or place + length > len(data):
            raise TraceFileError(
                f"byte {place}: a block of {length} bytes, {len(data) - place} are left"
            )
        body = data[place + 8 : place + length - 4]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order, place))
        elif kind in (_ENHANCED, _OLD_PACKET):
            yield _packet(body, order, place, interfaces, kind)
        place += length


def _byte_order(data: bytes, place: int) -> str:
    for order in "<>":
        if struct.unpack_from(f"{order}I", data, place + 8)[0] == _BYTE_ORDER:
            return order
    raise TraceFileError(f"byte {place}: a section without byte-order mark")


def _interface(body: bytes, order: str, place: int) -> tuple[int, int]:
    if len(body) < 8:
        raise TraceFileError(f"byte {place}: an interface block of {len(body)} bytes")
    (link,) = struct.unpack_from(f"{order}H", body)
    units = 1_000_000
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == 0 or len(value) < size:
            break
        if code == 9 and size == 1:  # if_tsresol
            power = value[0] & 0x7F
            if power > (63 if value[0] & 0x80 else 18):
                raise TraceFileError(f"byte {place}: a clock of resolution {value[0]:#04x}")
            units = (2 if value[0] & 0x80 else 10) ** power
        at += 4 + (size + 3) // 4 * 4
    return link, units


def _packet(
    body: bytes, order: str, place: int, interfaces: list[tuple[int, int]], kind: int
) -> _Record:
    if len(body) < 20:
        raise TraceFileError(f"byte {place}: a packet block of {len(body)} bytes")
    layout = f"{order}IIIII" if kind == _ENHANCED else f"{order}HHIIII"
    fields = struct.unpack_from(layout, body)
    number, (high, low, kept) = fields[0], fields[-4:-1]
    if number >= len(interfaces):
        raise TraceFileError(f"byte {place}: a packet of interface {number}, which is not there")
    if kept > len(body) - 20:
        raise TraceFileError(f"byte {place}: a packet of {kept} bytes in {len(body) - 20}")
    link, units = interfaces[number]
    _check_link(link)
    stamp_ns = (high << 32 | low) * 1_000_000_000 // units
    return stamp_ns, link, body[20 : 20 + kept]


def _check_link(link: int) -> None:
    if link not in _LINKS:
        raise TraceFileError(
            f"link type {link} is not supported; use Ethernet, Linux cooked or raw IP"
        )


# -- from the frame to UDP -----------------------------------------------------------------


def _udp(link: int, frame: bytes) -> tuple[int, int, bytes] | None:
    """Source port, destination port and payload; None for anything else, damaged or not."""
    if link == _ETHERNET:
        at = 12
        while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        known = frame[at : at + 2] in (b"\x08\x00", b"\x86\xdd")
        packet = frame[at + 2 :] if known else b""
    elif link in (_SLL, _SLL2):
        kind, size = (frame[14:16], 16) if link == _SLL else (frame[0:2], 20)
        packet = frame[size:] if kind in (b"\x08\x00", b"\x86\xdd") else b""
    else:
        packet = frame[4:] if link == _NULL else frame
    if not packet:
        return None
    version = packet[0] >> 4
    datagram = _from_ipv4(packet) if version == 4 else _from_ipv6(packet) if version == 6 else None
    if datagram is None or len(datagram) < 8:
        return None
    source, destination, length = struct.unpack_from("!HHH", datagram)
    return (source, destination, datagram[8:length]) if length >= 8 else None


def _from_ipv4(packet: bytes) -> bytes | None:
    head = (packet[0] & 15) * 4
    if len(packet) < max(20, head) or head < 20 or packet[9] != _UDP:
        return None
    total, fragment = struct.unpack_from("!H2xH", packet, 2)
    return None if fragment & 0x3FFF else packet[head:total]


def _from_ipv6(packet: bytes) -> bytes | None:
    if len(packet) < 40:
        return None
    kind, at = packet[6], 40
    end = at + int.from_bytes(packet[4:6], "big")
    while kind in (0, 43, 60):  # hop-by-hop, routing, destination options
        if len(packet) < at + 8:
            return None
        kind, at = packet[at], at + 8 * (1 + packet[at + 1])
    return packet[at:end] if kind == _UDP else None
