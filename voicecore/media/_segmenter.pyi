from types import TracebackType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

_Samples: TypeAlias = (
    npt.NDArray[np.int16] | npt.NDArray[np.float32] | bytes | bytearray | memoryview
)

class SpeechEvent(NamedTuple):
    kind: Literal["start", "end"]
    sample: int
    probability: float

class SpeechSegmenter:
    def __init__(
        self,
        rate_hz: int,
        *,
        threshold: float = 0.5,
        negative_threshold: float | None = None,
        min_speech_ms: int = 250,
        min_silence_ms: int = 100,
        pad_ms: int = 30,
        level: str | None = None,
    ) -> None: ...
    def process(self, x: _Samples) -> list[SpeechEvent]: ...
    def process_probabilities(self, p: npt.NDArray[np.float32]) -> list[SpeechEvent]: ...
    def flush(self) -> list[SpeechEvent]: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> SpeechSegmenter: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    @property
    def rate_hz(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def in_segment(self) -> bool: ...

def speech_segments(
    x: _Samples,
    rate_hz: int,
    *,
    threshold: float = 0.5,
    negative_threshold: float | None = None,
    min_speech_ms: int = 250,
    min_silence_ms: int = 100,
    pad_ms: int = 30,
    level: str | None = None,
) -> npt.NDArray[np.int64]: ...
