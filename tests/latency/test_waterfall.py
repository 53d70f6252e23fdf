"""The waterfall. Oracle: figures worked out by hand, and the laws that any stamps must obey."""

from __future__ import annotations

import doctest
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.latency import HOP_NAMES, Waterfall, waterfall

MS = 1_000_000
START = 7_000 * MS


@dataclass
class Stamps:
    caller_end_ns: int = 0
    vad_stopped_ns: int = 0
    turn_decided_ns: int = 0
    transcript_final_ns: int = 0
    reply_started_ns: int = 0
    first_token_ns: int = 0
    first_clause_ns: int = 0
    first_audio_ns: int = 0
    queued_ns: int = 0
    first_packet_ns: int = 0
    agent_onset_ns: int = 0


NAMES = list(Stamps.__dataclass_fields__)


def at_ms(**times: float) -> Stamps:
    """Stamps from milliseconds after START, without the suffix: at_ms(caller_end=0)."""
    return Stamps(**{f"{name}_ns": START + round(ms * MS) for name, ms in times.items()})


def table(stamps: Stamps) -> dict[str, float]:
    return {hop.name: hop.duration_ms for hop in Waterfall.from_stamps(stamps).hops}


FULL = {
    "caller_end": 0,
    "vad_stopped": 192,
    "turn_decided": 226,
    "transcript_final": 260,
    "reply_started": 261,
    "first_token": 270,
    "first_clause": 275,
    "first_audio": 290,
    "queued": 291,
    "first_packet": 310,
    "agent_onset": 325,
}


def test_whole_turn_by_hand():
    result = Waterfall.from_stamps(at_ms(**FULL))
    assert {hop.name: hop.duration_ms for hop in result.hops} == {
        "endpointing": 192,
        "turn detection": 34,
        "transcription": 34,
        "llm first token": 9,
        "first clause": 5,
        "tts first audio": 15,
        "queueing": 1,
        "playout": 19,
        "lead-in": 15,
    }
    assert result.mouth_to_ear_ms == 325
    assert result.unattributed_ms == 1  # from the final transcript to the request
    assert result.complete


def test_transcript_beside_the_turn_detector_costs_only_what_remains():
    early = table(at_ms(**FULL | {"transcript_final": 210}))
    assert "transcription" not in early
    assert early["turn detection"] == 34
    # Nobody waited for a transcript that came after the answer had begun.
    late = Waterfall.from_stamps(at_ms(**FULL | {"transcript_final": 280}))
    assert "transcription" not in {hop.name for hop in late.hops}
    assert late.unattributed_ms == 35


def test_no_turn_detector_measures_transcription_from_the_vad():
    times = {name: ms for name, ms in FULL.items() if name != "turn_decided"}
    assert table(at_ms(**times))["transcription"] == 260 - 192


def test_speculative_answer_is_counted_from_the_decision():
    speculative = {"reply_started": 100, "first_token": 130, "first_clause": 150}
    hops = table(at_ms(**FULL | speculative | {"first_audio": 180, "transcript_final": 90}))
    assert set(hops) == {"endpointing", "turn detection", "queueing", "playout", "lead-in"}
    assert hops["queueing"] == 291 - 226


def test_missing_stamp_becomes_unattributed_and_not_another_hops_time():
    times = {name: ms for name, ms in FULL.items() if name != "first_clause"}
    result = Waterfall.from_stamps(at_ms(**times))
    assert "first clause" not in {hop.name for hop in result.hops}
    assert "tts first audio" not in {hop.name for hop in result.hops}
    assert result.unattributed_ms == 1 + 20  # 270 -> 290 has no owner


def test_stamp_after_the_onset_did_not_cause_it():
    result = Waterfall.from_stamps(at_ms(**FULL | {"first_packet": 400}))
    assert {"playout", "lead-in"}.isdisjoint(hop.name for hop in result.hops)
    assert result.unattributed_ms == 1 + 34


def test_answer_that_never_sounded_is_incomplete():
    result = Waterfall.from_stamps(at_ms(caller_end=0, vad_stopped=192, turn_decided=230))
    assert not result.complete
    assert result.mouth_to_ear_ms == 230
    assert result.unattributed_ms == 0


def test_nothing_happened_and_a_greeting():
    nothing = Waterfall.from_stamps(Stamps())
    assert (nothing.mouth_to_ear_ns, nothing.hops, nothing.complete) == (0, (), False)
    greeting = Waterfall.from_stamps(at_ms(reply_started=5, first_token=9, agent_onset=30))
    assert not greeting.complete
    assert table(at_ms(reply_started=5, first_token=9, agent_onset=30)) == {"llm first token": 4}
    assert greeting.unattributed_ms == 21


def test_rows_end_with_unattributed_even_when_it_is_nothing():
    rows = Waterfall.from_stamps(at_ms(caller_end=0, vad_stopped=200, agent_onset=200)).rows()
    assert [(row.name, row.duration_ms, row.share) for row in rows] == [
        ("endpointing", 200, 1.0),
        ("unattributed", 0, 0.0),
    ]


def test_json_round_trip():
    result = Waterfall.from_stamps(at_ms(**FULL))
    plain = json.loads(json.dumps(result.to_json()))
    assert plain["mouth_to_ear_ms"] == 325
    assert plain["start_ns"] == START
    assert plain["hops"][1] == {"name": "turn detection", "start_ms": 192.0, "duration_ms": 34.0}


@pytest.mark.parametrize("spread", [5, 10**9])
def test_laws_hold_for_any_stamps(spread: int):
    @given(st.lists(st.integers(0, spread), min_size=len(NAMES), max_size=len(NAMES)))
    def check(values: list[int]) -> None:
        result = Waterfall.from_stamps(Stamps(*values))
        assert sum(hop.duration_ns for hop in result.hops) + result.unattributed_ns == (
            result.mouth_to_ear_ns
        )
        assert result.unattributed_ns >= 0
        names = [hop.name for hop in result.hops]
        assert names == [name for name in HOP_NAMES if name in names]
        assert all(hop.duration_ns > 0 for hop in result.hops)
        cursor = result.start_ns
        for span in result.spans():
            assert span.start_ns == cursor
            cursor = span.end_ns
        assert cursor == result.end_ns
        assert sum(row.duration_ms for row in result.rows()) == pytest.approx(
            result.mouth_to_ear_ms
        )
        if result.complete:
            stamps = Stamps(*values)
            assert result.mouth_to_ear_ns == stamps.agent_onset_ns - stamps.caller_end_ns

    check()


def test_docstring_examples():
    assert doctest.testmod(waterfall).failed == 0
    assert doctest.testmod(waterfall).attempted > 0
