"""Sentences out of a stream, words over audio. Oracles: tables by hand, and the text itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.providers.text import (
    SentenceSplitter,
    estimate_tokens,
    frame_levels_db,
    spread_words,
    voiced_spans,
)

SENTENCES = [
    ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
    ("We open at 7 p.m. Would you like that?", ["We open at 7 p.m.", "Would you like that?"]),
    ("At 7 p.m. on Friday. Good.", ["At 7 p.m. on Friday.", "Good."]),
    ("At 7 p.m. Friday then. Good.", ["At 7 p.m. Friday then.", "Good."]),
    ("Dr. Smith and Mrs. Jones. Yes.", ["Dr. Smith and Mrs. Jones.", "Yes."]),
    ("J. K. Rowling wrote it. I know.", ["J. K. Rowling wrote it.", "I know."]),
    ("It is 3.5 km, no. 4 on the list.", ["It is 3.5 km, no. 4 on the list."]),
    ("See e.g. the menu. Then choose.", ["See e.g. the menu.", "Then choose."]),
    ('He said "yes." Then he left.', ['He said "yes."', "Then he left."]),
    ("Wait... what? Oh.", ["Wait... what?", "Oh."]),
    ("One line\nanother line", ["One line", "another line"]),
    ("That costs 1,250 dollars.", ["That costs 1,250 dollars."]),
    ("...", []),
    ("", []),
    ("no mark at the end", ["no mark at the end"]),
    (
        "So that is a table for four, on Friday the 27th at 7:30 pm. Right?",
        ["So that is a table for four,", "on Friday the 27th at 7:30 pm.", "Right?"],
    ),
    ("Good evening, and welcome.", ["Good evening, and welcome."]),
]


def cut(text: str, sizes: list[int], **settings: int) -> list[str]:
    splitter = SentenceSplitter(**settings)
    pieces, at = [], 0
    while at < len(text):
        size = sizes.pop(0) if sizes else 1
        pieces += splitter.push(text[at : at + size])
        at += size
    return pieces + splitter.flush()


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text, [len(text)]) == expected


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences_letter_by_letter(text: str, expected: list[str]) -> None:
    # What follows a mark is not known yet, so a cut may come early, but never within a
    # title, a number or a time; joined, the text is the same.
    pieces = cut(text, [])
    assert " ".join(pieces).split() == " ".join(expected).split()
    for piece in pieces[:-1]:
        assert not (piece.endswith("p.m.") and "p.m. Would" not in text)
        assert not piece.endswith(("Dr.", "Mrs.", "J.", "no.", "e.g.", "3.", "1,"))


def test_first_clause_comes_before_the_sentence_is_complete() -> None:
    splitter = SentenceSplitter(first_clause_chars=24)
    assert splitter.push("So that is a table for four, on ") == ["So that is a table for four,"]


@given(
    st.lists(
        st.sampled_from([*"abcdefg .,!?;:—\n7AD", "Mr. ", "p.m. ", "J. ", ". ", "Yes ", "ü "]),
        max_size=300,
    ),
    st.lists(st.integers(1, 40), max_size=50),
    st.integers(40, 240),
)
def test_no_letter_is_lost_and_none_added(parts: list[str], sizes: list[int], longest: int) -> None:
    text = "".join(parts)
    pieces = cut(text, sizes, longest_chars=longest)
    assert all(len(piece) <= longest + 8 for piece in pieces)
    assert [c for c in "".join(pieces) if c.isalnum()] == [c for c in text if c.isalnum()]


def test_levels_of_a_full_scale_square_and_of_silence() -> None:
    pcm = np.concatenate([np.full(80, 32767), np.full(80, -32768), np.zeros(80), np.ones(40)])
    levels = frame_levels_db(pcm.astype(np.int16), 80)
    np.testing.assert_allclose(levels, [0.0, 0.0, -100.0], atol=1e-3)


def test_spans_bridge_short_pauses_only() -> None:
    levels = np.array([-90, -10, -10, -90, -10, -90, -90, -90, -10, -90], np.float32)
    assert voiced_spans(levels, 10, -50.0, 1) == [(10, 50), (80, 90)]
    assert voiced_spans(levels, 10, -50.0, 0) == [(10, 30), (40, 50), (80, 90)]
    assert voiced_spans(levels, 10, 0.0, 1) == []


def test_words_share_a_span_by_weight() -> None:
    assert spread_words("a b", [(100, 200)], [1.0, 3.0]) == [("a", 100, 125), ("b", 125, 200)]


def test_phrases_take_their_own_spans() -> None:
    words = spread_words("one two, three four", [(0, 100), (300, 400)], [1, 1, 1, 1])
    assert words == [("one", 0, 50), ("two,", 50, 100), ("three", 300, 350), ("four", 350, 400)]


def test_pauses_that_cannot_be_the_commas_are_ignored() -> None:
    # One word on 900 samples and three on 100 is no way to speak: the pause is not the comma's.
    words = spread_words("no, one two three", [(0, 900), (1000, 1100)], [1, 1, 1, 1])
    assert words[0] == ("no,", 0, 250)


@given(
    st.lists(st.sampled_from(["a", "word,", "7:30", "Hello.", "NATO", "—"]), max_size=20),
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 3000)), max_size=6),
)
def test_word_times_are_in_order_and_inside(
    words: list[str], stretches: list[tuple[int, int]]
) -> None:
    spans, at = [], 0
    for gap, length in stretches:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    timed = spread_words(" ".join(words), spans)
    if not spans:
        assert timed == []
        return
    assert [w for w, _, _ in timed] == words
    edges = [edge for _, a, b in timed for edge in (a, b)]
    assert edges == sorted(edges)
    if edges:
        assert edges[0] >= spans[0][0]
        assert edges[-1] == spans[-1][1]


def test_tokens_are_four_characters() -> None:
    assert [estimate_tokens("x" * n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
