"""The checks of d2f.testing on the command line: every stage of a plugin, with ticks and crosses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import click

from d2f.api.errors import D2FError, Problem
from d2f.cli.errors import painted, wants_colour
from d2f.plugins.catalog import Catalog
from d2f.plugins.diagnosis import Diagnosis
from d2f.plugins.entry_points import Origin
from d2f.plugins.kinds import KINDS
from d2f.testing.report import MARKS, PLAIN_MARKS, Report

Stage: TypeAlias = tuple[str, str, Origin]
"""Kind, name and owner."""

COLOURS = {"✓": "green", "✗": "red", "+": "green", "x": "red"}


def stages_to_check(wanted: Iterable[Diagnosis], name: str) -> list[Stage]:
    """Return the stages that `name` names, or else all that the plugin of that name offers."""
    offered = [(kind, stage, one.origin) for one in wanted for kind, stage in one.offers if kind in KINDS]
    return [stage for stage in offered if stage[1] == name] or offered


def read_given(stages: Sequence[Stage], texts: Iterable[str]) -> Mapping[str, Any]:
    """Return ``KEY=VALUE`` texts as options, values read as in a chain file.

    Raises
    ------
    D2FError
        D2F001: not of this form, or there is not one stage that they are for.
    """
    from d2f.engine.spec_value import read_value

    given = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise D2FError.of("D2F001", f"'{text}' is not KEY=VALUE", "write it like --with window=7")
        try:
            given[key] = read_value(value)
        except ValueError as error:
            raise D2FError.of("D2F001", f"'{value}' is not a value", str(error)) from error
    if given and len({name for _, name, _ in stages}) != 1:
        raise D2FError.of("D2F001", "--with is for one stage", "name the stage: d2f plugin check STAGE --with …")
    return given


def print_reports(stages: Sequence[Stage], catalog: Catalog, options: Mapping[str, Any]) -> list[Report]:
    """Check each stage and print what was found, as it is found."""
    reports = []
    for kind, name, origin in stages:
        stage = next(stage for stage in catalog.stages(kind) if stage.name == name)
        from d2f.testing.kit import run_checks

        report = run_checks(stage, options, kind=kind)
        colour = wants_colour(sys.stdout)
        click.echo("\n" + "\n".join(_lines(report, colour)))
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


def _lines(report: Report, colour: bool) -> Iterator[str]:
    yield f"{report.kind} '{report.name}'"
    for line in report.lines(_marks()):
        mark = line.strip()[:1]
        yield line.replace(mark, click.style(mark, fg=COLOURS[mark]), 1) if colour and mark in COLOURS else line


def _marks() -> dict[str, str]:
    """Return marks that the terminal can print."""
    try:
        "".join(MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_MARKS
    return MARKS
