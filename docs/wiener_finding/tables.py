"""The page's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from d2f.evaluate.systems import Attacked
from d2f.report.tables import Table
from wiener_finding.benched import COPIES
from wiener_finding.directions import KINDS, towards
from wiener_finding.left_out import Added
from wiener_finding.numbers import change, figure, nats, share
from wiener_finding.pushes import Push
from wiener_finding.shares import CLEAN, Shares

SHARES = {
    "accuracy": "balanced_accuracy_verdicts",
    "still called so": "still",
    "escaped": "evasion",
    "newly called real": "cleared",
    "photographs newly called generated": "new_false_alarms",
    "inconclusive": "inconclusive",
}
"""The bench's figures, and `Shares`' own, by the table's headings."""

FROM_CLEAN = ("evasion", "cleared", "new_false_alarms")
"""Figures that compare with the clean verdict, and so say nothing of the clean copy."""


def side_by_side(measured: Mapping[str, Shares], over: Attacked) -> Table:
    """One row a chain and copy; the clean ones once, for they are the same in every laying."""
    rows = [
        _shares_row(name, shares, copy, over)
        for name, shares in measured.items()
        for copy in range(len(COPIES))
        if copy != CLEAN or over == "both"
    ]
    titles = {"both": "over both kinds", "generated": "over generated images only", "real": "over photographs only"}
    return Table(titles[over], ("chain", "applied to", "AUC", *SHARES), tuple(rows))


def push_table(pushes: Sequence[Push]) -> Table:
    """One row a member, filter and kind."""
    rows = [
        (
            push.member,
            COPIES[push.copy],
            KINDS[push.label],
            nats(push.mean),
            " / ".join(f"{one:+.2f}" for one in push.quartiles),
            "" if push.deviations != push.deviations else f"{push.deviations:+.2f}",
            towards(push) or "none that shows",
            str(push.images),
        )
        for push in pushes
    ]
    quartiles = "lower quartile / median / upper"
    headings = ("member", "applied to", "of", "mean, nats", quartiles, "mean, deviations", "towards", "images")
    return Table("pushes", headings, tuple(rows))


def added_table(found: Sequence[Added]) -> Table:
    """One row a part."""
    rows = [tuple(_added_members(one)) for one in found]
    headings = ["left out", *(f"{words}, {copy}" for copy in COPIES for words in ("AUC without", "adds"))]
    return Table("left out", tuple(headings), tuple(rows))


def _shares_row(name: str, shares: Shares, copy: int, over: Attacked) -> tuple[str, ...]:
    told = (
        "" if copy == CLEAN and figure_name in FROM_CLEAN else share(shares.of(figure_name, copy, over))
        for figure_name in SHARES.values()
    )
    return name, COPIES[copy], figure(shares.of("auc", copy, over)), *told


def _added_members(one: Added) -> Iterator[str]:
    yield f"{one.part.kind} {one.part.name}"
    for without, adds in zip(one.without, one.adds, strict=True):
        yield f"{without.value:.3f}"
        yield change(adds)
