"""What a caller says about a table: people, day, time and name, out of a transcript.

Rules over a normal form: lower case, no punctuation but the colon of a time, numbers as digits
("half past seven" -> "half past 7", "the twenty-seventh" -> "the 27th", "p. m." -> "pm"). English.
Each found phrase is taken out of the text before the next slot looks at it, so that no word counts
twice. A bare number is taken for the slot that was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from voicecore.providers.llm._names import find_name

__all__ = ["LARGEST_PARTY", "Slots", "extract", "normalize", "say_time"]

LARGEST_PARTY = 20

_UNIT_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen"""
_ORDINAL_WORDS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh
    twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"""
_MONTH_WORDS = """january february march april may june july august september october november
    december"""
_UNITS = {word: i for i, word in enumerate(_UNIT_WORDS.split())}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_ORDINALS = {word: i + 1 for i, word in enumerate(_ORDINAL_WORDS.split())}
_ORDINALS |= {"twentieth": 20, "thirtieth": 30}
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = _MONTH_WORDS.split()
_DAY = "|".join(WEEKDAYS)
_MONTH = "|".join(MONTHS)
_PEOPLE = r"(?:people|persons?|guests?|of us|adults?|friends|diners|pax|heads|seats|places)"


@dataclass(frozen=True, slots=True)
class Slots:
    """What is known of a booking; None: not yet.

    Attributes:
        people: how many, 1 to ``LARGEST_PARTY`` (larger if the caller said so).
        day: as it is said after "for a table": "on Friday the 27th", "tomorrow".
        time: 24-hour "19:30".
        name: the name for the booking.
    """

    people: int | None = None
    day: str | None = None
    time: str | None = None
    name: str | None = None

    def merged(self, new: Slots) -> Slots:
        """These slots, with those that ``new`` knows taken from it."""
        known = {f.name: v for f in fields(new) if (v := getattr(new, f.name)) is not None}
        return replace(self, **known)

    def missing(self) -> list[str]:
        """The slots not known yet, in the order they are asked for."""
        return [f.name for f in fields(self) if getattr(self, f.name) is None]


def normalize(text: str) -> str:
    """The normal form that the rules read."""
    s = text.lower().replace("’", "'").replace("-", " ").replace("–", " ").replace("—", " ")
    s = re.sub(r"\b([ap])\.? ?m\b\.?", r"\1m", s)
    s = re.sub(r"(?<=\d)\s*([ap]m)\b", r" \1", s)
    s = re.sub(r"\b(\d{1,2})\.(\d{2})\b", r"\1:\2", s)
    s = re.sub(r"(?<!\d):|:(?!\d\d)", " ", s)
    s = re.sub(r"o'? ?clock", "oclock", s)
    s = re.sub(r"[^a-z0-9:' ]+", " ", s)
    s = re.sub(r"\bto (?=morrow\b|night\b|day\b)", "to", s)  # a recognizer writes "to-morrow"
    s = re.sub(r"\b(good|by) by\b", "goodbye", s)
    words = s.split()
    out: list[str] = []
    i = 0
    while i < len(words):
        word, after = words[i], words[i + 1] if i + 1 < len(words) else ""
        if word in _TENS:
            if after in _UNITS and 0 < _UNITS[after] < 10:
                out.append(str(_TENS[word] + _UNITS[after]))
                i += 2
                continue
            if after in _ORDINALS and _ORDINALS[after] < 10:
                out.append(_ordinal(_TENS[word] + _ORDINALS[after]))
                i += 2
                continue
            out.append(str(_TENS[word]))
        elif word in _UNITS:
            out.append(str(_UNITS[word]))
        elif word in _ORDINALS and not (word == "second" and after in ("thought", "time")):
            out.append(_ordinal(_ORDINALS[word]))
        else:
            out.append(word)
        i += 1
    return " ".join(out)


def _ordinal(n: int) -> str:
    suffix = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


def say_time(time: str) -> str:
    """A 24-hour "19:30" as it is said: "7:30 pm"."""
    hour, minute = int(time[:2]), int(time[3:])
    if minute == 0 and hour in (0, 12):
        return "midnight" if hour == 0 else "noon"
    clock = f"{(hour + 11) % 12 + 1}" + (f":{minute:02d}" if minute else "")
    return f"{clock} {'am' if hour < 12 else 'pm'}"


def extract(text: str, expected: str | None = None) -> Slots:
    """The slots named in one utterance; ``expected``: the slot that was asked for, if any."""
    name, rest_text = find_name(text, expected)
    s = f" {normalize(rest_text)} "
    # "not Friday but Saturday", "Friday, no, Saturday": what is taken back does not count.
    s = re.sub(rf" not (?:for |on |at )?(?:the )?(?:{_DAY}|\d[\w:]*(?: [ap]m| oclock)?)\b", " ", s)
    s = re.sub(r"\b(\w+) (?:no|sorry|i mean|rather) (?=(?:for |on |at )?(\w+))", _take_back, s)
    day, s = _day(s, expected)
    people, s, sure = _people(s, expected)
    time, s = _time(s, expected)
    if people is None and sure is not None and time is None:
        people = sure
    return Slots(people, day, time, name)


def _take_back(found: re.Match[str]) -> str:
    old, new = found.group(1), found.group(2)
    same = (old in WEEKDAYS and new in WEEKDAYS) or (old.isdigit() and new.isdigit())
    return " " if same else found.group(0)


def _cut(s: str, found: re.Match[str]) -> str:
    return s[: found.start()].rstrip() + " ; " + s[found.end() :].lstrip()


# -- people --------------------------------------------------------------------------------

_NOT_A_CLOCK = r"(?! ?(?:am|pm|oclock|:|past|to \d|\d\d\b|ish\b|in the|at night|st\b|th\b))"
_N = r"(\d{1,3}|a couple)"
_ABOUT = r"(?:about |just |only |maybe )?"
_PEOPLE_RULES = [
    rf"\b{_N} (?:adults?|grown ups) and {_N} (?:kids?|child(?:ren)?)\b",
    rf"\b(?:me|myself|i) and {_N} (?:friends?|others|colleagues|guests|more)\b",
    rf"\b{_N} (?:more |other )?{_PEOPLE}\b",
    rf"\b(?:party|group|table|total) of {_N}\b{_NOT_A_CLOCK}",
    rf"\bfor {_ABOUT}{_N} (?=; |(?:on|at|this|next|tomorrow|tonight|today)\b)",
    rf"\b(?:we are|we're|we'll be|we will be|there are|there's|there will be|there'll be|it's just"
    rf"|just|only) (?:about )?{_N}\b{_NOT_A_CLOCK}",
]
_FOR = rf"\bfor {_ABOUT}{_N}\b{_NOT_A_CLOCK}"
_PAIRS = r"\b(?:me|myself) and my \w+\b|\bmy \w+ and (?:me|i|myself)\b|\bthe 2 of us\b"
_ALONE = r"\b(?:just|only) (?:for )?(?:me|myself)\b|\bby myself\b|\bonly me\b|\bon my own\b"


def _number(s: str) -> int:
    return 2 if s == "a couple" else int(s)


def _people(s: str, expected: str | None) -> tuple[int | None, str, int | None]:
    """People, the text without the phrase, and a number that is people unless it is a time."""
    # A recognizer hears "for four" and "for two" as "for for" and "for to".
    s = re.sub(r"\bfor for\b", "for 4", s)
    s = re.sub(r"\bfor too?\b(?= ;| people| persons| guests| $| on | at | tom| ton)", "for 2", s)
    for i, rule in enumerate(_PEOPLE_RULES):
        if found := re.search(rule, s):
            count = sum(_number(g) for g in found.groups() if g) + (i == 1)
            if count > 0:
                return count, _cut(s, found), None
    for rule, count in ((_PAIRS, 2), (_ALONE, 1)):
        if found := re.search(rule, s):
            return count, _cut(s, found), None
    if expected != "time" and (found := re.search(_FOR, s)):
        return _number(found.group(1)) or None, _cut(s, found), None
    if expected == "people":
        if found := re.search(rf"\b{_N}\b{_NOT_A_CLOCK}(?!:)", s):
            return _number(found.group(1)) or None, _cut(s, found), None
        if re.fullmatch(r" (?:for|fore|or) (?:please )?", s):
            return 4, " ", None  # "four", heard as "for"
        if re.fullmatch(r" (?:to|too|till|tool) (?:please )?", s):
            return 2, " ", None
    return None, s, None


# -- day -----------------------------------------------------------------------------------

_DATE = (
    rf"(?:(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})"
    rf"|({_MONTH}) (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?! ?(?:am|pm|oclock|:)))"
)
_NTH = r"(?:the )?(\d{1,2})(?:st|nd|rd|th)\b"


def _day(s: str, expected: str | None) -> tuple[str | None, str]:
    if found := re.search(r"\b(?:the )?day after tomorrow\b", s):
        return "the day after tomorrow", _cut(s, found)
    weekday = rf"\b(?:on )?(?:(this|next|coming) )?({_DAY})\b"
    part = r"(?: (?:morning|afternoon|lunchtime|evening|night))?"
    if found := re.search(rf"{weekday}{part}(?: (?:on )?{_DATE})", s):
        return f"on {found.group(2).title()}, {_date(found, 3)}", _cut(s, found)
    if found := re.search(rf"{weekday}{part} (?:on )?{_NTH}", s):
        return f"on {found.group(2).title()} the {_ordinal(int(found.group(3)))}", _cut(s, found)
    if found := re.search(rf"\b(?:on )?{_NTH} (?:which is )?(?:a )?({_DAY})\b", s):
        return f"on {found.group(2).title()} the {_ordinal(int(found.group(1)))}", _cut(s, found)
    if found := re.search(rf"{weekday}{part}", s):
        which = "next " if found.group(1) == "next" else ""
        return f"{'' if which else 'on '}{which}{found.group(2).title()}", _cut(s, found)
    if found := re.search(rf"\b(?:on )?{_DATE}", s):
        return f"on {_date(found, 1)}", _cut(s, found)
    if found := re.search(r"\btomorrow\b(?: (?:morning|afternoon|evening|night))?", s):
        return "tomorrow", _cut(s, found)
    if found := re.search(r"\b(?:tonight|this evening)\b", s):
        return "tonight", _cut(s, found)
    if found := re.search(r"\btoday\b", s):
        return "today", _cut(s, found)
    if (found := re.search(rf"\b(?:on )?{_NTH}", s)) and 1 <= int(found.group(1)) <= 31:
        return f"on the {_ordinal(int(found.group(1)))}", _cut(s, found)
    found = re.search(r" (?:on )?(?:the )?(\d{1,2}) ", s) if expected == "day" else None
    if found and 1 <= int(found.group(1)) <= 31:
        return f"on the {_ordinal(int(found.group(1)))}", _cut(s, found)
    return None, s


def _date(found: re.Match[str], at: int) -> str:
    day = found.group(at) or found.group(at + 3)
    month = found.group(at + 1) or found.group(at + 2)
    return f"{month.title()} {_ordinal(int(day))}"


# -- time ----------------------------------------------------------------------------------

_LEADS = r"(?:at|around|about|by|from|for|say|to|maybe|like|after)"
_SAID_PART = r"(?: (?:(am|pm)|in the (morning|afternoon|evening)|(at night|tonight))\b)"
_PART_OF_DAY = rf"{_SAID_PART}?"


def _time(s: str, expected: str | None) -> tuple[str | None, str]:
    if found := re.search(r"\b(?:at )?(?:12 )?(?:noon|midday)\b", s):
        return "12:00", _cut(s, found)
    if found := re.search(r"\b(?:at )?(?:12 )?midnight\b", s):
        return "00:00", _cut(s, found)
    past = (
        r"\b(?:a )?(half|quarter|\d{1,2})(?: minutes?)? (past|after|to|before|till) (\d{1,2})\b"
        rf"(?: oclock)?{_PART_OF_DAY}"
    )
    if found := re.search(past, s):
        minutes = {"half": 30, "quarter": 15}.get(found.group(1)) or int(found.group(1))
        hour = int(found.group(3))
        if minutes < 60 and 1 <= hour <= 23:
            if found.group(2) in ("to", "before", "till"):
                hour, minutes = hour - 1 or 12, 60 - minutes
            return _clock(hour, minutes, found.groups()[3:]), _cut(s, found)
    if found := re.search(rf"\bhalf (\d{{1,2}})\b{_PART_OF_DAY}", s):
        return _clock(int(found.group(1)), 30, found.groups()[1:]), _cut(s, found)
    bare = expected == "time"
    for rule in (
        rf"\b(\d{{1,2}}):(\d\d)\b{_PART_OF_DAY}",
        rf"\b(\d{{1,2}}) oclock()\b{_PART_OF_DAY}",
        rf"\b(\d{{1,2}})(?: (?:o )?(\d\d?))?{_SAID_PART}",
        rf"\b(\d{{1,2}})(\d\d){_SAID_PART}",
        rf"\b(\d{{1,2}}) (\d\d)\b{_PART_OF_DAY}",
        rf"\b{_LEADS} (\d{{1,2}})(\d\d)\b{_PART_OF_DAY}",
        rf"\b{_LEADS} (\d{{1,2}})(?!:| ?(?:people|of us|st\b|nd\b|rd\b|th\b))()\b{_PART_OF_DAY}",
        rf"\b(\d{{1,2}})(\d\d)\b{_PART_OF_DAY}" if bare else None,
        rf"\b(\d{{1,2}})()\b{_PART_OF_DAY}" if bare else None,
    ):
        found = re.search(rule, s) if rule else None
        if found is None:
            continue
        time = _clock(int(found.group(1)), int(found.group(2) or 0), found.groups()[2:])
        if time is not None:
            return time, _cut(s, found)
    return None, s


def _clock(hour: int, minute: int, parts: tuple[str | None, ...]) -> str | None:
    """24-hour text; without "am" or "pm" a table is for the afternoon or the evening."""
    if hour > 23 or minute > 59:
        return None
    part = next((p for p in parts if p), None)
    if hour <= 12 and hour > 0:
        morning = part in ("am", "morning")
        hour = hour % 12 + (0 if morning else 12)
    return f"{hour:02d}:{minute:02d}"
