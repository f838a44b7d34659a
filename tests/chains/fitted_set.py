"""The images that shipped weights and chains record, where the edition that they record is at hand."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from d2f.chain.chain import Chain
from d2f.data.dataset import Dataset, column_value, load_dataset
from d2f.data.split import shipped_split
from d2f.engine.findings import load_stages
from d2f.evaluate.out_of_fold import prefixes, trained_on
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


@cache
def fitted_set(part: str) -> Dataset:
    """Return `all` of train or a part of the shipped split, without the older small crops."""
    images = train_set()
    chosen: Dataset = images if part == "all" else getattr(shipped_split(images), part)
    return chosen.select([i for i, image in enumerate(chosen) if column_value(image, "width") != "256"])


def need_edition_of(chain: Chain, images: Dataset) -> None:
    """Skip where a chain's weights are not here, or they or the fit record another edition of the images."""
    fitted = chain.file.fitted
    if fitted is not None and fitted.images != len(images):
        pytest.skip(f"the chain records {fitted.images} images, and D2F_DATA has another edition of {len(images)}")
    if missing := load_stages(replace(chain.plan, allow_missing=True)):
        pytest.skip("; ".join(missing.values()))
    for detector in chain.plan.detectors:
        need_edition(trained_on(detector.stage))


def seen_by(chain: Chain, images: Dataset) -> set[str]:
    """Return the detectors of a chain whose weights were trained on any of the images, by id."""
    found = digests(images)
    return {detector.id for detector in chain.plan.detectors if np.isin(found, trained_on(detector.stage)).any()}
