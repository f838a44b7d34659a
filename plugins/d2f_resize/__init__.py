"""The preprocessor `resize`: resampling, and back on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from d2f import Options, Pixels, Preprocessor, hookimpl


def target_size(size: tuple[int, int], factor: float | None = None, longest: int | None = None) -> tuple[int, int]:
    """Return the sides of the resized picture, rounded half to even, at least 1.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    factor : float, optional
        Both sides times this.
    longest : int, optional
        Without `factor`: the longest side at most this many pixels, never enlarged.

    Returns
    -------
    (int, int)
        Width and height.

    Examples
    --------
    >>> target_size((641, 480), factor=0.5)
    (320, 240)
    >>> target_size((4000, 3000), longest=768)
    (768, 576)
    >>> target_size((320, 240), longest=768)
    (320, 240)
    """
    width, height = size
    if factor is not None:
        return max(1, round(width * factor)), max(1, round(height * factor))
    if longest is None or max(size) <= longest:
        return size
    return tuple(max(1, round(side * longest / max(size))) for side in size)  # type: ignore[return-value]


def resample(image: Pixels, size: tuple[int, int], filter: str = "bicubic") -> Pixels:
    """Resample to a size.

    Each output pixel is a weighted mean of the input around it, in one direction and then the other, with the filter
    widened by the factor of reduction, so that a smaller picture is not aliased (except by `nearest`). The kernels:
    box, triangle (`bilinear`), Hamming-windowed sinc of radius 1, cubic convolution with a = -0.5 (R. G.
    Keys, 1981, doi:10.1109/TASSP.1981.1163711) and Lanczos-windowed sinc of radius 3 (C. E. Duchon, 1979,
    doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2).

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
    size : (int, int)
        Width and height of the result in pixels, at least 1.
    filter : {'nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'}

    Returns
    -------
    numpy.ndarray, shape (size[1], size[0], 3), uint8
        Pillow's fixed-point arithmetic, rounded to the nearest level after each direction.

    Examples
    --------
    >>> import numpy as np
    >>> stripes = np.array([[[0] * 3, [100] * 3, [200] * 3, [100] * 3]], np.uint8)
    >>> resample(stripes, (2, 1), "box")[0, :, 0]
    array([ 50, 150], dtype=uint8)
    """
    import numpy as np
    from PIL import Image

    if size == (image.shape[1], image.shape[0]):
        return image.copy()
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(picture.resize(size, Image.Resampling[filter.upper()]))


Side = Annotated[int, Field(ge=1, le=65535)]
TARGETS = ("factor", "size", "longest")


class ResizeOptions(Options):
    """What the resampler is told: one of `factor`, `size` and `longest`; without any, a factor of 0.5."""

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
    """Resamples, and back on request."""

    name = "resize"
    summary = "Resampling by a factor, to a size or to a longest side, and back on request."
    Options = ResizeOptions
    thread_safe = True

    def __init__(self, options: ResizeOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the resampled picture, uint8 (height', width', 3); `seed` is not used."""
        options = self.options
        height, width = pixels.shape[:2]
        size = options.size or target_size((width, height), options.factor, options.longest)
        small = resample(pixels, size, options.filter)
        return resample(small, (width, height), options.filter) if options.back else small


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Resize]
