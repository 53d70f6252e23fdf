"""The page of the jitter-buffer laboratory: how every receiver fared on every trace.

One file with the pictures inside; the sound is beside it, in the WAV files that were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray

from voicecore.report.plot import Level, Line, Panel, Strip, time_plot

__all__ = ["LabReport", "LabRun", "LabTrace", "render_lab_page"]

_COLORS = {
    "voicecore play": "var(--caller)",
    "voicecore listen": "var(--ok)",
    "fixed-60": "var(--hop1)",
    "aiortc": "var(--hop3)",
    "pjmedia": "var(--hop6)",
}
_NETWORK = "var(--rest)"
_MOS_FLOOR, _MOS_TOP = 1.0, 4.5


@dataclass(frozen=True)
class LabRun:
    """A receiver on a trace. Times in seconds since the start; None: nothing to tell.

    Attributes:
        receiver: its name.
        paced: whether a clock asks for its audio.
        figures: those of voicecore.testing.lab_score.Score, and where the receiver counts them
            accelerated_percent and expanded_percent of its output, and emodel_mos.
        delay_s, delay_ms: each packet's delay over the best possible, when it was played.
        depth_s, depth_ms, target_ms: audio that lay ahead, and what was aimed for.
        made_up_s: stretches that are not from packets.
        wav: file beside the page.
    """

    receiver: str
    paced: bool
    figures: dict[str, float | None]
    delay_s: NDArray[np.float64]
    delay_ms: NDArray[np.float64]
    depth_s: NDArray[np.float64]
    depth_ms: NDArray[np.float64]
    target_ms: NDArray[np.float64]
    made_up_s: Sequence[tuple[float, float]]
    wav: str


@dataclass(frozen=True)
class LabTrace:
    """A trace, and the receivers that played it.

    Attributes:
        name, description, stationary: from the catalogue or the file.
        length_s: of the sender's signal.
        packets, loss_percent, reordered: of the network.
        network_s, network_ms: arrival of each packet and how late it was.
        runs: the receivers.
    """

    name: str
    description: str
    stationary: bool
    length_s: float
    packets: int
    loss_percent: float
    reordered: int
    network_s: NDArray[np.float64]
    network_ms: NDArray[np.float64]
    runs: Sequence[LabRun]


@dataclass(frozen=True)
class LabReport:
    """Everything that the page shows. ``notes`` stand above, ``facts`` below."""

    traces: Sequence[LabTrace]
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def receivers(self) -> list[str]:
        """All names, in order of first appearance."""
        return list(dict.fromkeys(run.receiver for trace in self.traces for run in trace.runs))


def render_lab_page(report: LabReport) -> str:
    """The page as text."""
    data = files("voicecore.report") / "data"
    css = "".join((data / name).read_text(encoding="utf-8") for name in ("call.css", "lab.css"))
    script = (data / "lab.js").read_text(encoding="utf-8")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    facts = " · ".join(f"{escape(name)}: {escape(value)}" for name, value in report.facts)
    plural = "" if len(report.traces) == 1 else "s"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>voicecore: jitter-buffer laboratory</title>\n<style>\n{css}</style>\n</head>\n"
        "<body>\n<main>\n<h1>Jitter-buffer laboratory</h1>\n"
        f'<p class="lead">{len(report.traces)} network trace{plural}, '
        f"{len(report.receivers)} receivers, the same packets for each. "
        "Virtual time: the same figures on every run.</p>\n"
        f'{notes}<div class="tiles">{_tiles(report)}</div>\n'
        f'<section aria-labelledby="h-all">{_overview(report)}</section>\n'
        f"{_switches(report)}{''.join(_trace(trace) for trace in report.traces)}"
        f"<footer>{facts}</footer>\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def _color(name: str) -> str:
    return _COLORS.get(name, "var(--hop4)")


def _text(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


# -- overview ------------------------------------------------------------------------------


def _values(report: LabReport, receiver: str, figure: str) -> list[float]:
    return [
        value
        for trace in report.traces
        for run in trace.runs
        if run.receiver == receiver and (value := run.figures.get(figure)) is not None
    ]


def _tiles(report: LabReport) -> str:
    tiles: list[tuple[str, str]] = []
    for receiver in ("voicecore listen", "voicecore play"):
        delays = _values(report, receiver, "added_mean_ms")
        if delays:
            what = f"{receiver}: added delay, median of the traces"
            tiles.append((f"{median(delays):.1f} ms", what))
        scores = _values(report, receiver, "pesq_mos")
        if scores:
            tiles.append((f"{mean(scores):.2f}", f"{receiver}: PESQ, mean"))
    above = [
        added - best
        for trace in report.traces
        for run in trace.runs
        if run.receiver == "voicecore play"
        and (added := run.figures.get("added_mean_ms")) is not None
        and (best := run.figures.get("oracle_added_ms")) is not None
        and trace.stationary
    ]
    if above:
        what = "play: added delay over the oracle's, median of the stationary traces"
        tiles.append((f"{median(above):+.0f} ms", what))
    return "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )


def _overview(report: LabReport) -> str:
    receivers = report.receivers
    has_pesq = any(_values(report, receiver, "pesq_mos") for receiver in receivers)
    heads = "".join(
        f'<th colspan="3" class="who"><i style="background:{_color(name)}"></i>{escape(name)}</th>'
        for name in receivers
    )
    quality = "PESQ" if has_pesq else "made up"
    parts = f'<th class="n">{quality}</th><th class="n">missing</th><th class="n">delay</th>'
    rows = "".join(_overview_row(trace, receivers, has_pesq) for trace in report.traces)
    first = "PESQ (1 to 4.5, more is better)" if has_pesq else "share of the output made up"
    return (
        '<h2 id="h-all">All traces</h2>'
        f'<p class="quiet">For each receiver: {first}; packets sent but never played, %; '
        "mean delay from a packet's arrival until it is played, ms. "
        "Bold: the best of those that play by a clock; the agent's ear (listen) has none to keep. "
        "◆ a network that changes.</p>"
        f'<div class="wide"><table class="grid"><thead><tr><th rowspan="2">trace</th>'
        f'<th rowspan="2" class="n">lost %</th>{heads}</tr><tr>{parts * len(receivers)}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _overview_row(trace: LabTrace, receivers: Sequence[str], has_pesq: bool) -> str:
    runs = {run.receiver: run for run in trace.runs}
    paced = [run.figures for run in trace.runs if run.paced]
    scores = [f["pesq_mos"] for f in paced if f.get("pesq_mos") is not None]
    best = {
        "pesq_mos": max((s for s in scores if s is not None), default=None),
        "missing_percent": _least(paced, "missing_percent"),
        "made_up_percent": _least(paced, "made_up_percent"),
        "added_mean_ms": _least(paced, "added_mean_ms"),
    }
    cells = []
    for name in receivers:
        run = runs.get(name)
        if run is None:
            cells.append('<td class="n gap" colspan="3">–</td>')
            continue
        quality = "pesq_mos" if has_pesq else "made_up_percent"
        columns = ((quality, 2), ("missing_percent", 1), ("added_mean_ms", 0))
        for column, (figure, digits) in enumerate(columns):
            value = run.figures.get(figure)
            shown = _text(value, digits)
            top = best[figure]
            if run.paced and None not in (value, top) and shown == _text(top, digits):
                shown = f"<b>{shown}</b>"
            style = _shade(value) if figure == "pesq_mos" else ""
            edge = " edge" if column == 0 else ""
            cells.append(f'<td class="n{edge}"{style}>{shown}</td>')
    mark = "" if trace.stationary else ' <span title="a network that changes">◆</span>'
    return (
        f'<tr><td><a href="#t-{_slug(trace.name)}" title="{escape(trace.description)}">'
        f'{escape(trace.name)}</a>{mark}</td><td class="n">{trace.loss_percent:.1f}</td>'
        f"{''.join(cells)}</tr>"
    )


def _least(figures: Sequence[dict[str, float | None]], name: str) -> float | None:
    return min((v for f in figures if (v := f.get(name)) is not None), default=None)


def _shade(mos: float | None) -> str:
    """A cell's background: the worse the score the more of the alarm colour."""
    if mos is None:
        return ""
    bad = min(1.0, max(0.0, (_MOS_TOP - mos) / (_MOS_TOP - _MOS_FLOOR)))
    share = round(60 * bad)
    return f' style="background:color-mix(in srgb,var(--alarm) {share}%,transparent)"'


