"""Preconditions: each refuses its kind and passes photographs; what they measure is held to its formula."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_preconditions import d2f_preconditions
from d2f_preconditions.degraded import pattern_strength
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from d2f import ImageFile
from d2f.images.read import decode
from tests.plugins.pictures import PHOTOGRAPHS, SIZES, flat_picture, noise_picture, photograph

NAMES = ("colour", "photographic", "degraded", "framed", "size", "thumbnail")


def check(name: str, **options: Any) -> Any:
    """Return a precondition, built as a chain file would have it built."""
    from d2f.plugins.build import build
    from d2f.plugins.catalog import Catalog

    return build(Catalog.discover(), "precondition", name, options)


def as_image(pixels: np.ndarray) -> ImageFile:
    return ImageFile("", b"", "0" * 64, "PNG", pixels.shape[1], pixels.shape[0], np.ascontiguousarray(pixels))


def refused(pixels: np.ndarray, **options: Any) -> dict[str, str]:
    """Return the reasons of the checks that refuse a picture."""
    found = {name: check(name).check(as_image(pixels)) for name in NAMES}
    return {name: one.reason for name, one in found.items() if one is not None}


def edited(spec: str, pixels: np.ndarray) -> np.ndarray:
    from d2f.engine.spec import parse_spec
    from d2f.plugins.catalog import Catalog

    for step in parse_spec(spec, Catalog.discover()):
        pixels = step.stage.apply(pixels, 1)
    return pixels


def stored(image: Image.Image, format: str, **options: Any) -> np.ndarray:
    """Return the pixels that d2f reads of a picture stored in a format."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return decode(stream.getvalue()).pixels


def test_the_plugin_offers_them() -> None:
    assert tuple(one.name for one in d2f_preconditions()) == NAMES


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_passes_every_check(name: str) -> None:
    assert refused(photograph(name)) == {}


@pytest.mark.parametrize(
    "spec", ["jpeg:60", "webp:80", "noise:5", "resize:0.5,back=true", "messenger", "shift:3", "camera"]
)
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_a_photograph_passes_after_moderate_edits(spec: str, name: str) -> None:
    assert refused(edited(spec, photograph(name))) == {}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_is_measured(name: str, size: tuple[int, int]) -> None:
    for picture in (noise_picture(*size), flat_picture(*size, 0), flat_picture(*size, 255)):
        given = picture.copy()
        given.setflags(write=False)
        found = check(name).measure(as_image(given))
        assert all(np.isfinite(value) for value in found.values())
        assert check(name).measure(as_image(given)) == found


