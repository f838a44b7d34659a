"""Preprocessors: view to view."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from d2f.api.outcomes import Combination
from d2f.testing.batches import fingerprint, in_threads, members_of_scores, process_state, random_state
from d2f.testing.pictures import pictures, with_size
from d2f.testing.report import watched
from d2f.testing.subject import MEMBERS, Failed, Skipped, Subject, check, fail_if

if TYPE_CHECKING:
    from d2f.api.inputs import Floats, Pixels


LEAST_AUC = 0.8
"""What three independent members, each of AUC 0.92, must at least come to."""


@check("ratios are finite, whatever members are missing", gate=True)
def combiner_finite(subject: Subject) -> str:
    """Every row with at least one probability gets a ratio; a member without one contributes 0."""
    import numpy as np

    for name, probabilities in _tables().items():
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
    return f"{len(_tables())} tables"


@check("a row does not depend on the others")
def combiner_independent(subject: Subject) -> str:
    """Alone, together, in reverse: the same image has the same ratio, and the table is not written to."""
    import numpy as np

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
    import numpy as np

    if not _is_linear(subject):
        raise Skipped("the ratio is not linear in the members' logits")
    made = subject.instance.combine(_rows(40))
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
    import numpy as np

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
def combiner_recovers(subject: Subject) -> str:
    """Fitted to three members that know something, it ranks generated images above real ones, twice the same."""
    from d2f.metrics import roc_auc

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
    import numpy as np

    table, labels, weights = members_of_scores(1)
    try:
        options = subject.stage.fit(subject.checked_options, MEMBERS[:1], table, labels, weights)
        ratio = np.asarray(subject.stage(options, MEMBERS[:1]).combine(table).llr)
    except Exception as error:
        raise subject.raised("fitted to one member", error, "allow for it: chains grow from one member") from error
    fail_if(
        ["a ratio is not finite"] if not np.isfinite(ratio).all() else [], "allow for it: chains grow from one member"
    )
    return ""


def _tables() -> dict[str, Floats]:
    import numpy as np

    count = len(MEMBERS)
    ends = np.array([[1e-6] * count, [1 - 1e-6] * count, [0.5] * count, [1e-6, 1 - 1e-6, 0.5]])
    one = np.full((count, count), np.nan)
    np.fill_diagonal(one, 0.9)
    return {
        "complete rows": _rows(20),
        "rows with members missing": members_of_scores(count)[0],
        "one member only": one,
        "probabilities near 0 and 1": ends,
    }


def _rows(count: int) -> Floats:
    import numpy as np

    return np.random.default_rng(8).uniform(0.02, 0.98, (count, len(MEMBERS)))


def _is_linear(subject: Subject) -> bool:
    """Whether llr(a) + llr(b) = llr(a + b) + llr(0) in logits, on complete rows."""
    import numpy as np

    a, b = np.random.default_rng(9).uniform(-2, 2, (2, 30, len(MEMBERS)))
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


SEEDS = (0, 1, 2**64 - 1)
"""Seeds are 64 bits: both ends and one between."""


@check("every picture becomes a view", gate=True)
def views(subject: Subject) -> str:
    """Pictures of many kinds, from 1 x 1 on, give uint8 (height, width, 3)."""
    found = []
    for name, picture in pictures().items():
        for seed in SEEDS:
            try:
                made = subject.instance.apply(picture, seed)
            except (Exception, SystemExit) as error:
                found.append(f"on {with_size(name, picture)}: it raised {subject.said(error)}")
                break
            if wrong := _no_view(made):
                found.append(f"on {with_size(name, picture)}: it returned {wrong}")
                break
    fail_if(found, "be defined for every picture, however small or flat; round, clip to 0..255, and cast to uint8")
    return f"{len(pictures())} pictures"


@check("what it is given stays as it was")
def preprocessor_pure(subject: Subject) -> str:
    """The picture, the shared random generators and the process's settings are left alone."""
    given = {name: picture.copy() for name, picture in pictures().items()}
    before = {name: fingerprint(picture) for name, picture in given.items()}
    with random_state(3), process_state() as changed, watched() as seen:
        for picture in given.values():
            subject.instance.apply(picture, 1)
    fail_if(
        [f"it changed {with_size(name, one)}" for name, one in given.items() if fingerprint(one) != before[name]],
        "work on a copy: the picture is shared with the other views and detectors",
    )
    fail_if(
        [f"it changed {what}" for what in changed], "use numpy.random.default_rng(seed), and errstate in a with block"
    )
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "work from the picture alone")
    return ""


@check("the seed is its only randomness")
def seeded(subject: Subject) -> str:
    """The same picture and seed give the same view: again, on a fresh instance, in any order."""
    given = pictures()
    once = _all(subject.instance, given)
    with random_state(1):
        again = _all(subject.instance, {name: given[name] for name in reversed(list(given))})
    with random_state(2):
        anew = _all(subject.fresh(), given)
    found = [f"on {with_size(name, given[name])}: another view the second time" for name in _unlike(once, again)]
    found += [f"on {with_size(name, given[name])}: another view from another instance" for name in _unlike(once, anew)]
    fail_if(found, "draw from numpy.random.default_rng(seed) and from nothing else; keep nothing between pictures")
    other = _all(subject.instance, given, seed=2)
    return "the seed matters" if _unlike(once, other) else "nothing is drawn"


@check("it may be called from threads, as it says")
def preprocessor_thread_safe(subject: Subject) -> str:
    """Four threads at once, on one instance: the same views."""
    declared = getattr(subject.instance, "thread_safe", False)
    if not isinstance(declared, bool):
        raise Failed(f"thread_safe = {declared!r:.40}", "True or False")
    if not declared:
        raise Skipped("thread_safe is not set: one thread at a time calls it")
    given = pictures()
    once = _all(subject.instance, given)
    found: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        names = list(given)[number:] + list(given)[:number]
        made = _all(subject.instance, {name: given[name] for name in names})
        with lock:
            found.extend(
                f"on {with_size(name, given[name])}: another view among four threads" for name in _unlike(once, made)
            )

    in_threads(work, found, subject)
    fail_if(found, "keep nothing of a call on self, or leave thread_safe out")
    return "four at once"


def _all(stage: Any, given: Any, seed: int = 1) -> dict[str, Pixels]:
    return {name: stage.apply(picture, seed) for name, picture in given.items()}


def _unlike(one: dict[str, Pixels], other: dict[str, Pixels]) -> list[str]:
    return [name for name in one if fingerprint(one[name]) != fingerprint(other[name])]


def _no_view(made: Any) -> str:
    """Say what keeps something from being a view; empty where nothing does."""
    import numpy as np

    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8:
        return f"{made.dtype}, not uint8"
    if made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"shape {made.shape}, not (height, width, 3)"
    return ""
