"""The soak's own judgement, and a short virtual soak: the laws of bench/engine hold for real calls.

Oracles: hand-made counters; lines with a known slope; the line's own count of what it lost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.engine.flame import clean, draw, fold, self_time
from bench.engine.ledger import ACCOUNTS, Ledger, accounted, growth
from bench.engine.malformed import KINDS, malformed
from bench.engine.rig import QUIET, balance
from bench.engine.soak_virtual import run_virtual_soak
from voicecore.media._call import STAT_NAMES
from voicecore.media.config import CallConfig
from voicecore.testing.virtual import VirtualEngine

ROOT = Path(__file__).resolve().parents[2]


def test_a_broken_law_is_told_with_its_first_example():
    ledger = Ledger()
    assert not ledger.holds  # nothing was checked
    assert ledger.equal("a = b", 3, 3, "call 1")
    assert not ledger.equal("a = b", 4, 3, "call 2")
    assert not ledger.equal("a = b", 5, 3, "call 3")
    assert ledger.at_most("c <= d", 1, 2)
    assert ledger.between("e", 1, 2, 2)
    assert not ledger.between("e", 1, 3, 2, "call 4")
    rows = {row["law"]: row for row in ledger.rows()}
    assert rows["a = b"]["left"] == 12
    assert rows["a = b"]["right"] == 9
    assert rows["a = b"]["checked"] == 3
    assert rows["a = b"]["broken"] == 2
    assert rows["a = b"]["example"] == "call 2: 4 and 3"
    assert rows["e"]["broken"] == 1
    assert not ledger.holds


def test_growth_is_the_slope_behind_the_warm_up():
    hours = np.linspace(0.0, 24.0, 145)
    # 100 bytes an hour, and what a warm-up of two hours adds.
    values = 5000.0 + 100.0 * hours + 4000.0 * np.minimum(hours, 2.0)
    line = growth(zip(hours, values, strict=True))
    assert line.per_hour == pytest.approx(100.0)
    assert line.total == pytest.approx(100.0 * (24.0 - hours[hours >= 2.4][0]))
    assert line.scatter == pytest.approx(0.0, abs=1e-6)
    assert growth([(h, 7.0) for h in range(9)]).total == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="three at least"):
        growth([(0.0, 1.0), (1.0, 2.0)])


def test_the_kinds_of_datagrams_are_counters_of_a_call():
    assert set(ACCOUNTS) <= set(STAT_NAMES)
    assert len(set(ACCOUNTS)) == 15


def counters() -> dict[str, object]:
    """Of a call that sent 500 packets and decoded 480 of 480."""
    stats: dict[str, object] = dict.fromkeys(STAT_NAMES, 0)
    stats.update(
        packets_sent=500, packets_received=480, packets_decoded=480, received_samples=480 * 160,
        due=[500, 500], read=480 * 160 - 80, queued=8000, queue_position=8000,
        cancels_echo=True, events={"SpeechStarted": 2, "SpeechStopped": 1},
    )  # fmt: skip
    return stats


FAR = {"sent": 480, "index": 500, "begun": 1, "missing": 0, "duplicate": 0, "reordered": 0}


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"packets_sent": 490}, "packets sent = ticks due"),
        ({"packets_received": 481}, "sent to the call ="),
        ({"packets_unknown": 1}, "sum of their 15 kinds"),
        ({"packets_decoded": 479}, "decoded x frame"),
        ({"concealed_samples": 160}, "decoded x frame"),
        ({"read": 480 * 160}, "in the canceller"),
        ({"queue_position": 7999}, "queue position"),
        ({"events": {"RtpTimedOut": 1}}, "RtpTimedOut"),
        ({"events": {"EventsLost": 1}}, "events lost"),
        ({"events": {"SpeechStopped": 1}}, "SpeechStarted"),
        ({"resets": 1}, "= 0"),
    ],
)
def test_a_wrong_counter_breaks_its_law(change: dict[str, object], law: str):
    good, bad = Ledger(), Ledger()
    balance(good, counters(), FAR, ticks_after=2)
    assert good.holds, good.rows()
    balance(bad, {**counters(), **change}, FAR, ticks_after=2)
    broken = [row["law"] for row in bad.rows() if row["broken"]]
    assert any(law in name for name in broken), broken


def test_a_packet_that_the_far_end_missed_breaks_a_law():
    for change in ({"missing": 1}, {"duplicate": 1}, {"index": 480}, {"index": 510}):
        ledger = Ledger()
        balance(ledger, counters(), {**FAR, **change}, ticks_after=2)
        assert not ledger.holds, change


@pytest.mark.parametrize("own_address", [True, False])
def test_every_malformed_datagram_is_counted_and_none_is_heard(own_address: bool):
    engine = VirtualEngine()
    remote = ("192.0.2.1", 4000)
    call = engine.open(CallConfig(remote=remote))
    peer = engine.open(CallConfig())
    engine.connect(peer, call)
    engine.advance(200)
    heard = call.stats()["packets_decoded"]
    packets = malformed(60 * len(KINDS), seed=3)
    for packet in packets:
        source = remote if own_address else ("192.0.2.9", 4000)
        assert not engine.receive(call, packet, source)
    engine._peers.clear()
    engine.advance(20)
    stats = call.stats()
    refused = stats["packets_malformed"] + stats["packets_unknown"] + stats["packets_unproven"]
    assert (refused, stats["packets_strange"]) == (
        (len(packets), 0) if own_address else (0, len(packets))
    )
    assert accounted(stats) == stats["packets_received"]
    assert stats["packets_decoded"] - heard <= 1  # what was under way
    assert stats["resets"] == stats["lost"] == 0


def test_a_short_virtual_soak_explains_every_counter():
    """0.1 h of three pairs, seed 2: some 108,000 packets; sequence numbers and timestamps wrap."""
    rng = np.random.default_rng(2)
    # Voiced enough for the VAD: a harmonic tone with syllables.
    at = np.arange(8000 * 8)
    tone = sum(np.sin(2 * np.pi * 140 * k * at / 8000) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * at / 8000), 0, 1)
    speech = (4000 * tone * syllables + rng.normal(0, 20, len(at))).astype(np.int16)
    found = run_virtual_soak(speech, hours=0.1, pairs=3, seed=2, reading_s=60.0)
    ledger = found["ledger"]
    assert ledger.holds, [row for row in ledger.rows() if row["broken"]]
    assert found["call_ticks"] > 100_000
    totals, events = found["totals"], found["events"]
    for name in ("lost", "late", "duplicate", "packets_silent", "rtcp_received", "underruns"):
        assert totals[name] > 0, name
    for name in ("SpeechStarted", "BargedIn", "DtmfReceived", "MarkReached", "CallClosed"):
        assert events.get(name, 0) > 0 or name == "CallClosed", name
    assert found["after"].descriptors == found["before"].descriptors
    again = run_virtual_soak(speech, hours=0.02, pairs=2, seed=5)
    same = run_virtual_soak(speech, hours=0.02, pairs=2, seed=5)
    assert again["totals"] == same["totals"]


def test_closed_virtual_calls_are_forgotten():
    engine = VirtualEngine()
    for _ in range(3):
        a, b = engine.open(CallConfig()), engine.open(CallConfig())
        engine.connect(a, b)
        engine.advance(100)
        engine.begin_close(a)
        engine.begin_close(b)
    engine.advance(100)
    assert not engine._calls
    assert not engine._peers
    assert not engine._counts
    assert not engine._in_flight


def test_only_the_monotonic_clock_is_read():
    """Oracle: the text of csrc and of voicecore.media; a step of the wall clock changes nothing."""
    files = [*(ROOT / "csrc").rglob("*.[ch]"), *(ROOT / "voicecore" / "media").glob("*.py*")]
    assert len(files) > 100
    wall = [str(path) for path in files if "CLOCK_REALTIME" in path.read_text(encoding="utf-8")]
    assert not wall
    grid = (ROOT / "csrc" / "engine" / "vc_shard_grid.c").read_text(encoding="utf-8")
    assert "CLOCK_MONOTONIC" in grid


SCRIPT = """
\t          305f3 dense.constprop.0 (/x/_silero.so)
\t          29182 vc_bank_run (/x/_engine.so)
\t          21e37 vc_shard_run (/x/_engine.so)
\t          891f4 start_thread (/x/libc.so.6)

