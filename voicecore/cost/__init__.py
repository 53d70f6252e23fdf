"""What a call costs: a dated price book, a meter per call, and the bill, all in Decimal."""

from __future__ import annotations

from voicecore.cost.bill import Bill, Line
from voicecore.cost.book import BASES, KINDS, Price, PriceBook, Rate
from voicecore.cost.meter import Meter, estimate_tokens

__all__ = [
    "BASES",
    "KINDS",
    "Bill",
    "Line",
    "Meter",
    "Price",
    "PriceBook",
    "Rate",
    "estimate_tokens",
]
