"""One exception tree. Every class is also the builtin that a Python user expects.

``VoicecoreError`` catches everything voicecore raises on purpose. Messages say what is wrong and
what to do about it.
"""

from __future__ import annotations

__all__ = [
    "AudioFileError",
    "AudioGoneError",
    "BufferTooSmallError",
    "ClosedError",
    "ConcurrentUseError",
    "ConfigError",
    "CpuLevelError",
    "DataError",
    "DtypeError",
    "ForkedError",
    "LengthError",
    "MissingLibraryError",
    "MissingModelError",
    "PacketError",
    "PriceError",
    "ProviderError",
    "RateError",
    "StateError",
    "SystemCallError",
    "TraceFileError",
    "VoicecoreError",
    "VoicecoreMemoryError",
    "raise_status",
]


class VoicecoreError(Exception):
    """Base of every exception that voicecore raises."""


class ConfigError(VoicecoreError, ValueError):
    """An argument or a setting is outside its legal range."""


class DtypeError(VoicecoreError, TypeError):
    """A buffer has the wrong sample type, for example float64 where int16 is expected."""


class LengthError(VoicecoreError, ValueError):
    """A buffer has the wrong length or shape, for example an odd number of bytes for int16."""


class RateError(VoicecoreError, ValueError):
    """A sample rate that the unit does not support."""


class BufferTooSmallError(VoicecoreError, ValueError):
    """An output buffer is too small for the result."""


class PacketError(VoicecoreError, ValueError):
    """A packet is truncated or malformed."""


class ClosedError(VoicecoreError, RuntimeError):
    """The object was closed; make a new one."""


class ConcurrentUseError(VoicecoreError, RuntimeError):
    """Another thread is inside this object; one object serves one thread at a time."""


class StateError(VoicecoreError, RuntimeError):
    """The call is not allowed in the present state of the object."""


class ForkedError(StateError):
    """The object's threads were left behind in the parent process by a fork.

    The child makes a new engine; the parent's goes on undisturbed.
    """


class AudioGoneError(VoicecoreError, LookupError):
    """Received audio that is no longer held: the ring has come round since.

    Attributes:
        oldest_sample: index of the oldest sample that was held then.
    """

    def __init__(self, message: str, oldest_sample: int = 0) -> None:
        super().__init__(message)
        self.oldest_sample = oldest_sample


class CapacityError(StateError):
    """The engine refuses a call so that those that run stay on time.

    Attributes:
        reason: "max_calls", "load", "lateness" or "draining".
        projected_load: share of a core that the emptiest shard would need with the call.
        lateness_ms: its smoothed lateness.
    """

    def __init__(
        self,
        message: str,
        reason: str = "max_calls",
        projected_load: float = 0.0,
        lateness_ms: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.projected_load = projected_load
        self.lateness_ms = lateness_ms


class CpuLevelError(VoicecoreError, RuntimeError):
    """A CPU level was asked for that this machine does not have."""


class DataError(VoicecoreError, RuntimeError):
    """Model or table data is damaged or of another version; reinstall the package."""


class SystemCallError(VoicecoreError, OSError):
    """The operating system refused: a socket, a thread or a file."""


class VoicecoreMemoryError(VoicecoreError, MemoryError):
    """An allocation failed."""


class MissingLibraryError(VoicecoreError, ImportError):
    """A system library is not installed; the message names the package that has it."""


class MissingModelError(VoicecoreError, ImportError):
    """A model package is not installed; the message names the command that installs it."""


class AudioFileError(VoicecoreError, ValueError):
    """An audio file cannot be read or has a format that is not supported."""


class TraceFileError(VoicecoreError, ValueError):
    """A packet capture or arrival trace cannot be read, or has no stream that can be used."""


class ProviderError(VoicecoreError, RuntimeError):
    """An STT, LLM or TTS provider failed."""


class PriceError(VoicecoreError, ValueError):
    """A price is missing from the price book, or its line cannot be read."""


# One table from the status codes of csrc/base/vc_base.h to exceptions.
_BY_STATUS: dict[int, type[VoicecoreError]] = {
    -1: ConfigError,
    -2: ConfigError,
    -3: RateError,
    -4: LengthError,
    -5: VoicecoreMemoryError,
    -6: CpuLevelError,
    -7: PacketError,
    -8: DataError,
    -9: SystemCallError,
    -10: StateError,
    -11: MissingLibraryError,
}


def raise_status(status: int, phrase: str, what: str) -> None:
    """Raise the exception for a negative C status; ``what`` says what was tried."""
    raise _BY_STATUS.get(status, VoicecoreError)(f"{what}: {phrase}")
