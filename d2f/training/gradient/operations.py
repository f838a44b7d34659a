"""Augmentations that only training has: crop, flip, rotate, colour and cut-out. Of the shape of preprocessors."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from d2f.api.arrays import Pixels

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CropOptions(_Options):
    """Of `crop`."""

    least: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.7, description="Least share of the side that is kept."
    )


class Crop:
    """A window drawn at random, its pixels as they are; the tile is filled up by mirroring later."""

    name = "crop"
    thread_safe = True
    Options: ClassVar[type[Any]] = CropOptions

    def __init__(self, options: CropOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the window."""
        random = np.random.default_rng(seed)
        height, width = pixels.shape[:2]
        share = random.uniform(self.options.least, 1.0)
        rows, columns = max(1, round(height * share)), max(1, round(width * share))
        top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
        return pixels[top : top + rows, left : left + columns]


class FlipOptions(_Options):
    """Of `flip`."""

    axis: Literal["horizontal", "vertical"] = Field(
        default="horizontal", description="Left with right, or top with bottom."
    )


class Flip:
    """The mirror image."""

    name = "flip"
    thread_safe = True
    Options: ClassVar[type[Any]] = FlipOptions

    def __init__(self, options: FlipOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the mirror image."""
        return pixels[:, ::-1] if self.options.axis == "horizontal" else pixels[::-1]


class RotateOptions(_Options):
    """Of `rotate`: there are none."""


class Rotate:
    """A quarter, a half or three quarters of a turn: no pixel is interpolated, so that its noise stays."""

    name = "rotate"
    thread_safe = True
    Options: ClassVar[type[Any]] = RotateOptions

    def __init__(self, options: RotateOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the turned picture."""
        return np.rot90(pixels, int(np.random.default_rng(seed).integers(1, 4)))


class ColourOptions(_Options):
    """Of `colour`."""

    brightness: float = Field(default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of all values.")
    contrast: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of distances from the mean."
    )
    saturation: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of distances from grey."
    )


class Colour:
    """Brightness, contrast and saturation, each multiplied by a number drawn about 1."""

    name = "colour"
    thread_safe = True
    Options: ClassVar[type[Any]] = ColourOptions

    def __init__(self, options: ColourOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the changed picture, rounded and clipped."""
        random, options = np.random.default_rng(seed), self.options
        reach = options.brightness, options.contrast, options.saturation
        bright, contrast, saturation = (np.float32(1 + random.uniform(-one, one)) for one in reach)
        values = pixels.astype(np.float32) * bright
        mean = values.mean(dtype=np.float64).astype(np.float32)
        values = mean + (values - mean) * contrast
        grey = (values @ np.array(GREY, np.float32))[..., None]
        values = grey + (values - grey) * saturation
        made: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return made


class CutOutOptions(_Options):
    """Of `cut-out`."""

    share: float = Field(default=0.3, gt=0.0, lt=1.0, description="Greatest side of the square over the shorter side.")


class CutOut:
    """A square at a random place becomes grey (DeVries and Taylor 2017, arXiv:1708.04552)."""

    name = "cut-out"
    thread_safe = True
    Options: ClassVar[type[Any]] = CutOutOptions

    def __init__(self, options: CutOutOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture with the square."""
        random = np.random.default_rng(seed)
        height, width = pixels.shape[:2]
        side = max(1, round(min(height, width) * random.uniform(0.0, self.options.share)))
        top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
        made = pixels.copy()
        made[top : top + side, left : left + side] = 127
        return made


OPERATIONS: dict[str, type[Any]] = {one.name: one for one in (Crop, Flip, Rotate, Colour, CutOut)}
"""By the name that recipes use; `crop` here goes before the preprocessor of that name."""
