"""Residual networks in the words of torchvision and of timm, which are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.models.config import IMAGENET_DEPTHS

if TYPE_CHECKING:
    from numpy.typing import NDArray


MARK = "layer1.0.conv1.weight"
"""The name that only a residual network has."""

RULES = (
    (r"conv1\.", "stem."),
    (r"bn1\.", "stem_norm."),
    (r"fc\.", "head."),
    (r"layer(\d)\.(\d+)\.conv(\d)\.", r"stages.\1.\2.conv\3."),
    (r"layer(\d)\.(\d+)\.bn(\d)\.", r"stages.\1.\2.norm\3."),
    (r"layer(\d)\.(\d+)\.downsample\.0\.", r"stages.\1.\2.shortcut.conv."),
    (r"layer(\d)\.(\d+)\.downsample\.1\.", r"stages.\1.\2.shortcut.norm."),
)
"""How a published name begins, and how d2f's does; theirs count layers from 1, ours stages from 0."""


def resnet_arrays(state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return a state dict under the names of `d2f.models.ResNet`, convolutions channels last.

    Parameters
    ----------
    state : mapping of str to numpy.ndarray
        Convolutions (out, in, height, width); names that are none of theirs stay.
    """
    return {resnet_name(name): _channels_last(array) for name, array in state.items()}


def resnet_name(name: str) -> str:
    """Return d2f's name of a published one, or the name itself.

    Examples
    --------
    >>> resnet_name("layer3.0.downsample.1.running_var")
    'stages.2.0.shortcut.norm.running_var'
    """
    for pattern, replacement in RULES:
        if re.match(pattern, name):
            renamed = re.sub(f"^{pattern}", replacement, name)
            return re.sub(r"^stages\.(\d)", lambda found: f"stages.{int(found[1]) - 1}", renamed)
    return name


def resnet_depth(names: Iterable[str]) -> int:
    """Return the depth of the residual network that has these names, d2f's.

    Raises
    ------
    D2FError
        D2F504: its blocks are those of no network in d2f.models.
    """
    found = [re.match(r"stages\.(\d)\.(\d+)\.conv(\d)\.", name) for name in names]
    places = [tuple(map(int, match.groups())) for match in found if match]
    counts = tuple(1 + max((block for at, block, _ in places if at == stage), default=-1) for stage in range(4))
    bottleneck = any(convolution == 3 for *_, convolution in places)
    for depth, blocks in IMAGENET_DEPTHS.items():
        if blocks == counts and (depth >= 50) == bottleneck:
            return depth
    kind = "bottleneck" if bottleneck else "basic"
    raise D2FError.of("D2F504", f"no ResNet of d2f.models has {counts} {kind} blocks", "it has ResNet-18, 34 and 50")


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
