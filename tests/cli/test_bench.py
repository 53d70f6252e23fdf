"""``voicecore bench``: what it prints, writes and says when something is wrong.

Oracle for the figures: arithmetic on a made-up result; for the command: its own JSON. Nothing here
depends on how fast the machine is. Seeds are in voicecore/cli/bench/signals.py.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voicecore
from voicecore.cli.bench import signals
from voicecore.cli.bench.machine import Machine
from voicecore.cli.bench.measure import Bench, LeftOut, PeerTimes, Row, measure_one
from voicecore.cli.bench.page import render_page
from voicecore.cli.bench.registry import (
    Differs,
    Measurement,
    Need,
    Peer,
    Work,
    every,
    has_levels,
    package,
    select,
    shared_library,
)
from voicecore.cli.bench.tables import markdown, notes, number_us
from voicecore.cli.bench.timing import Effort, Times, interleaved
from voicecore.errors import ConfigError, DataError

ROOT = Path(voicecore.__file__).parent.parent
MACHINE = Machine("Zed <80>", 2, "CP/M", "avx2", ("c", "avx2"), "3.12.1", "9.9", "2.0", 0.25)
EFFORT = Effort(3, 1.0)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voicecore", "bench", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def made_up() -> Bench:
    """10 us at AVX2, 25 at plain C; a peer at 123; a unit without levels at 0.5."""
    vad = Row(
        "vad", "SileroVad", "VAD <one>", 32, True,
        {"c": Times(25.0, 24.0), "avx2": Times(10.0, 9.0)}, "avx2",
        (PeerTimes("onnx & co", "onnx 1.2", Times(123.0, 120.0), "probabilities within 1e-06"),
         PeerTimes("slow", "slow 3", Times(1000.0, 999.0, True), "equal")),
    )  # fmt: skip
    law = Row("law", "G711", "law", 20, False, {"c": Times(0.5, 0.4)}, "c")
    bench = Bench(MACHINE, EFFORT, [vad, law])
    bench.missing["soxr"] = (package("soxr"), "not installed")
    bench.left_out.append(LeftOut("law", "other", "the bytes are not the same"))
    return bench


# -- the figures --------------------------------------------------------------------------------


def test_streams_and_ratios():
    vad, law = made_up().rows
    assert vad.us == 10
    assert vad.streams_per_core == 3200  # 32 ms / 10 us
    assert law.streams_per_core == 40000
    assert [vad.ratio(peer) for peer in vad.peers] == [12.3, 100.0]


def test_three_digits():
    shown = [number_us(us) for us in (0.0876, 0.996, 1.234, 9.949, 9.951, 99.49, 99.51, 1234.6)]
    assert shown == ["0.088", "1.00", "1.23", "9.95", "10.0", "99.5", "100", "1235"]


def test_markdown_is_exactly_this():
    assert markdown(made_up()) == (
        "Zed <80>, 2 cores, level avx2, CP/M, Python 3.12.1, voicecore 9.9, numpy 2.0; onnx 1.2, "
        "slow 3 in the same rounds. Processor time, medians of 3 rounds. Ratios travel, times do "
        "not.\n\n"
        "| what | plain C | AVX2 | streams per core | peer | ratio |\n"
        "|---|---|---|---|---|---|\n"
        "| VAD <one> | 25.0 µs | 10.0 µs | 3,200 | onnx & co 123 µs | 12.3x |\n"
        "| | | | | slow 1000 µs | 100x |\n"
        "| law | 0.500 µs | | 40,000 | | |\n"
    )


def test_notes_name_all_that_is_missing_or_left_out():
    bench = made_up()
    text = "\n".join(notes(bench))
    assert "Peer soxr: not installed (pip install soxr)." in text
    assert "other left out of law: the bytes are not the same" in text
    assert "threads of its own, which are counted: slow." in text
    assert "busy" not in text
    busy = Bench(dataclasses.replace(MACHINE, load=1.5), EFFORT, bench.rows)
    assert "busy (load 1.5 on 2 cores)" in "\n".join(notes(busy))


class Page(HTMLParser):
    """Text, tags that stay open, and whatever would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.widths: list[float] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.loads += [name for name in ("src", "href") if name in values]
        if found := re.fullmatch(r"width:([\d.]+)%", values.get("style") or ""):
            self.widths.append(float(found[1]))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def test_page_has_every_row_and_loads_nothing():
    text = render_page(made_up())
    page = Page(text)
    assert not page.open
    assert not page.loads
    assert "url(" not in text
    assert "@import" not in text
    for word in ("Zed <80>", "VAD <one>", "onnx & co", "12.3x", "100x", "3,200 streams per core",
                 "40,000 streams per core", "G711", "probabilities within 1e-06", "123 µs",
                 "pip install soxr", "CP/M"):  # fmt: skip
        assert word in page.text, word
    # Bars are shares of the longest of their block: 10, 25, 123 and 1000 of 1000; 0.5 alone.
    assert page.widths == [1.0, 2.5, 12.3, 100.0, 100.0]


