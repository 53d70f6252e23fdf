"""``voicecore doctor``: what this machine has, measured where a measurement says more."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from voicecore import __version__
from voicecore.errors import MissingLibraryError, VoicecoreError

__all__ = ["Check", "examine", "show", "versions"]

_TIMER_SAMPLES = 100
_TIMER_PERIOD_NS = 2_000_000
_UDP_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        state: "ok", "note" (works, but worth knowing) or "bad" (the demo cannot work).
        text: one line.
        values: the numbers behind it.
    """

    name: str
    state: Literal["ok", "note", "bad"]
    text: str
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def versions() -> dict[str, str]:
    """Versions of voicecore, Python, numpy and the platform."""
    from voicecore.media._cpu import cpu_level

    return {
        "voicecore": __version__,
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "platform": platform.platform(),
        "cpu_level": cpu_level(),
    }


def examine() -> list[Check]:
    """All checks, in order. A check that fails unexpectedly is itself a finding."""
    checks: list[Check] = []
    for look in (_cpu, _models, _voices, _libopus, _libsrtp2, _clock, _nanosleep, _timerfd, _udp):
        try:
            checks += look()
        except (OSError, VoicecoreError, ImportError) as error:
            checks.append(Check(look.__name__.strip("_"), "bad", str(error)))
    return checks


def _cpu() -> list[Check]:
    from voicecore.media._cpu import cpu_level, cpu_levels

    level, levels = cpu_level(), list(cpu_levels())
    forced = os.environ.get("VOICECORE_CPU")
    values = {
        "active": level,
        "levels": levels,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "forced_by_environment": forced,
    }
    text = f"{level} (of {', '.join(levels)}), {os.cpu_count()} cores, {platform.machine()}"
    if forced:
        text += f"; lowered by VOICECORE_CPU={forced}"
    return [Check("CPU level", "note" if forced else "ok", text, values)]


def _models() -> list[Check]:
    from voicecore.providers.embedded import find_models

    checks = []
    for model in find_models():
        state: Literal["ok", "note", "bad"] = "ok" if model.found else "bad"
        if not model.found and model.optional:
            state = "note"
        text = f"version {model.version}" if model.version else "found"
        if not model.found:
            text = model.problem + (" (optional)" if model.optional else "")
        values = {
            "version": model.version,
            "path": str(model.path) if model.path else None,
            "install": model.install,
            "optional": model.optional,
        }
        checks.append(Check(model.name, state, text, values))
    return checks


def _voices() -> list[Check]:
    found = [name for name in ("flite", "espeak-ng") if shutil.which(name)]
    if found:
        return [Check("caller's voice", "ok", f"{found[0]} (found: {', '.join(found)})")]
    text = "neither flite nor espeak-ng: the caller gets the agent's voice, shifted"
    return [Check("caller's voice", "note", text)]


def _libopus() -> list[Check]:
    from voicecore.media._codec import opus_version

    try:
        version = opus_version()
    except MissingLibraryError as error:
        return [Check("libopus", "note", str(error))]
    return [Check("libopus", "ok", f"{version}; Encoder and Decoder use it", {"version": version})]


def _libsrtp2() -> list[Check]:
    from voicecore.media._call import srtp_version

    try:
        version = srtp_version()
    except MissingLibraryError as error:
        return [Check("libsrtp2", "note", str(error))]
    return [Check("libsrtp2", "ok", f"{version}; SRTP calls use it", {"version": version})]


def _clock() -> list[Check]:
    resolution_ns = round(time.clock_getres(time.CLOCK_MONOTONIC) * 1e9)
    state: Literal["ok", "note"] = "ok" if resolution_ns <= 1000 else "note"
    text = f"CLOCK_MONOTONIC counts in {resolution_ns} ns"
    return [Check("clock", state, text, {"resolution_ns": resolution_ns})]


def _timer_check(name: str, late_us: list[float]) -> Check:
    late_us.sort()
    middle, worst = late_us[len(late_us) // 2], late_us[-1]
    # A packet leaves every 20 ms; a timer that is 2 ms late is heard by no jitter buffer.
    state: Literal["ok", "note"] = "ok" if worst < 2000 else "note"
    text = f"wakes {middle:.0f} us late in the middle, {worst:.0f} us at worst, of {len(late_us)}"
    return Check(name, state, text, {"median_us": round(middle, 1), "max_us": round(worst, 1)})


def _nanosleep() -> list[Check]:
    late_us = []
    for _ in range(_TIMER_SAMPLES):
        started_ns = time.monotonic_ns()
        time.sleep(_TIMER_PERIOD_NS / 1e9)
        late_us.append((time.monotonic_ns() - started_ns - _TIMER_PERIOD_NS) / 1e3)
    return [_timer_check("nanosleep", late_us)]


def _timerfd() -> list[Check]:
    """A periodic absolute timer, as the engine's shards use it."""
    if not sys.platform.startswith("linux"):
        return [Check("timerfd", "note", "Linux only; the engine's threads need it")]
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(1, 0)  # CLOCK_MONOTONIC
    if timer < 0:
        return [Check("timerfd", "bad", os.strerror(ctypes.get_errno()))]
    try:
        first_ns = time.monotonic_ns() + 10_000_000
        # struct itimerspec: interval, then first expiry, each (s, ns) as two C longs
        spec = struct.pack("@4l", 0, _TIMER_PERIOD_NS, *divmod(first_ns, 1_000_000_000))
        if libc.timerfd_settime(timer, 1, spec, None) != 0:  # TFD_TIMER_ABSTIME
            return [Check("timerfd", "bad", os.strerror(ctypes.get_errno()))]
        late_us, ticks = [], 0
        while ticks < _TIMER_SAMPLES:
            ticks += struct.unpack("@Q", os.read(timer, 8))[0]
            due_ns = first_ns + (ticks - 1) * _TIMER_PERIOD_NS
            late_us.append((time.monotonic_ns() - due_ns) / 1e3)
    finally:
        os.close(timer)
    return [_timer_check("timerfd", late_us)]


def _udp() -> list[Check]:
    packet = bytes(172)  # RTP header and 20 ms of G.711
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        two.settimeout(1.0)
        trips_us, lost = [], 0
        for _ in range(_UDP_SAMPLES):
            sent_ns = time.monotonic_ns()
            one.sendto(packet, two.getsockname())
            try:
                two.recv(2048)
                trips_us.append((time.monotonic_ns() - sent_ns) / 1e3)
            except TimeoutError:
                lost += 1
                if lost == 3:
                    break
    if not trips_us:
        return [Check("UDP loopback", "bad", "no packet came through on 127.0.0.1")]
    trips_us.sort()
    middle = trips_us[len(trips_us) // 2]
    text = f"{len(trips_us)} of {_UDP_SAMPLES} packets, {middle:.0f} us in the middle"
    values = {"median_us": round(middle, 1), "lost": lost}
    return [Check("UDP loopback", "ok" if lost == 0 else "bad", text, values)]


_SIGNS: dict[str, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "bad": ("BAD", "bold red"),
}


def show(checks: list[Check], console: Console) -> None:
    """Print the findings as a table and a verdict."""
    console.print(f"[bold]voicecore {__version__}[/bold], Python {platform.python_version()}")
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        sign, style = _SIGNS[check.state]
        table.add_row(f"[{style}]{sign}[/{style}]", check.name, check.text)
    console.print(table)
    if any(check.state == "bad" for check in checks):
        console.print(
            "[bold red]The demo cannot work here yet; see the lines marked BAD.[/bold red]"
        )
    else:
        console.print("All there: [bold]voicecore demo[/bold]")
