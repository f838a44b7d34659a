"""The checks of each kind, run over a stage."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from d2f.plugins.entries import KINDS, kind_of
from d2f.testing import (
    check_answers,
    check_calibrator,
    check_combiner,
    check_common,
    check_detector,
    check_evidence,
    check_trainable,
)
from d2f.testing.report import Report, Result
from d2f.testing.subject import Check, Subject

OF_ALL: tuple[Check, ...] = (
    check_common.complete,
    check_common.summary,
    check_common.documented_options,
    check_common.light,
    check_common.requirements,
    check_common.valid_options,
)
BUILT: tuple[Check, ...] = (check_common.plain_options, check_common.cheap_construction, check_common.loads)
WEIGHED: tuple[Check, ...] = (
    check_trainable.recorded,
    check_trainable.strict_weights,
    check_trainable.states_trained_on,
)
CHECKS: Mapping[str, tuple[Check, ...]] = {
    "detector": (
        *OF_ALL,
        *BUILT,
        *WEIGHED,
        check_detector.wants,
        check_detector.hard_images,
        check_common.quiet,
        check_detector.finite,
        check_answers.pure,
        check_answers.deterministic,
        check_detector.independent,
        check_answers.thread_safe,
        check_common.cost,
        check_common.retention,
    ),
    "preprocessor": (
        *OF_ALL,
        *BUILT,
        *WEIGHED,
        check_answers.views,
        check_common.quiet,
        check_answers.pure,
        check_answers.seeded,
        check_answers.thread_safe,
        check_common.cost,
        check_common.retention,
    ),
    "calibrator": (
        *OF_ALL,
        check_calibrator.fits,
        *BUILT,
        check_calibrator.monotone,
        check_calibrator.recovers,
        check_calibrator.deterministic,
        check_calibrator.plain_fit,
        check_answers.thread_safe,
    ),
    "combiner": (
        *OF_ALL,
        *BUILT,
        check_combiner.finite_ratios,
        check_combiner.independent_rows,
        check_combiner.contributions,
        check_combiner.order,
        check_combiner.separates,
        check_combiner.single,
    ),
    "precondition": (
        *OF_ALL,
        *BUILT,
        check_answers.answered,
        check_common.quiet,
        check_answers.pure,
        check_answers.same_answer,
        check_answers.thread_safe,
        check_common.cost,
        check_common.retention,
    ),
    "evidence": (*OF_ALL, *BUILT, check_evidence.stated, check_evidence.damaged, check_evidence.repeated),
    "trainable": (
        *OF_ALL,
        *BUILT,
        check_trainable.trainable_features,
        check_trainable.deterministic_features,
        check_trainable.trainable_fits,
        check_trainable.written,
        check_trainable.network,
    ),
}
"""What is held of each kind, in the order in which it is checked."""


def run_checks(
    stage: type, options: Mapping[str, Any] | None = None, *, kind: str | None = None, tolerance: float | None = None
) -> Report:
    """Return what every check of its kind finds of a stage; nothing is raised for what is wrong with it.

    Parameters
    ----------
    stage : type
        A stage class.
    options : mapping, optional
        Plain data, as in a chain file; the defaults where left out.
    kind : str, optional
        ``detector``, ``preprocessor``, ``precondition``, ``evidence``, ``calibrator``, ``combiner`` or ``trainable``;
        by default told from its methods.
    tolerance : float, optional
        How far scores of a detector may differ that should be equal, absolute and relative; by default 1e-4 for
        a stage with weights, 0 for others.

    Raises
    ------
    ValueError
        `stage` has no method of any kind, or `kind` is none.
    """
    kind = kind or (kind_of(stage) if isinstance(stage, type) else None) or "detector"
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    subject = Subject(kind, stage, dict(options or {}), tolerance)
    with warnings.catch_warnings():
        # As in a run of the program; one check is about warnings.
        warnings.simplefilter("ignore")
        return Report(kind, subject.name, subject.origin, tuple(_results(subject)))


def _results(subject: Subject) -> Iterator[Result]:
    checks = CHECKS[subject.kind]
    for number, check in enumerate(checks, 1):
        result = check(subject)
        if result is not None:
            yield result
        if check.gate and result is not None and result.state != "passed":
            reason = f"needs: {check.name}" if result.state == "failed" else result.said
            yield Result(f"the other {len(checks) - number} checks", "skipped", reason)
            return


def check_stage(
    stage: type,
    options: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    tolerance: float | None = None,
    without_weights: bool = False,
) -> Report:
    """Hold a stage to its contract; for a test of one line.

    Parameters
    ----------
    stage, options, kind, tolerance
        As `run_checks` takes them.
    without_weights : bool
        Whether it may pass where its weights are not on this machine and most checks are left out.

    Returns
    -------
    Report
        ``print(report)`` shows every check and what was measured.

    Raises
    ------
    AssertionError
        One, with everything that failed, in words, and what to do about it.

    Examples
    --------
    >>> from d2f.plugins.catalog import Catalog
    >>> report = check_stage(Catalog.discover().find("preprocessor", "greyscale"))
    >>> report["the seed is its only randomness"].said
    'nothing is drawn'
    """
    __tracebackhide__ = True
    report = run_checks(stage, options, kind=kind, tolerance=tolerance)
    if report.failed:
        raise AssertionError(report.complaint())
    # Where nearly nothing could be checked, that is a failure, unless it is allowed.
    stopped = next((one for one in report.skipped if one.check in GATES), None)
    if stopped is not None and not (without_weights and stopped.check == check_common.loads.name):
        allow = "; to let it pass: check_stage(…, without_weights=True)"
        more = allow if stopped.check == check_common.loads.name else ""
        raise AssertionError(f"{report.kind} '{report.name}' could not be checked: {stopped.said}{more}")
    return report


GATES = (check_common.requirements.name, check_common.valid_options.name, check_common.loads.name)
"""Checks that are left out where something is missing without which there is nothing to check."""
