"""The listening half of the driver: received audio to the STT and to the turn detector.

Audio is fetched from the call when an event comes, every few milliseconds while the caller speaks,
and now and then otherwise (what nobody fetches, the call drops). The STT gets only segments, each
with its pre-roll. The last ten seconds are kept, so when an STT stream breaks, a new one gets the
segments that have no text yet once more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from voicecore.errors import ClosedError, ProviderError
from voicecore.media.events import SpeechStopped
from voicecore.providers.base import Stt, SttEvent, SttStream, SttUsage, TurnDetector
from voicecore.session import events as ev
from voicecore.session.audio import AudioRing, last_audible
from voicecore.session.call import SessionCall
from voicecore.session.config import ListenSettings
from voicecore.session.owner import Scheduler, TaskOwner, TimerHandle

__all__ = ["Ears"]

_MS = 1_000_000
_RING_S = 10.0
_DETECTOR_S = 8
_IDLE_POLL_MS = 5_000  # the pre-roll of a segment is in the ring of the call
_TRIES = 2  # of a segment, before it is given up


@dataclass(slots=True)
class _Piece:
    """A segment that has no text yet."""

    begin: int
    pushed: int
    end: int | None = None
    tries: int = 0


class Ears:
    """One call's STT stream, turn detector and recent audio.

    Args:
        call: where the audio comes from.
        stt: opens the stream.
        turn: the detector, or None.
        settings: the session's.
        owner: runs the tasks.
        scheduler: time.
        emit: takes inputs for the machine.
        heard: takes transcripts as they come (kind, text, stamp_ns).
        failed: takes the stage and the error when a provider fails.
    """

    def __init__(
        self,
        call: SessionCall,
        *,
        stt: Stt,
        turn: TurnDetector | None,
        settings: ListenSettings,
        owner: TaskOwner,
        scheduler: Scheduler,
        emit: Callable[[ev.SessionEvent], None],
        heard: Callable[[SttEvent], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._call = call
        self._stt = stt
        self._turn = turn
        self._settings = settings
        self._owner = owner
        self._scheduler = scheduler
        self._emit = emit
        self._heard = heard
        self._failed = failed
        self._ring = AudioRing(call.rate_hz, _RING_S)
        self._stream: SttStream | None = None
        self._connecting = False
        self._pieces: dict[int, _Piece] = {}
        self._finals: deque[int] = deque()
        self._open_id: int | None = None
        self._given_end = 0
        self._begins: dict[int, int] = {}
        self._prediction: asyncio.Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._closed = False
        self._used_ms = 0.0

    @property
    def usage(self) -> SttUsage:
        """Audio used on the call so far, all streams together."""
        now_ms = self._stream.usage.audio_ms if self._stream is not None else 0.0
        return SttUsage(self._used_ms + now_ms)

    # -- audio -----------------------------------------------------------------------------

    def pull(self) -> None:
        """Fetch what has been received, and push what belongs to the open segment."""
        try:
            pcm, first = self._call.read_audio()
        except ClosedError:
            return
        if len(pcm):
            self._ring.append(pcm, first)
        if self._open_id is not None:
            self._guard(lambda stream: self._push(stream, self._pieces[self._open_id or 0]))

    def _poll(self) -> None:
        """Fetch now and again later: soon while the caller speaks, else before it would be lost."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closed:
            return
        self.pull()
        wait_ms = self._settings.audio_poll_ms
        if self._open_id is None:
            wait_ms = max(wait_ms, min(_IDLE_POLL_MS, self._call.config.receive_buffer_ms // 4))
        self._timer = self._scheduler.call_later(wait_ms * _MS, self._poll)

    def caller_end_ns(self, first_segment: int, stopped: SpeechStopped) -> int:
        """When the last audible sample of the turn arrived; ``stopped`` ties samples to time."""
        pcm, first = self._ring.read(self._begins.get(first_segment, 0), self._ring.end)
        sample = last_audible(pcm, first, self._ring.rate_hz)
        if sample is None:
            sample = stopped.sample
        return stopped.audio_ns + (sample - stopped.sample) * 1_000_000_000 // self._ring.rate_hz

    # -- segments --------------------------------------------------------------------------

    def start(self, segment: int, sample: int) -> None:
        """A segment begins at ``sample``."""
        if self._prediction is not None:
            self._prediction.cancel()
        begin = max(0, sample - self._settings.preroll_ms * self._ring.rate_hz // 1000)
        begin = max(begin, self._given_end)  # pre-roll must not repeat what was given
        self._begins[segment] = begin
        self._pieces[segment] = _Piece(begin, begin)
        self._open_id = segment
        self.connect()
        self._poll()

    def finalize(self, segment: int) -> None:
        """The segment is over: its text is wanted."""
        self.pull()
        piece = self._pieces.get(segment)
        self._open_id = None
        if piece is None:
            return
        piece.end = self._given_end = self._ring.end
        self._guard(lambda stream: self._finalize(stream, segment, piece))

    def discard(self, segment: int) -> None:
        """The segment was noise, or its text never came."""
        if self._open_id == segment:
            self._open_id = None
        if self._pieces.pop(segment, None) is None:
            return
        if segment in self._finals:
            # Its final, should it come yet, would be taken for the next one's: start afresh.
            self._broke(self._stream, TimeoutError("no final came in time"))
        else:
            self._guard(lambda stream: stream.discard())

    def predict(self, segment: int, first_segment: int) -> None:
        """Ask the detector about the audio from the first segment of the turn till now."""
        for old in [s for s in self._begins if s < first_segment]:
            del self._begins[old]
        if self._turn is None:
            return
        rate = self._ring.rate_hz
        begin = max(self._begins.get(first_segment, 0), self._ring.end - _DETECTOR_S * rate)
        pcm, _ = self._ring.read(begin, self._ring.end)

        async def ask(turn: TurnDetector) -> None:
            try:
                probability = await turn.predict(pcm, rate)
            except Exception as error:
                self._failed("turn", error)  # the wait for silence ends the turn then
            else:
                self._emit(ev.TurnPredicted(segment, float(probability)))

        self._prediction = self._owner.spawn(ask(self._turn), f"session-turn-{segment}")

    def _push(self, stream: SttStream, piece: _Piece) -> None:
        end = self._ring.end if piece.end is None else piece.end
        pcm, first = self._ring.read(piece.pushed, end)
        if len(pcm):
            stream.push(pcm, first)
            piece.pushed = first + len(pcm)

    def _finalize(self, stream: SttStream, segment: int, piece: _Piece) -> None:
        self._push(stream, piece)
        self._finals.append(segment)
        stream.finalize()

    # -- the stream and its failures -------------------------------------------------------

    def begin(self) -> None:
        """Open the stream and start to fetch audio."""
        self.connect()
        self._poll()

    def connect(self) -> None:
        """Open a stream unless there is one."""
        if self._stream is None and not self._connecting and not self._closed:
            self._connecting = True
            self._owner.spawn(self._run_stream(), "session-stt")

    async def _run_stream(self) -> None:
        """Open a stream, give it what has no text yet, and read it to its end."""
        stream: SttStream | None = None
        try:
            stream = await self._stt.open(self._ring.rate_hz)
            self._stream, self._connecting = stream, False
            for segment, piece in list(self._pieces.items()):
                piece.pushed = piece.begin
                if piece.end is None:
                    self._push(stream, piece)
                else:
                    self._finalize(stream, segment, piece)
            async for event in stream:
                self._take(event)
            if not self._closed:
                raise ProviderError("the stream ended before it was closed")
        except Exception as error:
            self._broke(stream, error)

    def _guard(self, use: Callable[[SttStream], None]) -> None:
        """Use the stream if there is one; what it raises is its failure, not ours."""
        stream = self._stream
        if stream is None:
            return  # the segment waits for the next stream
        try:
            use(stream)
        except Exception as error:
            self._broke(stream, error)

    def _broke(self, stream: SttStream | None, error: Exception) -> None:
        if stream is not None and stream is not self._stream:
            return  # noticed already
        self._connecting = False
        self._retire()
        self._failed("stt", error)
        for segment, piece in list(self._pieces.items()):
            piece.tries += 1
            if piece.tries >= _TRIES:
                del self._pieces[segment]
                if self._open_id == segment:
                    self._open_id = None
                self._emit(ev.TranscriptFailed(segment))
        if self._pieces:
            self.connect()

    def _retire(self) -> None:
        self._finals.clear()
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._used_ms += stream.usage.audio_ms
        self._owner.spawn(self._close(stream), "session-stt-close")

    async def _close(self, stream: SttStream) -> None:
        try:
            await stream.aclose()
        except Exception as error:
            self._failed("stt", error)

    def _take(self, event: SttEvent) -> None:
        if event.kind in ("interim", "eager_end"):
            self._heard(event)
            self._emit(ev.TranscriptInterim(event.text))
        elif event.kind == "final":
            if not self._finals:
                return  # nobody asked
            segment = self._finals.popleft()
            self._pieces.pop(segment, None)
            self._heard(event)
            stamp_ns = event.stamp_ns or self._scheduler.now_ns()
            self._emit(ev.TranscriptFinal(segment, event.text, stamp_ns))

    def close(self) -> None:
        """No more audio, no more text; the stream is closed by the owner's tasks."""
        self._closed = True
        self._open_id = None
        self._pieces.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._retire()
