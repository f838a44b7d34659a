"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side = Annotated[int, Field(ge=1, le=255)]


class WienerOptions(BaseModel):
    """What the adaptive Wiener filter is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Side | tuple[Side, Side] = Field(
        default=3,
        description="Neighbourhood in pixels, 1 to 255: one number for a square, or [rows, columns].",
    )
    noise: float | None = Field(
        default=None,
        ge=0.0,
        allow_inf_nan=False,
        description="Variance of the noise for pixels in [0, 1], at least 0; null estimates it in each channel.",
    )

    @field_validator("window")
    @classmethod
    def _square_is_one_number(cls, value: int | tuple[int, int]) -> int | tuple[int, int]:
        # Equal steps must have equal options, so that a view is computed once.
        return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


class Wiener:
    """Adaptive Wiener filter on each channel alone; see `d2f_wiener.filter`."""

    name = "wiener"
    summary = "Adaptive Wiener filter: MATLAB's wiener2 on each channel."
    Options = WienerOptions
    thread_safe = True

    def __init__(self, options: WienerOptions) -> None:
        self.window = options.window if isinstance(options.window, tuple) else (options.window, options.window)
        self.noise = options.noise

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the filtered picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_wiener.levels import wiener2_rounded

        return wiener2_rounded(pixels, self.window, self.noise)
