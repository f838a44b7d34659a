"""A bench's result in words: lines for a terminal, Markdown, and an HTML page, all from the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from d2f.report import charts
from d2f.report.page import document, figure, inline, listed
from d2f.report.tables import Table, bounds, capitalised, failures, number, with_bounds

BRIEF = ("balanced_accuracy", "tpr_at_5", "true_positive", "false_positive", "inconclusive", "ece")
EVASIVE = ("evasion", "new_false_alarms")


def data_lines(result: Mapping[str, Any]) -> list[str]:
    """The images and the protocol, in two lines."""
    data = result["data"]
    part = f", {data['images']} taken by seed {data['seed']}" if data["limit"] else ""
    whose = "" if result["attacked"] == "both" else f"; attacks on {result['attacked']} images only"
    return [
        f"{data['images']} images of {data['root']}{part}: {data['real']} real, {data['generated']} generated, "
        f"{data['components']} components",
        f"protocol {result['protocol']}{whose}; {result['level']:.0%} intervals: {result['draws']} draws of components",
    ]


def caution_lines(result: Mapping[str, Any]) -> list[str]:
    """Warnings: what makes figures optimistic or weak, and what could not be read or scored."""
    found = result["failures"]
    return [
        *(f"warning: {caution}" for caution in result["cautions"]),
        *failures("images could not be read", found["unread"]["count"], *found["unread"]["first"][:1] or [()]),
        *failures("copies or members failed", found["failed"]["count"], *found["failed"]["first"][:1] or [()]),
    ]


def worst_line(system: Mapping[str, Any]) -> str:
    """The worst attacks of a system, in one line; empty without attacks."""
    words = {"auc": "lowest AUC", "evasion": "most evasion", "new_false_alarms": "most new false alarms"}
    parts = [
        f"{words[figure]} {number(system['figures'][copy][figure][0])} under {copy}"
        for figure, copy in system["worst"].items()
    ]
    return "; ".join(parts)


def speed_line(result: Mapping[str, Any]) -> str:
    """The wall time, in one line."""
    speed = result["speed"]
    copies = (speed["images"] - speed["cached"]) * len(result["attacks"])
    rate = f", {copies / speed['wall']:.1f} copies a second" if copies and speed["wall"] > 0 else ""
    cached = f"; {speed['cached']} images read from the cache" if speed["cached"] else ""
    return f"{copies} copies scored in {speed['wall']:.1f} s{rate}{cached}"


def overview(result: Mapping[str, Any]) -> Table:
    """One row a system: clean, at its worst, evasion."""
    rows = []
    for system in result["systems"]:
        clean, worst = system["figures"]["none"], system["worst"]
        at_worst = system["figures"][worst["auc"]]["auc"] if "auc" in worst else (None, None, None)
        most = [system["figures"][worst[name]][name][0] if name in worst else None for name in EVASIVE]
        numbers = map(number, (clean["tpr_at_5"][0], *most, clean["ece"][0]))
        rows.append((system["name"], with_bounds(clean["auc"]), with_bounds(at_worst), worst.get("auc", ""), *numbers))
    headings = ("chain", "AUC clean", "AUC at worst", "under", "TPR@5%", "evasion", "new alarms", "ECE")
    return Table("all at a glance", headings, tuple(rows))


def clean_figures(result: Mapping[str, Any], system: Mapping[str, Any]) -> Table:
    """Every figure on the clean images, with its interval."""
    found = system["figures"]["none"]
    rows = [
        (figure["title"], number(found[name][0]), bounds(found[name]))
        for name, figure in result["figures"].items()
        if found[name][0] is not None
    ]
    return Table("clean", ("figure", "value", "interval"), tuple(rows))


def attack_table(result: Mapping[str, Any], system: Mapping[str, Any]) -> Table:
    """One row an attack; the share that preconditions refuse has a column where it is not zero."""
    shown = (*BRIEF, *EVASIVE)
    alone = [whose for whose in ("generated", "real") if whose != result["attacked"]]
    refused = system.get("refused", {})
    any_refused = any(share for shares in refused.values() for share in shares.values())
    rows = [
        (
            attack["name"],
            with_bounds(system["figures"][attack["name"]]["auc"]),
            *(number(system["figures"][attack["name"]][name][0]) for name in shown),
            *(number(system["auc_attacked"][whose][attack["name"]][0]) for whose in alone),
            *(number(share) for share in refused[attack["name"]].values() if any_refused),
        )
        for attack in result["attacks"]
    ]
    headings = [result["figures"][name]["heading"] for name in shown]
    more = [f"refused, {label}" for label in next(iter(refused.values()), {}) if any_refused]
    only = (f"AUC, {whose} only" for whose in alone)
    return Table("under attack", ("attack", "AUC", *headings, *only, *more), tuple(rows))


def stage_table(result: Mapping[str, Any], system: Mapping[str, Any]) -> Table:
    """AUC of each member under each attack."""
    names = [attack["name"] for attack in result["attacks"]]
    rows = [
        (stage["name"], *(number(stage["figures"][name]["auc"][0]) for name in names))
        for stage in system.get("stages", ())
    ]
    return Table("AUC of each stage", ("stage", *names), tuple(rows))


def group_tables(system: Mapping[str, Any]) -> Iterator[Table]:
    """Collections of both classes; other sources; generators: clean AUC, the lowest under attack, rates."""
    titles = {
        "collection": "collections of both classes, each on its own",
        "source": "other sources, each against all images of the other class",
        "generator": "generators, each against all photographs",
    }
    for kind, title in titles.items():
        rows = [_group_row(group) for group in system["groups"] if group["kind"] == kind]
        if rows:
            headings = (kind, "real", "gen.", "AUC clean", "lowest AUC", "under", "TPR", "FPR", "inconcl.")
            yield Table(title, headings, tuple(rows))


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
        with_bounds(clean["auc"]),
        number(lowest),
        under,
        *(number(clean[name]) for name in ("true_positive", "false_positive", "inconclusive")),
    )


def comparison_tables(result: Mapping[str, Any], only: str = "") -> Iterator[Table]:
    """Two systems' figures, attack by attack; of one figure `only`, if it is given."""
    for pair in result["comparisons"]:
        if only not in ("", pair["figure"]) or not pair["attacks"]:
            continue
        rows = [
            (
                attack,
                str(pair["images"][attack]),
                with_bounds(found["difference"]),
                number(found["p"]),
                number(found["p_holm"]),
            )
            for attack, found in pair["attacks"].items()
        ]
        title = f"{pair['first']} minus {pair['second']}: {result['figures'][pair['figure']]['title']}"
        yield Table(title, ("attack", "images", "difference", "p", "p, Holm"), tuple(rows))


