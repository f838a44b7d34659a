"""A column's value of a labelled image, whether `Labelled` has an attribute for it or the manifest alone knows it."""

from __future__ import annotations

from collections.abc import Iterable

from d2f.data.dataset import Labelled

KNOWN = ("label", "generator", "source", "collection", "group")
"""Columns of a manifest that are attributes of `Labelled`."""


def column_value(image: Labelled, column: str) -> str:
    """Return an image's value in a column as text; empty where the image has none.

    `label` is ``0`` or ``1``.
    """
    return str(getattr(image, column)) if column in KNOWN else image.more.get(column, "")


def columns_of(images: Iterable[Labelled]) -> tuple[str, ...]:
    """Return the columns that images have: `KNOWN`, then those that any image has beside them, sorted."""
    return (*KNOWN, *sorted({column for image in images for column in image.more}))
