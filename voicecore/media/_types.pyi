"""For the stubs only: what the units take. numpy's own stubs call an array a Buffer only from
Python 3.12 on, so it is named beside it."""

from typing import Any, TypeAlias

from numpy.typing import NDArray
from typing_extensions import Buffer

Samples: TypeAlias = Buffer | NDArray[Any]
