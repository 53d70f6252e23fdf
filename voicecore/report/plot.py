"""Time plots as inline SVG: lines, dots, level lines and strips of marks on one time axis.

Colours are CSS values, so that a page's light and dark styles hold. Lines are thinned to the
largest value in each of some hundred stretches, because a peak in delay is what matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Level", "Line", "Panel", "Strip", "time_plot"]

WIDTH = 960
_LEFT, _RIGHT, _GAP = 108, 14, 12
_STRIP_HEIGHT, _AXIS_HEIGHT, _TITLE_HEIGHT = 13, 20, 16
_STRETCHES = 320
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True)
class Line:
    """Values over time; ``key`` names the receiver, for the page's switches.

    A gap longer than ``gap_s`` breaks the line. ``style`` is "line", "dots" or "dashed".
    """

    key: str
    name: str
    color: str
    x_s: NDArray[np.float64]
    y: NDArray[np.float64]
    style: str = "line"
    gap_s: float = 0.5


@dataclass(frozen=True)
class Level:
    """A constant, drawn from side to side with its name."""

    key: str
    name: str
    color: str
    y: float


@dataclass(frozen=True)
class Panel:
    """A plot with its own scale, from 0 up."""

    title: str
    height: int
    lines: Sequence[Line]
    levels: Sequence[Level] = field(default_factory=tuple)
    top: float | None = None


@dataclass(frozen=True)
class Strip:
    """A row of marks: from, to in seconds."""

    key: str
    name: str
    color: str
    spans_s: Sequence[tuple[float, float]]


def time_plot(
    length_s: float,
    panels: Sequence[Panel],
    strips: Sequence[Strip],
    label: str,
    *,
    strips_title: str = "not from packets",
) -> str:
    """The picture as an SVG element. ``label`` says in words what it shows."""
    scale = (WIDTH - _LEFT - _RIGHT) / max(length_s, 1e-9)
    out: list[str] = []
    y = 0.0
    for panel in panels:
        y += _TITLE_HEIGHT
        out.append(_panel(panel, y, scale, length_s))
        y += panel.height + _GAP
    if strips:
        y += _TITLE_HEIGHT - _GAP / 2
        out.append(f'<text class="t" x="{_LEFT}" y="{y - 4:.1f}">{escape(strips_title)}</text>')
        for strip in strips:
            out.append(_strip(strip, y, scale))
            y += _STRIP_HEIGHT
    out.append(_time_axis(y, length_s, scale))
    height = y + _AXIS_HEIGHT
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(out)}</svg>'
    )


def _step(top: float, most: int) -> float:
    return next((float(step) for step in _STEPS if top / step <= most), float(_STEPS[-1]))


def _panel(panel: Panel, y0: float, scale: float, length_s: float) -> str:
    values = [v for line in panel.lines for v in (line.y[np.isfinite(line.y)],) if len(v)]
    top = panel.top
    if top is None:
        top = max([float(v.max()) for v in values] + [level.y for level in panel.levels] + [1.0])
    step = _step(top, 4 if panel.height > 100 else 2)
    top = max(step, float(np.ceil(top / step - 1e-9)) * step)
    right = WIDTH - _RIGHT

    def place(value: NDArray[np.float64]) -> NDArray[np.float64]:
        clipped: NDArray[np.float64] = np.clip(value, 0.0, top)
        return y0 + panel.height * (1.0 - clipped / top)

    out = [f'<text class="t" x="{_LEFT}" y="{y0 - 5:.1f}">{escape(panel.title)}</text>']
    for tick in np.arange(0.0, top + step / 2, step):
        at = float(place(np.array([tick]))[0])
        out.append(
            f'<line class="g" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="a" x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for line in panel.lines:
        out.append(_line(line, place(line.y), scale, length_s))
    for level in panel.levels:
        at = float(place(np.array([level.y]))[0])
        out.append(
            f'<g class="s-{level.key}"><line x1="{_LEFT}" x2="{right}" y1="{at:.1f}" '
            f'y2="{at:.1f}" stroke="{level.color}" stroke-width="1.2" stroke-dasharray="6 4"/>'
            f'<text class="a o" x="{right - 3}" y="{at - 4:.1f}" text-anchor="end">'
            f"{escape(level.name)}</text></g>"
        )
    return "".join(out)


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], length_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The topmost value (least y on the screen) of each stretch, in order of time."""
    stretch = np.clip(x / max(length_s, 1e-9) * _STRETCHES, 0, None).astype(np.int64)
    order = np.lexsort((y, stretch))
    first = np.diff(stretch[order], prepend=-1) > 0
    chosen = order[first]
    return x[chosen], y[chosen]


def _line(line: Line, y: NDArray[np.float64], scale: float, length_s: float) -> str:
    known = np.isfinite(y) & np.isfinite(line.x_s) & (line.x_s <= length_s) & (line.x_s >= 0)
    if not known.any():
        return ""
    x, y = _thinned(line.x_s[known], y[known], length_s)
    at = _LEFT + x * scale
    name = f"<title>{escape(line.name)}</title>"
    if line.style == "dots":
        path = "".join(f"M{px:.1f} {py:.1f}h.01" for px, py in zip(at, y, strict=True))
        look = 'stroke-width="2.6" stroke-linecap="round" stroke-opacity=".75"'
    else:
        pen_up = np.diff(x, prepend=-np.inf) > line.gap_s
        path = "".join(
            f"{'M' if up else 'L'}{px:.1f} {py:.1f}"
            for px, py, up in zip(at, y, pen_up, strict=True)
        )
        dashed = ' stroke-dasharray="4 3"' if line.style == "dashed" else ""
        look = f'stroke-width="1.5" stroke-linejoin="round"{dashed}'
    return (
        f'<path class="s-{line.key}" d="{path}" fill="none" stroke="{line.color}" {look}>'
        f"{name}</path>"
    )


def _strip(strip: Strip, y: float, scale: float) -> str:
    path = "".join(
        f"M{_LEFT + start * scale:.1f} {y + 1:.1f}h{max(0.8, (end - start) * scale):.1f}v8"
        f"h-{max(0.8, (end - start) * scale):.1f}z"
        for start, end in strip.spans_s
    )
    right = WIDTH - _RIGHT
    return (
        f'<g class="s-{strip.key}"><text class="a" x="{_LEFT - 6}" y="{y + 8.5:.1f}" '
        f'text-anchor="end">{escape(strip.name)}</text>'
        f'<line class="g" x1="{_LEFT}" x2="{right}" y1="{y + 5:.1f}" y2="{y + 5:.1f}"/>'
        f'<path d="{path}" fill="{strip.color}"/></g>'
    )


def _time_axis(y: float, length_s: float, scale: float) -> str:
    step = _step(length_s, 12)
    return "".join(
        f'<text class="a" x="{_LEFT + tick * scale:.1f}" y="{y + 14:.1f}" '
        f'text-anchor="middle">{tick:g} s</text>'
        for tick in np.arange(0.0, length_s + 1e-6, step)
    )
