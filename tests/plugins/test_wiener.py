"""wiener2 held to GNU Octave, to SciPy, to the formula in exact fractions, and to what it says of flat planes."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_wiener.boxes import box_sums, padded_strips, window_sums
from d2f_wiener.filter import wiener2
from d2f_wiener.levels import wiener2_levels, wiener2_rounded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from tests.plugins.pictures import PHOTOGRAPHS, distance_to_half, half_even, noise_picture, photograph, stage

GOLDEN = np.load(Path(__file__).parent / "golden" / "wiener2.npz")
CASES = [name for name in GOLDEN.files if "_" in name]
Plane = NDArray[np.float64]


def asked(case: str) -> tuple[str, tuple[int, int], float | None]:
    """Return the plane, window and noise that a golden array's name states."""
    sort, how, sides = case.split("_")
    rows, columns = sides.split("x")
    return sort, (int(rows), int(columns)), None if how == "estimated" else 0.004


def scipy_wiener(plane: Plane, window: tuple[int, int], noise: float | None = None) -> Plane:
    from scipy.signal import wiener

    # It divides by a variance of zero before it puts the mean there.
    with np.errstate(divide="ignore", invalid="ignore"):
        return wiener(plane, window, noise)


def exact(plane: NDArray[Any], window: tuple[int, int], noise: Fraction | None) -> list[list[Fraction]]:
    """Return the formula pixel by pixel in fractions: no rounding, no shared code."""
    height, width = plane.shape
    count = window[0] * window[1]
    above, left = (window[0] - 1) // 2, (window[1] - 1) // 2
    moments = {}
    for row in range(height):
        for column in range(width):
            seen = [
                Fraction(float(plane[i, j]))
                for i in range(max(0, row - above), min(height, row - above + window[0]))
                for j in range(max(0, column - left), min(width, column - left + window[1]))
            ]
            mean = sum(seen, Fraction(0)) / count
            moments[row, column] = mean, sum((x * x for x in seen), Fraction(0)) / count - mean * mean
    power = sum(variance for _, variance in moments.values()) / (height * width) if noise is None else noise
    out = []
    for row in range(height):
        line = []
        for column in range(width):
            mean, variance = moments[row, column]
            most = max(variance, power)
            share = max(Fraction(0), variance - power) / most if most else Fraction(0)
            line.append(mean + share * (Fraction(float(plane[row, column])) - mean))
        out.append(line)
    return out


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("real")])
def test_real_planes_equal_octave(case: str) -> None:
    _, window, noise = asked(case)
    assert np.abs(wiener2(GOLDEN["real"], window, noise) - GOLDEN[case]).max() < 1e-12


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("bytes")])
def test_bytes_equal_octave_but_for_the_rule_at_halves(case: str) -> None:
    _, window, noise = asked(case)
    levels = 255 * wiener2(GOLDEN["bytes"] / 255, window, noise)
    differs = wiener2_rounded(GOLDEN["bytes"], window, noise) != GOLDEN[case]
    assert np.all(distance_to_half(levels[differs]) < 1e-9)
    if window[0] % 2 and window[1] % 2:
        assert not differs.any()


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
@pytest.mark.parametrize("window", [(3, 3), (5, 5), (7, 7), (3, 9), (1, 5), (15, 15), (21, 21)], ids=str)
@pytest.mark.parametrize("noise", [None, 0.0005])
def test_photographs_equal_scipy(photo: str, window: tuple[int, int], noise: float | None) -> None:
    picture = photograph(photo)[40:200, 60:250]
    levels = wiener2_levels(picture, window, noise)
    for channel in range(3):
        plane = picture[..., channel] / 255
        expected = scipy_wiener(plane, window, noise)
        assert np.abs(wiener2(plane, window, noise) - expected).max() < 1e-9
        assert np.abs(levels[..., channel] - 255 * expected).max() < 0.01


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_the_stage_is_the_formula_rounded(photo: str) -> None:
    picture = photograph(photo)
    exact_levels = np.stack([255 * wiener2(picture[..., c] / 255, (7, 7)) for c in range(3)], axis=2)
    out = stage("wiener", window=7).apply(picture, 0)
    differs = out != half_even(exact_levels)
    assert np.all(distance_to_half(exact_levels[differs]) < 1e-3)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_equal_the_formula_in_fractions(data: st.DataObject) -> None:
    shape = st.tuples(st.integers(1, 6), st.integers(1, 6))
    # Few levels, so that flat windows and ties are common.
    levels = st.sampled_from([0, 1, 2, 100, 254, 255])
    plane = data.draw(arrays.arrays(np.uint8, shape, elements=levels))
    window = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    noise = data.draw(st.sampled_from([None, Fraction(0), Fraction(1, 2**12), Fraction(1)]))
    scaled = None if noise is None else noise * 255**2
    expected = np.array(exact(plane, window, scaled), dtype=float)
    given_noise = None if noise is None else float(noise)
    assert np.abs(wiener2_levels(plane, window, given_noise) - expected).max() < 1e-4
    assert np.abs(wiener2(plane, window, None if noise is None else float(scaled or 0)) - expected).max() < 1e-9


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_real_planes_are_finite_and_lie_between_mean_and_pixel(data: st.DataObject) -> None:
    shape = st.tuples(st.integers(1, 9), st.integers(1, 9))
    plane = data.draw(arrays.arrays(np.float64, shape, elements=st.floats(0, 1)))
    window = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    noise = data.draw(st.none() | st.floats(0, 1))
    out = wiener2(plane, window, noise)
    mean = next(box_sums(strip, window) for _, strip in padded_strips(plane, window, np.float64)) / np.prod(window)
    assert np.isfinite(out).all()
    assert np.all(out >= np.minimum(mean, plane) - 1e-12)
    assert np.all(out <= np.maximum(mean, plane) + 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint16, bool])
