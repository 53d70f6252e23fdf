"""The command line as such: version, doctor, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import voicecore

ROOT = Path(voicecore.__file__).parent.parent


def run(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "voicecore"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_version() -> None:
    assert voicecore.__version__ in run("version").stdout
    found = json.loads(run("version", "--json").stdout)
    assert found["voicecore"] == voicecore.__version__
    assert found["cpu_level"] == voicecore.cpu_level()


@pytest.mark.network
@pytest.mark.models
def test_doctor_finds_what_the_demo_needs() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["CPU level"]["values"]["active"] == voicecore.cpu_level()
    assert list(checks["CPU level"]["values"]["levels"]) == list(voicecore.cpu_levels())
    for name in ("moonshine/tiny-en", "hibari/heart", "UDP loopback", "clock", "timerfd"):
        assert checks[name]["state"] != "bad"
    opus = checks["libopus"]
    assert opus["values"]["version"] in opus["text"] or "apt install libopus0" in opus["text"]
    table = run("doctor")
    assert all(name in table.stdout for name in checks)


def test_without_typer_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from voicecore.cli import main; main()"
    done = run(code=code)
    assert done.returncode == 1
    assert 'pip install "voicecore-media[demo]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--caller", "wav"], "needs files"),
        (["speech.wav"], "add --caller wav"),
        (["--caller", "wav", "no-such.wav"], "no-such.wav does not exist"),
        (["--price-as", "nobody/nothing"], "nobody/nothing"),
        (["--out", "/dev/null/out"], "cannot write to /dev/null/out"),
    ],
)
def test_wrong_options_are_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    out = [] if "--out" in arguments else ["--out", str(tmp_path)]
    done = run("demo", *out, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--loss", "101"], ["--jitter", "-1"], ["--caller", "me"]])
def test_options_out_of_range_are_usage_errors(arguments: list[str]) -> None:
    assert run("demo", *arguments).returncode == 2


def test_a_missing_model_names_the_command_that_installs_it(tmp_path: Path) -> None:
    code = (
        "import sys; import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'moonshine_voice' else real(n, *a)\n"
        f"sys.argv = ['voicecore', 'demo', '--out', {str(tmp_path)!r}]\n"
        "from voicecore.cli import main; main()"
    )
    done = run(code=code)
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert "moonshine" in done.stderr.lower()
    assert "Traceback" not in done.stderr