def _switches(report: LabReport) -> str:
    entries = [("network", "network: each packet's own delay", _NETWORK)]
    entries += [(_slug(name), name, _color(name)) for name in report.receivers]
    boxes = "".join(
        f'<label><input type="checkbox" checked data-s="{key}"><i style="background:{color}"></i>'
        f"{escape(name)}</label>"
        for key, name, color in entries
    )
    return f'<div class="switches" role="group" aria-label="What the pictures show">{boxes}</div>'


# -- one trace -----------------------------------------------------------------------------


def _trace(trace: LabTrace) -> str:
    kind = "stationary" if trace.stationary else "changes"
    key = _slug(trace.name)
    return (
        f'<section id="t-{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{escape(trace.name)} '
        f'<span class="tag">{kind}</span></h2>'
        f'<p class="quiet">{escape(trace.description)}. {trace.packets:,} packets, '
        f"{trace.loss_percent:.2f} % lost, {trace.reordered:,} out of order.</p>"
        f"{_picture(trace)}{_table(trace)}</section>\n"
    )


def _picture(trace: LabTrace) -> str:
    network = Line("network", "network", _NETWORK, trace.network_s, trace.network_ms, style="dots")
    delays = [network] + [
        Line(_slug(r.receiver), r.receiver, _color(r.receiver), r.delay_s, r.delay_ms)
        for r in reversed(trace.runs)
    ]
    levels = [
        Level(_slug(r.receiver), f"oracle for play {best:.0f} ms", _color(r.receiver), best)
        for r in trace.runs
        if r.receiver == "voicecore play" and (best := r.figures.get("oracle_depth_ms")) is not None
    ]
    depths: list[Line] = []
    for run in reversed(trace.runs):
        key, color = _slug(run.receiver), _color(run.receiver)
        depths.append(Line(key, run.receiver, color, run.depth_s, run.depth_ms))
        if np.isfinite(run.target_ms).any():
            aim = f"{run.receiver}: target"
            depths.append(Line(key, aim, color, run.depth_s, run.target_ms, style="dashed"))
    strips = [
        Strip(_slug(r.receiver), r.receiver, _color(r.receiver), r.made_up_s) for r in trace.runs
    ]
    spoken = "; ".join(
        f"{r.receiver}: delay {_text(r.figures.get('delay_mean_ms'))} ms, made up "
        f"{_text(r.figures.get('made_up_percent'), 1)} %"
        for r in trace.runs
    )
    panels = (
        Panel("delay over the shortest transit, ms", 150, delays, levels),
        Panel("audio that lies ahead, ms (dashed: target)", 70, depths),
    )
    return time_plot(trace.length_s, panels, strips, f"{trace.name}. {spoken}")


