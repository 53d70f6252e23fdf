"""opuslib (ctypes over libopus) on the very libopus that voicecore loads, for tests and benchmarks.

opuslib looks for the library with ctypes.util.find_library, which needs ldconfig or a compiler and
does not know VOICECORE_LIBOPUS; so it is given the name here. Its settings go through a variadic
function without saying so, which Apple's arm64 passes differently: SETTINGS_WORK is False there.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
import platform
import sys
import warnings
from typing import Any

NAMES = ("libopus.so.0", "libopus.0.dylib", "/opt/homebrew/lib/libopus.0.dylib",
         "/usr/local/lib/libopus.0.dylib", "/opt/local/lib/libopus.0.dylib")  # fmt: skip
SETTINGS_WORK = not (sys.platform == "darwin" and platform.machine() == "arm64")
VOIP = 2048


def library_name() -> str:
    for name in filter(None, (os.environ.get("VOICECORE_LIBOPUS"), *NAMES)):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    raise AssertionError("no libopus: apt install libopus0")


@functools.cache
def opuslib() -> Any:
    """The package, with its api modules."""
    find_library, name = ctypes.util.find_library, library_name()
    ctypes.util.find_library = lambda wanted: name if wanted == "opus" else find_library(wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # it compares numbers with "is"
            import opuslib
            import opuslib.api.ctl
            import opuslib.api.decoder
            import opuslib.api.encoder
            import opuslib.api.info
    finally:
        ctypes.util.find_library = find_library
    return opuslib


def version() -> str:
    get = opuslib().api.libopus.opus_get_version_string
    get.restype = ctypes.c_char_p
    return get().decode()


class PeerEncoder:
    """Mono, in the mode for voice; settings by the names that libopus gives them."""

    def __init__(self, rate_hz: int, **settings: int) -> None:
        lib = opuslib()
        self.encoder = lib.Encoder(rate_hz, 1, VOIP)
        self.state, self.encode_c = self.encoder.encoder_state, lib.api.encoder.encode
        for name, value in settings.items():
            assert SETTINGS_WORK
            request = getattr(lib.api.ctl, f"set_{name}")
            lib.api.encoder.encoder_ctl(self.state, request, value)

    def encode(self, pcm: bytes) -> bytes:
        # Not Encoder.encode: that leaves room for a packet as long as the samples only.
        return self.encode_c(self.state, pcm, len(pcm) // 2, 1275)


class PeerDecoder:
    """Mono; raw int16 samples."""

    def __init__(self, rate_hz: int) -> None:
        lib = opuslib()
        self.decoder, self.most = lib.Decoder(rate_hz, 1), rate_hz * 120 // 1000
        self.state, self.decode_c = self.decoder.decoder_state, lib.api.decoder.decode

    def decode(self, packet: bytes) -> bytes:
        return self.decoder.decode(packet, self.most)

    def decode_fec(self, next_packet: bytes, samples: int) -> bytes:
        return self.decoder.decode(next_packet, samples, True)

    def conceal(self, samples: int) -> bytes:
        # Not Decoder.decode: that takes no absent packet.
        return self.decode_c(self.state, None, 0, samples, False, channels=1)
