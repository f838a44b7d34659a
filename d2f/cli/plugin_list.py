"""`d2f plugin list`: every stage, where it comes from and its options."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from d2f.api.errors import Problem
from d2f.api.hooks import API_VERSION
from d2f.cli.errors import print_problems
from d2f.cli.extra import extra_commands
from d2f.plugins.catalog import Catalog
from d2f.plugins.description import options_of
from d2f.plugins.entry_points import Origin
from d2f.plugins.gathering import WEIGHTS
from d2f.plugins.kinds import KINDS
from d2f.version import __version__


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, problems included.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Show every stage, where it comes from and its options, and what is wrong with what is installed."""
    catalog = Catalog.discover()
    commands, refused = extra_commands(ctx.find_root().command.table)  # type: ignore[attr-defined]
    problems = (*catalog.problems, *refused)
    origins = {name: origin for name, (origin, _) in commands.items()}
    if as_json:
        click.echo(json.dumps(as_data(catalog, origins, problems), indent=2, ensure_ascii=False))
        return
    click.echo(as_text(catalog, origins), nl=False)
    print_problems(problems)


def as_data(catalog: Catalog, commands: dict[str, Origin], problems: Iterable[Problem]) -> dict[str, Any]:
    """Return the list as plain data."""
    stages = [
        {
            "kind": kind,
            "name": stage.name,
            "summary": stage.summary,
            **_from(catalog.owner(kind, stage.name)),
            "requires": list(catalog.requires(kind, stage.name)),
            "options": [asdict(option) for option in options_of(stage)],
        }
        for kind in KINDS
        for stage in catalog.stages(kind)
    ]
    weights = [{**asdict(one), **_from(catalog.owner(WEIGHTS, one.name))} for one in catalog.weights]
    return {
        "d2f": __version__,
        "api": API_VERSION,
        "stages": stages,
        "weights": weights,
        "commands": [{"name": name, **_from(origin)} for name, origin in commands.items()],
        "problems": [asdict(problem) for problem in problems],
    }


def as_text(catalog: Catalog, commands: dict[str, Origin]) -> str:
    """Return the list for a person."""
    formatter = click.HelpFormatter(max_width=100)
    for kind in KINDS.values():
        if catalog.names(kind.name):
            with formatter.section(kind.plural):
                _write_stages(formatter, catalog, kind.name)
    if catalog.weights:
        with formatter.section(WEIGHTS):
            formatter.write_dl([(one.name, _weights_line(catalog, one)) for one in catalog.weights])
    if commands:
        with formatter.section("commands"):
            formatter.write_dl([(name, f"({origin.package})") for name, origin in commands.items()])
    return formatter.getvalue().removeprefix("\n") + "\n"


def _write_stages(formatter: click.HelpFormatter, catalog: Catalog, kind: str) -> None:
    for stage in catalog.stages(kind):
        owner = catalog.owner(kind, stage.name)
        formatter.write_text(f"{stage.name} ({owner.package if owner else 'by hand'}): {stage.summary}")
        options = [(option.name, option.sentence) for option in options_of(stage)]
        if options:
            formatter.indent()
            formatter.write_dl(options)
            formatter.dedent()


def _weights_line(catalog: Catalog, record: Any) -> str:
    owner = catalog.owner(WEIGHTS, record.name)
    return f"{record.description} {record.licence} ({owner.package if owner else 'by hand'})".strip()


def _from(origin: Origin | None) -> dict[str, str]:
    if origin is None:
        return {"plugin": "", "distribution": "", "version": ""}
    return {"plugin": origin.entry_point, "distribution": origin.distribution, "version": origin.version}