def speed_table(result: Mapping[str, Any]) -> Table:
    """Images a second of each stage, in one thread."""
    rows = [
        (
            stage["kind"] if stage["name"] == stage["kind"] else f"{stage['kind']} {stage['name']}",
            stage["view"],
            str(stage["images"]),
            f"{stage['seconds']:.1f}",
            f"{stage['images_per_second']:.1f}",
        )
        for stage in result["speed"]["stages"]
    ]
    return Table("speed", ("stage", "view", "images", "seconds", "images/s"), tuple(rows))


def _heading(system: Mapping[str, Any]) -> str:
    if system["kind"] != "chain":
        asked = max(system.get("asked_of", {"": 0}).values())
        return f"{system['name']}, external scores of {asked} images"
    rule = system["thresholds"]
    return (
        f"chain {system['name']}, digest {system['digest'][:12]}: "
        f"real below {rule['real_below']:g}, generated above {rule['generated_above']:g}{_fitted(system)}"
    )


def _fitted(system: Mapping[str, Any]) -> str:
    fitted = system.get("fitted")
    if not fitted:
        return ""
    again = fitted.get("thresholds")
    more = f", thresholds to {again['images']}" if again else ""
    return f"; fitted to {fitted['images']} images of {fitted['collections']} components{more}"


