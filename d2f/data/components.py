"""What belongs together: connected components of (collection, group)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from d2f.data.dataset import Labelled


def components(images: Iterable[Labelled]) -> NDArray[np.int64]:
    """Number the connected components of images linked by a collection or by a group.

    Two images are linked when they share a collection or a near-duplicate group (a group's name means the
    same in every collection); an image with neither stands alone. Splits, folds and bootstrap draws take
    components whole.

    Parameters
    ----------
    images : iterable of Labelled
        Such as a `Dataset`.

    Returns
    -------
    numpy.ndarray, shape (n,), int64
        Numbers from 0 in order of first appearance.
    """
    parents: dict[Hashable, Hashable] = {}
    keys = [_join(parents, image, i) for i, image in enumerate(images)]
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(_root(parents, key), len(numbers)) for key in keys], dtype=np.int64)


def _join(parents: dict[Hashable, Hashable], image: Labelled, i: int) -> Hashable:
    keys: list[Hashable] = [(kind, getattr(image, kind)) for kind in ("collection", "group") if getattr(image, kind)]
    keys = keys or [("image", i)]
    for key in keys:
        parents.setdefault(key, key)
    parents[_root(parents, keys[-1])] = _root(parents, keys[0])
    return keys[0]


def _root(parents: dict[Hashable, Hashable], key: Hashable) -> Hashable:
    while parents[key] != key:
        parents[key] = parents[parents[key]]
        key = parents[key]
    return key
