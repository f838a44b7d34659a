"""`d2f train RECIPE`: fit a model and measure it by cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from d2f.training.figures import Figures


@click.command()
@click.argument("recipe")
@click.option("--data", help="Folder or manifest of labelled images; goes before the recipe's own.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The weights file, FILE.safetensors."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes that make features.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder that keeps the features, for recipes that differ in the fit.",
)
def train(recipe: str, data: str | None, output: Path, workers: int, cache: Path | None) -> None:
    """Fit the model that RECIPE names and measure it by cross-validation over whole collections.

    Writes the weights file, and beside it a journal in JSON lines. The same recipe and images give the
    same weights.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.training.read import read_recipe
    from d2f.training.run import Watcher, train

    catalog = Catalog.discover()
    watcher = Watcher(lambda line: click.echo(line, err=True), _progress)
    trained = train(read_recipe(recipe, catalog), catalog, output, watcher, data, workers, cache)
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
