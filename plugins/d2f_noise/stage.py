"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NoiseOptions(BaseModel):
    """What the noise is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(default=5.0, ge=0.0, le=255.0, description="Standard deviation in grey levels, 0 to 255.")


class Noise:
    """Gaussian noise, independent in each channel; see `d2f_noise.filter`."""

    name = "noise"
    summary = "Gaussian noise in grey levels, drawn from the image's own bytes."
    Options = NoiseOptions
    thread_safe = True

    def __init__(self, options: NoiseOptions) -> None:
        self.sigma = options.sigma

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the noisy picture, uint8 (height, width, 3); the same `seed` gives the same noise."""
        from d2f_noise.filter import add_noise

        return add_noise(pixels, self.sigma, seed)
