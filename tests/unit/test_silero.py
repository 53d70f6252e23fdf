"""Silero VAD. Oracle: onnxruntime on the ONNX file of silero-vad 6.2.3, the same samples, one
stream of 32 minutes a rate (a network that goes wrong may agree for a minute first). Bound: 1e-4
in probability at every CPU level, and the same speech/no-speech decisions. tools/soak_silero.py
does it for a day.
"""

from __future__ import annotations

import array
import importlib.util
import shutil
import threading
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voicecore
from tests import audio
from voicecore import SileroVad, SileroVadBatch, errors
from voicecore.media import _silero

RATES_HZ = (8000, 16000)
LEVELS = voicecore.cpu_levels()
ROOT = Path(__file__).resolve().parents[2]
MOST_DIFFERENCE = 1e-4

Floats = npt.NDArray[np.float32]


@cache
def tool_named(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def soak() -> ModuleType:
    return tool_named("soak_silero")


def onnx_file() -> Path:
    package = audio.package_directory("silero_vad", "--no-deps silero-vad==6.2.3")
    return package / "data" / "silero_vad.onnx"


@cache
def recording(rate_hz: int) -> Floats:
    joined = np.concatenate([clip.samples for clip in audio.long_corpus(rate_hz)])
    return audio.frozen(joined)


@cache
def reference(rate_hz: int) -> Floats:
    return soak().onnx_probabilities(recording(rate_hz), rate_hz)


def decisions(probabilities: Floats, on: float = 0.5, off: float = 0.35) -> list[int]:
    """Windows at which the decision changes, with the usual hysteresis."""
    speaking, changes = False, []
    for index, p in enumerate(probabilities):
        if (p < off) if speaking else (p >= on):
            speaking = not speaking
            changes.append(index)
    return changes


@pytest.mark.slow
@pytest.mark.timeout(900)  # onnxruntime over an hour of audio, also on a busy machine
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_equals_onnxruntime(rate_hz: int, level: str) -> None:
    samples, expected = recording(rate_hz), reference(rate_hz)
    assert len(samples) >= 30 * 60 * rate_hz
    vad = SileroVad(rate_hz, level=level)
    assert vad.level == level
    got = vad.process(samples)
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    worst = np.abs(got - expected).max()
    assert worst <= MOST_DIFFERENCE, (
        f"max |dp| {worst:.2e} at window {np.abs(got - expected).argmax()}"
    )
    assert decisions(got) == decisions(expected)
    minutes = len(samples) / rate_hz / 60
    print(f"{rate_hz} Hz, {level}: max |dp| {worst:.1e} over {minutes:.1f} minutes, "
          f"{len(decisions(got))} decisions the same")  # fmt: skip
    # The corpus must exercise both answers, or the comparison says little.
    assert len(decisions(expected)) > 100
    assert 0.1 < np.mean(expected > 0.5) < 0.9


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_hears_speech_and_not_music_noise_or_silence(rate_hz: int) -> None:
    share = {}
    for clip in audio.corpus(rate_hz):
        share[clip.name] = float(np.mean(SileroVad(rate_hz).process(clip.samples) > 0.5))
    assert min(share[name] for name in ("beckett", "two_cities", "endgame_nagg_nell")) > 0.4, share
    assert max(share[name] for name in ("pink", "white", "hum", "silence")) < 0.02, share


def test_int16_equals_float32() -> None:
    samples = np.round(audio.speech("beckett", 16000) * 32768).astype(np.int16)
    expected = SileroVad(16000).process(samples.astype(np.float32) / np.float32(32768))
    assert expected.max() > 0.9
    for form in (
        samples,
        samples.tobytes(),
        bytearray(samples.tobytes()),
        memoryview(samples.tobytes()),
        array.array("h", samples.tobytes()),
    ):
        assert np.array_equal(SileroVad(16000).process(form), expected)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_slicing_never_changes_the_result(rate_hz: int, data: st.DataObject) -> None:
    samples = np.round(audio.speech("two_cities", rate_hz)[: 2 * rate_hz] * 32768).astype(np.int16)
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=30).map(sorted))
    as_float = data.draw(st.booleans())
    whole = SileroVad(rate_hz)
    expected = whole.process(samples)
    vad = SileroVad(rate_hz)
    window = vad.window_samples
    parts = []
    for start, end in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        block = samples[start:end]
        parts.append(vad.process(block / np.float32(32768) if as_float else block))
        assert sum(map(len, parts)) == end // window
        assert vad.pending_samples == end % window
    assert np.array_equal(np.concatenate(parts), expected)
    assert vad.pending_samples == whole.pending_samples


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_batch_equals_single(rate_hz: int, level: str) -> None:
    rng = np.random.default_rng(17)
    streams, rounds = 9, 25
    bank = SileroVadBatch(rate_hz, streams, level=level)
    window = bank.window_samples
    singles = [SileroVad(rate_hz, level=level) for _ in range(streams)]
    source = audio.corpus(rate_hz)
    for number in range(rounds):
        x = np.stack([source[i].samples[number * window :][:window] for i in range(streams)])
        if number % 3 == 0:
            active = None
            rows = np.arange(streams)
        else:
            rows = rng.permutation(streams)[: rng.integers(0, streams + 1)]
            active, x = rows, x[rows]
        if number % 5 == 4:
            x = np.round(x * 32767).astype(np.int16)
        got = bank.process(x, active=active)
        expected = [singles[row].process(one)[0] for row, one in zip(rows, x, strict=True)]
        assert got.dtype == np.float32
        assert np.array_equal(got, np.array(expected, np.float32))


