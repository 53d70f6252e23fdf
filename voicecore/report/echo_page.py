"""The page of the echo laboratory: how every canceller fared in every scene.

One file with the pictures inside; the sound is beside it, in the WAV files that were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from math import isfinite
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray

from voicecore.report.plot import Line, Panel, Strip, time_plot
from voicecore.report.spectrogram import data_uri

__all__ = ["EchoReport", "EchoRun", "EchoSceneShown", "render_echo_page", "shown"]

_COLORS = {
    "voicecore": "var(--caller)",
    "ideal": "var(--ok)",
    "none": "var(--rest)",
    "speex": "var(--hop1)",
    "speex+pp": "var(--hop5)",
    "aec3": "var(--hop3)",
}
# Of what is shown in an overview: heading, figure, digits, the worst and the best for the shade.
_ECHO = (
    ("ERLE", "erle_db", 1, 0.0, 48.0),
    ("20 dB", "to_20_db_s", 1, 4.0, 0.6),
    ("false", "false_alarms", 2, 0.3, 0.0),
)
_NEAR = (
    ("PESQ", "pesq_mos", 2, 1.0, 4.2),
    ("SDR", "sdr_db", 1, 0.0, 30.0),
    ("recall", "recall", 2, 0.5, 1.0),
)


@dataclass(frozen=True)
class EchoRun:
    """A canceller in a scene. None: nothing to tell.

    Attributes:
        canceller: its name.
        figures: those of voicecore.testing.echo_score.EchoScore; inf is never.
        erle_s, erle_db: ERLE over time; nan where there is nothing to cancel.
        picture: spectrogram of its output (PNG).
        wav: file beside the page.
    """

    canceller: str
    figures: dict[str, float | None]
    erle_s: NDArray[np.float64]
    erle_db: NDArray[np.float64]
    picture: bytes
    wav: str


@dataclass(frozen=True)
class EchoSceneShown:
    """A scene and its runs.

    Attributes:
        name, description: from the catalogue.
        kind: "single", "double" or "near".
        length_s, rate_hz: of the signals.
        far_s, near_s: when each end talks (start, end), s.
        given: what goes in: name, spectrogram (PNG), file beside the page.
        runs: the cancellers.
    """

    name: str
    description: str
    kind: str
    length_s: float
    rate_hz: int
    far_s: Sequence[tuple[float, float]]
    near_s: Sequence[tuple[float, float]]
    given: Sequence[tuple[str, bytes, str]]
    runs: Sequence[EchoRun]


@dataclass(frozen=True)
class EchoReport:
    """Everything that the page shows. ``notes`` stand above, ``facts`` below."""

    scenes: Sequence[EchoSceneShown]
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def cancellers(self) -> list[str]:
        """All names, in order of first appearance."""
        return list(dict.fromkeys(run.canceller for scene in self.scenes for run in scene.runs))


def shown(value: float | None, digits: int = 0) -> str:
    """A figure as text: a dash for nothing to tell."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if isfinite(value) else "never"


