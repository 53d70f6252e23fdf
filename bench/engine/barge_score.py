"""Scoring of the barge-in bench: pure functions of samples and times.

    onset_sample(clean)                  where speech begins in a clean recording
    audible(starts_ns, blocks)           when received audio can be heard
    silent_after(heard, onset_ns, ...)   when the agent fell silent
    pacing(streams, stalls)              how well packets keep their 20 ms

Times are ns of one clock, samples int16 at 8 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AUDIBLE", "Heard", "audible", "onset_sample", "pacing", "played", "quantiles",
           "silent_after"]  # fmt: skip

RATE_HZ = 8000
SAMPLE_NS = 1_000_000_000 // RATE_HZ
TICK_NS = 20_000_000
AUDIBLE = 104  # -50 dBFS

# Speech begins with the first 5 ms that are within 25 dB of the recording's active level, if three
# quarters of the 60 ms from there on are: a click or a breath before a word is not its onset.
_FRAME = RATE_HZ // 200
_BELOW_DB = 25.0
_FRAMES, _SHARE = 12, 0.75

# The agent is silent when nothing was to be heard for so long.
SILENCE_NS = 200_000_000
STALL_NS = 10_000_000

Heard = NDArray[np.int64]  # rows of start and end, sorted, of what can be heard


def onset_sample(clean: NDArray[Any], level_dbfs: float) -> int:
    """First sample of speech in a clean recording at 8 kHz, +-1, of that active level.

    Raises:
        ValueError: no stretch of it is speech by the rule.
    """
    count = len(clean) // _FRAME
    frames = np.asarray(clean[: count * _FRAME], np.float64).reshape(count, _FRAME)
    loud = np.square(frames).mean(axis=1) >= 10 ** ((level_dbfs - _BELOW_DB) / 10)
    for first in np.flatnonzero(loud):
        if loud[first : first + _FRAMES].sum() >= _SHARE * _FRAMES:
            return int(first) * _FRAME
    raise ValueError("nothing in the recording is loud enough for long enough to be speech")


def audible(starts_ns: NDArray[np.int64], blocks: Sequence[NDArray[np.int16]]) -> Heard:
    """From the first to the last sample at or above AUDIBLE of each block; none of silent ones."""
    found = []
    for start_ns, block in zip(starts_ns.tolist(), blocks, strict=True):
        loud = np.flatnonzero(np.abs(block.astype(np.int32)) >= AUDIBLE)
        if len(loud):
            found.append((start_ns + loud[0] * SAMPLE_NS, start_ns + (loud[-1] + 1) * SAMPLE_NS))
    return np.array(found, np.int64).reshape(-1, 2)


def played(
    arrivals_ns: NDArray[np.int64], lengths: NDArray[np.int64], clears_ns: Sequence[int]
) -> NDArray[np.int64]:
    """When a client that plays what it is sent, one after another, begins with each block.

    A clear empties its queue: what comes after it starts at once.
    """
    starts = np.empty(len(arrivals_ns), np.int64)
    free_ns, waiting = 0, list(clears_ns)[::-1]
    for i, (at_ns, length) in enumerate(zip(arrivals_ns.tolist(), lengths.tolist(), strict=True)):
        while waiting and waiting[-1] <= at_ns:
            free_ns = min(free_ns, waiting.pop())
        starts[i] = max(at_ns, free_ns)
        free_ns = int(starts[i]) + length * SAMPLE_NS
    return starts


def silent_after(
    heard: Heard, onset_ns: int, until_ns: int, clear_ns: int | None = None
) -> tuple[str, int]:
    """What became of a trial and, if the agent fell silent, when its last sample was heard.

    "stopped": nothing was heard for 200 ms from then on. With ``clear_ns``, when the client was
    told to throw away what it holds, the last sample before that counts, although silence because
    nothing came may have been longer.
    "silent": the agent was not to be heard in the 200 ms before the onset, so this is no trial.
    "missed": it was still to be heard at ``until_ns``, or no clear came for what it queued.
    """
    starts, ends = heard[:, 0], heard[:, 1]
    if not np.any((starts <= onset_ns) & (ends > onset_ns - SILENCE_NS)):
        return "silent", 0
    if clear_ns is not None:
        before = heard[starts < clear_ns]
        return "stopped", int(min(before[:, 1].max(), clear_ns))
    later = heard[(ends > onset_ns - SILENCE_NS) & (starts < until_ns)]
    next_ns = np.append(later[1:, 0], until_ns)
    quiet = np.flatnonzero((next_ns - later[:, 1] >= SILENCE_NS) & (next_ns > onset_ns))
    if not len(quiet):
        return "missed", 0
    return "stopped", int(later[quiet[0], 1])


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the greatest; nothing of nothing."""
    if not len(values):
        return {}
    found = np.percentile(np.asarray(values, float), [50, 95, 99, 100])
    return dict(zip(("p50", "p95", "p99", "max"), found.tolist(), strict=True))


def stalls(due_ns: NDArray[np.int64], sent_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of start and end, merged, in which the callers' process itself did nothing: what it sent
    more than 10 ms late was due in them. Then the machine stood still, not the agent."""
    late = sent_ns - due_ns > STALL_NS
    found: list[list[int]] = []
    for begin, end in sorted(zip(due_ns[late].tolist(), sent_ns[late].tolist(), strict=True)):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return np.array(found, np.int64).reshape(-1, 2)


def pacing(streams: Sequence[NDArray[np.int64]], machine: NDArray[np.int64]) -> dict[str, float]:
    """Distances of consecutive packets, each stream in order: deviation from 20 ms, and gaps.

    "own": without the distances that overlap a stall of the machine.
    """
    pairs = [np.column_stack([times[:-1], times[1:]]) for times in streams if len(times) > 1]
    if not pairs:
        return {}
    begin, end = np.concatenate(pairs).T
    first = np.searchsorted(machine[:, 1], begin)  # of the stalls that end later
    limit = np.append(machine[:, 0], np.iinfo(np.int64).max)[first]
    own = limit >= end
    away_ms = np.abs(end - begin - TICK_NS) / 1e6
    gaps = end - begin > 2 * TICK_NS
    p50, p999, most = np.percentile(away_ms, [50, 99.9, 100]).tolist()
    return {
        "packets": len(begin),
        "deviation_ms_p50": p50,
        "deviation_ms_p999": p999,
        "deviation_ms_max": most,
        "own_deviation_ms_p999": float(np.percentile(away_ms[own], 99.9)) if own.any() else 0.0,
        "gaps_over_40_ms": int(gaps.sum()),
        "own_gaps_over_40_ms": int((gaps & own).sum()),
        "longest_gap_ms": float((end - begin).max() / 1e6),
    }
