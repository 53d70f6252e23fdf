"""call.jsonl: every event of a call with its stamp, one JSON object a line.

Each line has ``stamp_ns`` (CLOCK_MONOTONIC), ``ms`` (since the origin of call.wav), ``source``
(who reports: "agent-leg", "caller-leg", "session", "caller", "stt", ...) and ``event`` (its kind);
the rest are the event's own fields. Lines are in the order of their stamps. The journal holds
what was said, so treat the file as you treat the recording.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Journal", "plain"]


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: dataclasses and mappings to objects, audio to its length."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return {"samples": int(value.size)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": len(value)}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return repr(value)


def _kind(name: str) -> str:
    """SpeechStarted -> speech_started."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class Journal:
    """Collects events.

    Args:
        max_lines: what comes after is dropped and counted (``dropped``).

        journal = Journal()
        journal.add("agent-leg", event)                       # a dataclass with stamp_ns
        journal.note("caller", "line_started", stamp_ns, text="Hello")
        journal.write(Path("call.jsonl"), origin_ns)
    """

    def __init__(self, max_lines: int = 200_000) -> None:
        self.dropped = 0
        self._max_lines = max_lines
        self._lines: list[dict[str, Any]] = []

    def add(self, source: str, event: Any, stamp_ns: int | None = None) -> None:
        """Take an event object; its class names the kind, its fields are kept."""
        fields = plain(event)
        if not isinstance(fields, dict):
            fields = {"value": fields}
        stamp = fields.pop("stamp_ns", None) if stamp_ns is None else stamp_ns
        self.note(source, _kind(type(event).__name__), int(stamp or 0), **fields)

    def note(self, source: str, event: str, stamp_ns: int, /, **fields: Any) -> None:
        """Take an event given by its kind and fields."""
        if len(self._lines) >= self._max_lines:
            self.dropped += 1
            return
        line: dict[str, Any] = {"stamp_ns": stamp_ns, "ms": 0.0, "source": source, "event": event}
        for name, value in fields.items():
            line[name + "_" if name in line else name] = plain(value)
        self._lines.append(line)

    def lines(self, origin_ns: int) -> list[dict[str, Any]]:
        """All events in the order of their stamps, with ``ms`` counted from ``origin_ns``."""
        ordered = sorted(self._lines, key=lambda line: line["stamp_ns"])
        return [{**line, "ms": round((line["stamp_ns"] - origin_ns) / 1e6, 3)} for line in ordered]

    def write(self, path: Path, origin_ns: int) -> int:
        """Write the file; returns the number of lines."""
        lines = self.lines(origin_ns)
        with path.open("w", encoding="utf-8") as out:
            for line in lines:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
        return len(lines)
