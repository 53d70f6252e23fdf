"""The echo laboratory's figures on outputs whose figures are known beforehand, its cancellers, and
``voicecore aec-lab``. Oracles: the arithmetic of the made outputs; the files, read back."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import wave
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import voicecore
from bench.aec_bars import Figures, quality_rows
from tests.audio import speech
from tests.lab.test_echo_scenes import lag_of, pcm
from tests.lab.test_jitter_lab import Page
from voicecore.cli.aec_lab import AecLabOptions, list_scenes, run_lab
from voicecore.cli.echo_results import print_echo_table
from voicecore.cli.lab_results import write_wav
from voicecore.errors import ConfigError, MissingLibraryError, MissingModelError, VoicecoreError
from voicecore.report.spectrogram import spectrogram_png
from voicecore.testing import echo_peers
from voicecore.testing.echo_lab import (
    Job,
    Outcome,
    default_cancellers,
    names_like,
    run_job,
    run_jobs,
)
from voicecore.testing.echo_peers import CANCELLERS, make_canceller, missing_cancellers
from voicecore.testing.echo_scenes import QUICK, SCENES, Scene, make_scene
from voicecore.testing.echo_score import (
    EchoScore,
    cancelled,
    recall_share,
    run,
    score,
    sdr_and_gain_db,
)

RATE_HZ = 16000
ROOT = Path(voicecore.__file__).parent.parent


class PageWithPictures(Page):
    VOID = Page.VOID | {"img"}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICECORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def scene_of(name: str, seconds: float = 12.0, rate_hz: int = RATE_HZ) -> Scene:
    far, near = pcm("two_cities", rate_hz), pcm("beckett", rate_hz)
    return make_scene(name, seed=3, seconds=seconds, rate_hz=rate_hz, far=far, near=near)


@pytest.fixture(scope="module")
def single(cache: None) -> Scene:
    return scene_of("single-100ms-rt0.2")


@pytest.fixture(scope="module")
def double(cache: None) -> Scene:
    return scene_of("double-minus6db-0ms-rt0.2")


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("voices")
    for name in ("two_cities", "beckett"):
        write_wav(folder / f"{name}.wav", pcm(name)[: 20 * RATE_HZ], RATE_HZ)
    return folder / "two_cities.wav", folder / "beckett.wav"


def rounded(signal: np.ndarray) -> np.ndarray:
    return np.rint(signal).clip(-32768, 32767).astype(np.int16)


def figures(scene: Scene, out: np.ndarray) -> EchoScore:
    return score(scene, out, "made", with_pesq=False)


# -- figures -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_db", [0.0, 6.0, 20.0])
def test_erle_is_the_attenuation(single: Scene, loss_db: float) -> None:
    found = figures(single, rounded(single.mic * 10 ** (-loss_db / 20)))
    assert found.erle_db == pytest.approx(loss_db, abs=0.05)
    assert found.erle_last_db == pytest.approx(loss_db, abs=0.05)
    assert found.lowest_erle_db == pytest.approx(loss_db, abs=0.6)  # rounding of weak windows


def test_the_ideal_has_what_noise_leaves_of_erle(single: Scene) -> None:
    found = figures(single, single.ideal)
    settled = slice(5 * RATE_HZ, None)
    powers = [np.square(x[settled].astype(float)).mean() for x in (single.mic, single.ideal)]
    assert found.erle_db == pytest.approx(10 * np.log10(powers[0] / powers[1]), abs=0.05)
    assert 44 < (found.erle_db or 0) < 52
    assert found.to_20_db_s == pytest.approx(0.5, abs=0.2)  # the first window there is


@pytest.mark.parametrize("after_s", [1.0, 3.3])
def test_seconds_until_20_db(single: Scene, after_s: float) -> None:
    out = single.mic.astype(float)
    out[int((single.onset_s + after_s) * RATE_HZ) :] *= 0.01
    found = figures(single, rounded(out))
    # A window has 20 dB when 99 % of its echo is gone: it ends 0.5 s after, less what is quiet.
    assert after_s < (found.to_20_db_s or 0.0) <= after_s + 0.65
    assert figures(single, single.mic).to_20_db_s == float("inf")


def test_seconds_back_after_a_jump() -> None:
    jump = scene_of("jump-100-180-rt0.2", seconds=16.0)
    assert jump.jump_s == 8.0
    out = jump.mic * 0.01
    out[8 * RATE_HZ : 10 * RATE_HZ] = jump.mic[8 * RATE_HZ : 10 * RATE_HZ] * 2.0
    found = figures(jump, rounded(out))
    assert 2.0 < (found.back_20_db_s or 0.0) <= 2.65
    assert found.jump_erle_db == pytest.approx(-6.0, abs=0.1)
    assert found.to_20_db_s == pytest.approx(0.5, abs=0.2)
    # The second after the jump is forgiven, the one after that is not.
    assert found.lowest_erle_db == pytest.approx(-6.0, abs=0.1)
    out[9 * RATE_HZ : 10 * RATE_HZ] = jump.mic[9 * RATE_HZ : 10 * RATE_HZ] * 0.01
    assert (figures(jump, rounded(out)).lowest_erle_db or 0.0) > 30


@pytest.mark.parametrize("sdr_db", [0.0, 15.0, 30.0])
def test_sdr_of_known_noise_through_a_filter(sdr_db: float) -> None:
    said = 8000 * speech("beckett", RATE_HZ)[: 8 * RATE_HZ].astype(float)
    rng = np.random.default_rng(1)
    taps = rng.normal(size=150) * np.exp(-np.arange(150) / 20)
    for shaped, gain in ((0.5 * said, -6.02), (np.convolve(said, taps)[: len(said)], None)):
        noise = rng.normal(size=len(said))
        noise *= np.sqrt(np.square(shaped).mean() / np.square(noise).mean()) * 10 ** (-sdr_db / 20)
        found, found_gain = sdr_and_gain_db(said, shaped + noise)
        assert found == pytest.approx(sdr_db, abs=0.2)
        if gain is not None:
            assert found_gain == pytest.approx(gain, abs=0.05)
    assert sdr_and_gain_db(said, said)[0] > 60
    late = np.concatenate([np.zeros(200), said])[: len(said)]
    early = np.concatenate([said[70:], np.zeros(70)])
    assert max(sdr_and_gain_db(said, x)[0] for x in (late, early)) < 20  # beyond the taps


def test_recall_and_false_alarms(single: Scene, double: Scene) -> None:
    start_s, end_s = double.double_s or (0.0, 0.0)
    assert recall_share(double.ideal, double.ideal, RATE_HZ, start_s, end_s) == 1.0
    assert recall_share(double.ideal * 0, double.ideal, RATE_HZ, start_s, end_s) == 0.0
    assert recall_share(double.ideal, double.ideal * 0, RATE_HZ, start_s, end_s) is None
    half = double.ideal.copy()
    half[int((start_s + end_s) / 2 * RATE_HZ) :] = 0
    assert 0.2 < (recall_share(half, double.ideal, RATE_HZ, start_s, end_s) or 0) < 0.8
    heard, gone = figures(single, single.mic), figures(single, single.ideal)
    assert (heard.false_alarms or 0.0) > 0.5
    assert gone.false_alarms == 0.0


def test_quality_of_the_near_end(double: Scene) -> None:
    ideal = score(double, double.ideal, "ideal")
    nothing = score(double, double.mic, "none", ideal=ideal)
    assert ideal.pesq_mos == ideal.ideal_pesq_mos == nothing.ideal_pesq_mos
    assert (ideal.pesq_mos or 0) > 2 > (nothing.pesq_mos or 9)
    assert (nothing.sdr_db or 9) == pytest.approx(-6.0, abs=1.5)  # near to echo
    # Speech to noise over the whole of the double talk: -32 dBFS active to -75.
    assert (ideal.sdr_db or 0) > 35
    assert ideal.near_gain_db == pytest.approx(0.0, abs=0.05)
    assert ideal.recall == 1.0
    silent = score(double, np.zeros_like(double.mic), "silence")
    assert (silent.pesq_mos, silent.recall) == (1.0, 0.0)


def test_what_a_scene_does_not_tell_is_none(single: Scene) -> None:
    found = figures(single, single.mic)
    assert (found.pesq_mos, found.sdr_db, found.recall, found.back_20_db_s) == (None,) * 4
    alone = scene_of("near-alone", seconds=5.0)
    found = figures(alone, alone.mic)
    assert (found.erle_db, found.to_20_db_s, found.false_alarms) == (None,) * 3
    assert json.dumps(replace(found, to_20_db_s=float("inf")).to_json()).count('"inf"') == 1


# -- cancellers ----------------------------------------------------------------------------


class Late:
    """The ideal, so many samples late, as a canceller of frames of ``block_samples`` would be."""

    name = "late"

    def __init__(self, scene: Scene, delay_samples: int, block_samples: int) -> None:
        self.delay_samples, self.block_samples = delay_samples, block_samples
        self._rest = np.concatenate([np.zeros(delay_samples, np.int16), scene.ideal])
        self._rest = np.concatenate([self._rest, np.zeros(block_samples, np.int16)])

    def process(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
        assert len(near) == len(far) == self.block_samples
        out, self._rest = self._rest[: len(near)], self._rest[len(near) :]
        return out


@pytest.mark.parametrize(("delay", "block"), [(0, 160), (128, 160), (320, 320), (1000, 480)])
def test_a_canceller_s_delay_is_taken_off(double: Scene, delay: int, block: int) -> None:
    late = run(double, Late(double, delay, block), with_pesq=False)
    ideal = score(double, double.ideal, "late", delay_samples=delay, with_pesq=False)
    assert late == ideal


def test_outputs_of_another_length_or_type_are_told(double: Scene) -> None:
    class Short:
        name, delay_samples = "short", 0

        def process(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
            return near[1:]

    class Float(Short):
        def process(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
            return near.astype(np.float32)

    with pytest.raises(ConfigError, match="short gave 190800 samples of int16; give 192000"):
        cancelled(double, Short())
    with pytest.raises(ConfigError, match="samples of float32"):
        cancelled(double, Float())
    with pytest.raises(ConfigError, match="the output has 5 samples"):
        score(double, double.mic[:5])


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_each_canceller_s_delay_is_what_it_says(rate_hz: int) -> None:
    alone = scene_of("near-alone", seconds=5.0, rate_hz=rate_hz)
    for name in default_cancellers():
        out = cancelled(alone, make_canceller(name, alone))
        early = np.concatenate([np.zeros(400), alone.mic])  # so that a lead would show as well
        lag = lag_of(np.diff(early, 2), np.diff(np.concatenate([np.zeros(800), out]), 2), 2000)
        assert lag - 400 == pytest.approx(0, abs=1), name


def test_every_canceller_that_is_here_cancels() -> None:
    room = scene_of("single-0ms-rt0.2", seconds=16.0)
    for name in default_cancellers():
        found = run(room, make_canceller(name, room))
        if name == "none":
            assert found.erle_db == 0.0
        else:
            assert (found.erle_db or 0.0) > 15, name


def test_what_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo_peers.ctypes.util, "find_library", lambda _: None)
    monkeypatch.setattr(echo_peers, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "aec_audio_processing", None)
    monkeypatch.delitem(vars(voicecore), "EchoCanceller", raising=False)
    monkeypatch.setattr(voicecore, "_HOME", {})
    echo_peers._speexdsp.cache_clear()
    try:
        missing = missing_cancellers()
        assert list(missing) == ["voicecore", "speex", "speex+pp", "aec3"]
        assert "apt-get install libspeexdsp1" in missing["speex"]
        assert "pip install aec-audio-processing" in missing["aec3"]
        assert default_cancellers() == ("none", "ideal")
        alone = scene_of("near-alone", seconds=5.0)
        for name in missing:
            with pytest.raises(MissingLibraryError):
                make_canceller(name, alone)
        with pytest.raises(ConfigError, match="use one of none, ideal, voicecore"):
            make_canceller("nlms", alone)
    finally:
        echo_peers._speexdsp.cache_clear()


class Fake:
    """Stands for voicecore.EchoCanceller: halves the microphone."""

    delay_samples, state_bytes = 0, 12345

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz

    def process(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
        return near // 2


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voicecore, "EchoCanceller", Fake, raising=False)


def test_our_own_canceller_takes_part(fake: None, voices: tuple[Path, Path]) -> None:
    job = Job("single-0ms-rt0.2", seconds=8, cancellers=("none", "voicecore"), with_pesq=False,
              far=voices[0], near=voices[1])  # fmt: skip
    found = run_job(job)
    assert found.state_bytes == {"voicecore": 12345}
    assert found.scores[1].canceller == "voicecore"
    assert found.scores[1].erle_db == pytest.approx(6.0, abs=0.05)
    assert found.late_change == {"none": False, "voicecore": True}
    assert found.scene is None


def test_two_processes_give_what_one_gives(voices: tuple[Path, Path]) -> None:
    todo = [
        Job(name, seconds=8, cancellers=("none", "ideal"), with_pesq=False,
            far=voices[0], near=voices[1])
        for name in ("near-alone", "line-12db", "double-line")
    ]  # fmt: skip
    one, two = list(run_jobs(todo, 1)), list(run_jobs(todo, 2))
    assert [done.job for done in one] == todo
    assert one == two
    assert one[1].scores[0].rate_hz == 8000


def test_patterns() -> None:
    assert names_like(["near-alone", "double-0db-0ms-*"]) == (
        "double-0db-0ms-rt0.2", "double-0db-0ms-rt0.4", "near-alone",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="'room' is unknown"):
        names_like(["near-alone", "room"])
    assert set(QUICK) <= set(SCENES)


# -- bars ----------------------------------------------------------------------------------


def test_bars_are_judged_on_the_worst_or_the_mean() -> None:
    def outcome(name: str, seed: int, **ours: float) -> Outcome:
        both = [
            EchoScore(name, seed, 16000, "voicecore", 0, **ours),
            EchoScore(name, seed, 16000, "ideal", 0, pesq_mos=4.0),
        ]
        return Outcome(
            Job(name, seed=seed),
            SCENES[name],
            tuple(both),
            {},
            {"voicecore": False, "ideal": False},
        )

    made = [
        outcome("single-0ms-rt0.2", 1, erle_db=47.0, to_20_db_s=0.6, false_alarms=0.0),
        outcome("single-500ms-rt0.4", 1, erle_db=44.9, to_20_db_s=0.9, false_alarms=0.02),
        outcome("double-0db-0ms-rt0.2", 1, pesq_mos=3.5, recall=1.0),
        outcome("double-0db-100ms-rt0.4", 2, pesq_mos=2.9, recall=0.981),
        outcome("near-alone", 1, pesq_mos=4.0),
    ]
    rows = {row.metric: row for row in quality_rows(Figures(made, ["voicecore", "ideal"])) if row}
    found = {name: (row.values["voicecore"], row.met) for name, row in rows.items()}
    assert found["ERLE, single talk, 0-500 ms, dB"] == (44.9, False)
    assert found["s to 20 dB"] == (0.9, True)
    assert found["false alarms, every scene"] == (0.02, False)
    assert rows["false alarms, every scene"].cells["voicecore"].endswith("single-500ms-rt0.4 #1")
    assert found["recall, SER 0 dB"] == (pytest.approx(0.9905), True)
    assert found["PESQ under the ideal, SER 0 dB"] == (pytest.approx(0.8), True)
    assert found["near end alone: PESQ"] == (4.0, True)  # the ideal's
    assert found["near end alone: bit for bit after 1 s"] == (1.0, True)
    assert "s back to 20 dB, 100 > 180 ms" not in rows


# -- the command ---------------------------------------------------------------------------


def options_of(voices: tuple[Path, Path], out: Path, **more: object) -> AecLabOptions:
    settings: dict[str, object] = {
        "scenes": ("single-0ms-rt0.2", "double-line"), "cancellers": ("none", "ideal", "voicecore"),
        "seconds": 8.0, "pesq": False, "jobs": 1, "far": voices[0], "near": voices[1], "out": out,
    }  # fmt: skip
    return AecLabOptions(**(settings | more))  # type: ignore[arg-type]


def test_the_whole_laboratory_in_short(
    fake: None, voices: tuple[Path, Path], tmp_path: Path
) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    outcome = run_lab(options_of(voices, tmp_path), console)
    names = ["none", "ideal", "voicecore"]
    assert [(s.scene, s.canceller) for s in outcome.scores] == [
        (scene, name) for scene in ("single-0ms-rt0.2", "double-line") for name in names
    ]
    for scene, rate_hz in (("single-0ms-rt0.2", 16000), ("double-line", 8000)):
        for name in ("far", "mic", *names):
            with wave.open(str(tmp_path / scene / f"{name}.wav")) as file:
                assert (file.getframerate(), file.getnframes()) == (rate_hz, 8 * rate_hz)
    stored = json.loads((tmp_path / "aec-lab.json").read_text())
    assert [run["canceller"] for run in stored["runs"]] == names * 2
    assert stored["runs"][0]["to_20_db_s"] == "inf"
    assert stored["state_bytes"] == {"voicecore": 12345}
    assert stored["facts"]["near end"] == "beckett.wav"

    text = (tmp_path / "aec-lab.html").read_text()
    page = PageWithPictures(text)
    assert page.opened == []
    assert page.links <= page.ids
    sounds = [source for source in page.sources if not source.startswith("data:")]
    assert len(sounds) == 2 * 5
    assert all((tmp_path / source).is_file() for source in sounds)
    # far, microphone, ideal and voicecore: what none gives is the microphone.
    assert text.count('src="data:image/png;base64,') == 2 * 4
    assert not re.findall(r"https?://", text)
    assert f'<td class="n">{stored["runs"][2]["erle_db"]:.1f}</td>' in text

    print_echo_table(outcome.scores, outcome.report.notes, console)
    shown = console.export_text()
    assert all(name in shown for name in (*names, "single-0ms-rt0.2", "never", "recall"))
    narrow = Console(width=80, record=True, file=io.StringIO())
    print_echo_table(outcome.scores, [], narrow, seeds=True)
    assert "…" not in narrow.export_text()


def test_equal_arguments_give_equal_files(voices: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_lab(
            options_of(voices, tmp_path / name, scenes=("double-line",), cancellers=("ideal",)),
            Console(quiet=True),
        )
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 5
    for file in files:
        if file.suffix != ".json":  # it names the page's path
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenes": ("cave",)}, "scene 'cave' is unknown"),
        ({"cancellers": ("nlms",)}, "canceller 'nlms' is unknown"),
        ({"rate_hz": 48000}, "8000 or 16000"),
        ({"seconds": 2.0}, "8 to 600"),
        ({"seed": -1}, "0 or more"),
        ({"jobs": 0}, "1 to 64"),
    ],
)
def test_wrong_options(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AecLabOptions(**settings)  # type: ignore[arg-type]


def test_what_is_missing_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch, voices: tuple[Path, Path], tmp_path: Path
) -> None:
    import voicecore.cli.aec_lab as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(MissingLibraryError, match="pyroomacoustics"):
        run_lab(options_of(voices, tmp_path), Console(quiet=True))
    with pytest.raises(MissingModelError, match="PESQ needs"):
        run_lab(
            options_of(voices, tmp_path, scenes=("near-alone",), pesq=True), Console(quiet=True)
        )
    outcome = run_lab(
        options_of(voices, tmp_path, scenes=("near-alone",), cancellers=("none",), pesq=None),
        Console(quiet=True),
    )
    assert any("not judged" in note for note in outcome.report.notes)
    (tmp_path / "file").touch()
    with pytest.raises(VoicecoreError, match="cannot write to"):
        run_lab(
            options_of(
                voices, tmp_path / "file" / "x", scenes=("near-alone",), cancellers=("none",)
            ),
            Console(quiet=True),
        )


def test_the_list_and_the_command(voices: tuple[Path, Path], tmp_path: Path) -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    list_scenes(console)
    assert all(name in console.export_text(clear=False) for name in SCENES)
    command = [sys.executable, "-m", "voicecore", "aec-lab", "--scene", "near-alone", "--json",
               "--canceller", "none", "--canceller", "ideal", "--seconds", "8", "--no-pesq",
               "--far", voices[0], "--near", voices[1], "--out", tmp_path / "out"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT,
                          env=os.environ | {"VOICECORE_CACHE": str(tmp_path)})  # fmt: skip
    assert [run["canceller"] for run in json.loads(done.stdout)["runs"]] == ["none", "ideal"]
    command[command.index("near-alone")] = "cave"
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert wrong.returncode == 1
    assert "scene 'cave' is unknown" in wrong.stderr


# -- pictures ------------------------------------------------------------------------------


def test_a_tone_is_a_bright_line_at_its_frequency() -> None:
    t = np.arange(2 * RATE_HZ)
    tone = np.where(t < RATE_HZ, 8000 * np.sin(2 * np.pi * 2000 / RATE_HZ * t), 0)
    png = spectrogram_png(tone.astype(np.int16), RATE_HZ, width=100, height=40)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + data
        )
        chunks[kind] = data
        at += 12 + length
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (100, 40, 8, 3)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(40, 101)[:, 1:]
    assert rows.max() < len(chunks[b"PLTE"]) // 3
    line = 40 - 1 - 40 * 2000 // 8000
    assert abs(int(rows[:, 20].argmax()) - line) <= 1
    assert rows[:, :45].max() > 25
    assert not rows[:, 55:].any()
    assert not rows[:20, 5:45].any()


def test_a_picture_of_little_or_nothing() -> None:
    for samples in (0, 1, 100, 5000):
        assert spectrogram_png(np.zeros(samples, np.int16), 8000, width=50, height=20)
    assert set(CANCELLERS) >= {"none", "ideal", "voicecore", "speex", "speex+pp", "aec3"}
