"""mypy, strict, on code as a user writes it: the stubs say what the modules do. Oracle: mypy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USER_CODE = """
import numpy as np

import voicecore as vc

frame = np.zeros(160, dtype=np.int16)
reveal_type(vc.Resampler(8000, 16000).process(frame))
reveal_type(vc.EchoCanceller(16000).process(frame, None))
reveal_type(vc.SileroVad(16000).process(frame))
reveal_type(vc.SileroVadBatch(16000, 4).process(np.zeros((4, 512), dtype=np.float32)))
reveal_type(vc.SpeechSegmenter(16000).process(frame)[0].kind)
reveal_type(vc.speech_segments(frame, 16000, pad_ms=100))
reveal_type(vc.G711("ulaw").encode(frame))
reveal_type(vc.G711("ulaw").encode(b"1234"))
reveal_type(vc.Encoder("g722", 16000).encode(frame))
reveal_type(vc.Decoder("g722", 16000).decode(b"1234"))
reveal_type(vc.JitterBuffer(8000).put(b"", 0))
reveal_type(vc.cpu_level())


async def use() -> None:
    async with vc.Engine() as engine:
        call = await engine.open_call(vc.CallConfig(play_hz=8000))
        reveal_type(call.play(frame))
        reveal_type(call.read_audio())
        async for event in call:
            reveal_type(event)
"""

REVEALED = [
    "ndarray[",
    "ndarray[",
    "ndarray[",
    "ndarray[",
    "Literal['start'",
    "ndarray[",
    "bytes",
    "bytes",
    "bytes",
    "ndarray[",
    "Literal['ok']",
    "str",
    "int",
    "tuple[numpy.ndarray[",
    "CallEvent",
]


def test_user_code_type_checks(tmp_path: Path) -> None:
    source = tmp_path / "user_code.py"
    source.write_text(USER_CODE)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
         "--config-file=", f"--cache-dir={tmp_path}", str(source)],
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(root), "PATH": ""},
        cwd=tmp_path,
    )  # fmt: skip
    notes = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(notes) == len(REVEALED), done.stdout
    for note, expected in zip(notes, REVEALED, strict=True):
        assert expected in note
