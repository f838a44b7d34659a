"""The training loop: epochs of updates, validation after each, checkpoints, the best epoch kept, an early stop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Pixels
from d2f.layers import parallel
from d2f.models import arrays_of, load_arrays
from d2f.train.augment import Augmenter
from d2f.train.folder import BEST, LAST, LOG, Log, Position, restore, save
from d2f.train.report import ValidationFigures, validation_figures, write_scalars
from d2f.train.run import Run
from d2f.train.stepping import (
    LearningRates,
    Processes,
    Stepper,
    UpdateSize,
    add_in_parts,
    logit_scores,
    make_optimiser,
    tile_losses,
    wants_compiling,
)
from d2f.train.tiles import Feeder, TileBatch, TileSet, epoch_order, label_counts, tile_weights, tiles_in_order
from d2f.weights import read_weights, write_weights

MEASURED_AT_ONCE = 16
CALMER = "lower optimiser.rate, or add schedule.warm_up or optimiser.clip"
"""What helps against a network that diverges."""


class Trainer:
    """Trains a network on tiles, from the start or from where its last checkpoint stood."""

    def __init__(
        self, run: Run, network: nn.Module, training: TileSet, validation: TileSet, processes: Processes, at_once: int
    ) -> None:
        recipe = self.recipe = run.recipe
        self.run, self.network, self.processes = run, network, processes
        self.training, self.validation, self.labels = training, validation, training.labels
        optimiser = make_optimiser(recipe.optimiser)
        self.position = self._restored(optimiser)
        self.drawn = label_counts(self.labels, recipe.balance)
        self.size = UpdateSize.of(sum(self.drawn), recipe.batch, recipe.accumulate, at_once, processes.count)
        updates = max(1, self.size.updates(sum(self.drawn)))
        self.rates = LearningRates(recipe.schedule, recipe.optimiser.rate, updates, recipe.epochs)
        if self.position.rates:
            self.rates.state = self.position.rates
        reduce = processes.sum_tree if processes.count > 1 else None
        smoothing, clip = recipe.loss.smoothing, recipe.optimiser.clip
        self.stepper = Stepper(network, optimiser, smoothing, clip, wants_compiling(recipe), reduce)
        self.drawing_weights, self.loss_weights = _draw_and_loss_weights(recipe, training)
        self.augmenter = Augmenter.of(recipe.augment, recipe.tiles.size, recipe.seed, run.catalog)
        self.feeder = Feeder(run.request.workers)
        if not self.feeder.native:
            run.watcher.say("mlx-data is not installed: plain threads feed the network, in the same order")
        self.log = Log(run.folder.path / LOG, self.position.log, processes.rank == 0)

    def train(self) -> None:
        """Train until the last epoch, or until patience ends; then load the best epoch's weights."""
        while not self.position.finished:
            self._epoch()
        self.processes.wait()
        load_arrays(self.network, dict(read_weights(self.run.folder.path / BEST).arrays), BEST)

    def _epoch(self) -> None:
        position, begun, waited = self.position, time.perf_counter(), self.feeder.waited
        resumed = position.place > 0
        order = epoch_order(self.labels, self.drawing_weights, self.recipe.balance, self.recipe.seed, position.epoch)
        total = self.size.updates(len(order))
        self.network.train()
        for loss in self._updates(order, total):
            rate = self.rates.rate(position.update)
            position.loss += self._finite(loss, rate)
            self.stepper.update(rate)
            position.update, position.place = position.update + 1, position.place + self.size.tiles
            done = position.place // self.size.tiles
            self.run.watcher.step(position.epoch, done, total, position.loss / done, rate)
            if position.update % self.recipe.checkpoint == 0 and done < total:
                self._checkpoint()
        seconds, waited = time.perf_counter() - begun, self.feeder.waited - waited
        figures = self.measure(self.validation)
        spent = {"seconds": seconds, "waited": waited, "waited_share": waited / seconds, "resumed": resumed}
        spent["validation_seconds"] = time.perf_counter() - begun - seconds
        self._end_epoch(figures, position.loss / total, spent)

    def _updates(self, order: NDArray[np.int64], total: int) -> Iterator[float]:
        """Yield the loss of each update that is left of an epoch, its gradients added."""
        size, start = self.size, self.position.place
        wanted = np.stack([order, np.arange(len(order))], axis=1)[start : total * size.tiles]
        # Of each update's tiles a process takes every n-th.
        mine = wanted[self.processes.rank :: self.processes.count]
        epoch = self.position.epoch

        def tile(number: int, place: int) -> Pixels:
            return self.augmenter(self.training.tile(number), number, epoch, place)

        batches = self.feeder.batches(mine, size.batch, tile)
        for _ in range(len(wanted) // size.tiles):
            yield sum(self._add(next(batches)) for _ in range(size.batches))

    def _add(self, batch: TileBatch) -> float:
        weights = self.loss_weights[batch.numbers] / self.size.tiles
        return add_in_parts(self.stepper, batch.pixels, self.labels[batch.numbers], weights, self.run.watcher.say)

    def _finite(self, loss: float, rate: float) -> float:
        loss = float(self.processes.sum(np.array([loss]))[0])
        if not math.isfinite(loss):
            epoch, update = self.position.epoch + 1, self.position.update + 1
            message = f"the loss is not finite in epoch {epoch}, update {update}, at rate {rate:g}"
            raise D2FError.of("D2F622", message, CALMER)
        return loss

    def _end_epoch(self, figures: ValidationFigures, loss: float, spent: dict[str, float]) -> None:
        """Compare an epoch with the best one, log it, decide whether to go on, and write a checkpoint."""
        position, stop, writes = self.position, self.recipe.stop, self.processes.rank == 0
        value, rate = figures.watched(stop.watch), self.rates.rate(position.update - 1)
        better = position.best is None or value < position.best - stop.delta
        if better:
            position.best, position.best_epoch = value, position.epoch
        self.rates.tell(figures.loss)
        number = position.epoch + 1
        self.log.write("epoch", epoch=number, loss=loss, rate=rate, best=better, validation=figures.row(), **spent)
        self.run.watcher.epoch(position.epoch, loss, figures, better)
        if writes and (wrong := write_scalars(self.run.folder.path, number, loss, rate, figures)):
            self.run.watcher.say(wrong)
        position.epoch, position.place, position.loss = number, 0, 0.0
        tired = stop.patience is not None and position.epoch - 1 - position.best_epoch >= stop.patience
        position.finished = tired or position.epoch >= self.recipe.epochs
        if better and writes:
            write_weights(self.run.folder.path / BEST, arrays_of(self.network))
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.position.rates, self.position.log = self.rates.state, self.log.bytes
        if self.processes.rank == 0:
            save(self.run.folder.path / LAST, self.network, self.stepper.optimiser, self.position)

    def _restored(self, optimiser: Any) -> Position:
        """Return where the run stands; one that is resumed has its network and optimiser restored."""
        last = self.run.folder.path / LAST
        if not self.run.request.resume or not last.is_file():
            return Position()
        position = restore(last, self.network, optimiser)
        self.run.watcher.say(f"resumes in epoch {position.epoch + 1}, after {position.update} updates")
        return position

    def measure(self, tiles: TileSet) -> ValidationFigures:
        """Return the network's figures on tiles, each process taking its share of them."""
        self.network.eval()
        # A feeder of its own: what validation waits for is not what the device waits for in training.
        feeder = Feeder(self.feeder.workers, self.feeder.native)
        found = np.zeros((len(tiles), 2))
        mine = tiles_in_order(len(tiles))[self.processes.rank :: self.processes.count]
        for batch in feeder.batches(mine, MEASURED_AT_ONCE, lambda number, _: tiles.tile(number)):
            logits = parallel(self.network, mx.array(batch.pixels).astype(mx.float32) / 255.0)
            labels = mx.array(tiles.labels[batch.numbers].astype(np.float32))
            found[batch.numbers] = np.stack([logit_scores(logits), tile_losses(logits, labels)], axis=1)
        return self._figures(tiles, self.processes.sum(found))

    def _figures(self, tiles: TileSet, found: NDArray[np.float64]) -> ValidationFigures:
        """Return the figures of tiles' scores and losses (tiles, 2); an image's score is the mean of its tiles'."""
        broken = int(np.count_nonzero(~np.isfinite(found).all(axis=1)))
        if broken:
            at = f"after update {self.position.update}"
            raise D2FError.of("D2F622", f"the scores of {broken} of {len(found)} tiles are not finite {at}", CALMER)
        counts = np.bincount(tiles.image, minlength=len(tiles.dataset))
        sums = np.bincount(tiles.image, weights=found[:, 0], minlength=len(tiles.dataset))
        scores = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return validation_figures(tiles.dataset, scores, float(found[:, 1].mean()))

    def sizes(self) -> dict[str, Any]:
        """Return what a log says of a run's size."""
        return {
            "parameters": sum(array.size for _, array in tree_flatten(self.network.trainable_parameters())),
            "device": str(mx.default_device()),
            "compiled": wants_compiling(self.recipe),
            "feeder": "mlx-data" if self.feeder.native else "threads",
            "processes": self.processes.count,
            "tiles": {"before": np.bincount(self.labels, minlength=2).tolist(), "epoch": list(self.drawn)},
            "update": {"tiles": self.size.tiles, "batch": self.size.batch, "batches": self.size.batches},
        }


def _draw_and_loss_weights(recipe: Any, tiles: TileSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return with which weights tiles are drawn, and which they have in the loss, (tiles,) each."""
    weights, even = tile_weights(tiles, recipe.balance.sources), np.ones(len(tiles))
    drawing, loss = (even, weights) if recipe.balance.by == "weights" else (weights, even)
    wanted = recipe.loss.class_weights
    if wanted is not None:
        loss = loss * (np.array(wanted) * 2 / sum(wanted))[tiles.labels]
    return drawing, loss
