"""The page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from d2f.bench.page.charts import heat_map, histogram, reliability, roc
from d2f.bench.page.style import STYLE
from d2f.bench.page.thumbnails import thumbnail
from d2f.bench.report import speed_line
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

FLIPS = 100
"""Images listed of one chain; bench.json and rows.parquet hold more."""


def page(result: Mapping[str, Any], thumbnails: bool = False) -> str:
    """Return a result as one HTML page.

    Parameters
    ----------
    result : mapping
        As `d2f.bench.result.result` returns it, or as bench.json holds it.
    thumbnails : bool
        Whether to show the images whose verdict flips, read again from their files.
    """
    names = ", ".join(subject["name"] for subject in result["subjects"])
    body = "\n".join(_body(result, thumbnails))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>d2f bench: {escape(names)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _body(result: Mapping[str, Any], thumbnails: bool) -> Iterator[str]:
    yield f"<h1>Bench of {escape(result['date'])}</h1>"
    yield f'<p class="soft">d2f {escape(result["d2f"])}. {"<br>".join(escape(line) for line in data_lines(result))}</p>'
    if result["as_found"]:
        yield f"<p>The set as it came:</p>{_list(result['as_found'])}"
    yield _table(overview(result), "h3")
    if len(result["attacks"]) > 1:
        yield f"<h3>AUC by attack</h3>{heat_map(result)}"
    for subject in result["subjects"]:
        yield from _subject(result, subject, thumbnails)
    for table in comparison_tables(result):
        yield _table(table)
    yield _table(speed_table(result))
    yield f'<p class="soft">{escape(speed_line(result))}</p>'
    yield _list([*result["notes"], *failure_lines(result)])


def _subject(result: Mapping[str, Any], subject: Mapping[str, Any], thumbnails: bool) -> Iterator[str]:
    digest = f' <small class="soft">{subject["digest"][:12]}</small>' if "digest" in subject else ""
    yield f"<h2>{escape(subject['name'])}{digest}</h2>"
    if "thresholds" in subject:
        rule = subject["thresholds"]
        yield f"<p>real below {rule['real_below']:g}, generated above {rule['generated_above']:g}</p>"
    yield "".join(['<div class="charts">', *_charts(result, subject), "</div>"])
    yield _table(clean_figures(result, subject), "h3")
    if len(result["attacks"]) > 1:
        yield _table(attack_table(result, subject), "h3")
        yield f'<p class="soft">{escape(worst_line(subject))}</p>'
    for table in (stage_table(result, subject), *group_tables(subject)):
        yield _table(table, "h3")
    yield _flips(subject, thumbnails)


def _charts(result: Mapping[str, Any], subject: Mapping[str, Any]) -> Iterator[str]:
    names = [attack["name"] for attack in result["attacks"]]
    worst = subject["worst"].get("auc")
    others = "; thin: each attack, named when pointed at" if len(names) > 1 else ""
    yield _figure(roc(subject, names), f"ROC. Strong: clean{others}.")
    key = '<span class="key real">photographs</span> <span class="key generated">generated</span>'
    for copy in ("none", *((worst,) if worst else ())):
        words = "clean" if copy == "none" else f"under {escape(copy)}, the worst attack"
        if subject["curves"][copy].get("reliability"):
            yield _figure(reliability(subject, copy), f"Reliability, {words}: on the dashed line, probabilities hold.")
        yield _figure(histogram(subject, copy), f"Scores, {words}: {key}")


def _flips(subject: Mapping[str, Any], thumbnails: bool) -> str:
    listed = subject.get("flips", ())
    if not listed:
        return ""
    rows = "".join(
        f"<tr><td>{thumbnail(one['path']) if thumbnails else ''}{escape(one['path'])}</td><td>{escape(one['label'])}"
        f"{' by ' + escape(one['generator']) if one['generator'] else ''}</td><td>{escape(one['clean'])}</td>"
        f"<td>{escape('; '.join(f'{attack}: {verdict}' for attack, verdict in one['turned'].items()))}</td></tr>"
        for one in listed[:FLIPS]
    )
    more = f"the first {FLIPS} of at least {len(listed)}" if len(listed) > FLIPS else f"{len(listed)} images"
    head = "<thead><tr><th>image</th><th>is</th><th>clean</th><th>under attack</th></tr></thead>"
    table = f'<table class="flips">{head}<tbody>{rows}</tbody></table>'
    return f"<h3>Verdicts that flip: {more}</h3><details><summary>show</summary>{table}</details>"


def _table(table: Table, mark: str = "h2") -> str:
    if not table.rows:
        return ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.headings)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    title = escape(table.title[0].upper() + table.title[1:])
    return (
        f'<{mark}>{title}</{mark}><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _list(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li class=soft>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
