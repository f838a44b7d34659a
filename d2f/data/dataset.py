"""A set of labelled images, read from a folder's layout or from a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from d2f.api.arrays import Labels
from d2f.api.errors import D2FError

REAL, GENERATED = 0, 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image on disk and what is known of it.

    Parameters
    ----------
    path : str
        The file, openable as it stands.
    label : {0, 1}
        0 a photograph, 1 generated.
    generator : str
        What made it; empty for a photograph or where nobody says.
    source : str
        Where it was found.
    collection : str
        Everything that one pair of hands gathered, of either label; empty: the image stands alone.
    group : str
        Near-duplicates share it, in whatever collection they are; empty: it has none.
    more : mapping of str to str
        Further columns of the manifest.
    """

    path: str
    label: int
    generator: str = ""
    source: str = ""
    collection: str = ""
    group: str = ""
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


@dataclass(frozen=True)
class Dataset(Sequence[Labelled]):
    """Labelled images in a fixed order.

    Parameters
    ----------
    images : tuple of Labelled
        Sorted by path where they came from a folder, in the manifest's order otherwise.
    root : str
        The folder or manifest that they were read from, as the user wrote it.
    notes : tuple of str
        What was assumed on reading; commands print it.
    """

    images: tuple[Labelled, ...]
    root: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Labelled]:
        return iter(self.images)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index]

    @cached_property
    def labels(self) -> Labels:
        """Labels, shape (n,), int8: 0 real, 1 generated."""
        return np.array([image.label for image in self.images], dtype=np.int8)

    @property
    def collections(self) -> tuple[str, ...]:
        """Names of the collections, sorted; the empty name is left out."""
        return tuple(sorted({image.collection for image in self.images} - {""}))

    def select(self, keep: Iterable[int] | np.ndarray) -> Dataset:
        """Return the images at these indices, or where this boolean mask holds, in the set's order."""
        indices = np.asarray(keep if isinstance(keep, np.ndarray) else list(keep))
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        return Dataset(tuple(self.images[i] for i in np.sort(indices.astype(np.int64))), self.root, self.notes)

    def describe(self) -> str:
        """One line for a person: how many of what."""
        counts = Counter(image.label for image in self.images)
        return (
            f"{len(self)} images: {counts[REAL]} real, {counts[GENERATED]} generated, "
            f"{len(self.collections)} collections"
        )


def load_dataset(path: str | Path) -> Dataset:
    """Read a set of labelled images.

    Parameters
    ----------
    path : str or Path
        A manifest (``.csv`` or ``.parquet``), a folder that holds ``manifest.csv`` or
        ``manifest.parquet``, or a folder laid out as `d2f.data.layout` says.

    Returns
    -------
    Dataset

    Raises
    ------
    D2FError
        D2F002 where `path`, or a file that a manifest names, is not there; D2F601 no labelled image;
        D2F602 a label is missing or unknown; D2F605 a manifest that cannot be read.
    """
    from d2f.data.layout import read_layout
    from d2f.data.manifest import SUFFIXES, read_manifest

    place = Path(path)
    if not place.exists():
        raise D2FError.of("D2F002", f"there is no folder or manifest '{path}'")
    manifest = place if place.is_file() else _manifest_in(place, SUFFIXES)
    images, notes = read_manifest(manifest) if manifest else read_layout(place)
    if not images:
        raise D2FError.of(
            "D2F601",
            f"no labelled image under '{path}'",
            "d2f looks for real/** and generated/<generator>/**, 0_real and 1_fake, nature and ai, or a manifest.csv",
        )
    return Dataset(images, str(path), (*notes, *_lonely(images)))


def _manifest_in(folder: Path, suffixes: Sequence[str]) -> Path | None:
    found = (folder / f"manifest{suffix}" for suffix in suffixes)
    return next((path for path in found if path.is_file()), None)


def _lonely(images: Sequence[Labelled]) -> Iterator[str]:
    alone = sum(not image.collection for image in images)
    if alone:
        yield (
            f"{alone} of {len(images)} images name no collection: each counts as independent of all others "
            "(a manifest.csv with a column `collection` says who gathered what)"
        )
