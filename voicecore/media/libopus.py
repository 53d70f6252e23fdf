"""Where libopus is looked for, and what to say when it is not there."""

from __future__ import annotations

import os

from voicecore.errors import MissingLibraryError

__all__ = ["library_path", "missing_libopus"]


def library_path() -> bytes | None:
    """The path that VOICECORE_LIBOPUS names, or None for the usual names."""
    path = os.environ.get("VOICECORE_LIBOPUS")
    return os.fsencode(path) if path else None


def missing_libopus(path: bytes | None) -> MissingLibraryError:
    """The error for a libopus that could not be loaded."""
    where = "" if path is None else f" at VOICECORE_LIBOPUS={os.fsdecode(path)}"
    return MissingLibraryError(
        f"Opus takes libopus, which is not here{where}; install it: apt install libopus0 "
        "(Debian, Ubuntu), dnf install opus (Fedora), apk add opus (Alpine) or "
        "brew install opus (macOS)"
    )
