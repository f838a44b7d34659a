"""Labelled images: a folder or a manifest read as a `Dataset` (`load_dataset`), limited, and written."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Place, Problem
from d2f.api.inputs import Labels
from d2f.files import explained, is_absent, other_spelling, write_whole
from d2f.images.files import TABLES, read_table, require_one_line
from d2f.images.walk import Listing, walk

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
    def label_counts(self) -> tuple[int, int]:
        """How many images are real, and how many generated."""
        generated = int(self.labels.sum())
        return len(self) - generated, generated

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
        real, generated = self.label_counts
        return f"{len(self)} images: {real} real, {generated} generated, {len(self.collections)} collections"


KNOWN = ("path", "label", "generator", "source", "collection", "group")
LABEL_WORDS = {
    **dict.fromkeys(("real", "0_real", "nature", "0"), REAL),
    **dict.fromkeys(("generated", "1_fake", "fake", "ai", "1"), GENERATED),
}
"""Every word for a label that is understood, in lower case; folder names are held to it too."""

LABEL_NAMES = ("real", "generated")
IGNORED = "ignore"
LAYOUTS = "d2f looks for real/** and generated/<generator>/**, 0_real and 1_fake, nature and ai, or a manifest.csv"


def load_dataset(path: str | Path, labels: Mapping[str, str] | None = None) -> Dataset:
    """Read a set of labelled images: a folder by its folders' names or its manifest, or a manifest itself.

    `labels` adds words for labels, such as ``{"human": "real"}``; ``ignore`` takes a word's meaning away.
    An image that is named twice counts once. Notes say what was assumed.

    Raises D2FError: D2F002, D2F601, D2F602 (unknown or contradictory labels), D2F605.
    """
    place, words = Path(path), _label_words(labels or {})
    if is_absent(place):
        raise D2FError.of("D2F002", f"there is no folder or manifest '{path}'")
    listed = (place / f"manifest{suffix}" for suffix in TABLES)
    manifest = next(filter(os.path.isfile, listed), None) if os.path.isdir(place) else place
    images, notes = read_manifest(manifest, words) if manifest else read_layout(place, words)
    if not images:
        raise D2FError.of("D2F601", f"no labelled image under '{path}'", *_seen_folders(place), LAYOUTS)
    images, repeated = _each_once(images)
    return Dataset(images, str(path), (*notes, *repeated, *_without_collection(images)))


def _label_words(more: Mapping[str, str]) -> dict[str, int]:
    words = dict(LABEL_WORDS)
    for word, label in more.items():
        if label == IGNORED:
            words.pop(word.lower(), None)
        elif label in LABEL_NAMES:
            words[word.lower()] = LABEL_NAMES.index(label)
        else:
            note = f"--labels takes WORD=real, WORD=generated or WORD={IGNORED}"
            raise D2FError.of("D2F001", f"'{word}' cannot mean '{label}'", note)
    return words


def _seen_folders(place: Path) -> Iterator[str]:
    if place.is_dir():
        names = sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if names:
            more = f" and {len(names) - 8} others" if len(names) > 8 else ""
            listed = ", ".join(f"'{name}'" for name in names[:8])
            yield f"it holds the folders {listed}{more}; say what they mean: --labels FOLDER=real,FOLDER=generated"


def _each_once(images: Sequence[Labelled]) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Leave out images that an earlier one names by any spelling or link; contradictory labels are an error."""
    first: dict[str, Labelled] = {}
    repeated: list[Labelled] = []
    problems: list[Problem] = []
    for image in images:
        other = first.setdefault(os.path.realpath(image.path), image)
        if other is image:
            continue
        repeated.append(image)
        if other.label != image.label:
            where = f"'{image.path}'" + ("" if image.path == other.path else f" (also '{other.path}')")
            problems.append(Problem("D2F602", f"{where} is labelled both real and generated"))
    if problems:
        raise D2FError(problems)
    if not repeated:
        return tuple(images), ()
    what = f"{len(repeated)} images are named more than once, such as '{repeated[0].path}': each counts once"
    return tuple(first.values()), (what,)


