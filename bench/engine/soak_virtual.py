"""Days of calls in minutes: pairs of calls under the virtual clock, every packet accounted for.

A pair is an agent and a caller, both calls of one VirtualEngine, joined by a line that loses,
doubles, delays and reorders packets and sometimes is dead for 6 s. The first pair lives for the
whole run, the others open and close all the time. Sequence numbers and timestamps begin just below
their wraps. When a pair ends its line becomes perfect for 2 s, then it is cut, and when all that
was under way has landed both calls' counters are compared with the line's and with one another's.

The same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine.ledger import Ledger, Reading, accounted
from bench.engine.soak_line import Line
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    BargedIn,
    ByeReceived,
    CallClosed,
    DtmfReceived,
    EventsLost,
    MarkReached,
    PlayoutDrained,
    RtpTimedOut,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.testing.virtual import VirtualEngine

__all__ = ["VirtualSoak", "run_virtual_soak"]

STEP_TICKS, CALM_STEPS, OUTAGE_STEPS = 10, 11, 30  # of 200 ms: calm for 2 s, cut for 0.2 s; 6 s
STEP_S = STEP_TICKS / 50
QUIET = (
    "packets_malformed",
    "packets_unknown",
    "packets_strange",
    "packets_unproven",
    "packets_discarded",
    "packets_shed",
    "rtcp_malformed",
    "send_errors",
    "resets",
    "sent_dropped_samples",
)


@dataclass
class End:
    """One call of a pair: what was done to it and what it said."""

    call: Call
    line: Line  # that its packets leave by
    opened_tick: int
    # Nothing here grows with the length of the call: the harness must not look like a leak.
    digits: str = ""  # sent and not heard yet
    digits_sent: int = 0
    digits_heard: int = 0
    marks: int = 0
    marks_reached: int = 0
    wrong: int = 0  # digits and marks that came out of turn
    queued: int = 0
    read: int = 0
    holes: int = 0
    next_sample: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more

    def play(self, pcm: NDArray[np.int16]) -> None:
        self.queued += self.call.play(pcm)

    def listen(self) -> NDArray[np.int16]:
        """Read all that was received; holes are what the call says it dropped."""
        parts = []
        while True:
            pcm, first = self.call.read_audio()
            if len(pcm) == 0:
                return np.concatenate(parts) if parts else pcm
            self.holes += first - self.next_sample
            self.next_sample = first + len(pcm)
            self.read += len(pcm)
            parts.append(pcm)


class Pair:
    """An agent and a caller."""

    def __init__(self, soak: VirtualSoak, number: int, steps: int) -> None:
        self.soak, self.number, self.left = soak, number, steps
        rng = self.rng = np.random.default_rng([soak.seed, number])
        self.lives = steps
        self.outage = 0
        self.echo = number > 0 and rng.random() < 0.5
        wide = number > 0 and rng.random() < 0.15
        codec = "l16" if wide else str(rng.choice(["pcmu", "pcma"]))
        rate = 16000 if wide else 8000
        self.rtcp = number == 0 or bool(rng.random() < 0.5)
        self.play_hz = (rate, rate) if number == 0 else (int(rng.choice([8000, 24000])), rate)
        engine = soak.engine
        self.ends = []
        for k in range(2):
            config = CallConfig(
                codec=codec,
                rate_hz=rate,
                play_hz=self.play_hz[k],
                echo="on" if self.echo and k == 0 else "off",
                rtcp=self.rtcp,
                ssrc=int(rng.integers(1, 2**32)),
                first_sequence=int(rng.integers(65000, 65536)),
                first_timestamp=int(rng.integers(2**32 - 800_000, 2**32)),
                play_buffer_ms=2000,
                receive_buffer_ms=600,
            )
            self.ends.append(End(engine.open(config), Line(rng), soak.ticks))
        self.agent, self.caller = self.ends
        engine.connect(self.agent.call, self.caller.call, self.agent.line, self.caller.line)
        for end in self.ends:
            end.line.calm = True  # the first packet of a stream must not be lost unseen
        self.speaking = 0
        soak.opened += 2

    # -- what happens in a step of 200 ms --

    def step(self) -> bool:
        """Whether the pair goes on."""
        self.left -= 1
        for end, other in ((self.agent, self.caller), (self.caller, self.agent)):
            self._take(end, other)
        if self.left <= 0:
            self.close()
            return False
        ending = self.left <= CALM_STEPS
        if self.left == self.lives - 1 or self.left == CALM_STEPS:
            for end in self.ends:
                end.line.calm, end.line.dead = ending, False
                if ending and end.call.play_position < end.call.queue_position:
                    end.call.flush()
                    end.count("flushes")
        if self.left == 1:
            for end in self.ends:
                end.line.cut = True
        if not ending:
            self._act()
        return True

    def _act(self) -> None:
        rng, soak = self.rng, self.soak
        agent, caller = self.agent, self.caller
        if agent.call.queued_ms < 400 and rng.random() < 0.7:
            seconds = float(rng.uniform(0.2, 1.4))
            agent.play(soak.words(agent.call.play_hz, seconds, rng))
            if rng.random() < 0.5:
                agent.call.end_segment()
            if rng.random() < 0.3:
                agent.call.mark(agent.marks)
                agent.marks += 1
        if rng.random() < 0.01:
            agent.call.pause()
            agent.call.resume()
        if rng.random() < 0.01:
            agent.call.flush()
            agent.count("flushes")
        if self.speaking == 0 and rng.random() < 0.06:
            self.speaking = int(rng.integers(3, 12))
        if self.speaking > 0:
            self.speaking -= 1
            caller.play(soak.words(caller.call.play_hz, STEP_S, rng))
            if self.speaking == 0:
                caller.call.end_segment()
        for end in self.ends:
            # What is pressed while the line is dead is not heard.
            if rng.random() < 0.004 and self.left > CALM_STEPS + 15 and self.outage == 0:
                digits = "".join(rng.choice(list("0123456789*#ABCD"), 3))
                end.call.send_dtmf(digits, 120)
                end.digits += digits
                end.digits_sent += len(digits)
        if self.outage > 0:
            self.outage -= 1
            if self.outage == 0:
                self.caller.line.dead = False
        elif rng.random() < 0.0005 and self.left > CALM_STEPS + OUTAGE_STEPS + 10:
            if not self.caller.digits:  # none on its way
                self.outage = OUTAGE_STEPS
                self.caller.line.dead = True
                agent.count("outages")
                self.soak.outages += 1

    def _take(self, end: End, other: End) -> None:
        """Read audio and events; the caller's side of an echo plays back what it hears."""
        heard = end.listen()
        if self.echo and end is self.caller and len(heard) and self.left > CALM_STEPS:
            end.play((heard.astype(np.int32) // 8).astype(np.int16))
        events = end.call._events
        while events:
            event = events.popleft()
            end.count(type(event).__name__)
            if isinstance(event, DtmfReceived):
                end.digits_heard += 1
                end.wrong += other.digits[:1] != event.digit
                other.digits = other.digits[1:]
            elif isinstance(event, MarkReached):
                end.wrong += event.mark_id != end.marks_reached
                end.marks_reached += 1
            elif isinstance(event, PlayoutDrained):
                end.count("drained_underruns", event.underrun)
            elif isinstance(event, BargedIn) and not end.call.is_closed:
                if self.rng.random() < 0.5:
                    end.call.flush()
                    end.count("flushes")
                else:
                    end.call.resume()

    # -- the end --

    def close(self) -> None:
        soak, ledger = self.soak, self.soak.ledger
        for end, other in ((self.agent, self.caller), (self.caller, self.agent)):
            self._balance(ledger, end, other)
        self.agent.line.cut = self.caller.line.cut = False
        for end in self.ends:
            soak.engine.begin_close(end.call)
            soak.engine.advance(20)  # its BYE lands
            soak.ticks += 1
            for one in self.ends:
                self._take_closed(one)
        said = [e.counts.get(ByeReceived.__name__, 0) for e in self.ends]
        # The agent closes first, and nobody is there to hear the caller's.
        ledger.equal("BYE heard = RTCP calls closed before their peer", sum(said), self.rtcp, self)
        for end in self.ends:
            closed = end.counts.get(CallClosed.__name__, 0)
            ledger.equal("CallClosed events = calls closed", closed, 1, self)
        soak.closed += 2

    def _take_closed(self, end: End) -> None:
        while end.call._events:
            end.count(type(end.call._events.popleft()).__name__)

    def __repr__(self) -> str:
        return f"pair {self.number} at {self.soak.ticks / 180_000:.3f} h"

    def _balance(self, ledger: Ledger, end: End, other: End) -> None:
        stats, line, call, counts = end.call.stats(), other.line, end.call, end.counts
        frame = call.rate_hz // 50
        soak = self.soak

        def check(law: str, left: float, right: float) -> None:
            ledger.equal(law, left, right, self)

        for name, value in stats.items():
            if not name.endswith(("_ms", "_db", "_ppm", "_share", "_bytes")):
                soak.totals[name] = soak.totals.get(name, 0) + value
        for name, value in counts.items():
            soak.events[name] = soak.events.get(name, 0) + value
        check("packets sent = ticks while open", stats["packets_sent"],
              soak.ticks - end.opened_tick)  # fmt: skip
        check("packets sent + RTCP sent = what the line was given",
              stats["packets_sent"] + stats["rtcp_sent"], end.line.sent)  # fmt: skip
        check("packets received = what the line delivered", stats["packets_received"],
              line.delivered)  # fmt: skip
        check("packets received = sum of its 15 kinds", stats["packets_received"], accounted(stats))
        check("RTCP received = RTCP delivered", stats["rtcp_received"], line.rtcp_delivered)
        check("lost - came late = what the line lost", stats["lost"] - stats["late"],
              line.lost - line.rtcp_lost)  # fmt: skip
        check("received samples = decoded x frame + concealed + silence",
              stats["received_samples"],
              stats["packets_decoded"] * frame + stats["concealed_samples"]
              + stats["silence_samples"])  # fmt: skip
        held = frame // 2 if call.config.cancels_echo else 0  # the canceller's 10 ms
        check("read + dropped unread + in the canceller = received samples",
              end.read + stats["unread_dropped_samples"] + held,
              stats["received_samples"])  # fmt: skip
        check("holes in what was read = dropped unread", end.holes,
              stats["unread_dropped_samples"])  # fmt: skip
        check("samples that play() took = queue position", end.queued, call.queue_position)
        check("queue position = play position after the end", call.queue_position,
              call.play_position)  # fmt: skip
        check("marks reached = marks set", end.marks_reached, end.marks)
        check("underruns = PlayoutDrained(underrun=True)", stats["underruns"],
              counts.get("drained_underruns", 0))  # fmt: skip
        check("digits heard = digits sent", end.digits_heard, other.digits_sent)
        check("marks and digits out of turn = 0", end.wrong, 0)
        starts, stops = (counts.get(e.__name__, 0) for e in (SpeechStarted, SpeechStopped))
        check("SpeechStarted = SpeechStopped after silence", starts, stops)
        check("RtpTimedOut = outages longer than rtp_timeout_ms",
              counts.get(RtpTimedOut.__name__, 0), counts.get("outages", 0))  # fmt: skip
        check("accepted sources = 1", stats["sources"], 1)
        check("events lost = 0", counts.get(EventsLost.__name__, 0), 0)
        check(f"{', '.join(QUIET)} = 0", sum(stats[name] for name in QUIET), 0)


class VirtualSoak:
    """The run: one virtual engine and its pairs."""

    def __init__(self, speech: NDArray[np.int16], pairs: int, seed: int) -> None:
        self.seed = seed
        self.engine = VirtualEngine()
        self.ledger = Ledger()
        self.totals: dict[str, float] = {}
        self.events: dict[str, int] = {}
        self.readings: list[Reading] = []
        self.ticks = self.opened = self.closed = self.outages = 0
        self._speech = {8000: speech, 16000: np.repeat(speech, 2), 24000: np.repeat(speech, 3)}
        self._numbers = 0
        self._rng = np.random.default_rng([seed, 1 << 20])
        self.pairs: list[Pair | None] = [None] * pairs

    def words(self, rate_hz: int, seconds: float, rng: np.random.Generator) -> NDArray[np.int16]:
        speech = self._speech[rate_hz]
        n = int(seconds * rate_hz)
        at = int(rng.integers(0, len(speech) - n))
        return speech[at : at + n]

    def _open(self, place: int, steps_left: int) -> Pair:
        steps = steps_left
        if place > 0:  # 10 s to 10 minutes; the last ones end with the run
            steps = min(steps, int(self._rng.uniform(10, 600) / STEP_S))
        pair = Pair(self, self._numbers, steps)
        self._numbers += 1
        return pair

    def run(
        self, hours: float, reading_s: float, progress: Callable[[float], None] | None = None
    ) -> None:
        steps = round(hours * 3600 / STEP_S)
        every = max(1, round(reading_s / STEP_S))
        least = 2 * CALM_STEPS + 5
        for k in range(steps):
            for place, pair in enumerate(self.pairs):
                if pair is None and steps - k >= least:
                    self.pairs[place] = self._open(place, steps - k)
            for _ in range(STEP_TICKS):
                self.engine.tick()
            self.ticks += STEP_TICKS
            for place, pair in enumerate(self.pairs):
                if pair is not None and not pair.step():
                    self.pairs[place] = None
            if k % every == 0:
                self.readings.append(Reading.take(k * STEP_S / 3600))
                if progress:
                    progress(k / steps)
        self.ledger.equal("calls closed = calls opened", self.closed, self.opened)


def run_virtual_soak(
    speech: NDArray[np.int16],
    *,
    hours: float,
    pairs: int = 2,
    seed: int = 1,
    reading_s: float = 600.0,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Run it and report.

    Args:
        speech: int16 at 8 kHz, some seconds, from which both sides speak.
        hours: of the virtual clock.
        pairs: open at a time; the first one for the whole run.
        seed: equal seeds give equal runs.
        reading_s: virtual time between readings of the process's memory.
        progress: is given the share that is done.
    """
    before = Reading.take(0.0)
    soak = VirtualSoak(speech, pairs, seed)
    soak.run(hours, reading_s, progress)
    found = {
        "hours": hours,
        "ticks": soak.ticks,
        "call_ticks": int(soak.totals.get("packets_sent", 0)),
        "calls": soak.opened,
        "outages": soak.outages,
        "totals": soak.totals,
        "events": soak.events,
        "readings": soak.readings,
        "ledger": soak.ledger,
        "before": before,
    }
    del soak
    found["after"] = Reading.take(hours)
    return found
