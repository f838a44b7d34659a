"""Everyday edits and remade pictures held to their formulas: by Pillow, by references in plain Python, by counts."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from d2f_everyday.photographs import QUANTILES, SPECTRUM
from d2f_everyday.remaking import REFERENCE, RINGS, radial_spectrum, ring_radii
from PIL import Image

from d2f.engine.spec import parse_spec, write_value
from d2f.plugins.catalog import Catalog
from tests.plugins.pictures import flat_picture, noise_picture, photograph, stage


def ramp(height: int = 40, width: int = 60) -> np.ndarray:
    """Return levels that are linear in row and column, uint8 (height, width, 3)."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([60 + down + across, 200 - 2 * down, 20 + 3 * across], axis=-1).astype(np.uint8)


def test_a_scan_is_grey_between_ink_and_paper() -> None:
    out = stage("scan", tilt=0, noise=0).apply(photograph(), 1)
    assert out.shape == photograph().shape
    assert (out == out[..., :1]).all()
    assert (int(out.min()), int(out.max())) == (18, 248)  # 18 + 0.9 * 255, rounded half to even
    luma = photograph() @ np.array([0.299, 0.587, 0.114])
    assert np.corrcoef(out[..., 0].ravel(), luma.ravel())[0, 1] > 0.99


def test_a_colour_scan_keeps_colours() -> None:
    out = stage("scan", tilt=0, colour=True).apply(photograph(), 1)
    assert np.ptp(out.astype(int), axis=2).mean() > 20


@pytest.mark.parametrize("tilt", [0.7, -2.0, 30.0])
def test_a_tilted_scan_lies_whole_on_white(tilt: float) -> None:
    picture = flat_picture(300, 400, 100)
    out = stage("scan", tilt=tilt, noise=0).apply(picture, 1)
    turn = np.radians(abs(tilt))
    expected = (400 * np.sin(turn) + 300 * np.cos(turn), 400 * np.cos(turn) + 300 * np.sin(turn))
    assert np.abs(np.array(out.shape[:2]) - expected).max() <= 2
    assert (out[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert abs((out[..., 0] < 200).sum() / (300 * 400) - 1) < 0.02


def test_the_noise_of_a_scan_has_its_deviation_and_its_seed() -> None:
    made = stage("scan", tilt=0, noise=8)
    one, other = (made.apply(flat_picture(200, 300, 128), seed).astype(float) for seed in (1, 2))
    assert abs(one.std() - 8) < 0.2
    assert abs(np.corrcoef(one[..., 0].ravel(), other[..., 0].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("name", "longest", "quality"), [("messenger", 300, 60), ("thumbnail", 160, 80)])
def test_messenger_and_thumbnail_are_pillows_steps(name: str, longest: int, quality: int) -> None:
    picture = photograph("chelsea")
    size = (longest, round(picture.shape[0] * longest / picture.shape[1]))
    stream = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=quality, subsampling=2)
    with Image.open(stream) as expected:
        assert np.array_equal(stage(name, longest=longest).apply(picture, 0), np.asarray(expected))


def test_nothing_is_enlarged_by_a_messenger() -> None:
    assert stage("messenger").apply(noise_picture(30, 50), 0).shape == (30, 50, 3)


def test_captions_inside() -> None:
    picture = photograph()
    out = stage("caption", height=0.1).apply(picture, 0)
    changed = (out != picture).any(axis=(1, 2))
    assert not changed[:10].any()
    assert changed[12:60].all()
    assert not changed[62:450].any()
    bar = out[10:61]
    assert (bar == 0).all(axis=2).mean() > 0.6
    assert (bar > 200).all(axis=2).mean() > 0.05


def test_captions_outside_leave_the_picture() -> None:
    out = stage("caption", at="outside", height=0.1, text="").apply(photograph(), 0)
    assert out.shape == (512 + 2 * 51, 512, 3)
    assert np.array_equal(out[51:-51], photograph())
    assert not out[:51].any()
    assert not out[-51:].any()


def test_a_frame_is_of_its_colour_around_the_picture() -> None:
    out = stage("frame", width=0.05, colour=[10, 20, 30]).apply(photograph(), 0)
    assert np.array_equal(out[26:-26, 26:-26], photograph())
    out[26:-26, 26:-26] = (10, 20, 30)
    assert (out == (10, 20, 30)).all()


@pytest.mark.parametrize("dark", [False, True])
def test_a_screenshot_holds_the_picture(dark: bool) -> None:
    out = stage("screenshot", dark=dark).apply(photograph(), 0)
    unit = 512 // 24
    assert np.array_equal(out[3 * unit : 3 * unit + 512, unit : unit + 512], photograph())
    assert out.size > 1.3 * photograph().size
    assert (out[-1] < 60).all() if dark else (out[-1] == 255).all()


def test_enlarging_keeps_ramps_and_the_middle() -> None:
    picture = ramp()
    assert np.array_equal(stage("enlarge", factor=1).apply(picture, 0), picture)
    out = stage("enlarge", factor=4).apply(picture, 0)
    assert out.shape == picture.shape
    inner = out[8:-8, 8:-8, 2].astype(float)
    assert np.abs(np.diff(inner, axis=1) - 0.75).max() <= 0.75  # a slope of 3 over 4, rounded
    assert abs(out[..., 2].mean() - picture[..., 22:37, 2].mean()) < 0.1  # columns 22 to 36 of 60


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_shift_cuts_rows_and_columns(cut: int) -> None:
    picture = noise_picture(20, 30)
    assert np.array_equal(stage("shift", pixels=cut).apply(picture, 0), picture[cut:, cut:])
    assert stage("shift", pixels=cut).apply(picture[:1, :1], 0).shape == (1, 1, 3)


def test_sepia_is_the_browsers() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 100, 100]]], np.uint8)
    expected = [[100, 89, 69], [196, 175, 136], [48, 43, 33], [135, 120, 94]]
    assert stage("sepia").apply(colours, 0)[0].tolist() == expected
    half = stage("sepia", amount=0.5).apply(colours, 0)[0, 0]
    assert half.tolist() == [178, 44, 35]


