import io

import numpy as np
import pytest
from PIL import Image

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


def test_a_file_whose_blocks_were_cut_out_whole_keeps_the_quality_that_it_was_written_with(tmp_path):
    """A lossless crop copies the tables, so that the estimate is of the encoder, not of the crop's own pixels."""
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for quality in (35, 74, 92, 100):
        whole = tmp_path / f"{quality}.jpg"
        Image.fromarray(pixels).save(whole, quality=quality)
        with Image.open(whole) as opened:
            opened.crop((0, 0, 32, 32)).save(tmp_path / "part.jpg", qtables=opened.quantization)
        assert read_facts(str(tmp_path / "part.jpg")).quality == read_facts(str(whole)).quality == quality
