"""GStreamer's rtpjitterbuffer over a load, in a process of its own (gstreamer_worker.py).

GStreamer's bindings belong to the system's Python and can seldom be imported by another; so this
one is tried, and then /usr/bin/python3. Only the times are asked for: no sound goes there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from voicecore.errors import MissingLibraryError
from voicecore.testing.lab_load import LabPacket, Load

__all__ = ["LATENCY_MS", "Released", "find_gstreamer", "run_gstreamer"]

LATENCY_MS = 200  # the element's default
_WORKER = Path(__file__).with_name("gstreamer_worker.py")
_PYTHONS = (sys.executable, "/usr/bin/python3")
_CHECK_S = 60  # the first start looks through all plugins
_RUN_S = 600


class Released(NamedTuple):
    """A packet that the element let go of.

    Attributes:
        packet: which.
        out_ns: when.
        due_ns: when it is to be played: its presentation time and the element's latency.
    """

    packet: LabPacket
    out_ns: int
    due_ns: int


@cache
def find_gstreamer() -> str:
    """A Python that can run the element.

    Raises:
        MissingLibraryError: there is none; the message says what to install.
    """
    reasons = []
    for python in dict.fromkeys(_PYTHONS):
        try:
            _work(python, ["--check"], "", _CHECK_S)
        except MissingLibraryError as error:
            reasons.append(f"{python}: {error}")
        else:
            return python
    raise MissingLibraryError(
        "the peer gstreamer is not installed: apt-get install gstreamer1.0-plugins-good "
        f"gir1.2-gstreamer-1.0 python3-gi (Linux only; {'; '.join(reasons)})"
    )


def run_gstreamer(load: Load) -> list[Released]:
    """What the element lets go of, in its order; equal for equal loads.

    Raises:
        MissingLibraryError: GStreamer is not there, or it failed.
    """
    rows = [int(row) for row in load.trace.arrival_order]
    packets = [
        [int(load.trace.arrival_ns[row]), packet.sequence, packet.timestamp, packet.ssrc]
        for row in rows
        for packet in (load.packets[row],)
    ]
    job = {"rate_hz": load.trace.rate_hz, "latency_ms": LATENCY_MS, "packets": packets}
    try:
        done = _work(find_gstreamer(), [], json.dumps(job), _RUN_S)
    except MissingLibraryError as error:
        if str(error).startswith("the peer"):
            raise
        raise MissingLibraryError(f"the peer gstreamer cannot be used: {error}") from error
    return [
        Released(load.packets[rows[index]], out_ns, pts_ns + LATENCY_MS * 1_000_000)
        for index, out_ns, pts_ns in done["out"]
    ]


def _work(python: str, options: list[str], job: str, timeout_s: int) -> Any:
    # Isolated: the modules and the variables of this Python are not for another one.
    command = [python, "-I", str(_WORKER), *options]
    try:
        done = subprocess.run(
            command, input=job, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingLibraryError(str(error)) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise MissingLibraryError(said[-1] if said else f"it ended with {done.returncode}")
    return json.loads(done.stdout)
