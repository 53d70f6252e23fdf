"""What a release says of itself agrees. Oracle: pyproject.toml, as text (3.10 has no tomllib)."""

from __future__ import annotations

import re
from pathlib import Path

import voicecore

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    assert 'version = { attr = "voicecore._version.__version__" }' in read("pyproject.toml")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", read("CHANGELOG.md"), re.M)
    assert newest is not None
    assert newest[1] == voicecore.__version__


def test_run_time_needs_numpy_only():
    needs = re.search(r"^dependencies = \[(.*)\]$", read("pyproject.toml"), re.M)
    assert needs is not None
    assert re.findall(r'"([a-z-]+)', needs[1]) == ["numpy"]


def test_makefile_installs_what_building_needs():
    requires = re.search(r"^requires = \[(.*)\]$", read("pyproject.toml"), re.M)
    assert requires is not None
    for need in re.findall(r'"(.*?)"', requires[1]):
        assert f"'{need}'" in read("Makefile")


def test_weights_have_their_licence_in_notice():
    notice = read("NOTICE")
    data = [path for path in (ROOT / "voicecore").rglob("data/*") if path.stat().st_size > 200_000]
    assert data
    for path in data:
        folder = path.parent.relative_to(ROOT).as_posix()
        assert re.search(rf"{folder}/{path.name[:6]}", notice), f"NOTICE does not name {path.name}"
