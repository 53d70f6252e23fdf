"""Echo cancellers of the laboratory: voicecore's own, peers as they are installed, and two ends.

none: the microphone as it is.
ideal: near end and noise without the echo; it is told, and no canceller can be better.
voicecore: voicecore.EchoCanceller.
speex: speexdsp's MDF filter through ctypes (Debian libspeexdsp1), frames of 20 ms, tail of 256 ms.
speex+pp: and its preprocessor with residual echo suppression, which reduces noise as well.
aec3: WebRTC's AEC3 in the package aec-audio-processing, as it comes; noise suppression, gain
    control and voice detection off.

All work on frames of ``block_samples``; the laboratory gives them as many.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, MissingLibraryError
from voicecore.testing.echo_scenes import Scene
from voicecore.testing.echo_score import EchoCanceller

__all__ = ["CANCELLERS", "make_canceller", "missing_cancellers"]

Pcm = NDArray[np.int16]

# Constants of speex_echo.h and speex_preprocess.h.
_ECHO_SET_SAMPLING_RATE = 24
_PREPROCESS_SET_ECHO_STATE = 24
_SPEEX_FRAME_MS, _SPEEX_TAIL_MS = 20, 256
_AEC3_DELAY = {16000: 128, 8000: 88}  # as measured here


class NoCanceller:
    """Gives the microphone back."""

    name = "none"
    delay_samples = 0

    def __init__(self, scene: Scene) -> None:
        pass

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """``near``."""
        return near


class Ideal:
    """Gives the scene's ideal, block by block."""

    name = "ideal"
    delay_samples = 0

    def __init__(self, scene: Scene) -> None:
        self._rest = scene.ideal

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """The next samples of the ideal; zeros after its end."""
        out, self._rest = self._rest[: len(near)], self._rest[len(near) :]
        return np.concatenate([out, np.zeros(len(near) - len(out), np.int16)])


class Ours:
    """voicecore.EchoCanceller."""

    name = "voicecore"

    def __init__(self, scene: Scene, **settings: Any) -> None:
        self._canceller = _ours()(scene.rate_hz, **settings)
        self.delay_samples = int(self._canceller.delay_samples)

    @property
    def state_bytes(self) -> int | None:
        """Size of the state, if it tells."""
        return getattr(self._canceller, "state_bytes", None)

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """As it is."""
        out: Pcm = self._canceller.process(near, far)
        return out


