"""From a view to what a network is shown: resized, cut, normalised, as the usual libraries do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Fit: TypeAlias = Literal["short-side", "squash", "centre"]
Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Longer: TypeAlias = Literal["cut", "nearest"]
Offset: TypeAlias = Literal["even", "floor"]
Channels: TypeAlias = tuple[float, float, float]

NORMALISATIONS: dict[str, tuple[Channels, Channels]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Mean and deviation of red, green and blue in [0, 1]: torchvision's and timm's, OpenAI's, and plain scales."""

LONGEST = 16
"""Shorter sides that a longer side is cut to before it is resized, so that a strip of pixels fills no memory."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a view becomes a network's input, step by step as torchvision's transforms do it on a Pillow image.

    Parameters
    ----------
    size : (int, int)
        Height and width of the input in pixels.
    fit : {'short-side', 'squash', 'centre'}
        `short-side`: the shorter side becomes `resize` pixels, the longer one in proportion, and the centre is cut
        out. `squash`: both sides are resized. `centre`: the centre is cut out as it is.
    resize : int, optional
        By default the smaller of `size`.
    longer : {'cut', 'nearest'}
        Under `short-side`: the longer side in proportion, cut off to an integer (torchvision, transformers) or
        rounded to the nearest. One pixel here has changed a published detector's probability by .16.
    offset : {'even', 'floor'}
        Where the centre begins when half a pixel is left: rounded half to even (torchvision), or the lower one
        (transformers).
    interpolation : {'nearest', 'bilinear', 'bicubic', 'lanczos'}
        Pillow's filters: widened by the factor of reduction, rounded to levels after each direction.
    mean, deviation : tuple of three floats
        Pixels in [0, 1] less the mean, over the deviation.
    """

    size: tuple[int, int]
    fit: Fit = "short-side"
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    mean: Channels = NORMALISATIONS["imagenet"][0]
    deviation: Channels = NORMALISATIONS["imagenet"][1]
    longer: Longer = "cut"
    offset: Offset = "even"

    def frame(self, view: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the network is shown of a view (height, width, 3), shape (*size, 3), uint8."""
        if self.fit == "squash":
            return _resized_view(view, self.size, self.interpolation)
        if self.fit == "short-side":
            short = min(view.shape[:2])
            view = centre(view, (min(view.shape[0], LONGEST * short), min(view.shape[1], LONGEST * short)))
            height, width = view.shape[:2]
            target = self.resize or min(self.size)
            scaled = (self._scaled(height, target, short), self._scaled(width, target, short))
            view = _resized_view(view, scaled, self.interpolation)
        return centre(view, self.size, self.offset)

    def _scaled(self, side: int, target: int, short: int) -> int:
        return target * side // short if self.longer == "cut" else round(side * (target / short))

    def __call__(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a view framed and normalised, shape (*size, 3), float32."""
        return self.normalised(self.frame(view))

    def normalised(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pixels of any shape (…, 3), uint8, normalised, float32."""
        import numpy as np

        mean, deviation = (np.array(three, np.float32) for three in (self.mean, self.deviation))
        unit = pixels.astype(np.float32) / np.float32(255)
        return np.asarray((unit - mean) / deviation, np.float32)


def centre(view: NDArray[np.uint8], size: tuple[int, int], offset: Offset = "even") -> NDArray[np.uint8]:
    """Cut the centre out of a view; where the view is smaller, black is added around it.

    An odd rest of what is cut goes as `offset` says (see `Framing`); an odd rest of what is added stands at the
    bottom and the right.
    """
    import numpy as np

    margins = []
    for have, want in zip(view.shape[:2], size, strict=True):
        lacking = max(0, want - have)
        margins.append((lacking // 2, lacking - lacking // 2))
    if any(map(any, margins)):
        view = np.pad(view, (*margins, (0, 0)))
    rests = [have - want for have, want in zip(view.shape[:2], size, strict=True)]
    top, left = (round(rest / 2) if offset == "even" else rest // 2 for rest in rests)
    return view[top : top + size[0], left : left + size[1]]


def _resized_view(view: NDArray[np.uint8], size: tuple[int, int], interpolation: str) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    if view.shape[:2] == size:
        return view
    picture = Image.fromarray(np.ascontiguousarray(view))
    return np.asarray(picture.resize(size[::-1], Image.Resampling[interpolation.upper()]))
