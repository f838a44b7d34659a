"""The towers: a table of their architectures, and one of them read from its weights.

Sizes and preprocessing are those that their publishers state: CLIP (arXiv:2103.00020), MetaCLIP 2 (arXiv:2507.22062),
SigLIP 2 (arXiv:2502.14786), DINOv2 (arXiv:2304.07193), DINOv3 (arXiv:2508.10104), Perception Encoder
(arXiv:2504.13181), Community Forensics (arXiv:2411.04125).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import mlx.core as mx
import numpy as np

from d2f import Weights
from d2f.framing import NORMALISATIONS, Framing
from d2f.layers import parallel
from d2f.models import Layout, Normalisation, ViT, ViTShape, load_arrays, vit_arrays
from d2f.weights import as_record, read_weights
from d2f_towers.int4_file import int4_arrays
from d2f_towers.int8_file import int8_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL: dict[str, Any] = {"width": 384, "depth": 12, "heads": 6, "hidden": 1536}
BASE: dict[str, Any] = {"width": 768, "depth": 12, "heads": 12, "hidden": 3072}
LARGE: dict[str, Any] = {"width": 1024, "depth": 24, "heads": 16, "hidden": 4096}
SO400M: dict[str, Any] = {"width": 1152, "depth": 27, "heads": 16, "hidden": 4304}

CLIP: dict[str, Any] = {"epsilon": 1e-5, "norm_before": True}
SIGLIP: dict[str, Any] = {"activation": "gelu-tanh", "prefix": 0, "places": "patches", "pool": "attention"}
DINOV2: dict[str, Any] = {"layer_scale": True}
DINOV3: dict[str, Any] = {
    "epsilon": 1e-5, "prefix": 5, "places": "none", "rotary": "centred", "layer_scale": True
}  # fmt: skip
PE: dict[str, Any] = {"epsilon": 1e-5, "rotary": "index", "norm_before": True, "pool": "attention", "out": 1024}


@dataclass(frozen=True, slots=True)
class Tower:
    """An image tower.

    Parameters
    ----------
    shape : ViTShape
    layout : str
        Whose names its published weights have; see `d2f.models.vit_arrays`. `int8` is `d2f_towers.int8_file`, `int4`
        `d2f_towers.int4_file`.
    framing : Framing
        What it is shown of a view, as its publishers do it.
    """

    shape: ViTShape
    layout: Layout | Literal["int8", "int4"]
    framing: Framing


def _shown(size: int, fit: str, resize: int | None, interpolation: str, normalise: str) -> Framing:
    return Framing((size, size), fit, resize, interpolation, *NORMALISATIONS[normalise])  # type: ignore[arg-type]


TOWERS: Mapping[str, Tower] = {
    "clip-vit-b16": Tower(
        ViTShape(224, 16, **BASE, **CLIP, activation="quick-gelu"),
        "int8",
        _shown(224, "short-side", None, "bicubic", "clip"),
    ),
    "clip-vit-b16-first8": Tower(
        ViTShape(224, 16, **BASE | {"depth": 8}, **CLIP, activation="quick-gelu"),
        "int4",
        _shown(224, "short-side", None, "bicubic", "clip"),
    ),
    "clip-vitb16": Tower(
        ViTShape(224, 16, **BASE, **CLIP, activation="quick-gelu", out=512),
        "timm",
        _shown(224, "short-side", None, "bicubic", "clip"),
    ),
    "clip-vitl14": Tower(
        ViTShape(224, 14, **LARGE, **CLIP, activation="quick-gelu", out=768),
        "clip",
        _shown(224, "short-side", None, "bicubic", "clip"),
    ),
    "metaclip2-vitb16": Tower(
        ViTShape(224, 16, **BASE, **CLIP, out=512), "clip", _shown(224, "short-side", None, "bicubic", "clip")
    ),
    "metaclip2-vitl14": Tower(
        ViTShape(224, 14, **LARGE, **CLIP, out=768), "clip", _shown(224, "short-side", None, "bicubic", "clip")
    ),
    "siglip2-vitb16": Tower(
        ViTShape(224, 16, **BASE, **SIGLIP, pool_heads=12), "siglip", _shown(224, "squash", None, "bilinear", "half")
    ),
    "siglip2-so400m": Tower(
        ViTShape(378, 14, **SO400M, **SIGLIP, pool_heads=16), "timm", _shown(378, "squash", None, "bilinear", "half")
    ),
    "dinov2-vits14": Tower(
        ViTShape(224, 14, **SMALL, **DINOV2), "dinov2", _shown(224, "short-side", 256, "bicubic", "imagenet")
    ),
    "dinov2-vitb14": Tower(
        ViTShape(224, 14, **BASE, **DINOV2), "dinov2", _shown(224, "short-side", 256, "bicubic", "imagenet")
    ),
    "dinov2-vitl14": Tower(
        ViTShape(224, 14, **LARGE, **DINOV2), "dinov2", _shown(224, "short-side", 256, "bicubic", "imagenet")
    ),
    "dinov3-vits16": Tower(
        ViTShape(224, 16, **SMALL, **DINOV3), "dinov3", _shown(224, "squash", None, "bilinear", "imagenet")
    ),
    "dinov3-vitb16": Tower(
        ViTShape(224, 16, **BASE, **DINOV3), "dinov3", _shown(224, "squash", None, "bilinear", "imagenet")
    ),
    "dinov3-vitl16": Tower(
        ViTShape(224, 16, **LARGE, **DINOV3), "dinov3", _shown(224, "squash", None, "bilinear", "imagenet")
    ),
    "pe-vitb16": Tower(ViTShape(224, 16, **BASE, **PE), "timm", _shown(224, "squash", None, "bilinear", "half")),
    "pe-vitl14": Tower(ViTShape(336, 14, **LARGE, **PE), "timm", _shown(336, "squash", None, "bilinear", "half")),
    "commfor-vits16": Tower(
        ViTShape(384, 16, **SMALL, out=1), "timm", _shown(384, "short-side", 440, "bilinear", "imagenet")
    ),
}
"""By the names of their records."""

WRAPPERS = ("vit.", "module.")
"""What publishers' classes put before every name."""


