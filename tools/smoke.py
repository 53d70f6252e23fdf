"""Push one frame through every unit of an installed voicecore, at every level that a wheel needs.

python tools/smoke.py       run it with the Python that voicecore is installed in, from anywhere

Runs once at the detected CPU level and once at ``c``, prints a table, and exits with 1 if a unit
failed. It needs nothing but the wheel and numpy.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

# The phase keeps every sample off zero, so that samples heard can be counted.
TONE = np.round(8000 * np.sin(2 * np.pi * 400 / 8000 * np.arange(1600) + 0.1)).astype(np.int16)
FRAME = TONE[:160]


def need(condition: bool, what: str) -> str:
    if not condition:
        raise AssertionError(what)
    return what


def resampler() -> str:
    from voicecore import Resampler

    with Resampler(8000, 16000) as unit:
        out = unit.process(FRAME)
    return need(len(out) == 320 and out.any(), f"20 ms of 8 kHz -> {len(out)} samples of 16 kHz")


def g711() -> str:
    from voicecore import G711

    errors = []
    for law in ("ulaw", "alaw"):
        unit = G711(law)
        errors.append(int(np.abs(unit.decode(unit.encode(FRAME)).astype(int) - FRAME).max()))
    return need(max(errors) <= 256, f"largest error of the two laws {errors}")


def codecs() -> str:
    from voicecore import Decoder, Encoder

    sizes = []
    for codec, rate_hz in (("pcmu", 8000), ("pcma", 8000), ("l16", 8000), ("g722", 16000)):
        packet = Encoder(codec, rate_hz).encode(FRAME)
        need(len(Decoder(codec, rate_hz).decode(packet)) == 160, codec)
        sizes.append(len(packet))
    return need(sizes == [160, 160, 320, 80], f"bytes of 160 samples: {sizes}")


def rtp_packet() -> str:
    from voicecore import RtpPacket

    packet = RtpPacket.parse(RtpPacket(b"x" * 160, sequence=65535, timestamp=7, ssrc=9).build())
    return need((packet.sequence, len(packet.payload)) == (65535, 160), "built and parsed again")


def jitter_buffer() -> str:
    from voicecore import G711, JitterBuffer, RtpPacket

    payload = G711("ulaw").encode(FRAME)
    unit = JitterBuffer(8000, codec="pcmu", mode="listen")
    unit.put(RtpPacket(payload, payload_type=0, sequence=1).build(), 1_000_000)
    samples, _ = unit.read(1_000_000)
    need(len(samples) == 160, f"listen: {len(samples)} samples")
    paced = JitterBuffer(8000, mode="play", payload_types={0: "pcmu", 13: "cn"})
    for number in range(20):
        packet = RtpPacket(payload, sequence=number, timestamp=160 * number)
        paced.put(packet.build(), 20_000_000 * number)
        samples, info = paced.get(20_000_000 * number + 10_000_000)
    return need(info.kind == "decoded" and len(samples) == 160, "160 samples at once, and paced")


def dtmf() -> str:
    from voicecore import DtmfDetector, dtmf_tones

    found = DtmfDetector(8000).process(np.concatenate([dtmf_tones("1590", 8000), 0 * TONE]))
    digits = "".join(tone.digit for tone in found if tone.kind == "released")
    return need(digits == "1590", f"heard {digits}")


def comfort_noise() -> str:
    from voicecore import ComfortNoise, ComfortNoiseModel

    unit = ComfortNoise(8000)
    unit.set_model(ComfortNoiseModel.parse(b"\x32"))
    level_dbov = 10 * np.log10(np.mean((unit.process(8000) / 32768) ** 2))
    return need(abs(level_dbov + 50) < 1, f"asked for -50 dBov, made {level_dbov:.1f}")


def silero_vad() -> str:
    from voicecore import SileroVad

    found = []
    for rate_hz in (8000, 16000):
        with SileroVad(rate_hz) as unit:
            found.append(float(unit.process(np.zeros(unit.window_samples, np.float32))[0]))
    return need(all(0 <= p < 0.5 for p in found), f"silence {found[0]:.4f}, {found[1]:.4f}")


def silero_vad_batch() -> str:
    from voicecore import SileroVadBatch

    with SileroVadBatch(16000, streams=3) as unit:
        found = unit.process(np.zeros((3, unit.window_samples), np.float32))
    return need(found.shape == (3,) and bool((found == found[0]).all()), "three streams agree")


def speech_segmenter() -> str:
    from voicecore import SpeechSegmenter

    unit = SpeechSegmenter(8000)
    p = np.repeat(np.array([0, 1, 0], np.float32), 20)  # a window is 256 samples
    events = unit.process_probabilities(p) + unit.flush()
    found = [event.sample for event in events]
    return need(found == [20 * 256 - 240, 40 * 256 + 240], f"speech from {found[0]} to {found[1]}")


def engine_call() -> str:
    from voicecore import CallConfig, Engine

    async def loopback() -> tuple[np.ndarray, dict[str, float | int]]:
        async with Engine() as engine:
            listener = await engine.open_call(CallConfig())
            talker = await engine.open_call(CallConfig(remote=listener.local_address, play_hz=8000))
            talker.play(TONE)
            heard = np.zeros(0, np.int16)
            give_up_ns = time.monotonic_ns() + 5_000_000_000
            while np.count_nonzero(heard) < 1590 and time.monotonic_ns() < give_up_ns:
                await asyncio.sleep(0.02)
                heard = np.concatenate([heard, listener.read_audio()[0]])
            return heard, listener.stats()

    heard, stats = asyncio.run(loopback())
    sounding = int(np.count_nonzero(heard))
    return need(
        1590 <= sounding <= 1600 and stats["lost"] == 0,
        f"{sounding / 8:.0f} of 200 ms heard over UDP, {stats['lost']} packets lost",
    )


def price_book() -> str:
    from voicecore.cost import PriceBook

    price = PriceBook.load().price("stt", "deepgram/nova-3")
    return need(price.rates[0].price_usd > 0, f"{price.name} {price.rates[0].price_usd} usd/min")


UNITS: list[tuple[str, Callable[[], str]]] = [
    ("Resampler", resampler),
    ("G711", g711),
    ("Encoder, Decoder", codecs),
    ("RtpPacket", rtp_packet),
    ("JitterBuffer", jitter_buffer),
    ("DtmfDetector", dtmf),
    ("ComfortNoise", comfort_noise),
    ("SileroVad", silero_vad),
    ("SileroVadBatch", silero_vad_batch),
    ("SpeechSegmenter", speech_segmenter),
    *([("Engine, Call", engine_call)] if sys.platform == "linux" else []),
    ("PriceBook", price_book),
]


def run() -> int:
    """Every unit at the level of this process; the number of failures."""
    import voicecore

    print(f"voicecore {voicecore.__version__}, level {voicecore.cpu_level()}")
    failures = 0
    for name, check in UNITS:
        try:
            verdict, detail = "ok", check()
        except Exception as error:  # every unit gets its line
            verdict, detail = "FAILED", f"{type(error).__name__}: {error}"
            failures += 1
        print(f"  {name:16} {verdict:7} {detail}")
    return failures


def main() -> int:
    if os.environ.get("VOICECORE_SMOKE_CHILD"):
        return run() != 0
    environment = {**os.environ, "VOICECORE_SMOKE_CHILD": "1"}
    failed = False
    for level in ("", "c"):
        command = [sys.executable, *(["-I"] if sys.flags.isolated else []), __file__]
        done = subprocess.run(command, env={**environment, "VOICECORE_CPU": level}, check=False)
        failed |= done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
