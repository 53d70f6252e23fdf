"""The named scenes of the echo laboratory, and what can be set of one.

for entry in SCENES.values():
    print(entry.name, entry.description)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["QUICK", "SCENES", "SceneEntry"]

Kind = Literal["single", "double", "near"]


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A named scene: how it is made.

    Attributes:
        name: for ``make_scene`` and the command line.
        kind: "single": only the far end talks; "double": both; "near": only the near end.
        path: "room", "line" (a telephone hybrid) or "none" (no echo).
        rt60_s: the room's nominal reverberation time.
        delay_ms: between the reference and the loudspeaker. A room adds 2.5 ms (at 16 kHz) for
            its filters and 1 to 4 ms for the air; -2 takes most of that off.
        jump_to_ms: another delay from half of the scene on.
        drift_ppm: how much faster the microphone's clock is than the reference's.
        clip: the loudspeaker's soft clip: "none", "mild" (-36 dB distortion), "strong" (-22 dB).
        noise_dbfs: white noise at -75, else falling by 5 dB an octave as in rooms.
        ser_db: near end to echo at the microphone.
        return_loss_db: a line's echo return loss; None: 6 to 24, by chance.
        trace: a network in front of the loudspeaker, with voicecore's jitter buffer.
        known: the reference is what that buffer played, as where its reports move the reference.
        far: "prompts" or "tts".
        g711: the line is PCMU in both directions.
        early: in double talk the near end talks from 5 % of the scene on.
        overload: from 40 to 50 % of the scene the microphone is 30 dB too loud and clips.
    """

    name: str
    kind: Kind
    path: Literal["room", "line", "none"] = "room"
    rt60_s: float = 0.2
    delay_ms: int = 0
    jump_to_ms: int | None = None
    drift_ppm: float = 0.0
    clip: str = "mild"
    noise_dbfs: float = -75.0
    ser_db: float = 0.0
    return_loss_db: float | None = None
    trace: str | None = None
    known: bool = False
    far: Literal["prompts", "tts"] = "prompts"
    g711: bool = False
    early: bool = False
    overload: bool = False

    @property
    def description(self) -> str:
        """One line."""
        who = {"single": "far end alone", "double": "both talk", "near": "near end alone"}
        parts = [who[self.kind]]
        if self.kind == "double" and self.path != "none":
            parts.append(f"SER {self.ser_db:+g} dB" if self.ser_db else "SER 0 dB")
        if self.path == "room":
            parts.append(f"room of {self.rt60_s:g} s")
        elif self.path == "line":
            parts.append("telephone line, G.711" if self.g711 else "telephone line")
        else:
            parts.append("no echo")
        if self.path != "none":
            jump = "" if self.jump_to_ms is None else f", then {self.jump_to_ms}"
            parts.append(f"delay {self.delay_ms}{jump} ms")
        if self.path == "room" and self.clip != "mild":
            parts.append("linear loudspeaker" if self.clip == "none" else f"{self.clip} clip")
        if self.drift_ppm:
            parts.append(f"drift {self.drift_ppm:+g} ppm")
        if self.return_loss_db is not None:
            parts.append(f"return loss {self.return_loss_db:g} dB")
        if self.trace:
            told = ", which the reference follows" if self.known else ""
            parts.append(f"jitter buffer behind {self.trace!r}{told}")
        if self.noise_dbfs > -75:
            parts.append(f"noise {self.noise_dbfs:g} dBFS")
        if self.far == "tts":
            parts.append("synthesized far end")
        if self.early:
            parts.append("both from the start")
        if self.overload:
            parts.append("a clipping microphone for a tenth")
        return ", ".join(parts)


