"""Meter and bill. Oracle: bills worked out by hand from the list prices of the price book."""

from __future__ import annotations

import doctest
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.cost import Bill, Meter, PriceBook, estimate_tokens, meter
from voicecore.errors import ConfigError, PriceError

BOOK = PriceBook.load()
PRICE_AS = "deepgram/nova-3,openai/gpt-4.1-mini,cartesia/sonic-3,twilio/local-in"


def demo_call() -> Meter:
    """A call of 61.0 s with the embedded providers."""
    counted = Meter()
    counted.add_stt("moonshine/tiny-en", audio_ms=22_400.5, open_ms=61_000)
    counted.add_llm_text("voicecore/booking", ["x" * 401, "y" * 8], "z" * 100)
    counted.add_llm_text("voicecore/booking", ["x" * 400], "z" * 98)
    counted.add_tts("hibari/heart", characters=450, audio_ms=31_000)
    counted.add_tts("hibari/heart", characters=50, audio_ms=3_000)
    counted.add_call_leg("loopback/udp", 61_000)
    return counted


def amounts(bill: Bill) -> dict[str, Decimal | None]:
    return {line.basis: line.amount_usd for line in bill.lines}


def quantities(bill: Bill) -> dict[str, Decimal]:
    return {line.basis: line.quantity for line in bill.lines}


def test_embedded_call_is_free_and_still_itemised():
    bill = demo_call().bill(BOOK)
    assert bill.total_usd == 0
    assert bill.per_minute_usd == 0
    assert quantities(bill) == {
        "audio_second": 23,
        "input_token": 101 + 2 + 100,
        "output_token": 25 + 25,
        "character": 500,
        "call_minute": 2,
    }
    assert not bill.unpriced
    assert not bill.estimated  # estimates that cost nothing mislead nobody


def test_same_call_priced_as_cloud_providers():
    bill = demo_call().bill(BOOK, PRICE_AS)
    assert amounts(bill) == {
        "audio_second": Decimal("0.00184"),  # 23 s x 0.0048 / 60
        "input_token": Decimal("0.0000812"),  # 203 x 0.40 / 1M
        "output_token": Decimal("0.00008"),  # 50 x 1.60 / 1M
        "character": Decimal("0.025"),  # 500 x 50 / 1M
        "call_minute": Decimal("0.017"),  # 61 s are 2 minutes x 0.0085
    }
    assert bill.total_usd == Decimal("0.0440012")
    assert bill.per_minute_usd == Decimal("0.0440012") * 60 / 61
    assert bill.estimated
    assert [line.estimated for line in bill.lines] == [False, True, True, False, False]
    assert {line.used for line in bill.lines if line.kind == "tts"} == {"hibari/heart"}
    assert {line.priced_as for line in bill.lines if line.kind == "tts"} == {"cartesia/sonic-3"}


def test_kinds_not_named_keep_their_own_price():
    bill = demo_call().bill(BOOK, ["cartesia/sonic-3"])
    assert bill.total_usd == Decimal("0.025")


def test_session_billed_stt_charges_open_time():
    bill = demo_call().bill(BOOK, "assemblyai/universal-streaming")
    (line,) = (line for line in bill.lines if line.kind == "stt")
    assert (line.basis, line.quantity) == ("session_second", 61)
    assert line.amount_usd == Decimal("0.0025") * 61 / 60


def test_tts_billed_by_speech_produced():
    bill = demo_call().bill(BOOK, "openai/gpt-4o-mini-tts")
    (line,) = (line for line in bill.lines if line.kind == "tts")
    assert line.amount_usd == Decimal("0.0085")  # 34 s x 0.015 / 60


def test_cached_and_written_tokens_have_their_own_rates():
    counted = Meter()
    for _ in range(2):
        counted.add_llm(
            "anthropic/claude-haiku-4-5",
            input_tokens=5000,
            output_tokens=100,
            cached_input_tokens=3000,
            cache_write_tokens=1000,
        )
    assert amounts(counted.bill(BOOK)) == {
        "input_token": Decimal("0.002"),  # 2000 x 1
        "cached_input_token": Decimal("0.0006"),  # 6000 x 0.10
        "cache_write_token": Decimal("0.0025"),  # 2000 x 1.25
        "output_token": Decimal("0.001"),  # 200 x 5
    }
    # gpt-4.1-mini has no price for writing the cache, Cerebras none for the cache at all.
    assert quantities(counted.bill(BOOK, "openai/gpt-4.1-mini")) == {
        "input_token": 4000,
        "cached_input_token": 6000,
        "output_token": 200,
    }
    assert quantities(counted.bill(BOOK, "cerebras/gpt-oss-120b")) == {
        "input_token": 10_000,
        "output_token": 200,
    }


