"""Steps laid over an image outside a run: the same pixels as in one, and failures that name the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from d2f import D2FError, Exit
from d2f.engine.local import score_images
from d2f.engine.plan import Step
from d2f.engine.spec import parse_spec
from d2f.engine.views import apply_steps
from d2f.plugins.catalog import Catalog

from .toys import Apply, Whole, picture, plan_of


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
