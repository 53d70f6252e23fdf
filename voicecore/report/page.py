"""call.html: one self-contained page of one call, readable offline, by eye, ear and screen reader.

The picture (waveforms, speech, marks, gaps) is drawn by a small script from the embedded WAV and
the embedded facts; waterfalls, transcript, counters and costs are plain HTML. Nothing is loaded
from anywhere.
"""

from __future__ import annotations

import base64
import json
from html import escape
from importlib.resources import files
from string import Template

from voicecore.report.model import (
    CallReport,
    CostTable,
    Counters,
    TranscriptLine,
    TurnLatency,
    clock_text,
)

__all__ = ["render_page"]

_HOP_COLORS = 9
_LABEL_MIN_SHARE = 0.055


def render_page(report: CallReport, wav: bytes, rate_hz: int) -> str:
    """The page as text. ``wav`` is a stereo 16-bit PCM file with the usual 44-byte header."""
    data = files("voicecore.report") / "data"
    template = Template((data / "call.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(report.title),
        css=(data / "call.css").read_text(encoding="utf-8"),
        js=(data / "call.js").read_text(encoding="utf-8"),
        lead=escape(_lead(report)),
        tiles=_tiles(report),
        wav=base64.b64encode(wav).decode("ascii"),
        legend=_legend(),
        turns=_turns(report),
        transcript=_transcript(report.transcript),
        counters="".join(_counters(table) for table in report.counters),
        costs=_costs(report.costs),
        facts=" · ".join(f"{escape(name)}: {escape(value)}" for name, value in report.facts),
        data=_json(report, rate_hz),
    )


def _json(report: CallReport, rate_hz: int) -> str:
    facts = {
        "rate_hz": rate_hz,
        "length_ms": report.length_ms,
        "segments": [
            {"who": s.who, "start_ms": round(s.start_ms, 2), "end_ms": round(s.end_ms, 2)}
            for s in report.segments
        ],
        "marks": [
            {"kind": m.kind, "who": m.who, "at_ms": round(m.at_ms, 2), "label": m.label}
            for m in report.marks
        ],
        "transcript": [
            {"who": t.who, "start_ms": t.start_ms, "end_ms": t.end_ms, "text": t.text}
            for t in report.transcript
        ],
        "turns": [
            {
                "number": t.number,
                "start_ms": t.start_ms,
                "mouth_to_ear_ms": t.mouth_to_ear_ms,
                "hops": [
                    {"name": h.name, "start_ms": h.start_ms, "length_ms": h.length_ms}
                    for h in t.hops
                ],
            }
            for t in report.turns
        ],
    }
    # "</script>" inside a text must not end the element.
    return json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")


def _jump(from_ms: float, to_ms: float, text: str) -> str:
    return (
        f'<button class="link" data-from="{from_ms:.0f}" data-to="{to_ms:.0f}" '
        f'title="Show and listen">{escape(text)}</button>'
    )


def _lead(report: CallReport) -> str:
    lead = f"{report.length_ms / 1000:.1f} s, {len(report.turns)} answered turns."
    return lead + " Everything on this page was measured on the wire or counted in the call."


def _tiles(report: CallReport) -> str:
    tiles: list[tuple[str, str]] = []
    values = [turn.mouth_to_ear_ms for turn in report.turns]
    middle = report.median_mouth_to_ear_ms
    if middle is not None:
        tiles += [
            (f"{middle:.0f} ms", "mouth to ear, median"),
            (f"{max(values):.0f} ms", "mouth to ear, slowest turn"),
        ]
    differences = [
        abs(turn.mouth_to_ear_ms - turn.measured_ms)
        for turn in report.turns
        if turn.measured_ms is not None
    ]
    if differences:
        tiles.append((f"{max(differences):.0f} ms", "most that call.wav disagrees"))
    barge_ins = sum(mark.kind == "barge-in" for mark in report.marks)
    tiles.append((str(barge_ins), "barge-ins"))
    for cost in report.costs[:2]:
        tiles.append((f"${cost.total_usd:.4f}", cost.title))
    return "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )


def _legend() -> str:
    entries = [
        ("background:var(--caller)", "caller"),
        ("background:var(--agent)", "agent"),
        (
            "background:var(--caller-soft);border-bottom:3px solid var(--caller)",
            "speech, as the other side's VAD saw it",
        ),
        ("border-top:2px solid var(--ok);height:2px", "gap: caller's last sound to first answer"),
        ("border-left:2px solid var(--alarm);width:2px", "▼ barge-in, ✕ flush"),
        ("border-left:2px dashed var(--mark);width:2px", "▶ playout starts, ■ ends"),
    ]
    return "".join(
        f'<li><span class="swatch" style="{style}"></span>{escape(text)}</li>'
        for style, text in entries
    )


# -- waterfalls ----------------------------------------------------------------------------


def _scale_ms(longest_ms: float) -> tuple[float, float]:
    """The axis end and its step, in round numbers."""
    step = next(s for s in (50, 100, 200, 250, 500, 1000, 2000, 5000, 1e9) if longest_ms / s <= 8)
    return max(step, -(-longest_ms // step) * step), step


def _turns(report: CallReport) -> str:
    if not report.turns:
        return "<p>No turn was answered.</p>"
    names = report.hop_names
    color = {name: f"var(--hop{i % _HOP_COLORS})" for i, name in enumerate(names)}
    longest = max(max(t.mouth_to_ear_ms, t.measured_ms or 0.0) for t in report.turns)
    end_ms, step_ms = _scale_ms(longest)
    legend = "".join(
        f'<li><span class="swatch" style="background:{color[name]}"></span>{escape(name)}</li>'
        for name in names
    )
    legend += '<li><span class="swatch rest"></span>unattributed</li>'
    legend += (
        '<li><span style="border-left:2px solid var(--ink);height:14px"></span>'
        "gap measured in call.wav</li>"
    )
    ticks = "".join(
        f'<span style="left:{100 * i * step_ms / end_ms:.3f}%">{i * step_ms:.0f} ms</span>'
        for i in range(int(end_ms / step_ms) + 1)
    )
    rows = "".join(_turn(turn, color, end_ms) for turn in report.turns)
    return (
        f'<ul class="legend">{legend}</ul>{rows}'
        f'<div class="turn"><span></span><div class="axis">{ticks}</div><span></span></div>'
        f"<details><summary>The same as numbers, in ms</summary>{_hop_table(report)}</details>"
    )


def _turn(turn: TurnLatency, color: dict[str, str], end_ms: float) -> str:
    # The whole wait lies below, hatched; what no hop covers is unattributed.
    bars = [
        f'<div class="hop hatch" style="left:0;width:{100 * turn.mouth_to_ear_ms / end_ms:.3f}%" '
        f'title="unattributed: {turn.unattributed_ms:.1f} ms"></div>'
    ]
    for hop in turn.hops:
        share = hop.length_ms / end_ms
        label = f"{hop.length_ms:.0f}" if share > _LABEL_MIN_SHARE else ""
        bars.append(
            f'<div class="hop" style="left:{100 * hop.start_ms / end_ms:.3f}%;'
            f'width:{100 * share:.3f}%;background:{color[hop.name]}" '
            f'title="{escape(hop.name)}: {hop.length_ms:.1f} ms">{label}</div>'
        )
    if turn.measured_ms is not None:
        bars.append(
            f'<div class="measured" style="left:{100 * turn.measured_ms / end_ms:.3f}%" '
            f'title="measured in call.wav: {turn.measured_ms:.1f} ms"></div>'
        )
    parts = ", ".join(f"{hop.name} {hop.length_ms:.0f} ms" for hop in turn.hops)
    spoken = escape(f"{parts}, unattributed {turn.unattributed_ms:.0f} ms")
    button = _jump(
        turn.start_ms - 1500,
        turn.start_ms + turn.mouth_to_ear_ms + 1000,
        f"{turn.number}. {turn.caller_text or turn.note or '(opening)'}",
    )
    return (
        f'<div class="turn"><div class="what">{button}</div>'
        f'<div class="track" role="img" aria-label="{spoken}">{"".join(bars)}</div>'
        f'<div class="sum">{turn.mouth_to_ear_ms:.0f} ms</div></div>'
    )


def _hop_table(report: CallReport) -> str:
    names = report.hop_names
    heads = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    rows = []
    for turn in report.turns:
        lengths = {hop.name: hop.length_ms for hop in turn.hops}
        cells = "".join(
            f'<td class="n">{lengths[name]:.1f}</td>' if name in lengths else '<td class="n">–</td>'
            for name in names
        )
        measured = "–" if turn.measured_ms is None else f"{turn.measured_ms:.1f}"
        rows.append(
            f'<tr><td>{turn.number}</td>{cells}<td class="n">{turn.unattributed_ms:.1f}</td>'
            f'<td class="n"><b>{turn.mouth_to_ear_ms:.1f}</b></td>'
            f'<td class="n">{measured}</td></tr>'
        )
    return (
        f'<div class="wide"><table><thead><tr><th>turn</th>{heads}'
        '<th class="n">unattributed</th><th class="n">mouth to ear</th>'
        f'<th class="n">in call.wav</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


# -- tables --------------------------------------------------------------------------------


def _differ(spoken: str, text: str) -> bool:
    """Whether something else was said than understood; writing alone is no difference."""

    def letters(words: str) -> str:
        return "".join(c for c in words.lower() if c.isalnum())

    return bool(spoken) and letters(spoken) != letters(text)


def _transcript(lines: list[TranscriptLine]) -> str:
    rows = []
    for line in sorted(lines, key=lambda line: line.start_ms):
        text = escape(line.text)
        if line.unheard:
            text += (
                f' <span class="unheard" title="never sounded">{escape(line.unheard)}</span>'
                ' <span class="quiet">(cut off by the caller)</span>'
            )
        if _differ(line.spoken, line.text):
            text += f'<br><span class="quiet">really said: {escape(line.spoken)}</span>'
        jump = _jump(line.start_ms - 300, line.end_ms + 300, clock_text(line.start_ms))
        rows.append(
            f'<tr><td>{jump}</td><td class="who-{line.who}">{line.who}</td><td>{text}</td></tr>'
        )
    return f'<table class="said"><tbody>{"".join(rows)}</tbody></table>'


def _number(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _counters(table: Counters) -> str:
    rows = "".join(
        f'<tr><td>{escape(name.replace("_", " "))}</td><td class="n">{_number(value)}</td></tr>'
        for name, value in table.values.items()
    )
    return f"<section><h2>{escape(table.title)}</h2><table><tbody>{rows}</tbody></table></section>"


def _cost(table: CostTable) -> str:
    rows = "".join(
        f"<tr><td>{escape(line.item)}</td><td>{escape(line.quantity)}</td>"
        f'<td>{escape(line.unit_price)}</td><td class="n">${line.usd:.6f}</td></tr>'
        for line in table.lines
    )
    return (
        f"<section><h2>{escape(table.title)}</h2><table><thead><tr><th>what</th><th>used</th>"
        f'<th>price</th><th class="n">USD</th></tr></thead><tbody>{rows}'
        f'<tr class="total"><td>together</td><td></td><td>${table.per_minute_usd:.4f} a minute</td>'
        f'<td class="n">${table.total_usd:.6f}</td></tr></tbody></table>'
        f'<p class="quiet">{escape(table.note)}</p></section>'
    )


def _costs(tables: list[CostTable]) -> str:
    return "".join(_cost(table) for table in tables)
