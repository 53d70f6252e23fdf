"""The price book. Oracle: prices as the vendors listed them, and lines broken on purpose."""

from __future__ import annotations

import doctest
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from voicecore.cost import BASES, KINDS, PriceBook, book
from voicecore.errors import PriceError

HEADER = "kind,provider,model,unit,price_usd,as_of,source,basis,note\n"
LINE = "stt,acme,ear-1,usd_per_min,0.006,2026-01-31,acme.example,audio_second,\n"


@pytest.fixture(scope="module")
def shipped() -> PriceBook:
    return PriceBook.load()


def load(tmp_path: Path, text: str) -> PriceBook:
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    return PriceBook.load(path)


def rates(price: book.Price) -> dict[str, str]:
    return {rate.basis: str(rate.price_usd) for rate in price.rates}


def test_the_names_of_the_manual_resolve(shipped: PriceBook):
    found = shipped.resolve("deepgram/nova-3,openai/gpt-4.1-mini,cartesia/sonic-3,twilio/local-in")
    assert {kind: price.name for kind, price in found.items()} == {
        "stt": "deepgram/nova-3",
        "llm": "openai/gpt-4.1-mini",
        "tts": "cartesia/sonic-3",
        "telephony": "twilio/local-in",
    }
    assert rates(found["stt"]) == {"audio_second": "0.0048"}
    assert rates(found["llm"]) == {
        "input_token": "0.4",
        "cached_input_token": "0.1",
        "output_token": "1.6",
    }
    assert rates(found["tts"]) == {"character": "50"}
    assert rates(found["telephony"]) == {"call_minute": "0.0085"}


def test_every_shipped_price_is_dated_sourced_and_metered(shipped: PriceBook):
    names = [(kind, name) for kind in KINDS for name in shipped.names(kind)]
    assert len(names) > 70
    for kind, name in names:
        for rate in shipped.price(kind, name).rates:
            assert rate.basis in BASES
            assert date(2026, 1, 1) <= rate.as_of
            assert rate.source
            # A slip of a factor of 1000 would leave these ranges.
            highest = Decimal("0.05") if rate.per <= 60 else Decimal(100)
            assert 0 <= rate.price_usd <= highest, (name, rate)
        if kind == "llm":
            assert {"input_token", "output_token"} <= rates(shipped.price(kind, name)).keys()


def test_embedded_providers_cost_nothing(shipped: PriceBook):
    for kind, name in (
        ("stt", "moonshine/tiny-en"),
        ("llm", "voicecore/booking"),
        ("llm", "smollm2/135m-instruct"),
        ("tts", "hibari/heart"),
        ("telephony", "loopback/udp"),
    ):
        price = shipped.find(kind, name)
        assert price is not None
        assert price.name == name
        assert {rate.price_usd for rate in price.rates} == {Decimal(0)}


def test_star_stands_for_models_and_not_for_the_provider_alone(shipped: PriceBook):
    assert shipped.find("tts", "hibari") is None
    assert shipped.price("tts", "hibari").name == "hibari/*"


def test_exact_beats_prefix_and_a_prefix_must_be_unique(shipped: PriceBook):
    assert shipped.price("llm", "openai/gpt-4.1").name == "openai/gpt-4.1"
    assert shipped.price("stt", "DeepGram/Flux-General-E").name == "deepgram/flux-general-en"
    assert shipped.price("llm", "groq/openai/gpt-oss-20b").name == "groq/openai/gpt-oss-20b"
    with pytest.raises(PriceError, match=r"ambiguous.*deepgram/nova-2 .*deepgram/nova-3 "):
        shipped.price("stt", "deepgram/nova")
    with pytest.raises(PriceError, match=r"ambiguous.*\(stt\).*\(tts\)"):
        shipped.resolve("deepgram/")


def test_unknown_names_list_what_there_is(shipped: PriceBook):
    with pytest.raises(PriceError, match="no price for 'cartesia/sonic-9'; there is: cartesia/"):
        shipped.price("tts", "cartesia/sonic-9")
    with pytest.raises(PriceError, match=r"no price for 'nobody/x'; there is: .*hibari"):
        shipped.price("tts", "nobody/x")
    with pytest.raises(PriceError, match="kind 'video' is unknown"):
        shipped.price("video", "cartesia/sonic-3")
    assert shipped.find("tts", "nobody/x") is None


def test_two_of_a_kind_are_refused(shipped: PriceBook):
    with pytest.raises(PriceError, match="both stt"):
        shipped.resolve(["deepgram/nova-3", "gladia/solaria-1"])
    assert shipped.resolve("") == {}


def test_own_file(tmp_path: Path):
    own = load(tmp_path, HEADER + LINE)
    (rate,) = own.price("stt", "acme").rates
    assert (rate.price_usd, rate.per, rate.as_of) == (Decimal("0.006"), 60, date(2026, 1, 31))
    assert rate.amount_usd(Decimal(90)) == Decimal("0.009")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column"),
        ("kind,provider\n", "lacks the column.*model"),
        (HEADER + "stt,acme\n", "line 2: fewer than 9 columns"),
        (HEADER + LINE + LINE, "line 3: a second price of this model for audio_second"),
        (HEADER + LINE.replace("0.006", "free"), "line 2: price_usd 'free' is no number"),
        (HEADER + LINE.replace("0.006", "-1"), "price_usd is -1"),
        (HEADER + LINE.replace("0.006", "NaN"), "price_usd is NaN"),
        (HEADER + LINE.replace("2026-01-31", "January"), "as_of 'January' is no date"),
        (HEADER + LINE.replace("audio_second", "character"), "unit 'usd_per_min' with basis"),
        (HEADER + LINE.replace("stt", "smell"), "kind 'smell' is unknown"),
        (HEADER + LINE.replace("ear-1", ""), "must not be empty"),
        (HEADER + 'stt,"acme\n', "after line 1: unexpected end of data"),
        ('kind,"provider\n', "line 1: unexpected end of data"),
    ],
)
def test_damaged_files_name_the_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(PriceError, match=message):
        load(tmp_path, text)


def test_missing_file_and_binary_file(tmp_path: Path):
    with pytest.raises(PriceError, match="cannot be read"):
        PriceBook.load(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceError, match="cannot be read"):
        PriceBook.load(tmp_path / "binary.csv")


def test_docstring_examples():
    result = doctest.testmod(book)
    assert result.attempted > 0
    assert result.failed == 0