class Speex:
    """speexdsp's echo canceller, with or without its preprocessor."""

    def __init__(self, scene: Scene, preprocess: bool = False) -> None:
        self._preprocess = self._echo = None
        self._library = library = _speexdsp()
        self.name = "speex+pp" if preprocess else "speex"
        self.block_samples = frame = scene.rate_hz * _SPEEX_FRAME_MS // 1000
        # The preprocessor works on two frames that overlap by half.
        self.delay_samples = frame if preprocess else 0
        rate = ctypes.c_int(scene.rate_hz)
        self._echo = library.speex_echo_state_init(frame, scene.rate_hz * _SPEEX_TAIL_MS // 1000)
        library.speex_echo_ctl(self._echo, _ECHO_SET_SAMPLING_RATE, ctypes.byref(rate))
        if preprocess:
            self._preprocess = library.speex_preprocess_state_init(frame, scene.rate_hz)
            library.speex_preprocess_ctl(self._preprocess, _PREPROCESS_SET_ECHO_STATE, self._echo)

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """Whole frames."""
        near, far = (np.ascontiguousarray(x, np.int16) for x in (near, far))
        out = np.empty(len(near), np.int16)
        step = 2 * self.block_samples
        places = [x.ctypes.data for x in (near, far, out)]
        for at in range(0, 2 * len(near), step):
            mic, played, result = (place + at for place in places)
            self._library.speex_echo_cancellation(self._echo, mic, played, result)
            if self._preprocess:
                self._library.speex_preprocess_run(self._preprocess, result)
        return out

    def __del__(self) -> None:
        if self._preprocess:
            self._library.speex_preprocess_state_destroy(self._preprocess)
        if self._echo:
            self._library.speex_echo_state_destroy(self._echo)


class Aec3:
    """WebRTC's AEC3 by aec-audio-processing."""

    name = "aec3"

    def __init__(self, scene: Scene) -> None:
        processor = _aec3()
        self.block_samples = scene.rate_hz // 100
        self.delay_samples = _AEC3_DELAY[scene.rate_hz]
        self._processor: Any = processor(
            enable_aec=True, enable_ns=False, enable_agc=False, enable_vad=False
        )
        self._processor.set_stream_format(scene.rate_hz, 1)
        self._processor.set_reverse_stream_format(scene.rate_hz, 1)
        self._processor.set_stream_delay(0)  # without it the first blocks of a room get lost

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """Whole frames."""
        parts: list[bytes] = []
        for at in range(0, len(near), self.block_samples):
            part = slice(at, at + self.block_samples)
            self._processor.process_reverse_stream(far[part].tobytes())
            parts.append(self._processor.process_stream(near[part].tobytes()))
        return np.frombuffer(b"".join(parts), np.int16)


@lru_cache(maxsize=1)
def _speexdsp() -> Any:
    found = ctypes.util.find_library("speexdsp")
    if found is None:
        raise MissingLibraryError("the peer speex is not here: apt-get install libspeexdsp1")
    library = ctypes.CDLL(found)
    for name in ("speex_echo_state_init", "speex_preprocess_state_init"):
        getattr(library, name).restype = ctypes.c_void_p
        getattr(library, name).argtypes = [ctypes.c_int, ctypes.c_int]
    for name, count in (
        ("speex_echo_cancellation", 4),
        ("speex_preprocess_run", 2),
        ("speex_echo_state_destroy", 1),
        ("speex_preprocess_state_destroy", 1),
    ):
        getattr(library, name).argtypes = [ctypes.c_void_p] * count
    for name in ("speex_echo_ctl", "speex_preprocess_ctl"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    return library


def _aec3() -> Any:
    try:
        from aec_audio_processing import AudioProcessor
    except ImportError as error:
        raise MissingLibraryError(
            "the peer aec3 is not here: pip install aec-audio-processing"
        ) from error
    return AudioProcessor


def _ours() -> Any:
    import voicecore

    try:
        return getattr(voicecore, "EchoCanceller")  # noqa: B009 - not in every build
    except (AttributeError, ImportError) as error:
        raise MissingLibraryError("voicecore.EchoCanceller is not in this build") from error


CANCELLERS: dict[str, Callable[[Scene], EchoCanceller]] = {
    "none": NoCanceller,
    "ideal": Ideal,
    "voicecore": Ours,
    "speex": Speex,
    "speex+pp": lambda scene: Speex(scene, preprocess=True),
    "aec3": Aec3,
}


def make_canceller(name: str, scene: Scene) -> EchoCanceller:
    """A new canceller of this name, for the scene's rate.

    Raises:
        ConfigError: there is none.
        MissingLibraryError: it is not installed.
    """
    if name not in CANCELLERS:
        raise ConfigError(f"canceller {name!r} is unknown; use one of {', '.join(CANCELLERS)}")
    return CANCELLERS[name](scene)


def missing_cancellers() -> dict[str, str]:
    """Those that cannot be used here, each with the reason and what to do."""
    missing: dict[str, str] = {}
    for names, find in ((("voicecore",), _ours), (("speex", "speex+pp"), _speexdsp)):
        try:
            find()
        except MissingLibraryError as error:
            missing |= {name: str(error) for name in names}
    if find_spec("aec_audio_processing") is None:
        missing["aec3"] = "the peer aec3 is not here: pip install aec-audio-processing"
    return missing
