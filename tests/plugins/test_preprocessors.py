"""Preprocessors: what all keep to, their cards, and each small one held to its definition."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_crop import crop, kept_size
from d2f_gaussian_blur import gaussian_blur, kernel
from d2f_greyscale import luma
from d2f_median import median, middle
from d2f_noise import add_noise
from d2f_resize import resample, target_size
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from d2f import D2FError
from d2f.engine.spec import parse_spec, write_value
from d2f.plugins.catalog import Catalog
from tests.plugins.pictures import (
    PHOTOGRAPHS,
    SIZES,
    Pixels,
    distance_to_half,
    flat_picture,
    half_even,
    noise_picture,
    photograph,
    stage,
)

# What all preprocessors keep to: sizes from one pixel up, purity, repetition, options in words.

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


# Every preprocessor's card says its options as the stage has them, and its SPECs are understood.

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = ("autoencoder", "crop", "gaussian-blur", "greyscale", "jpeg", "median", "noise", "resize", "webp", "wiener")
SECTIONS = ["Formula", "Source", "Options", "In one word"]


def card(name: str) -> str:
    return (PLUGINS / f"d2f_{name.replace('-', '_')}" / "README.md").read_text("utf-8")


def section(name: str, title: str) -> str:
    return card(name).partition(f"## {title}\n")[2].partition("\n## ")[0].strip()


def options_table(name: str) -> str:
    """Return the options of a preprocessor as a table, or that there are none."""
    model = Catalog.discover().find("preprocessor", name).Options
    if not model.model_fields:
        return "None."
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for key, field in model.model_fields.items():
        lines.append(f"| `{key}` | `{write_value(field.get_default())}` | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
class TestCard:
    def test_it_has_every_section(self, name: str) -> None:
        assert card(name).startswith(f"# {name}\n")
        titles = re.findall(r"^## (.*)$", card(name), re.MULTILINE)
        assert [title for title in titles if title in SECTIONS] == SECTIONS

    def test_its_options_are_the_stages(self, name: str) -> None:
        assert section(name, "Options") == options_table(name)

    def test_its_specs_are_understood(self, name: str) -> None:
        specs = re.findall(r"`([^`]+)`", section(name, "In one word"))
        assert specs
        for spec in specs:
            assert [step.stage.name for step in parse_spec(spec, Catalog.discover())] == [name]


def test_every_preprocessor_of_d2f_is_here() -> None:
    catalog = Catalog.discover()
    own = [name for name in catalog.names("preprocessor") if (PLUGINS / f"d2f_{name.replace('-', '_')}").is_dir()]
    assert set(NAMES) <= set(own)


# crop: windows held to slices, and random ones to being uniform.


@pytest.mark.parametrize(
    ("at", "rows", "columns"),
    [
        ("centre", slice(4, 11), slice(7, 17)),
        ("top-left", slice(0, 7), slice(0, 10)),
        ("top-right", slice(0, 7), slice(14, 24)),
        ("bottom-left", slice(8, 15), slice(0, 10)),
        ("bottom-right", slice(8, 15), slice(14, 24)),
    ],
)
def test_every_place(at: str, rows: slice, columns: slice) -> None:
    picture = noise_picture(15, 24)
    assert np.array_equal(stage("crop", size=[10, 7], at=at).apply(picture, 5), picture[rows, columns])


def test_an_odd_rest_stays_at_the_right_and_the_bottom() -> None:
    picture = noise_picture(8, 8)
    assert np.array_equal(crop(picture, (5, 5)), picture[1:6, 1:6])


def test_random_places_are_uniform_and_repeat() -> None:
    picture = np.zeros((6, 7, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.mgrid[0:6, 0:7]
    made = stage("crop", size=[4, 3], at="random")
    corners = [tuple(made.apply(picture, seed)[0, 0, :2].tolist()) for seed in range(3200)]
    assert corners == [tuple(made.apply(picture, seed)[0, 0, :2].tolist()) for seed in range(3200)]
    counts = np.zeros((4, 4))
    for top, left in corners:
        counts[top, left] += 1
    # Chi-squared with 15 degrees of freedom passes 37.7 once in a thousand.
    assert ((counts - 200) ** 2 / 200).sum() < 37.7


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (16, 32)),
        ({"fraction": 0.5}, (10, 20)),
        ({"fraction": 0.001}, (1, 1)),
        ({"fraction": 1.0}, (20, 40)),
        ({"size": 24}, (20, 24)),
        ({"size": [100, 3]}, (3, 40)),
        ({"size": 500, "at": "random"}, (20, 40)),
    ],
    ids=str,
)
def test_sides_of_a_picture_40_by_20(options: dict[str, object], shape: tuple[int, int]) -> None:
    assert stage("crop", **options).apply(noise_picture(20, 40), 3).shape == (*shape, 3)


def test_sides_are_rounded_half_to_even() -> None:
    assert kept_size((5, 7), fraction=0.5) == (2, 4)
    assert kept_size((5, 7)) == (5, 7)


def test_the_window_is_a_copy() -> None:
    picture = noise_picture(9, 9)
    out = stage("crop", fraction=1.0).apply(picture, 0)
    out[...] = 0
    assert picture.any()


# resize: resampling held to its kernels in float64, and sizes to the rule.

Matrix = NDArray[np.float64]
Kernel = Callable[[Matrix], Matrix]


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys, 1981, equation 15, with a = -1/2."""
    a, x = -0.5, np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


