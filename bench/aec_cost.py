"""What 10 ms of the echo canceller cost in C, state by state.

    python -m bench.aec_cost                 nanoseconds of processor time, 8 and 16 kHz
    python -m bench.aec_cost --callgrind     instructions, repeatable (needs valgrind)

Compiles bench/native/bench_aec.c with the units as setup.py does. Times: medians of 15 voices.
Instructions: one voice, 5 s of it (the pauses: 1 s), at the level avx2 or neon at the most, since
valgrind knows no wider one. What each state is stands in bench/native/bench_aec.c.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.bench_fft import FLAGS, LEVELS, ROOT

RATES_HZ = (8000, 16000)
STATES = {
    "no-echo-silent": "no echo, near end silent, agent speaks",
    "no-echo-noise": "no echo, noise at -70 dBFS, agent speaks",
    "no-echo-caller": "no echo, both speak",
    "no-echo-pause": "no echo, caller speaks, agent's first second of silence",
    "learnt-alone": "echo learnt, agent speaks",
    "learnt-double": "echo learnt, both speak",
    "learnt-pause": "echo learnt, agent's first second of silence",
    "silence": "agent silent for long",
}


def build(folder: Path) -> Path:
    jobs: list[tuple[Path, list[str]]] = []
    for level, flags in {"c": [], **LEVELS.get(platform.machine(), {})}.items():
        jobs += [(path, flags) for path in (ROOT / "csrc" / "kernels" / level).glob("*.c")]
    for area in ("base", "dsp", "aec"):
        jobs += [(path, []) for path in (ROOT / "csrc" / area).glob("*.c")]
    jobs.append((ROOT / "bench/native/bench_aec.c", [f"-I{ROOT / 'tests' / 'native'}"]))

    def compile_one(job: tuple[Path, list[str]]) -> Path:
        source, flags = job
        target = folder / f"{source.parent.name}_{source.stem}.o"
        subprocess.run(["cc", *FLAGS, *flags, "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, jobs))
    program = folder / "bench_aec"
    subprocess.run(["cc", *objects, "-pthread", "-lm", "-o", program], check=True)
    return program


def nanoseconds(program: Path) -> dict[tuple[str, int], float]:
    done = subprocess.run([program], check=True, text=True, capture_output=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {(state, int(rate)): float(ns) for state, rate, ns in rows}


def instructions(program: Path) -> dict[tuple[str, int], float]:
    found = {}
    for state in STATES:
        for rate_hz in RATES_HZ:
            command = ["valgrind", "--tool=callgrind", "--toggle-collect=measured",
                       f"--callgrind-out-file={program.parent / 'callgrind'}",
                       program, state, str(rate_hz)]  # fmt: skip
            done = subprocess.run(command, check=True, text=True, capture_output=True)
            match = re.search(r"Collected : (\d+)", done.stderr)
            if match is None:
                raise SystemExit(f"callgrind counted nothing:\n{done.stderr}")
            found[state, rate_hz] = int(match.group(1)) / int(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callgrind", action="store_true", help="count instructions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        found = (instructions if options.callgrind else nanoseconds)(program)
    unit = "instructions" if options.callgrind else "ns"
    print(f"{unit} for 10 ms in C{'':40}" + "".join(f"{r // 1000:>8} kHz" for r in RATES_HZ))
    for state, what in STATES.items():
        print(f"{what:60}" + "".join(f"{found[state, rate]:12.0f}" for rate in RATES_HZ))


if __name__ == "__main__":
    main()
