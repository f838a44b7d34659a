"""The step: accumulated batches are the big batch, compiled is uncompiled, a full device is taken in halves."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from d2f.models import arrays_of
from d2f.train.recipe import OptimiserSettings
from d2f.train.stepping import Stepper, add_in_parts, make_optimiser
from tests.unit.train.network_toys import Options, toy_network

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
