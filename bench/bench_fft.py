"""FFT in C at every CPU level, beside scipy's pocketfft.

    python bench/bench_fft.py

Compiles bench/native/bench_fft.c with the units as setup.py does and prints nanoseconds a
transform. scipy transforms 64 rows in one call: its Python overhead is spread over them, and it
does several rows side by side in one vector, which a single transform cannot.
tests/native/test_fft.c checks that the results are right.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

import numpy as np
import scipy.fft

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "-std=gnu11", "-O3", "-DNDEBUG", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    f"-I{ROOT / 'csrc'}",
]  # fmt: skip
LEVELS = {
    "x86_64": {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": [
            "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
            "-mprefer-vector-width=512",
        ],
    },
    "aarch64": {"neon": []},
    "arm64": {"neon": []},
}  # fmt: skip


def native() -> list[list[str]]:
    """Lines of level, n, forward ns, inverse ns."""
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for level, flags in {"c": [], **LEVELS.get(platform.machine(), {})}.items():
            target = Path(folder) / f"{level}.o"
            source = ROOT / "csrc" / "kernels" / level / f"vc_fft_{level}.c"
            subprocess.run(["cc", *FLAGS, *flags, "-c", source, "-o", target], check=True)
            objects.append(target)
        sources = [
            ROOT / "csrc" / "base" / "vc_base.c",
            ROOT / "csrc" / "base" / "vc_cpu.c",
            ROOT / "csrc" / "dsp" / "vc_fft.c",
            ROOT / "bench" / "native" / "bench_fft.c",
        ]
        program = Path(folder) / "bench_fft"
        subprocess.run(["cc", *FLAGS, *sources, *objects, "-lm", "-o", program], check=True)
        done = subprocess.run([program], check=True, text=True, capture_output=True)
    return [line.split() for line in done.stdout.splitlines()]


def pocketfft_ns(n: int) -> float:
    rows = np.random.default_rng(1).normal(size=(64, n)).astype(np.float32)
    return min(timeit.repeat(lambda: scipy.fft.rfft(rows), number=40, repeat=15)) / 40 / 64 * 1e9


def main() -> int:
    peer = {n: pocketfft_ns(n) for n in (64, 128, 256, 512, 1024)}
    print(
        f"{'level':8} {'n':>5} {'forward ns':>11} {'inverse ns':>11} {'pocketfft':>10} {'ratio':>6}"
    )
    for level, size, forward, inverse in native():
        n, ours = int(size), float(forward)
        print(f"{level:8} {n:5} {forward:>11} {inverse:>11} {peer[n]:10.0f} {peer[n] / ours:5.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