KERNELS: dict[str, tuple[Kernel, float]] = {
    "box": (lambda x: ((x > -0.5) & (x <= 0.5)).astype(float), 0.5),
    "bilinear": (lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1.0),
    "hamming": (lambda x: np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0), 1.0),
    "bicubic": (cubic, 2.0),
    "lanczos": (lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0), 3.0),
}


def weights(size: int, wanted: int, kernel: Kernel) -> NDArray[np.float64]:
    """Return the matrix (wanted, size) of a resampling: the kernel, widened by the factor of reduction."""
    ratio = size / wanted
    widened = max(1.0, ratio)
    centre = (np.arange(wanted) + 0.5) * ratio
    matrix = kernel((np.arange(size)[None] + 0.5 - centre[:, None]) / widened)
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(37, 21), (11, 60), (95, 91), (187, 31)], ids=str)
def test_it_is_the_kernel(name: str, size: tuple[int, int]) -> None:
    kernel, _ = KERNELS[name]
    picture = photograph("coffee")[:60, :95]
    matrices = weights(95, size[0], kernel), weights(60, size[1], kernel)
    made = resample(picture, size, name)
    # Which direction comes first is Pillow's choice, by what it costs.
    off = min((np.abs(made - in_turn(picture, *matrices, first)) for first in ("across", "down")), key=np.mean)
    assert off.max() < 1.6
    # Where fixed point and float fall on two sides of a half, a level differs.
    assert (off > 0.51).mean() < 0.01


def in_turn(picture: Pixels, across: Matrix, down: Matrix, first: str) -> Matrix:
    """Resample in float64, in one direction and then the other, rounded and clipped between them as by Pillow."""
    steps = [("wx,yxc->ywc", across), ("hy,ywc->hwc", down)]
    (one, matrix), (other, last) = steps if first == "across" else reversed(steps)
    middle = np.floor(np.clip(np.einsum(one, matrix, picture), 0, 255) + 0.5)
    return np.clip(np.einsum(other, last, middle), 0, 255)


def test_nearest_repeats_pixels() -> None:
    picture = noise_picture(7, 9)
    assert np.array_equal(resample(picture, (27, 14), "nearest"), picture.repeat(2, axis=0).repeat(3, axis=1))


def test_half_by_box_is_the_mean_of_four() -> None:
    picture = noise_picture(40, 60)
    mean = picture.reshape(20, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(stage("resize", factor=0.5, filter="box").apply(picture, 0) - mean).max() <= 1.0


def test_an_equal_size_is_a_copy() -> None:
    picture = noise_picture(11, 12)
    for options in ({"factor": 1.0}, {"size": [12, 11]}, {"longest": 12}, {"longest": 500, "back": True}):
        assert np.array_equal(stage("resize", **options).apply(picture, 0), picture)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (50, 75)),
        ({"factor": 0.75}, (75, 112)),
        ({"factor": 1.25}, (125, 188)),
        ({"factor": 0.001}, (1, 1)),
        ({"size": [64, 32]}, (32, 64)),
        ({"longest": 128}, (85, 128)),
        ({"longest": 1}, (1, 1)),
        ({"longest": 1000}, (100, 150)),
        ({"factor": 0.5, "back": True}, (100, 150)),
        ({"longest": 128, "back": True}, (100, 150)),
    ],
    ids=str,
)
def test_sides_of_a_picture_150_by_100(options: dict[str, object], shape: tuple[int, int]) -> None:
    assert stage("resize", **options).apply(noise_picture(100, 150), 0).shape == (*shape, 3)


