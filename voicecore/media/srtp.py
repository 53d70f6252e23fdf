"""Keys of an SRTP call, as SDP carries them (RFC 4568)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import NoReturn

from voicecore.errors import ConfigError, StateError

__all__ = ["SUITES", "SrtpKeys"]

#: Suites and the bytes of master key and salt that each takes (RFC 4568, RFC 7714).
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
}

_CRYPTO = re.compile(r"(?:a=)?crypto:(\d{1,9})\s+(\S+)\s+(\S+)\s*(.*)", re.IGNORECASE)


class SrtpKeys:
    """Master key and salt of both directions. Never shown, never pickled, wiped when it goes.

    Args:
        send: key and salt of what the engine sends: ours, in the SDP that we wrote.
        receive: key and salt of what comes in: theirs.
        suite: one of :data:`SUITES`.

    Raises:
        ConfigError: an unknown suite or a key of the wrong length. The message has no key in it.

    Example::

        theirs = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:..."     from their SDP
        keys, ours = SrtpKeys.answer(theirs)                         ours goes into our SDP
        call = await engine.open_call(CallConfig(srtp=keys))
    """

    __slots__ = ("_receive", "_send", "suite")

    def __init__(self, send: bytes, receive: bytes, suite: str = "AES_CM_128_HMAC_SHA1_80") -> None:
        self._send = self._receive = bytearray()
        length = _length(suite)
        for name, key in (("send", send), ("receive", receive)):
            if not isinstance(key, (bytes, bytearray)) or len(key) != length:
                raise ConfigError(f"the {name} key must be {length} bytes, key and salt of {suite}")
        self.suite = suite
        self._send = bytearray(send)
        self._receive = bytearray(receive)

    @classmethod
    def from_sdp(cls, ours: str, theirs: str) -> SrtpKeys:
        """Keys from the two ``a=crypto`` lines that were agreed: the one we sent, and theirs.

        Raises:
            ConfigError: a line that cannot be read, or two different suites or tags.
        """
        (tag, suite, send), (their_tag, their_suite, receive) = _parse(ours), _parse(theirs)
        if (tag, suite) != (their_tag, their_suite):
            raise ConfigError(
                f"the lines do not match: {tag} {suite} and {their_tag} {their_suite}; an answer "
                "repeats the tag and the suite of the line that it accepts"
            )
        return cls(send, receive, suite)

    @classmethod
    def answer(cls, theirs: str) -> tuple[SrtpKeys, str]:
        """Accept their ``a=crypto`` line with a fresh key: the keys, and the line for our SDP."""
        tag, suite, receive = _parse(theirs)
        send = secrets.token_bytes(_length(suite))
        inline = base64.b64encode(send).decode()
        return cls(send, receive, suite), f"a=crypto:{tag} {suite} inline:{inline}"

    def wipe(self) -> None:
        """Overwrite the keys; calls that are open have their own copy."""
        for key in (self._send, self._receive):
            key[:] = bytes(len(key))
            del key[:]

    def _material(self) -> tuple[bytearray, bytearray]:
        if not self._send:
            raise StateError("the SRTP keys were wiped; make new ones for a new call")
        return self._send, self._receive

    def __del__(self) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<SrtpKeys {self.suite}>"

    def __copy__(self) -> SrtpKeys:
        return self

    def __deepcopy__(self, memo: object) -> SrtpKeys:
        return self

    def __reduce__(self) -> NoReturn:
        raise StateError("SRTP keys are not pickled; hand them over by a channel that is secret")


def _length(suite: str) -> int:
    length = SUITES.get(suite)
    if length is None:
        raise ConfigError(f"SRTP suite {suite!r} is unknown; use one of {', '.join(SUITES)}")
    return length


def _parse(line: str) -> tuple[int, str, bytes]:
    """Tag, suite and key of ``a=crypto:1 SUITE inline:BASE64[|lifetime][|MKI:length] [params]``."""
    found = _CRYPTO.fullmatch(line.strip())
    if not found:
        raise ConfigError("no a=crypto line: it reads a=crypto:<tag> <suite> inline:<key and salt>")
    tag, suite, key, parameters = int(found[1]), found[2].upper(), found[3], found[4]
    length = _length(suite)
    if parameters:
        name = re.split("[ =:]", parameters)[0][:20]
        raise ConfigError(
            f"session parameter {name!r} is not supported; offer and accept lines without any"
        )
    method, _, rest = key.partition(":")
    inline, *more = rest.split("|")
    if method.lower() != "inline" or ";" in key:
        raise ConfigError("the key of an a=crypto line is one inline:<base64>")
    # The rest is a lifetime (longer than any call) or an MKI, which would be on the wire.
    if any(":" in part for part in more):
        raise ConfigError("a master key identifier (MKI) is not supported; accept a line without")
    try:
        raw = base64.b64decode(inline + "=" * (-len(inline) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("the key of the a=crypto line is no base64") from None
    if len(raw) != length:
        raise ConfigError(
            f"the key of the a=crypto line has {len(raw)} bytes; {suite} takes {length}"
        )
    return tag, suite, raw
