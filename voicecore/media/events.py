"""What a call reports to Python. Past-tense, immutable, one class per kind.

Every stamp is CLOCK_MONOTONIC nanoseconds, every position a sample index: ``sample`` counts
received samples at the call's rate, ``play_sample`` counts samples of agent audio that were
queued with ``Call.play``, at the call's play rate.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BargedIn",
    "ByeReceived",
    "CallClosed",
    "CallEvent",
    "DtmfReceived",
    "Ducked",
    "EventsLost",
    "MarkReached",
    "PlayoutDrained",
    "PlayoutFlushed",
    "PlayoutPaused",
    "PlayoutReplaced",
    "PlayoutStarted",
    "RtpTimedOut",
    "SpeechStarted",
    "SpeechStopped",
    "Unducked",
    "WordReached",
]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Base of all events of a call.

    Attributes:
        stamp_ns: when the shard made the event.
    """

    stamp_ns: int


@dataclass(frozen=True, slots=True)
class SpeechStarted(CallEvent):
    """The caller began to speak.

    Attributes:
        sample: first received sample of the speech (with the VAD's own resolution of 32 ms).
        audio_ns: when that sample arrived.
    """

    sample: int
    audio_ns: int


@dataclass(frozen=True, slots=True)
class SpeechStopped(CallEvent):
    """The caller has been silent for the call's ``min_silence_ms``.

    Attributes:
        sample: first received sample after the speech.
        audio_ns: when that sample arrived.
    """

    sample: int
    audio_ns: int


@dataclass(frozen=True, slots=True)
class BargedIn(CallEvent):
    """The native gate fired: the playout is paused already, or will not begin.

    Answer with ``Call.flush()`` (confirmed) or ``Call.resume()`` (false alarm).

    Attributes:
        sample: first received sample of the caller's speech.
        play_sample: the agent's audio was heard up to here; resume continues at this sample.
        audio_ns: when ``sample`` arrived.
    """

    sample: int
    play_sample: int
    audio_ns: int


@dataclass(frozen=True, slots=True)
class PlayoutStarted(CallEvent):
    """Agent audio left again after the playout was idle, paused or flushed.

    Attributes:
        play_sample: the first sample in the packet.
        packet_ns: when the packet was sent; its first sample counts as heard then.
        sent_sample: the same by index: samples sent before it, as ``Call.read_sent`` counts them.
    """

    play_sample: int
    packet_ns: int
    sent_sample: int = 0


@dataclass(frozen=True, slots=True)
class PlayoutDrained(CallEvent):
    """All queued agent audio has left.

    Attributes:
        play_sample: one past the last sample sent.
        underrun: True if nobody had said with ``Call.end_segment`` that the audio ends here.
    """

    play_sample: int
    underrun: bool


@dataclass(frozen=True, slots=True)
class PlayoutPaused(CallEvent):
    """Agent audio that sounded has been faded out: ``Call.pause``, or the gate.

    Attributes:
        play_sample: it was heard up to here; resume continues at this sample.
    """

    play_sample: int


@dataclass(frozen=True, slots=True)
class PlayoutFlushed(CallEvent):
    """A flush has been carried out; one for each ``Call.flush``.

    Attributes:
        play_sample: agent audio was heard up to here.
        new_sample: the play timeline goes on here; what lies between was thrown away.
    """

    play_sample: int
    new_sample: int


@dataclass(frozen=True, slots=True)
class MarkReached(CallEvent):
    """The playout passed a mark.

    Attributes:
        mark_id: the number given to ``Call.mark``.
        play_sample: where the mark stood.
        flushed: True if the audio before the mark was thrown away by a flush.
    """

    mark_id: int
    play_sample: int
    flushed: bool


@dataclass(frozen=True, slots=True)
class WordReached(CallEvent):
    """A word of ``Call.play_words`` has begun to sound.

    Attributes:
        word: its number.
        play_sample: its first sample.
    """

    word: int
    play_sample: int


@dataclass(frozen=True, slots=True)
class Ducked(CallEvent):
    """The agent's audio is being turned down to the call's ``duck_db``; it still counts as heard.

    Attributes:
        play_sample: the ramp begins here.
    """

    play_sample: int


@dataclass(frozen=True, slots=True)
class Unducked(CallEvent):
    """The agent's audio is being turned up again, or a flush ended the ducking.

    Attributes:
        play_sample: the ramp begins here.
    """

    play_sample: int


@dataclass(frozen=True, slots=True)
class PlayoutReplaced(CallEvent):
    """A new source has taken over; see ``Call.replace``.

    Attributes:
        play_sample: the old source was heard up to here.
        new_sample: first play sample of the new source, which is heard from here on.
    """

    play_sample: int
    new_sample: int


@dataclass(frozen=True, slots=True)
class DtmfReceived(CallEvent):
    """The caller pressed a key (RFC 4733).

    Attributes:
        digit: '0'-'9', '*', '#', 'A'-'D'.
        sample: received samples so far.
    """

    digit: str
    sample: int


@dataclass(frozen=True, slots=True)
class ByeReceived(CallEvent):
    """The other side has left the RTP session (RTCP BYE); the call itself is still open."""


@dataclass(frozen=True, slots=True)
class RtpTimedOut(CallEvent):
    """No packet has come in for the call's ``rtp_timeout_ms``."""


@dataclass(frozen=True, slots=True)
class EventsLost(CallEvent):
    """The loop was away for so long that the event queue was full.

    Attributes:
        count: events of this engine that were dropped since the last report.
    """

    count: int


@dataclass(frozen=True, slots=True)
class CallClosed(CallEvent):
    """The call has ended; nothing comes after this event."""
