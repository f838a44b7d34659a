"""What might give a label away, as columns: of the files as they are, and of what a manifest says they once were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts.file_facts import FileFacts
from d2f.data.inspection import Inspection

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
    """One thing that might tell the label.

    Parameters
    ----------
    name : str
    numbers : tuple of numpy.ndarray, each of shape (n,), float64
        NaN where an image has none.
    words : tuple of numpy.ndarray, each of shape (n,), str
        Empty where an image has none.
    """

    name: str
    numbers: tuple[Floats, ...] = ()
    words: tuple[NDArray[np.str_], ...] = ()

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which images have it, shape (n,): only JPEGs have a JPEG quality."""
        has = [~np.isnan(column) for column in self.numbers] + [column != "" for column in self.words]
        every: NDArray[np.bool_] = np.logical_and.reduce(has)
        return every

    def tells_the_same(self, other: Property) -> bool:
        """Whether another property parts the images just as this one does, whatever its words are."""
        numbers = zip(self.numbers, other.numbers, strict=True)
        words = zip(self.words, other.words, strict=True)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in numbers) and all(
            np.array_equal(_order(a), _order(b)) for a, b in words
        )

    def select(self, rows: NDArray[np.bool_]) -> Property:
        """Return the property of the images where a mask of shape (n,) holds."""
        numbers, words = (column[rows] for column in self.numbers), (column[rows] for column in self.words)
        return Property(self.name, tuple(numbers), tuple(words))


def file_properties(seen: Inspection) -> tuple[Property, ...]:
    """Return what the files themselves show: size, format, quality, chroma subsampling, metadata, bytes per pixel."""
    facts = seen.facts
    kinds = _words("+".join(each.metadata) or "none" for each in facts)
    return (
        _size("size", [each.width for each in facts], [each.height for each in facts]),
        Property("format", words=(_words(each.format for each in facts),)),
        Property("JPEG quality", (_numbers(each.quality for each in facts),)),
        Property("chroma subsampling", words=(_words(each.chroma for each in facts),)),
        Property("metadata", words=(kinds,)),
        Property("bytes per pixel", (_numbers(each.bytes_per_pixel for each in facts),)),
    )


def stated_properties(images: Dataset, columns: Sequence[str] = ()) -> tuple[Property, ...]:
    """Return what a manifest states of the files as they were first found, and any further columns of it.

    Parameters
    ----------
    images : Dataset
    columns : sequence of str
        Columns to be taken as words beside those of `STATED`.
    """
    found = list(_stated(images))
    for column in columns:
        found.append(Property(f"column {column}", words=(_words(image.more.get(column, "") for image in images),)))
    return tuple(each for each in found if each.there.any())


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
    return {columns[0]: _said(image, name) or str(now[name]) for name, columns in STATED.items()}


def _order(column: NDArray[np.str_]) -> NDArray[np.int64]:
    """Number values by first appearance, shape (n,)."""
    _, first, at = np.unique(column, return_index=True, return_inverse=True)
    return first[at].astype(np.int64)


def _stated(images: Dataset) -> Iterator[Property]:
    said = {name: [_said(image, name) for image in images] for name in STATED}
    width, height, size = (_parsed(said[name]) for name in ("width", "height", "bytes"))
    yield _size(f"{ORIGINAL}size", width, height)
    for name in ("format", "chroma subsampling", "metadata"):
        yield Property(f"{ORIGINAL}{name}", words=(_words(said[name]),))
    yield Property(f"{ORIGINAL}JPEG quality", (_parsed(said["JPEG quality"]),))
    pixels = width * height
    yield Property(f"{ORIGINAL}bytes per pixel", (np.divide(size, pixels, where=pixels > 0, out=pixels * np.nan),))


def _said(image: Labelled, name: str) -> str:
    return next((image.more[column] for column in STATED[name] if image.more.get(column)), "")


def _size(name: str, width: Sequence[float] | Floats, height: Sequence[float] | Floats) -> Property:
    wide, high = np.asarray(width, dtype=np.float64), np.asarray(height, dtype=np.float64)
    exact = _words("" if np.isnan(w + h) else f"{w:.0f}x{h:.0f}" for w, h in zip(wide, high, strict=True))
    # Generators like whole multiples: 1024 = 16 * 64.
    multiple = _words("" if np.isnan(w + h) else str(not (w % 64 or h % 64)) for w, h in zip(wide, high, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Property(name, (np.maximum(wide, high), wide * high, wide / high), (exact, multiple))


def _words(values: Iterator[str] | Sequence[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)


def _numbers(values: Iterator[float | int | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _parsed(texts: Sequence[str]) -> Floats:
    return np.array([_number(text) for text in texts], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
