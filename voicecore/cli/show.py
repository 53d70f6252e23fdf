"""The demo on the terminal: the conversation as it happens, then where the time and money went."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from voicecore.report.model import (
    CallReport,
    Counters,
    TranscriptLine,
    TurnLatency,
    clock_text,
)

__all__ = ["LiveView", "print_report"]

_HOP_STYLES = (
    "blue",
    "yellow",
    "green",
    "magenta",
    "cyan",
    "red",
    "bright_blue",
    "bright_yellow",
    "white",
)
_HOP_GLYPHS = "█▓█▓█▓█▓█"
_REST_GLYPH, _REST_STYLE = "░", "bright_black"
_MEASURED_GLYPH = "│"
_ZERO_IS_NEWS = {"lost", "late", "concealed_samples", "underruns", "late_ticks_20ms"}
_WHO_STYLES = {"caller": "bold blue", "agent": "bold yellow"}
_STATE_STYLES = {
    "listening": "blue",
    "thinking": "magenta",
    "speaking": "yellow",
    "interrupted": "bold red",
}


def _said(line: TranscriptLine) -> Text:
    text = Text(line.text)
    if line.unheard:
        # Said in words too: not every terminal strikes through, and a pipe never does.
        text.append(" (not heard: ", style="dim")
        text.append(line.unheard, style="strike dim")
        text.append(")", style="dim")
    return text


class LiveView:
    """Prints each line when it was said, and keeps a status line below while the call runs.

    Does nothing but print the lines where the output is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = "listening"
        self._hint = Text("")
        self._now_ms = 0.0
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live = Live(
                self._status(),
                console=self._console,
                refresh_per_second=8,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _status(self) -> Text:
        status = Text(f"{clock_text(self._now_ms):>7}  ", style="dim")
        status.append(f"{self._state:<12}", style=_STATE_STYLES.get(self._state, ""))
        status.append(self._hint)
        status.truncate(max(20, self._console.width - 1), overflow="ellipsis")
        return status

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._status())

    def tick(self, now_ms: float) -> None:
        """The call has lasted so long."""
        self._now_ms = now_ms
        self._refresh()

    def state(self, state: str) -> None:
        """The session's state."""
        self._state, self._hint = state, Text("")
        self._refresh()

    def hint(self, who: str, text: str) -> None:
        """Words that may still change, or are about to be heard."""
        self._hint = Text(f"{who}: {text}", style="italic dim")
        self._refresh()

    def said(self, line: TranscriptLine, note: str = "") -> None:
        """A line is final."""
        row = Table.grid(padding=(0, 2))
        row.add_column(width=7, justify="right", style="dim")
        row.add_column(width=6, style=_WHO_STYLES[line.who])
        row.add_column(ratio=1)
        text = _said(line)
        if note:
            text.append(f"  {note}", style="dim")
        row.add_row(clock_text(line.start_ms), line.who, text)
        self._console.print(row)

    def note(self, at_ms: float, text: str, style: str = "dim") -> None:
        """Something worth a line that nobody said."""
        row = Table.grid(padding=(0, 2))
        row.add_column(width=7, justify="right", style="dim")
        row.add_column(width=6)
        row.add_column(ratio=1, style=style)
        row.add_row(clock_text(at_ms), "", text)
        self._console.print(row)


# -- after the call ------------------------------------------------------------------------


def _bar(turn: TurnLatency, styles: dict[str, int], end_ms: float, width: int) -> Text:
    """One turn as a bar; every hop begins and ends at its rounded place, so nothing drifts."""

    def column(ms: float) -> int:
        return min(width, round(ms / end_ms * width))

    cells = [(_REST_GLYPH, _REST_STYLE)] * column(turn.mouth_to_ear_ms)
    for hop in turn.hops:
        style = styles[hop.name]
        for place in range(column(hop.start_ms), column(hop.start_ms + hop.length_ms)):
            cells[place] = (_HOP_GLYPHS[style], _HOP_STYLES[style])
    bar = Text.assemble(*cells)
    if turn.measured_ms is not None:
        place = column(turn.measured_ms)
        plain = len(bar.plain)
        if place >= plain:
            bar.append(" " * (place - plain) + _MEASURED_GLYPH, style="bold")
    return bar


