"""Calls whose agent hears its own voice: the whole engine against a simulated room.

A call of the virtual engine sends G.711; what it sends is decoded, comes back through a room's
response after a delay, with noise and, if told, a caller on top, and is received as RTP with
jitter. Nothing reads a clock: a seed gives the same run, bit for bit.

Times are the engine's: a sample's time is its packet's time on the wire plus its offset in it, both
ways. A reaction is from the caller's onset (the first 10 ms within 20 dB of his active level) to
the last agent sample that was sent before the pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voicecore.errors import ConfigError
from voicecore.media._g711 import G711
from voicecore.media._rtp import RtpPacket
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import BargedIn, SpeechStarted
from voicecore.testing.echo_speech import active_level_dbfs
from voicecore.testing.virtual import TICK_NS, VirtualEngine

__all__ = ["EchoCall", "EchoCallReport", "run_echo_calls"]

Signal = NDArray[np.float64]

_RATE_HZ, _FRAME = 8000, 160
_AFTER = 2400  # the VAD hears the caller's end a little later, and so does the gate
_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class EchoCall:
    """One call to simulate, at 8 kHz, signals +-1.

    Attributes:
        agent: what the agent says, all the time and over again.
        response: from the agent's samples to the microphone; empty for no echo.
        delay_ms: before the response begins: network, buffers of the telephone.
        noise_dbfs: white noise at the microphone.
        jitter_ms: packets are late by 0 to this, in order.
        callers: what the caller says, one after the other, each over the agent; () for silence.
        pause_s: between a caller's end, when the agent goes on, and the next one's onset.
        seed: of noise, jitter and the callers' times.
    """

    agent: Signal
    response: Signal
    delay_ms: float = 120.0
    noise_dbfs: float = -65.0
    jitter_ms: float = 10.0
    callers: tuple[Signal, ...] = ()
    pause_s: tuple[float, float] = (3.0, 5.0)
    seed: int = 0


@dataclass
class EchoCallReport:
    """What happened in one call.

    Attributes:
        false_barge_ins: when the agent was silenced while the caller said nothing, in seconds.
        false_starts: speech that was reported while the caller said nothing.
        reactions_ms: for each caller; inf if he did not silence the agent while he spoke.
        stats: ``Call.stats`` at the end.
    """

    false_barge_ins: list[float] = field(default_factory=list)
    false_starts: int = 0
    reactions_ms: list[float] = field(default_factory=list)
    stats: dict[str, float] = field(default_factory=dict)


def _onset(caller: Signal) -> int:
    level = 10 ** ((active_level_dbfs(caller, _RATE_HZ) - 20.0) / 10.0)
    frame = _RATE_HZ // 100
    count = len(caller) // frame
    power = np.square(caller[: count * frame]).reshape(count, frame).mean(axis=1)
    return int(np.flatnonzero(power > level)[0]) * frame


def _pcm(signal: Signal) -> NDArray[np.int16]:
    return np.rint(np.clip(signal, -1.0, 32767 / 32768) * 32768.0).astype(np.int16)


class _Line:
    """The caller's end of one call."""

    def __init__(self, scene: EchoCall, engine: VirtualEngine, config: CallConfig) -> None:
        if len(scene.agent) < _RATE_HZ:
            raise ConfigError(f"the agent says {len(scene.agent)} samples; give a second at least")
        self.scene, self.engine = scene, engine
        self.g711 = G711()
        self.call: Call = engine.open(config)
        self.report = EchoCallReport()
        self.rng = np.random.default_rng(scene.seed)
        self.words = _pcm(scene.agent)
        self.said = 0
        lead = np.zeros(round(scene.delay_ms * _RATE_HZ / 1000))
        path = np.concatenate([lead, scene.response])
        self.lead, self.taps = len(lead), scene.response[::-1].astype(np.float32)
        self.history = np.zeros(len(path) + _FRAME, np.float32)
        self.sent = np.zeros(0, np.int16)
        self.sent_first = 0
        self.received = 0
        self.last_arrival_ns = 0
        self.spoken = 0  # callers so far
        self.begins = self._next_caller(0)
        self.onset_ns: int | None = None
        self.answered = False
        self.paused = False
        self.waiting: list[tuple[int, bytes]] = []

    def _next_caller(self, now: int) -> int:
        low, high = self.scene.pause_s
        return now + int(self.rng.uniform(low, high) * _RATE_HZ)

    @property
    def caller(self) -> Signal | None:
        """Who speaks now or next."""
        callers = self.scene.callers
        return callers[self.spoken] if self.spoken < len(callers) else None

    def speak(self) -> None:
        """The agent always has half a second to say."""
        while self.call.queued_ms < 500:
            words = self.words[self.said : self.said + _RATE_HZ]
            self.call.play(words)
            self.said = (self.said + len(words)) % len(self.words)

    def hear(self, packet: bytes) -> bytes:
        """What the microphone makes of the next 20 ms."""
        played = self.g711.decode(RtpPacket.parse(packet).payload).astype(np.float32) / 32768.0
        self.sent = np.concatenate([self.sent[-_RATE_HZ:], _pcm(played.astype(np.float64))])
        self.history = np.concatenate([self.history[_FRAME:], played])
        n = len(self.taps)
        heard = np.zeros(_FRAME)
        if n:
            end = len(self.history) - self.lead
            heard += np.convolve(self.history[end - _FRAME - n + 1 : end], self.taps[::-1], "valid")
        heard += 10 ** (self.scene.noise_dbfs / 20.0) * self.rng.standard_normal(_FRAME)
        caller = self.caller
        if caller is not None:
            at = self.received - self.begins
            low, high = max(at, 0), min(at + _FRAME, len(caller))
            if low < high:
                heard[low - at : high - at] += caller[low:high]
        number = self.received // _FRAME
        self.received += _FRAME
        return RtpPacket(
            self.g711.encode(_pcm(heard)),
            sequence=number & 0xFFFF,
            timestamp=number * _FRAME & 0xFFFFFFFF,
            ssrc=7,
        ).build()

    def send(self, packet: bytes) -> None:
        late_ns = int(self.rng.uniform(0.0, self.scene.jitter_ms) * 1e6)
        self.last_arrival_ns = max(self.last_arrival_ns, self.engine.now_ns + late_ns)
        self.waiting.append((self.last_arrival_ns, packet))

    def _last_audible_ns(self) -> int:
        audible = np.flatnonzero(np.abs(self.sent.astype(np.int32)) > 8)
        behind = len(self.sent) - int(audible[-1]) if len(audible) else len(self.sent)
        # The newest sent frame began with the present tick.
        return self.engine.now_ns + (_FRAME - behind) * _NS // _RATE_HZ

    def follow(self) -> None:
        """Takes the events, and lets the caller begin and end."""
        events, caller = list(self.call._events), self.caller
        self.call._events.clear()
        # From his first sample on, before the onset too: a breath can be what is heard.
        speaks = (
            caller is not None and self.begins < self.received <= self.begins + len(caller) + _AFTER
        )
        for event in events:
            if isinstance(event, SpeechStarted) and not speaks:
                self.report.false_starts += 1
            if isinstance(event, BargedIn):
                if not speaks:
                    self.report.false_barge_ins.append(self.received / _RATE_HZ)
                    self.call.resume()
                elif not self.answered:
                    self.answered = self.paused = True
        if caller is None or self.received < self.begins + len(caller) + _AFTER:
            return
        if not self.answered:
            self.report.reactions_ms.append(float("inf"))
        elif self.paused:
            self.call.resume()
        self.answered = self.paused = False
        self.spoken += 1
        self.begins = self._next_caller(self.received)

    def measure(self) -> None:
        """In the tick behind a barge-in: the fade has been sent."""
        if not self.paused or self.caller is None:
            return
        first = self.begins + _onset(self.caller)
        onset_ns = self.call.received_start_ns + first * _NS // _RATE_HZ
        self.report.reactions_ms.append((self._last_audible_ns() - onset_ns) / 1e6)


