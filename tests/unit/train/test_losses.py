"""Losses against their formulas, and under compile."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from d2f.api.errors import D2FError
from d2f.train.recipe import LossSettings
from d2f.train.stepping import check_head, logit_scores, tile_losses

LOGITS = np.array([-3.0, -0.2, 0.0, 1.5, 8.0], np.float32)
LABELS = np.array([0, 1, 1, 0, 1], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy(smoothing: float) -> None:
    aims = LABELS * (1 - smoothing) + smoothing / 2
    p = expit(LOGITS.astype(np.float64))
    expected = -(aims * np.log(p) + (1 - aims) * np.log1p(-p))
    found = tile_losses(mx.array(LOGITS), mx.array(LABELS), smoothing)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_two_logits(smoothing: float) -> None:
    logits = np.stack([np.zeros(5), LOGITS], axis=1)
    logs = log_softmax(logits, axis=1)
    hit = logs[np.arange(5), LABELS.astype(int)]
    expected = -((1 - smoothing) * hit + smoothing * logs.mean(axis=1))
    found = tile_losses(mx.array(logits.astype(np.float32)), mx.array(LABELS), smoothing)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-4)


def test_two_logits_score_as_one() -> None:
    both = mx.array(np.stack([np.ones(5, np.float32), LOGITS + 1], axis=1))
    np.testing.assert_allclose(np.array(logit_scores(both)), LOGITS, rtol=1e-5)
    np.testing.assert_allclose(
        np.array(tile_losses(both, mx.array(LABELS))),
        np.array(tile_losses(mx.array(LOGITS), mx.array(LABELS))),
        rtol=1e-4,
    )


def test_saturated_logits_have_a_finite_gradient_compiled_and_not() -> None:
    labels = mx.array([0.0, 1.0])

    def loss(logits: mx.array) -> mx.array:
        return tile_losses(logits, labels).sum()

    logits = mx.array([200.0, -200.0])
    for gradient in (mx.grad(loss), mx.compile(mx.grad(loss))):
        assert np.array(gradient(logits)).tolist() == [1.0, -1.0]


def test_a_loss_that_does_not_fit_the_head_is_refused() -> None:
    assert check_head(mx.zeros((3,)), LossSettings()) == 1
    assert check_head(mx.zeros((3, 2)), LossSettings()) == 2
    with pytest.raises(D2FError, match="gives 2 logits a tile, and the loss 'binary-cross-entropy' expects 1"):
        check_head(mx.zeros((3, 2)), LossSettings(use="binary-cross-entropy"))
    with pytest.raises(D2FError, match="gives 3 logits"):
        check_head(mx.zeros((3, 3)), LossSettings())
