"""`d2f train kfold`, `sweep` and `ablate`: several runs of a recipe, one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog
    from d2f.training.gradient.recipe import NetworkRecipe
    from d2f.training.gradient.trials import Trial


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
        from d2f.training.gradient.trials import fold_trials

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
        from d2f.training.gradient.trials import grid_trials, random_trials

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
        from d2f.training.gradient.trials import ablation_trials

        return ablation_trials(read, catalog)

    return _run(recipe, data, output, workers, trials)


def _run(
    recipe: str, data: str | None, output: Path, workers: int, trials: Callable[[NetworkRecipe, Catalog], list[Trial]]
) -> int:
    from d2f.api.errors import D2FError, Exit
    from d2f.cli.train_meter import meter
    from d2f.plugins.catalog import Catalog
    from d2f.training.gradient.recipe import NetworkRecipe
    from d2f.training.gradient.study import Study, table
    from d2f.training.read import read_recipe

    catalog = Catalog.discover()
    read = read_recipe(recipe, catalog)
    if not isinstance(read, NetworkRecipe):
        raise D2FError.of("D2F607", f"'{read.train}' is an estimator, which `d2f train` cross-validates by itself")
    wanted = trials(read, catalog)
    with meter() as watcher:
        rows = Study(catalog, output, data, workers, watcher).run(wanted)
    click.echo(table(rows))
    return Exit.SOME_FAILED if any("error" in row for row in rows) else Exit.OK
