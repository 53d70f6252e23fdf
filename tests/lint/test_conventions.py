"""The house rules, checked by machine. Oracle: the rules of CONTRIBUTING.md, one test each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_DIRS = ("csrc", "voicecore", "tests", "bench", "tools", "docs", ".github", ".ci")
BINARY_SUFFIXES = {".bin", ".npz", ".npy", ".wav", ".onnx", ".so", ".png"}
GENERATED_C = re.compile(r"voicecore/.*\.c(pp)?$")


def files(*patterns: str, inside: tuple[str, ...] = SOURCE_DIRS) -> list[Path]:
    """Source files that match, relative to the repository, without what tools generate."""
    found = {
        path.relative_to(ROOT)
        for top in inside
        for pattern in patterns
        for path in (ROOT / top).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(path for path in found if not GENERATED_C.search(path.as_posix()))


def text_files() -> Iterator[tuple[Path, str]]:
    top_level = [path.relative_to(ROOT) for path in ROOT.iterdir() if path.is_file()]
    for path in [*top_level, *files("*")]:
        if path.suffix not in BINARY_SUFFIXES and not {".git", "corpus"} & set(path.parts):
            yield path, (ROOT / path).read_text(encoding="utf-8")


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def code_only(c_source: str) -> str:
    """C without comments and strings; line numbers stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731
    return re.sub(pattern, blank, c_source, flags=re.S)


def lines_matching(pattern: str, text: str) -> list[int]:
    return [text.count("\n", 0, found.start()) + 1 for found in re.finditer(pattern, text)]


def test_the_tree_is_there():
    assert len(files("*.c")) > 10
    assert len(files("*.py")) > 10


@pytest.mark.parametrize(
    ("patterns", "inside", "limit"),
    [
        (("*.c", "*.h", "*.pyx"), ("csrc", "voicecore", "tests"), 600),
        (("*.py", "*.pyi"), ("voicecore", "tools", "bench"), 400),
        (("*.py",), ("tests",), 600),
    ],
    ids=["native", "Python", "tests"],
)
def test_files_are_short(patterns: tuple[str, ...], inside: tuple[str, ...], limit: int):
    lengths = {
        str(path): read(path).count("\n")
        for path in files(*patterns, inside=inside)
        if path.parts[:2] != ("csrc", "tables")  # generated
    }
    too_long = {path: length for path, length in lengths.items() if length > limit}
    assert not too_long, f"longer than {limit} lines; split by role: {too_long}"


# What may not be called in the native units, and the files that may: memory comes through
# vc_allocator, time is an argument, and only the shard talks to the system.
FORBIDDEN_C = {
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|free)\s*\(": {"vc_base.c"},
    r"\b(alloca|__builtin_alloca)\s*\(": set(),
    r"\b(printf|fprintf|puts|fputs|putchar|perror|syslog)\s*\(": set(),
    r"\b(clock_gettime|clock|time|gettimeofday|timespec_get|nanosleep|usleep)\s*\(": {
        "vc_shard_grid.c"
    },
    r"\b(secure_)?getenv\s*\(": {"vc_cpu.c"},
    r"\b(pthread_mutex_\w+|mtx_lock)\s*\(": set(),
    r"#\s*include\s*<(stdio|time|assert|locale|signal)\.h>": {
        "vc_shard.c",
        "vc_shard_grid.c",
        "vc_shard_io.c",
    },
}


@pytest.mark.parametrize("pattern", FORBIDDEN_C)
def test_native_units_do_not_allocate_print_or_read_clocks(pattern: str):
    found = {
        str(path): lines
        for path in files("*.c", "*.h", inside=("csrc",))
        if path.name not in FORBIDDEN_C[pattern]
        and (lines := lines_matching(pattern, code_only(read(path))))
    }
    assert not found, f"{pattern} in lines {found}"


def test_every_unit_has_header_source_and_native_test():
    # Headers of inline functions need no source; the status codes are tested with the CPU levels.
    # vc_<unit>_<part> is a part of vc_<unit>: it shares that unit's headers and test.
    tested_by = {"vc_base": "cpu"}
    sources = files("vc_*.c", inside=("csrc",))
    stems = {path.stem for path in sources if path.parts[1] != "kernels"}
    part = lambda name: any(name.startswith(f"{unit}_") for unit in stems)  # noqa: E731
    units = {name for name in stems if not part(name)}
    headers = {path.stem: path for path in files("vc_*.h", inside=("csrc",))}
    missing = [f"{unit}.h" for unit in units if unit not in headers]
    native = {path.stem for path in files("test_*.c", inside=("tests",))}
    for unit in units:
        wanted = f"test_{tested_by.get(unit, unit.removeprefix('vc_'))}"
        if wanted not in native:
            missing.append(f"tests/native/{wanted}.c")
    for name, path in headers.items():
        prototype = re.search(r"^[a-z].*\w\(.*[^{]$", code_only(read(path)), re.M)
        if name not in units and not part(name) and prototype and "inline" not in read(path):
            missing.append(f"{name}.c")
    assert not missing


