"""The distributions of the barge-in bench as SVG: a panel for each system, a line for each hold."""

from __future__ import annotations

from html import escape
from math import log10
from typing import Any

import numpy as np

__all__ = ["draw"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 330, 210, 46, 54, 44, 26
_FROM_MS, _TO_MS = 50.0, 4000.0
_TICKS_MS = (50, 100, 200, 500, 1000, 2000, 4000)
_COLOURS = ("#1b6ca8", "#2a9d5c", "#d98a00", "#c0392b")
_DASHES = ("", "7 3", "2 3", "9 3 2 3")  # lines that lie on one another stay visible


def _x(ms: float) -> float:
    share = log10(max(ms, _FROM_MS) / _FROM_MS) / log10(_TO_MS / _FROM_MS)
    return min(share, 1.0) * _WIDTH


def _panel(name: str, rows: list[dict[str, Any]], bar_ms: float) -> str:
    out = [f'<text x="{_WIDTH / 2}" y="-10" text-anchor="middle" class="t">{escape(name)}</text>']
    for ms in _TICKS_MS:
        out.append(f'<path d="M{_x(ms):.1f} 0V{_HEIGHT}" class="g"/>')
        out.append(f'<text x="{_x(ms):.1f}" y="{_HEIGHT + 16}" text-anchor="middle">{ms}</text>')
    for percent in (0, 25, 50, 75, 95, 100):
        y = _HEIGHT * (1 - percent / 100)
        out.append(f'<path d="M0 {y:.1f}H{_WIDTH}" class="g"/>')
        out.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{percent}</text>')
    out.append(f'<path d="M{_x(bar_ms):.1f} 0V{_HEIGHT}" class="b"/>')
    for number, row in enumerate(rows):
        values = np.sort(row["latencies_ms"])
        # Misses never get there: the line ends below 100 %.
        share = np.arange(1, len(values) + 1) / max(1, row["trials"])
        points = " ".join(
            f"{_x(ms):.1f},{_HEIGHT * (1 - part):.1f}"
            for ms, part in zip(values.tolist(), share.tolist(), strict=True)
        )
        out.append(
            f'<polyline points="{points}" fill="none" stroke="{_COLOURS[number % 4]}" '
            f'stroke-width="2" stroke-dasharray="{_DASHES[number % 4]}"/>'
        )
    out.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 36}" text-anchor="middle">'
        "ms from speech onset to the last audible sample; % of trials</text>"
    )
    return "".join(out)


def draw(rows: list[dict[str, Any]], bar_ms: float) -> str:
    """One SVG of all rows: per cent of the trials over ms, cumulative; the bar is a red line."""
    names = list(dict.fromkeys(row["title"] for row in rows))
    step = _LEFT + _WIDTH + _GAP
    width, height = step * len(names), _TOP + _HEIGHT + _BOTTOM
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Cumulative distributions of the time to silence" font-family="sans-serif" '
        'font-size="11"><style>.g{stroke:#ddd}.b{stroke:#c00;stroke-width:1.5}'
        ".t{font-size:14px;font-weight:bold}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    ]
    holds = list(dict.fromkeys(row["hold_ms"] for row in rows))
    for number, hold_ms in enumerate(holds):
        x = _LEFT + 190 * number
        out.append(
            f'<path d="M{x} 14h34" stroke="{_COLOURS[number % 4]}" stroke-width="2" '
            f'stroke-dasharray="{_DASHES[number % 4]}"/>'
            f'<text x="{x + 40}" y="18">loop held for {hold_ms:.0f} ms</text>'
        )
    for number, name in enumerate(names):
        mine = [row for row in rows if row["title"] == name]
        at = f"translate({number * step + _LEFT} {_TOP})"
        out.append(f'<g transform="{at}">{_panel(name, mine, bar_ms)}</g>')
    return "".join(out) + "</svg>\n"
