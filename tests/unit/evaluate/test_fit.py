"""A chain fitted: calibrators, combiner, thresholds; no row is judged by parts that saw its component."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from typing import ClassVar

import numpy as np
import pytest
from d2f_calibrators.isotonic import Isotonic
from d2f_calibrators.platt import Platt
from d2f_combiners.logistic import Logistic
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from d2f import D2FError, Weights
from d2f.chain.chain import load_chain
from d2f.data.dataset import load_dataset
from d2f.data.groups import digest
from d2f.engine.judge import Judge
from d2f.engine.local import score_images
from d2f.engine.prefetch import prefetch
from d2f.evaluate.fit import FitRequest, fit_chain, fit_table, fit_thresholds_only
from d2f.evaluate.fit_report import _row_figures, fit_lines, judgement_lines, threshold_fit_lines
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.parts import fit_calibrators, fit_parts
from d2f.files import file_sha256
from d2f.metrics import expected_calibration_error, roc_auc
from tests.unit.evaluate.toys import (
    CHAIN,
    Bright,
    GaussianBlur,
    NoiseLevel,
    catalog,
    plan,
    recipe,
    rows_of,
    simulated,
    toy_chain,
    write_set,
)

QUICK = FitRequest(attacks=("jpeg:quality=60", "noise:sigma=2"), folds=3, today=date(2026, 11, 21), workers=1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def fit(images, tmp_path_factory):
    return fit_chain(toy_chain(tmp_path_factory.mktemp("chain")), images, QUICK)


def data(text):
    return YAML(typ="safe", pure=True).load(text)


def test_the_fitted_file_holds_what_was_found_and_the_authors_words(fit, images):
    found = data(fit.text)
    assert fit.text.startswith(CHAIN[: CHAIN.index("combine:")])
    assert set(found["calibrate"]) == {"noise/plain", "noise/blurred", "shy/plain"}
    assert found["calibrate"]["noise/plain"]["with"]["slope"] < 0
    assert set(found["combine"]["with"]["weights"]) == set(found["calibrate"])
    assert found["combine"]["calibrate"]["use"] == "platt"
    assert found["verdict"]["real_below"] <= found["verdict"]["generated_above"]
    fitted = found["fitted"]
    assert fitted["data"] == digest(images)
    assert (fitted["images"], fitted["real"], fitted["generated"], fitted["collections"]) == (80, 40, 40, 8)
    assert fitted["attacks"] == ["jpeg:quality=60", "noise:sigma=2"]


def test_the_fitted_chain_loads_and_distinguishes_the_set(fit, images, tmp_path):
    path = tmp_path / "fitted.yaml"
    path.write_text(fit.text, "utf-8")
    chain = load_chain(path, catalog=catalog())
    assert chain.warnings == ()
    judge = Judge(chain.plan)
    scored = score_images(chain.plan, prefetch(image.path for image in images))
    rows = [judge.row(one) for one in scored]
    found = np.array([row.probability for row in rows])
    assert np.mean((found > 0.5) == (images.labels == 1)) > 0.75


def test_a_fit_repeats_with_any_number_of_workers(fit, images, tmp_path):
    assert fit_chain(toy_chain(tmp_path), images, replace(QUICK, workers=2)).text == fit.text
    other = fit_chain(toy_chain(tmp_path), images, replace(QUICK, seed=1))
    assert other.text != fit.text


def test_refitting_a_fitted_chain_starts_anew(fit, images, tmp_path):
    assert data(fit_chain(toy_chain(tmp_path, fit.text), images, QUICK).text) == data(fit.text)


def test_calibrators_that_the_file_names_are_kept(images, tmp_path):
    text = CHAIN + "calibrate:\n  noise/blurred: {use: isotonic}\n"
    found = data(fit_chain(toy_chain(tmp_path, text), images, QUICK).text)["calibrate"]
    assert (found["noise/blurred"]["use"], found["noise/plain"]["use"]) == ("isotonic", "platt")


def test_the_report_says_what_was_measured(fit):
    lines = list(fit_lines(fit))
    assert lines[0] == "80 images: 40 real, 40 generated, 8 components, each 3 times"
    assert any(line.startswith("noise/plain") and "falls" in line for line in lines)
    assert sum(line.split()[0] in ("none", "jpeg:quality=60", "noise:sigma=2", "all") for line in lines if line) == 4
    assert any(line.startswith("generated above") and "of photographs are called generated" in line for line in lines)


def test_images_that_trained_the_weights_are_refused(images, tmp_path):
    class Trained(NoiseLevel):
        name = "trained"
        trained_on = np.array([int(file_sha256(images[3].path)[:16], 16), 5], dtype=np.uint64)

    text = CHAIN.replace("id: noise, use: noise-level", "id: noise, use: trained")
    with pytest.raises(D2FError) as error:
        fit_chain(toy_chain(tmp_path, text, True, Trained), images, QUICK)
    (problem,) = error.value.problems
    assert problem.code == "D2F604"
    assert problem.message == f"1 of 80 images trained the weights of 'noise', such as {images[3].path}"
    fit = fit_chain(toy_chain(tmp_path, text, True, Trained), images, replace(QUICK, allow_overlap=True))
    assert len(fit.notes) == 1


@pytest.mark.parametrize(
    ("keep", "words"),
    [(lambda s: s.labels == 0, "there are no generated images"), (lambda s: [*range(8)], "at least 10")],
)
def test_too_few_images_of_a_label(images, tmp_path, keep, words):
    with pytest.raises(D2FError, match=words) as error:
        fit_chain(toy_chain(tmp_path), images.select(keep(images)), QUICK)
    assert error.value.problems[0].code == "D2F603"


def test_one_collection_is_too_few(tmp_path):
    write_set(tmp_path / "set", 12, collections=1)
    with pytest.raises(D2FError, match="come from one collection"):
        fit_chain(toy_chain(tmp_path), load_dataset(tmp_path / "set"), QUICK)


def test_a_damaged_file_costs_itself_and_is_told(images, tmp_path):
    write_set(tmp_path / "set", 30)
    (tmp_path / "set/real/hands0/0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    fit = fit_chain(toy_chain(tmp_path), load_dataset(tmp_path / "set"), QUICK)
    assert data(fit.text)["fitted"]["images"] == 59
    assert any("1 images could not be read" in line and "D2F304" in line for line in fit_lines(fit))


def test_thresholds_alone_are_refitted_and_the_rest_stays(fit, tmp_path):
    write_set(tmp_path / "own", 30, seed=9)
    chain = toy_chain(tmp_path, fit.text, refit=False)
    found = fit_thresholds_only(
        chain, load_dataset(tmp_path / "own"), FitRequest(attacks=(), protocol="as-found", today=date(2026, 12, 1))
    )
    before, after = data(fit.text), data(found.text)
    assert after["calibrate"] == before["calibrate"]
    assert after["combine"] == before["combine"]
    assert after["verdict"] != before["verdict"]
    assert after["fitted"]["data"] == before["fitted"]["data"]
    assert after["fitted"]["thresholds"]["images"] == 60
    assert toy_chain(tmp_path, found.text, refit=False).file.fitted.thresholds.protocol == "as-found"
    lines = list(threshold_fit_lines(found))
    assert lines[0].startswith("60 images: 30 real, 30 generated")
    assert any(line.startswith("real below") and "[" in line for line in lines)


def test_thresholds_alone_need_a_fitted_chain_and_both_labels(fit, images, tmp_path):
    with pytest.raises(D2FError) as error:
        fit_thresholds_only(toy_chain(tmp_path, CHAIN, refit=False), images, QUICK)
    assert error.value.problems[0].code == "D2F127"
    with pytest.raises(D2FError) as error:
        fit_thresholds_only(toy_chain(tmp_path, fit.text, refit=False), images.select(images.labels == 1), QUICK)
    assert error.value.problems[0].code == "D2F603"


def test_the_same_file_under_both_labels_is_refused_and_copies_are_one_component(images, tmp_path):
    write_set(tmp_path / "set", 14, collections=4)
    real = sorted((tmp_path / "set/real").rglob("*.png"))
    made = sorted((tmp_path / "set/generated").rglob("*.png"))
    shutil.copy(real[0], real[0].with_name("copy.png"))
    fit = fit_chain(toy_chain(tmp_path), load_dataset(tmp_path / "set"), QUICK)
    assert data(fit.text)["fitted"]["collections"] == 4
    shutil.copy(real[0], made[0])
    with pytest.raises(D2FError, match="2 pairs of files of the same bytes have both labels") as error:
        fit_chain(toy_chain(tmp_path), load_dataset(tmp_path / "set"), QUICK)
    assert error.value.problems[0].code == "D2F602"


def test_a_fit_says_when_its_result_is_no_better_than_chance(tmp_path):
    scored = simulated(400, 1, separation=0.0)
    chain = toy_chain(
        tmp_path, "d2f: 1\nname: toy\ndetectors: [{id: d0, use: noise-level}]\ncombine: {use: logistic}\n"
    )
    lines = list(judgement_lines(fit_table(chain, scored, QUICK)))
    assert any("no better than chance, so its verdicts mean nothing" in line for line in lines)
    scored = simulated(600, 1, separation=2.0)
    assert list(judgement_lines(fit_table(chain, scored, QUICK))) == []


def test_refitted_thresholds_make_a_chain_of_another_name(fit, tmp_path):
    write_set(tmp_path / "own", 30, seed=9)
    chain, images = toy_chain(tmp_path, fit.text, refit=False), load_dataset(tmp_path / "own")
    request = FitRequest(attacks=(), protocol="as-found", today=date(2026, 12, 1))
    assert data(fit_thresholds_only(chain, images, request).text)["name"] == "toy-own"
    assert data(fit_thresholds_only(chain, images, replace(request, name="mine")).text)["name"] == "mine"


def test_the_fitted_file_pins_the_weights_of_preprocessors_too(fit, images, tmp_path):
    """A view's weights decide its scores as a detector's do."""

    class Weighted(GaussianBlur):
        name = "weighted"
        weights = (Weights(name="blur/a", sha256="ab" * 32, licence="MIT", sources=(), description="Toy."),)

    text = CHAIN.replace("use: gaussian-blur", "use: weighted")
    fitted = data(fit_chain(toy_chain(tmp_path, text, True, Weighted), images, QUICK).text)["fitted"]
    assert fitted["weights"] == {"blur/a": "ab" * 32}


def test_a_fit_finds_how_near_a_verdict_must_be_tried(fit, images, tmp_path):
    verdict = data(fit.text)["verdict"]
    assert verdict["stability"] == [{"use": "shift", "with": {"pixels": 1}}]
    found = fit.stability
    assert verdict["stable_within"] == pytest.approx(found.within, rel=1e-4)
    assert fit.table.copies == ("none", "jpeg:quality=60", "noise:sigma=2")
    path = tmp_path / "fitted.yaml"
    path.write_text(fit.text, "utf-8")
    chain = load_chain(path, catalog=catalog())
    assert chain.plan.decision.stable_within == verdict["stable_within"]
    judge = Judge(chain.plan)
    own, other = (judge.probabilities(scores) for scores in (fit.table.scores[:, 0], fit.table.changed[:, 0]))
    decided = (own.probability > verdict["generated_above"]) | (own.probability < verdict["real_below"])
    moved = np.abs(own.llr - other.llr)[decided]
    assert found.decided == decided.sum()
    assert found.within == pytest.approx(np.quantile(moved, 0.98), abs=1e-3)
    assert any(line.startswith("small changes     turn ") for line in fit_lines(fit))


def test_small_changes_that_the_file_names_are_kept(fit, images, tmp_path):
    changes = "verdict: {stability: [{use: jpeg, with: {quality: 95}}, {use: shift, with: {pixels: 3}}]}\n"
    named = fit_chain(toy_chain(tmp_path, CHAIN + changes), images, QUICK)
    assert [step["use"] for step in data(named.text)["verdict"]["stability"]] == ["jpeg", "shift"]
    assert named.table.changed.shape == (80, 2, 3)
    none = fit_chain(toy_chain(tmp_path, CHAIN + "verdict: {stability: []}\n"), images, QUICK)
    assert data(none.text)["verdict"]["stability"] == []
    assert "stable_within" not in data(none.text)["verdict"]


def test_refused_images_count_as_a_ratio_of_0_and_as_inconclusive(images, tmp_path):
    text = CHAIN.replace("detectors:", "require: [{use: bright}]\ndetectors:")
    guarded = fit_chain(toy_chain(tmp_path, text, True, Bright), images, QUICK)
    refused = guarded.table.refused.ravel()
    assert 0.05 < refused.mean() < 0.95
    assert np.isnan(guarded.llr[refused]).all()
    assert np.isnan(guarded.rows.scores[refused]).all()
    found = _row_figures(guarded, np.ones(len(guarded.rows), dtype=bool))
    rows, llr = guarded.rows, np.nan_to_num(guarded.llr, nan=0.0)
    assert found["auc"] == pytest.approx(roc_auc_score(rows.labels, llr, sample_weight=rows.weights), abs=1e-6)
    low, high = guarded.thresholds.real_below, guarded.thresholds.generated_above
    between = ~((guarded.probability < low) | (guarded.probability > high))
    assert between[refused].all()
    assert found["inconclusive"] == pytest.approx(np.average(between, weights=rows.weights), abs=1e-6)
    assert any(line.startswith("preconditions refuse ") for line in judgement_lines(guarded))


# The parts, in and out of fold.


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
