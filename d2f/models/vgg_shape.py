"""What a VGG network is made of, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VGGShape:
    """A VGG network: blocks of 3x3 convolutions, each halved by a maximum, then linear layers.

    Parameters
    ----------
    blocks : tuple of tuple of int
        Of each block the channels of its convolutions.
    hidden : tuple of int
        Widths of the linear layers before the head.
    grid : int
        The last map is averaged to ``grid`` x ``grid`` places; for 7, a picture of 224 x 224 comes with that size.
    batch_norm : bool
        After every convolution.
    dropout : float
        After every hidden layer, in [0, 1).
    logits : int
        1 for binary cross entropy, or as many as there are classes.
    """

    blocks: tuple[tuple[int, ...], ...]
    hidden: tuple[int, ...] = (4096, 4096)
    grid: int = 7
    batch_norm: bool = False
    dropout: float = 0.5
    logits: int = 1


WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five published blocks."""

VGG_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each block, by the number of layers with weights (configurations A, B, D and E)."""


def vgg_shape(depth: int, *, logits: int = 1, batch_norm: bool = False, dropout: float = 0.5) -> VGGShape:
    """Return the shape of a published VGG network by its depth.

    Simonyan and Zisserman 2015 (arXiv:1409.1556), table 1; batch norm is not theirs, but usual since.

    Parameters
    ----------
    depth : int
        11, 13, 16 or 19.
    logits : int
        1, or the number of classes.
    batch_norm : bool
    dropout : float
        In [0, 1).

    Raises
    ------
    ValueError
        If no network of this depth was published.
    """
    if depth not in VGG_DEPTHS:
        known = ", ".join(map(str, VGG_DEPTHS))
        raise ValueError(f"no VGG network of depth {depth} was published; there are {known}")
    blocks = tuple((width,) * count for width, count in zip(WIDTHS, VGG_DEPTHS[depth], strict=True))
    return VGGShape(blocks, batch_norm=batch_norm, dropout=dropout, logits=logits)
