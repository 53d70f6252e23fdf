"""The embedded turn detector: Smart Turn v3.2 (Daily, BSD-2-Clause), on this machine.

A Whisper-tiny encoder with a classifier on it: the last 8 s of the caller's audio in, the
probability out that the caller has finished. Shorter audio is padded with silence on the left. It
wants at least 200 ms of the silence after the speech. The model lies in this package; see
tools/fetch_smart_turn.py for where it comes from.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ClosedError, DtypeError, LengthError, ProviderError, RateError
from voicecore.providers._models import make_session, require_files
from voicecore.providers._worker import PriorityWorker
from voicecore.providers.base import TurnDetector
from voicecore.providers.turn._features import RATE_HZ, log_mel

__all__ = ["INSTALL", "SmartTurn", "smart_turn_file"]

INSTALL = "pip install --force-reinstall voicecore-media (the model is part of it)"
_FILE = "smart_turn_v3.2_cpu.onnx"
_SAMPLES = 8 * RATE_HZ


def smart_turn_file() -> Path:
    """The model's file.

    Raises:
        MissingModelError: the installation is incomplete.
    """
    data = Path(__file__).resolve().parent / "data"
    what = "turn detector (Smart Turn v3.2)"
    return require_files(data if data.is_dir() else None, (_FILE,), what, INSTALL) / _FILE


class SmartTurn(TurnDetector):
    """Smart Turn v3.2; the model is loaded once, predictions run in a thread.

    Args:
        threads: predictions that may run at once, over all calls; each uses one core.

    Raises:
        MissingModelError: the model's file is missing.

    Example:
        turn = SmartTurn()
        probability = await turn.predict(pcm, 8000)
    """

    name = "smart-turn/v3.2"

    def __init__(self, threads: int = 1) -> None:
        self._path = smart_turn_file()
        self._session: Any = None
        self._lock = threading.Lock()
        self._worker = PriorityWorker("voicecore-turn", threads)

    def load(self) -> None:
        """Load the model now if it is not loaded; blocks for about 0.1 s."""
        with self._lock:
            if self._session is None:
                self._session = make_session(self._path, "turn detector (Smart Turn v3.2)")

    async def predict(self, pcm: NDArray[np.int16], rate_hz: int) -> float:
        """Probability 0..1 that the turn is complete; see the contract.

        Raises:
            DtypeError, LengthError, RateError: not mono int16 at 8000 or 16000 Hz.
            ProviderError: the model failed.
        """
        if rate_hz not in (8000, 16000):
            raise RateError(f"SmartTurn takes 8000 or 16000 Hz, not {rate_hz}; resample first")
        if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16:
            raise DtypeError("predict takes a numpy int16 array (mono)")
        if pcm.ndim != 1 or not len(pcm):
            raise LengthError(f"predict takes mono audio of shape (n,), n > 0, not {pcm.shape}")
        last = pcm[-8 * rate_hz :].copy()
        try:
            job = self._worker.submit(lambda: self.predict_now(last, rate_hz), urgent=True)
            return await asyncio.wrap_future(job)
        except ClosedError:
            raise
        except Exception as error:
            raise ProviderError(f"{self.name}: {type(error).__name__}: {error}") from error

    def predict_now(self, pcm: NDArray[np.int16], rate_hz: int) -> float:
        """The same, in this thread; blocks for about 35 ms."""
        self.load()
        if rate_hz != RATE_HZ:
            from voicecore.media._resample import Resampler

            resampler: Any = Resampler(rate_hz, RATE_HZ)
            pcm = resampler.process(pcm)
        audio = np.zeros(_SAMPLES, np.float32)
        last = pcm[-_SAMPLES:]
        audio[_SAMPLES - len(last) :] = last / np.float32(32768)
        outputs = self._session.run(None, {"input_features": log_mel(audio)[None]})
        return float(outputs[0].reshape(-1)[0])

    def close(self) -> None:
        """Let the thread end. Idempotent."""
        self._worker.close()
