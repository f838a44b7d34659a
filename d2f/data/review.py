"""Copies of one picture that stand where they should not: under both labels, or in two parts of a split."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Floats, ImageFile
from d2f.data.dataset import SPLITS, Dataset, Labelled, labelled_path, write_manifest
from d2f.data.facts import Inspection
from d2f.data.groups import Duplicates, duplicates, with_groups
from d2f.data.protocol import FITTING_QUALITIES, fitting, whole
from d2f.data.shortcuts import STATED, fit_logistic, original_facts
from d2f.data.split import folds
from d2f.data.weights import label_weights
from d2f.images.read import ImageError, read_image


@dataclass(frozen=True, slots=True)
class Doubt:
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
            rows.append(trainable.features(whole(picture).pixels))
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


SIDE = 256
"""Longest side of a thumbnail, in pixels."""

COLUMNS = ("path", "label", "disagreement", "probability", "score", "generator", "source", "collection", "sha256")
WORDS = ("real", "generated")
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Labels to look at again</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 1.5rem; }
figure { margin: 0; } img { max-width: 100%; } figcaption { overflow-wrap: anywhere; }
</style></head><body>
<h1>Labels to look at again</h1>
"""


def write_gallery(folder: Path, doubts: Sequence[Doubt]) -> None:
    """Write ``index.html``, ``review.csv`` and ``thumbnails/`` for images that were read before.

    The table has an empty last column, ``reviewed_label``, to be filled in by whoever looks.
    """
    try:
        (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
        for doubt in doubts:
            _write_thumbnail(folder / "thumbnails" / thumbnail_name(doubt), doubt)
        (folder / "index.html").write_text("\n".join(_page(doubts)), "utf-8")
        with (folder / "review.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, "reviewed_label"])
            writer.writerows([*_row(doubt), ""] for doubt in doubts)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be written to: {error.strerror or error}") from error


def _write_thumbnail(path: Path, doubt: Doubt) -> None:
    picture = Image.fromarray(np.asarray(read_image(doubt.image.path).pixels))
    picture.thumbnail((SIDE, SIDE))
    picture.save(path, "JPEG", quality=85)


def _page(doubts: Sequence[Doubt]) -> Iterator[str]:
    yield f"{_HEAD}<p>{len(doubts)} images, those first whose label the models disagree with most. A model that"
    yield "never saw an image, nor anything of its collection, gave the probability that it is generated.</p>\n<main>"
    for doubt in doubts:
        image = doubt.image
        facts = [f"labelled <b>{WORDS[image.label]}</b>, generated with probability {doubt.probability:.3f}"]
        facts += [escape(value) for value in (image.generator, image.collection, image.path) if value]
        source = f"thumbnails/{thumbnail_name(doubt)}"
        caption = "<br>".join(facts)
        yield f'<figure><img src="{source}" alt="" loading="lazy"><figcaption>{caption}</figcaption></figure>'
    yield "</main></body></html>\n"


def _row(doubt: Doubt) -> list[object]:
    image = doubt.image
    numbers = [round(value, 6) for value in (doubt.disagreement, doubt.probability, doubt.score)]
    names = (image.generator, image.source, image.collection, doubt.sha256)
    return [image.path, WORDS[image.label], *numbers, *names]


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
                made = _windowed(image, window, seed)
            except ImageError as error:
                problems += error.problems
            else:
                small[image.label] += made is None
                if made is not None:
                    written.append(_written(folder, image, made, original_facts(image, seen.facts[i])))
        if tick is not None:
            tick()
    if not written:
        raise D2FError.of("D2F601", f"no image is {window} pixels wide and high", "ask for a smaller --window")
    new = Dataset(tuple(written), str(folder))
    write_manifest(folder / "manifest.csv", new)
    counts = int(repeated.sum()), int(contradictory.sum())
    return Repaired(new, (small[0], small[1]), *counts, (*seen.problems, *problems))


def _windowed(image: Labelled, window: int, seed: int) -> ImageFile | None:
    picture = read_image(image.path)
    if min(picture.width, picture.height) < window:
        return None
    return fitting(picture, seed, (window, window), FITTING_QUALITIES)


def _written(folder: Path, image: Labelled, made: ImageFile, original: dict[str, str]) -> Labelled:
    path = folder / labelled_path(image, f"{made.sha256[:24]}.jpg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.data)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{path}' cannot be written: {error.strerror}") from error
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


PART_COLUMNS = ("part", "split", "fold")
"""Columns of a manifest that say which part an image is in."""


@dataclass(frozen=True)
class Twins:
    """What duplicates do to a set."""

    exact: int
    near: int
    across_labels: tuple[tuple[str, str, str], ...]
    across_parts: tuple[tuple[str, str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "exact": self.exact,
            "near": self.near,
            "across_labels": [list(pair) for pair in self.across_labels],
            "across_parts": [list(pair) for pair in self.across_parts],
        }


def twins(images: Dataset, found: Duplicates) -> Twins:
    """Say of a set's duplicates which stand under both labels and which in two parts."""
    labels = [str(image.label) for image in images]
    parts = [part_of(image, images.root) for image in images]
    return Twins(len(found.exact), len(found.near), _across(images, found, labels), _across(images, found, parts))


def part_of(image: Labelled, root: str) -> str:
    """Return the part of a split that an image is in, by a manifest's column or a folder's name; or nothing."""
    for column in PART_COLUMNS:
        if image.more.get(column):
            return image.more[column]
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    below = Path(os.path.relpath(image.path, folder or ".")).parts[:-1]
    return next((name.lower() for name in below if name.lower() in SPLITS), "")


def _across(images: Dataset, found: Duplicates, names: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    pairs: tuple[tuple[NDArray[np.int64], str], ...] = ((found.exact, "exact"), (found.near, "near"))
    return tuple(
        (images[i].path, images[j].path, kind)
        for of_kind, kind in pairs
        for i, j in of_kind
        if names[i] and names[j] and names[i] != names[j]
    )