def _waterfalls(report: CallReport, width: int) -> Group:
    names = report.hop_names
    styles = {name: i % len(_HOP_STYLES) for i, name in enumerate(names)}
    legend = Text()
    for name in names:
        legend.append(_HOP_GLYPHS[styles[name]] * 2, style=_HOP_STYLES[styles[name]])
        legend.append(f"\u00a0{name.replace(chr(32), chr(160))}   ")
    legend.append(_REST_GLYPH * 2, style=_REST_STYLE)
    legend.append("\u00a0unattributed   ")
    legend.append(f"{_MEASURED_GLYPH}\u00a0measured\u00a0in\u00a0call.wav")
    end_ms = max(max(t.mouth_to_ear_ms, t.measured_ms or 0.0) for t in report.turns)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("turn", width=4, justify="right")
    table.add_column("the caller said", ratio=1, no_wrap=True, overflow="ellipsis")
    bar_width = max(20, width // 2)
    table.add_column("from the caller's last sound to the agent's first", width=bar_width + 1)
    table.add_column("ms", justify="right")
    table.add_column("in wav", justify="right")
    for turn in report.turns:
        measured = "-" if turn.measured_ms is None else f"{turn.measured_ms:.0f}"
        table.add_row(
            str(turn.number),
            Text(turn.caller_text or turn.note),
            _bar(turn, styles, end_ms, bar_width),
            f"[bold]{turn.mouth_to_ear_ms:.0f}[/bold]",
            measured,
        )
    return Group(table, legend)


def _hop_table(report: CallReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("turn", justify="right")
    for name in report.hop_names:  # folded where the line is short: a name cut off says nothing
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("unattributed", justify="right", overflow="fold")
    table.add_column("mouth to ear", justify="right", style="bold")
    for turn in report.turns:
        lengths = {hop.name: hop.length_ms for hop in turn.hops}
        cells = [f"{lengths[n]:.1f}" if n in lengths else "-" for n in report.hop_names]
        table.add_row(
            str(turn.number),
            *cells,
            f"{turn.unattributed_ms:.1f}",
            f"{turn.mouth_to_ear_ms:.1f}",
        )
    return table


def _counters(counters: list[Counters]) -> Table:
    """Side by side: one column a leg, one row a counter; rows of zeros only where 0 is news."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("counter")
    for one in counters:
        table.add_column(one.title, justify="right")
    names = dict.fromkeys(name for one in counters for name in one.values)
    for name in names:
        if name not in _ZERO_IS_NEWS and not any(one.values.get(name) for one in counters):
            continue
        cells = []
        for one in counters:
            value = one.values.get(name)
            if value is None:
                cells.append("")
            else:
                cells.append(f"{value:,}" if isinstance(value, int) else f"{value:,.2f}")
        table.add_row(name.replace("_", " "), *cells)
    return table


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def print_report(report: CallReport, console: Console) -> None:
    """Waterfalls, counters and costs."""
    if report.turns:
        console.print(_heading("Where the time went"))
        console.print(_waterfalls(report, console.width))
        console.print()
        console.print(_hop_table(report))
    console.print(_heading("Media"))
    console.print(_counters(report.counters))
    for cost in report.costs:
        console.print(_heading(cost.title))
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("what")
        table.add_column("used")
        table.add_column("price", overflow="fold")
        table.add_column("USD", justify="right")
        for line in cost.lines:
            table.add_row(line.item, line.quantity, line.unit_price, f"{line.usd:.6f}")
        table.add_row(
            "together",
            "",
            f"{cost.per_minute_usd:.4f} a minute",
            f"{cost.total_usd:.6f}",
            style="bold",
        )
        console.print(table)
        if cost.note:
            console.print(Text(cost.note, style="dim"))
