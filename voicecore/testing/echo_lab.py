"""Runs of the echo laboratory: scenes through cancellers, one after the other or two at a time.

    for result in run_jobs([Job("near-alone", cancellers=("none", "speex"))], jobs=2):
        for score in result.scores:
            print(score.canceller, score.pesq_mos)

Nothing sleeps and no clock is read: equal jobs give equal results, whatever runs beside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.testing.echo_peers import CANCELLERS, make_canceller, missing_cancellers
from voicecore.testing.echo_scenes import SCENES, Scene, SceneEntry, make_scene
from voicecore.testing.echo_score import EchoScore, cancelled, erle_course, score
from voicecore.testing.wavfiles import load_speech

__all__ = [
    "Job",
    "Outcome",
    "default_cancellers",
    "default_jobs",
    "names_like",
    "run_job",
    "run_jobs",
]

Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Job:
    """A scene, and what to run on it.

    Attributes:
        entry: the scene, or its name.
        seed, rate_hz, seconds: as of ``make_scene``.
        cancellers: names of ``echo_peers.CANCELLERS``.
        with_pesq: PESQ too.
        keep: give the signals and the outputs back as well.
        far, near: audio files with other speech for either end.
    """

    entry: str | SceneEntry
    seed: int = 1
    rate_hz: int | None = None
    seconds: float = 40.0
    cancellers: tuple[str, ...] = ("none", "ideal")
    with_pesq: bool = True
    keep: bool = False
    far: Path | None = None
    near: Path | None = None

    @property
    def name(self) -> str:
        """The scene's."""
        return self.entry if isinstance(self.entry, str) else self.entry.name


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: as it was given.
        entry: the scene's.
        scores: one for each canceller.
        state_bytes: of each canceller that tells.
        late_change: of each canceller, whether its output differed from the microphone after 1 s.
        scene: the signals; None unless kept.
        outputs: each canceller's, its delay taken off; empty unless kept.
        courses: ERLE over time of each canceller (seconds, dB); empty unless kept.
    """

    job: Job
    entry: SceneEntry
    scores: tuple[EchoScore, ...]
    state_bytes: dict[str, int]
    late_change: dict[str, bool]
    scene: Scene | None = None
    outputs: dict[str, Pcm] = field(default_factory=dict)
    courses: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=dict
    )


def default_cancellers(peers: bool = True) -> tuple[str, ...]:
    """Names of all that can be used here."""
    missing = missing_cancellers()
    here = [name for name in CANCELLERS if name not in missing]
    return tuple(name for name in here if peers or name in ("none", "ideal", "voicecore"))


def default_jobs() -> int:
    """Two if there are two cores, else one."""
    return min(2, os.cpu_count() or 1)


def run_job(job: Job) -> Outcome:
    """Make the scene and run every canceller on it.

    Raises:
        VoicecoreError: a name is unknown, or something that it takes is not installed.
    """
    entry = SCENES.get(job.name) if isinstance(job.entry, str) else job.entry
    rate_hz = job.rate_hz or (8000 if entry is not None and entry.path == "line" else 16000)
    scene = make_scene(
        job.entry,
        seed=job.seed,
        rate_hz=rate_hz,
        seconds=job.seconds,
        far=None if job.far is None else load_speech(job.far, rate_hz),
        near=None if job.near is None else load_speech(job.near, rate_hz),
    )
    ideal = score(scene, scene.ideal, "ideal", with_pesq=job.with_pesq)
    scores: list[EchoScore] = []
    state_bytes: dict[str, int] = {}
    late_change: dict[str, bool] = {}
    outputs: dict[str, Pcm] = {}
    courses = {}
    for name in job.cancellers:
        canceller = make_canceller(name, scene)
        out = cancelled(scene, canceller)
        scores.append(
            ideal
            if name == "ideal"
            else score(
                scene,
                out,
                name,
                delay_samples=canceller.delay_samples,
                with_pesq=job.with_pesq,
                ideal=ideal,
            )
        )
        told = getattr(canceller, "state_bytes", None)
        if told is not None:
            state_bytes[name] = int(told)
        late_change[name] = not np.array_equal(out[scene.rate_hz :], scene.mic[scene.rate_hz :])
        if job.keep:
            outputs[name] = out
            courses[name] = erle_course(scene, out)
    kept = scene if job.keep else None
    return Outcome(
        job, scene.entry, tuple(scores), state_bytes, late_change, kept, outputs, courses
    )


def run_jobs(todo: Sequence[Job], jobs: int = 1) -> Iterator[Outcome]:
    """All jobs in their order, in up to so many processes."""
    if jobs <= 1 or len(todo) <= 1:
        yield from map(run_job, todo)
        return
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(run_job, todo)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def names_like(patterns: Sequence[str]) -> tuple[str, ...]:
    """The scenes whose names match one of these (shell patterns), in the catalogue's order.

    Raises:
        ConfigError: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in SCENES):
            raise ConfigError(
                f"scene {pattern!r} is unknown; use one of {', '.join(SCENES)}, or a pattern of "
                "them, as 'double-0db-*'"
            )
    return tuple(name for name in SCENES if any(fnmatchcase(name, p) for p in patterns))
