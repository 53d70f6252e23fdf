"""Compile csrc and tests/native with chosen sanitizers and run every native test.

python tools/native_tests.py                                   plain
python tools/native_tests.py --sanitize address,undefined
python tools/native_tests.py --sanitize thread test_shard      only the named tests
python tools/native_tests.py --compiler musl-gcc               another libc
python tools/native_tests.py --compiler aarch64-linux-gnu-gcc --runner "qemu-aarch64 -L DIR"
                                                               another machine, here NEON
python tools/native_tests.py --emulate avx512 test_silero test_fft test_resample
                                                               a level that this CPU has not
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = {
    "x86_64": {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": [
            "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
            "-mprefer-vector-width=512",
        ],
    },
    "aarch64": {"neon": []},
}  # fmt: skip


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


def machine_of(compiler: str) -> str:
    """The architecture that a compiler makes code for."""
    name = run([compiler, "-dumpmachine"]).stdout.split("-")[0].strip().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def compile_one(job: tuple[list[str], Path, Path]) -> Path:
    command, source, target = job
    target.parent.mkdir(parents=True, exist_ok=True)
    done = run([*command, "-c", str(source), "-o", str(target)])
    if done.returncode != 0 or "warning:" in done.stderr:
        raise SystemExit(f"{source}: {'failed' if done.returncode else 'warnings'}\n{done.stderr}")
    return target


# Flags for the kernels of a level whose instructions a header computes one by one, for an AVX2 CPU.
EMULATED = {
    "avx512": ["-mavx2", "-mfma", "-include", "tests/native/vc_test_avx512.h", "-Wno-psabi"]
}


def build(sanitize: str, compiler: str, emulate: str, names: list[str]) -> list[Path]:
    """Build all units and the named tests; return the test programs."""
    machine = machine_of(compiler)
    kind = "-".join([*sanitize.split(","), emulate]).strip("-") or "plain"
    out = ROOT / "build" / "native" / f"{machine}-{kind}"
    base = [
        compiler, "-std=gnu11", "-O1", "-g", "-Icsrc", "-Itests/native", "-pthread",
        "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
        "-Wall", "-Wextra", "-Wundef", "-Wvla", "-Wconversion",
    ]  # fmt: skip
    link: list[str] = []
    if sanitize:
        flags = [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        base += flags
        link += flags
    if emulate:
        base.append(f"-DVC_CPU_EMULATED=VC_CPU_{emulate.upper()}")
    jobs = []
    for path in sorted((ROOT / "csrc").rglob("*.c")):
        relative = path.relative_to(ROOT)
        flags = []
        if relative.parts[1] == "kernels":
            levels: dict[str, list[str]] = {"c": [], **LEVELS.get(machine, {})}
            if relative.parts[2] not in levels:
                continue
            level = relative.parts[2]
            flags = EMULATED[level] if level == emulate else levels[level]
        elif relative.name.startswith("vc_shard") and sys.platform != "linux":
            continue
        jobs.append((base + flags, relative, out / relative.with_suffix(".o")))
    tests = sorted((ROOT / "tests" / "native").glob("test_*.c"))
    if names:
        tests = [path for path in tests if path.stem in names]
    for path in tests:
        relative = path.relative_to(ROOT)
        jobs.append((base, relative, out / relative.with_suffix(".o")))
    os.chdir(ROOT)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    units = [str(path) for path in objects if "tests" not in path.relative_to(out).parts]
    programs = []
    for test in (path for path in objects if "tests" in path.relative_to(out).parts):
        program = out / test.stem
        libraries = ["-lm", "-ldl", "-o", str(program)]
        done = run([compiler, *link, "-pthread", str(test), *units, *libraries])
        if done.returncode != 0:
            raise SystemExit(f"{test.stem}: link failed\n{done.stderr}")
        programs.append(program)
    return programs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="test programs, e.g. test_ring; default all")
    parser.add_argument("--sanitize", default="", help="for example address,undefined or thread")
    parser.add_argument("--compiler", default=os.environ.get("CC", "cc"))
    parser.add_argument("--runner", default="", help="what runs a test program, e.g. an emulator")
    parser.add_argument("--emulate", default="", choices=["", *EMULATED], metavar="LEVEL")
    options = parser.parse_args()
    programs = build(options.sanitize, options.compiler, options.emulate, options.names)
    if not programs:
        raise SystemExit("no native test matches; see tests/native/test_*.c")
    failed = 0
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=1",
        "TSAN_OPTIONS": "halt_on_error=1",
    }
    for program in programs:
        command = ["timeout", "300", *options.runner.split(), str(program)]
        done = run(command, env=environment, cwd=ROOT)
        failed += done.returncode != 0
        print(f"{program.name}: {'ok' if done.returncode == 0 else 'FAILED'}")
        print(done.stdout + done.stderr)
    print(f"{len(programs) - failed} native test programs passed, {failed} failed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
