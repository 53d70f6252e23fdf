"""The ``voicecore`` command: demo, bench, doctor, jitter-lab, version.

It needs typer and rich, which the core wheel does not pull in; without them ``main`` says how to
get them.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_NEEDED = {"typer", "rich", "click"}


def main() -> None:
    """Entry point of the ``voicecore`` command."""
    try:
        from voicecore.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(
            f"voicecore: the command line needs {error.name}, which is not installed.\n"
            'Install it with: pip install "voicecore-media[demo]"',
            file=sys.stderr,
        )
        sys.exit(1)
    run()
