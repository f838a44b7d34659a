"""Batches: the same from both feeders, in order, and the wait for them measured."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
import pytest

from d2f.train.stepping import UpdateSize
from d2f.train.tiles import Feeder, in_order

NATIVE = [False, pytest.param(True, marks=pytest.mark.skipif(not find_spec("mlx.data"), reason="without mlx-data"))]


def make(number: int, place: int) -> np.ndarray:
    time.sleep(0.001 * (number % 3))
    return np.full((2, 2, 3), number * 10 + place, np.uint8)


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order(native: bool, workers: int) -> None:
    wanted = np.array([(number, place) for place, number in enumerate((5, 3, 9, 1, 0, 3, 2))])
    batches = list(Feeder(workers, native).batches(wanted, 3, make))
    assert [batch.numbers.tolist() for batch in batches] == [[5, 3, 9], [1, 0, 3], [2]]
    values = np.concatenate([batch.pixels[:, 0, 0, 0] for batch in batches])
    assert values.tolist() == [50, 31, 92, 13, 4, 35, 26]
    assert batches[0].pixels.dtype == np.uint8
    assert batches[0].pixels.shape == (3, 2, 2, 3)


@pytest.mark.parametrize("native", NATIVE)
def test_what_goes_wrong_in_a_thread_is_raised(native: bool) -> None:
    def fail(number: int, place: int) -> np.ndarray:
        raise ValueError("no tile")

    with pytest.raises(ValueError, match="no tile"):
        list(Feeder(2, native).batches(in_order(4), 2, fail))


def test_the_wait_is_measured() -> None:
    def slow(number: int, place: int) -> np.ndarray:
        time.sleep(0.02)
        return make(0, 0)

    feeder = Feeder(1, False)
    list(feeder.batches(in_order(5), 5, slow))
    assert 0.1 <= feeder.waited < 0.5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((100, 8, 1, 8), (8, 8, 1)),
        ((100, 8, 3, 8), (24, 8, 3)),
        ((100, 8, 2, 4), (16, 4, 4)),
        ((5, 8, 4, 8), (5, 5, 1)),
        ((20, 8, 4, 8), (16, 8, 2)),
        ((100, 8, 1, 8, 2), (8, 4, 1)),
        ((100, 32, 3, 32, 2), (96, 24, 2)),
    ],
)
def test_an_update_is_divided_over_batches_and_processes(given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    size = UpdateSize.of(*given)
    assert (size.tiles, size.batch, size.batches) == expected
    assert size.updates(given[0]) == given[0] // size.tiles
