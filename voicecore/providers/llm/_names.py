"""The name in what a caller says, as heard: "my name is John Smith", "it's under Maria"."""

from __future__ import annotations

import re

__all__ = ["find_name"]

_NAME_LEADS = (
    r"my name is|my name's|the name is|the name's|name is|name's|in the name of|under the name of"
    r"|under the name|under|call me|this is|it's for|for the name of|book it for|i am called"
)
_SPELLED = re.compile(r"\b[A-Za-z](?:[.,\s-]+[A-Za-z]\b){2,}\.?")
_STOP_WORDS = """and for at on in please thanks thank with i i'd i'm i'll we we'd a an the to of is
    it it's that's yes yeah no not but so could can would tomorrow tonight today speaking here
    calling table people person book reservation right correct now um uh er
    wrong fine what who why when where how was were monday tuesday wednesday
    thursday friday saturday sunday"""
_FILLER_WORDS = """um uh er well oh okay ok sure yes yeah yep please it's its it is that's thats
    that would be the name's name my under for in of mister mr mrs ms miss i'm i am this speaking
    just put down as make"""
_NAME_STOPS = frozenset(_STOP_WORDS.split())
_FILLERS = frozenset(_FILLER_WORDS.split())


def find_name(text: str, expected: str | None) -> tuple[str | None, str]:
    """The name and the text without it; a bare name counts if ``expected`` is "name"."""
    raw = text.replace("’", "'")
    if expected == "name":
        raw = _SPELLED.sub(lambda m: re.sub("[^A-Za-z]", "", m[0]).title(), raw)
    if found := re.search(rf"\b(?:{_NAME_LEADS})\b[\s,:]*", raw, re.IGNORECASE):
        name, end = _read_name(raw, found.end())
        weak = found.group(0).lower().startswith(("this is", "it's for", "book it for", "under"))
        if name and not (weak and not name[0].isupper() and expected != "name"):
            return _title(name), raw[: found.start()] + " ; " + raw[end:]
    if found := re.search(r"\bI(?:'m| am) ([A-Z][a-z'-]+(?: [A-Z][a-z'-]+)*)(?=[.,!?]|$)", raw):
        return _title(found.group(1)), raw[: found.start()] + " ; " + raw[found.end() :]
    if found := re.search(r"([A-Z][a-z'-]+(?: [A-Z][a-z'-]+)?) (?:speaking|here)\b", raw):
        return _title(found.group(1)), raw[: found.start()] + " ; " + raw[found.end() :]
    if expected == "name":
        words = raw.split()
        at = 0
        while at < len(words) and words[at].lower().strip(".,!?;:") in _FILLERS:
            at += 1
        rest = " ".join(words[at:])
        name, end = _read_name(rest, 0)
        left = {w.strip(".,!?") for w in rest[end:].lower().split()}
        if name and left <= _FILLERS | {"thanks", "thank", "you"}:
            return _title(name), ""
    return None, text


def _read_name(text: str, start: int) -> tuple[str, int]:
    """Up to three words of a name from ``start``, and where they end; "" if there is none."""
    words: list[str] = []
    end = start
    for found in re.finditer(r"([^\W\d_](?:[^\W\d_]|['’-])*)([.,!?;:]*)\s*", text[start:]):
        word, mark = found.group(1), found.group(2)
        if start + found.start() != end or word.lower() in _NAME_STOPS:
            break
        words.append(word)
        end = start + found.end()
        if len(word) == 1:
            continue  # an initial
        if len(words) == 3 or (mark and word.lower() not in ("mr", "mrs", "ms", "dr")):
            break
    while words and words[-1].lower() in ("please", "thanks"):
        words.pop()
    return " ".join(words), end


def _title(name: str) -> str:
    return " ".join(w if any(c.isupper() for c in w) else w.title() for w in name.split())
