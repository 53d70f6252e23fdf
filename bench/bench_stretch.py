"""Time of a stretched and of a concealed 20 ms frame in C.

    python bench/bench_stretch.py

Compiles bench/native/bench_stretch.c with the units as setup.py does; medians of thread CPU time.
No per-level kernels: the same code at every CPU level (the baseline of the architecture).
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNITS = (
    "base/vc_base", "dsp/vc_pitch", "dsp/vc_lpc", "dsp/vc_stretch", "dsp/vc_extrapolate",
    "net/vc_conceal",
)  # fmt: skip


def main() -> int:
    sources = [f"csrc/{unit}.c" for unit in UNITS]
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "bench_stretch"
        subprocess.run(
            ["cc", "-std=gnu11", "-O3", "-DNDEBUG", "-fno-math-errno", "-fno-trapping-math",
             "-ffp-contract=off", "-Icsrc", "bench/native/bench_stretch.c", *sources, "-lm",
             "-o", str(program)],
            check=True, cwd=ROOT,
        )  # fmt: skip
        done = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    print(f"{platform.machine()}, us, median of 1001")
    print(f"{'':16} {'8 kHz':>7} {'16 kHz':>7} {'48 kHz':>7}")
    times: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, us = line.split(",")
        times.setdefault(name, []).append(us)
    for name, values in times.items():
        print(f"{name:16} " + " ".join(f"{value:>7}" for value in values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
