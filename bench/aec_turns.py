"""Two who take turns, and no echo: what does the canceller take from the caller?

    python -m bench.aec_turns [--seeds 12] [--minutes 2] [--json]

Recorded prompts of two voices at -24 dBFS in turns of one prompt and more, 0.2 to 0.9 s apart, the
caller over line noise at -60 dBFS, all in mu-law. Found: how often an echo was believed to be
there. What changed is against the caller, in dB below (median, and the worst conversation), and as
shares of the caller's 10 ms blocks louder than -50 dBFS: not bit for bit; softer by 3 dB.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.signal import resample_poly

from voicecore import EchoCanceller
from voicecore.media._g711 import G711
from voicecore.testing.echo_speech import FAR_VOICE, NEAR_VOICES, at_level, prompts

LEVEL_DBFS, NOISE_DBFS, LOUD_DBFS = -24.0, -60.0, -50.0
LONGEST_PROMPT_S = 8


def turns(seed: int, seconds: float, rate_hz: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The caller's and the agent's side, int16."""
    rng = np.random.default_rng([seed, 17])
    voices = rng.permutation([FAR_VOICE, *NEAR_VOICES])[:2]
    n = int(seconds * rate_hz)
    sides = [np.zeros(n), np.zeros(n)]
    at, turn = rate_hz // 2, 0
    while at < n - 2 * LONGEST_PROMPT_S * rate_hz:
        pool = prompts(str(voices[turn % 2]))
        end = at + rng.uniform(1.0, (6.0, 3.0)[turn % 2]) * rate_hz
        while at < end:
            said = pool[rng.integers(len(pool))][: LONGEST_PROMPT_S * 16000]
            said = at_level(resample_poly(said, rate_hz, 16000), rate_hz, LEVEL_DBFS)
            sides[turn % 2][at : at + len(said)] += said
            at += len(said)
        at += int(rng.uniform(0.2, 0.9) * rate_hz)
        turn += 1
    agent, caller = sides
    caller = caller + 10 ** (NOISE_DBFS / 20) * rng.standard_normal(n)
    codec = G711()

    def line(signal: NDArray[Any]) -> NDArray[Any]:
        pcm = np.rint(np.clip(signal, -1.0, 0.9999) * 32768).astype(np.int16)
        return codec.decode(codec.encode(pcm))

    return line(caller), line(agent)


def measure(seed: int, seconds: float, rate_hz: int) -> dict[str, float]:
    caller, agent = turns(seed, seconds, rate_hz)
    block, found, known, parts = rate_hz // 100, 0, None, []
    with EchoCanceller(rate_hz) as canceller:
        for at in range(0, len(caller) - block + 1, block):
            parts.append(canceller.process(caller[at : at + block], agent[at : at + block]))
            delay_ms = canceller.echo_delay_ms
            found += delay_ms is not None and (known is None or abs(delay_ms - known) > 3.0)
            known = delay_ms
    out = np.concatenate(parts)[block:].astype(float).reshape(-1, block)
    was = caller[: out.size].astype(float).reshape(-1, block)
    power = np.square(was).mean(axis=1)
    loud = power > (32768 * 10 ** (LOUD_DBFS / 20)) ** 2
    error = np.square(was - out).mean(axis=1)
    softer = np.square(out).mean(axis=1) < power * 10**-0.3
    return {
        "seed": seed,
        "found": found,
        "change_db": float(10 * np.log10((error[loud].mean() + 1e-9) / power[loud].mean())),
        "touched": float((error[loud] > 0).mean()),
        "softer": float(softer[loud].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate-hz", type=int, choices=(8000, 16000), default=8000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = [
        measure(seed, 60 * options.minutes, options.rate_hz)
        for seed in track(seeds, console=Console(stderr=True))
    ]
    if options.json:
        print(json.dumps(rows))
        return
    table = Table(title=f"{len(rows)} conversations of {options.minutes:g} min, no echo")
    for name in ("echoes found", "change, dB", "worst, dB", "not bit for bit", "softer by 3 dB"):
        table.add_column(name, justify="right")
    changes = [row["change_db"] for row in rows]
    table.add_row(
        str(sum(int(row["found"]) for row in rows)),
        f"{np.median(changes):.0f}",
        f"{max(changes):.0f}",
        f"{np.mean([row['touched'] for row in rows]):.4f}",
        f"{np.mean([row['softer'] for row in rows]):.5f}",
    )
    Console().print(table)


if __name__ == "__main__":
    main()
