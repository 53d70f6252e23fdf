"""Audio files as caller speech: any rate, mono or more channels, to mono int16 at the line's rate.

Rates that voicecore.Resampler knows go through it. Others (96 kHz, 6 kHz, ...) are first brought
to 48 kHz by cutting or padding the spectrum of the whole file, which is exact for band-limited
sound and fine for files of minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import AudioFileError, MissingModelError

__all__ = ["load_speech"]

MAX_S = 600.0
_LISTED_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MIN_HZ, _MAX_HZ = 2000, 768_000


def load_speech(path: Path, rate_hz: int) -> NDArray[np.int16]:
    """Read an audio file as mono int16 at ``rate_hz`` (one of voicecore.Resampler's rates).

    Channels are averaged. WAV, FLAC, OGG and what else libsndfile reads.

    Raises:
        AudioFileError: the file is missing, not audio, empty, silent throughout, has values that
            are no numbers, or is longer than ten minutes.
        MissingModelError: the soundfile package is not installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise MissingModelError(
            'reading audio files needs soundfile: pip install "voicecore-media[demo]"'
        ) from error
    if not path.is_file():
        raise AudioFileError(f"{path} does not exist or is not a file")
    try:
        with soundfile.SoundFile(path) as file:
            in_hz = int(file.samplerate)
            if not _MIN_HZ <= in_hz <= _MAX_HZ:
                raise AudioFileError(f"{path} has {in_hz} Hz; 2000 to 768000 can be used")
            if file.frames > MAX_S * in_hz:
                raise AudioFileError(f"{path} is longer than {MAX_S:.0f} s; cut it into utterances")
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise AudioFileError(
            f"{path} cannot be read as audio ({error}); use a WAV, FLAC or OGG file"
        ) from error
    if samples.shape[0] == 0:
        raise AudioFileError(f"{path} holds no audio")
    if not np.isfinite(samples).all():
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity)")
    mono = samples.mean(axis=1, dtype=np.float32)
    if not mono.any():
        raise AudioFileError(f"{path} is silent from start to end")
    return to_line(mono, in_hz, rate_hz)


def to_line(mono: NDArray[np.float32], in_hz: int, rate_hz: int) -> NDArray[np.int16]:
    """Mono float32 at any rate to int16 at the line's rate."""
    from voicecore.media._resample import Resampler

    if in_hz not in _LISTED_HZ:
        mono, in_hz = _through_spectrum(mono, in_hz, 48_000), 48_000
    pcm: NDArray[np.int16] = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
    if in_hz == rate_hz:
        return pcm
    resampler: Any = Resampler(in_hz, rate_hz)
    return np.concatenate([resampler.process(pcm), resampler.flush()])


def _through_spectrum(mono: NDArray[np.float32], in_hz: int, out_hz: int) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(mono)
    length = round(len(mono) * out_hz / in_hz)
    kept = np.zeros(length // 2 + 1, spectrum.dtype)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, length) * (length / len(mono))).astype(np.float32)