class TestColour:
    @pytest.mark.parametrize(
        ("format", "mode", "options"),
        [
            ("PNG", "L", {}),
            ("PNG", "LA", {}),
            ("PNG", "I;16", {}),
            ("PNG", "P", {}),
            ("GIF", "L", {}),
            ("TIFF", "L", {}),
            ("TIFF", "CMYK", {}),
            ("JPEG", "L", {"quality": 80}),
            ("JPEG", "RGB", {"quality": 60}),
            ("JPEG", "CMYK", {"quality": 90}),
            ("WEBP", "RGB", {"quality": 70}),
            ("AVIF", "RGB", {"quality": 60}),
        ],
    )
    def test_grey_is_refused_in_any_way_of_storing_it(self, format: str, mode: str, options: dict[str, Any]) -> None:
        grey = Image.fromarray(photograph()).convert("L")
        if mode == "I;16":
            grey = Image.fromarray(np.asarray(grey, np.uint16) * 257)
        image = grey if mode in ("L", "I;16") else grey.convert("RGB").convert(mode)
        reason = refused(stored(image, format, **options))["colour"]
        assert "no colour: nearly everywhere the channels differ by at most" in reason

    @pytest.mark.parametrize(
        "tones", [((20, 10, 0), (255, 240, 200)), ((20, 0, 90), (255, 220, 120)), ((0, 20, 40), (230, 250, 255))]
    )
    @pytest.mark.parametrize("quality", [80, 95])
    def test_a_toned_picture_is_refused(self, tones: tuple[Any, Any], quality: int) -> None:
        toned = ImageOps.colorize(Image.fromarray(photograph()).convert("L"), *tones)
        assert "one tone" in refused(stored(toned, "JPEG", quality=quality))["colour"]

    def test_sepia_is_refused(self) -> None:
        assert "one tone" in refused(edited("sepia+jpeg:85", photograph("coffee")))["colour"]

    def test_noise_of_three_channels_is_no_colour(self) -> None:
        noise = np.random.default_rng(1).normal(0, 6, photograph().shape)
        grey = np.asarray(Image.fromarray(photograph()).convert("L"))[..., None] + noise
        assert "no colour" in refused(np.clip(np.rint(grey), 0, 255).astype(np.uint8))["colour"]

    def test_strong_noise_of_three_channels_is_no_colour(self) -> None:
        noise = np.random.default_rng(1).normal(0, 16, photograph().shape)
        grey = np.asarray(Image.fromarray(photograph()).convert("L"))[..., None] + noise
        assert "no colour but noise" in refused(np.clip(np.rint(grey), 0, 255).astype(np.uint8))["colour"]

    def test_a_small_coloured_part_is_colour(self) -> None:
        grey = edited("greyscale", photograph())
        grey[100:240, 100:240] = photograph()[300:440, 20:160]
        assert "colour" not in refused(grey)

    def test_the_figure_is_that_of_the_channels(self) -> None:
        tinted = np.zeros((400, 400, 3), np.uint8)
        tinted[:] = (100, 103, 108)
        assert check("colour").measure(as_image(tinted))["channels"] == 8
        assert check("colour", grey=7).check(as_image(tinted)) is None
        assert check("colour", grey=8).check(as_image(tinted)) is not None


def chart() -> np.ndarray:
    image = Image.new("RGB", (900, 600), "white")
    draw = ImageDraw.Draw(image)
    for at in range(12):
        draw.rectangle([60 + at * 65, 540 - 37 * at, 105 + at * 65, 540], fill=(20 * at, 90, 250 - 20 * at))
        draw.text((60 + at * 65, 550), f"item {at}", fill=0)
    return np.asarray(image)


def code() -> np.ndarray:
    bits = np.random.default_rng(5).integers(0, 2, (41, 41), dtype=np.uint8) * 255
    return np.repeat(np.kron(bits, np.ones((15, 15), np.uint8))[..., None], 3, axis=2)


def drawing() -> np.ndarray:
    random, image = np.random.default_rng(5), Image.new("RGB", (800, 800), (240, 220, 190))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, side = (int(value) for value in random.integers((0, 0, 20), (800, 800, 160)))
        colour = tuple(int(value) for value in random.integers(0, 255, 3))
        draw.ellipse([x, y, x + side, y + side], fill=colour, outline=(0, 0, 0), width=3)
    return np.asarray(image)


def ramp() -> np.ndarray:
    down, across = np.mgrid[0:768, 0:1024]
    return np.clip(np.stack([across / 4, down / 3, 255 - across / 8 - down / 8], -1), 0, 255).astype(np.uint8)


def text() -> np.ndarray:
    image = Image.new("RGB", (700, 900), (250, 246, 232))
    draw = ImageDraw.Draw(image)
    for line in range(40):
        draw.text((40, 30 + 21 * line), "the number of pages is known to few " * 3, fill=(30, 20, 60))
    return np.asarray(image)


@pytest.mark.parametrize("make", [chart, code, drawing, ramp, text])
@pytest.mark.parametrize("quality", [None, 85])
def test_what_is_no_photograph_is_refused(make: Any, quality: int | None) -> None:
    pixels = make() if quality is None else stored(Image.fromarray(make()), "JPEG", quality=quality)
    assert "photographic" in refused(pixels)


@pytest.mark.parametrize("pixels", [noise_picture(480, 640), flat_picture(480, 640, 255), flat_picture(480, 640, 0)])
def test_noise_and_flat_areas_are_refused(pixels: np.ndarray) -> None:
    assert refused(pixels)["photographic"].startswith("not photographic: ")


