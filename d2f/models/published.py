"""Published state dicts for d2f.models: torchvision's and timm's ResNet-18, 34, 50 and VGG-11, 13, 16, 19."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2f.api.errors import D2FError
from d2f.models.build import build_model
from d2f.models.config import HEAD, IMAGENET_DEPTHS, VGG_DEPTHS, ModelConfig, model_config, shapes
from d2f.weights import strict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

Publisher: TypeAlias = Literal["torchvision", "timm"]
COUNTER = "num_batches_tracked"
"""Batch norm's count of batches, which no network here has a use for."""

WRAPPER = "module."
"""What PyTorch's DataParallel puts before every name."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published state dict in d2f.models' words.

    Parameters
    ----------
    arrays : dict of str to numpy.ndarray
        By d2f's names, channels last.
    config : ResNetConfig or VGGConfig
        The network that they fit.
    dropped : tuple of str
        Published names that were left out.
    """

    arrays: Arrays = field(repr=False)
    config: ModelConfig
    dropped: tuple[str, ...]


def from_published(state: Mapping[str, NDArray[Any]], publisher: Publisher, drop_head: bool = False) -> Published:
    """Rename and transpose a published state dict, strictly.

    Parameters
    ----------
    state : mapping of str to numpy.ndarray
        As PyTorch holds it: convolutions (out, in, height, width), linear layers (out, in).
    publisher : {'torchvision', 'timm'}
        Whose names these are.
    drop_head : bool
        Leave out the last layer, for another number of classes.

    Raises
    ------
    D2FError
        D2F504: a network that d2f.models does not have, a name that is missing or unknown, or another shape.
    """
    counters = tuple(name for name in state if name.endswith(COUNTER))
    held = {name.removeprefix(WRAPPER): array for name, array in state.items() if name not in counters}
    arrays, config = _translated(held, publisher)
    wanted = shapes(build_model(config))
    if not drop_head:
        strict(arrays, wanted)
        return Published(arrays, config, counters)
    heads = tuple(name for name in arrays if name.startswith(HEAD))
    strict(_headless(arrays), _headless(wanted))
    return Published(_headless(arrays), config, counters + heads)


def _translated(state: Arrays, publisher: Publisher) -> tuple[Arrays, ModelConfig]:
    if RESNET_MARK in state:
        arrays = resnet_arrays(state)
        found: dict[str, Any] = {"architecture": "resnet", "depth": resnet_depth(arrays)}
    elif VGG_MARK in state:
        arrays = vgg_arrays(state, publisher)
        batch_norm = "blocks.0.0.norm.weight" in arrays
        found = {"architecture": "vgg", "depth": vgg_depth(state), "batch_norm": batch_norm}
    else:
        first = ", ".join(list(state)[:3])
        message = f"these are not {publisher}'s names of a ResNet or a VGG"
        raise D2FError.of("D2F504", message, f"they begin: {first}" if first else "there are none")
    head = arrays.get(f"{HEAD}bias")
    return arrays, model_config({**found, "logits": 1 if head is None else max(1, head.size)})


def _headless(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if not name.startswith(HEAD)}


RESNET_MARK = "layer1.0.conv1.weight"
"""The name that only a residual network has."""

RESNET_NAMES = (
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
    return {resnet_name(name): _last(array) for name, array in state.items()}


def resnet_name(name: str) -> str:
    """Return d2f's name of a published one, or the name itself.

    >>> resnet_name("layer3.0.downsample.1.running_var")
    'stages.2.0.shortcut.norm.running_var'
    """
    for pattern, replacement in RESNET_NAMES:
        if re.match(pattern, name):
            renamed = re.sub(f"^{pattern}", replacement, name)
            return re.sub(r"^stages\.(\d)", lambda found: f"stages.{int(found[1]) - 1}", renamed)
    return name


def resnet_depth(names: Iterable[str]) -> int:
    """Return the depth of the residual network that has these names, d2f's.

    Raises D2FError: D2F504: its blocks are those of no network in d2f.models.
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


VGG_MARK = "features.0.weight"
"""The name that only a VGG network has."""

VGG_LINEAR = {
    "torchvision": {"classifier.0.": "hidden.0.", "classifier.3.": "hidden.1.", "classifier.6.": "head."},
    "timm": {"pre_logits.fc1.": "hidden.0.", "pre_logits.fc2.": "hidden.1.", "head.fc.": "head."},
}
"""The linear layers; timm's hidden ones are convolutions over the whole map, with the same numbers."""


def vgg_arrays(state: Mapping[str, NDArray[Any]], publisher: str) -> dict[str, NDArray[Any]]:
    """Return a state dict under the names of `d2f.models.VGG`, channels last.

    Raises D2FError: D2F504: as many convolutions as no published VGG network has.
    """
    places = dict(_places(vgg_depth(state), batch_norm="features.1.running_mean" in state))
    prefixes = {**places, **VGG_LINEAR[publisher]}
    channels = state[_convolutions(state)[-1]].shape[0]
    arrays = {}
    for name, array in state.items():
        prefix = next((known for known in prefixes if name.startswith(known)), "")
        renamed = prefixes.get(prefix, "") + name.removeprefix(prefix)
        arrays[renamed] = _channels_last(renamed, array, channels)
    return arrays


def vgg_depth(state: Mapping[str, NDArray[Any]]) -> int:
    """Return the depth of the VGG network that has these published names.

    Raises D2FError: D2F504: as many convolutions as no published VGG network has.
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
    return _last(array)


def _last(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
