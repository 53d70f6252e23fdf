"""The embedded models, loaded once for all tests here, and what their tests measure with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicecore.providers._models import package_dir

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    loading = {"moonshine", "hibari", "smart_turn"}
    for item in items:
        if loading & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.models)


@pytest.fixture(scope="session")
def moonshine() -> Any:
    """The loaded Moonshine model."""
    from voicecore.providers.stt._moonshine_model import MoonshineModel
    from voicecore.providers.stt.moonshine import moonshine_dir

    return MoonshineModel(moonshine_dir())


@pytest.fixture(scope="session")
def hibari() -> Any:
    """A loaded HibariTts."""
    from voicecore.providers.tts.hibari import HibariTts

    tts = HibariTts()
    tts.load()
    yield tts
    tts.close()


@pytest.fixture(scope="session")
def smart_turn() -> Any:
    """A loaded SmartTurn."""
    from voicecore.providers.turn.smart_turn import SmartTurn

    turn = SmartTurn()
    turn.load()
    yield turn
    turn.close()


@pytest.fixture(scope="session")
def assets() -> Path:
    """The recordings in the moonshine-voice package."""
    package = package_dir("moonshine_voice")
    assert package is not None, 'pip install "moonshine-voice==0.0.73"'
    return package / "assets"


@pytest.fixture(scope="session")
def word_errors() -> Callable[[str, str], int]:
    """Substitutions, insertions and deletions (Levenshtein over words) against a reference."""

    def words(text: str) -> list[str]:
        text = re.sub(r"\bp\.? ?m\b\.?", "pm", text.lower()).replace("-", "")
        plain = re.sub(r"[^a-z0-9' ]", " ", text).split()
        return [NUMBERS[int(w)] if w.isdigit() and int(w) < len(NUMBERS) else w for w in plain]

    def errors(reference: str, text: str) -> int:
        a, b = words(reference), words(text)
        row = np.arange(len(b) + 1)
        for i, word in enumerate(a):
            previous, row = row, np.full(len(b) + 1, i + 1)
            for j, other in enumerate(b):
                row[j + 1] = min(row[j] + 1, previous[j + 1] + 1, previous[j] + (word != other))
        return int(row[-1])

    return errors


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package look as if it were not installed."""
    from voicecore.providers import _models

    find = _models.find_spec

    def remove(module: str) -> None:
        def without(name: str) -> Any:
            return None if name == module else find(name)

        monkeypatch.setattr(_models, "find_spec", without)

    return remove
