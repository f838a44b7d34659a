"""Which tiles an epoch sees, and in which order: drawn from the seed and the epoch's number alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.training.balance import image_weights
from d2f.training.gradient.recipe import Balance
from d2f.training.gradient.tile_set import TileSet

Order = NDArray[np.int64]


def tile_weights(tiles: TileSet, sources: float) -> Floats:
    """Return each tile's weight, shape (tiles,), both labels of one sum, mean 1; an image shares its weight evenly."""
    counts = np.bincount(tiles.image, minlength=len(tiles.dataset))
    weights = (
        (image_weights(tiles.dataset, sources) / np.maximum(counts, 1))[tiles.image]
        if sources < 1
        else np.ones(len(tiles))
    )
    labels = tiles.labels
    for label in (0, 1):
        chosen = labels == label
        if chosen.any():
            weights[chosen] *= len(tiles) / (2 * weights[chosen].sum())
    return weights


def epoch_order(labels: Labels, weights: Floats, balance: Balance, seed: int, epoch: int) -> Order:
    """Return the tiles of an epoch, in order.

    Parameters
    ----------
    labels : numpy.ndarray, shape (tiles,)
    weights : numpy.ndarray, shape (tiles,)
        As `tile_weights` returned them; within a label, a tile is drawn in proportion.
    balance : Balance
    seed, epoch : int
    """
    random = np.random.default_rng((seed, epoch, 1))
    drawn = [
        draw(np.flatnonzero(labels == label), weights, count, random)
        for label, count in enumerate(label_counts(labels, balance))
    ]
    order: Order = random.permutation(np.concatenate(drawn))
    return order


def label_counts(labels: Labels, balance: Balance) -> tuple[int, int]:
    """Return how many tiles of each label an epoch draws."""
    real, generated = int(np.count_nonzero(labels == 0)), int(np.count_nonzero(labels == 1))
    if balance.by in ("smallest", "oversample"):
        each = min(real, generated) if balance.by == "smallest" else max(real, generated)
        each = each if balance.tiles is None else balance.tiles // 2
        return each, each
    if balance.tiles is None:
        return real, generated
    share = round(balance.tiles * real / (real + generated))
    return share, balance.tiles - share


def draw(members: Order, weights: Floats, count: int, random: np.random.Generator) -> Order:
    """Draw `count` of `members`, each as often as its share of the weight says, to within one (systematic sampling).

    Madow 1949 (doi:10.1214/aoms/1177729988). With equal weights and a count of all, each is drawn once.
    """
    shuffled = random.permutation(members)
    shares = weights[shuffled] / weights[shuffled].sum()
    ends = np.cumsum(shares)
    points = (random.random() + np.arange(count)) / count
    # The last end may fall short of 1 by rounding.
    return shuffled[np.minimum(np.searchsorted(ends, points, side="right"), len(shuffled) - 1)]
