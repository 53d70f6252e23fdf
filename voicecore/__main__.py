"""``python -m voicecore`` is the ``voicecore`` command."""

from __future__ import annotations

from voicecore.cli import main

if __name__ == "__main__":
    main()
