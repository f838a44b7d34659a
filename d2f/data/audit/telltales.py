"""How well each property alone, and all together, tell the label of images from collections never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.api.errors import D2FError
from d2f.data.audit.binned import Binned
from d2f.data.audit.logistic import fit_logistic, scores
from d2f.data.audit.ordered_pairs import ordered_pairs
from d2f.data.audit.properties import Property
from d2f.data.folds import folds
from d2f.measure import Interval, cluster_bootstrap

ALL = "all together"
DRAWS = 500


@dataclass(frozen=True)
class Telltale:
    """What one property is worth.

    Parameters
    ----------
    name : str
    auc : Interval or None
        `d2f.data.audit.ordered_pairs` of cross-validated scores with its 95 % bounds; None where it cannot be measured.
    images : int
        How many images have the property.
    reason : str
        Why it cannot be measured; else empty.
    """

    name: str
    auc: Interval | None
    images: int
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """The images on which properties are tried.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    components : numpy.ndarray, shape (n,), int64
        What is never cut, as `d2f.data.components` numbers it.
    folds : int
        At least 2.
    seed : int
    """

    labels: Labels
    components: NDArray[np.int64]
    folds: int = 5
    seed: int = 0


def telltales(properties: Sequence[Property], trial: Trial) -> tuple[Telltale, ...]:
    """Measure each property on the images that have it."""
    return tuple(_measured(each.name, [each], each.there, trial) for each in properties)


def together(properties: Sequence[Property], trial: Trial) -> Telltale:
    """Measure all properties at once on all images."""
    return _measured(ALL, properties, np.ones(len(trial.labels), dtype=bool), trial)


def _measured(name: str, properties: Sequence[Property], there: NDArray[np.bool_], trial: Trial) -> Telltale:
    count, labels, components = int(there.sum()), trial.labels[there], trial.components[there]
    if len(set(labels.tolist())) < 2:
        held = {0: "photographs", 1: "generated images"}.get(int(labels[0]) if count else -1)
        return Telltale(name, None, count, f"only {held} have it" if held else "no image has it")
    try:
        fold = folds(components, labels, trial.folds, trial.seed)
    except D2FError as error:
        return Telltale(name, None, count, error.problems[0].message)
    found = _out_of_fold([each.select(there) for each in properties], labels, fold)
    share = ordered_pairs(labels, found, fold)
    auc = cluster_bootstrap(share, components, labels, draws=DRAWS, seed=trial.seed)
    if np.isnan(auc.value):
        return Telltale(name, None, count, "no fold holds both labels")
    return Telltale(name, auc, count)


def _out_of_fold(properties: Sequence[Property], labels: Labels, fold: NDArray[np.int64]) -> Floats:
    found = np.zeros(len(labels))
    for number in np.unique(fold):
        held = fold == number
        if len(set(labels[~held].tolist())) < 2:
            continue
        rows = Binned.of(properties, ~held).rows(properties)
        found[held] = scores(fit_logistic(rows[~held], labels[~held]), rows[held])
    return found
