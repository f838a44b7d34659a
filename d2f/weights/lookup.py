"""A stage's option `weights`: the name of a set that its plugin knows, or a path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from d2f.api.errors import D2FError
from d2f.api.nearest import did_you_mean
from d2f.api.weights import Weights
from d2f.weights.cache import SUFFIXES
from d2f.weights.sources import path_bytes


def resolve(option: str, records: Sequence[Weights]) -> Weights | Path:
    """Return the record, or the path, that a stage's option `weights` names.

    Parameters
    ----------
    option : str
        ``default`` is the record whose name is, or ends with, ``/default``; so is the whole name. Anything
        else that ends with .safetensors or .npz, or holds a path separator, is a path.
    records : sequence of Weights
        Those of the stage.

    Raises
    ------
    D2FError
        D2F501: neither.
    """
    for record in records:
        if option in (record.name, record.name.rpartition("/")[2]):
            return record
    if option.endswith(SUFFIXES) or os.sep in option or "/" in option:
        return Path(option).expanduser()
    known = [record.name.rpartition("/")[2] for record in records]
    notes = did_you_mean(option, known) or (f"known: {', '.join(known)}, or a path",)
    raise D2FError.of("D2F501", f"unknown weights '{option}'", *notes)


def as_record(found: Weights | Path) -> Weights:
    """Return what `resolve` found as a record; the digest of a path's file is computed now.

    Raises
    ------
    WeightsMissing
        D2F502: there is no file at the path.
    """
    if isinstance(found, Weights):
        return found
    sha256 = hashlib.sha256(path_bytes(found)).hexdigest()
    return Weights(str(found), sha256, "unknown", (str(found),), "a file of the user's own")
