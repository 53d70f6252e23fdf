"""An engine in a process of its own, and the far ends of its calls in another one (bench_far.c).

The sockets of the far ends are made here and inherited by the load process, so that a test can
also send from a caller's own address.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.engine import content
from bench.engine.ledger import Ledger, accounted

__all__ = ["LOOPBACK", "QUIET", "Rig", "balance", "build_far", "kernel_drops", "write_content"]

LOOPBACK = "127.0.0.1"
HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[2]
ANSWER_S = 60.0
# What an undisturbed call counts none of.
QUIET = (
    "packets_malformed",
    "packets_unknown",
    "packets_strange",
    "packets_unproven",
    "packets_discarded",
    "packets_shed",
    "duplicate",
    "send_errors",
    "resets",
)


def build_far(folder: Path) -> Path:
    program = folder / "bench_far"
    source = HERE / "bench_far.c"
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", source, "-o", program], check=True)
    return program


def write_content(folder: Path, codec: str = "pcmu") -> Path:
    """Forty seconds of speech in spurts, as capacity.py has them."""
    return content.write_content(folder / "speech.packets", codec)


def kernel_drops(ports: Iterable[int]) -> dict[int, int]:
    """Datagrams that the kernel dropped because a port's buffer was full (/proc/net/udp)."""
    wanted = set(ports)
    found = {}
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        port = int(fields[1].split(":")[1], 16)
        if port in wanted:
            found[port] = found.get(port, 0) + int(fields[-1])
    return found