def _without_collection(images: Sequence[Labelled]) -> Iterator[str]:
    alone = sum(not image.collection for image in images)
    if alone:
        yield (
            f"{alone} of {len(images)} images name no collection: each counts as independent of all others "
            "(a manifest.csv with a column `collection` says who gathered what)"
        )


def read_manifest(path: Path, words: Mapping[str, int] = LABEL_WORDS) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a manifest, and notes on it.

    Columns ``path`` (relative to the manifest's folder, or absolute) and ``label`` (a word of `LABEL_WORDS`)
    are required; ``generator``, ``source``, ``collection`` and ``group`` may be missing or empty; all
    others are stored in `Labelled.more`. A missing collection is the image's own.
    """
    rows = list(read_table(str(path), KNOWN[:2]))
    problems = [problem for line, row in rows for problem in _row_problems(path, line, row, words)]
    if problems:
        raise D2FError(problems)
    digits = sorted({row["label"] for _, row in rows} & {"0", "1"})
    notes = (f"labels {' and '.join(digits)} are read as 0 real, 1 generated",) if digits else ()
    images = []
    for _, row in rows:
        place, label = os.path.join(path.parent, row["path"]), words[row["label"].lower()]
        generator, source, collection, group = (row.get(column, "") for column in KNOWN[2:])
        more = MappingProxyType({column: value for column, value in row.items() if column not in KNOWN})
        images.append(Labelled(place, label, generator, source, collection, group, more))
    return tuple(images), notes


def _row_problems(manifest: Path, line: int, row: Mapping[str, str], words: Mapping[str, int]) -> Iterable[Problem]:
    place = Place(str(manifest), line, 1 if line else 0)
    if row["label"].lower() not in words:
        what = f"unknown label '{row['label']}'" if row["label"] else "no label"
        notes = ("write `real` or `generated`, or give its meaning: --labels WORD=real,…",)
        yield Problem("D2F602", f"{what} for '{row['path']}'", place, notes=notes)
    require_one_line(os.path.join(manifest.parent, row["path"]), str(manifest), line)
    if not row["path"]:
        yield Problem("D2F605", "a row has no path", place)
    elif is_absent(found := os.path.join(manifest.parent, row["path"])) or os.path.isdir(found):
        hint = other_spelling(found)
        yield Problem("D2F002", f"there is no file '{row['path']}'", place, notes=(hint,) if hint else ())


def write_manifest(path: Path, dataset: Dataset, more: Mapping[str, Sequence[object]] | None = None) -> None:
    """Write a set as CSV; paths are relative to the manifest's folder."""
    added = dict(more or {})
    kept = [column for column in dict.fromkeys(key for image in dataset for key in image.more) if column not in added]
    rows: list[Sequence[object]] = [(*KNOWN, *kept, *added)]
    for i, image in enumerate(dataset):
        known = (LABEL_NAMES[image.label], image.generator, image.source, image.collection, image.group)
        values = [image.more.get(column, "") for column in kept] + [column[i] for column in added.values()]
        rows.append([_relative(image.path, path.parent), *known, *values])
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, csv_text(rows))


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV, lines ending in a line feed."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _relative(path: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)


SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test"))


