"""`d2f train`: one recipe, or several runs of it: k-fold, a sweep, an ablation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import D2FError, Exit
from d2f.cli.main import LazyGroup, Table
from d2f.cli.options import EXCLUDE, output_mode
from d2f.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from d2f.plugins.catalog import Catalog
    from d2f.train.recipe import NetworkRecipe
    from d2f.train.report import ValidationFigures
    from d2f.train.study import Trial

COMMANDS: Table = {
    "run": ("d2f.cli.train:run", "Train by one recipe; `d2f train RECIPE` is short for it."),
    "kfold": ("d2f.cli.train:kfold", "Train once for each fold, and average."),
    "sweep": ("d2f.cli.train:sweep", "Train with other values of a recipe's keys."),
    "ablate": ("d2f.cli.train:ablate", "Train without one thing at a time."),
}


class TrainGroup(LazyGroup):
    """A group whose first word may be a recipe."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a first word that is none is a recipe for `run`."""
        if args[0] not in self.table and not ctx.resilient_parsing:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=TrainGroup,
    table=COMMANDS,
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="RECIPE | COMMAND [ARGS]...",
)
def train() -> None:
    """Train a detector's weights by a recipe, a YAML file that names a trainable.

    `d2f train RECIPE -o FILE.safetensors` trains and measures; what a recipe may say is in the reference.
    """


