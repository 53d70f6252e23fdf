"""Runs GStreamer's rtpjitterbuffer over the packets of a trace; a program of its own.

voicecore.testing.lab_gstreamer starts it, in a Python that has GStreamer's bindings; it needs
nothing of voicecore. JSON on stdin and stdout:

    {"rate_hz": 8000, "latency_ms": 200, "packets": [[arrival_ns, sequence, timestamp, ssrc], ..]}
    {"out": [[index, out_ns, pts_ns], ..]}

Packets come by arrival, and index counts them. The element has a thread that pushes and one that
waits for timers, on a clock that this program sets. It goes on only when all threads sleep, so that
equal packets give equal times.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_TAIL_NS = 2_000_000_000
_MOST_LOOKS = 1_000_000
_ELEMENTS = ("appsrc", "rtpjitterbuffer", "appsink")


def _asleep(own: str) -> dict[str, str] | None:
    """How often each other thread has gone to sleep; None if one of them runs."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if task.name == own:
            continue
        try:
            text = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended
            return None
        state = text.partition("State:\t")[2][:1]
        if state != "S":
            return None
        found[task.name] = text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]
    return found


def _settle(own: str) -> None:
    """Wait until all threads but this one sleep.

    A thread that is found asleep twice, and has not gone to sleep in between, slept all the time;
    if that holds for all of them, nobody was there to wake another.
    """
    before = None
    for _ in range(_MOST_LOOKS):
        now = _asleep(own)
        if now is not None and now == before:
            return
        before = now
        os.sched_yield()
    raise RuntimeError("the threads of rtpjitterbuffer do not come to rest")


def run(gst: Any, check: Any, job: Any) -> list[tuple[int, int, int]]:
    """What comes out: index of the packet, when it came out, its presentation time."""
    own = Path("/proc/thread-self").readlink().name
    # do-lost announces losses to a decoder; no packet's time depends on it.
    pipeline = gst.parse_launch(
        "appsrc name=source is-live=true format=time do-timestamp=false max-bytes=0 caps="
        f'"application/x-rtp,media=audio,clock-rate={job["rate_hz"]},encoding-name=PCMU,payload=0"'
        f" ! rtpjitterbuffer latency={job['latency_ms']} do-lost=true"
        " ! appsink name=sink sync=false async=false"
    )
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    clock = check.TestClock.new()
    pipeline.use_clock(clock)
    pipeline.set_start_time(gst.CLOCK_TIME_NONE)
    pipeline.set_base_time(0)
    pipeline.set_state(gst.State.PLAYING)
    _settle(own)
    out: list[tuple[int, int, int]] = []

    def drain() -> None:
        _settle(own)
        now_ns = clock.get_time()
        while (sample := sink.emit("try-pull-sample", 0)) is not None:
            buffer = sample.get_buffer()
            data = buffer.extract_dup(12, 4)
            out.append((int.from_bytes(data, "big"), now_ns, buffer.pts))

    def advance(end_ns: int) -> None:
        while clock.peek_id_count():
            due_ns = clock.get_next_entry_time()
            if due_ns > end_ns:
                break
            clock.crank()
            drain()
        if end_ns > clock.get_time():
            clock.set_time(end_ns)

    arrival_ns = 0
    for index, (arrival_ns, sequence, timestamp, ssrc) in enumerate(job["packets"]):
        advance(arrival_ns)
        header = (0x80, 0, *sequence.to_bytes(2, "big"), *timestamp.to_bytes(4, "big"))
        buffer = gst.Buffer.new_wrapped(
            bytes(header) + ssrc.to_bytes(4, "big") + index.to_bytes(4, "big")
        )
        buffer.pts = buffer.dts = arrival_ns
        source.emit("push-buffer", buffer)
        drain()
    advance(arrival_ns + _TAIL_NS)
    pipeline.set_state(gst.State.NULL)
    return out


def main() -> int:
    """Do the job on stdin; with --check only see that all is there."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstCheck", "1.0")
        from gi.repository import Gst, GstCheck
    except (ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    Gst.init(None)
    for name in _ELEMENTS:
        if Gst.ElementFactory.find(name) is None:
            print(f"GStreamer has no {name}", file=sys.stderr)
            return 1
    if not Path("/proc/thread-self/status").exists():
        print("it needs the list of threads in /proc", file=sys.stderr)
        return 1
    out = [] if "--check" in sys.argv else run(Gst, GstCheck, json.load(sys.stdin))
    json.dump({"out": out}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
