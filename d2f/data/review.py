"""`d2f data audit --review` ranks labels to look at again; `--repair` writes a set anew by the protocol `crop`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Floats, ImageFile
from d2f.data.dataset import LABEL_NAMES, Dataset, Labelled, csv_text, labelled_path, write_manifest
from d2f.data.facts import Inspection
from d2f.data.groups import duplicates, folds, with_groups
from d2f.data.protocol import FITTING_QUALITIES, fitting, whole
from d2f.data.shortcuts import STATED, original_facts
from d2f.data.weights import label_weights
from d2f.files import explained, write_whole
from d2f.images.read import ImageError, read_image
from d2f.metrics.calibration import fit_logistic, sigmoid
from d2f.report.page import figure, gallery, thumbnail


@dataclass(frozen=True, slots=True)
class LabelDoubt:
    """An image and what models that did not see it, nor its collection, make of it."""

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
    """A set's images, the most doubtful first, and the problems of those that could not be read."""

    doubts: tuple[LabelDoubt, ...]
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

    Each image passes `d2f.data.protocol.whole`, so that format and size have no say; a model is fitted to
    all folds but one and asked of that one. A wrong label ranks high; so does a picture that is hard.

    `components` shape (n,), int64.
    """
    digests, rows, problems = _features(dataset, trainable, tick)
    there = np.array([row is not None for row in rows], dtype=bool)
    if not there.any():
        raise D2FError([*problems, Problem("D2F603", "the model has features of none of the images")])
    known = dataset.select(there)
    features = np.stack([row for row in rows if row is not None])
    fold = folds(components[there], known.labels, k, seed)
    scores = _out_of_fold_scores(trainable, features, known, fold, seed)
    probabilities = _calibrated(scores, known, fold)
    kept = [digest for digest, has in zip(digests, there, strict=True) if has]
    doubts = map(LabelDoubt, known, kept, scores.tolist(), probabilities.tolist())
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
            rows.append(trainable.features(whole(picture).pixels))
        except ImageError as error:
            digests.append("")
            rows.append(None)
            problems += error.problems
        if tick is not None:
            tick()
    return digests, rows, problems


def _out_of_fold_scores(trainable: Any, features: Floats, known: Dataset, fold: NDArray[np.int64], seed: int) -> Floats:
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
    return sigmoid(logits)


def thumbnail_name(doubt: LabelDoubt) -> str:
    """Return a file name that is the image's own, whatever its rank."""
    return f"{hashlib.sha256(doubt.image.path.encode()).hexdigest()[:16]}.jpg"


SIDE = 256
"""Longest side of a thumbnail, in pixels."""

COLUMNS = ("path", "label", "disagreement", "probability", "score", "generator", "source", "collection", "sha256")
INTRODUCTION = (
    "{} images, those first whose label the models disagree with most. A model that never saw an image, nor anything "
    "of its collection, gave the probability that it is generated."
)


def write_gallery(folder: Path, doubts: Sequence[LabelDoubt]) -> None:
    """Write ``index.html``, ``review.csv`` and ``thumbnails/`` for images that were read before.

    The table has an empty last column, ``reviewed_label``, to be filled in by whoever looks.
    """
    with explained(folder):
        (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    for doubt in doubts:
        write_whole(folder / "thumbnails" / thumbnail_name(doubt), thumbnail(doubt.image.path, SIDE, 85) or b"")
    introduction = INTRODUCTION.format(len(doubts))
    write_whole(
        folder / "index.html", gallery("Labels to look at again", introduction, list(map(_doubt_figure, doubts)))
    )
    rows = [[*_doubt_row(doubt), ""] for doubt in doubts]
    write_whole(folder / "review.csv", csv_text([[*COLUMNS, "reviewed_label"], *rows]))


def _doubt_figure(doubt: LabelDoubt) -> str:
    image = doubt.image
    facts = [f"labelled <b>{LABEL_NAMES[image.label]}</b>, generated with probability {doubt.probability:.3f}"]
    facts += [escape(value) for value in (image.generator, image.collection, image.path) if value]
    shown = f'<img src="thumbnails/{thumbnail_name(doubt)}" alt="" loading="lazy">'
    return figure(shown, "<br>".join(facts))


def _doubt_row(doubt: LabelDoubt) -> list[object]:
    image = doubt.image
    numbers = [round(value, 6) for value in (doubt.disagreement, doubt.probability, doubt.score)]
    names = (image.generator, image.source, image.collection, doubt.sha256)
    return [image.path, LABEL_NAMES[image.label], *numbers, *names]


WINDOW = 224


@dataclass(frozen=True)
class Repaired:
    """What was written, and what was not."""

    images: Dataset
    small: tuple[int, int]
    repeated: int
    contradictory: int
    problems: tuple[Problem, ...]


def repair(
    seen: Inspection, folder: Path, window: int = WINDOW, seed: int = 0, tick: Callable[[], None] | None = None
) -> Repaired:
    """Write every image anew by the protocol `crop`'s `d2f.data.protocol.fitting`, and a manifest.

    Each becomes a window at a random place, at times of the reduced picture, encoded to JPEG 4:2:0 at a quality drawn
    uniformly from 70 to 98: sizes, formats, qualities and metadata of both labels are alike. The manifest keeps
    collections, joins near-duplicates in groups, and states in ``original_*`` what each file was.
    """
    images = with_groups(seen.images, duplicates(seen).groups)
    repeated, contradictory = _copies(images, [facts.sha256 for facts in seen.facts])
    written: list[Labelled] = []
    problems: list[Problem] = []
    small = [0, 0]
    for i, image in enumerate(images):
        if not repeated[i] and not contradictory[i]:
            try:
                picture = read_image(image.path)
            except ImageError as error:
                problems += error.problems
            else:
                if min(picture.width, picture.height) < window:
                    small[image.label] += 1
                else:
                    made = fitting(picture, seed, (window, window), FITTING_QUALITIES)
                    written.append(_write_repaired(folder, image, made, original_facts(image, seen.facts[i])))
        if tick is not None:
            tick()
    if not written:
        raise D2FError.of("D2F601", f"no image is {window} pixels wide and high", "ask for a smaller --window")
    new = Dataset(tuple(written), str(folder))
    write_manifest(folder / "manifest.csv", new)
    counts = int(repeated.sum()), int(contradictory.sum())
    return Repaired(new, (small[0], small[1]), *counts, (*seen.problems, *problems))


def _write_repaired(folder: Path, image: Labelled, made: ImageFile, original: dict[str, str]) -> Labelled:
    path = folder / labelled_path(image, f"{made.sha256[:24]}.jpg")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, made.data)
    stale = {column for columns in STATED.values() for column in columns}
    kept = {column: value for column, value in image.more.items() if column not in stale}
    return replace(image, path=str(path), more=MappingProxyType({**kept, **original}))


def _copies(images: Dataset, digests: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which files repeat an earlier one, and which stand under both labels, each of shape (n,)."""
    labels: dict[str, set[int]] = {}
    repeated = np.zeros(len(images), dtype=bool)
    for i, (image, digest) in enumerate(zip(images, digests, strict=True)):
        repeated[i] = digest in labels
        labels.setdefault(digest, set()).add(image.label)
    contradictory = np.array([len(labels[digest]) > 1 for digest in digests], dtype=bool)
    return repeated & ~contradictory, contradictory
