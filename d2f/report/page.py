"""The page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from d2f.evaluate.bench_report import (
    Table,
    attack_table,
    clean_figures,
    comparison_tables,
    data_lines,
    failure_lines,
    group_tables,
    interval,
    number,
    overview,
    speed_line,
    speed_table,
    stage_table,
    worst_line,
)

STYLE = """
:root { --ink: #1b1f24; --soft: #5b6570; --rule: #d8dde3; --paper: #fff;
  --real: #2a6fbb; --made: #d9622b; --heat-ink: #14508f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b1; --rule: #39414a; --paper: #14181c;
    --real: #62a5ea; --made: #f08a54; --heat-ink: #4f97e3; }
}
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p.soft, li.soft, figcaption, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { padding: .18rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; }
.heat td { background: color-mix(in srgb, var(--heat-ink) calc(var(--heat) * 100%), var(--paper)); text-align: center; }
.heat td.dark { color: var(--paper); }
.heat th.turned { vertical-align: bottom; padding: 0 .4rem; }
.heat th.turned span { writing-mode: vertical-rl; transform: rotate(180deg); }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .82rem; max-width: 17rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .even { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; }
svg .clean { stroke: var(--real); stroke-width: 2.4; fill: none; }
svg .attacked { stroke: var(--made); stroke-width: 1; fill: none; opacity: .75; }
svg .bin { fill: var(--real); opacity: .65; }
svg .real { fill: var(--real); opacity: .55; } svg .generated { fill: var(--made); opacity: .55; }
.key::before { content: "■ "; } .key.real { color: var(--real); } .key.generated { color: var(--made); }
.flips td, .flips th { text-align: left; white-space: normal; vertical-align: top; }
.flips td:first-child { overflow-wrap: anywhere; }
.flips img { display: block; max-width: 96px; max-height: 96px; }
"""
SIDE, MARGIN, GAP = 220, 40, 14
"""Side of the drawing area; room for labels at the left and bottom, and at the top and right; in pixels."""

Point = Sequence[float]


def x(value: float) -> float:
    """Return the horizontal pixel of a value in [0, 1]."""
    return round(MARGIN + SIDE * value, 1)


def y(value: float) -> float:
    """Return the vertical pixel of a value in [0, 1]."""
    return round(GAP + SIDE * (1 - value), 1)


def chart(title: str, across: str, up: str, inside: Sequence[str], top: str = "1") -> str:
    """Return a square chart; `top` is what the upper end of the vertical axis is called."""
    width, height = MARGIN + SIDE + GAP, GAP + SIDE + MARGIN
    grid = [
        f'<line class="grid" x1="{x(at)}" y1="{y(0)}" x2="{x(at)}" y2="{y(1)}"/>'
        f'<line class="grid" x1="{x(0)}" y1="{y(at)}" x2="{x(1)}" y2="{y(at)}"/>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    ]
    ticks = [
        text(x(0), y(0) + 14, "0", "middle"),
        text(x(1), y(0) + 14, "1", "middle"),
        text(x(0) - 5, y(1) + 4, top, "end"),
        text(x(0.5), y(0) + 30, across, "middle"),
        f'<text transform="translate(12 {y(0.5)}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    parts = "".join([f"<title>{escape(title)}</title>", *grid, *ticks, *inside])
    return f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{parts}</svg>'


def text(left: float, top: float, words: str, anchor: str = "start") -> str:
    """Return a text."""
    return f'<text x="{left}" y="{top}" text-anchor="{anchor}">{escape(words)}</text>'


def line(points: Sequence[Point], name: str, title: str = "") -> str:
    """Return a line through points in [0, 1]², of CSS class `name`."""
    path = " ".join(f"{x(point[0])},{y(point[1])}" for point in points)
    return f'<polyline class="{name}" points="{path}">{_title(title)}</polyline>'


def dot(point: Point, radius: float, name: str, title: str) -> str:
    """Return a dot with a text that shows when it is pointed at."""
    return f'<circle class="{name}" cx="{x(point[0])}" cy="{y(point[1])}" r="{radius:.1f}">{_title(title)}</circle>'


def bar(left: float, right: float, height: float, name: str, title: str) -> str:
    """Return a bar from the horizontal axis up."""
    wide, high = round(x(right) - x(left), 1), round(SIDE * min(1.0, height), 1)
    at = f'x="{x(left)}" y="{round(y(0) - high, 1)}" width="{wide}" height="{high}"'
    return f'<rect class="{name}" {at}>{_title(title)}</rect>'


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


DIAGONAL = line([(0, 0), (1, 1)], "even")


def roc(subject: Mapping[str, Any], shown: Sequence[str]) -> str:
    """ROC curves of some copies: the clean one strong, the others thin."""
    lines = [DIAGONAL]
    for name in reversed(shown):
        points = subject["curves"][name].get("roc")
        if points:
            area = interval(subject["figures"][name]["auc"])
            lines.append(line(points, "clean" if name == "none" else "attacked", f"{name}: AUC {area}"))
    return chart("ROC", "photographs called generated", "generated found", lines)


def reliability(subject: Mapping[str, Any], copy: str) -> str:
    """Share of generated images against the probability that was given, a dot a bin, its area by mass."""
    points = subject["curves"][copy].get("reliability", ())
    dots = [
        dot((mean, share), 2 + 14 * mass**0.5, "bin", f"said {mean:.2f}, were {share:.2f}; {mass:.0%} of images")
        for mean, share, mass in points
    ]
    return chart(f"reliability, {copy}", "probability given", "share generated", [DIAGONAL, *dots])


def histogram(subject: Mapping[str, Any], copy: str) -> str:
    """Scores of photographs and of generated images."""
    found = subject["curves"][copy].get("histogram", {"real": [], "generated": []})
    highest = max([*found["real"], *found["generated"], 0.01])
    bars = [
        bar(i / len(shares), (i + 1) / len(shares), share / highest, word, f"{word}: {share:.1%}")
        for word, shares in found.items()
        for i, share in enumerate(shares)
    ]
    across = "probability given" if subject["kind"] == "chain" else "score, by rank"
    return chart(f"scores, {copy}", across, "share of a class", bars, f"{highest:.0%}")


def heat_map(result: Mapping[str, Any]) -> str:
    """A table of AUC, subject by attack, shaded."""
    names = [attack["name"] for attack in result["attacks"]]
    head = "".join(f'<th class="turned"><span>{_plain(name)}</span></th>' for name in names)
    rows = "".join(
        f"<tr><th>{_plain(subject['name'])}</th>{''.join(_heat(subject, name) for name in names)}</tr>"
        for subject in result["subjects"]
    )
    table = f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table class="heat">{table}</table></div>'


def _heat(subject: Mapping[str, Any], name: str) -> str:
    found = subject["figures"][name]["auc"]
    if found[0] is None:
        return "<td></td>"
    # 0.5 is chance and 1 perfect; below chance is as pale as chance.
    strength = max(0.0, min(1.0, (found[0] - 0.5) / 0.5))
    dark = ' class="dark"' if strength > 0.55 else ""
    return f'<td{dark} style="--heat:{strength:.2f}" title="{_plain(name)}: {interval(found)}">{number(found[0])}</td>'


def _plain(words: str) -> str:
    from html import escape

    return escape(words)


SIDE = 96


def thumbnail(path: str) -> str:
    """Return an ``<img>`` of a file, or nothing where it cannot be read."""
    from PIL import Image

    from d2f.api.inputs import ImageFile
    from d2f.images.read import load_image

    image = load_image(path)
    if not isinstance(image, ImageFile):
        return ""
    small = Image.fromarray(image.pixels)
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=70)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


FLIPS = 100
"""Images listed of one chain; bench.json and rows.parquet hold more."""


def page(result: Mapping[str, Any], thumbnails: bool = False) -> str:
    """Return a result as one HTML page."""
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
    head = "".join(f"<th>{escape(member)}</th>" for member in table.headings)
    rows = "".join("<tr>" + "".join(f"<td>{escape(member)}</td>" for member in row) + "</tr>" for row in table.rows)
    title = escape(table.title[0].upper() + table.title[1:])
    return (
        f'<{mark}>{title}</{mark}><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _list(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li class=soft>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