\t ffffffff81000 udp_sendmsg ([kernel.kallsyms])
\t          29182 vc_shard_send (/x/_engine.so)
\t          21e37 vc_shard_run (/x/_engine.so)

\t          29182 vc_bank_run (/x/_engine.so)
\t          21e37 vc_shard_run (/x/_engine.so)

\t          305f3 vc_fft_run (/x/_engine.so)
\tffffffffffffffff [unknown] ([unknown])
"""


def test_stacks_are_folded_and_drawn():
    root = fold(SCRIPT)
    assert root.samples == 4
    run = root.children["vc_shard_run"]
    assert (run.samples, run.children["vc_bank_run"].samples) == (3, 2)
    assert run.children["vc_shard_send"].children["k:udp_sendmsg"].samples == 1
    assert root.children["(stack cut off)"].children["vc_fft_run"].samples == 1
    assert self_time(root) == {"voice activity": 2, "kernel": 1, "echo canceller": 1}
    picture = draw(root, "a title")
    assert picture.count("<rect") > 7
    assert "vc_bank_run: 50.0 %" in picture
    assert "/x/" not in picture
    assert clean("f.constprop.0") == clean("f.isra.0.cold") == "f"


def test_quiet_counters_are_counters():
    assert set(QUIET) <= set(STAT_NAMES)
