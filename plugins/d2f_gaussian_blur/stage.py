"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class GaussianBlurOptions(BaseModel):
    """What the Gaussian low-pass is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(
        default=1.0, gt=0.0, le=100.0, description="Standard deviation in pixels, above 0 and at most 100."
    )
    truncate: float = Field(
        default=4.0, ge=1.0, le=10.0, description="Radius of the kernel in standard deviations, 1 to 10."
    )


class GaussianBlur:
    """Gaussian low-pass on each channel alone; see `d2f_gaussian_blur.filter`."""

    name = "gaussian-blur"
    summary = "Gaussian low-pass of a given standard deviation."
    Options = GaussianBlurOptions
    thread_safe = True

    def __init__(self, options: GaussianBlurOptions) -> None:
        self.sigma, self.truncate = options.sigma, options.truncate

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the blurred picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_gaussian_blur.filter import gaussian_blur

        return gaussian_blur(pixels, self.sigma, self.truncate)
