"""What the simulated caller says: prepared lines, and which of them comes next.

A line may have a cue, a pattern that the agent's question is expected to match. If the caller
understands the agent (see ``SimulatedCaller``), a question that comes a second time is answered a
second time, so that a misheard answer is put right as people do it. Without cues, or if nothing
matches, lines come in their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError

__all__ = ["BOOKING", "SHORT_BOOKING", "CallerLine", "Script", "ScriptLine"]


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """A line as text.

    Attributes:
        text: what the caller says.
        cue: pattern of the question that it answers; "" for none.
        may_interrupt: the line that an impatient caller says over the agent's words.
    """

    text: str
    cue: str = ""
    may_interrupt: bool = False


_PEOPLE = r"how many people|number of people"
_DAY = r"which day|what day"
_TIME = r"what time"
_NAME = r"what name|which name"
_CONFIRM = r"is that right|yes or no|book it"
_MORE = r"anything else"

BOOKING: tuple[ScriptLine, ...] = (
    ScriptLine("Hello, I would like to book a table for four people.", _PEOPLE),
    ScriptLine("On Friday, please.", _DAY, may_interrupt=True),
    ScriptLine("Can you tell me what time it is?", _TIME),
    ScriptLine("At half past six in the evening.", _TIME),
    ScriptLine("The name is Baker.", _NAME),
    ScriptLine("Yes, that is right.", _CONFIRM, may_interrupt=True),
    ScriptLine("Thank you very much. Bye bye.", _MORE),
)

SHORT_BOOKING: tuple[ScriptLine, ...] = (
    ScriptLine("A table for four people on Friday, please.", f"{_PEOPLE}|{_DAY}"),
    ScriptLine("At half past six in the evening.", _TIME),
    ScriptLine("The name is Baker.", _NAME),
    ScriptLine("Yes, that is right.", _CONFIRM, may_interrupt=True),
    ScriptLine("Thank you very much. Bye bye.", _MORE),
)


@dataclass(frozen=True, slots=True)
class CallerLine:
    """A line as speech.

    Attributes:
        text: what is said; a file's name for recordings.
        pcm: the speech, mono int16 at the leg's play rate.
        cue: as in ``ScriptLine``.
        interrupts: say it while the agent speaks.
    """

    text: str
    pcm: NDArray[np.int16]
    cue: str = ""
    interrupts: bool = False


class Script:
    """Chooses the next line.

    Args:
        lines: in their order.
        max_repeats: how often one line may be said again because the agent asks again.
    """

    def __init__(self, lines: Sequence[CallerLine], max_repeats: int = 2) -> None:
        if not lines:
            raise ConfigError("a script needs at least one line")
        self._lines = tuple(lines)
        self._said = [0] * len(self._lines)
        self._max_repeats = max_repeats

    @property
    def is_complete(self) -> bool:
        """Every line has been said."""
        return all(self._said)

    def next_interrupts(self) -> bool:
        """Whether the next line in order is said over the agent's words."""
        return any(
            line.interrupts for line in self._lines[self._first_unsaid() : self._first_unsaid() + 1]
        )

    def choose(self, heard: str) -> CallerLine | None:
        """The line to say after the agent said ``heard`` ("" if unknown); None: all is said."""
        question = re.split(r"(?<=[.!?])\s+", heard.strip().lower())[-1]
        matching = [
            i
            for i, line in enumerate(self._lines)
            if question and line.cue and re.search(line.cue, question)
        ]
        fresh = [i for i in matching if self._said[i] == 0]
        again = [i for i in matching if 0 < self._said[i] <= self._max_repeats]
        index = self._first_unsaid()
        if fresh:
            index = fresh[0]
        elif again:
            index = again[-1]
        if index == len(self._lines):
            return None
        self._said[index] += 1
        return self._lines[index]

    def _first_unsaid(self) -> int:
        return next((i for i, said in enumerate(self._said) if not said), len(self._lines))
