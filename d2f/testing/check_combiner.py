"""Combiners: calibrated probabilities to one ratio."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2f.api.inputs import Floats
from d2f.api.outcomes import Combination
from d2f.metrics import roc_auc
from d2f.testing.subject import MEMBERS, Failed, Skipped, Subject, check, fail_if, members_of_scores

LEAST_AUC = 0.8
"""What three independent members, each of AUC 0.92, must at least come to."""


@check("ratios are finite, whatever members are missing", gate=True)
def finite_ratios(subject: Subject) -> str:
    """Every row with at least one probability gets a ratio; a member without one contributes 0."""
    for name, probabilities in _tables_by_name().items():
        try:
            made = subject.instance.combine(probabilities.copy())
        except Exception as error:
            raise subject.raised(f"on {name}", error, "leave members that are NaN out of every sum") from error
        if wrong := _no_combination(made, probabilities):
            raise Failed(
                f"on {name}: {wrong}", "return d2f.Combination(llr (n,), contributions (n, members)), both float64"
            )
        absent = np.asarray(made.contributions)[np.isnan(probabilities)]
        if absent.size and np.abs(np.nan_to_num(absent)).max() > 0:
            raise Failed(f"on {name}: a member without a probability contributes", "contribute 0 for it")
    return f"{len(_tables_by_name())} tables"


@check("a row does not depend on the others")
def independent_rows(subject: Subject) -> str:
    """Alone, together, in reverse: the same image has the same ratio, and the table is not written to."""
    table = members_of_scores(len(MEMBERS))[0]
    kept = table.copy()
    table.flags.writeable = False
    try:
        together = np.asarray(subject.instance.combine(table).llr)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise Failed("it writes into the table that it is given", "work on a copy") from error
    turned = np.asarray(subject.instance.combine(table[::-1].copy()).llr)[::-1]
    alone = np.array([subject.instance.combine(table[i : i + 1].copy()).llr[0] for i in range(len(table))])
    if not (np.allclose(together, turned, atol=1e-9) and np.allclose(together, alone, atol=1e-9)):
        raise Failed("an image's ratio depends on the images beside it", "combine each row by itself")
    if not np.array_equal(table, kept, equal_nan=True):
        raise Failed("it changed the table that it was given", "work on a copy")
    return ""


@check("contributions add up")
def contributions(subject: Subject) -> str:
    """Where the ratio is linear in the members' logits, contributions and one bias make it."""
    if not _is_linear(subject):
        raise Skipped("the ratio is not linear in the members' logits")
    made = subject.instance.combine(_seeded_rows(40))
    rest = np.asarray(made.llr) - np.asarray(made.contributions).sum(axis=1)
    if np.ptp(rest) > 1e-6:
        raise Failed(
            f"llr less the sum of contributions lies between {rest.min():.4f} and {rest.max():.4f}",
            "contribute what the member added to the ratio: weight * logit",
        )
    return f"bias {rest[0]:+.3f}"


@check("members may stand in any order")
def order(subject: Subject) -> str:
    """Columns and names turned round: the same ratio."""
    table, labels, weights = members_of_scores(len(MEMBERS))
    turned = subject.stage.fit(subject.checked_options, MEMBERS[::-1], table[:, ::-1].copy(), labels, weights)
    one = np.asarray(subject.instance.combine(table).llr)
    other = np.asarray(subject.stage(turned, MEMBERS[::-1]).combine(table[:, ::-1].copy()).llr)
    if not np.allclose(one, other, atol=1e-3):
        raise Failed(
            f"ratios differ by up to {np.abs(one - other).max():.3g}",
            "keep what is fitted by the member's name, not its place",
        )
    return ""


@check("a fit tells the classes apart")
def separates(subject: Subject) -> str:
    """Fitted to three members that know something, it ranks generated images above real ones, twice the same."""
    given = members_of_scores(len(MEMBERS), count=600, seed=6)
    first = subject.stage.fit(subject.checked_options, MEMBERS, *given)
    if not isinstance(first, subject.stage.Options):
        raise Failed(
            f"fit returned a {type(first).__name__}", "return its Options; without parameters, those it was given"
        )
    second = subject.stage.fit(subject.checked_options, MEMBERS, *given)
    if first.model_dump() != second.model_dump():
        raise Failed("a second fit differs", "draw nothing at random, or from a generator with a fixed seed")
    new, labels, _ = members_of_scores(len(MEMBERS), count=600, seed=7)
    auc = roc_auc(labels, subject.stage(first, MEMBERS).combine(new).llr)
    if auc < LEAST_AUC:
        raise Failed(f"AUC {auc:.2f} on new images", "a higher ratio means generated; check the sign")
    return f"AUC {auc:.2f} on new images"


@check("one member will do")
def single(subject: Subject) -> str:
    """A chain may have a single member."""
    table, labels, weights = members_of_scores(1)
    try:
        options = subject.stage.fit(subject.checked_options, MEMBERS[:1], table, labels, weights)
        ratio = np.asarray(subject.stage(options, MEMBERS[:1]).combine(table).llr)
    except Exception as error:
        raise subject.raised("fitted to one member", error, "allow for it: chains grow from one member") from error
    fail_if(
        ["a ratio is not finite"] if not np.isfinite(ratio).all() else [],
        "allow for it: chains grow from one member",
    )
    return ""


def _tables_by_name() -> dict[str, Floats]:
    count = len(MEMBERS)
    ends = np.array([[1e-6] * count, [1 - 1e-6] * count, [0.5] * count, [1e-6, 1 - 1e-6, 0.5]])
    one = np.full((count, count), np.nan)
    np.fill_diagonal(one, 0.9)
    return {
        "complete rows": _seeded_rows(20),
        "rows with members missing": members_of_scores(count)[0],
        "one member only": one,
        "probabilities near 0 and 1": ends,
    }


def _seeded_rows(count: int) -> Floats:
    return np.random.default_rng(8).uniform(0.02, 0.98, (count, len(MEMBERS)))


def _is_linear(subject: Subject) -> bool:
    """Whether llr(a) + llr(b) = llr(a + b) + llr(0) in logits, on complete rows."""
    a, b = np.random.default_rng(9).uniform(-2, 2, (2, 30, len(MEMBERS)))
    tables = (1.0 / (1.0 + np.exp(-logits)) for logits in (a, b, a + b, 0 * a))
    one, other, both, none = (np.asarray(subject.instance.combine(table).llr, dtype=np.float64) for table in tables)
    return bool(np.allclose(one + other, both + none, atol=1e-6))


def _no_combination(made: Any, table: Floats) -> str:
    if not isinstance(made, Combination):
        return f"it returned a {type(made).__name__}"
    llr, parts = np.asarray(made.llr), np.asarray(made.contributions)
    if llr.shape != (len(table),) or parts.shape != table.shape:
        return f"llr of shape {llr.shape} and contributions of shape {parts.shape} for a table of shape {table.shape}"
    if not np.isfinite(llr).all():
        return f"a ratio of {llr[~np.isfinite(llr)][0]}"
    if not np.isfinite(parts[np.isfinite(table)]).all():
        return "a contribution is not finite"
    return ""
