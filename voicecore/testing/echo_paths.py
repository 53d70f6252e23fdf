"""What lies between the loudspeaker's samples and the echo: clip, room or line, drift, stretch.

Rooms are shoeboxes by the image-source method (Allen and Berkley 1979, package pyroomacoustics),
kept in the cache folder. Line echo is a hybrid's response in the manner of ITU-T G.168 with
parameters of our own: noise with a bandpass spectrum under an envelope that rises and decays
within the dispersion, and one weaker reflection. Drift is windowed-sinc interpolation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, MissingLibraryError
from voicecore.testing.echo_speech import cache_folder

__all__ = [
    "CLIPS_DB",
    "ROOM_M",
    "Stretched",
    "convolve",
    "delayed",
    "drifted",
    "hybrid_response",
    "measured_rt60_s",
    "room_response",
    "soft_clip",
    "stretched",
]

Signal = NDArray[np.float64]

ROOM_M = (5.0, 4.0, 2.7)
CLIPS_DB = {"none": None, "mild": -36.0, "strong": -22.0}
_WALL_M = 0.5
_NEAREST_M, _FARTHEST_M = 0.3, 1.5
_SINC_TAPS, _SINC_PHASES, _KAISER = 64, 4096, 10.0
_TICK_NS = 20_000_000


def convolve(signal: Signal, response: Signal) -> Signal:
    """The first len(signal) samples of the convolution."""
    size = 1 << (len(signal) + len(response) - 1).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(signal)])


# -- loudspeaker ---------------------------------------------------------------------------


def soft_clip(signal: Signal, distortion_db: float | None) -> Signal:
    """tanh(drive x)/drive with the drive that gives this power of distortion.

    Distortion is what is left of the output after the best constant gain, in dB under it.
    """
    if distortion_db is None or not signal.any():
        return np.array(signal)
    low, high = -3.0, 4.0  # log10 of the drive
    for _ in range(28):
        middle = (low + high) / 2
        out = np.tanh(signal * 10**middle)
        gain = (out @ signal) / (signal @ signal)
        left = float(np.square(out - gain * signal).sum() / np.square(out).sum())
        if 10 * np.log10(left + 1e-30) < distortion_db:
            low = middle
        else:
            high = middle
    return np.asarray(np.tanh(signal * 10**low) / 10**low)


# -- room and line -------------------------------------------------------------------------


def room_response(rt60_s: float, rate_hz: int, seed: int) -> Signal:
    """From a loudspeaker to a microphone at random places (0.3 to 1.5 m apart) in a room.

    Starts with 40 samples for the filters of the fractional delays, as pyroomacoustics makes it,
    and the sound's way through the air (1 to 4 ms). Cached on disk.

    Raises:
        MissingLibraryError: pyroomacoustics is not installed.
    """
    settings = {"rt60_s": rt60_s, "rate_hz": rate_hz, "seed": seed, "room": ROOM_M, "version": 2}
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = cache_folder() / "echo-lab" / f"room-{key}.npy"
    try:
        return np.asarray(np.load(path), np.float64)
    except (OSError, ValueError):
        pass
    response = _shoebox(rt60_s, rate_hz, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}-{np.random.default_rng().integers(1 << 60):x}.npy")
    np.save(part, response.astype(np.float32))
    part.replace(path)  # two processes may make the same room
    return response.astype(np.float32).astype(np.float64)


def _shoebox(rt60_s: float, rate_hz: int, seed: int) -> Signal:
    try:
        import pyroomacoustics as rooms
    except ImportError as error:
        raise MissingLibraryError(
            'rooms need pyroomacoustics: pip install "voicecore-media[bench]"'
        ) from error
    rng = np.random.default_rng([seed, 1])
    size = np.array(ROOM_M)
    microphone = rng.uniform(_WALL_M, size - _WALL_M)
    while True:
        direction = rng.normal(size=3)
        distance = rng.uniform(_NEAREST_M, _FARTHEST_M)
        source = microphone + distance * direction / np.linalg.norm(direction)
        if ((source > _WALL_M / 2) & (source < size - _WALL_M / 2)).all():
            break
    rooms.constants.set("num_threads", 1)  # the order of the sums decides the last bit
    absorption, order = rooms.inverse_sabine(rt60_s, ROOM_M)
    room = rooms.ShoeBox(ROOM_M, fs=rate_hz, materials=rooms.Material(absorption), max_order=order)
    room.add_source(source)
    room.add_microphone(microphone)
    room.compute_rir()
    response = np.asarray(room.rir[0][0], np.float64)
    return response[: int(1.5 * rt60_s * rate_hz)]


def measured_rt60_s(response: Signal, rate_hz: int) -> float:
    """Reverberation time by Schroeder's backward integration, from the decay of 5 to 35 dB."""
    left = np.cumsum(np.square(response)[::-1])[::-1]
    decay_db = 10 * np.log10(left / left[0] + 1e-30)
    inside = np.flatnonzero((decay_db <= -5) & (decay_db >= -35))
    slope = np.polyfit(inside / rate_hz, decay_db[inside], 1)[0]
    return float(-60.0 / slope)


