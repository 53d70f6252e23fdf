"""``voicecore jitter-lab`` and its page: what is asked for is written, and what is wrong is said in
one line. Oracle: the files, read back."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import wave
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import voicecore
from voicecore.cli.jitter_lab import LabOptions, list_traces, run_lab
from voicecore.cli.lab_results import print_table, write_wav
from voicecore.errors import ConfigError, MissingModelError, VoicecoreError
from voicecore.report.plot import Level, Line, Panel, Strip, time_plot
from voicecore.testing.lab_speech import vowels
from voicecore.testing.pcap import write_pcap
from voicecore.testing.trace_catalogue import TRACES, make_trace
from voicecore.testing.trace_files import TimedPacket, write_csv, write_rtpdump
from voicecore.testing.traces import PacketTrace

ROOT = Path(voicecore.__file__).parent.parent


def packets_of(trace: PacketTrace) -> list[TimedPacket]:
    return [
        TimedPacket(
            int(trace.arrival_ns[row]),
            bytes(
                voicecore.RtpPacket(
                    bytes(160),
                    sequence=int(trace.sequence[row]),
                    timestamp=int(trace.timestamp[row]),
                    ssrc=77,
                )
            ),
        )
        for row in trace.arrival_order
    ]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    write_wav(path, vowels(8000, 5.0), 8000)
    return path


class Page(HTMLParser):
    """Collects what the page refers to, and checks that what is opened is closed."""

    VOID = frozenset({"meta", "input", "line", "path", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.sources: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in self.VOID:
            self.opened.append(tag)
        self.pictures += tag == "svg"
        if values.get("id"):
            self.ids.add(str(values["id"]))
        if str(values.get("href", "")).startswith("#"):
            self.links.add(str(values["href"])[1:])
        elif values.get("src") or values.get("href"):
            self.sources.append(str(values.get("src") or values.get("href")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.opened.pop() == tag


def test_the_whole_laboratory_in_short(voice: Path, tmp_path: Path) -> None:
    options = LabOptions(
        traces=("wifi", "burst-10"), speech=voice, seconds=4, pesq=False, out=tmp_path
    )
    console = Console(width=140, record=True, file=io.StringIO())
    outcome = run_lab(options, console)
    receivers = outcome.report.receivers
    assert receivers[:3] == ["voicecore play", "voicecore listen", "fixed-60"]
    assert len(outcome.scores) == 2 * len(receivers)

    for trace in ("wifi", "burst-10"):
        for receiver in receivers:
            stem = tmp_path / trace / receiver.replace(" ", "-")
            with wave.open(str(stem.with_suffix(".wav"))) as file:
                assert (file.getframerate(), file.getnchannels()) == (8000, 1)
                assert file.getnframes() >= 3.5 * 8000
            rows = np.loadtxt(stem.with_suffix(".csv"), delimiter=",", skiprows=1)
            assert rows.shape[1] == 4
            assert (rows[:, 3] >= 0).all()
        with wave.open(str(tmp_path / trace / "sent.wav")) as file:
            assert file.getnframes() == 4 * 8000

    stored = json.loads((tmp_path / "jitter-lab.json").read_text())
    assert [run["receiver"] for run in stored["runs"]] == receivers * 2
    assert stored["runs"][1]["stats"]["received"] == 200
    assert stored["traces"][0]["description"] == TRACES["wifi"].description

    text = (tmp_path / "jitter-lab.html").read_text()
    page = Page(text)
    assert page.opened == []
    assert page.links <= page.ids
    assert page.pictures == 2
    assert len(page.sources) == 2 * len(receivers)
    assert all((tmp_path / source).is_file() for source in page.sources)
    assert not re.findall(r"https?://", text)  # nothing is loaded from anywhere
    listen = stored["runs"][1]
    assert f'<td class="n">{listen["added_mean_ms"]:.1f}</td>' in text
    # Columns for what the receivers count themselves, only where one does.
    counters = stored["runs"][0]["stats"]
    assert (">E-model<" in text) == ("mos" in counters)
    assert (">faster %<" in text) == ("accelerated_samples" in counters)
    assert ">PESQ<" not in text

    print_table(outcome, console)
    shown = console.export_text()
    assert all(name in shown for name in (*receivers, "wifi", "burst-10", "p99"))
    narrow = Console(width=80, record=True, file=io.StringIO())
    print_table(outcome, narrow)
    assert "…" not in narrow.export_text()


def test_equal_arguments_give_equal_files(voice: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_lab(
            LabOptions(
                traces=("train",), speech=voice, seconds=3, pesq=False, out=tmp_path / name, seed=5
            ),
            Console(quiet=True),
        )
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) >= 8
    for file in files:
        if file.suffix != ".json":  # it names the page's path
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_recorded_files(voice: Path, tmp_path: Path) -> None:
    trace = make_trace("burst-3", seconds=6, seed=2)
    packets = packets_of(trace)
    (tmp_path / "my call.rtp").write_bytes(write_rtpdump(packets))
    (tmp_path / "other.csv").write_bytes(write_csv(packets))
    (tmp_path / "third.pcap").write_bytes(write_pcap(packets, port=5006))
    outcome = run_lab(
        LabOptions(
            rtpdump=(tmp_path / "my call.rtp",),
            csv=(tmp_path / "other.csv",),
            pcap=(tmp_path / "third.pcap",),
            port=5006,
            speech=voice,
            mode="listen",
            pesq=False,
            out=tmp_path / "out",
        ),
        Console(quiet=True),
    )
    assert [shown.name for shown in outcome.report.traces] == ["third", "my call", "other"]
    assert {found.receiver for found in outcome.scores} == {"voicecore listen"}
    assert (tmp_path / "out" / "my-call" / "voicecore-listen.wav").is_file()
    assert len({found.missing_percent for found in outcome.scores}) == 1
    assert outcome.scores[0].missing_percent > 0
    with pytest.raises(VoicecoreError, match=r"third\.pcap: 0 packets of RTP"):
        run_lab(
            LabOptions(pcap=(tmp_path / "third.pcap",), port=9, speech=voice, out=tmp_path),
            Console(quiet=True),
        )
    with pytest.raises(VoicecoreError, match=r"other\.csv: this is no rtpdump file"):
        run_lab(
            LabOptions(rtpdump=(tmp_path / "other.csv",), speech=voice, out=tmp_path),
            Console(quiet=True),
        )


def test_without_pesq_and_without_speech_it_says_so(
    monkeypatch: pytest.MonkeyPatch, voice: Path, tmp_path: Path
) -> None:
    import voicecore.cli.jitter_lab as module
    from voicecore.testing.lab_speech import LabSpeech

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(
        module, "find_lab_speech", lambda *_: LabSpeech(vowels(8000, 2.0), "vowels", real=False)
    )
    options = LabOptions(traces=("clean",), seconds=2, peers=False, out=tmp_path)
    outcome = run_lab(options, Console(quiet=True))
    notes = " ".join(outcome.report.notes)
    assert "No speech was found" in notes
    assert "for PESQ" in notes
    assert notes.count("pip install") == 2
    assert "No speech was found" in (tmp_path / "jitter-lab.html").read_text()
    with pytest.raises(MissingModelError, match="pip install"):
        run_lab(
            LabOptions(traces=("clean",), speech=voice, pesq=True, out=tmp_path),
            Console(quiet=True),
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"traces": ("nowhere",)}, "use one of clean"),
        ({"codec": "opus"}, "use one of pcmu"),
        ({"rate_hz": 16000}, "use --codec l16"),
        ({"codec": "l16", "rate_hz": 44100}, "use 8000 or 16000"),
        ({"seconds": 1.0}, "use 2 to 600"),
        ({"seconds": float("nan")}, "use 2 to 600"),
        ({"seed": -1}, "use 0 or more"),
    ],
)
def test_wrong_options(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabOptions(**settings)  # type: ignore[arg-type]


def test_the_catalogue_is_listed() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    list_traces(console)
    shown = console.export_text()
    assert all(f"{name} " in shown for name in TRACES)
    assert len(shown.splitlines()) == len(TRACES) + 1


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voicecore", "jitter-lab", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command(voice: Path, tmp_path: Path) -> None:
    common = ("--speech", str(voice), "--no-pesq", "--no-peers", "--out", str(tmp_path / "out"))
    done = command("--trace", "clean", "--seconds", "2", "--json", *common)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["receiver"] for run in found["runs"]] == ["voicecore play", "voicecore listen"]
    assert found["runs"][1]["added_mean_ms"] == 0.0
    assert Path(found["page"]).is_file()
    for arguments, message in (
        (("--trace", "nowhere"), "use one of clean"),
        (("--pcap", str(voice)), "this is no capture"),
        (("--csv", "no-such.csv"), "no-such.csv cannot be read"),
        (("--trace", "clean", "--speech", "no-such.wav"), "no-such.wav does not exist"),
        (("--trace", "clean", "--out", "/dev/null/out"), "cannot write to /dev/null/out"),
    ):
        done = command(*common, *arguments)
        assert done.returncode == 1
        assert message in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
    assert command("--ssrc", "abc").returncode == 2
    assert "wifi" in command("--list").stdout


# -- the picture ---------------------------------------------------------------------------


def test_a_plot_puts_values_where_they_belong() -> None:
    x = np.array([0.0, 5.0, 10.0])
    lines = [Line("a", "one <&> two", "var(--x)", x, np.array([0.0, 100.0, 50.0]), gap_s=9)]
    svg = time_plot(
        10.0,
        [Panel("ms", 100, lines, [Level("a", "best", "red", 25.0)])],
        [Strip("a", "a", "red", [(2.5, 5.0)])],
        "label",
    )
    left, right = 108.0, 946.0
    path = re.search(r'<path class="s-a" d="([^"]+)" fill="none"', svg)
    assert path is not None
    points = re.findall(r"([ML])([\d.]+) ([\d.]+)", path[1])
    assert [(kind, float(px)) for kind, px, _ in points] == [
        ("M", left),
        ("L", (left + right) / 2),
        ("L", right),
    ]
    bottom, top, middle = (float(py) for *_, py in points)
    assert bottom - top == pytest.approx(100.0)
    assert middle == pytest.approx((top + bottom) / 2)
    quarter = re.search(r'y1="([\d.]+)" y2="[\d.]+" stroke="red"', svg)
    assert quarter is not None
    assert float(quarter[1]) == pytest.approx(bottom - 25.0)
    mark = re.search(r'<path d="M([\d.]+) [\d.]+h([\d.]+)v8', svg)
    assert mark is not None
    assert (float(mark[1]), float(mark[2])) == (left + 209.5, 209.5)
    assert "one &lt;&amp;&gt; two" in svg


def test_a_plot_breaks_at_gaps_thins_to_the_peaks_and_takes_nothing() -> None:
    x = np.concatenate([np.linspace(0, 4, 2000), np.linspace(6, 10, 2000)])
    y = np.ones(4000)
    y[777] = 80.0
    svg = time_plot(10.0, [Panel("ms", 100, [Line("a", "a", "red", x, y)])], [], "label")
    path = re.search(r'd="(M[^"]+)"', svg)
    assert path is not None
    assert path[1].count("M") == 2
    heights = [float(py) for py in re.findall(r"[ML][\d.]+ ([\d.]+)", path[1])]
    assert len(heights) < 330
    assert min(heights) == pytest.approx(max(heights) - 79.0, abs=0.11)
    nothing = np.array([])
    svg = time_plot(0.0, [Panel("ms", 50, [Line("a", "a", "red", nothing, nothing)])], [], "none")
    assert svg.startswith("<svg")
    assert "nan" not in svg