def test_sides_of_a_resized_picture_are_rounded_half_to_even() -> None:
    assert target_size((5, 7), factor=0.5) == (2, 4)
    assert target_size((3, 1), longest=2) == (2, 1)


def test_back_is_there_and_back_again() -> None:
    picture = photograph()
    there = stage("resize", factor=0.5, filter="lanczos").apply(picture, 0)
    back = stage("resize", size=[512, 512], filter="lanczos").apply(there, 0)
    assert np.array_equal(stage("resize", factor=0.5, back=True, filter="lanczos").apply(picture, 0), back)
    # Half the frequencies are gone.
    spectrum = [np.abs(np.fft.fft2(x[..., 1].astype(float))) ** 2 for x in (picture, back)]
    assert spectrum[1][200:312, 200:312].sum() < 0.05 * spectrum[0][200:312, 200:312].sum()


# gaussian-blur held to SciPy's, to the kernel's own formula, and to what a blur keeps.

SIGMAS = [0.3, 0.5, 1.0, 2.0, 6.5]


def held_to_scipy(picture: Pixels, sigma: float, truncate: float = 4.0) -> None:
    from scipy.ndimage import gaussian_filter

    exact = np.stack(
        [gaussian_filter(picture[..., c].astype(float), sigma, truncate=truncate, mode="reflect") for c in range(3)],
        axis=2,
    )
    differs = gaussian_blur(picture, sigma, truncate) != half_even(exact)
    assert np.all(distance_to_half(exact[differs]) < 1e-3)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [*SIZES, (61, 700)], ids=str)
def test_the_blur_equals_scipy(sigma: float, size: tuple[int, int]) -> None:
    held_to_scipy(noise_picture(*size), sigma)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
@pytest.mark.parametrize("truncate", [1.0, 3.0])
def test_photographs_equal_scipy(photo: str, truncate: float) -> None:
    held_to_scipy(photograph(photo)[:200, :230], 1.5, truncate)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_kernel_is_a_gaussian_of_sum_one(sigma: float) -> None:
    weights = kernel(sigma)
    middle = len(weights) // 2
    assert middle == int(4 * sigma + 0.5)
    assert math.isclose(weights.sum(), 1.0, abs_tol=1e-15)
    for away in range(middle + 1):
        assert math.isclose(weights[middle + away] / weights[middle], math.exp(-(away**2) / (2 * sigma**2)))
        assert weights[middle + away] == weights[middle - away]


def test_a_point_becomes_the_kernel() -> None:
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    weights = kernel(1.5)
    expected = np.zeros((21, 21))
    expected[4:17, 4:17] = 255 * np.outer(weights, weights)
    assert np.array_equal(gaussian_blur(point, 1.5)[..., 1], half_even(expected))


def test_the_mean_is_kept() -> None:
    picture = photograph("coffee")
    assert abs(gaussian_blur(picture, 3.0).mean() - picture.mean()) < 0.1


# median held to SciPy, to its definition, and to what a median is for.


@pytest.mark.parametrize("window", [1, 3, 5, 7, 15])
@pytest.mark.parametrize("size", [*SIZES, (61, 700)], ids=str)
def test_the_median_equals_scipy(window: int, size: tuple[int, int]) -> None:
    from scipy.ndimage import median_filter

    picture = noise_picture(*size, seed=window)
    expected = np.stack([median_filter(picture[..., c], window, mode="nearest") for c in range(3)], axis=2)
    assert np.array_equal(median(picture, window), expected)


