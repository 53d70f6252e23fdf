"""Imports point down only. Oracle: the floors of docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What each package may import of the others; everyone may import errors and _version.
LEAVES = {"media", "latency", "cost"}
ALLOWED = {
    "media": set(),
    "latency": set(),
    "cost": set(),
    "providers": {"media"},
    "routing": {"providers", "latency", "cost"},
    "session": LEAVES | {"providers", "routing"},
    "server": LEAVES | {"providers", "routing", "session"},
    "report": LEAVES | {"providers", "session"},
    "testing": LEAVES | {"providers", "session"},
    "cli": LEAVES | {"providers", "routing", "session", "server", "report", "testing"},
    "__main__": {"cli"},
}


def imported(tree: ast.AST) -> set[str]:
    """First part after ``voicecore`` of every import, whether at the top or in a function."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "voicecore" and len(part) > 1}


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "voicecore").parts[0].removesuffix(".py")


def test_imports_point_down_only():
    wrong, seen = [], set()
    for path in sorted((ROOT / "voicecore").rglob("*.py")):
        package = package_of(path)
        if package in ("__init__", "_version", "errors"):
            continue
        seen.add(package)
        assert package in ALLOWED, f"{path.name}: add the package {package} to the floors"
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if name in ALLOWED and name != package and name not in ALLOWED[package]:
                wrong.append(f"{path.relative_to(ROOT)} imports voicecore.{name}")
    assert not wrong
    assert {"media", "latency", "cost", "providers"} <= seen
