"""The result as a table: on a terminal, and in Markdown."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicecore.cli.bench.machine import level_name
from voicecore.cli.bench.measure import Bench, Row

__all__ = ["markdown", "notes", "number_us", "ratio_text", "show"]


def number_us(us: float) -> str:
    """Three digits."""
    if us >= 99.5:
        return f"{us:.0f}"
    if us >= 9.95:
        return f"{us:.1f}"
    return f"{us:.2f}" if us >= 0.995 else f"{us:.3f}"


def ratio_text(value: float) -> str:
    """As a factor."""
    return f"{value:.0f}x" if value >= 19.5 else f"{value:.1f}x"


def _levels(bench: Bench) -> list[str]:
    """The columns: all levels of the machine, or only plain C if nothing has more."""
    used = {level for row in bench.rows for level in row.levels}
    return [level for level in bench.machine.levels if level in used]


def notes(bench: Bench) -> list[str]:
    """What a reader must know beside the numbers."""
    found = []
    if busy := bench.machine.busy():
        found.append(busy)
    if len(_levels(bench)) > 1 and not all(row.by_level for row in bench.rows):
        found.append("Units with one number only have no kernels for CPU levels.")
    threads = {peer.name for row in bench.rows for peer in row.peers if peer.times.threads}
    if threads:
        found.append(f"Works in threads of its own, which are counted: {', '.join(threads)}.")
    for name, (need, problem) in bench.missing.items():
        found.append(f"Peer {name}: {problem} ({need.install}).")
    for one in bench.left_out:
        what = f"{one.peer} left out of {one.measurement}" if one.peer else one.measurement
        found.append(f"{what}: {one.reason}")
    return found


def show(bench: Bench, console: Console) -> None:
    """Header, table and notes."""
    machine = bench.machine
    console.print(Text(machine.line(), style="bold"))
    console.print(
        Text(
            f"us of processor time, medians of {bench.effort.rounds} rounds; "
            "streams: that one core could serve with this alone",
            style="dim",
        )
    )
    peers = any(row.peers for row in bench.rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("what", overflow="fold")
    for level in _levels(bench):
        table.add_column(level_name(level), justify="right", no_wrap=True)
    table.add_column("streams per core", justify="right", overflow="fold")
    if peers:
        table.add_column("peer", overflow="fold")
        table.add_column("us", justify="right", no_wrap=True)
        table.add_column("ratio", justify="right", no_wrap=True)
    for place, row in enumerate(bench.rows):
        cells: list[str | Text] = [row.what]
        for level in _levels(bench):
            text = number_us(row.levels[level].median_us) if level in row.levels else ""
            cells.append(Text(text, style="bold" if level == row.used else ""))
        cells.append(f"{row.streams_per_core:,}")
        if peers:
            cells += [
                "\n".join(peer.name for peer in row.peers),
                "\n".join(number_us(peer.times.median_us) for peer in row.peers),
                "\n".join(ratio_text(row.ratio(peer)) for peer in row.peers),
            ]
        last = place + 1 == len(bench.rows)
        table.add_row(*cells, end_section=not last and bench.rows[place + 1].unit != row.unit)
    console.print(table)
    for note in notes(bench):
        console.print(Text(note, style="dim"))


def _markdown_rows(row: Row, levels: list[str], peers: bool) -> list[list[str]]:
    own = [row.what]
    for level in levels:
        own.append(f"{number_us(row.levels[level].median_us)} µs" if level in row.levels else "")
    own.append(f"{row.streams_per_core:,}")
    if not peers:
        return [own]
    blank = [""] * len(own)
    rows = [
        [
            *(blank if place else own),
            f"{peer.name} {number_us(peer.times.median_us)} µs",
            ratio_text(row.ratio(peer)),
        ]
        for place, peer in enumerate(row.peers)
    ]
    return rows or [[*own, "", ""]]


def markdown(bench: Bench) -> str:
    """A line on the machine and the table, to be pasted into a README."""
    levels, peers = _levels(bench), any(row.peers for row in bench.rows)
    line = bench.machine.line()
    versions = sorted(set(bench.peer_versions.values()))
    if versions:
        line += f"; {', '.join(versions)} in the same rounds"
    line += (
        f". Processor time, medians of {bench.effort.rounds} rounds. Ratios travel, times do not."
    )
    heads = ["what", *map(level_name, levels), "streams per core"]
    heads += ["peer", "ratio"] if peers else []
    rows = [cells for row in bench.rows for cells in _markdown_rows(row, levels, peers)]
    lines = [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *("| " + " ".join(f"{cell} |".lstrip() for cell in cells) for cells in rows),
    ]
    return "\n".join([line, "", *lines, ""])
