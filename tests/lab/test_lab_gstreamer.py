"""GStreamer as a peer: the sink behind it, on schedules given by hand, and the process in which it
runs, with a program in its place. The element itself is tested where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import voicecore.testing.lab_gstreamer as gstreamer
import voicecore.testing.lab_peers as peers
from tests.audio import speech
from voicecore.errors import MissingLibraryError
from voicecore.testing.lab import play
from voicecore.testing.lab_gstreamer import LATENCY_MS, Released, run_gstreamer
from voicecore.testing.lab_load import Load
from voicecore.testing.lab_peers import GstreamerBuffer, missing_peers
from voicecore.testing.lab_score import delay_course, score
from voicecore.testing.trace_catalogue import make_trace
from voicecore.testing.traces import PacketTrace, compose, stream

MS = 1_000_000
PHASE_MS = 10


def load_of(trace: PacketTrace) -> Load:
    samples = np.rint(32767 * speech("two_cities", trace.rate_hz)).astype(np.int16)
    return Load.of(trace, samples, "pcmu")


def plain(seconds: float = 2) -> Load:
    return load_of(compose("plain", [stream(seconds)], seed=1))


def on_schedule(
    monkeypatch: pytest.MonkeyPatch, load: Load, due_ms: dict[int, int], out_ms: dict[int, int]
) -> GstreamerBuffer:
    """A peer whose element lets go of packet i at its arrival and plays it 200 ms later, but for
    what the two tables say: ms to add."""

    def released(load: Load) -> list[Released]:
        arrivals = [int(load.trace.arrival_ns[packet.row]) for packet in load.packets]
        return [
            Released(
                packet,
                arrival_ns + out_ms.get(packet.row, 0) * MS,
                arrival_ns + (LATENCY_MS + due_ms.get(packet.row, 0)) * MS,
            )
            for packet, arrival_ns in zip(load.packets, arrivals, strict=True)
        ]

    monkeypatch.setattr(peers, "run_gstreamer", released)
    return GstreamerBuffer(load)


def added_ms(load: Load, buffer: GstreamerBuffer) -> dict[int, float]:
    """By number of the packet."""
    course = delay_course(load, play(load, buffer))
    return {
        int(position) // 160: float(added)
        for position, added in zip(course.position, course.added_ms, strict=True)
    }


# -- the sink ------------------------------------------------------------------------------


def test_packets_are_played_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    load = plain()
    buffer = on_schedule(monkeypatch, load, {}, {})
    assert set(added_ms(load, buffer).values()) == {LATENCY_MS + PHASE_MS}
    assert buffer.stats() == {"late": 0, "overwritten": 0, "realigned": 0}


def test_the_sink_follows_the_timestamps_up_to_40_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    load = plain()
    for off_ms in (-39, -7, 13, 39):
        buffer = on_schedule(monkeypatch, load, dict.fromkeys(range(30, 100), off_ms), {})
        assert set(added_ms(load, buffer).values()) == {LATENCY_MS + PHASE_MS}
        assert buffer.stats()["realigned"] == 0


def test_the_sink_aligns_anew_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packet 80 is due a second after packet 30, the first that is off."""
    load = plain()
    for off_ms in (40, 60):
        buffer = on_schedule(monkeypatch, load, dict.fromkeys(range(30, 100), off_ms), {})
        added = added_ms(load, buffer)
        assert {added[i] for i in range(80)} == {LATENCY_MS + PHASE_MS}
        assert {added[i] for i in range(80, 100)} == {LATENCY_MS + PHASE_MS + off_ms}
        assert buffer.stats() == {"late": 0, "overwritten": 0, "realigned": 1}
    # Back by 60 ms: 77 to 79 lie where 80 to 82 go.
    buffer = on_schedule(monkeypatch, load, dict.fromkeys(range(30, 100), -60), {})
    added = added_ms(load, buffer)
    assert set(range(100)) - set(added) == {77, 78, 79}
    assert {added[i] for i in range(77)} == {LATENCY_MS + PHASE_MS}
    assert {added[i] for i in range(80, 100)} == {LATENCY_MS + PHASE_MS - 60}
    assert buffer.stats() == {"late": 0, "overwritten": 3, "realigned": 1}
    # Off for less than a second, and back on track.
    buffer = on_schedule(monkeypatch, load, dict.fromkeys(range(30, 80), -60), {})
    assert set(added_ms(load, buffer).values()) == {LATENCY_MS + PHASE_MS}


