"""`d2f plugin`: stages listed, plugins diagnosed and checked, a new one written."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from d2f.api.errors import D2FError, Exit, Problem, did_you_mean
from d2f.api.hooks import API_VERSION
from d2f.cli.main import LazyGroup, painted, print_problems, problem_counts, wants_colour
from d2f.plugins.catalog import Catalog
from d2f.plugins.describe import Diagnosis, diagnose, options_of
from d2f.plugins.entries import KINDS, Origin, noun
from d2f.plugins.registry import WEIGHTS
from d2f.scaffold.new import SCAFFOLDS, Names, new_plugin, read_name
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.testing import Report

COMMANDS = {
    "list": ("d2f.cli.plugin:list_", "Every stage, where it comes from and its options."),
    "new": ("d2f.cli.plugin:new", "Write a small, complete plugin to begin with."),
    "check": ("d2f.cli.plugin:check", "Diagnose a plugin, a distribution or a stage."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def plugin() -> None:
    """See, diagnose and begin plugins and the stages they offer."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, problems included.")
def list_(as_json: bool) -> None:
    """Show every stage, where it comes from and its options, and what is wrong with what is installed."""
    catalog = Catalog.discover()
    if as_json:
        click.echo(json.dumps(as_data(catalog), indent=2, ensure_ascii=False))
        return
    click.echo(list_text(catalog), nl=False)
    print_problems(catalog.problems)


def as_data(catalog: Catalog) -> dict[str, Any]:
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
        "problems": [asdict(problem) for problem in catalog.problems],
    }


def list_text(catalog: Catalog) -> str:
    """Return the list for a person."""
    formatter = click.HelpFormatter(max_width=100)
    for kind in KINDS.values():
        if catalog.names(kind.name):
            with formatter.section(kind.plural):
                _write_stages(formatter, catalog, kind.name)
    if catalog.weights:
        with formatter.section(WEIGHTS):
            formatter.write_dl([(one.name, _weights_line(catalog, one)) for one in catalog.weights])
    return formatter.getvalue().removeprefix("\n") + "\n"


def _write_stages(formatter: click.HelpFormatter, catalog: Catalog, kind: str) -> None:
    for stage in catalog.stages(kind):
        owner = catalog.owner(kind, stage.name)
        formatter.write_text(f"{stage.name} ({owner.package if owner else 'in code'}): {stage.summary}")
        options = [(option.name, option.sentence) for option in options_of(stage)]
        if options:
            formatter.indent()
            formatter.write_dl(options)
            formatter.dedent()


def _weights_line(catalog: Catalog, record: Any) -> str:
    owner = catalog.owner(WEIGHTS, record.name)
    return f"{record.description} {record.licence} ({owner.package if owner else 'in code'})".strip()


def _from(origin: Origin | None) -> dict[str, str]:
    if origin is None:
        return {"plugin": "", "distribution": "", "version": ""}
    return {"plugin": origin.entry_point, "distribution": origin.distribution, "version": origin.version}


MEANINGS = {
    "pyproject.toml": "the entry point by which d2f finds it",
    "README.md": "what it is, and the commands below",
    "recipe.yaml": "how `d2f train` makes its weights",
    ".github/workflows/test.yml": "the same tests on GitHub",
}
"""What the files are for, by path; those with the plugin's name in them: `_file_meaning`."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(SCAFFOLDS), default="detector", show_default=True, help="What its stage is.")
@click.option("--learned", is_flag=True, help="A detector with weights, and the model that `d2f train` fits.")
@click.option("--into", default=".", show_default=True, metavar="DIR", help="Where the folder d2f-NAME is made.")
def new(name: str, kind: str, learned: bool, into: str) -> None:
    """Write a small, complete distribution with a stage called NAME.

    It has the stage, its options, a test through d2f.testing, a chain that uses it, and a CI file, and works at once.
    Nothing that exists is changed.
    """
    names = read_name(name, Catalog.discover())
    folder, files = new_plugin(names, kind, learned, Path(into))
    click.echo(f"wrote {folder}{os.sep}")
    formatter = click.HelpFormatter(width=100)
    with formatter.indentation():
        formatter.write_dl([(path, _file_meaning(path, names, kind)) for path in files], col_max=60)
    click.echo(formatter.getvalue())
    click.echo("next:")
    for command in commands(names, kind, folder):
        click.echo(f"  {command}")


def commands(names: Names, kind: str, folder: Path) -> list[str]:
    """Return what to do with a new plugin, a command each."""
    place = str(folder) if folder.is_absolute() else f"./{folder.as_posix()}"
    where, tested = shlex.quote(place), shlex.quote(f"{place}[test]")
    chain = f"{where}/{names.stage}.yaml"
    last = f"d2f chain run {chain} PICTURES" if kind != "combiner" else f"d2f chain check {chain}"
    return [f"pip install -e {tested}", f"python -m pytest {where}", f"d2f plugin check {names.stage}", last]


def _file_meaning(path: str, names: Names, kind: str) -> str:
    if path in MEANINGS:
        return MEANINGS[path]
    if path == f"{names.stage}.yaml":
        return "a chain that uses it"
    if path.startswith("tests/"):
        return "its tests, the first through d2f.testing"
    if path.endswith("/network.py"):
        return "its network, in MLX"
    if path.endswith(".safetensors"):
        return "weights to begin with, fitted to simulated pictures"
    return f"the {noun(kind)} and its options" if path.endswith(".py") else "what is not committed"


Stage: TypeAlias = tuple[str, str, Origin]
"""Kind, name and owner."""

COLOURS = {"✓": "green", "✗": "red", "+": "green", "x": "red"}


def read_given(stages: Sequence[Stage], texts: Iterable[str]) -> Mapping[str, Any]:
    """Return ``KEY=VALUE`` texts as options, values read as in a chain file."""
    from d2f.engine.spec import read_value

    given = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise D2FError.of("D2F001", f"'{text}' is not KEY=VALUE", "write it as --with window=7")
        try:
            given[key] = read_value(value)
        except ValueError as error:
            raise D2FError.of("D2F001", f"'{value}' is not a value", str(error)) from error
    if given and len({name for _, name, _ in stages}) != 1:
        raise D2FError.of("D2F001", "--with is for one stage", "name the stage: d2f plugin check STAGE --with …")
    return given


def print_reports(stages: Sequence[Stage], catalog: Catalog, options: Mapping[str, Any]) -> list[Report]:
    """Check each stage and print what was found, as it is found."""
    from d2f.testing.kit import run_checks

    reports = []
    for kind, name, origin in stages:
        stage = next(stage for stage in catalog.stages(kind) if stage.name == name)
        report = run_checks(stage, options, kind=kind)
        colour = wants_colour(sys.stdout)
        click.echo(f"\n{report.kind} '{report.name}'")
        for line in report.lines(_marks()):
            mark = line.strip()[:1]
            click.echo(
                line.replace(mark, click.style(mark, fg=COLOURS[mark]), 1) if colour and mark in COLOURS else line
            )
        if report.failed:
            problem = failure(report, origin)
            click.echo("\n" + (painted(problem) if colour else str(problem)))
        reports.append(report)
    return reports


def failure(report: Report, origin: Origin | None) -> Problem:
    """Return the problem that a stage's failed checks are."""
    message = f"{report.kind} '{report.name}' fails {len(report.failed)} of {len(report.results)} checks"
    name = report.origin.rpartition(".")[2]
    notes = (f"the same in a test: from d2f.testing import check_stage; check_stage({name})",)
    return Problem("D2F210", message, origin.place if origin else None, notes=notes)


