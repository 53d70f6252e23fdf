"""A flame graph of the shard's thread with real calls: where its CPU time goes.

    python -m bench.engine.flame                       300 calls, 15 s, docs/images/flame.svg
    python -m bench.engine.flame --calls 100 --echo off --out flame.svg
    python -m bench.engine.flame --calls 50 --codec opus --out flame.svg

Takes Linux's perf (Debian: linux-perf) and the right to use it: root, CAP_PERFMON or
kernel.perf_event_paranoid <= 1. Stacks are unwound from DWARF, sampled 997 times a second of the
thread's CPU time. The picture is one SVG without scripts: width is share of the time, callers are
below; a frame's title (hover) has its exact share. Frames below --least are left out.
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine.content import CODECS
from bench.engine.rig import ROOT, Rig, build_far, write_content

WIDTH, ROW, CHARACTER = 1200, 17, 6.6
# By what a function belongs to: the first that matches.
LAYERS = (
    ("kernel", "#b9c4d0", r"^k:"),
    ("libopus", "#e89aa0", r"^o:"),  # which distributions strip: few of its names are known
    (
        "voice activity",
        "#8fc7a8",
        r"silero|^step$|^dense|^convolve|bank|judge|speech|^lstm|sigmoid",
    ),
    ("echo canceller", "#f2b179", r"echo|aec|far_line|fft|spectrum|delay_est|^reload|reference"),
    ("jitter buffer, RTP", "#e8d27a", r"jitter|conceal|packet_buffer|rtp|drift|delay_manager|dtmf"),
    ("playout, codec", "#b8a6dc", r"playout|resample|g711|ulaw|alaw|g722|adapt_|opus|fade|gain"),
    ("engine", "#9fc0e8", r"vc_|shard|call|receive|deliver|accept|tick|run_slot|poll|drain|start_"),
    ("other", "#dddddd", r""),
)


@dataclass
class Frame:
    """A function where it was called from; samples in it and in what it called."""

    name: str
    samples: int = 0
    children: dict[str, Frame] = field(default_factory=dict)


def clean(symbol: str) -> str:
    """Without what the compiler adds."""
    return re.sub(r"(\.(constprop|part|isra|cold|lto_priv)(\.\d+)?)+$", "", symbol)


def fold(script: str) -> Frame:
    """The tree of ``perf script -F ip,sym,dso``: blocks of lines, innermost frame first."""
    root = Frame("all")
    for block in script.split("\n\n"):
        stack = []
        for line in block.splitlines():
            found = re.match(r"\s*[0-9a-f]+ (.+) \((.*)\)$", line)
            if not found:
                continue
            symbol, binary = clean(found[1].split("+0x")[0]), found[2]
            if "libopus" in binary:
                stack.append(f"o:{symbol}")
            elif symbol != "[unknown]":
                stack.append(f"k:{symbol}" if "kernel" in binary else symbol)
        outer = [name for name in reversed(stack) if name not in ("clone3", "start_thread")]
        if not outer:
            continue
        # A stack that was cut off hangs nowhere: it is put beside the whole ones, and said.
        if outer[0] != "vc_shard_run":
            outer.insert(0, "(stack cut off)")
        root.samples += 1
        here = root
        for name in outer:
            here = here.children.setdefault(name, Frame(name))
            here.samples += 1
    return root


def layer_of(name: str) -> tuple[str, str]:
    """Its layer and colour."""
    return next((title, colour) for title, colour, rule in LAYERS if re.search(rule, name))


def _depth(frame: Frame, least: float) -> int:
    deep = [_depth(c, least) for c in frame.children.values() if c.samples >= least]
    return 1 + max(deep, default=0)


def colour_of(name: str, caller: str) -> str:
    """Of its layer; what belongs to none has its caller's."""
    layer, colour = layer_of(name)
    return caller if layer == "other" else colour