class TestDegraded:
    @pytest.mark.parametrize("name", ["astronaut", "coffee"])
    def test_enlargement_is_refused(self, name: str) -> None:
        assert "strongly enlarged" in refused(edited("enlarge:4+jpeg:90", photograph(name)))["degraded"]

    @pytest.mark.parametrize("name", ["astronaut", "coffee"])
    def test_a_small_part_enlarged_eight_times_is_refused(self, name: str) -> None:
        part = Image.fromarray(photograph(name)[100:200, 100:200])
        large = np.asarray(part.resize((800, 800), Image.Resampling.BICUBIC))
        assert "strongly enlarged" in refused(large)["degraded"]

    @pytest.mark.parametrize("times", [2, 3, 4])
    def test_repeated_pixels_are_refused(self, times: int) -> None:
        large = photograph("coffee")[:200, :300].repeat(times, axis=0).repeat(times, axis=1)
        assert "strongly enlarged" in refused(large)["degraded"]

    def test_a_palette_is_refused(self) -> None:
        image = Image.fromarray(photograph("coffee"))
        assert "a dithered palette: " in refused(stored(image.quantize(256), "GIF"))["degraded"]
        assert "degraded" not in refused(stored(Image.new("RGB", (640, 480), (10, 120, 200)), "PNG"))
        assert "degraded" not in refused(stored(image.convert("L"), "PNG"))

    @pytest.mark.parametrize("angle", [15, 45])
    def test_a_print_with_its_screen_is_refused(self, angle: float) -> None:
        # A screen of 6 pixels over a photograph, as strong as a printed one is after a scan.
        picture = photograph("coffee").astype(np.float64)
        down, across = np.mgrid[: picture.shape[0], : picture.shape[1]] * (2 * np.pi / 6)
        turned = across * np.cos(np.deg2rad(angle)) + down * np.sin(np.deg2rad(angle))
        printed = np.clip(np.rint(picture + 12 * np.sin(turned)[..., None]), 0, 255).astype(np.uint8)
        assert "a fine regular pattern" in refused(edited("jpeg:90", printed))["degraded"]

    def test_the_pattern_of_one_wave_is_its_power(self) -> None:
        noise = np.random.default_rng(0).normal(128, 10, (9, 144, 144)).astype(np.float32)
        wave = 20 * np.sin(2 * np.pi * (np.arange(144)[:, None] * 31 + np.arange(144)[None] * 22) / 144)
        # The power of a wave of amplitude a under a window of weights w, (a sum(w) / 2)^2, over s^2 sum(w^2) of noise;
        # the mean of the logarithm of noise's power is less than that of its mean by Euler's constant.
        weights = np.outer(np.hanning(144), np.hanning(144))
        ratio = np.log((20 * weights.sum() / 2) ** 2 / (100 * (weights**2).sum())) + np.euler_gamma
        assert pattern_strength(noise + wave.astype(np.float32)) == pytest.approx(ratio, abs=0.4)
        assert pattern_strength(noise) < 2

    def test_blocks_are_refused(self) -> None:
        assert "strongly compressed" in refused(edited("jpeg:5", photograph("chelsea")))["degraded"]

    def test_the_block_ratio_is_that_of_its_formula(self) -> None:
        # Levels rise by 9 at every eighth column and stay between: 9 against 0, both plus 1; rows do not change.
        steps = np.repeat(np.arange(24, dtype=np.uint8) * 9, 8)
        pixels = np.broadcast_to(steps[None, :, None], (144, 192, 3))
        assert check("degraded").measure(as_image(pixels))["blocks"] == pytest.approx(np.sqrt(10), rel=1e-5)

    def test_the_grid_is_found_wherever_it_begins(self) -> None:
        picture = edited("jpeg:10", photograph())
        ratios = [check("degraded").measure(as_image(picture[cut:, cut:]))["blocks"] for cut in range(8)]
        assert max(ratios) / min(ratios) < 1.05

    def test_near_is_a_half_of_a_ramp_and_one_of_noise(self) -> None:
        slope = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
        assert check("degraded").measure(as_image(slope))["near"] == pytest.approx(0.5)
        assert check("degraded").measure(as_image(noise_picture(300, 300)))["near"] == pytest.approx(1, abs=0.01)


