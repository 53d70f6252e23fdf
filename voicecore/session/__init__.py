"""The conversation on one call: a pure state machine, and the driver that moves things for it."""

from __future__ import annotations

from voicecore.session.config import (
    BACKCHANNELS,
    ListenSettings,
    SessionConfig,
    SpeakSettings,
    ThinkSettings,
)
from voicecore.session.driver import Observer, Session
from voicecore.session.machine import SessionMachine
from voicecore.session.records import ProviderFailure, TurnRecord, TurnStamps

__all__ = [
    "BACKCHANNELS",
    "ListenSettings",
    "Observer",
    "ProviderFailure",
    "Session",
    "SessionConfig",
    "SessionMachine",
    "SpeakSettings",
    "ThinkSettings",
    "TurnRecord",
    "TurnStamps",
]
