"""Shortcuts: properties of files, or of what a manifest says they were, that tell the label without the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts import FileFacts, Inspection
from d2f.data.groups import folds
from d2f.data.weights import NOUNS
from d2f.metrics import Interval, cluster_bootstrap
from d2f.metrics.calibration import fit_logistic, log_odds

Index = NDArray[np.int64]


def ordered_pairs(labels: Labels, values: Floats, fold: Index) -> Callable[[Index], float]:
    """Return a function of indices (m,), with repetition: the share of ordered pairs among them.

    A pair is a generated image and a photograph of one fold; it is ordered where the generated image's value is
    greater, and half of it where they tie. Scores of different folds come from different models: to compare them
    would measure the models' offsets. Without any pair the share is NaN.

    >>> share = ordered_pairs(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    >>> share(np.arange(4))
    1.0
    """
    distinct, at = np.unique(np.stack([fold.astype(np.float64), values], axis=1), axis=0, return_inverse=True)
    at, size = at.reshape(-1), len(distinct)
    first = np.searchsorted(distinct[:, 0], distinct[:, 0])
    generated = labels == 1

    def share(index: Index) -> float:
        chosen, made = at[index], generated[index]
        of_made = np.bincount(chosen[made], minlength=size)
        of_real = np.bincount(chosen[~made], minlength=size)
        above = np.cumsum(of_real) - of_real
        below = above - above[first]
        in_fold = np.bincount(first, of_real, minlength=size)[first]
        pairs = float(of_made @ in_fold)
        return float(of_made @ (below + of_real / 2)) / pairs if pairs else float("nan")

    return share


ORIGINAL = "original "
"""Stands before the name of a property that a manifest states of the file as it was found."""

STATED: Mapping[str, tuple[str, ...]] = {
    "format": ("original_format", "format"),
    "width": ("original_width", "width"),
    "height": ("original_height", "height"),
    "JPEG quality": ("original_jpeg_quality", "jpeg_quality"),
    "chroma subsampling": ("original_chroma", "chroma"),
    "metadata": ("original_metadata", "metadata"),
    "bytes": ("original_bytes", "bytes"),
}
"""Columns of a manifest in which such a statement is looked for; the first with a value counts."""


@dataclass(frozen=True)
class Property:
    """One thing that might tell the label."""

    name: str
    numbers: tuple[Floats, ...] = ()  # tuple of numpy.ndarray, each of shape (n,), float64
    words: tuple[NDArray[np.str_], ...] = ()  # tuple of numpy.ndarray, each of shape (n,), str

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which images have it, shape (n,): only JPEGs have a JPEG quality."""
        has = [~np.isnan(column) for column in self.numbers] + [column != "" for column in self.words]
        every: NDArray[np.bool_] = np.logical_and.reduce(has)
        return every

    def separates_as(self, other: Property) -> bool:
        """Whether another property separates the images just as this one does, whatever its words are."""
        numbers = zip(self.numbers, other.numbers, strict=True)
        words = zip(self.words, other.words, strict=True)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in numbers) and all(
            np.array_equal(_by_first_appearance(a), _by_first_appearance(b)) for a, b in words
        )

    def select(self, rows: NDArray[np.bool_]) -> Property:
        """Return the property of the images where a mask of shape (n,) holds."""
        numbers, words = (column[rows] for column in self.numbers), (column[rows] for column in self.words)
        return Property(self.name, tuple(numbers), tuple(words))


def file_properties(seen: Inspection) -> tuple[Property, ...]:
    """Return what the files themselves show: size, format, quality, chroma subsampling, metadata, bytes per pixel."""
    facts = seen.facts
    kinds = _strings("+".join(each.metadata) or "none" for each in facts)
    return (
        _size_property("size", [each.width for each in facts], [each.height for each in facts]),
        Property("format", words=(_strings(each.format for each in facts),)),
        Property("JPEG quality", (_floats_of(each.quality for each in facts),)),
        Property("chroma subsampling", words=(_strings(each.chroma for each in facts),)),
        Property("metadata", words=(kinds,)),
        Property("bytes per pixel", (_floats_of(each.bytes / max(1, each.width * each.height) for each in facts),)),
    )


