"""Labels that models fitted to other images disagree with most."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.api.errors import D2FError, Problem
from d2f.data.audit.logistic import fit_logistic
from d2f.data.balancing import label_weights
from d2f.data.dataset import Dataset, Labelled
from d2f.data.folds import folds
from d2f.data.matched import judging
from d2f.reading.image import ImageError, read_image


@dataclass(frozen=True, slots=True)
class Doubt:
    """An image and what models that did not see it, nor its collection, make of it.

    Parameters
    ----------
    image : Labelled
    sha256 : str
        Of its file.
    score : float
        The model's own, of any scale.
    probability : float
        That it is generated, in [0, 1], calibrated on the other folds' images.
    """

    image: Labelled
    sha256: str
    score: float
    probability: float

    @property
    def disagreement(self) -> float:
        """The probability of the label that the image does not have."""
        return 1.0 - self.probability if self.image.label else self.probability


@dataclass(frozen=True)
class Review:
    """A set's images, the most doubtful first, and the problems of those that could not be read.

    Parameters
    ----------
    doubts : tuple of Doubt
    silent : int
        Images that the model has no features for.
    problems : tuple of Problem
    """

    doubts: tuple[Doubt, ...]
    silent: int
    problems: tuple[Problem, ...]


def review(
    dataset: Dataset,
    components: NDArray[np.int64],
    trainable: Any,
    k: int = 5,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> Review:
    """Rank a set's images by how much cross-validated models disagree with their label.

    Each image is brought alike by `d2f.data.matched.judging`, so that format and size have no say; a model is fitted to
    all folds but one and asked of that one. A wrong label ranks high; so does a picture that is hard.

    Parameters
    ----------
    dataset : Dataset
    components : numpy.ndarray, shape (n,), int64
        What is never cut.
    trainable : EstimatorTrainable
    k : int
        Folds, at least 2.
    seed : int
    tick : callable, optional
        Called after each image.

    Raises
    ------
    D2FError
        D2F603 where folds cannot be made, or no image has features.
    """
    digests, rows, problems = _features(dataset, trainable, tick)
    there = np.array([row is not None for row in rows], dtype=bool)
    if not there.any():
        raise D2FError([*problems, Problem("D2F603", "the model has features of none of the images")])
    known = dataset.select(there)
    features = np.stack([row for row in rows if row is not None])
    fold = folds(components[there], known.labels, k, seed)
    scores = _out_of_fold(trainable, features, known, fold, seed)
    probabilities = _calibrated(scores, known, fold)
    kept = [digest for digest, has in zip(digests, there, strict=True) if has]
    doubts = map(Doubt, known, kept, scores.tolist(), probabilities.tolist())
    ordered = sorted(doubts, key=lambda doubt: (-doubt.disagreement, doubt.image.path))
    return Review(tuple(ordered), len(dataset) - len(known) - len(problems), tuple(problems))


def _features(
    dataset: Dataset, trainable: Any, tick: Callable[[], None] | None
) -> tuple[list[str], list[Floats | None], list[Problem]]:
    digests: list[str] = []
    rows: list[Floats | None] = []
    problems: list[Problem] = []
    for image in dataset:
        try:
            picture = read_image(image.path)
            digests.append(picture.sha256)
            rows.append(trainable.features(judging(picture).pixels))
        except ImageError as error:
            digests.append("")
            rows.append(None)
            problems += error.problems
        if tick is not None:
            tick()
    return digests, rows, problems


def _out_of_fold(trainable: Any, features: Floats, known: Dataset, fold: NDArray[np.int64], seed: int) -> Floats:
    scores = np.zeros(len(known))
    for number in np.unique(fold):
        held = fold == number
        labels = known.labels[~held]
        arrays = trainable.fit(features[~held], labels, label_weights(labels), seed)
        scores[held] = trainable.predict(arrays, features[held])
    return scores


def _calibrated(scores: Floats, known: Dataset, fold: NDArray[np.int64]) -> Floats:
    """Platt's curve for each fold, from the scores of the others; scores are brought to deviation 1 first."""
    values = (scores - scores.mean()) / (scores.std() or 1.0)
    logits = np.zeros(len(values))
    for number in np.unique(fold):
        held = fold == number
        slope, bias = fit_logistic(values[~held, None], known.labels[~held])
        logits[held] = slope * values[held] + bias
    probabilities: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return probabilities


def thumbnail_name(doubt: Doubt) -> str:
    """Return a file name that is the image's own, whatever its rank."""
    return f"{hashlib.sha256(doubt.image.path.encode()).hexdigest()[:16]}.jpg"
