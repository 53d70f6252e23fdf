"""Checks of settings."""

from __future__ import annotations

from numbers import Integral, Real

from voicecore.errors import ConfigError

__all__ = ["pcm_bytes", "within"]


def pcm_bytes(name: str, value: object) -> bytes:
    """A copy of int16 samples, of which a setting is made.

    Raises:
        ConfigError: it is no buffer of whole int16 samples.
    """
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"{name} is {type(value).__name__}; give int16 samples") from None
    if view.format not in ("h", "<h", "b", "B", "c") or view.ndim != 1 or view.nbytes % 2:
        raise ConfigError(
            f"{name} has format {view.format!r}, {view.ndim} dimensions and {view.nbytes} bytes; "
            "give int16 samples of one channel"
        )
    return view.tobytes()


def within(name: str, value: object, low: float, high: float) -> None:
    """Refuse a setting outside its range; whole limits take whole numbers only (64.5 is not 64).

    Raises:
        ConfigError: naming the setting, its value and the range.
    """
    kind = Integral if isinstance(low, int) else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= float(value) <= high:
        whole = "a whole number " if kind is Integral else ""
        raise ConfigError(f"{name} is {value!r}; it must be {whole}{low} to {high}")
