"""The same bytes give the same scores, whatever the batch, the order, the workers or the company."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f import ImageFile, Tiles
from d2f.engine.local import score_images
from d2f.engine.plan import Plan, Step

from .toys import Apply, Network, TileFunction, Whole, picture, plan_of

SIZES = [(48, 64), (16, 16), (15, 40), (33, 20), (128, 96)]
IMAGES = [picture(seed, *SIZES[seed % len(SIZES)]) for seed in range(40)]
HANDCRAFTED = ["whole/plain", "whole/noisy", "serial/noisy", "serial/twice", "tiled/plain", "tiled/twice"]


def noisy(pixels: Any, seed: int) -> Any:
    noise = np.random.default_rng(seed).integers(-9, 10, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def spectrum(pixels: Any) -> float:
    return float(np.log1p(np.abs(np.fft.rfft2(pixels.mean(axis=2)))).std())


def plan(batch: int = 16, thread_safe: bool = True) -> Plan:
    noise = Step("noise", Apply(noisy, thread_safe))
    views = {"noisy": (noise,), "twice": (noise, Step("noise", noise.stage))}
    return plan_of(
        {
            "whole": (Whole(spectrum, thread_safe), ["plain", "noisy"]),
            "serial": (Whole(spectrum), ["noisy", "twice"]),
            "tiled": (TileFunction(Tiles(3, 16, "texture", "median", batch), spectrum), ["plain", "twice"]),
            "learned": (Network(Tiles(4, 16, "grid", "mean", batch)), ["plain", "noisy"]),
        },
        views,
    )


def scores(images: list[ImageFile], workers: int = 2, **options: Any) -> dict[str, tuple[float, ...]]:
    return {scored.path: scored.scores for scored in score_images(plan(**options), images, workers=workers)}


ALONE = {path: found for image in IMAGES for path, found in scores([image], workers=1).items()}
LEARNED = [index for index, name in enumerate(plan().member_names) if name not in HANDCRAFTED]


def agree(found: dict[str, tuple[float, ...]]) -> None:
    for path, values in found.items():
        expected = np.array(ALONE[path])
        np.testing.assert_array_equal(np.delete(values, LEARNED), np.delete(expected, LEARNED), path)
        np.testing.assert_allclose(np.array(values)[LEARNED], expected[LEARNED], atol=1e-4, err_msg=path)


def test_toys_cover_abstentions_and_scores() -> None:
    values = np.array(list(ALONE.values()))
    assert 0 < np.isnan(values).sum() < values.size / 2
    assert plan().member_names[-2:] == ("learned/plain", "learned/noisy")


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(40)), st.integers(1, 5), st.sampled_from([1, 3, 16, 50]), st.booleans())
def test_rows_repeat(order: list[int], workers: int, batch: int, thread_safe: bool) -> None:
    images = [IMAGES[index] for index in order]
    found = scores(images, workers, batch=batch, thread_safe=thread_safe)
    assert list(found) == [image.path for image in images]
    agree(found)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(IMAGES), min_size=1, max_size=12))
def test_company_does_not_matter(images: list[ImageFile]) -> None:
    agree(scores(images))


def test_networks_see_one_shape_and_full_batches() -> None:
    chosen = plan()
    learned = chosen.detectors[3].stage
    list(score_images(chosen, IMAGES))
    shapes = learned.shapes  # type: ignore[attr-defined]
    assert set(shapes) == {(16, 16, 16, 3)}
    tiles = sum(len(member.tiles) for found in score_images(plan(), IMAGES) for member in found.members[6:])
    assert len(shapes) == -(-tiles // 16)
