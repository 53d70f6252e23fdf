"""Concealment on speech, through the jitter buffer in listen mode.

Oracles: PESQ (ITU-T P.862, the package pesq) against silence and against ITU-T G.711 Appendix I as
tests/appendix_i.py restates it; the signal's own steps. The arithmetic is tested in
tests/native/test_conceal.c.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pesq import pesq

from tests import appendix_i
from tests.loss import FRAME, RATE_HZ, concealed, decoded, losses, silenced, speech_pieces

PACKETS = 400


def score(sent: npt.NDArray[np.int16], heard: npt.NDArray[np.int16]) -> float:
    return float(pesq(RATE_HZ, sent / 32768, heard / 32768, "nb"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "burst", "above_silence", "above_appendix"),
    [(0.05, 1, 0.35, 0.0), (0.10, 1, 0.5, 0.0), (0.05, 2, 0.5, 0.0), (0.05, 3, 0.5, 0.0)],
    ids=["5 %", "10 %", "5 % in 40 ms", "5 % in 60 ms"],
)
def test_pesq(rate: float, burst: int, above_silence: float, above_appendix: float) -> None:
    """The mean over twelve pieces of speech, each with its own losses.

    At 5 % of single packets silence itself scores 3.2, and 0.5 above it is not reached:
    docs/units/conceal.md.
    """
    ours, silence, appendix = [], [], []
    for number, (_, sent) in enumerate(speech_pieces()):
        lost = losses(PACKETS, rate, burst, seed=number)
        ours.append(score(sent, concealed(sent, lost)))
        silence.append(score(sent, silenced(sent, lost)))
        appendix.append(score(sent, appendix_i.conceal(decoded(sent), lost)))
    assert np.mean(ours) >= np.mean(silence) + above_silence
    assert np.mean(ours) >= np.mean(appendix) + above_appendix


def test_no_loss_changes_nothing() -> None:
    for _, sent in speech_pieces()[:3]:
        assert np.array_equal(concealed(sent, np.zeros(PACKETS, bool)), decoded(sent))


def test_what_is_not_near_a_gap_is_unchanged() -> None:
    _, sent = speech_pieces()[4]
    lost = losses(PACKETS, 0.1, 1, seed=1)
    heard, clean = concealed(sent, lost), decoded(sent)
    touched = np.repeat(lost, FRAME)
    for gap in np.flatnonzero(lost):
        touched[FRAME * (gap + 1) : FRAME * (gap + 1) + 24] = True  # 3 ms
    assert np.array_equal(heard[~touched], clean[~touched])


def test_no_click_at_either_seam() -> None:
    """Gaps of 20 ms at every tenth packet, at ten offsets: 4,800 of them.

    Neither the step into a gap nor a step from its end until 3 ms after it is above the 99.9 % step
    of the piece, or above the biggest step that the piece has from 15 ms before the gap on.
    """
    gaps = 0
    for _, sent in speech_pieces():
        clean = decoded(sent)
        own = np.abs(np.diff(clean.astype(np.int32)))
        usual = np.quantile(own, 0.999)
        for offset in range(10, 20):
            lost = np.zeros(PACKETS, bool)
            lost[offset:-1:10] = True
            steps = np.abs(np.diff(concealed(sent, lost).astype(np.int32)))
            for gap in np.flatnonzero(lost):
                gaps += 1
                start, end = FRAME * int(gap) - 1, FRAME * (int(gap) + 1) - 1
                there = own[start - 120 : start].max()
                assert steps[start] <= max(usual, there), (offset, gap)
                there = own[start - 120 : end + 120].max()
                assert steps[end : end + 25].max() <= max(usual, there), (offset, gap)
    assert gaps > 4000
