"""More calls than a core can carry: what still goes out, and what is taken in.

    python -m bench.engine.overload --realtime --far-fifo --pin 1 --far-cpu 0

Admission is off. What is sent keeps its grid as long as that alone fits; what comes in waits in the
sockets and is dropped there when they are full. Exits with 1 if less than --least is sent.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.engine.rig import Rig, build_far, kernel_drops, write_content


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--least", type=float, default=0.95, help="share of the packets due")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for the shard")
    parser.add_argument("--pin", type=int, help="the shard's CPU")
    parser.add_argument("--far-cpu", type=int, default=-1, help="the load process's CPU")
    parser.add_argument("--far-fifo", action="store_true")
    options = parser.parse_args()
    engine = ["--realtime"] if options.realtime else []
    engine += ["--pin", str(options.pin)] if options.pin is not None else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_far(folder)
        write_content(folder)
        with Rig(options.calls, folder, engine, options.far_cpu, options.far_fifo) as rig:
            for first in range(0, options.calls, 50):
                rig.open(list(range(first, min(first + 50, options.calls))), play_hz=8000)
                time.sleep(0.3)
            time.sleep(3)
            before, started = rig.ask("stats"), time.monotonic()
            time.sleep(options.seconds)
            after, passed_s = rig.ask("stats"), time.monotonic() - started
            drops = sum(kernel_drops(port for _, port in rig.places.values()).values())

    def more(counter: str) -> int:
        calls = after["calls"]
        return sum(calls[k][counter] - before["calls"][k][counter] for k in calls)

    due = options.calls * 50 * passed_s
    sent, shed = more("packets_sent"), more("packets_shed")
    taken = more("packets_received") - shed
    behind_ms = max((c["due"][1] - c["packets_sent"]) * 20 for c in after["calls"].values())
    load = after["estimate"]["shards"][0]["load"]
    print(
        f"{options.calls} calls, load {load:.2f} of a core, machine's load {os.getloadavg()[0]:.1f}"
        f"\nsent {sent:,} of {due:,.0f} ({100 * sent / due:.1f} %), at most {behind_ms} ms behind"
        f"\ntaken in {taken:,} of {due:,.0f} ({100 * taken / due:.1f} %), {shed:,} thrown away as "
        f"too old, the kernel dropped {drops:,}"
    )
    return 0 if sent >= options.least * due else 1


if __name__ == "__main__":
    sys.exit(main())
