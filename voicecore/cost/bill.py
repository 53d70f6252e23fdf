"""The bill of one call: a line for each thing that is charged for, and the sum."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

__all__ = ["Bill", "Line"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill.

    Attributes:
        kind: "stt", "llm", "tts" or "telephony".
        used: the provider that did the work, "provider/model".
        priced_as: the model whose price was taken; None if the price book has none for it.
        basis: what was metered, a key of ``voicecore.cost.BASES``.
        quantity: seconds, tokens, characters or minutes, rounded as billed.
        unit: what the price is for, for example "usd_per_min"; "" without a price.
        price_usd: price of one unit; None if unknown.
        amount_usd: not rounded to cents; None if unknown, which is not zero.
        as_of: the day on which the price was read.
        estimated: the quantity was estimated (tokens counted by rule from the text).
    """

    kind: str
    used: str
    priced_as: str | None
    basis: str
    quantity: Decimal
    unit: str = ""
    price_usd: Decimal | None = None
    amount_usd: Decimal | None = None
    as_of: date | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call cost, or would have cost.

    Attributes:
        lines: in the order stt, llm, tts, telephony.
        call_ms: length of the call.
    """

    lines: tuple[Line, ...]
    call_ms: int

    @property
    def total_usd(self) -> Decimal:
        """The exact sum of the lines that have a price; see ``unpriced``."""
        return sum(
            (line.amount_usd for line in self.lines if line.amount_usd is not None), Decimal()
        )

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Providers that did work and have no price; with any, the total is only a lower bound."""
        return tuple(dict.fromkeys(line.used for line in self.lines if line.amount_usd is None))

    @property
    def estimated(self) -> bool:
        """Whether any charged quantity is an estimate."""
        return any(line.estimated and line.amount_usd for line in self.lines)

    @property
    def per_minute_usd(self) -> Decimal | None:
        """Total over the real length of the call; None for a call without length."""
        if self.call_ms <= 0:
            return None
        return self.total_usd * 60_000 / self.call_ms

    def to_json(self) -> dict[str, object]:
        """Plain values for ``json.dumps``; money as decimal strings."""
        return {
            "lines": [
                {
                    "kind": line.kind,
                    "used": line.used,
                    "priced_as": line.priced_as,
                    "basis": line.basis,
                    "quantity": _plain(line.quantity),
                    "unit": line.unit,
                    "price_usd": _plain(line.price_usd),
                    "amount_usd": _plain(line.amount_usd),
                    "as_of": line.as_of.isoformat() if line.as_of else None,
                    "estimated": line.estimated,
                }
                for line in self.lines
            ],
            "call_ms": self.call_ms,
            "total_usd": _plain(self.total_usd),
            "per_minute_usd": _plain(self.per_minute_usd),
            "unpriced": list(self.unpriced),
            "estimated": self.estimated,
        }


def _plain(value: Decimal | None) -> str | None:
    """A decimal without an exponent."""
    return None if value is None else format(value, "f")
