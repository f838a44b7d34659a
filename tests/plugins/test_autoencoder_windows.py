"""Windows laid over a map give what the whole map gives, for functions whose answers are exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from d2f_autoencoder.windows import AT_ONCE, Map, Reach, over
from hypothesis import given, settings
from hypothesis import strategies as st


def box(whole: Map, radius: int) -> Map:
    """Sum each element's neighbourhood, zeros beyond the border."""
    padded = np.pad(whole, ((radius, radius), (radius, radius), (0, 0)))
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1)).sum(axis=(-2, -1))


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 4),
    st.integers(1, 20),
    st.sampled_from([(1, 1), (2, 1), (1, 2)]),
    st.integers(0, 2**32),
)
def test_windows_give_what_the_whole_gives(
    size: tuple[int, int], margin: int, core: int, scale: tuple[int, int], seed: int
) -> None:
    down, up = scale
    whole = np.random.default_rng(seed).integers(0, 100, (size[0] * down, size[1] * down, 2))

    def function(window: Map) -> Map:
        return box(window, margin * down)[::down, ::down].repeat(up, axis=0).repeat(up, axis=1)

    sides = set()

    def run(windows: Sequence[Map]) -> Sequence[Map]:
        assert len(windows) <= AT_ONCE
        sides.update(window.shape for window in windows)
        return [function(window) for window in windows]

    reach = Reach(margin * down, 2, down, up)
    made = over(whole, run, reach, (2 * margin + core) * down, np.int64)
    assert np.array_equal(made, function(whole))
    (shape,) = sides
    assert max(shape[:2]) <= (2 * margin + core) * down


def test_a_margin_that_is_too_small_shows() -> None:
    whole = np.random.default_rng(0).integers(0, 100, (40, 40, 1))
    reach = Reach(1, 1)
    made = over(whole, lambda windows: [box(window, 2) for window in windows], reach, 10, np.int64)
    assert not np.array_equal(made, box(whole, 2))


@pytest.mark.parametrize(("length", "windows", "longest"), [(100, 1, 100), (101, 2, 61), (1000, 13, 96)])
def test_windows_are_no_more_and_no_longer_than_needed(length: int, windows: int, longest: int) -> None:
    sizes: list[int] = []

    def run(given: Sequence[Map]) -> Sequence[Map]:
        sizes.extend(len(window) for window in given)
        return given

    over(np.zeros((length, 1, 1)), run, Reach(10, 1), 100)
    assert sizes == [longest] * windows
    # Each of a count of windows covers its share and a margin at each of its cuts.
    assert longest == -(-(length + 20 * (windows - 1)) // windows)
    assert (100 - 20) * (windows - 1) + 20 < length <= (100 - 20) * windows + 20


@pytest.mark.parametrize("place", [0, 8, 24])
def test_places_of_the_output(place: int) -> None:
    assert Reach(0, 1, down=8).out(place) == place / 8
    assert Reach(0, 1, up=8).out(place) == place * 8
