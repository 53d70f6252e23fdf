"""``voicecore aec-lab``: echo cancellers in rooms and on lines, to look at and to listen to."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from voicecore import __version__
from voicecore.cli.echo_results import EchoOutcome, print_echo_table, shown_scene
from voicecore.errors import ConfigError, MissingLibraryError, MissingModelError, SystemCallError
from voicecore.report.echo_page import EchoReport, render_echo_page
from voicecore.testing.echo_lab import (
    Job,
    default_cancellers,
    default_jobs,
    names_like,
    run_jobs,
)
from voicecore.testing.echo_peers import CANCELLERS, missing_cancellers
from voicecore.testing.echo_scenes import QUICK, SCENES
from voicecore.testing.echo_speech import FAR_VOICE, NEAR_VOICES, prompts
from voicecore.testing.wavfiles import load_speech

__all__ = ["AecLabOptions", "list_scenes", "run_aec_lab", "run_lab"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AecLabOptions:
    """The command's options; see ``voicecore aec-lab --help``."""

    scenes: tuple[str, ...] = ()
    cancellers: tuple[str, ...] = ()
    quick: bool = False
    rate_hz: int | None = None
    seconds: float = 40.0
    seed: int = 1
    peers: bool = True
    pesq: bool | None = None  # None: if it is installed
    jobs: int | None = None
    far: Path | None = None
    near: Path | None = None
    out: Path = Path("aec-lab-out")
    as_json: bool = False

    def __post_init__(self) -> None:
        names_like(self.scenes)
        for name in self.cancellers:
            if name not in CANCELLERS:
                raise ConfigError(
                    f"canceller {name!r} is unknown; use one of {', '.join(CANCELLERS)}"
                )
        if self.rate_hz not in (None, 8000, 16000):
            raise ConfigError(f"--rate is {self.rate_hz}; use 8000 or 16000")
        if not 8.0 <= self.seconds <= 600.0:
            raise ConfigError(f"--seconds is {self.seconds:g}; use 8 to 600")
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; use 0 or more")
        if self.jobs is not None and not 1 <= self.jobs <= 64:
            raise ConfigError(f"--jobs is {self.jobs}; use 1 to 64")

    @property
    def names(self) -> tuple[str, ...]:
        """The scenes to run."""
        if self.scenes:
            return names_like(self.scenes)
        return QUICK if self.quick else tuple(SCENES)


def list_scenes(console: Console) -> None:
    """Print the catalogue."""
    table = Table(box=None, pad_edge=False)
    for heading in ("scene", "what it is"):
        table.add_column(heading, style="bold" if heading == "scene" else "")
    for entry in SCENES.values():
        table.add_row(entry.name, entry.description)
    console.print(table)


def run_aec_lab(options: AecLabOptions) -> int:
    """Run the command; returns the exit code."""
    console = Console(stderr=options.as_json)
    outcome = run_lab(options, console)
    if options.as_json:
        json.dump(outcome.to_json(), sys.stdout, indent=2)
        print()
    else:
        print_echo_table(outcome.scores, outcome.report.notes, console)
        console.print(f"\n{outcome.page}", style="bold", highlight=False)
    return 0


def run_lab(options: AecLabOptions, console: Console) -> EchoOutcome:
    """Run every scene through every canceller and write what came of it.

    Raises:
        VoicecoreError: an option, something that is not installed, or the output folder.
    """
    notes, cancellers, with_pesq = _preflight(options)
    _make_folder(options.out)
    todo = [
        Job(
            name,
            seed=options.seed,
            rate_hz=options.rate_hz,
            seconds=options.seconds,
            cancellers=cancellers,
            with_pesq=with_pesq,
            keep=True,
            far=options.far,
            near=options.near,
        )
        for name in options.names
    ]
    outcome = EchoOutcome(page=options.out / "aec-lab.html")
    shown = []
    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(todo))
        for done in run_jobs(todo, options.jobs or default_jobs()):
            outcome.scores += done.scores
            outcome.state_bytes |= done.state_bytes
            shown.append(shown_scene(done, options.out))
            progress.update(task, advance=1, description=done.job.name)
    near_voice = NEAR_VOICES[(options.seed - 1) % len(NEAR_VOICES)]
    facts = [
        ("voicecore", __version__),
        ("Python", platform.python_version()),
        ("far end", options.far.name if options.far else FAR_VOICE),
        ("near end", options.near.name if options.near else near_voice),
        ("seconds", f"{options.seconds:g}"),
        ("seed", str(options.seed)),
    ]
    outcome.report = EchoReport(shown, facts, notes)
    outcome.page.write_text(render_echo_page(outcome.report), encoding="utf-8")
    results = json.dumps(outcome.to_json(), indent=2)
    (options.out / "aec-lab.json").write_text(results + "\n", encoding="utf-8")
    return outcome


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemCallError(f"cannot write to {folder}: {error.strerror}") from error


def _preflight(options: AecLabOptions) -> tuple[list[str], tuple[str, ...], bool]:
    """Notes for the reader, the cancellers that can run, and whether PESQ can."""
    # What is not here is said before the work, with what to do about it.
    for path, voices in ((options.far, (FAR_VOICE,)), (options.near, NEAR_VOICES)):
        if path is not None:
            load_speech(path, 16000)
        else:
            for voice in voices:
                prompts(voice)
    if find_spec("pyroomacoustics") is None and any(
        SCENES[n].path == "room" for n in options.names
    ):
        raise MissingLibraryError(
            'rooms need pyroomacoustics: pip install "voicecore-media[bench]"'
        )
    with_pesq = options.pesq is not False and find_spec("pesq") is not None
    if options.pesq and not with_pesq:
        raise MissingModelError(
            'PESQ needs the package pesq: pip install "voicecore-media[bench]", or leave --pesq out'
        )
    notes: list[str] = []
    if options.pesq is None and not with_pesq:
        notes.append('The sound is not judged: pip install "voicecore-media[bench]" for PESQ.')
    missing = missing_cancellers()
    if options.cancellers:
        for name in options.cancellers:
            if name in missing:
                raise MissingLibraryError(missing[name])
        return notes, options.cancellers, with_pesq
    if options.peers:
        notes += [f"{name} is left out: {reason}." for name, reason in missing.items()]
    return notes, default_cancellers(options.peers), with_pesq
