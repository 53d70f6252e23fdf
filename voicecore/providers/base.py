"""The three contracts of a conversation, and the turn detector's.

Each is a stream with explicit terminal states, cancel, and usage. Implementations MUST keep the
event loop free: anything above about half a millisecond runs in a thread or on the network.
A failure MUST raise :class:`voicecore.errors.ProviderError` (or a subclass) from the iteration,
never end the stream silently. Stamps are ``time.monotonic_ns()``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Llm",
    "LlmStream",
    "LlmUsage",
    "Message",
    "Stt",
    "SttEvent",
    "SttStream",
    "SttUsage",
    "Tts",
    "TtsChunk",
    "TtsContext",
    "TtsUsage",
    "TurnDetector",
    "WordTime",
]


@dataclass(frozen=True, slots=True)
class WordTime:
    """One word on a sample timeline.

    Attributes:
        text: the word with its punctuation, no spaces around it.
        start_sample: where it begins: on the caller's receive timeline (STT), or counted from
            the start of the TTS context's audio (TTS).
        end_sample: one past its last sample, on the same timeline.
        estimated: True if spread over the text by rule rather than measured.
    """

    text: str
    start_sample: int
    end_sample: int
    estimated: bool = False


# -- speech to text ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SttUsage:
    """What an STT stream has used: the audio that a vendor would bill."""

    audio_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class SttEvent:
    """One step of a transcript.

    Attributes:
        kind: "interim" may still change; "final" answers one finalize() and ends an utterance.
        text: the whole utterance so far (not a delta); may be empty in a final.
        stamp_ns: when it was known.
        words: word times, if the provider has them.
    """

    kind: Literal["speech_started", "interim", "eager_end", "resumed", "final"]
    text: str
    stamp_ns: int
    words: tuple[WordTime, ...] = ()


class SttStream(ABC):
    """Transcription of one call. Iterate for events; iteration ends after ``aclose``.

    The session pushes only audio inside or near speech (it is gated by the VAD), and calls
    ``finalize`` once per utterance; exactly one "final" MUST follow each ``finalize``.
    """

    @abstractmethod
    def push(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        """Take mono audio at the stream's rate; ``first_sample`` is its receive-timeline index.

        Never blocks and never awaits: queue it. Audio after a gap may follow.
        """

    @abstractmethod
    def finalize(self) -> None:
        """The utterance is over: answer with one "final"."""

    @abstractmethod
    def discard(self) -> None:
        """Forget the utterance that is being collected (it was noise); no event follows."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Events in order."""

    @property
    @abstractmethod
    def usage(self) -> SttUsage:
        """Used so far."""

    @abstractmethod
    async def aclose(self) -> None:
        """End the stream; pending work is dropped. Idempotent."""


class Stt(ABC):
    """A speech-to-text provider. ``name`` is "vendor/model", for example "moonshine/tiny-en"."""

    name: str

    @abstractmethod
    async def open(self, rate_hz: int) -> SttStream:
        """A stream for one call, for mono int16 at ``rate_hz`` (8000 or 16000)."""


# -- language model ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the conversation. An assistant's text is what the caller heard of it."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class LlmUsage:
    """Tokens of one request; ``estimated`` when the vendor's own count never came (cancel)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    estimated: bool = False


class LlmStream(ABC):
    """One answer. Iterate for text deltas; iteration ends after the last, or after ``cancel``."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[str]:
        """Text deltas in order, spaces included."""

    @abstractmethod
    async def cancel(self) -> None:
        """Stop producing; idempotent."""

    @property
    @abstractmethod
    def usage(self) -> LlmUsage:
        """Used so far; valid after the end and after a cancel too."""

    @property
    def ends_call(self) -> bool:
        """Whether the agent means to hang up after this answer; valid after the iteration."""
        return False


class Llm(ABC):
    """A language model or dialogue provider."""

    name: str

    @abstractmethod
    def stream(self, messages: Sequence[Message]) -> LlmStream:
        """Start an answer to the conversation so far (system first, oldest first).

        The last message is the user's, except for the opening: then there is no user message yet
        and the answer is the greeting.
        """


# -- text to speech ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TtsUsage:
    """Characters that a vendor would bill, and the audio made."""

    characters: int = 0
    audio_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class TtsChunk:
    """A piece of speech.

    Attributes:
        pcm: mono int16 at the provider's ``rate_hz``.
        words: the words whose audio starts in this chunk, on the context's timeline.
        stamp_ns: when it was ready.
    """

    pcm: NDArray[np.int16]
    words: tuple[WordTime, ...] = ()
    stamp_ns: int = 0


class TtsContext(ABC):
    """One answer being spoken.

    Iterate for audio; iteration ends once ``end`` was called and all text is spoken, or after
    ``cancel``.
    """

    @abstractmethod
    def append(self, text: str) -> None:
        """Take more text; synthesis starts as soon as a sentence is complete. Never blocks."""

    @abstractmethod
    def flush(self) -> None:
        """Speak what is collected now, complete sentence or not."""

    @abstractmethod
    def end(self) -> None:
        """No more text will come; implies ``flush``."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[TtsChunk]:
        """Audio in order."""

    @abstractmethod
    async def cancel(self) -> None:
        """Stop; idempotent. ``usage`` then says what is billable."""

    @property
    @abstractmethod
    def usage(self) -> TtsUsage:
        """Used so far."""


class Tts(ABC):
    """A text-to-speech provider with a fixed output rate."""

    name: str
    rate_hz: int

    @abstractmethod
    async def open(self) -> TtsContext:
        """A context for one answer."""


# -- end of turn ---------------------------------------------------------------------------


class TurnDetector(ABC):
    """Decides from the sound whether the caller has finished."""

    name: str

    @abstractmethod
    async def predict(self, pcm: NDArray[np.int16], rate_hz: int) -> float:
        """Probability 0..1 that the turn is complete.

        ``pcm`` is the turn's audio so far, mono int16, trailing silence included; the last 8 s
        count.
        """
