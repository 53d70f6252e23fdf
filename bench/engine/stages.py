"""A call's 20 ms by stage in C, without sockets, beside the same work through the units alone.

    make build
    python bench/engine/stages.py [--calls 100 1000 2000] [--seconds 4] [--json]

Links bench_stages.c with the libraries of the last build. Thread CPU time, both sides in turns in
one process with as many objects. take: RTP, jitter buffer, G.711 (engine: and the rings); judge:
the VAD's batch (engine: and the gate); render: playout, G.711, RTP.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from capacity import ROOT, content

WEIGHTS = ROOT / "voicecore" / "media" / "data" / "silero_v6_8k.bin"


def build(folder: Path) -> Path:
    libraries = sorted((ROOT / "build").glob("temp.*/libvc_*.a"))
    if not libraries:
        raise SystemExit("the native libraries are not built; run: make build")
    program = folder / "bench_stages"
    source = Path(__file__).parent / "bench_stages.c"
    group = ["-Wl,--start-group", *map(str, libraries), "-Wl,--end-group"]
    subprocess.run(
        ["cc", "-std=gnu11", "-O2", f"-I{ROOT / 'csrc'}", str(source), *group, "-lm", "-ldl",
         "-pthread", "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 1000, 2000])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        speech = Path(folder) / "speech.pcmu"
        speech.write_bytes(content())
        for calls in options.calls:
            done = subprocess.run(
                [program, str(calls), str(options.seconds), speech, WEIGHTS],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            for line in done.stdout.splitlines():
                stage, engine, units = line.split()
                rows.append((calls, stage, float(engine), float(units)))
    if options.json:
        print(json.dumps([dict(zip(("calls", "stage", "engine_us", "units_us"), r, strict=True))
                          for r in rows]))  # fmt: skip
        return
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, load {load:.1f}; us a call and tick: engine, units, ratio")
    for calls in options.calls:
        mine = [row for row in rows if row[0] == calls]
        mine.append((calls, "sum", sum(row[2] for row in mine), sum(row[3] for row in mine)))
        for _, stage, engine, units in mine:
            print(f"{calls:5} calls  {stage:7} {engine:6.2f} {units:6.2f} {engine / units:6.2f}x")


if __name__ == "__main__":
    main()
