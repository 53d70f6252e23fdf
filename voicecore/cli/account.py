"""From everything that is known of a call to the report that is shown."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

from voicecore import __version__
from voicecore.cli.conversation import Conversation
from voicecore.cost import Bill, Meter, PriceBook
from voicecore.latency import Gap, Waterfall, measure_gaps
from voicecore.media.events import (
    BargedIn,
    CallEvent,
    DtmfReceived,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.providers.embedded import EmbeddedProviders
from voicecore.report.model import (
    CallReport,
    CostLine,
    CostTable,
    Counters,
    Hop,
    Mark,
    SpeechSegment,
    TranscriptLine,
    TurnLatency,
    Who,
)
from voicecore.session import TurnRecord
from voicecore.session.events import BargeInConfirmed, BargeInDismissed

__all__ = ["build_report", "meter_call"]

_SAME_END_MS = 250.0
_LEG_NAME = "loopback/udp"


class _Timeline:
    """Stamps to milliseconds of call.wav."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns

    def ms(self, stamp_ns: int) -> float:
        return (stamp_ns - self._origin_ns) / 1e6


def build_report(
    talk: Conversation,
    providers: EmbeddedProviders,
    wav: Path,
    *,
    price_as: str,
    voice: str,
    network: str,
) -> CallReport:
    """All facts of the call; ``wav`` is the finished call.wav, which is measured here."""
    time = _Timeline(talk.recording.origin_ns)
    report = CallReport("voicecore: a call", length_ms=talk.recording.length_ms)
    report.facts = [
        ("voicecore", __version__),
        ("Python", platform.python_version()),
        ("STT", providers.stt.name),
        ("dialogue", providers.llm.name),
        ("TTS", providers.tts.name),
        ("end of turn", providers.turn.name),
        ("caller's voice", voice),
        ("network", network),
    ]
    report.segments = [
        *_segments(talk.agent_events, "caller", time, report.length_ms),
        *_segments(talk.caller_events, "agent", time, report.length_ms),
    ]
    report.marks = _marks(talk, time)
    report.transcript = _transcript(talk, time)
    report.turns = _turns(talk.turns, measure_gaps(wav), time)
    report.counters = _counters(talk)
    report.costs = _costs(talk, providers, price_as)
    return report


# -- the timeline --------------------------------------------------------------------------


def _segments(
    events: Iterable[CallEvent], who: Who, time: _Timeline, length_ms: float
) -> list[SpeechSegment]:
    found: list[SpeechSegment] = []
    hears: Who = "agent" if who == "caller" else "caller"
    start_ms: float | None = None
    for event in events:
        if isinstance(event, SpeechStarted):
            start_ms = time.ms(event.audio_ns)
        elif isinstance(event, SpeechStopped) and start_ms is not None:
            found.append(SpeechSegment(who, start_ms, time.ms(event.audio_ns), hears))
            start_ms = None
    if start_ms is not None:  # it spoke until the end
        found.append(SpeechSegment(who, start_ms, length_ms, hears))
    return found


def _marks(talk: Conversation, time: _Timeline) -> list[Mark]:
    marks = []
    for event in talk.agent_events:
        at_ms = time.ms(event.stamp_ns)
        if isinstance(event, BargedIn):
            label = "the caller speaks over the agent: playout paused natively"
            marks.append(Mark("barge-in", "agent", at_ms, label))
        elif isinstance(event, PlayoutStarted):
            marks.append(Mark("playout", "agent", time.ms(event.packet_ns), "playout starts"))
        elif isinstance(event, PlayoutDrained):
            kind = "underrun" if event.underrun else "drained"
            label = "playout ran dry" if event.underrun else "playout ends"
            marks.append(Mark(kind, "agent", at_ms, label))
        elif isinstance(event, DtmfReceived):
            marks.append(Mark("dtmf", "caller", at_ms, f"key {event.digit}"))
    for report in talk.reports:
        at_ms = time.ms(report.stamp_ns)
        if isinstance(report, BargeInConfirmed):
            marks.append(Mark("flush", "agent", at_ms, "barge-in confirmed: the rest is dropped"))
        elif isinstance(report, BargeInDismissed):
            marks.append(Mark("resume", "agent", at_ms, f"false alarm ({report.reason}): goes on"))
    return sorted(marks, key=lambda mark: mark.at_ms)


def _transcript(talk: Conversation, time: _Timeline) -> list[TranscriptLine]:
    ends = _playout_ends(talk)
    starts = [e.audio_ns for e in talk.agent_events if isinstance(e, SpeechStarted)]
    lines = []
    before_ns = 0
    for record in talk.turns:
        stamps = record.stamps
        if record.caller_text and stamps.caller_end_ns:
            start_ns = min(
                (ns for ns in starts if before_ns < ns < stamps.caller_end_ns),
                default=stamps.caller_end_ns,
            )
            spoken = [
                said.text
                for said in talk.caller.said
                if said.start_ns < stamps.caller_end_ns and said.end_ns > start_ns
            ]
            lines.append(
                TranscriptLine(
                    "caller",
                    time.ms(start_ns),
                    time.ms(stamps.caller_end_ns),
                    record.caller_text,
                    spoken=" ".join(spoken),
                )
            )
            before_ns = stamps.caller_end_ns
        if stamps.first_packet_ns:
            end_ns = _agent_end_ns(record, ends)
            lines.append(_agent_line(record, time.ms(stamps.first_packet_ns), time.ms(end_ns)))
    return lines


