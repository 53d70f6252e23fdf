"""Fetch the recorded prompts of the echo laboratory into the cache folder.

    python tools/fetch_echo_speech.py

Debian's asterisk-core-sounds-en-g722, -it-g722, -fr-g722 and -ru-g722 (45 MB, CC-BY-SA 3.0: to
listen to and to measure with, nothing of them is in this repository), by apt-get download and
dpkg-deb -x. Installing the packages does as well. Does nothing where the prompts are already.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from voicecore.errors import MissingModelError
from voicecore.testing.echo_speech import FAR_VOICE, NEAR_VOICES, cache_folder, prompts


def missing(voice: str) -> bool:
    try:
        prompts(voice)
    except MissingModelError:
        return True
    return False


def main() -> None:
    voices = [voice for voice in (FAR_VOICE, *NEAR_VOICES) if missing(voice)]
    if voices and not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        sys.exit(
            "apt-get and dpkg-deb are not here. Unpack asterisk-core-sounds-en-g722, -it-g722, "
            f"-fr-g722 and -ru-g722 of Debian into {cache_folder() / 'asterisk'} by hand"
        )
    for voice in voices:
        package = f"asterisk-core-sounds-{voice[:2]}-g722"
        with tempfile.TemporaryDirectory() as folder:
            got = subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=False)
            found = list(Path(folder).glob("*.deb"))
            if got.returncode or not found:
                sys.exit(f"apt-get could not fetch {package}; try apt-get update first")
            target = cache_folder() / "asterisk"
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg-deb", "-x", found[0], target], check=True)
        prompts.cache_clear()
    for voice in (FAR_VOICE, *NEAR_VOICES):
        seconds = sum(len(signal) for signal in prompts(voice)) / 16000
        print(f"{voice}: {len(prompts(voice))} prompts, {seconds:.0f} s")


if __name__ == "__main__":
    main()
