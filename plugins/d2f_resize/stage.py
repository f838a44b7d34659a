"""The stage: options checked, the resampler loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side = Annotated[int, Field(ge=1, le=65535)]
TARGETS = ("factor", "size", "longest")


class ResizeOptions(BaseModel):
    """What the resampler is told: one of `factor`, `size` and `longest`; without any, a factor of 0.5."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: float | None = Field(
        default=None, gt=0.0, le=16.0, description="Both sides times this, above 0 and at most 16."
    )
    size: tuple[Side, Side] | None = Field(
        default=None, description="[width, height] in pixels; the shape is not kept."
    )
    longest: Side | None = Field(
        default=None, description="Longest side at most this many pixels; smaller pictures stay as they are."
    )
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = Field(
        default="bicubic",
        description="Pillow's nearest, box, bilinear, hamming, bicubic or lanczos, widened where the picture shrinks.",
    )
    back: bool = Field(default=False, description="Resample to the original size again, by the same filter.")

    @model_validator(mode="before")
    @classmethod
    def _halved_by_default(cls, value: Any) -> Any:
        if isinstance(value, dict) and all(value.get(name) is None for name in TARGETS):
            return {**value, "factor": 0.5}
        return value

    @model_validator(mode="after")
    def _one_target(self) -> ResizeOptions:
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one of {', '.join(TARGETS)} is needed, not {' and '.join(given)}")
        return self


class Resize:
    """Resamples, and back on request; see `d2f_resize.resample`."""

    name = "resize"
    summary = "Resampling by a factor, to a size or to a longest side, and back on request."
    Options = ResizeOptions
    thread_safe = True

    def __init__(self, options: ResizeOptions) -> None:
        self.options = options

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the resampled picture, uint8 (height', width', 3); `seed` is not used."""
        from d2f_resize.resample import resample, target_size

        options = self.options
        height, width = pixels.shape[:2]
        size = options.size or target_size((width, height), options.factor, options.longest)
        small = resample(pixels, size, options.filter)
        return resample(small, (width, height), options.filter) if options.back else small