def _draw(frame: Frame, x: float, level: int, scale: float, least: float, total: int,
          height: int, caller: str) -> Iterable[str]:  # fmt: skip
    width, colour = frame.samples * scale, colour_of(frame.name, caller)
    y = height - ROW * (level + 1) - 30
    name = frame.name.removeprefix("k:").removeprefix("o:")
    title = f"{html.escape(name)}: {100 * frame.samples / total:.1f} %"
    room = int((width - 6) / CHARACTER)
    text = name if len(name) <= room else name[: room - 1] + "…" if room >= 4 else ""
    yield (
        f'<g><title>{title}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.6, 0.4):.1f}" '
        f'height="{ROW - 1}" fill="{colour}" rx="1.5"/>'
        + (f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(text)}</text>' if text else "")
        + "</g>"
    )
    for child in sorted(frame.children.values(), key=lambda c: c.name):
        if child.samples >= least:
            yield from _draw(child, x, level + 1, scale, least, total, height, colour)
        x += child.samples * scale


def draw(root: Frame, title: str, least_share: float = 0.003) -> str:
    """The picture."""
    least = least_share * root.samples
    height = ROW * _depth(root, least) + 80
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14" font-family="sans-serif">{html.escape(title)}</text>',
    ]
    x = 10
    for name, colour, _ in LAYERS:
        parts.append(f'<rect x="{x}" y="{height - 19}" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="{height - 9}" font-family="sans-serif">{name}</text>')
        x += 40 + 7 * len(name)
    scale = (WIDTH - 20) / max(root.samples, 1)
    parts += _draw(root, 10, 0, scale, least, max(root.samples, 1), height, "#dddddd")
    return "\n".join([*parts, "</svg>"]) + "\n"


def self_time(root: Frame) -> dict[str, int]:
    """Samples of each layer by the innermost function of it."""
    found: dict[str, int] = {}

    def walk(frame: Frame, layer: str) -> None:
        mine = layer_of(frame.name)[0]
        layer = mine if mine != "other" else layer
        inside = sum(child.samples for child in frame.children.values())
        found[layer] = found.get(layer, 0) + frame.samples - inside
        for child in frame.children.values():
            walk(child, layer)

    for child in root.children.values():
        walk(child, "other")
    return {layer: samples for layer, samples in found.items() if samples > 0}


def shard_thread(pid: int) -> str:
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("voicecore-shard"):
            return task.name
    raise SystemExit("the engine has no shard thread")


def record(options: argparse.Namespace, folder: Path) -> str:
    build_far(folder)
    write_content(folder, options.codec)
    data = folder / "perf.data"
    engine = ["--realtime"] if options.realtime else []
    with Rig(options.calls, folder, engine) as rig:
        rig.open(list(range(options.calls)), play_hz=8000, echo=options.echo, codec=options.codec)
        time.sleep(options.warm_up)
        thread = shard_thread(rig.engine.process.pid)
        done = subprocess.run(
            ["perf", "record", "-e", "cpu-clock", "-F", "997", "--call-graph", "dwarf,24576",
             "-t", thread, "-o", str(data), "--", "sleep", str(options.seconds)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"perf record: {done.stderr.strip()}")
    script = subprocess.run(
        ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return script.stdout


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--codec", choices=CODECS, default="pcmu")
    parser.add_argument("--echo", choices=("on", "off"), default="on")
    parser.add_argument("--least", type=float, default=0.003, help="share of the time")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the shard")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "flame.svg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = fold(record(options, Path(folder)))
    if root.samples == 0:
        raise SystemExit("perf took no samples")
    title = (
        f"A shard's thread, {options.calls} {options.codec} calls, echo canceller {options.echo}"
    )
    options.out.write_text(draw(root, title, options.least), encoding="utf-8")
    print(
        f"{options.out.name}: {options.out.stat().st_size / 1024:.0f} KiB, {root.samples} samples"
    )
    for layer, samples in sorted(self_time(root).items(), key=lambda item: -item[1]):
        print(f"{layer:20} {100 * samples / root.samples:5.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