class TestFramed:
    @pytest.mark.parametrize(
        "spec",
        [
            "frame",
            "frame:0.03,colour=[0,0,0]+jpeg:85",
            "scan:colour=true",
            "scan:colour=true,tilt=-2+jpeg:80",
            "caption+jpeg:75",
            "caption:outside+jpeg:75",
            "screenshot+jpeg:85",
            "screenshot:dark=true",
        ],
    )
    @pytest.mark.parametrize("name", ["astronaut", "coffee"])
    def test_borders_bars_and_interfaces_are_refused(self, spec: str, name: str) -> None:
        assert refused(edited(spec, photograph(name)))["framed"].startswith("framed: ")

    @pytest.mark.parametrize("gap", [36, 600])
    def test_a_contact_sheet_is_refused(self, gap: int) -> None:
        sheet = np.full((1024 + gap, 1024 + gap, 3), 255, np.uint8)
        for top in (0, 512 + gap):
            for left in (0, 512 + gap):
                sheet[top : top + 512, left : left + 512] = photograph("astronaut")
        assert "framed" in refused(sheet)

    def test_letter_boxes_are_refused(self) -> None:
        assert "framed" in refused(np.pad(photograph(), ((60, 60), (0, 0), (0, 0))))


def story(picture: np.ndarray, margin: int, upright: bool) -> np.ndarray:
    """Return a picture between margins that are a blurred enlargement of itself, as stories fill a screen."""
    image = Image.fromarray(picture)
    tall = (image.width, image.height + 2 * margin) if upright else (image.width + 2 * margin, image.height)
    whole = image.resize(tall).filter(ImageFilter.GaussianBlur(20))
    whole.paste(image, (0, margin) if upright else (margin, 0))
    return np.asarray(whole)


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize("upright", [True, False])
def test_blurred_margins_are_a_frame(name: str, upright: bool) -> None:
    pixels = story(photograph(name), 120, upright)
    assert "blurred margins" in refused(stored(Image.fromarray(pixels), "JPEG", quality=85))["framed"]
    one_side = pixels[120:] if upright else pixels[:, 120:]
    assert "framed" not in refused(one_side)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("size", (900, 150, 3), "its shorter side has 150 pixels; at least 190 are needed"),
        ("thumbnail", (120, 160, 3), "a thumbnail: its longer side has 160 pixels; at least 224 are needed"),
    ],
)
def test_small_pictures_are_refused(name: str, shape: tuple[int, ...], words: str) -> None:
    assert check(name).check(as_image(np.zeros(shape, np.uint8))).reason == words
    assert check(name).check(as_image(np.zeros((300, 300, 3), np.uint8))) is None


def test_large_pictures_are_looked_at_in_part() -> None:
    from d2f_preconditions.sampling import grid, profiles, windows

    large = np.broadcast_to(np.zeros(3, np.uint8), (9000, 12000, 3))
    assert windows(large).shape == (3, 9, 144, 144)
    assert max(grid(large, 512).shape) <= 560
    assert profiles(large) is profiles(large)  # what one check has computed, the next one takes


def test_pixels_that_were_written_to_are_looked_at_again() -> None:
    picture = photograph().copy()
    colour = check("colour").measure(as_image(picture))
    picture[:] = 128
    assert check("colour").measure(as_image(picture)) != colour


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="needs D2F_DATA")
def test_few_colour_photographs_of_the_training_set_are_refused() -> None:
    root = Path(os.environ["D2F_DATA"]) / "train"
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["label"] == "real"), key=lambda row: row["path"])
    colour = pictures = 0
    for row in rows[::16]:
        with Image.open(root / row["path"]) as image:
            found = refused(np.asarray(image.convert("RGB")))
        if "no colour" not in found.get("colour", ""):
            colour, pictures = colour + bool(found), pictures + 1
    assert pictures > 60
    assert colour <= 0.05 * pictures  # 2 % over all of them; some 70 are looked at here
