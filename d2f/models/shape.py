"""What a residual network is made of, as plain data; recipes and weights files carry it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution, with what follows it before the blocks.

    Parameters
    ----------
    width : int
        Channels out of it.
    kernel, stride : int
        Equal ones cut the picture into patches.
    pool : bool
        Follow it with a 3x3 maximum of stride 2.
    """

    width: int
    kernel: int = 3
    stride: int = 1
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of equal width, the first of which takes the stride."""

    width: int
    blocks: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """A residual network.

    Parameters
    ----------
    stem : Stem
    stages : tuple of Stage
    block : {'basic', 'bottleneck'}
        Two 3x3 convolutions, or 1x1, 3x3 and 1x1 to four times the width.
    shortcut : {'projection', 'padding'}
        What takes a block's input to another shape: a 1x1 convolution, or every stride-th pixel with zeros for the
        new channels (options B and A of He et al. 2016).
    residual : bool
        False leaves the shortcuts out: the plain network of the same depth.
    logits : int
        1 for binary cross entropy, or as many as there are classes.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    block: Literal["basic", "bottleneck"] = "basic"
    shortcut: Literal["projection", "padding"] = "projection"
    residual: bool = True
    logits: int = 1


CIFAR_DEPTHS = (20, 32, 44, 56, 110)
IMAGENET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def resnet_shape(depth: int, *, logits: int = 1, residual: bool = True, stem: Stem | None = None) -> ResNetShape:
    """Return the shape of a published residual network by its depth.

    He, Zhang, Ren and Sun 2016 (doi:10.1109/CVPR.2016.90): depths 20, 32, 44, 56 and 110 are those for CIFAR-10 (three
    stages of 16, 32 and 64 channels, zero-padded shortcuts), 18, 34 and 50 those for ImageNet (four stages of 64
    to 512, projections).

    Parameters
    ----------
    depth : int
        One of those.
    logits : int
        1, or the number of classes.
    residual : bool
        False for the plain network of the same depth.
    stem : Stem, optional
        Instead of the published one, such as ``Stem(16, kernel=4, stride=4)`` for early downsampling.

    Raises
    ------
    ValueError
        If no network of this depth was published.
    """
    if depth in CIFAR_DEPTHS:
        blocks = (depth - 2) // 6
        small = (Stage(16, blocks), Stage(32, blocks, 2), Stage(64, blocks, 2))
        return ResNetShape(stem or Stem(16), small, "basic", "padding", residual, logits)
    if depth in IMAGENET_DEPTHS:
        block: Literal["basic", "bottleneck"] = "bottleneck" if depth >= 50 else "basic"
        first, *others = IMAGENET_DEPTHS[depth]
        widths = zip((128, 256, 512), others, strict=True)
        stages = (Stage(64, first), *(Stage(width, count, 2) for width, count in widths))
        return ResNetShape(stem or Stem(64, 7, 2, pool=True), stages, block, "projection", residual, logits)
    known = ", ".join(str(one) for one in sorted((*CIFAR_DEPTHS, *IMAGENET_DEPTHS)))
    raise ValueError(f"no residual network of depth {depth} was published; there are {known}")
