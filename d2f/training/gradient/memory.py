"""How many tiles may go through a network at once: measured by a dry step, before training."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from d2f.api.errors import D2FError
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.stepping import Stepper, make_optimiser

TRIED = (2, 4)
"""Tiles of the two dry steps; memory grows evenly with tiles."""


def step_peak(trainable: Any, recipe: NetworkRecipe, tiles: int) -> int:
    """Return the most bytes that MLX holds during a step of so many tiles on a fresh network."""
    side = recipe.tiles.size
    mx.clear_cache()
    mx.reset_peak_memory()
    stepper = Stepper(trainable.build(), make_optimiser(recipe.optimiser), recipe.loss.smoothing)
    stepper.add(np.zeros((tiles, side, side, 3), np.uint8), np.arange(tiles) % 2, np.full(tiles, 1 / tiles))
    stepper.update(0.0)
    return int(mx.get_peak_memory())


def fitting_batch(trainable: Any, recipe: NetworkRecipe, budget: int) -> int:
    """Return the largest divisor of a recipe's batch whose step stays within a budget in bytes.

    On a CPU an allocation that fails ends the process, so that nothing is left to be caught: it is measured before.

    Raises
    ------
    D2FError
        D2F624: not even one tile does.
    """
    least, more = (step_peak(trainable, recipe, tiles) for tiles in TRIED)
    each = max(0.0, (more - least) / (TRIED[1] - TRIED[0]))
    divisors = [number for number in range(1, recipe.batch + 1) if recipe.batch % number == 0]
    needed = {number: least + (number - TRIED[0]) * each for number in divisors}
    within = [number for number in divisors if needed[number] <= budget]
    if not within:
        message = f"a step of one tile takes {needed[1] / 1e6:.0f} MB, more than the {budget / 1e6:.0f} MB of `memory`"
        raise D2FError.of("D2F624", message, "allow more, or take a smaller network, an early stem or smaller tiles")
    return max(within)