def terminal_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield from data_lines(result)
    yield from (f"source audit: {line}" for line in result["source_audit"])
    for system in result["systems"]:
        yield from ("", _heading(system), *clean_figures(result, system).text())
        if len(result["attacks"]) > 1:
            yield from ("", *attack_table(result, system).text(), worst_line(system))
        for table in group_tables(system):
            yield from ("", table.title, *table.text())
    for table in comparison_tables(result, "auc"):
        yield from ("", table.title, *table.text())
    yield from ("", *speed_table(result).text(), speed_line(result))
    yield from (f"note: {note}" for note in result["notes"])
    yield from caution_lines(result)


def markdown(result: Mapping[str, Any], speed: bool = True) -> str:
    """Return the report as a Markdown page, with or without how fast it was made."""
    lines = [f"# Bench of {result['date']}, d2f {result['d2f']}", "", *data_lines(result), ""]
    lines += [f"- {line}" for line in caution_lines(result)]
    lines += [f"- source audit: {line}" for line in result["source_audit"]]
    lines += ["", *overview(result).markdown(), ""]
    for system in result["systems"]:
        lines += [f"## {_heading(system)}", ""]
        for table in _tables(result, system):
            lines += [f"### {capitalised(table.title)}", "", *table.markdown(), ""]
            if table.title == "under attack":
                lines += [f"{worst_line(system)}.", ""]
    for table in comparison_tables(result):
        lines += [f"## {table.title}", "", *table.markdown(), ""]
    if speed:
        lines += ["## Speed", "", speed_line(result), "", *speed_table(result).markdown(), ""]
    lines += [f"- {line}" for line in result["notes"]]
    return "\n".join(lines) + "\n"


def _tables(result: Mapping[str, Any], system: Mapping[str, Any]) -> Iterator[Table]:
    yield clean_figures(result, system)
    if len(result["attacks"]) > 1:
        yield attack_table(result, system)
    yield from (table for table in (stage_table(result, system), *group_tables(system)) if table.rows)


CHANGED = 100
"""Images listed of one chain; bench.json and rows.parquet hold more."""

SIDE = 96
"""Longer side of a thumbnail, in pixels."""


def page(result: Mapping[str, Any], thumbnails: bool = False) -> str:
    """Return a result as one HTML page."""
    names = ", ".join(system["name"] for system in result["systems"])
    return document(f"d2f bench: {names}", _body(result, thumbnails))


def _body(result: Mapping[str, Any], thumbnails: bool) -> Iterator[str]:
    yield f"<h1>Bench of {escape(result['date'])}</h1>"
    yield f'<p class="soft">d2f {escape(result["d2f"])}. {"<br>".join(escape(line) for line in data_lines(result))}</p>'
    yield listed(caution_lines(result))
    if result["source_audit"]:
        yield f"<p>The set's files before the protocol:</p>{listed(result['source_audit'])}"
    yield overview(result).html("h3")
    if len(result["attacks"]) > 1:
        yield f"<h3>AUC by attack</h3>{heat_map(result)}"
    for system in result["systems"]:
        yield f"<h2>{escape(_heading(system))}</h2>"
        yield from ('<div class="charts">', *_charts(result, system), "</div>")
        for table in _tables(result, system):
            yield table.html("h3")
            if table.title == "under attack":
                yield f'<p class="soft">{escape(worst_line(system))}</p>'
        yield _changed(system, thumbnails)
    for table in comparison_tables(result):
        yield table.html()
    yield speed_table(result).html()
    yield f'<p class="soft">{escape(speed_line(result))}</p>'
    yield listed(result["notes"])


def _charts(result: Mapping[str, Any], system: Mapping[str, Any]) -> Iterator[str]:
    names = [attack["name"] for attack in result["attacks"]]
    worst = system["worst"].get("auc")
    others = "; thin: each attack, named when pointed at" if len(names) > 1 else ""
    yield figure(roc(system, names), f"ROC. Strong: clean{others}.")
    key = '<span class="key real">photographs</span> <span class="key generated">generated</span>'
    for copy in ("none", *((worst,) if worst else ())):
        words = "clean" if copy == "none" else f"under {escape(copy)}, the worst attack"
        if system["curves"][copy].get("reliability"):
            yield figure(reliability(system, copy), f"Reliability, {words}: on the dashed line, probabilities hold.")
        yield figure(histogram(system, copy), f"Scores, {words}: {key}")


