"""PESQ of concealment on speech: ours, silence, ITU-T G.711 Appendix I.

    python bench/conceal_quality.py              every condition, 4 seeds (some minutes)
    python bench/conceal_quality.py --seeds 1

G.711 at 8 kHz, packets of 20 ms, twelve pieces of 8 s (tests/loss.py) with losses of their own.
PESQ is ITU-T P.862 narrow band (package pesq), against the speech before coding. "before" is the
pitch repetition that voicecore had before, with the losses of 4 seeds.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pesq import pesq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import appendix_i
from tests.loss import RATE_HZ, concealed, decoded, losses, silenced, speech_pieces

PACKETS = 400
CONDITIONS = ((0.01, 1), (0.05, 1), (0.10, 1), (0.05, 2), (0.05, 3))
BEFORE = {(0.01, 1): 4.135, (0.05, 1): 3.534, (0.10, 1): 3.075, (0.05, 2): 3.436, (0.05, 3): 3.476}

Samples = npt.NDArray[np.int16]


def scores(job: tuple[Samples, float, int, int]) -> tuple[float, float, float, float]:
    sent, rate, burst, seed = job
    lost = losses(PACKETS, rate, burst, seed)
    clean = decoded(sent)
    heard = (clean, silenced(sent, lost), appendix_i.conceal(clean, lost), concealed(sent, lost))
    found = [float(pesq(RATE_HZ, sent / 32768, one / 32768, "nb")) for one in heard]
    return found[0], found[1], found[2], found[3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    seeds = parser.parse_args().seeds
    pieces = speech_pieces()
    print(f"{'loss':14} {'no loss':>8} {'silence':>8} {'App. I':>8} {'before':>8} {'ours':>8}"
          f" {'over silence':>13} {'over App. I':>12}  worst piece over App. I")  # fmt: skip
    with ProcessPoolExecutor() as pool:
        for rate, burst in CONDITIONS:
            jobs = [
                (sent, rate, burst, 1000 * seed + number)
                for seed in range(seeds)
                for number, (_, sent) in enumerate(pieces)
            ]
            table = np.array(list(pool.map(scores, jobs)))
            clean, silence, appendix, ours = table.mean(axis=0)
            name = f"{rate:.0%}" + (f" in {20 * burst} ms" if burst > 1 else "")
            before = BEFORE.get((rate, burst), float("nan"))
            worst = (table[:, 3] - table[:, 2]).reshape(seeds, -1).mean(axis=0).min()
            print(f"{name:14} {clean:8.3f} {silence:8.3f} {appendix:8.3f} {before:8.3f} {ours:8.3f}"
                  f" {ours - silence:+13.3f} {ours - appendix:+12.3f}  {worst:+.3f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
