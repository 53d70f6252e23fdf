"""Resampler in C beside soxr and speexdsp: microseconds of processor time a 20 ms mono frame.

    apt-get install libsoxr-dev libspeexdsp-dev     # the peers; a missing one is named
    python bench/bench_resample_native.py

Compiles bench/native/bench_resample.c with the units as setup.py does. Medians of 101 rounds, all
implementations in each; the Python call is not in these (bench/bench_resample.py has it).
tests/unit/test_resample.py checks that the results are right.
"""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path

from bench_fft import FLAGS, LEVELS, ROOT

PEER = "soxr_LQ_f32"


def build(folder: Path) -> Path:
    jobs = [
        (ROOT / "csrc" / "kernels" / level / f"vc_resample_{level}.c", flags)
        for level, flags in {"c": [], **LEVELS.get(platform.machine(), {})}.items()
    ]
    sources = [*(ROOT / "csrc" / "dsp").glob("vc_resample*.c"), ROOT / "csrc/base/vc_base.c"]
    sources += [ROOT / "csrc/base/vc_cpu.c", ROOT / "bench/native/bench_resample.c"]
    jobs += [(source, []) for source in sources]
    objects = []
    for source, flags in jobs:
        target = folder / f"{source.stem}.o"
        subprocess.run(["cc", *FLAGS, *flags, "-c", source, "-o", target], check=True)
        objects.append(target)
    headers = {"soxr": "soxr.h", "speexdsp": "speex/speex_resampler.h"}
    libraries = [
        f"-l{name}"
        for name, header in headers.items()
        if subprocess.run(
            ["cc", "-E", "-include", header, "-x", "c", "/dev/null"], capture_output=True
        ).returncode
        == 0
    ]
    program = folder / "bench_resample"
    subprocess.run(["cc", *objects, *libraries, "-lm", "-o", program], check=True)
    return program


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        done = subprocess.run([program], check=True, text=True, capture_output=True)
    times: dict[str, dict[str, float]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("#"):
            print(line.removeprefix("# "))
            continue
        pair, name, us = line.split()
        times.setdefault(name, {})[pair] = float(us)
    pairs = list(next(iter(times.values())))
    print("us a 20 ms frame in C (median)")
    print(f"{'':22}" + "".join(f"{pair:>13}" for pair in pairs))
    for name, row in times.items():
        print(f"{name:22}" + "".join(f"{row[pair]:13.2f}" for pair in pairs))
    if PEER in times:
        best = [name for name in times if name.startswith("vc_f32") and "trim" not in name][-1]
        ratios = (times[PEER][pair] / times[best][pair] for pair in pairs)
        print(f"{PEER + ' / ours':22}" + "".join(f"{ratio:12.2f}x" for ratio in ratios))


if __name__ == "__main__":
    main()