class _Worker:
    """A process that answers lines with lines."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        poll = select.poll()  # select() knows no descriptors above 1023
        poll.register(self.process.stdout, select.POLLIN)
        line = self.process.stdout.readline() if poll.poll(ANSWER_S * 1000) else ""
        if not line:
            raise SystemExit(f"{self.process.args}: no answer; exit code {self.process.poll()}")
        return json.loads(line)

    def end(self, last: str) -> int:
        """Its exit code."""
        try:
            self.say(last)
            return self.process.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            return self.process.wait()


class Rig:
    """Both processes, as a context manager.

    Args:
        calls: how many far ends there are.
        folder: where bench_far and the content are (``build_far``, ``write_content``).
        engine_options: of rig_engine.py.
        far_cpu, far_fifo: a CPU of its own and SCHED_FIFO for the load process.
        environment: more variables for the engine's process.
    """

    def __init__(
        self,
        calls: int,
        folder: Path,
        engine_options: Iterable[str] = (),
        far_cpu: int = -1,
        far_fifo: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.sockets = []
        for _ in range(calls):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((LOOPBACK, 0))
            self.sockets.append(one)
        self.ports = [one.getsockname()[1] for one in self.sockets]
        self.places: dict[int, tuple[int, int]] = {}  # number: far end, the engine's port
        self.exit_codes: tuple[int, int] | None = None
        fds = [one.fileno() for one in self.sockets]
        self.far = _Worker(
            [str(folder / "bench_far"), str(folder / "speech.packets"), str(far_cpu),
             str(int(far_fifo))],
            pass_fds=fds,
        )  # fmt: skip
        self.far.say(" ".join(map(str, [calls, *fds])))
        self.engine = _Worker(
            [sys.executable, "-m", "bench.engine.rig_engine", *engine_options],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self) -> Rig:
        self.far.hear()
        self.engine.hear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        codes = self.engine.end('{"do": "quit"}'), self.far.end("q")
        self.exit_codes = codes
        for one in self.sockets:
            one.close()

    def ask(self, do: str, **what: Any) -> Any:
        self.engine.say(json.dumps({"do": do, **what}))
        return self.engine.hear()

    def open(self, places: list[int], learns: bool = False, **config: Any) -> list[int]:
        """Calls to these far ends, which begin at once; the numbers of the calls."""
        remotes = [None if learns else self.ports[place] for place in places]
        self.tell(*(f"x {place}" for place in places))
        self.seen_place(places[-1])  # it has obeyed
        opened = self.ask("open", remotes=remotes, config=config)
        for place, (number, port) in zip(places, opened, strict=True):
            self.places[number] = place, port
        if not learns:
            self.begin([number for number, _ in opened])
        return [number for number, _ in opened]

    def begin(self, numbers: Iterable[int]) -> None:
        self.tell(*(f"c {self.places[n][0]} {self.places[n][1]}" for n in numbers))

    def tell(self, *commands: str) -> None:
        """To the far ends."""
        self.far.say("\n".join(commands))

    def seen(self, number: int) -> dict[str, Any]:
        """What the far end of a call has sent and received."""
        return self.seen_place(self.places[number][0])

    def seen_place(self, place: int) -> dict[str, Any]:
        self.far.say(f"i {place}")
        return dict(self.far.hear())

    def distances(self) -> dict[str, float]:
        self.far.say("d")
        return dict(self.far.hear())

    def stats(self) -> Any:
        """Of all calls; nobody speaks from now on, and what was under way has landed."""
        self.tell("m -1")
        time.sleep(0.3)
        return self.ask("stats")


def balance(
    ledger: Ledger,
    stats: Mapping[str, Any],
    far: Mapping[str, Any],
    *,
    injected: int = 0,
    dropped: int = 0,
    ticks_after: int = 0,
    quiet: Iterable[str] = QUIET,
    rtp_timeouts: int = 0,
    learns: bool = False,
    whose: object = "",
) -> None:
    """The laws of one call: its counters beside those of its far end.

    Args:
        ledger: where to.
        stats: ``Leg.balance`` of rig_engine.py, while nobody sent to the call.
        far: ``Rig.seen``, taken later.
        injected: what others sent to the call's port.
        dropped: what the kernel dropped at that port.
        ticks_after: how many packets can have left between both.
        quiet: counters that must be 0.
        rtp_timeouts: how often the caller was silent for too long.
        learns: it sends nothing before the first packet has come.
        whose: named if a law is broken.
    """
    low, high = stats["due"]
    sent = stats["packets_sent"]
    # The first packet's time is known to within its own lateness: a packet more or less.
    if not learns:
        ledger.between("packets sent = ticks due, +-1", low - 1, sent, high + 1, whose)
    ledger.at_most("packets sent <= packets that the far end got or missed", sent,
                   far["index"] + far["begun"], whose)  # fmt: skip
    ledger.at_most("packets that the far end got or missed <= sent by then",
                   far["index"] + far["begun"], sent + ticks_after, whose)  # fmt: skip
    ledger.equal("missing at the far end = 0", far["missing"], 0, whose)
    ledger.equal("twice or out of order at the far end = 0", far["duplicate"] + far["reordered"],
                 0, whose)  # fmt: skip
    ledger.equal("sent to the call = received + dropped by the kernel",
                 far["sent"] + injected, stats["packets_received"] + dropped, whose)  # fmt: skip
    ledger.equal("packets received = sum of their 15 kinds", stats["packets_received"],
                 accounted(stats), whose)  # fmt: skip
    samples = 160 * stats["packets_decoded"] + stats["concealed_samples"] + stats["silence_samples"]
    ledger.equal("received samples = decoded x frame + concealed + silence",
                 stats["received_samples"], samples, whose)  # fmt: skip
    if dropped == 0:
        ledger.equal("decoded = the caller's packets", stats["packets_decoded"], far["sent"], whose)
        ledger.equal("lost = 0", stats["lost"], 0, whose)
    held = 80 if stats["cancels_echo"] and stats["received_samples"] else 0
    ledger.equal("read + dropped unread + in the canceller = received samples",
                 stats["read"] + stats["unread_dropped_samples"] + held,
                 stats["received_samples"], whose)  # fmt: skip
    ledger.equal("samples that play() took = queue position", stats["queued"],
                 stats["queue_position"], whose)  # fmt: skip
    events = stats["events"]
    starts, stops = (events.get(name, 0) for name in ("SpeechStarted", "SpeechStopped"))
    ledger.between("SpeechStarted - SpeechStopped = 0 or 1", 0, starts - stops, 1, whose)
    ledger.equal("RtpTimedOut = silences that were made", events.get("RtpTimedOut", 0),
                 rtp_timeouts, whose)  # fmt: skip
    ledger.equal("events lost = 0", events.get("EventsLost", 0), 0, whose)
    ledger.equal(f"{', '.join(quiet)} = 0", sum(stats[name] for name in quiet), 0, whose)