def render_echo_page(report: EchoReport) -> str:
    """The page as text."""
    data = files("voicecore.report") / "data"
    css = "".join(
        (data / name).read_text(encoding="utf-8") for name in ("call.css", "lab.css", "echo.css")
    )
    script = (data / "lab.js").read_text(encoding="utf-8")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    facts = " · ".join(f"{escape(name)}: {escape(value)}" for name, value in report.facts)
    plural = "" if len(report.scenes) == 1 else "s"
    tables = _overview(
        report,
        ("single",),
        _ECHO,
        "far",
        "Only the far end talks",
        "ERLE: microphone over output, 5 s after the start until the end, dB. 20 dB: seconds from "
        "the first echo until 20 dB are reached. False: share of the time in which Silero hears "
        "speech that is only echo.",
    ) + _overview(
        report,
        ("double", "near"),
        _NEAR,
        "near",
        "The near end talks",
        "PESQ against the near end without noise. SDR: near end over all else, any filter of 256 "
        "taps allowed, dB. Recall: share of the speech in the ideal that Silero hears in the "
        "output too. Nobody can do better than the ideal, which is told the answer.",
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>voicecore: echo laboratory</title>\n<style>\n{css}</style>\n</head>\n"
        "<body>\n<main>\n<h1>Echo laboratory</h1>\n"
        f'<p class="lead">{len(report.scenes)} scene{plural}, {len(report.cancellers)} cancellers, '
        "the same samples for each. Simulated: the same figures on every run.</p>\n"
        f'{notes}<div class="tiles">{_tiles(report)}</div>\n{tables}'
        f"{_switches(report)}{''.join(_scene(scene) for scene in report.scenes)}"
        f"<footer>{facts}</footer>\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def _color(name: str) -> str:
    return _COLORS.get(name, "var(--hop4)")


def _dot(name: str) -> str:
    return f'<i style="background:{_color(name)}"></i>{escape(name)}'


# -- overview ------------------------------------------------------------------------------


def _tiles(report: EchoReport) -> str:
    """Of ours if it is there, else of the first peer."""
    names = [n for n in report.cancellers if n not in ("none", "ideal")]
    if not names:
        return ""
    who = names[0]

    def values(figure: str, kinds: tuple[str, ...]) -> list[float]:
        return [
            value
            for scene in report.scenes
            for run in scene.runs
            if scene.kind in kinds
            and run.canceller == who
            and (value := run.figures.get(figure)) is not None
        ]

    tiles: list[tuple[str, str]] = []
    for figure, kinds, digits, unit, what, fold in (
        ("erle_db", ("single",), 1, " dB", "ERLE, median of the scenes", median),
        ("to_20_db_s", ("single",), 1, " s", "until 20 dB, median", median),
        ("false_alarms", ("single",), 3, "", "false alarms, mean", mean),
        ("pesq_mos", ("double",), 2, "", "PESQ in double talk, mean", mean),
        ("recall", ("double",), 3, "", "recall in double talk, mean", mean),
    ):
        found = values(figure, kinds)
        if found:
            value = fold(found)
            text = shown(value, digits) + (unit if isfinite(value) else "")
            tiles.append((text, f"{who}: {what}"))
    return "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )


def _overview(
    report: EchoReport,
    kinds: Sequence[str],
    columns: Sequence[tuple[str, str, int, float, float]],
    key: str,
    title: str,
    legend: str,
) -> str:
    scenes = [scene for scene in report.scenes if scene.kind in kinds]
    if not scenes:
        return ""
    names = report.cancellers
    heads = "".join(f'<th colspan="3" class="who">{_dot(name)}</th>' for name in names)
    parts = "".join(f'<th class="n">{heading}</th>' for heading, *_ in columns)
    rows = "".join(_row(scene, names, columns) for scene in scenes)
    return (
        f'<section aria-labelledby="h-{key}-all"><h2 id="h-{key}-all">{title}</h2>'
        f'<p class="quiet">{legend}</p><div class="wide"><table class="grid"><thead>'
        f'<tr><th rowspan="2">scene</th>{heads}</tr><tr>{parts * len(names)}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>\n"
    )


def _row(
    scene: EchoSceneShown,
    names: Sequence[str],
    columns: Sequence[tuple[str, str, int, float, float]],
) -> str:
    runs = {run.canceller: run.figures for run in scene.runs}
    cells = []
    for name in names:
        for place, (_, figure, digits, worst, best) in enumerate(columns):
            value = runs.get(name, {}).get(figure)
            edge = "" if place else " edge"
            text = shown(value, digits)
            cells.append(f'<td class="n{edge}"{_shade(value, worst, best)}>{text}</td>')
    return (
        f'<tr><td><a href="#t-{_slug(scene.name)}" title="{escape(scene.description)}">'
        f"{escape(scene.name)}</a></td>{''.join(cells)}</tr>"
    )


def _shade(value: float | None, worst: float, best: float) -> str:
    """A cell's background: the worse the value the more of the alarm colour."""
    if value is None:
        return ""
    bad = 1.0 if not isfinite(value) else min(1.0, max(0.0, (value - best) / (worst - best)))
    return f' style="background:color-mix(in srgb,var(--alarm) {round(60 * bad)}%,transparent)"'


def _switches(report: EchoReport) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" checked data-s="{_slug(name)}">{_dot(name)}</label>'
        for name in report.cancellers
    )
    return f'<div class="switches" role="group" aria-label="What the pictures show">{boxes}</div>'


