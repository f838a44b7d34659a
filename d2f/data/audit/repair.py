"""The remedy: both labels decoded, cropped and encoded alike, and listed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import ImageFile
from d2f.data.audit.properties import STATED, original_facts
from d2f.data.dataset import Dataset, Labelled
from d2f.data.duplicates import duplicates, with_groups
from d2f.data.inspection import Inspection
from d2f.data.labelled_path import labelled_path
from d2f.data.manifest_file import write_manifest
from d2f.data.matched import FITTING_QUALITIES, fitting
from d2f.reading.image import ImageError, read_image

WINDOW = 224


@dataclass(frozen=True)
class Repaired:
    """What was written, and what was not.

    Parameters
    ----------
    images : Dataset
        The new files.
    small : (int, int)
        Photographs and generated images smaller than the window, left out: their size would tell them.
    repeated : int
        Files left out because another holds the same bytes under the same label.
    contradictory : int
        Files left out because the same bytes stand under both labels.
    problems : tuple of Problem
        Of files that could not be read.
    """

    images: Dataset
    small: tuple[int, int]
    repeated: int
    contradictory: int
    problems: tuple[Problem, ...]


def repair(
    seen: Inspection, folder: Path, window: int = WINDOW, seed: int = 0, tick: Callable[[], None] | None = None
) -> Repaired:
    """Write every image anew by the matched protocol, `d2f.data.matched.fitting`, and a manifest.

    Each becomes a window at a random place, at times of the reduced picture, encoded to JPEG 4:2:0 at a quality drawn
    uniformly from 70 to 98: sizes, formats, qualities and metadata of both labels are alike. The manifest keeps
    collections, joins near-duplicates in groups, and states in ``original_*`` what each file was.

    Parameters
    ----------
    seen : Inspection
        With pictures decoded.
    folder : Path
        Empty, or not there yet.
    window : int
        Side of the windows, in pixels.
    seed : int
        Of places, scales and qualities.
    tick : callable, optional
        Called after each file.

    Raises
    ------
    D2FError
        D2F004 where a file cannot be written; D2F601 where no image is as large as the window.
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
