"""Speech segments. Oracle: the code of silero-vad 6.2.3 itself, get_speech_timestamps_from_probs
and VADIterator, taken out of its utils_vad.py and run as it stands, without torch. Bound: equal.
"""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voicecore
from tests import audio
from voicecore import SileroVad, SpeechEvent, SpeechSegmenter, errors, speech_segments

RATES_HZ = (8000, 16000)
Floats = npt.NDArray[np.float32]


@cache
def reference() -> dict[str, Any]:
    """The two pure functions; of torch they need a decorator and a type test."""
    path = audio.package_directory("silero_vad", "--no-deps silero-vad==6.2.3") / "utils_vad.py"
    wanted = {"get_speech_timestamps_from_probs", "VADIterator"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") in wanted]
    assert len(tree.body) == len(wanted)
    torch = SimpleNamespace(no_grad=lambda: lambda f: f, is_tensor=lambda x: True)
    names: dict[str, Any] = {"torch": torch, "List": list, "Callable": Callable}
    exec(compile(tree, str(path), "exec"), names)
    return names


def timestamps(
    p: Floats, rate_hz: int, samples: int, *, threshold: float = 0.5,
    negative_threshold: float | None = None, min_speech_ms: int = 250, min_silence_ms: int = 100,
    pad_ms: int = 30,
) -> list[list[int]]:  # fmt: skip
    found = reference()["get_speech_timestamps_from_probs"](
        [float(one) for one in p],
        sampling_rate=rate_hz,
        threshold=threshold,
        neg_threshold=negative_threshold,
        min_speech_duration_ms=min_speech_ms,
        min_silence_duration_ms=min_silence_ms,
        speech_pad_ms=pad_ms,
        audio_length_samples=samples,
    )
    return [[one["start"], one["end"]] for one in found]


def pairs(events: list[SpeechEvent]) -> list[list[int]]:
    assert [event.kind for event in events] == ["start", "end"] * (len(events) // 2)
    positions = [event.sample for event in events]
    assert positions == sorted(positions)
    return np.array(positions, np.int64).reshape(-1, 2).tolist()


# Probabilities come in runs, as speech does, and often lie exactly on a threshold.
LEVELS_OF_P = st.sampled_from([0.0, 0.1, 0.2, 0.34, 0.35, 0.36, 0.49, 0.5, 0.51, 0.9, 1.0])
RUNS = st.lists(st.tuples(LEVELS_OF_P, st.integers(1, 12)), max_size=30)
SETTINGS = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([0.5, 0.36, 0.9]),
        "negative_threshold": st.sampled_from([None, 0.35, 0.1, 0.36]),
        "min_speech_ms": st.integers(0, 400),
        "min_silence_ms": st.integers(0, 300),
        "pad_ms": st.integers(0, 400),
    }
)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=250, deadline=None, derandomize=True)
@given(runs=RUNS, options=SETTINGS, data=st.data())
def test_equals_the_reference_for_any_probabilities(
    rate_hz: int, runs: list[tuple[float, int]], options: dict[str, Any], data: st.DataObject
) -> None:
    p = np.array([value for value, n in runs for _ in range(n)], np.float32)
    expected = timestamps(p, rate_hz, len(p) * rate_hz * 32 // 1000, **options)
    segmenter = SpeechSegmenter(rate_hz, **options)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(p)), max_size=8)))
    events: list[SpeechEvent] = []
    for start, end in zip([0, *cuts], [*cuts, len(p)], strict=True):
        events += segmenter.process_probabilities(p[start:end])
        assert segmenter.in_segment == (len(events) % 2 == 1)
    events += segmenter.flush()
    assert pairs(events) == expected


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(runs=RUNS, min_silence_ms=st.integers(64, 300))
def test_equals_the_iterator_of_the_reference(
    rate_hz: int, runs: list[tuple[float, int]], min_silence_ms: int
) -> None:
    """VADIterator knows no shortest speech and tells each event at once; so do we then."""
    p = np.array([value for value, n in runs for _ in range(n)], np.float32)
    feed = iter(p)

    def model(x: object, rate: int) -> np.float32:
        return next(feed)

    model.reset_states = lambda: None  # type: ignore[attr-defined]
    theirs = reference()["VADIterator"](
        model, sampling_rate=rate_hz, min_silence_duration_ms=min_silence_ms
    )
    window = np.zeros(rate_hz * 32 // 1000, np.float32).view(_Tensor)
    segmenter = SpeechSegmenter(rate_hz, min_speech_ms=0, min_silence_ms=min_silence_ms)
    for one in p:
        expected = theirs(window)
        got = segmenter.process_probabilities(np.array([one], np.float32))
        assert [{event.kind: event.sample} for event in got] == ([expected] if expected else [])


class _Tensor(np.ndarray):
    def dim(self) -> int:
        return self.ndim


@cache
def recording(rate_hz: int) -> Floats:
    clips = {clip.name: clip.samples for clip in audio.corpus(rate_hz)}
    names = ("beckett", "pink", "synthetic+music@5", "two_cities+pink@10", "hum")
    parts = [clips[name][: 40 * rate_hz] for name in names]
    return audio.frozen(np.concatenate(parts)[: -rate_hz // 100])


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    "options",
    [{}, {"min_speech_ms": 0, "pad_ms": 0}, {"pad_ms": 400, "min_silence_ms": 500},
     {"threshold": 0.8, "negative_threshold": 0.2, "min_silence_ms": 1000}],
    ids=["default", "raw", "wide", "strict"],
)  # fmt: skip
def test_whole_recordings(rate_hz: int, options: dict[str, Any]) -> None:
    """As get_speech_timestamps does it: the last window is padded with zeros."""
    x = recording(rate_hz)
    window = rate_hz * 32 // 1000
    assert len(x) % window != 0
    padded = np.concatenate([x, np.zeros(-len(x) % window, np.float32)])
    p = SileroVad(rate_hz).process(padded)
    expected = timestamps(p, rate_hz, len(x), **options)
    got = speech_segments(x, rate_hz, **options)
    assert got.dtype == np.int64
    assert got.tolist() == expected
    assert len(got) > 5
    assert speech_segments((x * 32767).astype(np.int16), rate_hz, **options).shape[1] == 2


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_slicing_never_moves_an_event(rate_hz: int, data: st.DataObject) -> None:
    x = audio.synthetic_speech(rate_hz)[: 6 * rate_hz + 77]
    options = {"min_speech_ms": data.draw(st.sampled_from([0, 250])),
               "pad_ms": data.draw(st.sampled_from([30, 350]))}  # fmt: skip
    whole = SpeechSegmenter(rate_hz, **options)  # type: ignore[arg-type]
    expected = whole.process(x) + whole.flush()
    assert len(expected) >= 4
    cuts = sorted(data.draw(st.lists(st.integers(0, len(x)), max_size=30)))
    segmenter = SpeechSegmenter(rate_hz, **options)  # type: ignore[arg-type]
    events: list[SpeechEvent] = []
    for start, end in zip([0, *cuts], [*cuts, len(x)], strict=True):
        events += segmenter.process(x[start:end])
    assert events + segmenter.flush() == expected


def test_probabilities_and_kinds_of_events() -> None:
    segmenter = SpeechSegmenter(16000, min_speech_ms=64)
    row = np.array([0.1, 0.75, 0.5, 1, 0.25, 0, 0, 0, 0, 0.625, 1, 1], np.float32)
    events = segmenter.process_probabilities(row)
    assert events == [("start", 512 - 480, 0.75), ("end", 4 * 512 + 480, 0.25),
                      ("start", 9 * 512 - 480, 0.625)]  # fmt: skip
    assert segmenter.in_segment
    assert segmenter.flush() == [("end", 12 * 512, 1.0)]
    assert not segmenter.in_segment
    assert segmenter.flush() == []
    assert pickle.loads(pickle.dumps(events[0])) == SpeechEvent("start", 32, 0.75)
    assert speech_segments(b"", 8000).shape == (0, 2)
    assert speech_segments(np.zeros(8000, np.int16), 8000).shape == (0, 2)


@pytest.mark.parametrize("level", voicecore.cpu_levels())
def test_reset_and_flush_equal_new(level: str) -> None:
    x = recording(8000)[: 20 * 8000 + 11]
    segmenter = SpeechSegmenter(8000, level=level)
    first = segmenter.process(x)
    last = segmenter.flush()
    assert segmenter.process(x) == first
    segmenter.process(x[:100])
    segmenter.reset()
    assert segmenter.process(x) == first
    assert segmenter.flush() == last
    assert len(first) > 2


BAD_SETTINGS = [
    ({"threshold": 1.5}, "threshold must be"),
    ({"threshold": -0.1}, "threshold must be"),
    ({"threshold": float("nan")}, "threshold must be"),
    ({"threshold": "0.5"}, "threshold must be"),
    ({"threshold": None}, "threshold must be"),
    ({"negative_threshold": 0.6}, "negative_threshold must be .* from 0 to 0.5"),
    ({"negative_threshold": -1}, "negative_threshold"),
    ({"min_speech_ms": -1}, "min_speech_ms"),
    ({"min_silence_ms": 2.5}, "min_silence_ms must be an integer"),
    ({"pad_ms": 60001}, "pad_ms must be an integer from 0 to 60000"),
    ({"pad_ms": None}, "pad_ms"),
    ({"level": "sse9"}, "CPU level"),
]


@pytest.mark.parametrize(("options", "words"), BAD_SETTINGS)
def test_bad_settings(options: dict[str, Any], words: str) -> None:
    for make in (SpeechSegmenter, lambda rate, **o: speech_segments(b"", rate, **o)):
        with pytest.raises(errors.ConfigError, match=words):
            make(16000, **options)


def test_misuse() -> None:
    with pytest.raises(errors.RateError, match="8000 or 16000"):
        SpeechSegmenter(44100)
    with pytest.raises(errors.RateError):
        speech_segments(b"", "16000")  # type: ignore[arg-type]
    segmenter = SpeechSegmenter(16000, threshold=0.6)
    assert "threshold=0.6, negative_threshold=0.45, min_speech_ms=250" in repr(segmenter)
    segmenter.process(np.zeros(100, np.int16))
    with pytest.raises(errors.StateError, match="100 samples wait"):
        segmenter.process_probabilities(np.zeros(1, np.float32))
    for bad, error in ((np.zeros(512), errors.DtypeError), (b"1", errors.LengthError)):
        with pytest.raises(error):
            segmenter.process(bad)  # type: ignore[arg-type]
    segmenter.process(np.zeros(412, np.int16))
    for bad_p, error in (([0.5], errors.DtypeError), (np.zeros(2), errors.DtypeError),
                         (np.zeros((2, 2), np.float32), errors.LengthError)):  # fmt: skip
        with pytest.raises(error):
            segmenter.process_probabilities(bad_p)  # type: ignore[arg-type]
    segmenter.close()
    segmenter.close()
    for name, arguments in (("process", (b"",)), ("flush", ()), ("reset", ()),
                            ("process_probabilities", (np.zeros(1, np.float32),))):  # fmt: skip
        with pytest.raises(errors.ClosedError):
            getattr(segmenter, name)(*arguments)
