"""A column's value of a labelled image, whether `Labelled` has an attribute for it or the manifest alone knows it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Place, Problem
from d2f.api.inputs import Labels
from d2f.images.formats import SUFFIXES

REAL, GENERATED = 0, 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image on disk and what is known of it."""

    path: str
    label: int
    generator: str = ""
    source: str = ""
    collection: str = ""
    group: str = ""
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


@dataclass(frozen=True)
class Dataset(Sequence[Labelled]):
    """Labelled images in a fixed order."""

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
    """Read a set of labelled images."""

    place = Path(path)
    if not place.exists():
        raise D2FError.of("D2F002", f"there is no folder or manifest '{path}'")
    manifest = place if place.is_file() else _manifest_in(place, TABLE_SUFFIXES)
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


TABLE_SUFFIXES = (".csv", ".parquet")
KNOWN = ("path", "label", "generator", "source", "collection", "group")
WORDS = {
    **dict.fromkeys(("real", "0_real", "nature", "0"), REAL),
    **dict.fromkeys(("generated", "1_fake", "fake", "ai", "1"), GENERATED),
}
"""Every word for a label that is understood, in lower case; folder names are held to it too."""


def read_manifest(path: Path) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a manifest.

    Columns ``path`` (relative to the manifest's folder, or absolute) and ``label`` (a word of `WORDS`)
    are needed; ``generator``, ``source``, ``collection`` and ``group`` may be missing or empty; all
    others are kept in `Labelled.more`. A missing collection is the image's own.
    """
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _parquet_rows(path))
    problems = [problem for line, row in rows for problem in _problems(path, line, row)]
    if problems:
        raise D2FError(problems)
    return tuple(_labelled(path.parent, row) for _, row in rows), ()


def _labelled(folder: Path, row: Mapping[str, str]) -> Labelled:
    generator, source, collection, group = (row.get(column, "") for column in KNOWN[2:])
    more = {column: value for column, value in row.items() if column not in KNOWN}
    path = os.path.join(folder, row["path"])
    return Labelled(path, WORDS[row["label"].lower()], generator, source, collection, group, MappingProxyType(more))


def _problems(manifest: Path, line: int, row: Mapping[str, str]) -> Iterable[Problem]:
    place = Place(str(manifest), line, 1 if line else 0)
    if row["label"].lower() not in WORDS:
        said = f"unknown label '{row['label']}'" if row["label"] else "no label"
        yield Problem("D2F602", f"{said} for '{row['path']}'", place, notes=("write `real` or `generated`",))
    if not os.path.isfile(os.path.join(manifest.parent, row["path"])):
        yield Problem("D2F002", f"there is no file '{row['path']}'", place)


def _csv_rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            _need_columns(path, reader.fieldnames or ())
            for row in reader:
                if None in row:
                    raise _unreadable(path, "more fields than the header has", reader.line_num)
                yield reader.line_num, {column: value.strip() for column, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def _parquet_rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, str(error)) from error
    _need_columns(path, table.column_names)
    for row in table.to_pylist():
        yield 0, {column: "" if value is None else str(value).strip() for column, value in row.items()}


def _need_columns(path: Path, columns: Iterable[str]) -> None:
    missing = [column for column in KNOWN[:2] if column not in columns]
    if missing:
        raise _unreadable(path, f"no column {' and no column '.join(missing)}", 1)


def _unreadable(path: Path, why: str, line: int = 0) -> D2FError:
    note = "a manifest is a CSV or Parquet table with the columns path and label"
    place = Place(str(path), line, 1 if line else 0)
    return D2FError(Problem("D2F605", f"the manifest cannot be read: {why}", place, notes=(note,)))


LABELS = ("real", "generated")


def write_manifest(path: Path, dataset: Dataset, more: Mapping[str, Sequence[object]] | None = None) -> None:
    """Write a set as CSV; paths are relative to the manifest's folder."""
    added = dict(more or {})
    kept = [column for column in dict.fromkeys(key for image in dataset for key in image.more) if column not in added]
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*KNOWN, *kept, *added])
            for i, image in enumerate(dataset):
                known = (LABELS[image.label], image.generator, image.source, image.collection, image.group)
                values = [image.more.get(column, "") for column in kept] + [column[i] for column in added.values()]
                writer.writerow([_relative(image.path, path.parent), *known, *values])
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise D2FError.of("D2F004", f"'{path}' cannot be written: {error.strerror}") from error


def _relative(path: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)


SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test"))


def read_layout(folder: Path) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a folder's labelled images, sorted by path, and what was passed over."""
    found = [(parts, _labelled_of_layout(folder, parts)) for parts in _image_files(folder)]
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


def _labelled_of_layout(folder: Path, parts: Sequence[str]) -> Labelled | None:
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


UNNAMED = "unnamed"


def labelled_path(image: Labelled, name: str) -> PurePath:
    """Return ``real/SOURCE/name`` or ``generated/GENERATOR/SOURCE/name``, as `d2f.data.dataset` reads them.

    Names are such that every file system takes them and none climbs out of the folder.

    >>> labelled_path(Labelled("a.png", 1, "FLUX.1 [dev]", "../web"), "7.png").as_posix()
    'generated/FLUX.1 _dev_/_web/7.png'
    """
    above = ["generated", image.generator or UNNAMED] if image.label == GENERATED else ["real"]
    return PurePath(*map(_file_name, [*above, image.source or UNNAMED, name]))


def _file_name(name: str) -> str:
    safe = "".join(letter if letter.isalnum() or letter in " ._-+()" else "_" for letter in name).strip(" .")
    return safe[:100] or UNNAMED


def limited(dataset: Dataset, count: int, seed: int = 0) -> Dataset:
    """Return `count` images in the set's order; each label keeps its share, and each collection nearly.

    Within a collection's m images of a label, in seeded order, the j-th stands at (j + u) / m, u drawn once from
    [0, 1); the images of a label are ranked by that, and those of both labels by rank over their number.
    """
    if count >= len(dataset):
        return dataset
    random = np.random.default_rng(seed)
    places = np.empty(len(dataset))
    for label in (0, 1):
        members = np.flatnonzero(dataset.labels == label)
        order = np.argsort(_spread([dataset[i].collection for i in members], random), kind="stable")
        places[members[order]] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
    return dataset.select(np.argsort(places, kind="stable")[:count])


def _spread(names: list[str], random: np.random.Generator) -> NDArray[np.float64]:
    """A place in [0, 1) for each image, even within each name."""
    places = np.empty(len(names))
    of_name: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        of_name.setdefault(name, []).append(i)
    for name in sorted(of_name):
        members = random.permutation(of_name[name])
        places[members] = (np.arange(len(members)) + random.random()) / len(members)
    return places


KNOWN_of_columns = ("label", "generator", "source", "collection", "group")
"""Columns of a manifest that are attributes of `Labelled`."""


def column_value(image: Labelled, column: str) -> str:
    """Return an image's value in a column as text; empty where the image has none.

    `label` is ``0`` or ``1``.
    """
    return str(getattr(image, column)) if column in KNOWN_of_columns else image.more.get(column, "")


def columns_of(images: Iterable[Labelled]) -> tuple[str, ...]:
    """Return the columns that images have: `KNOWN`, then those that any image has beside them, sorted."""
    return (*KNOWN_of_columns, *sorted({column for image in images for column in image.more}))
