"""Facts of files: format, JPEG quality, perceptual hash; and their statistics over a set."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from scipy.fft import dctn

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.data.facts import (
    chroma_subsampling,
    facts_of,
    inspect,
    jpeg_quality,
    perceptual_hash,
    read_facts,
    standard_tables,
)
from d2f.data.stats import set_stats, stats_lines
from d2f.testing import camera_picture

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))


def saved(format, picture=PICTURE, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("given", "name"), [("4:4:4", "4:4:4"), ("4:2:2", "4:2:2"), ("4:2:0", "4:2:0")])
def test_a_jpeg_tells_quality_and_chroma(given, name):
    data = saved("JPEG", quality=87, subsampling=given)
    facts = facts_of(data, "a.jpg")
    assert (facts.format, facts.quality, facts.chroma) == ("JPEG", 87, name)
    assert (facts.width, facts.height, facts.bytes) == (40, 24, len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.bytes == len(data)


def test_grey_jpegs_and_odd_factors_have_names_too():
    assert facts_of(saved("JPEG", PICTURE.convert("L"))).chroma == "grey"
    assert chroma_subsampling([(3, 1), (1, 1), (1, 1)]) == "3x1"
    assert chroma_subsampling([(3, 1), (2, 1), (2, 1)]) == "3/2x1/1"


def test_lossless_webp_is_told_from_lossy():
    assert facts_of(saved("WEBP", lossless=True)).format == "WEBP lossless"
    assert facts_of(saved("WEBP", quality=80)).format == "WEBP"
    assert facts_of(saved("WEBP", lossless=True, exif=Image.Exif().tobytes())).format == "WEBP lossless"
    assert facts_of(saved("PNG")).quality is None


def test_metadata_is_named_by_kind():
    exif = Image.Exif()
    exif[0x0131] = "a program"
    assert facts_of(saved("JPEG", exif=exif, xmp=b"<x/>", icc_profile=b"p" * 200)).metadata == ("EXIF", "XMP", "ICC")
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    assert facts_of(saved("PNG", pnginfo=text)).metadata == ("XMP", "text")
    assert facts_of(saved("JPEG", comment=b"hello")).metadata == ("text",)
    assert facts_of(saved("PNG")).metadata == ()


def test_c2pa_boxes_and_text_behind_the_picture_are_seen():
    jpeg = saved("JPEG")
    box = b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa"
    segment = b"\xff\xeb" + (len(box) + 2).to_bytes(2, "big") + box
    assert facts_of(jpeg[:2] + segment + jpeg[2:]).metadata == ("C2PA",)
    png = saved("PNG")
    chunk = (5).to_bytes(4, "big") + b"tEXtk\0abc\0\0\0\0"
    assert facts_of(png[:-12] + chunk + png[-12:]).metadata == ("text",)


@pytest.mark.parametrize(
    ("data", "code"), [(b"hello", "D2F303"), (b"\xff\xd8\xff", "D2F304"), (saved("PNG")[:20], "D2F304")]
)
def test_what_is_no_image_has_its_code(data, code, tmp_path):
    with pytest.raises(D2FError) as error:
        facts_of(data, "a.jpg")
    assert error.value.problems[0].code == code
    (tmp_path / "b.jpg").write_bytes(data)
    with pytest.raises(D2FError, match=r"b\.jpg"):
        read_facts(str(tmp_path / "b.jpg"))


# JPEG quality.


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


# The perceptual hash.


def distance(first, second):
    return (first ^ second).bit_count()


def test_the_bits_are_those_of_scipys_transform():
    picture = camera_picture(200, 300, seed=3)
    grey = np.asarray(Image.fromarray(picture).convert("L").resize((32, 32), Image.Resampling.BOX), dtype=float)
    low = dctn(grey, norm="ortho")[1:9, 1:9].ravel()
    # The orthonormal form scales all frequencies above 0 alike.
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert perceptual_hash(picture) == int(bits, 2)


def test_copies_are_near_and_other_pictures_far():
    pictures = [camera_picture(256, 320, seed=seed) for seed in range(12)]
    hashes = [perceptual_hash(picture) for picture in pictures]
    for picture, found in zip(pictures, hashes, strict=True):
        buffer = io.BytesIO()
        image = Image.fromarray(picture)
        image.resize((240, 192), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=60)
        assert distance(found, perceptual_hash(np.asarray(Image.open(buffer)))) <= 6
    others = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(others) > 6


def test_flat_pictures_have_no_hash():
    assert perceptual_hash(np.full((64, 64, 3), 200, np.uint8)) is None
    assert perceptual_hash(np.full((1, 1, 3), 200, np.uint8)) is None


# Statistics of a set.


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / "real/phone").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8))
        picture.save(tmp_path / f"real/phone/{number}.jpg", quality=92)
    for number in range(4):
        folder = tmp_path / f"generated/toy-{number % 2}/lab"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def test_everything_is_counted_by_label(folder):
    (folder / "real/phone/broken.jpg").write_bytes(b"\xff\xd8\xff")
    seen = inspect(load_dataset(folder))
    found = set_stats(seen)
    assert found.labels == (6, 4)
    assert found.balanced == (4, 4)
    assert found.unread == 1
    assert found.counts["format"] == {"JPEG": (6, 0), "PNG": (0, 4)}
    assert found.counts["JPEG quality"] == {"90-94": (6, 0)}
    assert found.counts["chroma subsampling"] == {"4:2:0": (6, 0)}
    assert found.counts["longer side"] == {"up to 128": (6, 0), "257-512": (0, 4)}
    assert found.counts["generator"] == {"toy-0": (0, 2), "toy-1": (0, 2)}
    assert found.counts["collection"] == {"phone": (6, 0), "lab": (0, 4)}
    assert found.plain()["by"]["format"]["PNG"] == {"real": 0, "generated": 4}
    assert "broken.jpg" in seen.problems[0].message


def test_lines_name_the_most_frequent_and_sum_up_the_others(folder):
    lines = [line.split() for line in stats_lines(set_stats(inspect(load_dataset(folder))), top=1)]
    assert ["real", "6", "0", "=" * 40] in lines
    assert ["generated", "0", "4", "#" * 27] in lines
    assert ["…", "1", "others", "0", "2"] in lines


def test_the_result_does_not_depend_on_threads(folder):
    one, four = (inspect(load_dataset(folder), decode=True, workers=workers) for workers in (1, 4))
    assert one == four
    assert None not in one.hashes