# -- measuring ---------------------------------------------------------------------------------


def fixed(value: Any, count: list[int] | None = None) -> Work:
    def go() -> None:
        if count is not None:
            count.append(1)

    return Work(go, 2, lambda: value)


def equal(ours: Any, theirs: Any) -> str:
    if ours != theirs:
        raise Differs(f"{theirs} is not {ours}")
    return "equal"


def one(make: Any = lambda level: fixed(7), by_level: bool = False, **more: Any) -> Measurement:
    return Measurement("m", "Unit", "what", 20, make, by_level, equal, **more)


def bench_here() -> Bench:
    levels = tuple(voicecore.cpu_levels())
    machine = dataclasses.replace(MACHINE, level=voicecore.cpu_level(), levels=levels)
    return Bench(machine, EFFORT)


def test_each_work_runs_in_every_round():
    counts: list[list[int]] = [[], []]
    steps: list[int] = []
    works = [fixed(0, count) for count in counts]
    times = interleaved(works, Effort(4, 0.001), lambda: steps.append(1))
    # Two to find out how long a pass is, then one that does not count and one that does.
    assert [len(count) for count in counts] == [2 + 4 * 2] * 2
    assert len(steps) == 4
    assert all(0 < found.min_us <= found.median_us for found in times)


def test_levels_that_disagree_are_an_error():
    levels = voicecore.cpu_levels()
    row = measure_one(one(by_level=True), bench_here(), False)
    assert row is not None
    assert list(row.levels) == levels
    assert row.used == voicecore.cpu_level()
    if len(levels) > 1:
        with pytest.raises(DataError, match=f"what: level {levels[1]} and plain C disagree"):
            measure_one(one(lambda level: fixed(level), by_level=True), bench_here(), False)


def test_peers_are_checked_before_they_are_timed():
    def broken() -> Work:
        raise AttributeError("no such function in this version")

    absent = package("no-such-package-at-all", "no_such_package_at_all")
    counted: list[int] = []
    peers = (
        Peer("good", (), lambda: fixed(7), equal),
        Peer("wrong", (), lambda: fixed(8, counted), equal),
        Peer("broken", (), broken, equal),
        Peer("absent", (absent,), broken, equal),
    )
    bench = bench_here()
    row = measure_one(one(peers=peers), bench, True)
    assert row is not None
    assert [(peer.name, peer.checked) for peer in row.peers] == [("good", "equal")]
    assert not counted
    assert [(left.peer, left.reason) for left in bench.left_out] == [
        ("wrong", "8 is not 7"),
        ("broken", "AttributeError: no such function in this version"),
    ]
    assert {name: text for name, (_, text) in bench.missing.items()} == {
        "no-such-package-at-all": "not installed"
    }
    alone = measure_one(one(peers=peers), bench_here(), False)
    assert alone is not None
    assert not alone.peers


def test_a_unit_that_cannot_run_here_is_left_out():
    bench = bench_here()
    assert measure_one(one(problem=lambda: "needs libfoo"), bench, True) is None
    assert bench.left_out == [LeftOut("m", "", "needs libfoo")]
    assert not bench.rows


def test_what_is_needed():
    assert shared_library("x", "libno-such-thing.so.9", "apt install x").problem == "not installed"
    assert package("numpy").problem == ""
    assert package("numpy").version == np.__version__

    def half() -> None:
        raise ImportError("undefined symbol")

    assert Need("x", "", half).problem == "does not load: undefined symbol"


def test_has_levels():
    assert has_levels(lambda: voicecore.Resampler(8000, 16000, level="c"))
    options: dict[str, Any] = {"no_such_option": 1}
    assert not has_levels(lambda: voicecore.G711("ulaw", **options))


# -- the list ----------------------------------------------------------------------------------


def test_names_are_unique_and_found():
    listed = every()
    names = [found.name for found in listed]
    assert len(set(names)) == len(names)
    assert select((), listed) == list(listed)
    assert {found.unit for found in select(("sileroVAD", "rtp-p"), listed)} == {
        "SileroVad",
        "RtpPacket",
    }
    with pytest.raises(ConfigError, match=r"'nothing'.*SileroVad.*--list"):
        select(("vad", "nothing"), listed)


@pytest.mark.parametrize("measurement", every(), ids=lambda found: found.name)
def test_levels_agree_and_peers_that_are_here_give_the_same(measurement: Measurement):
    if problem := measurement.problem():
        pytest.skip(problem)
    levels = voicecore.cpu_levels() if measurement.by_level else [None]
    results = [measurement.make(level).result() for level in levels]
    for result in results[1:]:
        assert measurement.same(results[0], result)


def test_speech_and_noise_are_what_they_say():
    voice = signals.voice(16000, 2.0)
    assert voice.dtype == np.float32
    assert 0.05 < np.sqrt(np.mean(voice**2)) < 0.1
    spectrum = np.abs(np.fft.rfft(signals.low_noise(16000, 1.0).astype(float)))
    assert spectrum[3005:].max() < 1e-3 * spectrum[:3000].max()