def stated_properties(images: Dataset, columns: Sequence[str] = ()) -> tuple[Property, ...]:
    """Return what a manifest states of the files as they were first found, and any further columns of it."""
    found = list(_stated(images))
    for column in columns:
        found.append(Property(f"column {column}", words=(_strings(image.more.get(column, "") for image in images),)))
    return tuple(each for each in found if each.present.any())


def original_facts(image: Labelled, facts: FileFacts) -> dict[str, str]:
    """Return columns that keep what a file was before it was written anew; what was stated before stands."""
    now: dict[str, object] = {
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "JPEG quality": "" if facts.quality is None else facts.quality,
        "chroma subsampling": facts.chroma,
        "metadata": "+".join(facts.metadata) or "none",
        "bytes": facts.bytes,
    }
    return {columns[0]: _stated_value(image, name) or str(now[name]) for name, columns in STATED.items()}


def _by_first_appearance(column: NDArray[np.str_]) -> NDArray[np.int64]:
    """Number values by first appearance, shape (n,)."""
    _, first, at = np.unique(column, return_index=True, return_inverse=True)
    return first[at].astype(np.int64)


def _stated(images: Dataset) -> Iterator[Property]:
    said = {name: [_stated_value(image, name) for image in images] for name in STATED}
    width, height, size = (_parsed(said[name]) for name in ("width", "height", "bytes"))
    yield _size_property(f"{ORIGINAL}size", width, height)
    for name in ("format", "chroma subsampling", "metadata"):
        yield Property(f"{ORIGINAL}{name}", words=(_strings(said[name]),))
    yield Property(f"{ORIGINAL}JPEG quality", (_parsed(said["JPEG quality"]),))
    pixels = width * height
    yield Property(f"{ORIGINAL}bytes per pixel", (np.divide(size, pixels, where=pixels > 0, out=pixels * np.nan),))


def _stated_value(image: Labelled, name: str) -> str:
    return next((image.more[column] for column in STATED[name] if image.more.get(column)), "")


