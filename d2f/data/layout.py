"""Labels from folder names.

Understood below the folder that the user names, in any case of letters:

    real/[SOURCE/]**                         generated/[GENERATOR/[SOURCE/]]**
    [COLLECTION/]**/0_real/**                [COLLECTION/]**/1_fake/**
    [COLLECTION/]**/nature/**                [COLLECTION/]**/ai/**

The first folder with a label's name decides. A folder above it gathers both labels, so it names the
collection (``train``, ``val`` and ``test`` do not count); else the source does; else the image stands
alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from d2f.data.dataset import REAL, Labelled
from d2f.data.manifest import WORDS
from d2f.reading.formats import SUFFIXES

SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test"))


def read_layout(folder: Path) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a folder's labelled images, sorted by path, and what was passed over.

    Returns
    -------
    images : tuple of Labelled
    notes : tuple of str
        How many images lie under no folder that names a label, where there are any.
    """
    found = [(parts, _labelled(folder, parts)) for parts in _image_files(folder)]
    images = tuple(image for _, image in found if image is not None)
    passed = [parts for parts, image in found if image is None]
    if not passed:
        return images, ()
    return images, (f"{len(passed)} images lie under no folder that names a label, such as {'/'.join(passed[0])}",)


def _image_files(folder: Path) -> Iterator[tuple[str, ...]]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        above = Path(here).relative_to(folder).parts
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                yield (*above, name)


def _labelled(folder: Path, parts: Sequence[str]) -> Labelled | None:
    at = next((i for i, part in enumerate(parts[:-1]) if part.lower() in WORDS and not part.isdigit()), None)
    if at is None:
        return None
    label = WORDS[parts[at].lower()]
    above = [part for part in parts[:at] if part.lower() not in SPLITS]
    below = parts[at + 1 : -1]
    generator, source = _names(label, above, below)
    collection = above[0] if above else source
    return Labelled(os.path.join(folder, *parts), label, generator, source or generator, collection)


def _names(label: int, above: Sequence[str], below: Sequence[str]) -> tuple[str, str]:
    if label == REAL:
        return "", below[0] if below else (above[0] if above else "")
    generator = below[0] if below else (above[0] if above else "")
    return generator, below[1] if len(below) > 1 else (above[0] if above else "")