# Heading, figure, digits.
_COLUMNS = (
    ("missing %", "missing_percent", 2),
    ("made up %", "made_up_percent", 2),
    ("added ms", "added_mean_ms", 1),
    ("95 %", "added_p95_ms", 1),
    ("99 %", "added_p99_ms", 1),
    ("depth ms", "depth_mean_ms", 1),
    ("oracle depth", "oracle_depth_ms", 1),
    ("oracle added", "oracle_added_ms", 1),
    ("faster %", "accelerated_percent", 2),
    ("slower %", "expanded_percent", 2),
    ("E-model", "emodel_mos", 2),
    ("PESQ", "pesq_mos", 2),
)
_OPTIONAL = frozenset({"accelerated_percent", "expanded_percent", "emodel_mos", "pesq_mos"})


def _table(trace: LabTrace) -> str:
    columns = [
        column
        for column in _COLUMNS
        if column[1] not in _OPTIONAL
        or any(run.figures.get(column[1]) is not None for run in trace.runs)
    ]
    heads = "".join(f'<th class="n">{name}</th>' for name, *_ in columns)
    rows = []
    for run in trace.runs:
        cells = "".join(
            f'<td class="n">{_text(run.figures.get(figure), digits)}</td>'
            for _, figure, digits in columns
        )
        sound = f'<audio controls preload="none" src="{escape(run.wav)}"></audio>'
        rows.append(
            f'<tr class="s-{_slug(run.receiver)}"><td class="who"><i style="background:'
            f'{_color(run.receiver)}"></i>{escape(run.receiver)}</td>{cells}<td>{sound}</td></tr>'
        )
    return (
        f'<div class="wide"><table class="runs"><thead><tr><th>receiver</th>{heads}<th>listen</th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
