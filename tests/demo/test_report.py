"""call.wav, call.jsonl and call.html from known facts: what goes in must be found in the files."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import wave
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from voicecore.cli import conversation, demo
from voicecore.cli.account import meter_call
from voicecore.cli.conversation import Conversation
from voicecore.cli.show import print_report
from voicecore.cost import PriceBook
from voicecore.errors import ConfigError, StateError
from voicecore.media.events import SpeechStarted
from voicecore.providers.base import LlmUsage, SttUsage, TtsUsage
from voicecore.providers.llm.booking import BookingState
from voicecore.report.journal import Journal
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
    clock_text,
)
from voicecore.report.page import render_page
from voicecore.report.recording import Recording
from voicecore.testing.network import Impairment

ORIGIN_NS = 5_000_000_000


def test_recording_puts_both_directions_on_the_wire_timeline(tmp_path: Path) -> None:
    recording = Recording(8000)
    recording.add_sent(np.full(160, 1000, np.int16), 0)
    recording.add_sent(np.full(160, 2000, np.int16), 320)  # a hole of 20 ms before it
    recording.add_received(np.full(160, -3000, np.int16), 0)
    recording.start(ORIGIN_NS, ORIGIN_NS + 10_000_000)  # received 10 ms = 80 samples later
    data = recording.write(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    expected = np.zeros((480, 2), np.int16)
    expected[:160, 0], expected[320:480, 0], expected[80:240, 1] = 1000, 2000, -3000
    np.testing.assert_array_equal(pcm, expected)
    assert recording.origin_ns == ORIGIN_NS
    assert recording.length_ms == 60.0
    assert len(data) == 44 + pcm.nbytes  # the page's script relies on a 44-byte header


def test_a_narrow_terminal_still_shows_every_hop_and_price_unit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("endpointing", "turn detection", "transcription", "llm first token", "first clause")
    hops = tuple(Hop(name, 100.0, 100.0 * i) for i, name in enumerate(names))
    line = CostLine("llm a/b", "596 input tokens (estimated)", "0.4 usd_per_1m_input_tokens", 0.1)
    report = CallReport(
        "a call",
        turns=[TurnLatency(1, 0.0, "hello", hops, 5.0, 505.0)],
        costs=[CostTable("cost", (line,), 0.1, 0.1)],
    )
    print_report(report, Console(width=60))
    shown = capsys.readouterr().out
    table = shown[shown.index("measured\u00a0in\u00a0call.wav") :]
    assert "…" not in table


def test_recording_gives_back_any_stretch_received() -> None:
    recording = Recording(8000)
    sound = np.arange(1, 1001, dtype=np.int16)
    for first in range(0, 1000, 100):
        recording.add_received(sound[first : first + 100], first)
    np.testing.assert_array_equal(recording.received(150, 420), sound[150:420])
    beyond = recording.received(950, 1050)
    np.testing.assert_array_equal(beyond, np.append(sound[950:], np.zeros(50, np.int16)))
    assert len(recording.received(10, 5)) == 0


def test_recording_is_bounded_and_needs_a_start() -> None:
    recording = Recording(8000, max_s=0.01)
    recording.add_sent(np.ones(160, np.int16), 0)
    recording.add_sent(np.ones(160, np.int16), 160)
    with pytest.raises(StateError, match="no audio"):
        assert recording.origin_ns
    recording.start(ORIGIN_NS, 0)
    assert recording.stereo().shape == (80, 2)
    with pytest.raises(ConfigError):
        Recording(0)


def test_journal_orders_by_stamp_and_counts_from_the_origin(tmp_path: Path) -> None:
    journal = Journal(max_lines=3)
    journal.note("caller", "said", ORIGIN_NS + 2_500_000, text="Größe <b>", source="clash")
    journal.add("agent-leg", SpeechStarted(ORIGIN_NS + 1_000_000, 42, ORIGIN_NS))
    journal.note("x", "audio", ORIGIN_NS - 1_000_000, pcm=np.zeros(7, np.int16), raw=b"abc")
    journal.note("x", "too_many", ORIGIN_NS)
    assert journal.dropped == 1
    assert journal.write(tmp_path / "call.jsonl", ORIGIN_NS) == 3
    lines = [json.loads(line) for line in (tmp_path / "call.jsonl").read_text().splitlines()]
    assert [line["ms"] for line in lines] == [-1.0, 1.0, 2.5]
    assert lines[0]["pcm"] == {"samples": 7}
    assert lines[0]["raw"] == {"bytes": 3}
    assert lines[1] == {
        "stamp_ns": ORIGIN_NS + 1_000_000,
        "ms": 1.0,
        "source": "agent-leg",
        "event": "speech_started",
        "sample": 42,
        "audio_ns": ORIGIN_NS,
    }
    assert (lines[2]["source"], lines[2]["source_"], lines[2]["text"]) == (
        "caller",
        "clash",
        "Größe <b>",
    )


def make_report() -> CallReport:
    report = CallReport("a call & more", length_ms=1000.0)
    nasty = "</script><script>alert(1)</script>"
    report.segments = [SpeechSegment("caller", 0.0, 200.0, "agent")]
    report.marks = [Mark("barge-in", "agent", 600.0, "paused")]
    report.transcript = [
        TranscriptLine("caller", 0.0, 200.0, nasty),
        TranscriptLine("agent", 500.0, 700.0, "All right.", unheard="For which day?"),
    ]
    hops = (Hop("endpointing", 200.0, 0.0), Hop("tts", 50.0, 240.0))
    report.turns = [TurnLatency(1, 200.0, nasty, hops, 60.0, 305.0)]
    report.counters = [Counters("agent's leg", {"lost": 3, "jitter_ms": 1.5})]
    report.costs = [CostTable("Hosted", (CostLine("stt", "3 s", "0.1", 0.25),), 0.25, 1.5, "n")]
    report.facts = [("voice", "<flite>")]
    return report


class Collector(HTMLParser):
    """Tags, attributes that load something, and the embedded facts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.data = ""
        self._in_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.loads += [values[n] or "" for n in ("src", "href", "action") if n in values]
        self._in_data = values.get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False


