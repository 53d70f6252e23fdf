"""RtpPacket: RFC 3550's layout by hand, round trips, and bytes that are no packet (hypothesis)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import ConfigError, DtypeError, PacketError
from voicecore.media._rtp import RtpPacket

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)


@st.composite
def packets(draw: st.DrawFn) -> RtpPacket:
    profile = draw(st.none() | u16)
    words = draw(st.lists(u32, max_size=5)) if profile is not None else []
    return RtpPacket(
        draw(st.binary(max_size=400)),
        payload_type=draw(st.integers(0, 127)),
        sequence=draw(u16),
        timestamp=draw(u32),
        ssrc=draw(u32),
        marker=draw(st.booleans()),
        csrc=draw(st.lists(u32, max_size=15)),
        extension_profile=profile,
        extension=struct.pack(f">{len(words)}I", *words),
    )


def test_a_refused_second_init_leaves_the_packet_whole() -> None:
    packet = RtpPacket(b"x", extension_profile=1, extension=b"abcd" * 1000)
    before = bytes(packet)
    with pytest.raises(ConfigError, match="multiple of 4"):
        packet.__init__(b"y", extension_profile=1, extension=b"abc")  # type: ignore[misc]
    assert packet.extension == b"abcd" * 1000
    assert bytes(packet) == before


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e300, -1, 1.5, "x", None])
def test_a_number_out_of_range_is_a_config_error(value: object) -> None:
    with pytest.raises(ConfigError, match="ssrc"):
        RtpPacket(ssrc=value)  # type: ignore[arg-type]


@given(packets())
def test_build_then_parse_gives_the_same_packet(packet: RtpPacket) -> None:
    again = RtpPacket.parse(bytes(packet))
    assert again == packet
    assert hash(again) == hash(packet)
    for name in (
        "payload", "payload_type", "sequence", "timestamp", "ssrc", "marker", "csrc",
        "extension_profile", "extension",
    ):  # fmt: skip
        assert getattr(again, name) == getattr(packet, name), name


@given(packets(), st.integers(1, 255))
def test_padding_is_removed(packet: RtpPacket, padding: int) -> None:
    data = bytearray(bytes(packet))
    data[0] |= 0x20
    data += bytes(padding - 1) + bytes([padding])
    assert RtpPacket.parse(data) == packet


@given(packets(), st.data())
def test_truncated_headers_are_refused(packet: RtpPacket, data: st.DataObject) -> None:
    whole = bytes(packet)
    header = len(whole) - len(packet.payload)
    cut = data.draw(st.integers(0, header - 1))
    with pytest.raises(PacketError, match=f"{cut} bytes are no RTP packet"):
        RtpPacket.parse(whole[:cut])


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(data: bytes, version_2: bool) -> None:
    if version_2 and data:
        data = bytes([0x80 | data[0] & 0x3F]) + data[1:]
    try:
        packet = RtpPacket.parse(data)
    except PacketError:
        return
    assert data[0] >> 6 == 2
    assert packet.payload in data
    padded = data[0] >> 5 & 1
    assert len(bytes(packet)) == len(data) - (data[-1] if padded else 0)


def test_layout_by_hand() -> None:
    data = bytes.fromhex("9288123401020304deadbeef1111111122222222bede000110ff0000aabbcc")
    packet = RtpPacket.parse(data)
    assert packet.payload == b"\xaa\xbb\xcc"
    assert (packet.payload_type, packet.marker, packet.sequence) == (8, True, 0x1234)
    assert (packet.timestamp, packet.ssrc) == (0x01020304, 0xDEADBEEF)
    assert packet.csrc == (0x11111111, 0x22222222)
    assert (packet.extension_profile, packet.extension) == (0xBEDE, b"\x10\xff\x00\x00")
    assert packet.build() == bytes(packet) == data
    assert "sequence=4660" in repr(packet)


@pytest.mark.parametrize(
    ("first", "last"), [(0x40, 0), (0xA0, 0), (0xA0, 200)], ids=["version 1", "pad 0", "pad 200"]
)
def test_wrong_version_and_padding_are_refused(first: int, last: int) -> None:
    data = bytes([first]) + bytes(30) + bytes([last])
    with pytest.raises(PacketError, match="drop them"):
        RtpPacket.parse(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"payload_type": 128}, "payload_type is 128; use an integer from 0 to 127"),
        ({"sequence": 65536}, "sequence is 65536"),
        ({"sequence": 1.5}, "sequence is 1.5"),
        ({"timestamp": -1}, "timestamp is -1"),
        ({"ssrc": "x"}, "ssrc is 'x'"),
        ({"csrc": [1 << 32]}, "csrc is 4294967296"),
        ({"csrc": range(16)}, "16 CSRCs"),
        ({"extension": b"abcd"}, "needs an extension_profile"),
        ({"extension_profile": 1, "extension": b"abc"}, "multiple of 4"),
        ({"extension_profile": 65536}, "extension_profile is 65536"),
    ],
)
def test_fields_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RtpPacket(b"", **arguments)  # type: ignore[arg-type]


def test_objects_that_are_no_buffer_are_refused() -> None:
    with pytest.raises(DtypeError, match="got str"):
        RtpPacket.parse("text")  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="got int"):
        RtpPacket(5)  # type: ignore[arg-type]


def test_packets_do_not_change() -> None:
    source = bytearray(bytes(RtpPacket(b"payload")))
    packet = RtpPacket.parse(source)
    source[:] = bytes(len(source))
    assert packet.payload == b"payload"
    with pytest.raises(AttributeError):
        packet.sequence = 5  # type: ignore[misc]
