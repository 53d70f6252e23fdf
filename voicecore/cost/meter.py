"""The meter of one call: raw quantities by provider, priced afterwards by any price book.

Raw quantities are kept (audio sent, time open, tokens, characters, connected time), so that the
same call can be priced as if other providers had served it. One object serves one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from voicecore.cost.bill import Bill, Line
from voicecore.cost.book import KINDS, Price, PriceBook
from voicecore.errors import ConfigError, PriceError

__all__ = ["Meter", "estimate_tokens"]

_CHARACTERS_PER_TOKEN = 4
_US_PER_MS = 1000


def estimate_tokens(text: str) -> int:
    """Tokens of a text by rule: one for every 4 characters, rounded up.

    English through today's tokenizers comes to 4 to 4.5 characters a token, so the rule errs on the
    dear side. Whatever is counted so is flagged ``estimated`` on the bill.
    """
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


@dataclass(slots=True)
class _Usage:
    """Billed quantities of one provider; times already rounded as each basis says."""

    audio_seconds: int = 0
    session_seconds: int = 0
    speech_us: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    minutes: int = 0
    estimated: bool = False


class Meter:
    """Counts what one call uses.

    Example:
        >>> meter = Meter()
        >>> meter.add_stt("moonshine/tiny-en", audio_ms=30_500, open_ms=61_000)
        >>> meter.add_call_leg("loopback/udp", 61_000)
        >>> str(meter.bill(PriceBook.load(), "deepgram/nova-3,twilio/local-in").total_usd)
        '0.01948'
    """

    def __init__(self) -> None:
        """Start at zero."""
        self._usage: dict[tuple[str, str], _Usage] = {}
        self._call_us = 0

    def add_stt(self, name: str, *, audio_ms: float, open_ms: float) -> None:
        """Count one STT stream, when it ends: audio pushed into it, and how long it was open."""
        audio_us, open_us = _us("audio_ms", audio_ms), _us("open_ms", open_ms)
        usage = self._of("stt", name)
        usage.audio_seconds += _round_up(audio_us, 1_000_000)
        usage.session_seconds += _round_up(open_us, 1_000_000)

    def add_llm(
        self,
        name: str,
        *,
        input_tokens: int,
        output_tokens: int,
        cached_input_tokens: int = 0,
        cache_write_tokens: int = 0,
        estimated: bool = False,
    ) -> None:
        """Count one request, cancelled ones too.

        ``input_tokens`` are all input tokens; those read from and those written to the cache are
        among them and are charged at their own rates, where the model has such.
        """
        counts = (input_tokens, output_tokens, cached_input_tokens, cache_write_tokens)
        if min(counts) < 0:
            raise ConfigError(f"token counts are {counts}; they must be 0 or more")
        if cached_input_tokens + cache_write_tokens > input_tokens:
            raise ConfigError(
                f"{cached_input_tokens} cached and {cache_write_tokens} written tokens are more "
                f"than the {input_tokens} input tokens that they are part of"
            )
        usage = self._of("llm", name)
        usage.input_tokens += input_tokens
        usage.output_tokens += output_tokens
        usage.cached_input_tokens += cached_input_tokens
        usage.cache_write_tokens += cache_write_tokens
        usage.estimated |= estimated

    def add_llm_text(self, name: str, messages: Iterable[str], answer: str) -> None:
        """Count one request of a dialogue that has no tokens (rules), by ``estimate_tokens``."""
        self.add_llm(
            name,
            input_tokens=sum(estimate_tokens(text) for text in messages),
            output_tokens=estimate_tokens(answer),
            estimated=True,
        )

    def add_tts(self, name: str, *, characters: int, audio_ms: float) -> None:
        """Count one answer: characters submitted (heard or not) and speech produced."""
        if characters < 0:
            raise ConfigError(f"characters is {characters}; it must be 0 or more")
        speech_us = _us("audio_ms", audio_ms)
        usage = self._of("tts", name)
        usage.characters += characters
        usage.speech_us += speech_us

    def add_call_leg(self, name: str, leg_ms: float) -> None:
        """Count one leg's connected time; the longest leg is the length of the call."""
        leg_us = _us("leg_ms", leg_ms)
        self._of("telephony", name).minutes += _round_up(leg_us, 60_000_000)
        self._call_us = max(self._call_us, leg_us)

    def bill(self, book: PriceBook, price_as: str | Iterable[str] = ()) -> Bill:
        """Price everything that was counted.

        Args:
            book: the prices.
            price_as: models to price with instead of those used, for example
                "deepgram/nova-3,openai/gpt-4.1-mini"; kinds not named keep their own price.

        A provider without a price gets lines without an amount (``Bill.unpriced``).

        Raises:
            PriceError: a name in ``price_as`` is unknown or ambiguous.
        """
        instead = book.resolve(price_as)
        lines: list[Line] = []
        for (kind, name), usage in sorted(
            self._usage.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1])
        ):
            price = instead.get(kind) or book.find(kind, name)
            lines += _lines(kind, name, usage, price)
        return Bill(tuple(lines), self._call_us // _US_PER_MS)

    def _of(self, kind: str, name: str) -> _Usage:
        if "/" not in name:
            raise ConfigError(f"provider name {name!r} is not of the form vendor/model")
        return self._usage.setdefault((kind, name), _Usage())


def _lines(kind: str, name: str, usage: _Usage, price: Price | None) -> list[Line]:
    quantities = _quantities(kind, usage, price)
    if price is None:
        return [
            Line(kind, name, None, basis, quantity, estimated=usage.estimated)
            for basis, quantity in quantities.items()
        ]
    lines = []
    for basis, quantity in quantities.items():
        rate = price.rate(basis)
        if rate is None:
            raise PriceError(f"{price.name} has no price for {basis}, which this call used")
        lines.append(
            Line(
                kind,
                name,
                price.name,
                basis,
                quantity,
                rate.unit,
                rate.price_usd,
                rate.amount_usd(quantity),
                rate.as_of,
                usage.estimated,
            )
        )
    return lines


def _quantities(kind: str, usage: _Usage, price: Price | None) -> Mapping[str, Decimal]:
    """What this price charges for, in its bases; without a price, the kind's usual basis."""
    charged = {rate.basis for rate in price.rates} if price else set()
    if kind == "stt":
        if "session_second" in charged:
            return {"session_second": Decimal(usage.session_seconds)}
        return {"audio_second": Decimal(usage.audio_seconds)}
    if kind == "tts":
        if "speech_second" in charged:
            return {"speech_second": Decimal(usage.speech_us) / 1_000_000}
        return {"character": Decimal(usage.characters)}
    if kind == "telephony":
        return {"call_minute": Decimal(usage.minutes)}
    quantities = {"input_token": Decimal(usage.input_tokens)}
    for basis, count in (
        ("cached_input_token", usage.cached_input_tokens),
        ("cache_write_token", usage.cache_write_tokens),
    ):
        # A model without such a rate charges these tokens as ordinary input.
        if count and basis in charged:
            quantities[basis] = Decimal(count)
            quantities["input_token"] -= count
    quantities["output_token"] = Decimal(usage.output_tokens)
    return quantities


def _us(name: str, value_ms: float) -> int:
    if not 0 <= value_ms < float("inf"):
        raise ConfigError(f"{name} is {value_ms}; it must be 0 or more")
    return round(value_ms * _US_PER_MS)


def _round_up(value: int, step: int) -> int:
    return -(-value // step)
