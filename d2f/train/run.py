"""`d2f train`: a recipe and images in; a weights file, its figures and a run folder out. The story of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from d2f.api.errors import D2FError
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.report.tables import plain
from d2f.train.folder import Log, RunFolder, read_log, write_output
from d2f.train.recipe import EstimatorRecipe, NetworkRecipe
from d2f.weights import write_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f.data.dataset import Dataset
    from d2f.train.report import ValidationFigures


class TrainWatcher(Protocol):
    """Is called as a run goes on."""

    def say(self, line: str) -> None:
        """Show a sentence."""

    def images(self, what: str, done: int, total: int) -> None:
        """Show how many images have their features or tiles: `what` names them."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Called after an update: the epoch from 0, its updates so far and in all, the mean loss, the rate."""

    def epoch(self, epoch: int, loss: float, figures: ValidationFigures, best: bool) -> None:
        """Called after each epoch."""


class SilentWatcher:
    """Shows nothing."""

    def say(self, *_: Any, **__: Any) -> None:
        """Show nothing."""

    images = step = epoch = say


@dataclass(frozen=True)
class TrainRequest:
    """What is requested of a run beside its recipe.

    `fold` (number from 0, count) says which fold validates a network; `cache` is a folder of an estimator's features.
    """

    output: Path
    data: str | None = None
    workers: int = 1
    resume: bool = False
    overwrite: bool = False
    fold: tuple[int, int] | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Run:
    """What a fitter works with."""

    recipe: Any
    catalog: Catalog
    trainable: Any
    request: TrainRequest
    folder: RunFolder
    watcher: TrainWatcher


@dataclass(frozen=True)
class FittedModel:
    """What a fitter returns: the arrays, what they are of, and how they did on images that they were not fitted to."""

    arrays: Mapping[str, NDArray[Any]]
    facts: dict[str, str]
    trained_on: NDArray[np.uint64]
    figures: dict[str, ValidationFigures]
    measured_on: Dataset
    log: Log


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a run has left; `sha256` is empty in processes that do not write."""

    weights: Path
    sha256: str
    figures: dict[str, ValidationFigures]
    folder: Path


def train_model(
    recipe: EstimatorRecipe | NetworkRecipe, catalog: Catalog, request: TrainRequest, watcher: TrainWatcher
) -> TrainedModel:
    """Fit the model that a recipe describes, measure it, and leave its weights and a run folder.

    Raises D2FError: D2F004: an output cannot be written; D2F6xx: what is wrong with the recipe, the images or the run.
    """
    output = request.output
    if output.suffix != ".safetensors":
        raise D2FError.of("D2F004", f"weights are written as .safetensors, not as '{output.name}'")
    if request.cache is not None and isinstance(recipe, NetworkRecipe):
        raise D2FError.of("D2F001", f"--cache is for estimators, and '{recipe.train}' is a network")
    rank, fit = _fitter(recipe, watcher)
    run = Run(
        recipe=recipe,
        catalog=catalog,
        trainable=_trainable(recipe, catalog),
        request=request,
        folder=RunFolder(output.with_suffix(".run"), rank),
        watcher=SilentWatcher() if rank else watcher,
    )
    run.folder.claim(recipe, request.resume, (output, output.with_suffix(".npz")), request.overwrite)
    fitted = fit(run)
    sha256 = "" if rank else _write_outputs(run, fitted)
    return TrainedModel(output, sha256, fitted.figures, run.folder.path)


def _fitter(recipe: EstimatorRecipe | NetworkRecipe, watcher: TrainWatcher) -> tuple[int, Callable[[Run], FittedModel]]:
    """Return this process's number, of which 0 writes, and what fits; a network's processes were joined."""
    if isinstance(recipe, EstimatorRecipe):
        from d2f.train.estimator import fit_estimator

        return 0, fit_estimator
    from d2f.train.network import fit_network
    from d2f.train.stepping import Processes

    processes = Processes.found()
    if processes.count > 1 and processes.rank == 0:
        watcher.say(f"{processes.count} processes train together, each on its share of every update")
    return processes.rank, partial(fit_network, processes)


def _trainable(recipe: EstimatorRecipe | NetworkRecipe, catalog: Catalog) -> Any:
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    kind, method = ("a network", "build") if isinstance(recipe, NetworkRecipe) else ("an estimator", "features")
    if not callable(getattr(trainable, method, None)):
        raise D2FError.of("D2F607", f"trainable '{recipe.train}' is not {kind}: it has no `{method}`")
    return trainable


def _write_outputs(run: Run, fitted: FittedModel) -> str:
    """Write the weights, their copy as .npz, the end of the log and the report; return the weights' sha256."""
    import numpy as np

    from d2f.train.report import write_report

    output = run.request.output
    measured = plain({name: one.row() for name, one in fitted.figures.items()})
    facts = {**fitted.facts, "measured": json.dumps(measured, sort_keys=True)}
    sha256 = write_weights(output, fitted.arrays, facts, fitted.trained_on)
    copy = io.BytesIO()
    np.savez(copy, **dict[str, Any](fitted.arrays))
    write_output(output.with_suffix(".npz"), copy.getvalue())
    if not read_log(fitted.log.path, "end"):
        best = {"best_epoch": int(facts["epoch"])} if "epoch" in facts else {}
        fitted.log.write("end", **best, measured=measured, weights=output.name, sha256=sha256)
    for line in write_report(run.folder.path, run.recipe, facts, fitted.figures, fitted.measured_on):
        run.watcher.say(line)
    return sha256