def _playout_ends(talk: Conversation) -> list[int]:
    """Stamps at which the agent fell silent; a pause that was resumed is not one."""
    dismissed = [r.stamp_ns for r in talk.reports if isinstance(r, BargeInDismissed)]
    ends = []
    for event in talk.agent_events:
        if isinstance(event, PlayoutDrained):
            ends.append(event.stamp_ns)
        elif isinstance(event, BargedIn):
            later = [
                e.stamp_ns
                for e in talk.agent_events
                if isinstance(e, BargedIn) and e.stamp_ns > event.stamp_ns
            ]
            until_ns = min(later, default=1 << 62)
            if not any(event.stamp_ns < ns < until_ns for ns in dismissed):
                ends.append(event.stamp_ns)
    return ends


def _agent_end_ns(record: TurnRecord, ends: list[int]) -> int:
    """When the answer's last audio left."""
    first_ns = record.stamps.first_packet_ns
    return min((ns for ns in ends if ns > first_ns), default=first_ns)


def _agent_line(record: TurnRecord, start_ms: float, end_ms: float) -> TranscriptLine:
    heard, meant = record.heard_text.split(), record.agent_text.split()
    unheard = " ".join(meant[len(heard) :]) if record.interrupted else ""
    return TranscriptLine("agent", start_ms, end_ms, record.heard_text, unheard=unheard)


# -- latency -------------------------------------------------------------------------------


def _turns(records: list[TurnRecord], gaps: list[Gap], time: _Timeline) -> list[TurnLatency]:
    turns: list[TurnLatency] = []
    left = list(gaps)
    for record in records:
        waterfall = Waterfall.from_stamps(record.stamps)
        if not waterfall.complete or not record.heard_text:
            continue  # nothing of an answer was heard: there was no wait for it
        start_ms = time.ms(waterfall.start_ns)
        nearest = min(left, key=lambda gap: abs(gap.caller_end_ms - start_ms), default=None)
        measured_ms = None
        if nearest is not None and abs(nearest.caller_end_ms - start_ms) <= _SAME_END_MS:
            measured_ms = nearest.gap_ms
            left.remove(nearest)
        turns.append(
            TurnLatency(
                len(turns) + 1,
                start_ms,
                record.caller_text,
                tuple(
                    Hop(hop.name, hop.duration_ms, (hop.start_ns - waterfall.start_ns) / 1e6)
                    for hop in waterfall.hops
                ),
                waterfall.unattributed_ms,
                measured_ms,
            )
        )
    return turns


# -- counters and cost ---------------------------------------------------------------------


def _counters(talk: Conversation) -> list[Counters]:
    found = [
        Counters(title, {_ms_name(n): _ms_value(n, v) for n, v in talk.stats[title].items()})
        for title in ("agent's leg", "caller's leg", "agent's engine", "caller's engine")
        if title in talk.stats
    ]
    if talk.network is not None:
        for title, stats in zip(("caller to agent", "agent to caller"), talk.network, strict=True):
            values: dict[str, float | int] = {
                name: getattr(stats, name) for name in stats.__slots__
            }
            found.append(Counters(f"network, {title}", values))
    return found


def _ms_name(name: str) -> str:
    return name.removesuffix("_ns") + "_ms" if name.endswith("_ns") else name


def _ms_value(name: str, value: float | int) -> float | int:
    return value / 1e6 if name.endswith("_ns") else value


def meter_call(talk: Conversation, providers: EmbeddedProviders) -> Meter:
    """What the call used."""
    meter = Meter()
    # The session's own sums: an answer that was withdrawn at the end has no turn.
    stt, llm, tts = talk.usage
    meter.add_stt(providers.stt.name, audio_ms=stt.audio_ms, open_ms=talk.call_ms)
    meter.add_llm(
        providers.llm.name,
        input_tokens=llm.input_tokens,
        output_tokens=llm.output_tokens,
        cached_input_tokens=llm.cached_input_tokens,
        estimated=llm.estimated,
    )
    meter.add_tts(providers.tts.name, characters=tts.characters, audio_ms=tts.audio_ms)
    meter.add_call_leg(_LEG_NAME, talk.call_ms)
    return meter


def _costs(talk: Conversation, providers: EmbeddedProviders, price_as: str) -> list[CostTable]:
    meter, book = meter_call(talk, providers), PriceBook.load()
    tables = [_cost_table("What this call cost", meter.bill(book))]
    if price_as.strip():
        tables.append(_cost_table("With hosted providers", meter.bill(book, price_as)))
    return tables


def _cost_table(title: str, bill: Bill) -> CostTable:
    lines = [
        CostLine(
            f"{line.kind} {line.priced_as or line.used}",
            f"{line.quantity:f} {line.basis.replace('_', ' ')}s"
            + (" (estimated)" if line.estimated else ""),
            "no price" if line.price_usd is None else f"{line.price_usd:f} {line.unit}",
            float(line.amount_usd or 0),
        )
        for line in bill.lines
    ]
    dates = sorted({line.as_of for line in bill.lines if line.as_of is not None})
    note = ""
    if dates:
        note = (
            f"Prices read from {dates[0]} to {dates[-1]}."
            if len(dates) > 1
            else (f"Prices read on {dates[0]}.")
        )
    if bill.unpriced:
        note += f" Without a price: {', '.join(bill.unpriced)}; the sum is a lower bound."
    per_minute = bill.per_minute_usd
    return CostTable(
        title, tuple(lines), float(bill.total_usd), float(per_minute or 0), note.strip()
    )
