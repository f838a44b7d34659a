"""What all preprocessors keep to: sizes from one pixel up, purity, repetition, options in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from d2f import D2FError
from tests.plugins.pictures import PHOTOGRAPHS, SIZES, flat_picture, noise_picture, photograph, stage

CASES: list[tuple[str, dict[str, Any]]] = [
    ("wiener", {}),
    ("wiener", {"window": 7}),
    ("wiener", {"window": [2, 5], "noise": 0.001}),
    ("wiener", {"window": 17}),
    ("jpeg", {"quality": 60}),
    ("jpeg", {"quality": 95, "subsampling": "4:4:4"}),
    ("webp", {"quality": 80}),
    ("webp", {"lossless": True, "method": 0}),
    ("median", {"window": 5}),
    ("gaussian-blur", {"sigma": 2}),
    ("resize", {"factor": 0.5, "back": True}),
    ("resize", {"factor": 2.0, "filter": "lanczos"}),
    ("resize", {"size": [5, 3]}),
    ("resize", {"longest": 8}),
    ("crop", {"fraction": 0.5}),
    ("crop", {"size": 4, "at": "random"}),
    ("noise", {"sigma": 5}),
    ("greyscale", {}),
    ("scan", {}),
    ("scan", {"tilt": -3, "colour": True}),
    ("messenger", {"longest": 16}),
    ("caption", {}),
    ("caption", {"at": "outside", "text": ""}),
    ("frame", {"width": 0.1, "colour": [0, 0, 255]}),
    ("screenshot", {}),
    ("screenshot", {"dark": True}),
    ("enlarge", {}),
    ("thumbnail", {"longest": 16}),
    ("shift", {"pixels": 7}),
    ("sepia", {}),
    ("camera", {}),
    ("spectrum-transfer", {}),
    ("histogram-match", {}),
    ("sharpen", {}),
    ("sharpen", {"factor": 1.5, "steps": 0}),
]
RESHAPED = ("crop", "resize", "scan", "messenger", "caption", "frame", "screenshot", "enlarge", "thumbnail", "shift")
"""Preprocessors whose result is of another size, or not of the same scene at the same place."""
ids = [name + "".join(f" {key}={value}" for key, value in options.items()) for name, options in CASES]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=ids)


def is_view(pixels: Any) -> bool:
    return (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.shape[2] == 3
        and min(pixels.shape) >= 1
        and pixels.flags.c_contiguous
    )


@every_case
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_of_any_size_gives_a_view_and_is_left_as_it_was(
    name: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    picture = noise_picture(*size)
    before = picture.copy()
    picture.setflags(write=False)
    made = stage(name, **options)
    out = made.apply(picture, 7)
    assert is_view(out)
    assert out.flags.writeable
    assert not np.shares_memory(out, picture)
    assert np.array_equal(picture, before)
    assert np.array_equal(out, made.apply(picture, 7))
    assert np.array_equal(out, stage(name, **options).apply(picture, 7))


@every_case
def test_rows_and_columns_may_lie_apart_in_memory(name: str, options: dict[str, Any]) -> None:
    wide = noise_picture(40, 60)
    apart = wide[::2, 5:45:2]
    assert not apart.flags.c_contiguous
    made = stage(name, **options)
    assert np.array_equal(made.apply(apart, 3), made.apply(apart.copy(), 3))


@every_case
def test_only_what_is_random_looks_at_the_seed(name: str, options: dict[str, Any]) -> None:
    picture = noise_picture(64, 64)
    made = stage(name, **options)
    outs = [made.apply(picture, seed) for seed in (0, 1, 2**64 - 1)]
    random = name in ("noise", "scan", "camera") or options.get("at") == "random"
    assert all(np.array_equal(outs[0], out) for out in outs[1:]) is not random


@every_case
def test_black_and_white_are_taken(name: str, options: dict[str, Any]) -> None:
    for level in (0, 255):
        assert is_view(stage(name, **options).apply(flat_picture(19, 23, level), 1))


@pytest.mark.parametrize("name", ["median", "gaussian-blur", "greyscale", "webp"])
def test_a_flat_picture_stays_flat(name: str) -> None:
    for level in (0, 1, 127, 128, 254, 255):
        picture = flat_picture(21, 18, level)
        allowed = 1 if name == "webp" else 0  # its YUV is that of studio range
        assert np.abs(stage(name).apply(picture, 0).astype(int) - level).max() <= allowed


@every_case
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_pixels_give_a_view(name: str, options: dict[str, Any], data: st.DataObject) -> None:
    shape = st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))
    picture = data.draw(arrays.arrays(np.uint8, shape))
    seed = data.draw(st.integers(0, 2**64 - 1))
    made = stage(name, **options)
    assert is_view(made.apply(picture, seed))
    assert np.array_equal(made.apply(picture, seed), made.apply(picture.copy(), seed))


@pytest.mark.parametrize("name", ["wiener", "median", "gaussian-blur"])
def test_channels_are_filtered_alone(name: str) -> None:
    picture = photograph()[100:180, 100:200]
    out = stage(name).apply(picture, 0)
    for channel in range(3):
        alone = np.repeat(picture[..., channel : channel + 1], 3, axis=2)
        assert np.array_equal(stage(name).apply(alone, 0)[..., 0], out[..., channel])


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] not in RESHAPED])
def test_a_photograph_is_still_recognised(name: str, options: dict[str, Any], photo: str) -> None:
    picture = photograph(photo)[:256, :256]
    out = stage(name, **options).apply(picture, 5)
    assert out.shape == picture.shape
    assert np.corrcoef(out[..., 1].ravel(), picture[..., 1].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wiener", {"window": 0}, "option 'window'"),
        ("wiener", {"window": [3, 3, 3]}, "option 'window'"),
        ("wiener", {"noise": -1}, "option 'noise' must be a number of at least 0"),
        ("wiener", {"noise": float("inf")}, "option 'noise' must be a finite number"),
        ("wiener", {"windw": 7}, "unknown option 'windw'"),
        ("jpeg", {"quality": 0}, "option 'quality' must be a whole number from 1 to 100"),
        ("jpeg", {"subsampling": "4:1:1"}, "option 'subsampling' must be one of '4:4:4', '4:2:2', '4:2:0'"),
        ("webp", {"quality": 101}, "option 'quality' must be a whole number from 0 to 100"),
        ("median", {"window": 4}, "option 'window' must be odd"),
        ("median", {"window": 17}, "option 'window' must be a whole number from 1 to 15"),
        ("gaussian-blur", {"sigma": 0}, "option 'sigma' must be a number"),
        ("resize", {"factor": 0.5, "longest": 9}, "one of factor, size, longest is needed, not factor and longest"),
        ("resize", {"filter": "cubic"}, "option 'filter' must be one of"),
        ("crop", {"size": 9, "fraction": 0.5}, "one of size and fraction is needed, not both"),
        ("crop", {"fraction": 1.5}, "option 'fraction' must be a number"),
        ("noise", {"sigma": -1}, "option 'sigma' must be a number from 0 to 255"),
        ("greyscale", {"weights": 1}, "unknown option 'weights'"),
    ],
)
def test_a_wrong_option_is_said_in_words(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(D2FError) as caught:
        stage(name, **options)
    assert [problem.code for problem in caught.value.problems] == ["D2F114"]
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("wiener", {"window": 7}, {"window": [7, 7]}),
        ("crop", {"size": 64}, {"size": [64, 64]}),
        ("crop", {}, {"fraction": 0.8}),
        ("resize", {}, {"factor": 0.5}),
    ],
)
def test_equal_steps_have_equal_options(name: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    options = type(stage(name)).Options
    assert options.model_validate(one) == options.model_validate(other)
