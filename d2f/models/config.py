"""Shapes and configurations of the ResNet and VGG families, normalisation of pixels, arrays loaded strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from d2f.weights import strict

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


HEAD = "head."
"""How the names of a network's last layer begin."""

STATISTICS = ("running_mean", "running_var")
"""What batch norm keeps that is no parameter."""


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of a network, batch norm's running statistics included."""
    return {name: tuple(array.shape) for name, array in tree_flatten(model.parameters())}


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers a network learns; running statistics are not learned.

    Examples
    --------
    >>> from d2f.models import SmallVGG
    >>> parameter_count(SmallVGG(logits=10))
    1251658
    """
    arrays = tree_flatten(model.parameters())
    return sum(array.size for name, array in arrays if not name.endswith(STATISTICS))


def arrays_of(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Return a network's arrays for `d2f.weights.write_weights`."""
    import numpy as np

    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


def load_arrays(model: nn.Module, arrays: Mapping[str, NDArray[Any]], name: str = "", new_head: bool = False) -> bool:
    """Put arrays into a network, strictly by name.

    Parameters
    ----------
    model : mlx.nn.Module
    arrays : mapping of str to numpy.ndarray
        As `d2f.weights.read_weights` returned them, channels last; any float dtype becomes float32.
    name : str, optional
        What the weights are called in errors.
    new_head : bool
        Leave the network's own head where the arrays have none, or one for another number of classes.

    Returns
    -------
    bool
        Whether the head was loaded too.

    Raises
    ------
    d2f.D2FError
        D2F504: a name is missing or unknown, or an array has another shape; the network is as it was.
    """
    wanted = shapes(model)
    own = {key: shape for key, shape in wanted.items() if key.startswith(HEAD)}
    fits = all(key in arrays and arrays[key].shape == shape for key, shape in own.items())
    if new_head and not fits:
        wanted = {key: shape for key, shape in wanted.items() if key not in own}
        arrays = {key: array for key, array in arrays.items() if key not in own}
    strict(arrays, wanted, name)
    model.update(tree_unflatten([(key, mx.array(array).astype(mx.float32)) for key, array in arrays.items()]))
    # At once: a lazy array of one thread cannot be evaluated in another.
    mx.eval(model.parameters())
    return fits or not new_head


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

Dropout: TypeAlias = Annotated[float, Field(ge=0, lt=1, description="After each hidden layer.")]
Logits: TypeAlias = Annotated[
    int, Field(ge=1, description="1 for binary cross entropy; 2 or the number of classes for cross entropy.")
]
Normalise: TypeAlias = Annotated[
    Known | None,
    Field(
        description="What becomes of pixels before the first layer: `imagenet` for torchvision's and timm's weights."
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StemConfig(_Strict):
    """The first convolution of a residual network; equal kernel and stride cut the picture into patches."""

    width: int = Field(ge=1, description="Channels out of the first convolution.")
    kernel: int = Field(3, ge=1, description="Its kernel's size.")
    stride: int = Field(1, ge=1, description="Its stride.")
    pool: bool = Field(False, description="Follow it with a 3x3 maximum of stride 2.")


class ResNetConfig(_Strict):
    """A residual network: 20 to 110 of CIFAR style, or 18, 34 and 50 of ImageNet style."""

    architecture: Literal["resnet"] = Field(description="A residual network.")
    depth: Literal[18, 20, 32, 34, 44, 50, 56, 110] = Field(description="Layers with weights.")
    residual: bool = Field(True, description="False for the plain network of the same depth, without shortcuts.")
    stem: StemConfig | None = Field(None, description="Instead of the published first convolution.")
    logits: Logits = 1
    normalise: Normalise = None


class VGGConfig(_Strict):
    """A VGG network."""

    architecture: Literal["vgg"] = Field(description="A VGG network.")
    depth: Literal[11, 13, 16, 19] = Field(description="Layers with weights.")
    batch_norm: bool = Field(False, description="Batch norm after every convolution.")
    dropout: Dropout = 0.5
    logits: Logits = 1
    normalise: Normalise = None


class SmallVGGConfig(_Strict):
    """The small VGG-like network for pictures of 28 x 28 pixels."""

    architecture: Literal["small-vgg"] = Field(description="Three blocks for pictures of 28 x 28 pixels.")
    dropout: Dropout = 0.5
    logits: Logits = 1
    normalise: Normalise = None


ModelConfig: TypeAlias = Annotated[ResNetConfig | VGGConfig | SmallVGGConfig, Field(discriminator="architecture")]
"""Any of them, distinguished by `architecture`; a field of this type reads ``{architecture: resnet, depth: 18}``."""


def model_config(data: object) -> ModelConfig:
    """Return the configuration that plain data describe.

    Parameters
    ----------
    data : mapping
        As it stands in a recipe.

    Raises
    ------
    pydantic.ValidationError
        An unknown architecture or key, or a value out of range.

    Examples
    --------
    >>> model_config({"architecture": "resnet", "depth": 20}).logits
    1
    """
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
    return adapter.validate_python(data)