def _size_property(name: str, width: Sequence[float] | Floats, height: Sequence[float] | Floats) -> Property:
    wide, high = np.asarray(width, dtype=np.float64), np.asarray(height, dtype=np.float64)
    exact = _strings("" if np.isnan(w + h) else f"{w:.0f}x{h:.0f}" for w, h in zip(wide, high, strict=True))
    # Generators like whole multiples: 1024 = 16 * 64.
    multiple = _strings("" if np.isnan(w + h) else str(not (w % 64 or h % 64)) for w, h in zip(wide, high, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Property(name, (np.maximum(wide, high), wide * high, wide / high), (exact, multiple))


def _strings(values: Iterator[str] | Sequence[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)


def _floats_of(values: Iterator[float | int | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _parsed(texts: Sequence[str]) -> Floats:
    return np.array([_number_or_nan(text) for text in texts], dtype=np.float64)


def _number_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


BINS = 12
"""Bins of a number, of equal counts in what is fitted to."""

WORDS = 40
"""Most frequent values of a word that have a column; the others have none."""


def binned_rows(properties: Sequence[Property], known: NDArray[np.bool_]) -> Floats:
    """Return properties as zeros and ones, shape (n, d), in bins and values of the `known` rows (n,).

    A missing number is a bin of its own.
    """
    parts = []
    for column in (column for each in properties for column in each.numbers):
        edges = _edges(column[known])
        part = np.searchsorted(edges, np.nan_to_num(column, nan=-np.inf))[:, None] + 1 == np.arange(len(edges) + 2)
        part[np.isnan(column)] = np.arange(part.shape[1]) == 0
        parts.append(part)
    for texts in (column for each in properties for column in each.words):
        values, counts = np.unique(texts[known], return_counts=True)
        parts.append(texts[:, None] == values[np.argsort(-counts, kind="stable")][:WORDS])
    return np.concatenate(parts, axis=1).astype(np.float64)


def _edges(column: Floats) -> Floats:
    there = column[~np.isnan(column)]
    if not len(there):
        return np.empty(0)
    edges: Floats = np.unique(np.quantile(there, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    return edges


ALL = "all together"
DRAWS = 500


UNCLEAR = 0.75
"""An interval from 0.5 or below to this AUC leaves open whether a property tells anything."""


@dataclass(frozen=True)
class Shortcut:
    """How well one property tells the label; `only` names the label that alone has it."""

    name: str
    auc: Interval | None
    images: int
    reason: str = ""
    only: str = ""
    share: float = 0.0

    @property
    def strength(self) -> float:
        """The AUC where its interval lies above 0.5, else 0.5; of what one label alone has, as much as having it tells.

        Below 0.5, a rule that was learned on some collections is wrong on others: nothing that holds.
        """
        if self.only:
            return 0.5 + self.share / 2
        if self.auc is None or self.auc.low <= 0.5:
            return 0.5
        return max(0.5, self.auc.value)

    @property
    def unclear(self) -> bool:
        """Whether its interval holds both an AUC of nothing and one of much: too few images, or collections."""
        return self.auc is not None and self.auc.low <= 0.5 and self.auc.high >= UNCLEAR


@dataclass(frozen=True)
class ShortcutTrial:
    """The images on which properties are tried."""

    labels: Labels  # (n,)
    components: NDArray[np.int64]  # (n,), int64
    folds: int = 5
    seed: int = 0


def measure_shortcuts(properties: Sequence[Property], trial: ShortcutTrial) -> tuple[Shortcut, ...]:
    """Measure each property on the images that have it."""
    return tuple(_measured_shortcut(each.name, [each], each.present, trial) for each in properties)


def all_together(properties: Sequence[Property], trial: ShortcutTrial) -> Shortcut:
    """Measure all properties at once on all images."""
    return _measured_shortcut(ALL, properties, np.ones(len(trial.labels), dtype=bool), trial)


FEWEST = 5
"""Of a property that one label alone has, fewer images than this prove nothing."""


def _measured_shortcut(
    name: str, properties: Sequence[Property], present: NDArray[np.bool_], trial: ShortcutTrial
) -> Shortcut:
    count, labels, components = int(present.sum()), trial.labels[present], trial.components[present]
    if len(set(labels.tolist())) < 2:
        if not count:
            return Shortcut(name, None, 0, "no image has it")
        label = int(labels[0])
        only = NOUNS[label]
        if count < FEWEST or name == ALL:
            return Shortcut(name, None, count, f"only {only} have it")
        share = count / int((trial.labels == label).sum())
        return Shortcut(name, None, count, f"only {only} have it", only, share)
    try:
        fold = folds(components, labels, trial.folds, trial.seed)
    except D2FError as error:
        return Shortcut(name, None, count, error.problems[0].message)
    found = _property_scores([each.select(present) for each in properties], labels, fold)
    share_of = ordered_pairs(labels, found, fold)
    auc = cluster_bootstrap(share_of, components, labels, draws=DRAWS, seed=trial.seed)
    if np.isnan(auc.value):
        return Shortcut(name, None, count, "no fold holds both labels")
    return Shortcut(name, auc, count)


def _property_scores(properties: Sequence[Property], labels: Labels, fold: NDArray[np.int64]) -> Floats:
    found = np.zeros(len(labels))
    for number in np.unique(fold):
        held = fold == number
        if len(set(labels[~held].tolist())) < 2:
            continue
        rows = binned_rows(properties, ~held)
        found[held] = log_odds(fit_logistic(rows[~held], labels[~held]), rows[held])
    return found