def test_page_is_self_contained_escaped_and_complete() -> None:
    recording = Recording(8000)
    recording.add_sent(np.full(800, 500, np.int16), 0)
    recording.start(ORIGIN_NS, 0)
    wav = recording.wav_bytes()
    page = render_page(make_report(), wav, 8000)
    seen = Collector()
    seen.feed(page)
    # Two scripts: the facts and the drawing. The nasty text made no third.
    assert seen.tags.count("script") == 2
    assert all(address.startswith("data:audio/wav;base64,") for address in seen.loads)
    assert len(seen.loads) == 1
    assert base64.b64decode(seen.loads[0].split(",")[1]) == wav
    assert not re.search(r"https?://|url\(|@import", page)
    facts = json.loads(seen.data)
    assert facts["turns"][0]["mouth_to_ear_ms"] == 310.0
    assert facts["transcript"][0]["text"].startswith("</script>")
    assert facts["marks"] == [
        {"kind": "barge-in", "who": "agent", "at_ms": 600.0, "label": "paused"}
    ]
    for shown in ("a call &amp; more", "For which day?", "310 ms", "60.0", "305.0", "$0.250000"):
        assert shown in page


def test_page_without_turns_renders() -> None:
    recording = Recording(8000)
    recording.add_sent(np.ones(8, np.int16), 0)
    recording.start(ORIGIN_NS, 0)
    assert "No turn was answered." in render_page(CallReport("empty"), recording.wav_bytes(), 8000)


def test_mouth_to_ear_is_hops_plus_unattributed() -> None:
    report = make_report()
    assert report.turns[0].mouth_to_ear_ms == 310.0
    assert report.median_mouth_to_ear_ms == 310.0
    assert report.hop_names == ["endpointing", "tts"]


def test_the_terminal_shows_paths_and_transcripts_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Square brackets are rich's markup: "[/b]" alone would be an error, "[b]" would vanish.
    hops = (Hop("endpointing", 200.0, 0.0),)
    report = CallReport("a call", turns=[TurnLatency(1, 0.0, "[b] and [/b]", hops, 5.0, 205.0)])
    path = tmp_path / "calls [b] of [/b]" / ("x" * 90) / "call.wav"

    async def held(options: demo.DemoOptions, console: object) -> demo.DemoResult:
        talk = Conversation(Journal(), Recording(8000))
        return demo.DemoResult(talk, report, BookingState(), True, {"call.wav": path})

    monkeypatch.setattr(demo, "hold_demo", held)
    monkeypatch.setenv("COLUMNS", "100")
    assert demo.run_demo(demo.DemoOptions()) == 1  # nobody said a word
    shown = capsys.readouterr().out
    assert f"call.wav    {path}\n" in shown
    assert "[b] and [/b]" in shown


@pytest.mark.parametrize(
    ("impairment", "hint"),
    [(Impairment(), "s; is the loopback"), (Impairment(100.0), "lose 100 % of the packets: give")],
)
def test_a_call_without_audio_names_the_likely_cause(
    impairment: Impairment, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_CONNECT_S", 0.0)
    leg = SimpleNamespace(received_start_ns=0, local_address=("127.0.0.1", 4000))
    with pytest.raises(StateError, match=hint):
        asyncio.run(conversation._connected(leg, leg, impairment))  # type: ignore[arg-type]


def test_the_bill_holds_what_an_answer_without_a_turn_used() -> None:
    talk = Conversation(Journal(), Recording(8000), call_ms=61_000.0)
    talk.usage = (SttUsage(1500.0), LlmUsage(40, 7, estimated=True), TtsUsage(30, 900.0))
    names = {kind: SimpleNamespace(name=f"embedded/{kind}") for kind in ("stt", "llm", "tts")}
    bill = meter_call(talk, SimpleNamespace(**names)).bill(PriceBook([]))  # type: ignore[arg-type]
    assert {line.basis: int(line.quantity) for line in bill.lines} == {
        "audio_second": 2,
        "input_token": 40,
        "output_token": 7,
        "character": 30,
        "call_minute": 2,
    }


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5.0, "0:00.0"), (59_949.0, "0:59.9"), (59_960.0, "1:00.0"), (65_000.0, "1:05.0")],
)
def test_a_moment_is_written_in_minutes_and_seconds_below_sixty(ms: float, text: str) -> None:
    assert clock_text(ms) == text
