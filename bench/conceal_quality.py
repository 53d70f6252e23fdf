"""PESQ of concealment on speech: from both sides, from one, silence, ITU-T G.711 Appendix I.

    python bench/conceal_quality.py              every condition, 4 seeds (some minutes)
    python bench/conceal_quality.py --seeds 1
    python bench/conceal_quality.py --speech DIRECTORY --pieces 20      other speech

G.711 at 8 kHz, packets of 20 ms, pieces of 8 s with losses of their own. Unless told otherwise the
fifteen pieces of tests/loss.py, on which the constants of one-sided concealment were tuned.
--speech: every .wav, .flac and .g722 (raw, 64 kbit/s) file below a directory in the order of the
names, joined; --pieces of it at even distances.
PESQ is ITU-T P.862 narrow band (package pesq), against the speech before coding. "one side": the
same losses with packets of 10 ms, where too little of what follows a gap is there in time.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from pesq import pesq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import appendix_i
from tests.audio import resample
from tests.loss import RATE_HZ, concealed, decoded, losses, pieces_of, silenced, speech_pieces
from voicecore import Decoder

PACKETS = 400
CONDITIONS = ((0.01, 1), (0.05, 1), (0.10, 1), (0.05, 2), (0.05, 3))

Samples = npt.NDArray[np.int16]


def read_speech(path: Path) -> npt.NDArray[np.float32]:
    if path.suffix == ".g722":
        samples, rate_hz = Decoder("g722", 16000).decode(path.read_bytes()) / 32768, 16000
    else:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        samples = samples[:, 0]
    return resample(samples, rate_hz, RATE_HZ)


def other_speech(directory: Path, pieces: int) -> list[Samples]:
    paths = [p for p in sorted(directory.rglob("*")) if p.suffix in (".wav", ".flac", ".g722")]
    found = pieces_of(np.concatenate([read_speech(path) for path in paths]))
    return [found[n * len(found) // pieces] for n in range(min(pieces, len(found)))]


def scores(job: tuple[Samples, float, int, int]) -> list[float]:
    sent, rate, burst, seed = job
    lost = losses(PACKETS, rate, burst, seed)
    clean = decoded(sent)
    heard = (
        clean,
        silenced(sent, lost),
        appendix_i.conceal(clean, lost),
        concealed(sent, lost, parts=2),
        concealed(sent, lost),
    )
    return [float(pesq(RATE_HZ, sent / 32768, one / 32768, "nb")) for one in heard]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--speech", type=Path, help="a directory of recordings")
    parser.add_argument("--pieces", type=int, default=20)
    options = parser.parse_args()
    if options.speech:
        pieces = other_speech(options.speech, options.pieces)
    else:
        pieces = [piece for _, piece in speech_pieces()]
    print(f"{len(pieces)} pieces, {options.seeds} seeds")
    print(f"{'loss':14} {'no loss':>8} {'silence':>8} {'App. I':>8} {'one side':>8} {'ours':>8}"
          f" {'over silence':>13} {'over App. I':>12}  worst piece over App. I")  # fmt: skip
    with ProcessPoolExecutor() as pool:
        for rate, burst in CONDITIONS:
            jobs = [
                (sent, rate, burst, 1000 * seed + number)
                for seed in range(options.seeds)
                for number, sent in enumerate(pieces)
            ]
            table = np.array(list(pool.map(scores, jobs)))
            clean, silence, appendix, one_side, ours = table.mean(axis=0)
            name = f"{rate:.0%}" + (f" in {20 * burst} ms" if burst > 1 else "")
            worst = (table[:, 4] - table[:, 2]).reshape(options.seeds, -1).mean(axis=0).min()
            print(f"{name:14} {clean:8.3f} {silence:8.3f} {appendix:8.3f} {one_side:8.3f}"
                  f" {ours:8.3f} {ours - silence:+13.3f} {ours - appendix:+12.3f}  {worst:+.3f}",
                  flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
