"""DtmfDetector against spandsp (libspandsp2 of Debian, LGPL, by ctypes), and scipy's lfilter.

    python bench/bench_dtmf.py

One run, two tables: digits found and false for the same audio, and microseconds of processor time
per 20 ms at 8 kHz, rounds interleaved, medians. Ours includes the Python call and spandsp's a
ctypes call; with a second of audio a call these do not count. lfilter runs eight Goertzel
recursions and decides nothing. Without libspandsp2 (apt install libspandsp2) its columns are left
out. Speech comes from the packages of the demo extra.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import statistics
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

import voicecore

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import audio

ROUNDS = 31
KEYS = "123A456B789C*0#D"
LOW_HZ, HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
PEAK_0DBM0 = 32768 * 10 ** (-3.14 / 20)
Shorts = NDArray[np.int16]


class Spandsp:
    """Its DTMF receiver with its own defaults."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        library.dtmf_rx_init.restype = ctypes.c_void_p
        library.dtmf_rx_get.restype = ctypes.c_size_t
        self.state = ctypes.c_void_p(library.dtmf_rx_init(None, None, None))
        self.text = ctypes.create_string_buffer(129)

    def process(self, x: Shorts) -> str:
        self.library.dtmf_rx(self.state, ctypes.c_void_p(x.ctypes.data), len(x))
        n = self.library.dtmf_rx_get(self.state, self.text, 128)
        return self.text.raw[:n].decode()


def spandsp() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("spandsp")
    return ctypes.CDLL(name) if name else None


def ours(x: Shorts) -> str:
    detector = voicecore.DtmfDetector(8000)
    frames = [tone for at in range(0, len(x), 160) for tone in detector.process(x[at : at + 160])]
    return "".join(t.digit for t in [*frames, *detector.flush()] if t.kind == "pressed")


def theirs(library: ctypes.CDLL, x: Shorts) -> str:
    receiver = Spandsp(library)
    padded = np.concatenate([x, np.zeros(800, np.int16)])
    return "".join(receiver.process(padded[at : at + 160]) for at in range(0, len(padded), 160))


def dialled(digit: str, rng: np.random.Generator, **case: float) -> Shorts:
    """One digit with silence around it, at a random phase."""
    row, column = divmod(KEYS.index(digit), 4)
    way = rng.choice([-1, 1], 2)
    off = case.get("off_percent", 0.0) / 100
    t = 2 * np.pi * np.arange(round(8 * case.get("ms", 50))) / 8000
    level = case.get("level_dbm0", -12)
    low = np.sin(t * LOW_HZ[row] * (1 + way[0] * off) + rng.uniform(0, 6.3))
    high = np.sin(t * HIGH_HZ[column] * (1 + way[1] * off) + rng.uniform(0, 6.3))
    x = PEAK_0DBM0 * 10 ** (level / 20) * (low + 10 ** (case.get("twist_db", 0) / 20) * high)
    x = np.concatenate([np.zeros(400 + int(rng.integers(200))), x, np.zeros(600)])
    if "snr_db" in case:
        power = PEAK_0DBM0**2 * 10 ** (level / 10) / 2 * (1 + 10 ** (case.get("twist_db", 0) / 10))
        x += rng.standard_normal(len(x)) * np.sqrt(power * 10 ** (-case["snr_db"] / 10))
    if "dial_db" in case:
        n = 2 * np.pi * np.arange(len(x)) / 8000
        dial = PEAK_0DBM0 * 10 ** ((level + case["dial_db"]) / 20)
        x += dial * (np.sin(350 * n) + np.sin(440 * n))
    return np.clip(np.round(x), -32768, 32767).astype(np.int16)


CASES: list[tuple[str, bool, dict[str, float]]] = [
    ("50 ms", True, {}),
    ("40 ms", True, {"ms": 40}),
    ("40 ms, off by 1.5 %", True, {"ms": 40, "off_percent": 1.5}),
    ("twist +6 dB", True, {"twist_db": 6}),
    ("twist -10 dB", True, {"twist_db": -10}),
    ("-35 dBm0", True, {"level_dbm0": -35}),
    ("noise 15 dB below, 40 ms", True, {"ms": 40, "snr_db": 15}),
    ("noise 12 dB below, 40 ms", True, {"ms": 40, "snr_db": 12}),
    ("noise 9 dB below", True, {"snr_db": 9}),
    ("dial tone as loud", True, {"dial_db": 0}),
    ("off by 3.5 %: refuse", False, {"off_percent": 3.5}),
    ("20 ms: refuse", False, {"ms": 20}),
    ("-55 dBm0: refuse", False, {"level_dbm0": -55}),
]


