"""`d2f chain new`, a chain file of named stages, and `d2f chain build`, one from a tower and images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from d2f.cli.main import RememberingCommand, called_with
from d2f.cli.options import DRAWS
from d2f.cores import one_blas_thread
from d2f.progress import Progress


@click.command()
@click.option("--with", "stages", multiple=True, required=True, metavar="STAGE", help="NAME or NAME:key=value,…")
@click.option("--view", "views", multiple=True, metavar="NAME=SPEC", help="A view for all, such as soft=wiener:7.")
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The chain file.")
@click.option("--bare", is_flag=True, help="Without the preconditions and the evidence that shipped chains have.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
def new(stages: tuple[str, ...], views: tuple[str, ...], output: Path, bare: bool, overwrite: bool) -> None:
    """Write a chain file of STAGEs: detectors, preconditions, evidence readers; say what it needs before it is of use.

    A new chain is not fitted, and every verdict of it is inconclusive. How many images of one's own it needs is
    printed, and stands in it.
    """
    from d2f.chain.new import new_chain
    from d2f.evaluate.fit import chain_name
    from d2f.files import require_new_file, write_whole
    from d2f.plugins.catalog import Catalog

    require_new_file(output, overwrite)
    pairs = [each.partition("=") for each in views]
    if wrong := [each for each, (name, sign, spec) in zip(views, pairs, strict=True) if not (name and sign and spec)]:
        raise click.UsageError(f"--view expects NAME=SPEC, not '{wrong[0]}'")
    named = {name: spec for name, _, spec in pairs}
    made = new_chain(stages, named, chain_name(output.stem, "own"), str(output), Catalog.discover(), bare)
    write_whole(output, made.text)
    for line in made.lines(str(output)):
        click.echo(line)
    click.echo(f"wrote {output}")


@click.command(cls=RememberingCommand)
@click.argument("chain")
@click.option(
    "--tower", required=True, metavar="NAME", help="Image tower, as `d2f weights list` names it; or NAME=PATH."
)
@click.option("--data", required=True, metavar="DIR", help="Labelled images; with --sources, where they are brought.")
@click.option("--sources", metavar="CSV", help="Bring these images first, as `d2f data fetch` does.")
@click.option("--mirror", metavar="FOLDER", help="Read git directories there instead of the network, for --sources.")
@click.option(
    "--held-out",
    metavar="DIR",
    help="Images to bench on.  [default: a fifth of DIR, whole collections, fitted to by none]",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE.yaml", type=click.Path(path_type=Path), help="The chain file."
)
@click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="Attacked copies to fit to and bench under.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="In which the tower multiplies; bfloat16 needs PyTorch and takes CUDA where it is there.",
)
@click.option("--limit", type=click.IntRange(20), metavar="N", help="Take N images of DIR only, seeded and stratified.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every choice.")
@DRAWS
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes and threads.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.yaml and its card.")
@click.pass_context
def build(ctx: click.Context, /, chain: str, attacks: tuple[str, ...], **given: Any) -> int:
    """Put an image tower into CHAIN, such as deep: fit a head to it, fit the chain, compare it with CHAIN.

    FILE.yaml is the chain, FILE.safetensors its head, FILE.md the card: what was made of what, and how good it is on
    images whose collections it never saw. The tower is fetched where it is not here; tokens are stored in FILE.build,
    so that the same command goes on where it was ended.
    """
    one_blas_thread()
    from d2f.evaluate.bench_report import terminal_lines
    from d2f.tower_chain import ATTACKS, BuildRequest, build_chain

    if given["output"].suffix not in (".yaml", ".yml"):
        raise click.UsageError(f"-o expects a file that ends in .yaml, not '{given['output']}'")
    if given["mirror"] and not given["sources"]:
        raise click.UsageError("--mirror goes with --sources")
    request = BuildRequest(chain, attacks=attacks or ATTACKS, command=called_with(ctx), **given)
    try:
        with BuildProgress() as watcher:
            found = build_chain(request, watcher)
    except KeyboardInterrupt:
        click.echo(f"interrupted; the same command goes on, by what is stored in {request.folder}", err=True)
        raise
    for line in terminal_lines(found):
        click.echo(line)
    click.echo(f"wrote {request.output}, {request.head}, {request.card}")
    return 0


class BuildProgress(Progress):
    """Shows each part of the work: images done, their rate and the time left."""

    def __init__(self) -> None:
        super().__init__("building", lines=True)

    def begin(self, what: str, total: int) -> None:
        """Begin a part."""
        self.unit = "images"
        if not sys.stderr.isatty():
            self.say(what)
        self.update(0, total, what)
        self.start()

    def tick(self) -> None:
        """Count an image."""
        self.advance()

    def source(self, source: str) -> None:
        """Name where the tower is fetched from."""
        self.unit = "MB"
        self.say(f"tower: from {source}")

    def waiting(self) -> None:
        """Print that another process fetches the same file."""
        self.say("tower: another process fetches it; waiting for it")

    def bytes(self, done: int, total: int | None) -> None:
        """Show how much of the tower has come."""
        self.update(done // 10**6, None if total is None else total // 10**6, "tower")
