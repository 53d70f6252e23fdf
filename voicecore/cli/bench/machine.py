"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voicecore import __version__
from voicecore.media._cpu import cpu_level, cpu_levels

__all__ = ["Machine", "level_name", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """cpu: its name. level: what new objects use, of ``levels``. load: of the last minute."""

    cpu: str
    cores: int
    system: str
    level: str
    levels: tuple[str, ...]
    python: str
    voicecore: str
    numpy: str
    load: float

    def line(self) -> str:
        """One line of text."""
        return (
            f"{self.cpu}, {self.cores} cores, level {self.level}, {self.system}, "
            f"Python {self.python}, voicecore {self.voicecore}, numpy {self.numpy}"
        )

    def busy(self) -> str:
        """A warning if others are at work too; empty if not."""
        if self.load <= 0.5 * self.cores:
            return ""
        return (
            f"The machine was busy (load {self.load:.1f} on {self.cores} cores): "
            "the ratios hold, the times may be too long."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "levels": list(self.levels)}


def level_name(level: str) -> str:
    """As people write it."""
    return {"c": "plain C", "avx2": "AVX2", "avx512": "AVX-512", "neon": "NEON"}.get(level, level)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    try:
        done = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        pass
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def _load() -> float:
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def this_machine() -> Machine:
    """The present process's."""
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 1,
        system=_system(),
        level=cpu_level(),
        levels=tuple(cpu_levels()),
        python=platform.python_version(),
        voicecore=__version__,
        numpy=importlib.metadata.version("numpy"),
        load=round(_load(), 2),
    )
