"""The images of a run: which train, validate and test, what each weighs, and that no picture is in two parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, column_value, columns_of, limited, load_dataset
from d2f.data.groups import components, folds, shipped_split
from d2f.train.recipe import Emphasis, EstimatorRecipe, Having, NetworkRecipe

LABEL_NAMES = ("real", "generated")
SHOWN = 3
"""Groups, collections or pairs that a message names."""

NUMBERED = re.compile(r"near-\d+")
"""A group that an audit has numbered: in another manifest the name is another group's."""

NEXT_STEP = "take them out of one part; `d2f data split` makes parts that share nothing"


def training_data(
    recipe: EstimatorRecipe | NetworkRecipe, data: str | None, say: Callable[[str], None] | None = None
) -> Dataset:
    """Return the images that a recipe trains on; `say` is given how many others it excludes."""
    folder = data or recipe.data.folder
    if folder is None:
        raise D2FError.of("D2F606", "the recipe names no data", "give a folder or manifest with --data")
    dataset = load_dataset(folder)
    require_columns(recipe, dataset)
    if recipe.data.part != "all":
        dataset = getattr(shipped_split(dataset), recipe.data.part)
    if not recipe.data.exclude:
        return dataset
    kept = dataset.select(~having_any(dataset, recipe.data.exclude))
    if not kept:
        raise D2FError.of("D2F606", "`exclude` leaves no image", f"each of the {len(dataset)} has one of its values")
    if say is not None:
        say(f"{len(dataset) - len(kept)} of {len(dataset)} images are excluded (data.exclude)")
    return kept


def require_columns(recipe: EstimatorRecipe | NetworkRecipe, dataset: Dataset) -> None:
    """Refuse a recipe that chooses images by a column that the set does not have."""
    columns = columns_of(dataset)
    named: list[tuple[str, Sequence[Having]]] = [("data.exclude", recipe.data.exclude)]
    if isinstance(recipe, EstimatorRecipe):
        named += [("copies.measured_only", recipe.copies.measured_only), ("emphasis", recipe.emphasis)]
    problems = [
        Problem(
            "D2F606",
            f"`{place}[{number}]` names a column that no image has: '{each.column}'",
            notes=(f"there are {', '.join(columns)}",),
        )
        for place, listed in named
        for number, each in enumerate(listed)
        if each.column not in columns
    ]
    if problems:
        raise D2FError(problems)


def having_any(dataset: Dataset, havings: Sequence[Having]) -> NDArray[np.bool_]:
    """Return which images have any of the values, shape (n,)."""
    return np.array(
        [any(column_value(image, each.column) == each.equals for each in havings) for image in dataset], bool
    )


def training_weights(dataset: Dataset, balance: float, emphasis: Sequence[Emphasis] = ()) -> Floats:
    """Return the weight of each image, shape (n,), mean 1, both labels of one sum."""
    keys = [(image.collection, image.generator, image.label) for image in dataset]
    counts = Counter(keys)
    weights = np.array([counts[key] ** (balance - 1.0) for key in keys])
    for each in emphasis:
        weights[having_any(dataset, [each])] *= each.factor
    return with_even_labels(weights, dataset.labels)


def with_even_labels(weights: Floats, labels: Labels) -> Floats:
    """Return weights (n,) scaled within each label: both labels of one sum, mean 1 where both are there."""
    scaled = weights.copy()
    for label in (0, 1):
        chosen = labels == label
        if chosen.any():
            scaled[chosen] *= len(labels) / (2 * scaled[chosen].sum())
    return scaled


@dataclass(frozen=True)
class DividedSet:
    """A set in parts that share no component, where they come from one folder."""

    training: Dataset
    validation: Dataset
    test: Dataset | None = None