def read_layout(folder: Path, words: Mapping[str, int] = LABEL_WORDS) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a folder's labelled images in the order of `d2f.images.files.walk`, and notes on what was understood."""
    images: list[Labelled] = []
    unlabelled: list[str] = []
    unread: list[str] = []
    by_folder: Counter[tuple[str, int]] = Counter()
    conflicts: dict[str, str] = {}
    listing = Listing()
    for path in walk(str(folder), listing):
        parts = Path(path).relative_to(folder).parts
        if os.path.isdir(path):
            unread.append(path)
            continue
        found = [part for part in parts[:-1] if part.lower() in words and not part.isdigit()]
        if not found:
            unlabelled.append("/".join(parts))
        elif len({words[part.lower()] for part in found}) > 1:
            conflicts.setdefault("/".join(parts[:-1]), " and ".join(f"'{part}'" for part in found))
        else:
            at = parts.index(found[0])
            by_folder["/".join(parts[: at + 1]), words[found[0].lower()]] += 1
            images.append(_labelled_by_folder(path, parts, at, words[found[0].lower()]))
    if conflicts:
        where, named = next(iter(conflicts.items()))
        more = f" (so do those of {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        what = f"the folders {named} of '{where}' name opposite labels{more}"
        raise D2FError.of("D2F602", what, f"say which word is no label: --labels WORD={IGNORED}, or rename the folders")
    return tuple(images), (*_layout_notes(by_folder), *_left_out(unlabelled, unread), *listing.lines())


def _layout_notes(by_folder: Counter[tuple[str, int]]) -> Iterator[str]:
    """Say which folders gave which label, but where they are `real` and `generated` alone."""
    if {folder for folder, _ in by_folder} - set(LABEL_NAMES):
        listed = [f"'{folder}' {LABEL_NAMES[label]} ({count})" for (folder, label), count in sorted(by_folder.items())]
        more = f", and {len(listed) - 12} others" if len(listed) > 12 else ""
        yield f"labels by folder: {', '.join(listed[:12])}{more}"


def _left_out(unlabelled: Sequence[str], unread: Sequence[str]) -> Iterator[str]:
    if unlabelled:
        yield f"{len(unlabelled)} images lie under no folder that names a label, such as {unlabelled[0]}"
    if unread:
        yield f"{len(unread)} folders cannot be listed, such as {unread[0]}: their images are left out"


def _labelled_by_folder(path: str, parts: Sequence[str], at: int, label: int) -> Labelled:
    outer = next((part for part in parts[:at] if part.lower() not in SPLITS), "")
    # Below the label's folder: the generator of what is generated, and then the source.
    named = [*parts[at + 1 : -1]] if label == GENERATED else ["", *parts[at + 1 : -1]]
    generator, source = (named[place] if len(named) > place else outer for place in (0, 1))
    return Labelled(path, label, generator, source or generator, outer or source)


UNNAMED = "unnamed"


def labelled_path(image: Labelled, name: str) -> PurePath:
    """Return ``real/SOURCE/name`` or ``generated/GENERATOR/SOURCE/name``, as `d2f.data.dataset` reads them.

    Names are such that every file system takes them and none climbs out of the folder.

    >>> labelled_path(Labelled("a.png", 1, "FLUX.1 [dev]", "../web"), "7.png").as_posix()
    'generated/FLUX.1 _dev_/_web/7.png'
    """
    above = ["generated", image.generator or UNNAMED] if image.label == GENERATED else ["real"]
    return PurePath(*map(_safe_name, [*above, image.source or UNNAMED, name]))


def _safe_name(name: str) -> str:
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
        order = np.argsort(_evenly_placed([dataset[i].collection for i in members], random), kind="stable")
        places[members[order]] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
    return dataset.select(np.argsort(places, kind="stable")[:count])


def _evenly_placed(names: list[str], random: np.random.Generator) -> NDArray[np.float64]:
    """A place in [0, 1) for each image, even within each name."""
    places = np.empty(len(names))
    of_name: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        of_name.setdefault(name, []).append(i)
    for name in sorted(of_name):
        members = random.permutation(of_name[name])
        places[members] = (np.arange(len(members)) + random.random()) / len(members)
    return places


def column_value(image: Labelled, column: str) -> str:
    """Return an image's value in a column as text; empty where the image has none.

    `label` is ``0`` or ``1``.
    """
    return str(getattr(image, column)) if column in KNOWN[1:] else image.more.get(column, "")


def columns_of(images: Iterable[Labelled]) -> tuple[str, ...]:
    """Return the columns that images have: the attributes, then those that any image has beside them, sorted."""
    return (*KNOWN[1:], *sorted({column for image in images for column in image.more}))
