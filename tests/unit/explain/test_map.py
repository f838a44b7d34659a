"""Heat maps: where a chain finds what it looks for, and where a map is not to be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2f import Chain, ImageFile, WholeImage, load_chain
from d2f.explain.figures import overlay
from d2f.explain.map import MASKS, HeatMap, cell_edges, measure_map, reliability_mask
from d2f.images.memory import image_source, load
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

CHAIN = (
    "d2f: 1\nname: rough\nrequire: [{use: size, with: {short_side: 100}}]\ndetectors: [{use: rough}]\n"
    "calibrate: {rough/plain: {use: platt, with: {slope: 0.5, bias: -10}}}\n"
)


class Rough:
    name = "rough"
    summary = "Mean difference of neighbours."
    wants = WholeImage()
    Options = stages.NoOptions

    def __init__(self, options: stages.NoOptions) -> None:
        self.options = options

    def score(self, batch: Sequence[Any]) -> list[float]:
        return [roughness(view) for view in batch]


def roughness(pixels: Any) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())


@pytest.fixture
def rough(tmp_path: Path) -> Chain:
    """A chain that takes rough pictures for generated."""
    (tmp_path / "chain.yaml").write_text(CHAIN)
    return load_chain(tmp_path / "chain.yaml", catalog=Catalog.of(*stages.STAGES, Rough))


def picture(height: int = 240, width: int = 320) -> ImageFile:
    """Weak noise, with a square of strong noise in the upper left quarter."""
    random = np.random.default_rng(0)
    pixels = random.normal(120, 8, (height, width, 3))
    pixels[20:100, 20:100] += random.normal(0, 40, (80, 80, 3))
    image = load(image_source(pixels.clip(1, 254).astype(np.uint8)))
    assert isinstance(image, ImageFile)
    return image


@pytest.mark.parametrize("kind", ["tiles", "occlusion"])
def test_a_map_is_highest_where_the_chain_sees_it(rough: Chain, kind: str) -> None:
    ticks: list[tuple[int, int]] = []
    found = measure_map(rough.plan, picture(), kind, lambda *tick: ticks.append(tick))  # type: ignore[arg-type]
    assert found is not None
    assert ticks[-1][0] == ticks[-1][1] == len(ticks)
    assert found.values.shape == (12, 16)
    row, column = np.unravel_index(np.argmax(found.values), found.values.shape)
    assert (row * 20 + 10 < 110, column * 20 + 10 < 110) == (True, True)
    assert np.median(found.values[7:, 8:]) < found.values.max() / 2


def test_the_ratio_of_a_tile_is_that_of_the_tile_as_a_picture(rough: Chain) -> None:
    image = picture(200, 200)
    found = measure_map(rough.plan, image, "tiles")
    assert found is not None
    assert found.side == 66  # less than the precondition asks for: tiles are no pictures of their own
    corner = rough.judge(image.pixels[:66, :66]).stages[0].score
    assert corner is None  # the precondition stands for whole pictures
    assert found.values[0, 0] == pytest.approx(0.5 * roughness(image.pixels[:66, :66]) - 10, abs=1e-9)


def test_a_small_picture_has_no_map(rough: Chain) -> None:
    image = load(image_source(np.random.default_rng(0).integers(0, 255, (80, 300, 3), dtype=np.uint8)))
    assert isinstance(image, ImageFile)
    assert measure_map(rough.plan, image, "tiles") is None


def test_masks() -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(120, 20, (192, 192, 3)).clip(1, 254).astype(np.uint8)
    pixels[:64, :64] = 90
    pixels[:64, 64:128][random.random((64, 64)) < 0.5] = 255
    blocks = random.integers(20, 230, (8, 8, 3))
    pixels[:64, 128:] = blocks.repeat(8, axis=0).repeat(8, axis=1) + random.integers(-1, 2, (64, 64, 3))
    edges = cell_edges(192, 256)
    assert edges.tolist() == [0, 64, 128, 192]
    mask = reliability_mask(pixels, edges, edges)
    assert [MASKS[number - 1] for number in mask[0]] == ["flat", "clipped", "over-compressed"]
    assert not mask[1:].any()


def test_an_overlay_colours_what_can_be_relied_on() -> None:
    from io import BytesIO

    from PIL import Image

    values, mask = np.array([[1.0, -1.0], [1.0, np.nan]]), np.array([[0, 0], [1, 0]], np.uint8)
    drawn = np.asarray(
        Image.open(
            BytesIO(overlay(HeatMap("tiles", values, mask, 64), np.full((80, 80, 3), 128, np.uint8), 80))
        ).convert("RGB")
    ).astype(int)
    red, blue = drawn[:40, :40], drawn[:40, 40:]
    assert red[..., 0].mean() > red[..., 2].mean() + 50
    assert blue[..., 2].mean() > blue[..., 0].mean() + 50
    assert abs(drawn[40:, :, 0] - drawn[40:, :, 2]).max() < 10
