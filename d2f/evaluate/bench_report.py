"""What a bench leaves in its folder: bench.json, rows.parquet, report.md, report.html."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.evaluate.bench import SCHEMA
from d2f.evaluate.figures import text_table
from d2f.output import append as refusals
from d2f.output.append import Mode

Interval3 = Sequence[float | None]


def number(value: float | None) -> str:
    """Three decimals; nothing where there is no number."""
    return "" if value is None else f"{value:.3f}"


def interval(found: Interval3) -> str:
    """A value and its bounds, such as ``0.871 [0.812, 0.915]``."""
    value, low, high = found
    return number(value) if low is None else f"{number(value)} [{number(low)}, {number(high)}]"


def bounds(found: Interval3) -> str:
    """The bounds alone."""
    return "" if found[1] is None else f"[{number(found[1])}, {number(found[2])}]"


def data_lines(result: Mapping[str, Any]) -> list[str]:
    """What was judged, in two lines."""
    data = result["data"]
    part = f", {data['images']} taken by seed {data['seed']}" if data["limit"] else ""
    over = "" if result["laid_over"] == "both" else f"; attacks laid over {result['laid_over']} images only"
    return [
        f"{data['images']} images of {data['root']}{part}: {data['real']} real, {data['generated']} generated, "
        f"{data['components']} components",
        f"protocol {result['protocol']}{over}; {result['level']:.0%} intervals: {result['draws']} draws of components",
    ]


def failure_lines(result: Mapping[str, Any]) -> list[str]:
    """What could not be read or scored, if anything."""
    lines = []
    for key, what in (("unread", "images could not be read"), ("failed", "copies or members failed")):
        told = result["failures"][key]
        if told["count"]:
            first = told["first"][0]
            lines.append(f"warning: {told['count']} {what}, such as {first[0]}: {first[-2]} {first[-1]}")
    return lines


def worst_line(subject: Mapping[str, Any]) -> str:
    """Where a subject is worst, in one line; empty without attacks."""
    words = {"auc": "lowest AUC", "evasion": "most evasion", "new_false_alarms": "most new false alarms"}
    parts = [
        f"{words[figure]} {number(subject['figures'][copy][figure][0])} under {copy}"
        for figure, copy in subject["worst"].items()
    ]
    return "; ".join(parts)


BRIEF = ("balanced_accuracy", "tpr_at_5", "true_positive", "false_positive", "inconclusive", "ece")
EVASIVE = ("evasion", "new_false_alarms")


@dataclass(frozen=True)
class Table:
    """A table: its title, headings and rows; the first column is text, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def overview(result: Mapping[str, Any]) -> Table:
    """One row a subject: clean, at its worst, evasion."""
    rows = []
    for subject in result["subjects"]:
        clean, worst = subject["figures"]["none"], subject["worst"]
        at_worst = subject["figures"][worst["auc"]]["auc"] if "auc" in worst else (None, None, None)
        most = [subject["figures"][worst[figure]][figure][0] if figure in worst else None for figure in EVASIVE]
        rows.append(
            (
                subject["name"],
                interval(clean["auc"]),
                interval(at_worst),
                worst.get("auc", ""),
                number(clean["tpr_at_5"][0]),
                *map(number, most),
                number(clean["ece"][0]),
            )
        )
    headings = ("chain", "AUC clean", "AUC at worst", "under", "TPR@5%", "evasion", "new alarms", "ECE")
    return Table("all at a glance", headings, tuple(rows))


def clean_figures(result: Mapping[str, Any], subject: Mapping[str, Any]) -> Table:
    """Every figure on the clean images, with its interval."""
    found = subject["figures"]["none"]
    rows = [
        (told["title"], number(found[name][0]), bounds(found[name]))
        for name, told in result["figures"].items()
        if found[name][0] is not None
    ]
    return Table("clean", ("figure", "value", "interval"), tuple(rows))


def attack_table(result: Mapping[str, Any], subject: Mapping[str, Any]) -> Table:
    """One row an attack."""
    shown = (*BRIEF, *EVASIVE)
    alone = [over for over in ("generated", "real") if over != result["laid_over"]]
    rows = [
        (
            attack["name"],
            interval(subject["figures"][attack["name"]]["auc"]),
            *(number(subject["figures"][attack["name"]][figure][0]) for figure in shown),
            *(number(subject["auc_laid_over"][over][attack["name"]][0]) for over in alone),
        )
        for attack in result["attacks"]
    ]
    headings = (result["figures"][figure]["heading"] for figure in shown)
    only = (f"AUC, {over} only" for over in alone)
    return Table("under attack", ("attack", "AUC", *headings, *only), tuple(rows))


