"""The stage: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side = Annotated[int, Field(ge=1, le=65535)]


class CropOptions(BaseModel):
    """What is cut out: a `size` or a `fraction`; without either, a fraction of 0.8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Side | tuple[Side, Side] | None = Field(
        default=None, description="Pixels: one number for a square, or [width, height]; a shorter side stays whole."
    )
    fraction: float | None = Field(
        default=None, gt=0.0, le=1.0, description="Share of each side that is kept, above 0 and at most 1."
    )
    at: Literal["centre", "random", "top-left", "top-right", "bottom-left", "bottom-right"] = Field(
        default="centre",
        description="centre, random (drawn from the image's bytes), top-left, top-right, bottom-left or bottom-right.",
    )

    @field_validator("size")
    @classmethod
    def _square_is_one_number(cls, value: Any) -> Any:
        # Equal steps must have equal options, so that a view is computed once.
        return value[0] if isinstance(value, tuple) and value[0] == value[1] else value

    @model_validator(mode="before")
    @classmethod
    def _some_by_default(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("size") is None and value.get("fraction") is None:
            return {**value, "fraction": 0.8}
        return value

    @model_validator(mode="after")
    def _one_target(self) -> CropOptions:
        if self.size is not None and self.fraction is not None:
            raise ValueError("one of size and fraction is needed, not both")
        return self


class Crop:
    """Cuts a window out; see `d2f_crop.window`."""

    name = "crop"
    summary = "A window of the picture: in the middle, in a corner, or anywhere."
    Options = CropOptions
    thread_safe = True

    def __init__(self, options: CropOptions) -> None:
        self.options = options

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the window, uint8 (height', width', 3); `seed` says where, if at random."""
        from d2f_crop.window import crop, kept_size

        height, width = pixels.shape[:2]
        size = kept_size((width, height), self.options.size, self.options.fraction)
        return crop(pixels, size, self.options.at, seed)
