"""The images of a run: those that train, those that validate, those that are measured once at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Labels
from d2f.api.errors import D2FError
from d2f.data.components import components
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.folds import folds
from d2f.data.limited import limited
from d2f.training.gradient.apart import need_groups_apart
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.run import training_data

WORDS = ("real", "generated")


@dataclass(frozen=True)
class Parts:
    """A set in parts that share no component, where they come from one folder.

    Parameters
    ----------
    training, validation : Dataset
    test : Dataset, optional
    """

    training: Dataset
    validation: Dataset
    test: Dataset | None = None


def parts(
    recipe: NetworkRecipe,
    data: str | None = None,
    fold: tuple[int, int] | None = None,
    say: Callable[[str], None] | None = None,
) -> Parts:
    """Return the images that a recipe trains on and those that it validates on.

    A share that validates is one fold of whole components, chosen by `telling_fold`.

    Parameters
    ----------
    recipe : NetworkRecipe
    data : str, optional
        A folder or manifest; the recipe's own otherwise.
    fold : (int, int), optional
        Of a k-fold run: which fold validates, and how many there are.
    say : callable, optional
        Hears how many images the recipe leaves out.

    Raises
    ------
    D2FError
        What reading the data raises; D2F603 where there are too few components; D2F606 where the recipe chooses images
        by a column that they do not have, or leaves out all; D2F604 where a group stands in two
        parts; D2F621 where a part lacks a label.
    """
    dataset, wanted = training_data(recipe, data, say), recipe.data
    test = None if wanted.test is None else load_dataset(wanted.test)
    if isinstance(wanted.validation, str) and fold is None:
        training, validation = dataset, load_dataset(wanted.validation)
    else:
        training, validation = _divided(dataset, recipe, fold)
    if wanted.limit is not None:
        training = limited(training, wanted.limit, recipe.seed)
    need_both(np.bincount(training.labels, minlength=2), "images that train")
    need_both(np.bincount(validation.labels, minlength=2), "images that validate")
    if test is not None:
        need_both(np.bincount(test.labels, minlength=2), "images of data.test")
    need_groups_apart(training, validation, test)
    return Parts(training, validation, test)


def need_both(counts: np.ndarray, what: str, notes: tuple[str, ...] = ()) -> None:
    """Refuse a part without one of the labels.

    Raises
    ------
    D2FError
        D2F621.
    """
    for label, word in enumerate(WORDS):
        if not counts[label]:
            raise D2FError.of("D2F621", f"none of the {what} is {word}", *notes)


def _divided(dataset: Dataset, recipe: NetworkRecipe, fold: tuple[int, int] | None) -> tuple[Dataset, Dataset]:
    share, together = recipe.data.validation, components(dataset)
    count = fold[1] if fold else round(1 / share) if isinstance(share, float) else 5
    numbers = folds(together, dataset.labels, max(2, count), recipe.seed)
    held = numbers == (fold[0] if fold else telling_fold(numbers, together, dataset.labels))
    return dataset.select(~held), dataset.select(held)


def telling_fold(numbers: NDArray[np.int64], together: NDArray[np.int64], labels: Labels) -> int:
    """Return the fold that says most as validation: that with the most components of both labels.

    Folds are dealt from the largest component down, so that the first may hold one large component of each label,
    and nothing else: two hands, whose subjects and files tell the label. Within a component of both labels only what
    makes an image generated does. What counts, in this order: that the fold holds both labels; how many of its
    components do; how many components it has, for hands differ more than their images; a lower number.

    Parameters
    ----------
    numbers : numpy.ndarray, shape (n,), int64
        The fold of each image, as `d2f.data.folds` deals them.
    together : numpy.ndarray, shape (n,), int64
        The component of each image.
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    """

    def worth(number: int) -> tuple[bool, int, int, int]:
        members = numbers == number
        real, generated = (np.unique(together[members & (labels == label)]) for label in (0, 1))
        both = len(np.intersect1d(real, generated))
        return bool(len(real) and len(generated)), both, len(real) + len(generated) - both, -number

    return max(range(int(numbers.max()) + 1), key=worth)