class TestCamera:
    def test_flat_colours_come_back(self) -> None:
        flat = np.empty((50, 70, 3), np.uint8)
        flat[:] = (200, 30, 90)
        assert np.array_equal(stage("camera", photons=1e12, read=0, contrast=0).apply(flat, 1), flat)

    def test_demosaicking_is_bilinear_with_the_papers_corrections(self) -> None:
        from d2f_everyday.remaking import _demosaicked

        mosaic = np.random.default_rng(2).random((12, 14)).astype(np.float32)
        out = _demosaicked(mosaic)
        for row, column in [(4, 4), (4, 5), (5, 4), (5, 5), (6, 8), (7, 9)]:
            at = lambda y, x, r=row, c=column: float(mosaic[r + y, c + x])  # noqa: E731
            cross = (at(-2, 0) + at(2, 0) + at(0, -2) + at(0, 2)) / 4
            if row % 2 == column % 2:  # red or blue
                green = (at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1)) / 4 + (at(0, 0) - cross) / 2
                other = (at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)) / 4 + 0.75 * (at(0, 0) - cross)
                expected = [at(0, 0), green, other] if row % 2 == 0 else [other, green, at(0, 0)]
            else:
                diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
                lines = [at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)]
                near = [at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)]
                # (5 centre - diagonals - own line + half of the other line) / 8, beside the mean of two neighbours
                row_colour, column_colour = (
                    near[k] / 2 + (5 * at(0, 0) - diagonal - lines[k] + lines[1 - k] / 2) / 8 for k in (0, 1)
                )
                red, blue = (row_colour, column_colour) if row % 2 == 0 else (column_colour, row_colour)
                expected = [red, at(0, 0), blue]
            assert out[row, column] == pytest.approx(expected, abs=1e-5)

    def test_noise_is_that_of_photons(self) -> None:
        flat = flat_picture(400, 400, 188)  # about half of the light of white
        light = ((188 / 255 + 0.055) / 1.055) ** 2.4
        out = stage("camera", photons=1000, read=5, contrast=0).apply(flat, 3)[..., 1].astype(float) / 255
        linear = ((out + 0.055) / 1.055) ** 2.4
        green = linear[::2, 1::2]  # not interpolated
        assert abs(green.mean() / light - 1) < 0.01
        assert abs(green.std() / np.sqrt(light / 1000 + (5 / 1000) ** 2) - 1) < 0.03

    def test_contrast_leaves_black_grey_and_white(self) -> None:
        made = stage("camera", photons=1e12, read=0, contrast=1)
        dark, light = (int(made.apply(flat_picture(16, 16, level), 0)[8, 8, 0]) for level in (64, 191))
        assert (dark, light) == (40, 215)  # 3 x^2 - 2 x^3


