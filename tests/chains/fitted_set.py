"""The images that shipped weights record, where the edition that they record is at hand."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from d2f.data.dataset import Dataset, load_dataset
from d2f.evaluate.out_of_fold import prefixes
from d2f.files import file_sha256

needs_data = pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")


@cache
def train_set() -> Dataset:
    """Return all of train."""
    return load_dataset(Path(os.environ["D2F_DATA"]) / "train")


@cache
def digest_of_path(path: str) -> str:
    return file_sha256(path)


def digests(images: Dataset) -> NDArray[np.uint64]:
    """Return what weights files hold of images, in the set's order."""
    return prefixes(digest_of_path(image.path) for image in images)


def need_edition(recorded: NDArray[np.uint64]) -> None:
    """Skip where images that weights record are not all in train: another edition has nothing to compare with."""
    if not np.isin(recorded, digests(train_set())).all():
        pytest.skip("the images that the weights record are of another edition than that in D2F_DATA")
