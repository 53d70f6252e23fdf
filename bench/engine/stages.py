"""A call's 20 ms by stage in C, without sockets, beside the same work through the units alone.

    make build
    python bench/engine/stages.py [--calls 100 1000 2000] [--seconds 4] [--json]
    python bench/engine/stages.py --codec opus --calls 100 [--opus-complexity 5]

Links bench_stages.c with the libraries of the last build. Thread CPU time, both sides in turns in
one process with as many objects. take: RTP, jitter buffer, decoder (engine: and the rings, with
--echo on the echo canceller); judge: the VAD's batch (engine: and the gate); render: playout,
encoder, RTP (engine with --echo on: and the decoder of the canceller's reference). Of the units'
time, encode (in render) and decode (in take) are the codec alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from capacity import ROOT, call_rate_hz

from bench.engine.content import CODECS, write_content

WEIGHTS = ROOT / "voicecore" / "media" / "data"
NUMBERS = {"pcmu": 0, "l16": 2, "g722": 3, "opus": 4}  # of enum vc_codec


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
    parser.add_argument("--codec", choices=CODECS, default="pcmu")
    parser.add_argument("--rate-hz", type=int, default=0, help="of the call; 0: the codec's own")
    parser.add_argument("--opus-complexity", type=int, default=-1, help="-1: libopus' own, 9")
    parser.add_argument("--echo", choices=("on", "off"), default="off")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rate_hz = call_rate_hz(options)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        speech = write_content(Path(folder) / "speech.packets", options.codec, rate_hz)
        weights = WEIGHTS / f"silero_v6_{rate_hz // 1000}k.bin"
        for calls in options.calls:
            done = subprocess.run(
                [program, str(calls), str(options.seconds), speech, weights,
                 str(NUMBERS[options.codec]), str(rate_hz), str(options.opus_complexity),
                 str(int(options.echo == "on"))],
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            for line in done.stdout.splitlines():
                stage, engine, units = line.split()
                rows.append((calls, stage, float(engine), float(units)))
    if options.json:
        print(json.dumps([dict(zip(("calls", "stage", "engine_us", "units_us"), r, strict=True))
                          for r in rows if not math.isnan(r[2]) and r[1] != "memory"]))  # fmt: skip
        return
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {options.codec} at {rate_hz} Hz, load {load:.1f}; "
          "us a call and tick: engine, units, ratio")  # fmt: skip
    for calls in options.calls:
        mine = [row for row in rows if row[0] == calls and row[1] != "memory"]
        codec = [row for row in mine if math.isnan(row[2])]
        mine = [row for row in mine if not math.isnan(row[2])]
        whole = sum(row[2] for row in mine)
        mine.append((calls, "sum", whole, sum(row[3] for row in mine)))
        for _, stage, engine, units in mine:
            print(f"{calls:5} calls  {stage:7} {engine:6.2f} {units:6.2f} {engine / units:6.2f}x")
        for _, stage, _, units in codec:
            share = units / whole
            print(
                f"{calls:5} calls  {stage:7} {'':6} {units:6.2f}   {share:.0%} of the engine's sum"
            )
        _, _, held, ring = next(row for row in rows if row[:2] == (calls, "memory"))
        print(
            f"{calls:5} calls  memory  {(held - ring) / 1024:6.1f} KiB each in C, "
            "without received audio"
        )


if __name__ == "__main__":
    main()
