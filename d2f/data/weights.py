"""Both labels brought to one number of images, or to one weight."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import GENERATED, REAL, Dataset, limited

Balance: TypeAlias = Literal["none", "smallest", "oversample", "weights"]
BALANCES: tuple[Balance, ...] = get_args(Balance)


def balanced(dataset: Dataset, balance: Balance, seed: int = 0) -> Dataset:
    """Return a set with as many photographs as generated images."""
    if balance in ("none", "weights"):
        return dataset
    members = [np.flatnonzero(dataset.labels == label) for label in (REAL, GENERATED)]
    _need_both([len(of_label) for of_label in members])
    if balance == "smallest":
        least = min(map(len, members))
        kept = {id(image) for of_label in members for image in limited(dataset.select(of_label), least, seed)}
        return dataset.select([i for i, image in enumerate(dataset) if id(image) in kept])
    most = max(map(len, members))
    return dataset.select(np.concatenate([_repeated(of_label, most, seed) for of_label in members]))


def label_weights(labels: Labels) -> Floats:
    """Return n / (2 n_label) for each image, shape (n,): mean 1, both labels of one sum.

    >>> label_weights(np.array([0, 0, 0, 1], dtype=np.int8)).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    counts = np.bincount(labels, minlength=2)
    weights: Floats = len(labels) / (2.0 * counts[labels])
    return weights


def _repeated(members: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    whole, rest = divmod(count, len(members))
    more = np.random.default_rng(seed).choice(members, rest, replace=False)
    return np.concatenate([np.tile(members, whole), more])


def _need_both(counts: list[int]) -> None:
    for count, word in zip(counts, ("photographs", "generated images"), strict=True):
        if not count:
            raise D2FError.of("D2F603", f"there are no {word} to balance with", "give images of both labels")