def read_tower(record: Weights, tower: Tower) -> ViT:
    """Return a tower with its weights, in evaluation mode; its input is in [0, 1].

    Parameters
    ----------
    record : Weights
        Of `d2f_towers.records`, or of a file of one's own.
    tower : Tower

    Raises
    ------
    WeightsMissing
        D2F502: the weights are not on this machine.
    D2FError
        D2F503 to D2F505: they are others than the pinned ones, of another tower, or damaged.
    """
    if tower.layout == "int8":
        arrays = int8_arrays(record, tower.shape)
    elif tower.layout == "int4":
        arrays = int4_arrays(record)
    else:
        state = {_bare(name): array for name, array in read_weights(as_record(record)).arrays.items()}
        arrays = vit_arrays(state, tower.layout, tower.shape)
    network = ViT(tower.shape, Normalisation(tower.framing.mean, tower.framing.deviation))
    load_arrays(network, arrays, record.name)
    network.eval()
    mx.eval(network.parameters())
    return network


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def tokens_of(
    network: ViT, blocks: Sequence[int], of: Callable[[mx.array], mx.array] | None = None
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from framed pictures to what a head is given of the tower's tokens.

    Parameters
    ----------
    network : ViT
    blocks : sequence of int
        After which blocks, rising, from 1.
    of : callable, optional
        What of a block's tokens (n, tokens, width) is taken; by default the class token, or the mean of the patches
        where there is none.

    Returns
    -------
    callable
        Of uint8 (n, size, size, 3) to float32 (n, width * blocks); each picture goes through the tower alone.
    """
    chosen = of or (first_token if network.shape.prefix else mean_token)
    first = 1 if chosen is first_token else None

    def run(x: mx.array) -> mx.array:
        found = network.after(x.astype(mx.float32) / 255.0, blocks, first)
        return mx.concatenate([chosen(tokens) for tokens in found], axis=1)

    return lambda pictures: np.array(parallel(run, mx.array(pictures), images=1))


def first_token(tokens: mx.array) -> mx.array:
    """Return the class token, (n, width)."""
    return tokens[:, 0]


def mean_token(tokens: mx.array) -> mx.array:
    """Return the mean over all tokens, (n, width)."""
    return tokens.mean(axis=1)


def tiny(tower: Tower, side: int = 4) -> Tower:
    """Return a tower of the same architecture with two heads, two blocks and few channels, for tests."""
    shape = tower.shape
    small = replace(shape, size=side * shape.patch, width=16, depth=2, heads=2, hidden=32, pool_heads=2)
    return replace(tower, shape=small, framing=replace(tower.framing, size=(small.size, small.size), resize=None))
