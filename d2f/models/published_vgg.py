"""VGG networks in the words of torchvision and of timm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.models.config import VGG_DEPTHS

if TYPE_CHECKING:
    from numpy.typing import NDArray


MARK = "features.0.weight"
"""The name that only a VGG network has."""

LINEAR = {
    "torchvision": {"classifier.0.": "hidden.0.", "classifier.3.": "hidden.1.", "classifier.6.": "head."},
    "timm": {"pre_logits.fc1.": "hidden.0.", "pre_logits.fc2.": "hidden.1.", "head.fc.": "head."},
}
"""The linear layers; timm's hidden ones are convolutions over the whole map, with the same numbers."""


def vgg_arrays(state: Mapping[str, NDArray[Any]], publisher: str) -> dict[str, NDArray[Any]]:
    """Return a state dict under the names of `d2f.models.VGG`, channels last.

    Parameters
    ----------
    state : mapping of str to numpy.ndarray
        Convolutions (out, in, height, width), linear layers (out, in); names that are none of theirs stay.
    publisher : {'torchvision', 'timm'}

    Raises
    ------
    D2FError
        D2F504: as many convolutions as no published VGG network has.
    """
    places = dict(_places(vgg_depth(state), batch_norm="features.1.running_mean" in state))
    prefixes = {**places, **LINEAR[publisher]}
    channels = state[_convolutions(state)[-1]].shape[0]
    arrays = {}
    for name, array in state.items():
        prefix = next((known for known in prefixes if name.startswith(known)), "")
        renamed = prefixes.get(prefix, "") + name.removeprefix(prefix)
        arrays[renamed] = _channels_last(renamed, array, channels)
    return arrays


def vgg_depth(state: Mapping[str, NDArray[Any]]) -> int:
    """Return the depth of the VGG network that has these published names.

    Raises
    ------
    D2FError
        D2F504: as many convolutions as no published VGG network has.
    """
    count = len(_convolutions(state))
    for depth, counts in VGG_DEPTHS.items():
        if sum(counts) == count:
            return depth
    raise D2FError.of("D2F504", f"no VGG of d2f.models has {count} convolutions", "it has VGG-11, 13, 16 and 19")


def _convolutions(state: Mapping[str, NDArray[Any]]) -> list[str]:
    names = [name for name, array in state.items() if re.match(r"features\.\d+\.weight$", name) and array.ndim == 4]
    return sorted(names, key=lambda name: int(name.split(".")[1]))


def _places(depth: int, batch_norm: bool) -> Iterator[tuple[str, str]]:
    """Yield the published prefix of each layer with weights, and d2f's; activations and maxima are counted too."""
    at = 0
    for block, count in enumerate(VGG_DEPTHS[depth]):
        for convolution in range(count):
            yield f"features.{at}.", f"blocks.{block}.{convolution}.conv."
            if batch_norm:
                yield f"features.{at + 1}.", f"blocks.{block}.{convolution}.norm."
            at += 3 if batch_norm else 2
        at += 1


def _channels_last(name: str, array: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return a layer's array as it sees a map whose channels come last."""
    if name == "hidden.0.weight":
        # Theirs reads the last map as (channels, height, width) in one row.
        side = round((array.size / array.shape[0] / channels) ** 0.5)
        return array.reshape(-1, channels, side, side).transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
    if name == "hidden.1.weight":
        return array.reshape(array.shape[0], -1)
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
