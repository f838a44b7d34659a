"""A feature table kept in a folder, so that a recipe that changes only the fit is refitted in seconds."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from d2f.data.dataset import Dataset
from d2f.data.digest import digest, file_sha256
from d2f.training.balance import with_any
from d2f.training.recipe import Recipe
from d2f.training.table import Table

ONLY_FITTING: Any = {"balance": True, "emphasis": True, "folds": True, "copies": {"measured"}}
"""Keys of a recipe that the table does not depend on, as pydantic's `exclude` takes them."""


def table_key(recipe: Recipe, trainable: Any, dataset: Dataset) -> str:
    """Return a name that changes with everything that the table is made of, the features' own code included.

    Which images are fitted to as measured only is the manifest's to say: the recipe and the images alone do not tell.
    """
    plain = recipe.model_dump(mode="json", by_alias=True, exclude=ONLY_FITTING)
    for block, key in (("data", "leave_out"), ("copies", "measured_only")):
        if not plain[block][key]:  # tables are older than the key
            plain[block].pop(key)
    root = import_module(type(trainable).__module__.partition(".")[0])
    parts = [json.dumps(plain, sort_keys=True), digest(dataset)]
    if measured_only := recipe.copies.measured_only:
        parts.append(digest(dataset.select(with_any(dataset, measured_only))))
    for folder in root.__path__ if hasattr(root, "__path__") else ():
        parts += [file.read_text(encoding="utf-8") for file in sorted(Path(folder).glob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_table(folder: Path, key: str, dataset: Dataset) -> Table | None:
    """Return the kept table in the set's order, None where there is none; the key does not know the order."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        rows = {digest: row for row, digest in enumerate(held["digests"].tolist())}
        digests = tuple(file_sha256(image.path) for image in dataset)
        order = [rows[digest] for digest in digests]
        return Table(digests, held["training"][order], held["measuring"][order])


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
