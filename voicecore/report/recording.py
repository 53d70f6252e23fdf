"""call.wav: both directions of a call on one timeline, as one leg sent and received them.

The timeline is the wire's: sample ``i`` that was sent sits at ``sent_start_ns`` + i / rate, sample
``i`` that was received at ``received_start_ns`` + i / rate; the earlier of the two is the origin.
Nothing comes from the other leg's stamps, so the file can check them.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, StateError

__all__ = ["Recording"]


class Recording:
    """Collects one leg's audio.

    Args:
        rate_hz: sample rate of both directions.
        max_s: the file ends there; a call that is left open must not fill the memory.

        recording = Recording(8000)
        recording.add_sent(*call.read_sent())          # every now and then
        recording.add_received(*call.read_audio())
        recording.start(call.sent_start_ns, call.received_start_ns)
        recording.write(Path("call.wav"))
    """

    def __init__(self, rate_hz: int, max_s: float = 3600.0) -> None:
        if rate_hz <= 0:
            raise ConfigError(f"rate_hz is {rate_hz}; it must be positive")
        self.rate_hz = rate_hz
        self._limit = int(max_s * rate_hz)
        self._sent: list[tuple[int, NDArray[np.int16]]] = []
        self._received: list[tuple[int, NDArray[np.int16]]] = []
        self._sent_start_ns = 0
        self._received_start_ns = 0

    def add_sent(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        """Take audio that was sent, with the index of its first sample."""
        if len(pcm) and first_sample < self._limit:
            self._sent.append((first_sample, pcm))

    def add_received(self, pcm: NDArray[np.int16], first_sample: int) -> None:
        """Take audio that was received, with the index of its first sample."""
        if len(pcm) and first_sample < self._limit:
            self._received.append((first_sample, pcm))

    def received(self, first_sample: int, end_sample: int) -> NDArray[np.int16]:
        """A stretch of what was received so far; silence where nothing is known."""
        stretch = np.zeros(max(0, end_sample - first_sample), np.int16)
        for first, pcm in reversed(self._received):
            if first + len(pcm) <= first_sample:
                break
            start, end = max(first, first_sample), min(first + len(pcm), end_sample)
            if start < end:
                stretch[start - first_sample : end - first_sample] = pcm[
                    start - first : end - first
                ]
        return stretch

    def start(self, sent_start_ns: int, received_start_ns: int) -> None:
        """When sample 0 left and when sample 0 came; 0 for a direction that never started."""
        self._sent_start_ns = sent_start_ns
        self._received_start_ns = received_start_ns

    @property
    def origin_ns(self) -> int:
        """The stamp of the file's first sample.

        Raises:
            StateError: neither direction has started.
        """
        starts = [ns for ns in (self._sent_start_ns, self._received_start_ns) if ns > 0]
        if not starts:
            raise StateError("no audio was sent or received: the recording has no timeline")
        return min(starts)

    def _track(
        self, parts: list[tuple[int, NDArray[np.int16]]], start_ns: int
    ) -> NDArray[np.int16]:
        if not parts or start_ns == 0:
            return np.zeros(0, np.int16)
        offset = round((start_ns - self.origin_ns) * self.rate_hz / 1e9)
        end = max(first + len(pcm) for first, pcm in parts)
        track = np.zeros(min(offset + end, self._limit), np.int16)
        for first, pcm in parts:
            room = track[offset + first :]
            taken = pcm[: len(room)]
            room[: len(taken)] = taken
        return track

    @property
    def length_ms(self) -> float:
        """Length of the file."""
        return len(self.stereo()) * 1000 / self.rate_hz

    def stereo(self) -> NDArray[np.int16]:
        """int16[n, 2]: left what was sent, right what was received."""
        left = self._track(self._sent, self._sent_start_ns)
        right = self._track(self._received, self._received_start_ns)
        both = np.zeros((max(len(left), len(right)), 2), np.int16)
        both[: len(left), 0] = left
        both[: len(right), 1] = right
        return both

    def wav_bytes(self) -> bytes:
        """The file: stereo 16-bit PCM."""
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(self.rate_hz)
            out.writeframes(self.stereo().astype("<i2").tobytes())
        return buffer.getvalue()

    def write(self, path: Path) -> bytes:
        """Write the file and return its bytes."""
        data = self.wav_bytes()
        path.write_bytes(data)
        return data
