"""Settings of the barge-in gate."""

from __future__ import annotations

from dataclasses import dataclass

from voicecore.errors import ConfigError
from voicecore.media.ranges import within

__all__ = ["GateSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """When the gate takes sound for the caller's interruption, and what it does then.

    Each VAD window of 32 ms adds the log odds of its speech probability over the neutral one, at
    most 2 either way; the sum never falls below zero, and the gate fires when it has reached
    ``evidence`` (a cumulative sum test, Page 1954). With the defaults one window of 0.82 and more
    is enough, or several lesser ones. It fires once in a stretch of speech.

    Attributes:
        action: "pause" stops the playout at once, or does not let it begin; "duck" turns it down to
            ``duck_db`` until the caller stops; "none" does nothing.
        neutral_probability: of speech; a window of more speaks for a caller, 0.01..0.99.
        evidence: natural logarithm of the odds that are asked for, 0.1..20.
        min_speech_ms: the gate never fires before the stretch is so long, 0..1000.
        min_snr_db: windows that stand out of the background by less are no speech, 0..60.
        max_echo_likelihood: windows that are more likely echo than this are none either, 0..1; 1
            lets all pass.

    Raises:
        ConfigError: a setting outside its range.

    Example::

        # An agent that is not easily interrupted:
        CallConfig(speaking=GateSettings(evidence=4.0, min_speech_ms=192))
    """

    action: str = "pause"
    neutral_probability: float = 0.38
    evidence: float = 2.0
    min_speech_ms: int = 0
    min_snr_db: float = 3.0
    max_echo_likelihood: float = 0.5

    def __post_init__(self) -> None:
        """Check every range."""
        if self.action not in ("pause", "duck", "none"):
            raise ConfigError(f"action {self.action!r} is unknown; use 'pause', 'duck' or 'none'")
        within("neutral_probability", self.neutral_probability, 0.01, 0.99)
        within("evidence", self.evidence, 0.1, 20.0)
        within("min_speech_ms", self.min_speech_ms, 0, 1000)
        within("min_snr_db", self.min_snr_db, 0.0, 60.0)
        within("max_echo_likelihood", self.max_echo_likelihood, 0.0, 1.0)
