"""Which words of a transcript ask for something, and which only show attention."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Backchannels"]


def _plain(word: str) -> str:
    """Letters and digits only, lower case: "Uh-huh," and "uh huh" meet here."""
    return "".join(c for c in word.lower() if c.isalnum())


class Backchannels:
    """A set of backchannel words and phrases.

    Example:
        >>> Backchannels(["uh-huh", "i see"]).other_words("Uh-huh, I see. Stop!")
        1
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        joined = {tuple(p for w in phrase.split() if (p := _plain(w))) for phrase in phrases}
        # "uh-huh" must match "uh huh" too: compare phrases with their spaces taken out.
        self._phrases = frozenset("".join(words) for words in joined if words)
        self._longest_words = 1 + max((len(words) for words in joined), default=0)

    def other_words(self, text: str) -> int:
        """How many words of ``text`` are not backchannels; 0 for an empty text."""
        words = [p for w in text.split() if (p := _plain(w))]
        count = at = 0
        while at < len(words):
            for length in range(min(self._longest_words, len(words) - at), 0, -1):
                if "".join(words[at : at + length]) in self._phrases:
                    at += length
                    break
            else:
                count += 1
                at += 1
        return count
