"""Builds the C units as one static library per CPU level and the Cython extensions on top.

Environment: VC_DEBUG=1 turns Cython's bounds checks and C assertions on; VC_SANITIZE=thread (or
address,undefined) builds everything with those sanitizers; VC_WERROR=1 makes C warnings errors;
VC_PURE=1 leaves the native part out (an editable install whose native part is built in place).
"""

from __future__ import annotations

import glob
import os
import platform
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("VC_DEBUG") == "1"
SANITIZE = os.environ.get("VC_SANITIZE", "")
PURE = os.environ.get("VC_PURE") == "1"
WERROR = os.environ.get("VC_WERROR") == "1"

# Never -ffast-math: loading such a library changes the whole process's floating point.
COMMON = [
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-pthread",
    *(["-O1", "-g", "-UNDEBUG"] if DEBUG or SANITIZE else ["-O3", "-g0", "-DNDEBUG"]),
]
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wundef",
    "-Wvla",
    "-Wconversion",
    *(["-Werror"] if WERROR else []),
]
SANITIZE_FLAGS = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"] if SANITIZE else []

LEVEL_FLAGS = {
    "x86_64": {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
                   "-mprefer-vector-width=512"],
    },
    "aarch64": {"neon": []},
}  # fmt: skip


# A universal Python on macOS would compile every source for both architectures at once.
if sys.platform == "darwin":
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")


def machine() -> str:
    """The architecture that is compiled for, not the one that compiles (macOS can cross)."""
    flags = os.environ.get("ARCHFLAGS", "")
    if "arm64" in flags:
        return "aarch64"
    if "x86_64" in flags:
        return "x86_64"
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


HEADERS = sorted(glob.glob("csrc/**/*.h", recursive=True))
C_SOURCES = sorted(glob.glob("csrc/**/*.c", recursive=True))
IS_LINUX = sys.platform.startswith("linux")
# The engine's threads need epoll, eventfd and timerfd; the units build everywhere.
LINUX_ONLY_SOURCES = set(glob.glob("csrc/engine/vc_shard*.c"))
LINUX_ONLY_EXTENSIONS = {"voicecore/media/_engine.pyx"}
# For tests and microbenchmarks; needs pybind11 and a C++ compiler, and is left out without them.
PROBE = "voicecore._kernels"
PROBE_SOURCE = "csrc/probe/vc_kernels.cpp"


def library(name: str, sources: list[str], extra: list[str]) -> tuple[str, dict[str, object]]:
    return name, {
        "sources": sources,
        "include_dirs": ["csrc"],
        "obj_deps": {"": HEADERS},
        "cflags": COMMON + WARNINGS + SANITIZE_FLAGS + extra,
    }


def libraries() -> list[tuple[str, dict[str, object]]]:
    base = [
        path
        for area in ("base", "dsp", "codec", "vad", "aec", "net", "engine")
        for path in sorted(glob.glob(f"csrc/{area}/*.c"))
        if IS_LINUX or path not in LINUX_ONLY_SOURCES
    ]
    found = [library("vc_base", base, [])]
    levels = {"c": [], **LEVEL_FLAGS.get(machine(), {})}
    for level, flags in levels.items():
        sources = sorted(glob.glob(f"csrc/kernels/{level}/*.c"))
        if sources:
            found.append(library(f"vc_{level}", sources, flags))
    return found


def extensions() -> list[Extension]:
    paths = sorted(glob.glob("voicecore/media/*.pyx"))
    return [
        Extension(
            path[: -len(".pyx")].replace("/", "."),
            [path],
            include_dirs=["csrc", numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            extra_compile_args=[*COMMON, *SANITIZE_FLAGS, "-Wno-unused-function"],
            extra_link_args=["-pthread", *SANITIZE_FLAGS],
            # dlopen is in a library of its own before glibc 2.34.
            libraries=["m", *(["dl"] if IS_LINUX else [])],
            # The C sources too: distutils links again only if a dependency is newer.
            depends=HEADERS + C_SOURCES + sorted(glob.glob("voicecore/media/*.pxd")),
        )
        for path in paths
        if IS_LINUX or path not in LINUX_ONLY_EXTENSIONS
    ]


def probe() -> list[Extension]:
    try:
        import pybind11
    except ImportError:
        return []
    c_only = {"-std=gnu11"}
    return [
        Extension(
            PROBE,
            [PROBE_SOURCE],
            language="c++",
            include_dirs=["csrc", pybind11.get_include()],
            extra_compile_args=[
                "-std=c++17",
                *(flag for flag in COMMON if flag not in c_only),
                *SANITIZE_FLAGS,
            ],
            extra_link_args=["-pthread", *SANITIZE_FLAGS],
            libraries=["m"],
            depends=HEADERS + C_SOURCES,
            optional=not WERROR,
        )
    ]


class BuildExt(build_ext):
    """build_ext --inplace does not build the static libraries by itself.

    Built in place there are the kernels for tests and microbenchmarks too; a wheel never has them.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.inplace:
            self.extensions = [one for one in self.extensions if one.name != PROBE]

    def run(self) -> None:
        self.run_command("build_clib")
        super().run()


setup(
    libraries=[] if PURE else libraries(),
    ext_modules=[]
    if PURE
    else [
        *cythonize(
            extensions(),
            language_level=3,
            compiler_directives={
                "boundscheck": DEBUG,
                "wraparound": DEBUG,
                "cdivision": not DEBUG,
                "embedsignature": True,
                "freethreading_compatible": True,
            },
            nthreads=int(os.environ.get("VC_BUILD_JOBS", "0")),
        ),
        *probe(),
    ],
    cmdclass={"build_ext": BuildExt, "build_clib": build_clib},
)