@pytest.mark.parametrize("late", [0.0, 3.0, 2.37, 11.5])
def test_a_delay_does_not_count_as_a_difference(late: float):
    x = signals.low_noise(16000, 1.0).astype(float)
    turns = np.arange(len(x)) / (2 * len(x))
    spectrum = np.fft.rfft(x, 2 * len(x))
    turns = np.arange(len(spectrum)) / (2 * len(x))
    moved = np.fft.irfft(spectrum * np.exp(-2j * np.pi * turns * late))[: len(x)]
    given = np.rint(x).astype(np.int16)
    # Two roundings to s16 of noise with an RMS of about 4500: 86 dB at best.
    assert signals.aligned_snr_db(given, np.rint(moved).astype(np.int16), 1000) > 70
    assert signals.aligned_snr_db(np.rint(moved).astype(np.int16), given, 1000) > 70
    wrong = np.rint(1.1 * moved).astype(np.int16)
    assert 15 < signals.aligned_snr_db(given, wrong, 1000) < 25  # 10 % louder: 20.8 dB


# -- the command --------------------------------------------------------------------------------


def test_json_and_page(tmp_path: Path):
    page = tmp_path / "bench.html"
    done = run("--quick", "--rounds", "2", "--json", "--compare", "--html", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar
    found = json.loads(done.stdout)
    assert found["schema"] == 1
    assert found["rounds"] == 2
    machine = found["machine"]
    assert machine["voicecore"] == voicecore.__version__
    assert machine["level"] == voicecore.cpu_level()
    assert machine["levels"] == voicecore.cpu_levels()
    assert machine["numpy"] == np.__version__
    unable = {left["measurement"] for left in found["left_out"] if not left["peer"]}
    expected = [one.name for one in every() if one.name not in unable]
    assert [row["name"] for row in found["results"]] == expected
    for row in found["results"]:
        levels = machine["levels"] if row["by_level"] else ["c"]
        assert list(row["levels"]) == levels
        used = row["levels"][row["level"]]
        assert 0 < used["min_us"] <= used["median_us"]
        for peer in row["peers"]:
            assert peer["ratio"] == pytest.approx(peer["median_us"] / used["median_us"], rel=0.02)
            assert peer["checked"]
    # Whoever is here was timed or its absence is named: nobody is dropped in silence.
    for one in every():
        for peer in one.peers:
            row = next((row for row in found["results"] if row["name"] == one.name), None)
            timed = row is not None and peer.name in [found["name"] for found in row["peers"]]
            absent = {need["name"] for need in found["missing"]} & {n.name for n in peer.needs}
            left = (one.name, peer.name) in {
                (left["measurement"], left["peer"]) for left in found["left_out"]
            }
            assert timed or absent or left or row is None, f"{peer.name} of {one.name}"
    shown = Page(page.read_text(encoding="utf-8")).text
    for row in found["results"]:
        assert row["what"] in shown
        assert all(peer["name"] in shown for peer in row["peers"])


def test_table_and_markdown():
    table = run("--quick", "--rounds", "1", "--unit", "RtpPacket", "--unit", "vad-8k")
    assert table.returncode == 0, table.stderr
    assert "parse an RTP packet" in table.stdout
    assert "VAD, one stream, 32 ms at 8 kHz" in table.stdout
    assert "resample" not in table.stdout
    assert "streams per core" in table.stdout
    for words in (f"level {voicecore.cpu_level()}", f"voicecore {voicecore.__version__}"):
        assert words in table.stdout
    text = run("--quick", "--rounds", "1", "--unit", "rtp-parse", "--markdown").stdout
    assert re.search(r"^\| what \| plain C \| streams per core \|$", text, re.M)
    assert re.search(r"^\| parse an RTP packet \| [\d.]+ µs \| [\d,]+ \|$", text, re.M)


def test_a_lowered_level_is_the_one_that_counts():
    done = run("--quick", "--rounds", "1", "--unit", "resample-8", "--json", VOICECORE_CPU="c")
    row = json.loads(done.stdout)["results"][0]
    assert row["level"] == "c"
    assert list(row["levels"]) == voicecore.cpu_levels()


def test_list_measures_nothing():
    done = run("--list", "--unit", "resampler")
    lines = done.stdout.splitlines()
    assert all(line.startswith("resample-") and "soxr HQ" in line for line in lines)
    assert len(lines) == len(select(("resampler",), every()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit", "nothing"], "no unit or measurement is called 'nothing'"),
        (["--json", "--markdown"], "choose one of --json and --markdown"),
        (["--html", "/dev/null/page.html"], "cannot write to /dev/null/page.html"),
    ],
)
def test_wrong_options_are_one_clear_line(arguments: list[str], message: str):
    done = run(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_a_round_at_least():
    assert run("--rounds", "0").returncode == 2


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(missing: str):
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['voicecore', 'bench']\n"
        "from voicecore.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'pip install "voicecore-media[demo]"' in done.stderr
    assert "Traceback" not in done.stderr
