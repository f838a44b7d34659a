"""`d2f data tile`: large pictures cut into tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.data.tiles.cutting import Tiled


@click.command()
@click.argument("data")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Empty, or not there yet.")
@click.option("--size", type=click.IntRange(8), default=224, show_default=True, help="Side of a tile, in pixels.")
@click.option(
    "--pick",
    type=click.Choice(["centre", "grid", "random"]),
    default="grid",
    show_default=True,
    help="Which tiles of a picture.",
)
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="The most from one picture.")
@click.option(
    "--flat",
    type=click.FloatRange(0.0),
    default=0.0,
    metavar="LEVEL",
    help="Leave out tiles whose luma deviates by less, in levels of 255, such as 4.",
)
@click.option(
    "--balance",
    type=click.Choice(["none", "smallest", "oversample", "weights"]),
    default="none",
    show_default=True,
    help="Bring both labels to one number of tiles, or to one weight.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every choice.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N pictures only, seeded and stratified.")
def tile(data: str, output: str, limit: int | None, **options: Any) -> int:
    """Cut the pictures of DATA into PNG tiles, listed in FOLDER/manifest.csv.

    All tiles of a picture share a group there, so that no split of d2f parts them. Exit code 1 where a picture
    cannot be read; the others are cut.
    """
    from d2f.api.errors import Exit
    from d2f.cli.data_set import read_set
    from d2f.cli.errors import print_problems
    from d2f.cli.new_output import need_new_folder
    from d2f.cli.ticking import ticking
    from d2f.data.tiles.cutting import Cut
    from d2f.data.tiles.cutting import tile as cut_tiles

    folder = need_new_folder(output)
    images = read_set(data, limit, options["seed"])
    with ticking("cutting", len(images)) as tick:
        made = cut_tiles(images, folder, Cut(**options), tick)
    print_problems(made.problems)
    click.echo("\n".join(_lines(made, len(images), options["balance"])))
    click.echo(f"wrote {folder / 'manifest.csv'}")
    return Exit.SOME_FAILED if made.problems else Exit.OK


def _lines(made: Tiled, pictures: int, balance: str) -> list[str]:
    from d2f.data.stats_lines import bar

    most = max(*made.before, *made.after)
    lines = [f"{pictures} pictures: {made.small} too small, {made.flat} tiles too flat"]
    stages = [("as cut", made.before)] + [(f"balance {balance}", made.after)] * (balance in ("smallest", "oversample"))
    for title, (real, generated) in stages:
        lines += [
            f"{title:<18}  real       {real:>7}  {bar(real, 0, most)}".rstrip(),
            f"{'':<18}  generated  {generated:>7}  {bar(0, generated, most)}".rstrip(),
        ]
    return lines
