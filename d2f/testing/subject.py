"""A check: a small function that is given a stage under test, and a name that says what is held of the stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.plugins.errors import blame
from d2f.testing.report import Result

if TYPE_CHECKING:
    from pydantic import BaseModel


MOST_LINES = 4
"""Findings of one check that are told one by one."""


UNFORESEEN = "this is no answer that its contract foresees; the traceback: d2f plugin check NAME, or call it yourself"


class Failed(Exception):
    """The stage does not keep what the check holds of it.

    `found` is what was found, a line each; `next_step` what the stage's author should do.
    """

    def __init__(self, found: str | Iterable[str], next_step: str) -> None:
        lines = (found,) if isinstance(found, str) else tuple(found)
        more = len(lines) - MOST_LINES
        self.found = (*lines[:MOST_LINES], f"and {more} more") if more > 0 else lines
        self.next_step = next_step
        super().__init__("; ".join(self.found))


class Skipped(Exception):
    """The check does not apply to this stage, or cannot be made here; the message says why."""


class NotMeant(Exception):
    """The check has nothing to do with a stage of this sort; it is not listed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is held of a stage.

    `run` is given a `Subject`; it returns what it measured or "", and raises `Failed`, `Skipped` or `NotMeant`. Where a
    `gate` does not pass, nothing further can be checked.
    """

    name: str
    run: Callable[[Subject], str]
    gate: bool = False

    def __call__(self, subject: Subject) -> Result | None:
        """Return what the check finds of a stage, None where it is not meant for it.

        What it did not foresee is a failure too, with the stage's own line.
        """
        try:
            return Result(self.name, "passed", self.run(subject))
        except Failed as error:
            return Result(self.name, "failed", "", error.found, error.next_step)
        except Skipped as error:
            return Result(self.name, "skipped", str(error))
        except NotMeant:
            return None
        except Exception as error:
            return Result(self.name, "failed", "", (f"it raised {subject.said(error)}",), UNFORESEEN)


def check(name: str, *, gate: bool = False) -> Callable[[Callable[[Subject], str]], Check]:
    """Make a check of a function, under this name."""
    return lambda function: Check(name, function, gate)


def fail_if(found: Iterable[str], next_step: str) -> None:
    """Raise `Failed` where anything was found."""
    lines = tuple(found)
    if lines:
        raise Failed(lines, next_step)


MEMBERS = ("one/plain", "two/plain", "three/plain")
"""The members that combiners are tried on."""

LEARNED = 1e-4
"""How far the scores of a learned detector may differ, in their own unit and relative to their size."""


@dataclass
class Subject:
    """A stage under test.

    `tolerance` is how far scores may differ that should be equal; None: `LEARNED` for a stage that has `weights`, else
    0. In `notes` one check keeps things for the others.
    """

    kind: str
    stage: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    notes: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What chain files call it, or the class's name where it has none."""
        name = getattr(self.stage, "name", None)
        return name if isinstance(name, str) and name else getattr(self.stage, "__qualname__", repr(self.stage))

    @property
    def origin(self) -> str:
        """Module and class."""
        return f"{getattr(self.stage, '__module__', '?')}.{getattr(self.stage, '__qualname__', '?')}"

    def construct(self) -> Any:
        """Return a fresh instance, without its weights; a calibrator and a combiner are fitted first."""
        more = (MEMBERS,) if self.kind == "combiner" else ()
        return self.stage(self.fitted, *more)

    def fresh(self) -> Any:
        """Return a fresh instance with its weights loaded."""
        made = self.construct()
        load = getattr(made, "load", None)
        if load is not None:
            load()
        return made

    @cached_property
    def instance(self) -> Any:
        """An instance, loaded, that checks share."""
        return self.fresh()

    @cached_property
    def checked_options(self) -> BaseModel:
        """The options as an instance of the stage's own model."""
        checked: BaseModel = self.stage.Options.model_validate(dict(self.options))
        return checked

    @cached_property
    def fitted(self) -> BaseModel:
        """The options that it is constructed with: those given, fitted to seeded scores where the kind is fitted."""
        found: Any = self.checked_options
        if self.kind == "calibrator" and not self.options:
            found = self.stage.fit(*scores_of_two_classes())
        if self.kind == "combiner":
            found = self.stage.fit(self.checked_options, MEMBERS, *members_of_scores(len(MEMBERS)))
        return found  # type: ignore[no-any-return]

    @property
    def allowed_difference(self) -> float:
        """How far scores may differ that should be equal, absolute and relative."""
        if self.tolerance is not None:
            return self.tolerance
        return LEARNED if getattr(self.instance, "weights", ()) else 0.0

    def said(self, error: BaseException) -> str:
        """Return an exception in one line, with the last place in the stage's own module that it came through."""
        return blame(error, str(getattr(self.stage, "__module__", "")).partition(".")[0])

    def raised(self, doing: str, error: BaseException, next_step: str) -> Failed:
        """Return the finding that the stage raised where it should not."""
        return Failed(f"{doing}: it raised {self.said(error)}", next_step)


# Seeded scores of two classes, for what is fitted to scores.

SEPARATION = 2.0
"""Distance of the classes' means, in standard deviations: the true log-likelihood ratio of a score s is 2 s."""


def scores_of_two_classes(count: int = 400, direction: float = 1.0, seed: int = 3) -> tuple[Floats, Labels, Floats]:
    """Return scores (n,), labels (n,) and weights (n,) of bell-shaped classes around -1 and 1.

    Of `count` scores of both classes together a quarter are real; weights make both labels weigh alike. They are
    multiplied by `direction`: below 0, a higher score means a photograph.

    >>> scores, labels, weights = scores_of_two_classes(8)
    >>> labels.tolist(), weights.round(3).tolist()
    ([0, 0, 1, 1, 1, 1, 1, 1], [0.25, 0.25, 0.083, 0.083, 0.083, 0.083, 0.083, 0.083])
    """
    labels = (np.arange(count) >= count // 4).astype(np.int8)
    scores = np.random.default_rng(seed).normal(SEPARATION * (labels - 0.5), 1.0)
    return direction * scores, labels, even_weights(labels)


def members_of_scores(members: int, count: int = 300, seed: int = 4) -> tuple[Floats, Labels, Floats]:
    """Return calibrated probabilities (n, members), labels and weights; some members have none (NaN), no row all.

    Members are independent, and each row keeps its first member.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.6).astype(np.int8)
    scores = rng.normal(SEPARATION * (labels[:, None] - 0.5), 1.0, (count, members))
    probabilities = 1.0 / (1.0 + np.exp(-SEPARATION * scores))
    absent = rng.random((count, members)) < 0.15
    absent[:, 0] = False
    return np.where(absent, np.nan, np.clip(probabilities, 1e-6, 1 - 1e-6)), labels, even_weights(labels)


def even_weights(labels: NDArray[Any]) -> Floats:
    """Return weights (n,), sum 1, under which both labels weigh alike."""
    counts = np.bincount(labels, minlength=2)
    return np.asarray(0.5 / counts[labels], dtype=np.float64)
