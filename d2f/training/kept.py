"""A feature table kept in a folder, so that a recipe that changes only the fit is refitted in seconds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from d2f.data.dataset import Dataset
from d2f.data.digest import digest_of, file_sha256
from d2f.training.balance import with_any
from d2f.training.recipe import Recipe, without_newer_keys
from d2f.training.table import Table

ONLY_FITTING: Any = {"balance": True, "emphasis": True, "folds": True, "copies": {"measured"}}
"""Keys of a recipe that the table does not depend on, as pydantic's `exclude` takes them."""


def file_digests(dataset: Dataset) -> tuple[str, ...]:
    """Return the sha256 of each image's file, in the set's order; each file is read once."""
    return tuple(file_sha256(image.path) for image in dataset)


def table_key(recipe: Recipe, trainable: Any, dataset: Dataset, digests: Sequence[str]) -> str:
    """Return a name that changes with everything that the table is made of, the features' own code included.

    `digests` are the set's `file_digests`. Which images are fitted to as measured only is the manifest's to say: the
    recipe and the images alone do not tell.
    """
    plain = recipe.model_dump(mode="json", by_alias=True, exclude=ONLY_FITTING)
    root = import_module(type(trainable).__module__.partition(".")[0])
    pairs = list(zip(digests, dataset.labels.tolist(), strict=True))
    parts = [json.dumps(without_newer_keys(plain), sort_keys=True), digest_of(pairs)]
    if measured_only := recipe.copies.measured_only:
        parts.append(digest_of(pairs[number] for number in np.flatnonzero(with_any(dataset, measured_only))))
    for folder in root.__path__ if hasattr(root, "__path__") else ():
        parts += [file.read_text(encoding="utf-8") for file in sorted(Path(folder).glob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_table(folder: Path, key: str, digests: Sequence[str]) -> Table | None:
    """Return the kept table in the order of a set's `file_digests`, which the key does not know; None without one."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        rows = {digest: row for row, digest in enumerate(held["digests"].tolist())}
        order = [rows[digest] for digest in digests]
        return Table(tuple(digests), held["training"][order], held["measuring"][order])


def keep_table(folder: Path, key: str, table: Table) -> str:
    """Keep a table, whole or not at all, and return what went wrong, empty if nothing: it only saves time."""
    part = folder / f"{key}.{os.getpid()}.part.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(part, digests=np.array(table.digests), training=table.training, measuring=table.measuring)
        part.replace(folder / f"{key}.npz")
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        return f"the features are not kept in '{folder}': {error.strerror}"
    return ""
