"""The result as one self-contained page: a bar for each level and each peer. Nothing is loaded."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from voicecore.cli.bench.machine import level_name
from voicecore.cli.bench.measure import Bench, Row
from voicecore.cli.bench.tables import notes, number_us, ratio_text

__all__ = ["render_page"]


def render_page(bench: Bench) -> str:
    """The page as text."""
    style = (files("voicecore.report") / "data" / "call.css").read_text(encoding="utf-8")
    style += (files("voicecore.cli.bench") / "data" / "bench.css").read_text(encoding="utf-8")
    machine = bench.machine
    units = dict.fromkeys(row.unit for row in bench.rows)
    sections = "".join(
        f"<section><h2>{escape(unit)}</h2>"
        f"{''.join(_measured(row) for row in bench.rows if row.unit == unit)}</section>"
        for unit in units
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>voicecore bench: {escape(machine.cpu)}</title><style>{style}</style></head>"
        f"<body><main><h1>voicecore on {escape(machine.cpu)}</h1>"
        '<p class="lead">Processor time in microseconds; shorter is better. All bars of a block '
        f"were measured in the same {bench.effort.rounds} rounds, medians; before that, their "
        "results were compared. Ratios travel to other machines, times do not.</p>"
        f"{_tiles(bench)}{_legend(bench)}{sections}{_numbers(bench)}{_notes(bench)}"
        f"<footer>{escape(machine.line())}</footer></main></body></html>\n"
    )


def _tiles(bench: Bench) -> str:
    machine = bench.machine
    tiles = [
        (level_name(machine.level), f"CPU level in use, of {', '.join(machine.levels)}"),
        (machine.voicecore, "voicecore"),
        (machine.python, "Python"),
        (machine.numpy, "numpy"),
        (str(machine.cores), f"cores, {machine.system}"),
    ]
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    ) + "</div>"  # fmt: skip


def _legend(bench: Bench) -> str:
    entries = [("voicecore", "voicecore, as it runs here")]
    if any(len(row.levels) > 1 for row in bench.rows):
        entries.append(("lower", "voicecore at another CPU level"))
    if any(row.peers for row in bench.rows):
        entries.append(("rest", "a peer, and how many times as long it takes"))
    return '<ul class="legend kinds">' + "".join(
        f'<li><span class="swatch {kind}"></span>{escape(text)}</li>' for kind, text in entries
    ) + "</ul>"  # fmt: skip


def _bar(kind: str, who: str, us: float, most_us: float, times: str, title: str) -> str:
    return (
        f'<div class="row {kind}" title="{escape(title)}"><span class="who">{escape(who)}</span>'
        f'<div class="lane"><div class="track"><div class="fill" '
        f'style="width:{100 * us / most_us:.2f}%"></div></div>'
        f'<span class="value"><b>{number_us(us)}</b> µs '
        f'<span class="times">{escape(times)}</span></span></div></div>'
    )


def _measured(row: Row) -> str:
    bars: list[tuple[str, str, float, str, str]] = []
    for level, times in sorted(row.levels.items(), key=lambda one: one[0] != row.used):
        kind = "ours" if level == row.used else "lower"
        who = f"voicecore, {level_name(level)}" if row.by_level else "voicecore"
        bars.append((kind, who, times.median_us, "", f"least {times.min_us:.3f} µs"))
    bars += [
        (
            "peer",
            peer.name,
            peer.times.median_us,
            ratio_text(row.ratio(peer)),
            f"{peer.version or peer.name}: least {peer.times.min_us:.3f} µs; {peer.checked}",
        )
        for peer in row.peers
    ]
    most_us = max(us for _, _, us, _, _ in bars)
    return (
        f'<div class="measured-row"><h3>{escape(row.what)}'
        f"<span>{row.streams_per_core:,} streams per core</span></h3>"
        + "".join(
            _bar(kind, who, us, most_us, times, title) for kind, who, us, times, title in bars
        )
        + "</div>"
    )


def _numbers(bench: Bench) -> str:
    rows = []
    for row in bench.rows:
        for level, times in row.levels.items():
            who = f"voicecore, {level_name(level)}" if row.by_level else "voicecore"
            ratio = times.median_us / row.us
            rows.append((row.what, who, times.median_us, times.min_us, ratio, ""))
        for peer in row.peers:
            who = peer.name if peer.version in ("", peer.name) else f"{peer.name} ({peer.version})"
            times = peer.times
            rows.append(
                (row.what, who, times.median_us, times.min_us, row.ratio(peer), peer.checked)
            )
    body = "".join(
        f'<tr><td>{escape(what)}</td><td>{escape(who)}</td><td class="n">{median_us:.3f}</td>'
        f'<td class="n">{min_us:.3f}</td><td class="n">{ratio:.2f}</td>'
        f"<td>{escape(checked)}</td></tr>"
        for what, who, median_us, min_us, ratio, checked in rows
    )
    return (
        "<section><details><summary>The same as numbers</summary>"
        '<div class="wide"><table><thead><tr><th>what</th><th>who</th><th class="n">median µs</th>'
        '<th class="n">least µs</th><th class="n">ratio</th><th>compared before</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div></details></section>"
    )


def _notes(bench: Bench) -> str:
    found = notes(bench)
    if not found:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in found)
    return f'<section><h2>Notes</h2><ul class="notes">{items}</ul></section>'
