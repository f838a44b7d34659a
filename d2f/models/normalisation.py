"""Pixels as pretrained networks want them: each channel less a mean, over a deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import mlx.core as mx

Known: TypeAlias = Literal["imagenet"]
Channels: TypeAlias = tuple[float, float, float]


# No mlx.nn.Module: what it holds is not learned, and stands in no weights file.
@dataclass(frozen=True, slots=True)
class Normalisation:
    """What a network does to pixels in [0, 1] before its first layer: (x - mean) / deviation, for each channel.

    Parameters
    ----------
    mean, deviation : tuple of three floats
        Of red, green and blue; deviations above 0.

    Raises
    ------
    ValueError
        A deviation that is not above 0.

    Examples
    --------
    >>> import mlx.core as mx
    >>> from d2f.models import Normalisation
    >>> Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))(mx.ones((1, 1, 1, 3))).tolist()
    [[[[2.0, 2.0, 2.0]]]]
    """

    mean: Channels
    deviation: Channels

    def __post_init__(self) -> None:
        if min(self.deviation) <= 0:
            raise ValueError(f"deviation must be above 0 in each channel, not {self.deviation}")

    @classmethod
    def named(cls, name: Known) -> Normalisation:
        """Return the normalisation that a set of pretrained weights is known by.

        ``imagenet``: mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225 of red, green and blue, which
        torchvision's weights were trained with (https://docs.pytorch.org/vision/stable/models.html), and timm's
        unless their page says otherwise (``IMAGENET_DEFAULT_MEAN``).
        """
        return NAMED[name]

    def __call__(self, x: mx.array) -> mx.array:
        """Return pictures (n, height, width, 3) in [0, 1], float32, normalised."""
        # Arrays made anew: one that was made in another thread cannot always be evaluated in this one.
        return (x - mx.array(self.mean)) / mx.array(self.deviation)


NAMED: dict[Known, Normalisation] = {"imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
"""Normalisations by the names that configurations give them."""
