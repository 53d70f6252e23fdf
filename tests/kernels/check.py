"""Run a case at a level and compare: with what is right, or with another level."""

from __future__ import annotations

import numpy as np

from tests.kernels.arena import Arena, Array
from tests.kernels.cases import Call, Case
from voicecore._kernels import KERNELS


def build(
    case: Case, level: str, size: int, kind: str, offset: int, seed: int
) -> tuple[Arena, Call]:
    """The same arguments for the same seed, at any level and offset."""
    arena = Arena(offset)
    random = np.random.default_rng([seed, size])
    return arena, case.build(arena, random, size, level, kind)


def run(case: Case, level: str, size: int, kind: str, offset: int, seed: int) -> Call:
    """The call done, and nothing but its outputs written."""
    arena, call = build(case, level, size, kind, offset, seed)
    for arguments in call.calls:
        KERNELS[case.kernel][level](*arguments)
    arena.check(call.outputs)
    return call


def same(got: Array, want: Array, bound: Array | float) -> str:
    """Nothing if they agree, or what is wrong. A bound of 0 is bit for bit."""
    if np.ndim(bound) == 0:
        wrong = np.flatnonzero(got.view(np.uint8) != want.view(np.uint8)) // got.itemsize
    else:
        a, b = got.astype(float), want.astype(float)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= bound
        wrong = np.flatnonzero(~(near | (a == b) | (np.isnan(a) & np.isnan(b))))
    if not len(wrong):
        return ""
    i = wrong[0]
    return f"{len(wrong)} of {len(got)} differ, the first at {i}: {got[i]!r}, not {want[i]!r}"


def against_right(call: Call) -> str:
    """Compares with the expected result."""
    assert call.expected is not None
    for got, want, bound in zip(call.outputs, call.expected, call.bounds, strict=False):
        if problem := same(got, want, bound):
            return problem
    return ""


def against(call: Call, plain: Call) -> str:
    """Compares two levels: each may be off by the bound."""
    for got, want, bound in zip(call.outputs, plain.outputs, call.bounds, strict=False):
        if problem := same(got, want, 2 * bound if np.ndim(bound) else bound):
            return problem
    return ""
