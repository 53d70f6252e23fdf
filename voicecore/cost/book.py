"""The price book: list prices from a CSV file, each with its basis, its date and its source.

Columns: kind, provider, model, unit, price_usd, as_of, source, basis, note. The basis says what is
metered and how a quantity is rounded (``BASES``). The model ``*`` stands for every model of its
provider; the embedded providers are priced zero that way. Prices are list prices in US dollars,
before volume discounts and tax; each is as old as its date.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path

from voicecore.errors import PriceError

__all__ = ["BASES", "KINDS", "Price", "PriceBook", "Rate"]

KINDS = ("stt", "llm", "tts", "telephony")

BASES = {
    "audio_second": "audio sent, each stream rounded up to a whole second",
    "session_second": "time the stream is open, each rounded up to a whole second",
    "speech_second": "speech produced, to the millisecond",
    "input_token": "input tokens that did not come from the cache",
    "cached_input_token": "input tokens read from the provider's cache",
    "cache_write_token": "input tokens written to the provider's cache",
    "output_token": "output tokens",
    "character": "characters submitted, heard or not",
    "call_minute": "connected time, each leg rounded up to a whole minute",
}

# How many of the basis's quantities one unit of the price holds.
_PER = {
    ("usd_per_min", "audio_second"): 60,
    ("usd_per_min", "session_second"): 60,
    ("usd_per_min_audio", "speech_second"): 60,
    ("usd_per_min", "call_minute"): 1,
    ("usd_per_1m_input_tokens", "input_token"): 1_000_000,
    ("usd_per_1m_cached_input_tokens", "cached_input_token"): 1_000_000,
    ("usd_per_1m_cache_write_tokens", "cache_write_token"): 1_000_000,
    ("usd_per_1m_output_tokens", "output_token"): 1_000_000,
    ("usd_per_1m_chars", "character"): 1_000_000,
}

_COLUMNS = ("kind", "provider", "model", "unit", "price_usd", "as_of", "source", "basis", "note")


@dataclass(frozen=True, slots=True)
class Rate:
    """One price of one model.

    Attributes:
        basis: a key of ``BASES``.
        unit: what the price is for, as in the file: "usd_per_min", "usd_per_1m_chars" ...
        price_usd: price of one unit.
        per: how many seconds, tokens, characters or minutes one unit holds.
        as_of: the day on which the price was read.
        source: where.
        note: plan, promotion or limit.
    """

    basis: str
    unit: str
    price_usd: Decimal
    per: int
    as_of: date
    source: str
    note: str = ""

    def amount_usd(self, quantity: Decimal) -> Decimal:
        """The price of a quantity, not rounded to cents."""
        return quantity * self.price_usd / self.per


@dataclass(frozen=True, slots=True)
class Price:
    """All rates of one model; ``name`` is "provider/model"."""

    kind: str
    name: str
    rates: tuple[Rate, ...]

    def rate(self, basis: str) -> Rate | None:
        """The rate for a basis, if the model has one."""
        return next((rate for rate in self.rates if rate.basis == basis), None)


class PriceBook:
    """Prices by kind ("stt", "llm", "tts", "telephony") and "provider/model".

    Example:
        >>> book = PriceBook.load()
        >>> book.price("stt", "deepgram/nova-3").rates[0].price_usd
        Decimal('0.0048')
        >>> book.price("stt", "moonshine/tiny-en").rates[0].price_usd
        Decimal('0')
    """

    def __init__(self, prices: Iterable[Price]) -> None:
        """Take the prices; ``load`` is the usual way."""
        self._prices = {(price.kind, price.name.lower()): price for price in prices}

    @classmethod
    def load(cls, path: str | Path | None = None) -> PriceBook:
        """Read a price file; without a path, the one in the package.

        Raises:
            PriceError: the file is missing or a line is wrong; the message names the line.
        """
        if path is None:
            resource = files("voicecore.cost") / "data" / "prices.csv"
            return cls(_parse(resource.read_text(encoding="utf-8"), "prices.csv"))
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PriceError(f"price file {path} cannot be read: {error}") from error
        return cls(_parse(text, str(path)))

    def find(self, kind: str, name: str) -> Price | None:
        """The price of exactly this model (or of its provider's ``*``); None if there is none."""
        provider = name.lower().partition("/")[0]
        exact = self._prices.get((kind, name.lower()))
        whole = self._prices.get((kind, f"{provider}/*"))
        return exact or (replace(whole, name=name) if whole and "/" in name else None)

    def price(self, kind: str, name: str) -> Price:
        """The price of a model: exact, or the only one that starts with ``name``.

        Raises:
            PriceError: unknown or ambiguous; the message lists the candidates.
        """
        if kind not in KINDS:
            raise PriceError(f"kind {kind!r} is unknown; use one of {', '.join(KINDS)}")
        return self._match((kind,), name)

    def resolve(self, names: str | Iterable[str]) -> dict[str, Price]:
        """Find the kind of each name: ``"deepgram/nova-3,openai/gpt-4.1-mini"`` -> {kind: price}.

        Raises:
            PriceError: a name is unknown or ambiguous, or two are of the same kind.
        """
        given = names.split(",") if isinstance(names, str) else names
        found: dict[str, Price] = {}
        for name in (item.strip() for item in given):
            if not name:
                continue
            price = self._match(KINDS, name)
            if price.kind in found:
                raise PriceError(
                    f"{found[price.kind].name} and {price.name} are both {price.kind}; give one"
                )
            found[price.kind] = price
        return found

    def names(self, kind: str) -> list[str]:
        """All models of a kind, sorted."""
        return sorted(price.name for price in self._prices.values() if price.kind == kind)

    def _match(self, kinds: tuple[str, ...], name: str) -> Price:
        exact = [price for kind in kinds if (price := self.find(kind, name)) is not None]
        starts = [
            price
            for (kind, known), price in self._prices.items()
            if kind in kinds and known.startswith(name.lower())
        ]
        for candidates in (exact, starts):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                listed = ", ".join(sorted(f"{price.name} ({price.kind})" for price in candidates))
                raise PriceError(f"{name!r} is ambiguous in the price book: {listed}")
        provider = name.lower().partition("/")[0]
        near = sorted(
            price.name
            for (kind, known), price in self._prices.items()
            if kind in kinds and known.startswith(f"{provider}/")
        )
        everything = sorted(
            price.name for (kind, _), price in self._prices.items() if kind in kinds
        )
        raise PriceError(f"no price for {name!r}; there is: {', '.join(near or everything)}")


def _parse(text: str, where: str) -> list[Price]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = rows.fieldnames or ()
    except csv.Error as error:
        raise PriceError(f"{where}, line 1: {error}") from error
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise PriceError(f"{where}: the first line lacks the column(s) {', '.join(missing)}")
    found: dict[tuple[str, str], list[Rate]] = {}
    for row in _rows(rows, where):
        line = f"{where}, line {rows.line_num}"
        if any(row[name] is None for name in _COLUMNS):
            raise PriceError(f"{line}: fewer than {len(_COLUMNS)} columns")
        if row["kind"] not in KINDS:
            raise PriceError(f"{line}: kind {row['kind']!r} is unknown; use {', '.join(KINDS)}")
        if not row["provider"] or not row["model"]:
            raise PriceError(f"{line}: provider and model must not be empty")
        rates = found.setdefault((row["kind"], f"{row['provider']}/{row['model']}"), [])
        rate = _rate(row, line)
        if any(rate.basis == other.basis for other in rates):
            raise PriceError(f"{line}: a second price of this model for {rate.basis}")
        rates.append(rate)
    return [Price(kind, name, tuple(rates)) for (kind, name), rates in found.items()]


def _rows(rows: csv.DictReader[str], where: str) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise PriceError(f"{where}, after line {rows.line_num}: {error}") from error


def _rate(row: dict[str, str], line: str) -> Rate:
    per = _PER.get((row["unit"], row["basis"]))
    if per is None:
        pairs = ", ".join(f"{unit}/{basis}" for unit, basis in _PER)
        raise PriceError(
            f"{line}: unit {row['unit']!r} with basis {row['basis']!r}; possible: {pairs}"
        )
    try:
        price_usd = Decimal(row["price_usd"])
    except InvalidOperation:
        raise PriceError(f"{line}: price_usd {row['price_usd']!r} is no number") from None
    if not price_usd.is_finite() or price_usd < 0:
        raise PriceError(f"{line}: price_usd is {price_usd}; it must be 0 or more")
    try:
        as_of = date.fromisoformat(row["as_of"])
    except ValueError:
        raise PriceError(f"{line}: as_of {row['as_of']!r} is no date (YYYY-MM-DD)") from None
    return Rate(row["basis"], row["unit"], price_usd, per, as_of, row["source"], row["note"])
