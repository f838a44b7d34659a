"""What the checks measure: on a labelled set, on edited copies of some of its images, on drawn graphics; resumable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from d2f_preconditions import d2f_preconditions
from numpy.typing import NDArray

from d2f import ImageFile
from d2f.data.dataset import load_dataset
from d2f.data.protocol import for_judging
from d2f.engine.spec import parse_spec
from d2f.evaluate.attacks import CORE
from d2f.images.read import read_image
from d2f.plugins.catalog import Catalog
from preconditions.graphics import KINDS, drawn
from preconditions.rescans import RESCANS

Row = dict[str, Any]

EVERYDAY = {
    "grey, JPEG 90": "greyscale+jpeg:90",
    "grey, WebP 80": "greyscale+webp:80",
    "sepia, JPEG 85": "sepia+jpeg:85",
    "scan, grey, tilted": "scan+jpeg:90",
    "scan in colour, tilted": "scan:colour=true+jpeg:90",
    "scan in colour, straight": "scan:tilt=0,colour=true+jpeg:90",
    "caption bars over it, JPEG 75": "caption+jpeg:75",
    "caption bars beside it, JPEG 75": "caption:outside+jpeg:75",
    "white border of 8 %": "frame+jpeg:90",
    "black border of 3 %": "frame:0.03,colour=[0,0,0]+jpeg:85",
    "screenshot": "screenshot+jpeg:85",
    "screenshot, dark, lossless": "screenshot:dark=true",
    "enlarged 4 times": "enlarge:4+jpeg:90",
    "enlarged 3 times": "enlarge:3+jpeg:90",
    "enlarged 2 times": "enlarge:2+jpeg:90",
    "thumbnail of 160": "thumbnail",
    "messenger": "messenger",
    "JPEG 30": "jpeg:30",
    "JPEG 10": "jpeg:10",
    "cropped off the grid": "shift:3",
    "camera again": "camera",
    "resharpened": "sharpen",
}
"""Everyday edits and what they are in one word; of what `preconditions.rescans` makes, the name is enough."""
EVERYDAY |= dict.fromkeys(RESCANS, "")


def measured(image: ImageFile) -> Row:
    """Return every figure of every check, and which checks refuse the image by their defaults."""
    row: Row = {"refused": []}
    for stage in d2f_preconditions():
        check: Any = stage(stage.Options())
        row.update({f"{stage.name}.{name}": float(value) for name, value in check.measure(image).items()})
        if check.check(image) is not None:
            row["refused"].append(stage.name)
    return row


def as_image(pixels: NDArray[np.uint8], like: ImageFile | None = None) -> ImageFile:
    """Return pixels as an image; of no file."""
    sha256 = like.sha256 if like else hashlib.sha256(pixels.tobytes()).hexdigest()
    return ImageFile("", b"", sha256, "PNG", pixels.shape[1], pixels.shape[0], pixels)


def measure_set(root: str, target: Path, variants: Mapping[str, str], edited: int, found: int, whole: bool) -> None:
    """Write a row for each of `found` images a label, and for each variant of `edited` images a label.

    Parameters
    ----------
    root : str
        The set.
    target : Path
        JSON lines; rows that it holds are not measured again.
    variants : mapping
        Attacks by name; ``""`` as an attack is the image as it is.
    edited : int
        Images a label that have variants, drawn by their names' digests.
    found : int
        Images a label that are measured as found, drawn in the same order.
    whole : bool
        Whether variants begin with the protocol `whole`.
    """
    images, catalog = load_dataset(root).images, Catalog.discover()
    order = sorted(images, key=lambda image: hashlib.sha256(Path(image.path).name.encode()).hexdigest())
    by_label = [[one for one in order if one.label == label] for label in (0, 1)]
    plain, picked = ({id(one) for some in by_label for one in some[:count]} for count in (found, edited))
    steps = {name: parse_spec(spec, catalog) if spec else () for name, spec in variants.items()}
    for step in (step for some in steps.values() for step in some):
        getattr(step.stage, "load", lambda: None)()
    standardise = for_judging("whole")

    def rows(seen: set[tuple[str, str]]) -> Iterator[Row]:
        for image in order:
            path = str(Path(image.path).relative_to(root)) if Path(image.path).is_relative_to(root) else image.path
            wanted = ["as found"] * (id(image) in plain) + list(steps) * (id(image) in picked)
            wanted = [name for name in wanted if (path, name) not in seen]
            if not wanted:
                continue
            file = read_image(image.path)
            for name in wanted:
                given = standardise(file) if whole and name != "as found" else file
                pixels = given.pixels
                if name in RESCANS:
                    pixels = RESCANS[name](pixels, given.seed)
                for step in steps.get(name, ()):
                    pixels = step.stage.apply(pixels, given.seed)
                head = {"path": path, "variant": name, "label": image.label, "collection": image.collection or path}
                yield {**head, **measured(as_image(pixels, given))}

    _append(target, rows)


def measure_graphics(target: Path, seeds: Sequence[int], count: int) -> None:
    """Write a row for each of `count` graphics of every kind and seed."""

    def rows(seen: set[tuple[str, str]]) -> Iterator[Row]:
        for seed in seeds:
            for kind in KINDS:
                for at in range(count):
                    path = f"{seed}/{kind}/{at}"
                    if (path, "as found") not in seen:
                        head = {"path": path, "variant": "as found", "seed": seed, "kind": kind}
                        yield {**head, **measured(as_image(drawn(kind, seed, at)))}

    _append(target, rows)


def _append(target: Path, rows: Any) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    seen = {(row["path"], row["variant"]) for row in read(target)}
    with target.open("a", encoding="utf-8") as file:
        for row in rows(seen):
            file.write(json.dumps(row) + "\n")
            file.flush()


def read(target: Path) -> list[Row]:
    """Return the rows of a file, none where there is none."""
    if not target.is_file():
        return []
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


CLEAN_AND_CORE = {"clean": "", **CORE}
"""The bench's core grid, and the images without an attack."""
