"""The agent of the barge-in bench on pipecat; started by barge_in.py with pipecat's own Python.

A pipeline as its telephone examples have it: FastAPI WebSocket transport, Twilio's serializer at
8 kHz, Silero VAD in the user aggregator, and recognizer, model and synthesizer that cost nothing:
the first says "yes" when the VAD has heard the end of speech, the last gives recorded speech at
once, which pipecat's transport paces. Needs: pip install "pipecat-ai[silero,websocket]" uvicorn

Standard input: one line of JSON (voice, holds_ns, hold_ms, vad, chunk_ms), then "start NS", then
"stop". Standard output: the version and the port, then one JSON object.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from collections.abc import AsyncGenerator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 8000
CHUNK_BYTES = RATE_HZ  # half a second, pipecat's own size for synthesizers that stream


def hold(ms: float) -> None:
    """Sleep with Python's lock held, as in barge_agent.py."""
    ctypes.PyDLL(None).usleep(int(ms * 1000))


class Recognizer(FrameProcessor):
    """Says "yes" when speech has ended, and notes when it began."""

    def __init__(self, call: int, events: list[dict[str, Any]]) -> None:
        super().__init__()
        self._call = call
        self._events = events

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame | InterruptionFrame):
            row = {"call": self._call, "kind": type(frame).__name__,
                   "stamp_ns": time.monotonic_ns()}  # fmt: skip
            self._events.append(row)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(TranscriptionFrame("yes", "caller", "", finalized=True))


class Model(FrameProcessor):
    """Answers every turn with one sentence."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame("Let me tell you all about it."))
        await self.push_frame(LLMFullResponseEndFrame())


class Synthesizer(TTSService):
    """Gives the same long recording for every text, at once."""

    def __init__(self, voice: bytes) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, settings=settings)
        self._voice = voice

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        for at in range(0, len(self._voice), CHUNK_BYTES):
            audio = self._voice[at : at + CHUNK_BYTES]
            yield TTSAudioRawFrame(audio, RATE_HZ, 1, context_id=context_id)


async def talk(
    websocket: WebSocket, call: int, order: dict[str, Any], voice: bytes, events: list[Any]
) -> None:
    """One call: a pipeline and its worker, until the caller hangs up."""
    serializer = TwilioFrameSerializer(
        f"MZ{call}", params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=order["chunk_ms"] // 10,
            serializer=serializer,
        ),
    )
    # The end of a turn is not measured: the cheapest strategy, not the default's turn model.
    user, assistant = LLMContextAggregatorPair(
        LLMContext([]),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(params=VADParams(**order["vad"])),
            user_turn_strategies=UserTurnStrategies(
                stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.2)]
            ),
        ),
    )
    stages = [transport.input(), Recognizer(call, events), user, Model(), Synthesizer(voice),
              transport.output(), assistant]  # fmt: skip
    worker = PipelineWorker(
        Pipeline(stages),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_turn_tracking=False,
        enable_rtvi=False,
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_connected")
    async def connected(_: Any, __: Any) -> None:
        await worker.queue_frame(TTSSpeakFrame("Good evening."))

    @transport.event_handler("on_client_disconnected")
    async def disconnected(_: Any, __: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    events: list[dict[str, Any]] = []
    voice = Path(order["voice"]).read_bytes()
    app = FastAPI()

    @app.websocket("/ws/{call}")
    async def endpoint(websocket: WebSocket, call: int) -> None:
        await websocket.accept()
        await talk(websocket, call, order, voice, events)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", ws_ping_interval=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"version": version("pipecat-ai"), "port": port}), flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    start_ns = int(line.split()[1])
    loop = asyncio.get_running_loop()
    if order["hold_ms"]:
        ctypes.PyDLL(None).usleep(1)
        for at_ns in order["holds_ns"]:
            loop.call_at((start_ns + at_ns) / 1e9, hold, order["hold_ms"])
    cpu = time.process_time()
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps({"events": events, "cpu_s": time.process_time() - cpu}), flush=True)
    server.should_exit = True
    await asyncio.wait({serving}, timeout=3)


if __name__ == "__main__":
    # Not asyncio.run: pipelines that still run are of no interest once the figures are out.
    asyncio.get_event_loop_policy().new_event_loop().run_until_complete(main())