# -- one scene -----------------------------------------------------------------------------


def _scene(scene: EchoSceneShown) -> str:
    kinds = {"single": "far end alone", "double": "double talk", "near": "near end alone"}
    key = _slug(scene.name)
    return (
        f'<section id="t-{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{escape(scene.name)} '
        f'<span class="tag">{kinds[scene.kind]}</span></h2>'
        f'<p class="quiet">{escape(scene.description)}. {scene.rate_hz} Hz.</p>'
        f"{_picture(scene)}{_spectrograms(scene)}{_table(scene)}</section>\n"
    )


def _picture(scene: EchoSceneShown) -> str:
    lines = [
        Line(_slug(r.canceller), r.canceller, _color(r.canceller), r.erle_s,
             np.maximum(r.erle_db, 0.0), gap_s=0.35)
        for r in reversed(scene.runs)
        if r.canceller != "none" and np.isfinite(r.erle_db).any()
    ]  # fmt: skip
    strips = [
        Strip("far", "far end", "var(--agent)", scene.far_s),
        Strip("near", "near end", "var(--ok)", scene.near_s),
    ]
    panels = [Panel("ERLE of 0.5 s, dB; while only the far end talks", 130, lines)] if lines else []
    spoken = "; ".join(
        f"{r.canceller}: ERLE {shown(r.figures.get('erle_db'))} dB, PESQ "
        f"{shown(r.figures.get('pesq_mos'), 2)}"
        for r in scene.runs
    )
    label = f"{scene.name}. {spoken}"
    return time_plot(scene.length_s, panels, strips, label, strips_title="who talks")


def _spectrograms(scene: EchoSceneShown) -> str:
    given = [
        (name, "", png, f"{name}, what goes in", _sound(wav)) for name, png, wav in scene.given
    ]
    made = [
        (run.canceller, f" s-{_slug(run.canceller)}", run.picture, f"output of {run.canceller}", "")
        for run in scene.runs
        if run.canceller != "none"
    ]
    return '<div class="spectra">' + "".join(
        f'<figure class="spectrum{css}"><figcaption>{_dot(name) if css else escape(name)}{extra}'
        f'</figcaption><img src="{data_uri(png)}" alt="Spectrogram: {escape(what)}"></figure>'
        for name, css, png, what, extra in [*given, *made]
    ) + "</div>"  # fmt: skip


def _sound(wav: str) -> str:
    return f'<audio controls preload="none" src="{escape(wav)}"></audio>'


# Heading, figure, digits.
_COLUMNS = (
    ("ERLE dB", "erle_db", 1),
    ("last quarter", "erle_last_db", 1),
    ("lowest", "lowest_erle_db", 1),
    ("s to 20 dB", "to_20_db_s", 1),
    ("after jump", "jump_erle_db", 1),
    ("s back", "back_20_db_s", 1),
    ("false alarms", "false_alarms", 3),
    ("PESQ", "pesq_mos", 2),
    ("SDR dB", "sdr_db", 1),
    ("near dB", "near_gain_db", 1),
    ("recall", "recall", 3),
    ("delay samples", "delay_samples", 0),
)


def _table(scene: EchoSceneShown) -> str:
    columns = [
        column
        for column in _COLUMNS
        if any(run.figures.get(column[1]) is not None for run in scene.runs)
    ]
    heads = "".join(f'<th class="n">{name}</th>' for name, *_ in columns)
    rows = "".join(
        f'<tr class="s-{_slug(run.canceller)}"><td class="who">{_dot(run.canceller)}</td>'
        + "".join(f'<td class="n">{shown(run.figures.get(f), d)}</td>' for _, f, d in columns)
        + f"<td>{_sound(run.wav)}</td></tr>"
        for run in scene.runs
    )
    return (
        f'<div class="wide"><table class="runs"><thead><tr><th>canceller</th>{heads}<th>listen</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
