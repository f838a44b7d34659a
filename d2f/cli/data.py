"""`d2f data`: labelled images fetched, counted, cut, split, audited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import Exit
from d2f.cli.main import LazyGroup, Table, print_problems
from d2f.cli.options import LIMIT, WORKERS, collected, labels_option, look_at, read_set
from d2f.files import require_new_file, require_new_folder
from d2f.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f.data.audit import Audit
    from d2f.data.dataset import Dataset
    from d2f.data.facts import Inspection
    from d2f.data.tiles import Tiled

    Numbers = NDArray[np.int64]

COMMANDS: Table = {
    "fetch": ("d2f.cli.data:fetch", "Bring the images that a source list names."),
    "stats": ("d2f.cli.data:stats", "Count images by label, generator, size, format, quality."),
    "tile": ("d2f.cli.data:tile", "Cut large pictures into tiles."),
    "split": ("d2f.cli.data:split", "Assign images to train, validation and test, or to folds."),
    "audit": ("d2f.cli.data:audit", "Test whether format, size or quality give the label away: leakage."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Count, cut, split and audit labelled images.

    DATA is a folder (real/**, generated/GENERATOR/**) or a manifest with the columns path and label.
    """


@click.command()
@click.argument("sources", metavar="SOURCES.csv")
@click.argument("folder", metavar="DIR")
@click.option("--mirror", metavar="FOLDER", help="Read git directories OWNER+NAME/repo there; no network.")
@click.option("--workers", type=click.IntRange(1), default=8, show_default=True, help="Files under way at once.")
def fetch(sources: str, folder: str, mirror: str | None, workers: int) -> int:
    """Bring the images that SOURCES.csv names into DIR, and write DIR/manifest.csv.

    SOURCES.csv has a row for each image of a public repository: repo, commit, path, sha256, label, and the columns of a
    manifest. Each file is checked by its digest; one that is there is not fetched again, so that the same command
    goes on after an interruption. What is gone or differs is counted and listed in DIR/gone.csv; then the exit code
    is 1.
    """
    from d2f.data.fetch import GONE, fetch_images, read_sources

    listed = read_sources(sources)
    with Progress("fetching", total=len(listed)) as progress:
        found = fetch_images(
            listed, Path(folder), Path(mirror) if mirror else None, workers=workers, tick=progress.advance
        )
    click.echo(f"{folder}: {found.images.describe()}; {found.fresh} fetched now")
    for reason, count in found.reasons.items():
        click.echo(f"{count} not found: {reason}")
    if found.gone:
        click.echo(f"the list of them: {Path(folder, GONE)}")
    return Exit.SOME_FAILED if found.gone else Exit.OK


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The options of the audit, as given."""

    labels: Mapping[str, str]
    repair: str | None
    window: int
    review: str | None
    trainable: str
    top: int
    columns: tuple[str, ...]
    folds: int
    seed: int
    limit: int | None
    workers: int | None


@click.command()
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@collected(
    AuditOptions,
    labels_option,
    click.option(
        "--repair", metavar="FOLDER", help="Write the images anew by one rule for both labels; audit them too."
    ),
    click.option(
        "--window",
        type=click.IntRange(32),
        default=224,
        show_default=True,
        help="Side of repaired images; smaller images are left out.",
    ),
    click.option(
        "--review", metavar="FOLDER", help="Write a gallery of the images whose label models disagree with most."
    ),
    click.option("--trainable", default="noise-statistics", show_default=True, help="The model that --review fits."),
    click.option("--top", type=click.IntRange(1), default=100, show_default=True, help="Images in the gallery."),
    click.option("--column", "columns", multiple=True, metavar="NAME", help="Try this column of the manifest too."),
    click.option(
        "--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Folds of cross-validation."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds, intervals and repair."
    ),
    LIMIT,
    WORKERS,
)
def audit(data: str, as_json: bool, options: AuditOptions) -> int:
    """Test whether size, format, JPEG quality, chroma, metadata or bytes per pixel tell the label of DATA.

    A small classifier is fitted to each alone and judged on collections held out: an AUC of 1 says that a
    detector could do without the pictures. Duplicates across labels and parts are named. Exit code 1 where a
    file cannot be read.
    """
    from d2f.data.audit import audit_lines

    for folder in (options.repair, options.review):
        if folder:
            require_new_folder(folder)
    seen = look_at(read_set(data, options.limit, options.seed, options.labels), True, options.workers)
    found = _audited(seen, options)
    plain = found.plain()
    if not as_json:
        click.echo("\n".join(audit_lines(found)))
    if options.repair:
        plain["repaired"] = _repair(seen, options.repair, as_json, options)
    if options.review:
        _review(found, options.review, options)
    if as_json:
        click.echo(json.dumps(plain, ensure_ascii=False, indent=1))
    return Exit.SOME_FAILED if seen.problems else Exit.OK


def _audited(seen: Inspection, options: AuditOptions) -> Audit:
    from d2f.data.audit import audit_set

    return audit_set(seen, options.folds, options.seed, options.columns)


def _repair(seen: Inspection, folder: str, silent: bool, options: AuditOptions) -> dict[str, Any]:
    """Write the images anew, audit them, and return what was found."""
    from d2f.data.audit import audit_lines
    from d2f.data.review import repair

    with Progress("repairing", total=len(seen.images)) as progress:
        made = repair(seen, Path(folder), options.window, options.seed, progress.advance)
    left = (
        f"left out: {made.small[0]} photographs and {made.small[1]} generated images smaller than "
        f"{options.window} pixels, {made.repeated} repeated files, {made.contradictory} files with both labels"
    )
    if not silent:
        click.echo(f"\nwrote {len(made.images)} images, encoded by one rule, to {folder}\n{left}\n")
    again = _audited(look_at(made.images, True, options.workers), options)
    if not silent:
        click.echo("\n".join(audit_lines(again)))
    return {**again.plain(), "left_out": left}


def _review(found: Audit, folder: str, options: AuditOptions) -> None:
    """Write the gallery."""
    from d2f.data.review import review, write_gallery
    from d2f.plugins.build import build
    from d2f.plugins.catalog import Catalog

    trainable = build(Catalog.discover(), "trainable", options.trainable, {})
    with Progress("reviewing", total=len(found.images)) as progress:
        made = review(found.images, found.independent, trainable, options.folds, options.seed, progress.advance)
    print_problems(made.problems)
    shown = made.doubts[: options.top]
    write_gallery(Path(folder), shown)
    against = sum(doubt.disagreement > 0.5 for doubt in made.doubts)
    click.echo(
        f"label review by {options.trainable}: {against} of {len(made.doubts)} labels are disagreed with, "
        f"{made.silent} images have no features; the first {len(shown)}: {folder}/index.html, review.csv",
        err=True,
    )


@click.command()
@click.argument("data")
@labels_option
@click.option(
    "-o", "--output", required=True, metavar="FILE.csv|FOLDER", help="One manifest, or a manifest for each part."
)
@click.option(
    "--shares", default="70/15/15", show_default=True, help="Of train/validation/test; two numbers: train/validation."
)
@click.option("--folds", type=click.IntRange(2), metavar="K", help="Assign to K folds instead.")
@click.option("--near/--no-near", default=True, help="Keep pictures that look alike together.  [default: near]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the assignment.")
@click.option("--overwrite", is_flag=True, help="Replace manifests that already exist.")
@WORKERS
def split(
    data: str,
    labels: Mapping[str, str],
    output: str,
    shares: str,
    folds: int | None,
    near: bool,
    seed: int,
    overwrite: bool,
    workers: int | None,
) -> int:
    """Assign the images of DATA to train, validation and test.

    Collections are never cut, nor are groups, files with the same bytes, or pictures that look alike: 64-bit DCT
    hashes that differ in at most 6 bits. Each part has its share of both labels and of every generator, as far as
    whole collections allow. One FILE.csv gets a column `part` (or `fold`); a FOLDER gets a manifest for each.
    """
    from d2f.data.groups import PARTS, components, duplicates, split_parts, with_groups

    wanted = [1.0] * folds if folds else _split_shares(shares)
    names = [str(i) for i in range(folds)] if folds else list(PARTS[: len(wanted)])
    if output.lower().endswith(".csv"):
        targets = [require_new_file(output, overwrite)]
    else:
        files = [Path(output, f"{'fold-' if folds else ''}{name}.csv") for name in names]
        targets = [require_new_file(file, overwrite, writable=False) for file in files]
    seen = look_at(read_set(data, labels=labels), near, workers)
    images = with_groups(seen.images, duplicates(seen).groups)
    numbers = components(images)
    parts = split_parts(images, numbers, wanted, seed)
    _write_manifests(targets, images, parts, "fold" if folds else "part", names)
    click.echo("\n".join(_split_lines(images, numbers, parts, names, "fold" if folds else "part")))
    click.echo(f"wrote {', '.join(str(target) for target in targets)}")
    return Exit.SOME_FAILED if seen.problems else Exit.OK


def _split_shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) not in (2, 3) or not all(0 < share < float("inf") for share in shares):
        raise click.UsageError(f"--shares expects two or three numbers above 0, such as 70/15/15, not '{text}'")
    return shares


def _write_manifests(targets: list[Path], images: Dataset, parts: Numbers, column: str, names: list[str]) -> None:
    from d2f.data.dataset import write_manifest

    if len(targets) == 1:
        write_manifest(targets[0], images, {column: [names[part] for part in parts]})
        return
    for number, target in enumerate(targets):
        chosen = images.select(parts == number)
        write_manifest(target, chosen, {column: [names[number]] * len(chosen)})


def _split_lines(images: Dataset, components: Numbers, parts: Numbers, names: list[str], column: str) -> list[str]:
    from d2f.report.tables import text_table

    rows = []
    for number, name in enumerate(names):
        chosen = images.select(parts == number)
        generators = len({image.generator for image in chosen if image.label} - {""})
        independent = len(set(components[parts == number].tolist()))
        counts = (len(chosen), *chosen.label_counts, independent, generators)
        rows.append([name, *map(str, counts), f"{100 * len(chosen) / len(images):.1f}"])
    return text_table([column, "images", "real", "generated", "components", "generators", "%"], rows)


@click.command()
@click.argument("data")
@labels_option
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option(
    "--balance",
    type=click.Choice(["smallest", "oversample", "none"]),
    default="smallest",
    show_default=True,
    help="What `after balancing` means.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Values named of each kind.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the balancing.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads that read files.")
def stats(
    data: str, as_json: bool, labels: Mapping[str, str], balance: str, top: int, seed: int, workers: int | None
) -> int:
    """Count the images of DATA by label, generator, source, collection, size, format and JPEG quality.

    Only headers are read. The quality of a JPEG is that of the nearest standard quantisation tables. Exit code 1
    where a file cannot be read.
    """
    from d2f.data.stats import set_stats, stats_lines

    seen = look_at(read_set(data, labels=labels), workers=workers)
    found = set_stats(seen, balance, seed)  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps(found.plain(), ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join([seen.images.describe(), *stats_lines(found, top)]))
    return Exit.SOME_FAILED if seen.problems else Exit.OK


@click.command()
@click.argument("data")
@labels_option
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Empty, or yet to be made.")
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
    help="Give both labels one number of tiles, or one weight.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every choice.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N pictures only, seeded and stratified.")
def tile(data: str, labels: Mapping[str, str], output: str, limit: int | None, seed: int, **cut: Any) -> int:
    """Cut the pictures of DATA into PNG tiles, listed in FOLDER/manifest.csv.

    All tiles of a picture share a group there, so that no split of d2f parts them. Exit code 1 where a picture
    cannot be read; the others are cut.
    """
    from d2f.data.tiles import Cut, cut_tiles

    folder = require_new_folder(output)
    images = read_set(data, limit, seed, labels)
    with Progress("cutting", total=len(images)) as progress:
        made = cut_tiles(images, folder, Cut(seed=seed, **cut), progress.advance)
    print_problems(made.problems)
    click.echo("\n".join(_lines_of_data_tile(made, len(images), cut["balance"])))
    click.echo(f"wrote {folder / 'manifest.csv'}")
    return Exit.SOME_FAILED if made.problems else Exit.OK


def _lines_of_data_tile(made: Tiled, pictures: int, balance: str) -> list[str]:
    from d2f.data.stats import text_bar

    most = max(*made.before, *made.after)
    lines = [f"{pictures} pictures: {made.small} too small, {made.flat} tiles too flat"]
    stages = [("as cut", made.before)] + [(f"balance {balance}", made.after)] * (balance in ("smallest", "oversample"))
    for title, (real, generated) in stages:
        lines += [
            f"{title:<18}  real       {real:>7}  {text_bar(real, 0, most)}".rstrip(),
            f"{'':<18}  generated  {generated:>7}  {text_bar(0, generated, most)}".rstrip(),
        ]
    return lines