def run_echo_calls(
    scenes: list[EchoCall],
    seconds: float,
    config: CallConfig | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[EchoCallReport]:
    """Run all calls side by side in one virtual engine and report on each.

    Args:
        scenes: the calls.
        seconds: of virtual time; a caller who is not done then is not counted.
        config: settings; PCMU with both rates at 8000 Hz.
        progress: is given the share that is done, now and then.

    Example::

        reports = run_echo_calls([EchoCall(agent=prompts, response=room)], seconds=60)
        assert not any(report.false_barge_ins for report in reports)
    """
    engine = VirtualEngine()
    config = config or CallConfig(play_hz=_RATE_HZ)
    if config.codec != "pcmu" or config.play_hz != _RATE_HZ:
        raise ConfigError("echo calls are PCMU with play_hz=8000")
    lines = {line.call.number: line for line in (_Line(s, engine, config) for s in scenes)}
    ticks = round(seconds * 50)
    for k in range(ticks):
        for line in lines.values():
            line.speak()
        was_answered = {number: line.paused and line.answered for number, line in lines.items()}
        arrivals = sorted(
            (at, number, packet) for number, line in lines.items() for at, packet in line.waiting
        )
        due = engine.now_ns + TICK_NS
        for line in lines.values():
            line.waiting = [(at, packet) for at, packet in line.waiting if at > due]
        for at, number, packet in arrivals:
            if at <= due:
                engine.now_ns = max(engine.now_ns, at)
                engine.receive(lines[number].call, packet)
        engine.tick()
        sent, engine.sent = engine.sent, []
        for _, call, packet in sent:
            line = lines[call.number]
            line.send(line.hear(packet))
        for number, line in lines.items():
            line.follow()
            if line.paused and not was_answered[number]:
                line.measure()
        if progress and k % 50 == 0:
            progress(k / ticks)
    for line in lines.values():
        line.report.stats = line.call.stats()
    return [line.report for line in lines.values()]
