"""The images that the shipped chains are fitted to, and whose weights saw any of them."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from d2f.chain.chain import Chain
from d2f.data.dataset import Dataset, column_value, load_dataset
from d2f.data.split import shipped_split
from d2f.engine.loading import load_stages
from d2f.evaluate.out_of_fold import prefixes, seen

needs_data = pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")


@cache
def fitted_set(part: str) -> Dataset:
    """Return `all` of train or a part of the shipped split, without the older small crops."""
    images = load_dataset(Path(os.environ["D2F_DATA"]) / "train")
    chosen: Dataset = images if part == "all" else getattr(shipped_split(images), part)
    return chosen.select([i for i, image in enumerate(chosen) if column_value(image, "width") != "256"])


def seen_by(chain: Chain, images: Dataset) -> set[str]:
    """Return the detectors of a chain whose weights were trained on any of the images, by id."""
    if missing := load_stages(replace(chain.plan, allow_missing=True)):
        pytest.skip("; ".join(missing.values()))
    found = prefixes(images)
    return {detector.id for detector in chain.plan.detectors if np.isin(found, seen(detector.stage)).any()}
