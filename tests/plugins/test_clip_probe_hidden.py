"""The head with a hidden layer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from d2f_clip_probe.hidden import NAMES, _gradients, fit, scores, shapes
from d2f_clip_probe.options import Hidden, TrainableOptions
from d2f_clip_probe.stage import ClipProbeTrainable, tile_scores

from d2f.metrics import roc_auc as auc

SMALL = Hidden(units=8, members=2, epochs=40, batch=32, rate=0.01)


def xor(n, seed=0):
    """Tokens whose label no linear head can tell."""
    random = np.random.default_rng(seed)
    tokens = random.normal(size=(n, 2, 5))
    labels = ((tokens[:, 0, 1] > 0) != (tokens[:, 1, 3] > 0)).astype(np.int8)
    tokens[:, 0, 1] += 2 * np.sign(tokens[:, 0, 1])
    tokens[:, 1, 3] += 2 * np.sign(tokens[:, 1, 3])
    return tokens, labels


def test_it_learns_what_a_linear_head_cannot():
    tokens, labels = xor(600)
    arrays = fit(tokens, labels, np.ones(600), SMALL, seed=3)
    assert {name: array.shape for name, array in arrays.items()} == shapes(2, 5, SMALL)
    fresh, expected = xor(400, seed=1)
    assert auc(expected, scores(arrays, fresh)) > 0.97
    linear = ClipProbeTrainable(TrainableOptions(blocks=(1,))).fit(tokens.reshape(600, -1), labels, np.ones(600), 0)
    assert 0.4 < auc(expected, tile_scores(linear, fresh.reshape(400, 2, 5)).mean(axis=1)) < 0.6


def test_the_gradient_is_that_of_weighted_cross_entropy():
    random = np.random.default_rng(0)
    parameters = [random.normal(size=(6, 4)), random.normal(size=4), random.normal(size=4), np.asarray(0.3)]
    x, y, weight = random.normal(size=(7, 6)), random.uniform(size=7), random.uniform(0.5, 2, 7)

    def loss(inner, inner_bias, outer, outer_bias):
        logits = np.maximum(x @ inner + inner_bias, 0) @ outer + outer_bias
        return np.mean(weight * (np.logaddexp(0, logits) - y * logits))

    found = _gradients(parameters, x, y, weight, 0.0, random)
    for number, gradient in enumerate(found):
        for place in np.ndindex(parameters[number].shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [each.copy() for each in parameters]
                moved[number][place] += step
                ends.append(loss(*moved))
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_fits_repeat_and_a_score_does_not_depend_on_the_other_rows():
    tokens, labels = xor(90)
    first, again = (fit(tokens, labels, np.ones(90), SMALL, seed=5) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in NAMES)
    other = fit(tokens, labels, np.ones(90), SMALL, seed=6)
    assert not np.array_equal(first["inner"], other["inner"])
    together = scores(first, tokens)
    assert np.array_equal(together, np.concatenate([scores(first, row[None]) for row in tokens]))


def test_heavier_rows_are_fitted_better():
    random = np.random.default_rng(2)
    tokens = np.repeat(random.normal(size=(40, 1, 4)), 2, axis=0)
    labels = np.tile([0, 1], 40).astype(np.int8)
    weights = np.tile([9.0, 1.0], 40)
    assert scores(fit(tokens, labels, weights, SMALL, 0), tokens).mean() < -1


def test_weights_are_small_and_options_survive_the_file():
    tokens, labels = xor(60)
    arrays = fit(tokens, labels, np.ones(60), SMALL, seed=1)
    assert arrays["inner"].dtype == np.float16
    options = TrainableOptions(hidden=SMALL)
    assert TrainableOptions.model_validate_json(json.dumps(options.model_dump(mode="json"))) == options