def divide(
    recipe: NetworkRecipe,
    data: str | None = None,
    fold: tuple[int, int] | None = None,
    say: Callable[[str], None] | None = None,
) -> DividedSet:
    """Return the images that a network trains on, validates on and is measured on once, at the end.

    A share that validates is one fold of whole components, chosen by `telling_fold`; `fold` is (number, count).
    """
    dataset, settings = training_data(recipe, data, say), recipe.data
    test = None if settings.test is None else load_dataset(settings.test)
    if isinstance(settings.validation, str) and fold is None:
        training, validation = dataset, load_dataset(settings.validation)
    else:
        training, validation = _split_off(dataset, recipe, fold)
    if settings.limit is not None:
        training = limited(training, settings.limit, recipe.seed)
    require_labels(training.labels, "images that train")
    require_labels(validation.labels, "images that validate")
    if test is not None:
        require_labels(test.labels, "images of data.test")
    # Before an image is read: groups, which are of one picture, that are in two parts.
    for what, _, part, others in unknown_parts(training, validation, test):
        if message := _sharing(what, part, others, "group", numbered=False):
            raise D2FError.of("D2F604", message, "a group is of one picture, such as its tiles", NEXT_STEP)
    return DividedSet(training, validation, test)


def require_labels(labels: Labels, what: str, *notes: str) -> None:
    """Refuse a part without one of the labels."""
    counts = np.bincount(labels, minlength=2)
    for label, name in enumerate(LABEL_NAMES):
        if not counts[label]:
            raise D2FError.of("D2F621", f"none of the {what} is {name}", *notes)


def _split_off(dataset: Dataset, recipe: NetworkRecipe, fold: tuple[int, int] | None) -> tuple[Dataset, Dataset]:
    share, together = recipe.data.validation, components(dataset)
    count = fold[1] if fold else round(1 / share) if isinstance(share, float) else 5
    numbers = folds(together, dataset.labels, max(2, count), recipe.seed)
    held = numbers == (fold[0] if fold else telling_fold(numbers, together, dataset.labels))
    return dataset.select(~held), dataset.select(held)


def telling_fold(numbers: NDArray[np.int64], together: NDArray[np.int64], labels: Labels) -> int:
    """Return the fold that says most as validation: that with the most components of both labels.

    Folds are assigned from the largest component down, so that the first may hold one large component of each label
    and nothing else: two sources, whose subjects and files tell the label. Within a component of both labels only
    what makes an image generated does. What counts, in this order: that the fold holds both labels; how many of its
    components do; how many components it has, for sources differ more than their images; a lower number.

    `numbers`, `together` shape (n,), int64; `labels` shape (n,).
    """

    def worth(number: int) -> tuple[bool, int, int, int]:
        members = numbers == number
        real, generated = (np.unique(together[members & (labels == label)]) for label in (0, 1))
        both = len(np.intersect1d(real, generated))
        return bool(len(real) and len(generated)), both, len(real) + len(generated) - both, -number

    return max(range(int(numbers.max()) + 1), key=worth)


Part = TypeVar("Part")


def unknown_parts(training: Part, validation: Part, test: Part | None) -> Iterator[tuple[str, str, Part, list[Part]]]:
    """Yield each part that has to be unknown: what it is, what may not hold of it, and what it is compared with."""
    yield "images that validate", "are also trained on", validation, [training]
    if test is not None:
        yield "images of data.test", "train or validate", test, [training, validation]


def shared_names(training: Dataset, validation: Dataset, test: Dataset | None = None) -> Iterator[Problem]:
    """Yield a warning for each part whose collections, or groups that an audit has numbered, are in another too."""
    for what, _, part, others in unknown_parts(training, validation, test):
        for name in ("collection", "group"):
            if message := _sharing(what, part, others, name):
                note = "figures may be optimistic" if name == "collection" else "see that they are not one picture"
                yield overlap_warning(message, note)


def _sharing(what: str, part: Dataset, others: Sequence[Dataset], name: str, numbered: bool = True) -> str:
    """Say how many images share a collection or group with other parts; empty where none does."""
    seen = {getattr(image, name) for other in others for image in other} - {""}
    shared = [value for image in part if (value := getattr(image, name)) in seen]
    if not numbered:
        shared = [value for value in shared if not NUMBERED.fullmatch(value)]
    distinct = list(dict.fromkeys(shared))
    rest = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    listed = ", ".join(f"'{value}'" for value in distinct[:SHOWN]) + rest
    return f"{len(shared)} of the {what} share a {name} with images that {use_of(others)}: {listed}" if shared else ""


def use_of(parts: Sequence[object]) -> str:
    """Return what the images of some parts do, for a sentence."""
    return "train" if len(parts) == 1 else "train or validate"


def overlap_warning(message: str, *notes: str) -> Problem:
    """Return a warning that parts of a set may hold one picture."""
    return Problem("D2F604", message, notes=notes, severity="warning")