def hybrid_response(rate_hz: int, seed: int, return_loss_db: float | None = None) -> Signal:
    """A telephone line's echo: up to 12 ms of dispersion after up to 16 ms of flat delay.

    return_loss_db: echo return loss, by the power of the response to noise in 300-3400 Hz; by
    default 6 to 24 dB, drawn from the seed.
    """
    rng = np.random.default_rng([seed, 2])
    loss_db = float(rng.uniform(6.0, 24.0)) if return_loss_db is None else return_loss_db
    flat = int(rng.uniform(0.0, 0.016) * rate_hz)
    length = int(rng.uniform(0.005, 0.012) * rate_hz)
    t = np.arange(length) / length
    body = rng.normal(size=length) * np.minimum(1.0, 6 * t) * np.exp(-5.0 * t)
    response = np.zeros(flat + 2 * length)
    response[flat : flat + length] = body
    again = flat + int(rng.uniform(0.3, 0.9) * length)
    response[again : again + length] += float(rng.uniform(-0.3, 0.3)) * body
    response = response[: flat + int(0.012 * rate_hz)]
    size = 4096
    spectrum = np.fft.rfft(response, size)
    f_hz = np.fft.rfftfreq(size, 1 / rate_hz)
    band = 1 / np.sqrt((1 + (200.0 / np.maximum(f_hz, 1.0)) ** 6) * (1 + (f_hz / 3500.0) ** 12))
    # The band's filter rings a little; what comes before the flat delay or after it is cut.
    shaped = np.fft.irfft(spectrum * band, size)[: len(response)]
    inside = (f_hz >= 300) & (f_hz <= 3400)
    power = np.square(np.abs(np.fft.rfft(shaped, size)))[inside].mean()
    return np.asarray(shaped * 10 ** (-loss_db / 20) / np.sqrt(power))


# -- time ----------------------------------------------------------------------------------


def delayed(signal: Signal, samples: int) -> Signal:
    """Later by so many samples, or earlier; the length stays."""
    if samples < 0:
        return np.concatenate([signal[-samples:], np.zeros(-samples)])
    late: Signal = np.concatenate([np.zeros(samples), signal])[: len(signal)]
    return late


def drifted(signal: Signal, ppm: float) -> Signal:
    """As a clock that is so much faster would sample it: out(t) = signal(t (1 + ppm 1e-6)).

    Sinc of 64 taps under a Kaiser window from a table of 4096 phases with linear interpolation:
    exact to -95 dB up to 7/8 of the band. What lies beyond the end is zero.
    """
    if ppm == 0.0:
        return np.array(signal)
    half = _SINC_TAPS // 2
    offsets = np.arange(-half + 1, half + 1)
    phases = np.arange(_SINC_PHASES + 1)[:, None] / _SINC_PHASES
    x = phases - offsets[None, :]
    window = np.i0(_KAISER * np.sqrt(np.maximum(0.0, 1 - (x / half) ** 2))) / np.i0(_KAISER)
    table = np.sinc(x) * window
    padded = np.concatenate([np.zeros(half), signal, np.zeros(half + 1 + len(signal) // 1000)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SINC_TAPS)
    out = np.empty(len(signal))
    for first in range(0, len(signal), 16384):
        at = np.arange(first, min(first + 16384, len(signal))) * (1.0 + ppm * 1e-6)
        whole = np.floor(at).astype(np.int64)
        phase = (at - whole) * _SINC_PHASES
        row = phase.astype(np.int64)
        part = (phase - row)[:, None]
        taps = table[row] * (1 - part) + table[row + 1] * part
        # windows[k] begins with signal[k - half]; the first tap is signal[whole - half + 1].
        out[first : first + len(at)] = np.einsum("ij,ij->i", windows[whole + 1], taps)
    return out


@dataclass(frozen=True)
class Stretched:
    """What a jitter buffer played, and where it changed the time.

    Attributes:
        signal: +-1.
        events: ("accelerated", "expanded" or "concealed", sample of ``signal``, samples).
    """

    signal: Signal
    events: tuple[tuple[str, int, int], ...]


def stretched(signal: Signal, rate_hz: int, trace_name: str, seed: int) -> Stretched:
    """Through a bad network (``trace_catalogue``) and voicecore's own buffer in play mode."""
    from voicecore.testing.lab import OurBuffer, play
    from voicecore.testing.lab_load import Load
    from voicecore.testing.trace_catalogue import make_trace

    if rate_hz not in (8000, 16000):
        raise ConfigError(f"the jitter buffer's L16 has 8000 or 16000 Hz, not {rate_hz}")
    trace = make_trace(
        trace_name, seconds=len(signal) / rate_hz, seed=seed, rate_hz=rate_hz, payload_type=96
    )
    pcm = np.rint(signal * 32768.0).clip(-32768, 32767).astype(np.int16)
    load = Load.of(trace, pcm, codec="l16")
    events: list[tuple[str, int, int]] = []

    class Told(OurBuffer):
        """Asks for the events after every frame; the buffer keeps only the last 32."""

        def pull(self, now_ns: int) -> Any:
            """One frame."""
            chunk = super().pull(now_ns)
            events.extend((e.kind, e.position, e.samples) for e in self._buffer.events())
            return chunk

    result = play(load, Told(load, "play"))
    first = int(result.out_ns[0] * rate_hz // 1_000_000_000)  # when the sound card's first tick is
    played = np.concatenate([np.zeros(first), result.audio / 32768.0])
    out = np.zeros(len(signal))
    out[: min(len(out), len(played))] = played[: len(out)]
    return Stretched(out, tuple((kind, at + first, count) for kind, at, count in events))
