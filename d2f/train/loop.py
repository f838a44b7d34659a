"""The loop: epochs of updates, validation after each, checkpoints, the best one kept, an early stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_map
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.mlx_cpu.parallel import parallel
from d2f.models import arrays_of
from d2f.train.feeding import Batch, Feeder, epoch_order
from d2f.train.folder import Log, Position, save
from d2f.train.measuring import Measured, measured, predict_tiles
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.operations import Augmenter
from d2f.train.scalars import write_scalars
from d2f.train.stepping import Rates, Stepper, UpdateSize, scores, tile_losses
from d2f.train.tiles import TileSet
from d2f.train.work import Processes, Watcher
from d2f.weights import write_weights

MEMORY_WORDS = ("alloc", "memory")
"""What a device says that has none left."""


def add_in_parts(stepper: Stepper, pixels: Any, labels: Any, weights: Any, say: Callable[[str], None]) -> float:
    """Add a batch to an update and return its loss; where memory does not suffice, in halves, which is said.

    On Metal and CUDA a failed allocation raises; on a CPU it ends the process: see `d2f.train.measuring`.
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


LAST, BEST = "last.safetensors", "best.safetensors"
CALMER = "lower optimiser.rate, or add schedule.warm_up or optimiser.clip"
"""What helps against a network that diverges."""


@dataclass
class Loop:
    """A network that is trained."""

    recipe: NetworkRecipe
    stepper: Stepper
    rates: Rates
    size: UpdateSize
    training: TileSet
    validation: TileSet
    weights: NDArray[np.float64]  # (tiles,)
    class_weights: NDArray[np.float64]  # (tiles,)
    augmenter: Augmenter
    feeder: Feeder
    processes: Processes
    folder: Path
    log: Log
    watcher: Watcher
    position: Position
    trained_before: NDArray[np.uint64] | None = None

    def run(self) -> None:
        """Train until the last epoch, or until patience ends."""
        while not self.position.finished:
            self._epoch()

    @property
    def network(self) -> nn.Module:
        """The network."""
        return self.stepper.network

    def _epoch(self) -> None:
        position, begun, waited = self.position, time.perf_counter(), self.feeder.waited
        resumed = position.place > 0
        order = epoch_order(self._labels, self.weights, self.recipe.balance, self.recipe.seed, position.epoch)
        total = self.size.updates(len(order))
        self.network.train()
        for losses in self._updates(order, total):
            rate = self.rates.rate(position.update)
            position.loss += self._finite(losses, rate)
            self.stepper.update(rate)
            position.update, position.place = position.update + 1, position.place + self.size.tiles
            done = position.place // self.size.tiles
            self.watcher.step(position.epoch, done, total, position.loss / done, rate)
            if position.update % self.recipe.checkpoint == 0 and done < total:
                self._checkpoint()
        trained = time.perf_counter() - begun
        self._end_epoch(total, resumed, trained, self.feeder.waited - waited, begun)

    @cached_property
    def _labels(self) -> NDArray[np.int8]:
        return self.training.labels

    def _updates(self, order: NDArray[np.int64], total: int) -> Iterator[float]:
        """Yield the loss of each update that is left of an epoch, its gradients added."""
        size, start = self.size, self.position.place
        wanted = np.stack([order, np.arange(len(order))], axis=1)[start : total * size.tiles]
        # Of each update's tiles a process takes every n-th.
        mine = wanted[self.processes.rank :: self.processes.count]
        batches = self.feeder.batches(mine, size.batch, partial(self._tile, self.position.epoch))
        for _ in range(len(wanted) // size.tiles):
            yield sum(self._add(next(batches)) for _ in range(size.batches))

    def _tile(self, epoch: int, number: int, place: int) -> Any:
        return self.augmenter(self.training.tile(number), number, epoch, place)

    def _add(self, batch: Batch) -> float:
        weights = self.class_weights[batch.numbers] / self.size.tiles
        return add_in_parts(self.stepper, batch.pixels, self._labels[batch.numbers], weights, self.watcher.say)

    def _finite(self, loss: float, rate: float) -> float:
        loss = float(self.processes.sum(np.array([loss]))[0])
        if not math.isfinite(loss):
            position = self.position
            message = (
                f"the loss is not finite in epoch {position.epoch + 1}, update {position.update + 1}, at rate {rate:g}"
            )
            raise D2FError.of("D2F622", message, CALMER)
        return loss

    def _end_epoch(self, total: int, resumed: bool, seconds: float, waited: float, begun: float) -> None:
        position, stop = self.position, self.recipe.stop
        figures = self.measure(self.validation)
        value = figures.watched(stop.watch)
        better = position.best is None or value < position.best - stop.delta
        if better:
            position.best, position.best_epoch = value, position.epoch
        loss, rate = position.loss / total, self.rates.rate(position.update - 1)
        self.rates.tell(figures.loss)
        spent = {"seconds": seconds, "waited": waited, "waited_share": waited / seconds, "resumed": resumed}
        spent["validation_seconds"] = time.perf_counter() - begun - seconds
        self.log.write(
            "epoch", epoch=position.epoch + 1, loss=loss, rate=rate, best=better, validation=figures.row(), **spent
        )
        self.watcher.epoch(position.epoch, loss, figures, better)
        if self.processes.rank == 0 and (wrong := write_scalars(self.folder, position.epoch + 1, loss, rate, figures)):
            self.watcher.say(wrong)
        position.epoch, position.place, position.loss = position.epoch + 1, 0, 0.0
        tired = stop.patience is not None and position.epoch - 1 - position.best_epoch >= stop.patience
        position.finished = tired or position.epoch >= self.recipe.epochs
        if better and self.processes.rank == 0:
            write_weights(self.folder / BEST, arrays_of(self.network))
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.position.rates, self.position.log = self.rates.state, self.log.bytes
        if self.processes.rank == 0:
            save(self.folder / LAST, self.network, self.stepper.optimiser, self.position)

    def measure(self, tiles: TileSet) -> Measured:
        """Return the network's figures on tiles, each process taking its share of them."""
        self.network.eval()
        # Not the loop's feeder: what validation waits for is not what the device waits for in training.
        feeder = Feeder(self.feeder.workers, self.feeder.native)

        def predict(batch: Batch) -> tuple[NDArray[Any], NDArray[Any]]:
            logits = parallel(self.network, mx.array(batch.pixels).astype(mx.float32) / 255.0)
            labels = mx.array(tiles.labels[batch.numbers].astype(np.float32))
            return np.array(scores(logits)), np.array(tile_losses(logits, labels))

        found = predict_tiles(tiles, predict, feeder, (self.processes.rank, self.processes.count))
        found = self.processes.sum(found)
        broken = int(np.count_nonzero(~np.isfinite(found).all(axis=1)))
        if broken:
            at = f"after update {self.position.update}"
            raise D2FError.of("D2F622", f"the scores of {broken} of {len(found)} tiles are not finite {at}", CALMER)
        return measured(tiles, found)
