"""The checks of each kind, run over a stage."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from d2f.plugins.entries import KINDS, kind_of
from d2f.testing import check_calibrator as calibrator
from d2f.testing import check_common as construction
from d2f.testing import check_common as listing
from d2f.testing import check_common as resources
from d2f.testing import check_detector as detector
from d2f.testing import check_detector as quiet
from d2f.testing import check_detector as shape
from d2f.testing import check_evidence as evidence
from d2f.testing import check_precondition as precondition
from d2f.testing import check_stages as combiner
from d2f.testing import check_stages as preprocessor
from d2f.testing import check_trainable as trainable
from d2f.testing import check_trainable as weights
from d2f.testing.report import Report, Result
from d2f.testing.subject import Check, Subject

OF_ALL: tuple[Check, ...] = (
    shape.complete,
    shape.summary,
    shape.documented_options,
    listing.light,
    shape.requirements,
    shape.valid_options,
)
BUILT: tuple[Check, ...] = (shape.plain_options, construction.cheap_construction, construction.loads)
WEIGHED: tuple[Check, ...] = (weights.recorded, weights.strict_weights, weights.trainable_trained_on)
CHECKS: Mapping[str, tuple[Check, ...]] = {
    "detector": (
        *OF_ALL,
        *BUILT,
        *WEIGHED,
        detector.wants,
        detector.hard_images,
        quiet.quiet,
        detector.finite,
        detector.pure,
        detector.deterministic,
        detector.independent,
        detector.thread_safe,
        resources.cost,
        resources.retention,
    ),
    "preprocessor": (
        *OF_ALL,
        *BUILT,
        *WEIGHED,
        preprocessor.views,
        quiet.quiet,
        preprocessor.preprocessor_pure,
        preprocessor.seeded,
        preprocessor.preprocessor_thread_safe,
        resources.cost,
        resources.retention,
    ),
    "calibrator": (
        *OF_ALL,
        calibrator.calibrator_fits,
        *BUILT,
        calibrator.monotone,
        calibrator.calibrator_recovers,
        calibrator.calibrator_deterministic,
        calibrator.plain_fit,
        calibrator.calibrator_thread_safe,
    ),
    "combiner": (
        *OF_ALL,
        *BUILT,
        combiner.combiner_finite,
        combiner.combiner_independent,
        combiner.contributions,
        combiner.order,
        combiner.combiner_recovers,
        combiner.single,
    ),
    "precondition": (
        *OF_ALL,
        *BUILT,
        precondition.answered,
        quiet.quiet,
        precondition.repeated,
        precondition.thread_safe,
        resources.cost,
        resources.retention,
    ),
    "evidence": (*OF_ALL, *BUILT, evidence.stated, evidence.damaged, evidence.repeated),
    "trainable": (
        *OF_ALL,
        *BUILT,
        trainable.trainable_features,
        trainable.deterministic_features,
        trainable.trainable_fits,
        trainable.written,
        trainable.network,
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
        result = _made(check, subject)
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
    unmet = _unmet(report, without_weights)
    if unmet:
        raise AssertionError(unmet)
    return report


def _unmet(report: Report, without_weights: bool) -> str:
    """Return why nearly nothing could be checked, empty where it could or where that is allowed."""
    stopped = next((one for one in report.skipped if one.check in GATES), None)
    if stopped is None or (without_weights and stopped.check == construction.loads.name):
        return ""
    more = "; to let it pass: check_stage(…, without_weights=True)" if stopped.check == construction.loads.name else ""
    return f"{report.kind} '{report.name}' could not be checked: {stopped.said}{more}"


GATES = (shape.requirements.name, shape.valid_options.name, construction.loads.name)
"""Checks that are left out where something is missing without which there is nothing to check."""


def _made(check: Check, subject: Subject) -> Result | None:
    """Return a check's result; what it did not foresee is a failure too, with the stage's own line."""
    try:
        return check(subject)
    except Exception as error:
        next_step = (
            "this is no answer that its contract foresees; the traceback: d2f plugin check NAME, or call it yourself"
        )
        return Result(check.name, "failed", "", (f"it raised {subject.said(error)}",), next_step)
