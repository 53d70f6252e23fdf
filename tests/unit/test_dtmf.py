"""DtmfEvent: the payload layout of RFC 4733, round trips, short and wrong input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import ConfigError, DtypeError, PacketError
from voicecore.media._rtp import DtmfEvent

DIGITS = "0123456789*#ABCD"


@given(
    event=st.integers(0, 255),
    end=st.booleans(),
    volume_dbm0=st.integers(0, 63),
    duration_samples=st.integers(0, 0xFFFF),
)
def test_round_trip(event: int, end: bool, volume_dbm0: int, duration_samples: int) -> None:
    built = DtmfEvent(event, end=end, volume_dbm0=volume_dbm0, duration_samples=duration_samples)
    payload = bytes(built)
    assert payload == bytes([event, end << 7 | volume_dbm0]) + duration_samples.to_bytes(2, "big")
    parsed = DtmfEvent.parse(payload + b"more than is needed")
    assert parsed == built
    assert (parsed.event, parsed.end) == (event, end)
    assert (parsed.volume_dbm0, parsed.duration_samples) == (volume_dbm0, duration_samples)
    assert parsed.digit == (DIGITS[event] if event < 16 else None)


def test_digits_by_name() -> None:
    assert [DtmfEvent(digit).event for digit in DIGITS] == list(range(16))
    assert "'#'" in repr(DtmfEvent("#"))


@pytest.mark.parametrize("n", range(4))
def test_short_payloads_are_refused(n: int) -> None:
    with pytest.raises(PacketError, match=f"{n} bytes are no telephone event"):
        DtmfEvent.parse(bytes(n))


@pytest.mark.parametrize("event", ["x", "12", "", "é", 256, -1, None])
def test_what_is_no_event_is_refused(event: object) -> None:
    with pytest.raises(ConfigError):
        DtmfEvent(event)  # type: ignore[arg-type]


def test_fields_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="volume_dbm0 is 64"):
        DtmfEvent("1", volume_dbm0=64)
    with pytest.raises(ConfigError, match="duration_samples is 65536"):
        DtmfEvent("1", duration_samples=65536)
    with pytest.raises(DtypeError, match="got str"):
        DtmfEvent.parse("1234")  # type: ignore[arg-type]
