"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MedianOptions(BaseModel):
    """What the median filter is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(default=3, ge=1, le=15, description="Side of the square window in pixels, odd, 1 to 15.")

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, to have a middle")
        return value


class Median:
    """Median filter on each channel alone; see `d2f_median.filter`."""

    name = "median"
    summary = "Median of a square window, each channel alone."
    Options = MedianOptions
    thread_safe = True

    def __init__(self, options: MedianOptions) -> None:
        self.window = options.window

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the filtered picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_median.filter import median

        return median(pixels, self.window)
