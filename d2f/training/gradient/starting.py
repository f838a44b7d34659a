"""A fresh network, or one that starts from weights, with its first layers kept as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.models import freeze, from_published, load_arrays
from d2f.plugins.catalog import Catalog
from d2f.training.gradient.recipe import NetworkRecipe, Start
from d2f.weights import read_weights, resolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def starting_network(recipe: NetworkRecipe, trainable: Any, catalog: Catalog) -> tuple[Any, NDArray[np.uint64] | None]:
    """Return a recipe's network and what its starting weights were trained on, None where they do not say.

    Raises
    ------
    D2FError
        D2F501 to D2F505: the weights that it starts from are unknown, missing, damaged or of another network.
        D2F606: it has no layer of the name that `freeze` gives.
    """
    network = trainable.build()
    if recipe.start is None:
        return network, None
    start = recipe.start
    held = read_weights(resolve(start.weights, catalog.weights))
    load_arrays(network, _arrays(held.arrays, start), start.weights, new_head=True)
    if start.freeze is not None:
        try:
            freeze(network, start.freeze)
        except ValueError as error:
            raise D2FError.of("D2F606", f"start.freeze: {error}") from error
    return network, held.trained_on


def _arrays(arrays: dict[str, Any], start: Start) -> dict[str, Any]:
    if start.publisher == "d2f":
        return arrays
    return from_published(arrays, start.publisher, drop_head=True).arrays
