"""What the callers of the barge-in bench say, when each packet arrives, and how it looks on a wire.

Every call has a trial every PERIOD_S: line noise, then a recorded prompt of a second or more, cut
after SPEECH_S. The trials of a round begin within SPREAD_S, so that one hold of the loop meets all.
The agent's own voice is recorded speech without its pauses, so that every packet can be heard.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from bench.engine.barge_score import RATE_HZ, SAMPLE_NS, TICK_NS, onset_sample
from voicecore import G711
from voicecore.testing.echo_speech import FAR_VOICE, NEAR_VOICES, active_level_dbfs, prompts
from voicecore.testing.trace_catalogue import make_trace

__all__ = [
    "PERIOD_S",
    "Plan",
    "Trial",
    "agent_voice",
    "holds_ns",
    "make_plan",
    "read_log",
    "rtp_packets",
    "rtp_received",
    "write_plan",
    "ws_messages",
    "ws_received",
]  # fmt: skip

LEAD_S = 2.0  # before the first packet: a WebSocket server builds its pipeline then
FIRST_S, PERIOD_S, SPREAD_S, SPEECH_S = 3.0, 5.0, 0.1, 1.5
AGENT_S = 12.0  # an answer: it lasts beyond the next trial, and is short enough to give at once
LEVEL_DBOV, NOISE_DBOV, AGENT_DBOV = -26.0, -65.0, -20.0
FRAME = RATE_HZ // 50
# Longer ones are few, and one of them, tt-monkeys.g722, is no voice.
PROMPT_HZ, LONGEST_S = 16000, 12.0
_RECORD = struct.Struct("<qii")

Event = tuple[int, int, bytes]  # ns after the start, call, what to send
Received = tuple[NDArray[np.int64], list[NDArray[np.int16]]]


@dataclass(frozen=True)
class Trial:
    """A caller starts to speak. ``onset_ns`` counts from the start of the run: the packet with that
    sample leaves when its last sample has been spoken."""

    call: int
    round: int
    voice: str
    onset_sample: int  # of the call's signal
    onset_ns: int


@dataclass(frozen=True)
class Plan:
    """Signals (mu-law) of all calls, arrival of every packet, and the trials."""

    calls: int
    rounds: int
    seed: int
    payloads: list[bytes]
    packets: list[tuple[NDArray[np.int64], NDArray[np.int64]]]  # number and ns, by arrival
    spoken_ns: list[int]  # when each call's sample 0 is spoken
    trials: list[Trial]
    seconds: float

    def round_ns(self, number: int) -> int:
        """The earliest onset of a round."""
        return int((LEAD_S + FIRST_S + number * PERIOD_S) * 1e9)


def at_level(signal: NDArray[np.float64], level_dbov: float) -> NDArray[np.float64]:
    gain = 10 ** ((level_dbov - active_level_dbfs(signal, RATE_HZ)) / 20)
    return signal * min(gain, 0.99 / float(np.abs(signal).max()))


def agent_voice(seconds: float = AGENT_S) -> NDArray[np.int16]:
    """Recorded speech at 8 kHz; frames of 20 ms 25 dB or more below its level are cut out."""
    parts: list[NDArray[np.float64]] = []
    for prompt in prompts(FAR_VOICE):
        signal = at_level(resample_poly(prompt, 1, 2), AGENT_DBOV)
        frames = signal[: len(signal) // FRAME * FRAME].reshape(-1, FRAME)
        loud = np.square(frames).mean(axis=1) > 10 ** ((AGENT_DBOV - 25) / 10)
        parts.append(frames[loud].ravel())
        if sum(map(len, parts)) >= seconds * RATE_HZ:
            break
    voice = np.resize(np.concatenate(parts), int(seconds * RATE_HZ))
    return (np.clip(voice, -1, 0.9999) * 32768).astype(np.int16)


def _speech(rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float64], int]]:
    """Prompts of the callers in random order, each once before any comes again, and its onset."""
    pool = [
        (voice, prompt)
        for voice in NEAR_VOICES
        for prompt in prompts(voice)
        if len(prompt) <= LONGEST_S * PROMPT_HZ
    ]
    while True:
        for index in rng.permutation(len(pool)):
            voice, prompt = pool[index]
            clean = at_level(resample_poly(prompt, 1, 2), LEVEL_DBOV)
            onset = onset_sample(clean, active_level_dbfs(clean, RATE_HZ))
            if onset < RATE_HZ // 2:
                yield voice, clean[: int(onset + SPEECH_S * RATE_HZ)], onset


def make_plan(calls: int, rounds: int, *, seed: int = 1, network: str = "gamma-10") -> Plan:
    """The same plan for the same arguments; a plan of fewer calls is the head of one of more."""
    seconds = FIRST_S + rounds * PERIOD_S
    encoder = G711("ulaw")
    payloads, packets, spoken_ns, trials = [], [], [], []
    for call in range(calls):
        rng = np.random.default_rng([seed, call])
        said = _speech(rng)
        signal = rng.normal(0.0, 10 ** (NOISE_DBOV / 20), int(seconds * RATE_HZ))
        begin_ns = int(LEAD_S * 1e9) + int(rng.integers(TICK_NS))
        spoken_ns.append(begin_ns)
        for number in range(rounds):
            voice, clean, offset = next(said)
            onset_s = FIRST_S + number * PERIOD_S + rng.uniform(0.0, SPREAD_S)
            onset = int(onset_s * RATE_HZ) - (begin_ns - int(LEAD_S * 1e9)) // SAMPLE_NS
            signal[onset - offset : onset - offset + len(clean)] += clean
            trials.append(Trial(call, number, voice, onset, begin_ns + onset * SAMPLE_NS))
        pcm = (np.clip(signal, -1, 0.9999) * 32768).astype(np.int16)
        payloads.append(bytes(encoder.encode(pcm)))
        trace = make_trace(network, seconds=seconds, seed=seed * 1000 + call)
        order = trace.arrival_order
        # The shortest transit is the path's and left out; a packet leaves when it is full.
        late_ns = trace.arrival_ns[order] - trace.base_ns
        packets.append((trace.position[order] // FRAME, begin_ns + TICK_NS + late_ns))
    return Plan(
        calls, rounds, seed, payloads, packets, spoken_ns, trials, LEAD_S + seconds
    )  # fmt: skip


def holds_ns(plan: Plan, hold_ms: float) -> list[int]:
    """When each round's hold of the loop begins: at a random moment from 50 ms (or half the hold)
    before the round's first onset to 150 ms after it. Earlier would be no test: an agent that lives
    on the loop has run dry by then, so nobody has to interrupt it."""
    rng = np.random.default_rng([plan.seed, 7])
    span = rng.uniform(0.0, 1.0, plan.rounds)
    early_ns, late_ns = min(hold_ms / 2, 50.0) * 1e6, 150e6
    return [
        int(plan.round_ns(number) - early_ns + share * (early_ns + late_ns))
        for number, share in enumerate(span.tolist())
    ]


def write_plan(path: Path, events: list[Event]) -> None:
    with path.open("wb") as file:
        for due_ns, call, data in sorted(events, key=lambda event: event[0]):
            file.write(_RECORD.pack(due_ns, call, len(data)) + data)


def read_log(path: Path, calls: int) -> list[list[tuple[int, bytes]]]:
    """What each call received: pairs of time and bytes."""
    found: list[list[tuple[int, bytes]]] = [[] for _ in range(calls)]
    data, at = path.read_bytes(), 0
    while at < len(data):
        time_ns, call, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        found[call].append((time_ns, data[at : at + length]))
        at += length
    return found


def _pcm(payload: bytes) -> NDArray[np.int16]:
    return np.asarray(G711("ulaw").decode(payload))


def _each_packet(plan: Plan, wrap: Callable[[int, int, bytes], bytes]) -> list[Event]:
    events = []
    for call in range(plan.calls):
        for number, due_ns in zip(*(column.tolist() for column in plan.packets[call]), strict=True):
            payload = plan.payloads[call][number * FRAME : (number + 1) * FRAME]
            events.append((due_ns, call, wrap(call, number, payload)))
    return events


# -- RTP -----------------------------------------------------------------------------------------


def rtp_packets(plan: Plan) -> list[Event]:
    def wrap(call: int, number: int, payload: bytes) -> bytes:
        return (
            struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number * FRAME, 1000 + call) + payload
        )

    return _each_packet(plan, wrap)


def rtp_received(log: list[tuple[int, bytes]]) -> Received:
    """Arrival and samples of the packets, in the order of their sequence numbers."""
    numbers = np.array([data[2] << 8 | data[3] for _, data in log], np.int64)
    steps = (np.diff(numbers) + 32768) % 65536 - 32768
    order = np.argsort(np.concatenate([[0], np.cumsum(steps)]), kind="stable")
    times = np.array([log[i][0] for i in order], np.int64)
    return times, [_pcm(log[i][1][12:]) for i in order]


# -- Twilio Media Streams over a WebSocket (RFC 6455) ----------------------------------------------


def _frame(text: str) -> bytes:
    data, mask = text.encode(), b"\x11\x22\x33\x44"
    assert len(data) < 65536
    head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else b"\x81\xfe" + struct.pack(
        ">H", len(data)
    )  # fmt: skip
    keys = np.resize(np.frombuffer(mask, np.uint8), len(data))
    return head + mask + (np.frombuffer(data, np.uint8) ^ keys).tobytes()


def ws_messages(plan: Plan) -> list[Event]:
    """The upgrade request at the start, then every packet as a "media" message."""

    def wrap(call: int, number: int, payload: bytes) -> bytes:
        media = {"payload": base64.b64encode(payload).decode(), "track": "inbound"}
        return _frame(json.dumps({"event": "media", "streamSid": f"MZ{call}", "media": media}))

    request = (
        "GET /ws/{call} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    opening = [(call, call, request.format(call=call).encode()) for call in range(plan.calls)]
    return opening + _each_packet(plan, wrap)


def ws_received(log: list[tuple[int, bytes]]) -> tuple[Received, list[int]]:
    """Arrival and samples of the "media" messages, and the times of "clear".

    A message has come when its last byte has.
    """
    stream = b"".join(data for _, data in log)
    ends = np.cumsum([len(data) for _, data in log])
    at = stream.find(b"\r\n\r\n") + 4
    if at < 4 or b" 101 " not in stream[:20]:
        raise ValueError(f"the agent did not take the WebSocket: {stream[:60]!r}")
    times: list[int] = []
    blocks: list[NDArray[np.int16]] = []
    clears: list[int] = []
    while at + 2 <= len(stream):
        opcode, length = stream[at] & 15, stream[at + 1] & 127
        at += 2
        if length == 126:
            length, at = struct.unpack_from(">H", stream, at)[0], at + 2
        elif length == 127:
            length, at = struct.unpack_from(">Q", stream, at)[0], at + 8
        if at + length > len(stream):
            break
        data, at = stream[at : at + length], at + length
        if opcode != 1:
            continue
        time_ns = log[int(np.searchsorted(ends, at))][0]
        message = json.loads(data)
        if message["event"] == "media":
            times.append(time_ns)
            blocks.append(_pcm(base64.b64decode(message["media"]["payload"])))
        elif message["event"] == "clear":
            clears.append(time_ns)
    return (np.array(times, np.int64), blocks), clears
