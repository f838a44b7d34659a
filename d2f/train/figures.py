"""Figures of validation, the same for both fitters: of one score an image, above 0 where it is called generated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.metrics import balanced_accuracy, roc_auc
from d2f.report.tables import markdown_table

WATCHED = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")
"""Figures of validation that a log, a study and TensorBoard hold."""

HEAD = ("under", "images", "loss", "accuracy", "balanced accuracy", "F1", "AUC", "AUC within two-class collections")


@dataclass(frozen=True, slots=True)
class ValidationFigures:
    """Figures under one attack; what cannot be measured is not a number."""

    images: int
    loss: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    auc: float
    two_class_auc: float
    collections: dict[str, float]
    generators: dict[str, float]
    confusion: list[list[int]]
    scores: Floats = field(repr=False)  # (images,), NaN where an image has none

    def row(self) -> dict[str, Any]:
        """Return the figures as plain data, without the scores."""
        plain = asdict(self)
        plain.pop("scores")
        return plain

    def watched(self, name: str) -> float:
        """Return a figure such that less is better."""
        value = float(getattr(self, name))
        value = value if name == "loss" else -value
        return math.inf if math.isnan(value) else value


def validation_figures(dataset: Dataset, scores: Floats, loss: float = math.nan) -> ValidationFigures:
    """Measure scores (n,) of a set's images, NaN where an image has none; the loss is the fitter's own, in nats."""
    there = ~np.isnan(scores)
    images = [image for image, has in zip(dataset, there, strict=True) if has]
    labels, called = dataset.labels[there], scores[there] > 0
    table = np.bincount(2 * labels + called, minlength=4).reshape(2, 2).tolist()
    (_, false), (missed, hit) = table
    within = _within_collections(images, labels, scores[there])
    return ValidationFigures(
        images=len(images),
        loss=loss,
        accuracy=float((called == labels).mean()),
        balanced_accuracy=float(balanced_accuracy(labels, scores[there], 0.0)),
        f1=2 * hit / (2 * hit + false + missed) if hit + false + missed else math.nan,
        auc=roc_auc(labels, scores[there]),
        two_class_auc=float(np.mean(list(within.values()))) if within else math.nan,
        collections=within,
        generators=_by_generator(images, called == labels),
        confusion=table,
        scores=scores,
    )


def figures_table(figures: Mapping[str, ValidationFigures]) -> str:
    """Return figures by name as a table in Markdown."""
    rows = []
    for name, one in figures.items():
        numbers = (one.loss, one.accuracy, one.balanced_accuracy, one.f1, one.auc, one.two_class_auc)
        rows.append((name, str(one.images), *("" if math.isnan(number) else f"{number:.3f}" for number in numbers)))
    return "\n".join(markdown_table(HEAD, rows))


def _within_collections(images: list[Any], labels: Labels, scores: Floats) -> dict[str, float]:
    """Return the AUC within each collection that holds both labels: there, only what makes an image generated tells."""
    names = np.array([image.collection for image in images])
    found = {}
    for name in np.unique(names).tolist():
        chosen = names == name
        if len(np.unique(labels[chosen])) == 2:
            found[name] = roc_auc(labels[chosen], scores[chosen])
    return found


def _by_generator(images: list[Any], right: NDArray[np.bool_]) -> dict[str, float]:
    names = np.array([(image.generator or "unnamed") if image.label else "real" for image in images])
    return {str(name): float(right[names == name].mean()) for name in np.unique(names)}
