"""Every kernel of voicecore._kernels: how to call it, what must come out, what to time.

tests/kernels checks the list and bench/kernels times it. One Case a kernel and variant; its
``build`` gives, for a size, a level and a kind of input, the calls to make, the arrays that they
fill and the result that is right: from numpy in double, or exact. The same random state gives the
same input at every level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kernels.arena import Arena, Array, floats, shorts, to_s16
from voicecore._kernels import LANES, Fft, Silero

U = 2.0**-24  # half the distance between floats around 1
TINY = 2.0**-149


@dataclass(frozen=True)
class Call:
    """What to call and what is right.

    Outputs are compared as far as there are bounds (what follows is scratch): 0 is bit for bit,
    else how far off each value may be. expected is None where only the levels are compared.
    """

    calls: list[tuple[Any, ...]]
    outputs: list[Array]
    expected: list[Array] | None
    bounds: list[Array | float]


Build = Callable[[Arena, np.random.Generator, int, str, str], Call]


@dataclass(frozen=True)
class Case:
    """sizes are what ``build`` takes; bench_size is what is timed, ``work`` says what that is."""

    kernel: str
    variant: str
    build: Build
    sizes: tuple[int, ...]
    bench_size: int
    work: str
    kinds: tuple[str, ...] = ("random", "extreme", "special")

    @property
    def name(self) -> str:
        return f"{self.kernel} {self.variant}".strip()


LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 160, 161, 333)
VECTORS = (0, 16, 32, 48, 80, 96, 160, 176)  # multiples of VC_RESAMPLE_PAD


# -- exact: conversion, gain, G.711 -------------------------------------------------------------


def exact(calls: list[tuple[Any, ...]], output: Array, expected: Array) -> Call:
    return Call(calls, [output], [expected.astype(output.dtype)], [0.0])


def s16_to_f32(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
    x, out = arena.put(shorts(random, n, kind)), arena.room(n, np.float32)
    return exact([(x, out, n)], out, x / 32768)


def f32_to_s16(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
    x, out = arena.put(floats(random, n, kind)), arena.room(n, np.int16)
    return exact([(x, out, n)], out, to_s16(x.astype(float) * 32768))


def legal_gain(gain: float) -> np.float32:
    return np.float32(min(gain, 8.0)) if gain > 0 else np.float32(0)


def gains(random: np.random.Generator, kind: str) -> tuple[float, float]:
    if kind == "random":
        return float(np.float32(random.uniform(0, 2))), float(np.float32(random.uniform(0, 2)))
    odd = [0.0, 1.0, 8.0, 100.0, -1.0] if kind == "extreme" else [float("nan"), float("inf"), 1.0]
    return float(random.choice(odd)), float(random.choice(odd))


def fade(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
    x = shorts(random, n, kind)
    start, end = gains(random, kind)
    out = arena.room(n, np.int16, x)
    first, last = legal_gain(start), legal_gain(end)
    gain = first + (last - first) / np.float32(max(n, 1)) * np.arange(n, dtype=np.float32)
    return exact([(out, n, start, end)], out, to_s16(x.astype(np.float32) * gain))


def mix(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
    x, other = shorts(random, n, kind), arena.put(shorts(random, n, kind))
    gain = gains(random, kind)[0]
    out = arena.room(n, np.int16, x)
    total = x.astype(np.float32) + other.astype(np.float32) * legal_gain(gain)
    return exact([(out, other, n, gain)], out, to_s16(total))


def segment(magnitude: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64)


def ulaw_of(pcm: NDArray[np.int16]) -> Array:
    x = pcm.astype(np.int64) >> 2
    biased = np.minimum(np.abs(x), 8158) + 33
    e = segment(biased) - 5
    code = 16 * e + ((biased >> (e + 1)) & 15)
    return 0xFF ^ np.where(x < 0, code | 0x80, code)


def alaw_of(pcm: NDArray[np.int16]) -> Array:
    x = pcm.astype(np.int64) >> 3
    magnitude = np.where(x < 0, ~x, x)
    e = np.maximum(segment(magnitude) - 4, 0)
    code = 16 * e + ((magnitude >> np.maximum(e, 1)) & 15)
    code = np.where(magnitude < 32, magnitude >> 1, code)
    return np.where(x < 0, code, code | 0x80) ^ 0x55


def ulaw_to(codes: NDArray[np.uint8]) -> Array:
    code = codes.astype(np.int64) ^ 0xFF
    magnitude = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return 4 * np.where(code & 0x80, -magnitude, magnitude)


def alaw_to(codes: NDArray[np.uint8]) -> Array:
    code = codes.astype(np.int64) ^ 0x55
    e = code >> 4 & 7
    magnitude = np.where(e, (2 * (code & 15) + 33) << np.maximum(e - 1, 0), 2 * (code & 15) + 1)
    return 8 * np.where(code & 0x80, magnitude, -magnitude)


def g711_encode(law: Callable[[NDArray[np.int16]], Array]) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        x = np.arange(-32768, 32768).astype(np.int16) if n == 65536 else shorts(random, n, kind)
        x, out = arena.put(x), arena.room(n, np.uint8)
        return exact([(x, out, n)], out, law(x))

    return build


def g711_decode(law: Callable[[NDArray[np.uint8]], Array]) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        codes = np.arange(256) if n == 256 else random.integers(0, 256, n)
        x, out = arena.put(codes.astype(np.uint8)), arena.room(n, np.int16)
        return exact([(x, out, n)], out, law(x))

    return build


# -- the resampler's loops ------------------------------------------------------------------------


def sums(x: Array, taps: Array, places: Array) -> tuple[Array, Array]:
    """y[i] = sum over k of taps[k] x[places[i, k]] in double, and how far floats may be off.

    The bound holds for any order of the sum, fused or not (Higham, section 3.1).
    """
    with np.errstate(invalid="ignore"):
        terms = taps.astype(float) * x.astype(float)[places]
        total = terms.sum(axis=-1)
    n = terms.shape[-1]
    size = np.abs(np.nan_to_num(terms, nan=0, posinf=0, neginf=0)).sum(axis=-1)
    return total, 1.01 * (n + 1) * (U * size + TINY)


def columns(phases: int, n_taps: int) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        x = arena.put(floats(random, n + 500, kind))
        offsets = arena.put(random.integers(0, 500, n_taps).astype(np.int32))
        taps = arena.put(floats(random, phases * n_taps, "random"))
        stride = n + 16
        out = arena.room(n + (phases - 1) * stride, np.float32)
        arguments = (x, offsets, taps, n_taps, out, *((stride, n) if phases == 2 else (n,)))
        # What lies between the two phases must stay as it is.
        expected, bound = out.astype(float), np.zeros(len(out))
        for p in range(phases):
            part, with_taps = slice(p * stride, p * stride + n), taps[p * n_taps : (p + 1) * n_taps]
            expected[part], bound[part] = sums(x, with_taps, offsets + np.arange(n)[:, None])
        return Call([arguments], [out], [expected], [bound])

    return build


def columns3(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
    """48 taps on neighbours, dealt out in threes a vector apart as the level wants them."""
    n_taps, lanes = 48, LANES[level]
    x, taps = arena.put(floats(random, n + 100, kind)), floats(random, n_taps, "random")
    first = int(random.integers(0, 50))
    block, group, third = np.unravel_index(np.arange(n_taps), (n_taps // (3 * lanes), lanes, 3))
    column = block * 3 * lanes + third * lanes + group
    offsets = arena.put((first + column[::3]).astype(np.int32))
    out = arena.room(n, np.float32)
    expected, bound = sums(x, taps, first + np.arange(n_taps) + np.arange(n)[:, None])
    arguments = (x, offsets, arena.put(taps[column]), n_taps // 3, out, n)
    return Call([arguments], [out], [expected], [bound])


TAIL = 16  # VC_RESAMPLE_TAIL
# A tap of 0 may be left out, so what it does to an infinity is not defined.
FINITE = ("random", "extreme")


def dots(phases: int, body: int, group: int) -> Build:
    """Outputs of a group share a window; what is newer for the later ones is in their tails."""

    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        x = arena.put(floats(random, n + 2 * body + TAIL + 50, kind))
        rows = floats(random, phases * (body + TAIL), "random").reshape(phases, body + TAIL)
        if group > 1:
            rows[::group, body:] = 0  # the first of a group has no tail
        taps = arena.put(rows.reshape(-1))
        tails = arena.put(random.integers(0, body + 1, phases).astype(np.int32))
        turn = int(random.integers(0, phases))
        number = np.arange(n) + turn
        window = np.sort(random.integers(0, n + 50, n + 1))[number // group - turn // group]
        starts = arena.put(window.astype(np.int32))
        which = arena.put((number % phases).astype(np.int32))
        out = arena.room(n, np.float32)
        places = np.concatenate(
            [
                starts[:, None] + np.arange(body),
                (starts + tails[which])[:, None] + np.arange(TAIL),
            ],
            axis=1,
        )
        expected, bound = sums(x, rows[which], places)
        arguments = (x, taps, starts, which, tails, body, phases, group, out, n)
        return Call([arguments], [out], [expected], [bound])

    return build


def blends(n_taps: int) -> Build:
    """Four neighbouring rows of a table of 40, weighted."""

    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        x = arena.put(floats(random, n + n_taps + 50, kind))
        table = arena.put(floats(random, 40 * n_taps, "random"))
        starts = arena.put(np.sort(random.integers(0, n + 50, n)).astype(np.int32))
        rows = arena.put(random.integers(0, 37, n).astype(np.int32))
        weights = arena.put(floats(random, 4 * n, "random"))
        out = arena.room(n, np.float32)
        # As one sum of 4 n_taps terms, whose taps are products: that rounds less often than two
        # sums do, by the four weights.
        by_row = weights.reshape(n, 4, 1).astype(float)
        taps = by_row * table.reshape(40, n_taps)[rows[:, None] + np.arange(4)]
        places = np.tile(starts[:, None] + np.arange(n_taps), 4)
        expected, bound = sums(x, taps.reshape(n, 4 * n_taps), places)
        arguments = (x, table, n_taps, starts, rows, weights, out, n)
        return Call([arguments], [out], [expected], [bound])

    return build


def deal(m: int, short: bool) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        x = arena.put((shorts if short else floats)(random, n * m, kind))
        stride = n + 3
        out = arena.room(m * stride, np.float32)
        expected = out.copy().reshape(m, stride)
        expected[:, :n] = x.reshape(n, m).T / np.float32(32768) if short else x.reshape(n, m).T
        return exact([(x, n, out, stride, m)], out, expected.reshape(-1))

    return build


def gather(m: int, short: bool) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        stride = n + 3
        x = arena.put(floats(random, m * stride, kind))
        out = arena.room(n * m, np.int16 if short else np.float32)
        dealt = x.reshape(m, stride)[:, :n].T.reshape(-1)
        expected = to_s16(dealt.astype(float) * 32768) if short else dealt
        return exact([(x, stride, m, out, n)], out, expected)

    return build


# -- the echo canceller's filter ------------------------------------------------------------------


def moderate(random: np.random.Generator, n: int, kind: str) -> NDArray[np.float32]:
    """Without what overflows when it is multiplied twice."""
    return np.clip(floats(random, n, kind), -2, 2)


class EchoPath:
    """Spectra in bf16, coefficients and variances of `parts` partitions; n bins."""

    def __init__(
        self, arena: Arena, random: np.random.Generator, n: int, parts: int, kind: str
    ) -> None:
        x = [moderate(random, parts * n, kind) for _ in range(2)]
        self.bf16 = [arena.put((one.view(np.uint32) >> 16).astype(np.uint16)) for one in x]
        x_re, x_im = ((one.astype(np.uint32) << 16).view(np.float32) for one in self.bf16)
        self.x = self._complex(x_re, x_im, parts)
        w = [moderate(random, parts * n, kind) for _ in range(2)]
        p = np.abs(moderate(random, parts * n, kind))
        self.rooms = [arena.room(parts * n, np.float32, one) for one in (*w, p)]
        self.w, self.p = self._complex(*w, parts), p.astype(float).reshape(parts, n)
        self.arguments = (*self.bf16, *self.rooms, n, parts)

    @staticmethod
    def _complex(re: Array, im: Array, parts: int) -> NDArray[np.complex128]:
        return (re.astype(float) + 1j * im.astype(float)).reshape(parts, -1)


def l1(x: Array) -> Array:
    return np.abs(x.real) + np.abs(x.imag)


def echo_predict(parts: int) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        path = EchoPath(arena, random, n, parts, kind)
        out = [arena.room(n, np.float32) for _ in range(3)]
        y, variance = (path.w * path.x).sum(0), (path.p * np.abs(path.x) ** 2).sum(0)
        terms = 1.01 * (2 * parts + 4)
        off = terms * (U * (l1(path.w) * l1(path.x)).sum(0) + TINY)
        bounds = [off, off, terms * (U * variance + TINY)]
        # What is only read must stay: the path is compared too.
        kept = [one.astype(float) for one in path.rooms]
        return Call(
            [(*path.arguments, *out)],
            [*out, *path.rooms],
            [y.real, y.imag, variance, *kept],
            [*bounds, *(np.zeros(parts * n) for _ in kept)],
        )

    return build


def echo_learn(parts: int) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        path = EchoPath(arena, random, n, parts, kind)
        re, im = (arena.put(moderate(random, n, kind)) for _ in range(2))
        step = arena.put(np.abs(moderate(random, n, kind)))
        spend, gain, floor = (float(np.float32(rate)) for rate in (0.06, 1e-5, 1e-9))
        error, rate = re.astype(float) + 1j * im.astype(float), path.p * step
        w = path.w + rate * np.conj(path.x) * error
        spent = spend * rate * np.abs(path.x) ** 2
        p = path.p * (1 - spent) + floor + gain * np.abs(w) ** 2
        # Six roundings, or fewer where they are fused; those of w enter p by its square.
        w_off = 6 * (U * (l1(path.w) + rate * l1(path.x) * l1(error)) + 4 * TINY)
        p_off = 8 * U * (path.p * (1 + spent) + floor + gain * l1(w) ** 2)
        p_off += 4 * gain * l1(w) * w_off + 8 * TINY
        return Call(
            [(*path.arguments, re, im, step, spend, gain, floor)],
            path.rooms,
            [one.reshape(-1) for one in (w.real, w.imag, p)],
            [one.reshape(-1) for one in (w_off, w_off, p_off)],
        )

    return build


# -- FFT, Silero VAD -----------------------------------------------------------------------------


def fft(inverse: bool) -> Build:
    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        count = n + 2 if inverse else n
        x, out = floats(random, count, kind), arena.room(n if inverse else n + 2, np.float32)
        if inverse:  # the imaginary parts of bins 0 and n/2 are not looked at
            x[[1, n + 1]] = np.nan
        x, scratch = arena.put(x), arena.room(2 * n, np.float32)
        real = x.astype(float)
        if inverse:
            real[[1, n + 1]] = 0
            expected = np.fft.irfft(real.view(complex), n)
        else:
            expected = np.fft.rfft(real).view(float)
        size = np.sqrt(np.sum(real**2)) / (n / np.sqrt(2) if inverse else 1)
        bound = np.full(len(out), 4 * np.log2(n) * (U * size + TINY * n))
        handle = Fft(n, level)
        return Call([(handle, x, out, scratch)], [out, scratch], [expected], [bound])

    return build


def silero(rate_hz: int) -> Build:
    """size streams, 6 windows each."""

    def build(arena: Arena, random: np.random.Generator, n: int, level: str, kind: str) -> Call:
        name = f"silero_v6_{rate_hz // 1000}k.bin"
        weights = (files("voicecore.media") / "data" / name).read_bytes()
        handle, window = Silero(weights, rate_hz, n, level), rate_hz * 32 // 1000
        out = [arena.room(n, np.float32) for _ in range(6)]
        x = [arena.put(0.3 * floats(random, n * window, kind)) for _ in out]
        calls = [(handle, one, into) for one, into in zip(x, out, strict=True)]
        return Call(calls, out, None, [np.full(n, 1e-4) for _ in out])

    return build


def _cases() -> list[Case]:
    def plain(kernel: str, build: Build, *more: int, kinds: tuple[str, ...] | None = None) -> Case:
        sizes = (*LENGTHS, *more)
        return Case(kernel, "", build, sizes, 160, "160 samples", kinds or ("random", "extreme"))

    every = ("random", "extreme", "special")
    found = [
        plain("convert.s16_to_f32", s16_to_f32),
        plain("convert.f32_to_s16", f32_to_s16, kinds=every),
        plain("gain.fade_s16", fade, kinds=every),
        plain("gain.mix_s16", mix, kinds=every),
        plain("g711.ulaw_encode", g711_encode(ulaw_of), 65536),
        plain("g711.alaw_encode", g711_encode(alaw_of), 65536),
        plain("g711.ulaw_decode", g711_decode(ulaw_to), 256),
        plain("g711.alaw_decode", g711_decode(alaw_to), 256),
        # What 20 ms take: 8 to 16 kHz has 160 columns of 2 phases of 48 taps.
        Case("resample.columns", "48 taps", columns(1, 48), VECTORS, 160, "160 outputs"),
        Case("resample.columns", "1 tap", columns(1, 1), VECTORS, 160, "160 outputs"),
        Case("resample.columns2", "48 taps", columns(2, 48), VECTORS, 160, "2 x 160 outputs"),
        Case("resample.columns2", "7 taps", columns(2, 7), VECTORS, 160, "2 x 160 outputs"),
        Case("resample.columns3", "48 taps", columns3, VECTORS, 160, "160 outputs"),
        # 44.1 to 16 kHz: 160 phases.
        Case("resample.dots", "160 phases", dots(160, 128, 4), LENGTHS, 320, "320 outputs", FINITE),
        Case("resample.blends", "", blends(48), LENGTHS, 320, "320 outputs, 4 x 48 taps"),
        Case("resample.dots", "3 phases", dots(3, 16, 1), LENGTHS, 320, "320 outputs"),
        Case("resample.dots", "6 phases", dots(6, 32, 2), LENGTHS, 320, "320 outputs", FINITE),
        Case("resample.dots", "9 phases", dots(9, 16, 3), LENGTHS, 320, "320 outputs", FINITE),
    ]
    for m in range(1, 9):
        for kind in ("s16", "f32"):
            short, what = kind == "s16", f"160 x {m} samples"
            name = f"resample.deal_{kind}"
            found.append(Case(name, f"m={m}", deal(m, short), LENGTHS, 160, what))
            name = f"resample.gather_{kind}"
            found.append(Case(name, f"m={m}", gather(m, short), LENGTHS, 160, what))
    for parts in (1, 4, 13):  # 13 and 256 bins: 10 ms at 16 kHz with a tail of 256 ms
        for name, make in (("predict", echo_predict), ("learn", echo_learn)):
            what, sizes = f"256 bins x {parts}", (16, 32, 128, 256)
            build, kinds = make(parts), ("random", "extreme")
            found.append(
                Case(
                    f"echo.{name}",
                    f"{parts} part{'s' * (parts > 1)}",
                    build,
                    sizes,
                    256,
                    what,
                    kinds,
                )
            )
    for n in (64, 128, 256, 512, 1024):
        for direction in ("forward", "inverse"):
            build = fft(direction == "inverse")
            kinds = ("random", "extreme")
            found.append(Case(f"fft.{direction}", f"n={n}", build, (n,), n, f"{n} samples", kinds))
    for rate_hz in (8000, 16000):
        for streams in (1, 4, 16):
            sizes = (1, 2, 3, 4, 5) if streams == 1 else (7, 13) if streams == 4 else (16, 19)
            what = f"{streams} window{'s' if streams > 1 else ''} of 32 ms"
            variant = f"{rate_hz // 1000} kHz, {streams} at once"
            found.append(Case("silero.step", variant, silero(rate_hz), sizes, streams, what))
    return found


CASES = _cases()
