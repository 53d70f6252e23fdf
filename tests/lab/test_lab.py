"""The laboratory: what a run gives where the answer is known beforehand. No bound is a tolerance
of the network's chances: the traces are fixed or seeded, and the figures follow from them."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.audio import speech
from voicecore import Decoder
from voicecore.errors import ConfigError, MissingLibraryError, MissingModelError
from voicecore.testing.lab import Chunk, OurBuffer, Receiver, Result, play
from voicecore.testing.lab_load import LabPacket, Load
from voicecore.testing.lab_peers import PEERS, FixedBuffer, make_peer, missing_peers
from voicecore.testing.lab_score import delay_course, oracle, pesq_score, score
from voicecore.testing.lab_speech import find_lab_speech, vowels
from voicecore.testing.trace_catalogue import TRACES, make_trace
from voicecore.testing.trace_effects import duplication, gamma_delay, iid_loss, stall
from voicecore.testing.traces import LOST, PacketTrace, compose, stream

TICK_MS, PHASE_MS = 20.0, 10.0


def load_of(trace: PacketTrace, codec: str = "pcmu") -> Load:
    samples = np.rint(32767 * speech("two_cities", trace.rate_hz)).astype(np.int16)
    return Load.of(trace, samples, codec)


def decoded_reference(load: Load) -> np.ndarray:
    """The reference after its codec, which is what a perfect buffer gives."""
    decoder: Any = Decoder(load.codec, load.trace.rate_hz)  # type: ignore[arg-type]
    return np.concatenate([decoder.decode(packet.payload) for packet in load.packets])


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "l16"])
def test_listen_on_a_clean_line_is_the_sender_at_no_delay(codec: str) -> None:
    load = load_of(make_trace("clean", seconds=5), codec)
    result = play(load, OurBuffer(load, "listen"))
    np.testing.assert_array_equal(result.audio, decoded_reference(load))
    found = score(load, result)
    assert (found.missing_percent, found.made_up_percent, found.added_p99_ms) == (0.0, 0.0, 0.0)
    assert (found.added_mean_ms, found.delay_mean_ms, found.depth_mean_ms) == (0.0, 0.0, 0.0)
    assert (found.oracle_depth_ms, found.oracle_added_ms) == (0.0, 0.0)
    np.testing.assert_array_equal(result.out_ns, load.trace.arrival_ns)


def test_wideband() -> None:
    load = load_of(make_trace("clean", seconds=2, rate_hz=16000), "l16")
    for mode in ("listen", "play"):
        found = score(load, play(load, OurBuffer(load, mode)))  # type: ignore[arg-type]
        assert (found.missing_percent, found.made_up_percent) == (0.0, 0.0)


def test_a_fixed_buffer_adds_what_it_says() -> None:
    load = load_of(make_trace("clean", seconds=5))
    result = play(load, FixedBuffer(load, 60))
    course = delay_course(load, result)
    np.testing.assert_array_equal(course.added_ms, np.full(250, 60 + PHASE_MS))
    np.testing.assert_array_equal(course.delay_ms, course.added_ms)
    start = int(np.flatnonzero(result.kind == "decoded")[0]) * 160
    np.testing.assert_array_equal(result.audio[start : start + 40_000], decoded_reference(load))
    assert result.depth_ms[result.kind == "decoded"].max() == 60.0


def test_a_fixed_buffer_misses_what_is_later_than_it() -> None:
    trace = compose("late", [stream(20), gamma_delay(40, fifo=False)], seed=9)
    load = load_of(trace)
    found = score(load, play(load, FixedBuffer(load, 60)))
    # Its clock starts with the first packet and plays at the ticks, 0 to 20 ms after 60 ms.
    first_ns = int(trace.arrival_ns[0]) + 60_000_000 - int(trace.sent_ns[0])
    tick_ns = 20_000_000
    depth_ns = -(-(first_ns - 10_000_000) // tick_ns) * tick_ns + 10_000_000
    late = (trace.arrival_ns - trace.sent_ns) > depth_ns
    assert found.missing_percent == pytest.approx(100 * late.mean(), abs=1e-9)
    assert found.made_up_percent == pytest.approx(found.missing_percent, abs=0.11)
    assert found.oracle_depth_ms is not None
    assert found.oracle_depth_ms <= (depth_ns - trace.base_ns) / 1e6
    assert found.missing_percent > 1


def test_the_oracle_of_a_known_trace() -> None:
    """Ten packets, late by 0, 10, .. 90 ms: every answer by hand."""
    plain = compose("steps", [stream(0.2)], seed=1)
    order = np.array([3, 0, 7, 1, 9, 2, 5, 4, 8, 6])
    trace = plain.replace(arrival_ns=plain.arrival_ns + order * 10_000_000)
    load = load_of(trace)
    for missing, depth_ms, added_ms, left in (
        (0.0, 90.0, 45.0, 0.0),
        (10.0, 80.0, 40.0, 10.0),
        (19.9, 80.0, 40.0, 10.0),
        (20.0, 70.0, 35.0, 20.0),
        (90.0, 0.0, 0.0, 90.0),
    ):
        best = oracle(load, missing)
        assert best is not None
        assert best.depth_ms == pytest.approx(depth_ms)
        assert best.added_ms == pytest.approx(added_ms)
        assert best.missing_percent == pytest.approx(left)
    arrival_ns = trace.arrival_ns.copy()
    arrival_ns[4] = LOST  # the latest
    load = load_of(trace.replace(arrival_ns=arrival_ns))
    assert oracle(load, 5.0) is None
    best = oracle(load, 10.0)
    assert best is not None
    assert best.depth_ms == pytest.approx(80.0)


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("mode", ["play", "listen"])
def test_our_buffer_on_every_trace(name: str, mode: str) -> None:
    """Equal twice over; no packet is played before it came, and none that never came; and listen
    loses what the network lost and no more, where packets are in order and nothing jumps."""
    load = load_of(make_trace(name, seconds=12, seed=2))
    result, again = (play(load, OurBuffer(load, mode)) for _ in range(2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(result.audio, again.audio)
    np.testing.assert_array_equal(result.position, again.position)
    assert result.stats == again.stats
    found = score(load, result)
    assert found == score(load, again)
    course = delay_course(load, result)
    # The laboratory, from the output, and the buffer, which knows, count the same packets played;
    # within 1 %: one that came in time for its end only is decoded, but its start was made up.
    assert abs(len(course.position) - int(result.stats["decoded"])) <= 6
    assert course.added_ms.min() >= 0.0
    assert len(set(course.position)) == len(course.position)
    assert found.missing_percent >= found.network_loss_percent - 1e-9
    assert 0.0 <= found.made_up_percent <= 100.0
    assert (result.made_up >= 0).all()
    assert (result.made_up <= result.length).all()
    if mode == "play":
        assert set(result.length) == {160}
        assert set(np.diff(result.out_ns)) == {20_000_000}
    elif load.trace.reordered == 0 and name not in ("sequence-jump", "timestamp-jump"):
        assert found.missing_percent == pytest.approx(found.network_loss_percent, abs=1e-9)


def test_the_first_copy_counts_and_the_rest_does_not() -> None:
    trace = compose("twice", [stream(4), duplication(50, 30), iid_loss(10)], seed=4)
    load = load_of(trace)
    assert len(load.sent) == 200
    first = {}
    for row in trace.arrival_order:
        first.setdefault(int(trace.position[row]), int(trace.arrival_ns[row]))
    for position, arrival_ns, lost in zip(
        load.sent.position, load.sent.arrival_ns, load.sent.lost, strict=True
    ):
        assert lost == (int(position) not in first)
        assert lost or arrival_ns == first[int(position)]


def test_pauses_are_not_made_up_and_the_reference_has_them() -> None:
    load = load_of(make_trace("dtx", seconds=20, seed=3))
    gaps = np.diff(load.trace.position) - 160
    start = int(load.trace.position[int(np.argmax(gaps))]) + 160
    assert not load.reference[start : start + int(gaps.max())].any()
    for receiver in (OurBuffer(load, "listen"), FixedBuffer(load)):
        found = score(load, play(load, receiver))
        assert (found.missing_percent, found.made_up_percent) == (0.0, 0.0)


def test_timestamps_are_found_through_jumps_and_wraps() -> None:
    for name in ("wrap", "timestamp-jump", "ssrc-change", "sequence-jump"):
        load = load_of(make_trace(name, seconds=12))
        near = 0
        for packet in load.packets:
            near = packet.position
            assert load.position_of(packet.timestamp, near) == packet.position
        far = (load.packets[-1].timestamp + 2**31) % 2**32
        assert load.position_of(far) is None


def test_packets_without_audio_are_noted() -> None:
    trace = compose("events", [stream(2)], seed=1)
    samples = trace.samples.copy()
    samples[[20, 21, 50]] = 0
    load = load_of(trace.replace(samples=samples))
    result = play(load, OurBuffer(load, "listen"))
    found = score(load, result)
    assert found.sent_packets == 97
    assert (found.missing_percent, found.made_up_percent) == (0.0, 0.0)
    assert result.stats["lost"] == 0


# -- peers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_that_is_here_plays_a_clean_line(name: str) -> None:
    """A peer that is not installed is named with the command that installs it."""
    load = load_of(make_trace("clean", seconds=4))
    missing = missing_peers()
    if name in missing:
        assert re.search("pip install|apt-get install", missing[name])
        with pytest.raises(MissingLibraryError, match=name):
            make_peer(name, load)
        return
    result = play(load, make_peer(name, load))
    found = score(load, result)
    # aiortc's buffer keeps the last packets for ever.
    kept = 100 * 4 / 200 if name == "aiortc" else 0.0
    assert found.missing_percent <= kept + 1e-9
    assert found.made_up_percent == 0.0
    heard = result.audio[int(result.start[result.kind == "decoded"][0]) :][: 190 * 160]
    np.testing.assert_array_equal(heard, decoded_reference(load)[: 190 * 160])


def test_missing_peers_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import voicecore.testing.lab_peers as module

    load = load_of(make_trace("clean", seconds=2))
    import voicecore.testing.lab_gstreamer as gstreamer

    real = module.importlib.util.find_spec
    gone = {"aiortc", "pjsua2"}
    nowhere = str(tmp_path / "python3")
    monkeypatch.setattr(gstreamer, "_PYTHONS", (nowhere, nowhere))
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name in gone else real(name)
    )
    monkeypatch.setitem(sys.modules, "aiortc.jitterbuffer", None)
    module._pjmedia.cache_clear()
    gstreamer.find_gstreamer.cache_clear()
    missing = missing_peers()
    assert set(missing) == {"aiortc", "pjmedia", "gstreamer"}
    packages = "gstreamer1.0-plugins-good gir1.2-gstreamer-1.0 python3-gi"
    assert missing.pop("gstreamer").startswith(f"not installed: apt-get install {packages}")
    assert all("pip install" in reason for reason in missing.values())
    for name in ("aiortc", "pjmedia", "gstreamer"):
        with pytest.raises(MissingLibraryError, match=f"peer {name} is .*install"):
            make_peer(name, load)
    module._pjmedia.cache_clear()
    gstreamer.find_gstreamer.cache_clear()
    with pytest.raises(ConfigError, match="unknown; use one of fixed-60"):
        make_peer("nobody", load)


def test_peers_refuse_packets_of_another_length() -> None:
    load = load_of(compose("long", [stream(3, frame_ms=30)], seed=1))
    with pytest.raises(ConfigError, match="20 ms only"):
        make_peer("fixed-60", load)


def test_a_fixed_buffer_starts_anew_after_a_step() -> None:
    trace = compose("step", [stream(10), stall(3000, 900)], seed=1)
    load = load_of(trace)
    found = score(load, play(load, FixedBuffer(load)))
    # What was held for more than 60 ms is late: ten of them, then it begins again.
    assert found.missing_percent == pytest.approx(100 * 9 / 500, abs=0.01)


# -- quality and speech --------------------------------------------------------------------


class FakePesq(ModuleType):
    """Records what is compared; the score is 4 where the two correlate and 1 where not."""

    class NoUtterancesError(Exception):
        pass

    class BufferTooShortError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pesq")
        self.calls: list[tuple[int, str, int, int]] = []

    def pesq(self, rate_hz: int, ref: np.ndarray, heard: np.ndarray, mode: str) -> float:
        self.calls.append((rate_hz, mode, len(ref), len(heard)))
        size = min(len(ref), len(heard))
        same = np.corrcoef(ref[:size].astype(float), heard[:size].astype(float))[0, 1]
        return 4.0 if same > 0.95 else 1.0


@pytest.mark.parametrize("paced", [True, False])
def test_pesq_gets_the_two_signals_aligned(monkeypatch: pytest.MonkeyPatch, paced: bool) -> None:
    fake = FakePesq()
    monkeypatch.setitem(sys.modules, "pesq", fake)
    load = load_of(make_trace("clean", seconds=20))
    receiver = FixedBuffer(load) if paced else OurBuffer(load, "listen")
    assert pesq_score(load, play(load, receiver)) == 4.0
    # 8 s each, the last one 4 s, and 100 ms before and behind it where there are any.
    assert [call[:3] for call in fake.calls] == [
        (8000, "nb", 64_800),
        (8000, "nb", 65_600),
        (8000, "nb", 32_800),
    ]
    assert all(heard == ref for *_, ref, heard in fake.calls)


def test_pesq_of_what_is_not_heard_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Receiver):
        name = "mute"

        def put(self, packet: LabPacket, now_ns: int) -> None:
            pass

        def pull(self, now_ns: int) -> Chunk:
            return Chunk(np.zeros(160, np.int16), "silence", None, 160)

    load = load_of(make_trace("clean", seconds=8))
    result = play(load, Mute())
    found = score(load, result)
    assert (found.missing_percent, found.made_up_percent) == (100.0, 100.0)
    assert (found.added_mean_ms, found.depth_mean_ms) == (None, None)
    assert found.to_json()["delay_p95_ms"] is None
    monkeypatch.setitem(sys.modules, "pesq", FakePesq())
    assert pesq_score(load, result) == 1.0
    silent = Load.of(load.trace, np.zeros(800, np.int16))
    assert pesq_score(silent, play(silent, OurBuffer(silent, "listen"))) is None
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(MissingModelError, match="pip install"):
        pesq_score(load, result)


def test_a_receiver_that_breaks_its_contract_is_named() -> None:
    class Empty(Receiver):
        name = "empty"

        def put(self, packet: LabPacket, now_ns: int) -> None:
            pass

        def pull(self, now_ns: int) -> None:
            return None

    load = load_of(make_trace("clean", seconds=2))
    with pytest.raises(ConfigError, match="empty is paced and gave nothing"):
        play(load, Empty())


def test_loads_are_checked() -> None:
    trace = make_trace("clean", seconds=2)
    tone = np.ones(100, np.int16)
    for wrong, message in (
        (lambda: Load.of(trace, tone, "opus"), "not for the laboratory"),
        (lambda: Load.of(make_trace("clean", rate_hz=16000), tone), "has 8000 Hz"),
        (lambda: Load.of(trace, tone[:0]), "no speech"),
        (lambda: Load.of(compose("none", [stream(0)]), tone), "no packets"),
    ):
        with pytest.raises(ConfigError, match=message):
            wrong()


def test_speech_is_found_and_vowels_are_like_speech() -> None:
    assert find_lab_speech(8000).real
    for rate_hz in (8000, 16000):
        sounds = vowels(rate_hz, 6.0)
        assert len(sounds) == 6 * rate_hz
        assert np.abs(sounds).max() == 9000
        # Voiced: like itself a pitch period (120 Hz or so) earlier. And with pauses.
        part = sounds[rate_hz : rate_hz + rate_hz // 10].astype(float)
        lags = range(rate_hz // 160, rate_hz // 90)
        best = max(np.corrcoef(part[lag:], part[:-lag])[0, 1] for lag in lags)
        assert best > 0.8
        frames = np.abs(sounds[: 300 * (rate_hz // 50)].reshape(-1, rate_hz // 50)).max(axis=1)
        assert (frames == 0).sum() >= 10


def test_a_result_is_one_continuous_course() -> None:
    load = load_of(make_trace("train", seconds=8))
    result: Result = play(load, OurBuffer(load, "play"))
    for (start, length), following in zip(
        zip(result.start[:-1], result.length[:-1], strict=True), result.start[1:], strict=True
    ):
        assert start + length == following
    assert len(result.audio) == result.length.sum()
    assert all(a <= b for a, b in pairwise(result.out_ns))
