"""Text on its way to speech: sentences out of a stream of deltas, and words spread over audio.

Word times are estimates: a word's share of the voiced audio is taken as its share of the text's
weight. Where the audio has as many clear pauses as the text has inner punctuation marks, each
phrase is spread over its own stretch, which keeps the error from running on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SentenceSplitter",
    "estimate_tokens",
    "frame_levels_db",
    "spread_words",
    "voiced_spans",
    "word_weight",
]

_TITLE_WORDS = """mr mrs ms dr prof st rev gen col capt lt sgt jr sr no vs fig approx e.g i.e"""
_TITLES = frozenset(_TITLE_WORDS.split())
_MAY_END = frozenset(["a.m", "p.m", "am", "pm", "etc", "inc", "ltd", "co", "u.s", "u.k"])
_AFTER_TIME = re.compile(
    r"(?:on|in|at|for|and|or|to|sharp|today|tonight|tomorrow"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    re.IGNORECASE,
)
_END = re.compile(r"([.!?…]+)[\"”’')\]]*(\s+)|\n+")
_PHRASE_END = re.compile(r"(?<!\.[^\W\d_])[,;:.!?…—–][\"”’')]*$")
_CLAUSE = re.compile(r"[,;:—–]\s+")


class SentenceSplitter:
    """Cuts a stream of text into pieces to be spoken one by one.

    A piece is a sentence. The first piece may end at a comma already, so that the first audio
    comes early; a sentence longer than ``longest_chars`` is cut at a clause or a space.

    Args:
        first_clause_chars: the least length of a first piece that ends at a comma; 0: never.
        longest_chars: the greatest length of a piece.

    Example:
        >>> splitter = SentenceSplitter()
        >>> splitter.push("We close at 11 p.m. Would you like ")
        ['We close at 11 p.m.']
        >>> splitter.flush()
        ['Would you like']
    """

    def __init__(self, first_clause_chars: int = 24, longest_chars: int = 240) -> None:
        self._first_clause_chars = first_clause_chars
        self._longest_chars = longest_chars
        self._text = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        """Take more text; the pieces that are complete now."""
        self._text += text
        pieces: list[str] = []
        while (cut := self._cut()) is not None:
            self._take(cut, pieces)
        return pieces

    def flush(self) -> list[str]:
        """Whatever is left, complete or not."""
        pieces = self.push("")
        self._take(len(self._text), pieces)
        return pieces

    def _take(self, cut: int, pieces: list[str]) -> None:
        piece, self._text = self._text[:cut].strip(), self._text[cut:]
        if any(c.isalnum() for c in piece):
            pieces.append(" ".join(piece.split()))
            self._first = False

    def _cut(self) -> int | None:
        sentence = self._sentence_end()
        if self._first and self._first_clause_chars:
            for mark in _CLAUSE.finditer(self._text, self._first_clause_chars):
                # A short rest is not worth the break in the melody.
                if sentence is not None and mark.end() + 12 > sentence:
                    break
                return mark.end()
        if sentence is None and len(self._text) <= self._longest_chars:
            return None
        if sentence is not None and sentence <= self._longest_chars + 8:
            return sentence
        head = self._text[: self._longest_chars]
        marks = list(_CLAUSE.finditer(head, self._longest_chars // 3))
        if marks:
            return marks[-1].end()
        space = head.rfind(" ")
        return space + 1 if space > 0 else self._longest_chars

    def _sentence_end(self) -> int | None:
        for found in _END.finditer(self._text):
            marks = found.group(1)
            if marks is None or set(marks) & set("!?") or "\n" in found.group(2):
                return found.end()
            word = self._text[: found.start()].rsplit(None, 1)[-1:] or [""]
            last = word[0].lstrip("(\"“'‘").lower()
            rest = self._text[found.end() :]
            if last in _TITLES or (len(last) == 1 and last.isalpha() and last != "i"):
                continue
            if last in _MAY_END:
                if rest and (rest[0].islower() or rest[0].isdigit() or _AFTER_TIME.match(rest)):
                    continue
                if not re.search(r"[^\w']", rest):
                    return None  # the next word decides, and it is not whole yet
            elif rest and rest[0].islower():
                continue
            return found.end()
        return None


def estimate_tokens(text: str) -> int:
    """About how many tokens a language model would count: four characters a token."""
    return (len(text) + 3) // 4


def word_weight(word: str) -> float:
    """How long a word takes to say, in letters: digits are read out, a word has some overhead."""
    letters = sum(c.isalpha() for c in word)
    digits = sum(c.isdigit() for c in word)
    capitals = sum(c.isupper() for c in word) if word.isupper() and letters > 1 else 0
    return 1.5 + letters + 3.5 * digits + 1.5 * capitals


def frame_levels_db(pcm: NDArray[np.int16], frame_samples: int) -> NDArray[np.float32]:
    """The level of each whole frame in dB of full scale, -100 at the least."""
    frames = len(pcm) // frame_samples
    x = pcm[: frames * frame_samples].astype(np.float32).reshape(frames, frame_samples)
    power = np.einsum("ij,ij->i", x, x) / (frame_samples * 32768.0**2)
    levels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(power, 1e-10))).astype(np.float32)
    return levels


def voiced_spans(
    levels_db: NDArray[np.float32], frame_samples: int, threshold_db: float, bridge_frames: int
) -> list[tuple[int, int]]:
    """The stretches above the threshold in samples; pauses up to ``bridge_frames`` are bridged."""
    loud = np.flatnonzero(levels_db > threshold_db)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > bridge_frames + 1)
    starts = loud[np.r_[0, breaks + 1]]
    ends = loud[np.r_[breaks, len(loud) - 1]] + 1
    return [
        (int(a) * frame_samples, int(b) * frame_samples) for a, b in zip(starts, ends, strict=True)
    ]


def spread_words(
    text: str, spans: Sequence[tuple[int, int]], weights: Sequence[float] | None = None
) -> list[tuple[str, int, int]]:
    """Words with their estimated start and end, spread over the voiced ``spans`` (in samples).

    ``weights`` are the words' shares, one a word; by default :func:`word_weight`.
    """
    words = text.split()
    if not words or not spans:
        return []
    if weights is None or len(weights) != len(words):
        weights = [word_weight(word) for word in words]
    inner = [i + 1 for i, word in enumerate(words[:-1]) if _PHRASE_END.search(word)]
    if inner and len(spans) == len(inner) + 1:
        edges = [0, *inner, len(words)]
        phrases = list(zip(edges, edges[1:], spans, strict=False))
        rates = [sum(weights[a:b]) / (span[1] - span[0]) for a, b, span in phrases]
        # Pauses that come in the right number may still be the wrong ones.
        if max(rates) < 1.8 * min(rates):
            return [
                timed
                for a, b, span in phrases
                for timed in _spread(words[a:b], weights[a:b], [span])
            ]
    return _spread(words, weights, spans)


def _spread(
    words: Sequence[str], weights: Sequence[float], spans: Sequence[tuple[int, int]]
) -> list[tuple[str, int, int]]:
    lengths = np.array([b - a for a, b in spans], np.float64)
    before = np.r_[0.0, np.cumsum(lengths)]
    marks = np.r_[0.0, np.cumsum(weights)] * (before[-1] / max(sum(weights), 1e-9))

    def at(position: float, side: str) -> int:
        # The end of one span and the start of the next are the same position: the side decides.
        k = int(np.searchsorted(before, position, "right" if side == "start" else "left")) - 1
        k = min(max(k, 0), len(spans) - 1)
        return round(spans[k][0] + float(position - before[k]))

    marks[-1] = before[-1]
    return [
        (word, at(marks[i], "start"), max(at(marks[i + 1], "end"), at(marks[i], "start")))
        for i, word in enumerate(words)
    ]