class TestSpectrum:
    def amplitudes(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        luma = np.pad(pixels @ np.array([0.299, 0.587, 0.114]), ((0, height), (0, width)), mode="symmetric")
        radius = np.hypot(np.fft.fftfreq(2 * height)[:, None], np.fft.rfftfreq(2 * width)[None, :])
        return radial_spectrum(np.abs(np.fft.rfft2(luma)), radius)

    @pytest.mark.parametrize("name", ["astronaut", "coffee"])
    def test_it_becomes_that_of_photographs(self, name: str) -> None:
        from scipy.ndimage import gaussian_filter

        picture = np.rint(gaussian_filter(photograph(name).astype(float), (0.8, 0.8, 0))).astype(np.uint8)[:300, :400]
        before, after = (
            np.abs(np.log(self.amplitudes(one) / SPECTRUM))[ring_radii() > REFERENCE].mean()
            for one in (picture, stage("spectrum-transfer", limit=20).apply(picture, 0))
        )
        assert after < 0.35 * before

    def test_no_frequency_changes_by_more_than_its_limit(self) -> None:
        picture = photograph()[:256, :256]
        out = stage("spectrum-transfer", limit=1).apply(picture, 0)
        assert np.array_equal(out, picture)

    def test_a_flat_picture_stays_flat(self) -> None:
        picture = flat_picture(40, 50, 77)
        assert np.array_equal(stage("spectrum-transfer").apply(picture, 0), picture)

    def test_rings(self) -> None:
        assert len(SPECTRUM) == RINGS == len(ring_radii())
        radius = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)[None, :])
        assert radial_spectrum(np.ones(radius.shape), radius) == pytest.approx(np.ones(RINGS))


class TestHistogram:
    def test_it_becomes_that_of_photographs(self) -> None:
        out = stage("histogram-match", strength=1).apply(photograph("chelsea"), 0)
        for channel in range(3):
            found = np.quantile(out[..., channel], np.linspace(0.1, 0.9, 9))
            expected = np.interp(
                np.linspace(0.1, 0.9, 9), np.linspace(0, 1, len(QUANTILES[channel])), QUANTILES[channel]
            )
            assert np.abs(found - expected).max() < 6

    def test_the_order_of_levels_stays(self) -> None:
        levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        out = stage("histogram-match").apply(levels, 0).astype(int)
        assert (np.diff(out, axis=1) >= 0).all()


class TestSharpen:
    def test_the_restored_picture_reduces_to_the_reduced_one(self) -> None:
        picture = photograph("chelsea")[:200, :300]
        small = np.asarray(Image.fromarray(picture).resize((150, 100), Image.Resampling.BICUBIC)).astype(float)
        off = []
        for steps in (0, 10):
            out = stage("sharpen", steps=steps, amount=0).apply(picture, 0)
            again = np.asarray(Image.fromarray(out).resize((150, 100), Image.Resampling.BICUBIC))
            off.append(np.abs(again - small).mean())
        assert off[1] < 0.5 * off[0]
        assert off[1] < 0.6

    def test_the_mask_adds_contrast(self) -> None:
        picture = photograph("coffee")[:200, :200]
        energy = [
            np.abs(np.diff(stage("sharpen", amount=amount).apply(picture, 0).astype(float), axis=1)).mean()
            for amount in (0, 0.5, 2)
        ]
        assert energy == sorted(energy)
        assert energy[2] > 1.5 * energy[0]


CARD = (Path(__file__).resolve().parents[2] / "plugins" / "d2f_everyday" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", re.findall(r"^## (.*)$", CARD, re.MULTILINE))
def test_the_card_has_the_options_and_specs_of_each(name: str) -> None:
    text = CARD.partition(f"## {name}\n")[2].partition("\n## ")[0]
    for key, field in Catalog.discover().find("preprocessor", name).Options.model_fields.items():
        assert f"| `{key}` | `{write_value(field.get_default())}` | {field.description} |" in text
    for spec in re.findall(r"`([^`]+)`", text.partition("In one word:")[2]):
        assert [step.stage.name for step in parse_spec(spec, Catalog.discover())] == [name]


def test_the_card_has_every_stage() -> None:
    import d2f_everyday

    assert re.findall(r"^## (.*)$", CARD, re.MULTILINE) == [one.name for one in d2f_everyday.d2f_preprocessors()]
