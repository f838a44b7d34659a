"""The tables of a report, as headings and rows of text, for the terminal, Markdown and HTML alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from d2f.bench.wording import bounds, interval, number

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
    """AUC of each stage cell under each attack."""
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
