"""The step: gradients of a batch, summed over batches, made into one update. Its state is named explicitly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

from d2f.training.gradient.losses import tile_losses
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.recipe_optimiser import Optimiser

Reduce = Callable[[Any], Any]


class Stepper:
    """Updates a network.

    Parameters
    ----------
    network : mlx.nn.Module
    optimiser : mlx.optimizers.Optimizer
    smoothing : float
        Label smoothing.
    clip : float, optional
        Greatest norm of an update's gradient.
    compiled : bool
        Compile both halves of the step.
    reduce : callable, optional
        Sums a tree of arrays over the processes that train together.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: optim.Optimizer,
        smoothing: float = 0.0,
        clip: float | None = None,
        compiled: bool = False,
        reduce: Reduce | None = None,
    ) -> None:
        self.network, self.optimiser, self._reduce = network, optimiser, reduce
        self.pending: Any = None
        """Gradients that were added since the last update."""
        value_and_grad = nn.value_and_grad(network, _weighted_loss(network, smoothing))

        def gradients(pixels: mx.array, labels: mx.array, weights: mx.array) -> tuple[mx.array, Any]:
            loss, made = value_and_grad(pixels.astype(mx.float32) / 255.0, labels, weights)
            return loss, made

        def update(gradient: Any) -> None:
            if clip is not None:
                gradient, _ = optim.clip_grad_norm(gradient, clip)
            optimiser.update(network, gradient)

        # What a compiled function reads or changes besides its arguments has to be named: the network (batch norm's
        # statistics change in the first half), the optimiser, and the random state (drop-out).
        forward, backward = [network.state, mx.random.state], [network.state, optimiser.state]
        optimiser.init(network.trainable_parameters())
        self._gradients = mx.compile(gradients, inputs=forward, outputs=forward) if compiled else gradients
        self._update = mx.compile(update, inputs=backward, outputs=backward) if compiled else update

    def add(self, pixels: Any, labels: Any, weights: Any) -> mx.array:
        """Add a batch's gradient, and return its loss summed over tiles, weighted; evaluated.

        Parameters
        ----------
        pixels : array, uint8 (n, size, size, 3)
        labels : array, (n,)
            0 real, 1 generated.
        weights : array, (n,)
            Of each tile, over the number of tiles in the whole update: so that summed batches are the big batch.
        """
        loss, made = self._gradients(mx.array(pixels), mx.array(labels, mx.float32), mx.array(weights, mx.float32))
        self.pending = made if self.pending is None else tree_map(mx.add, self.pending, made)
        mx.eval(loss, self.pending, self.network.state)
        return loss

    def update(self, rate: float) -> None:
        """Change the network by the gradients that were added."""
        gradient, self.pending = self.pending, None
        if self._reduce is not None:
            gradient = self._reduce(gradient)
        self.optimiser.learning_rate = mx.array(rate, mx.float32)
        self._update(gradient)
        mx.eval(self.network.state, self.optimiser.state)


def make_optimiser(wanted: Optimiser) -> optim.Optimizer:
    """Return the optimiser that a recipe names."""
    if wanted.use == "sgd":
        return optim.SGD(wanted.rate, wanted.momentum, wanted.decay, nesterov=wanted.nesterov)
    if wanted.use == "adam":
        return optim.Adam(wanted.rate, wanted.betas, bias_correction=True)
    return optim.AdamW(wanted.rate, wanted.betas, weight_decay=wanted.decay, bias_correction=True)


def wants_compiling(recipe: NetworkRecipe) -> bool:
    """Say whether the step is compiled: `auto` does so off the CPU, where it costs seconds and gains little."""
    return recipe.compile == "on" or (recipe.compile == "auto" and mx.default_device() != mx.cpu)


def _weighted_loss(network: nn.Module, smoothing: float) -> Callable[[mx.array, mx.array, mx.array], mx.array]:
    def loss(pixels: mx.array, labels: mx.array, weights: mx.array) -> mx.array:
        return (tile_losses(network(pixels), labels, smoothing) * weights).sum()

    return loss
