"""Views and tiles: made once, seeded by the image; the same bytes give the same scores."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f import D2FError, Exit, ImageFile, Tiles
from d2f.engine.local import score_images
from d2f.engine.plan import Plan, Step, step_seed
from d2f.engine.spec import parse_spec
from d2f.engine.views import apply_steps, cut, grid_corners, tile_corners
from d2f.plugins.catalog import Catalog

from .toys import Apply, Network, TileFunction, Whole, picture, plan_of, step


def first_pixel(pixels: Any) -> float:
    return float(pixels[0, 0, 0])


def test_equal_beginnings_are_computed_once() -> None:
    invert, blur = Apply(lambda p, _: 255 - p), Apply(lambda p, _: p // 2)
    a, b = Step("invert", invert), Step("halve", blur)
    views = {"one": (a,), "two": (a, b), "again": (Step("invert", invert), Step("halve", blur)), "unread": (b,)}
    first, second = Whole(first_pixel), Whole(lambda p: float(p.mean()))
    plan = plan_of({"first": (first, ["plain", "one", "two"]), "second": (second, ["one", "again"])}, views)
    image = picture(1)
    (scored,) = score_images(plan, [image])
    assert invert.calls == 1
    assert blur.calls == 1
    value = float(image.pixels[0, 0, 0])
    assert scored.scores[:3] == (value, 255 - value, (255 - value) // 2)
    assert scored.scores[4] == ((255 - image.pixels) // 2).mean()


def test_seed_is_of_the_image_the_place_and_the_step() -> None:
    seeds: list[int] = []

    def note(pixels: Any, seed: int) -> Any:
        seeds.append(seed)
        return pixels

    image = picture(5)
    plan = plan_of({"d": (Whole(), ["v"])}, {"v": (step("noise sigma=2", note), step("noise sigma=2", note))})
    list(score_images(plan, [image, image]))
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]
    expected = hashlib.blake2b(f"{image.seed}/0/noise sigma=2".encode(), digest_size=8).hexdigest()
    assert seeds[0] == int(expected, 16) == step_seed(image.seed, 0, "noise sigma=2")


@pytest.mark.parametrize("thread_safe", [True, False])
def test_views_cannot_be_written_to(thread_safe: bool) -> None:
    def spoil(pixels: Any) -> float:
        pixels[0, 0, 0] = 0
        return 0.0

    plan = plan_of({"bad": (Whole(spoil, thread_safe), ["plain", "v"])}, {"v": (step("copy", lambda p, _: p.copy()),)})
    (scored,) = score_images(plan, [picture(1)])
    for member in scored.members:
        assert member.error is not None
        assert member.error.code == "D2F401"
        assert "read-only" in member.error.message


def test_array_that_a_preprocessor_keeps_stays_its_own() -> None:
    kept = np.zeros((4, 4, 3), np.uint8)

    def reuse(pixels: Any, _: int) -> Any:
        kept[:] = pixels[:4, :4]
        return kept

    plan = plan_of({"d": (Whole(first_pixel, True), ["v"])}, {"v": (step("reuse", reuse),)})
    scores = [s.scores[0] for s in score_images(plan, [picture(1), picture(2)], workers=1)]
    assert scores == [first_pixel(picture(1).pixels), first_pixel(picture(2).pixels)]
    assert kept.flags.writeable


def test_steps_that_are_not_thread_safe_run_in_the_callers_thread() -> None:
    safe, unsafe = step("safe", lambda p, _: 255 - p), step("unsafe", lambda p, _: p // 2, thread_safe=False)
    after = step("after", lambda p, _: p + 1)
    plan = plan_of(
        {"d": (Whole(first_pixel, True), ["plain", "a", "b", "c"])},
        {"a": (safe,), "b": (safe, unsafe), "c": (safe, unsafe, after)},
    )
    image = picture(3)
    (scored,) = score_images(plan, [image])
    value = 255 - int(image.pixels[0, 0, 0])
    assert scored.scores == (255 - value, value, value // 2, value // 2 + 1)
    assert all(name.startswith("d2f-view") for name in safe.stage.threads)  # type: ignore[attr-defined]
    assert unsafe.stage.threads == {"MainThread"}  # type: ignore[attr-defined]
    assert safe.stage.calls == unsafe.stage.calls == 1  # type: ignore[attr-defined]


def test_detectors_that_are_not_thread_safe_run_in_the_callers_thread() -> None:
    safe, unsafe = Whole(first_pixel, True), Whole(first_pixel, False)
    list(score_images(plan_of({"a": (safe, ["plain"]), "b": (unsafe, ["plain"])}), map(picture, range(20)), workers=2))
    assert all(name.startswith("d2f-view") for name in safe.threads)
    assert set(safe.batches) == {1}
    assert unsafe.threads == {"MainThread"}
    assert unsafe.batches == [8, 8, 4]


def test_pixels_are_dropped_once_read() -> None:
    alive: list[weakref.ref[Any]] = []

    def images() -> Any:
        for seed in range(300):
            image = picture(seed)
            alive.append(weakref.ref(image.pixels))
            yield image

    plan = plan_of({"d": (Whole(first_pixel, True), ["plain"])})
    most = 0
    for _ in score_images(plan, images(), workers=2):
        most = max(most, sum(one() is not None for one in alive))
    assert most <= 2 * 2 + 16 + 4
    assert sum(one() is not None for one in alive) <= 1


def test_files_bytes_go_to_detectors_that_ask() -> None:
    from .toys import Bytes

    def ends(image: ImageFile) -> float:
        return float(image.data[-1])

    image = picture(2)
    for thread_safe in (True, False):
        (scored,) = score_images(plan_of({"b": (Bytes(ends, thread_safe), ["plain"])}), [image])
        assert scored.scores == (float(image.data[-1]),)


# Steps laid over an image outside a run: the same pixels as in one, and failures that name the step.


def test_it_makes_what_a_view_of_a_chain_sees() -> None:
    seen: list[Any] = []

    def look(pixels: Any) -> float:
        seen.append(pixels.copy())
        return 0.0

    steps = parse_spec("noise:5+wiener:7+crop:24,at=random+noise:5", Catalog.discover())
    image = picture(3)
    list(score_images(plan_of({"d": (Whole(look), ["attacked"])}, {"attacked": steps}), [image]))
    assert np.array_equal(apply_steps(image, steps), seen[0])
    assert seen[0].shape == (24, 24, 3)


def test_the_same_step_laid_twice_draws_anew() -> None:
    image = picture(4)
    once, twice = (apply_steps(image, parse_spec(spec, Catalog.discover())) for spec in ("noise:5", "noise:5+noise:5"))
    noise = [one.astype(int) - other for one, other in ((once, image.pixels), (twice, once))]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_no_steps_leave_the_image_itself() -> None:
    image = picture(5)
    out = apply_steps(image, ())
    assert np.array_equal(out, image.pixels)
    assert not out.flags.writeable


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        (lambda p, _: 1 / 0, "D2F404", "preprocessor 'apply': ZeroDivisionError: division by zero"),
        (lambda p, _: p.astype(float), "D2F405", "preprocessor 'apply' returned float64 of shape (48, 64, 3)"),
        (lambda p, _: None, "D2F405", "preprocessor 'apply' returned a NoneType, not an array"),
        (lambda p, _: p[:0], "D2F405", "of shape (0, 64, 3)"),
        (lambda p, _: p.__setitem__(0, 0), "D2F404", "read-only"),
    ],
)
def test_a_step_that_fails_is_named(function: Any, code: str, words: str) -> None:
    with pytest.raises(D2FError) as caught:
        apply_steps(picture(6), [Step("key", Apply(function))])
    assert caught.value.exit is Exit.SOME_FAILED
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.message.startswith("6.png: ")
    assert words in problem.message


# Where tiles lie, against brute force.


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_centre() -> None:
    assert tile_corners(noise(100, 61), Tiles(size=40, count=5)) == [(30, 10)]
    assert tile_corners(noise(40, 40), Tiles(size=40)) == [(0, 0)]


@pytest.mark.parametrize("pick", ["centre", "grid", "texture"])
def test_smaller_than_a_tile(pick: str) -> None:
    assert tile_corners(noise(39, 200), Tiles(size=40, pick=pick)) == []  # type: ignore[arg-type]
    assert tile_corners(noise(200, 39), Tiles(size=40, pick=pick)) == []  # type: ignore[arg-type]


def test_grid_by_hand() -> None:
    assert grid_corners(60, 60, 1, 1.0) == [(30, 30)]
    assert grid_corners(60, 60, 4, 1.0) == [(0, 0), (0, 60), (60, 0), (60, 60)]
    assert grid_corners(60, 60, 5, 1.0) == [(0, 0), (0, 60), (60, 0), (60, 30), (60, 60)]
    assert grid_corners(60, 60, 9, 1.0) == [(top, left) for top in (0, 30, 60) for left in (0, 30, 60)]
    assert grid_corners(0, 300, 4, 0.2) == [(0, 0), (0, 100), (0, 200), (0, 300)]
    assert grid_corners(0, 0, 4, 1.0) == [(0, 0)], "one place, one tile"


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 20), st.floats(0.05, 20))
def test_grid_stays_inside_and_reaches_the_edges(down: int, right: int, count: int, aspect: float) -> None:
    found = grid_corners(down, right, count, aspect)
    assert 1 <= len(found) <= count
    assert len(set(found)) == len(found)
    assert all(0 <= top <= down and 0 <= left <= right for top, left in found)
    if down >= count and right >= count:
        assert len(found) == count
    flipped = {(down - top, left) for top, left in grid_corners(down, right, 4, 1.0)}
    assert flipped == set(grid_corners(down, right, 4, 1.0)) or down % 2


def slow_texture(pixels: np.ndarray, tiles: Tiles) -> list[tuple[int, int]]:
    """The definition, read out loud."""
    size, step = tiles.size, tiles.size // 2
    found = []
    for top in range(0, pixels.shape[0] - size + 1, step):
        for left in range(0, pixels.shape[1] - size + 1, step):
            tile = pixels[top : top + size, left : left + size].astype(int).sum(axis=2)
            differences = np.concatenate([np.diff(tile, axis=0).ravel(), np.diff(tile, axis=1).ravel()])
            found.append((-round(float(np.var(differences)), 6), top, left))
    return sorted((top, left) for _, top, left in sorted(found)[: tiles.count])


@settings(max_examples=40, deadline=None)
@given(st.integers(9, 60), st.integers(9, 60), st.integers(8, 9), st.integers(1, 6), st.integers(0, 99))
def test_texture_equals_its_definition(height: int, width: int, size: int, count: int, seed: int) -> None:
    pixels = noise(height, width, seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = (pixels * np.abs(np.sin(rows / 9 + columns / 7))[..., None]).astype(np.uint8)
    tiles = Tiles(count=count, size=size, pick="texture")
    assert tile_corners(pixels, tiles) == slow_texture(pixels, tiles)


def test_ties_go_to_the_upper_left() -> None:
    assert tile_corners(np.zeros((64, 64, 3), np.uint8), Tiles(count=3, size=16, pick="texture")) == [
        (0, 0),
        (0, 8),
        (0, 16),
    ]


def test_tiles_are_copies() -> None:
    pixels = noise(50, 60)
    found = cut(pixels, [(0, 0), (10, 20)], 40)
    np.testing.assert_array_equal(found[1], pixels[10:50, 20:60])
    assert not np.shares_memory(found, pixels)


# The same bytes give the same scores, whatever the batch, the order, the workers or the company.

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
