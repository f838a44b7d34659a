"""`d2f bench compare`: has anything fallen?"""

from __future__ import annotations

import click


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
def compare(old: str, new: str, figures: tuple[str, ...], show_all: bool) -> int:
    """Compare two results of `d2f bench … -o DIR`, each a folder or its bench.json.

    A figure has fallen where it is worse now than the bad end of its old interval. Exit code 1 if any has.
    """
    from d2f.api.errors import Exit
    from d2f.bench.compare import compare_results
    from d2f.bench.write import read_result
    from d2f.scoring.text_table import text_table

    found = compare_results(read_result(old), read_result(new), figures)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    fallen = [change for change in found.changes if change.fell]
    shown = found.changes if show_all else fallen
    rows = [
        (
            f"{one.subject}, {one.attack}",
            one.figure,
            f"{one.old:.3f}",
            "" if one.bound is None else f"{one.bound:.3f}",
            f"{one.new:.3f}",
            "fell" if one.fell else "",
        )
        for one in shown
    ]
    if rows:
        click.echo("\n".join(text_table(("chain, attack", "figure", "old", "bound", "new", ""), rows)))
    click.echo(f"{len(fallen)} of {len(found.changes)} figures fell by more than their interval")
    return Exit.SOME_FAILED if fallen else Exit.OK
