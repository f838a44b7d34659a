"""What an epoch draws."""

from __future__ import annotations

import numpy as np
import pytest

from d2f.train.recipe import BalanceSettings
from d2f.train.tiles import draw_tiles, epoch_order, label_counts

LABELS = np.array([0] * 10 + [1] * 4, dtype=np.int8)
EVEN = np.ones(14)


@pytest.mark.parametrize(
    ("balance", "counts"),
    [
        (BalanceSettings(by="smallest"), (4, 4)),
        (BalanceSettings(by="oversample"), (10, 10)),
        (BalanceSettings(by="weights"), (10, 4)),
        (BalanceSettings(by="none"), (10, 4)),
        (BalanceSettings(by="smallest", tiles=6), (3, 3)),
        (BalanceSettings(by="none", tiles=7), (5, 2)),
    ],
)
def test_label_counts(balance: BalanceSettings, counts: tuple[int, int]) -> None:
    assert label_counts(LABELS, balance) == counts
    order = epoch_order(LABELS, EVEN, balance, 0, 0)
    assert np.bincount(LABELS[order]).tolist() == list(counts)


def test_without_balance_every_tile_is_drawn_once() -> None:
    order = epoch_order(LABELS, EVEN, BalanceSettings(by="none"), 5, 2)
    assert sorted(order.tolist()) == list(range(14))


def test_oversampling_draws_each_as_often_as_its_share_says() -> None:
    order = epoch_order(LABELS, EVEN, BalanceSettings(by="oversample"), 1, 0)
    counts = np.bincount(order, minlength=14)
    assert (counts[:10] == 1).all()
    assert set(counts[10:].tolist()) <= {2, 3}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(LABELS, EVEN, BalanceSettings(), seed, epoch).tolist()

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_draw_follows_weights_within_one() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    drawn = draw_tiles(np.arange(4), weights, 25, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=4)
    assert (np.abs(counts - 25 * weights / 10) < 1).all()
