"""Which line comes next: a pure function of what was said and what was understood."""

from __future__ import annotations

import numpy as np
import pytest

from voicecore.errors import ConfigError
from voicecore.testing.script import BOOKING, SHORT_BOOKING, CallerLine, Script, ScriptLine


def make(lines: tuple[ScriptLine, ...], interrupts: bool = False) -> Script:
    pcm = np.zeros(1, np.int16)
    return Script([CallerLine(x.text, pcm, x.cue, interrupts and x.may_interrupt) for x in lines])


def texts(script: Script, heard: list[str]) -> list[str | None]:
    chosen = [script.choose(text) for text in heard]
    return [line.text if line else None for line in chosen]


@pytest.mark.parametrize("lines", [BOOKING, SHORT_BOOKING])
def test_without_understanding_lines_come_in_order(lines: tuple[ScriptLine, ...]) -> None:
    script = make(lines)
    assert texts(script, [""] * (len(lines) + 1)) == [*(x.text for x in lines), None]
    assert script.is_complete


def test_a_question_asked_again_is_answered_again() -> None:
    script = make(SHORT_BOOKING)
    heard = [
        "I can book a table for you. For how many people?",
        "Sorry, I did not get that. How many people will you be?",
        "All right, a table for four Friday. At what time?",
        "Sorry, I did not get that. What time would you like the table?",
        "And under what name?",
        "So that is a table for four Friday at half past seven. Is that right?",
        "Your table is booked. Is there anything else I can do for you?",
    ]
    people, time, name, yes, bye = (line.text for line in SHORT_BOOKING)
    assert texts(script, heard) == [people, people, time, time, name, yes, bye]
    assert script.choose("Goodbye!") is None


def test_only_the_question_counts_not_what_was_said_before_it() -> None:
    script = make(SHORT_BOOKING)
    script.choose("")
    line = script.choose("How many people was it? I did not get that. At what time?")
    assert line is not None
    assert line.text == SHORT_BOOKING[1].text


def test_repeats_are_bounded() -> None:
    script = make(SHORT_BOOKING)
    asked = ["For how many people?"] * 6
    said = texts(script, asked)
    assert said.count(SHORT_BOOKING[0].text) == 3
    assert said[3:] == [line.text for line in SHORT_BOOKING[1:4]]


def test_fresh_lines_go_before_repeats() -> None:
    script = make(BOOKING)
    script.choose("")
    script.choose("")
    assert texts(script, ["At what time?", "It is noon. What time would you like?"]) == [
        BOOKING[2].text,
        BOOKING[3].text,
    ]


def test_an_interrupting_line_is_known_beforehand() -> None:
    script = make(BOOKING, interrupts=True)
    flags = []
    for _ in BOOKING:
        flags.append(script.next_interrupts())
        script.choose("")
    assert flags == [line.may_interrupt for line in BOOKING]
    assert not script.next_interrupts()


def test_an_empty_script_is_refused() -> None:
    with pytest.raises(ConfigError):
        Script([])
