"""Fetch the Smart Turn v3.2 model out of the pipecat-ai wheel into the package's data.

    python tools/fetch_smart_turn.py

The wheel is downloaded by pip without its dependencies, the file's sha256 is checked, and the model
and its licence (BSD-2-Clause) are written beside voicecore/providers/turn/smart_turn.py.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "pipecat-ai==1.14.0"
MODEL = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
LICENCE = "pipecat_ai-1.14.0.dist-info/licenses/LICENSE"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
DATA = Path(__file__).resolve().parent.parent / "voicecore/providers/turn/data"


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", scratch]
        subprocess.run([*pip, WHEEL], check=True)
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            model, licence = archive.read(MODEL), archive.read(LICENCE)
    found = hashlib.sha256(model).hexdigest()
    if found != SHA256:
        print(f"sha256 of {MODEL} is {found}, expected {SHA256}; nothing written", file=sys.stderr)
        return 1
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "smart_turn_v3.2_cpu.onnx").write_bytes(model)
    (DATA / "LICENSE.smart_turn").write_bytes(licence)
    print(f"wrote {DATA / 'smart_turn_v3.2_cpu.onnx'} ({len(model)} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