def test_every_binding_has_a_stub_and_a_test():
    bindings = files("_*.pyx", inside=("voicecore",))
    assert bindings
    missing = [str(path) for path in bindings if not (ROOT / path).with_suffix(".pyi").exists()]
    tests = {path.stem for path in files("test_*.py", inside=("tests",))}
    tested_by = {"call": "engine"}  # a call lives in an engine only
    for path in bindings:
        unit = tested_by.get(path.stem[1:], path.stem[1:])
        if not any(name.startswith(f"test_{unit}") for name in tests):
            missing.append(f"tests/unit/test_{unit}.py")
    assert not missing


QUANTITY = r"(delay|duration|timeout|latency|elapsed|deadline|interval|hangover)"
UNIT = r"_(ns|us|ms|s|hz|db|dbfs|dbov|samples|ticks|packets|frames|bytes|bits)$"


def test_c_quantities_carry_their_unit():
    declared = re.compile(rf"\b(?:u?int(?:\d+_t)?|float|double|size_t)\s+(\w*{QUANTITY}\w*)\b")
    bare = [
        f"{path}: {found[1]}"
        for path in files("*.h", inside=("csrc",))
        for found in declared.finditer(code_only(read(path)))
        if not re.search(UNIT, found[1])
        # a unit's name says nothing of what its functions return
        and re.search(QUANTITY, re.sub(r"^vc_delay_(estimator|manager)_", "", found[1]))
    ]
    assert not bare


def test_python_quantities_carry_their_unit():
    bare = []
    of_the_stdlib = {"voicecore/testing/loop.py: timeout"}  # the signature of BaseSelector.select
    for path in files("*.py", "*.pyi", inside=("voicecore",)):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.arg):
                name, kind = node.arg, node.annotation
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, kind = node.target.id, node.annotation
            else:
                continue
            number = kind is not None and re.match(r"(int|float)\b", ast.unparse(kind))
            if number and re.search(QUANTITY, name) and not re.search(UNIT, name):
                bare.append(f"{path}: {name}")
    assert set(bare) <= of_the_stdlib


def test_one_clock():
    wall = r"\btime\.(time|time_ns|clock|perf_counter\w*)\(|\bdatetime\.(now|utcnow|today)\("
    found = {
        str(path): lines
        for path in files("*.py", "*.pyx", inside=("voicecore", "tests"))
        if path != Path(__file__).relative_to(ROOT) and (lines := lines_matching(wall, read(path)))
    }
    assert not found, f"use time.monotonic_ns, injected: {found}"


def test_tests_do_not_sleep():
    # Virtual sleep is free: files that run on the virtual loop, themselves or by their conftest. A
    # line that must spend real time says why: "# real time: ...".
    virtual = re.compile(r"voicecore\.testing\.loop|run_virtual")
    sleep = re.compile(r"\b(time\.sleep|asyncio\.sleep)\((?!0\))")

    def on_virtual_loop(path: Path) -> bool:
        both = (path, path.parent / "conftest.py")
        return any(virtual.search(read(one)) for one in both if (ROOT / one).exists())

    found = [
        f"{path}:{number}"
        for path in files("*.py", inside=("tests",))
        if path.parts[1] != "lint"
        for number, line in enumerate(read(path).splitlines(), 1)
        if (call := sleep.search(line))
        and "# real time: " not in line
        and not (call[1] == "asyncio.sleep" and on_virtual_loop(path))
    ]
    assert not found, f"use virtual time: {found}"


def test_file_names():
    rules = {
        "csrc": r"(vc_|body_|vec_)[a-z0-9_]+\.([ch]|cpp)",
        "tests/native": r"(test_[a-z0-9_]+\.c|vc_test\w*\.h)",
        "bench": r"[a-z0-9_]+\.(py|json)|README\.md|bench_[a-z0-9_]+\.[ch]",
        "docs/units": r"[a-z0-9_-]+\.md",
    }
    wrong = [
        str(path)
        for top, rule in rules.items()
        if (ROOT / top).exists()
        for path in files("*", inside=(top,))
        if not re.fullmatch(rule, path.name)
    ]
    wrong += [str(path) for path in files("*.py") if not re.fullmatch(r"[a-z0-9_]+\.py", path.name)]
    assert not wrong


def test_nothing_unfinished_and_no_path_of_one_machine():
    # Written in two pieces, so that this file is clean too.
    marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"]
    places = ["/" + name + "/" for name in ("work", "root", "farm")] + ["/" + "home/[a-z]"]
    pattern = re.compile("|".join([*(rf"\b{mark}\b" for mark in marks), *places]))
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found