@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (5, 7), (70, 1100)], ids=str)
def test_planes_of_any_type(dtype: type, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 2, size).astype(dtype)
    plane.setflags(write=False)
    out = wiener2(plane, (3, 5), 0.1)
    assert out.dtype == np.float64
    assert out.shape == size
    assert np.abs(out - scipy_wiener(plane.astype(float), (3, 5), 0.1)).max() < 1e-9


def test_black_is_black_where_scipy_has_no_number() -> None:
    black = np.zeros((20, 30))
    assert np.isnan(scipy_wiener(black, (3, 3))).all()
    assert not wiener2(black).any()
    assert not wiener2(black, (7, 7), 0.0).any()
    assert not stage("wiener", window=7).apply(np.zeros((20, 30, 3), np.uint8), 0).any()


@pytest.mark.parametrize("level", [1, 128, 255])
def test_flat_pictures_keep_their_level_but_for_the_zeros_beyond_the_border(level: int) -> None:
    picture = np.full((20, 24, 3), level, np.uint8)
    out = stage("wiener", window=5).apply(picture, 0)
    assert (out[2:-2, 2:-2] == level).all()
    assert (stage("wiener", window=5, noise=0).apply(picture, 0) == level).all()
    # Infinite noise would leave the local mean: in the corner 9 of 25 pixels are inside.
    assert (stage("wiener", window=5, noise=1e9).apply(picture, 0)[0, 0] == np.rint(level * 9 / 25)).all()


def test_without_noise_nothing_changes() -> None:
    picture = noise_picture(40, 50)
    assert np.array_equal(stage("wiener", window=7, noise=0).apply(picture, 0), picture)
    plane = np.random.default_rng(0).random((40, 50))
    assert np.array_equal(wiener2(plane, (7, 7), 0.0), plane)


def test_a_large_picture_is_filtered_alike_in_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photograph()
    kept = wiener2_rounded(picture, (7, 7))
    monkeypatch.setattr("d2f_wiener.levels.KEPT", 0)
    assert np.array_equal(wiener2_rounded(picture, (7, 7)), kept)


@pytest.mark.parametrize("window", [(1, 1), (1, 2), (2, 1)], ids=str)
def test_the_least_windows(window: tuple[int, int]) -> None:
    picture = noise_picture(30, 40)
    levels = wiener2_levels(picture, window)
    for channel in range(3):
        assert np.abs(levels[..., channel] - 255 * wiener2(picture[..., channel] / 255, window)).max() < 0.01


def test_it_takes_noise_out() -> None:
    clean = photograph("chelsea").astype(float)
    noisy = half_even(clean + 20 * np.random.default_rng(0).standard_normal(clean.shape))
    out = stage("wiener", window=5).apply(noisy, 0)
    inside = (slice(5, -5), slice(5, -5))
    before, after = (np.sqrt(np.mean((x[inside] - clean[inside]) ** 2)) for x in (noisy.astype(float), out))
    assert after < 0.6 * before


@pytest.mark.parametrize(("window", "noise"), [((0, 3), None), ((3, -1), None), ((3, 3), -0.1), ((3, 3), float("nan"))])
def test_what_cannot_be_asked(window: tuple[int, int], noise: float | None) -> None:
    with pytest.raises(ValueError, match="at least"):
        wiener2(np.zeros((4, 4)), window, noise)
    with pytest.raises(ValueError, match="at least"):
        wiener2_levels(np.zeros((4, 4, 3), np.uint8), window, noise)


def test_a_plane_has_two_dimensions() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        wiener2(np.zeros((4, 4, 3)))


@pytest.mark.parametrize("length", range(1, 20))
@pytest.mark.parametrize("step", [1, 3])
def test_window_sums_are_sums(length: int, step: int) -> None:
    array = np.random.default_rng(length).integers(0, 1000, (70, 75))
    across = sum(array[:, k * step : 75 - (length - 1 - k) * step] for k in range(length))
    down = sum(array[k * step : 70 - (length - 1 - k) * step] for k in range(length))
    assert np.array_equal(window_sums(array, length, 1, step), across)
    assert np.array_equal(window_sums(array, length, 0, step), down)


def fastest(work: Callable[[], object]) -> float:
    """Return the least process time of five runs, in seconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("side", [3, 7])
def test_it_is_faster_than_scipy(side: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
    plane, window = levels / 255, (side, side)
    reference = fastest(lambda: scipy_wiener(plane, window))
    assert reference > 2 * fastest(lambda: wiener2(plane, window))
    assert reference > 4 * fastest(lambda: wiener2_levels(levels, window))
