"""The step: accumulated batches are the big batch, losses and rates are formulas, a full device is taken in halves."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from d2f.api.errors import D2FError
from d2f.models import arrays_of
from d2f.train.recipe import LossSettings, OptimiserSettings, ScheduleSettings
from d2f.train.stepping import (
    LearningRates,
    Stepper,
    add_in_parts,
    check_head,
    logit_scores,
    make_optimiser,
    tile_losses,
)
from tests.unit.train.network_toys import Options, toy_network

# The step: accumulated batches are the big batch, compiled is uncompiled, a full device is taken in halves.


PIXELS = np.random.default_rng(1).integers(0, 256, (24, 16, 16, 3), np.uint8)


LABELS = np.arange(24) % 2


WEIGHTS = np.random.default_rng(2).uniform(0.5, 1.5, 24) / 24


def stepped(batch: int, options: Options | None = None, compiled: bool = False, **optimiser: Any) -> dict[str, Any]:
    mx.random.seed(0)
    network = toy_network(options or Options())
    wanted = OptimiserSettings.model_validate({"rate": 0.1, **optimiser})
    stepper = Stepper(network, make_optimiser(wanted), 0.1, wanted.clip, compiled)
    network.train()
    for _ in range(3):
        for start in range(0, 24, batch):
            cut = slice(start, start + batch)
            stepper.add(PIXELS[cut], LABELS[cut], WEIGHTS[cut])
        stepper.update(0.1)
    return arrays_of(network)


def assert_equal(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=tolerance, err_msg=name)


@pytest.mark.parametrize("batch", [12, 8, 5])
@pytest.mark.parametrize(
    "optimiser", [{}, {"use": "adamw", "decay": 0.01, "rate": 0.01}, {"clip": 0.05, "nesterov": True}]
)
def test_accumulated_batches_are_the_big_batch_without_batch_norm(batch: int, optimiser: dict[str, Any]) -> None:
    assert_equal(stepped(24, **optimiser), stepped(batch, **optimiser), 1e-5)


def test_with_batch_norm_they_are_not() -> None:
    options = Options(norm=True)
    big, small = stepped(24, options), stepped(6, options)
    assert max(np.abs(big[name] - small[name]).max() for name in big) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("options", [Options(norm=True), Options(logits=2, drop=0.3)])
def test_compiled_is_uncompiled(options: Options) -> None:
    assert_equal(stepped(24, options), stepped(24, options, compiled=True), 1e-5)


class Full:
    """Lets a step fail as a device without memory does, where a batch is larger than it has room for."""

    def __init__(self, stepper: Stepper, room: int) -> None:
        self._stepper, self._room = stepper, room
        self.network = stepper.network

    @property
    def pending(self) -> Any:
        return self._stepper.pending

    @pending.setter
    def pending(self, value: Any) -> None:
        self._stepper.pending = value

    def add(self, pixels: Any, labels: Any, weights: Any) -> mx.array:
        loss = self._stepper.add(pixels, labels, weights)
        if len(pixels) > self._room:
            raise RuntimeError("[malloc] Unable to allocate 9 bytes.")
        return loss


def test_a_batch_that_a_device_has_no_memory_for_is_taken_in_halves() -> None:
    said: list[str] = []
    steppers = []
    for _ in range(2):
        mx.random.seed(0)
        network = toy_network(Options())
        steppers.append(Stepper(network, make_optimiser(OptimiserSettings())))
    whole = float(steppers[0].add(PIXELS, LABELS, WEIGHTS).item())
    halved = add_in_parts(Full(steppers[1], 12), PIXELS, LABELS, WEIGHTS, said.append)
    assert halved == pytest.approx(whole, rel=1e-5)
    assert said == ["a batch of 24 tiles does not fit the device's memory: it is taken in halves"]
    for stepper in steppers:
        stepper.update(0.1)
    assert_equal(arrays_of(steppers[0].network), arrays_of(steppers[1].network), 1e-6)


def test_other_errors_are_not_halved() -> None:
    class Broken(Full):
        def add(self, pixels: Any, labels: Any, weights: Any) -> mx.array:
            raise RuntimeError("no kernel")

    mx.random.seed(0)
    with pytest.raises(RuntimeError, match="no kernel"):
        add_in_parts(
            Broken(Stepper(toy_network(Options()), make_optimiser(OptimiserSettings())), 1),
            PIXELS,
            LABELS,
            WEIGHTS,
            print,
        )


# Losses against their formulas, and under compile.


LOGITS = np.array([-3.0, -0.2, 0.0, 1.5, 8.0], np.float32)


LOSSES_LABELS = np.array([0, 1, 1, 0, 1], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy(smoothing: float) -> None:
    aims = LOSSES_LABELS * (1 - smoothing) + smoothing / 2
    p = expit(LOGITS.astype(np.float64))
    expected = -(aims * np.log(p) + (1 - aims) * np.log1p(-p))
    found = tile_losses(mx.array(LOGITS), mx.array(LOSSES_LABELS), smoothing)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_two_logits(smoothing: float) -> None:
    logits = np.stack([np.zeros(5), LOGITS], axis=1)
    logs = log_softmax(logits, axis=1)
    hit = logs[np.arange(5), LOSSES_LABELS.astype(int)]
    expected = -((1 - smoothing) * hit + smoothing * logs.mean(axis=1))
    found = tile_losses(mx.array(logits.astype(np.float32)), mx.array(LOSSES_LABELS), smoothing)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-4)


def test_two_logits_score_as_one() -> None:
    both = mx.array(np.stack([np.ones(5, np.float32), LOGITS + 1], axis=1))
    np.testing.assert_allclose(np.array(logit_scores(both)), LOGITS, rtol=1e-5)
    np.testing.assert_allclose(
        np.array(tile_losses(both, mx.array(LOSSES_LABELS))),
        np.array(tile_losses(mx.array(LOGITS), mx.array(LOSSES_LABELS))),
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


# Learning rates by hand.


def rates(epochs: int = 4, **schedule: object) -> LearningRates:
    return LearningRates(ScheduleSettings.model_validate(schedule), 1.0, 10, epochs)


def test_constant_and_warm_up() -> None:
    made = rates(warm_up=4)
    assert [made.rate(update) for update in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_step() -> None:
    made = rates(6, use="step", every=2, factor=0.5)
    assert [made.rate(10 * epoch) for epoch in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_cosine() -> None:
    made = rates(use="cosine", floor=0.1)
    assert made.rate(0) == 1.0
    assert made.rate(20) == pytest.approx(0.5)
    assert made.rate(40) == pytest.approx(0.1)


def test_plateau_waits_for_its_patience() -> None:
    made = rates(use="plateau", patience=2)
    found = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.94, 0.93, 0.5):
        made.tell(loss)
        found.append(made.rate(0))
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_state_goes_through_a_checkpoint() -> None:
    one, other = (rates(use="plateau", patience=2) for _ in range(2))
    assert one.state["best"] is None
    one.tell(1.0)
    one.tell(1.5)
    other.state = one.state
    one.tell(1.5)
    other.tell(1.5)
    assert one.rate(3) == other.rate(3) == pytest.approx(0.1)
