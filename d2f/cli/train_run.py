"""`d2f train run RECIPE`: fit a model and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog
    from d2f.training.figures import Figures
    from d2f.training.gradient.recipe import NetworkRecipe
    from d2f.training.gradient.request import Request
    from d2f.training.recipe import Recipe


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
    help="Leave an estimator's weights of each fold there, for `d2f chain fit --stand-ins`.",
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
    from d2f.training.gradient.recipe import NetworkRecipe
    from d2f.training.gradient.request import Request
    from d2f.training.kept_folds import fold_file
    from d2f.training.outputs import need_free
    from d2f.training.read import read_recipe

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


def _network(recipe: NetworkRecipe, catalog: Catalog, request: Request) -> None:
    from d2f.cli.train_meter import meter
    from d2f.training.gradient.card import figures_table
    from d2f.training.gradient.run import train_network

    with meter() as watcher:
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
    from d2f.training.run import Watcher, train

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
