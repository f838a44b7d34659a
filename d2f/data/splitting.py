"""Parts of stated shares, stratified by label and generator, that never cut through a component."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset

PARTS = ("train", "validation", "test")


def split_parts(
    dataset: Dataset,
    components: NDArray[np.int64],
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> NDArray[np.int64]:
    """Deal components to parts so that each part has its share of both labels and of every generator.

    Components are taken from the largest down (ties in seeded order), each to the part where it adds least to the sum
    over labels and generators of held ** 2 / share; all generators together weigh as much as one label, those in fewer
    components than there are parts nothing. A part
    left without a label is then given the smallest component that another can spare.

    Parameters
    ----------
    dataset : Dataset
    components : numpy.ndarray, shape (n,), int64
        As `d2f.data.components` numbers them.
    shares : sequence of float
        Of each part, above 0; their sum does not matter.
    seed : int
        At least 0.

    Returns
    -------
    numpy.ndarray, shape (n,), int64
        The part of each image, 0..len(shares)-1.

    Raises
    ------
    D2FError
        D2F603 where a label has fewer components than there are parts.
    """
    names, index = np.unique(components, return_inverse=True)
    wanted = np.asarray(shares, dtype=np.float64) / sum(shares)
    holds = np.stack([np.bincount(index[dataset.labels == label], minlength=len(names)) > 0 for label in (0, 1)], 1)
    _need(holds, len(wanted))
    counts = _strata(dataset, index, len(names), len(wanted))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-np.bincount(index)[order], kind="stable")]
    parts = _dealt(counts, order, wanted)
    for _ in range(2 * len(wanted)):
        if not _mend(parts, holds, order, len(wanted)):
            return parts[index]
    raise D2FError.of("D2F603", "no split leaves both labels in every part", "ask for fewer parts or folds")


def _strata(dataset: Dataset, index: NDArray[np.int64], size: int, parts: int) -> Floats:
    """Of each component, its share of each label and generator, times the root of the stratum's weight.

    A generator in fewer components than there are parts cannot be in all of them: it is left out, or it would
    draw its components to the largest part.
    """
    generators = np.array([image.generator if image.label else "" for image in dataset])
    masks = [dataset.labels == label for label in (0, 1)]
    spread = [generators == name for name in sorted(set(generators.tolist()) - {""})]
    spread = [mask for mask in spread if len(np.unique(index[mask])) >= parts]
    weights = [1.0, 1.0] + [1.0 / max(1, len(spread))] * len(spread)
    columns = [np.bincount(index[mask], minlength=size) / mask.sum() for mask in [*masks, *spread]]
    return np.stack([np.sqrt(weight) * column for weight, column in zip(weights, columns, strict=True)], axis=1)


def _dealt(counts: Floats, order: NDArray[np.int64], shares: Floats) -> NDArray[np.int64]:
    held = np.zeros((len(shares), counts.shape[1]))
    parts = np.empty(len(counts), dtype=np.int64)
    for component in order:
        more = counts[component]
        parts[component] = np.argmin(((2 * held + more) @ more) / shares)
        held[parts[component]] += more
    return parts


def _mend(parts: NDArray[np.int64], holds: NDArray[np.bool_], order: NDArray[np.int64], count: int) -> bool:
    """Move one component to a part that lacks a label; whether there was such a part."""
    has = np.stack([np.bincount(parts[holds[:, label]], minlength=count) for label in (0, 1)], axis=1)
    lacking = np.argwhere(has == 0)
    if not len(lacking):
        return False
    part, label = lacking[0]
    for component in order[::-1]:
        if holds[component, label] and (has[parts[component]][holds[component]] > 1).all():
            parts[component] = part
            return True
    return True


def _need(holds: NDArray[np.bool_], count: int) -> None:
    for label, word in enumerate(("photographs", "generated images")):
        independent = int(holds[:, label].sum())
        if independent < count:
            raise D2FError.of(
                "D2F603",
                f"{count} parts need {word} from as many independent collections; there are {independent}",
                "ask for fewer parts or folds, or give images from more collections",
            )


def part_labels(labels: Labels, parts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how many photographs and generated images each part has, shape (count, 2)."""
    return np.stack([np.bincount(parts[labels == label], minlength=count) for label in (0, 1)], axis=1)
