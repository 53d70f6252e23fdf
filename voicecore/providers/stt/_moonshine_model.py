"""Moonshine tiny (English) on onnxruntime: loader, tokenizer, greedy decoding.

Model: Useful Sensors' Moonshine (Jeffries et al. 2024, arXiv:2410.15608), an encoder on the raw
16 kHz waveform and a decoder with cached keys and values; weights MIT. The files are those of the
``moonshine-voice`` wheel. The merged decoder has two branches: the first step computes the cross
attention's keys and values, later steps get them back and must not overwrite them.

Limits: English; meant for speech only. On noise it invents text, and under half a second it may
repeat itself, so what it is given must come through a VAD.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import DataError
from voicecore.providers._models import make_session

__all__ = ["FILES", "MoonshineModel", "read_tokenizer", "strip_repeats"]

RATE_HZ = 16000
_BOS, _EOS = 1, 2
_TOKENS_PER_S = 6.5  # the model's own bound: more is a loop, not speech
_LAYERS, _HEADS, _HEAD_DIM = 6, 8, 36
FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
_MIN_SAMPLES = 1600  # the convolutions need about 0.06 s


def read_tokenizer(data: bytes) -> list[bytes]:
    """The pieces of a ``tokenizer.bin``, by token number.

    Each piece is a length and that many bytes; a length of 128 or more takes two bytes.

    Raises:
        DataError: the data ends within a piece.
    """
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            if at >= len(data):
                raise DataError("tokenizer.bin is truncated; reinstall moonshine-voice==0.0.73")
            length = data[at] * 128 + length - 128
            at += 1
        if at + length > len(data):
            raise DataError("tokenizer.bin is truncated; reinstall moonshine-voice==0.0.73")
        pieces.append(data[at : at + length])
        at += length
    return pieces


def strip_repeats(tokens: list[int]) -> list[int]:
    """Tokens with a looping tail cut: one copy is kept of any group that comes 3 times or more.

    Greedy decoding of too little audio ends in such loops ("such such such").
    """
    for size in range(1, len(tokens) // 3 + 1):
        group = tokens[-size:]
        end = len(tokens)
        count = 0
        while end >= size and tokens[end - size : end] == group:
            end -= size
            count += 1
        if count >= 3:
            return tokens[: end + size]
    return tokens


class MoonshineModel:
    """The loaded model; immutable, so that any number of threads may decode with it.

    Args:
        directory: where the three files lie.

    Raises:
        DataError: a file is damaged or of another model.
    """

    def __init__(self, directory: Path) -> None:
        what = "Moonshine tiny-en (moonshine-voice==0.0.73)"
        self._encoder = make_session(directory / FILES[0], what)
        self._decoder = make_session(directory / FILES[1], what)
        self._pieces = [self._piece(p) for p in read_tokenizer((directory / FILES[2]).read_bytes())]
        inputs = {i.name for i in self._decoder.get_inputs()}
        outputs = [o.name for o in self._decoder.get_outputs()]
        expected = {f"past_key_values.{layer}.encoder.value" for layer in range(_LAYERS)}
        if not expected <= inputs or outputs[0] != "logits":
            raise DataError(f"{what}: the decoder in {directory} is of another model")
        self._encoder_mask = "attention_mask" in {i.name for i in self._encoder.get_inputs()}
        self._decoder_mask = "encoder_attention_mask" in inputs
        self._outputs = outputs
        self._past = {name: name.replace("present", "past_key_values") for name in outputs[1:]}
        # After the first step the cross attention's part stays as it is and need not come out.
        self._later = [name for name in outputs if ".encoder." not in name]

    @staticmethod
    def _piece(raw: bytes) -> bytes:
        if len(raw) == 6 and raw.startswith(b"<0x") and raw.endswith(b">"):
            return bytes([int(raw[3:5], 16)])
        return raw.replace("\u2581".encode(), b" ")

    def text(self, tokens: list[int]) -> str:
        """The text of tokens."""
        joined = b"".join(self._pieces[t] for t in tokens if t > _EOS and t < len(self._pieces))
        return joined.decode("utf-8", errors="replace").strip()

    def transcribe(
        self, audio: NDArray[np.float32], stop: Callable[[], bool] | None = None
    ) -> str | None:
        """The text of ``audio`` (mono float32, 16 kHz), or None if ``stop`` said so on the way.

        ``stop`` is asked after the encoder and before each token (about 2 ms).
        """
        if len(audio) < _MIN_SAMPLES:
            return ""
        feeds: dict[str, Any] = {"input_values": audio[None, :]}
        mask = np.ones((1, len(audio)), np.int64)  # of samples, in both networks
        if self._encoder_mask:
            feeds["attention_mask"] = mask
        fixed: dict[str, Any] = {"encoder_hidden_states": self._encoder.run(None, feeds)[0]}
        if self._decoder_mask:
            fixed["encoder_attention_mask"] = mask
        limit = max(4, int(len(audio) / RATE_HZ * _TOKENS_PER_S))
        tokens = self._decode(fixed, limit, stop)
        return None if tokens is None else self.text(strip_repeats(tokens))

    def _decode(
        self, fixed: dict[str, Any], limit: int, stop: Callable[[], bool] | None
    ) -> list[int] | None:
        empty = np.zeros((1, _HEADS, 0, _HEAD_DIM), np.float32)
        feeds: dict[str, Any] = {**fixed, **dict.fromkeys(self._past.values(), empty)}
        tokens: list[int] = []
        token = _BOS
        for step in range(limit):
            if stop is not None and stop():
                return None
            feeds["input_ids"] = np.array([[token]], np.int64)
            feeds["use_cache_branch"] = np.array([step > 0])
            names = self._later if step else self._outputs
            outputs = self._decoder.run(names, feeds)
            token = int(outputs[0][0, -1].argmax())
            if token == _EOS:
                break
            tokens.append(token)
            for name, value in zip(names[1:], outputs[1:], strict=True):
                feeds[self._past[name]] = value
        return tokens
