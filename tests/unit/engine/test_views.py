"""Views: each made once, shared, seeded by the image, read-only, dropped when read."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import numpy as np
import pytest

from d2f import ImageFile
from d2f.engine.local import score_images
from d2f.engine.plan import Step, step_seed

from .toys import Apply, Whole, picture, plan_of, step


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