def test_a_photograph_equals_pillow() -> None:
    from PIL import Image, ImageFilter

    picture = photograph("chelsea")
    expected = np.asarray(Image.fromarray(picture).filter(ImageFilter.MedianFilter(5)))
    assert np.array_equal(median(picture, 5), expected)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_middle_of_any_odd_number_of_arrays(data: st.DataObject) -> None:
    count = 2 * data.draw(st.integers(0, 20)) + 1
    rows = data.draw(arrays.arrays(np.uint8, (count, 4)))
    expected = [statistics.median(column) for column in rows.T.tolist()]
    assert middle(iter(rows), count).tolist() == expected


def test_specks_go_and_edges_stay() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, 10:] = 200
    specked = picture.copy()
    specked[5, 5] = specked[12, 15] = 255
    assert np.array_equal(median(specked, 3), picture)


@pytest.mark.parametrize("window", [0, 2, -3])
def test_a_window_has_a_middle(window: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        median(noise_picture(5, 5), window)


# greyscale: luma held to exact integers for every colour there is, and to Pillow's.


def test_every_colour_is_rounded_half_to_even() -> None:
    green, blue = np.mgrid[0:256, 0:256]
    for red in range(256):
        picture = np.stack([np.full_like(green, red), green, blue], axis=2).astype(np.uint8)
        whole, rest = np.divmod(299 * red + 587 * green + 114 * blue, 1000)
        up = (rest > 500) | ((rest == 500) & (whole % 2 == 1))
        assert np.array_equal(luma(picture)[..., 0], whole + up)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_photographs_equal_pillow_within_its_fixed_point(photo: str) -> None:
    picture = photograph(photo)
    out = luma(picture)
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], out[..., 2])
    expected = np.asarray(Image.fromarray(picture).convert("L"))
    assert np.abs(out[..., 0].astype(int) - expected).max() <= 1
    assert (out[..., 0] != expected).mean() < 1e-3


# noise held to its distribution, to independence, and to the draws recorded when it was written.

GREY = flat_picture(400, 500, 128)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 10.0])
def test_mean_and_deviation_are_those_of_rounded_gaussian_noise(sigma: float) -> None:
    drawn = add_noise(GREY, sigma, 1) - 128.0
    # Rounding adds a variance of 1/12; 600,000 draws.
    deviation = np.sqrt(sigma**2 + 1 / 12)
    assert abs(drawn.mean()) < 5 * deviation / np.sqrt(drawn.size)
    assert abs(drawn.std() / deviation - 1) < 5 / np.sqrt(2 * drawn.size)


def test_it_is_gaussian() -> None:
    from scipy.stats import kstest

    drawn = add_noise(flat_picture(100, 100, 128), 20.0, 7)[..., 0].ravel() - 128.0
    # Spread within the rounding step, so that a continuous test applies.
    spread = drawn + np.random.default_rng(0).uniform(-0.5, 0.5, drawn.size)
    assert kstest(spread / 20.0, "norm").pvalue > 0.01


def test_channels_and_neighbours_are_independent() -> None:
    drawn = add_noise(GREY, 10.0, 3) - 128.0
    pairs = [
        (drawn[..., 0], drawn[..., 1]),
        (drawn[..., 1], drawn[..., 2]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn[1:], drawn[:-1]),
    ]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_seeds() -> None:
    picture = photograph()[:50, :50]
    made = stage("noise", sigma=5)
    assert np.array_equal(made.apply(picture, 2**64 - 1), made.apply(picture, 2**64 - 1))
    one, other = made.apply(GREY, 1) - 128.0, made.apply(GREY, 2) - 128.0
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_the_draws_are_the_recorded_ones() -> None:
    # Recorded with NumPy 2.4. Another NumPy that fails here draws other noise, and every noisy view changes.
    assert add_noise(flat_picture(2, 3, 100), 10.0, 20261121).ravel().tolist() == RECORDED


def test_levels_are_clipped() -> None:
    for level in (0, 255):
        drawn = add_noise(flat_picture(50, 50, level), 30.0, 1)
        assert 0.45 < (drawn == level).mean() < 0.55


def test_no_noise() -> None:
    picture = noise_picture(9, 9)
    assert np.array_equal(stage("noise", sigma=0).apply(picture, 1), picture)


RECORDED = [107, 106, 107, 89, 119, 112, 111, 86, 111, 113, 100, 101, 96, 108, 94, 92, 101, 102]
