"""`d2f data audit`: does the container give the label away?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.data.audit.audit import Audit
    from d2f.data.inspection import Inspection


@click.command()
@click.argument("data")
@click.option("--repair", metavar="FOLDER", help="Write the images anew, both labels alike, and audit them too.")
@click.option(
    "--window",
    type=click.IntRange(32),
    default=224,
    show_default=True,
    help="Side of repaired images; smaller images are left out.",
)
@click.option("--review", metavar="FOLDER", help="Write a gallery of the images whose label models disagree with most.")
@click.option("--trainable", default="noise-statistics", show_default=True, help="The model that --review fits.")
@click.option("--top", type=click.IntRange(1), default=100, show_default=True, help="Images in the gallery.")
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Try this column of the manifest too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Folds of cross-validation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds, intervals and repair.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N images only, seeded and stratified.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the result does not depend on it.")
def audit(data: str, as_json: bool, **options: Any) -> int:
    """Ask whether size, format, JPEG quality, chroma, metadata or bytes per pixel tell the label of DATA.

    A small classifier is fitted to each alone and judged on collections held out: an AUC of 1 says that a
    detector could do without the pictures. Duplicates across labels and parts are named. Exit code 1 where a
    file cannot be read.
    """
    from d2f.api.errors import Exit
    from d2f.cli.data_set import look_at, read_set
    from d2f.cli.new_output import need_new_folder
    from d2f.data.audit.lines import audit_lines

    for option in ("repair", "review"):
        if options[option]:
            need_new_folder(options[option])
    seen = look_at(read_set(data, options["limit"], options["seed"]), True, options["workers"])
    found = _audited(seen, **options)
    plain = found.plain()
    if not as_json:
        click.echo("\n".join(audit_lines(found)))
    if options["repair"]:
        plain["repaired"] = _repair(seen, as_json, **options)
    if options["review"]:
        _review(found, **options)
    if as_json:
        click.echo(json.dumps(plain, ensure_ascii=False, indent=1))
    return Exit.SOME_FAILED if seen.problems else Exit.OK


def _audited(seen: Inspection, **options: Any) -> Audit:
    from d2f.data.audit.audit import audit

    return audit(seen, options["folds"], options["seed"], options["columns"])


def _repair(seen: Inspection, silent: bool, **options: Any) -> dict[str, Any]:
    """Write the images anew, audit them, and return what was found."""
    from pathlib import Path

    from d2f.cli.data_set import look_at
    from d2f.cli.ticking import ticking
    from d2f.data.audit.lines import audit_lines
    from d2f.data.audit.repair import repair

    with ticking("repairing", len(seen.images)) as tick:
        made = repair(seen, Path(options["repair"]), options["window"], options["seed"], tick)
    left = (
        f"left out: {made.small[0]} photographs and {made.small[1]} generated images smaller than "
        f"{options['window']} pixels, {made.repeated} repeated files, {made.contradictory} files under both labels"
    )
    if not silent:
        click.echo(f"\nwrote {len(made.images)} images, encoded alike, to {options['repair']}\n{left}\n")
    again = _audited(look_at(made.images, True, options["workers"]), **options)
    if not silent:
        click.echo("\n".join(audit_lines(again)))
    return {**again.plain(), "left_out": left}


def _review(found: Audit, **options: Any) -> None:
    """Write the gallery."""
    from pathlib import Path

    from d2f.cli.errors import print_problems
    from d2f.cli.ticking import ticking
    from d2f.data.audit.gallery import write_gallery
    from d2f.data.audit.review import review
    from d2f.plugins.build import build
    from d2f.plugins.catalog import Catalog

    trainable = build(Catalog.discover(), "trainable", options["trainable"], {})
    with ticking("reviewing", len(found.images)) as tick:
        made = review(found.images, found.independent, trainable, options["folds"], options["seed"], tick)
    print_problems(made.problems)
    shown = made.doubts[: options["top"]]
    write_gallery(Path(options["review"]), shown)
    against = sum(doubt.disagreement > 0.5 for doubt in made.doubts)
    click.echo(
        f"label review by {options['trainable']}: {against} of {len(made.doubts)} labels are disagreed with, "
        f"{made.silent} images have no features; the first {len(shown)}: {options['review']}/index.html, review.csv",
        err=True,
    )
