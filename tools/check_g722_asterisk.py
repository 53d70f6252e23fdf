"""G.722 on Asterisk's prompts: codes that neither this encoder nor libavcodec's has made.

    apt-get install -y --no-install-recommends asterisk-core-sounds-en-g722
    python tools/check_g722_asterisk.py [directory]

The Debian package (11 MB, no dependencies) holds 568 prompts. Each must decode to the samples of
libavcodec's decoder (PyAV), bit for bit, in one piece and in packets of 20 ms. Exits with 1 if one
does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from voicecore import Decoder

SOUNDS = Path("/usr/share/asterisk/sounds")
PACKET_BYTES = 160


def libavcodec(packets: list[bytes]) -> npt.NDArray[np.int16]:
    context = av.CodecContext.create("g722", "r")
    context.sample_rate, context.layout = 16000, "mono"
    context.open()
    given = [*(av.Packet(packet) for packet in packets), None]
    return np.concatenate([f.to_ndarray()[0] for packet in given for f in context.decode(packet)])


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else SOUNDS
    files = sorted(directory.rglob("*.g722"))
    if not files:
        sys.exit(f"no .g722 files in {directory}; install asterisk-core-sounds-en-g722")
    samples, differ = 0, []
    for path in files:
        codes = path.read_bytes()
        packets = [codes[at : at + PACKET_BYTES] for at in range(0, len(codes), PACKET_BYTES)]
        with Decoder("g722", 16000) as whole, Decoder("g722", 16000) as sliced:
            audio = whole.decode(codes)
            parts = np.concatenate([sliced.decode(packet) for packet in packets])
        samples += len(audio)
        if not (np.array_equal(audio, libavcodec(packets)) and np.array_equal(audio, parts)):
            differ.append(path.name)
    minutes = samples / 16000 / 60
    print(f"{len(files) - len(differ)} of {len(files)} files equal, {minutes:.1f} minutes")
    sys.exit(f"these differ from libavcodec: {', '.join(differ)}" if differ else 0)


if __name__ == "__main__":
    main()
