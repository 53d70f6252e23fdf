"""Settings of a session: one small group each for listening, thinking and speaking."""

from __future__ import annotations

from dataclasses import dataclass, field

from voicecore.errors import ConfigError
from voicecore.media.ranges import within

__all__ = ["BACKCHANNELS", "ListenSettings", "SessionConfig", "SpeakSettings", "ThinkSettings"]

BACKCHANNELS = frozenset(
    {
        "ah",
        "aha",
        "alright",
        "got it",
        "hm",
        "hmm",
        "i see",
        "mhm",
        "mm",
        "mm-hmm",
        "mmm",
        "oh",
        "ok",
        "okay",
        "right",
        "sure",
        "uh",
        "uh-huh",
        "um",
        "yeah",
        "yep",
        "yes",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """How the caller's turn is collected and ended.

    Attributes:
        turn_threshold: turn probability at which the caller has finished, 0..1.
        turn_wait_ms: silence after which the turn ends whatever the detector says, 200..10000.
            Without a detector this is the endpointing time.
        final_timeout_ms: longest wait for a final transcript, 100..60000.
        preroll_ms: audio before the detected start of speech that the STT gets too, 0..1000.
        audio_poll_ms: how often received audio is fetched while the caller speaks, 10..200.
        digits_wait_ms: pause after a key (DTMF) that ends a number, 200..10000; "#" ends it too.
        max_silence_ms: silence of both after which the agent asks, 0 (never) or 1000..600000.
        max_silence_lines: how often it asks before it hangs up, 0..10.
    """

    turn_threshold: float = 0.5
    turn_wait_ms: int = 1200
    final_timeout_ms: int = 5000
    preroll_ms: int = 250
    audio_poll_ms: int = 20
    digits_wait_ms: int = 1500
    max_silence_ms: int = 20_000
    max_silence_lines: int = 2

    def __post_init__(self) -> None:
        """Check every range."""
        within("turn_threshold", self.turn_threshold, 0.0, 1.0)
        within("turn_wait_ms", self.turn_wait_ms, 200, 10_000)
        within("final_timeout_ms", self.final_timeout_ms, 100, 60_000)
        within("preroll_ms", self.preroll_ms, 0, 1000)
        within("audio_poll_ms", self.audio_poll_ms, 10, 200)
        within("digits_wait_ms", self.digits_wait_ms, 200, 10_000)
        if self.max_silence_ms != 0:
            within("max_silence_ms", self.max_silence_ms, 1000, 600_000)
        within("max_silence_lines", self.max_silence_lines, 0, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkSettings:
    """How an answer is made, and what happens when it cannot be made.

    Attributes:
        system_prompt: the system message; empty for none.
        reply_timeout_ms: longest time without progress of an answer, 500..120000.
        max_failures: failed turns in a row after which the agent says farewell and hangs up, 1..20.
    """

    system_prompt: str = ""
    reply_timeout_ms: int = 10_000
    max_failures: int = 3

    def __post_init__(self) -> None:
        """Check every range."""
        _text("system_prompt", self.system_prompt)
        within("reply_timeout_ms", self.reply_timeout_ms, 500, 120_000)
        within("max_failures", self.max_failures, 1, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakSettings:
    """What the agent says by itself, and what may interrupt it.

    Attributes:
        agent_first: the agent opens the conversation.
        greeting: its opening line; empty lets the language model make one.
        half_duplex: the caller cannot interrupt; speech over the agent is not listened to.
        confirm_words: words (backchannels do not count) that confirm a barge-in, 1..10.
        confirm_ms: speech that confirms a barge-in without words, 100..5000.
        backchannels: words and phrases that show attention and ask for nothing.
        backchannel_max_ms: voiced time from which backchannels confirm too, 100..5000.
        apology: said when a provider failed.
        silence_line: said when nobody has spoken for ``max_silence_ms``.
        farewell: said before the agent hangs up by itself.
        hang_up_delay_ms: time for the last packets to be heard before the call is closed, 0..5000.
    """

    agent_first: bool = True
    greeting: str = ""
    half_duplex: bool = False
    confirm_words: int = 1
    confirm_ms: int = 800
    backchannels: frozenset[str] = BACKCHANNELS
    backchannel_max_ms: int = 800
    apology: str = "Sorry, I had a problem there. Could you say that again, please?"
    silence_line: str = "Are you still there?"
    farewell: str = "I have to end the call now. Goodbye."
    hang_up_delay_ms: int = 200

    def __post_init__(self) -> None:
        """Check every range."""
        _switch("agent_first", self.agent_first)
        _switch("half_duplex", self.half_duplex)
        within("confirm_words", self.confirm_words, 1, 10)
        within("confirm_ms", self.confirm_ms, 100, 5000)
        within("backchannel_max_ms", self.backchannel_max_ms, 100, 5000)
        within("hang_up_delay_ms", self.hang_up_delay_ms, 0, 5000)
        _text("greeting", self.greeting)
        for name in ("apology", "silence_line", "farewell"):
            _text(name, getattr(self, name))
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} is empty; give a line that the agent can say")
        if not isinstance(self.backchannels, frozenset):
            raise ConfigError("backchannels must be a frozenset of words and phrases")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """All settings of a session.

    Example:
        >>> SessionConfig(speaking=SpeakSettings(greeting="Hello!")).listening.turn_wait_ms
        1200
    """

    listening: ListenSettings = field(default_factory=ListenSettings)
    thinking: ThinkSettings = field(default_factory=ThinkSettings)
    speaking: SpeakSettings = field(default_factory=SpeakSettings)

    def __post_init__(self) -> None:
        """Check the groups' types: a dict here would fail much later."""
        for name, kind in (
            ("listening", ListenSettings),
            ("thinking", ThinkSettings),
            ("speaking", SpeakSettings),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name} must be a {kind.__name__}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}; it must be text")


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; it must be True or False")