def stage_table(result: Mapping[str, Any], subject: Mapping[str, Any]) -> Table:
    """AUC of each stage member under each attack."""
    names = [attack["name"] for attack in result["attacks"]]
    rows = [
        (stage["name"], *(number(stage["figures"][name]["auc"][0]) for name in names))
        for stage in subject.get("stages", ())
    ]
    return Table("AUC of each stage", ("stage", *names), tuple(rows))


def group_tables(subject: Mapping[str, Any]) -> Iterator[Table]:
    """Collections of both classes; other sources; generators: clean AUC, the lowest under attack, rates."""
    titles = {
        "collection": "collections of both classes, each on its own",
        "source": "other sources, each against all images of the other class",
        "generator": "generators, each against all photographs",
    }
    for kind, title in titles.items():
        rows = [_group_row(group) for group in subject["groups"] if group["kind"] == kind]
        if rows:
            headings = (kind, "real", "gen.", "AUC clean", "lowest AUC", "under", "TPR", "FPR", "inconcl.")
            yield Table(title, headings, tuple(rows))


def comparison_tables(result: Mapping[str, Any], only: str = "") -> Iterator[Table]:
    """Two subjects' figures, attack by attack; of one figure `only`, if it is given."""
    for pair in result["comparisons"]:
        if only not in ("", pair["figure"]):
            continue
        title = result["figures"][pair["figure"]]["title"]
        rows = [
            (
                attack,
                interval(found["difference"]),
                *(number(found.get(p)) for p in ("p", "p_holm", "p_delong")),
            )
            for attack, found in pair["attacks"].items()
        ]
        if rows:
            headings = ("attack", "difference", "p", "p, Holm", "p, DeLong (independent images)")
            yield Table(f"{pair['first']} minus {pair['second']}: {title}", headings, tuple(rows))


def speed_table(result: Mapping[str, Any]) -> Table:
    """Images a second of each stage, in one thread."""
    rows = [
        (
            " ".join(part for part in (stage["kind"], stage["name"] if stage["name"] != stage["kind"] else "") if part),
            stage["view"],
            str(stage["images"]),
            f"{stage['seconds']:.1f}",
            f"{stage['images_per_second']:.1f}",
        )
        for stage in result["speed"]["stages"]
    ]
    return Table("speed", ("stage", "view", "images", "seconds", "images/s"), tuple(rows))


def _group_row(group: Mapping[str, Any]) -> tuple[str, ...]:
    figures: Mapping[str, Any] = group["figures"]
    clean = figures["none"]
    attacked: Sequence[tuple[float, str]] = [
        (found["auc"][0], name) for name, found in figures.items() if name != "none" and found["auc"][0] is not None
    ]
    lowest, under = min(attacked, default=(None, ""))
    return (
        group["name"],
        str(group["real"]),
        str(group["generated"]),
        interval(clean["auc"]),
        number(lowest),
        under,
        *(number(clean[figure]) for figure in ("true_positive", "false_positive", "inconclusive")),
    )


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


def _row(members: tuple[str, ...]) -> str:
    return "| " + " | ".join(member.replace("|", "\\|") for member in members) + " |"


JSON, ROWS, MARKDOWN, HTML, PARTS = "bench.json", "rows.parquet", "report.md", "report.html", "parts"


def open_folder(folder: Path, mode: Mode) -> Path:
    """Make the folder and return where parts of a run under way belong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusals.cannot_open(str(folder), error) from error
    if mode == "new" and ((folder / JSON).exists() or (folder / PARTS).exists()):
        raise refusals.exists(str(folder))
    if mode == "resume" and (folder / JSON).exists() and not (folder / PARTS).exists():
        raise D2FError.of("D2F004", f"'{folder}' holds a finished bench", "to replace it: --overwrite")
    if mode == "overwrite":
        # So that nobody takes the old result for that of a run that was killed.
        (folder / JSON).unlink(missing_ok=True)
    return folder / PARTS


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    under_way = path.with_name(f".{path.name}.tmp")
    with refusals.explained(str(path)):
        under_way.write_text(text, "utf-8")
        under_way.rename(path)


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result; see `read_result`."""
    write_text(path, json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


def read_result(place: str) -> dict[str, Any]:
    """Read a result from its folder or from bench.json itself."""
    path = Path(place) / JSON if Path(place).is_dir() else Path(place)
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"there is no bench in '{place}'", "give its folder, or its bench.json") from None
    except (OSError, ValueError) as error:
        raise _strange(place, str(error)) from error
    if not isinstance(found, dict) or found.get("d2f_bench") != SCHEMA:
        raise _strange(place, f"not a bench.json of version {SCHEMA}")
    return found


def _strange(place: str, why: str) -> D2FError:
    return D2FError.of("D2F006", f"'{place}' cannot be read: {why}", "d2f bench … -o DIR writes one")
