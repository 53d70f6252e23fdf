"""Scoring of bench/engine/barge_in.py. Oracle: signals and packet times made with known answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.engine import barge_plan as planning
from bench.engine import barge_score as score
from bench.engine.barge_picture import draw

MS = 1_000_000
TICK = 20 * MS
NO_STALL = np.zeros((0, 2), np.int64)


def tone(ms: float, amplitude: float = 0.2) -> np.ndarray:
    return amplitude * np.sin(np.arange(int(8 * ms)) * 0.5)


def packets(loud: list[bool], start_ns: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    times = start_ns + np.arange(len(loud), dtype=np.int64) * TICK
    return times, [np.full(160, 3000 if on else 0, np.int16) for on in loud]


# -- onset -----------------------------------------------------------------------------------------

LEVEL = 20 * np.log10(0.2 / np.sqrt(2))


def test_onset_is_the_first_of_lasting_sound():
    clean = np.concatenate([np.zeros(8 * 100), tone(300)])
    assert score.onset_sample(clean, LEVEL) == 800


def test_onset_is_found_to_5_ms():
    clean = np.concatenate([np.zeros(8 * 100 + 17), tone(300)])
    assert score.onset_sample(clean, LEVEL) == 800


@pytest.mark.parametrize(("below_db", "expected"), [(22, 800), (28, 1600)])
def test_onset_threshold_is_25_db_below_the_level(below_db: float, expected: int):
    soft = tone(100, 0.2 * 10 ** (-below_db / 20))
    clean = np.concatenate([np.zeros(800), soft, tone(300)])
    assert score.onset_sample(clean, LEVEL) == expected


def test_a_click_is_no_onset():
    clean = np.concatenate([tone(30), np.zeros(8 * 200), tone(300)])
    assert score.onset_sample(clean, LEVEL) == 8 * 230


def test_without_speech_there_is_no_onset():
    with pytest.raises(ValueError, match="loud enough"):
        score.onset_sample(np.zeros(8000), LEVEL)


# -- the agent: last audible sample ----------------------------------------------------------------


def test_audible_is_from_the_first_to_the_last_loud_sample():
    block = np.zeros(160, np.int16)
    block[8] = score.AUDIBLE
    block[39] = -32768
    block[80] = score.AUDIBLE - 1
    silent = np.full(160, 1 - score.AUDIBLE, np.int16)
    heard = score.audible(np.array([5 * MS, 25 * MS]), [block, silent])
    assert heard.tolist() == [[6 * MS, 10 * MS]]


def test_the_agent_stops_in_a_faded_packet():
    times, blocks = packets([True] * 100 + [False] * 100)
    blocks[99] = blocks[99].copy()
    blocks[99][40:] = 0  # 5 ms of it are to be heard
    found = score.silent_after(score.audible(times, blocks), 1900 * MS, 3900 * MS)
    assert found == ("stopped", 1985 * MS)


def test_a_short_pause_is_not_the_end():
    loud = [True] * 60 + [False] * 9 + [True] * 20 + [False] * 60
    found = score.silent_after(score.audible(*packets(loud)), 1100 * MS, 2900 * MS)
    assert found == ("stopped", 89 * 20 * MS)


def test_an_agent_that_speaks_on_has_missed_it():
    heard = score.audible(*packets([True] * 200))
    assert score.silent_after(heard, 1000 * MS, 3000 * MS)[0] == "missed"


def test_an_agent_that_was_silent_gives_no_trial():
    heard = score.audible(*packets([True] * 30 + [False] * 60 + [True] * 30))
    assert score.silent_after(heard, 1000 * MS, 2300 * MS)[0] == "silent"
    assert score.silent_after(heard[:0], 1000 * MS, 2300 * MS)[0] == "silent"


def test_a_clear_ends_what_the_client_holds():
    # 200 ms come at once: they last until 200 ms, but the client is told at 130 ms.
    block = np.full(160, 3000, np.int16)
    starts = score.played(np.zeros(10, np.int64), np.full(10, 160), [130 * MS])
    assert starts.tolist() == [n * TICK for n in range(10)]
    heard = score.audible(starts, [block] * 10)
    found = score.silent_after(heard, 50 * MS, 5000 * MS, clear_ns=130 * MS)
    assert found == ("stopped", 130 * MS)


def test_a_stall_before_the_clear_is_not_the_end():
    # The loop stands from 100 ms to 1100 ms; three more packets leave before the clear.
    times = np.array([0, 20, 40, 60, 80, 1100, 1120, 1140]) * MS
    starts = score.played(times, np.full(8, 160), [1150 * MS])
    heard = score.audible(starts, [np.full(160, 3000, np.int16)] * 8)
    found = score.silent_after(heard, 70 * MS, 3500 * MS, clear_ns=1150 * MS)
    assert found == ("stopped", 1150 * MS)
    # Nothing came after the stall: what was heard last counts, not the clear.
    found = score.silent_after(heard[:5], 70 * MS, 3500 * MS, clear_ns=1150 * MS)
    assert found == ("stopped", 100 * MS)


def test_a_queue_starts_anew_after_a_clear():
    times = np.array([0, 0, 0, 30]) * MS
    assert score.played(times, np.full(4, 160), [25 * MS])[-1] == 30 * MS


# -- pacing ----------------------------------------------------------------------------------------


def test_pacing_of_a_stream_with_one_stall():
    times = np.arange(101, dtype=np.int64) * TICK
    times[50] += 3 * MS
    times[60:] += 500 * MS
    found = score.pacing([times, times[:1], times[:0]], NO_STALL)
    assert found["packets"] == 100
    assert found["deviation_ms_max"] == 500
    assert found["longest_gap_ms"] == 520
    assert found["gaps_over_40_ms"] == 1
    assert found["deviation_ms_p50"] == 0
    assert found["own_gaps_over_40_ms"] == 1
    assert score.pacing([], NO_STALL) == {}


def test_stalls_are_what_was_sent_late_and_merge():
    due = np.array([0, 10, 20, 30, 100, 200]) * MS
    sent = np.array([1, 40, 40, 39, 105, 211]) * MS
    assert score.stalls(due, sent).tolist() == [[10 * MS, 40 * MS], [200 * MS, 211 * MS]]
    assert score.stalls(due, due).shape == (0, 2)


def test_gaps_in_a_stall_are_not_the_agents_own():
    times = np.array([0, 20, 120, 140, 240, 260]) * MS
    machine = np.array([[30, 110], [300, 400]]) * MS
    found = score.pacing([times], machine)
    assert (found["gaps_over_40_ms"], found["own_gaps_over_40_ms"]) == (2, 1)
    assert found["own_deviation_ms_p999"] == pytest.approx(80, abs=1)
    both = np.array([[30, 110], [239, 241]]) * MS
    assert score.pacing([times], both)["own_gaps_over_40_ms"] == 0


# -- wires -----------------------------------------------------------------------------------------


@pytest.fixture
def plan() -> planning.Plan:
    """Two calls of three packets, without recorded speech; the second call's are swapped."""
    payloads = [bytes(range(160)) * 3, bytes(range(100, 260 - 4)) * 3 + bytes(12)]
    order = [np.array([0, 1, 2]), np.array([1, 0, 2])]
    due = [np.array([20, 40, 60]) * MS, np.array([45, 46, 65]) * MS]
    return planning.Plan(2, 0, 1, payloads, list(zip(order, due, strict=True)), [0, 0], [], 1.0)


