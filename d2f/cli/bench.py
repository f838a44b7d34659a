"""`d2f bench`: chains over labelled images, clean and under attacks; `d2f bench compare`: two results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import Exit
from d2f.api.inputs import PROTOCOLS, ProtocolName
from d2f.cli.main import Interruption, RememberingCommand, called_with
from d2f.cli.options import ALLOW_MISSING, CACHE, DATA, DRAWS, LIMIT, collected, labels_option, output_mode, read_set
from d2f.cores import one_blas_thread
from d2f.progress import Progress

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.evaluate.attacks import GridName
    from d2f.evaluate.bench import BenchFolder, BenchRun, BenchSettings, Mode
    from d2f.evaluate.systems import Attacked


class BenchCommand(RememberingCommand):
    """The bench itself, and `compare` where that is the first word."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand `compare` its arguments."""
        if args[:1] == ["compare"]:
            return compare.make_context(f"{info_name} compare", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of the bench, as given."""

    output: str | None
    protocol: ProtocolName
    grid: GridName | None
    attacks: tuple[str, ...]
    attack_class: Attacked | None
    external: tuple[str, ...]
    limit: int | None
    seed: int
    draws: int
    resume: bool
    overwrite: bool
    cache: str | None
    allow_missing: bool
    labels: Mapping[str, str]
    thumbnails: bool
    splice: bool
    workers: int | None

    @property
    def mode(self) -> Mode:
        """What becomes of what the folder holds."""
        if (self.resume or self.overwrite) and not self.output:
            raise click.UsageError("--resume and --overwrite need -o")
        return output_mode(self.resume, self.overwrite)


@click.command(cls=BenchCommand, epilog="Two results are compared by `d2f bench compare OLD NEW`.")
@click.argument("chains", metavar="CHAIN...", nargs=-1, required=True)
@DATA
@collected(
    BenchOptions,
    click.option(
        "-o", "--output", metavar="DIR", help="Write bench.json, rows.parquet, report.md and report.html there."
    ),
    click.option(
        "--protocol",
        type=click.Choice(PROTOCOLS),
        default="whole",
        show_default=True,
        help="whole: short side brought to a drawn length; crop: the central 320 pixels; as-found: files as they are.",
    ),
    click.option(
        "--grid",
        type=click.Choice(["core", "full", "none"]),
        help="Attacks: the 15 that decide targets, 33 for publication, or none but --attack's.  "
        "[default: core; none with --attack]",
    ),
    click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="Measure under it too; may be repeated."),
    click.option(
        "--attack-class", type=click.Choice(["generated", "real"]), help="Attack one class only, in every figure."
    ),
    click.option("--external", multiple=True, metavar="CSV", help="Another tool's scores: path, score[, attack]."),
    LIMIT,
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --limit and of the intervals."
    ),
    DRAWS,
    click.option("--resume", is_flag=True, help="Continue a run that was stopped, in the same folder."),
    click.option("--overwrite", is_flag=True, help="Replace what the folder holds."),
    CACHE,
    ALLOW_MISSING,
    labels_option,
    click.option("--thumbnails", is_flag=True, help="Show the images whose verdict changes in report.html."),
    click.option(
        "--splice", is_flag=True, help="Measure instead whether heat maps find a generated patch in photographs."
    ),
    click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the figures do not depend on it."),
)
def bench(chains: tuple[str, ...], data: str, options: BenchOptions) -> int:
    """Run each CHAIN over labelled images, clean and under attacks; print its figures with intervals.

    Exit code 1 where an image, a copy or a member failed.
    """
    one_blas_thread()
    if options.splice:
        return _spliced(chains, data, options)
    return _run(click.get_current_context(), chains, data, options)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--figure",
    "figures",
    multiple=True,
    default=["auc"],
    show_default=True,
    metavar="NAME",
    help="Figure to hold, such as auc, tpr_at_5, ece, evasion; may be repeated.",
)
@click.option("--all", "show_all", is_flag=True, help="Print what has not fallen too.")
@click.option("--images", "page", metavar="FILE.html", help="By image too: what got better and worse, with thumbnails.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.html.")
def compare(old: str, new: str, figures: tuple[str, ...], show_all: bool, page: str | None, overwrite: bool) -> int:
    """Compare two results of `d2f bench … -o DIR`, each a folder or its bench.json.

    A figure has fallen where it is worse now than the bad end of its old interval. Exit code 1 if any has. FILE.html
    shows the images themselves, those whose verdict got worse first.
    """
    from d2f.evaluate.bench import read_result
    from d2f.evaluate.compare import changes_page, compare_images, compare_results, paired
    from d2f.files import require_new_file, write_whole

    if page is not None:
        require_new_file(page, overwrite)
    before, after = read_result(old), read_result(new)
    found = compare_results(before, after, figures)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    table = found.table(show_all)
    if table.rows:
        click.echo("\n".join(table.text()))
    click.echo(f"{len(found.fallen)} of {len(found.changes)} figures fell by more than their interval")
    if page is not None:
        changes = compare_images(old, new, [(one["name"], other["name"]) for one, other in paired(before, after)])
        for each in changes:
            click.echo("\n".join(["", each.table().title, *each.table().text()]))
        write_whole(page, changes_page(changes))
        click.echo(f"wrote {page}")
    return Exit.SOME_FAILED if found.fallen else Exit.OK


def _run(ctx: click.Context, names: Sequence[str], data: str, options: BenchOptions) -> int:
    """Run `d2f bench` with its options; return the exit code."""
    from contextlib import closing, nullcontext

    from d2f.chain.chain import load_chain
    from d2f.evaluate.attacks import attack_set
    from d2f.evaluate.bench import BenchFolder, BenchSettings

    mode = options.mode
    chains = [load_chain(name, allow_missing=options.allow_missing) for name in names]
    grid: GridName = options.grid or ("none" if options.attacks else "core")
    attacks = attack_set(grid, options.attacks, chains[0].catalog)
    whole = read_set(data, labels=options.labels)
    whose: Attacked = options.attack_class or "both"
    figures = (options.limit, options.seed, options.draws)
    settings = BenchSettings(options.protocol, attacks, whose, *figures, whole=whole)
    output = options.output
    with closing(BenchFolder(output, mode)) if output else nullcontext() as folder, Interruption() as interruption:
        try:
            run = _scored(chains, settings, folder, options)
        except KeyboardInterrupt:
            to = f"to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"
            click.echo(
                f"interrupted; {to if folder else 'a bench with -o DIR can be continued, with --resume'}", err=True
            )
            return interruption.exit_code
        _report(run, chains, settings, folder, options)
    return Exit.SOME_FAILED if run.joint.unread or run.joint.failed else Exit.OK


def _spliced(names: Sequence[str], data: str, options: BenchOptions) -> int:
    """Run `d2f bench --splice`; return the exit code."""
    from d2f.chain.chain import load_chain
    from d2f.evaluate.splice import run_splice, splice_figures, splice_table, write_splice
    from d2f.files import require_new_folder

    chains = [load_chain(name, allow_missing=options.allow_missing) for name in names]
    images, output, found = read_set(data, labels=options.labels), options.output, []
    if output and options.mode == "new":
        require_new_folder(output)
    if output:
        os.makedirs(output, exist_ok=True)
    total = min(options.limit or len(images), int((images.labels == 0).sum()))
    for chain in chains:
        kept = os.path.join(output, f"{chain.name}.splice.jsonl") if output else None
        if kept and options.overwrite and os.path.exists(kept):
            os.remove(kept)
        with Progress(chain.name, total=total) as progress:
            outcomes = run_splice(chain, images, options.protocol, options.seed, options.limit, kept, progress.advance)
        found += splice_figures(chain, outcomes, images, options.draws, options.seed)
    table = splice_table(found)
    click.echo("\n".join([table.title, *table.text()]))
    if output:
        settings = {"protocol": options.protocol, "seed": options.seed, "limit": options.limit}
        click.echo(f"wrote {write_splice(output, found, settings)}")
    return Exit.OK


def _scored(
    chains: Sequence[Chain], settings: BenchSettings, folder: BenchFolder | None, options: BenchOptions
) -> BenchRun:
    from contextlib import closing, nullcontext

    from d2f.cache import caching
    from d2f.data.dataset import limited
    from d2f.evaluate.bench import run_chains

    assert settings.whole is not None
    images = limited(settings.whole, settings.limit, settings.seed) if settings.limit else settings.whole
    own = closing(folder.cache()) if folder and not options.cache else nullcontext()
    with caching(options.cache) as cache, own as scores, Progress("images", total=len(images)) as progress:
        return run_chains(
            chains,
            images,
            settings.attacks.attacks,
            settings.protocol,
            cache=cache or scores,
            workers=options.workers,
            tick=progress.advance,
        )


def _report(
    run: BenchRun, chains: Sequence[Chain], settings: BenchSettings, folder: BenchFolder | None, options: BenchOptions
) -> None:
    from d2f.evaluate.bench import result
    from d2f.evaluate.bench_report import terminal_lines
    from d2f.evaluate.systems import read_external

    assert settings.whole is not None
    external = [read_external(path, run.joint, settings.whole) for path in options.external]
    found = result(run, chains, settings, external)
    if folder:
        folder.write(found, run, chains, external, options.thumbnails)
    for line in terminal_lines(found):
        click.echo(line)
    if folder:
        click.echo(f"wrote {folder.place}")
