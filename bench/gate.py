"""The barge-in gate's rule and the VAD's memory: how late, and how often wrong.

    python -m bench.gate [--json]          some three minutes; fetches sounds on the first run

Onsets: the recorded prompts of three voices, each behind 1 or 4 s of line noise (-65 dBFS) after
another prompt, at -40 to -20 dBFS, in mu-law. Late is from the first 10 ms within 20 dB of the
active level to the end of the window in which the rule fires. Wrong: sounds that are no voice
(Debian's sonic-pi-samples and sound-theme-freedesktop), white noise, hold music (Debian's
asterisk-moh-opsound-g722) and the babble of twelve voices. Rules: n windows in a row at or above
0.5 with Silero's hysteresis, and the cumulative sum of csrc/vad/vc_gate.h; memory: Silero's own,
or cleared and left alone in silence as csrc/vad/vc_background.h
says.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from voicecore.media._codec import Decoder
from voicecore.media._g711 import G711
from voicecore.media._resample import Resampler
from voicecore.media._silero import SileroVad
from voicecore.testing.echo_speech import (
    NEAR_VOICES,
    active_level_dbfs,
    at_level,
    cache_folder,
    far_speech,
    near_speech,
    prompts,
)

RATE_HZ, WINDOW = 8000, 256
QUIET, SOFT, STEADY, RESTING = 3.16e-7, 1e-5, 1.6, 8
PACKAGES = ("sonic-pi-samples", "sound-theme-freedesktop", "asterisk-moh-opsound-g722")
Signal = NDArray[np.float64]
Rule = Callable[[NDArray[np.float64], int], int | None]


def fetched() -> Path:
    """Where the sounds are; Debian's packages, unpacked into the cache folder."""
    target = cache_folder() / "gate-sounds"
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
        for deb in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", deb, target], check=True)
    return target


def to_line(signal: Signal, rate_hz: int) -> Signal:
    if rate_hz == RATE_HZ:
        return signal
    resampler: Any = Resampler(rate_hz, RATE_HZ)
    pcm = np.rint(signal * 32767).clip(-32768, 32767).astype(np.int16)
    return np.concatenate([resampler.process(pcm), resampler.flush()]) / 32768.0


def sounds() -> list[tuple[str, Signal]]:
    """Whatever is no voice, 10 s of each at most."""
    import soundfile
    from scipy.signal import resample_poly

    found = []
    for path in sorted([*fetched().rglob("*.flac"), *fetched().rglob("*.oga")]):
        if "audio-channel" in path.name:  # says where the loudspeaker is
            continue
        signal, rate_hz = soundfile.read(path, frames=-1, always_2d=True)
        mono = signal.mean(axis=1)[: 10 * rate_hz]
        if rate_hz == 96000:  # the resampler begins at 48000
            mono, rate_hz = resample_poly(mono, 1, 2), 48000
        found.append((path.stem, to_line(mono, rate_hz)))
    return found


def hold_music() -> Signal:
    parts = []
    for path in sorted(fetched().rglob("*.g722")):
        with Decoder("g722", 16000) as decoder:
            parts.append(decoder.decode(path.read_bytes()[: 8000 * 120]) / 32768.0)
    return to_line(np.concatenate(parts), 16000)


def babble(rng: np.random.Generator, seconds: float) -> Signal:
    voices = [near_speech(rng, RATE_HZ, seconds, -26.0, voice=v) for v in NEAR_VOICES * 2]
    return np.sum([*voices, *(far_speech(rng, RATE_HZ, seconds, -26.0) for _ in range(6))], axis=0)


def on_line(signal: Signal, rng: np.random.Generator) -> NDArray[np.int16]:
    codec = G711()
    noisy = signal + 10 ** (-65 / 20) * rng.standard_normal(len(signal))
    pcm = np.rint(np.clip(noisy, -1.0, 0.9999) * 32768).astype(np.int16)
    return codec.decode(codec.encode(pcm))


def probabilities(pcm: NDArray[np.int16], *, rests: bool) -> NDArray[np.float64]:
    """One a window; rests: with csrc/vad/vc_background.h, as the engine does it."""
    vad = SileroVad(RATE_HZ)
    found, low, high, silent = [], math.inf, 0.0, 0
    for at in range(0, len(pcm) - WINDOW + 1, WINDOW):
        window = pcm[at : at + WINDOW]
        power = float(np.square(window / 32768.0).mean())
        least, most = min(low, power), max(high, power)
        fits = most < QUIET or most <= STEADY * least
        if rests and fits and silent >= (10 if high < SOFT else 31) + RESTING:
            found.append(0.0)
        else:
            found.append(float(np.ravel(vad.process(window))[0]))
        if found[-1] >= 0.3:
            low, high, silent = math.inf, 0.0, 0
            continue
        if not fits:
            least, most, silent = power, power, 0
        low, high, silent = least, most, silent + 1
        if rests and silent == (10 if high < SOFT else 31):
            vad.reset()
    return np.array(found)


def in_a_row(count: int) -> Rule:
    def rule(p: NDArray[np.float64], first: int) -> int | None:
        row = 0
        for k in range(first, len(p)):
            row = row + 1 if p[k] >= 0.5 or (row and p[k] >= 0.35) else 0
            if row >= count:
                return k
        return None

    return rule


