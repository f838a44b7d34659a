"""A result as lines for a terminal, and as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from d2f.bench.tables import (
    Table,
    attack_table,
    clean_figures,
    comparison_tables,
    group_tables,
    overview,
    speed_table,
    stage_table,
)
from d2f.bench.wording import data_lines, failure_lines, worst_line
from d2f.scoring.text_table import text_table


def terminal_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield from data_lines(result)
    yield from (f"as found: {line}" for line in result["as_found"])
    for subject in result["subjects"]:
        yield ""
        yield _heading(subject)
        yield from _text(clean_figures(result, subject))
        if len(result["attacks"]) > 1:
            yield ""
            yield from _text(attack_table(result, subject))
            yield worst_line(subject)
        for table in group_tables(subject):
            yield ""
            yield table.title
            yield from _text(table)
    yield from _comparison_lines(result)
    yield ""
    yield from _text(speed_table(result))
    yield speed_line(result)
    yield from (f"note: {note}" for note in result["notes"])
    yield from failure_lines(result)


def markdown(result: Mapping[str, Any], speed: bool = True) -> str:
    """Return the report as a page, with or without how fast it was made."""
    lines = list(_markdown_lines(result, "#"))
    if speed:
        lines += ["## Speed", "", speed_line(result), "", *markdown_table(speed_table(result)), ""]
    lines += [f"- {line}" for line in (*result["notes"], *failure_lines(result))]
    return "\n".join(lines) + "\n"


def markdown_table(table: Table) -> list[str]:
    """Return the lines of a Markdown table."""
    rules = "|" + "|".join("---" if not column else "--:" for column in range(len(table.headings))) + "|"
    return [_row(table.headings), rules, *map(_row, table.rows)]


def speed_line(result: Mapping[str, Any]) -> str:
    """How long it took, in one line."""
    speed = result["speed"]
    copies = (speed["images"] - speed["kept"]) * len(result["attacks"])
    rate = f", {copies / speed['wall']:.1f} copies a second" if speed["wall"] > 0 else ""
    kept = f"; {speed['kept']} images kept from an earlier run" if speed["kept"] else ""
    return f"{copies} copies scored in {speed['wall']:.1f} s{rate}{kept}"


def _markdown_lines(result: Mapping[str, Any], mark: str) -> Iterator[str]:
    yield from (f"{mark} Bench of {result['date']}, d2f {result['d2f']}", "")
    yield from data_lines(result)
    yield ""
    yield from (f"- as found: {line}" for line in result["as_found"])
    yield from ("", *markdown_table(overview(result)), "")
    for subject in result["subjects"]:
        yield from (f"{mark}# {_heading(subject)}", "")
        yield from _markdown_tables(result, subject, mark)
    for table in comparison_tables(result):
        yield from (f"{mark}# {table.title}", "", *markdown_table(table), "")


def _markdown_tables(result: Mapping[str, Any], subject: Mapping[str, Any], mark: str) -> Iterator[str]:
    tables = [clean_figures(result, subject)]
    if len(result["attacks"]) > 1:
        tables.append(attack_table(result, subject))
    tables += [table for table in (stage_table(result, subject), *group_tables(subject)) if table.rows]
    for table in tables:
        yield from (f"{mark}## {table.title[0].upper()}{table.title[1:]}", "", *markdown_table(table), "")
        if table.title == "under attack":
            yield from (f"{worst_line(subject)}.", "")


def _comparison_lines(result: Mapping[str, Any]) -> Iterator[str]:
    for table in comparison_tables(result, "auc"):
        yield ""
        yield table.title
        yield from _text(table)


def _heading(subject: Mapping[str, Any]) -> str:
    if subject["kind"] != "chain":
        return f"{subject['name']}, another tool's scores"
    rule = subject["thresholds"]
    return (
        f"chain {subject['name']}, digest {subject['digest'][:12]}: "
        f"real below {rule['real_below']:g}, generated above {rule['generated_above']:g}"
    )


def _text(table: Table) -> list[str]:
    return text_table(table.headings, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
