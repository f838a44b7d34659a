from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from d2f_calibrators.isotonic import Isotonic
from d2f_calibrators.platt import Platt
from d2f_combiners.logistic import Logistic
from pydantic import BaseModel, ConfigDict
from scipy.special import expit

from d2f import D2FError
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.parts import fit_calibrators, fit_parts
from d2f.metrics import expected_calibration_error, roc_auc
from tests.unit.evaluate.toys import plan, recipe, rows_of, simulated


class Remembers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    seen: frozenset = frozenset()


class Witness:
    """A calibrator that refuses to judge what it was fitted on, unless all has been judged."""

    name = "witness"
    summary = "A toy."
    Options = Remembers
    judged: ClassVar[int] = 0

    def __init__(self, options):
        self.options = options

    def probability(self, scores):
        assert not self.options.seen & set(scores.tolist())
        Witness.judged += len(scores)
        return expit(scores)

    @classmethod
    def fit(cls, scores, labels, weights):
        return Remembers(seen=frozenset(scores.tolist()))


def test_no_row_is_judged_by_parts_that_saw_its_component():
    table = simulated(120, 3)
    rows = rows_of(table)
    Witness.judged = 0
    found = out_of_fold(plan(table.members), recipe(table.members, Witness), rows, 0.5, 4, 0)
    assert Witness.judged > 120 * 2 * 3
    for component in set(rows.components.tolist()):
        assert len(set(found.fold[rows.components == component].tolist())) == 1


def test_copies_of_an_image_stay_in_one_fold():
    rows = rows_of(simulated(80, 2, collections=80))
    fold = rows.folds(5, 3)
    assert all(len(set(fold[rows.images == image].tolist())) == 1 for image in range(80))


def test_an_inverted_member_is_turned_and_helps():
    table = simulated(1200, 2, seed=1)
    rows = rows_of(table)
    parts = fit_parts(recipe(table.members), rows, 5, 0)
    assert parts.calibrators["d0/plain"].slope > 0 > parts.calibrators["d1/plain"].slope
    found = out_of_fold(plan(table.members), recipe(table.members), rows, 0.5, 5, 0)
    single = roc_auc(rows.labels, rows.scores[:, 0])
    assert roc_auc(rows.labels, found.llr) > single + 0.05
    # Each member parts the classes by d' = 2 / 1.5; two independent ones: AUC = Phi(sqrt(2) d' / sqrt(2)) = Phi(4 / 3)
    assert roc_auc(rows.labels, found.llr) == pytest.approx(0.9088, abs=0.02)


@pytest.mark.parametrize("calibrator", [Platt, Isotonic])
def test_probabilities_out_of_fold_are_calibrated(calibrator):
    table = simulated(2000, 3, seed=2, collections=100)
    rows = rows_of(table)
    found = out_of_fold(plan(table.members), recipe(table.members, calibrator), rows, 0.5, 5, 0)
    assert expected_calibration_error(rows.labels, found.probability, rows.weights) < 0.03
    for column in range(3):
        assert expected_calibration_error(rows.labels, found.members[:, column], rows.weights) < 0.04


def test_the_prior_moves_the_probability_and_not_the_ratio():
    table = simulated(200, 2, seed=3)
    rows = rows_of(table)
    even = out_of_fold(plan(table.members), recipe(table.members), rows, 0.5, 5, 0)
    rare = out_of_fold(plan(table.members), recipe(table.members), rows, 0.1, 5, 0)
    assert np.array_equal(even.llr, rare.llr)
    assert rare.probability == pytest.approx(expit(even.llr + np.log(1 / 9)), abs=1e-4)


def test_a_member_that_speaks_of_one_label_only_has_no_calibrator():
    table = simulated(60, 2, seed=4)
    table.scores[table.labels == 1, :, 1] = np.nan
    parts = fit_parts(recipe(table.members), rows_of(table), 3, 0)
    assert set(parts.calibrators) == {"d0/plain"}
    assert set(fit_calibrators(recipe(table.members), rows_of(table))) == {"d0/plain"}


def test_a_stage_that_raises_is_named():
    class Breaks(Platt):
        name = "breaks"

        @classmethod
        def fit(cls, scores, labels, weights):
            raise ZeroDivisionError("nothing there")

    table = simulated(60, 2)
    with pytest.raises(
        D2FError, match=r"D2F406.* calibrator 'breaks' of d0/plain raised as it was fitted: ZeroDivisionError"
    ):
        fit_parts(recipe(table.members, Breaks), rows_of(table), 3, 0)

    class Falls(Logistic):
        name = "falls"

        @classmethod
        def fit(cls, options, members, probabilities, labels, weights):
            raise ZeroDivisionError("nothing there")

    with pytest.raises(D2FError, match=r"D2F407.* combiner 'falls' raised as it was fitted: ZeroDivisionError"):
        fit_parts(replace(recipe(table.members), combiner=Falls), rows_of(table), 3, 0)


def test_without_scores_there_is_nothing_to_fit():
    table = simulated(60, 1)
    table.scores[:] = np.nan
    with pytest.raises(D2FError) as error:
        fit_parts(recipe(table.members), rows_of(table), 3, 0)
    assert error.value.problems[0].code == "D2F603"