def roc(system: Mapping[str, Any], shown: Sequence[str]) -> str:
    """ROC curves of some copies: the clean one strong, the others thin."""
    lines = [charts.DIAGONAL]
    for name in reversed(shown):
        points = system["curves"][name].get("roc")
        if points:
            area = with_bounds(system["figures"][name]["auc"])
            lines.append(charts.line(points, "clean" if name == "none" else "attacked", f"{name}: AUC {area}"))
    return charts.chart("ROC", "photographs called generated", "generated found", lines)


def reliability(system: Mapping[str, Any], copy: str) -> str:
    """Share of generated images against the probability that was given, a dot a bin, its area by mass."""
    dots = [
        charts.dot(
            (mean, share), 2 + 14 * mass**0.5, "bin", f"{mean:.2f} given, {share:.2f} generated; {mass:.0%} of images"
        )
        for mean, share, mass in system["curves"][copy].get("reliability", ())
    ]
    return charts.chart(f"reliability, {copy}", "probability given", "share generated", [charts.DIAGONAL, *dots])


def histogram(system: Mapping[str, Any], copy: str) -> str:
    """Scores of photographs and of generated images."""
    found = system["curves"][copy].get("histogram", {"real": [], "generated": []})
    highest = max([*found["real"], *found["generated"], 0.01])
    bars = [
        charts.bar(i / len(shares), (i + 1) / len(shares), share / highest, word, f"{word}: {share:.1%}")
        for word, shares in found.items()
        for i, share in enumerate(shares)
    ]
    across = "probability given" if system["kind"] == "chain" else "score, by rank"
    return charts.chart(f"scores, {copy}", across, "share of a class", bars, f"{highest:.0%}")


def heat_map(result: Mapping[str, Any]) -> str:
    """A table of AUC, system by attack, shaded."""
    names = [attack["name"] for attack in result["attacks"]]
    head = "".join(f'<th class="turned"><span>{escape(name)}</span></th>' for name in names)
    rows = "".join(
        f"<tr><th>{escape(system['name'])}</th>{''.join(_heat(system, name) for name in names)}</tr>"
        for system in result["systems"]
    )
    table = f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table class="heat">{table}</table></div>'


def _heat(system: Mapping[str, Any], name: str) -> str:
    found = system["figures"][name]["auc"]
    if found[0] is None:
        return "<td></td>"
    # 0.5 is chance and 1 perfect; below chance is as pale as chance.
    strength = max(0.0, min(1.0, (found[0] - 0.5) / 0.5))
    dark = ' class="dark"' if strength > 0.55 else ""
    title = f"{escape(name)}: {with_bounds(found)}"
    return f'<td{dark} style="--heat:{strength:.2f}" title="{title}">{number(found[0])}</td>'


def _changed(system: Mapping[str, Any], thumbnails: bool) -> str:
    changed = system.get("changed", ())
    if not changed:
        return ""
    rows = "".join(
        f"<tr><td>{inline(one['path'], SIDE) if thumbnails else ''}{escape(one['path'])}</td><td>{escape(one['label'])}"
        f"{' by ' + escape(one['generator']) if one['generator'] else ''}</td><td>{escape(one['clean'])}</td>"
        f"<td>{escape('; '.join(f'{attack}: {verdict}' for attack, verdict in one['attacked'].items()))}</td></tr>"
        for one in changed[:CHANGED]
    )
    more = f"the first {CHANGED} of at least {len(changed)}" if len(changed) > CHANGED else f"{len(changed)} images"
    head = "<thead><tr><th>image</th><th>is</th><th>clean</th><th>under attack</th></tr></thead>"
    table = f'<table class="changed">{head}<tbody>{rows}</tbody></table>'
    return f"<h3>Verdicts that change under attack: {more}</h3><details><summary>show</summary>{table}</details>"