@pytest.mark.parametrize(
    ("leg_ms", "minutes"),
    [(0, 0), (1, 1), (59_999, 1), (60_000, 1), (60_000.001, 2), (61_000, 2), (119_999.9, 2)],
)
def test_each_leg_is_rounded_up_to_a_minute(leg_ms: float, minutes: int):
    counted = Meter()
    counted.add_call_leg("twilio/local-in", leg_ms)
    counted.add_call_leg("twilio/local-out", leg_ms)
    bill = counted.bill(BOOK)
    assert [line.quantity for line in bill.lines] == [minutes, minutes]
    assert bill.total_usd == minutes * (Decimal("0.0085") + Decimal("0.014"))


def test_unknown_provider_is_flagged_and_not_free():
    counted = demo_call()
    counted.add_tts("acme/mouth-1", characters=10, audio_ms=700)
    bill = counted.bill(BOOK)
    assert bill.unpriced == ("acme/mouth-1",)
    (line,) = (line for line in bill.lines if line.used == "acme/mouth-1")
    assert (line.quantity, line.amount_usd, line.priced_as) == (10, None, None)
    assert not counted.bill(BOOK, "cartesia/sonic-3").unpriced
    with pytest.raises(PriceError, match="no price for"):
        counted.bill(BOOK, "acme/mouth-1")


def test_price_without_a_needed_rate_is_refused(tmp_path: Path):
    path = tmp_path / "prices.csv"
    path.write_text(
        "kind,provider,model,unit,price_usd,as_of,source,basis,note\n"
        "llm,acme,brain,usd_per_1m_input_tokens,1,2026-01-31,acme.example,input_token,\n"
    )
    with pytest.raises(PriceError, match="acme/brain has no price for output_token"):
        demo_call().bill(PriceBook.load(path), "acme/brain")


def test_json_is_plain_and_exact():
    plain = json.loads(json.dumps(demo_call().bill(BOOK, PRICE_AS).to_json()))
    assert plain["total_usd"] == "0.0440012"
    assert plain["lines"][1]["amount_usd"] == "0.0000812"
    assert plain["lines"][4]["as_of"] == "2026-08-20"


def test_empty_meter():
    bill = Meter().bill(BOOK)
    assert (bill.lines, bill.total_usd, bill.per_minute_usd) == ((), 0, None)


@given(st.lists(st.integers(0, 10**7), max_size=6), st.integers(0, 10**6))
def test_the_bill_is_the_sum_of_its_lines_and_grows(audio_ms: list[int], characters: int):
    counted, before = Meter(), Decimal(0)
    for value_ms in audio_ms:
        counted.add_stt("deepgram/nova-3", audio_ms=value_ms, open_ms=value_ms)
        counted.add_tts("deepgram/aura-2", characters=characters, audio_ms=value_ms)
        bill = counted.bill(BOOK)
        assert bill.total_usd == sum(line.amount_usd or 0 for line in bill.lines)
        assert bill.total_usd >= before
        before = bill.total_usd
    assert before >= Decimal("0.0048") * sum(audio_ms) / 60_000 - Decimal("1e-20")


def test_token_estimate_rounds_up():
    assert [estimate_tokens("x" * n) for n in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_wrong_quantities_are_refused():
    counted = Meter()
    with pytest.raises(ConfigError, match="audio_ms is -1"):
        counted.add_stt("a/b", audio_ms=-1, open_ms=0)
    with pytest.raises(ConfigError, match="leg_ms is nan"):
        counted.add_call_leg("a/b", float("nan"))
    with pytest.raises(ConfigError, match="leg_ms is inf"):
        counted.add_call_leg("a/b", float("inf"))
    with pytest.raises(ConfigError, match="token counts"):
        counted.add_llm("a/b", input_tokens=-1, output_tokens=0)
    with pytest.raises(ConfigError, match="part of"):
        counted.add_llm("a/b", input_tokens=5, output_tokens=0, cached_input_tokens=6)
    with pytest.raises(ConfigError, match="characters is -3"):
        counted.add_tts("a/b", characters=-3, audio_ms=0)
    with pytest.raises(ConfigError, match="vendor/model"):
        counted.add_tts("hibari", characters=3, audio_ms=0)
    assert counted.bill(BOOK).lines == ()


def test_docstring_examples():
    result = doctest.testmod(meter)
    assert result.attempted > 0
    assert result.failed == 0
