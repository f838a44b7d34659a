"""A set's digest: which files, with which labels, in any order and under any name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from d2f.data.dataset import Dataset


def digest_of(pairs: Iterable[tuple[str, int]]) -> str:
    """Return ``sha256:…`` over the sorted lines ``<sha256 of the file> <label>``."""
    lines = sorted(f"{sha256} {int(label)}\n" for sha256, label in pairs)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def digest(dataset: Dataset) -> str:
    """Return `digest_of` a set's files, each read once.

    Raises
    ------
    OSError
        Where a file cannot be read.
    """
    return digest_of((file_sha256(image.path), image.label) for image in dataset)


def file_sha256(path: str) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
