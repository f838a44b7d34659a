"""Manifests written: a row an image, as `d2f.data.manifest` reads them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.manifest import KNOWN

LABELS = ("real", "generated")


def write_manifest(path: Path, dataset: Dataset, more: Mapping[str, Sequence[object]] | None = None) -> None:
    """Write a set as CSV; paths are relative to the manifest's folder.

    Parameters
    ----------
    path : Path
        Replaced where it is there; whole or not at all.
    dataset : Dataset
        Its images' further columns (`Labelled.more`) are kept.
    more : mapping of str to sequence, optional
        Columns to add or replace, a value an image.

    Raises
    ------
    D2FError
        D2F004 where the file cannot be written.
    """
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
