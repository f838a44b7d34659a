"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class GreyscaleOptions(BaseModel):
    """There is nothing to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Greyscale:
    """Luma of ITU-R BT.601 in all three channels; see `d2f_greyscale.filter`."""

    name = "greyscale"
    summary = "Luma of ITU-R BT.601 in all three channels."
    Options = GreyscaleOptions
    thread_safe = True

    def __init__(self, options: GreyscaleOptions) -> None:
        pass

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the picture without colour, uint8 (height, width, 3); `seed` is not used."""
        from d2f_greyscale.filter import luma

        return luma(pixels)
