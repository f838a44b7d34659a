import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.data.dataset import load_dataset
from d2f.data.facts import jpeg_quality, read_facts, standard_tables


def written(quality, mode="RGB", **more):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=quality, **more)
    return Image.open(buffer).quantization


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_estimate_is_the_quality_that_the_encoder_was_given(mode):
    for quality in range(1, 101):
        assert jpeg_quality(written(quality, mode)) == (quality, True)


def test_tables_that_nobody_publishes_get_the_nearest_quality():
    tables = {number: list(table) for number, table in written(80).items()}
    tables[0][5] += 1
    assert jpeg_quality(tables) == (80, False)


def test_standard_tables_at_50_are_those_of_the_standard_and_at_100_all_ones():
    # ITU-T T.81, table K.1, first row; K.2, last entry.
    assert standard_tables()[49, 0, :8].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert standard_tables()[49, 1, 63] == 99
    assert (standard_tables()[99] == 1).all()


def test_no_table_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        jpeg_quality({})


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_on_files_cropped_losslessly_it_is_what_was_estimated_when_they_were_gathered():
    # Those whose form is empty kept the tables that they were found with.
    images = [image for image in load_dataset(Path(os.environ["D2F_DATA"], "train")) if not image.more["form"]]
    stated = [(image.path, int(image.more["jpeg_quality"])) for image in images if image.more["jpeg_quality"]][::10]
    found = np.array([read_facts(path).quality for path, _ in stated])
    difference = np.abs(found - [quality for _, quality in stated])
    assert len(stated) > 150
    assert (difference == 0).mean() > 0.95
