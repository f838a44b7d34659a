"""A fresh network, or one that starts from weights, with its first layers kept as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from d2f.api.errors import D2FError
from d2f.models import freeze, from_published, load_arrays
from d2f.plugins.build import read_options
from d2f.training.gradient.losses import check_head
from d2f.training.gradient.recipe import Start
from d2f.training.gradient.request import Work
from d2f.weights import WeightsFile, read_weights, resolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Started:
    """A network before its first step.

    Parameters
    ----------
    network : mlx.nn.Module
    sha256 : str
        Of the weights that it starts from; empty without any.
    trained_on : numpy.ndarray, uint64, optional
        What those were trained on; None where they do not say.
    """

    network: Any
    sha256: str = ""
    trained_on: NDArray[np.uint64] | None = None


def start(work: Work) -> Started:
    """Return a recipe's network, drawn from its seed or loaded; what is wrong with it is told before images are read.

    Raises
    ------
    D2FError
        D2F501 to D2F505: the weights that it starts from are unknown, missing, damaged or of another network.
        D2F606: it has no layer of the name that `freeze` gives, or its logits do not suit the loss.
    """
    recipe = work.recipe
    mx.random.seed(recipe.seed)
    started = Started(work.trainable.build())
    if recipe.start is not None:
        held = read_weights(resolve(recipe.start.weights, work.catalog.weights))
        started = Started(started.network, held.sha256, held.trained_on)
        _load(started.network, held, recipe.start)
        for line in _differences(work, started.network, held, recipe.start):
            work.watcher.say(line)
    started.network.eval()
    side = recipe.tiles.size
    check_head(started.network(mx.zeros((1, side, side, 3))), recipe.loss)
    return started


def _load(network: Any, held: WeightsFile, wanted: Start) -> None:
    arrays: dict[str, Any] = held.arrays
    if wanted.publisher != "d2f":
        arrays = from_published(arrays, wanted.publisher, drop_head=True).arrays
    load_arrays(network, arrays, wanted.weights, new_head=True)
    if wanted.freeze is None:
        return
    try:
        freeze(network, wanted.freeze)
    except ValueError as error:
        raise D2FError.of("D2F606", f"start.freeze: {error}") from error


def _differences(work: Work, network: Any, held: WeightsFile, wanted: Start) -> list[str]:
    """Say where a network is not the one that its starting weights were made with, though their arrays fit."""
    if wanted.publisher != "d2f":
        # Networks of d2f.models have the attribute; others do with pixels as they please.
        bare = getattr(network, "normalise", "unknown") is None
        said = (
            f"{wanted.publisher}'s weights were made with normalised pixels: see `normalise` in docs/reference/recipes"
        )
        return [said] if bare else []
    if held.metadata.get("trainable") != work.recipe.train:
        return []
    kind = type(work.trainable)
    now = read_options("trainable", kind, work.recipe.with_).model_dump(mode="json")
    try:
        before = read_options("trainable", kind, json.loads(held.metadata["options"])).model_dump(mode="json")
    except D2FError:
        # Of an older version of the trainable; the arrays fit nevertheless.
        return []
    changed = [f"{key}: {json.dumps(before[key])}" for key in now if before[key] != now[key]]
    return [f"'{wanted.weights}' was made with other options: {', '.join(changed)}"] if changed else []
