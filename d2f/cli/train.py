"""`d2f train`: one recipe, or several runs of it: k-fold, a sweep, an ablation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from d2f.cli.main import LazyGroup, Table
from d2f.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from d2f.plugins.catalog import Catalog
    from d2f.train.figures import Figures
    from d2f.train.measuring import Measured
    from d2f.train.network_recipe import NetworkRecipe
    from d2f.train.recipe import Recipe
    from d2f.train.trials import Trial
    from d2f.train.work import Request


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
@click.option("--data", help="Folder or manifest of labelled images; goes before the recipe's own.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The weights file, FILE.safetensors."
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Make features or tiles by so many."
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder that keeps an estimator's features, for recipes that differ in the fit.",
)
@click.option(
    "--keep-folds",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Leave an estimator's weights of each fold there, for `d2f chain fit --oof-weights`.",
)
@click.option("--resume", is_flag=True, help="Go on with a network's run that was ended.")
@click.option("--overwrite", is_flag=True, help="Replace files that `d2f train` did not make, too; a run folder never.")
def run(
    recipe: str,
    data: str | None,
    output: Path,
    workers: int,
    cache: Path | None,
    keep_folds: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Fit the model that RECIPE names and measure it on whole collections that it was not fitted to.

    An estimator is measured by cross-validation; a journal stands beside its weights. A network leaves a run folder,
    FILE.run: log, checkpoints, model card, plots, worst mistakes. The same recipe and images give the same weights.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.train.network_recipe import NetworkRecipe
    from d2f.train.outputs import need_free
    from d2f.train.read import read_recipe
    from d2f.train.table import fold_file
    from d2f.train.work import Request

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    catalog = Catalog.discover()
    read = read_recipe(recipe, catalog)
    if isinstance(read, NetworkRecipe):
        for option, given in (("--cache", cache), ("--keep-folds", keep_folds)):
            if given is not None:
                raise click.UsageError(f"{option} keeps what is an estimator's, and '{read.train}' is a network")
        _network(read, catalog, Request(output, data, workers, resume, overwrite=overwrite))
        return
    if resume:
        raise click.UsageError(
            f"--resume goes on with a network's run, and '{read.train}' is an estimator, which is fitted at one stroke"
        )
    need_free((output, output.with_suffix(".jsonl")), overwrite)
    if keep_folds is not None:
        need_free((fold_file(keep_folds, number) for number in range(read.folds)), overwrite, "--keep-folds")
    _estimator(read, catalog, output, data, workers, cache, keep_folds)


class TrainingProgress(Progress):
    """Shows a network's training: a live bar with loss and rate on a terminal, a line an epoch elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__("tiles", console=console)

    def images(self, done: int, total: int) -> None:
        """Show how many images were decoded."""
        self.update(done, total, "tiles")
        if not sys.stderr.isatty() and total >= 200 and done % (total // 20) == 0:
            self.say(f"tiles of {done} of {total} images")

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show an epoch's updates, its loss and the learning rate."""
        self.update(done, total, f"epoch {epoch + 1}", f"loss {loss:.4f}  rate {rate:.2g}")

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Print an epoch's figures."""
        mark = ", best so far" if best else ""
        self.say(
            f"epoch {epoch + 1}: loss {loss:.4f}; validation loss {figures.loss:.4f}, "
            f"accuracy {figures.accuracy:.3f}, AUC {figures.auc:.3f}{mark}"
        )


def _network(recipe: NetworkRecipe, catalog: Catalog, request: Request) -> None:
    from d2f.train.network import train_network
    from d2f.train.report import figures_table

    with TrainingProgress() as watcher:
        trained = train_network(recipe, catalog, request, watcher)
    if trained.sha256:
        click.echo(figures_table(trained.figures))
        click.echo(f"{trained.weights}  sha256 {trained.sha256}")


def _estimator(
    recipe: Recipe,
    catalog: Catalog,
    output: Path,
    data: str | None,
    workers: int,
    cache: Path | None,
    keep_folds: Path | None,
) -> None:
    from d2f.train.estimator import Watcher, train

    watcher = Watcher(lambda line: click.echo(line, err=True), _progress)
    trained = train(recipe, catalog, output, watcher, data, workers, cache, keep_folds)
    click.echo(_table(trained.figures))
    click.echo(f"{trained.weights}  sha256 {trained.sha256}")


def _progress(done: int, total: int) -> None:
    if done == total or done % max(1, total // 20) == 0:
        click.echo(f"features of {done} of {total} images", err=True)


def _table(measured: tuple[Figures, ...]) -> str:
    """Return the figures as a table in Markdown, as model cards hold it."""
    head = "| attack | images | AUC | balanced accuracy | AUC within two-class collections |\n|---|---|---|---|---|"
    rows = [
        f"| {each.attack} | {each.images} | {each.auc:.3f} | {each.balanced_accuracy:.3f} | {each.two_class_auc:.3f} |"
        for each in measured
    ]
    return "\n".join([head, *rows])


def _study(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what the three commands share."""
    for option in (
        click.option(
            "--workers", default=1, show_default=True, type=click.IntRange(1), help="Threads that make tiles."
        ),
        click.option(
            "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder: a run each, and the table."
        ),
        click.option("--data", help="Folder or manifest of labelled images; goes before the recipe's own."),
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

    def trials(read: NetworkRecipe, _: Catalog) -> list[Trial]:
        from d2f.train.trials import fold_trials

        return fold_trials(read, folds)

    return _run(recipe, data, output, workers, trials)


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

    def trials(read: NetworkRecipe, catalog: Catalog) -> list[Trial]:
        from d2f.train.trials import grid_trials, random_trials

        if count is None:
            return grid_trials(read, catalog, sets)
        return random_trials(read, catalog, sets, count, seed)

    return _run(recipe, data, output, workers, trials)


@click.command(short_help="Train without one thing at a time.")
@_study
def ablate(recipe: str, data: str | None, output: Path, workers: int) -> int:
    """Train RECIPE as it is, and with one thing taken away: residual connections, depth, each augmentation, balancing.

    The same command again goes on where it was ended. Exit code 1 where a trial failed.
    """

    def trials(read: NetworkRecipe, catalog: Catalog) -> list[Trial]:
        from d2f.train.trials import ablation_trials

        return ablation_trials(read, catalog)

    return _run(recipe, data, output, workers, trials)


def _run(
    recipe: str, data: str | None, output: Path, workers: int, trials: Callable[[NetworkRecipe, Catalog], list[Trial]]
) -> int:
    from d2f.api.errors import D2FError, Exit
    from d2f.plugins.catalog import Catalog
    from d2f.train.network_recipe import NetworkRecipe
    from d2f.train.read import read_recipe
    from d2f.train.study import Study, table

    catalog = Catalog.discover()
    read = read_recipe(recipe, catalog)
    if not isinstance(read, NetworkRecipe):
        raise D2FError.of("D2F607", f"'{read.train}' is an estimator, which `d2f train` cross-validates by itself")
    wanted = trials(read, catalog)
    with TrainingProgress() as watcher:
        rows = Study(catalog, output, data, workers, watcher).run(wanted)
    click.echo(table(rows))
    return Exit.SOME_FAILED if any("error" in row for row in rows) else Exit.OK