def cumulative_sum(neutral: float, evidence: float) -> Rule:
    def rule(p: NDArray[np.float64], first: int) -> int | None:
        total = 0.0
        odds = np.log(p.clip(1e-4, 1 - 1e-4) / (1 - p).clip(1e-4, 1 - 1e-4))
        steps = np.clip(odds - math.log(neutral / (1 - neutral)), -2.0, 2.0)
        for k in range(first, len(p)):
            total = max(0.0, total + steps[k])
            if total >= evidence and steps[k] > 0:
                return k
        return None

    return rule


RULES = {
    "3 windows in a row": in_a_row(3),
    "2 windows in a row": in_a_row(2),
    "sum, neutral 0.27": cumulative_sum(0.27, 2.0),
    "sum, neutral 0.38": cumulative_sum(0.38, 2.0),
    "sum, neutral 0.50": cumulative_sum(0.5, 2.0),
}


def onsets(gap_s: float, seed: int) -> list[tuple[NDArray[np.int16], int, int]]:
    """Audio, where its last pause begins and where the onset is, in samples."""
    rng = np.random.default_rng([seed, 7])
    found, frame = [], RATE_HZ // 100
    for voice in NEAR_VOICES:
        before = np.zeros(0)
        for prompt in prompts(voice)[::2]:
            said = to_line(prompt, 16000)[: 2 * RATE_HZ]
            said = at_level(said, RATE_HZ, float(rng.uniform(-40.0, -20.0)))
            level = 10 ** ((active_level_dbfs(said, RATE_HZ) - 20) / 10)
            frames = said[: len(said) // frame * frame].reshape(-1, frame)
            begin = int(np.flatnonzero(np.square(frames).mean(axis=1) > level)[0]) * frame
            pause = np.zeros(int(gap_s * RATE_HZ) + int(rng.integers(0, RATE_HZ)))
            signal = np.concatenate([np.zeros(RATE_HZ // 2), before, pause, said])
            quiet = len(signal) - len(said) - RATE_HZ // 2
            found.append((on_line(signal, rng), quiet, len(signal) - len(said) + begin))
            before = said
    return found


def per_minute(rule: Rule, p: NDArray[np.float64]) -> float:
    fires, k = 0, 0
    while (at := rule(p, k)) is not None:
        fires, k = fires + 1, at + 20
    return fires / (len(p) * WINDOW / RATE_HZ / 60)


def measure(seed: int, console: Console) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    groups = {gap_s: onsets(gap_s, seed) for gap_s in (1.0, 4.0)}
    others = []
    for _, signal in sounds():
        lead = np.zeros(3 * RATE_HZ + int(rng.integers(0, RATE_HZ)))
        loud = at_level(signal, RATE_HZ, float(rng.uniform(-40.0, -15.0)))
        others.append(on_line(np.concatenate([lead, loud, np.zeros(RATE_HZ // 2)]), rng))
    long = {
        "music": on_line(at_level(hold_music(), RATE_HZ, -26.0), rng),
        "babble -30": on_line(at_level(babble(rng, 120.0), RATE_HZ, -30.0), rng),
        "white -40": on_line(0.01 * rng.standard_normal(300 * RATE_HZ), rng),
    }
    rows: list[dict[str, Any]] = []
    for rests in (False, True):
        name = "rests in silence" if rests else "Silero's own"
        heard = {
            gap_s: [
                (probabilities(pcm, rests=rests), quiet, onset)
                for pcm, quiet, onset in track(group, f"{name}, {gap_s:g} s", console=console)
            ]
            for gap_s, group in groups.items()
        }
        wrong = [probabilities(pcm, rests=rests) for pcm in track(others, name, console=console)]
        on = {kind: probabilities(pcm, rests=rests) for kind, pcm in long.items()}
        for rule_name, rule in RULES.items():
            row: dict[str, Any] = {"memory": name, "rule": rule_name}
            for gap_s, trials in heard.items():
                late = []
                for p, quiet, onset in trials:
                    at = rule(p, quiet // WINDOW)
                    late.append(math.inf if at is None else ((at + 1) * WINDOW - onset) / 8)
                for share in (0.5, 0.95):
                    row[f"p{share * 100:.0f} after {gap_s:g} s, ms"] = float(
                        np.quantile(late, share, method="higher")
                    )
            row["sounds"] = float(np.mean([rule(p, 0) is not None for p in wrong]))
            row |= {f"{kind} a minute": per_minute(rule, p) for kind, p in on.items()}
            rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    console = Console(stderr=True)
    rows = measure(args.seed, console)
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table(title="ms from the onset to the rule's decision; share and number of false ones")
    for name in rows[0]:
        text = name in ("memory", "rule")
        table.add_column(name, justify="left" if text else "right", no_wrap=text)
    for row in rows:
        table.add_row(
            *(
                v if isinstance(v, str) else f"{v:.0f}" if k.endswith("ms") else f"{v:.3f}"
                for k, v in row.items()
            )
        )
    Console(width=160).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