@click.command(short_help="Train by one recipe; `d2f train RECIPE` is short for it.")
@click.argument("recipe")
@click.option("--data", help="Folder or manifest of labelled images; replaces the recipe's own.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The weights file, FILE.safetensors."
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Make features or tiles by so many."
)
@EXCLUDE
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder that stores an estimator's features, for recipes that differ in the fit and for runs that were ended.",
)
@click.option("--resume", is_flag=True, help="Go on with a network's run that was ended.")
@click.option("--overwrite", is_flag=True, help="Replace files that `d2f train` did not make; a run folder never.")
def run(recipe: str, exclude: tuple[tuple[str, str], ...], resume: bool, overwrite: bool, **requested: Any) -> None:
    """Fit the model that RECIPE names and measure it on whole collections that it was not fitted to.

    Beside the weights, FILE.safetensors and FILE.npz, a run folder FILE.run is left: log, model card, plots, worst
    mistakes, a network's checkpoints, and in FILE.run/folds the weights that an estimator's cross-validation fitted
    without each fold, for `d2f chain fit --oof-weights`. The same recipe and images give the same weights.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.train.read import read_recipe
    from d2f.train.recipe import EstimatorRecipe
    from d2f.train.report import figures_table
    from d2f.train.run import TrainRequest, train_model

    catalog = Catalog.discover()
    read = read_recipe(recipe, catalog)
    if output_mode(resume, overwrite) == "resume" and isinstance(read, EstimatorRecipe):
        reason = f"'{read.train}' is an estimator, which is fitted in one fit: --cache DIR stores its features"
        raise click.UsageError(f"--resume goes on with a network's run, and {reason}")
    if exclude:
        more = [{"column": column, "equals": value} for column, value in exclude]
        read = read.changed({"data.exclude": [*(each.model_dump() for each in read.data.exclude), *more]})
    request = TrainRequest(resume=resume, overwrite=overwrite, **requested)
    with TrainingProgress() as watcher:
        trained = train_model(read, catalog, request, watcher)
    if trained.sha256:
        click.echo(figures_table(trained.figures))
        click.echo(f"{trained.weights}  sha256 {trained.sha256}")


class TrainingProgress(Progress):
    """Shows training: a live bar with loss and rate on a terminal, a line an epoch or a twentieth elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__("training", console=console)

    def images(self, what: str, done: int, total: int) -> None:
        """Show how many images have their features or tiles."""
        self.update(done, total, what)
        if not sys.stderr.isatty() and total >= 200 and done % (total // 20) == 0:
            self.say(f"{what} of {done} of {total} images")

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show an epoch's updates, its loss and the learning rate."""
        self.update(done, total, f"epoch {epoch + 1}", f"loss {loss:.4f}  rate {rate:.2g}")

    def epoch(self, epoch: int, loss: float, figures: ValidationFigures, best: bool) -> None:
        """Print an epoch's figures."""
        mark = ", best so far" if best else ""
        self.say(
            f"epoch {epoch + 1}: loss {loss:.4f}; validation loss {figures.loss:.4f}, "
            f"accuracy {figures.accuracy:.3f}, AUC {figures.auc:.3f}{mark}"
        )


def _study(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what the three commands share."""
    for option in (
        click.option(
            "--workers", default=1, show_default=True, type=click.IntRange(1), help="Threads that make tiles."
        ),
        click.option(
            "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder: a run each, and the table."
        ),
        click.option("--data", help="Folder or manifest of labelled images; replaces the recipe's own."),
        click.argument("recipe"),
    ):
        command = option(command)
    return command


@click.command(short_help="Train once for each fold, and average.")
@_study
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2), help="Folds of whole components.")
def kfold(recipe: str, data: str | None, output: Path, workers: int, folds: int) -> int:
    """Train RECIPE once for each fold, which validates; no fold shares a collection with another.

    The same command again goes on where it was ended. Exit code 1 where a trial failed.
    """
    from d2f.train.study import fold_trials

    return _run_study(recipe, data, output, workers, lambda read, _: fold_trials(read, folds))


@click.command(short_help="Train with other values of a recipe's keys.")
@_study
@click.option(
    "--set",
    "sets",
    multiple=True,
    required=True,
    metavar="KEY=V1,V2",
    help="Values of a key, such as optimiser.rate=0.1,0.01 or with.depth=20,32; for --random also KEY=LOW..HIGH.",
)
@click.option("--random", "count", type=click.IntRange(1), help="Draw so many combinations, instead of taking all.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the random search.")
def sweep(
    recipe: str, data: str | None, output: Path, workers: int, sets: tuple[str, ...], count: int | None, seed: int
) -> int:
    """Train RECIPE with each combination of other values of its keys, or with some drawn at random.

    The same command again goes on where it was ended. Exit code 1 where a trial failed.
    """
    from d2f.train.study import grid_trials, random_trials

    def trials(read: NetworkRecipe, catalog: Catalog) -> list[Trial]:
        if count is None:
            return grid_trials(read, catalog, sets)
        return random_trials(read, catalog, sets, count, seed)

    return _run_study(recipe, data, output, workers, trials)


@click.command(short_help="Train without one thing at a time.")
@_study
def ablate(recipe: str, data: str | None, output: Path, workers: int) -> int:
    """Train RECIPE as it is, and with one thing taken away: residual connections, depth, each augmentation, balancing.

    The same command again goes on where it was ended. Exit code 1 where a trial failed.
    """
    from d2f.train.study import ablation_trials

    return _run_study(recipe, data, output, workers, ablation_trials)


def _run_study(
    recipe: str, data: str | None, output: Path, workers: int, trials: Callable[[NetworkRecipe, Catalog], list[Trial]]
) -> int:
    from d2f.plugins.catalog import Catalog
    from d2f.train.read import read_recipe
    from d2f.train.recipe import NetworkRecipe
    from d2f.train.study import Study, study_table

    catalog = Catalog.discover()
    read = read_recipe(recipe, catalog)
    if not isinstance(read, NetworkRecipe):
        raise D2FError.of("D2F607", f"'{read.train}' is an estimator, which `d2f train` cross-validates by itself")
    wanted = trials(read, catalog)
    with TrainingProgress() as watcher:
        rows = Study(catalog, output, data, workers, watcher).run(wanted)
    click.echo(study_table(rows))
    return Exit.SOME_FAILED if any("error" in row for row in rows) else Exit.OK
