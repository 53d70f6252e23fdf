"""Slots out of transcripts, as callers say them and recognizers spell them. Oracle: by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.providers.llm._slots import Slots, extract, normalize, say_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Half past seven, please.", "half past 7 please"),
        ("the twenty-seventh", "the 27th"),
        ("Seven thirty p. m.", "7 30 pm"),
        ("7:30pm", "7:30 pm"),
        ("7.30 P.M.", "7:30 pm"),
        ("eight o'clock", "8 oclock"),
        ("eight o’ clock", "8 oclock"),
        ("To-morrow, good-by", "tomorrow goodbye"),
        ("the thirty-first of May", "the 31st of may"),
        ("for twenty five", "for 25"),
        ("Name: Bob", "name bob"),
        ("much by-by.", "much goodbye"),
        ("stand by", "stand by"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    assert normalize(text) == expected


PEOPLE = [
    ("A table for four, please.", 4),
    ("for 4", 4),
    ("for four people", 4),
    ("a table for for", 4),
    ("A party of six.", 6),
    ("we are five", 5),
    ("We'll be seven.", 7),
    ("there will be about 8 of us", 8),
    ("two adults and two kids", 4),
    ("2 adults and 1 child", 3),
    ("me and three friends", 4),
    ("me and my wife", 2),
    ("Just me.", 1),
    ("a couple of people", None),
    ("for a couple", 2),
    ("make it six people", 6),
    ("a table for two on Friday at eight", 2),
    ("for three tomorrow", 3),
    ("a table for to on Friday", 2),
    ("a table for 7 pm", None),
    ("a table for seven thirty", None),
    ("for eight o'clock", None),
    ("forty-five people", 45),
    ("one moment", None),
    ("a table for 2 at 8", 2),
    ("I need a table for twelve guests", 12),
]


@pytest.mark.parametrize(("text", "people"), PEOPLE)
def test_people(text: str, people: int | None) -> None:
    assert extract(text).people == people


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("Four.", 4),
        ("For.", 4),
        ("To.", 2),
        ("Till,", 2),
        ("uh, four please", 4),
        ("five, I think", 5),
        ("maybe six", 6),
        ("on Friday", None),
        ("at seven pm", None),
        ("I don't know", None),
    ],
)
def test_bare_people_when_asked(text: str, people: int | None) -> None:
    assert extract(text, "people").people == people


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("at seven", "19:00"),
        ("at 7", "19:00"),
        ("at 7:30", "19:30"),
        ("seven thirty pm", "19:30"),
        ("seven thirty p M. please", "19:30"),
        ("7 p.m.", "19:00"),
        ("7pm", "19:00"),
        ("730 pm", "19:30"),
        ("half past seven", "19:30"),
        ("half seven", "19:30"),
        ("quarter past eight", "20:15"),
        ("a quarter to nine", "20:45"),
        ("ten to eight", "19:50"),
        ("twenty past six", "18:20"),
        ("quarter to one", "12:45"),
        ("eight o'clock", "20:00"),
        ("around eight", "20:00"),
        ("nineteen thirty", "19:30"),
        ("19:45", "19:45"),
        ("noon", "12:00"),
        ("at midnight", "00:00"),
        ("twelve thirty", "12:30"),
        ("eleven in the morning", "11:00"),
        ("11 am", "11:00"),
        ("12 am", "00:00"),
        ("eight in the evening", "20:00"),
        ("a table for seven thirty", "19:30"),
        ("for four people", None),
        ("on the 27th", None),
        ("at 7:75", None),
        ("May 3rd", None),
    ],
)
def test_time(text: str, time: str | None) -> None:
    assert extract(text).time == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Eight.", "20:00"),
        ("eight please", "20:00"),
        ("7 30", "19:30"),
        ("730", "19:30"),
        ("for seven", "19:00"),
        ("maybe nine", "21:00"),
        ("not sure", None),
    ],
)
def test_bare_time_when_asked(text: str, time: str | None) -> None:
    assert extract(text, "time").time == time


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on Friday", "on Friday"),
        ("Friday the 27th", "on Friday the 27th"),
        ("Friday, the twenty-seventh", "on Friday the 27th"),
        ("Friday twenty seventh", "on Friday the 27th"),
        ("Saturday, March 3rd", "on Saturday, March 3rd"),
        ("Saturday the third of March", "on Saturday, March 3rd"),
        ("the 3rd of March", "on March 3rd"),
        ("March the third", "on March 3rd"),
        ("on May 21st", "on May 21st"),
        ("next Tuesday", "next Tuesday"),
        ("this Sunday", "on Sunday"),
        ("Friday evening", "on Friday"),
        ("tomorrow", "tomorrow"),
        ("To-morrow.", "tomorrow"),
        ("tomorrow night", "tomorrow"),
        ("the day after tomorrow", "the day after tomorrow"),
        ("tonight", "tonight"),
        ("this evening", "tonight"),
        ("today", "today"),
        ("on the 27th", "on the 27th"),
        ("not Friday, Saturday", "on Saturday"),
        ("Friday, no, Saturday", "on Saturday"),
        ("the 45th", None),
        ("some day", None),
    ],
)
def test_day(text: str, day: str | None) -> None:
    assert extract(text).day == day


@pytest.mark.parametrize(
    ("text", "asked", "name"),
    [
        ("My name is John Smith.", False, "John Smith"),
        ("my name's anna", False, "Anna"),
        ("It's under Maria.", False, "Maria"),
        ("under the name of Peter Parker, please", False, "Peter Parker"),
        ("The name is O'Brien", False, "O'Brien"),
        ("in the name of Müller", False, "Müller"),
        ("This is Tom.", False, "Tom"),
        ("this is fine", False, None),
        ("I'm Sarah.", False, "Sarah"),
        ("I'm looking for a table", False, None),
        ("My name is John Smith and I'd like a table for four", False, "John Smith"),
        ("John Smith speaking", False, "John Smith"),
        ("John", True, "John"),
        ("John", False, None),
        ("it's Bob please", True, "Bob"),
        ("Uh, Maria Garcia, please.", True, "Maria Garcia"),
        ("Smith, thank you", True, "Smith"),
        ("S. M. I. T. H.", True, "Smith"),
        ("Mr. Jones", True, "Jones"),
        ("put it under Li", True, "Li"),
        ("I don't want to say", True, None),
        ("what was that", True, None),
        ("April", True, "April"),
        ("Jean-Luc Picard.", True, "Jean-Luc Picard"),
    ],
)
def test_name(text: str, asked: bool, name: str | None) -> None:
    assert extract(text, "name" if asked else None).name == name


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        (
            "I'd like a table for four on Friday at seven thirty p M. please.",
            Slots(4, "on Friday", "19:30"),
        ),
        (
            "Table for two tomorrow at eight under Maria",
            Slots(2, "tomorrow", "20:00", "Maria"),
        ),
        (
            "Hi, my name is John Smith and I would like to book a table for 5 people on "
            "Saturday the 28th at half past six.",
            Slots(5, "on Saturday the 28th", "18:30", "John Smith"),
        ),
        ("Can we come at 8 on Friday, we are six", Slots(6, "on Friday", "20:00")),
        ("Friday at 7, for two", Slots(2, "on Friday", "19:00")),
        ("tonight for three", Slots(3, "tonight")),
        ("What's the capital of France?", Slots()),
        ("", Slots()),
    ],
)
def test_several_at_once(text: str, slots: Slots) -> None:
    assert extract(text) == slots


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("19:30", "7:30 pm"),
        ("19:00", "7 pm"),
        ("00:05", "12:05 am"),
        ("12:00", "noon"),
        ("00:00", "midnight"),
        ("12:30", "12:30 pm"),
        ("09:05", "9:05 am"),
        ("23:59", "11:59 pm"),
    ],
)
def test_time_as_it_is_said(time: str, said: str) -> None:
    assert say_time(time) == said


@given(st.integers(0, 23), st.integers(0, 59))
def test_what_is_said_is_understood_again(hour: int, minute: int) -> None:
    time = f"{hour:02d}:{minute:02d}"
    assert extract(f"at {say_time(time)}").time == time


@given(st.text(max_size=200), st.sampled_from([None, "people", "day", "time", "name"]))
def test_any_text_is_survived(text: str, expected: str | None) -> None:
    slots = extract(text, expected)
    assert slots.people is None or slots.people >= 0
    assert slots.time is None or len(slots.time) == 5
