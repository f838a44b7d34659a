"""Published state dicts for d2f.models: torchvision's and timm's ResNet-18, 34, 50 and VGG-11, 13, 16, 19."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2f.api.errors import D2FError
from d2f.models import published_resnet, published_vgg
from d2f.models.build import build_model
from d2f.models.config import HEAD, ModelConfig, model_config, shapes
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
    if published_resnet.MARK in state:
        arrays = published_resnet.resnet_arrays(state)
        found: dict[str, Any] = {"architecture": "resnet", "depth": published_resnet.resnet_depth(arrays)}
    elif published_vgg.MARK in state:
        arrays = published_vgg.vgg_arrays(state, publisher)
        batch_norm = "blocks.0.0.norm.weight" in arrays
        found = {"architecture": "vgg", "depth": published_vgg.vgg_depth(state), "batch_norm": batch_norm}
    else:
        first = ", ".join(list(state)[:3])
        message = f"these are not {publisher}'s names of a ResNet or a VGG"
        raise D2FError.of("D2F504", message, f"they begin: {first}" if first else "there are none")
    head = arrays.get(f"{HEAD}bias")
    return arrays, model_config({**found, "logits": 1 if head is None else max(1, head.size)})


def _headless(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if not name.startswith(HEAD)}
