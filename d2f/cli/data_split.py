"""`d2f data split`: train, validation and test, or folds, that share no picture and no collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f.data.dataset import Dataset

    Numbers = NDArray[np.int64]


@click.command()
@click.argument("data")
@click.option(
    "-o", "--output", required=True, metavar="FILE.csv|FOLDER", help="One manifest, or a manifest for each part."
)
@click.option(
    "--shares", default="70/15/15", show_default=True, help="Of train/validation/test; two numbers: train/validation."
)
@click.option("--folds", type=click.IntRange(2), metavar="K", help="Deal to K folds instead.")
@click.option("--near/--no-near", default=True, help="Keep pictures that look alike together.  [default: near]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the dealing.")
@click.option("--overwrite", is_flag=True, help="Replace manifests that are there already.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the result does not depend on it.")
def split(data: str, output: str, folds: int | None, shares: str, **options: Any) -> int:
    """Deal the images of DATA to train, validation and test.

    Collections are never cut, nor are groups, files with the same bytes, or pictures that look alike: 64-bit DCT
    hashes that differ in at most 6 bits. Each part has its share of both labels and of every generator, as far as
    whole collections allow. One FILE.csv gets a column `part` (or `fold`); a FOLDER gets a manifest for each.
    """
    from d2f.api.errors import Exit
    from d2f.cli.data_set import look_at, read_set
    from d2f.data.components import components
    from d2f.data.duplicates import duplicates, with_groups
    from d2f.data.splitting import PARTS, split_parts

    wanted = [1.0] * folds if folds else _shares(shares)
    names = [str(i) for i in range(folds)] if folds else list(PARTS[: len(wanted)])
    targets = _targets(output, [f"fold-{name}" for name in names] if folds else names, options["overwrite"])
    seen = look_at(read_set(data), options["near"], options["workers"])
    images = with_groups(seen.images, duplicates(seen).groups)
    numbers = components(images)
    parts = split_parts(images, numbers, wanted, options["seed"])
    _write(targets, images, parts, "fold" if folds else "part", names)
    click.echo("\n".join(_lines(images, numbers, parts, names, "fold" if folds else "part")))
    click.echo(f"wrote {', '.join(str(target) for target in targets)}")
    return Exit.SOME_FAILED if seen.problems else Exit.OK


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) not in (2, 3) or not all(0 < share < float("inf") for share in shares):
        raise click.UsageError(f"--shares takes two or three numbers above 0, such as 70/15/15, not '{text}'")
    return shares


def _targets(output: str, names: list[str], overwrite: bool) -> list[Path]:
    from d2f.cli.new_output import need_new_file

    if output.lower().endswith(".csv"):
        return [need_new_file(output, overwrite)]
    return [need_new_file(str(Path(output, f"{name}.csv")), overwrite) for name in names]


def _write(targets: list[Path], images: Dataset, parts: Numbers, column: str, names: list[str]) -> None:
    from d2f.data.manifest_file import write_manifest

    if len(targets) == 1:
        write_manifest(targets[0], images, {column: [names[part] for part in parts]})
        return
    for number, target in enumerate(targets):
        chosen = images.select(parts == number)
        write_manifest(target, chosen, {column: [names[number]] * len(chosen)})


def _lines(images: Dataset, components: Numbers, parts: Numbers, names: list[str], column: str) -> list[str]:
    from d2f.scoring.text_table import text_table

    rows = []
    for number, name in enumerate(names):
        chosen = images.select(parts == number)
        generated = int(chosen.labels.sum())
        generators = len({image.generator for image in chosen if image.label} - {""})
        independent = len(set(components[parts == number].tolist()))
        counts = (len(chosen), len(chosen) - generated, generated, independent, generators)
        rows.append([name, *map(str, counts), f"{100 * len(chosen) / len(images):.1f}"])
    return text_table([column, "images", "real", "generated", "components", "generators", "%"], rows)
