"""The speaking half of the driver: one answer from the language model through the TTS to the call.

Two tasks: the writer moves text from the language model to the TTS, the speaker moves audio from
the TTS to the call's play queue. The TTS takes text without waiting and the play queue makes the
speaker wait, so nothing grows without bound here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from voicecore.errors import ClosedError, ProviderError
from voicecore.media.text_cursor import PlayTimeline, TextCursor
from voicecore.providers.base import (
    Llm,
    LlmStream,
    LlmUsage,
    Message,
    Tts,
    TtsContext,
    TtsUsage,
)
from voicecore.session import events as ev
from voicecore.session.audio import LeadIn
from voicecore.session.call import SessionCall
from voicecore.session.owner import Scheduler, TaskOwner

__all__ = ["Reply"]


class _Line:
    """One TTS context of an answer, and the text it is to speak."""

    def __init__(self, timeline: PlayTimeline) -> None:
        self.cursor = TextCursor(timeline)
        self.context: TtsContext | None = None
        self.waiting: list[str] = []  # text that came before the context was open
        self.text = ""
        self.ended = False

    def add(self, text: str) -> None:
        self.text += text
        self.append(text)

    def append(self, text: str) -> None:
        if self.context is None:
            self.waiting.append(text)
        else:
            self.context.append(text)
            self.cursor.add_text(text)

    def end(self) -> None:
        self.ended = True
        if self.context is not None:
            self.context.end()

    def opened(self, context: TtsContext) -> None:
        self.context = context
        for text in self.waiting:
            self.append(text)
        if self.ended:
            context.end()


class Reply:
    """One answer.

    Args:
        number: as in ``StartReply.reply``.
        call: where it is played.
        llm: makes the text.
        tts: makes the audio.
        owner: runs the tasks.
        scheduler: time.
        emit: takes inputs for the machine.
        said: takes the text as it comes.
        failed: takes the stage and the error when a provider fails.
    """

    def __init__(
        self,
        number: int,
        call: SessionCall,
        *,
        llm: Llm,
        tts: Tts,
        owner: TaskOwner,
        scheduler: Scheduler,
        emit: Callable[[ev.SessionEvent], None],
        said: Callable[[str], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self.number = number
        self._call = call
        self._llm = llm
        self._tts = tts
        self._owner = owner
        self._now_ns = scheduler.now_ns
        self._emit = emit
        self._said = said
        self._failed = failed
        self._stream: LlmStream | None = None
        self._lines: list[_Line] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: list[asyncio.Task[None]] = []
        self._llm_usage = LlmUsage()
        self._tts_usage = TtsUsage()
        self.play_hz = call.play_hz
        self.lead_in = LeadIn(self.play_hz, call.rate_hz)
        self.broken = False
        self.first_sample: int | None = None
        self.end_sample = 0
        self.started_ns = 0
        self.first_token_ns = 0
        self.first_clause_ns = 0
        self.first_audio_ns = 0
        self.queued_ns = 0

    def start(self, messages: Sequence[Message] | None, line: str | None) -> None:
        """Ask the language model, or say a fixed line."""
        self.started_ns = self._now_ns()
        if line is not None:
            self._say(line)
            return
        self._begin_line()
        self._tasks.append(
            self._owner.spawn(self._write(messages or ()), f"session-llm-{self.number}")
        )

    def speak(self, line: str) -> None:
        """Give up what is being made, and say ``line`` behind what is queued."""
        self.broken = True
        self.cancel()
        self._say(line)

    def cancel(self) -> None:
        """Stop the language model and the TTS; usage is complete after ``settled``."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        stream, self._stream = self._stream, None
        contexts = [line.context for line in self._lines if line.context is not None]
        for line in self._lines:
            line.context = None
        if stream is not None or contexts:
            self._closing.append(
                self._owner.spawn(
                    self._shut(stream, contexts), f"session-reply-close-{self.number}"
                )
            )

    @property
    def stage(self) -> str:
        """Who works on it now: "llm" until the text is complete, then "tts"."""
        return "tts" if self._lines and self._lines[-1].ended else "llm"

    @property
    def settling(self) -> bool:
        """Whether ``settled`` would wait."""
        return any(not task.done() for task in self._closing)

    async def settled(self) -> None:
        """Wait until what was cancelled has said what it used."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    @property
    def usage(self) -> tuple[LlmUsage, TtsUsage]:
        """Tokens, and characters and audio."""
        llm, tts = self._llm_usage, self._tts_usage
        if self._stream is not None:
            llm = add_llm(llm, self._stream.usage)
        for line in self._lines:
            if line.context is not None:
                tts = add_tts(tts, line.context.usage)
        return llm, tts

    @property
    def text(self) -> str:
        """All that the agent meant to say so far, spaces tidied."""
        return " ".join(" ".join(line.text for line in self._lines).split())

    def heard_text(self, play_sample: int) -> str:
        """The words heard when ``play_sample`` is the first sample not yet played."""
        parts = [line.cursor.heard(play_sample) for line in self._lines]
        return " ".join(part for part in parts if part)

    # -- tasks -----------------------------------------------------------------------------

    def _begin_line(self) -> _Line:
        line = _Line(self._call.timeline)
        self._lines.append(line)
        self._tasks.append(
            self._owner.spawn(self._speak(line), f"session-tts-{self.number}-{len(self._lines)}")
        )
        return line

    def _say(self, text: str) -> None:
        line = self._begin_line()
        self._add(line, text)
        line.end()

    def _add(self, line: _Line, text: str) -> None:
        if not self.first_token_ns:
            self.first_token_ns = self._now_ns()
        self._said(text)
        if not self.first_clause_ns:
            self.first_clause_ns = self._now_ns()
        line.add(text)

    async def _write(self, messages: Sequence[Message]) -> None:
        line = self._lines[-1]
        stage = "llm"
        try:
            stream = self._stream = self._llm.stream(messages)
            async for delta in stream:
                if delta:
                    stage = "tts"
                    self._add(line, delta)
                    stage = "llm"
                    self._emit(ev.ReplyDelta(self.number))
            if not line.text.strip():
                raise ProviderError(f"{self._llm.name} gave an empty answer")
            self._emit(ev.ReplyFinished(self.number, stream.ends_call))
            stage = "tts"
            line.end()
        except Exception as error:
            self._failed(stage, error)
            self._emit(ev.ReplyFailed(self.number))

    async def _speak(self, line: _Line) -> None:
        try:
            context = await self._tts.open()
            line.opened(context)
            empty = True
            async for chunk in context:
                if not len(chunk.pcm):
                    continue
                if not self.first_audio_ns:
                    self.first_audio_ns = chunk.stamp_ns or self._now_ns()
                if empty:
                    line.cursor.begin(self._call.queue_position)
                    empty = False
                line.cursor.add_words(chunk.words)
                line.cursor.add_audio(len(chunk.pcm))
                self.lead_in.add(chunk.pcm)
                taken = self._call.play(chunk.pcm)
                self._queued(self._call.queue_position - taken)
                if taken < len(chunk.pcm):
                    await self._call.play_all(chunk.pcm[taken:])
            if empty:
                raise ProviderError(f"{self._tts.name} gave no audio")
            line.cursor.complete()
            self._call.end_segment()
            self._call.mark(self.number)
            self.end_sample = self._call.queue_position
            self._emit(ev.AgentAudioFinished(self.number, self.end_sample))
        except ClosedError:
            return  # the call is over
        except Exception as error:
            self._failed("tts", error)
            self._emit(ev.ReplyFailed(self.number))

    def _queued(self, first_sample: int) -> None:
        if self.first_sample is None:
            self.first_sample = first_sample
            self.queued_ns = self._now_ns()
        self._emit(ev.AgentAudioReady(self.number, self.first_sample))

    async def _shut(self, stream: LlmStream | None, contexts: Sequence[TtsContext]) -> None:
        if stream is not None:
            try:
                await stream.cancel()
            except Exception as error:
                self._failed("llm", error)
            self._llm_usage = add_llm(self._llm_usage, stream.usage)
        for context in contexts:
            try:
                await context.cancel()
            except Exception as error:
                self._failed("tts", error)
            self._tts_usage = add_tts(self._tts_usage, context.usage)


def add_llm(a: LlmUsage, b: LlmUsage) -> LlmUsage:
    """Both together; estimated if one is."""
    return LlmUsage(
        a.input_tokens + b.input_tokens,
        a.output_tokens + b.output_tokens,
        a.cached_input_tokens + b.cached_input_tokens,
        a.estimated or b.estimated,
    )


def add_tts(a: TtsUsage, b: TtsUsage) -> TtsUsage:
    """Both together."""
    return TtsUsage(a.characters + b.characters, a.audio_ms + b.audio_ms)
