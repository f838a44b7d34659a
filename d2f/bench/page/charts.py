"""The charts of one subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from d2f.bench.page.svg import bar, chart, dot, line
from d2f.bench.wording import interval, number

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
