"""What is kept of a turn: its stamps, its texts, its usage.

Every stamp is CLOCK_MONOTONIC nanoseconds; 0 means that it did not happen. The latency ledger cuts
the stamps into hops, the cost ledger prices the usage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicecore.providers.base import LlmUsage, SttUsage, TtsUsage

__all__ = ["ProviderFailure", "TurnRecord", "TurnStamps"]


@dataclass(frozen=True, slots=True)
class TurnStamps:
    """The moments of one turn, in the order in which they usually happen.

    Attributes:
        caller_end_ns: arrival of the last audible caller sample (see ``audio.last_audible``).
        vad_stopped_ns: the shard reported that the caller is silent.
        turn_decided_ns: the detector, or the wait for silence, said that the turn is over.
        transcript_final_ns: the last final transcript of the turn.
        reply_started_ns: the language model was asked (or a fixed line was begun).
        first_token_ns: its first text came.
        first_clause_ns: the first text was given to the TTS.
        first_audio_ns: the first TTS chunk came.
        queued_ns: its first samples were in the call's play queue.
        first_packet_ns: the packet with the first of them was sent.
        agent_onset_ns: the first audible agent sample was sent.
    """

    caller_end_ns: int = 0
    vad_stopped_ns: int = 0
    turn_decided_ns: int = 0
    transcript_final_ns: int = 0
    reply_started_ns: int = 0
    first_token_ns: int = 0
    first_clause_ns: int = 0
    first_audio_ns: int = 0
    queued_ns: int = 0
    first_packet_ns: int = 0
    agent_onset_ns: int = 0

    @property
    def mouth_to_ear_ms(self) -> float | None:
        """From the caller's last sound to the agent's first, or None if one did not happen."""
        if not self.caller_end_ns or not self.agent_onset_ns:
            return None
        return (self.agent_onset_ns - self.caller_end_ns) / 1e6


@dataclass(frozen=True, slots=True)
class ProviderFailure:
    """A provider failed.

    Attributes:
        stage: "stt", "llm", "tts" or "turn".
        provider: the provider's name.
        message: the error's type and text, as the provider gave it.
        stamp_ns: when it was noticed.
    """

    stage: str
    provider: str
    message: str
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn: what the caller said, and the agent's answer to it.

    Attributes:
        index: 0 for the first turn of the session (the greeting, if the agent speaks first).
        caller_text: the final transcript; empty for a greeting or a reminder.
        agent_text: all text that the agent meant to say.
        heard_text: the words of it whose audio was played out.
        interrupted: True if the caller cut the answer short.
        ended: "finished", "interrupted", "failed" or "closed".
        stamps: when things happened.
        turn_probability: what the turn detector said last, or None.
        stt: audio used since the turn before.
        llm: tokens of the turn, withdrawn attempts included.
        tts: characters and audio of the turn, withdrawn attempts included.
        failures: providers that failed during the turn.
    """

    index: int
    caller_text: str = ""
    agent_text: str = ""
    heard_text: str = ""
    interrupted: bool = False
    ended: str = "finished"
    stamps: TurnStamps = field(default_factory=TurnStamps)
    turn_probability: float | None = None
    stt: SttUsage = field(default_factory=SttUsage)
    llm: LlmUsage = field(default_factory=LlmUsage)
    tts: TtsUsage = field(default_factory=TtsUsage)
    failures: tuple[ProviderFailure, ...] = ()
