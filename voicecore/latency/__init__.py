"""Where the time of a turn goes: hops from stamps, and gaps measured in the recording itself."""

from __future__ import annotations

from voicecore.latency.waterfall import HOP_NAMES, Hop, Row, TurnStampsLike, Waterfall
from voicecore.latency.wave import Gap, Utterance, find_utterances, measure_gaps

__all__ = [
    "HOP_NAMES",
    "Gap",
    "Hop",
    "Row",
    "TurnStampsLike",
    "Utterance",
    "Waterfall",
    "find_utterances",
    "measure_gaps",
]
