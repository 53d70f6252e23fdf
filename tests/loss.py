"""Speech over G.711 with lost packets, for the tests and figures of concealment.

for name, sent in speech_pieces(): ...
lost = losses(400, rate=0.05, burst=1, seed=1)
heard = concealed(sent, lost)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.audio import REAL, speech, synthetic_speech
from voicecore import G711, JitterBuffer, RtpPacket

Samples = npt.NDArray[np.int16]
Lost = npt.NDArray[np.bool_]
FRAME = 160
RATE_HZ = 8000
PIECE_S = 8  # PESQ's recommended length


def pieces_of(whole: npt.NDArray[np.floating]) -> list[Samples]:
    """As many pieces of 8 s as there are in speech at 8 kHz, each at -26 dBFS."""
    pieces = []
    for number in range(len(whole) // (PIECE_S * RATE_HZ)):
        start = number * PIECE_S * RATE_HZ
        piece = whole[start : start + PIECE_S * RATE_HZ].astype(np.float64)
        piece *= 10 ** (-26 / 20) / np.sqrt(np.mean(piece**2))
        pieces.append(np.clip(np.rint(piece * 32768), -32768, 32767).astype(np.int16))
    return pieces


def speech_pieces() -> list[tuple[str, Samples]]:
    """Fifteen pieces of four recordings."""
    pieces = []
    for name in (*REAL, "synthetic"):
        whole = synthetic_speech(RATE_HZ) if name == "synthetic" else speech(name, RATE_HZ)
        pieces += [(f"{name} {n}", piece) for n, piece in enumerate(pieces_of(whole))]
    return pieces


def losses(packets: int, rate: float, burst: int, seed: int) -> Lost:
    """Which packets are lost: bursts of that many, begun at random; never the first ten."""
    generator = np.random.default_rng(seed)
    begins = rate / burst / (1 - rate + rate / burst)
    lost = np.zeros(packets, bool)
    at = 0
    while at < packets:
        if generator.random() < begins:
            lost[at : at + burst] = True
            at += burst
        else:
            at += 1
    lost[:10] = False
    return lost


def decoded(sent: Samples) -> Samples:
    """What arrives without loss."""
    codec = G711("ulaw")
    return codec.decode(codec.encode(sent))


def silenced(sent: Samples, lost: Lost) -> Samples:
    return np.where(np.repeat(lost, FRAME), 0, decoded(sent)).astype(np.int16)


def concealed(sent: Samples, lost: Lost, parts: int = 1) -> Samples:
    """Through the jitter buffer of voicecore, whose output is as long as the input.

    A gap is concealed when the first packet after it is there. parts: into how many packets each of
    20 ms is cut: with 2 that is too little to conceal from both sides.
    """
    codes = G711("ulaw").encode(sent)
    buffer = JitterBuffer(RATE_HZ, mode="listen", loss_wait_ms=0)
    size, heard = FRAME // parts, []
    for n in np.flatnonzero(~np.repeat(lost, parts)):
        payload = codes[size * n : size * (n + 1)]
        packet = RtpPacket(payload, sequence=int(n), timestamp=int(n) * size, ssrc=1)
        now_ns = int(n) * 20_000_000 // parts
        assert buffer.put(bytes(packet), now_ns) == "ok"
        while True:
            samples, info = buffer.read(now_ns)
            if info is None:
                break
            heard.append(samples)
    whole = np.concatenate(heard)
    return np.append(whole, np.zeros(FRAME * len(lost) - len(whole), np.int16))
