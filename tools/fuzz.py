"""Build every tests/fuzz/fuzz_*.c with libFuzzer, ASan and UBSan, and run each for a while.

python tools/fuzz.py --seconds 60               all of them
python tools/fuzz.py --seconds 600 fuzz_rtp     the named ones

It starts from tests/fuzz/corpus/<target without fuzz_>/ and grows in build/fuzz/<target>/, where
a crashing input is left too. Needs clang; the native tests replay the first corpus without it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from native_tests import ROOT, build, machine_of

UNITS = "fuzzer-no-link,address,undefined"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="targets, e.g. fuzz_rtp; default all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--compiler", default="clang")
    options = parser.parse_args()
    if shutil.which(options.compiler) is None:
        raise SystemExit(f"{options.compiler} is not here; on Debian and Ubuntu: apt install clang")
    targets = [
        path
        for path in sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
        if not options.names or path.stem in options.names
    ]
    if not targets:
        raise SystemExit("no target matches; see tests/fuzz/fuzz_*.c")
    build(UNITS, options.compiler, "", ["units only, no test has this name"])
    built = f"{machine_of(options.compiler)}-{UNITS.replace(',', '-')}"
    objects = sorted((ROOT / "build" / "native" / built / "csrc").rglob("*.o"))
    failed = 0
    for path in targets:
        corpus = ROOT / "build" / "fuzz" / path.stem
        corpus.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "tests" / "fuzz" / "corpus" / path.stem.removeprefix("fuzz_")
        program = corpus.with_suffix(".bin")
        flags = ["-g", "-O1", "-Icsrc", "-fsanitize=fuzzer,address,undefined", "-pthread"]
        subprocess.run(
            [
                options.compiler,
                *flags,
                str(path),
                *map(str, objects),
                "-lm",
                "-ldl",
                "-o",
                str(program),
            ],
            check=True,
            cwd=ROOT,
        )
        limits = [f"-max_total_time={options.seconds}", "-max_len=600", "-print_final_stats=1"]
        done = subprocess.run(
            [
                str(program),
                *limits,
                "-verbosity=0",
                f"-artifact_prefix={corpus}/crash-",
                str(corpus),
                *([str(seeds)] if seeds.is_dir() else []),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "executed_units" in line]
        print(f"{path.stem}: {'ok' if done.returncode == 0 else 'FAILED'}, {''.join(runs)} inputs")
        if done.returncode != 0:
            print(done.stderr)
            failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
