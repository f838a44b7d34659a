"""The preprocessor `crop`: a window of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from d2f import Options, Pixels, Preprocessor, hookimpl


def kept_size(
    size: tuple[int, int], target: int | tuple[int, int] | None = None, fraction: float | None = None
) -> tuple[int, int]:
    """Return width and height of the window, neither longer than the picture's.

    Parameters
    ----------
    size : (int, int)
        Width and height of the picture in pixels.
    target : int or (int, int), optional
        Side of a square, or width and height, in pixels.
    fraction : float, optional
        Without `target`: share of each side, in (0, 1]; rounded half to even, at least one pixel. Default: all.

    Returns
    -------
    (int, int)
        Width and height.

    Examples
    --------
    >>> kept_size((640, 200), target=224)
    (224, 200)
    >>> kept_size((640, 200), fraction=0.8)
    (512, 160)
    """
    if target is None:
        share = 1.0 if fraction is None else fraction
        return max(1, round(size[0] * share)), max(1, round(size[1] * share))
    wanted = target if isinstance(target, tuple) else (target, target)
    return min(wanted[0], size[0]), min(wanted[1], size[1])


def crop(image: Pixels, size: tuple[int, int], at: str = "centre", seed: int = 0) -> Pixels:
    """Cut a window out of a picture.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
    size : (int, int)
        Width and height of the window in pixels, not longer than the picture's.
    at : {'centre', 'random', 'top-left', 'top-right', 'bottom-left', 'bottom-right'}
        An odd rest in the middle leaves one pixel more at the right and the bottom. `random` draws row
        and column uniformly by NumPy's PCG64.
    seed : int
        For `random`; equal seeds give equal places.

    Returns
    -------
    numpy.ndarray, shape (size[1], size[0], 3), uint8
        A copy.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    >>> crop(picture, (2, 2))[0, 0, 0] == picture[1, 1, 0]
    np.True_
    """
    import numpy as np

    across, down = image.shape[1] - size[0], image.shape[0] - size[1]
    if at == "random":
        left, top = np.random.Generator(np.random.PCG64(seed)).integers(0, [across + 1, down + 1])
    elif at == "centre":
        left, top = across // 2, down // 2
    else:
        left, top = across * at.endswith("right"), down * at.startswith("bottom")
    return image[top : top + size[1], left : left + size[0]].copy()


Side = Annotated[int, Field(ge=1, le=65535)]


class CropOptions(Options):
    """What is cut out: a `size` or a `fraction`; without either, a fraction of 0.8."""

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
    """Cuts a window out."""

    name = "crop"
    summary = "A window of the picture: in the middle, in a corner, or anywhere."
    Options = CropOptions
    thread_safe = True

    def __init__(self, options: CropOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the window, uint8 (height', width', 3); `seed` says where, if at random."""
        height, width = pixels.shape[:2]
        size = kept_size((width, height), self.options.size, self.options.fraction)
        return crop(pixels, size, self.options.at, seed)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Crop]
