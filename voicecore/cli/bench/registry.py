"""What can be measured: a unit's work beside that of its peers. No measurement is made here.

A ``Measurement`` makes a ``Work`` for each CPU level and for each ``Peer``; a work does a number of
items (frames, windows, packets) a pass, through the Python door that its users take, and can give
the output of a fresh pass, so that what is compared in time is first compared in result.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from voicecore.errors import ConfigError, VoicecoreError

__all__ = [
    "Differs",
    "Measurement",
    "Need",
    "Peer",
    "Work",
    "every",
    "has_levels",
    "package",
    "select",
    "shared_library",
]


class Differs(VoicecoreError, ValueError):
    """Two implementations of the same thing give different results."""


@dataclass(frozen=True, slots=True)
class Work:
    """run: one pass. items: how many a pass does. result: the output of a pass on fresh state."""

    run: Callable[[], object]
    items: int
    result: Callable[[], Any]


@dataclass(frozen=True)
class Need:
    """A package or a library that a peer takes.

    Attributes:
        name: as installed.
        install: the command.
        look: finds it; raises ImportError or OSError if it is not there.
    """

    name: str
    install: str
    look: Callable[[], object]

    @cached_property
    def problem(self) -> str:
        """Why it cannot be used; empty if it can."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.look()
        except (ModuleNotFoundError, FileNotFoundError):
            return "not installed"
        except (ImportError, OSError) as error:
            return f"does not load: {error}"
        return ""

    @cached_property
    def version(self) -> str:
        """As installed; empty if it does not say."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return ""


def package(name: str, module: str = "", install: str = "") -> Need:
    """A package that is imported."""
    return Need(
        name, install or f"pip install {name}", lambda: importlib.import_module(module or name)
    )


def shared_library(name: str, file: str, install: str) -> Need:
    """A library that is loaded with ctypes."""

    def look() -> None:
        try:
            ctypes.CDLL(file)
        except OSError as error:
            raise FileNotFoundError(file) from error

    return Need(name, install, look)


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else's way of doing the same.

    Attributes:
        name: as shown.
        needs: what must be there.
        make: its work.
        check: takes our result and the peer's; says what agrees, or raises ``Differs``.
    """

    name: str
    needs: tuple[Need, ...]
    make: Callable[[], Work]
    check: Callable[[Any, Any], str]

    def problem(self) -> tuple[Need, str] | None:
        """The first need that is not met, and why."""
        return next(((need, need.problem) for need in self.needs if need.problem), None)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of the table.

    Attributes:
        name: short and unique, for --unit.
        unit: the class that is measured.
        what: in words.
        item_ms: the audio that one item stands for: 20 or 32.
        make: the work at a CPU level (None: the unit has no levels, or uses the best).
        by_level: whether ``make`` takes levels.
        same: how two levels are compared.
        peers: in the order shown.
        problem: why it cannot be measured here, or an empty string.
    """

    name: str
    unit: str
    what: str
    item_ms: float
    make: Callable[[str | None], Work]
    by_level: bool
    same: Callable[[Any, Any], str]
    peers: tuple[Peer, ...] = ()
    problem: Callable[[], str] = lambda: ""


def has_levels(make: Callable[[], object]) -> bool:
    """Whether a constructor, called with a ``level``, takes it."""
    try:
        make()
    except TypeError:
        return False
    return True


def every() -> tuple[Measurement, ...]:
    """All measurements, in the order of the table."""
    from voicecore.cli.bench import codecs, echo, net, resampling, vad

    return (
        *vad.measurements(),
        *resampling.measurements(),
        *echo.measurements(),
        *codecs.measurements(),
        *net.measurements(),
    )


def select(wanted: Sequence[str], among: Sequence[Measurement]) -> list[Measurement]:
    """Those whose unit is named, or whose name begins so; all if nothing is wanted.

    Raises ConfigError for a word that fits nothing.
    """
    if not wanted:
        return list(among)
    chosen: set[str] = set()
    for word in wanted:
        low = word.lower()
        hits = {one.name for one in among if one.unit.lower() == low or one.name.startswith(low)}
        if not hits:
            units = ", ".join(dict.fromkeys(one.unit for one in among))
            raise ConfigError(
                f"no unit or measurement is called {word!r}; the units are {units}; "
                "voicecore bench --list names the measurements"
            )
        chosen |= hits
    return [one for one in among if one.name in chosen]