def test_packets_go_out_as_planned_and_are_put_in_order(plan: planning.Plan, tmp_path):
    events = planning.rtp_packets(plan)
    planning.write_plan(tmp_path / "plan", events)
    # The log has the plan's form: what was sent comes back.
    log = planning.read_log(tmp_path / "plan", 2)
    times, blocks = planning.rtp_received(log[1])
    assert times.tolist() == [46 * MS, 45 * MS, 65 * MS]
    first = planning._pcm(plan.payloads[1][:160])
    assert np.array_equal(blocks[0], first)


def test_sequence_numbers_wrap():
    log = [(n, bytes([0x80, 0, *((65534 + n) % 65536).to_bytes(2, "big"), *bytes(168)]))
           for n in range(4)]  # fmt: skip
    assert planning.rtp_received(log)[0].tolist() == [0, 1, 2, 3]


def unmasked(text: str) -> bytes:
    data = text.encode()
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return b"\x81" + size + data


def test_web_socket_messages_are_taken_apart_wherever_they_were_cut():
    media = {"event": "media", "media": {"payload": "AAAA" * 40}}
    stream = b"HTTP/1.1 101 Switching\r\nA: b\r\n\r\n"
    ends = []
    for message in (media, {"event": "clear"}, media):
        stream += unmasked(json.dumps(message))
        ends.append(len(stream))
    log = [(at, stream[at : at + 7]) for at in range(0, len(stream), 7)]
    (times, blocks), clears = planning.ws_received(log)
    came = [(end - 1) // 7 * 7 for end in ends]
    assert times.tolist() == [came[0], came[2]]
    assert clears == [came[1]]
    assert [len(block) for block in blocks] == [120, 120]


def test_web_socket_refused():
    with pytest.raises(ValueError, match="did not take"):
        planning.ws_received([(0, b"HTTP/1.1 403 Forbidden\r\n\r\n")])


def test_sent_frames_are_masked_text(plan: planning.Plan):
    due_ns, call, data = planning.ws_messages(plan)[-1]
    assert (due_ns, call) == (65 * MS, 1)
    length = int.from_bytes(data[2:4], "big")
    assert data[:2] == b"\x81\xfe"
    keys = data[4:8] * (length // 4 + 1)
    text = bytes(a ^ b for a, b in zip(data[8:], keys, strict=False))
    assert json.loads(text)["event"] == "media"


# -- picture ---------------------------------------------------------------------------------------


def test_the_picture_has_a_panel_for_each_system_and_a_line_for_each_row():
    row = {"title": "a & b", "hold_ms": 0, "latencies_ms": [100.0, 200.0], "trials": 4}
    rows = [row, {**row, "hold_ms": 50}, {**row, "title": "c"}]
    picture = draw(rows, 200.0)
    assert picture.count("<polyline") == 3
    assert picture.count('class="t"') == 2
    assert "a &amp; b" in picture
    # Two of four trials never stopped: the line ends at half height.
    assert ',105.0"' in picture
