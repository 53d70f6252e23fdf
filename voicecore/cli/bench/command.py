"""``voicecore bench``: choose, measure with a progress bar, show."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from voicecore.cli.bench.measure import Bench, measure
from voicecore.cli.bench.registry import Measurement, every, select
from voicecore.cli.bench.tables import markdown, notes, show
from voicecore.cli.bench.timing import Effort
from voicecore.errors import ConfigError

__all__ = ["BenchOptions", "run_bench"]

FULL = Effort(rounds=31, round_us=2500)
QUICK = Effort(rounds=5, round_us=400)
_PIPE_WIDTH = 150


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """As on the command line."""

    units: tuple[str, ...] = ()
    compare: bool = False
    quick: bool = False
    rounds: int | None = None
    as_json: bool = False
    as_markdown: bool = False
    html: Path | None = None
    only_list: bool = False


def run_bench(options: BenchOptions) -> int:
    """Measure and print; the exit code. Raises ConfigError for what cannot be done."""
    if options.as_json and options.as_markdown:
        raise ConfigError("choose one of --json and --markdown")
    chosen = select(options.units, every())
    if options.only_list:
        _list(chosen)
        return 0
    if options.html is not None:
        _try_to_write(options.html)
    effort = QUICK if options.quick else FULL
    if options.rounds is not None:
        effort = Effort(options.rounds, effort.round_us)
    bench = _measure(chosen, effort, options)
    if not bench.rows:
        raise ConfigError("; ".join(notes(bench)))
    if options.html is not None:
        from voicecore.cli.bench.page import render_page

        options.html.write_text(render_page(bench), encoding="utf-8")
    if options.as_json:
        print(json.dumps(bench.to_json(), indent=2))
    elif options.as_markdown:
        print(markdown(bench))
        for note in notes(bench):
            print(note, file=sys.stderr)
    else:
        piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        show(bench, Console(width=_PIPE_WIDTH if piped else None))
        if options.html is not None:
            print(f"Written: {options.html}")
    return 0


def _measure(chosen: list[Measurement], effort: Effort, options: BenchOptions) -> Bench:
    hidden = options.as_json or not sys.stderr.isatty()
    # No refreshing thread: it would take processor time from what is measured.
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=hidden,
        auto_refresh=False,
    ) as progress:
        task = progress.add_task("", total=len(chosen) * effort.rounds)

        def step(what: str) -> None:
            progress.update(task, advance=1, description=what, refresh=True)

        return measure(chosen, effort, options.compare, step)


def _list(chosen: list[Measurement]) -> None:
    for one in chosen:
        peers = ", ".join(peer.name for peer in one.peers)
        print(f"{one.name:20} {one.unit:16} {one.what}" + (f"; beside {peers}" if peers else ""))


def _try_to_write(path: Path) -> None:
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {path}: {error.strerror}") from error