def _marks() -> dict[str, str]:
    """Return marks that the terminal can print."""
    from d2f.testing.report import MARKS, PLAIN_MARKS

    try:
        "".join(MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_MARKS
    return MARKS


@click.command()
@click.argument("name", required=False)
@click.option("--load-only", is_flag=True, help="See whether it loads; leave out the checks of its stages.")
@click.option("--with", "options", multiple=True, metavar="KEY=VALUE", help="An option of the stage, for its checks.")
def check(name: str | None, load_only: bool, options: Sequence[str]) -> Exit:
    """Diagnose the plugin NAME, or see whether all of them load.

    NAME is an entry point's, a distribution's, a stage's or an extra command's. Its stages are held to their
    contract by the checks of d2f.testing. Exit code 0: nothing is broken; 3: something is; 2: there is no such plugin.
    """
    catalog = Catalog.discover()
    everything = diagnose(catalog, strict=name is not None)
    wanted = everything if name is None else [one for one in everything if one.about(name)]
    if name is not None and not wanted:
        known = {one.origin.entry_point for one in everything}
        raise D2FError.of(
            "D2F208", f"unknown plugin '{name}'", *did_you_mean(name, known), "to see all: d2f plugin list"
        )
    stages: list[Stage] = []
    if name is not None and not load_only:  # those of this name, or else all that the plugin of this name offers
        offered = [(kind, stage, one.origin) for one in wanted for kind, stage in one.offers if kind in KINDS]
        stages = [stage for stage in offered if stage[1] == name] or offered
    given = read_given(stages, options)
    click.echo("\n\n".join(as_text(one, catalog) for one in wanted))
    notices = [problem for problem in catalog.problems if problem.place is None] if name is None else []
    click.echo("".join(f"\n{problem}\n" for problem in notices), nl=False)
    reports = print_reports(stages, catalog, given)
    problems = [problem for one in wanted for problem, _ in one.problems]
    problems += [failure(report, None) for report in reports if report.failed]
    plugins = f"{len(wanted)} plugin{'s' if len(wanted) != 1 else ''} checked"
    total = f"{plugins}: {problem_counts(problems) or 'no problem'}"
    if reports:
        from d2f.testing.report import tally

        total = f"{total}; {tally(reports)}"
    click.echo("\n" + total)
    broken = any(one.broken for one in wanted) or any(report.failed for report in reports)
    return Exit.PLUGIN if broken else Exit.OK


def as_text(one: Diagnosis, catalog: Catalog) -> str:
    """Return a diagnosis for a person."""
    origin = one.origin
    hooks = ", ".join(one.hooks) or ("" if one.offers else "none, so it offers nothing")
    rows = [("state", one.state), ("hooks", hooks if one.state == "loaded" else "")]
    for kind, name in one.offers:
        stages = {stage.name: stage for stage in catalog.stages(kind)} if kind in KINDS else {}
        options = ", ".join(stages[name].Options.model_fields) if stages else ""
        rows.append((kind, f"{name}: {options}" if options else name))
    lines = [f"{origin.entry_point} = {origin.value}  ({origin.package})"]
    lines += [f"  {label:<13} {text}" for label, text in rows if text]
    for problem, trace in one.problems:
        lines += ["", *str(problem).splitlines(), *(f"  | {line}" for line in trace.splitlines())]
    return "\n".join(lines)
