"""Combiners: calibrated probabilities of an image's cells to one log-likelihood ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2f.api.outcomes import Combination
from d2f.testing.check import Failed, Skipped, check, fail_if
from d2f.testing.scores import cells_of_scores
from d2f.testing.subject import CELLS, Subject

if TYPE_CHECKING:
    from d2f.api.arrays import Floats

LEAST_AUC = 0.8
"""What three independent cells, each of AUC 0.92, must at least come to."""


@check("ratios are finite, whatever cells are missing", gate=True)
def finite(subject: Subject) -> str:
    """Every row with at least one probability gets a ratio; a cell without one contributes 0."""
    import numpy as np

    for name, probabilities in _tables().items():
        try:
            made = subject.instance.combine(probabilities.copy())
        except Exception as error:
            raise subject.raised(f"on {name}", error, "leave cells that are NaN out of every sum") from error
        if wrong := _no_combination(made, probabilities):
            raise Failed(
                f"on {name}: {wrong}", "return d2f.Combination(llr (n,), contributions (n, cells)), both float64"
            )
        absent = np.asarray(made.contributions)[np.isnan(probabilities)]
        if absent.size and np.abs(np.nan_to_num(absent)).max() > 0:
            raise Failed(f"on {name}: a cell without a probability contributes", "contribute 0 for it")
    return f"{len(_tables())} tables"


@check("a row does not depend on the others")
def independent(subject: Subject) -> str:
    """Alone, together, in reverse: the same image has the same ratio, and the table is not written to."""
    import numpy as np

    table = cells_of_scores(len(CELLS))[0]
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
    """Where the ratio is linear in the cells' logits, contributions and one bias make it."""
    import numpy as np

    if not _is_linear(subject):
        raise Skipped("the ratio is not linear in the cells' logits")
    made = subject.instance.combine(_rows(40))
    rest = np.asarray(made.llr) - np.asarray(made.contributions).sum(axis=1)
    if np.ptp(rest) > 1e-6:
        raise Failed(
            f"llr less the sum of contributions lies between {rest.min():.4f} and {rest.max():.4f}",
            "contribute what the cell added to the ratio: weight * logit",
        )
    return f"bias {rest[0]:+.3f}"


@check("cells may stand in any order")
def order(subject: Subject) -> str:
    """Columns and names turned round: the same ratio."""
    import numpy as np

    table, labels, weights = cells_of_scores(len(CELLS))
    turned = subject.stage.fit(subject.checked_options, CELLS[::-1], table[:, ::-1].copy(), labels, weights)
    one = np.asarray(subject.instance.combine(table).llr)
    other = np.asarray(subject.stage(turned, CELLS[::-1]).combine(table[:, ::-1].copy()).llr)
    if not np.allclose(one, other, atol=1e-3):
        raise Failed(
            f"ratios differ by up to {np.abs(one - other).max():.3g}",
            "keep what is fitted by the cell's name, not its place",
        )
    return ""


@check("a fit tells the classes apart")
def recovers(subject: Subject) -> str:
    """Fitted to three cells that know something, it ranks generated images above real ones, twice the same."""
    from d2f.measure import roc_auc

    given = cells_of_scores(len(CELLS), count=600, seed=6)
    first = subject.stage.fit(subject.checked_options, CELLS, *given)
    if not isinstance(first, subject.stage.Options):
        raise Failed(
            f"fit returned a {type(first).__name__}", "return its Options; without parameters, those it was given"
        )
    second = subject.stage.fit(subject.checked_options, CELLS, *given)
    if first.model_dump() != second.model_dump():
        raise Failed("a second fit differs", "draw nothing at random, or from a generator with a fixed seed")
    new, labels, _ = cells_of_scores(len(CELLS), count=600, seed=7)
    auc = roc_auc(labels, subject.stage(first, CELLS).combine(new).llr)
    if auc < LEAST_AUC:
        raise Failed(f"AUC {auc:.2f} on new images", "a higher ratio means generated; check the sign")
    return f"AUC {auc:.2f} on new images"


@check("one cell will do")
def single(subject: Subject) -> str:
    """A chain may have a single cell."""
    import numpy as np

    table, labels, weights = cells_of_scores(1)
    try:
        options = subject.stage.fit(subject.checked_options, CELLS[:1], table, labels, weights)
        ratio = np.asarray(subject.stage(options, CELLS[:1]).combine(table).llr)
    except Exception as error:
        raise subject.raised("fitted to one cell", error, "allow for it: chains grow from one cell") from error
    fail_if(
        ["a ratio is not finite"] if not np.isfinite(ratio).all() else [], "allow for it: chains grow from one cell"
    )
    return ""


def _tables() -> dict[str, Floats]:
    import numpy as np

    count = len(CELLS)
    ends = np.array([[1e-6] * count, [1 - 1e-6] * count, [0.5] * count, [1e-6, 1 - 1e-6, 0.5]])
    one = np.full((count, count), np.nan)
    np.fill_diagonal(one, 0.9)
    return {
        "complete rows": _rows(20),
        "rows with cells missing": cells_of_scores(count)[0],
        "one cell only": one,
        "probabilities near 0 and 1": ends,
    }


def _rows(count: int) -> Floats:
    import numpy as np

    return np.random.default_rng(8).uniform(0.02, 0.98, (count, len(CELLS)))


def _is_linear(subject: Subject) -> bool:
    """Whether llr(a) + llr(b) = llr(a + b) + llr(0) in logits, on complete rows."""
    import numpy as np

    a, b = np.random.default_rng(9).uniform(-2, 2, (2, 30, len(CELLS)))
    one, other, both, none = (_llr_of_logits(subject, logits) for logits in (a, b, a + b, 0 * a))
    return bool(np.allclose(one + other, both + none, atol=1e-6))


def _llr_of_logits(subject: Subject, logits: Floats) -> Floats:
    import numpy as np

    return np.asarray(subject.instance.combine(1.0 / (1.0 + np.exp(-logits))).llr, dtype=np.float64)


def _no_combination(made: Any, table: Floats) -> str:
    import numpy as np

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
