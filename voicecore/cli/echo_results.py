"""From a run of the echo laboratory to its files, its page and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from voicecore.cli.lab_results import write_wav
from voicecore.report.echo_page import EchoReport, EchoRun, EchoSceneShown, shown
from voicecore.report.spectrogram import spectrogram_png
from voicecore.testing.echo_lab import Outcome
from voicecore.testing.echo_score import EchoScore

__all__ = ["EchoOutcome", "print_echo_table", "shown_scene"]

_WIDTH, _HEIGHT = 560, 64
_FRAME_S = 0.1


@dataclass(slots=True)
class EchoOutcome:
    """What came of it: the figures, the page's facts, and the files written."""

    scores: list[EchoScore] = field(default_factory=list)
    report: EchoReport = field(default_factory=lambda: EchoReport(()))
    state_bytes: dict[str, int] = field(default_factory=dict)
    page: Path = Path()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "facts": dict(self.report.facts),
            "notes": list(self.report.notes),
            "scenes": [
                {"name": scene.name, "kind": scene.kind, "description": scene.description}
                for scene in self.report.scenes
            ],
            "state_bytes": self.state_bytes,
            "runs": [found.to_json() for found in self.scores],
            "page": str(self.page),
        }


def _spans(signal: NDArray[np.int16], rate_hz: int) -> list[tuple[float, float]]:
    """Where a signal is louder than -60 dBFS, in steps of 0.1 s."""
    frame = int(rate_hz * _FRAME_S)
    count = len(signal) // frame
    power = np.square(signal[: count * frame].astype(np.float64)).reshape(count, frame).mean(axis=1)
    loud = np.concatenate([[0], power > (32.768**2), [0]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(loud) == 1), np.flatnonzero(np.diff(loud) == -1)
    return [(float(a) * _FRAME_S, float(b) * _FRAME_S) for a, b in zip(starts, ends, strict=True)]


def _picture(signal: NDArray[np.int16], rate_hz: int) -> bytes:
    return spectrogram_png(signal, rate_hz, width=_WIDTH, height=_HEIGHT)


def shown_scene(outcome: Outcome, out: Path) -> EchoSceneShown:
    """Write the sound of a kept outcome; what the page shows of it."""
    scene = outcome.scene
    if scene is None:
        raise ValueError("the outcome was not kept; make the job with keep=True")
    folder, rate_hz = scene.name, scene.rate_hz
    given = []
    for name, file, signal in (
        ("far end", "far", scene.far),
        ("microphone", "mic", scene.mic),
    ):
        write_wav(out / folder / f"{file}.wav", signal, rate_hz)
        given.append((name, _picture(signal, rate_hz), f"{folder}/{file}.wav"))
    runs = []
    for found in outcome.scores:
        wav = f"{folder}/{found.canceller}.wav"
        heard = outcome.outputs[found.canceller]
        write_wav(out / wav, heard, rate_hz)
        ends_s, course = outcome.courses[found.canceller]
        figures = {
            name: value
            for name, value in asdict(found).items()
            if value is None or isinstance(value, (int, float))
        }
        runs.append(
            EchoRun(found.canceller, figures, ends_s, course, _picture(heard, rate_hz), wav)
        )
    return EchoSceneShown(
        name=scene.name,
        description=scene.entry.description,
        kind=scene.entry.kind,
        length_s=scene.seconds,
        rate_hz=rate_hz,
        far_s=_spans(scene.far, rate_hz),
        near_s=_spans(scene.speech, rate_hz),
        given=given,
        runs=runs,
    )


# Heading, figure, digits, and whether a narrow terminal shows it too.
_COLUMNS = (
    ("ERLE", "erle_db", 1, True),
    ("last", "erle_last_db", 1, False),
    ("lowest", "lowest_erle_db", 1, False),
    ("20 dB", "to_20_db_s", 1, True),
    ("back", "back_20_db_s", 1, False),
    ("false", "false_alarms", 3, True),
    ("PESQ", "pesq_mos", 2, True),
    ("SDR", "sdr_db", 1, False),
    ("near", "near_gain_db", 1, False),
    ("recall", "recall", 3, True),
)
_WIDE = 110


def print_echo_table(
    scores: Sequence[EchoScore], notes: Sequence[str], console: Console, *, seeds: bool = False
) -> None:
    """Print notes and figures; a narrow terminal gets fewer columns."""
    for note in notes:
        console.print(note, style="yellow", highlight=False)
    columns = [column for column in _COLUMNS if column[3] or console.width >= _WIDE]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("scene", style="bold", no_wrap=True)
    table.add_column("canceller", no_wrap=True)
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for found in scores:
        values = asdict(found)
        name = f"{found.scene} #{found.seed}" if seeds else found.scene
        first, before = name != before, name
        table.add_row(
            name if first else "",
            found.canceller,
            *(shown(values[figure], digits) for _, figure, digits, _ in columns),
            style="" if found.canceller == "voicecore" else "dim",
        )
    console.print(table)
    told = {
        "ERLE": "ERLE, dB: microphone over output while only the far end talks, 5 s after the "
        "start; last: of the last quarter; lowest: of 0.5 s, from 1 s on.",
        "20 dB": "20 dB, back, s: from the first echo, and from the jump, until 20 dB.",
        "false": "false: share of the time in which Silero hears speech that is only echo.",
        "PESQ": "PESQ, SDR, near (dB): of the near end in the output.",
        "recall": "recall: share of the ideal's speech that Silero still hears.",
    }
    console.print(" ".join(told.values()), style="dim", highlight=False)
