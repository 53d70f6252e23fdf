"""Every kernel at every level of this machine. Oracles: numpy in double (or exact), and plain C.

Bounds: integer results and copies bit for bit; float sums the textbook bound of their length; FFT
4 log2(n) units of the last place of the input's norm; Silero's probabilities 1e-4. Input: seeded,
all lengths of a case, random, at the ends of the range, with NaN and infinities; arrays begin at
and off 64-byte boundaries, and what lies around them must not change.
"""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest

import voicecore

if importlib.util.find_spec("voicecore._kernels") is None:
    # It is optional, but where it could be built it must be there.
    if importlib.util.find_spec("pybind11") is None or not shutil.which("c++"):
        pytest.skip("voicecore._kernels needs pybind11 and c++", allow_module_level=True)
    pytest.fail("voicecore._kernels is not built: make build", pytrace=False)

from tests.kernels.cases import CASES, Case
from tests.kernels.check import against, against_right, run, same
from voicecore._kernels import KERNELS, LANES, Fft

SEED = 20
OFFSETS = (0, 1, 5)
PAIRS = [(case, level) for case in CASES for level in KERNELS[case.kernel]]
IDS = [f"{case.name}-{level}".replace(" ", "_") for case, level in PAIRS]


def test_every_kernel_has_a_case_and_every_level_is_there():
    assert set(KERNELS) == {case.kernel for case in CASES}
    levels = voicecore.cpu_levels()
    assert list(LANES) == levels
    for name, kernel in KERNELS.items():
        assert list(kernel) in (levels, ["c"]), name
        assert all(one.level == level and one.name == name for level, one in kernel.items())
    assert list(KERNELS["resample.columns"]) == levels


@pytest.mark.parametrize(("case", "level"), PAIRS, ids=IDS)
def test_kernel(case: Case, level: str):
    for kind in case.kinds:
        for size in case.sizes:
            for offset in OFFSETS:
                where = f"{kind}, size {size}, offset {offset}"
                call = run(case, level, size, kind, offset, SEED)
                if call.expected is not None:
                    assert not (problem := against_right(call)), f"{where}: {problem}"
                plain = run(case, "c", size, kind, 0, SEED)
                assert not (problem := against(call, plain)), f"{where}, to plain C: {problem}"


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "_") for case in CASES])
def test_a_wrong_result_is_seen(case: Case):
    """One value, changed by four bounds or one bit, is found."""
    size = max(size for size in case.sizes if size <= 1024)
    call, plain = (run(case, "c", size, "random", 0, SEED) for _ in range(2))
    assert not against(call, plain)
    output, bound = call.outputs[0], call.bounds[0]
    if np.ndim(bound):
        worst = int(np.argmax(bound))
        output[worst] += 4 * np.maximum(np.asarray(bound)[worst], np.spacing(output[worst]))
    else:
        output[-1:].view(np.uint8)[0] ^= 1
    assert "differ" in against(call, plain)
    if call.expected is not None:
        assert "differ" in against_right(call)


def test_nan_and_infinity_are_not_equal_to_a_number():
    want = np.array([1.0, np.nan, np.inf])
    bound = np.full(3, 10.0)
    assert not same(want.copy(), want, bound)
    for place, wrong in ((0, np.nan), (1, 1.0), (2, -np.inf), (2, np.nan)):
        got = want.copy()
        got[place] = wrong
        assert "1 of 3" in same(got, want, bound)


def test_writing_outside_is_seen():
    from tests.kernels.arena import Arena

    arena = Arena(1)
    given, room = arena.put(np.zeros(4, np.int16)), arena.room(3, np.float32)
    room[:] = 1
    arena.check([room])
    with pytest.raises(AssertionError, match="wrote outside"):
        arena.check([])
    given[3] = 1
    with pytest.raises(AssertionError, match="wrote outside"):
        arena.check([room])


def test_wrong_arguments():
    kernel = KERNELS["convert.f32_to_s16"]["c"]
    x, out = np.zeros(4, np.float32), np.zeros(4, np.int16)
    with pytest.raises(TypeError, match="takes 3 arguments, not 2"):
        kernel(x, out)
    with pytest.raises(TypeError, match="argument 1 must be an array of float32"):
        kernel(x.astype(float), out, 4)
    with pytest.raises(ValueError, match="argument 2 must be contiguous"):
        kernel(x, np.zeros(8, np.int16)[::2], 4)
    out.setflags(write=False)
    with pytest.raises(ValueError, match="writeable"):
        kernel(x, out, 4)
    with pytest.raises(ValueError, match="no CPU level 'z80'"):
        Fft(64, "z80")
    with pytest.raises(ValueError, match="out of range"):
        Fft(65, "c")


@pytest.mark.skipif(len(LANES) < 2, reason="one level only")
def test_a_handle_of_another_level_is_refused():
    level = list(LANES)[-1]
    x, out, scratch = (np.zeros(n, np.float32) for n in (64, 66, 128))
    with pytest.raises(ValueError, match=f"level c, not {level}"):
        KERNELS["fft.forward"][level](Fft(64, "c"), x, out, scratch)


def test_time_is_of_one_call():
    case = next(case for case in CASES if case.kernel == "resample.columns")
    call = run(case, "c", 160, "random", 0, SEED)
    before = call.outputs[0].copy()
    assert KERNELS[case.kernel]["c"].time_ns(50, *call.calls[0]) > 0
    assert np.array_equal(call.outputs[0], before)
