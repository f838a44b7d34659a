"""`d2f plugin check`: diagnose a plugin, with the traceback."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import click

from d2f.api.errors import D2FError, Exit
from d2f.api.nearest import did_you_mean
from d2f.cli.errors import counted
from d2f.cli.extra import extra_commands, load_command
from d2f.cli.stage_checks import failure, print_reports, read_given, stages_to_check
from d2f.plugins.catalog import Catalog
from d2f.plugins.diagnosis import Diagnosis, diagnose
from d2f.plugins.kinds import KINDS
from d2f.testing.report import Report, tally


@click.command()
@click.argument("name", required=False)
@click.option("--load-only", is_flag=True, help="See whether it loads; leave out the checks of its stages.")
@click.option("--with", "options", multiple=True, metavar="KEY=VALUE", help="An option of the stage, for its checks.")
@click.pass_context
def check(ctx: click.Context, name: str | None, load_only: bool, options: Sequence[str]) -> Exit:
    """Diagnose the plugin NAME, or see whether all of them load.

    NAME is an entry point's, a distribution's, a stage's or an extra command's. Its stages are held to their
    contract by the checks of d2f.testing. Exit code 0: nothing is broken; 3: something is; 2: there is no such plugin.
    """
    catalog = Catalog.discover()
    everything = [*diagnose(catalog, strict=name is not None), *_commands(ctx.find_root().command.table)]  # type: ignore[attr-defined]
    wanted = everything if name is None else [one for one in everything if one.about(name)]
    if name is not None and not wanted:
        known = {one.origin.entry_point for one in everything}
        raise D2FError.of(
            "D2F208", f"unknown plugin '{name}'", *did_you_mean(name, known), "to see all: d2f plugin list"
        )
    stages = [] if name is None or load_only else stages_to_check(wanted, name)
    given = read_given(stages, options)
    click.echo("\n\n".join(as_text(one, catalog) for one in wanted))
    notices = [problem for problem in catalog.problems if problem.place is None] if name is None else []
    click.echo("".join(f"\n{problem}\n" for problem in notices), nl=False)
    reports = print_reports(stages, catalog, given)
    total = f"{_total(wanted, reports)}; {tally(reports)}" if reports else _total(wanted, reports)
    click.echo("\n" + total)
    broken = any(one.broken for one in wanted) or any(report.failed for report in reports)
    return Exit.PLUGIN if broken else Exit.OK


def as_text(one: Diagnosis, catalog: Catalog) -> str:
    """Return a diagnosis for a person."""
    origin = one.origin
    hooks = ", ".join(one.hooks) or ("" if one.offers else "none, so it offers nothing")
    rows = [("state", one.state), ("hooks", hooks if one.state == "loaded" else "")]
    rows += [(kind, _offer(catalog, kind, name)) for kind, name in one.offers]
    lines = [f"{origin.entry_point} = {origin.value}  ({origin.package})"]
    lines += [f"  {label:<13} {text}" for label, text in rows if text]
    for problem, trace in one.problems:
        lines += ["", *str(problem).splitlines(), *(f"  | {line}" for line in trace.splitlines())]
    return "\n".join(lines)


def _offer(catalog: Catalog, kind: str, name: str) -> str:
    """Return a stage's name and those of its options."""
    if kind not in KINDS:
        return name
    stage = next(stage for stage in catalog.stages(kind) if stage.name == name)
    return f"{name}: {', '.join(stage.Options.model_fields)}".removesuffix(": ")


def _commands(built_in: Sequence[str]) -> list[Diagnosis]:
    commands, _ = extra_commands(built_in)
    found = []
    for origin, entry_point in commands.values():
        try:
            load_command(origin, entry_point)
        except D2FError as error:
            trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
            found.append(Diagnosis(origin, "not loaded", problems=((error.problems[0], trace),)))
        else:
            found.append(Diagnosis(origin, "loaded", offers=(("command", origin.entry_point),)))
    return found


def _total(wanted: Sequence[Diagnosis], reports: Sequence[Report]) -> str:
    problems = [problem for one in wanted for problem, _ in one.problems]
    problems += [failure(report, None) for report in reports if report.failed]
    plugins = f"{len(wanted)} plugin{'s' if len(wanted) != 1 else ''} checked"
    return f"{plugins}: {counted(problems) or 'no problem'}"
