"""Both labels brought to one number of images, or to one weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import GENERATED, REAL, Dataset, Labelled, limited

Balance: TypeAlias = Literal["none", "smallest", "oversample", "weights"]
BALANCES: tuple[Balance, ...] = get_args(Balance)
NOUNS = ("photographs", "generated images")


def require_both(counts: Sequence[int], least: int = 1, purpose: str = "") -> None:
    """Raise D2F603 where a label has fewer images, or collections, than `least`."""
    for count, noun in zip(counts, NOUNS, strict=True):
        if count < least:
            have = f"there are no {noun}" if not count else f"there are {count} {noun}"
            need = f"{purpose} needs at least {least} of each label" if purpose else "give images of both labels"
            raise D2FError.of("D2F603", have, need)


def balanced(dataset: Dataset, balance: Balance, seed: int = 0) -> Dataset:
    """Return a set with as many photographs as generated images."""
    if balance in ("none", "weights"):
        return dataset
    members = [np.flatnonzero(dataset.labels == label) for label in (REAL, GENERATED)]
    require_both([len(of_label) for of_label in members])
    if balance == "smallest":
        least = min(map(len, members))
        kept = {id(image) for of_label in members for image in limited(dataset.select(of_label), least, seed)}
        return dataset.select([i for i, image in enumerate(dataset) if id(image) in kept])
    most = max(map(len, members))
    return dataset.select(np.concatenate([_repeated(of_label, most, seed) for of_label in members]))


def _repeated(members: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    whole, rest = divmod(count, len(members))
    more = np.random.default_rng(seed).choice(members, rest, replace=False)
    return np.concatenate([np.tile(members, whole), more])


def label_weights(labels: Labels) -> Floats:
    """Return n / (2 n_label) for each image, shape (n,): mean 1, both labels of one sum.

    >>> label_weights(np.array([0, 0, 0, 1], dtype=np.int8)).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    counts = np.bincount(labels, minlength=2)
    weights: Floats = len(labels) / (2.0 * counts[labels])
    return weights


def halved(weights: Floats, labels: Labels) -> Floats:
    """Return weights of shape (n,) scaled so that each label has half of their sum, which is 1.

    Where one label is missing, the other weighs 1.
    """
    totals = np.array([weights[labels == label].sum() for label in (REAL, GENERATED)])
    shares = totals * np.count_nonzero(totals)
    scaled: Floats = weights / shares[labels.astype(np.int64)]
    return scaled


def image_weights(images: Iterable[Labelled]) -> Floats:
    """Return weights that sum to 1, half of it on each label that is there.

    Within a label, images of one collection and generator (or source, for photographs) share a weight in
    proportion to the square root of their number: a large source counts more than a small one, without
    drowning it.

    Returns shape (n,), float64.
    """
    listed = list(images)
    keys = [(image.label, image.collection, image.generator if image.label else image.source) for image in listed]
    sizes = Counter(keys)
    raw = np.array([sizes[key] ** -0.5 for key in keys])
    return halved(raw, np.array([image.label for image in listed], dtype=np.int8))


def effective_count(weights: Floats) -> float:
    """How many equally weighted images these weights are worth: (sum w)^2 / sum w^2 (Kish, 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
