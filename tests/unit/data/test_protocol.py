import hashlib
import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from d2f import ImageFile
from d2f.data.protocol import (
    FITTING_QUALITIES,
    FITTING_WINDOWS,
    SHORT_SIDES,
    drawn_copies,
    fitting,
    for_fitting,
    for_judging,
    judging,
    whole,
)
from d2f.images.read import read_image


def image(height=500, width=640, seed=0, format="PNG"):
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 1))
    ramp = np.linspace(40, 200, width)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
    pixels = np.clip(np.rint(ramp + noise), 0, 255).astype(np.uint8).repeat(3, axis=2)
    data = f"{height} {width} {seed} {format}".encode()
    sha256 = hashlib.sha256(data).hexdigest()
    return ImageFile("a.png", data, sha256, format, width, height, pixels, {"Software": "a generator"})


def test_judging_takes_the_centre_320_at_quality_92():
    found = image()
    matched = judging(found)
    assert matched.pixels.shape == (320, 320, 3)
    assert (matched.width, matched.height, matched.format) == (320, 320, "JPEG")
    centre = found.pixels[90:410, 160:480].astype(float)
    assert np.abs(matched.pixels - centre).mean() < 6
    reference = io.BytesIO()
    Image.fromarray(found.pixels[90:410, 160:480]).save(reference, "JPEG", quality=92, subsampling="4:2:0")
    assert matched.data == reference.getvalue()


def test_the_matched_bytes_decode_to_the_matched_pixels_and_carry_no_metadata():
    matched = judging(image())
    with Image.open(io.BytesIO(matched.data)) as decoded:
        assert JpegImagePlugin.get_sampling(decoded) == 2
        assert np.array_equal(np.asarray(decoded), matched.pixels)
        assert "exif" not in decoded.info
    assert matched.info == {}


def test_the_seed_stays_that_of_the_file_as_it_was_found():
    found = image()
    assert judging(found).sha256 == fitting(found, 3).sha256 == found.sha256
    assert judging(found).seed == found.seed


@pytest.mark.parametrize("sides", [(100, 640), (320, 320), (7, 9), (1, 1)])
def test_smaller_images_keep_their_whole_extent(sides):
    expected = tuple(min(320, side) for side in sides)
    assert judging(image(*sides)).pixels.shape[:2] == expected
    assert all(a <= b for a, b in zip(fitting(image(*sides), 0).pixels.shape[:2], expected, strict=True))


def test_fitting_repeats_for_one_seed_and_differs_for_another():
    found = image()
    assert fitting(found, 5).data == fitting(found, 5).data
    assert len({fitting(found, seed).data for seed in range(6)}) == 6


def test_fitting_draws_windows_and_qualities_over_their_whole_range():
    found = image()
    drawn = [fitting(found, seed, scale=False) for seed in range(200)]
    sides = [matched.width for matched in drawn]
    assert (min(sides), max(sides)) != (320, 320)
    assert FITTING_WINDOWS[0] <= min(sides) < FITTING_WINDOWS[0] + 10
    assert FITTING_WINDOWS[1] - 10 < max(sides) <= FITTING_WINDOWS[1]
    tables = {matched.data[:200] for matched in drawn}
    assert len(tables) > 0.8 * (FITTING_QUALITIES[1] - FITTING_QUALITIES[0])


def test_the_scale_step_reduces_about_half_of_the_larger_images_and_never_below_the_window():
    ramp = image(640, 640)
    plain = [fitting(ramp, seed, windows=(256, 256), qualities=(95, 95), scale=False) for seed in range(80)]
    scaled = [fitting(ramp, seed, windows=(256, 256), qualities=(95, 95)) for seed in range(80)]
    assert {matched.width for matched in scaled} == {256}
    steeper = sum(_slope(a) > 1.02 * _slope(b) for a, b in zip(scaled, plain, strict=True))
    assert 25 < steeper < 55


def test_what_is_drawn_does_not_depend_on_format_or_metadata():
    found = image()
    other = ImageFile("b.jpg", found.data, found.sha256, "JPEG", found.width, found.height, found.pixels)
    assert fitting(found, 1).data == fitting(other, 1).data


def _slope(matched):
    return np.polyfit(np.arange(matched.width), matched.pixels.mean(axis=(0, 2)), 1)[0]


def test_files_of_any_format_and_size_are_the_same_but_for_their_pixels(tmp_path):
    random = np.random.default_rng(1)
    kinds = [("png", {}), ("jpg", {"quality": 61, "subsampling": 0}), ("webp", {"lossless": True}), ("bmp", {})]
    for number, (suffix, options) in enumerate(kinds * 3):
        side = (250, 330, 400)[number // 4]
        noise = random.integers(0, 256, (side, side + 9 * number, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.{suffix}", **options)
    found = [read_image(str(path)) for path in sorted(tmp_path.iterdir())]
    assert len({one.format for one in found}) == 4
    matched = [judging(one) for one in found]
    assert {one.format for one in matched} == {"JPEG"}
    assert max(max(one.width, one.height) for one in matched) <= 320
    decoders = []
    for one in matched:
        with Image.open(io.BytesIO(one.data)) as decoded:
            decoders.append((str(decoded.quantization), JpegImagePlugin.get_sampling(decoded), tuple(decoded.info)))
    assert len(set(decoders)) == 1
    assert [one.sha256 for one in matched] == [one.sha256 for one in found]


@pytest.mark.parametrize("sides", [(900, 640), (640, 900), (481, 2000)])
def test_whole_brings_the_short_side_to_a_drawn_length_and_keeps_the_aspect(sides):
    brought = [whole(image(*sides, seed=seed)) for seed in range(12)]
    shorts = {min(one.height, one.width) for one in brought}
    assert SHORT_SIDES[0] <= min(shorts) < max(shorts) <= SHORT_SIDES[1]
    for one in brought:
        assert one.width / one.height == pytest.approx(sides[1] / sides[0], rel=0.01)
        assert one.format == "JPEG"


@pytest.mark.parametrize("sides", [(320, 500), (300, 200), (1, 1)])
def test_whole_never_enlarges(sides):
    assert whole(image(*sides)).pixels.shape[:2] == sides


def test_whole_draws_by_the_files_bytes_and_the_seed_alone():
    found = image(700, 900)
    other = ImageFile("b.jpg", found.data, found.sha256, "JPEG", found.width, found.height, found.pixels)
    assert whole(found).data == whole(other).data == for_judging("whole")(found).data
    assert len({whole(found, seed).width for seed in range(8)}) > 4
    assert for_fitting("whole", 5)(found).data == whole(found, 5).data


def test_every_protocol_has_a_copy_for_judging_and_one_for_fitting():
    found = image(700, 900)
    assert for_judging("as-found")(found) is for_fitting("as-found", 3)(found) is found
    assert for_judging("crop")(found).data == judging(found).data
    assert for_fitting("crop", 3)(found).data == fitting(found, 3).data


def test_drawn_copies_are_those_of_the_seeds():
    found = image(700, 900)
    (first, second) = drawn_copies("whole", found, [3, 4], (224, 320), (70, 98), True)
    assert np.array_equal(first, whole(found, 3).pixels)
    assert np.array_equal(second, whole(found, 4).pixels)
    (window,) = drawn_copies("crop", found, [3], (256, 256), (90, 90), False)
    assert window.shape == (256, 256, 3)
