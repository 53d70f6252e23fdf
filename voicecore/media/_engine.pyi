from collections.abc import Sequence

from voicecore.media._call import NativeCall
from voicecore.media.capacity import EngineProfile, ShardEstimate
from voicecore.media.config import CallConfig
from voicecore.media.events import CallEvent

STAT_NAMES: tuple[str, ...]
STAGE_NAMES: tuple[str, ...]

class NativeLeg(NativeCall):
    local_address: tuple[str, int]
    shard_index: int

class NativeEngine:
    shard_count: int
    forked: bool
    def __init__(
        self,
        shards: int = 1,
        level: str | None = None,
        max_calls: int = 4096,
        pin: Sequence[int] = (),
        priority: int = 0,
        max_load: float = 0.9,
        max_lateness_ms: float = 10.0,
        wake_ms: int = 20,
        raw_send: bool = False,
    ) -> None: ...
    def fileno(self) -> int: ...
    def open(self, config: CallConfig) -> NativeLeg: ...
    def close(self, leg: NativeLeg) -> None: ...
    def move(self, leg: NativeLeg, index: int) -> bool: ...
    def drain(self, index: int, on: bool) -> None: ...
    def emptiest(self) -> int: ...
    def estimates(self) -> tuple[ShardEstimate, ...]: ...
    def profile(self) -> EngineProfile: ...
    def take_events(self) -> list[tuple[int, CallEvent | None, int]]: ...
    def stats(self) -> dict[str, int]: ...
    def stop(self) -> None: ...
