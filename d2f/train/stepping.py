"""One update: losses, gradients added over batches and processes, the optimiser, its rate, and its size in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.train.recipe import LossSettings, NetworkRecipe, OptimiserSettings, ScheduleSettings


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


def logit_scores(logits: mx.array) -> mx.array:
    """Return one score a tile, shape (n,): the logit of generated over real."""
    return logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]


def check_head(logits: Any, loss: LossSettings) -> int:
    """Return how many logits a network has; refuse a loss that does not fit them."""
    heads = 1 if logits.ndim == 1 else logits.shape[1]
    wanted = {"auto": (1, 2), "binary-cross-entropy": (1,), "cross-entropy": (2,)}[loss.use]
    if logits.ndim > 2 or heads not in wanted:
        expected = " or ".join(map(str, wanted))
        message = f"the network gives {heads} logits a tile, and the loss '{loss.use}' expects {expected}"
        raise D2FError.of("D2F606", message, "set `logits` under the recipe's `with`, or `use` under its `loss`")
    return heads


class Stepper:
    """Updates a network."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: optim.Optimizer,
        smoothing: float = 0.0,
        clip: float | None = None,
        compiled: bool = False,
        reduce: Callable[[Any], Any] | None = None,
    ) -> None:
        self.network, self.optimiser, self._reduce = network, optimiser, reduce
        self.pending: Any = None
        """Gradients that were added since the last update."""

        def weighted_loss(pixels: mx.array, labels: mx.array, weights: mx.array) -> mx.array:
            return (tile_losses(network(pixels), labels, smoothing) * weights).sum()

        value_and_grad = nn.value_and_grad(network, weighted_loss)

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


def make_optimiser(wanted: OptimiserSettings) -> optim.Optimizer:
    """Return the optimiser that a recipe names."""
    if wanted.use == "sgd":
        return optim.SGD(wanted.rate, wanted.momentum, wanted.decay, nesterov=wanted.nesterov)
    if wanted.use == "adam":
        return optim.Adam(wanted.rate, wanted.betas, bias_correction=True)
    return optim.AdamW(wanted.rate, wanted.betas, weight_decay=wanted.decay, bias_correction=True)


def wants_compiling(recipe: NetworkRecipe) -> bool:
    """Return whether the step is compiled: `auto` does so off the CPU, where it costs seconds and gains little."""
    return recipe.compile == "on" or (recipe.compile == "auto" and mx.default_device() != mx.cpu)


@dataclass
class LearningRates:
    """A schedule over a run."""

    schedule: ScheduleSettings
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
        """Take an epoch's validation loss: `plateau` reduces after `patience` epochs without a lower one."""
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


MEMORY_WORDS = ("alloc", "memory")
"""What a device says that has none left."""


def add_in_parts(stepper: Stepper, pixels: Any, labels: Any, weights: Any, say: Callable[[str], None]) -> float:
    """Add a batch to an update and return its loss; where memory does not suffice, in halves, which is said.

    On Metal and CUDA a failed allocation raises; on a CPU it ends the process: see `fitting_batch`.
    """
    before = tree_map(lambda array: array, stepper.network.parameters()), stepper.pending
    try:
        return float(stepper.add(pixels, labels, weights).item())
    except RuntimeError as error:
        if len(pixels) < 2 or not any(word in str(error).lower() for word in MEMORY_WORDS):
            raise
    stepper.network.update(before[0])
    stepper.pending = before[1]
    mx.clear_cache()
    say(f"a batch of {len(pixels)} tiles does not fit the device's memory: it is taken in halves")
    middle, total = len(pixels) // 2, 0.0
    for half in (slice(None, middle), slice(middle, None)):
        total += add_in_parts(stepper, pixels[half], labels[half], weights[half], say)
    return total


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


@dataclass(frozen=True)
class Processes:
    """The processes, and which of them this is."""

    group: Any

    @classmethod
    def found(cls) -> Processes:
        """Join the others, where `mlx.launch` started this process; else be alone."""
        return cls(mx.distributed.init())

    @property
    def rank(self) -> int:
        """This process's number; 0 writes."""
        return int(self.group.rank())

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.group.size())

    def sum_tree(self, tree: Any) -> Any:
        """Return the sum of all processes' arrays, float32, as a tree of the same names."""
        if self.count == 1:
            return tree
        # All in one: each call waits for every process.
        named = tree_flatten(tree)
        cuts = np.cumsum([array.size for _, array in named])[:-1].tolist()
        total = mx.distributed.all_sum(mx.concatenate([array.reshape(-1) for _, array in named]), group=self.group)
        parts = [part.reshape(array.shape) for part, (_, array) in zip(mx.split(total, cuts), named, strict=True)]
        mx.eval(parts)
        return tree_unflatten([(name, part) for (name, _), part in zip(named, parts, strict=True)])

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(np.zeros(1))

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of all processes' numbers, in the precision of float32 pairs."""
        if self.count == 1:
            return values
        high = values.astype(np.float32)
        pair = mx.array(np.stack([high, (values - high).astype(np.float32)]))
        total: NDArray[np.float64] = np.array(self.sum_tree({"pair": pair})["pair"]).astype(np.float64).sum(axis=0)
        return total
