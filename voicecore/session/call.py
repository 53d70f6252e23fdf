"""What a session needs of a call; the engine's ``Call`` and the virtual calls have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voicecore.media.config import CallConfig
from voicecore.media.events import CallEvent
from voicecore.media.text_cursor import PlayTimeline

__all__ = ["SessionCall"]


class SessionCall(Protocol):
    """The part of the Call API (docs/engine.md) that a session uses."""

    @property
    def config(self) -> CallConfig:
        """The call's settings."""

    @property
    def rate_hz(self) -> int:
        """Rate of the received audio."""

    @property
    def play_hz(self) -> int:
        """Rate of the agent's audio."""

    @property
    def timeline(self) -> PlayTimeline:
        """Which play sample was sent when."""

    @property
    def queued_ms(self) -> float:
        """Agent audio queued and not yet sent."""

    @property
    def queue_position(self) -> int:
        """Play sample that the next ``play`` starts at."""

    @property
    def play_position(self) -> int:
        """First play sample not yet sent."""

    def __aiter__(self) -> AsyncIterator[CallEvent]:
        """Events in order, until ``CallClosed``."""

    def read_audio(self) -> tuple[NDArray[np.int16], int]:
        """Received audio since the last read, and the index of its first sample."""

    def play(self, pcm: NDArray[np.int16]) -> int:
        """Queue what fits; returns samples taken."""

    async def play_all(self, pcm: NDArray[np.int16]) -> None:
        """Queue all of it, waiting for room."""

    def end_segment(self) -> None:
        """The audio queued so far is complete."""

    def set_thinking(self, thinking: bool) -> None:
        """Whether an answer is on its way of which nothing sounds yet."""

    def mark(self, mark_id: int) -> int:
        """A mark at the end of the queue."""

    def pause(self) -> None:
        """Fade and freeze."""

    def resume(self) -> None:
        """Go on at the exact sample."""

    def flush(self) -> None:
        """Throw away what is queued."""

    async def close(self) -> None:
        """End the call; idempotent."""
