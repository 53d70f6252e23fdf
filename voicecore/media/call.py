"""A call as the event loop sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ClosedError
from voicecore.media.config import CallConfig
from voicecore.media.events import CallClosed, CallEvent, EventsLost
from voicecore.media.ranges import within
from voicecore.media.text_cursor import PlayTimeline

if TYPE_CHECKING:
    from voicecore.media._call import NativeCall
    from voicecore.media._types import Samples

__all__ = ["Call"]

# What deliver's signal says, or-ed.
_ROOM, _AUDIO = 1, 2

# More than a loop that still runs can leave unread; beyond it the oldest go, and that is said.
_MAX_EVENTS = 10_000


class _Owner(Protocol):
    """What made the call: the real or the virtual engine."""

    def begin_close(self, call: Call) -> None: ...


class Call:
    """One call: the caller's audio and events come in, the agent's audio goes out.

    Made by ``Engine.open_call``. All methods belong to the loop's thread. Received audio is counted
    at ``rate_hz`` from the first sample that came (the receive timeline), agent audio at
    ``play_hz`` from the first sample queued (the play timeline); positions never go back.
    After the call is closed every method but :meth:`stats` raises
    :class:`voicecore.errors.ClosedError`.

    Example::

        async for event in call:
            if isinstance(event, SpeechStopped):
                call.play(answer)
                call.end_segment()
    """

    def __init__(self, native: NativeCall, owner: _Owner, local_address: tuple[str, int]) -> None:
        self._native = native
        self._owner = owner
        self._events: deque[CallEvent] = deque()
        self._dropped = 0
        self._new_event = asyncio.Event()
        self._room = asyncio.Event()
        self._audio = asyncio.Event()
        self._closed = asyncio.Event()
        self._flushes = 0
        self.config: CallConfig = native.config
        self.number = native.number
        self.local_address = local_address
        self.rate_hz = self.config.rate_hz
        self.play_hz = self.config.play_hz
        #: Which play sample was sent when; for ``TextCursor``.
        self.timeline = PlayTimeline(self.play_hz, self.rate_hz)

    def __repr__(self) -> str:
        state = "closed" if self._native.is_closed else "open"
        return f"<Call {self.number} {self.config.codec} {self.rate_hz} Hz {state}>"

    # -- events --

    def deliver(self, event: CallEvent | None, signal: int) -> None:
        """Take an event from the engine. Not for users."""
        if signal & _ROOM:
            self._room.set()
        if signal & _AUDIO:
            self._audio.set()
        if event is None:
            return
        self.timeline.take(event)
        if len(self._events) >= _MAX_EVENTS:
            self._events.popleft()
            self._dropped += 1
        self._events.append(event)
        self._new_event.set()
        if isinstance(event, CallClosed):
            self._room.set()
            self._closed.set()
            self._audio.set()

    async def __aiter__(self) -> AsyncIterator[CallEvent]:
        """Events in order, for one reader; ends after :class:`CallClosed`."""
        while True:
            if self._dropped:
                lost, self._dropped = self._dropped, 0
                yield EventsLost(self._events[0].stamp_ns, lost)
            while self._events:
                event = self._events.popleft()
                yield event
                if isinstance(event, CallClosed):
                    return
            if self._closed.is_set():
                return
            self._new_event.clear()
            await self._new_event.wait()

    # -- the caller's audio --

    def read_audio(self, *, copy: bool = True) -> tuple[NDArray[np.int16], int]:
        """All received audio since the last read, and the sample index of its first sample.

        int16 at ``rate_hz``, one run without a hole; empty (index -1) if nothing came. If the loop
        was away for longer than ``receive_buffer_ms``, the oldest audio is gone: the read starts
        at a later index, and ``stats()["unread_dropped_samples"]`` counts what was missed.

        With ``copy=False`` it is a read-only view of the ring, except where the ring's end falls
        within it. The memory stays valid for as long as the array lives, the call's end included;
        the samples stay right until the ring comes round, ``receive_buffer_ms`` after they came.
        If you have used them later than that, look whether ``oldest_sample`` is still at most the
        array's first index.
        """
        return self._native.ring().read(copy)

    def read_chunk(self, chunk_ms: int = 100) -> tuple[NDArray[np.int16], int] | None:
        """The next ``chunk_ms`` (10 to 1000) of received audio and its first index, or None.

        A chunk is whole, or it is not given; ``read_audio`` gives what is left below a chunk. Both
        take from the same place: no sample comes twice.
        """
        return self._native.ring().take(self._chunk_samples(chunk_ms))

    async def chunks(self, chunk_ms: int = 100) -> AsyncIterator[tuple[NDArray[np.int16], int]]:
        """Received audio in whole chunks of ``chunk_ms`` (10 to 1000), for one reader.

        The loop is woken when a chunk is complete, and not in between. After the call's end comes
        what is left below a chunk; then it ends.

        Example::

            async for pcm, first in call.chunks(100):
                await stt.send(pcm.tobytes())
        """
        ring, samples = self._native.ring(), self._chunk_samples(chunk_ms)
        while True:
            while (chunk := ring.take(samples)) is not None:
                yield chunk
            if self._closed.is_set():
                break
            self._audio.clear()
            ring.want(samples)
            if ring.unread < samples:  # else it came just now
                await self._audio.wait()
        rest = ring.read()
        if len(rest[0]):
            yield rest

    def _chunk_samples(self, chunk_ms: int) -> int:
        within("chunk_ms", chunk_ms, 10, 1000)
        return self.rate_hz * chunk_ms // 1000

    def replay(
        self, first: int, last: int | None = None, *, copy: bool = True
    ) -> NDArray[np.int16]:
        """Received samples ``first`` up to ``last`` (none: the newest), read or not.

        For a second STT provider after the first one failed, for example. ``copy`` is as in
        ``read_audio``.

        Raises:
            AudioGoneError: they are no longer held; it says how far back the ring goes.
            ConfigError: a negative index, or ``last`` before ``first``.
            LengthError: ``last`` has not been received yet.

        Example::

            pcm = call.replay(max(call.oldest_sample, call.received_samples - 5 * call.rate_hz))
        """
        return self._native.ring().replay(first, last, copy)

    @property
    def received_samples(self) -> int:
        """Length of the receive timeline so far: one past the newest sample that can be read."""
        return self._native.ring().end

    @property
    def oldest_sample(self) -> int:
        """The oldest received sample that is still held."""
        return self._native.ring().begin

    def push(self, pcm: Samples) -> None:
        """Caller audio of a call with ``media="push"``: int16 at ``rate_hz``, any slicing.

        Raises:
            StateError: the call's audio comes from RTP.
            LengthError: more than a second is waiting; some of ``pcm`` was not taken.
        """
        self._native.push(pcm)

    @property
    def received_start_ns(self) -> int:
        """When received sample 0 arrived, by the least late packets; 0 if none has come."""
        return self._native.received_start_ns

    # -- the agent's audio --

    def play(self, pcm: Samples) -> int:
        """Queue agent audio, int16 at ``play_hz``; returns how many samples fitted."""
        return self._native.play(pcm)

    def play_words(self, pcm: Samples, words: Iterable[tuple[int, int]]) -> int:
        """As ``play``, with :class:`WordReached` for each word that begins to sound.

        ``words`` are (offset in ``pcm``, your number for the word), ascending. Up to 192 words and
        marks may be pending; words beyond that are played, but not reported.

        Raises:
            ConfigError: an offset outside ``pcm``, or not above the one before.
        """
        return self._native.play_words(pcm, words)

    async def play_all(self, pcm: Samples) -> None:
        """Queue all of ``pcm``, waiting for room; stops quietly when a flush or the end comes."""
        taken = self._native.play(pcm)  # refuses what are no samples
        view = memoryview(cast("Any", pcm))
        if 2 * taken == view.nbytes:
            return
        rest = np.frombuffer(view, dtype=np.int16)[taken:]  # of raw bytes too: it counts samples
        flushes = self._flushes
        while len(rest) > 0:
            self._room.clear()
            self._native.want_room()
            await self._room.wait()
            if self._flushes != flushes or self._native.is_closed:
                return
            rest = rest[self._native.play(rest) :]

    def end_segment(self) -> None:
        """Say that the audio queued so far is complete: running dry there is no underrun."""
        self._native.end_segment()

    def mark(self, mark_id: int) -> int:
        """Set a mark at the end of the queue; ``MarkReached`` comes when it is sent.

        Returns its position on the play timeline.
        """
        return self._native.mark(mark_id)

    def pause(self) -> None:
        """Fade out and freeze the playout, as the native barge-in gate does."""
        self._native.pause()

    def resume(self) -> None:
        """Go on at the exact sample where the playout was paused, with a fade in."""
        self._native.resume()

    def flush(self) -> None:
        """Throw away what is queued, fading out what sounds; ends a pause."""
        self._flushes += 1
        self._room.set()
        self._native.flush()

    def replace(self, from_position: int, pcm: Samples) -> int:
        """Go over to another source at a play sample; returns how many samples of ``pcm`` fitted.

        For a synthesiser that fails in the middle of an answer: ``pcm`` and all that is queued
        after it takes the place of what was queued behind ``from_position``. The change is a
        crossfade of ``crossfade_ms`` with equal power; nothing before it changes. If that sample
        was sent already, the next unsent one takes its place: ``PlayoutReplaced`` says which. Marks
        of the dropped part are reported as flushed. An empty ``pcm`` fades the old source out.

        Raises:
            ConfigError: ``from_position`` is not 0 to ``queue_position``.
            StateError: 8 replacements are pending.
        """
        return self._native.replace(from_position, pcm)

    def set_gain(self, gain_db: float, ramp_ms: int = 20) -> None:
        """Change the level of the agent's audio from the next packet on, in a straight ramp.

        ``gain_db`` is -60 to 20, ``ramp_ms`` 0 to 10000. Above 0 dB a limiter (instant attack, 10
        ms hold, 100 ms release) keeps the audio within full scale.
        """
        self._native.set_gain(gain_db, ramp_ms)

    def duck(self) -> None:
        """Turn the agent's audio down to ``duck_db``; it plays on and counts as heard."""
        self._native.duck()

    def unduck(self) -> None:
        """Turn it up again. A flush does so too."""
        self._native.unduck()

    def send_dtmf(self, digits: str, duration_ms: int = 100) -> None:
        """Send key presses (RFC 4733), each 40 to 1000 ms long, in place of audio."""
        for digit in digits:
            self._native.send_dtmf(digit, duration_ms)

    def set_thinking(self, thinking: bool) -> None:
        """Say that an answer is on its way: until it sounds, ``CallConfig.thinking`` holds.

        With its action "pause", a caller who speaks on is not answered into his words: what is
        queued then does not begin to sound, and :class:`BargedIn` says so.
        """
        self._native.set_thinking(thinking)

    def set_remote(self, address: tuple[str, int]) -> None:
        """Send to another address from the next tick on, as a new offer (SDP) says.

        Packets are then taken from there only, or with ``lock_source="first"`` from where the next
        valid one comes; the old address is a stranger's for 2 s at least.

        Raises:
            ConfigError: no numeric IP address, or no port.
        """
        self._native.set_remote(address)

    @property
    def queue_position(self) -> int:
        """Play sample index at which the next ``play`` starts."""
        return self._native.queue_position

    @property
    def play_position(self) -> int:
        """First play sample that has not been sent."""
        return self._native.play_position

    @property
    def queued_ms(self) -> float:
        """Agent audio that is queued and not sent."""
        return (self.queue_position - self.play_position) * 1000 / self.play_hz

    # -- what was sent --

    def read_sent(self) -> tuple[NDArray[np.int16], int]:
        """What was sent since the last read, int16 at ``rate_hz``, and its first sample's index.

        Raises:
            StateError: the call was opened without ``record_sent``.
        """
        return self._native.read_sent()

    @property
    def sent_start_ns(self) -> int:
        """When sent sample 0 left, by the ticks that were least late; 0 if nothing has left yet."""
        return self._native.sent_start_ns

    def play_sample_at(self, stamp_ns: int) -> int | None:
        """The play sample on the wire at a moment; None if it was no agent audio.

        With ``TextCursor.at``: the word that the agent was saying then. As far as the events have
        come, which is at most 20 ms and a turn of the loop behind.
        """
        start_ns = self.sent_start_ns
        if start_ns == 0 or stamp_ns < start_ns:
            return None
        return self.timeline.play_sample((stamp_ns - start_ns) * self.rate_hz // 1_000_000_000)

    # -- the end --

    def stats(self) -> dict[str, float]:
        """Counters as of the last tick: packets, losses, concealment, underruns, jitter; of a
        closed call as of its end.

        Does the TTS keep ahead? ``play_queue_lowest_ms`` is the least that was queued while the
        present or last segment sounded and was not complete, -1 before the first; ``underrun_ms``
        how long the caller waited in all; ``play_queue_buffering`` 1 while audio is held back.

        From RTCP: ``remote_loss`` (share, 0 to 1), ``remote_lost``, ``remote_jitter_ms`` as the
        other side reports them, and ``round_trip_ms`` (0 until it is known).

        From the echo canceller: ``echo_erle_db`` (how much of the echo is gone while the caller is
        silent), ``echo_delay_ms`` (from a sample on the wire to its echo; 0 until it is found),
        ``echo_drift_ppm`` (the caller's clock), ``echo_run_share`` (of the time; 0 to 1) and
        ``echo_bytes``.
        """
        return self._native.stats()

    @property
    def is_closed(self) -> bool:
        """True once the call has ended."""
        return self._native.is_closed

    async def close(self) -> None:
        """End the call and wait until its socket is released; idempotent."""
        if not self._closed.is_set():
            try:
                self._owner.begin_close(self)
            except ClosedError:
                return
            await self._closed.wait()
