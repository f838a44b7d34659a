"""Names for the arrays that cross a contract; numpy is imported by type checkers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]
    Floats: TypeAlias = NDArray[np.float64]
    Labels: TypeAlias = NDArray[np.int8]
else:
    Pixels: TypeAlias = Any
    Floats: TypeAlias = Any
    Labels: TypeAlias = Any

__all__ = ["Floats", "Labels", "Pixels"]