def test_reset_equals_new() -> None:
    samples = audio.speech("beckett", 8000)
    vad = SileroVad(8000)
    first = vad.process(samples)
    vad.process(samples[:100])
    vad.reset()
    assert vad.pending_samples == 0
    assert np.array_equal(vad.process(samples), first)

    bank = SileroVadBatch(8000, 3)
    x = np.stack([samples[16000:16256]] * 3)
    fresh = bank.process(x)
    bank.reset(1)
    again = bank.process(x)
    assert again[1] == fresh[1]
    assert again[0] == again[2] != fresh[0]
    bank.reset([0, 2])
    x = x[:2]
    assert np.array_equal(bank.process(x, active=[0, 2]), fresh[[0, 2]])
    bank.reset()
    assert np.array_equal(bank.process(x, active=[2, 1]), fresh[1:])


def odd_input(n: int, seed: int) -> list[Floats]:
    """NaN and infinities among speech and alone, full-scale and absurd square waves."""
    rng = np.random.default_rng(seed)
    x = np.resize(audio.speech("beckett", 16000), n).copy()
    x[rng.choice(n, n // 80, replace=False)] = np.nan
    x[rng.choice(n, n // 80, replace=False)] = rng.choice([np.inf, -np.inf], n // 80)
    square = np.where(np.arange(n) // 40 % 2, np.float32(1), np.float32(-1))
    only = [np.full(n, value, np.float32) for value in (np.nan, np.inf, -np.inf, 3e38)]
    return [x, *only, square, square * np.float32(32768), square * np.float32(3e38)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_odd_samples(rate_hz: int) -> None:
    """Not finite counts as 0, the absurd is clipped at 65536: so cleaned, onnxruntime hears the
    same, through it and in the speech that follows (the network itself remembers minutes)."""
    speech = np.concatenate([audio.speech(name, rate_hz) for name in ("two_cities", "beckett")])
    for number, odd in enumerate(odd_input(5 * rate_hz // 256 * 256, 23)):
        cleaned = np.clip(np.where(np.isfinite(odd), odd, np.float32(0)), -65536, 65536)
        expected = soak().onnx_probabilities(np.concatenate([cleaned, speech]), rate_hz)
        for level in LEVELS:
            vad = SileroVad(rate_hz, level=level)
            got = vad.process(np.concatenate([odd, speech]))
            assert np.all((got >= 0) & (got <= 1)), (number, level)
            assert np.abs(got - expected).max() <= MOST_DIFFERENCE, (number, level)
            assert np.mean(got[-len(speech) // vad.window_samples :] > 0.5) > 0.4, (number, level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_odd_samples_in_a_batch(rate_hz: int, level: str) -> None:
    """An odd stream disturbs no other, whatever its place in the batch, and equals it alone."""
    window = rate_hz * 32 // 1000
    odd = odd_input(20 * window, 29)
    speech = [clip.samples[: 20 * window] for clip in audio.corpus(rate_hz)[: len(odd)]]
    streams = [one for pair in zip(odd, speech, strict=True) for one in pair]
    streams += [*speech[:3], odd[0]]
    bank = SileroVadBatch(rate_hz, len(streams), level=level)
    x = np.stack(streams).reshape(len(streams), 20, window)
    got = np.stack([bank.process(np.ascontiguousarray(x[:, i])) for i in range(20)], axis=1)
    assert np.all((got >= 0) & (got <= 1))
    for row, samples in zip(got, streams, strict=True):
        assert np.array_equal(row, SileroVad(rate_hz, level=level).process(samples))


BAD_SAMPLES = [
    (np.zeros(512, np.float64), errors.DtypeError, "float64"),
    (np.zeros(512, np.int32), errors.DtypeError, "int32"),
    (np.zeros(512, ">i2"), errors.DtypeError, "int16"),
    ([0.0] * 512, errors.DtypeError, "list"),
    ("text", errors.DtypeError, "str"),
    (None, errors.DtypeError, "NoneType"),
    (np.zeros(1024, np.float32)[::2], errors.DtypeError, "contiguous"),
    (bytes(1023), errors.LengthError, "even"),
    (np.zeros((2, 512), np.float32), errors.LengthError, "mono"),
    (np.zeros((2, 512), np.int16), errors.LengthError, "mono"),
]


@pytest.mark.parametrize(("samples", "error", "words"), BAD_SAMPLES)
def test_bad_samples(samples: object, error: type[Exception], words: str) -> None:
    vad = SileroVad(16000)
    vad.process(np.zeros(700, np.float32))
    with pytest.raises(error, match=words):
        vad.process(samples)  # type: ignore[arg-type]
    assert vad.pending_samples == 188  # nothing was taken, and the object still works
    assert len(vad.process(np.zeros(324, np.int16))) == 1


def test_bad_settings() -> None:
    for rate_hz in (44100, 0, -16000, "16000", None, 16000.5):
        with pytest.raises(errors.RateError, match="8000 or 16000"):
            SileroVad(rate_hz)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigError, match="CPU level"):
        SileroVad(16000, level="sse9")
    missing = "neon" if "neon" not in LEVELS else "avx2"
    with pytest.raises(errors.CpuLevelError):
        SileroVad(16000, level=missing)
    for streams in (0, -1, 2.5, "3", None, 10**9):
        with pytest.raises(errors.ConfigError, match="streams"):
            SileroVadBatch(16000, streams)  # type: ignore[arg-type]


BAD_BATCHES = [
    (np.zeros((4, 512), np.float32), None, errors.LengthError),
    (np.zeros((3, 256), np.float32), None, errors.LengthError),
    (np.zeros(3 * 512, np.float32), None, errors.LengthError),
    (np.zeros((3, 512, 1), np.float32), None, errors.LengthError),
    (np.zeros((3, 512), np.float64), None, errors.DtypeError),
    (np.zeros((3, 1024), np.float32)[:, ::2], None, errors.DtypeError),
    (np.zeros((3, 512), np.float32), [0, 1], errors.LengthError),
    (np.zeros((2, 512), np.float32), [0, 3], errors.ConfigError),
    (np.zeros((2, 512), np.float32), [-1, 0], errors.ConfigError),
    (np.zeros((2, 512), np.float32), [1, 1], errors.ConfigError),
    (np.zeros((2, 512), np.float32), [0.0, 1.0], errors.DtypeError),
    (np.zeros((2, 512), np.float32), np.array([True, False, True]), errors.DtypeError),
    (np.zeros((1, 512), np.float32), 0, errors.DtypeError),
]


@pytest.mark.parametrize(("x", "active", "error"), BAD_BATCHES)
def test_bad_batches(x: object, active: object, error: type[Exception]) -> None:
    bank = SileroVadBatch(16000, 3)
    with pytest.raises(error):
        bank.process(x, active=active)  # type: ignore[arg-type]
    assert bank.process(np.zeros((3, 512), np.float32)).shape == (3,)
    assert bank.process(np.zeros((0, 512), np.float32), active=[]).shape == (0,)
    with pytest.raises(errors.ConfigError):
        bank.reset(3)
    with pytest.raises(errors.DtypeError):
        bank.reset("all")  # type: ignore[arg-type]


def test_close() -> None:
    for made, x in (
        (SileroVad(16000), np.zeros(512, np.float32)),
        (SileroVadBatch(16000, 1), np.zeros((1, 512), np.float32)),
    ):
        with made as used:
            assert len(used.process(x)) == 1
        made.close()
        with pytest.raises(errors.ClosedError, match="make a new one"):
            made.process(x)
        with pytest.raises(errors.ClosedError):
            made.reset()
        assert made.rate_hz == 16000


def test_two_threads_at_once() -> None:
    """The other thread is inside the C call for about 0.3 s; this one must meet it there."""
    vad = SileroVad(16000, level="c")
    long = np.zeros(10_000 * 512, np.int16)
    long[::7] = 1000
    results: list[Floats] = []

    def work() -> None:
        while not results:
            try:
                results.append(vad.process(long))
            except errors.ConcurrentUseError:  # this thread may also be the second one
                continue

    other = threading.Thread(target=work)
    other.start()
    refused = ""
    while not results and not refused:
        try:
            vad.process(b"")
        except errors.ConcurrentUseError as error:
            refused = str(error)
    other.join()
    assert "another thread" in refused
    assert len(results[0]) == 10_000  # the refusal disturbed nothing
    assert np.array_equal(results[0], SileroVad(16000, level="c").process(long))


def test_use_from_another_thread_during_a_batch_call() -> None:
    """Deterministic: the second thread runs while the first converts its argument."""
    bank = SileroVadBatch(16000, 2)
    x = np.zeros((2, 512), np.float32)
    refused: list[str] = []

    def intrude() -> None:
        for name, arguments in (("process", (x,)), ("reset", ()), ("close", ())):
            try:
                getattr(bank, name)(*arguments)
            except errors.ConcurrentUseError:
                refused.append(name)

    class Numbers:
        def __array__(self, dtype: object = None, copy: object = None) -> npt.NDArray[np.int64]:
            thread = threading.Thread(target=intrude)
            thread.start()
            thread.join()
            return np.array([0, 1])

    assert len(bank.process(x, active=Numbers())) == 2  # type: ignore[arg-type]
    assert refused == ["process", "reset", "close"]
    bank.close()


def test_one_model_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _silero.silero_model(16000) is _silero.silero_model(16000, voicecore.cpu_level())
    assert _silero.silero_model(16000) is not _silero.silero_model(8000)
    assert _silero.silero_model(8000).window_samples == 256
    monkeypatch.setenv("VOICECORE_CPU", "c")
    assert SileroVad(8000).level == "c"


def test_missing_and_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(_silero.__file__).parent / "data"
    monkeypatch.setattr(_silero, "_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(errors.MissingModelError, match="reinstall"):
        _silero.SileroModel(16000)
    content = (data / "silero_v6_16k.bin").read_bytes()
    target = tmp_path / "silero_v6_16k.bin"
    for damaged in (b"", content[:-4], content[:1000] + b"\xff" + content[1001:]):
        target.write_bytes(damaged)
        with pytest.raises(errors.DataError, match="reinstall"):
            _silero.SileroModel(16000)
    shutil.copy(data / "silero_v6_8k.bin", target)
    with pytest.raises(errors.DataError):
        _silero.SileroModel(16000)
    target.write_bytes(content)
    assert _silero.SileroModel(16000).rate_hz == 16000


def test_converter_writes_the_stored_files_again(tmp_path: Path) -> None:
    tool = tool_named("convert_silero")
    written = tool.convert(onnx_file(), tmp_path)
    stored = Path(_silero.__file__).parent / "data"
    assert sorted(path.name for path in written) == ["silero_v6_16k.bin", "silero_v6_8k.bin"]
    for path in written:
        assert path.read_bytes() == (stored / path.name).read_bytes(), path.name
    assert (stored / "SILERO_LICENSE").read_bytes() == tool.installed_license()

    other = tmp_path / "other.onnx"
    other.write_bytes(onnx_file().read_bytes()[:-1])
    with pytest.raises(SystemExit, match="sha256"):
        tool.convert(other, tmp_path)


def test_the_soak_tool_compares(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak().soak(8000, hours=0.02, levels=LEVELS)
    assert "2250 windows, 0.02 h" in capsys.readouterr().out
