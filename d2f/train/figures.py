"""The reference page of recipes, made from the models."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.chain.model import ChainModel
from d2f.chain.reference import keys_table
from d2f.data.dataset import Dataset
from d2f.metrics import balanced_accuracy, roc_auc
from d2f.train import network_recipe as network
from d2f.train import recipe as estimator
from d2f.train.network_recipe import Augmentation, Choice, Optimiser, Schedule
from d2f.train.operations import OPERATIONS


@dataclass(frozen=True, slots=True)
class Figures:
    """How out-of-fold scores under one attack tell the labels."""

    attack: str
    images: int
    auc: float
    balanced_accuracy: float
    two_class_auc: float
    collections: dict[str, float]

    def row(self) -> dict[str, object]:
        """Return the figures as plain data."""
        return asdict(self)


def figures(dataset: Dataset, attack: str, scores: Floats) -> Figures:
    """Measure out-of-fold scores (n,), NaN where an image has none."""
    there = ~np.isnan(scores)
    labels = dataset.labels
    collections = np.array([image.collection for image in dataset])
    within = {}
    for name in dataset.collections:
        chosen = there & (collections == name)
        if set(labels[chosen]) == {0, 1}:
            within[name] = roc_auc(labels[chosen], scores[chosen])
    mean = float(np.mean(list(within.values()))) if within else float("nan")
    auc = roc_auc(labels[there], scores[there])
    return Figures(attack, int(there.sum()), auc, _balanced(labels[there], scores[there]), mean, within)


def _balanced(labels: Labels, scores: NDArray[np.float64]) -> float:
    return float(balanced_accuracy(labels, scores, 0.0))


NETWORK: tuple[tuple[str, type[ChainModel]], ...] = (
    ("data", network.Data),
    ("start", network.Start),
    ("tiles", network.Tiles),
    ("copies", network.Copies),
    ("balance", network.Balance),
    ("augment", Augmentation),
    ("augment: one_of", Choice),
    ("loss", network.Loss),
    ("optimiser", Optimiser),
    ("schedule", Schedule),
    ("stop", network.Stop),
)
ESTIMATOR: tuple[tuple[str, type[ChainModel]], ...] = (
    ("data", estimator.DataPart),
    ("copies", estimator.Copies),
    ("augment", estimator.Augmentation),
    ("measure, augment: steps", estimator.StepUse),
)
HEAD = """# Recipes

A recipe says how `d2f train` makes the weights of a detector. It is YAML, read as strictly as a chain file: every
problem at once, each with its line. `train` names a trainable, as `d2f plugin list` shows it, and the trainable says
which keys there are: one with `build()` is a network, fitted step by step; one with `features()` is an estimator,
fitted at one stroke. See [Train a detector](../how-to/train-a-detector.md).
"""


def recipes_page() -> str:
    """Return docs/reference/recipes.md."""
    parts = [HEAD, _section("Of a network", network.NetworkRecipe)]
    parts += [_section(name, model, 3) for name, model in NETWORK]
    parts.append("### Operations of training\n\nBeside every preprocessor, `augment` knows these.\n")
    parts += [
        _section(name, stage.Options, 4, f"{(stage.__doc__ or '').strip()}\n\n") for name, stage in OPERATIONS.items()
    ]
    parts.append(_section("Of an estimator", estimator.Recipe))
    parts += [_section(name, model, 3) for name, model in ESTIMATOR]
    return "\n".join(parts)


def _section(title: str, model: type[ChainModel], level: int = 2, introduction: str = "") -> str:
    lines = list(keys_table(model)) if model.model_fields else ["It has no options."]
    return f"{'#' * level} {title}\n\n{introduction}" + "\n".join(lines) + "\n"
