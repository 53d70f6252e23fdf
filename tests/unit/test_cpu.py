"""CPU levels. Oracle: the list of levels of the architecture; the environment only lowers."""

from __future__ import annotations

import platform

import pytest

import voicecore
from voicecore.errors import ConfigError
from voicecore.media._cpu import cpu_level, cpu_levels, detected_cpu_level

LADDER = {"x86_64": ["c", "avx2", "avx512"], "aarch64": ["c", "neon"], "arm64": ["c", "neon"]}


def test_levels_are_the_ladder_up_to_the_detected_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VOICECORE_CPU", raising=False)
    ladder = LADDER.get(platform.machine().lower(), ["c"])
    detected = detected_cpu_level()
    assert cpu_levels() == ladder[: ladder.index(detected) + 1]
    assert cpu_level() == detected
    assert voicecore.cpu_level() == detected


def test_environment_lowers_and_never_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VOICECORE_CPU", raising=False)
    levels = cpu_levels()
    for level in levels:
        monkeypatch.setenv("VOICECORE_CPU", level)
        assert cpu_level() == level
        assert cpu_levels() == levels  # what a unit may be given explicitly
        assert detected_cpu_level() == levels[-1]
    if levels[-1] != "avx512":
        monkeypatch.setenv("VOICECORE_CPU", "avx512" if "avx2" in levels else "avx2")
        assert cpu_level() == levels[-1]


def test_unknown_level_names_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VOICECORE_CPU", "mmx")
    with pytest.raises(ConfigError, match="mmx"):
        cpu_level()
