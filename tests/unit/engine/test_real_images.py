"""Real files through reading and engine, against reading them one by one with Pillow."""

from __future__ import annotations

import csv
import os
from typing import Any

import numpy as np
import pytest
from PIL import Image

from d2f.engine.local import score_images
from d2f.engine.prefetch import prefetch
from d2f.images.files import find_images

from .toys import Whole, plan_of, step

pytestmark = pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")


def train() -> str:
    return os.path.join(os.environ["D2F_DATA"], "train")


def test_folder_and_manifest_name_the_same_images() -> None:
    walked = list(find_images([train()]))
    listed = list(find_images([os.path.join(train(), "manifest.csv")]))
    with open(os.path.join(train(), "manifest.csv"), encoding="utf-8") as file:
        assert len(listed) == sum(1 for _ in csv.reader(file)) - 1
    assert sorted(walked) == sorted(listed)
    assert walked == sorted(walked, key=lambda path: path.split(os.sep))


def test_scores_of_a_sample_are_those_of_pillows_pixels() -> None:
    paths = list(find_images([train()]))[::97]

    def mean(pixels: Any) -> float:
        return float(pixels.mean())

    plan = plan_of({"d": (Whole(mean, True), ["plain", "v"])}, {"v": (step("invert", lambda p, _: 255 - p),)})
    found = list(score_images(plan, prefetch(paths)))
    assert [scored.path for scored in found] == paths
    for scored in found:
        with Image.open(scored.path) as opened:
            assert (scored.width, scored.height, scored.format) == (*opened.size, opened.format)
            pixels = np.asarray(opened.convert("RGB"))
            # Another colour space is brought to sRGB; test_profile holds that to its definition.
            slack = 12.0 if "icc_profile" in opened.info else 0.0
        np.testing.assert_allclose(scored.scores, (mean(pixels), mean(255 - pixels)), rtol=0, atol=slack)