def test_the_sink_aligns_anew_at_once_where_the_next_place_is_past(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = plain()
    slow = dict.fromkeys(range(30, 100), 300)
    buffer = on_schedule(monkeypatch, load, slow, slow)
    added = added_ms(load, buffer)
    assert {added[i] for i in range(30)} == {LATENCY_MS + PHASE_MS}
    assert {added[i] for i in range(30, 100)} == {LATENCY_MS + PHASE_MS + 300}
    assert buffer.stats() == {"late": 0, "overwritten": 0, "realigned": 1}


def test_the_sink_does_not_see_the_timestamps_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of(make_trace("timestamp-jump", seconds=12))
    buffer = on_schedule(monkeypatch, load, {}, {})
    added = added_ms(load, buffer)
    assert len(added) == len(load.packets)
    assert set(added.values()) == {LATENCY_MS + PHASE_MS}
    assert buffer.stats()["realigned"] == 1


def test_what_comes_out_after_its_time_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    load = plain()
    # The tick of its turn is 10 ms after it is due, and that is the last moment.
    last = LATENCY_MS + PHASE_MS
    for out_ms, missing in ((last, 0.0), (last + 1, 1.0)):
        buffer = on_schedule(monkeypatch, load, {}, {99: out_ms})
        found = score(load, play(load, buffer))
        assert found.missing_percent == pytest.approx(missing, abs=1e-9)
        assert buffer.stats()["late"] == missing


# -- the process ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; print('oh, no', file=sys.stderr); sys.exit(3)", "cannot be used: oh, no"),
        ("import sys; sys.exit(3)", "cannot be used: it ended with 3"),
    ],
)
def test_a_program_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, message: str
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        f"import sys\nif '--check' in sys.argv: print('{{}}'); sys.exit(0)\n{program}"
    )
    monkeypatch.setattr(gstreamer, "_WORKER", worker)
    monkeypatch.setattr(gstreamer, "_PYTHONS", (sys.executable,))
    gstreamer.find_gstreamer.cache_clear()
    try:
        assert "gstreamer" not in missing_peers()
        with pytest.raises(MissingLibraryError, match=message):
            GstreamerBuffer(plain())
    finally:
        gstreamer.find_gstreamer.cache_clear()


def test_the_job_and_its_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What goes out are the packets by arrival; what comes back is found again."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, sys\n"
        "job = {'packets': []} if '--check' in sys.argv else json.load(sys.stdin)\n"
        "facts = job.get('rate_hz', 8000), job.get('latency_ms', 200)\n"
        f"assert facts == (8000, {LATENCY_MS})\n"
        "out = [[i, p[0] + 5, p[0]] for i, p in enumerate(job['packets']) if p[1] % 2]\n"
        "print(json.dumps({'out': out}))\n"
    )
    monkeypatch.setattr(gstreamer, "_WORKER", worker)
    monkeypatch.setattr(gstreamer, "_PYTHONS", (str(tmp_path / "none"), sys.executable))
    gstreamer.find_gstreamer.cache_clear()
    load = load_of(make_trace("overtaking-30", seconds=4))
    try:
        released = run_gstreamer(load)
    finally:
        gstreamer.find_gstreamer.cache_clear()
    rows = [int(row) for row in load.trace.arrival_order]
    odd = [row for row in rows if load.packets[row].sequence % 2]
    assert odd != sorted(odd)
    assert [one.packet.row for one in released] == odd
    for one in released:
        arrival_ns = int(load.trace.arrival_ns[one.packet.row])
        assert one.out_ns == arrival_ns + 5
        assert one.due_ns == arrival_ns + LATENCY_MS * MS


# -- the element ---------------------------------------------------------------------------

without = "gstreamer" in missing_peers()


@pytest.mark.skipif(without, reason="GStreamer with its bindings is not installed")
def test_the_element_on_networks_with_a_known_answer() -> None:
    """It holds 200 ms: what is lost is missing, what is late by less is not, copies are dropped."""
    clean, lossy, swapped, twice = (
        load_of(make_trace(name, seconds=10))
        for name in ("clean", "loss-5", "reorder-3", "duplicate-5")
    )
    assert set(added_ms(clean, GstreamerBuffer(clean)).values()) == {LATENCY_MS + PHASE_MS}
    for load in (lossy, swapped, twice):
        found = score(load, play(load, GstreamerBuffer(load)))
        assert found.missing_percent == pytest.approx(found.network_loss_percent, abs=1e-9)
    released = run_gstreamer(twice)
    assert len(released) == len({one.packet.sequence for one in released})
    in_order = [one.packet.position for one in run_gstreamer(swapped)]
    assert in_order == sorted(in_order)


@pytest.mark.skipif(without, reason="GStreamer with its bindings is not installed")
@pytest.mark.parametrize("name", ["gamma-40", "wifi", "stall-2s", "dtx-loss", "train"])
def test_the_element_gives_the_same_every_time(name: str) -> None:
    load = load_of(make_trace(name, seconds=12, seed=2))
    first = run_gstreamer(load)
    assert first
    assert all(one.out_ns >= load.trace.arrival_ns[one.packet.row] for one in first)
    for _ in range(3):
        assert run_gstreamer(load) == first
