"""How many tiles make an update, and in how many batches they go through the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

from d2f.api.errors import D2FError
from d2f.train.network_recipe import Loss, NetworkRecipe, Optimiser, Schedule


def tile_losses(logits: mx.array, labels: mx.array, smoothing: float = 0.0) -> mx.array:
    """Return the loss of each tile, shape (n,), in nats.

    Binary cross entropy is taken of logits: y log(1 + exp(-x)) + (1 - y) log(1 + exp(x)), which loses no digit where
    x is large. Of probabilities its gradient is not a number once a sigmoid saturates, compiled or not.

    `logits` mlx.core.array, shape (n,) or (n, 2); `labels` mlx.core.array, shape (n,), float32.
    """
    if logits.ndim == 1:
        aims = labels * (1.0 - smoothing) + smoothing / 2
        return aims * mx.logaddexp(0.0, -logits) + (1.0 - aims) * mx.logaddexp(0.0, logits)
    return nn.losses.cross_entropy(logits, labels.astype(mx.int32), label_smoothing=smoothing, reduction="none")


def scores(logits: mx.array) -> mx.array:
    """Return one score a tile, shape (n,): the logit of generated over real."""
    return logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]


def check_head(logits: Any, loss: Loss) -> int:
    """Return how many logits a network has; refuse a loss that does not fit them."""
    heads = 1 if logits.ndim == 1 else logits.shape[1]
    wanted = {"auto": (1, 2), "binary-cross-entropy": (1,), "cross-entropy": (2,)}[loss.use]
    if logits.ndim > 2 or heads not in wanted:
        message = (
            f"the network gives {heads} logits a tile, and the loss '{loss.use}' wants {' or '.join(map(str, wanted))}"
        )
        raise D2FError.of("D2F606", message, "set `logits` under the recipe's `with`, or `use` under its `loss`")
    return heads


Reduce = Callable[[Any], Any]


class Stepper:
    """Updates a network."""

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
        """Add a batch's gradient, and return its loss summed over tiles, weighted; evaluated."""
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


@dataclass
class Rates:
    """A schedule over a run."""

    schedule: Schedule
    top: float
    updates: int
    epochs: int

    def __post_init__(self) -> None:
        self._best, self._waited, self._reductions = math.inf, 0, 0

    def rate(self, update: int) -> float:
        """Return the rate of an update, counted from 0 over the whole run."""
        schedule = self.schedule
        warm = min(1.0, (update + 1) / (schedule.warm_up + 1))
        return warm * max(schedule.floor, self.top * self._share(update))

    def _share(self, update: int) -> float:
        schedule = self.schedule
        if schedule.use == "step":
            return float(schedule.factor ** (update // self.updates // schedule.every))
        if schedule.use == "cosine":
            length = max(1, self.updates * self.epochs - schedule.warm_up)
            done = min(max(0, update - schedule.warm_up) / length, 1.0)
            return 0.5 * (1 + math.cos(math.pi * done))
        return float(schedule.factor**self._reductions)

    def tell(self, loss: float) -> None:
        """Hear an epoch's validation loss: `plateau` reduces after `patience` epochs without a lower one."""
        if self.schedule.use != "plateau":
            return
        if loss < self._best:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= self.schedule.patience:
            self._reductions, self._waited = self._reductions + 1, 0

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain data."""
        return {
            "best": None if math.isinf(self._best) else self._best,
            "waited": self._waited,
            "reductions": self._reductions,
        }

    @state.setter
    def state(self, kept: dict[str, Any]) -> None:
        self._best = math.inf if kept["best"] is None else kept["best"]
        self._waited, self._reductions = kept["waited"], kept["reductions"]


@dataclass(frozen=True, slots=True)
class UpdateSize:
    """Of one process of several."""

    tiles: int
    batch: int
    batches: int

    @classmethod
    def of(cls, tiles: int, batch: int, accumulate: int, most: int, processes: int = 1) -> UpdateSize:
        """Divide an update over batches and processes."""
        whole = min(batch * accumulate, tiles if tiles < batch else tiles // batch * batch)
        each = max(1, whole // processes)
        at_once = next(number for number in range(min(batch, most, each), 0, -1) if each % number == 0)
        return cls(each * processes, at_once, each // at_once)

    def updates(self, tiles: int) -> int:
        """Return how many updates an epoch of so many tiles makes; what is left over waits for another epoch."""
        return tiles // self.tiles
