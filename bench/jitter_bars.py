"""What the jitter buffer must hold, trace by trace, in virtual time.

    python -m bench.jitter_bars [--seconds 120] [--seed 1] [--csv rtp-arrivals.csv] [--json]

listen: samples leave when they are contiguous. Added delay is release minus own arrival; `early` is
the share of packets that came after their loss was declared.
play: pulled every 20 ms. `made up` beside the network's loss; the mean added delay beside the
oracle: the smallest constant depth with no more made up, and the same for a player that is asked
every 20 ms like ours (a depth between two ticks waits for the later one).
end of speech: when Silero's decision (SpeechSegmenter) on what was received is out, in listen and
in play mode, and by how much the played audio is behind the received one.

Speech: "two_cities" of moonshine-voice, as the tests have it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests import audio
from voicecore import SpeechSegmenter
from voicecore.testing.lab import OurBuffer, Result, play
from voicecore.testing.lab_load import Load
from voicecore.testing.lab_peers import AiortcBuffer
from voicecore.testing.lab_score import Score, delay_course, oracle, score
from voicecore.testing.trace_catalogue import TRACES, make_trace
from voicecore.testing.trace_files import read_csv, trace_of
from voicecore.testing.traces import PacketTrace

MS = 1_000_000
TICK_MS, PHASE_MS = 20.0, 10.0  # the laboratory's pulls come 10 ms after a fastest packet
Row = dict[str, object]


def traces(arguments: argparse.Namespace) -> list[tuple[PacketTrace, bool]]:
    """The networks, and whether their delays are stationary."""
    found = [
        (make_trace(name, seconds=arguments.seconds, seed=arguments.seed), named.stationary)
        for name, named in TRACES.items()
    ]
    if arguments.csv:
        packets = read_csv(arguments.csv.read_bytes())
        found.insert(0, (trace_of(packets, name=arguments.csv.stem, rate_hz=8000), True))
    return found


def early_percent(result: Result, load: Load) -> float:
    """Packets that came after their loss was declared."""
    return 100.0 * float(result.stats["late"]) / len(load.sent)


def listen_row(load: Load, result: Result, found: Score) -> Row:
    lost = found.network_loss_percent
    samples = int(result.stats["output_samples"])
    return {
        "trace": found.trace,
        "lost": lost,
        "made_up": found.made_up_percent,
        "early": early_percent(result, load),
        "added_mean_ms": found.added_mean_ms,
        "added_p99_ms": found.added_p99_ms,
        "samples_off": samples - told_samples(load),
        "ok": found.made_up_percent <= lost + 0.3 and early_percent(result, load) <= 0.1,
    }


def told_samples(load: Load) -> int:
    """Samples from the first packet that arrived to the end of the last, by timestamps."""
    came = [p for p in load.packets if not load.trace.lost[p.row] and p.samples]
    return max(p.position + p.samples for p in came) - min(p.position for p in came)


def play_row(load: Load, found: Score, stationary: bool) -> Row:
    best = oracle(load, max(found.made_up_percent, found.missing_percent))
    depth_ms = best.depth_ms if best else 0.0
    ticks_ms = PHASE_MS + TICK_MS * max(0, math.ceil((depth_ms - PHASE_MS) / TICK_MS - 1e-9))
    added_ms = found.added_mean_ms or 0.0
    return {
        "trace": found.trace,
        "stationary": stationary,
        "lost": found.network_loss_percent,
        "made_up": found.made_up_percent,
        "added_mean_ms": added_ms,
        "oracle_ms": depth_ms,
        "asked_every_20_ms": ticks_ms,
        "ratio": added_ms / ticks_ms,
        "ok": found.made_up_percent <= found.network_loss_percent + 0.3
        and added_ms <= 1.3 * ticks_ms
        if stationary
        else "",
    }


def ends_of_speech(result: Result) -> np.ndarray:
    """ms at which each end of speech is known."""
    known = []
    with SpeechSegmenter(8000, min_silence_ms=300) as segmenter:
        for start, length, out_ns in zip(result.start, result.length, result.out_ns, strict=True):
            for event in segmenter.process(result.audio[start : start + length]):
                if event.kind == "end":
                    known.append(out_ns / MS)
    return np.array(known)


def speech_row(load: Load, heard: Result, played: Result) -> Row:
    """How much earlier listen mode tells the ends that both modes hear."""
    ours, theirs = ends_of_speech(heard), ends_of_speech(played)
    pairs = []
    for end in ours:
        after = theirs - end
        near = after[(after > -50) & (after < 600)]
        if len(near):
            pairs.append(near.min())
    behind = delay_course(load, played), delay_course(load, heard)
    return {
        "trace": heard.trace,
        "ends": len(pairs),
        "earlier_ms": float(np.mean(pairs)) if pairs else float("nan"),
        "play_behind_ms": float(behind[0].added_ms.mean() - behind[1].added_ms.mean()),
        "ok": bool(pairs and abs(np.mean(pairs) - behind[0].added_ms.mean()) <= 20),
    }


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def show(title: str, rows: list[Row], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if name == "trace" else "right")
    for row in rows:
        table.add_row(*map(shown, row.values()))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="arrival_ms,seq,timestamp,payload_type,...")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    speech = np.round(32768 * audio.speech("two_cities", 8000)).astype(np.int16)
    listened: list[Row] = []
    played: list[Row] = []
    ends: list[Row] = []
    for trace, stationary in track(traces(arguments), console=Console(stderr=True), transient=True):
        load = Load.of(trace, speech)
        heard, told = play(load, OurBuffer(load, "listen")), play(load, OurBuffer(load, "play"))
        listened.append(listen_row(load, heard, score(load, heard)))
        if trace.name == "overtaking-30":  # packets come up to 200 ms behind younger ones
            patient = play(load, OurBuffer(load, "listen", loss_wait_ms=200))
            row = listen_row(load, patient, score(load, patient))
            listened.append(row | {"trace": "the same, loss_wait_ms=200"})
        played.append(play_row(load, score(load, told), stationary))
        if trace.name in ("gamma-40", "wifi", "overtaking-30", getattr(arguments.csv, "stem", "")):
            ends.append(speech_row(load, heard, told))
    one = Load.of(make_trace("loss-1", seconds=arguments.seconds, seed=arguments.seed), speech)
    peer = score(one, play(one, AiortcBuffer(one)))
    ours = next(row for row in played if row["trace"] == "loss-1")
    aiortc = {
        "lost": peer.network_loss_percent,
        "ours_made_up": ours["made_up"],
        "aiortc_missing": peer.missing_percent,
        "ratio": peer.missing_percent / float(str(ours["made_up"])),
    }
    if arguments.json:
        json.dump({"listen": listened, "play": played, "ends": ends, "aiortc": aiortc}, sys.stdout)
        return
    console = Console(width=140)
    console.print(f"{arguments.seconds:g} s a trace, seed {arguments.seed}; shares in percent")
    show("listen: made up <= lost + 0.3, early <= 0.1", listened, console)
    show("play: made up <= lost + 0.3, mean added <= 1.3 oracle", played, console)
    show("end of speech: listen is earlier by what play is behind, +-20 ms", ends, console)
    console.print(
        f"1 % loss: ours made up {ours['made_up']:.2f} %, aiortc is missing "
        f"{peer.missing_percent:.2f} %: {aiortc['ratio']:.1f}x"
    )


if __name__ == "__main__":
    main()
