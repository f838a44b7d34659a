"""The images of a run: those that train, those that validate, those that are measured once at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Labels
from d2f.data.dataset import Dataset, limited, load_dataset
from d2f.data.groups import components
from d2f.data.split import folds
from d2f.plugins.catalog import Catalog
from d2f.train.estimator import training_data
from d2f.train.folder import RunFolder
from d2f.train.measuring import Measured
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.similar import need_groups_apart


class Watcher(Protocol):
    """Is told what a run does."""

    def say(self, line: str) -> None:
        """Hear a sentence."""

    def images(self, done: int, total: int) -> None:
        """Hear how many images were decoded."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Hear of an update: the epoch from 0, its updates so far and in all, the mean loss, the rate."""

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Hear of an epoch's end."""


class Silent:
    """Hears and shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def images(self, done: int, total: int) -> None:
        """Show nothing."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show nothing."""

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Processes:
    """The processes, and which of them this is."""

    group: Any

    @classmethod
    def found(cls) -> Processes:
        """Join the others, where `mlx.launch` started this process; else be alone."""
        return cls(mx.distributed.init())

    @property
    def rank(self) -> int:
        """This process's number; 0 writes."""
        return int(self.group.rank())

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.group.size())

    def sum_tree(self, tree: Any) -> Any:
        """Return the sum of all processes' arrays, float32, as a tree of the same names."""
        if self.count == 1:
            return tree
        # All in one: each call waits for every process.
        named = tree_flatten(tree)
        cuts = np.cumsum([array.size for _, array in named])[:-1].tolist()
        total = mx.distributed.all_sum(mx.concatenate([array.reshape(-1) for _, array in named]), group=self.group)
        parts = [part.reshape(array.shape) for part, (_, array) in zip(mx.split(total, cuts), named, strict=True)]
        mx.eval(parts)
        return tree_unflatten([(name, part) for (name, _), part in zip(named, parts, strict=True)])

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(np.zeros(1))

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of all processes' numbers, in the precision of float32 pairs."""
        if self.count == 1:
            return values
        high = values.astype(np.float32)
        pair = mx.array(np.stack([high, (values - high).astype(np.float32)]))
        total: NDArray[np.float64] = np.array(self.sum_tree({"pair": pair})["pair"]).astype(np.float64).sum(axis=0)
        return total


@dataclass(frozen=True)
class Request:
    """What is asked of a run beside its recipe."""

    output: Path
    data: str | None = None
    workers: int = 1
    resume: bool = False
    fold: tuple[int, int] | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Work:
    """What a run works with from its beginning to its end."""

    recipe: NetworkRecipe
    trainable: Any
    catalog: Catalog
    request: Request
    folder: RunFolder
    processes: Processes
    watcher: Watcher


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """What came of a run."""

    weights: Path
    sha256: str
    figures: dict[str, Measured]
    folder: Path


WORDS = ("real", "generated")


@dataclass(frozen=True)
class Parts:
    """A set in parts that share no component, where they come from one folder."""

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
    """Refuse a part without one of the labels."""
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

    `numbers` shape (n,), int64; `together` shape (n,), int64; `labels` shape (n,).
    """

    def worth(number: int) -> tuple[bool, int, int, int]:
        members = numbers == number
        real, generated = (np.unique(together[members & (labels == label)]) for label in (0, 1))
        both = len(np.intersect1d(real, generated))
        return bool(len(real) and len(generated)), both, len(real) + len(generated) - both, -number

    return max(range(int(numbers.max()) + 1), key=worth)