def _entries() -> Iterator[SceneEntry]:
    rooms = (0.2, 0.4)
    for delay_ms in (0, 100, 250, 500):
        for rt in rooms:
            yield SceneEntry(f"single-{delay_ms}ms-rt{rt}", "single", rt60_s=rt, delay_ms=delay_ms)
    yield SceneEntry("single-100ms-rt0.6", "single", rt60_s=0.6, delay_ms=100)
    yield SceneEntry("single-minus2ms-rt0.2", "single", delay_ms=-2)
    yield SceneEntry("single-0ms-linear", "single", clip="none")
    yield SceneEntry("single-0ms-strong", "single", clip="strong")
    yield SceneEntry("single-100ms-strong", "single", rt60_s=0.4, delay_ms=100, clip="strong")
    yield SceneEntry("single-0ms-tts", "single", rt60_s=0.4, far="tts")
    yield SceneEntry("single-100ms-noise55", "single", delay_ms=100, noise_dbfs=-55.0)
    yield SceneEntry("single-100ms-overload", "single", delay_ms=100, overload=True)
    for rt in rooms:
        yield SceneEntry(f"jump-100-180-rt{rt}", "single", rt60_s=rt, delay_ms=100, jump_to_ms=180)
    yield SceneEntry("jump-180-100-rt0.2", "single", delay_ms=180, jump_to_ms=100)
    yield SceneEntry("jump-50-450-rt0.4", "single", rt60_s=0.4, delay_ms=50, jump_to_ms=450)
    for ppm in (20, 100):
        for rt in rooms:
            yield SceneEntry(
                f"drift-{ppm}-rt{rt}", "single", rt60_s=rt, delay_ms=100, drift_ppm=ppm
            )
    yield SceneEntry("drift-200-rt0.2", "single", delay_ms=100, drift_ppm=200)
    yield SceneEntry("drift-minus100-rt0.2", "single", delay_ms=100, drift_ppm=-100)
    for trace in ("gamma-40", "wifi", "lte-handover"):
        yield SceneEntry(f"stretch-{trace}-rt0.2", "single", delay_ms=40, trace=trace)
    yield SceneEntry(
        "known-lte-handover-rt0.2", "single", delay_ms=40, trace="lte-handover", known=True
    )
    for loss_db in (6, 12, 24):
        yield SceneEntry(f"line-{loss_db}db", "single", "line", return_loss_db=loss_db)
    yield SceneEntry("line-100ms", "single", "line", delay_ms=100)
    yield SceneEntry("line-g711", "single", "line", delay_ms=40, return_loss_db=10, g711=True)
    for ser_db in (-6, 0, 6):
        sign = {-6: "minus6", 0: "0", 6: "plus6"}[ser_db]
        for delay_ms in (0, 100):
            for rt in rooms:
                yield SceneEntry(
                    f"double-{sign}db-{delay_ms}ms-rt{rt}", "double", rt60_s=rt,
                    delay_ms=delay_ms, ser_db=ser_db,
                )  # fmt: skip
    yield SceneEntry("double-0db-strong", "double", delay_ms=100, clip="strong")
    yield SceneEntry("double-0db-noise55", "double", delay_ms=100, noise_dbfs=-55.0)
    yield SceneEntry("double-0db-drift100", "double", delay_ms=100, drift_ppm=100)
    yield SceneEntry("double-0db-jump", "double", delay_ms=100, jump_to_ms=180)
    yield SceneEntry("double-0db-early", "double", delay_ms=100, early=True)
    yield SceneEntry("double-line", "double", "line", ser_db=6.0, return_loss_db=12)
    yield SceneEntry("double-no-echo", "double", "none")
    yield SceneEntry("near-alone", "near", "none")


SCENES: dict[str, SceneEntry] = {entry.name: entry for entry in _entries()}
QUICK = (
    "single-0ms-rt0.2",
    "single-250ms-rt0.4",
    "jump-100-180-rt0.2",
    "drift-100-rt0.2",
    "double-0db-0ms-rt0.2",
    "double-minus6db-100ms-rt0.4",
    "double-no-echo",
    "near-alone",
    "line-12db",
)
