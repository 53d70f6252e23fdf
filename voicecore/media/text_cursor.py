"""From samples to words: what was, is and will be heard of the agent's text.

``PlayTimeline`` knows when which play sample was on the wire; every call has one. ``TextCursor``
lays the words of one answer on it.

A word counts as heard when at least half of its audio was played; words are heard in order. With
measured word times that is within one word of what a listener would write down. Without word times
(a TTS that gives none) the text is spread evenly over the audio, at 15 characters a second while
the audio is not complete.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from voicecore.errors import RateError
from voicecore.media.events import (
    CallEvent,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutPaused,
    PlayoutReplaced,
    PlayoutStarted,
)

__all__ = ["PlayTimeline", "TextCursor", "TextPosition"]

_CHARACTERS_PER_S = 15.0  # usual speaking rate of a TTS, spaces included
_MAX_KEPT = 4096  # runs and jumps: hours of a lively call


class _Word(Protocol):
    """A ``WordTime``."""

    @property
    def text(self) -> str: ...
    @property
    def start_sample(self) -> int: ...
    @property
    def end_sample(self) -> int: ...


@dataclass(slots=True)
class _Run:
    """Agent audio without a break: play and sent sample of its beginning, and where it ended."""

    play: int
    sent: int
    end: int | None = None


class PlayTimeline:
    """Which play sample is in which sent sample, through pauses, flushes and replacements.

    Made of the call's events: ``Call.timeline`` is kept up to date by the call itself. It knows
    what the events have said so far, so of a run of audio that goes on it takes that it does.

    Args:
        play_hz: rate of the play timeline, ``Call.play_hz``.
        rate_hz: rate of the line, ``Call.rate_hz``.

    Raises:
        RateError: a rate that is not positive.

    Example:
        >>> timeline = PlayTimeline(24000, 8000)
        >>> timeline.take(PlayoutStarted(0, 0, 0, sent_sample=160))
        >>> timeline.take(PlayoutPaused(0, 2400))
        >>> timeline.play_sample(159), timeline.play_sample(170), timeline.play_sample(960)
        (None, 30, None)
        >>> timeline.sent_sample(30)
        170
    """

    def __init__(self, play_hz: int, rate_hz: int) -> None:
        for name, rate in (("play_hz", play_hz), ("rate_hz", rate_hz)):
            if rate <= 0:
                raise RateError(f"{name} is {rate}; give the call's rate")
        self.play_hz = play_hz
        self.rate_hz = rate_hz
        self._runs: list[_Run] = []
        self._jumps: list[tuple[int, int]] = []  # ascending: from the first sample dropped, to

    def take(self, event: CallEvent) -> None:
        """Take the next event of the call, whatever it is about."""
        if isinstance(event, PlayoutStarted):
            self._end(event.play_sample)
            self._begin(event.play_sample, event.sent_sample)
        elif isinstance(event, PlayoutPaused | PlayoutDrained):
            self._end(event.play_sample)
        elif isinstance(event, PlayoutFlushed):
            self._end(event.play_sample)
            self._jump(event.play_sample, event.new_sample)
        elif isinstance(event, PlayoutReplaced):
            run = self._end(event.play_sample)
            self._jump(event.play_sample, event.new_sample)
            if run is not None:  # the new source goes on where the old one stopped
                played = (event.play_sample - run.play) * self.rate_hz // self.play_hz
                self._begin(event.new_sample, run.sent + played)

    def _begin(self, play: int, sent: int) -> None:
        self._runs.append(_Run(play, sent))
        del self._runs[:-_MAX_KEPT]

    def _end(self, play: int) -> _Run | None:
        if not self._runs or self._runs[-1].end is not None:
            return None
        run = self._runs[-1]
        run.end = max(play, run.play)
        return run

    def _jump(self, first: int, last: int) -> None:
        if last > first:
            self._jumps.append((first, last))
            del self._jumps[:-_MAX_KEPT]

    def play_sample(self, sent_sample: int) -> int | None:
        """The play sample in a sent one; None if there is no agent audio in it.

        At rates without whole 20 ms (11,025, 22,050 and 44,100 Hz) within one sample. The
        resampler's delay (at most 3 ms) is not counted.
        """
        at = bisect_right(self._runs, sent_sample, key=lambda run: run.sent) - 1
        if at < 0:
            return None
        run = self._runs[at]
        play = run.play + (sent_sample - run.sent) * self.play_hz // self.rate_hz
        return play if run.end is None or play < run.end else None

    def sent_sample(self, play_sample: int) -> int | None:
        """The sent sample that has a play sample in it; None if it was dropped or has not come."""
        for run in reversed(self._runs):
            if run.play <= play_sample and (run.end is None or play_sample < run.end):
                return run.sent + (play_sample - run.play) * self.rate_hz // self.play_hz
        return None

    def dropped(self, first: int, last: int) -> int:
        """How many play samples from ``first`` up to ``last`` were thrown away unheard."""
        at = max(0, bisect_right(self._jumps, first, key=lambda jump: jump[0]) - 1)
        count = 0
        for begin, end in self._jumps[at:]:
            if begin >= last:
                break
            count += max(0, min(end, last) - max(begin, first))
        return count


@dataclass(frozen=True, slots=True)
class TextPosition:
    """A place in ``TextCursor.text``.

    Attributes:
        word: index of the word that is being said, or was said last; -1 before the first.
        character: so much of the text was said: all words before, and of this one as many
            characters as the share of its audio.
    """

    word: int
    character: int


class TextCursor:
    """The words of one answer on the call's play timeline.

    Args:
        timeline: ``Call.timeline``.

    Example:
        >>> cursor = TextCursor(PlayTimeline(1000, 8000))
        >>> cursor.begin(5000)
        >>> cursor.add_words([WordTime("Good", 0, 300), WordTime("day.", 300, 700)])
        >>> cursor.heard(5150), cursor.heard(5499), cursor.heard(5500)
        ('Good', 'Good', 'Good day.')
        >>> cursor.at(5400)
        TextPosition(word=1, character=6)
        >>> cursor.text[:6]
        'Good d'
    """

    def __init__(self, timeline: PlayTimeline) -> None:
        self._timeline = timeline
        self._base = 0
        self._first: int | None = None
        self._words: list[tuple[str, int, int]] = []
        self._text = ""
        self._samples = 0
        self._complete = False

    def begin(self, first_sample: int) -> None:
        """The next words count from this play sample: where a TTS context's audio begins."""
        self._base = first_sample
        if self._first is None:
            self._first = first_sample

    def add_words(self, words: Iterable[_Word]) -> None:
        """Words of the present context in their order, on its own timeline."""
        base = self._base
        self._words += [
            (w.text, base + w.start_sample, base + w.end_sample) for w in words if w.text
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
    def text(self) -> str:
        """All words with a space between them; without word times, of the text given to the TTS."""
        return " ".join(self._all_words())

    def heard(self, play_sample: int) -> str:
        """The words heard when ``play_sample`` is the first sample not yet played."""
        return " ".join(self._heard_words(play_sample))

    def at(self, play_sample: int) -> TextPosition:
        """Where the agent is in the text at a play sample.

        With ``Call.play_sample_at`` or ``PlayTimeline.play_sample``: at a moment, in a sent sample.
        """
        words = self._all_words()
        if not self._words:
            return self._position(words, self._spoken(play_sample, words))
        for at in range(len(words) - 1, -1, -1):
            text, start, end = self._words[at]
            if start > play_sample or self._timeline.dropped(start, start + 1):
                continue
            before = sum(len(word) + 1 for word in words[:at])
            if end <= start:
                return TextPosition(at, before + len(text))
            played = self._played(start, min(play_sample, end))
            return TextPosition(at, before + len(text) * played // (end - start))
        return TextPosition(-1, 0)

    def _all_words(self) -> list[str]:
        return [word[0] for word in self._words] if self._words else self._text.split()

    def _played(self, first: int, last: int) -> int:
        return max(0, last - first - self._timeline.dropped(first, last))

    def _heard_words(self, play_sample: int) -> list[str]:
        if not self._words:
            return self._spread(play_sample)
        heard = []
        for text, start, end in self._words:
            lost = self._timeline.dropped(start, max(end, start + 1))
            if lost and 2 * (end - start - lost) < max(end - start, 1):
                continue  # a flush or a replacement took it; what came later may be heard
            if 2 * self._played(start, min(play_sample, end)) < end - start:
                break
            if play_sample <= start:
                break  # a word without length has not begun
            heard.append(text)
        return heard

    def _spoken(self, play_sample: int, words: list[str]) -> float:
        """Characters by rule, a space behind every word."""
        if self._first is None:
            return 0.0
        played = self._played(self._first, min(play_sample, self._first + self._samples))
        if self._complete and self._samples:
            return sum(len(w) + 1 for w in words) * played / self._samples
        return played / self._timeline.play_hz * _CHARACTERS_PER_S

    def _spread(self, play_sample: int) -> list[str]:
        words = self._text.split()
        spoken = self._spoken(play_sample, words)
        heard, at = [], 0
        for word in words if self._first is not None else ():
            if at + (len(word) + 1) / 2 > spoken:
                break
            heard.append(word)
            at += len(word) + 1
        return heard

    @staticmethod
    def _position(words: list[str], spoken: float) -> TextPosition:
        at = 0
        if spoken <= 0:
            return TextPosition(-1, 0)
        for number, word in enumerate(words):
            if spoken < at + len(word) + 1 or number == len(words) - 1:
                return TextPosition(number, min(int(spoken), at + len(word)))
            at += len(word) + 1
        return TextPosition(-1, 0)
