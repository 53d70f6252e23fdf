"""What was heard of an answer: from play samples to words.

Rule: a word counts as heard when at least half of its audio was played, and words are heard in
order. With measured word times the result is therefore within one word of what a listener would
write down. Without word times (a TTS that gives none) the text is spread evenly over the audio,
at 15 characters a second while the audio is not complete.
"""

from __future__ import annotations

from collections.abc import Iterable

from voicecore.errors import RateError
from voicecore.providers.base import WordTime

__all__ = ["HeardText"]

_CHARACTERS_PER_S = 15.0  # usual speaking rate of a TTS, spaces included


class HeardText:
    """The words of one answer on the call's play timeline.

    Args:
        play_hz: rate of the play timeline (``Call.play_hz``), which is the TTS's rate too.

    Example:
        >>> heard = HeardText(1000)
        >>> heard.begin(5000)
        >>> heard.add_words([WordTime("Good", 0, 300), WordTime("day.", 300, 700)])
        >>> heard.text(5150), heard.text(5499), heard.text(5500)
        ('Good', 'Good', 'Good day.')
    """

    def __init__(self, play_hz: int) -> None:
        if play_hz <= 0:
            raise RateError(f"play_hz is {play_hz}; give the call's play rate")
        self._play_hz = play_hz
        self._base = 0
        self._first: int | None = None
        self._words: list[WordTime] = []
        self._text = ""
        self._samples = 0
        self._complete = False

    def begin(self, first_sample: int) -> None:
        """The next words count from this play sample: where a TTS context's audio begins."""
        self._base = first_sample
        if self._first is None:
            self._first = first_sample

    def add_words(self, words: Iterable[WordTime]) -> None:
        """Words of the present context, on its own timeline."""
        base = self._base
        self._words += [
            WordTime(w.text, base + w.start_sample, base + w.end_sample, w.estimated)
            for w in words
            if w.text
        ]

    def add_text(self, text: str) -> None:
        """Text that was given to the TTS."""
        self._text += text

    def add_audio(self, samples: int) -> None:
        """Audio that was queued, in samples at ``play_hz``."""
        self._samples += samples

    def complete(self) -> None:
        """All audio of the answer is queued."""
        self._complete = True

    @property
    def all_text(self) -> str:
        """All text that was given to the TTS, spaces tidied."""
        return " ".join(self._text.split())

    def text(self, play_sample: int) -> str:
        """The words heard when ``play_sample`` is the first sample not yet played."""
        return " ".join(self._heard_words(play_sample))

    def _heard_words(self, play_sample: int) -> list[str]:
        if not self._words:
            return self._spread(play_sample)
        heard = []
        for word in self._words:
            if 2 * (play_sample - word.start_sample) < word.end_sample - word.start_sample:
                break
            if play_sample <= word.start_sample:
                break  # a word without length has not begun
            heard.append(word.text)
        return heard

    def _spread(self, play_sample: int) -> list[str]:
        words = self._text.split()
        if self._first is None or not words:
            return []
        played = min(max(0, play_sample - self._first), self._samples)
        total = sum(len(w) + 1 for w in words)
        if self._complete and self._samples:
            characters = total * played / self._samples
        else:
            characters = played / self._play_hz * _CHARACTERS_PER_S
        heard, at = [], 0
        for word in words:
            if at + (len(word) + 1) / 2 > characters:
                break
            heard.append(word)
            at += len(word) + 1
        return heard
