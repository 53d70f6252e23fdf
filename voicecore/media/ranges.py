"""Checks of settings."""

from __future__ import annotations

from numbers import Integral, Real

from voicecore.errors import ConfigError

__all__ = ["within"]


def within(name: str, value: object, low: float, high: float) -> None:
    """Refuse a setting outside its range; whole limits take whole numbers only (64.5 is not 64).

    Raises:
        ConfigError: naming the setting, its value and the range.
    """
    kind = Integral if isinstance(low, int) else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= float(value) <= high:
        whole = "a whole number " if kind is Integral else ""
        raise ConfigError(f"{name} is {value!r}; it must be {whole}{low} to {high}")
