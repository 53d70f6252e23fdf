"""Figures of a laboratory run: what was lost, how late it was, and what was possible.

Every figure is taken from the packets and the output, in the same way for every receiver:

missing: packets with audio that were sent and never played.
made up: output between the first and the last decoded sound that is not from packets, less the
    pauses in which the sender sent nothing.
added delay: of each packet played, from its own arrival until its first sample came out.
delay: of each packet played, from when it could have been there at best (sent, plus the shortest
    transit of the trace) until its first sample came out.
oracle: the smallest constant depth that would have had no more packets missing than the receiver
    had, knowing the future. It keeps the sender's clock, so it neither stretches nor drifts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError, MissingModelError
from voicecore.testing.lab import Result
from voicecore.testing.lab_load import Load

__all__ = ["DelayCourse", "Oracle", "Score", "delay_course", "oracle", "pesq_score", "score"]

_SEGMENT_S = 8
_QUIET = 30.0  # RMS of int16 below which a stretch holds no speech to be judged
_MARGIN_MS = 100


@dataclass(frozen=True, slots=True)
class Oracle:
    """A constant depth, and what it gives.

    Attributes:
        depth_ms: after the shortest transit.
        added_ms: mean wait of the packets played.
        missing_percent: packets lost or later than the depth.
    """

    depth_ms: float
    added_ms: float
    missing_percent: float


@dataclass(frozen=True)
class DelayCourse:
    """Each packet played, in order of playing.

    Attributes:
        out_ms: when its first sample came out.
        position: where it belongs.
        delay_ms: after it could have been there at best.
        added_ms: after it was there.
    """

    out_ms: NDArray[np.float64]
    position: NDArray[np.int64]
    delay_ms: NDArray[np.float64]
    added_ms: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one run; the module says what they mean. None: there is nothing to tell."""

    trace: str
    receiver: str
    sent_packets: int
    network_loss_percent: float
    missing_percent: float
    made_up_percent: float
    added_mean_ms: float | None
    added_p95_ms: float | None
    added_p99_ms: float | None
    delay_mean_ms: float | None
    delay_p95_ms: float | None
    depth_mean_ms: float | None
    oracle_depth_ms: float | None
    oracle_added_ms: float | None
    pesq_mos: float | None = None

    def to_json(self) -> dict[str, object]:
        """As plain data, rounded to what means something."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def delay_course(load: Load, result: Result) -> DelayCourse:
    """When each packet was played, by the positions of the chunks."""
    sent = load.sent
    known = np.flatnonzero((result.position >= 0) & (result.made_up < result.length))
    out_ns = np.full(len(sent), -1, np.int64)
    for chunk in known:
        span = _span(result, int(chunk))
        for row in range(*np.searchsorted(sent.position, [span.first, span.end])):
            if sent.lost[row] or result.out_ns[chunk] < sent.arrival_ns[row]:
                continue  # it cannot be in a chunk that was given out before it came
            into = int(sent.position[row]) - span.first
            lost = span.made_up > 0 and (
                span.made_up >= span.end - span.first - into and span.made_up_next >= into
            )
            if out_ns[row] < 0 and not lost:
                after = span.lead + into * span.stretch if result.paced else 0.0
                out_ns[row] = int(result.out_ns[chunk]) + round(after * 1e9 / result.rate_hz)
    played = np.flatnonzero(out_ns >= 0)
    ideal_ns = sent.sent_ns[played] + load.trace.base_ns
    return DelayCourse(
        out_ns[played] / 1e6,
        sent.position[played],
        (out_ns[played] - ideal_ns) / 1e6,
        (out_ns[played] - sent.arrival_ns[played]) / 1e6,
    )


class _Span(NamedTuple):
    """What of the speech a chunk holds: from ``first`` to ``end``, after ``lead`` samples.

    ``made_up`` of it and ``made_up_next`` of the next chunk stand for a lost packet's samples.
    """

    first: int
    end: int
    lead: int = 0
    stretch: float = 1.0
    made_up: int = 0
    made_up_next: int = 0


def _span(result: Result, chunk: int) -> _Span:
    """The part of the speech in a chunk, from its place and the next one's.

    A frame off the packets' beat may hold the end of one packet and the start of the next, and be
    made up in part. If the place goes on by a whole frame, that stands for a lost packet: one that
    starts in the frame is lost if as much is made up in it as lies behind the packet's start, and
    in the next frame as much as is left of the packet. If it goes on by less, the receiver ran dry,
    and by more, a pause ended: what is not made up lies before the next frame's place.
    """
    first, length = int(result.position[chunk]), int(result.length[chunk])
    made_up = int(result.made_up[chunk])
    following = made_up_next = -1
    if result.paced and chunk + 1 < len(result.position):
        following = int(result.position[chunk + 1])
        made_up_next = int(result.made_up[chunk + 1])
    if made_up and following >= 0 and following != first + length:
        dry_before = chunk > 0 and result.made_up[chunk - 1] > 0
        return _Span(following - (length - made_up), following, made_up if dry_before else 0)
    if made_up:
        return _Span(first, first + length, 0, 1.0, made_up, max(0, made_up_next))
    # A frame that was stretched or squeezed covers what lies before the next one; a step of two
    # frames is a packet left out.
    end = following if first < following < first + 2 * length else first + length
    return _Span(first, end, 0, length / (end - first))


def oracle(load: Load, missing_percent: float) -> Oracle | None:
    """The smallest constant depth with at most this loss; None if the network alone loses more."""
    sent = load.sent
    late_ms = np.sort(
        (sent.arrival_ns[~sent.lost] - sent.sent_ns[~sent.lost] - load.trace.base_ns) / 1e6
    )
    needed = int(np.ceil(len(sent) * (1.0 - missing_percent / 100.0) - 1e-6))
    if needed > len(late_ms):
        return None
    if needed <= 0:
        return Oracle(0.0, 0.0, 100.0)
    depth_ms = float(late_ms[needed - 1])
    played = late_ms[late_ms <= depth_ms]
    return Oracle(
        depth_ms,
        float((depth_ms - played).mean()),
        100.0 * (1.0 - len(played) / len(sent)),
    )


def score(load: Load, result: Result, *, with_pesq: bool = False) -> Score:
    """All figures of a run; PESQ (slow, and an optional package) only if asked for."""
    sent, course = load.sent, delay_course(load, result)
    missing = 100.0 * (1.0 - len(course.out_ms) / len(sent)) if len(sent) else 0.0
    best = oracle(load, missing)
    some = len(course.added_ms) > 0

    def quantile(values: NDArray[np.float64], share: float) -> float | None:
        return float(np.quantile(values, share)) if some else None

    depth_ms = result.depth_ms[~np.isnan(result.depth_ms)]
    return Score(
        trace=result.trace,
        receiver=result.receiver,
        sent_packets=len(sent),
        network_loss_percent=load.trace.loss_percent,
        missing_percent=missing,
        made_up_percent=_made_up_percent(load, result),
        added_mean_ms=float(course.added_ms.mean()) if some else None,
        added_p95_ms=quantile(course.added_ms, 0.95),
        added_p99_ms=quantile(course.added_ms, 0.99),
        delay_mean_ms=float(course.delay_ms.mean()) if some else None,
        delay_p95_ms=quantile(course.delay_ms, 0.95),
        depth_mean_ms=float(depth_ms.mean()) if len(depth_ms) else None,
        oracle_depth_ms=None if best is None else best.depth_ms,
        oracle_added_ms=None if best is None else best.added_ms,
        pesq_mos=pesq_score(load, result) if with_pesq else None,
    )


def _made_up_percent(load: Load, result: Result) -> float:
    decoded = np.flatnonzero(result.kind == "decoded")
    if not len(decoded):
        return 100.0
    inside = slice(int(decoded[0]), int(decoded[-1]) + 1)
    total = int(result.length[inside].sum())
    sent = load.sent
    low, high = int(result.position[decoded[0]]), int(result.position[decoded[-1]])
    between = (sent.position >= low) & (sent.position <= high) if low >= 0 else sent.audio
    covered = int(sent.samples[between].sum())
    first, last = sent.position[between][[0, -1]] if between.any() else (0, 0)
    pauses = max(0, int(last - first) + int(sent.samples[-1]) - covered)
    return 100.0 * max(0, int(result.made_up[inside].sum()) - pauses) / max(1, total)


# -- quality -------------------------------------------------------------------------------


def pesq_score(load: Load, result: Result) -> float | None:
    """Mean PESQ (ITU-T P.862 at 8 kHz, P.862.2 at 16 kHz) over stretches of 8 s of speech.

    Each stretch of the output is taken from where its first decoded sound was played; what moves
    within it PESQ aligns by itself. None if no stretch can be judged.

    Raises:
        MissingModelError: the package pesq is not installed.
        ConfigError: the sample rate is neither 8000 nor 16000.
    """
    try:
        import pesq
    except ImportError as error:
        raise MissingModelError(
            'PESQ needs the package pesq: pip install "voicecore-media[bench]", or --no-pesq'
        ) from error
    rate_hz = result.rate_hz
    if rate_hz not in (8000, 16000):
        raise ConfigError(f"PESQ judges 8000 and 16000 Hz, not {rate_hz}; leave it out")
    known = np.flatnonzero((result.kind == "decoded") & (result.position >= 0))
    # The time line of the output: where in it a position was played.
    place = result.position[known]
    index = result.start[known]
    margin = rate_hz * _MARGIN_MS // 1000
    found: list[float] = []
    for first in range(0, len(load.reference) - rate_hz, _SEGMENT_S * rate_hz):
        last = min(len(load.reference), first + _SEGMENT_S * rate_hz)
        low, high = max(0, first - margin), min(len(load.reference), last + margin)
        loudness = np.sqrt(np.mean(np.square(load.reference[first:last], dtype=np.float64)))
        if last - first < 2 * rate_hz or loudness < _QUIET:
            continue
        inside = np.flatnonzero((place >= first) & (place < last))
        if not len(inside):
            found.append(1.0)  # nothing was heard
            continue
        start = int(index[inside[0]] - (place[inside[0]] - low))
        end = int(index[inside[-1]] + result.length[known[inside[-1]]]) + high - last
        heard = result.audio[max(0, start) : max(end, start + high - low)]
        heard = np.concatenate([np.zeros(max(0, -start), np.int16), heard])
        if not heard.any():
            found.append(1.0)
            continue
        try:
            found.append(float(pesq.pesq(rate_hz, load.reference[low:high], heard, _band(rate_hz))))
        except (pesq.NoUtterancesError, pesq.BufferTooShortError):
            continue
    return float(np.mean(found)) if found else None


def _band(rate_hz: int) -> str:
    return "nb" if rate_hz == 8000 else "wb"
