from typing import Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from voicecore.media._types import Samples

class G711:
    law: Literal["ulaw", "alaw"]
    def __init__(self, law: Literal["ulaw", "alaw"] = "ulaw") -> None: ...
    def encode(self, pcm: Samples) -> bytes: ...
    def decode(self, data: Buffer) -> npt.NDArray[np.int16]: ...