def quality(library: ctypes.CDLL | None) -> None:
    print(f"{'found of 320 digits':34}{'voicecore':>12}{'spandsp':>12}")
    for name, wanted, case in CASES:
        rng = np.random.default_rng(7)
        found = [0, 0]
        for digit in KEYS * 20:
            x = dialled(digit, rng, **case)
            found[0] += ours(x) == digit
            found[1] += library is not None and theirs(library, x) == digit
        assert not wanted or case.get("snr_db", 20) < 12 or found[0] == 320, name
        print(f"{name:34}{found[0]:12}{found[1] if library else '-':>12}")
    seconds, false = 0.0, [0, 0]
    for clip in speech():
        seconds += len(clip) / 8000
        false[0] += len(ours(clip))
        false[1] += len(theirs(library, clip)) if library else 0
    name = f"false in {seconds / 60:.0f} min of speech"
    print(f"{name:34}{false[0]:12}{false[1] if library else '-':>12}")


def speech() -> list[Shorts]:
    """The corpus, and its voices at other speeds."""
    clips = [np.asarray(clip.samples) for clip in audio.corpus(8000)]
    for voice in [*(audio.speech(n, 16000) for n in audio.REAL), audio.synthetic_speech(16000)]:
        for percent in range(72, 140, 5):
            ratio = Fraction(percent, 200)
            clips.append(resample_poly(voice, ratio.numerator, ratio.denominator))
    return [np.clip(x * 32767, -32768, 32767).astype(np.int16) for x in clips]


def goertzel(x: NDArray[np.float64], hz: tuple[int, ...]) -> list[float]:
    """Eight powers of a block, by scipy.signal.lfilter as the recursion."""
    powers = []
    for f in hz:
        c = 2 * np.cos(2 * np.pi * f / 8000)
        s = lfilter([1.0], [1.0, -c, 1.0], x)
        powers.append(float(s[-1] ** 2 + s[-2] ** 2 - c * s[-1] * s[-2]))
    return powers


def timed(work: Callable[[], object], calls: int) -> float:
    work()
    start = time.thread_time()
    for _ in range(calls):
        work()
    return 1e6 * (time.thread_time() - start) / calls


def speed(library: ctypes.CDLL | None) -> None:
    voice = np.clip(audio.speech("two_cities", 8000) * 32767, -32768, 32767).astype(np.int16)
    digits = voicecore.dtmf_tones(KEYS * 10, 8000)
    print(
        f"\n{'us per 20 ms at 8 kHz':34}{'voicecore':>12}{'spandsp':>12}{'ratio':>8}{'lfilter':>10}"
    )
    for name, x in (("speech", voice), ("digits", digits)):
        for block in (160, 8000):
            detector = voicecore.DtmfDetector(8000)
            receiver = Spandsp(library) if library else None
            blocks = [x[at : at + block] for at in range(0, len(x) - block, block)]
            rows: dict[str, list[float]] = {"ours": [], "theirs": [], "lfilter": []}
            work: dict[str, Callable[[], Any]] = {
                "ours": lambda d=detector, b=blocks: [d.process(part) for part in b],
                "lfilter": lambda b=blocks: [goertzel(p, LOW_HZ + HIGH_HZ) for p in b[:20]],
            }
            if receiver:
                work["theirs"] = lambda r=receiver, b=blocks: [r.process(part) for part in b]
            for _ in range(ROUNDS):
                for key, step in work.items():
                    count = 20 if key == "lfilter" else len(blocks)
                    rows[key].append(timed(step, 1) / (min(count, len(blocks)) * block / 160))
            us = {key: statistics.median(values) for key, values in rows.items() if values}
            peer = f"{us['theirs']:12.2f}{us['theirs'] / us['ours']:7.1f}x" if receiver else "   -"
            label = f"{name}, {block // 8} ms a call"
            print(f"{label:34}{us['ours']:12.2f}{peer}{us['lfilter']:10.1f}")


if __name__ == "__main__":
    peer = spandsp()
    quality(peer)
    speed(peer)
